//! What a rule does: how networks answer that learn one fresh task by it, beside others that learn it by gradient descent.

use crate::chart::{Chart, Line};
use crate::heat::{LEVELS, add_strokes, colour, level, no_strokes, strokes};
use crate::number::short;
use crate::picture::{Picture, Table};
use crate::svg::{Anchor, Drawing, line_path};

const WIDTH: f64 = 720.0;
/// Room for the names of learners.
const LEFT: f64 = 14.0;

/// What one learner answered.
#[derive(Clone, Debug)]
pub struct LearnerLooks {
    /// Its name.
    pub name: String,
    /// At each look, as far as it came: an output for each point of the plane, or a class for each image.
    pub looks: Vec<Vec<f32>>,
    /// The share of the task's queries that is right before the first update and after each, as far as it came.
    pub accuracy: Vec<f64>,
}

/// What was asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// A grid over [-1, 1]^2 with so many points to a side, from below; and examples: place and label.
    Plane {
        /// Points to a side.
        side: usize,
        /// Some of the task's examples.
        examples: Vec<([f32; 2], f32)>,
    },
    /// Square images with their classes.
    Images(Vec<(Vec<f32>, usize)>),
}

/// A task and what was answered.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The task's family.
    pub family: String,
    /// After so many updates it was looked.
    pub updates: Vec<u32>,
    /// What was asked.
    pub asked: Question,
    /// The rule first, then others.
    pub learners: Vec<LearnerLooks>,
}

/// The pictures: what was answered, and the accuracy after each update.
pub fn pictures(learned: &Learned) -> Vec<Picture> {
    let answers = match &learned.asked {
        Question::Plane { side, examples } => boundary(learned, *side, examples),
        Question::Images(images) => answers(learned, images),
    };
    vec![answers, accuracy(learned)]
}

fn accuracy(learned: &Learned) -> Picture {
    let title = format!("Learning one fresh task of {}", learned.family);
    let mut chart =
        Chart::new("learning", &title, "updates of the network", "share of queries that is right");
    for (place, learner) in learned.learners.iter().enumerate() {
        let points = learner.accuracy.iter().enumerate();
        let points = points.map(|(updates, accuracy)| (updates as f64, Some(*accuracy))).collect();
        // As in the comparison: the rule has the first colour.
        chart.lines.push(Line {
            name: learner.name.clone(),
            colour: place,
            paths: vec![points],
            thin: false,
        });
    }
    let says = "One task and one network each: how fast the rule learns it, and how fast others do. The comparison has the \
                averages over many tasks.";
    says.clone_into(&mut chart.says);
    let row = |learner: &LearnerLooks| {
        let at =
            |updates: &u32| learner.accuracy.get(*updates as usize).map_or("-".to_owned(), |a| short(*a));
        std::iter::once(learner.name.clone()).chain(learned.updates.iter().map(at)).collect()
    };
    let heading = std::iter::once("learner".to_owned());
    let heading = heading.chain(learned.updates.iter().map(|updates| format!("{updates} updates")));
    chart.table = Table {
        heading: heading.collect(),
        rows: learned.learners.iter().map(row).collect(),
        ..Table::default()
    };
    chart.draw()
}

fn boundary(learned: &Learned, side: usize, examples: &[([f32; 2], f32)]) -> Picture {
    let columns = learned.updates.len() + 1;
    let (gap, cell) = (6.0, (WIDTH - 2.0 * LEFT - 6.0 * (columns as f64 - 1.0)) / columns as f64);
    let row_height = cell + 46.0;
    let size = (WIDTH, 28.0 + row_height * learned.learners.len() as f64);
    let title = format!("What networks answer while they learn {}", learned.family);
    let mut drawing = Drawing::default();
    drawing.rectangle("bg", None, (0.0, 0.0), size, "");
    drawing.text("h", Anchor::Start, (LEFT, 18.0), &title);
    let mut paths = no_strokes();
    let mut labels = Drawing::default();
    let step = cell / side as f64;
    for (place, learner) in learned.learners.iter().enumerate() {
        let top = 66.0 + row_height * place as f64;
        labels.text("h", Anchor::Start, (LEFT, top - 21.0), &learner.name);
        labels.text("k", Anchor::Middle, (LEFT + cell / 2.0, top - 6.0), "the task");
        for (column, updates) in learned.updates.iter().enumerate() {
            let left = LEFT + (cell + gap) * (column as f64 + 1.0);
            labels.text("k", Anchor::Middle, (left + cell / 2.0, top - 6.0), &after(*updates));
            let Some(look) = learner.looks.get(column).filter(|look| look.len() == side * side) else {
                labels.text("n", Anchor::Middle, (left + cell / 2.0, top + cell / 2.0), "diverged");
                continue;
            };
            // An output of 1 is certain; what lies beyond says no more.
            let at = |row: usize| (0..side).map(move |column| look[row * side + column]);
            let levels = |row: usize| at(row).map(|output| level(f64::from(output), 1.0)).collect();
            let rows: Vec<Vec<i32>> = (0..side).rev().map(levels).collect();
            add_strokes(&mut paths, &rows, (left, top), (step, step));
        }
        // The task itself.
        let mid = |place: f32| f64::from(f32::midpoint(place, 1.0)) * cell;
        let corners =
            [(LEFT, top), (LEFT + cell, top), (LEFT + cell, top + cell), (LEFT, top + cell), (LEFT, top)];
        labels.path("x", "", &line_path(&corners));
        for ([x, y], label) in examples {
            let at = (LEFT + mid(*x), top + cell - mid(*y));
            if *label > 0.0 {
                labels.dot("f1", at, 1.8);
            } else {
                // Another shape: told apart without colour.
                labels.line("w s0", (at.0 - 1.6, at.1), (at.0 + 1.6, at.1));
            }
        }
    }
    let row = |learner: &LearnerLooks| {
        let share = |look: &Vec<f32>| {
            let positive = look.iter().filter(|output| **output > 0.0).count();
            format!("{:.0} %", 100.0 * positive as f64 / look.len().max(1) as f64)
        };
        let cells =
            (0..learned.updates.len()).map(|column| learner.looks.get(column).map_or("-".to_owned(), share));
        std::iter::once(learner.name.clone()).chain(cells).collect()
    };
    let heading = std::iter::once("share of the plane with a positive answer".to_owned());
    let heading = heading.chain(learned.updates.iter().map(|updates| after(*updates)));
    let table = Table {
        heading: heading.collect(),
        rows: learned.learners.iter().map(row).collect(),
        ..Table::default()
    };
    Picture {
        id: "boundary".to_owned(),
        title,
        says: "On the left examples of the task: dots are positive, dashes negative. Each square is the plane: orange where the \
               network answers yes, blue where it answers no, pale where it is not sure."
            .to_owned(),
        size,
        elements: drawing.into_elements() + &strokes(&paths, step, colour) + &labels.into_elements(),
        table,
    }
}

fn after(updates: u32) -> String {
    if updates == 0 { "before".to_owned() } else { format!("after {updates}") }
}

/// From white to black: images are no numbers to either side of zero.
fn grey(level: i32) -> String {
    let shade = (f64::from(LEVELS - level) / f64::from(2 * LEVELS) * 235.0 + 10.0).round() as u8;
    format!("#{shade:02x}{shade:02x}{shade:02x}")
}

fn answers(learned: &Learned, images: &[(Vec<f32>, usize)]) -> Picture {
    let columns = images.len().max(1);
    let left = 150.0;
    let gap = 6.0;
    let cell = ((WIDTH - left - LEFT) / columns as f64 - gap).min(64.0);
    let title = format!("Test images of {} and what networks answer", learned.family);
    let looks = [0, learned.updates.len() / 2, learned.updates.len().saturating_sub(1)];
    let lines = 1 + learned.learners.len() * looks.len();
    let size = (WIDTH, 40.0 + cell + 18.0 * lines as f64 + 14.0);
    let mut drawing = Drawing::default();
    drawing.rectangle("bg", None, (0.0, 0.0), size, "");
    drawing.text("h", Anchor::Start, (LEFT, 18.0), &title);
    let mut paths = no_strokes();
    let mut labels = Drawing::default();
    let top = 32.0;
    let mut step = 1.0;
    let line = |number: usize| top + cell + 18.0 * (number as f64 + 1.0);
    labels.text("k", Anchor::Start, (LEFT, line(0)), "class");
    let mut rows = Vec::new();
    for (place, (image, class)) in images.iter().enumerate() {
        let at = left + (cell + gap) * place as f64;
        let side = image.len().isqrt();
        step = cell / side.max(1) as f64;
        let low = image.iter().copied().fold(f32::INFINITY, f32::min);
        let high = image.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let middle = f64::from(f32::midpoint(low, high));
        let most = f64::from(high - low) / 2.0;
        let levels = |row: &[f32]| row.iter().map(|value| level(f64::from(*value) - middle, most)).collect();
        let levels: Vec<Vec<i32>> = image.chunks_exact(side.max(1)).map(levels).collect();
        add_strokes(&mut paths, &levels, (at, top), (step, step));
        labels.text("k", Anchor::Middle, (at + cell / 2.0, line(0)), &class.to_string());
    }
    let mut number = 1;
    for learner in &learned.learners {
        for &look in &looks {
            let updates = learned.updates.get(look).copied().unwrap_or_default();
            let name = format!("{}, {}", learner.name, after(updates));
            labels.text("k", Anchor::Start, (LEFT, line(number)), &name);
            let mut row = vec![name];
            for (place, (_, class)) in images.iter().enumerate() {
                let answer = learner.looks.get(look).and_then(|look| look.get(place));
                let said = answer.map_or("-".to_owned(), |answer| format!("{answer}"));
                let is_right = answer.is_some_and(|answer| *answer as usize == *class);
                let said = if is_right { said } else { format!("({said})") };
                let at = (left + (cell + gap) * place as f64 + cell / 2.0, line(number));
                labels.text(if is_right { "h" } else { "k" }, Anchor::Middle, at, &said);
                row.push(said);
            }
            rows.push(row);
            number += 1;
        }
    }
    let heading = std::iter::once("answers; wrong ones in brackets".to_owned());
    let heading = heading.chain(images.iter().map(|(_, class)| format!("class {class}"))).collect();
    Picture {
        id: "answers".to_owned(),
        title,
        says: "Images that no network has learnt from, with their class and what networks take them for; wrong answers are in \
               brackets."
            .to_owned(),
        size,
        elements: drawing.into_elements() + &strokes(&paths, step, grey) + &labels.into_elements(),
        table: Table { heading, rows, ..Table::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(asked: Question, look: &[f32]) -> Learned {
        let whole = LearnerLooks {
            name: "rule".to_owned(),
            looks: vec![look.to_vec(); 3],
            accuracy: vec![0.5, 0.75, 1.0],
        };
        let diverged =
            LearnerLooks { name: "<b>".to_owned(), looks: vec![look.to_vec()], accuracy: vec![0.5] };
        Learned { family: "xor".to_owned(), updates: vec![0, 1, 2], asked, learners: vec![whole, diverged] }
    }

    #[test]
    fn a_boundary_shows_who_diverged() {
        let asked = Question::Plane { side: 2, examples: vec![([0.5, 0.5], 1.0), ([-0.5, 0.5], -1.0)] };
        let pictures = pictures(&learned(asked, &[-1.0, 1.0, 1.0, -1.0]));
        let svg = pictures[0].svg();
        assert_eq!(svg.matches(">diverged<").count(), 2);
        assert!(svg.contains("after 1") && !svg.contains("<b>"), "{svg}");
        assert_eq!(pictures[0].table().rows[0][1..], ["50 %", "50 %", "50 %"]);
        assert_eq!(pictures[1].table().rows[1], ["<b>", "0.500", "-", "-"]);
    }

    #[test]
    fn wrong_answers_are_told_from_right_ones_without_colour() {
        let image = vec![0.0; 16];
        let asked = Question::Images(vec![(image.clone(), 3), (image, 7)]);
        let pictures = pictures(&learned(asked, &[3.0, 1.0]));
        assert_eq!(pictures[0].table().rows[0][1..], ["3", "(1)"]);
        assert_eq!(pictures[0].table().rows[5][1..], ["(-)", "(-)"]);
    }
}
