//! The protobuf messages of hebbian, their generated code and their conversions from and to the domain. Nothing else.
//!
//! Messages are pure; clients and servers, which need tonic, are behind the feature `services`, messages as JSON behind `json`.

#[cfg(feature = "services")]
mod codec;
pub mod convert;
pub mod figures;
#[cfg(feature = "json")]
pub mod json;

/// What coordinator, workers and clients exchange.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated from the commented .proto files"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/hebbian.v1.rs"));
}

/// What the coordinator's journal stores. Fields are never renumbered; separate from the wire.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated from the commented .proto files"
)]
pub mod journal {
    /// Version 1.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/hebbian.journal.v1.rs"));
    }
}

/// All files' descriptors, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
