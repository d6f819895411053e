//! The coordinator's async shell: `driver` carries out what `hebbian-control` decides, `journal` keeps it, `service` is
//! the gRPC face of both, `web` the live page and the metrics, `operator` what
//! operators do by both, `access` who may do what with either.

pub mod access;
pub mod driver;
pub mod handle;
pub mod journal;
mod operator;
mod regular_file;
pub mod runtime;
pub mod service;
mod timing;
pub mod upkeep;
pub mod web;
