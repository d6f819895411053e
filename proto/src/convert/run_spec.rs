//! The run spec. Absent fields get the defaults of a spec written as TOML.

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::data_set::{DataSetName, DataSetSpec};
use hebbian_shared::spec::evaluation::{
    CurveWord, EvaluationSpec, LastWord, Measure, MeasurePoint, Objective, UnrollPhase, UpdatePoint,
};
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec, SynapseDistribution, default_hidden};
use hebbian_shared::spec::rule::{
    Activation, BackwardUpdate, Feedback, ForwardSynapseUpdate, Gates, GenomeScope, Hebbian, Normalisation,
    Oja, RuleSpec, Saturation, StateActivations,
};
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::strategy::{
    CmaEsSpec, NoiseHandling, OpenAiEsSpec, PgpeSpec, RandomSearchSpec, Restarts, SearchStart, SepCmaEsSpec,
    StrategySpec,
};
use hebbian_shared::spec::task::{ImageAugmentation, InputAugmentation, TaskFamily, TaskSpec};
use hebbian_shared::spec::validation::{Selection, ValidationSpec};
use hebbian_shared::spec::{Numerics, Problem, RuleLearning, RunSpec, SPEC_VERSION, SpecError};

use super::{
    ConvertError, WireEnum, check_length, check_text, from_duration, required, to_digest, to_duration,
    wire_enum,
};
use crate::v1;

/// The longest list of a spec; the domain's own limits are below it.
const LIST_MAX: usize = 1024;

wire_enum!(Numerics, v1::Numerics { Uniform, Any });
wire_enum!(NoiseHandling, v1::NoiseHandling { Auto, None, Lra });
wire_enum!(Restarts, v1::Restarts { None, Ipop, Bipop });
wire_enum!(Selection, v1::Selection { None, BestRestart });
wire_enum!(Gates, v1::Gates { Scalar, PerState });
wire_enum!(Hebbian, v1::Hebbian { Mean, Sum });
wire_enum!(BackwardUpdate, v1::BackwardUpdate { Additive, MultiplicativeSecondState, Multiplicative, None });
wire_enum!(GenomeScope, v1::GenomeScope { Shared, PerLayer });
wire_enum!(ForwardSynapseUpdate, v1::ForwardSynapseUpdate { Off, SharedGenome, OwnGenome });
wire_enum!(
    Feedback,
    v1::Feedback {
        ConcatGroundTruth,
        ReplaceState0,
        Difference,
        DifferenceTimesSecondState,
        SoftmaxDifference,
    }
);
wire_enum!(
    Activation,
    v1::Activation { Identity, Tanh, Relu, ReluTanh, Sigmoid, DIdentity, DTanh, DRelu, DSigmoid }
);
wire_enum!(SynapseDistribution, v1::SynapseDistribution { Uniform, Normal, Xavier });
wire_enum!(InputAugmentation, v1::InputAugmentation { Original, Permuted, Projected });
wire_enum!(Objective, v1::Objective { Accuracy, SquaredError, Logistic });

/// The path within a [`v1::RunSpec`] of a field that the domain names as it is written in TOML.
fn wire_path(field: &str, strategy: &StrategySpec) -> String {
    let (section, rest) = field.split_once('.').unwrap_or((field, ""));
    match section {
        "strategy" if rest == "kind" => wire_path("strategy", strategy).trim_end_matches('.').to_owned(),
        "strategy" => match strategy {
            StrategySpec::CmaEs(_) => format!("cma_es.{rest}"),
            StrategySpec::RandomSearch(_) => format!("random_search.{rest}"),
            StrategySpec::SepCmaEs(_) => format!("sep_cma_es.{rest}"),
            StrategySpec::Pgpe(_) => format!("pgpe.{rest}"),
            StrategySpec::OpenAiEs(_) => format!("openai_es.{rest}"),
        },
        "rule" | "tasks" => format!("rule_learning.{field}"),
        "network" => {
            let rest = rest.replacen("hidden[", "hidden.neurons[", 1).replacen("][", "].neurons[", 1);
            format!("rule_learning.network.{rest}")
        }
        "evaluation" => format!("evaluation.{}", rest.replacen("measure[", "measure.points.points[", 1)),
        "stop" if rest == "time_limit_s" => "stop.time_limit".to_owned(),
        _ => field.to_owned(),
    }
}

impl From<&RunSpec> for v1::RunSpec {
    fn from(spec: &RunSpec) -> Self {
        let Problem::RuleLearning(problem) = &spec.problem;
        Self {
            version: Some(spec.version),
            name: spec.name.clone(),
            seed: Some(spec.seed.get()),
            numerics: Some(spec.numerics.to_wire()),
            strategy: Some((&spec.strategy).into()),
            problem: Some(v1::run_spec::Problem::RuleLearning(v1::RuleLearning {
                rule: Some((&problem.rule).into()),
                network: Some((&problem.network).into()),
                tasks: Some((&problem.tasks).into()),
            })),
            evaluation: Some((&spec.evaluation).into()),
            stop: Some((&spec.stop).into()),
            validation: spec.validation.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::RunSpec> for RunSpec {
    type Error = ConvertError;

    /// Resolves defaults and validates.
    fn try_from(message: v1::RunSpec) -> Result<Self, ConvertError> {
        let v1::run_spec::Problem::RuleLearning(problem) = required("rule_learning", message.problem)?;
        let seed = message.seed.unwrap_or(RunSpec::DEFAULT_SEED);
        let seed = Seed::new(seed).map_err(|error| ConvertError::new("seed", error.to_string()))?;
        check_text("name", &message.name, 64)?;
        let tasks = required("rule_learning.tasks", problem.tasks)?;
        let version = message.version.unwrap_or(SPEC_VERSION);
        let spec = Self {
            version,
            name: message.name,
            seed,
            numerics: Numerics::from_wire_or("numerics", message.numerics, Numerics::default())?,
            strategy: to_strategy(required("cma_es", message.strategy)?, version)?,
            problem: Problem::RuleLearning(RuleLearning {
                rule: RuleSpec::try_from(problem.rule.unwrap_or_default())
                    .map_err(|error| error.within("rule_learning.rule"))?,
                network: NetworkSpec::try_from(problem.network.unwrap_or_default())
                    .map_err(|error| error.within("rule_learning.network"))?,
                tasks: TaskSpec::try_from(tasks).map_err(|error| error.within("rule_learning.tasks"))?,
            }),
            evaluation: EvaluationSpec::try_from(message.evaluation.unwrap_or_default())
                .map_err(|error| error.within("evaluation"))?,
            validation: message
                .validation
                .map(ValidationSpec::try_from)
                .transpose()
                .map_err(|error| error.within("validation"))?,
            stop: StopSpec::try_from(required("stop", message.stop)?)
                .map_err(|error| error.within("stop"))?,
        };
        spec.validate().map_err(|error| match error {
            SpecError::Field { field, problem } => {
                ConvertError::new(wire_path(&field, &spec.strategy), problem)
            }
            // Validation reads no text; were it to, the message would still be about the whole spec.
            SpecError::Syntax(problem) => ConvertError::new("version", problem),
        })?;
        Ok(spec)
    }
}

impl From<&StrategySpec> for v1::run_spec::Strategy {
    fn from(spec: &StrategySpec) -> Self {
        match spec {
            StrategySpec::CmaEs(spec) => Self::CmaEs(v1::CmaEs {
                population_size: spec.population_size,
                step_size: Some(spec.step_size),
                active: Some(spec.active),
                noise: Some(spec.noise.to_wire()),
                restarts: Some(spec.restarts.to_wire()),
                mirrored: Some(spec.mirrored),
                step_size_max: spec.step_size_max.is_finite().then_some(spec.step_size_max),
                initial_mean: spec.start.mean.clone(),
                initial_covariance: spec.start.covariance.clone(),
                scales: spec.start.scales.clone(),
                fixed: spec.start.fixed.clone(),
                lower_bounds: spec.start.lower_bounds.clone(),
                upper_bounds: spec.start.upper_bounds.clone(),
            }),
            StrategySpec::RandomSearch(RandomSearchSpec { population_size, step_size }) => {
                Self::RandomSearch(v1::RandomSearch {
                    population_size: *population_size,
                    step_size: Some(*step_size),
                })
            }
            StrategySpec::SepCmaEs(spec) => Self::SepCmaEs(v1::SepCmaEs {
                population_size: spec.population_size,
                step_size: Some(spec.step_size),
            }),
            StrategySpec::Pgpe(spec) => Self::Pgpe(v1::Pgpe {
                population_size: spec.population_size,
                step_size: Some(spec.step_size),
                learning_rate: Some(spec.learning_rate),
            }),
            StrategySpec::OpenAiEs(spec) => Self::OpenaiEs(v1::OpenAiEs {
                population_size: spec.population_size,
                step_size: Some(spec.step_size),
                learning_rate: Some(spec.learning_rate),
            }),
        }
    }
}

/// The strategy of a spec of the given version.
fn to_strategy(message: v1::run_spec::Strategy, version: u32) -> Result<StrategySpec, ConvertError> {
    Ok(match message {
        v1::run_spec::Strategy::CmaEs(message) => {
            let default = CmaEsSpec::of(message.population_size);
            StrategySpec::CmaEs(CmaEsSpec {
                population_size: message.population_size,
                step_size: message.step_size.unwrap_or(default.step_size),
                active: message.active.unwrap_or(default.active),
                noise: NoiseHandling::from_wire_or(
                    "cma_es.noise",
                    message.noise,
                    NoiseHandling::default_of(version),
                )?,
                restarts: Restarts::from_wire_or("cma_es.restarts", message.restarts, default.restarts)?,
                mirrored: message.mirrored.unwrap_or(default.mirrored),
                step_size_max: message.step_size_max.unwrap_or(f64::INFINITY),
                start: Box::new(SearchStart {
                    mean: message.initial_mean,
                    covariance: message.initial_covariance,
                    scales: message.scales,
                    fixed: message.fixed,
                    lower_bounds: message.lower_bounds,
                    upper_bounds: message.upper_bounds,
                }),
            })
        }
        v1::run_spec::Strategy::RandomSearch(message) => {
            let default = RandomSearchSpec::of(message.population_size);
            let step_size = message.step_size.unwrap_or(default.step_size);
            StrategySpec::RandomSearch(RandomSearchSpec { step_size, ..default })
        }
        v1::run_spec::Strategy::SepCmaEs(message) => {
            let default = SepCmaEsSpec::of(message.population_size);
            let step_size = message.step_size.unwrap_or(default.step_size);
            StrategySpec::SepCmaEs(SepCmaEsSpec { step_size, ..default })
        }
        v1::run_spec::Strategy::Pgpe(message) => StrategySpec::Pgpe(PgpeSpec::of(
            message.population_size,
            message.step_size,
            message.learning_rate,
        )),
        v1::run_spec::Strategy::OpenaiEs(message) => StrategySpec::OpenAiEs(OpenAiEsSpec::of(
            message.population_size,
            message.step_size,
            message.learning_rate,
        )),
    })
}

impl From<&RuleSpec> for v1::Rule {
    fn from(spec: &RuleSpec) -> Self {
        Self {
            states: Some(u32::from(spec.states)),
            gates: Some(spec.gates.to_wire()),
            hebbian: Some(spec.hebbian.to_wire()),
            forward_activation: Some((&spec.forward_activation).into()),
            backward_activation: Some((&spec.backward_activation).into()),
            last_layer_activation: Some((&spec.last_layer_activation).into()),
            synapse_activation: Some((&spec.synapse_activation).into()),
            backward_update: Some(spec.backward_update.to_wire()),
            feedback: Some(spec.feedback.to_wire()),
            symmetric_synapses: Some(spec.symmetric_synapses),
            symmetric_states: Some(spec.symmetric_states),
            zero_out_neurons: Some(spec.zero_out_neurons),
            genome: Some(spec.genome.to_wire()),
            normalisation: spec.normalisation.map(|Normalisation { stored, in_activations, rescale }| {
                v1::Normalisation { stored, in_activations, rescale }
            }),
            oja: spec.oja.map(|Oja { scale, multiplier, synapse_weights }| v1::Oja {
                scale: Some(scale),
                multiplier,
                synapse_weights,
            }),
            saturation: spec
                .saturation
                .map(|Saturation { epsilon }| v1::Saturation { epsilon: Some(epsilon) }),
            forward_synapse_update: Some(spec.forward_synapse_update.to_wire()),
            forward_activations_in_synapse_update: Some(spec.forward_activations_in_synapse_update),
            supervised_every: Some(spec.supervised_every),
            updatable: spec.updatable.clone().map(|layers| v1::UpdatableLayers { layers }),
            evolve_initial_scale: Some(spec.evolve_initial_scale),
        }
    }
}

impl TryFrom<v1::Rule> for RuleSpec {
    type Error = ConvertError;

    fn try_from(message: v1::Rule) -> Result<Self, ConvertError> {
        let default = Self::default();
        let states = message.states.unwrap_or(u32::from(default.states));
        let activations = |field, message: Option<v1::StateActivations>, default| {
            message.map_or(Ok(default), |message| to_activations(field, message))
        };
        Ok(Self {
            states: states
                .try_into()
                .map_err(|_| ConvertError::new("states", format!("must be from 1 to 16, not {states}")))?,
            gates: Gates::from_wire_or("gates", message.gates, default.gates)?,
            hebbian: Hebbian::from_wire_or("hebbian", message.hebbian, default.hebbian)?,
            forward_activation: activations(
                "forward_activation",
                message.forward_activation,
                default.forward_activation,
            )?,
            backward_activation: activations(
                "backward_activation",
                message.backward_activation,
                default.backward_activation,
            )?,
            last_layer_activation: activations(
                "last_layer_activation",
                message.last_layer_activation,
                default.last_layer_activation,
            )?,
            synapse_activation: activations(
                "synapse_activation",
                message.synapse_activation,
                default.synapse_activation,
            )?,
            backward_update: BackwardUpdate::from_wire_or(
                "backward_update",
                message.backward_update,
                default.backward_update,
            )?,
            feedback: Feedback::from_wire_or("feedback", message.feedback, default.feedback)?,
            symmetric_synapses: message.symmetric_synapses.unwrap_or(default.symmetric_synapses),
            symmetric_states: message.symmetric_states.unwrap_or(default.symmetric_states),
            zero_out_neurons: message.zero_out_neurons.unwrap_or(default.zero_out_neurons),
            genome: GenomeScope::from_wire_or("genome", message.genome, default.genome)?,
            normalisation: message.normalisation.map(
                |v1::Normalisation { stored, in_activations, rescale }| Normalisation {
                    stored,
                    in_activations,
                    rescale,
                },
            ),
            oja: message.oja.map(|v1::Oja { scale, multiplier, synapse_weights }| Oja {
                scale: scale.unwrap_or(Oja::default().scale),
                multiplier,
                synapse_weights,
            }),
            saturation: message.saturation.map(|v1::Saturation { epsilon }| Saturation {
                epsilon: epsilon.unwrap_or(Saturation::default().epsilon),
            }),
            forward_synapse_update: ForwardSynapseUpdate::from_wire_or(
                "forward_synapse_update",
                message.forward_synapse_update,
                default.forward_synapse_update,
            )?,
            forward_activations_in_synapse_update: message
                .forward_activations_in_synapse_update
                .unwrap_or(default.forward_activations_in_synapse_update),
            supervised_every: message.supervised_every.unwrap_or(default.supervised_every),
            updatable: match message.updatable {
                None => None,
                Some(v1::UpdatableLayers { layers }) => {
                    check_length("updatable.layers", &layers, LIST_MAX)?;
                    Some(layers)
                }
            },
            evolve_initial_scale: message.evolve_initial_scale.unwrap_or(default.evolve_initial_scale),
        })
    }
}

impl From<&StateActivations> for v1::StateActivations {
    fn from(activations: &StateActivations) -> Self {
        use v1::state_activations::Kind;
        let kind = match activations {
            StateActivations::All(activation) => Kind::All(activation.to_wire()),
            StateActivations::PerState(activations) => Kind::PerState(v1::ActivationList {
                activations: activations.iter().map(|activation| activation.to_wire()).collect(),
            }),
        };
        Self { kind: Some(kind) }
    }
}

fn to_activations(field: &str, message: v1::StateActivations) -> Result<StateActivations, ConvertError> {
    use v1::state_activations::Kind;
    match required(field, message.kind)? {
        Kind::All(number) => {
            Activation::from_wire(&format!("{field}.all"), number).map(StateActivations::All)
        }
        Kind::PerState(list) => {
            let field = format!("{field}.per_state.activations");
            to_enums(&field, &list.activations).map(StateActivations::PerState)
        }
    }
}

fn to_enums<E: WireEnum>(field: &str, numbers: &[i32]) -> Result<Vec<E>, ConvertError> {
    check_length(field, numbers, LIST_MAX)?;
    let number = |(place, &number)| E::from_wire(&format!("{field}[{place}]"), number);
    numbers.iter().enumerate().map(number).collect()
}

impl From<&NetworkSpec> for v1::Network {
    fn from(spec: &NetworkSpec) -> Self {
        let layers = |neurons: &Vec<u32>| v1::HiddenLayers { neurons: neurons.clone() };
        Self {
            hidden: spec.shapes.is_empty().then(|| layers(&spec.hidden)),
            shapes: spec.shapes.iter().map(layers).collect(),
            initial_synapses: Some(v1::InitialSynapses {
                distribution: Some(spec.initial_synapses.distribution.to_wire()),
                scale: Some(spec.initial_synapses.scale),
            }),
        }
    }
}

impl TryFrom<v1::Network> for NetworkSpec {
    type Error = ConvertError;

    fn try_from(message: v1::Network) -> Result<Self, ConvertError> {
        let default = Self::default();
        check_length("shapes", &message.shapes, LIST_MAX)?;
        for (place, layers) in message.shapes.iter().enumerate() {
            check_length(&format!("shapes[{place}].neurons"), &layers.neurons, LIST_MAX)?;
        }
        let shapes: Vec<Vec<u32>> = message.shapes.into_iter().map(|layers| layers.neurons).collect();
        let hidden = message.hidden.map_or_else(|| default_hidden(&shapes), |layers| layers.neurons);
        check_length("hidden.neurons", &hidden, LIST_MAX)?;
        let synapses = message.initial_synapses.unwrap_or_default();
        let initial_synapses = InitialSynapses {
            distribution: SynapseDistribution::from_wire_or(
                "initial_synapses.distribution",
                synapses.distribution,
                default.initial_synapses.distribution,
            )?,
            scale: synapses.scale.unwrap_or(default.initial_synapses.scale),
        };
        Ok(Self { hidden, shapes, initial_synapses })
    }
}

impl From<&TaskSpec> for v1::Tasks {
    fn from(spec: &TaskSpec) -> Self {
        Self {
            families: spec.families.iter().map(|family| family.name().to_owned()).collect(),
            per_generation: Some(spec.per_generation),
            batch_size: Some(spec.batch_size),
            query_size: Some(spec.query_size),
            images: Some(v1::ImageAugmentation {
                permute_labels: Some(spec.images.permute_labels),
                inputs: spec.images.inputs.iter().map(|input| input.to_wire()).collect(),
            }),
            data_sets: spec.data_sets.iter().map(Into::into).collect(),
        }
    }
}

/// Names of task families in a field `families`.
fn to_families(names: &[String]) -> Result<Vec<TaskFamily>, ConvertError> {
    check_length("families", names, LIST_MAX)?;
    let family = |(place, name): (usize, &String)| {
        name.parse::<TaskFamily>()
            .map_err(|error| ConvertError::new(format!("families[{place}]"), error.to_string()))
    };
    names.iter().enumerate().map(family).collect()
}

impl TryFrom<v1::Tasks> for TaskSpec {
    type Error = ConvertError;

    fn try_from(message: v1::Tasks) -> Result<Self, ConvertError> {
        let default = Self::of(to_families(&message.families)?);
        let images = message.images.unwrap_or_default();
        let inputs: Vec<InputAugmentation> = to_enums("images.inputs", &images.inputs)?;
        check_length("data_sets", &message.data_sets, LIST_MAX)?;
        let data_set = |(place, message): (usize, v1::DataSet)| {
            DataSetSpec::try_from(message).map_err(|error| error.within(&format!("data_sets[{place}]")))
        };
        Ok(Self {
            per_generation: message.per_generation.unwrap_or(default.per_generation),
            batch_size: message.batch_size.unwrap_or(default.batch_size),
            query_size: message.query_size.unwrap_or(default.query_size),
            images: ImageAugmentation {
                permute_labels: images.permute_labels.unwrap_or(default.images.permute_labels),
                inputs: if inputs.is_empty() { default.images.inputs } else { inputs },
            },
            families: default.families,
            data_sets: message.data_sets.into_iter().enumerate().map(data_set).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&DataSetSpec> for v1::DataSet {
    fn from(spec: &DataSetSpec) -> Self {
        Self {
            name: spec.name.to_string(),
            side: Some(spec.side),
            classes: spec.classes.iter().copied().map(u32::from).collect(),
            digest: spec.digest.map(|digest| digest.0.to_vec()),
        }
    }
}

impl TryFrom<v1::DataSet> for DataSetSpec {
    type Error = ConvertError;

    fn try_from(message: v1::DataSet) -> Result<Self, ConvertError> {
        check_length("classes", &message.classes, LIST_MAX)?;
        let name: DataSetName =
            message.name.parse().map_err(|error| ConvertError::new("name", format!("{error}")))?;
        let class = |(place, label): (usize, u32)| {
            let problem = || format!("must be a label from 0 to 255, not {label}");
            u8::try_from(label).map_err(|_| ConvertError::new(format!("classes[{place}]"), problem()))
        };
        Ok(Self {
            name,
            side: message.side.unwrap_or(Self::DEFAULT_SIDE),
            classes: message.classes.into_iter().enumerate().map(class).collect::<Result<_, _>>()?,
            digest: message.digest.map(|bytes| to_digest("digest", &bytes)).transpose()?,
        })
    }
}

impl From<&ValidationSpec> for v1::Validation {
    fn from(spec: &ValidationSpec) -> Self {
        Self {
            families: spec.families.iter().map(|family| family.name().to_owned()).collect(),
            every: Some(spec.every),
            tasks_per_family: Some(spec.tasks_per_family),
            unroll_factor: Some(spec.unroll_factor),
            select: Some(spec.select.to_wire()),
        }
    }
}

impl TryFrom<v1::Validation> for ValidationSpec {
    type Error = ConvertError;

    fn try_from(message: v1::Validation) -> Result<Self, ConvertError> {
        let default = Self::of(to_families(&message.families)?);
        Ok(Self {
            every: message.every.unwrap_or(default.every),
            tasks_per_family: message.tasks_per_family.unwrap_or(default.tasks_per_family),
            unroll_factor: message.unroll_factor.unwrap_or(default.unroll_factor),
            select: Selection::from_wire_or("select", message.select, default.select)?,
            families: default.families,
        })
    }
}

impl From<&EvaluationSpec> for v1::Evaluation {
    fn from(spec: &EvaluationSpec) -> Self {
        use v1::{measure, measure_point};
        let kind = match &spec.measure {
            Measure::Curve(CurveWord::Curve) => measure::Kind::Curve(v1::LearningCurve {}),
            Measure::Points(points) => measure::Kind::Points(v1::MeasurePoints {
                points: points
                    .iter()
                    .map(|point| v1::MeasurePoint {
                        update: Some(match point.update {
                            UpdatePoint::At(update) => measure_point::Update::At(update),
                            UpdatePoint::Last(LastWord::Last) => {
                                measure_point::Update::Last(v1::LastUpdate {})
                            }
                        }),
                        weight: point.weight,
                    })
                    .collect(),
            }),
        };
        let phase =
            |phase: &UnrollPhase| v1::UnrollPhase { generations: phase.generations, updates: phase.updates };
        Self {
            objective: Some(spec.objective.to_wire()),
            measure: Some(v1::Measure { kind: Some(kind) }),
            unroll: spec.unroll.iter().map(phase).collect(),
        }
    }
}

impl TryFrom<v1::Evaluation> for EvaluationSpec {
    type Error = ConvertError;

    fn try_from(message: v1::Evaluation) -> Result<Self, ConvertError> {
        let default = Self::default();
        check_length("unroll", &message.unroll, LIST_MAX)?;
        let phase =
            |phase: v1::UnrollPhase| UnrollPhase { generations: phase.generations, updates: phase.updates };
        Ok(Self {
            objective: Objective::from_wire_or("objective", message.objective, default.objective)?,
            measure: message.measure.map_or(Ok(default.measure), to_measure)?,
            unroll: if message.unroll.is_empty() {
                default.unroll
            } else {
                message.unroll.into_iter().map(phase).collect()
            },
        })
    }
}

fn to_measure(message: v1::Measure) -> Result<Measure, ConvertError> {
    use v1::{measure, measure_point};
    let points = match required("measure", message.kind)? {
        measure::Kind::Curve(v1::LearningCurve {}) => return Ok(Measure::Curve(CurveWord::Curve)),
        measure::Kind::Points(list) => list.points,
    };
    check_length("measure.points.points", &points, LIST_MAX)?;
    let point = |(place, point): (usize, v1::MeasurePoint)| {
        let update = match required(&format!("measure.points.points[{place}].at"), point.update)? {
            measure_point::Update::At(update) => UpdatePoint::At(update),
            measure_point::Update::Last(v1::LastUpdate {}) => UpdatePoint::Last(LastWord::Last),
        };
        Ok(MeasurePoint { update, weight: point.weight })
    };
    points.into_iter().enumerate().map(point).collect::<Result<_, _>>().map(Measure::Points)
}

impl From<&StopSpec> for v1::Stop {
    fn from(spec: &StopSpec) -> Self {
        Self {
            generations: spec.generations,
            evaluations: spec.evaluations,
            target_fitness: spec.target_fitness,
            time_limit: spec
                .time_limit_s
                .map(|seconds| from_duration(std::time::Duration::from_secs(seconds))),
        }
    }
}

impl TryFrom<v1::Stop> for StopSpec {
    type Error = ConvertError;

    fn try_from(message: v1::Stop) -> Result<Self, ConvertError> {
        let time_limit_s = match message.time_limit {
            None => None,
            limit => {
                let limit = to_duration("time_limit", limit)?;
                if limit.subsec_nanos() != 0 {
                    return Err(ConvertError::new("time_limit", "must be whole seconds"));
                }
                Some(limit.as_secs())
            }
        };
        Ok(Self {
            generations: message.generations,
            evaluations: message.evaluations,
            target_fitness: message.target_fitness,
            time_limit_s,
        })
    }
}
