//! Data sets.

use std::fmt::Write as _;

use hebbian_shared::spec::data_set::DataSetName;

use super::text::plural;
use super::{Paint, escape};
use crate::data::{Content, Row};

/// A line for each data set, its digest in full: that is what a spec needs.
pub(crate) fn table(rows: &[Row], paint: Paint) -> String {
    let width = rows.iter().map(|row| row.family.len()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, row| {
        let said = match &row.content {
            Content::Images { training, test, rows, columns, classes, class_names, digest } => {
                let classes = labels(classes, class_names);
                format!("{training} + {test} images of {rows}x{columns}, {classes}\n  digest {digest}")
            }
            Content::Table { training, test, features, classes, class_names, digest } => {
                let (features, classes) = (plural(*features as u64, "feature"), labels(classes, class_names));
                format!("{training} + {test} examples of {features}, {classes}\n  digest {digest}")
            }
            Content::Broken { error } => paint.bad(&escape::line(error)),
        };
        let _ = writeln!(text, "{}  {said}", paint.bold(&format!("{:<width$}", row.family)));
        let directory = row.directory.display().to_string();
        let _ = writeln!(text, "{}", paint.dim(&format!("  {}", escape::line(&directory))));
        text
    })
}

/// How many classes, and what they are called.
fn labels(classes: &[u8], names: &[String]) -> String {
    const SHOWN: usize = 5;
    let range = format!(
        "{} classes ({} to {}",
        classes.len(),
        classes.first().map_or_else(String::new, ToString::to_string),
        classes.last().map_or_else(String::new, ToString::to_string),
    );
    if names.is_empty() {
        return format!("{range})");
    }
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    format!("{range}: {}{more})", escape::line(&shown.join(", ")))
}

/// What a verification found.
pub(crate) fn verdict(name: DataSetName, verdict: &Result<String, String>, paint: Paint) -> String {
    match verdict {
        Ok(good) => format!("{}  {name}  {good}\n", paint.good("good")),
        Err(bad) => format!("{}   {name}  {}\n", paint.bad("bad"), escape::line(bad)),
    }
}
