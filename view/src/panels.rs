//! The charts of a run: how fit its candidates are, where the search is, how it validates, and what a generation costs.

use hebbian_proto::v1;
use hebbian_shared::genome::GenomeLayout;

use crate::chart::{Band, Chart, Dots, Line, cell};
use crate::history::{History, Point};
use crate::number::short;
use crate::picture::{Picture, Table};

/// What is not measured may lie on another axis.
const GENERATION: &str = "generation";

type Lines = Vec<(f64, Option<f64>)>;
type Figure = fn(&v1::SearchSummary) -> Option<f64>;

fn line(name: &str, colour: usize, points: Lines) -> Line {
    Line { name: name.to_owned(), colour, paths: vec![points], thin: false }
}

fn of_points(history: &History, value: impl Fn(&Point) -> Option<f64>) -> Lines {
    history.points().iter().map(|point| (point.place(), value(point))).collect()
}

fn marks(history: &History) -> Vec<(f64, String)> {
    let of = |mark: &crate::history::Mark| {
        let text = format!("generation {}: {} {}", mark.generation, mark.kind, mark.text);
        (f64::from(mark.generation), text)
    };
    history.marks().iter().map(of).collect()
}

/// What a fitness is, for the axis that it is drawn on.
#[derive(Clone, Copy, Debug)]
pub struct FitnessAxis<'a> {
    /// What it measures, as the spec names it.
    pub measures: &'a str,
    /// Whether it is minus the value of an objective that is minimised.
    pub is_minus_value: bool,
}

/// All charts of a run, those that a run's strategy has nothing for left out.
pub fn all(history: &History, layout: &GenomeLayout, of: FitnessAxis<'_>) -> Vec<Picture> {
    let mut pictures = vec![fitness(history, of)];
    if !history.validations().is_empty() {
        pictures.push(validation(history));
    }
    pictures.extend(search(history, layout));
    pictures.push(time(history));
    pictures
}

/// Fitness of the candidates, with quantiles; marks where the search began anew or the run was halted.
pub fn fitness(history: &History, of: FitnessAxis<'_>) -> Picture {
    let mut chart = Chart::new(
        "fitness",
        "Fitness of a generation's candidates",
        GENERATION,
        if of.is_minus_value { "fitness: minus the value" } else { "fitness, higher is better" },
    );
    for (name, low, high) in [("10 to 90 %", 1, 5), ("25 to 75 %", 2, 4)] {
        let points = history.points().iter().filter(|point| point.quantiles.len() == 7);
        let points = points.map(|point| (point.place(), point.quantiles[low], point.quantiles[high]));
        let band = Band { name: name.to_owned(), colour: 0, points: points.collect() };
        if !band.points.is_empty() {
            chart.bands.push(band);
        }
    }
    chart.lines.push(line("best", 1, of_points(history, |point| point.best)));
    chart.lines.push(line("median", 0, of_points(history, |point| point.median)));
    if of.measures == "accuracy" && !history.validations().is_empty() {
        let of = |summary: &v1::ValidationSummary| {
            let accuracy = summary.accuracy?;
            Some((f64::from(summary.generation), accuracy.mean, accuracy.standard_error))
        };
        let points = history.validations().iter().filter_map(of).collect();
        chart.dots.push(Dots { name: "validation +- standard error".to_owned(), colour: 2, points });
    }
    chart.marks = marks(history);
    let closed = history.closed();
    let diverged: f64 = history.points().iter().map(|point| point.diverged).sum();
    chart.says = match history.points().last() {
        None => "No generation has closed yet.".to_owned(),
        Some(last) => format!(
            "After {closed} generations the best fitness of any is {}, the last median {}. {}{}",
            cell(history.best()),
            cell(last.median),
            if diverged > 0.0 { "Some candidates diverged. " } else { "" },
            if chart.marks.is_empty() {
                ""
            } else {
                "Dashed upright lines mark restarts and changes of state."
            },
        ),
    };
    if closed > 0 && history.best().is_none() {
        chart.nothing = "every candidate has diverged";
    }
    let row = |point: &Point| {
        let quantile = |place: usize| cell(point.quantiles.get(place).copied());
        let own = [
            span(point),
            cell(point.best),
            cell(point.median),
            quantile(1),
            quantile(2),
            quantile(4),
            quantile(5),
        ];
        own.into_iter().chain([short(point.diverged)]).collect()
    };
    let heading = ["generation", "best", "median", "10 %", "25 %", "75 %", "90 %", "diverged a generation"];
    chart.table = Table::new(&heading, history.points().iter().map(row).collect());
    chart.draw()
}

fn span(point: &Point) -> String {
    match point.generations {
        (first, last) if first == last => last.to_string(),
        (first, last) => format!("{first} to {last}"),
    }
}

/// Accuracy of the search distribution's mean on fresh tasks, by family.
pub fn validation(history: &History) -> Picture {
    let mut chart = Chart::new(
        "validation",
        "Validation of the mean on fresh tasks, by family",
        GENERATION,
        "accuracy, 0 to 1",
    );
    let validations = history.validations();
    let mut families: Vec<(&str, bool)> = Vec::new();
    for family in validations.iter().flat_map(|summary| &summary.families) {
        if families.iter().all(|(name, _)| *name != family.family) {
            families.push((&family.family, family.trained));
        }
    }
    let accuracy_of = |summary: &v1::ValidationSummary, name: &str| {
        let family = summary.families.iter().find(|family| family.family == name)?;
        Some(family.accuracy?.mean)
    };
    for (colour, (name, trained)) in families.iter().enumerate() {
        let points =
            validations.iter().map(|summary| (f64::from(summary.generation), accuracy_of(summary, name)));
        let name = if *trained { (*name).to_owned() } else { format!("{name}*") };
        chart.lines.push(line(&name, colour, points.collect()));
    }
    chart.says = match validations.last() {
        None => "The mean was not validated.".to_owned(),
        Some(last) => format!(
            "At generation {} the mean's accuracy is {} over all families. Families with a star were never trained on.",
            last.generation,
            cell(last.accuracy.map(|accuracy| accuracy.mean)),
        ),
    };
    let heading: Vec<&str> = [GENERATION].into_iter().chain(families.iter().map(|(name, _)| *name)).collect();
    let rows = validations.iter().map(|summary| {
        let cells = families.iter().map(|(name, _)| cell(accuracy_of(summary, name)));
        std::iter::once(summary.generation.to_string()).chain(cells).collect()
    });
    chart.table = Table::new(&heading, rows.collect());
    chart.draw()
}

/// pycma's panels: the mean, the deviations, the axes, step size and noise.
pub fn search(history: &History, layout: &GenomeLayout) -> Vec<Picture> {
    let mut pictures = Vec::new();
    let of = |list: fn(&v1::Distribution) -> &Vec<f32>| {
        move |point: &Point| {
            point
                .search
                .distribution
                .as_ref()
                .map(|distribution| list(distribution).clone())
                .unwrap_or_default()
        }
    };
    let mut mean =
        Chart::new("means", "Mean of the search, coordinate by coordinate", GENERATION, "search value");
    mean.lines = coordinates(history, layout, of(|distribution| &distribution.mean));
    mean.says = String::from(
        "Each line is a number of the genome before its transform; colours are the parts of the rule.",
    );
    let mut deviations = Chart::new(
        "deviations",
        "Standard deviations, coordinate by coordinate",
        GENERATION,
        "deviation (logarithmic)",
    );
    deviations.y_logarithmic = true;
    deviations.lines = coordinates(history, layout, of(|distribution| &distribution.deviations));
    deviations.says = String::from(
        "Lines that fall together: the search converges. A line that stays high: that number does not matter.",
    );
    let mut axes =
        Chart::new("axes", "Axes of the search distribution", GENERATION, "length without step size (log.)");
    axes.y_logarithmic = true;
    axes.lines = coordinates(history, &GenomeLayout::default(), of(|distribution| &distribution.axes));
    axes.says = String::from(
        "The square roots of the covariance's eigenvalues: lines that part are directions of different scale.",
    );
    for mut chart in [mean, deviations, axes] {
        if chart.lines.is_empty() {
            continue;
        }
        chart.marks = marks(history);
        chart.table = ends_of(history, &chart.lines);
        pictures.push(chart.draw());
    }
    pictures.push(steps(history));
    pictures.extend(noise(history));
    pictures
}

/// One group of lines for each part of the genome; of quantiles, and of lists that are no coordinates, one for all.
fn coordinates(history: &History, layout: &GenomeLayout, list: impl Fn(&Point) -> Vec<f32>) -> Vec<Line> {
    let lists: Vec<(f64, Vec<f32>)> =
        history.points().iter().map(|point| (point.place(), list(point))).collect();
    let most = lists.iter().map(|(_, list)| list.len()).max().unwrap_or(0);
    let path = |place: usize| {
        let value = |list: &Vec<f32>| list.get(place).or(list.first().filter(|_| list.len() == 1)).copied();
        lists.iter().map(|(at, list)| (*at, value(list).map(f64::from))).collect()
    };
    let group = |name: &str, colour: usize, range: std::ops::Range<usize>| Line {
        name: name.to_owned(),
        colour,
        paths: range.map(path).collect(),
        thin: true,
    };
    if most == 0 {
        Vec::new()
    } else if most != layout.dimension() {
        vec![group("", 0, 0..most)]
    } else {
        let segments = layout.segments().iter().enumerate();
        segments.map(|(colour, segment)| group(&segment.name, colour, segment.range())).collect()
    }
}

/// Where groups of lines began and where they are.
fn ends_of(history: &History, lines: &[Line]) -> Table {
    let name = |line: &Line| if line.name.is_empty() { "all".to_owned() } else { line.name.clone() };
    let range = |values: Vec<f64>| {
        let low = values.iter().copied().min_by(f64::total_cmp);
        let high = values.iter().copied().max_by(f64::total_cmp);
        [cell(low), cell(high)]
    };
    let rows = lines.iter().map(|line| {
        let first = line.paths.iter().filter_map(|path| path.first()?.1).collect();
        let last = line.paths.iter().filter_map(|path| path.last()?.1).collect();
        [vec![name(line)], range(first).to_vec(), range(last).to_vec()].concat()
    });
    let last = history.closed().saturating_sub(1);
    let heading = [
        "part".to_owned(),
        "least, first".into(),
        "greatest, first".into(),
        format!("least, generation {last}"),
        format!("greatest, generation {last}"),
    ];
    Table { heading: heading.to_vec(), rows: rows.collect(), ..Table::default() }
}

/// Step size and the ratio of the longest axis to the shortest.
fn steps(history: &History) -> Picture {
    let mut chart =
        Chart::new("step", "Step size and ratio of the axes", GENERATION, "sigma; longest / shortest (log.)");
    chart.y_logarithmic = true;
    chart.lines.push(line("step size", 0, of_points(history, |point| Some(point.search.step_size))));
    chart.lines.push(line("axis ratio", 1, of_points(history, |point| Some(point.search.axis_ratio))));
    chart.marks = marks(history);
    chart.says = match history.points().last() {
        None => "No generation has closed yet.".to_owned(),
        Some(last) => format!(
            "The step size is {}, the longest axis {} times the shortest.",
            short(last.search.step_size),
            short(last.search.axis_ratio)
        ),
    };
    let row = |point: &Point| {
        let v1::SearchSummary { step_size, axis_ratio, deviation_min, deviation_max, .. } = &point.search;
        let numbers = [step_size, axis_ratio, deviation_min, deviation_max].map(|number| short(*number));
        std::iter::once(span(point)).chain(numbers).collect()
    };
    let heading = [GENERATION, "step size", "axis ratio", "least deviation", "greatest deviation"];
    chart.table = Table::new(&heading, history.points().iter().map(row).collect());
    chart.draw()
}

/// How noisy the fitness is, and how much slower the search learns for it; `None` where nothing is done about noise.
fn noise(history: &History) -> Option<Picture> {
    let mut chart = Chart::new("noise", "Noise in the fitness", GENERATION, "share, 0 to 1");
    let figures: [(&str, Figure); 3] = [
        ("agreement of two measurements", |search| search.agreement),
        ("learning rate of the mean", |search| search.mean_rate),
        ("of the covariance", |search| search.covariance_rate),
    ];
    for (colour, (name, figure)) in figures.into_iter().enumerate() {
        chart.lines.push(line(name, colour, of_points(history, |point| figure(&point.search))));
    }
    if chart.lines.iter().flat_map(|line| &line.paths).flatten().all(|(_, value)| value.is_none()) {
        return None;
    }
    chart.says = String::from(
        "Agreement (Kendall's tau) near 1: the order of candidates is sure; near 0: it is chance.",
    );
    let row = |point: &Point| {
        let cells = figures.iter().map(|(_, figure)| cell(figure(&point.search)));
        std::iter::once(span(point)).chain(cells).collect()
    };
    let heading = [GENERATION, "agreement", "rate of the mean", "rate of the covariance"];
    chart.table = Table::new(&heading, history.points().iter().map(row).collect());
    Some(chart.draw())
}

/// What a generation costs: its time, and the time that threads computed on it.
pub fn time(history: &History) -> Picture {
    let mut chart = Chart::new("time", "Time of a generation", GENERATION, "seconds (logarithmic)");
    chart.y_logarithmic = true;
    chart.lines.push(line("wall-clock time", 0, of_points(history, |point| Some(point.wall_s))));
    chart.lines.push(line(
        "compute time of all threads",
        1,
        of_points(history, |point| Some(point.compute_s)),
    ));
    chart.marks = marks(history);
    let totals = history.points().iter().fold((0.0, 0.0), |(wall, compute), point| {
        let generations = f64::from(point.generations.1 - point.generations.0 + 1);
        (wall + generations * point.wall_s, compute + generations * point.compute_s)
    });
    chart.says = if totals.0 > 0.0 {
        format!(
            "On average {} threads computed: {} of compute, validations included, in {} of running. Where this is far below the threads that \
             you have, episodes are too short or workers wait.",
            short(totals.1 / totals.0),
            crate::number::seconds(totals.1),
            crate::number::seconds(totals.0),
        )
    } else {
        "No generation has closed yet.".to_owned()
    };
    let row = |point: &Point| {
        let numbers = [point.wall_s, point.compute_s, point.workers].map(short);
        let counts = [point.evaluations.to_string(), short(point.elapsed_s)];
        std::iter::once(span(point)).chain(numbers).chain(counts).collect()
    };
    let heading =
        [GENERATION, "wall-clock s", "compute s", "workers", "evaluations so far", "running s so far"];
    chart.table = Table::new(&heading, history.points().iter().map(row).collect());
    chart.draw()
}
