//! The worker: trains multi-state networks on sampled tasks and returns their fitness.
//!
//! `network`, `task`, `episode` and `baseline` are pure; `pool` computes on threads apart from tokio and `session` is
//! the async shell that talks to a coordinator.

pub mod baseline;
pub mod comparison;
pub mod data_store;
pub mod episode;
pub mod evaluator;
pub mod fingerprint;
pub mod interrupt;
pub mod network;
pub mod pool;
pub mod session;
pub mod task;
