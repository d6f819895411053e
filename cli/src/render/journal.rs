//! Journals: what `hebbian journal verify` found, and the rows of `hebbian journal export`.

use hebbian_coordinator::journal::reader::{RunReport, StoredEpisode};
use hebbian_coordinator::journal::repair::Finding;
use hebbian_proto::v1::GenerationSummary;
use hebbian_shared::episode::Outcome;
use hebbian_shared::id::RunId;
use serde_json::{Value, json};

use super::json::pretty;
use super::text::plural;
use super::{Paint, escape};

/// The columns of a closed generation, as CSV.
pub(crate) fn generation_columns() -> Vec<String> {
    std::iter::once("run".to_owned()).chain(super::json::generation_columns()).collect()
}

/// The columns of an episode, as CSV.
pub(crate) const EPISODE_COLUMNS: &[&str] =
    &["run", "generation", "purpose", "candidate", "task", "compute_s", "diverged", "fitness", "extended"];

/// A closed generation as a row.
pub(crate) fn generation(run: RunId, summary: &GenerationSummary) -> Value {
    let mut row = super::json::of(summary);
    row["run"] = json!(run);
    row
}

/// An episode as a row with all that it is worth; one that diverged has no fitness.
pub(crate) fn episode(run: RunId, stored: &StoredEpisode) -> Value {
    let StoredEpisode { generation, purpose, settlement } = stored;
    let mut row = json!({
        "run": run,
        "generation": generation,
        "purpose": purpose,
        "candidate": settlement.candidate,
        "task": settlement.task,
        "compute_s": settlement.compute_time.as_secs_f64(),
        "diverged": settlement.outcome == Outcome::Diverged,
    });
    let evaluation = serde_json::to_value(settlement.outcome.evaluation());
    if let (Value::Object(row), Ok(Value::Object(evaluation))) = (&mut row, evaluation) {
        row.extend(evaluation);
    }
    row
}

/// Rows as CSV with a heading; absent values are empty.
pub(crate) fn csv<C: AsRef<str>>(columns: &[C], rows: &[Value]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => escape::line(text).into_owned(),
        other => other.to_string(),
    };
    let line = |row| columns.iter().map(|column| cell(super::json::at(row, column.as_ref()))).collect();
    let lines = rows.iter().map(line);
    let heading: Vec<String> = columns.iter().map(|column| column.as_ref().to_owned()).collect();
    for line in std::iter::once(heading).chain(lines) {
        writer.write_record(line).expect("memory can be written, and all lines have the same columns");
    }
    let bytes = writer.into_inner().expect("memory can be written");
    String::from_utf8(bytes).expect("it was written from text")
}

/// One line per run and one per problem.
pub(crate) fn verified(reports: &[RunReport], paint: Paint) -> String {
    let mut lines = Vec::new();
    for report in reports {
        let verdict =
            if report.problems.is_empty() { paint.good("sound") } else { paint.bad("cannot be taken up") };
        lines.push(format!(
            "{}  {}  {}  {}\n",
            report.run,
            escape::line(&report.name),
            plural(u64::from(report.generations), "generation"),
            verdict
        ));
        let told = |label: String, text: &String| format!("  {label} {}\n", escape::line(text));
        lines.extend(report.problems.iter().map(|problem| told(paint.bad("problem:"), problem)));
        lines.extend(report.notes.iter().map(|note| told(paint.warning("note:"), note)));
    }
    if reports.is_empty() {
        lines.push("sound; it holds no runs\n".to_owned());
    }
    lines.concat()
}

/// As [`verified`], for programs.
pub(crate) fn verified_json(reports: &[RunReport]) -> String {
    let of = |report: &RunReport| {
        json!({
            "run": report.run,
            "spec": report.name,
            "generations": report.generations,
            "records_of_settlements": report.settled,
            "sequence": report.sequence,
            "sound": report.problems.is_empty(),
            "problems": report.problems,
            "notes": report.notes,
        })
    };
    pretty(&reports.iter().map(of).collect::<Vec<_>>())
}

/// Two lines for each finding: what is wrong, and what is done about it.
pub(crate) fn findings(findings: &[Finding], paint: Paint) -> String {
    if findings.is_empty() {
        return format!("{}; there is nothing to mend\n", paint.good("sound"));
    }
    let of = |finding: &Finding| {
        let whose = finding.run.map_or_else(String::new, |run| match &*finding.name {
            "" => format!("run {run}: "),
            name => format!("run {run} ({}): ", escape::line(name)),
        });
        let remedy = escape::line(&finding.remedy);
        let remedy = if finding.mended { remedy.into_owned() } else { paint.bad(&remedy) };
        format!("{} {whose}{}\n  {remedy}\n", paint.warning("problem:"), escape::line(&finding.problem))
    };
    findings.iter().map(of).collect()
}

/// As [`findings`], for programs.
pub(crate) fn findings_json(findings: &[Finding]) -> String {
    let of = |finding: &Finding| {
        json!({
            "run": finding.run,
            "spec": finding.name,
            "problem": finding.problem,
            "remedy": finding.remedy,
            "mended": finding.mended,
        })
    };
    pretty(&findings.iter().map(of).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_csv_with_a_heading_and_empty_cells() {
        let rows = [
            json!({ "run": "a,b", "generation": 1, "fitness": null }),
            json!({ "run": "c", "fitness": 0.5, "search": { "step_size": 0.25 } }),
        ];
        assert_eq!(
            csv(&["run", "generation", "fitness", "search.step_size"], &rows),
            "run,generation,fitness,search.step_size\n\"a,b\",1,,\nc,,0.5,0.25\n"
        );
        let heading = "run,generation,purpose,candidate,task,compute_s,diverged,fitness,extended\n";
        assert_eq!(csv(EPISODE_COLUMNS, &[]), heading);
    }
}
