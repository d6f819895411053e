//! Data sets.

use std::fmt::Write as _;

use hebbian_shared::spec::data_set::DataSetName;

use super::{Paint, escape};
use crate::data::{Content, Row};

/// A line for each data set, its digest in full: that is what a spec needs.
pub(crate) fn table(rows: &[Row], paint: Paint) -> String {
    let width = rows.iter().map(|row| row.family.len()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, row| {
        let said = match &row.content {
            Content::Images { training, test, rows, columns, classes, digest } => format!(
                "{training} + {test} images of {rows}x{columns}, {} classes ({} to {})\n  digest {digest}",
                classes.len(),
                classes.first().map_or_else(String::new, ToString::to_string),
                classes.last().map_or_else(String::new, ToString::to_string),
            ),
            Content::Broken { error } => paint.bad(&escape::line(error)),
        };
        let _ = writeln!(text, "{}  {said}", paint.bold(&format!("{:<width$}", row.family)));
        let directory = row.directory.display().to_string();
        let _ = writeln!(text, "{}", paint.dim(&format!("  {}", escape::line(&directory))));
        text
    })
}

/// What a verification found.
pub(crate) fn verdict(name: DataSetName, verdict: &Result<String, String>, paint: Paint) -> String {
    match verdict {
        Ok(good) => format!("{}  {name}  {good}\n", paint.good("good")),
        Err(bad) => format!("{}   {name}  {}\n", paint.bad("bad"), escape::line(bad)),
    }
}
