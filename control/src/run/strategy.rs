//! The strategy of a run's spec.

use hebbian_search::restart::Limits;
use hebbian_search::{Envelope, Frame, Integer, Interval, Strategy, StrategyError};
use hebbian_shared::genome::{Segment, Transform};
use hebbian_shared::limits::{EPISODES_PER_GENERATION_MAX, POPULATION_SIZE_MAX, SEARCH_NUMBERS_MAX};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::validation::Selection;

/// Ended searches whose means are kept where validation chooses among them.
const FINALISTS_MAX: usize = 15;

/// Where an engine's searches come from. The default are the strategies that specs name; whoever tries one that no spec names yet
/// has it here, and all that is around it stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Strategies {
    /// The strategy of a validated spec at its first generation.
    pub start: fn(&RunSpec) -> Box<dyn Strategy>,
    /// The same as it was when it gave away its state; it continues bit for bit. A state that is not its own is refused.
    pub resume: fn(&RunSpec, &Envelope) -> Resumed,
}

/// A strategy that goes on, or why the state is not one of its own.
pub type Resumed = Result<Box<dyn Strategy>, StrategyError>;

impl Default for Strategies {
    fn default() -> Self {
        Self { start: build, resume: restore }
    }
}

/// The strategy of a validated and complete spec at its first generation.
pub fn build(spec: &RunSpec) -> Box<dyn Strategy> {
    hebbian_search::start(&spec.strategy, spec.initial_mean().0, spec.seed, &frame(spec))
}

/// The strategy of a validated spec as it was when it gave away its state; it continues bit for bit.
///
/// A state of another strategy or dimension, or one whose numbers no search can reach, is refused.
pub fn restore(spec: &RunSpec, state: &Envelope) -> Resumed {
    hebbian_search::resume(&spec.strategy, &spec.initial_mean().0, spec.seed, &frame(spec), state)
}

fn frame(spec: &RunSpec) -> Frame {
    // All episodes and candidates of a generation must be in memory; those that are asked again come on top.
    let population_size = candidates_max(spec) as u32;
    let chosen = spec.validation.as_ref().map(|validation| validation.select);
    let finalists = if chosen == Some(Selection::BestRestart) { FINALISTS_MAX } else { 0 };
    let limits = Limits { population_size, finalists };
    Frame { function_changes: true, limits, integers: integers(spec), intervals: intervals(spec) }
}

/// The most candidates of a generation, but those that are asked again.
pub(super) fn candidates_max(spec: &RunSpec) -> usize {
    let candidates = EPISODES_PER_GENERATION_MAX / u64::from(spec.tasks_per_generation()) * 9 / 10;
    let candidates = candidates.min(SEARCH_NUMBERS_MAX / spec.layout().dimension().max(1) as u64 * 9 / 10);
    candidates.min(u64::from(POPULATION_SIZE_MAX)) as usize
}

/// The numbers of a genome that an external problem rounds.
fn integers(spec: &RunSpec) -> Vec<Integer> {
    let layout = spec.layout();
    let of = |segment: &Segment| match segment.transform {
        Transform::Whole { offset, scale, low, high } => Some((segment.range(), offset, scale, low, high)),
        _ => None,
    };
    let segments = layout.segments().iter().filter_map(of);
    let each = segments.flat_map(|(range, offset, slope, low, high)| {
        range.map(move |coordinate| Integer { coordinate, offset, slope, low, high })
    });
    each.collect()
}

/// The numbers of a genome that an external problem mirrors at two bounds.
fn intervals(spec: &RunSpec) -> Vec<Interval> {
    let layout = spec.layout();
    let segments =
        layout.segments().iter().filter_map(|segment| Some((segment.range(), segment.transform.interval()?)));
    segments
        .flat_map(|(range, length)| range.map(move |coordinate| Interval { coordinate, length }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_is_told_of_the_integers_and_intervals_of_an_external_problem() {
        let spec = RunSpec::read(
            r#"
name = "mine"
seed = 3
strategy = { kind = "cma-es", population_size = 8, step_size = 1.0 }
stop = { generations = 5 }

[problem]
kind = "external"
name = "mine"
direction = "minimise"
parameters = [
  { name = "rates", kind = "real", length = 2, initial = 0.0, deviation = 1.0 },
  { name = "layers", kind = "integer", length = 2, low = 1, high = 8, initial = 2.0, deviation = 0.1 },
  { name = "kind", kind = "fixed", value = "a" },
  { name = "scale", kind = "real", initial = 0.0, deviation = 1.0 },
  { name = "width", kind = "integer", low = 0, high = 100 },
  { name = "share", kind = "real", initial = 0.5, deviation = 0.25, low = 0.0, high = 1.0 },
  { name = "above", kind = "real", initial = 0.5, deviation = 0.25, low = 0.0 },
  { name = "rate", kind = "real", initial = 0.1, deviation = 2.0, low = 0.01, high = 1.0, scale = "log" },
]
"#,
        )
        .unwrap();
        let layers = |coordinate| Integer { coordinate, offset: 2.0, slope: 0.1, low: 1.0, high: 8.0 };
        let width = Integer { coordinate: 5, offset: 50.0, slope: 25.0, low: 0.0, high: 100.0 };
        assert_eq!(integers(&spec), [layers(2), layers(3), width]);
        let share = Interval { coordinate: 6, length: 4.0 };
        let rate = Interval { coordinate: 8, length: std::f64::consts::LN_10 };
        let found = intervals(&spec);
        assert_eq!(found.iter().map(|interval| interval.coordinate).collect::<Vec<_>>(), [6, 8]);
        for (found, expected) in found.iter().zip([share, rate]) {
            assert!((found.length / expected.length - 1.0).abs() < 1e-12, "{found:?}");
        }
        // Within 0.1 of 2 all samples are rounded alike: the first update widens them.
        let mut search = build(&spec);
        let seen = |search: &dyn Strategy| {
            let problem = spec.problem.external().unwrap();
            let layers = search.ask().into_iter().map(|c| problem.numbers(&c.genome)[2]);
            layers.collect::<Vec<f64>>()
        };
        assert_eq!(seen(&*search), [2.0; 10]);
        let mut others = 0;
        for _ in 0..50 {
            let told = vec![hebbian_search::Measured::of(1.0); search.ask().len()];
            search.tell(&told).unwrap();
            others += seen(&*search).into_iter().filter(|layers| *layers != 2.0).count();
        }
        assert!(others > 0);
        assert!(restore(&spec, &search.state()).is_ok());
    }
}
