//! What was done from when to when.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use crate::{TraceContext, Tracer};

/// Whom a span's work was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process itself.
    Internal,
    /// Somebody who asked for it.
    Server,
    /// It was asked of somebody else.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A count.
    Number(i64),
    /// A measure.
    Real(f64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedSpan {
    /// Where it stands.
    pub context: TraceContext,
    /// What it is a part of.
    pub parent: Option<TraceContext>,
    /// What was done.
    pub name: Cow<'static, str>,
    /// Whom it was for.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// What went wrong.
    pub problem: Option<String>,
}

/// A span that goes on. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    tracer: Tracer,
    /// Its length is measured by a clock that nobody sets.
    begun: Instant,
    context: TraceContext,
    finished: Option<Box<EndedSpan>>,
}

impl Span {
    pub(crate) fn new(
        tracer: &Tracer,
        name: Cow<'static, str>,
        kind: Kind,
        parent: Option<TraceContext>,
    ) -> Self {
        let (start, begun) = (SystemTime::now(), Instant::now());
        let context = TraceContext::new(parent);
        let (attributes, problem) = (Vec::new(), None);
        let finished = EndedSpan { context, parent, name, kind, start, end: start, attributes, problem };
        Self { tracer: tracer.clone(), begun, context, finished: Some(Box::new(finished)) }
    }

    /// Where it stands.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Says something of it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(finished) = &mut self.finished {
            finished.attributes.push((name, value.into()));
        }
    }

    /// It has ended.
    pub fn end(self) {
        drop(self);
    }

    /// It has ended, and not well.
    pub fn fail(mut self, problem: impl Into<String>) {
        if let Some(finished) = &mut self.finished {
            finished.problem = Some(problem.into());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut finished) = self.finished.take() {
            finished.end = finished.start + self.begun.elapsed();
            self.tracer.take(*finished);
        }
    }
}
