//! Learning: rules and the networks they train, tasks, episodes, and the comparison of rules with baselines.
//!
//! Pure: nothing here reads a clock, a file or a socket, and what is drawn comes from named streams below a seed.

pub mod comparison;
pub mod demonstration;
pub mod episode;
pub mod evaluation;
pub mod fingerprint;
pub mod interrupt;
pub mod rule;
pub mod task;
pub mod training;
mod vectors;
