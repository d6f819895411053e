//! A TCP stream that goes with its task from one lane to the other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::lane::Lane;

/// A TCP stream; whoever polls it from another lane than before has it woken there from then on.
#[derive(Debug)]
pub(super) struct Socket {
    /// There unless a move has failed, which breaks the connection.
    stream: Option<TcpStream>,
    lane: Lane,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: Some(stream), lane: Lane::here() }
    }

    /// The stream, registered where it is used.
    pub(super) fn here(&mut self) -> io::Result<&mut TcpStream> {
        let lane = Lane::here();
        if self.lane != lane
            && let Some(stream) = self.stream.take()
        {
            self.stream = Some(TcpStream::from_std(stream.into_std()?)?);
            self.lane = lane;
        }
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Calls a method of the stream, which has to be registered first.
    fn poll<T>(
        self: Pin<&mut Self>,
        call: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.get_mut().here() {
            Ok(stream) => call(Pin::new(stream)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Connected for Socket {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        let unknown = TcpConnectInfo { local_addr: None, remote_addr: None };
        self.stream.as_ref().map_or(unknown, Connected::connect_info)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
