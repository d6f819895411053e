//! What coordinator and worker must agree on.
//!
//! A thing is admitted here when three questions are answered yes: do coordinator and worker both use it? would a run
//! stop being reproducible if their copies differed? is it pure, free of wire, disk and process types?

pub mod digest;
pub mod dispatch;
pub mod episode;
pub mod estimate;
pub mod fitness;
pub mod genome;
pub mod id;
pub mod limits;
pub mod seed;
pub mod spec;
pub mod time;
pub mod vectors;
