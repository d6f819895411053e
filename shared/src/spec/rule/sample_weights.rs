//! Sample weights: gradient descent on a perceptron in which a small function of an example's loss says how much the example counts
//! (Shu et al. 2019, Xu et al. 2021). Its genome is that function.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RuleOptions;
use super::gradient_descent::HiddenActivation;
use crate::genome::{Genome, GenomeLayout, Transform};
use crate::spec::SpecError;
use crate::spec::idle::Idle;
use crate::spec::network::{InitialSynapses, NetworkSpec};
use crate::spec::range::Range;
use crate::spec::start::LEARNING_RATE;
use crate::spec::strategy::{Directions, Estimator, EvogradSpec};
use crate::spec::task::{SupportDraw, TaskSpec};

/// Options of sample weights. The last layer is linear, the loss logistic.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleWeightsSpec {
    /// What says how much an example counts.
    #[serde(skip_serializing_if = "crate::spec::is_default")]
    #[schemars(!skip_serializing_if)]
    pub form: WeightForm,
    /// Whether the weight function goes on learning within a task, from its clean set, and by which gradient; none: it stays as the genome
    /// has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<MetaGradient>,
    /// Hidden units of the weight function (H).
    #[schemars(transform = UNITS.schema())]
    pub units: u32,
    /// What the weight function is given.
    pub inputs: WeightInputs,
    /// What the weights of a batch are divided by.
    pub normalise: Normalise,
    /// Updates after which the progress is 1.
    #[schemars(transform = HORIZON.schema())]
    pub horizon: u32,
    /// Activation of the perceptron's hidden layers.
    pub hidden_activation: HiddenActivation,
    /// The learning rate; at the search value 0 if it is evolved.
    #[schemars(transform = LEARNING_RATE.schema())]
    pub learning_rate: f64,
    /// Whether the genome has the learning rate, too.
    pub evolve_learning_rate: bool,
}

impl Default for SampleWeightsSpec {
    fn default() -> Self {
        Self {
            form: WeightForm::Network,
            online: None,
            units: 8,
            inputs: WeightInputs::LossAndProgress,
            normalise: Normalise::Sum,
            horizon: 800,
            hidden_activation: HiddenActivation::Tanh,
            learning_rate: 0.2,
            evolve_learning_rate: false,
        }
    }
}

/// What says how much an example counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightForm {
    /// A small network of its loss.
    #[default]
    Network,
    /// `exp(-q loss)`, the generalised cross-entropy's weight; with the progress q goes from one number to another. Evolves `steepness`.
    Exponential,
    /// 1 for the smallest losses of a batch, 0 for the others. Evolves `kept`, the share that counts.
    SmallLoss,
}

/// The gradient that a step of the weight function within a task follows: of the clean loss after an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetaGradient {
    /// The exact one through one update, by all layers (Meta-Weight-Net).
    All,
    /// The part of the last layer.
    Last,
    /// The part of one layer, drawn anew for each update.
    Random,
    /// The parts of the last layer, and of those that gradient samplers open (`FaMUS`).
    Learned,
    /// `EvoGrad`'s estimate by two copies of the network, as published.
    #[serde(rename = "evograd-2")]
    Evograd2,
    /// Its estimate by 16 copies.
    #[serde(rename = "evograd-16")]
    Evograd16,
    /// Its estimate by two copies that are moved along the clean gradient.
    EvogradDirected,
}

impl MetaGradient {
    /// `EvoGrad`'s settings, if it is its estimate.
    pub fn evograd(self) -> Option<EvogradSpec> {
        let settings = EvogradSpec::default();
        match self {
            Self::All | Self::Last | Self::Random | Self::Learned => None,
            Self::Evograd2 => Some(EvogradSpec { copies: 2, ..settings }),
            Self::Evograd16 => Some(EvogradSpec { copies: 16, ..settings }),
            Self::EvogradDirected => Some(EvogradSpec { directions: Directions::Gradient, ..settings }),
        }
    }
}

/// What the weight function is given of an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightInputs {
    /// Its loss.
    Loss,
    /// Its loss, and which share of the horizon's updates has been made.
    LossAndProgress,
}

impl WeightInputs {
    /// Their number (F).
    pub fn count(self) -> u32 {
        match self {
            Self::Loss => 1,
            Self::LossAndProgress => 2,
        }
    }
}

/// What the weights of a batch are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Their sum: the function says who counts and not how long a step is.
    Sum,
    /// Their number: the function can also end learning.
    Mean,
}

const UNITS: Range<u32> = Range::new(1, 256);
const HORIZON: Range<u32> = Range::new(1, 1_000_000);
/// Of the weight function within a task (Adam), at the search value 0.
const META_LEARNING_RATE: f64 = 0.01;

impl SampleWeightsSpec {
    /// The name of the family.
    pub const FAMILY: &str = "sample-weights";
}

impl RuleOptions for SampleWeightsSpec {
    fn family(&self) -> &'static str {
        Self::FAMILY
    }

    fn validate(&self) -> Result<(), SpecError> {
        UNITS.check("rule.units", self.units)?;
        HORIZON.check("rule.horizon", self.horizon)?;
        if self.online.is_some() && self.form != WeightForm::Network {
            let problem = "must be left out where `form` is another than \"network\": no other can go on learning within a task";
            return Err(SpecError::field("rule.online", problem));
        }
        if self.online.is_some() && self.inputs != WeightInputs::Loss {
            let problem =
                "must be \"loss\" together with `online`: what is learned within a task knows no horizon";
            return Err(SpecError::field("rule.inputs", problem));
        }
        LEARNING_RATE.check("rule.learning_rate", self.learning_rate)
    }

    fn idle(&self) -> Option<Idle> {
        let usual = Self::default();
        if self.units != usual.units && self.form != WeightForm::Network {
            Some(("rule.units", "the form \"network\""))
        } else if self.horizon != usual.horizon
            && (self.inputs == WeightInputs::Loss || self.form == WeightForm::SmallLoss)
        {
            Some(("rule.horizon", "rules that are told the progress"))
        } else {
            None
        }
    }

    fn validate_for(&self, network: &NetworkSpec, tasks: &TaskSpec) -> Result<(), SpecError> {
        if self.online.is_some() && tasks.label_noise.as_ref().is_none_or(|noise| noise.clean == 0) {
            let problem = "must be above 0 for `rule.online`, which learns from the clean set";
            return Err(SpecError::field("tasks.label_noise.clean", problem));
        }
        if network.initial_synapses != InitialSynapses::default() {
            return Err(SpecError::field(
                "network.initial_synapses",
                "belongs to multi-state rules; leave it out: weights are Xavier's",
            ));
        }
        if tasks.batch_size == 1 && self.normalise == Normalise::Sum {
            return Err(SpecError::field(
                "rule.normalise",
                "must be \"mean\" together with tasks.batch_size = 1: divided by their sum, the weight of one example is always 1",
            ));
        }
        match tasks.families.iter().find(|family| !family.has_classes()) {
            Some(family) => Err(SpecError::field(
                "tasks.families",
                format!(
                    "must be classes, by whose loss `sample-weights` weighs; `{family}` has {}",
                    family.targets()
                ),
            )),
            None => Ok(()),
        }
    }

    fn notes(&self, tasks: &TaskSpec) -> Vec<String> {
        let (noise, never_repeat) = (&tasks.label_noise, tasks.support == SupportDraw::Fresh);
        let and = if never_repeat { " and examples never repeat" } else { "" };
        let nothing = || {
            format!(
                "labels are all right{and}, so there is nothing to weigh by; tasks.label_noise makes some wrong"
            )
        };
        noise.is_none().then(nothing).into_iter().collect()
    }

    fn layout(&self, _: &NetworkSpec) -> GenomeLayout {
        let mut layout = GenomeLayout::default();
        match self.form {
            WeightForm::Network => {
                layout.push("input", &[self.units, self.inputs.count()], Transform::IDENTITY);
                layout.push("bias", &[self.units], Transform::IDENTITY);
                layout.push("output", &[self.units], Transform::IDENTITY);
                layout.push("offset", &[], Transform::IDENTITY);
            }
            WeightForm::Exponential => {
                let steepness = Transform::Exp { factor: 1.0, scale: 1.0 };
                layout.push("steepness", &[self.inputs.count()], steepness);
            }
            WeightForm::SmallLoss => {
                layout.push("kept", &[], Transform::Affine { offset: 1.0, scale: 1.0 });
            }
        }
        if self.online.is_some() {
            let rate = Transform::Exp { factor: META_LEARNING_RATE, scale: 1.0 };
            layout.push("meta_learning_rate", &[], rate);
        }
        if self.evolve_learning_rate {
            layout.push("learning_rate", &[], Transform::Exp { factor: self.learning_rate, scale: 1.0 });
        }
        layout
    }

    fn network_numbers(&self, sizes: &[usize], batch: f64) -> f64 {
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        let synapses = NetworkSpec::synapses_of(sizes);
        let once = 2.0 * synapses + batch * (3.0 * neurons + 5.0);
        if self.online.is_none() {
            return once;
        }
        // The gradients of two updates, what each layer was given, the slopes of each share; and the samplers.
        let of_function = f64::from(3 * self.units + 1);
        let copies = self.online.and_then(MetaGradient::evograd).map_or(0, |settings| settings.copies());
        // Copies and their directions are numbers of f64, and so is the network that tries them.
        let copied = f64::from(if copies == 0 { 0 } else { 2 * (copies + 4) }) * synapses;
        once + copied + 3.0 * synapses + batch * (3.0 * neurons + 3.0 * of_function) + 512.0 * neurons
    }

    fn multiplications(&self, sizes: &[usize]) -> f64 {
        let of_weight = f64::from(self.units * (self.inputs.count() + 2));
        // A meta step is a virtual update, one of the clean set and a pass for the alignment; or a pass of each copy, in f64, and one or two
        // updates of the clean set.
        let passes = match self.online.map(MetaGradient::evograd) {
            None => 3.0,
            Some(None) => 10.0,
            Some(Some(settings)) => 12.0 + 2.0 * f64::from(settings.copies()),
        };
        passes * NetworkSpec::synapses_of(sizes) + of_weight
    }

    fn check_gradient(&self, _: &TaskSpec) -> Result<(), SpecError> {
        if self.online.is_some() {
            let problem =
                "must be left out for a strategy by gradients, which learns the function from task to task";
            return Err(SpecError::field("rule.online", problem));
        }
        if self.form != WeightForm::Network {
            let problem = "must be \"network\" for a strategy by gradients; evolve the others";
            return Err(SpecError::field("rule.form", problem));
        }
        Ok(())
    }

    fn check_gradient_at(&self, layout: &GenomeLayout, genome: &Genome) -> Result<(), SpecError> {
        let is_zero = |name: &str| {
            let values = layout.each_parameter(name, genome).into_iter().flatten();
            values.into_iter().all(|value| value == 0.0)
        };
        // What a hidden unit gives has a slope by `output` alone, and that by what it is given has `output` as a factor.
        if ["input", "bias", "output"].into_iter().all(is_zero) {
            return Err(SpecError::field(
                "start.genome",
                "must not be zeros here: at zeros no hidden unit of the weight function has a gradient, so the search would stay \
                 there; name the genome file of an evolved run, or give numbers",
            ));
        }
        Ok(())
    }

    fn check_estimator(&self, estimator: Estimator) -> Result<(), SpecError> {
        match estimator {
            Estimator::Evograd if self.evolve_learning_rate => Err(SpecError::field(
                "rule.evolve_learning_rate",
                "must be false together with `evograd`: the learning rate is no part of the training loss",
            )),
            Estimator::Unrolled | Estimator::OneStep | Estimator::Evograd => Ok(()),
            Estimator::Trajectory | Estimator::TrajectoryFirstOrder => {
                let problem = format!(
                    "`{}` is of warped-descent; what it is there is \"one-step\" for `sample-weights`",
                    estimator.name()
                );
                Err(SpecError::field("strategy.estimator", problem))
            }
        }
    }

    fn gradient_numbers(&self, sizes: &[usize], batch: usize, updates: u32) -> [f64; 2] {
        let weights = NetworkSpec::synapses_of(sizes);
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        let of_function = f64::from(self.units * (self.inputs.count() + 2) + 1);
        // Numbers with their slopes are four times as long as those of an episode.
        let once = 12.0 * weights + 4.0 * batch as f64 * (4.0 * neurons + of_function);
        [once, 2.0 * weights * f64::from(updates)]
    }

    fn summary(&self) -> String {
        match (self.form, self.online) {
            (WeightForm::Network, online) => {
                let (s, learn) = if self.units == 1 { ("", "learns") } else { ("s", "learn") };
                let online = online.map_or_else(String::new, |_| format!(" that {learn} within a task"));
                format!("descent with sample weights by {} unit{s}{online}", self.units)
            }
            (WeightForm::Exponential, _) => "descent with sample weights exp(-q loss)".to_owned(),
            (WeightForm::SmallLoss, _) => "descent on the smallest losses of a batch".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;
    use crate::spec::task::{LabelNoiseSpec, TaskFamily};

    #[test]
    fn a_genome_is_the_weight_function() {
        let count = |spec: SampleWeightsSpec| spec.layout(&NetworkSpec::default()).dimension();
        let spec = SampleWeightsSpec::default();
        assert_eq!(count(spec), 33);
        assert_eq!(count(SampleWeightsSpec { inputs: WeightInputs::Loss, units: 100, ..spec }), 301);
        assert_eq!(count(SampleWeightsSpec { evolve_learning_rate: true, ..spec }), 34);
    }

    #[test]
    fn other_forms_and_online_learners_have_genomes_of_their_own() {
        let spec = SampleWeightsSpec::default();
        let names = |spec: SampleWeightsSpec| -> Vec<(String, usize)> {
            let layout = spec.layout(&NetworkSpec::default());
            layout.segments().iter().map(|segment| (segment.name.clone(), segment.len())).collect()
        };
        let exponential = SampleWeightsSpec { form: WeightForm::Exponential, ..spec };
        assert_eq!(names(exponential), [("steepness".to_owned(), 2)]);
        let small = SampleWeightsSpec { form: WeightForm::SmallLoss, evolve_learning_rate: true, ..spec };
        assert_eq!(names(small), [("kept".to_owned(), 1), ("learning_rate".to_owned(), 1)]);
        let online =
            SampleWeightsSpec { online: Some(MetaGradient::All), inputs: WeightInputs::Loss, ..spec };
        assert_eq!(names(online).last(), Some(&("meta_learning_rate".to_owned(), 1)));
        assert_eq!(online.validate(), Ok(()));
        let field = |spec: SampleWeightsSpec| spec.validate().unwrap_err().field;
        assert_eq!(field(SampleWeightsSpec { online: Some(MetaGradient::Last), ..spec }), "rule.inputs");
        assert_eq!(field(SampleWeightsSpec { form: WeightForm::SmallLoss, ..online }), "rule.online");
        let tasks = TaskSpec::of(vec![TaskFamily::Digits]);
        let error = online.validate_for(&NetworkSpec::default(), &tasks).unwrap_err();
        assert_eq!(error.field, "tasks.label_noise.clean");
        assert_eq!(online.check_gradient(&tasks).unwrap_err().field, "rule.online");
        assert_eq!(exponential.check_gradient(&tasks).unwrap_err().field, "rule.form");
    }

    #[test]
    fn gradients_from_zeros_are_refused() {
        let text = |genome: &str| {
            format!(
                "name = \"x\"\nstrategy = {{ kind = \"gradient\", estimator = \"one-step\" }}\nstop = {{ generations = 1 }}\n\
                 rule = {{ family = \"sample-weights\", units = 1, inputs = \"loss\" }}\ntasks = {{ families = [\"digits\"] }}\n\
                 evaluation = {{ objective = \"logistic\" }}\n{genome}"
            )
        };
        let error = RunSpec::read(&text("")).unwrap_err();
        assert_eq!(error.field, "start.genome", "{error}");
        let error = RunSpec::read(&text("start = { genome = [0.0, 0.0, 0.0, 1.0] }")).unwrap_err();
        assert_eq!(error.field, "start.genome", "the offset moves all weights alike: {error}");
        RunSpec::read(&text("start = { genome = [1.0, 0.0, 0.0, 0.0] }")).unwrap();
        RunSpec::read(&text("start = { genome = \"evolved.json\" }")).unwrap();
        let evolved = text("").replace("gradient\", estimator = \"one-step\"", "pgpe\", population_size = 4");
        RunSpec::read(&evolved).unwrap();
    }

    #[test]
    fn what_does_not_suit_is_refused() {
        let check = |spec: SampleWeightsSpec, family| {
            let tasks = TaskSpec::of(vec![family]);
            let refused =
                spec.validate().and_then(|()| spec.validate_for(&NetworkSpec::default(), &tasks)).err();
            refused.map(|error| error.to_string().split(": ").next().unwrap().to_owned())
        };
        let spec = SampleWeightsSpec::default();
        assert_eq!(check(spec, TaskFamily::Digits), None);
        assert_eq!(check(spec, TaskFamily::RegressWave).as_deref(), Some("tasks.families"));
        assert_eq!(
            check(SampleWeightsSpec { units: 0, ..spec }, TaskFamily::Xor).as_deref(),
            Some("rule.units")
        );
        assert_eq!(
            check(SampleWeightsSpec { horizon: 0, ..spec }, TaskFamily::Xor).as_deref(),
            Some("rule.horizon")
        );
    }

    #[test]
    fn weights_that_are_all_1_are_refused() {
        let check = |spec: SampleWeightsSpec, batch_size| {
            let tasks = TaskSpec { batch_size, ..TaskSpec::of(vec![TaskFamily::Digits]) };
            spec.validate_for(&NetworkSpec::default(), &tasks).err().map(|error| error.field)
        };
        let spec = SampleWeightsSpec::default();
        for form in [WeightForm::Network, WeightForm::Exponential, WeightForm::SmallLoss] {
            let spec = SampleWeightsSpec { form, ..spec };
            assert_eq!(check(spec, 1).as_deref(), Some("rule.normalise"), "{form:?}");
            assert_eq!(check(spec, 2), None);
        }
        assert_eq!(check(SampleWeightsSpec { normalise: Normalise::Mean, ..spec }, 1), None);
    }

    #[test]
    fn right_labels_are_noted() {
        let notes = |tasks: &TaskSpec| SampleWeightsSpec::default().notes(tasks);
        let fresh = TaskSpec::of(vec![TaskFamily::Digits]);
        assert_eq!(
            notes(&fresh),
            [
                "labels are all right and examples never repeat, so there is nothing to weigh by; tasks.label_noise makes some wrong"
            ]
        );
        let fixed = TaskSpec { support: SupportDraw::Fixed, ..fresh.clone() };
        assert_eq!(
            notes(&fixed),
            ["labels are all right, so there is nothing to weigh by; tasks.label_noise makes some wrong"]
        );
        let noisy = TaskSpec { label_noise: Some(LabelNoiseSpec::default()), ..fresh };
        assert_eq!(notes(&noisy), [""; 0]);
    }

    #[test]
    fn a_rule_is_summed_up_in_singular_and_plural() {
        let spec = SampleWeightsSpec::default();
        let online = Some(MetaGradient::Last);
        for (spec, expected) in [
            (spec, "descent with sample weights by 8 units"),
            (SampleWeightsSpec { units: 1, ..spec }, "descent with sample weights by 1 unit"),
            (
                SampleWeightsSpec { online, ..spec },
                "descent with sample weights by 8 units that learn within a task",
            ),
            (
                SampleWeightsSpec { online, units: 1, ..spec },
                "descent with sample weights by 1 unit that learns within a task",
            ),
        ] {
            assert_eq!(spec.summary(), expected);
        }
    }
}
