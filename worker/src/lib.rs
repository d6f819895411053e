//! The worker's async shell: `pool` computes episodes on threads apart from tokio, `session` talks to a coordinator,
//! `data_store` keeps data sets.

pub mod data_store;
pub mod evaluator;
pub mod figures;
pub mod pool;
pub mod session;
