//! Fixtures and helpers that several tests share.

pub mod golden;
pub mod reference;
