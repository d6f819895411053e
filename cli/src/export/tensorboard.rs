//! The table as an event file of `tensorboard`: a scalar for each number, by generation.
//!
//! Such a file is a row of records: the length as 8 bytes, a checksum of these, the message `Event`, a checksum of it. The messages are
//! a small part of TensorFlow's `event.proto` and `summary.proto`.

use hebbian_proto::figures::unix_ms;
use hebbian_proto::v1;
use prost::Message;

use super::table::Table;

/// What the first event must say.
const VERSION: &str = "brain.Event:2";
const CASTAGNOLI: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(string, optional, tag = "3")]
    pub(super) file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(super) summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Scalar {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    #[prost(float, optional, tag = "2")]
    pub(super) simple_value: Option<f32>,
}

/// What the file of a run is called: exported again it replaces what it was, and `tensorboard` finds it by its name.
pub(crate) fn name(run: &v1::Run) -> String {
    format!("events.out.tfevents.{:010}.hebbian.{}", unix_ms(run.create_time) / 1000, run.id())
}

/// The file's bytes. A generation's wall time is the run's creation plus the time that it had been running.
pub(crate) fn file(table: &Table, run: &v1::Run) -> Vec<u8> {
    let created_s = unix_ms(run.create_time) as f64 / 1e3;
    let mut file = Vec::new();
    let first = Event { wall_time: created_s, file_version: Some(VERSION.to_owned()), ..Default::default() };
    record(&first, &mut file);
    let (generation, elapsed) = (table.named("generation"), table.named("elapsed_s"));
    let tags: Vec<Option<String>> = table.columns().iter().map(|column| tag(&column.name)).collect();
    let mut wall_time = created_s;
    for row in 0..table.rows() {
        wall_time = elapsed
            .and_then(|column| column.number(row))
            .map_or(wall_time, |elapsed_s| created_s + elapsed_s);
        let scalar = |(column, tag): (&super::table::Column, &Option<String>)| {
            let number = column.number(row)? as f32;
            Some(Scalar { tag: tag.clone()?, simple_value: Some(number) })
        };
        let value: Vec<Scalar> = table.columns().iter().zip(&tags).filter_map(scalar).collect();
        let step = generation.and_then(|column| column.number(row)).unwrap_or_default() as i64;
        record(&Event { wall_time, step, summary: Some(Summary { value }), ..Default::default() }, &mut file);
    }
    file
}

/// What `tensorboard` calls a column, which groups tags by what stands before the first `/`; the generation is the step, and single
/// coordinates are too many for it.
fn tag(name: &str) -> Option<String> {
    match name {
        "generation" => None,
        _ if name.starts_with("search.distribution.") => None,
        _ if name.contains('.') => Some(name.replacen('.', "/", 1)),
        _ => Some(format!("generation/{name}")),
    }
}

fn record(event: &Event, file: &mut Vec<u8>) {
    let content = event.encode_to_vec();
    let length = (content.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked(&length).to_le_bytes());
    file.extend(&content);
    file.extend(masked(&content).to_le_bytes());
}

/// The checksum of a record's part, masked so that checksums of data that holds checksums stay good.
pub(super) fn masked(bytes: &[u8]) -> u32 {
    CASTAGNOLI.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}
