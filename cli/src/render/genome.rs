//! What a genome stands for.

use std::fmt::Write as _;

use hebbian_learning::rule::{self, Meaning};
use hebbian_shared::genome::Segment;
use hebbian_shared::spec::rule::RuleSpec;

use super::{Paint, run, text};
use crate::genome_export;
use crate::genome_file::GenomeFile;

/// All segments by name: gates in a line each, matrices row by row.
pub(crate) fn parameters(file: &GenomeFile, paint: Paint) -> String {
    let from = &file.provenance;
    let problem = file.problem();
    let heading = run::fields(
        &[
            ("from", format!("`{}`, seed {}, after {} generations", from.spec, from.seed, from.generation)),
            ("rule", options(&problem.rule)),
            (
                "genome",
                format!(
                    "{} in {}, digest {}",
                    text::plural(file.layout().dimension() as u64, "number"),
                    text::plural(file.layout().segments().len() as u64, "part"),
                    file.genome().digest().short()
                ),
            ),
        ],
        paint,
    );
    let mut text = heading;
    for meaning in rule::family(&problem.rule).meaning(&problem, file.genome()) {
        text.push_str(&of_meaning(&meaning, paint));
    }
    let mut gates = Vec::new();
    for (segment, values) in genome_export::parameters(file) {
        match segment.shape[..] {
            [.., rows, columns] if is_matrix(segment) => {
                text.push_str(&matrices(segment, &values, (rows as usize, columns as usize), paint));
            }
            _ => gates.push((segment, values)),
        }
    }
    let matrices = gates.len() < file.layout().segments().len();
    let _ = writeln!(text, "\n{}", paint.bold(if matrices { "gates" } else { "parameters" }));
    let width = gates.iter().map(|(segment, _)| segment.name.len()).max().unwrap_or(0);
    for (segment, values) in gates {
        let dim = |axes: String| format!("  {}", paint.dim(&axes));
        let per = match segment.shape[..] {
            [] => String::new(),
            // Only of multi-state rules an axis is always one of layers or of states.
            [numbers] if !is_multi_state(file) => dim(format!("0 to {}", numbers - 1)),
            [.., rows, columns] if !is_multi_state(file) => dim(format!("row by row, {rows} x {columns}")),
            [layers] if is_per_layer(file) && layers != 1 && segment.name != "rescale_to" => {
                dim(format!("by layer 0 to {}", layers - 1))
            }
            [states] => dim(format!("by state 0 to {}", states - 1)),
            _ => dim("by layer, then state".to_owned()),
        };
        let _ = writeln!(text, "  {:<width$} {}{per}", segment.name, row_of(&values));
    }
    text
}

/// A table of what a genome means.
fn of_meaning(meaning: &Meaning, paint: Paint) -> String {
    let header: Vec<&str> =
        [meaning.corner].into_iter().chain(meaning.columns.iter().map(String::as_str)).collect();
    let row = |(name, values): &(String, Vec<f64>)| {
        [name.clone()].into_iter().chain(values.iter().map(|&value| text::significant(value))).collect()
    };
    let right: Vec<usize> = (1..header.len()).collect();
    let table = text::table(&header, &right, meaning.rows.iter().map(row).collect());
    format!("\n{}\n{table}", paint.bold(meaning.title))
}

/// Whether the segment is one matrix or one for each layer; gates of all layers and states are rectangular too.
fn is_matrix(segment: &Segment) -> bool {
    segment.name.ends_with("transform")
        || segment.name.ends_with("hebbian_pre")
        || segment.name.ends_with("hebbian_post")
}

fn is_multi_state(file: &GenomeFile) -> bool {
    file.layout().segment("forward_transform").is_some()
}

fn is_per_layer(file: &GenomeFile) -> bool {
    file.layout().segment("forward_transform").is_some_and(|segment| segment.shape.len() == 3)
}

/// The matrices of a segment under its name, with what rows and columns are.
fn matrices(segment: &Segment, values: &[f64], (rows, columns): (usize, usize), paint: Paint) -> String {
    let sides = match segment.name.as_str() {
        "forward_transform" => "from a state of the layer below (row) to a state that arrives (column)",
        "backward_transform" => "from a state of the layer above (row) to a state that arrives (column)",
        name if name.ends_with("hebbian_pre") => {
            "from a state of the source neuron (row) to one of the synapse (column)"
        }
        _ => "from a state of the synapse (row) to one of the destination neuron (column)",
    };
    let count = values.len() / (rows * columns);
    let mut text = String::new();
    for (layer, matrix) in values.chunks_exact(rows * columns).enumerate() {
        let of_layer =
            if segment.shape.len() == 3 { format!(", layer {layer} of {count}") } else { String::new() };
        let _ = writeln!(text, "\n{}{of_layer}  {}", paint.bold(&segment.name), paint.dim(sides));
        for (row, values) in matrix.chunks_exact(columns).enumerate() {
            let _ = writeln!(text, "  {}{}", paint.dim(&format!("{row:>2}")), row_of(values));
        }
    }
    text
}

/// Numbers in columns.
fn row_of(values: &[f64]) -> String {
    let mut row = String::new();
    for &value in values {
        let number = if value.is_finite() { text::significant(value) } else { value.to_string() };
        let _ = write!(row, " {number:>10}");
    }
    row
}

/// The rule's options that differ from the default, as they are written in a spec.
fn options(rule: &RuleSpec) -> String {
    let family = rule.options().family();
    let default = RuleSpec::of_each_family().find(|rule| rule.options().family() == family);
    let (own, default) = (serde_json::json!(rule), serde_json::json!(default));
    let mut options = vec![rule.options().summary()];
    for (name, value) in own.as_object().into_iter().flatten() {
        if default.get(name) != Some(value) {
            options.push(format!("{name} = {value}"));
        }
    }
    options.join(", ")
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::rule::gradient_descent::GradientDescentSpec;
    use hebbian_shared::spec::rule::multi_state::MultiStateSpec;

    use super::*;

    #[test]
    fn every_segment_is_shown_with_its_parameters() {
        let file = GenomeFile::of_quickstart(|place| place as f64 - 3.0);
        let text = parameters(&file, Paint::stdout());
        for segment in file.layout().segments() {
            assert!(text.contains(&segment.name), "{} is missing in {text}", segment.name);
        }
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| line.starts_with("forward_transform")).unwrap();
        let row: Vec<&str> = lines[at + 2].split_whitespace().collect();
        assert_eq!(row, ["1", "1.00", "2.00", "3.00", "4.00"]);
        assert!(text.contains("68 numbers in 8 parts"), "{text}");
        assert!(
            lines.iter().any(|line| line.trim_start().starts_with("neuron_keep ") && line.ends_with("62.0"))
        );
    }

    #[test]
    fn options_are_named_where_they_are_not_the_default() {
        let rule = MultiStateSpec {
            states: 2,
            symmetric_states: true,
            supervised_every: 3,
            ..MultiStateSpec::default()
        };
        assert_eq!(
            options(&rule.into()),
            "2 states per neuron and synapse, states = 2, supervised_every = 3, symmetric_states = true"
        );
        assert_eq!(options(&GradientDescentSpec::default().into()), "gradient descent by adam");
    }
}
