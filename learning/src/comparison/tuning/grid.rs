//! Which settings of baselines are tried.

use hebbian_shared::spec::rule::gradient_descent::{HiddenActivation, InitialWeights, Loss, Optimizer};

use crate::comparison::{BaselineSettings, table};

/// Learning rates of a grid, in equal ratios.
const RATES: i32 = 18;

/// Powers of two that the learning rates of known settings are multiplied by: more inputs and more hidden neurons want smaller ones.
const NEAR: std::ops::RangeInclusive<i32> = -5..=1;

/// A set of configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::comparison) enum Grid {
    /// The optimisers with their customary constants, at constant rates.
    Customary,
    /// Besides: momenta and Adam's beta 1 of one half, weights of half of Xavier's size, rates that fall with a power of the updates.
    Thorough,
    /// Those that the program knows as the best for its images at any size, at other learning rates.
    Near,
}

/// Configurations that are ranked among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) kind: Optimizer,
    /// Whether the rates fall.
    pub(super) decays: bool,
}

impl Class {
    /// What tables call its best; with the number of updates that it was tuned for where it is not the best at all.
    pub(super) fn name(self, updates: Option<u32>) -> String {
        let Self { kind, decays } = self;
        let tuned_for = updates.map_or_else(String::new, |updates| format!("@{updates}"));
        format!("{kind}{tuned_for}{}", if decays { " decay" } else { "" })
    }
}

impl Grid {
    /// The classes of some optimisers.
    pub(super) fn classes(self, optimizers: &[Optimizer]) -> Vec<Class> {
        let schedules: &[bool] = match self {
            Self::Customary => &[false],
            Self::Thorough | Self::Near => &[false, true],
        };
        let of_schedule = |&decays: &bool| optimizers.iter().map(move |&kind| Class { kind, decays });
        schedules.iter().flat_map(of_schedule).collect()
    }

    /// All configurations of a class.
    pub(super) fn of(self, class: Class, losses: &[Loss]) -> Vec<BaselineSettings> {
        if self == Self::Near {
            return near(class, losses);
        }
        let Class { kind, decays } = class;
        // Wide enough that the best rate is inside, whatever the other choices (checked by a test).
        let (lowest, highest) = match kind {
            Optimizer::Sgd => (0.02, 40.0),
            Optimizer::Momentum | Optimizer::Nesterov => (0.01, 20.0),
            Optimizer::Adam => (0.004, 1.0),
        };
        let powers: &[Option<f32>] = if decays { &[Some(-0.25), Some(-0.5), Some(-0.75)] } else { &[None] };
        let ratio = libm::log(highest / lowest) / f64::from(RATES - 1);
        let mut grid = Vec::new();
        for step in 0..RATES {
            let learning_rate = (lowest * libm::exp(ratio * f64::from(step))) as f32;
            for &schedule_power in powers {
                for &momentum in self.momenta(kind) {
                    for &initial_weights in self.weights() {
                        for &activation in HiddenActivation::ALL {
                            grid.extend(losses.iter().map(|&loss| BaselineSettings {
                                kind,
                                learning_rate,
                                momentum,
                                schedule_power,
                                initial_weights,
                                activation,
                                loss,
                            }));
                        }
                    }
                }
            }
        }
        grid
    }

    fn momenta(self, kind: Optimizer) -> &'static [Option<f32>] {
        match (self, kind) {
            (Self::Customary, _) | (_, Optimizer::Sgd | Optimizer::Nesterov) => &[None],
            (_, Optimizer::Momentum | Optimizer::Adam) => &[None, Some(0.5)],
        }
    }

    fn weights(self) -> &'static [InitialWeights] {
        use InitialWeights::{He, UniformHalf, UniformOne, Xavier};
        match self {
            Self::Customary => &[UniformHalf, UniformOne, Xavier, He],
            Self::Thorough | Self::Near => InitialWeights::ALL,
        }
    }
}

/// The known configurations of a class at all rates near theirs, each once.
fn near(class: Class, losses: &[Loss]) -> Vec<BaselineSettings> {
    let is_meant = |one: &BaselineSettings| {
        let of = Class { kind: one.kind, decays: one.schedule_power.is_some() };
        of == class && losses.contains(&one.loss)
    };
    let mut grid: Vec<BaselineSettings> = Vec::new();
    for known in table::configurations().filter(is_meant) {
        for power in NEAR {
            let learning_rate = known.learning_rate * libm::exp2f(power as f32);
            let configuration = BaselineSettings { learning_rate, ..known };
            if !grid.contains(&configuration) {
                grid.push(configuration);
            }
        }
    }
    grid
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_grids_are_as_fine_as_promised() {
        for (grid, weights, classes) in [(Grid::Customary, 4, 4), (Grid::Thorough, 5, 8)] {
            let all = grid.classes(Optimizer::ALL);
            assert_eq!(all.len(), classes);
            for class in all {
                let of_class = grid.of(class, Loss::ALL);
                let distinct = |of: &dyn Fn(&BaselineSettings) -> u64| {
                    of_class.iter().map(of).collect::<BTreeSet<_>>().len()
                };
                let number = |value: Option<f32>| value.map_or(0, |value| u64::from(value.to_bits()));
                assert_eq!(distinct(&|one| u64::from(one.learning_rate.to_bits())), 18);
                assert_eq!(distinct(&|one| one.initial_weights as u64), weights);
                assert_eq!(distinct(&|one| one.activation as u64), 2);
                assert_eq!(distinct(&|one| one.loss as u64), 2);
                let has_momenta = matches!(class.kind, Optimizer::Momentum | Optimizer::Adam);
                let momenta = if grid == Grid::Thorough && has_momenta { 2 } else { 1 };
                assert_eq!(distinct(&|one| number(one.momentum)), momenta);
                assert_eq!(distinct(&|one| number(one.schedule_power)), if class.decays { 3 } else { 1 });
                let powers = if class.decays { 3 } else { 1 };
                assert_eq!(of_class.len(), 18 * weights * 2 * 2 * momenta * powers);
            }
        }
    }

    #[test]
    fn near_what_is_known_lies_each_of_it_at_smaller_and_larger_rates() {
        let all: Vec<BaselineSettings> =
            Grid::Near.classes(Optimizer::ALL).into_iter().flat_map(|class| near(class, Loss::ALL)).collect();
        for known in table::configurations() {
            for factor in [1.0 / 32.0, 0.5, 1.0, 2.0] {
                let expected = BaselineSettings { learning_rate: known.learning_rate * factor, ..known };
                assert_eq!(all.iter().filter(|one| **one == expected).count(), 1, "{expected:?}");
            }
        }
        let known = table::configurations().count();
        assert!((4 * known..=7 * known).contains(&all.len()), "{} of {known}", all.len());
        assert!(all.len() < 8640 / 10, "a tenth of the thorough grid");
        let class = Class { kind: Optimizer::Sgd, decays: true };
        assert!(
            near(class, Loss::ALL)
                .iter()
                .all(|one| one.kind == Optimizer::Sgd && one.schedule_power.is_some())
        );
        assert!(near(class, &[Loss::Squared]).iter().all(|one| one.loss == Loss::Squared));
    }
}
