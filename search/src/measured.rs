//! What measuring a candidate gave.

use std::borrow::Borrow;

use hebbian_shared::episode::Outcome;
use hebbian_shared::estimate::mean;
use hebbian_shared::fitness::{Fitness, Verdict};

/// What a strategy is told of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The mean of its episodes' fitnesses, or of their violations, or how many of them diverged.
    pub verdict: Verdict,
    /// The mean gradient, with respect to the genome, of the episodes that did not diverge. Only a strategy that wants gradients is
    /// told any, and there is none where all episodes diverged.
    pub gradient: Option<Vec<f64>>,
}

impl Measured {
    /// What the outcomes of a candidate's episodes, given in task order, say of it together; `None` if there are none, or if
    /// one of them does not settle its episode. The means are taken in f64 and in the given order, so they have one value
    /// only.
    pub fn of_outcomes<O: Borrow<Outcome>>(outcomes: impl IntoIterator<Item = O>) -> Option<Self> {
        let outcomes: Vec<O> = outcomes.into_iter().collect();
        let outcomes = || outcomes.iter().map(O::borrow);
        let verdict = Verdict::of(&outcomes().map(Outcome::verdict).collect::<Option<Vec<_>>>()?)?;
        let gradients = outcomes().filter_map(|outcome| outcome.evaluation()?.gradient.as_deref());
        let gradients: Vec<&[f64]> = gradients.collect();
        Some(Self { verdict, gradient: mean_of(&gradients) })
    }

    /// A fitness, higher is better; where it is not finite, the candidate has diverged.
    pub fn of(fitness: f64) -> Self {
        let verdict = Fitness::new(fitness).map_or(Verdict::Diverged { episodes: 1 }, Verdict::Fit);
        Self { verdict, gradient: None }
    }

    /// Verdicts for a strategy that wants nothing beside them.
    pub fn without_gradients(verdicts: &[Verdict]) -> Vec<Self> {
        verdicts.iter().map(|&verdict| Self { verdict, gradient: None }).collect()
    }
}

/// The mean of gradients of one length; `None` where there are none.
fn mean_of(gradients: &[&[f64]]) -> Option<Vec<f64>> {
    let (first, others) = gradients.split_first()?;
    let mut means = first.to_vec();
    for gradient in others {
        means.iter_mut().zip(*gradient).for_each(|(sum, value)| *sum += value);
    }
    for (place, value) in means.iter_mut().enumerate() {
        *value = if value.is_finite() {
            *value / gradients.len() as f64
        } else {
            mean(gradients.iter().filter_map(|gradient| gradient.get(place).copied()))
        };
    }
    Some(means)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hebbian_shared::episode::Evaluation;

    fn evaluated(fitness: f64, gradient: &[f64]) -> Outcome {
        let gradient = Some(gradient.to_vec()).filter(|gradient| !gradient.is_empty());
        Outcome::Evaluated(Evaluation { gradient, ..Evaluation::of(Fitness::new(fitness).unwrap()) })
    }

    fn check(outcomes: &[Outcome], expected: Option<(Verdict, Option<&[f64]>)>) {
        let expected =
            expected.map(|(verdict, gradient)| Measured { verdict, gradient: gradient.map(<[f64]>::to_vec) });
        assert_eq!(Measured::of_outcomes(outcomes), expected, "{outcomes:?}");
    }

    #[test]
    fn a_candidate_is_worth_the_means_of_its_episodes() {
        let fit = Verdict::Fit(Fitness::new(1.5).unwrap());
        check(&[evaluated(1.0, &[]), evaluated(2.0, &[])], Some((fit, None)));
        let [a, b] = [evaluated(1.0, &[1.0, -4.0]), evaluated(2.0, &[0.0, 2.0])];
        check(&[a.clone(), b], Some((fit, Some(&[0.5, -1.0]))));
        check(&[a.clone(), Outcome::Diverged], Some((Verdict::Diverged { episodes: 1 }, Some(&[1.0, -4.0]))));
        check(&[Outcome::Diverged], Some((Verdict::Diverged { episodes: 1 }, None)));
        let large = [evaluated(1.0, &[f64::MAX]), evaluated(1.0, &[f64::MAX])];
        check(&large, Some((Verdict::Fit(Fitness::new(1.0).unwrap()), Some(&[f64::MAX]))));
        check(&[a, Outcome::Rejected { reason: String::new() }], None);
        check(&[], None);
    }
}
