//! The comparison of a rule with baselines as a table.

use std::fmt::Write as _;

use hebbian_learning::comparison::{
    AblationEstimate, Column, CompanionRow, Comparison, GroupComparison, Rival, RivalBaselines, Score,
    TunedBaseline, TunedBy,
};
use hebbian_learning::evaluation::Stage;
use hebbian_shared::spec::task::{LabelNoiseSpec, TaskFamily, Taught};

use super::Paint;

/// Width of a row's name where none is longer, and where one is: others' names may be of any length.
const NAME_WIDTHS: std::ops::RangeInclusive<usize> = 16..=32;
/// Width of a number of updates.
const COLUMN_WIDTH: usize = 12;

/// The whole comparison: a block of rows per group of families, a column per number of updates.
pub(crate) fn table(comparison: &Comparison, paint: Paint) -> String {
    let mut text = String::new();
    let tasks = comparison.tasks_per_family;
    let regression = comparison.groups.iter().all(|group| group.score == Score::ExplainedVariance);
    let recall = comparison.groups.iter().all(|group| group.score == Score::Recall);
    let error = comparison.groups.iter().all(|group| group.score == Score::OneMinusError);
    let score = match (regression, recall) {
        _ if error => "1 - mean squared error",
        (true, _) => "Explained variance",
        (_, true) => "Share of bits recalled",
        _ => "Accuracy",
    };
    let heading = if comparison.groups.iter().all(|group| !group.trained_on) {
        format!("{score} on tasks that were not trained on")
    } else if comparison.groups.iter().all(has_parts) {
        format!("{score} on {} that were not trained on, in fresh tasks", part(comparison))
    } else {
        format!("{score} on fresh tasks, also of families that were trained on")
    };
    let shapes: Vec<String> = comparison.shapes.iter().map(|shape| super::text::layers(shape)).collect();
    let _ = writeln!(
        text,
        "{} ({tasks} of each family; hidden layers {}; {}networks start from scratch)",
        paint.bold(&heading),
        shapes.join(" or "),
        comparison.label_noise.as_ref().map_or_else(String::new, |noise| format!("{}; ", label_noise(noise)))
    );
    let width = comparison.groups.first().map_or(0, |group| name_width(&group.columns));
    let mut header = format!("{:<width$}", "after updates");
    for updates in &comparison.updates {
        let _ = write!(header, "{updates:>COLUMN_WIDTH$}");
    }
    let _ = writeln!(text, "\n{}", paint.dim(&header));
    for group in &comparison.groups {
        text.push_str(&block(group, comparison, paint));
    }
    let ablations = comparison.groups.iter().filter_map(|group| group.columns.first());
    if let Some(first) = ablations.map(|column| &column.ablations).find(|ablations| !ablations.is_empty()) {
        for AblationEstimate { ablation, .. } in first {
            text.push_str(&paint.dim(&format!("{ablation}: {}\n", ablation.meaning())));
        }
        text.push_str(&paint.dim("each with what it loses against the whole rule\n"));
    }
    text.push_str(&paint.dim(&legend_of_rivals(comparison)));
    if comparison.answers_in_pairs {
        text.push_str(&paint.dim(
            "the rule's networks have an output for each of two classes, those of baselines one, whose sign is the class\n",
        ));
    }
    if comparison.groups.iter().any(|group| group.score == Score::ExplainedVariance) {
        text.push_str(&paint.dim(
            "explained variance: 1 - mean squared error / variance of the targets, or 0 if that is negative\n",
        ));
    }
    let _ = writeln!(
        text,
        "{}",
        paint.dim(
            "best baseline: the best of each column among the tuned ones; difference: rule - best on the same tasks,\n\
             +- its standard error; ahead: by more than one standard error"
        )
    );
    text
}

/// What the training sets of tasks are.
fn label_noise(noise: &LabelNoiseSpec) -> String {
    let any_of = |numbers: &[f64]| {
        let short = |number: &f64| {
            let text = number.to_string();
            text.strip_prefix('0').filter(|rest| !rest.is_empty()).map_or(text.clone(), str::to_owned)
        };
        numbers.iter().map(short).collect::<Vec<_>>().join(" or ")
    };
    let wrong = if noise.rates.iter().all(|&rate| rate == 0.0) {
        "none".to_owned()
    } else {
        format!("{} {}", noise.kind.name().replace('-', " "), any_of(&noise.rates))
    };
    let mut text = format!("label noise: {wrong}, {} examples", noise.samples);
    if !noise.imbalance.is_empty() {
        let _ = write!(text, ", largest class {} times the smallest", any_of(&noise.imbalance));
    }
    if noise.clean > 0 {
        let _ = write!(text, ", clean set of {}", noise.clean);
    }
    text.push_str(match noise.taught {
        Taught::All => "",
        Taught::ClassesAlike => ", all classes are taught equally often",
        Taught::RightLabels => ", right labels alone are taught",
        Taught::CleanSet => ", the clean set alone is taught",
    });
    text
}

/// What the rows below a group's mean.
fn legend_of_rivals(comparison: &Comparison) -> String {
    let mut text = String::new();
    let columns = || comparison.groups.iter().flat_map(|group| &group.columns);
    let has = |rival| columns().any(|column| column.rivals.iter().any(|of| of.rival == rival));
    if has(Rival::ConstantRates) {
        text.push_str("constant rates: the best baseline whose learning rate does not fall\n");
    }
    if has(Rival::TunedThere) {
        text.push_str(
            "tuned there: the best baseline if all are tuned on the family itself, which favours them\n",
        );
    }
    if has(Rival::ConstantThere) {
        text.push_str("constant there: the best of those whose learning rate does not fall\n");
    }
    if let Some(RivalBaselines { set, .. }) =
        comparison.rivals.iter().find(|rival| rival.rival == Rival::Wider)
    {
        let shapes: Vec<String> = set.shapes.iter().map(|shape| super::text::layers(shape)).collect();
        let _ = writeln!(
            text,
            "wider: the best baseline with hidden layers {}, as many neurons as the rule has features",
            shapes.join(" or ")
        );
    }
    for CompanionRow { name, meaning } in &comparison.companions {
        let _ = writeln!(text, "{}: {}", super::escape::line(name), super::escape::line(meaning));
    }
    if !comparison.companions.is_empty() {
        text.push_str("each with the lead of the rule over it on the same tasks, +- its standard error\n");
    }
    if columns().any(|column| column.companions.iter().any(|of| of.is_end)) {
        text.push_str("end: the best setting is the first or the last of those that were tried: a better one may lie beyond\n");
    }
    if columns().any(|column| !column.positions.is_empty()) {
        text.push_str(
            "part 1 of 8: what the rule recalls of the first eighth of what was shown; no eighths of fewer than 8 pairs\n",
        );
    }
    if !comparison.ceilings.is_empty() {
        text.push_str("ceiling: kernel ridge regression on all examples seen, tuned on the family itself\n");
    }
    text
}

/// A baseline's settings in one line each.
pub(crate) fn baselines(comparison: &Comparison, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.bold("Baselines, tuned on the training families"));
    if comparison.tuned_by == TunedBy::Table {
        text = format!(
            "{}\n",
            paint.bold("Baselines, tuned on the training families before (--tune does it again)")
        );
    }
    settings(&mut text, &comparison.baselines, paint);
    for RivalBaselines { rival, set } in &comparison.rivals {
        let families: Vec<&str> = set.tuned_on.iter().map(TaskFamily::name).collect();
        let _ =
            writeln!(text, "{}", paint.bold(&format!("{}, tuned on {}", words(*rival), families.join(", "))));
        settings(&mut text, &set.baselines, paint);
    }
    text
}

fn settings(text: &mut String, baselines: &[TunedBaseline], paint: Paint) {
    for baseline in baselines {
        let tuned: Vec<String> = baseline.tuned_for.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "  {:<18}{} {}",
            baseline.name,
            describe(&baseline.configuration),
            paint.dim(&format!("(best at {} updates)", tuned.join(" and ")))
        );
    }
}

/// A rival's name in the table.
fn words(rival: Rival) -> String {
    rival.name().replace('-', " ")
}

/// A configuration's values in their written form, without the kind, which the name says.
fn describe(configuration: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(configuration).expect("plain data");
    let parts =
        value.as_object().into_iter().flatten().filter(|(key, _)| *key != "kind").map(|(key, value)| {
            let value = value.as_str().map_or_else(|| short_number(value), str::to_owned);
            format!("{} {value}", key.replace('_', " "))
        });
    parts.collect::<Vec<_>>().join(", ")
}

fn short_number(value: &serde_json::Value) -> String {
    value.as_f64().map_or_else(|| value.to_string(), super::text::significant)
}

/// Whether tasks of the trained families are still unseen: other images, other permutations.
fn has_parts(group: &GroupComparison) -> bool {
    group.families.iter().all(|family| family.has_parts())
}

/// The images that networks are asked for.
fn part(comparison: &Comparison) -> &'static str {
    match comparison.stage {
        Stage::Comparison => "test images",
        Stage::HeldBack | Stage::Tuning => "held-back training images",
    }
}

fn block(group: &GroupComparison, comparison: &Comparison, paint: Paint) -> String {
    let part = part(comparison);
    let names: Vec<&str> = group.families.iter().map(TaskFamily::name).collect();
    let mut title = match group.name.as_str() {
        "random" => format!("unseen random families: {}", names.join(", ")),
        "regression" => format!("regression, explained variance: {}", names.join(", ")),
        _ => names.join(", "),
    };
    if group.trained_on {
        title = title.replace("unseen random", "random");
    }
    if has_parts(group) {
        let _ = write!(title, " ({part})");
    } else if group.trained_on {
        title.push_str(" (trained on)");
    }
    let mut text = format!("{}\n", paint.bold(&title));
    let columns = &group.columns;
    row(&mut text, "  learned rule", columns, |column| accuracy(column.rule.mean));
    for (place, ablated) in columns.first().map_or(&[][..], |column| &column.ablations[..]).iter().enumerate()
    {
        row(&mut text, &format!("  {}", ablated.ablation), columns, |column| {
            let ablated = &column.ablations[place];
            format!("{} {}", accuracy(ablated.accuracy.mean), signed(-ablated.loss.mean))
        });
    }
    row(&mut text, "  best baseline", columns, |column| accuracy(column.best.mean));
    // The name in one row, whether its rate falls in another.
    let parts = |column: &Column, part: usize| {
        column.best_baseline.split(' ').nth(part).map_or_else(String::new, str::to_owned)
    };
    row(&mut text, "", columns, |column| parts(column, 0));
    if columns.iter().any(|column| !parts(column, 1).is_empty()) {
        row(&mut text, "", columns, |column| parts(column, 1));
    }
    row(&mut text, "  difference", columns, |column| signed(column.difference.mean));
    row(&mut text, "", columns, |column| format!("+-{}", accuracy(column.difference.standard_error)));
    row_painted(&mut text, "  ahead", columns, |column| {
        let (word, painted): (&str, fn(Paint, &str) -> String) = match standing(column) {
            Ahead::Rule => ("rule", Paint::good),
            Ahead::Level => ("level", Paint::dim),
            Ahead::Baseline => ("baseline", Paint::warning),
        };
        painted(paint, &format!("{word:>COLUMN_WIDTH$}"))
    });
    for (place, of) in columns.first().map_or(&[][..], |column| &column.rivals[..]).iter().enumerate() {
        row(&mut text, &format!("  {}", words(of.rival)), columns, |column| {
            let of = &column.rivals[place];
            format!("{} {}", accuracy(of.accuracy.mean), signed(of.difference.mean))
        });
        row(&mut text, "", columns, |column| {
            format!("+-{}", accuracy(column.rivals[place].difference.standard_error))
        });
    }
    companions(&mut text, columns);
    let ceiling = comparison.ceilings.iter().find(|ceiling| group.families == [ceiling.family]);
    if let Some(ceiling) = ceiling {
        row(&mut text, "  ceiling", columns, |column| {
            ceiling.after(column.updates).map_or_else(String::new, |found| accuracy(found.mean))
        });
    }
    let _ = match group.overtaken_from {
        Some(updates) => writeln!(text, "  the baselines overtake the rule from {updates} updates on"),
        None => writeln!(text, "  the baselines do not overtake the rule within these numbers of updates"),
    };
    text.push('\n');
    text
}

/// Other rules, with the settings of those that have several, and what is recalled of the parts of a stream.
fn companions(text: &mut String, columns: &[Column]) {
    let Some(first) = columns.first() else { return };
    for (place, of) in first.companions.iter().enumerate() {
        let name = super::escape::line(&of.name);
        row(text, &format!("  {name}"), columns, |column| {
            let of = &column.companions[place];
            format!("{} {}", accuracy(of.accuracy.mean), signed(of.difference.mean))
        });
        row(text, "", columns, |column| {
            format!("+-{}", accuracy(column.companions[place].difference.standard_error))
        });
        if of.setting.is_some() {
            let setting = |column: &Column| {
                let of = &column.companions[place];
                format!(
                    "{}{}",
                    if of.is_end { "end: " } else { "" },
                    of.setting.as_deref().unwrap_or_default()
                )
            };
            row(text, "    with", columns, setting);
        }
    }
    // None in columns with fewer pairs than parts.
    let parts = columns.iter().map(|column| column.positions.len()).max().unwrap_or(0);
    for place in 0..parts {
        let name = format!("  part {} of {parts}", place + 1);
        row(text, &name, columns, |column| {
            column.positions.get(place).map_or_else(String::new, |part| accuracy(part.mean))
        });
    }
}

/// Which row is ahead in a column.
enum Ahead {
    Rule,
    Level,
    Baseline,
}

fn standing(column: &Column) -> Ahead {
    let difference = column.difference;
    if difference.mean > difference.standard_error {
        Ahead::Rule
    } else if difference.mean < -difference.standard_error {
        Ahead::Baseline
    } else {
        Ahead::Level
    }
}

fn row(text: &mut String, name: &str, columns: &[Column], cell: impl Fn(&Column) -> String) {
    row_painted(text, name, columns, |column| format!("{:>COLUMN_WIDTH$}", cell(column)));
}

fn row_painted(text: &mut String, name: &str, columns: &[Column], cell: impl Fn(&Column) -> String) {
    let width = name_width(columns);
    let _ = write!(text, "{name:<width$}");
    text.extend(columns.iter().map(cell));
    text.push('\n');
}

/// Room for the longest name of a row, with its indent: all groups of a comparison have the same rows.
fn name_width(columns: &[Column]) -> usize {
    let of_column = |column: &Column| {
        let ablations = column.ablations.iter().map(|of| of.ablation.name().len());
        let companions = column.companions.iter().map(|of| super::escape::line(&of.name).chars().count());
        ablations.chain(companions).max().map_or(0, |longest| longest + 2)
    };
    let longest = columns.first().map_or(0, of_column);
    longest.clamp(*NAME_WIDTHS.start(), *NAME_WIDTHS.end())
}

/// A difference of accuracies with its sign.
fn signed(value: f64) -> String {
    format!("{}{}", if value < 0.0 { '-' } else { '+' }, accuracy(value.abs()))
}

/// An accuracy as the papers write it: `.931`, `1.000`.
fn accuracy(value: f64) -> String {
    let text = format!("{value:.3}");
    text.strip_prefix('0').map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests;
