//! What an answer holds: all at once, or one event after the other.

use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// What is shorter goes as it is.
const PACKED_BYTES_MIN: usize = 1024;

/// A text that many ask for, which is compressed once for all of them.
pub(super) struct Packed {
    text: String,
    packed: OnceLock<Bytes>,
}

impl Packed {
    pub(super) fn new(text: String) -> Arc<Self> {
        Arc::new(Self { text, packed: OnceLock::new() })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Compresses it before anybody asks for it.
    pub(super) fn pack(&self) {
        if self.text.len() >= PACKED_BYTES_MIN {
            self.packed();
        }
    }

    /// The text by gzip, as fast as that goes: pages change often, and networks are fast.
    fn packed(&self) -> Bytes {
        let pack = || {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(self.text.as_bytes()).expect("memory can be written");
            packer.finish().expect("memory can be written").into()
        };
        self.packed.get_or_init(pack).clone()
    }
}

/// See the module.
pub(super) enum Content {
    /// A text.
    Text(Arc<Packed>),
    /// Bytes, all at once; `None` once they were sent.
    Whole(Option<Bytes>),
    /// Server-sent events, until their sender is gone.
    Events(mpsc::Receiver<Bytes>),
}

impl Content {
    pub(super) fn whole(text: String) -> Self {
        Self::Text(Packed::new(text))
    }

    /// The same by gzip; `None` if it is no text, or too short for it.
    pub(super) fn packed(&self) -> Option<Self> {
        match self {
            Self::Text(text) if text.text.len() >= PACKED_BYTES_MIN => Some(Self::Whole(Some(text.packed()))),
            _ => None,
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let content = self.get_mut();
        let next = match content {
            Self::Text(text) => {
                let bytes = Bytes::copy_from_slice(text.text.as_bytes());
                *content = Self::Whole(None);
                Poll::Ready(Some(bytes))
            }
            Self::Whole(content) => Poll::Ready(content.take()),
            Self::Events(events) => events.poll_recv(context),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(content) => SizeHint::with_exact(content.as_ref().map_or(0, Bytes::len) as u64),
            Self::Text(text) => SizeHint::with_exact(text.text.len() as u64),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
