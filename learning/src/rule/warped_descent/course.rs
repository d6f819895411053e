//! The gradient of a genome through the courses that weights take.
//!
//! An update is `theta' = theta - rate g(theta, phi)`, with g the gradient of the batch's loss by the weights and phi the warps. If
//! `lambda` is the gradient by theta' then, with v = rate lambda, the gradient by theta is lambda - (d g / d theta)^T v, and the part of
//! phi is -(d g / d phi)^T v. Both are slopes, along v, of the gradients by theta and phi (second derivatives may be taken in
//! either order), so one pass with [`Dual`] numbers gives them: exact, at the cost of a few passes for each update.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::rule::warped_descent::WarpedDescentSpec;
use hebbian_shared::spec::strategy::Estimator;

use super::{Form, Network, Parameters, descend, start};
use crate::rule::loss::Descended;
use crate::rule::number::{Dual, Number, all_finite};
use crate::rule::{Differentiable, ExampleBatch, Lesson, Networks, Rule, Shape};

/// A rule in f64 that keeps the course of its weights.
pub struct Course {
    options: WarpedDescentSpec,
    /// Of what [`Differentiable::walk_back`] gives.
    estimator: Estimator,
    layout: GenomeLayout,
    /// Slope of each parameter by its search value.
    slopes: Vec<f64>,
    parameters: Parameters<f64>,
    networks: Networks<Travelled>,
    is_recorded: bool,
}

/// A network with its weights and what is needed to walk back.
struct Travelled {
    network: Network<f64>,
    duals: Network<Dual<f64>>,
    weights: Vec<f64>,
    gradient: Vec<f64>,
    /// Weights before each update.
    course: Vec<f64>,
    /// Weights and parameters with the direction along which slopes are taken, and gradients with their slopes.
    along: Vec<Dual<f64>>,
    fixed: Vec<Dual<f64>>,
    of_weights: Vec<Dual<f64>>,
    of_parameters: Vec<Dual<f64>>,
}

impl Travelled {
    fn new(form: &Form) -> Self {
        Self {
            network: Network::new(form.clone()),
            duals: Network::new(form.clone()),
            weights: Vec::new(),
            gradient: vec![0.0; form.weight_count()],
            course: Vec::new(),
            along: Vec::new(),
            fixed: Vec::new(),
            of_weights: Vec::new(),
            of_parameters: Vec::new(),
        }
    }

    /// The loss of a batch at some weights. Adds `weight` times its gradient by them to `lambda`, and by the parameters to `sum`.
    fn add_gradient(
        &mut self,
        (weights, parameters): (&[f64], &[f64]),
        batch: &ExampleBatch<'_>,
        (descended, weight): (Descended, f64),
        (lambda, sum): (&mut [f64], &mut [f64]),
    ) -> f64 {
        let mut of_parameters = vec![0.0; parameters.len()];
        self.network.forward(weights, parameters, batch.inputs);
        let loss = self.network.measure(descended, batch.targets);
        self.network.backward(weights, parameters, &mut self.gradient, Some(&mut of_parameters));
        add(lambda, weight, &self.gradient);
        add(sum, weight, &of_parameters);
        loss
    }

    /// Takes an update back: `lambda` becomes the gradient by the weights before it, and the part of the parameters is added to
    /// `sum`.
    fn undo<I: Number>(
        &mut self,
        (weights, parameters): (&[f64], &[f64]),
        (inputs, targets): (&[I], &[I]),
        descended: Descended,
        (lambda, sum): (&mut [f64], &mut [f64]),
    ) {
        let form = self.network.form();
        self.along.clear();
        for layer in 0..form.depth() {
            let rate = parameters[form.rate(layer)];
            let pairs = form.weights(layer).map(|place| Dual::new(weights[place], rate * lambda[place]));
            self.along.extend(pairs);
        }
        self.fixed.clear();
        self.fixed.extend(parameters.iter().map(|&parameter| Dual::of(parameter)));
        self.of_weights.resize(weights.len(), Dual::of(0.0));
        self.of_parameters.clear();
        self.of_parameters.resize(parameters.len(), Dual::of(0.0));
        self.duals.forward(&self.along, &self.fixed, inputs);
        self.duals.measure(descended, targets);
        self.duals.backward(&self.along, &self.fixed, &mut self.of_weights, Some(&mut self.of_parameters));
        for layer in 0..form.depth() {
            for place in form.weights(layer) {
                sum[form.rate(layer)] -= lambda[place] * self.of_weights[place].number;
            }
        }
        for (lambda, gradient) in lambda.iter_mut().zip(&self.of_weights) {
            *lambda -= gradient.slope;
        }
        for (sum, gradient) in sum.iter_mut().zip(&self.of_parameters) {
            *sum -= gradient.slope;
        }
    }
}

/// `sum += factor * values`
fn add(sum: &mut [f64], factor: f64, values: &[f64]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

impl Course {
    /// Of a genome's layout.
    pub fn new(options: WarpedDescentSpec, estimator: Estimator, layout: GenomeLayout) -> Self {
        Self {
            options,
            estimator,
            layout,
            slopes: Vec::new(),
            parameters: Parameters::default(),
            networks: Networks::new(),
            is_recorded: false,
        }
    }

    /// The trajectory objective (eq. 11) of one task at points of its course: the mean over them of the loss of another batch after
    /// one more update on the point's batch, with its gradient by the genome, which is added to `gradient`. Weights of the course
    /// are constants. With `first_order` (eq. 12) the updated weights are, too.
    pub fn trajectory<I: Number>(
        &self,
        layers: &[usize],
        points: &[TrajectoryPoint<'_, I>],
        first_order: bool,
        gradient: &mut [f64],
    ) -> f64 {
        let descended = self.options.loss.into();
        let form = Form { options: self.options, layers: layers.to_vec() };
        let mut at = Travelled::new(&form);
        let parameters = &self.parameters.0;
        let mut sum = vec![0.0; parameters.len()];
        let share = 1.0 / points.len() as f64;
        let mut total = 0.0;
        for point in points {
            at.network.forward(point.weights, parameters, point.support.0);
            at.network.measure(descended, point.support.1);
            at.network.backward(point.weights, parameters, &mut at.gradient, None);
            let mut weights = point.weights.to_vec();
            descend(&form, parameters, &at.gradient, &mut weights);
            let (mut lambda, mut direct) = (vec![0.0; weights.len()], vec![0.0; parameters.len()]);
            at.network.forward(&weights, parameters, point.query.0);
            total += share * at.network.measure(descended, point.query.1);
            at.network.backward(&weights, parameters, &mut lambda, Some(&mut direct));
            if !first_order {
                at.undo((point.weights, parameters), point.support, descended, (&mut lambda, &mut direct));
            }
            add(&mut sum, share, &direct);
        }
        self.add_to(gradient, &sum);
        total
    }

    /// From the gradient by parameters to that by search values.
    fn add_to(&self, gradient: &mut [f64], of_parameters: &[f64]) {
        for ((gradient, slope), value) in gradient.iter_mut().zip(&self.slopes).zip(of_parameters) {
            *gradient += slope * value;
        }
    }
}

/// The direction of the simplified Leap (Flennerhag et al. 2019), of which a start descends: the sum over a course's steps of each over
/// its length.
pub fn leap<'a>(course: impl Iterator<Item = &'a [f64]> + Clone) -> Vec<f64> {
    let mut direction = Vec::new();
    for (from, to) in course.clone().zip(course.skip(1)) {
        direction.resize(from.len(), 0.0);
        let step: Vec<f64> = from.iter().zip(to).map(|(x, y)| x - y).collect();
        let length = step.iter().map(|x| x * x).sum::<f64>().sqrt();
        add(&mut direction, 1.0 / (length + 1e-9), &step);
    }
    direction
}

/// A point of a course: weights, the batch of the update that follows, and the batch that is measured after it; inputs and targets.
#[derive(Clone, Copy, Debug)]
pub struct TrajectoryPoint<'a, I> {
    /// Weights before the update.
    pub weights: &'a [f64],
    /// What is learned from.
    pub support: (&'a [I], &'a [I]),
    /// What is measured.
    pub query: (&'a [I], &'a [I]),
}

impl Rule for Course {
    fn load(&mut self, genome: &Genome) -> bool {
        if !self.parameters.read(&self.layout, genome, None) {
            return false;
        }
        self.slopes = self.layout.slopes(genome);
        true
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let form = Form { options: self.options, layers: shape.layers.clone() };
        let at = self.networks.select(shape, || Travelled::new(&form));
        start(&form, &self.parameters.0, seed, &mut at.weights);
        at.course.clear();
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let (parameters, descended) = (&self.parameters.0, self.options.loss.into());
        let at = self.networks.current_mut();
        if self.is_recorded {
            at.course.extend_from_slice(&at.weights);
        }
        at.network.forward(&at.weights, parameters, batch.inputs);
        at.network.measure(descended, batch.targets);
        at.network.backward(&at.weights, parameters, &mut at.gradient, None);
        descend(at.network.form(), parameters, &at.gradient, &mut at.weights);
    }

    fn predict(&mut self, inputs: &[f32], _: usize, predictions: &mut [f32]) {
        let at = self.networks.current_mut();
        at.network.forward(&at.weights, &self.parameters.0, inputs);
        for (prediction, output) in predictions.iter_mut().zip(at.network.outputs()) {
            *prediction = *output as f32;
        }
    }

    fn is_finite(&self) -> bool {
        all_finite(&self.networks.current().weights)
    }
}

impl Differentiable for Course {
    fn record(&mut self, updates: u32) {
        self.is_recorded = updates > 0;
    }

    fn walk_back(&mut self, lesson: &mut dyn Lesson, gradient: &mut [f64]) -> Option<f64> {
        let parameters = &self.parameters.0;
        let descended: Descended = self.options.loss.into();
        let measured: Descended = lesson.objective().into();
        let at = self.networks.current_mut();
        let form = at.network.form().clone();
        let count = form.weight_count();
        let course = std::mem::take(&mut at.course);
        let last = std::mem::take(&mut at.weights);
        let updates = course.len() / count;
        let is_unrolled = self.estimator == Estimator::Unrolled;
        let share = 1.0 / updates.max(1) as f64;
        let (mut lambda, mut sum, mut total) = (vec![0.0; count], vec![0.0; parameters.len()], 0.0);
        for done in (0..=updates).rev() {
            if lesson.is_interrupted() {
                return None;
            }
            let weights = course.get(done * count..(done + 1) * count).unwrap_or(&last);
            let weight = lesson.query_weight(done as u32);
            let is_walked = !is_unrolled && done > 0;
            if weight > 0.0 || is_walked {
                if is_walked {
                    // What came after is another update's.
                    lambda.fill(0.0);
                }
                let counted = if is_walked { share } else { weight };
                let query = lesson.query(done as u32);
                let into = (&mut lambda[..], &mut sum[..]);
                let loss = at.add_gradient((weights, parameters), &query, (measured, counted), into);
                total += if weight > 0.0 { weight * loss } else { 0.0 };
            }
            let Some(update) = done.checked_sub(1) else { break };
            let weights = &course[update * count..done * count];
            let support_weight = lesson.support_weight(update as u32);
            let batch = lesson.support(update as u32);
            if self.estimator != Estimator::TrajectoryFirstOrder {
                let examples = (batch.inputs, batch.targets);
                at.undo((weights, parameters), examples, descended, (&mut lambda, &mut sum));
            }
            if support_weight > 0.0 {
                let into = (&mut lambda[..], &mut sum[..]);
                let how = (measured, if is_unrolled { support_weight } else { 0.0 });
                total += support_weight * at.add_gradient((weights, parameters), &batch, how, into);
            }
        }
        if is_unrolled {
            // What is learned of the start is added to the weights.
            add(&mut sum[form.start()..], 1.0, &lambda);
        } else {
            // Weights of a trajectory are constants, so the start is drawn along it instead, as in Leap.
            add(&mut sum[form.start()..], share, &leap(course.chunks_exact(count).chain([&last[..]])));
        }
        (at.course, at.weights) = (course, last);
        self.add_to(gradient, &sum);
        Some(total)
    }
}
