//! A rule beside baselines: scores after so many updates, with bands of two standard errors.

use hebbian_shared::estimate::Estimate;

use crate::chart::{Band, Chart, Line};
use crate::number::digits;
use crate::picture::{Picture, Table};

/// Curves with a band, the first ones: those of all of many would hide each other.
const BANDS_MAX: usize = 8;

/// One learner's scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Whose.
    pub name: String,
    /// By number of updates, in the order of [`Group::updates`].
    pub scores: Vec<Estimate>,
}

/// Families of tasks on which learners are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// For people.
    pub name: String,
    /// What is measured, for example `accuracy`.
    pub score: String,
    /// Numbers of updates.
    pub updates: Vec<u32>,
    /// The rule first, then the baselines.
    pub curves: Vec<Curve>,
}

/// The picture of one group, whose place among the groups is part of its name.
pub fn picture(place: usize, group: &Group) -> Picture {
    let title = format!("After so many updates: {}", group.name);
    let mut chart = Chart::new("comparison", &title, "updates (logarithmic)", "score, higher is better");
    chart.x_logarithmic = true;
    for (colour, curve) in group.curves.iter().enumerate() {
        let points =
            || group.updates.iter().zip(&curve.scores).map(|(&updates, score)| (f64::from(updates), score));
        if colour < BANDS_MAX {
            let band = points().map(|(at, score)| {
                (at, score.mean - 2.0 * score.standard_error, score.mean + 2.0 * score.standard_error)
            });
            chart.bands.push(Band { name: String::new(), colour, points: band.collect() });
        }
        let path = points().map(|(at, score)| (at, Some(score.mean))).collect();
        chart.lines.push(Line { name: curve.name.clone(), colour, paths: vec![path], thin: false });
    }
    let whose = if group.curves.len() > BANDS_MAX { " of the first eight" } else { "" };
    chart.says = format!(
        "{} of each learner on fresh tasks; bands{whose} are two standard errors to either side.",
        group.score
    );
    let rows = group.curves.iter().map(|curve| {
        let cells = curve
            .scores
            .iter()
            .map(|score| format!("{} +- {}", digits(score.mean, 3), digits(score.standard_error, 2)));
        std::iter::once(curve.name.clone()).chain(cells).collect()
    });
    let heading = std::iter::once("learner".to_owned())
        .chain(group.updates.iter().map(|updates| format!("{updates} updates")));
    chart.table = Table { heading: heading.collect(), rows: rows.collect(), ..Table::default() };
    let picture = chart.draw();
    Picture { id: format!("comparison-{}", place + 1), ..picture }
}
