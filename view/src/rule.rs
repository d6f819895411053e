//! A rule's numbers as heat maps: its matrices and gates as they are, and how they came to be.

use hebbian_shared::genome::{Genome, GenomeLayout, Segment};

use crate::heat::{add_strokes, colour, level, no_strokes, strokes};
use crate::history::History;
use crate::number::short;
use crate::picture::{Picture, Table};
use crate::svg::{Anchor, Drawing};

/// The most numbers of a part that are drawn one by one.
const CELLS_MAX: usize = 1024;
/// The most cells of the picture over generations.
const HISTORY_CELLS_MAX: usize = 6000;
const WIDTH: f64 = 720.0;

/// Rows and columns of a part.
fn sides(segment: &Segment) -> (usize, usize) {
    let columns = segment.shape.last().map_or(1, |&side| side as usize).max(1);
    (segment.len() / columns, columns)
}

/// The parts of a genome, each as a matrix of its parameters; `found` says what it is, at the beginning of the title.
pub fn matrices(layout: &GenomeLayout, genome: &Genome, found: &str) -> Option<Picture> {
    if genome.0.len() != layout.dimension() || genome.0.is_empty() {
        return None;
    }
    let mut drawing = Drawing::default();
    let (mut at, mut rows) = ((14.0_f64, 40.0_f64), Vec::new());
    let mut low = 0.0_f64;
    let mut parts = Drawing::default();
    for segment in layout.segments().iter().filter(|segment| !segment.is_empty()) {
        let parameters: Vec<f64> =
            genome.0[segment.range()].iter().map(|&x| segment.transform.apply(x)).collect();
        let most = parameters.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let (height, width) = sides(segment);
        rows.push(vec![
            segment.name.clone(),
            format!("{height} x {width}"),
            short(parameters.iter().copied().fold(f64::INFINITY, f64::min)),
            short(parameters.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            if parameters.len() <= 16 {
                parameters.iter().map(|&value| short(value)).collect::<Vec<_>>().join(", ")
            } else {
                String::new()
            },
        ]);
        if segment.len() > CELLS_MAX {
            continue;
        }
        let side = (120.0 / width.max(height) as f64).clamp(3.0, 24.0);
        let size = ((side * width as f64).max(150.0), side * height as f64 + 44.0);
        if at.0 + size.0 > WIDTH {
            at = (14.0, low + 10.0);
        }
        parts.text("k", Anchor::Start, (at.0, at.1), &segment.name);
        for (place, value) in parameters.iter().enumerate() {
            let corner = (at.0 + side * (place % width) as f64, at.1 + 6.0 + side * (place / width) as f64);
            let called = format!(
                "{} row {}, column {}: {}",
                segment.name,
                place / width + 1,
                place % width + 1,
                short(*value)
            );
            parts.rectangle("", Some(&colour(level(*value, most))), corner, (side, side), &called);
        }
        let below = at.1 + 6.0 + side * height as f64;
        parts.text("a", Anchor::Start, (at.0, below + 14.0), &format!("+-{}", short(most)));
        low = low.max(at.1 + size.1);
        at.0 += size.0 + 16.0;
    }
    let size = (WIDTH, low.max(60.0));
    drawing.rectangle("bg", None, (0.0, 0.0), size, "");
    let title = format!("{found}: parameters of the mean");
    drawing.text("h", Anchor::Start, (14.0, 18.0), &title);
    let elements = drawing.into_elements() + &parts.into_elements();
    let table = Table::new(&["part", "rows x columns", "least", "greatest", "parameters"], rows);
    let says = "Each square is a parameter: orange above zero, blue below, as strong as its share of the part's largest.";
    Some(Picture { id: "rule".to_owned(), title, says: says.to_owned(), size, elements, table })
}

/// The mean over generations: a row for each number of the genome.
pub fn over_generations(history: &History, layout: &GenomeLayout, found: &str) -> Option<Picture> {
    let n = layout.dimension();
    let means = history.points().iter().filter_map(|point| {
        let distribution = point.search.distribution.as_ref()?;
        (distribution.mean.len() == n).then_some((point.generations.1, &distribution.mean))
    });
    let means: Vec<(u32, &Vec<f32>)> = means.collect();
    let last = means.last()?.0;
    let columns = (HISTORY_CELLS_MAX / n).clamp(2, 120).min(means.len());
    let chosen: Vec<&Vec<f32>> =
        (0..columns).map(|column| means[(column + 1) * means.len() / columns - 1].1).collect();
    let most = chosen
        .iter()
        .flat_map(|mean| mean.iter())
        .fold(0.0_f64, |most, value| most.max(f64::from(value.abs())));
    let (left, top, height) = (150.0, 34.0, (520.0 / n as f64).clamp(1.5, 14.0));
    let width = (WIDTH - left - 14.0) / columns as f64;
    let mut paths = no_strokes();
    let rows: Vec<Vec<i32>> =
        (0..n).map(|row| chosen.iter().map(|mean| level(f64::from(mean[row]), most)).collect()).collect();
    add_strokes(&mut paths, &rows, (left, top), (width, height));
    let bottom = top + height * n as f64;
    let size = (WIDTH, bottom + 40.0);
    let mut drawing = Drawing::default();
    drawing.rectangle("bg", None, (0.0, 0.0), size, "");
    drawing.text(
        "h",
        Anchor::Start,
        (14.0, 18.0),
        &format!("{found} over generations: search values of the mean"),
    );
    let elements = drawing.into_elements() + &strokes(&paths, height, colour);
    let mut labels = Drawing::default();
    let mut free = 0.0_f64;
    for segment in layout.segments() {
        // Below the one before, where rows are lower than letters.
        let y = free.max(top + height * (segment.start as f64 + segment.len() as f64 / 2.0) + 4.0);
        labels.text("k", Anchor::End, (left - 6.0, y), &segment.name);
        free = y + 11.0;
    }
    labels.text("k", Anchor::Start, (left, bottom + 16.0), "first generations");
    labels.text("k", Anchor::End, (WIDTH - 14.0, bottom + 16.0), &format!("generation {last}"));
    labels.text(
        "a",
        Anchor::Middle,
        (f64::midpoint(left, WIDTH), bottom + 32.0),
        &format!("strongest colour: +-{}", short(most)),
    );
    let of_segment = |segment: &Segment| {
        let norm = |mean: &Vec<f32>| {
            let squares = mean[segment.range()].iter().map(|value| f64::from(*value) * f64::from(*value));
            short(squares.sum::<f64>().sqrt())
        };
        vec![segment.name.clone(), norm(means[0].1), norm(means[means.len() - 1].1)]
    };
    let table = Table::new(
        &["part", "norm of the search values, first", "last"],
        layout.segments().iter().map(of_segment).collect(),
    );
    Some(Picture {
        id: "rule-history".to_owned(),
        title: format!("{found} over generations"),
        says: "Each row is a number of the genome, each column a generation: orange above zero, blue below."
            .to_owned(),
        size,
        elements: elements + &labels.into_elements(),
        table,
    })
}
