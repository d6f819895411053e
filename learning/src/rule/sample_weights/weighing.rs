//! What says how much the examples of a batch count, by the form that the options name.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::spec::rule::sample_weights::WeightForm;

use super::weight::WeightFunction;
use crate::rule::number::Number;

/// What a genome says of examples.
#[derive(Debug)]
pub(super) enum Weighing {
    /// A small network.
    Function(WeightFunction<f32>),
    /// `exp(-q loss)`: q, or q at the beginning and at the horizon.
    Exponential(Vec<f32>),
    /// 1 for the smallest losses: the share of them, and room for their order.
    SmallLoss(f32, Vec<u32>),
}

impl Weighing {
    pub(super) fn new(form: WeightForm) -> Self {
        match form {
            WeightForm::Network => Self::Function(WeightFunction::default()),
            WeightForm::Exponential => Self::Exponential(Vec::new()),
            WeightForm::SmallLoss => Self::SmallLoss(1.0, Vec::new()),
        }
    }

    /// Reads a genome. Whether it has the layout's dimension.
    #[must_use]
    pub(super) fn read(&mut self, layout: &GenomeLayout, genome: &Genome) -> bool {
        match self {
            Self::Function(function) => function.read(layout, genome),
            Self::Exponential(steepness) => {
                let Some(values) = layout.each_parameter("steepness", genome) else { return false };
                steepness.clear();
                steepness.extend(values.map(|value| value as f32));
                true
            }
            Self::SmallLoss(kept, _) => {
                let Some(value) = layout.parameter("kept", genome) else { return false };
                *kept = value as f32;
                true
            }
        }
    }

    /// Writes how much each example counts, before it is normalised.
    #[inline(always)]
    pub(super) fn weigh(&mut self, losses: &[f32], progress: Option<f32>, shares: &mut Vec<f32>) {
        shares.clear();
        match self {
            Self::Function(function) => {
                shares.extend(losses.iter().map(|&loss| function.weight(loss, progress)));
            }
            Self::Exponential(steepness) => {
                let (first, last) = (steepness[0], steepness[steepness.len() - 1]);
                let steepness = first + progress.unwrap_or(0.0) * (last - first);
                shares.extend(losses.iter().map(|&loss| Number::exp(-steepness * loss)));
            }
            Self::SmallLoss(kept, order) => {
                // At least one counts.
                let count = (kept.clamp(0.0, 1.0) * losses.len() as f32).round().max(1.0) as usize;
                order.clear();
                order.extend(0..losses.len() as u32);
                let loss = |place: u32| losses[place as usize];
                order.sort_unstable_by(|&a, &b| loss(a).total_cmp(&loss(b)).then(a.cmp(&b)));
                shares.resize(losses.len(), 0.0);
                order[..count].iter().for_each(|&place| shares[place as usize] = 1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::network::NetworkSpec;
    use hebbian_shared::spec::rule::RuleOptions;
    use hebbian_shared::spec::rule::sample_weights::{SampleWeightsSpec, WeightInputs};

    use super::*;

    /// What losses of 0, 2, 1 and 4 count for a genome of a form.
    fn weighed(form: WeightForm, inputs: WeightInputs, genome: &[f64], progress: Option<f32>) -> Vec<f32> {
        let options = SampleWeightsSpec { form, inputs, ..SampleWeightsSpec::default() };
        let (mut weighing, mut shares) = (Weighing::new(form), Vec::new());
        let layout = options.layout(&NetworkSpec::default());
        assert!(weighing.read(&layout, &Genome(genome.to_vec())));
        assert!(!weighing.read(&layout, &Genome(vec![0.0; 7])));
        weighing.weigh(&[0.0, 2.0, 1.0, 4.0], progress, &mut shares);
        shares
    }

    #[test]
    fn exponential_weights_are_steeper_as_training_goes_on() {
        let genome = [libm::log(0.5), libm::log(2.5)];
        let form = WeightForm::Exponential;
        for (progress, steepness) in [(0.0, 0.5_f64), (0.25, 1.0), (1.0, 2.5)] {
            let found = weighed(form, WeightInputs::LossAndProgress, &genome, Some(progress));
            for (found, loss) in found.into_iter().zip([0.0, 2.0, 1.0, 4.0]) {
                assert!((f64::from(found) - libm::exp(-steepness * loss)).abs() < 1e-6, "{progress} {loss}");
            }
        }
        let alone = weighed(form, WeightInputs::Loss, &[0.0], None);
        assert!((alone[1] - libm::expf(-2.0)).abs() < 1e-6);
    }

    #[test]
    fn the_smallest_losses_count_and_at_least_one() {
        let of = |kept: f64| weighed(WeightForm::SmallLoss, WeightInputs::Loss, &[kept - 1.0], None);
        assert_eq!(of(1.0), [1.0; 4]);
        assert_eq!(of(0.5), [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(of(0.7), [1.0, 1.0, 1.0, 0.0]);
        assert_eq!(of(-1.0), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(of(3.0), [1.0; 4]);
    }
}
