//! Criteria that end a search, each with its name and the figure that met it.

use hebbian_shared::fitness::Fitness;
use hebbian_shared::spec::stop::StopSpec;

use super::StopReason;

/// A reason by its name and the figure that met it.
pub(super) fn reason(criterion: &str, detail: String) -> StopReason {
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
        return Some(reason("target", format!("fitness {:?} (target {target:?})", best.get())));
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

/// `numerics`: the last update was refused since it would have left the finite numbers.
pub(super) fn numbers_ended(step_size: f64) -> StopReason {
    reason("numerics", format!("the next step size, near {step_size:e}, cannot be computed with"))
}

/// `tolx`; `reach` is the largest coordinate-wise standard deviation, or length of a path's coordinate.
pub(super) fn deviations_vanished(reach: f64, initial_step_size: f64) -> Option<StopReason> {
    let reach_min = DEVIATION_MIN * initial_step_size;
    (reach < reach_min)
        .then(|| reason("tolx", format!("all deviations at most {reach:e} (limit {reach_min:e})")))
}

/// How many times its initial value a deviation may become.
const DEVIATION_GAIN_MAX: f64 = 1e3;

/// `tolfacupx`; `gain` is the largest deviation in initial step sizes.
pub(super) fn deviations_grew(gain: f64) -> Option<StopReason> {
    (gain > DEVIATION_GAIN_MAX).then(|| {
        let detail = format!(
            "a deviation grew {gain:e} times (limit {DEVIATION_GAIN_MAX:e}): start with a larger step size"
        );
        reason("tolfacupx", detail)
    })
}

/// `noeffectcoord`: a fifth of a coordinate's deviation is lost beside the mean.
pub(super) fn without_effect(mean: &[f64], deviations: impl Iterator<Item = f64>) -> Option<StopReason> {
    let coordinate = deviations.zip(mean).position(|(deviation, &m)| m + 0.2 * deviation == m)?;
    let mean = mean[coordinate];
    let detail = format!("a fifth of coordinate {coordinate}'s deviation does not change {mean}");
    Some(reason("noeffectcoord", detail))
}

/// Generations in a row of which every candidate may fail.
const FAILED_GENERATIONS_MAX: u32 = 20;

/// `failed`: nothing is learnt while every candidate fails, and the next ones are drawn around the same place. `generations` is how
/// many did so in a row.
pub fn all_fail(generations: u32) -> Option<StopReason> {
    (generations >= FAILED_GENERATIONS_MAX).then(|| {
        let detail = format!(
            "every candidate of the last {generations} generations failed (limit {FAILED_GENERATIONS_MAX})"
        );
        reason("failed", detail)
    })
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
}
