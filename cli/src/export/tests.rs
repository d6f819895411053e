use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use ::parquet::record::Field;
use hebbian_proto::convert::from_duration;
use hebbian_proto::figures::moment;
use hebbian_proto::v1::run_event::Kind;
use prost::Message as _;

use super::tensorboard::{Event, masked};
use super::*;

fn estimate(mean: f64) -> v1::Estimate {
    v1::Estimate { mean, standard_error: 0.25 }
}

fn generation(generation: u32, best: Option<f64>) -> Kind {
    Kind::Generation(v1::GenerationSummary {
        generation,
        updates: 10,
        best_fitness: best,
        median_fitness: Some(1e-12),
        evaluations: (1 << 53) + 1 + u64::from(generation),
        elapsed: Some(from_duration(Duration::from_millis(1000 * u64::from(generation) + 500))),
        state_digest: vec![0xab; 32],
        fitness_quantiles: (0..7).map(f64::from).collect(),
        best_scores: vec![7.0, 8.0],
        search: Some(v1::SearchSummary {
            step_size: 0.5,
            restart: (generation == 1).then(|| v1::Restart {
                number: 1,
                criterion: "tol,x".into(),
                ..Default::default()
            }),
            distribution: Some(v1::Distribution {
                dimension: 2,
                mean: vec![0.1, -0.2],
                deviations: vec![0.3],
                axes: vec![],
            }),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn validation(generation: u32) -> Kind {
    Kind::Validation(v1::ValidationSummary {
        generation,
        accuracy: Some(estimate(0.75)),
        families: vec![v1::validation_summary::Family {
            family: "circle".into(),
            trained: true,
            tasks: 8,
            accuracy: Some(estimate(0.875)),
            ..Default::default()
        }],
        norms: vec![v1::validation_summary::SegmentNorm { segment: "forward".into(), norm: 2.5 }],
        warnings: vec![v1::validation_summary::Warning { failure: "plateau".into(), ..Default::default() }],
        ..Default::default()
    })
}

/// A run with a restart, a generation that diverged, two validations, hostile names, and what was measured at the end.
fn run() -> (v1::Run, Vec<v1::RunEvent>) {
    let run = v1::Run {
        name: "runs/0123".into(),
        display_name: "mine".into(),
        seed: 7,
        create_time: Some(moment(1_000_000_000_000)),
        objective: Some(v1::Objective {
            scores: vec!["size".into(), "\u{1b}[2J\u{202e}".into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let measured = v1::remeasurement::Measured { fitness: Some(estimate(0.5)), ..Default::default() };
    let remeasured = v1::Remeasurement { tasks: 9, mean: Some(measured), ..Default::default() };
    let kinds = [
        Kind::Note("a note".into()),
        generation(0, Some(0.125)),
        validation(1),
        generation(1, None),
        validation(2),
        Kind::Remeasurement(remeasured),
    ];
    (run, kinds.map(v1::RunEvent::of).into())
}

fn table() -> (v1::Run, Table) {
    let (run, events) = run();
    let mut table = Table::default();
    for event in &events {
        table.take(event);
    }
    let table = table.of_run(&run);
    (run, table)
}

#[test]
fn a_row_is_a_generation_and_a_column_a_figure() {
    let text = csv(&table().1);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let heading: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3, "two generations, and what was measured of the result");
    let of = |name: &str| {
        let place = heading
            .iter()
            .position(|column| column == name)
            .unwrap_or_else(|| panic!("{name} in {heading:?}"));
        rows.iter().map(|row| row[place].to_owned()).collect::<Vec<_>>()
    };
    for (name, cells) in [
        ("generation", ["0", "1", "2"]),
        ("best_fitness", ["0.125", "", ""]),
        ("median_fitness", ["1e-12", "1e-12", ""]),
        ("evaluations", ["9007199254740993", "9007199254740994", ""]),
        ("elapsed_s", ["0.5", "1.5", ""]),
        ("failed_generations", ["", "", ""]),
        ("search.restart.criterion", ["", "tol,x", ""]),
        ("fitness_quantiles.q90", ["5.0", "5.0", ""]),
        ("best_scores.size", ["7.0", "7.0", ""]),
        ("best_scores.\\u{1b}[2J\\u{202e}", ["8.0", "8.0", ""]),
        ("search.distribution.mean.1", ["-0.2", "-0.2", ""]),
        ("search.distribution.deviations.all", ["0.3", "0.3", ""]),
        ("validation.accuracy.mean", ["", "0.75", "0.75"]),
        ("validation.families.circle.trained", ["", "1", "1"]),
        ("validation.families.circle.accuracy.standard_error", ["", "0.25", "0.25"]),
        ("validation.norms.forward", ["", "2.5", "2.5"]),
        ("validation.warnings", ["", "plateau", "plateau"]),
        ("remeasurement.mean.fitness.mean", ["", "", "0.5"]),
        ("remeasurement.tasks", ["", "", "9"]),
    ] {
        assert_eq!(of(name), cells, "{name}");
    }
    assert_eq!(of("state_digest")[0], "ab".repeat(32));
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn single_figures_have_columns_whatever_a_run_has() {
    let bare = Table::default().of_run(&v1::Run::default());
    let names = |table: &Table| table.columns().iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let (bare, full) = (names(&bare), names(&table().1));
    assert_eq!(full.iter().filter(|name| bare.contains(name)).cloned().collect::<Vec<_>>(), bare);
    // Scripts read these by name.
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/export/columns.txt");
    let text = bare.join("\n") + "\n";
    if std::env::var_os("HEBBIAN_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert_eq!(text, kept, "a column has another name or place; docs/WATCHING.md promises them");
}

#[test]
fn json_lines_are_the_events() {
    let (_, events) = run();
    let text: String = events.iter().map(json_line).collect();
    let read: Vec<v1::RunEvent> = text
        .lines()
        .map(|line| hebbian_proto::json::read(&serde_json::from_str(line).unwrap()).unwrap())
        .collect();
    assert_eq!(read, events);
}

fn open(content: &[u8]) -> SerializedFileReader<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    SerializedFileReader::new(file).unwrap()
}

#[test]
fn parquet_is_read_back_with_its_types() {
    let (run, table) = table();
    let reader = open(&parquet::file(&table, &run).unwrap());
    let metadata = reader.metadata().file_metadata();
    let entries = metadata.key_value_metadata().unwrap();
    let of_run =
        |key: &str| entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.value.clone());
    assert_eq!(of_run("hebbian.run").as_deref(), Some("0123"));
    assert_eq!(of_run("hebbian.seed").as_deref(), Some("7"));
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), table.rows());
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<(&String, &Field)> = row.get_column_iter().collect();
        assert_eq!(cells.len(), table.columns().len());
        for ((name, cell), column) in cells.into_iter().zip(table.columns()) {
            assert_eq!(*name, column.name);
            match cell {
                Field::Null => assert_eq!(column.text(number), "", "{name}"),
                Field::ULong(count) => assert_eq!(column.text(number), count.to_string(), "{name}"),
                Field::Double(value) => assert_eq!(column.number(number), Some(*value), "{name}"),
                Field::Str(text) => assert_eq!(column.text(number), *text, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    // A run before its first generation.
    let empty = parquet::file(&Table::default().of_run(&run), &run).unwrap();
    assert_eq!(open(&empty).get_row_iter(None).unwrap().count(), 0);
}

/// The events of a file whose checksums are right.
fn events(mut file: &[u8]) -> Vec<Event> {
    let mut found = Vec::new();
    while !file.is_empty() {
        let (length, rest) = file.split_at(8);
        let (of_length, rest) = rest.split_at(4);
        assert_eq!(of_length, masked(length).to_le_bytes());
        let (content, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let (of_content, rest) = rest.split_at(4);
        assert_eq!(of_content, masked(content).to_le_bytes());
        found.push(Event::decode(content).unwrap());
        file = rest;
    }
    found
}

#[test]
fn an_event_file_has_a_scalar_for_each_number() {
    let (run, table) = table();
    // Of RFC 3720, B.4: 32 bytes of zeros have the checksum 0x8a9136aa; masked as TensorFlow's lib/hash/crc32c.h says.
    assert_eq!(masked(&[0; 32]), 0x0fd7_fffa);
    let read = events(&tensorboard::file(&table, &run));
    assert_eq!(read[0].file_version.as_deref(), Some("brain.Event:2"));
    let (steps, times): (Vec<i64>, Vec<f64>) =
        read[1..].iter().map(|event| (event.step, event.wall_time)).unzip();
    assert_eq!(steps, [0, 1, 2]);
    assert_eq!(times, [1e9 + 0.5, 1e9 + 1.5, 1e9 + 1.5]);
    let of = |tag: &str| -> Vec<Option<f32>> {
        let value =
            |event: &Event| event.summary.as_ref()?.value.iter().find(|of| of.tag == tag)?.simple_value;
        read[1..].iter().map(value).collect()
    };
    assert_eq!(of("generation/best_fitness"), [Some(0.125), None, None]);
    assert_eq!(of("search/step_size"), [Some(0.5), Some(0.5), None]);
    assert_eq!(of("validation/accuracy.mean"), [None, Some(0.75), Some(0.75)]);
    assert_eq!(of("validation/families.circle.accuracy.mean"), [None, Some(0.875), Some(0.875)]);
    assert_eq!(of("generation/generation"), [None; 3], "the step has it");
    assert_eq!(of("search/distribution.mean.0"), [None; 3], "coordinates are too many");
    assert_eq!(tensorboard::name(&run), "events.out.tfevents.1000000000.hebbian.0123");
}
