//! Where a search starts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::range::Range;
use super::strategy::StrategySpec;
use super::{Problem, RunSpec, SpecError};
use crate::genome::{Genome, GenomeLayout};
use crate::limits::{SPEC_BYTES_MAX, START_NUMBER_MAX};
use crate::seed::{Purpose, Seed, fill_normal};

/// Where a search starts: the mean of its first generation.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartSpec {
    /// The genome.
    pub genome: StartGenome,
    /// Of "backpropagation": the length of its steps. Default: 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<of::LearningRate>")]
    pub learning_rate: Option<PerLayer>,
    /// Of "backpropagation" with `rule.update_normalisation`: 0 for descent, 1 for steps that do not depend on the gradient's size.
    /// Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<of::Exponent>")]
    pub normalisation_exponent: Option<PerLayer>,
    /// Of "backpropagation" with `rule.update_schedule`: steps times (1 + t) to this power, with t updates before. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<of::Exponent>")]
    pub schedule_power: Option<PerLayer>,
    /// Of "backpropagation" with `rule.initial_scale`: the scale of the initial synapses. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<of::Scale>")]
    pub initial_scale: Option<PerLayer>,
    /// Standard deviation of normal noise on the transforms of a multi-state rule (forward, backward, Hebbian pre and post),
    /// drawn below the run's seed.
    #[serde(skip_serializing_if = "super::is_default")]
    #[schemars(!skip_serializing_if, transform = NOISE.schema())]
    pub noise: f64,
    /// What segments of the genome start with instead, by their names.
    #[serde(skip_serializing_if = "super::is_default")]
    #[schemars(!skip_serializing_if)]
    pub segments: BTreeMap<String, SegmentStart>,
}

/// What a segment of a genome starts with, in the space of the search.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentStart {
    /// Each of its numbers. Default: those of the genome.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = VALUE.schema())]
    pub value: Option<f64>,
    /// Standard deviation of normal noise that is added, drawn below the run's seed.
    #[schemars(transform = NOISE.schema())]
    pub noise: f64,
}

/// The genome that a search starts from.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"zeros\", \"backpropagation\", the name of a genome file that ends in .json, \"rule:NAME\" for one of the \
                 program's rules, or numbers"
)]
pub enum StartGenome {
    /// One that is known.
    Known(KnownGenome),
    /// That of a file, or of a rule that is part of the program: its numbers take the place of its name before the run is created.
    File(GenomePath),
    /// Its numbers, in the space of the search.
    Values(#[schemars(transform = VALUE.of_items())] Vec<f64>),
}

/// A genome that needs no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownGenome {
    /// Zeros, or where the rule's family has its customary numbers.
    Zeros,
    /// The genome that is gradient descent, or near it where the rule's options make it another.
    Backpropagation,
}

impl Default for StartGenome {
    fn default() -> Self {
        Self::Known(KnownGenome::Zeros)
    }
}

/// The name of a genome file, or of a rule that is part of the program.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "\\.json$|^rule:"))]
pub struct GenomePath(String);

impl GenomePath {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for GenomePath {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let known = name.strip_suffix(".json").is_some() || name.starts_with("rule:");
        if known { Ok(Self(name)) } else { Err("must end in .json, or be rule:NAME") }
    }
}

impl From<GenomePath> for String {
    fn from(path: GenomePath) -> Self {
        path.0
    }
}

/// One number for all layers of synapses, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or a list of them, one for each layer of synapses")]
pub enum PerLayer {
    /// The same for all.
    All(f64),
    /// From the input on.
    Each(Vec<f64>),
}

impl PerLayer {
    fn check(&self, field: &str, range: Range<f64>) -> Result<(), SpecError> {
        match self {
            Self::All(number) => range.check(field, *number),
            Self::Each(numbers) => {
                let mut numbers = numbers.iter().enumerate();
                numbers.try_for_each(|(place, &number)| range.check(&format!("{field}[{place}]"), number))
            }
        }
    }
}

/// What the schema says of numbers by layer, by their ranges.
mod of {
    #![expect(dead_code, reason = "they are only described")]
    use schemars::JsonSchema;

    macro_rules! per_layer {
        ($($(#[$doc:meta])* $name:ident: $range:ident,)+) => {
            $($(#[$doc])* #[derive(JsonSchema)]
            #[schemars(untagged, inline)]
            pub(super) enum $name {
                /// The same for all layers of synapses.
                All(#[schemars(transform = super::$range.schema())] f64),
                /// One for each layer of synapses, from the input on.
                Each(#[schemars(transform = super::$range.of_items())] Vec<f64>),
            })+
        };
    }

    per_layer! {
        LearningRate: LEARNING_RATE,
        Exponent: EXPONENT,
        Scale: SCALE,
    }
}

/// Learning rates of the genome of backpropagation.
pub const LEARNING_RATE: Range<f64> = Range::above(0.0, 1e3);
const EXPONENT: Range<f64> = Range::new(-10.0, 10.0);
const SCALE: Range<f64> = Range::above(0.0, 1e3);
const NOISE: Range<f64> = Range::new(0.0, 1e3);
const VALUE: Range<f64> = Range::new(-START_NUMBER_MAX, START_NUMBER_MAX);

/// The segments that noise is added to.
const NOISY: [&str; 4] = ["forward_transform", "backward_transform", "hebbian_pre", "hebbian_post"];

impl StartSpec {
    /// Refuses what is out of range or does not fit the problem, naming the field.
    pub(super) fn validate(&self, problem: &Problem) -> Result<(), SpecError> {
        NOISE.check("start.noise", self.noise)?;
        for (field, numbers, range) in [
            ("start.learning_rate", &self.learning_rate, LEARNING_RATE),
            ("start.normalisation_exponent", &self.normalisation_exponent, EXPONENT),
            ("start.schedule_power", &self.schedule_power, EXPONENT),
            ("start.initial_scale", &self.initial_scale, SCALE),
        ] {
            let Some(numbers) = numbers else { continue };
            numbers.check(field, range)?;
            if self.genome != StartGenome::Known(KnownGenome::Backpropagation) {
                let problem = "is of start.genome = \"backpropagation\"; leave it out";
                return Err(SpecError::field(field, problem));
            }
        }
        if let StartGenome::Values(values) = &self.genome {
            let dimension = problem.layout().dimension();
            for (place, &value) in values.iter().enumerate() {
                VALUE.check(&format!("start.genome[{place}]"), value)?;
            }
            if values.len() != dimension {
                let problem = format!("must hold {dimension} numbers, not {}", values.len());
                return Err(SpecError::field("start.genome", problem));
            }
        }
        if self.noise > 0.0 && problem.layout().segment(NOISY[0]).is_none() {
            let problem = "is added to the transforms of a multi-state rule; leave it out";
            return Err(SpecError::field("start.noise", problem));
        }
        self.validate_segments(&problem.layout())?;
        self.without_noise(problem).map(|_| ())
    }

    fn validate_segments(&self, layout: &GenomeLayout) -> Result<(), SpecError> {
        for (name, start) in &self.segments {
            let field = format!("start.segments.{name}");
            if layout.segment(name).is_none() {
                let names: Vec<&str> = layout.segments().iter().map(|segment| &segment.name[..]).collect();
                let problem = format!("is no segment of these genomes, which have {}", names.join(", "));
                return Err(SpecError::field(field, problem));
            }
            NOISE.check(&format!("{field}.noise"), start.noise)?;
            if let Some(value) = start.value {
                VALUE.check(&format!("{field}.value"), value)?;
            }
        }
        Ok(())
    }

    /// Refuses a start whose genome is still in a file.
    pub(super) fn check_complete(&self) -> Result<(), SpecError> {
        let StartGenome::File(path) = &self.genome else { return Ok(()) };
        let problem = format!(
            "must be the numbers of `{}`: `hebbian run` and `hebbian create` put them here",
            path.as_str()
        );
        Err(SpecError::field("start.genome", problem))
    }

    /// The mean that a search of a validated and complete spec starts from.
    pub(super) fn mean(&self, problem: &Problem, seed: Seed) -> Genome {
        let layout = problem.layout();
        let mut genome = self.without_noise(problem).unwrap_or_else(|_| layout.initial_mean());
        if self.noise > 0.0 {
            let segments = NOISY.iter().filter_map(|name| layout.segment(name));
            let mut rng = seed.derive(Purpose::Start, 0).rng();
            for segment in segments {
                let mut noise = vec![0.0; segment.len()];
                fill_normal(&mut rng, &mut noise);
                let values = &mut genome.0[segment.range()];
                values.iter_mut().zip(noise).for_each(|(value, noise)| *value += self.noise * noise);
            }
        }
        for (place, segment) in layout.segments().iter().enumerate() {
            let Some(start) = self.segments.get(&segment.name) else { continue };
            let values = &mut genome.0[segment.range()];
            let mut noise = vec![0.0; values.len()];
            fill_normal(&mut seed.derive(Purpose::Start, 1 + place as u64).rng(), &mut noise);
            for (value, noise) in values.iter_mut().zip(noise) {
                *value = start.value.unwrap_or(*value) + start.noise * noise;
            }
        }
        genome
    }

    fn without_noise(&self, problem: &Problem) -> Result<Genome, SpecError> {
        match &self.genome {
            StartGenome::Values(values) => Ok(Genome(values.clone())),
            StartGenome::Known(KnownGenome::Zeros) | StartGenome::File(_) => {
                Ok(problem.layout().initial_mean())
            }
            StartGenome::Known(KnownGenome::Backpropagation) => problem.backpropagation(self),
        }
    }
}

impl RunSpec {
    /// The same search, but one that begins from another one's distribution: its mean, its step size, and its covariance up to the step
    /// size (the lower triangle by columns, among all numbers of a genome). An error says why no spec can.
    pub fn started_from(
        &self,
        mean: Genome,
        step_size: f64,
        covariance: Vec<f64>,
    ) -> Result<Self, SpecError> {
        let mut spec = self.clone();
        let StrategySpec::CmaEs(settings) = &mut spec.strategy else {
            let problem = "must be cma-es: no other strategy begins from a covariance";
            return Err(SpecError::field("strategy.kind", problem));
        };
        settings.step_size = step_size.min(settings.step_size_max);
        settings.initial_covariance = covariance;
        // They are in the covariance.
        settings.scales = Vec::new();
        spec.start = StartSpec { genome: StartGenome::Values(mean.0), ..StartSpec::default() };
        spec.validate()?;
        let bytes = spec.to_toml().len() as u64;
        if bytes > SPEC_BYTES_MAX {
            let problem = format!(
                "makes a spec of {bytes} bytes; at most {SPEC_BYTES_MAX} are allowed, so it cannot be one's beginning"
            );
            return Err(SpecError::field("strategy.initial_covariance", problem));
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    const EXAMPLE: &str = include_str!("../../../examples/differentiable.toml");

    fn read(start: &str) -> Result<RunSpec, String> {
        RunSpec::read(&format!("{EXAMPLE}\n[start]\n{start}\n")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_start_is_zeros_or_what_is_written() {
        let spec = RunSpec::read(EXAMPLE).unwrap();
        assert_eq!(spec.initial_mean(), spec.layout().initial_mean());
        assert!(!spec.to_toml().contains("[start]"), "older specs keep their text");
        let values: Vec<f64> = (0..245).map(|place| f64::from(place) / 8.0).collect();
        let spec = read(&format!("genome = {values:?}")).unwrap();
        assert_eq!(spec.initial_mean().0, values);
        assert_eq!(RunSpec::read(&spec.to_toml()), Ok(spec));
    }

    #[test]
    fn the_start_of_the_recipe_is_backpropagation_with_noise() {
        let spec = read(
            "genome = \"backpropagation\"\nlearning_rate = [0.04, 0.05]\nnormalisation_exponent = 1\nschedule_power = -0.5\n\
             initial_scale = [1.0, 0.5]\nnoise = 0.02",
        )
        .unwrap();
        let (layout, mean) = (spec.layout(), spec.initial_mean());
        let of = |name: &str| layout.parameters(name, &mean).unwrap();
        let near = |found: Vec<f64>, expected: &[f64]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
            assert_eq!(found.len(), expected.len());
        };
        near(of("synapse_update"), &[0.04, 0.04, 0.04, 0.04, 0.05, 0.05, 0.05, 0.05]);
        near(of("initial_scale"), &[1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]);
        near(of("normalisation_exponent"), &[1.0; 8]);
        near(of("schedule_power"), &[-0.5; 8]);
        near(of("readout"), &[1.0, 0.0, 1.0, 0.0]);
        near(of("neuron_keep"), &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let transform = of("forward_transform");
        assert!(transform.iter().all(|x| x.abs().min((x - 1.0).abs()) < 0.1) && transform[0] != 1.0);
        let other = RunSpec { seed: Seed::new(2).unwrap(), ..spec.clone() };
        assert_ne!(other.initial_mean(), mean, "noise is the seed's");
        assert_eq!(RunSpec::read(&spec.to_toml()).unwrap().initial_mean(), mean);
    }

    #[test]
    fn segments_start_where_they_are_told() {
        let spec = read(
            "segments = { forward_transform = { noise = 0.3 }, neuron_keep = { value = -2.0 }, hebbian_pre = { value = 5.0, noise = 0.1 } }",
        )
        .unwrap();
        let (layout, mean) = (spec.layout(), spec.initial_mean());
        let of = |name: &str| &mean.0[layout.segment(name).unwrap().range()];
        assert!(of("neuron_keep").iter().all(|&value| value == -2.0));
        assert!(of("hebbian_pre").iter().all(|value| (value - 5.0).abs() < 1.0));
        let transform = of("forward_transform");
        assert!(transform.iter().all(|value| value.abs() < 1.5 && *value != 0.0));
        assert_ne!(transform[0] / 0.3, (of("hebbian_pre")[0] - 5.0) / 0.1, "each has noise of its own");
        let other = layout.segment("hebbian_post").unwrap().range();
        assert_eq!(mean.0[other.clone()], layout.initial_mean().0[other]);
        assert_ne!(RunSpec { seed: Seed::new(2).unwrap(), ..spec.clone() }.initial_mean(), mean);
        assert_eq!(RunSpec::read(&spec.to_toml()), Ok(spec));
    }

    #[test]
    fn what_is_no_start_is_refused_by_name() {
        for (start, expected) in [
            ("genome = \"backprop\"", "start.genome: expected \"zeros\", \"backpropagation\", the name of a"),
            ("genome = [1.0]", "start.genome: must hold 245 numbers, not 1"),
            ("genome = [1e200]", "start.genome[0]: must be from -1e100 to 1e100"),
            ("learning_rate = 0.1", "start.learning_rate: is of start.genome = \"backpropagation\""),
            ("learning_rate = 0", "start.learning_rate: must be above 0"),
            ("noise = -1.0", "start.noise: must be from 0 to 1000"),
            (
                "segments = { axon = {} }",
                "start.segments.axon: is no segment of these genomes, which have forward_transform, ",
            ),
            (
                "segments = { neuron_keep = { noise = -1.0 } }",
                "start.segments.neuron_keep.noise: must be from 0",
            ),
            (
                "segments = { neuron_keep = { value = 1e200 } }",
                "start.segments.neuron_keep.value: must be from",
            ),
            ("segments = { neuron_keep = { mean = 1.0 } }", "start.segments.neuron_keep.mean"),
            (
                "genome = \"backpropagation\"\ninitial_scale = [1.0]",
                "start.initial_scale: must be one number or 2",
            ),
        ] {
            let error = read(start).expect_err(start);
            assert!(error.contains(expected), "{start}: {error}");
        }
        let spec = read("genome = \"best.json\"").unwrap();
        let error = spec.check_complete().unwrap_err().to_string();
        assert!(error.starts_with("start.genome: must be the numbers of `best.json`"), "{error}");
    }
}
