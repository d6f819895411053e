//! Rules: how a fresh network learns a task from its batches.

pub mod gradient_descent;
pub mod multi_state;
