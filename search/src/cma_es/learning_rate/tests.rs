#![expect(clippy::disallowed_methods, reason = "a test's own arithmetic")]
#![expect(clippy::needless_range_loop, reason = "formulas are written with their indices")]

use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::seed::{Seed, normal_pair};
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling};

use super::super::super::{CmaEs, Measured, Strategy as _};
use super::super::parameters::Parameters;

type Matrix = Vec<Vec<f64>>;

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let n = a.len();
    (0..n).map(|i| (0..n).map(|j| (0..n).map(|k| a[i][k] * b[k][j]).sum()).collect()).collect()
}

fn apply(a: &Matrix, v: &[f64]) -> Vec<f64> {
    a.iter().map(|row| row.iter().zip(v).map(|(a, v)| a * v).sum()).collect()
}

fn squared(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum()
}

/// Eigenvalues and `B f(D) B'` of a symmetric matrix, by Jacobi's rotations.
fn spectral(a: &Matrix, f: fn(f64) -> f64) -> (Vec<f64>, Matrix) {
    let n = a.len();
    let mut a = a.clone();
    let mut b: Matrix = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..50 {
        for p in 0..n {
            for q in p + 1..n {
                let angle = 0.5 * (2.0 * a[p][q]).atan2(a[q][q] - a[p][p]);
                let (s, c) = angle.sin_cos();
                for row in [&mut a, &mut b] {
                    for r in row.iter_mut() {
                        (r[p], r[q]) = (c * r[p] - s * r[q], s * r[p] + c * r[q]);
                    }
                }
                for j in 0..n {
                    (a[p][j], a[q][j]) = (c * a[p][j] - s * a[q][j], s * a[p][j] + c * a[q][j]);
                }
            }
        }
    }
    let eigenvalues: Vec<f64> = (0..n).map(|i| a[i][i]).collect();
    let of = |i: usize, j: usize| (0..n).map(|k| b[i][k] * f(eigenvalues[k]) * b[j][k]).sum();
    let matrix = (0..n).map(|i| (0..n).map(|j| of(i, j)).collect()).collect();
    (eigenvalues, matrix)
}

/// LRA-CMA-ES as the paper writes it, with nothing clever.
struct Reference {
    generation: i32,
    mean: Vec<f64>,
    step_size: f64,
    covariance: Matrix,
    step_size_path: Vec<f64>,
    covariance_path: Vec<f64>,
    average_mean: Vec<f64>,
    average_covariance: Vec<f64>,
    power: [f64; 2],
    rates: [f64; 2],
}

impl Reference {
    fn tell(&mut self, p: &Parameters, best_first: &[Vec<f64>]) {
        let n = self.mean.len();
        let old = (self.mean.clone(), self.step_size, self.covariance.clone());
        let steps: Vec<Vec<f64>> = best_first
            .iter()
            .map(|x| x.iter().zip(&self.mean).map(|(x, m)| (x - m) / self.step_size).collect())
            .collect();
        let (_, root) = spectral(&self.covariance, |e| 1.0 / e.sqrt());
        // Plain CMA-ES.
        let step: Vec<f64> =
            (0..n).map(|i| steps.iter().zip(&p.weights).map(|(y, w)| w.max(0.0) * y[i]).sum()).collect();
        for i in 0..n {
            self.mean[i] += self.step_size * step[i];
        }
        let whitened = apply(&root, &step);
        let length = (p.c_sigma * (2.0 - p.c_sigma) * p.mu_eff).sqrt();
        for i in 0..n {
            self.step_size_path[i] = (1.0 - p.c_sigma) * self.step_size_path[i] + length * whitened[i];
        }
        self.generation += 1;
        let norm = squared(&self.step_size_path).sqrt();
        let share = 1.0 - (1.0 - p.c_sigma).powi(2 * self.generation);
        let normal = norm / share.sqrt() < (1.4 + 2.0 / (n as f64 + 1.0)) * p.expected_norm;
        let h = f64::from(u8::from(normal));
        let length = (p.c_c * (2.0 - p.c_c) * p.mu_eff).sqrt();
        for i in 0..n {
            self.covariance_path[i] = (1.0 - p.c_c) * self.covariance_path[i] + h * length * step[i];
        }
        let delta = (1.0 - h) * p.c_c * (2.0 - p.c_c);
        let kept = 1.0 + p.c_1 * delta - p.c_1 - p.c_mu * p.weights.iter().sum::<f64>();
        let mut covariance = self.covariance.clone();
        for i in 0..n {
            for j in 0..n {
                covariance[i][j] =
                    kept * covariance[i][j] + p.c_1 * self.covariance_path[i] * self.covariance_path[j];
                for (y, &w) in steps.iter().zip(&p.weights) {
                    let w = if w < 0.0 { w * n as f64 / squared(&apply(&root, y)) } else { w };
                    covariance[i][j] += p.c_mu * w * y[i] * y[j];
                }
            }
        }
        let step_size = self.step_size * (p.c_sigma / p.d_sigma * (norm / p.expected_norm - 1.0)).exp();
        // The adaptation of learning rates.
        let (old_mean, old_step_size, old_covariance) = old;
        let inverse_root: Matrix =
            root.iter().map(|row| row.iter().map(|r| r / old_step_size).collect()).collect();
        let sigma = |step_size: f64, c: &Matrix| -> Matrix {
            c.iter().map(|row| row.iter().map(|c| step_size * step_size * c).collect()).collect()
        };
        let (old_sigma, new_sigma) = (sigma(old_step_size, &old_covariance), sigma(step_size, &covariance));
        let way: Vec<f64> = self.mean.iter().zip(&old_mean).map(|(m, o)| m - o).collect();
        let change: Matrix =
            (0..n).map(|i| (0..n).map(|j| new_sigma[i][j] - old_sigma[i][j]).collect()).collect();
        let local_way = apply(&inverse_root, &way);
        let local_change: Vec<f64> = product(&inverse_root, &product(&change, &inverse_root))
            .concat()
            .iter()
            .map(|c| c / 2f64.sqrt())
            .collect();
        let mean_rate_before = self.rates[0];
        for (k, (average, local, beta)) in
            [(&mut self.average_mean, &local_way, 0.1), (&mut self.average_covariance, &local_change, 0.03)]
                .into_iter()
                .enumerate()
        {
            for (e, l) in average.iter_mut().zip(local) {
                *e = (1.0 - beta) * *e + beta * l;
            }
            self.power[k] = (1.0 - beta) * self.power[k] + beta * squared(local);
            let (e, v) = (squared(average), self.power[k]);
            let ratio = (e - beta / (2.0 - beta) * v) / (v - e);
            let excess = (ratio / 1.4 / self.rates[k] - 1.0).clamp(-1.0, 1.0);
            self.rates[k] = (self.rates[k] * ((0.1 * self.rates[k]).min(beta) * excess).exp()).min(1.0);
        }
        for i in 0..n {
            self.mean[i] = old_mean[i] + self.rates[0] * way[i];
        }
        let sigma: Matrix = (0..n)
            .map(|i| (0..n).map(|j| old_sigma[i][j] + self.rates[1] * change[i][j]).collect())
            .collect();
        let (eigenvalues, _) = spectral(&sigma, |e| e);
        let logarithms: f64 = eigenvalues.iter().map(|e| e.ln()).sum();
        self.step_size = (logarithms / 2.0 / n as f64).exp();
        for i in 0..n {
            for j in 0..n {
                self.covariance[i][j] = sigma[i][j] / self.step_size.powi(2);
            }
        }
        self.step_size *= mean_rate_before / self.rates[0];
    }
}

#[test]
fn the_trajectory_is_that_of_the_papers_formulas() {
    let n = 5;
    let settings = CmaEsSpec { noise: NoiseHandling::Lra, ..CmaEsSpec::of(9) };
    let mut search = CmaEs::new(vec![1.0; n], &settings, Seed::new(3).unwrap());
    let identity: Matrix = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let mut reference = Reference {
        generation: 0,
        mean: vec![1.0; n],
        step_size: settings.step_size,
        covariance: identity,
        step_size_path: vec![0.0; n],
        covariance_path: vec![0.0; n],
        average_mean: vec![0.0; n],
        average_covariance: vec![0.0; n * n],
        power: [0.0; 2],
        rates: [1.0; 2],
    };
    let mut rng = Seed::new(4).unwrap().rng();
    for generation in 0..120 {
        let candidates = search.ask();
        let value = |x: &[f64]| -> f64 { x.iter().enumerate().map(|(i, x)| (i + 1) as f64 * x * x).sum() };
        let values: Vec<f64> =
            candidates.iter().map(|c| value(&c.genome.0) + 2.0 * normal_pair(&mut rng).0).collect();
        let mut order: Vec<usize> = (0..9).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let best_first: Vec<Vec<f64>> = order.iter().map(|&i| candidates[i].genome.0.clone()).collect();
        reference.tell(search.parameters(), &best_first);
        let verdicts: Vec<Verdict> =
            values.iter().map(|&v| Verdict::Fit(Fitness::new(-v).unwrap())).collect();
        search.tell(&Measured::without_gradients(&verdicts)).unwrap();

        let found = search.distribution();
        let rates = search.rates();
        let mut pairs = vec![
            (found.step_size, reference.step_size),
            (rates.0, reference.rates[0]),
            (rates.1, reference.rates[1]),
        ];
        pairs.extend(found.mean.iter().copied().zip(reference.mean.iter().copied()));
        let lower = (0..n).flat_map(|j| (j..n).map(move |i| (i, j)));
        pairs.extend(found.covariance.iter().zip(lower).map(|(&c, (i, j))| (c, reference.covariance[i][j])));
        for (found, expected) in pairs {
            let tolerance = 1e-9 * expected.abs().max(1e-2);
            assert!((found - expected).abs() < tolerance, "generation {generation}: {found}, not {expected}");
        }
    }
    assert!(reference.rates[0] < 0.5 && reference.rates[1] < 0.5, "{:?}", reference.rates);
}

/// What an integer's mean moves by is wide; what the rates adapt by is not.
#[test]
fn a_wide_integer_counts_as_the_others_do() {
    use crate::cma_es::learning_rate::{BETA_MEAN, Before, LearningRates, State};

    let (step, factors) = ([0.3, -0.7], vec![4.0, 1.0]);
    let wide: Vec<f64> = (0..2).map(|i| 0.5 * factors[i] * step[i]).collect();
    let mut state = State { factors, ..State::new(wide.clone(), 0.5) };
    let mut rates = LearningRates::new(2);
    let before = Before { mean: vec![0.0; 2], step_size: 0.5, covariance: state.covariance.clone() };
    rates.moderate(&before, &mut state);
    for i in 0..2 {
        assert!((rates.mean.average[i] - BETA_MEAN * step[i]).abs() < 1e-15);
        assert!((state.mean[i] - rates.rates().0 * wide[i]).abs() < 1e-15);
    }
}
