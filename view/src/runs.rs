//! Several runs beside each other: each by itself, and those of a group, which differ in their seeds, as a band.

use std::collections::BTreeMap;

use crate::chart::{Band, Chart, Line, cell};
use crate::history::{History, Point};
use crate::picture::{Picture, Table};

/// One of the runs.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// Its name, with its seed where several have the same one.
    pub name: &'a str,
    /// Its group; empty for none.
    pub group: &'a str,
    /// What has happened to it.
    pub history: &'a History,
}

/// Runs that are shown as one.
struct Set<'a> {
    name: String,
    histories: Vec<&'a History>,
}

type Figure = fn(&History, f64) -> Option<f64>;

/// The pictures: median and best fitness, and validation where there was one.
pub fn pictures(runs: &[Compared<'_>]) -> Vec<Picture> {
    let sets = sets(runs);
    let mut pictures = vec![
        picture(
            ("compare-median", "Median fitness of a generation", "fitness, higher is better"),
            &sets,
            median,
        ),
        picture(("compare-best", "Best fitness so far", "fitness, higher is better"), &sets, best),
    ];
    if runs.iter().any(|run| !run.history.validations().is_empty()) {
        let named = ("compare-validation", "Validation of the mean on fresh tasks", "accuracy");
        pictures.push(picture(named, &sets, validated));
    }
    pictures
}

/// Groups in the order of their first run; a run without a group is alone.
fn sets<'a>(runs: &[Compared<'a>]) -> Vec<Set<'a>> {
    let mut sets: Vec<Set<'a>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for run in runs {
        if let Some(&place) = places.get(run.group).filter(|_| !run.group.is_empty()) {
            let set = &mut sets[place];
            set.histories.push(run.history);
            run.group.clone_into(&mut set.name);
            continue;
        }
        places.insert(run.group, sets.len());
        sets.push(Set { name: run.name.to_owned(), histories: vec![run.history] });
    }
    for set in &mut sets {
        let several = set.histories.len();
        if several > 1 {
            set.name = format!("{} ({several} seeds)", set.name);
        }
    }
    sets
}

/// The last point that has begun at a place; none behind a run's end.
fn point(history: &History, place: f64) -> Option<&Point> {
    let points = history.points();
    let next = points.partition_point(|point| f64::from(point.generations.0) <= place);
    let point = &points[next.checked_sub(1)?];
    (f64::from(point.generations.1) >= place).then_some(point)
}

fn median(history: &History, place: f64) -> Option<f64> {
    point(history, place)?.median
}

fn best(history: &History, place: f64) -> Option<f64> {
    point(history, place)?;
    let until = history.points().iter().take_while(|point| f64::from(point.generations.0) <= place);
    until.filter_map(|point| point.best).max_by(f64::total_cmp)
}

fn validated(history: &History, place: f64) -> Option<f64> {
    point(history, place)?;
    let until = history.validations().iter().take_while(|summary| f64::from(summary.generation) <= place);
    until.last()?.accuracy.map(|accuracy| accuracy.mean)
}

fn picture(
    (id, title, axis): (&'static str, &str, &'static str),
    sets: &[Set<'_>],
    figure: Figure,
) -> Picture {
    let mut chart = Chart::new(id, title, "generation", axis);
    let mut rows = Vec::new();
    for (colour, set) in sets.iter().enumerate() {
        // The places of the run that has most: of the others the last point holds.
        let longest = set.histories.iter().max_by_key(|history| history.points().len());
        let places: Vec<f64> =
            longest.map_or_else(Vec::new, |history| history.points().iter().map(Point::place).collect());
        let of = |place: f64| -> Vec<f64> {
            set.histories.iter().filter_map(|history| figure(history, place)).collect()
        };
        let mean =
            |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let (mut line, mut band) = (Vec::new(), Vec::new());
        for &place in &places {
            let values = of(place);
            line.push((place, mean(&values)));
            let least = values.iter().copied().min_by(f64::total_cmp);
            let most = values.iter().copied().max_by(f64::total_cmp);
            if let (Some(least), Some(most)) = (least, most)
                && set.histories.len() > 1
            {
                band.push((place, least, most));
            }
        }
        let last = places.last().map(|&place| of(place)).unwrap_or_default();
        rows.push(vec![
            set.name.clone(),
            places.last().map_or_else(|| "-".to_owned(), |place| format!("{place}")),
            cell(mean(&last)),
            cell(last.iter().copied().min_by(f64::total_cmp)),
            cell(last.iter().copied().max_by(f64::total_cmp)),
        ]);
        chart.bands.push(Band { name: String::new(), colour, points: band });
        chart.lines.push(Line { name: set.name.clone(), colour, paths: vec![line], thin: false });
    }
    chart.bands.retain(|band| !band.points.is_empty());
    chart.says = if chart.bands.is_empty() {
        "Each line is a run.".to_owned()
    } else {
        "A line is a run, or the mean of a group's runs; its band goes from the worst of them to the best."
            .to_owned()
    };
    chart.table = Table::new(&["runs", "last generation", "mean", "worst", "best"], rows);
    chart.draw()
}

#[cfg(test)]
mod tests {
    use hebbian_proto::v1;
    use hebbian_proto::v1::run_event::Kind;

    use super::*;

    fn history(generations: u32, fitness: f64) -> History {
        let event = |generation| {
            v1::RunEvent::of(Kind::Generation(v1::GenerationSummary {
                generation,
                best_fitness: Some(fitness + 1.0),
                median_fitness: Some(fitness),
                ..Default::default()
            }))
        };
        History::of(&(0..generations).map(event).collect::<Vec<_>>())
    }

    #[test]
    fn seeds_of_a_group_are_a_band_and_others_are_lines() {
        let (low, high, alone, none) =
            (history(10, 0.0), history(8, 2.0), history(900, 5.0), History::default());
        let of = |name, group, history| Compared { name, group, history };
        let runs = [of("a", "g", &low), of("b", "", &alone), of("c", "g", &high), of("d", "", &none)];
        let pictures = pictures(&runs);
        let table = &pictures[0].table().rows;
        assert_eq!(table[0][..2], ["g (2 seeds)", "9"]);
        assert_eq!(table[1][..3], ["b", "899", "5.00"]);
        assert_eq!(table[2][..3], ["d", "-", "-"]);
        assert_eq!((median(&low, 7.0), median(&high, 7.0), median(&high, 8.0)), (Some(0.0), Some(2.0), None));
        assert_eq!(best(&alone, 450.0), Some(6.0));
        // One run of a group is a run.
        assert_eq!(super::pictures(&runs[..1])[0].table().rows[0][0], "a");
        assert!(pictures[0].svg().contains("class=\"b f0\""), "the band of the group");
        assert_eq!(pictures.len(), 2, "nothing was validated");
    }
}
