//! The coordinator: runs evolution strategies, hands their episodes to workers, journals what comes back.
//!
//! `strategy`, `scheduler`, `run` and `engine` are pure: they are given the time and never touch a wire, a disk or a
//! clock. `driver` is the async shell around them, `service` the gRPC face of the driver.

pub mod driver;
pub mod engine;
pub mod handle;
pub mod journal;
pub mod run;
pub mod scheduler;
pub mod service;
pub mod strategy;
