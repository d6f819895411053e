//! What must be alike in every process: layered configuration, tracing set-up, shutdown signals.

pub(crate) mod configuration;
pub(crate) mod logging;
pub(crate) mod signals;
