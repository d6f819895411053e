//! The (1 + lambda)-ES with a success rule (I. Rechenberg 1973): the simplest search that adapts anything. The rule's constants are those
//! of the (1 + lambda)-CMA-ES (C. Igel, N. Hansen and S. Roth 2007). Fitness is maximised.
//!
//! The parent is measured again in every generation, beside its children and on the same tasks: a lucky one does not stay for
//! ever, and fitnesses of different generations are never compared.

use hebbian_shared::fitness::Verdict;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::BlockIndex;
use hebbian_shared::seed::{Purpose, Seed, fill_normal};
use hebbian_shared::spec::strategy::OnePlusLambdaSpec;
use serde::{Deserialize, Serialize};

use super::envelope::{Envelope, Form, check_numbers, unreachable};
use super::stop::{deviations_grew, deviations_vanished, without_effect};
use super::{
    Candidate, Frame, Measured, SearchSummary, StopReason, Strategy, StrategyError, norm, verdicts_of,
};

const FORM: Form = Form { strategy: "one-plus-lambda", version: 1 };

/// Between these, samples are numbers to compute with.
const STEP_SIZE_RANGE: (f64, f64) = (1e-120, 1e100);

/// A parent and its children, the best of which takes its place. The step size grows while many children are better than the
/// parent, and shrinks while few are.
#[derive(Clone, Debug)]
pub struct OnePlusLambda {
    settings: OnePlusLambdaSpec,
    seed: Seed,
    state: State,
}

/// What a generation leaves to the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    /// Generations told; the open generation's index.
    generation: u32,
    /// The parent, n numbers.
    parent: Vec<f64>,
    /// sigma.
    step_size: f64,
    /// The share of children that were better than their parent, older ones counting less.
    success_rate: f64,
}

pub(crate) fn start(
    settings: &OnePlusLambdaSpec,
    mean: Vec<f64>,
    seed: Seed,
    _: &Frame,
) -> Box<dyn Strategy> {
    Box::new(OnePlusLambda::new(mean, settings, seed))
}

pub(crate) fn resume(
    settings: &OnePlusLambdaSpec,
    mean: &[f64],
    seed: Seed,
    _: &Frame,
    stored: &Envelope,
) -> Result<Box<dyn Strategy>, StrategyError> {
    let state: State = stored.open(FORM)?;
    check_numbers("parent", mean.len(), &state.parent)?;
    let (smallest, largest) = STEP_SIZE_RANGE;
    if !(smallest..=largest).contains(&state.step_size) || !(0.0..=1.0).contains(&state.success_rate) {
        return Err(unreachable());
    }
    Ok(Box::new(OnePlusLambda { settings: settings.clone(), seed, state }))
}

impl OnePlusLambda {
    /// A search that starts from `mean`, a finite point, with the settings of a validated spec.
    pub fn new(mean: Vec<f64>, settings: &OnePlusLambdaSpec, seed: Seed) -> Self {
        let success_rate = target_rate(f64::from(settings.population_size - 1));
        let state = State { generation: 0, parent: mean, step_size: settings.step_size, success_rate };
        Self { settings: settings.clone(), seed, state }
    }

    /// Lambda.
    fn children(&self) -> f64 {
        f64::from(self.settings.population_size - 1)
    }

    /// The success rule: takes note of how many children were better than their parent.
    fn adapt_step_size(&mut self, successes: usize) {
        let (lambda, n) = (self.children(), self.state.parent.len() as f64);
        let target = target_rate(lambda);
        let memory = target * lambda / (2.0 + target * lambda);
        let damping = 1.0 + n / (2.0 * lambda);
        let State { step_size, success_rate, .. } = &mut self.state;
        *success_rate = (1.0 - memory) * *success_rate + memory * successes as f64 / lambda;
        *step_size *= libm::exp((*success_rate - target) / (1.0 - target) / damping);
        *step_size = step_size.clamp(STEP_SIZE_RANGE.0, STEP_SIZE_RANGE.1);
    }
}

/// The share of better children at which the step size is right: two elevenths of one child, fewer of many.
fn target_rate(lambda: f64) -> f64 {
    1.0 / (5.0 + lambda.sqrt() / 2.0)
}

impl Strategy for OnePlusLambda {
    fn ask(&self) -> Vec<Candidate> {
        let State { generation, parent, step_size, .. } = &self.state;
        let mut rng = self.seed.derive(Purpose::Sampling, u64::from(*generation)).rng();
        let child = |_| {
            let mut child = vec![0.0; parent.len()];
            fill_normal(&mut rng, &mut child);
            child.iter_mut().zip(parent).for_each(|(z, x)| *z = x + step_size * *z);
            Genome(child)
        };
        let children: Vec<Genome> = (1..self.settings.population_size).map(child).collect();
        let genomes = std::iter::once(Genome(parent.clone())).chain(children);
        genomes.map(|genome| Candidate { genome, block: BlockIndex(0) }).collect()
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        let verdicts = verdicts_of(self.settings.population_size as usize, measured)?;
        // Where all have diverged, nothing is known.
        if verdicts.iter().any(|verdict| verdict.is_ranked()) {
            // How often one has diverged is no difference.
            let worth = |verdict: &Verdict| Some(*verdict).filter(|verdict| verdict.is_ranked());
            let (parent, children) = (worth(&verdicts[0]), &verdicts[1..]);
            let successes = children.iter().filter(|child| worth(child) > parent).count();
            // Of equals the first; an equal child proves nothing, so its parent stays.
            let best = (0..verdicts.len()).rev().max_by_key(|&candidate| worth(&verdicts[candidate]));
            if let Some(best) = best.filter(|_| successes > 0) {
                self.state.parent = self.ask().swap_remove(best).genome.0;
            }
            self.adapt_step_size(successes);
        }
        self.state.generation = self.state.generation.saturating_add(1);
        Ok(())
    }

    fn stop_reason(&self) -> Option<StopReason> {
        let (step_size, initial) = (self.state.step_size, self.settings.step_size);
        deviations_vanished(step_size, initial)
            .or_else(|| deviations_grew(step_size / initial))
            .or_else(|| without_effect(&self.state.parent, std::iter::repeat(step_size)))
    }

    /// The parent.
    fn mean(&self) -> Genome {
        Genome(self.state.parent.clone())
    }

    fn summary(&self) -> SearchSummary {
        let State { parent, step_size, .. } = &self.state;
        SearchSummary {
            step_size: *step_size,
            axis_ratio: 1.0,
            deviation_range: (*step_size, *step_size),
            mean_norm: norm(parent),
            mean: parent.clone(),
            deviations: vec![*step_size],
            ..SearchSummary::default()
        }
    }

    fn state(&self) -> Envelope {
        Envelope::seal(FORM, &self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(population_size: u32) -> OnePlusLambda {
        let settings = OnePlusLambdaSpec::of(population_size);
        OnePlusLambda::new(vec![1.0; 5], &settings, Seed::new(2).unwrap())
    }

    fn tell(search: &mut OnePlusLambda, value: impl Fn(&[f64]) -> f64) {
        let measured: Vec<Measured> =
            search.ask().iter().map(|candidate| Measured::of(value(&candidate.genome.0))).collect();
        search.tell(&measured).unwrap();
    }

    /// Rechenberg's theory: the sphere in n dimensions costs about n evaluations for each e-fold of the step size's loss.
    #[test]
    fn the_sphere_is_descended_at_the_rate_of_theory() {
        for population_size in [2, 9] {
            let mut search = search(population_size);
            let mut evaluations = 0;
            while norm(&search.mean().0) > 1e-6 {
                tell(&mut search, |x| -norm(x));
                evaluations += population_size;
                assert!(evaluations < 5000, "{population_size} candidates");
            }
            assert!(search.state.step_size < 1e-5);
            assert_eq!(search.stop_reason(), None);
        }
    }

    #[test]
    fn the_parent_is_asked_again_and_gives_way_to_a_better_child_only() {
        let mut search = search(4);
        assert_eq!(search.ask()[0].genome, search.mean());
        let children = search.ask();
        let told = |fitnesses: [f64; 4]| fitnesses.map(Measured::of);
        search.tell(&told([1.0, 1.0, f64::NAN, 0.0])).unwrap();
        assert_eq!(search.mean(), children[0].genome);
        assert!(search.state.step_size < 0.5);
        let children = search.ask();
        search.tell(&told([1.0, 2.0, 3.0, 3.0])).unwrap();
        assert_eq!(search.mean(), children[2].genome);
        let (children, step_size) = (search.ask(), search.state.step_size);
        search.tell(&told([f64::NAN, 2.0, f64::NAN, 1.0])).unwrap();
        assert_eq!(search.mean(), children[1].genome);
        assert!(search.state.step_size > step_size);
    }

    #[test]
    fn a_plateau_ends_the_search_and_a_slope_keeps_its_numbers_finite() {
        let mut flat = search(3);
        while flat.stop_reason().is_none() {
            tell(&mut flat, |_| 1.0);
            assert!(flat.state.generation < 5000);
        }
        let mut slope = search(3);
        for _ in 0..5000 {
            tell(&mut slope, |x| x[0]);
        }
        assert!(slope.ask().iter().all(|c| c.genome.0.iter().all(|x| x.is_finite())));
    }
}
