//! What must be alike in every process: layered configuration, tracing set-up, shutdown signals.

pub mod configuration;
pub mod logging;
pub mod shutdown;
