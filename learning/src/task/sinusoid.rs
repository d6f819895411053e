//! Sine waves over a line: the regression of MAML (Finn et al. 2017), scaled to numbers of about one.

use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, index_below, permutation, uniform_between};
use hebbian_shared::spec::task::{SinusoidSpec, TaskSpec};

use super::{Task, TaskDistribution, TaskError, TaskSizes};

/// `y = amplitude sin(5 x + phase)`, x uniform in -1 .. 1.
const FREQUENCY: f64 = 5.0;
const PHASE: [f64; 2] = [0.0, std::f64::consts::PI];

pub(super) struct SinusoidDistribution {
    sizes: TaskSizes,
    options: SinusoidSpec,
}

impl SinusoidDistribution {
    pub(super) fn new(spec: &TaskSpec) -> Self {
        let [support, query] = [spec.batch_size, spec.query_size].map(|size| size as usize);
        let options = spec.sinusoid;
        Self { sizes: TaskSizes { inputs: 1, outputs: 1, support, query }, options }
    }
}

/// A wave at an angle.
pub fn wave(amplitude: f64, phase: f64, angle: f64) -> f64 {
    amplitude * libm::sin(angle + phase)
}

impl TaskDistribution for SinusoidDistribution {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let mut rng = seed.derive(Purpose::Task, 0).rng();
        let mut interval = [-1.0, 1.0];
        if self.options.disjoint {
            let waves = self.options.waves();
            let wave = waves.start + index_below(&mut rng, waves.end - waves.start);
            let fixed = Seed::from_small(self.options.seed).derive(Purpose::FixedFunctions, 0);
            let place = permutation(&mut fixed.rng(), SinusoidSpec::WAVES)[wave as usize];
            // Half of a tenth of the line.
            let from = f64::from(place) / 5.0 - 1.0;
            interval = [from, from + 0.1];
            rng = fixed.derive(Purpose::Task, u64::from(wave)).rng();
        }
        let amplitudes = [self.options.amplitude_low, self.options.amplitude_high];
        let [amplitude, phase] = [amplitudes, PHASE].map(|[low, high]| uniform_between(&mut rng, low, high));
        Ok(Box::new(Sinusoid { amplitude, phase, interval, sizes: self.sizes, seed }))
    }
}

struct Sinusoid {
    amplitude: f64,
    phase: f64,
    interval: [f64; 2],
    sizes: TaskSizes,
    seed: Seed,
}

impl Sinusoid {
    fn fill(&self, rng: &mut ChaCha8Rng, inputs: &mut [f32], targets: &mut [f32]) {
        for (input, target) in inputs.iter_mut().zip(targets) {
            *input = uniform_between(rng, self.interval[0], self.interval[1]) as f32;
            // Of the rounded point, which is what the network sees.
            *target = wave(self.amplitude, self.phase, FREQUENCY * f64::from(*input)) as f32;
        }
    }
}

impl Task for Sinusoid {
    fn sizes(&self) -> TaskSizes {
        self.sizes
    }

    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]) {
        assert_eq!((inputs.len(), targets.len()), (self.sizes.support, self.sizes.support));
        self.fill(&mut self.seed.derive(Purpose::Support, u64::from(update)).rng(), inputs, targets);
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        assert_eq!((inputs.len(), targets.len()), (self.sizes.query, self.sizes.query));
        self.fill(&mut self.seed.derive(Purpose::Query, 0).rng(), inputs, targets);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's own arithmetic")]
mod tests {
    use hebbian_shared::spec::task::TaskFamily;

    use super::*;

    #[test]
    fn tasks_are_waves_of_one_amplitude_and_phase() {
        let spec = TaskSpec { batch_size: 500, ..TaskSpec::of(vec![TaskFamily::Sinusoid]) };
        let distribution = SinusoidDistribution::new(&spec);
        let mut amplitudes = Vec::new();
        for number in 0..40 {
            let task = distribution.sample(Seed::new(number).unwrap()).unwrap();
            let (mut inputs, mut targets) = (vec![0.0; 500], vec![0.0; 500]);
            task.support(number as u32, &mut inputs, &mut targets);
            assert!(inputs.iter().all(|x| (-1.0..=1.0).contains(x)));
            // a sin(5 x + p) = (a cos p) sin 5 x + (a sin p) cos 5 x: two numbers explain all points.
            let waves = |&x: &f32| (5.0 * f64::from(x)).sin_cos();
            let (mut ss, mut sc, mut cc, mut sy, mut cy) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for ((s, c), &y) in inputs.iter().map(waves).zip(&targets) {
                let y = f64::from(y);
                (ss, sc, cc, sy, cy) = (ss + s * s, sc + s * c, cc + c * c, sy + s * y, cy + c * y);
            }
            let determinant = ss * cc - sc * sc;
            let (a, b) = ((sy * cc - cy * sc) / determinant, (cy * ss - sy * sc) / determinant);
            let wrong = inputs.iter().map(waves).zip(&targets);
            assert!(wrong.map(|((s, c), &y)| (a * s + b * c - f64::from(y)).abs()).all(|wrong| wrong < 1e-6));
            assert!(b > -1e-6, "a phase from 0 to pi");
            amplitudes.push(a.hypot(b));
        }
        assert!(amplitudes.iter().all(|amplitude| (0.1..=1.0).contains(&((amplitude * 1e6).round() / 1e6))));
        assert!(amplitudes.iter().any(|&amplitude| amplitude < 0.4) && amplitudes.iter().any(|&a| a > 0.7));
    }

    #[test]
    fn disjoint_waves_are_told_by_where_they_are() {
        let options = SinusoidSpec { disjoint: true, ..SinusoidSpec::default() };
        let spec = TaskSpec { batch_size: 20, sinusoid: options, ..TaskSpec::of(vec![TaskFamily::Sinusoid]) };
        let places = |spec: &TaskSpec| {
            let distribution = SinusoidDistribution::new(spec);
            let mut found = std::collections::BTreeMap::new();
            for number in 0..80 {
                let task = distribution.sample(Seed::new(number).unwrap()).unwrap();
                let (mut inputs, mut targets) = (vec![0.0; 20], vec![0.0; 20]);
                task.support(0, &mut inputs, &mut targets);
                let place = ((f64::from(inputs[0]) + 1.0) * 5.0).floor() as u32;
                let from = f64::from(place) / 5.0 - 1.0;
                assert!(inputs.iter().all(|&x| (from - 1e-6..from + 0.1 + 1e-6).contains(&f64::from(x))));
                let draws = found.entry(place).or_insert_with(Vec::new);
                draws.extend(inputs.into_iter().zip(targets));
            }
            found
        };
        let (known, unseen) = (places(&spec), places(&spec.unseen().unwrap()));
        assert_eq!((known.len(), unseen.len()), (6, 4));
        assert!(known.keys().all(|place| !unseen.contains_key(place)));
        // All tasks over an interval have the same wave: neighbours have nearly the same target.
        for points in known.into_values() {
            let mut points = points;
            points.sort_by(|x, y| x.0.total_cmp(&y.0));
            assert!(
                points
                    .windows(2)
                    .all(|pair| (pair[0].1 - pair[1].1).abs() <= 5.1 * (pair[1].0 - pair[0].0) + 1e-6)
            );
        }
    }
}
