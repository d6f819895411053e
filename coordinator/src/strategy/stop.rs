//! Criteria that end a search, each with its name and the figure that met it.

use hebbian_shared::fitness::Fitness;
use hebbian_shared::progress::StopReason;
use hebbian_shared::spec::stop::StopSpec;

fn reason(criterion: &str, detail: String) -> StopReason {
    StopReason { criterion: criterion.to_owned(), detail }
}

/// The first of the run's own limits that is met: target fitness, generations, candidate evaluations.
///
/// `best` is the best fitness told so far. The time limit is not among them: the clock belongs to the run.
pub fn limit_reached(
    stop: &StopSpec,
    closed_generations: u32,
    evaluations: u64,
    best: Option<Fitness>,
) -> Option<StopReason> {
    if let (Some(target), Some(best)) = (stop.target_fitness, best)
        && best.get() >= target
    {
        return Some(reason("target", format!("fitness {best} (target {target})")));
    }
    if let Some(limit) = stop.generations
        && closed_generations >= limit
    {
        return Some(reason("generations", format!("{closed_generations} generations (limit {limit})")));
    }
    if let Some(limit) = stop.evaluations
        && evaluations >= limit
    {
        return Some(reason("evaluations", format!("{evaluations} evaluations (limit {limit})")));
    }
    None
}

/// Deviations below this many initial step sizes are converged (pycma's `tolx`).
const DEVIATION_MIN: f64 = 1e-11;
/// The largest condition number that double precision carries (pycma's `tolconditioncov`).
const CONDITION_MAX: f64 = 1e14;
/// How much faster than the longest axis the step size may have grown (pycma's `tolupsigma`).
const STEP_SIZE_GAIN_MAX: f64 = 1e20;

/// What the criteria of a search distribution look at; those that noise cannot meet by itself.
pub(super) struct Distribution {
    /// The step size of the first generation.
    pub(super) initial_step_size: f64,
    /// The step size (sigma).
    pub(super) step_size: f64,
    /// Shortest and longest axis of the covariance matrix (D).
    pub(super) axis_range: (f64, f64),
    /// The largest coordinate-wise standard deviation, or component of the covariance path in the search space.
    pub(super) reach: f64,
    /// Whether the last update was refused since it would have left the finite numbers.
    pub(super) stuck: bool,
}

impl Distribution {
    /// The first criterion that is met.
    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        let (shortest, longest) = self.axis_range;
        if self.stuck {
            return Some(reason(
                "numerics",
                format!("the next step size, near {:e}, cannot be computed with", self.step_size),
            ));
        }
        let reach_min = DEVIATION_MIN * self.initial_step_size;
        if self.reach < reach_min {
            return Some(reason(
                "tolx",
                format!("all deviations at most {:e} (limit {reach_min:e})", self.reach),
            ));
        }
        let condition = (longest / shortest).powi(2);
        if condition > CONDITION_MAX {
            return Some(reason("condition", format!("condition {condition:e} (limit {CONDITION_MAX:e})")));
        }
        let gain = self.step_size / self.initial_step_size / longest;
        if gain > STEP_SIZE_GAIN_MAX {
            let detail =
                format!("step size over longest axis grew {gain:e} times (limit {STEP_SIZE_GAIN_MAX:e})");
            return Some(reason("tolupsigma", detail));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stop: &StopSpec, progress: (u32, u64, Option<f64>), expected: Option<(&str, &str)>) {
        let (generations, evaluations, best) = progress;
        let best = best.map(|value| Fitness::new(value).unwrap());
        let found = limit_reached(stop, generations, evaluations, best);
        let found = found.as_ref().map(|r| (r.criterion.as_str(), r.detail.as_str()));
        assert_eq!(found, expected);
    }

    #[test]
    fn limits_are_met_when_reached_and_say_by_what() {
        let stop = StopSpec {
            generations: Some(10),
            evaluations: Some(1000),
            target_fitness: Some(0.5),
            ..StopSpec::default()
        };
        check(&stop, (9, 999, Some(0.4)), None);
        check(&stop, (0, 0, None), None);
        check(&stop, (10, 0, None), Some(("generations", "10 generations (limit 10)")));
        check(&stop, (0, 1001, None), Some(("evaluations", "1001 evaluations (limit 1000)")));
        check(&stop, (10, 1000, Some(0.5)), Some(("target", "fitness 0.5 (target 0.5)")));
        check(&StopSpec::default(), (u32::MAX, u64::MAX, Some(1e300)), None);
    }

    #[test]
    fn a_distribution_stops_by_the_figure_that_met_the_criterion() {
        let sound = || Distribution {
            initial_step_size: 2.0,
            step_size: 1.0,
            axis_range: (1.0, 1e6),
            reach: 1.0,
            stuck: false,
        };
        let criterion = |distribution: Distribution| distribution.stop_reason().map(|r| r.criterion);
        assert_eq!(criterion(sound()), None);
        assert_eq!(criterion(Distribution { stuck: true, ..sound() }).as_deref(), Some("numerics"));
        assert_eq!(criterion(Distribution { reach: 1.9e-11, ..sound() }).as_deref(), Some("tolx"));
        assert_eq!(criterion(Distribution { reach: 2.1e-11, ..sound() }), None);
        assert_eq!(
            criterion(Distribution { axis_range: (1.0, 1.1e7), ..sound() }).as_deref(),
            Some("condition")
        );
        assert_eq!(criterion(Distribution { step_size: 3e26, ..sound() }).as_deref(), Some("tolupsigma"));
    }
}
