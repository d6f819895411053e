//! The table as a Parquet file: one row group, every column optional, uncompressed.

use std::sync::Arc;

use hebbian_proto::v1;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::table::{Cells, Column, Table};
use crate::failure::Failure;

/// The file's bytes; whose figures they are stands in its metadata.
pub(crate) fn file(table: &Table, run: &v1::Run) -> Result<Vec<u8>, Failure> {
    written(table, run)
        .map_err(|error| Failure::failed(format_args!("the Parquet file cannot be made: {error}")))
}

fn written(table: &Table, run: &v1::Run) -> Result<Vec<u8>, ParquetError> {
    let columns = table.columns().iter().map(schema).collect::<Result<_, _>>()?;
    let root = Arc::new(Type::group_type_builder("run").with_fields(columns).build()?);
    let of_run = [
        ("hebbian.run", run.id().to_owned()),
        ("hebbian.spec", run.display_name.clone()),
        ("hebbian.spec_digest", hebbian_proto::figures::hexadecimal(&run.spec_digest)),
        ("hebbian.seed", run.seed.to_string()),
    ];
    let properties = WriterProperties::builder()
        .set_created_by(concat!("hebbian ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(of_run.map(|(key, value)| KeyValue::new(key.to_owned(), value)).into()))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), root, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for column in table.columns() {
        let mut place = group.next_column()?.expect("the schema has a column for each");
        match &column.cells {
            Cells::Counts(cells) => put::<Int64Type, _>(&mut place, cells, table.rows(), |of| *of as i64)?,
            Cells::Numbers(cells) => put::<DoubleType, _>(&mut place, cells, table.rows(), |of| *of)?,
            Cells::Texts(cells) => {
                let bytes = |text: &String| ByteArray::from(text.as_str());
                put::<ByteArrayType, _>(&mut place, cells, table.rows(), bytes)?;
            }
        }
        place.close()?;
    }
    group.close()?;
    writer.into_inner()
}

fn schema(column: &Column) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match column.cells {
        Cells::Counts(_) => (Physical::INT64, Some(LogicalType::integer(64, false))),
        Cells::Numbers(_) => (Physical::DOUBLE, None),
        Cells::Texts(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let field = Type::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical);
    field.build().map(Arc::new)
}

/// Writes a column: the values that there are, and for each row whether there is one.
fn put<T: DataType, C>(
    place: &mut SerializedColumnWriter<'_>,
    cells: &[Option<C>],
    rows: usize,
    value: impl Fn(&C) -> T::T,
) -> Result<(), ParquetError> {
    let values: Vec<T::T> = cells.iter().flatten().map(value).collect();
    let present: Vec<i16> =
        (0..rows).map(|row| i16::from(cells.get(row).is_some_and(Option::is_some))).collect();
    place.typed::<T>().write_batch(&values, Some(&present), None).map(drop)
}
