//! The place of a span as it travels: the W3C's Trace Context, <https://www.w3.org/TR/trace-context/>.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};

/// Names a span and its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    sampled: bool,
    remote: bool,
}

/// The length of what begins a `traceparent`: a version, a trace, a span and flags.
const LENGTH: usize = 55;

impl TraceContext {
    /// A new place in a trace, or in a trace of its own.
    pub(crate) fn new(parent: Option<Self>) -> Self {
        let trace =
            parent.map_or_else(|| u128::from(random()) << 64 | u128::from(random()), |parent| parent.trace);
        Self { trace, span: random(), sampled: true, remote: false }
    }

    /// Reads a `traceparent`; `None` if it is none. A later version may have more behind the flags.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_ascii() || text.len() < LENGTH {
            return None;
        }
        let (known, rest) = text.split_at(LENGTH);
        let mut parts = known.split('-');
        let mut next = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            is_hex.then(|| u128::from_str_radix(part, 16).ok()).flatten()
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let ends_well = rest.is_empty() || (version != 0 && rest.starts_with('-'));
        if version == 0xff || trace == 0 || span == 0 || !ends_well {
            return None;
        }
        Some(Self { trace, span: u64::try_from(span).ok()?, sampled: flags & 1 == 1, remote: true })
    }

    /// The trace.
    pub fn trace_id(self) -> u128 {
        self.trace
    }

    /// The span within it.
    pub fn span_id(self) -> u64 {
        self.span
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(self) -> bool {
        self.sampled
    }

    /// Whether it came from another process.
    pub fn is_remote(self) -> bool {
        self.remote
    }
}

/// As a `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Bits that are not 0, from the keys that the operating system gives to hash maps.
fn random() -> u64 {
    RandomState::new().build_hasher().finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_comes_back_as_it_went() {
        let context = TraceContext::new(None);
        let read = TraceContext::parse(&context.to_string()).unwrap();
        assert_eq!(read, TraceContext { remote: true, ..context });
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let read = TraceContext::parse(text).unwrap();
        assert_eq!((read.to_string().as_str(), read.is_sampled()), (text, false));
        let below = TraceContext::new(Some(context));
        assert_eq!(below.trace_id(), context.trace_id());
        assert_ne!(below.span_id(), context.span_id());
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes";
        assert!(TraceContext::parse(later).is_some_and(TraceContext::is_sampled));
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for text in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
            "\u{20ac}\u{20ac}-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }
}
