//! A run's figures as a table: a row for each generation, a column for each figure.
//!
//! A column is called as its figure is in `--json`, with `.` between the parts. The columns of single figures are always there, in the
//! order of their messages; lists and what a spec names (families, segments, scores) follow as the run has them. A validation stands in
//! the row of the generation that opened with the mean. So that of the result, and what was measured again at the end, stand in a row
//! behind the last generation.

use std::collections::HashMap;

use hebbian_proto::json::{descriptor, key};
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind as Event;
use prost::{Message, Name};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};

use crate::render::escape;

/// Percents of the quantiles of a generation's fitness, and of a distribution with many coordinates.
const OF_FITNESS: [u32; 7] = [0, 10, 25, 50, 75, 90, 100];
const OF_COORDINATES: [u32; 7] = [0, 5, 25, 50, 75, 95, 100];

/// The cells of a column, from the first row on; the last ones may be missing, which is as if they were absent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cells {
    /// Whole numbers from 0.
    Counts(Vec<Option<u64>>),
    /// Other numbers.
    Numbers(Vec<Option<f64>>),
    /// Text.
    Texts(Vec<Option<String>>),
}

/// What stands in one cell.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Count(u64),
    Number(f64),
    Text(String),
}

impl Cells {
    /// Without rows, for the values of a field; none for what is no single figure.
    fn of(field: &FieldDescriptor) -> Option<Self> {
        match field.kind() {
            Kind::Bool | Kind::Uint32 | Kind::Uint64 => Some(Self::Counts(Vec::new())),
            Kind::Float | Kind::Double => Some(Self::Numbers(Vec::new())),
            Kind::String | Kind::Bytes => Some(Self::Texts(Vec::new())),
            Kind::Message(message) if is_duration(&message) => Some(Self::Numbers(Vec::new())),
            _ => None,
        }
    }

    fn like(cell: &Cell) -> Self {
        match cell {
            Cell::Count(_) => Self::Counts(Vec::new()),
            Cell::Number(_) => Self::Numbers(Vec::new()),
            Cell::Text(_) => Self::Texts(Vec::new()),
        }
    }

    fn set(&mut self, row: usize, cell: Cell) {
        fn put<T: Clone>(cells: &mut Vec<Option<T>>, row: usize, value: T) {
            if cells.len() <= row {
                cells.resize(row + 1, None);
            }
            cells[row] = Some(value);
        }
        match (self, cell) {
            (Self::Counts(cells), Cell::Count(value)) => put(cells, row, value),
            (Self::Numbers(cells), Cell::Number(value)) => put(cells, row, value),
            (Self::Texts(cells), Cell::Text(value)) => put(cells, row, value),
            (_, cell) => unreachable!("a figure has one type: {cell:?}"),
        }
    }
}

/// One figure over the generations.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    /// Its name; what somebody else named in it does nothing to other text.
    pub(crate) name: String,
    /// See [`Cells`].
    pub(crate) cells: Cells,
}

impl Column {
    /// The number of a row, if it has one there.
    pub(crate) fn number(&self, row: usize) -> Option<f64> {
        match &self.cells {
            Cells::Counts(cells) => cells.get(row).copied().flatten().map(|count| count as f64),
            Cells::Numbers(cells) => cells.get(row).copied().flatten(),
            Cells::Texts(_) => None,
        }
    }

    /// The cell of a row as it is written for people and programs; empty where there is none.
    pub(crate) fn text(&self, row: usize) -> String {
        let text = match &self.cells {
            Cells::Counts(cells) => cells.get(row).and_then(Option::as_ref).map(ToString::to_string),
            // As short as it is exact, also far from 1.
            Cells::Numbers(cells) => {
                cells.get(row).and_then(Option::as_ref).map(|number| format!("{number:?}"))
            }
            Cells::Texts(cells) => cells.get(row).cloned().flatten(),
        };
        text.unwrap_or_default()
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    places: HashMap<String, usize>,
    /// The row of each generation.
    rows: HashMap<u32, usize>,
    closed: u32,
    /// What the spec of an external problem calls the scores of an evaluation.
    scores: Vec<String>,
}

impl Default for Table {
    fn default() -> Self {
        let mut table = Self {
            columns: Vec::new(),
            places: HashMap::new(),
            rows: HashMap::new(),
            closed: 0,
            scores: Vec::new(),
        };
        table.declare(&descriptor::<v1::GenerationSummary>(), "");
        for percent in OF_FITNESS {
            table.column(&format!("fitness_quantiles.q{percent}"), || Cells::Numbers(Vec::new()));
        }
        table.declare(&descriptor::<v1::ValidationSummary>(), "validation.");
        table.column("validation.warnings", || Cells::Texts(Vec::new()));
        table.declare(&descriptor::<v1::Remeasurement>(), "remeasurement.");
        table
    }
}

impl Table {
    /// Takes the next event of the run.
    pub(crate) fn take(&mut self, event: &v1::RunEvent) {
        match &event.kind {
            Some(Event::Generation(summary)) => {
                self.closed = summary.generation + 1;
                let row = self.row(summary.generation);
                self.fill(&fields(summary), "", row);
                self.list("fitness_quantiles", &summary.fitness_quantiles, row, |place, _| {
                    OF_FITNESS.get(place).map_or_else(|| place.to_string(), |percent| format!("q{percent}"))
                });
                self.list("best_scores", &summary.best_scores, row, |place, _| place.to_string());
                let distribution = summary.search.as_ref().and_then(|search| search.distribution.as_ref());
                if let Some(v1::Distribution { dimension, mean, deviations, axes }) = distribution {
                    for (name, list) in [("mean", mean), ("deviations", deviations), ("axes", axes)] {
                        // As short as their own digits allow, as JSON has them.
                        let number = |value: &f32| value.to_string().parse().unwrap_or(f64::from(*value));
                        let list: Vec<f64> = list.iter().map(number).collect();
                        let path = format!("search.distribution.{name}");
                        self.list(&path, &list, row, |place, length| match length {
                            _ if length == *dimension as usize => place.to_string(),
                            1 => "all".to_owned(),
                            7 => format!("q{}", OF_COORDINATES[place]),
                            _ => place.to_string(),
                        });
                    }
                }
            }
            Some(Event::Validation(summary)) => self.validation(summary),
            Some(Event::Remeasurement(figures)) => {
                let row = self.row(self.closed);
                self.fill(&fields(figures), "remeasurement.", row);
            }
            Some(Event::State(_) | Event::Note(_)) | None => {}
        }
    }

    fn validation(&mut self, summary: &v1::ValidationSummary) {
        let row = self.row(summary.generation);
        self.fill(&fields(summary), "validation.", row);
        for family in &summary.families {
            self.fill(&fields(family), &format!("validation.families.{}.", family.family), row);
        }
        for of in &summary.norms {
            self.set(&format!("validation.norms.{}", of.segment), row, Cell::Number(of.norm));
        }
        let failures: Vec<&str> = summary.warnings.iter().map(|warning| warning.failure.as_str()).collect();
        if !failures.is_empty() {
            self.set("validation.warnings", row, Cell::Text(failures.join("; ")));
        }
    }

    /// The same with what the run itself says: names of scores.
    pub(crate) fn of_run(mut self, run: &v1::Run) -> Self {
        self.scores = run.objective.as_ref().map(|objective| objective.scores.clone()).unwrap_or_default();
        for (place, score) in self.scores.iter().enumerate() {
            if let Some(column) = self.places.get(&format!("best_scores.{place}")) {
                self.columns[*column].name = format!("best_scores.{score}");
            }
        }
        for column in &mut self.columns {
            column.name = escape::line(&column.name).into_owned();
        }
        // Coordinates are many, and so stand behind the rest.
        let rank = |column: &Column| match &column.name {
            name if name.starts_with("search.distribution.") => 3,
            name if name.starts_with("remeasurement.") => 2,
            name if name.starts_with("validation.") => 1,
            _ => 0,
        };
        self.columns.sort_by_key(rank);
        self.places = self.columns.iter().map(|column| column.name.clone()).zip(0..).collect();
        self
    }

    /// Rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// All columns.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column of that name.
    pub(crate) fn named(&self, name: &str) -> Option<&Column> {
        self.places.get(name).map(|place| &self.columns[*place])
    }

    fn row(&mut self, generation: u32) -> usize {
        let next = self.rows.len();
        let row = *self.rows.entry(generation).or_insert(next);
        self.set("generation", row, Cell::Count(generation.into()));
        row
    }

    fn column(&mut self, name: &str, empty: impl FnOnce() -> Cells) -> &mut Column {
        let next = self.columns.len();
        let place = *self.places.entry(name.to_owned()).or_insert(next);
        if place == next {
            self.columns.push(Column { name: name.to_owned(), cells: empty() });
        }
        &mut self.columns[place]
    }

    fn set(&mut self, name: &str, row: usize, cell: Cell) {
        let column = self.column(name, || Cells::like(&cell));
        column.cells.set(row, cell);
    }

    fn list(&mut self, path: &str, list: &[f64], row: usize, name: impl Fn(usize, usize) -> String) {
        for (place, number) in list.iter().enumerate() {
            self.set(&format!("{path}.{}", name(place, list.len())), row, Cell::Number(*number));
        }
    }

    /// A column for each single figure of a message.
    fn declare(&mut self, message: &MessageDescriptor, path: &str) {
        for field in single(message) {
            let name = format!("{path}{}", key(&field));
            match (Cells::of(&field), field.kind()) {
                (Some(cells), _) => {
                    self.column(&name, || cells);
                }
                (None, Kind::Message(inner)) => self.declare(&inner, &format!("{name}.")),
                (None, _) => {}
            }
        }
    }

    /// Sets the cells of a message's single figures; what is absent stays so.
    fn fill(&mut self, message: &DynamicMessage, path: &str, row: usize) {
        for field in single(&message.descriptor()) {
            if field.supports_presence() && !message.has_field(&field) {
                continue;
            }
            let name = format!("{path}{}", key(&field));
            let cell = match &*message.get_field(&field) {
                Value::Bool(value) => Cell::Count(u64::from(*value)),
                Value::U32(value) => Cell::Count(u64::from(*value)),
                Value::U64(value) => Cell::Count(*value),
                Value::F32(value) => Cell::Number(f64::from(*value)),
                Value::F64(value) => Cell::Number(*value),
                Value::String(text) => Cell::Text(escape::line(text).into_owned()),
                Value::Bytes(bytes) => Cell::Text(hebbian_proto::figures::hexadecimal(bytes)),
                Value::Message(inner) if is_duration(&inner.descriptor()) => {
                    let seconds = hebbian_proto::json::object(inner).as_f64();
                    Cell::Number(seconds.unwrap_or_default())
                }
                Value::Message(inner) => {
                    self.fill(inner, &format!("{name}."), row);
                    continue;
                }
                _ => continue,
            };
            self.set(&name, row, cell);
        }
    }
}

/// The fields of a message that are no lists; without those that only say whose figures they are, which a row or a name says.
fn single(message: &MessageDescriptor) -> impl Iterator<Item = FieldDescriptor> + use<> {
    let is_place = |field: &FieldDescriptor| {
        matches!(
            field.full_name(),
            "hebbian.v1.ValidationSummary.generation" | "hebbian.v1.ValidationSummary.Family.family"
        )
    };
    let fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.into_iter().filter(move |field| !field.is_list() && !is_place(field))
}

fn is_duration(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Duration"
}

fn fields<M: Message + Name>(message: &M) -> DynamicMessage {
    let mut fields = DynamicMessage::new(descriptor::<M>());
    fields.transcode_from(message).expect("the message is its descriptor's");
    fields
}
