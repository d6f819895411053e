//! Fixtures and helpers that several tests share.

pub mod climber;
pub mod fuzz;
pub mod golden;
pub mod golden_families;
pub mod golden_gradients;
pub mod liar;
pub mod postgres;
pub mod reference;
pub mod schedules;
