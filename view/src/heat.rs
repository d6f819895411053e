//! Colours and strokes of heat maps.

use std::fmt::Write as _;

/// Levels of colour to either side of zero.
pub(crate) const LEVELS: i32 = 6;

/// Blue below zero, orange above, white at zero: told apart also by those who do not see red or green.
pub(crate) fn colour(level: i32) -> String {
    let end = if level < 0 { (0.0, 90.0, 160.0) } else { (205.0, 85.0, 0.0) };
    let share = f64::from(level.abs()) / f64::from(LEVELS);
    let mix = |end: f64| (246.0 + share * (end - 246.0)).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(end.0), mix(end.1), mix(end.2))
}

pub(crate) fn level(value: f64, most: f64) -> i32 {
    if most == 0.0 { 0 } else { (value / most * f64::from(LEVELS)).round().clamp(-6.0, 6.0) as i32 }
}

/// A matrix of values as strokes, one path for each level: rows from above, `at` is the upper left corner and `side` that of a cell.
pub(crate) fn add_strokes(
    paths: &mut [String],
    rows: &[Vec<i32>],
    (left, top): (f64, f64),
    (width, height): (f64, f64),
) {
    for (row, levels) in rows.iter().enumerate() {
        let y = top + height * (row as f64 + 0.5);
        let mut begin = 0;
        for column in 1..=levels.len() {
            if column == levels.len() || levels[column] != levels[begin] {
                let path = &mut paths[(levels[begin] + LEVELS) as usize];
                let (x, length) = (left + width * begin as f64, width * (column - begin) as f64);
                // Memory can be written.
                let _ = write!(path, "M{x:.1} {y:.1}h{length:.1}");
                begin = column;
            }
        }
    }
}

/// The strokes as elements.
pub(crate) fn strokes(paths: &[String], height: f64, colour: impl Fn(i32) -> String) -> String {
    let mut elements = String::new();
    for (place, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let colour = colour(place as i32 - LEVELS);
        let _ =
            write!(elements, "<path stroke=\"{colour}\" stroke-width=\"{:.1}\" d=\"{path}\"/>", height + 0.2);
    }
    elements
}

/// No strokes yet.
pub(crate) fn no_strokes() -> Vec<String> {
    vec![String::new(); 2 * LEVELS as usize + 1]
}
