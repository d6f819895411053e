//! How far a run is and how long it will take. The work of an episode is proportional to its number of updates, so a
//! generation late in the unroll schedule counts for more than an early one.

use std::collections::VecDeque;
use std::time::Duration;

use hebbian_proto::figures::duration;
use hebbian_proto::v1::GenerationSummary;
use hebbian_shared::spec::RunSpec;

/// Rates are taken over about this much of a run's latest time.
const WINDOW: Duration = Duration::from_secs(5);
/// The most generations that a rate is taken over.
const WINDOW_GENERATIONS_MAX: usize = 4096;

/// The work of a whole run, in updates.
#[derive(Clone, Debug)]
pub(crate) struct Forecast {
    spec: RunSpec,
    generations: Option<u32>,
}

impl Forecast {
    /// The forecast of a spec.
    pub(crate) fn of(spec: &RunSpec) -> Self {
        let candidates = u64::from(spec.strategy.candidates_max());
        let by_evaluations =
            spec.stop.evaluations.map(|n| u32::try_from(n.div_ceil(candidates)).unwrap_or(u32::MAX));
        let generations = [spec.stop.generations, by_evaluations].into_iter().flatten().min();
        Self { spec: spec.clone(), generations }
    }

    /// Generations until a limit of generations or evaluations ends the run; other criteria may end it before.
    pub(crate) fn generations(&self) -> Option<u32> {
        self.generations
    }

    /// Episodes of a generation.
    pub(crate) fn episodes_per_generation(&self) -> u64 {
        u64::from(self.spec.strategy.candidates_max()) * u64::from(self.spec.tasks_per_generation())
    }

    /// Updates in all episodes of the first generations.
    pub(crate) fn updates(&self, generations: u32) -> f64 {
        let (mut left, mut updates) = (generations, 0.0);
        let phases = &self.spec.evaluation.unroll;
        for (place, phase) in phases.iter().enumerate() {
            let taken = if place + 1 == phases.len() { left } else { left.min(phase.generations) };
            updates += f64::from(taken) * f64::from(phase.updates);
            left -= taken;
        }
        updates * self.episodes_per_generation() as f64
    }

    /// The part of the run that is done after some generations, from 0 to 1.
    fn done(&self, generations: u32, elapsed: Duration) -> Option<f64> {
        let by_work = self.generations.map(|all| self.updates(generations) / self.updates(all));
        let by_time = self.spec.stop.time_limit_s.map(|limit| elapsed.as_secs_f64() / limit as f64);
        [by_work, by_time].into_iter().flatten().reduce(f64::max).map(|done| done.clamp(0.0, 1.0))
    }
}

/// A moment of a run.
#[derive(Clone, Copy, Debug)]
struct Point {
    elapsed: Duration,
    episodes: u64,
    updates: f64,
}

/// How fast a run goes at the moment.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    forecast: Forecast,
    points: VecDeque<Point>,
    generations: u32,
}

impl Pace {
    /// The pace of a run of which nothing is known yet.
    pub(crate) fn new(forecast: Forecast) -> Self {
        Self { forecast, points: VecDeque::new(), generations: 0 }
    }

    /// What the run will take in all.
    pub(crate) fn forecast(&self) -> &Forecast {
        &self.forecast
    }

    /// Takes note of a closed generation.
    pub(crate) fn closed(&mut self, summary: &GenerationSummary) {
        self.generations = summary.generation + 1;
        let elapsed = duration(summary.elapsed);
        let updates = self.forecast.updates(self.generations);
        self.points.push_back(Point { elapsed, episodes: summary.episodes, updates });
        // The second oldest already spans the window: the oldest is not needed.
        while self.points.len() > 2
            && (elapsed.saturating_sub(self.points[1].elapsed) >= WINDOW
                || self.points.len() > WINDOW_GENERATIONS_MAX)
        {
            self.points.pop_front();
        }
    }

    fn span(&self) -> Option<(Point, Point, f64)> {
        let (first, last) = (*self.points.front()?, *self.points.back()?);
        // One generation alone is measured from the start of the run.
        let start = Point { elapsed: Duration::ZERO, episodes: 0, updates: 0.0 };
        let first = if self.points.len() > 1 { first } else { start };
        let seconds = last.elapsed.saturating_sub(first.elapsed).as_secs_f64();
        (seconds > 0.0).then_some((first, last, seconds))
    }

    /// Episodes per second over the last measured span.
    pub(crate) fn episodes_per_second(&self) -> Option<f64> {
        let (first, last, seconds) = self.span()?;
        Some(last.episodes.saturating_sub(first.episodes) as f64 / seconds)
    }

    /// The part of the run that is done, from 0 to 1; `settled` is the settled part of the open generation.
    pub(crate) fn done(&self, settled: f64) -> Option<f64> {
        let elapsed = self.points.back().map_or(Duration::ZERO, |point| point.elapsed);
        let done = self.forecast.done(self.generations, elapsed)?;
        let next = self.forecast.done(self.generations.saturating_add(1), elapsed)?;
        Some(done + (next - done) * settled.clamp(0.0, 1.0))
    }

    /// The time that is left if no other criterion ends the run before.
    pub(crate) fn left(&self) -> Option<Duration> {
        let (first, last, seconds) = self.span()?;
        let rate = (last.updates - first.updates) / seconds;
        let by_work = self.forecast.generations.and_then(|all| {
            Duration::try_from_secs_f64((self.forecast.updates(all) - last.updates).max(0.0) / rate).ok()
        });
        let limit = self.forecast.spec.stop.time_limit_s.map(Duration::from_secs);
        let by_time = limit.map(|limit| limit.saturating_sub(last.elapsed));
        [by_work, by_time].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hebbian_proto::convert::from_duration;

    fn pace(change: &[(&str, &str)]) -> Pace {
        let text =
            change.iter().fold(crate::QUICKSTART.to_owned(), |text, (from, to)| text.replace(from, to));
        Pace::new(Forecast::of(&RunSpec::read(&text).unwrap()))
    }

    fn summary(generation: u32, elapsed_ms: u64) -> GenerationSummary {
        GenerationSummary {
            generation,
            episodes: 1536 * u64::from(generation + 1),
            elapsed: Some(from_duration(Duration::from_millis(elapsed_ms))),
            ..Default::default()
        }
    }

    #[test]
    fn late_generations_count_for_more() {
        let forecast = pace(&[]).forecast().clone();
        assert_eq!(forecast.generations(), Some(265));
        assert_eq!(forecast.updates(265), 1536.0 * (239.0 * 10.0 + 23.0 * 30.0 + 3.0 * 100.0));
        assert_eq!(forecast.updates(240), 1536.0 * (239.0 * 10.0 + 30.0));
        assert_eq!(forecast.updates(266) - forecast.updates(265), 1536.0 * 100.0);
        assert_eq!(pace(&[("generations = 265", "evaluations = 65")]).forecast().generations(), Some(2));
    }

    #[test]
    fn the_time_left_follows_the_latest_pace() {
        let mut pace = pace(&[]);
        assert_eq!((pace.left(), pace.episodes_per_second()), (None, None));
        assert_eq!(pace.done(0.0), Some(0.0));
        // A slow start of 100 s, then ten generations a second.
        pace.closed(&summary(0, 100_000));
        for generation in 1..=100 {
            pace.closed(&summary(generation, 100_000 + 100 * u64::from(generation)));
        }
        assert!((pace.episodes_per_second().unwrap() - 15_360.0).abs() < 1.0);
        // Of 3380 generation-updates 1010 are done; ten a generation, so 100 a second.
        assert!((pace.left().unwrap().as_secs_f64() - 23.7).abs() < 0.01);
        assert!((pace.done(0.0).unwrap() - 1010.0 / 3380.0).abs() < 1e-12);
        assert!((pace.done(0.5).unwrap() - 1015.0 / 3380.0).abs() < 1e-12);
    }

    #[test]
    fn a_limit_of_time_counts_where_it_is_nearer() {
        let mut pace = pace(&[("generations = 265", "time_limit_s = 10")]);
        pace.closed(&summary(0, 4000));
        assert_eq!(pace.left(), Some(Duration::from_secs(6)));
        assert!((pace.done(0.0).unwrap() - 0.4).abs() < 1e-12);
    }
}
