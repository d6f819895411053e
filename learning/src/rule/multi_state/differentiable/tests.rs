//! Gradients against central differences, for random rules.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::{fill_normal, uniform_between};
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::ablation::Ablation;
use hebbian_shared::spec::rule::multi_state::{
    Activation, BackwardUpdate, FanIn, Feedback, Gates, GenomeScope, Hebbian, InitialScale, StateActivations,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Rules without kinks, at which differences say nothing, for networks of so many layers.
fn options(layers: usize) -> impl Strategy<Value = MultiStateSpec> {
    use Activation::{DIdentity, DSigmoid, DTanh, Identity, Sigmoid, Tanh};
    let forms = select(vec![
        BackwardUpdate::Gated,
        BackwardUpdate::Gated,
        BackwardUpdate::Additive,
        BackwardUpdate::Multiplicative,
        BackwardUpdate::MultiplicativeSecondState,
        BackwardUpdate::None,
    ]);
    (2..=5_u8).prop_flat_map(move |states| {
        let words =
            || vec(select(vec![Identity, Tanh, Sigmoid, DIdentity, DTanh, DSigmoid]), usize::from(states));
        let fan_in = vec(1..9_u32, layers).prop_map(|reference| FanIn { reference, exponent: 0.5 });
        let flags = any::<[bool; 10]>();
        let ablation = proptest::option::weighted(0.3, select(Ablation::OF_MULTI_STATE));
        (words(), words(), forms.clone(), flags, proptest::option::of(fan_in), ablation).prop_map(
            move |(forward, backward, backward_update, flags, fan_in, ablation)| MultiStateSpec {
                states,
                gates: if flags[0] { Gates::PerState } else { Gates::Scalar },
                hebbian: if flags[1] { Hebbian::Sum } else { Hebbian::Mean },
                forward_activation: StateActivations::PerState(forward),
                backward_activation: StateActivations::PerState(backward),
                last_layer_activation: Activation::Identity.into(),
                feedback: Feedback::SoftmaxDifference,
                symmetric_synapses: true,
                backward_update,
                genome: if flags[2] { GenomeScope::PerLayer } else { GenomeScope::Shared },
                updatable: flags[3].then(|| vec![true; layers + 1]),
                synapse_mixing: flags[4],
                update_normalisation: flags[5],
                update_schedule: flags[6],
                initial_scale: flags[7]
                    .then(|| InitialScale { tied_draws: (0..states).map(|state| state / 2).collect() }),
                readout: flags[8],
                loss_temperature: flags[9],
                fan_in,
                ablation,
                ..MultiStateSpec::default()
            },
        )
    })
}

/// A network, its batches and what counts of them.
struct Trial {
    options: MultiStateSpec,
    layout: GenomeLayout,
    network: DifferentiableNetwork<f64>,
    loss: AnswerLoss,
    updates: u64,
    batch: usize,
    /// Inputs and targets of all updates and of the query.
    examples: Vec<(Vec<f64>, Vec<f64>)>,
    support_weights: Vec<f64>,
    query_weights: Vec<f64>,
    numbers_max: usize,
}

impl Trial {
    fn new(options: &MultiStateSpec, sizes: &[usize], updates: u64, squared: bool) -> Self {
        let hidden = sizes[1..sizes.len() - 1].iter().map(|&n| n as u32).collect();
        let network = NetworkSpec { hidden, ..NetworkSpec::default() };
        let (batch, outputs) = (5, sizes[sizes.len() - 1]);
        let mut rng = Seed::new(17).unwrap().rng();
        let mut examples = || {
            let mut input = vec![0.0; batch * sizes[0]];
            fill_normal(&mut rng, &mut input);
            let mut target = vec![0.0; batch * outputs];
            for row in target.chunks_exact_mut(outputs) {
                row[uniform_between(&mut rng, 0.0, outputs as f64 - 1e-9) as usize] = 1.0;
            }
            (input, target)
        };
        Self {
            layout: options.layout(&network),
            network: DifferentiableNetwork::new(options, sizes, batch),
            options: options.clone(),
            loss: if squared { AnswerLoss::Squared { outputs } } else { AnswerLoss::CrossEntropy },
            updates,
            batch,
            examples: (0..=updates).map(|_| examples()).collect(),
            support_weights: (0..updates).map(|t| 0.25 + 0.125 * t as f64).collect(),
            query_weights: (0..=updates).map(|t| if t % 2 == 0 { 0.5 } else { 0.0 }).collect(),
            numbers_max: usize::MAX,
        }
    }

    /// A genome near which rules do something.
    fn genome(&self) -> Genome {
        let mut values = vec![0.0; self.layout.dimension()];
        fill_normal(&mut Seed::new(5).unwrap().rng(), &mut values);
        Genome(values.into_iter().map(|x| 0.4 * x).collect())
    }

    fn rule(&self, genome: &Genome) -> DifferentiableRule<f64> {
        let mut rule = DifferentiableRule::default();
        rule.read(self.options.backward_update, &self.layout, genome).unwrap();
        if self.options.ablation.is_some_and(Ablation::takes_backward_transform) {
            rule.without_backward_transform();
        }
        rule
    }

    fn start(&mut self, rule: &DifferentiableRule<f64>) {
        let initial = InitialSynapses { scale: 0.7, ..InitialSynapses::default() };
        let recorded = (self.updates, self.numbers_max);
        self.network.freeze_hidden(self.options.ablation.is_some_and(Ablation::freezes));
        self.network.start(rule, &initial, Seed::new(3).unwrap(), recorded);
    }

    fn update(&mut self, rule: &DifferentiableRule<f64>, update: u64) {
        let (input, target) = &self.examples[update as usize];
        self.network.update(rule, input, target, self.batch);
    }

    /// The loss alone, measured on the way forward.
    fn loss(&mut self, genome: &Genome) -> f64 {
        let rule = self.rule(genome);
        self.start(&rule);
        self.network.begin_walk(&rule);
        let mut total = 0.0;
        for t in 0..=self.updates as usize {
            let mut measure = |place: usize| {
                let (input, target) = &self.examples[place];
                self.network.measure(&rule, (input, target), self.batch, (self.loss, 0.0))
            };
            total += self.query_weights[t] * measure(self.updates as usize);
            if t < self.updates as usize {
                total += self.support_weights[t] * measure(t);
                self.update(&rule, t as u64);
            }
        }
        total
    }

    /// The loss and its gradient, on the way back.
    fn gradient(&mut self, genome: &Genome) -> (f64, Vec<f64>) {
        let rule = self.rule(genome);
        self.start(&rule);
        (0..self.updates).for_each(|update| self.update(&rule, update));
        self.network.begin_walk(&rule);
        let mut total = 0.0;
        for t in (0..=self.updates as usize).rev() {
            let weight = self.query_weights[t];
            let (input, target) = &self.examples[self.updates as usize];
            total += weight * self.network.measure(&rule, (input, target), self.batch, (self.loss, weight));
            let Some(t) = t.checked_sub(1) else { break };
            let (_, again) = self.network.before();
            if !again.is_empty() {
                self.network.restore();
                again.for_each(|update| self.update(&rule, update));
            }
            let weight = self.support_weights[t];
            let target = &self.examples[t].1;
            total += weight * self.network.step_back(&rule, target, self.batch, Some((self.loss, weight)));
        }
        let mut gradient = vec![0.0; genome.0.len()];
        self.network.finish_walk(&rule, self.options.backward_update, (&self.layout, genome), &mut gradient);
        (total, gradient)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn gradients_are_central_differences(
        (sizes, options) in vec(1..7_usize, 2..5).prop_flat_map(|mut sizes| {
            let last = sizes.len() - 1;
            sizes[last] = sizes[last].max(2);
            let layers = sizes.len() - 1;
            (Just(sizes), options(layers))
        }),
        updates in 1..5_u64,
        squared in any::<bool>(),
        direction in 0..u64::MAX,
    ) {
        prop_assert_eq!(options.validate(), Ok(()));
        let mut trial = Trial::new(&options, &sizes, updates, squared);
        let genome = trial.genome();
        let (loss, gradient) = trial.gradient(&genome);
        let forward = trial.loss(&genome);
        prop_assert!((loss - forward).abs() <= 1e-12 * (1.0 + loss.abs()), "{} {}", loss, forward);
        prop_assume!(loss.abs() < 1e3);
        // In parts the bits are the same.
        trial.numbers_max = 0;
        prop_assert_eq!(&trial.gradient(&genome).1, &gradient);
        trial.numbers_max = usize::MAX;
        for segment in trial.layout.clone().segments() {
            let mut along = vec![0.0; segment.len()];
            fill_normal(&mut Seed::new(direction >> 1).unwrap().rng(), &mut along);
            let mut at = |distance: f64| {
                let mut genome = genome.clone();
                for (x, along) in genome.0[segment.range()].iter_mut().zip(&along) {
                    *x += distance * along;
                }
                trial.loss(&genome)
            };
            let step = 2e-5;
            let difference = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
            let found: f64 = gradient[segment.range()].iter().zip(&along).map(|(g, along)| g * along).sum();
            prop_assert!(
                (found - difference).abs() <= 1e-7 * (1.0 + loss.abs() + difference.abs()),
                "{}: {} by the way back, {} by differences", segment.name, found, difference
            );
        }
    }
}

#[test]
fn synapses_that_leave_the_finite_numbers_are_seen() {
    for (update_normalisation, synapse_mixing) in [(false, false), (true, false), (false, true), (true, true)]
    {
        let options = MultiStateSpec {
            states: 2,
            forward_activation: Activation::Tanh.into(),
            last_layer_activation: Activation::Identity.into(),
            feedback: Feedback::SoftmaxDifference,
            symmetric_synapses: true,
            readout: true,
            update_normalisation,
            synapse_mixing,
            ..MultiStateSpec::default()
        };
        let layout = options.layout(&NetworkSpec::default());
        let mut network = DifferentiableNetwork::<f32>::new(&options, &[3, 20, 2], 4);
        let mut genome = Genome(vec![0.5; layout.dimension()]);
        let mut rule = DifferentiableRule::default();
        let mut run = |genome: &Genome, input: f32| {
            rule.read(options.backward_update, &layout, genome).unwrap();
            network.start(&rule, &InitialSynapses::default(), Seed::new(1).unwrap(), (0, 0));
            (0..3).for_each(|_| network.update(&rule, &[input; 12], &[1.0, 0.0, 0.0, 1.0].repeat(2), 4));
            let synapses = (0..2).flat_map(|layer| (0..2).map(move |state| (layer, state)));
            let is_finite = synapses
                .into_iter()
                .all(|(layer, state)| network.synapses(layer, state).iter().all(|x| x.is_finite()));
            assert_eq!(network.is_finite(), is_finite);
            is_finite
        };
        assert!(run(&genome, 0.5));
        for input in [f32::NAN, f32::INFINITY] {
            assert!(!run(&genome, input), "{input}");
        }
        genome.0[layout.segment("synapse_update").unwrap().range()].fill(200.0);
        assert!(!run(&genome, 0.5));
    }
}
