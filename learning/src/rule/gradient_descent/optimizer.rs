//! From a gradient to a step.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use super::{BaselineKind, Configuration};

const MOMENTUM: f32 = 0.9;
const ADAM_BETA_1: f32 = 0.9;
const ADAM_BETA_2: f32 = 0.999;
const ADAM_EPSILON: f32 = 1e-8;

/// An optimiser and what it remembers of earlier gradients.
pub(super) struct Optimizer {
    kind: BaselineKind,
    learning_rate: f32,
    /// Momentum's velocity or Adam's mean of the gradient.
    first: Vec<f32>,
    /// Adam's mean of the squared gradient.
    second: Vec<f32>,
    /// Powers of Adam's betas, which correct the bias of young means.
    beta_1_power: f32,
    beta_2_power: f32,
}

impl Optimizer {
    pub(super) fn new(configuration: Configuration, parameters: usize) -> Self {
        let kind = configuration.kind;
        let memory = |needed: bool| vec![0.0; if needed { parameters } else { 0 }];
        Self {
            kind,
            learning_rate: configuration.learning_rate,
            first: memory(kind != BaselineKind::Sgd),
            second: memory(kind == BaselineKind::Adam),
            beta_1_power: 1.0,
            beta_2_power: 1.0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.beta_1_power = 1.0;
        self.beta_2_power = 1.0;
    }

    #[inline(always)]
    pub(super) fn step(&mut self, parameters: &mut [f32], gradient: &[f32]) {
        let rate = self.learning_rate;
        match self.kind {
            BaselineKind::Sgd => {
                for (parameter, slope) in parameters.iter_mut().zip(gradient) {
                    *parameter -= rate * slope;
                }
            }
            BaselineKind::Momentum => {
                for ((parameter, velocity), slope) in parameters.iter_mut().zip(&mut self.first).zip(gradient)
                {
                    *velocity = MOMENTUM * *velocity + slope;
                    *parameter -= rate * *velocity;
                }
            }
            BaselineKind::Adam => {
                self.beta_1_power *= ADAM_BETA_1;
                self.beta_2_power *= ADAM_BETA_2;
                let (unbias_1, unbias_2) = (1.0 / (1.0 - self.beta_1_power), 1.0 / (1.0 - self.beta_2_power));
                let moments = self.first.iter_mut().zip(&mut self.second);
                for ((parameter, (mean, square)), slope) in parameters.iter_mut().zip(moments).zip(gradient) {
                    *mean = ADAM_BETA_1 * *mean + (1.0 - ADAM_BETA_1) * slope;
                    *square = ADAM_BETA_2 * *square + (1.0 - ADAM_BETA_2) * slope * slope;
                    *parameter -= rate * (*mean * unbias_1) / ((*square * unbias_2).sqrt() + ADAM_EPSILON);
                }
            }
        }
    }
}
