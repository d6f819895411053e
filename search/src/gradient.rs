//! Adam along the gradient that workers measure (D. P. Kingma and J. Ba 2015), with a rate that falls along a cosine (I. Loshchilov
//! and F. Hutter 2017) and decoupled weight decay (the same, 2019). Fitness is maximised.
//!
//! A generation has one candidate, the mean itself; the tasks that it meets are the batch. A task on which it diverged has no
//! gradient: it is left out of the mean of the others', and counted.

use hebbian_shared::fitness::Verdict;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::BlockIndex;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::GradientSpec;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::envelope::{Envelope, Form, check_numbers, unreachable};
use super::stop::reason;
use super::summary::GradientSummary;
use super::{
    Candidate, Frame, Measured, SearchSummary, StopReason, Strategy, StrategyError, Wants, check_count, norm,
};

const FORM: Form = Form { strategy: "gradient", version: 1 };

/// Beyond this the mean, or squares of a gradient, may leave the finite numbers.
const MAGNITUDE_MAX: f64 = 1e100;

/// A mean that climbs along its gradient.
#[derive(Clone, Debug)]
pub struct Gradient {
    settings: GradientSpec,
    state: State,
}

/// What a generation leaves to the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    /// Generations told; the open generation's index.
    generation: u32,
    /// The mean, n numbers.
    mean: Vec<f64>,
    /// What Adam remembers of its gradients.
    adam: Adam,
    /// The norm of the last generation's gradient before it was shortened; 0 where there was none.
    norm: f64,
    /// Tasks of all generations on which the mean diverged.
    diverged: u64,
}

pub(crate) fn start(settings: &GradientSpec, mean: Vec<f64>, _: Seed, _: &Frame) -> Box<dyn Strategy> {
    Box::new(Gradient::new(mean, settings))
}

pub(crate) fn resume(
    settings: &GradientSpec,
    mean: &[f64],
    _: Seed,
    _: &Frame,
    stored: &Envelope,
) -> Result<Box<dyn Strategy>, StrategyError> {
    let state: State = stored.open(FORM)?;
    check_numbers("mean", mean.len(), &state.mean)?;
    state.adam.check(mean.len())?;
    if !state.norm.is_finite() || state.norm < 0.0 {
        return Err(unreachable());
    }
    Ok(Box::new(Gradient { settings: settings.clone(), state }))
}

impl Gradient {
    /// A search that starts from `mean`, a finite point, with the settings of a validated spec. It draws nothing.
    pub fn new(mean: Vec<f64>, settings: &GradientSpec) -> Self {
        let adam = Adam::new(mean.len());
        let state = State { generation: 0, mean, adam, norm: 0.0, diverged: 0 };
        Self { settings: settings.clone(), state }
    }

    /// The learning rate of a generation.
    fn learning_rate(&self, generation: u32) -> f64 {
        let GradientSpec { learning_rate, warm_up, cosine, .. } = self.settings;
        if generation < warm_up {
            return learning_rate * (f64::from(generation) + 1.0) / f64::from(warm_up);
        }
        let Some(cosine) = cosine else { return learning_rate };
        let done = f64::from(generation.min(cosine) - warm_up) / f64::from(cosine - warm_up);
        learning_rate * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done))
    }

    /// Moves the mean along its gradient.
    fn climb(&mut self, gradient: &[f64]) {
        let learning_rate = self.learning_rate(self.state.generation);
        let State { mean, adam, norm: last, .. } = &mut self.state;
        let length = length(gradient);
        *last = length.min(f64::MAX);
        let limit = self.settings.gradient_max;
        // A length beyond the numbers leaves nothing of the gradient.
        let factor = if length > limit { limit / length } else { 1.0 };
        let gradient: Vec<f64> = gradient.iter().map(|value| factor * value).collect();
        let kept = 1.0 - learning_rate * self.settings.weight_decay;
        if kept != 1.0 {
            for x in mean.iter_mut() {
                *x *= kept;
            }
        }
        adam.ascend(mean, &gradient, learning_rate, [self.settings.beta_1, self.settings.beta_2]);
        for x in mean {
            *x = x.clamp(-MAGNITUDE_MAX, MAGNITUDE_MAX);
        }
    }
}

/// The Euclidean length, also where squares leave the numbers.
fn length(v: &[f64]) -> f64 {
    let largest = v.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    if (1e-100..=1e100).contains(&largest) || largest == 0.0 {
        return norm(v);
    }
    largest * v.iter().map(|x| (x / largest) * (x / largest)).sum::<f64>().sqrt()
}

impl Strategy for Gradient {
    fn ask(&self) -> Vec<Candidate> {
        vec![Candidate { genome: self.mean(), block: BlockIndex(0) }]
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        check_count(1, measured.len())?;
        let Measured { verdict, gradient } = &measured[0];
        let dimension = self.state.mean.len();
        match gradient {
            Some(gradient) if gradient.len() == dimension && gradient.iter().all(|g| g.is_finite()) => {
                self.climb(gradient);
            }
            // All tasks have diverged: nothing is known.
            None if verdict.fitness().is_none() => self.state.norm = 0.0,
            _ => {
                let problem =
                    format!("must have a gradient of {dimension} finite numbers beside its fitness");
                return Err(StrategyError::Sample { candidate: 0, problem });
            }
        }
        let state = &mut self.state;
        if let Verdict::Diverged { episodes } = verdict {
            state.diverged = state.diverged.saturating_add(u64::from(*episodes));
        }
        state.generation = state.generation.saturating_add(1);
        Ok(())
    }

    fn wants(&self) -> Wants {
        Wants { gradient: true }
    }

    /// `cosine`: the learning rate has fallen to 0.
    fn stop_reason(&self) -> Option<StopReason> {
        let (cosine, generation) = (self.settings.cosine?, self.state.generation);
        (generation >= cosine).then(|| {
            reason(
                "cosine",
                format!("the learning rate is 0 after {generation} generations (limit {cosine})"),
            )
        })
    }

    fn mean(&self) -> Genome {
        Genome(self.state.mean.clone())
    }

    fn summary(&self) -> SearchSummary {
        let State { generation, mean, norm: last, diverged, .. } = &self.state;
        SearchSummary {
            step_size: self.learning_rate(generation.saturating_sub(1)),
            axis_ratio: 1.0,
            deviation_range: (0.0, 0.0),
            mean_norm: norm(mean),
            mean: mean.clone(),
            gradient: Some(GradientSummary { norm: *last, diverged: *diverged }),
            ..SearchSummary::default()
        }
    }

    fn state(&self) -> Envelope {
        Envelope::seal(FORM, &self.state)
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::fitness::Fitness;

    use super::*;

    fn measured(fitness: f64, gradient: Vec<f64>) -> Measured {
        Measured { verdict: Verdict::Fit(Fitness::new(fitness).unwrap()), gradient: Some(gradient) }
    }

    /// A bowl whose axes are 100 times as steep as each other, its centre at 1, 2, 3.
    fn bowl(x: &[f64]) -> Measured {
        let of = |i: usize| (100f64.powi(i as i32), x[i] - (i as f64 + 1.0));
        let fitness = -(0..x.len()).map(|i| of(i).0 * of(i).1 * of(i).1).sum::<f64>();
        measured(fitness, (0..x.len()).map(|i| -2.0 * of(i).0 * of(i).1).collect())
    }

    #[test]
    fn a_quadratic_is_climbed_to_its_top() {
        let settings = GradientSpec {
            learning_rate: 0.1,
            warm_up: 20,
            cosine: Some(600),
            gradient_max: 1e100,
            ..GradientSpec::default()
        };
        let mut search = Gradient::new(vec![0.0; 3], &settings);
        while search.stop_reason().is_none() {
            search.tell(&[bowl(&search.mean().0)]).unwrap();
        }
        assert_eq!(search.state.generation, 600);
        assert_eq!(search.stop_reason().unwrap().criterion, "cosine");
        for (x, expected) in search.mean().0.iter().zip([1.0, 2.0, 3.0]) {
            assert!((x - expected).abs() < 1e-6, "{:?}", search.mean());
        }
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let rates = |warm_up, cosine| {
            let search = Gradient::new(
                vec![0.0],
                &GradientSpec { learning_rate: 1.0, warm_up, cosine, ..GradientSpec::default() },
            );
            [0, 1, 3, 4, 8, 11, 12, 99]
                .map(|generation| (search.learning_rate(generation) * 1e4).round() / 1e4)
        };
        assert_eq!(rates(4, Some(12)), [0.25, 0.5, 1.0, 1.0, 0.5, 0.0381, 0.0, 0.0]);
        assert_eq!(rates(0, None), [1.0; 8]);
    }

    #[test]
    fn gradients_are_shortened_and_the_mean_decays() {
        // Adam's first step has the rate's length whatever the gradient's; what it remembers has not.
        let settings = GradientSpec { weight_decay: 1.0, learning_rate: 0.5, ..GradientSpec::default() };
        let mut search = Gradient::new(vec![2.0, 2.0], &settings);
        search.tell(&[measured(0.0, vec![3e200, -4e200])]).unwrap();
        let told = search.summary().gradient.unwrap();
        assert!((told.norm / 5e200 - 1.0).abs() < 1e-12 && told.diverged == 0, "{told:?}");
        let mean = search.mean().0;
        assert!((mean[0] - 1.5).abs() < 1e-6 && (mean[1] - 0.5).abs() < 1e-6, "{mean:?}");
        assert!(
            resume(&settings, &[0.0; 2], Seed::new(1).unwrap(), &Frame::default(), &search.state()).is_ok()
        );
    }

    #[test]
    fn tasks_that_diverge_are_counted_and_those_that_do_not_are_followed() {
        let mut search = Gradient::new(vec![0.0], &GradientSpec::default());
        let verdict = Verdict::Diverged { episodes: 3 };
        search.tell(&[Measured { verdict, gradient: Some(vec![0.1]) }]).unwrap();
        assert!(search.mean().0[0] > 0.0);
        let mean = search.mean();
        search.tell(&[Measured { verdict, gradient: None }]).unwrap();
        assert_eq!(search.mean(), mean);
        assert_eq!(search.summary().gradient.unwrap().diverged, 6);
        for gradient in [None, Some(vec![]), Some(vec![f64::NAN])] {
            let told = Measured { gradient, ..measured(1.0, vec![]) };
            let error = search.tell(&[told]).unwrap_err().to_string();
            assert!(error.contains("a gradient of 1 finite numbers"), "{error}");
        }
        assert_eq!(search.state.generation, 2);
    }
}
