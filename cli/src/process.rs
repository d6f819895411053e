//! What must be alike in every process: layered configuration, tracing set-up, shutdown signals, service managers.

pub(crate) mod configuration;
pub(crate) mod logging;
pub(crate) mod signals;
pub(crate) mod supervisor;
