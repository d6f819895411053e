//! What coordinator and worker must agree on.
//!
//! A thing is admitted here when three questions are answered yes: do coordinator and worker both use it? would a run
//! stop being reproducible if their copies differed? is it pure, free of wire, disk and process types? The one
//! exception, behind the feature `process`, is what must be alike in every process: layered configuration, tracing
//! set-up and shutdown signals.

pub mod digest;
pub mod dispatch;
pub mod episode;
pub mod fitness;
pub mod genome;
pub mod id;
#[cfg(feature = "process")]
pub mod process;
pub mod progress;
pub mod seed;
pub mod spec;
pub mod time;
