//! What measuring a candidate gave.

use std::borrow::Borrow;

use hebbian_shared::episode::Outcome;
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
        let (mut verdicts, mut sum, mut gradients) = (Vec::new(), None::<Vec<f64>>, 0_u32);
        for outcome in outcomes {
            let outcome = outcome.borrow();
            verdicts.push(outcome.verdict()?);
            let Some(gradient) = outcome.evaluation().and_then(|found| found.gradient.as_deref()) else {
                continue;
            };
            gradients += 1;
            match &mut sum {
                Some(sum) => sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value),
                None => sum = Some(gradient.to_vec()),
            }
        }
        let count = verdicts.len() as u32;
        let verdict = Verdict::of(verdicts)?;
        let Some(mut gradient) = sum else { return Some(Self { verdict, gradient: None }) };
        for value in &mut gradient {
            *value /= f64::from(gradients);
        }
        // As with the fitness: a sum that leaves the finite numbers is as good as diverged.
        Some(if gradient.iter().all(|value| value.is_finite()) {
            Self { verdict, gradient: Some(gradient) }
        } else {
            Self { verdict: Verdict::Diverged { episodes: count }, gradient: None }
        })
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
        check(&large, Some((Verdict::Diverged { episodes: 2 }, None)));
        check(&[a, Outcome::Rejected { reason: String::new() }], None);
        check(&[], None);
    }
}
