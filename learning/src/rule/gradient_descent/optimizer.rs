//! From a gradient to a step.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::spec::rule::gradient_descent::Optimizer;

const ADAM_EPSILON: f32 = 1e-8;

/// What a genome stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Hyperparameters {
    pub(super) learning_rate: f32,
    /// What is kept of the mean of the gradient: momentum, or Adam's first beta.
    pub(super) mean_keep: f32,
    /// What is kept of the mean of the squared gradient: Adam's second beta.
    pub(super) square_keep: f32,
    /// The learning rate of update t, from 0 on, is `learning_rate (1 + t)^schedule_power`.
    pub(super) schedule_power: Option<f64>,
}

impl Hyperparameters {
    /// `None` if the genome has another dimension than the layout.
    pub(super) fn read(optimizer: Optimizer, layout: &GenomeLayout, genome: &Genome) -> Option<Self> {
        let parameter = |name| Some(layout.parameter(name, genome)? as f32);
        let learning_rate = parameter("learning_rate")?;
        let (mean_keep, square_keep) = match optimizer {
            Optimizer::Sgd => (0.0, 0.0),
            Optimizer::Momentum | Optimizer::Nesterov => (parameter("momentum")?, 0.0),
            Optimizer::Adam => (parameter("beta_1")?, parameter("beta_2")?),
        };
        let schedule_power = layout.parameter("schedule_power", genome);
        Some(Self { learning_rate, mean_keep, square_keep, schedule_power })
    }

    /// The learning rate of an update, from 0 on.
    fn rate(&self, update: u32) -> f32 {
        let Some(power) = self.schedule_power else { return self.learning_rate };
        (f64::from(self.learning_rate) * libm::pow(1.0 + f64::from(update), power)) as f32
    }
}

/// An optimiser and what it remembers of earlier gradients.
pub(super) struct Descent {
    optimizer: Optimizer,
    /// Momentum's velocity or Adam's mean of the gradient.
    first: Vec<f32>,
    /// Adam's mean of the squared gradient.
    second: Vec<f32>,
    /// Powers of Adam's betas, which correct the bias of young means.
    mean_power: f32,
    square_power: f32,
    /// Steps since the reset.
    steps: u32,
}

impl Descent {
    pub(super) fn new(optimizer: Optimizer, parameters: usize) -> Self {
        let memory = |needed: bool| vec![0.0; if needed { parameters } else { 0 }];
        Self {
            optimizer,
            first: memory(optimizer != Optimizer::Sgd),
            second: memory(optimizer == Optimizer::Adam),
            mean_power: 1.0,
            square_power: 1.0,
            steps: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.mean_power = 1.0;
        self.square_power = 1.0;
        self.steps = 0;
    }

    #[inline(always)]
    pub(super) fn step(&mut self, of: &Hyperparameters, parameters: &mut [f32], gradient: &[f32]) {
        let &Hyperparameters { mean_keep, square_keep, .. } = of;
        let rate = of.rate(self.steps);
        self.steps = self.steps.saturating_add(1);
        match self.optimizer {
            Optimizer::Sgd => {
                for (parameter, slope) in parameters.iter_mut().zip(gradient) {
                    *parameter -= rate * slope;
                }
            }
            Optimizer::Momentum => {
                for ((parameter, velocity), slope) in parameters.iter_mut().zip(&mut self.first).zip(gradient)
                {
                    *velocity = mean_keep * *velocity + slope;
                    *parameter -= rate * *velocity;
                }
            }
            Optimizer::Nesterov => {
                for ((parameter, velocity), slope) in parameters.iter_mut().zip(&mut self.first).zip(gradient)
                {
                    *velocity = mean_keep * *velocity + slope;
                    *parameter -= rate * (slope + mean_keep * *velocity);
                }
            }
            Optimizer::Adam => {
                self.mean_power *= mean_keep;
                self.square_power *= square_keep;
                let (unbias_1, unbias_2) = (1.0 / (1.0 - self.mean_power), 1.0 / (1.0 - self.square_power));
                let moments = self.first.iter_mut().zip(&mut self.second);
                for ((parameter, (mean, square)), slope) in parameters.iter_mut().zip(moments).zip(gradient) {
                    *mean = mean_keep * *mean + (1.0 - mean_keep) * slope;
                    *square = square_keep * *square + (1.0 - square_keep) * slope * slope;
                    *parameter -= rate * (*mean * unbias_1) / ((*square * unbias_2).sqrt() + ADAM_EPSILON);
                }
            }
        }
    }
}
