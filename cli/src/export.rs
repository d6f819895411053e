//! A run's figures in the formats of other programs: `hebbian export`.

pub(crate) mod parquet;
pub(crate) mod table;
pub(crate) mod tensorboard;

use hebbian_proto::v1;

use crate::render;
use table::Table;

/// The table as CSV: a heading, then a line for each row; what is absent is empty.
pub(crate) fn csv(table: &Table) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let heading = table.columns().iter().map(|column| column.name.clone()).collect();
    let line = |row: usize| table.columns().iter().map(|column| column.text(row)).collect();
    for line in std::iter::once::<Vec<String>>(heading).chain((0..table.rows()).map(line)) {
        writer.write_record(line).expect("memory can be written, and all lines have the same columns");
    }
    let bytes = writer.into_inner().expect("memory can be written");
    String::from_utf8(bytes).expect("it was written from text")
}

/// An event as a line of JSON lines: the message `RunEvent`.
pub(crate) fn json_line(event: &v1::RunEvent) -> String {
    render::json::line(&render::json::of(event))
}

#[cfg(test)]
mod tests;
