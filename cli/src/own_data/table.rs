//! Tables: lines of numbers with a label at their end, below a header.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Trim};
use hebbian_learning::task::data_set::make::{Examples, Labels, Numbers};
use hebbian_shared::limits::{DATA_SET_NUMBER_MAX, FEATURES_MAX, TABLE_BYTES_MAX};
use hebbian_worker::data_store::open_regular;

use super::{check_size, shown};
use crate::failure::Failure;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Reads the table of all examples, or those of training and test.
pub(super) fn read(train: &Path, test: Option<&Path>) -> Result<Examples, Failure> {
    let mut labels = Labels::default();
    let mut of_train = Table::open(train)?;
    let train_numbers = of_train.numbers(&mut labels)?;
    let test_numbers = match test {
        None => None,
        Some(path) => {
            let mut of_test = Table::open(path)?;
            let mut names = of_train.names.iter().zip(&of_test.names).enumerate();
            if let Some((place, (one, other))) = names.find(|(_, (one, other))| one != other) {
                let (column, one, other) = (place + 1, shown(one), shown(other));
                let problem = format!("column {column} is {other}, where {} has {one}", train.display());
                return Err(of_test.refused(&problem));
            }
            if of_train.names.len() != of_test.names.len() {
                let (found, wanted) = (of_test.names.len(), of_train.names.len());
                let problem = format!("has {found} columns, where {} has {wanted}", train.display());
                return Err(of_test.refused(&problem));
            }
            Some(Numbers::Floats(of_test.numbers(&mut labels)?))
        }
    };
    let features = of_train.names.len() - 1;
    Ok(Examples { shape: vec![features], train: Numbers::Floats(train_numbers), test: test_numbers, labels })
}

/// A table of which the header has been read.
struct Table<'a> {
    path: &'a Path,
    reader: csv::Reader<BufReader<File>>,
    record: ByteRecord,
    /// Of the columns.
    names: Vec<String>,
}

impl<'a> Table<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| Failure::file(path, "cannot be read", error);
        let file = open_regular(path).map_err(|error| failed(&error))?;
        check_size(path, file.metadata().map_err(|error| failed(&error))?.len())?;
        let mut bytes = BufReader::new(file);
        let start = bytes.fill_buf().map_err(|error| failed(&error))?;
        if UTF16_MARKS.iter().any(|mark| start.starts_with(mark)) {
            let problem = format!("{}: is text in UTF-16; save it as CSV in UTF-8", path.display());
            return Err(Failure::bad_input(problem));
        }
        let mark = if start.starts_with(UTF8_MARK) { UTF8_MARK.len() } else { 0 };
        bytes.consume(mark);
        // Lines of other lengths are refused here, with a better message.
        let reader =
            ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes);
        let mut table = Self { path, reader, record: ByteRecord::new(), names: Vec::new() };
        table.read_header()?;
        Ok(table)
    }

    fn read_header(&mut self) -> Result<(), Failure> {
        if !self.next_line()? {
            return Err(
                self.refused(&"is empty: the first line must name the columns, the last one the label's")
            );
        }
        let columns = self.record.len();
        if columns < 2 {
            let line = self.text(0);
            let other = [';', '\t'].into_iter().find(|&other| line.contains(other));
            let hint = other.map_or_else(String::new, |other| {
                format!("; columns are separated by commas, not by {other:?}")
            });
            return Err(self
                .refused(&format!("has one column: there must be numbers and, at the end, a label{hint}")));
        }
        if columns - 1 > FEATURES_MAX as usize {
            return Err(self
                .refused(&format!("has {columns} columns; at most {FEATURES_MAX} and the label are read")));
        }
        let names: Vec<String> = (0..columns).map(|column| self.text(column)).collect();
        if names.iter().all(|name| name.parse::<f64>().is_ok()) {
            return Err(self.refused(&"the first line has numbers only: it must name the columns"));
        }
        // Where columns have no names pandas writes numbers from 0 or 1 on; an example has others.
        let numbers: Option<Vec<f64>> = names[..columns - 1].iter().map(|name| name.parse().ok()).collect();
        if let Some(numbers) = numbers
            && (!numbers.windows(2).all(|pair| pair[1] - pair[0] == 1.0) || ![0.0, 1.0].contains(&numbers[0]))
        {
            return Err(self.refused(&format!(
                "the first line, which must name the columns, looks like an example of the class {}",
                shown(&names[columns - 1])
            )));
        }
        if let Some(column) = names.iter().position(String::is_empty) {
            let problem = format!("column {} has no name in the first line", column + 1);
            return Err(self
                .refused(&problem)
                .hint("pandas writes such a column of row numbers unless it is told `index=False`"));
        }
        let mut known = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !known.insert(*name)) {
            return Err(self.refused(&format!("two columns are named {}", shown(twice))));
        }
        self.names = names;
        Ok(())
    }

    /// The numbers of all lines; their labels are added to `labels`.
    fn numbers(&mut self, labels: &mut Labels) -> Result<Vec<f64>, Failure> {
        let columns = self.names.len();
        let mut numbers = Vec::new();
        while self.next_line()? {
            if self.record.len() != columns {
                let problem = format!("has {} fields, where the header has {columns}", self.record.len());
                return Err(self.refused_line(&problem));
            }
            if (numbers.len() + columns) * size_of::<f64>() > TABLE_BYTES_MAX {
                let limit = TABLE_BYTES_MAX / size_of::<f64>();
                return Err(self.refused_line(&format!("is too much: at most {limit} numbers are read")));
            }
            for column in 0..columns - 1 {
                numbers.push(self.number(column)?);
            }
            let label = self.text(columns - 1);
            labels.push(&label).map_err(|problem| self.refused_cell(columns - 1, &problem))?;
        }
        if numbers.is_empty() {
            return Err(self.refused(&"has a header and no examples below it"));
        }
        Ok(numbers)
    }

    fn number(&self, column: usize) -> Result<f64, Failure> {
        let refused = |problem: &str| Err(self.refused_cell(column, &problem));
        let text = self.text(column);
        match text.parse::<f64>() {
            Ok(number) if number.abs() <= DATA_SET_NUMBER_MAX => Ok(number),
            Ok(number) if number.is_finite() => {
                refused(&format!("{} is beyond {DATA_SET_NUMBER_MAX:e}: take another unit", shown(&text)))
            }
            Ok(_) => {
                refused(&format!("{} is no finite number: fill it in, or leave out the line", shown(&text)))
            }
            Err(_) if text.is_empty() => refused("is empty: fill it in, or leave out the line"),
            Err(_) => refused(&format!(
                "{} is no number: of names make columns of 0 and 1, or leave out the column",
                shown(&text)
            )),
        }
    }

    /// Reads the next line that is not empty, if there is one.
    fn next_line(&mut self) -> Result<bool, Failure> {
        let more = self.reader.read_byte_record(&mut self.record);
        // A pipe has no size that could be asked for before.
        check_size(self.path, self.reader.position().byte())?;
        more.map_err(|error| match error.kind() {
            csv::ErrorKind::Io(error) => Failure::file(self.path, "cannot be read", error),
            _ => self.refused(&error),
        })
    }

    fn text(&self, column: usize) -> String {
        String::from_utf8_lossy(&self.record[column]).into_owned()
    }

    fn refused(&self, problem: &dyn Display) -> Failure {
        Failure::bad_input(format_args!("{}: {problem}", self.path.display()))
    }

    fn refused_line(&self, problem: &dyn Display) -> Failure {
        let line = self.record.position().map_or(0, csv::Position::line);
        self.refused(&format_args!("line {line}: {problem}"))
    }

    fn refused_cell(&self, column: usize, problem: &dyn Display) -> Failure {
        self.refused_line(&format_args!("column {}: {problem}", shown(&self.names[column])))
    }
}
