//! What crosses crates, in one program: it is compiled and linked once. `allocation.rs` and `random_specs.rs`, which count
//! what is allocated, and `architecture.rs` and `documents.rs`, which need none of our code, are programs of their own.
//!
//! One file alone: `cargo test --workspace --test suite FILE::`.

mod asynchronous;
mod bench;
mod cluster;
mod convergence;
mod copies;
mod definition;
mod driver;
mod engine;
mod fuzz;
mod golden;
mod gradients;
mod levels;
mod lies;
mod life;
mod network;
mod postgres;
mod pycma;
mod python;
mod quotas;
mod recovery;
mod repair;
mod resting;
mod ridge;
mod schema;
mod sharing;
mod simulation;
mod storage;
