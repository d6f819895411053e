//! What the pictures show of a run: a fold over its events that stays small, however long the run is.
//!
//! Generations are kept in points of so many generations each as keep their number below a bound. A point's fitness is that of the best
//! of its generations, or of their mean where the word says so; what a search leaves behind (mean, deviations, step size) is that of
//! the last one. Points begin at multiples of their length, so the same events give the same history, whenever they are taken.

use hebbian_proto::figures::{RunState, duration};
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind;

/// The most points of a history; there are at least half as many once there were as many generations.
const POINTS_MAX: usize = 400;
/// The most validations that are kept.
const VALIDATIONS_MAX: usize = 200;
/// The most marks and notes that are kept: the last ones.
const MARKS_MAX: usize = 60;

/// One generation, or several that follow each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// First and last generation, counted from 0.
    pub generations: (u32, u32),
    /// Best fitness; absent if all candidates diverged.
    pub best: Option<f64>,
    /// Mean of the generations' median fitness; absent if it was of none.
    pub median: Option<f64>,
    /// Means of the generations' quantiles of fitness, worst to best; empty if there are none.
    pub quantiles: Vec<f64>,
    /// Candidates that diverged, in a generation on average.
    pub diverged: f64,
    /// The search after the last generation.
    pub search: v1::SearchSummary,
    /// Candidate evaluations since the run began.
    pub evaluations: u64,
    /// Seconds that the run had been running.
    pub elapsed_s: f64,
    /// Seconds of a generation on average, and seconds of compute time of its episodes, those of its validation among them, summed over
    /// threads.
    pub wall_s: f64,
    /// See [`Point::wall_s`].
    pub compute_s: f64,
    /// Workers that took part in a generation on average; 0 where it is not recorded.
    pub workers: f64,
}

impl Point {
    fn of(summary: &v1::GenerationSummary, before_s: f64) -> Self {
        let elapsed_s = duration(summary.elapsed).as_secs_f64();
        Self {
            generations: (summary.generation, summary.generation),
            best: summary.best_fitness,
            median: summary.median_fitness,
            quantiles: summary.fitness_quantiles.clone(),
            diverged: f64::from(summary.diverged),
            search: summary.search.clone().unwrap_or_default(),
            evaluations: summary.evaluations,
            elapsed_s,
            wall_s: (elapsed_s - before_s).max(0.0),
            compute_s: duration(summary.compute_time).as_secs_f64(),
            workers: f64::from(summary.workers),
        }
    }

    fn length(&self) -> f64 {
        f64::from(self.generations.1 - self.generations.0 + 1)
    }

    /// Takes the point that follows.
    fn join(&mut self, next: Self) {
        let (own, others) = (self.length(), next.length());
        let mean = |a: f64, b: f64| (a * own + b * others) / (own + others);
        self.best = match (self.best, next.best) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.median = match (self.median, next.median) {
            (Some(a), Some(b)) => Some(mean(a, b)),
            (a, b) => a.or(b),
        };
        if self.quantiles.len() == next.quantiles.len() {
            self.quantiles.iter_mut().zip(&next.quantiles).for_each(|(a, b)| *a = mean(*a, *b));
        } else if self.quantiles.is_empty() {
            self.quantiles = next.quantiles;
        }
        self.diverged = mean(self.diverged, next.diverged);
        self.wall_s = mean(self.wall_s, next.wall_s);
        self.compute_s = mean(self.compute_s, next.compute_s);
        self.workers = mean(self.workers, next.workers);
        self.generations.1 = next.generations.1;
        self.search = next.search;
        self.evaluations = next.evaluations;
        self.elapsed_s = next.elapsed_s;
    }

    /// Where it stands on an axis of generations.
    pub fn place(&self) -> f64 {
        f64::from(self.generations.1)
    }
}

/// Something that happened beside the figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The generation that was open, counted from 0.
    pub generation: u32,
    /// A word for what it was: `restart`, `paused`, `running`, ...
    pub kind: &'static str,
    /// What is to be said of it.
    pub text: String,
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    length: u32,
    points: Vec<Point>,
    /// The validation of a generation that has not closed, and its seconds of compute time.
    computed_before: (u32, f64),
    validations: Vec<v1::ValidationSummary>,
    validations_every: u32,
    validations_taken: u32,
    marks: Vec<Mark>,
    notes: Vec<String>,
    state: Option<RunState>,
    remeasurement: Option<v1::Remeasurement>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            length: 1,
            points: Vec::new(),
            computed_before: (0, 0.0),
            validations: Vec::new(),
            validations_every: 1,
            validations_taken: 0,
            marks: Vec::new(),
            notes: Vec::new(),
            state: None,
            remeasurement: None,
        }
    }
}

impl History {
    /// The history of events in their order.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a v1::RunEvent>) -> Self {
        let mut history = Self::default();
        for event in events {
            history.take(event);
        }
        history
    }

    /// Takes the next event.
    pub fn take(&mut self, event: &v1::RunEvent) {
        match &event.kind {
            Some(Kind::Generation(summary)) => self.generation(summary),
            Some(Kind::Validation(summary)) => self.validation(summary),
            Some(Kind::Remeasurement(figures)) => self.remeasurement = Some(figures.clone()),
            Some(Kind::Note(text)) => {
                self.notes.push(text.clone());
                keep_last(&mut self.notes);
            }
            Some(Kind::State(state)) => {
                let Some(state) = &state.kind else { return };
                let text = match state {
                    RunState::Paused(paused) => paused.reason.clone(),
                    RunState::Finished(reason) => reason.detail.clone(),
                    RunState::Failed(failed) => failed.reason.clone(),
                    _ => String::new(),
                };
                let is_first = self.state.is_none();
                self.state = Some(state.clone());
                if !is_first {
                    self.mark(self.closed(), state.name(), text);
                }
            }
            None => {}
        }
    }

    fn generation(&mut self, summary: &v1::GenerationSummary) {
        if let Some(restart) = summary.search.as_ref().and_then(|search| search.restart.as_ref()) {
            let text = format!(
                "restart {} ({}: {}), population {}",
                restart.number, restart.criterion, restart.detail, restart.population_size
            );
            self.mark(summary.generation, "restart", text);
        }
        let before_s = self.points.last().map_or(0.0, |point| point.elapsed_s);
        self.add(Point::of(summary, before_s));
        let (generation, seconds) = std::mem::take(&mut self.computed_before);
        if generation == summary.generation {
            self.compute(generation, seconds);
        }
        while self.points.len() > POINTS_MAX {
            self.length *= 2;
            let points = std::mem::take(&mut self.points);
            for point in points {
                self.add(point);
            }
        }
    }

    fn add(&mut self, point: Point) {
        let bucket = |point: &Point| point.generations.0 / self.length;
        match self.points.last_mut() {
            Some(last) if bucket(last) == bucket(&point) => last.join(point),
            _ => self.points.push(point),
        }
    }

    fn validation(&mut self, summary: &v1::ValidationSummary) {
        self.compute(summary.generation, duration(summary.compute_time).as_secs_f64());
        // The last one is always there.
        if self.validations_taken > 0 && !(self.validations_taken - 1).is_multiple_of(self.validations_every)
        {
            self.validations.pop();
        }
        self.validations_taken += 1;
        self.validations.push(summary.clone());
        if self.validations.len() > VALIDATIONS_MAX {
            self.validations_every *= 2;
            let mut place = 0;
            self.validations.retain(|_| {
                place += 1;
                place % 2 == 1
            });
        }
    }

    /// Takes compute time of a generation beside that of its candidates; the generation may close later.
    fn compute(&mut self, generation: u32, seconds: f64) {
        let is_there = |point: &&mut Point| (point.generations.0..=point.generations.1).contains(&generation);
        match self.points.iter_mut().rev().find(is_there) {
            Some(point) => point.compute_s += seconds / point.length(),
            None => self.computed_before = (generation, seconds),
        }
    }

    fn mark(&mut self, generation: u32, kind: &'static str, text: String) {
        self.marks.push(Mark { generation, kind, text });
        keep_last(&mut self.marks);
    }

    /// The generations.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// How many generations have closed.
    pub fn closed(&self) -> u32 {
        self.points.last().map_or(0, |point| point.generations.1 + 1)
    }

    /// How many generations stand behind a point.
    pub fn generations_per_point(&self) -> u32 {
        self.length
    }

    /// Validations in order.
    pub fn validations(&self) -> &[v1::ValidationSummary] {
        &self.validations
    }

    /// What happened beside the figures.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The last notes, in order.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The last state that was told.
    pub fn state(&self) -> Option<&RunState> {
        self.state.as_ref()
    }

    /// Mean and best sample on fresh tasks, when the search has ended.
    pub fn remeasurement(&self) -> Option<&v1::Remeasurement> {
        self.remeasurement.as_ref()
    }

    /// The best fitness of any generation.
    pub fn best(&self) -> Option<f64> {
        self.points.iter().filter_map(|point| point.best).max_by(f64::total_cmp)
    }
}

fn keep_last<T>(list: &mut Vec<T>) {
    if list.len() > MARKS_MAX {
        list.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(generation: u32) -> v1::RunEvent {
        v1::RunEvent::of(Kind::Generation(v1::GenerationSummary {
            generation,
            best_fitness: Some(f64::from(generation)),
            ..Default::default()
        }))
    }

    #[test]
    fn long_histories_stay_short_and_keep_the_ends() {
        let mut history = History::default();
        for generation in 0..10_000 {
            history.take(&event(generation));
            assert!(history.points().len() <= POINTS_MAX);
        }
        let points = history.points();
        assert!(points.len() > POINTS_MAX / 2 && history.closed() == 10_000);
        assert_eq!(history.generations_per_point(), 32);
        assert_eq!(points[0].generations, (0, 31));
        assert!(points.windows(2).all(|pair| pair[0].generations.1 + 1 == pair[1].generations.0));
        assert_eq!((points[0].best, history.best()), (Some(31.0), Some(9999.0)));
    }

    #[test]
    fn compute_time_is_that_of_candidates_and_of_validations() {
        let seconds =
            |seconds| Some(hebbian_proto::convert::from_duration(std::time::Duration::from_secs(seconds)));
        let closed = |generation| {
            let compute_time = seconds(2);
            v1::RunEvent::of(Kind::Generation(v1::GenerationSummary {
                generation,
                compute_time,
                ..Default::default()
            }))
        };
        let validated = |generation| {
            let compute_time = seconds(5);
            v1::RunEvent::of(Kind::Validation(v1::ValidationSummary {
                generation,
                compute_time,
                ..Default::default()
            }))
        };
        let compute = |events: &[v1::RunEvent]| -> Vec<f64> {
            History::of(events).points().iter().map(|point| point.compute_s).collect()
        };
        assert_eq!(compute(&[validated(0), closed(0), closed(1), validated(1), closed(2)]), [7.0, 7.0, 2.0]);
        // That of the result belongs to no generation.
        assert_eq!(compute(&[closed(0), validated(1)]), [2.0]);
        let long: Vec<v1::RunEvent> =
            (0..10_000).flat_map(|generation| [closed(generation), validated(generation)]).collect();
        let history = History::of(&long);
        assert!(history.points().iter().all(|point| (point.compute_s - 7.0).abs() < 1e-9));
    }

    #[test]
    fn the_last_validation_is_always_there() {
        let mut history = History::default();
        for generation in 0..1000 {
            let summary = v1::ValidationSummary { generation, ..Default::default() };
            history.take(&v1::RunEvent::of(Kind::Validation(summary)));
            assert_eq!(history.validations().last().unwrap().generation, generation);
            assert!(history.validations().len() <= VALIDATIONS_MAX + 1);
        }
        assert!(history.validations().len() > 100);
        assert!(history.validations().windows(2).all(|pair| pair[0].generation < pair[1].generation));
    }
}
