//! Families of rules. A family's options, their checks and the layout of its genomes are in a file of its own; here is
//! the one place that lists the families.

pub mod abcd;
pub mod ablation;
pub mod gradient_descent;
pub mod kernel_ridge;
pub mod linear_memory;
pub mod multi_state;
pub mod sample_weights;
pub mod update_networks;
pub mod warped_descent;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::SpecError;
use super::idle::Idle;
use super::network::NetworkSpec;
use super::start::StartSpec;
use super::strategy::Estimator;
use super::task::TaskSpec;
use crate::genome::{Genome, GenomeLayout};
use abcd::AbcdSpec;
use gradient_descent::GradientDescentSpec;
use kernel_ridge::KernelRidgeSpec;
use linear_memory::LinearMemorySpec;
use multi_state::MultiStateSpec;
use sample_weights::SampleWeightsSpec;
use update_networks::UpdateNetworksSpec;
use warped_descent::WarpedDescentSpec;

/// A rule: its family and the options that its genome's numbers do not hold.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
#[schemars(transform = first_family_is_default)]
pub enum RuleSpec {
    /// The update rule of multi-state networks. The family of a rule that names none.
    MultiState(MultiStateSpec),
    /// Gradient descent on a multilayer perceptron.
    GradientDescent(GradientDescentSpec),
    /// The ABCD rule, which has no backward pass.
    Abcd(AbcdSpec),
    /// Kernel ridge regression on all examples that were seen, which trains no network.
    KernelRidge(KernelRidgeSpec),
    /// Bodies and synapses that two shared functions change, tick by tick (after Gregor 2020).
    UpdateNetworks(UpdateNetworksSpec),
    /// Gradient descent through layers that the genome holds (Flennerhag et al. 2020).
    WarpedDescent(WarpedDescentSpec),
    /// Gradient descent in which a function of an example's loss says how much it counts (Shu et al. 2019, Xu et al. 2021).
    SampleWeights(SampleWeightsSpec),
    /// A matrix from cues to targets, which trains no network: the outer product, the delta rule, least squares.
    LinearMemory(LinearMemorySpec),
}

/// What a family says of its rules.
pub trait RuleOptions {
    /// The name as it is written.
    fn family(&self) -> &'static str;

    /// Refuses impossible combinations, naming the field.
    fn validate(&self) -> Result<(), SpecError>;

    /// An option that is not as it is by default and does nothing beside the others, if there is one.
    fn idle(&self) -> Option<Idle> {
        None
    }

    /// What a sound rule gains nothing by on these tasks, and what would help, for people.
    fn notes(&self, _: &TaskSpec) -> Vec<String> {
        Vec::new()
    }

    /// Refuses a rule that these networks or tasks do not suit, naming the field.
    fn validate_for(&self, network: &NetworkSpec, tasks: &TaskSpec) -> Result<(), SpecError>;

    /// The layout of the rule's genomes for these networks.
    ///
    /// # Panics
    /// If the rule does not suit the networks, which [`RuleOptions::validate_for`] refuses.
    fn layout(&self, network: &NetworkSpec) -> GenomeLayout;

    /// The layout of the rule's genomes for these networks and tasks; another than [`RuleOptions::layout`] only where a genome knows
    /// inputs and outputs by their numbers.
    ///
    /// # Panics
    /// If the rule does not suit the networks or tasks, which [`RuleOptions::validate_for`] refuses.
    fn layout_for(&self, network: &NetworkSpec, _: &TaskSpec) -> GenomeLayout {
        self.layout(network)
    }

    /// The most numbers that a network with layers of these sizes holds with its memory for batches of `batch` examples.
    fn network_numbers(&self, sizes: &[usize], batch: f64) -> f64;

    /// Multiplications of an update for each of its examples, roughly.
    fn multiplications(&self, sizes: &[usize]) -> f64;

    /// Refuses a rule whose genome has no gradient on these tasks, naming the field.
    fn check_gradient(&self, _: &TaskSpec) -> Result<(), SpecError> {
        let problem = format!(
            "`{}` gives no gradient; use \"multi-state\", \"update-networks\", \"warped-descent\" or \"sample-weights\"",
            self.family()
        );
        Err(SpecError::field("rule.family", problem))
    }

    /// Refuses a genome at which all gradients are zero, so that a search along them would stay there, naming the field.
    fn check_gradient_at(&self, _: &GenomeLayout, _: &Genome) -> Result<(), SpecError> {
        Ok(())
    }

    /// Refuses an estimator that says nothing of these rules, naming the field.
    fn check_estimator(&self, estimator: Estimator) -> Result<(), SpecError> {
        if estimator == Estimator::Unrolled {
            return Ok(());
        }
        let problem = format!(
            "`{}` asks a training loss how it depends on the genome, and a genome of `{}` defines an update and no loss; use \
             \"unrolled\", or a strategy without gradients",
            estimator.name(),
            self.family()
        );
        Err(SpecError::field("strategy.estimator", problem))
    }

    /// The most numbers that the gradient of `updates` updates of such a network holds besides, and those of them that grow with
    /// the number of updates.
    fn gradient_numbers(&self, _sizes: &[usize], _batch: usize, _updates: u32) -> [f64; 2] {
        [0.0; 2]
    }

    /// The genome of backpropagation, at the numbers of `start`; refuses rules that have none, naming the field.
    fn backpropagation(&self, _: &NetworkSpec, _: &StartSpec) -> Result<Genome, SpecError> {
        let problem = format!("must be \"zeros\" for `{}`, whose zeros are customary descent", self.family());
        Err(SpecError::field("start.genome", problem))
    }

    /// Genomes of the family that are known without a search.
    fn special_genomes(&self) -> &'static [SpecialGenome] {
        &[]
    }

    /// The rule in a few words, for people.
    fn summary(&self) -> String;
}

/// A genome that is known without a search, which `hebbian genome` writes as a run would that found it before its first generation.
#[derive(Debug)]
pub struct SpecialGenome {
    /// The command that writes it.
    pub command: &'static str,
    /// The name of its run.
    pub name: &'static str,
    /// What the command does, in a line.
    pub summary: &'static str,
    /// What it is, in a few more.
    pub details: &'static str,
    /// The run's spec as TOML, but for its name. Its tasks are those of whoever names no others.
    pub spec: &'static str,
    /// Its numbers for steps of this length.
    pub genome: fn(f64) -> Genome,
}

/// A family's name, and how its rules are read.
type Row = (&'static str, fn(Table) -> Result<RuleSpec, String>);

/// The families. The first is that of a rule that names none.
const FAMILIES: [Row; 8] = [
    (MultiStateSpec::FAMILY, |options| read(options).map(RuleSpec::MultiState)),
    (GradientDescentSpec::FAMILY, |options| read(options).map(RuleSpec::GradientDescent)),
    (AbcdSpec::FAMILY, |options| read(options).map(RuleSpec::Abcd)),
    (KernelRidgeSpec::FAMILY, |options| read(options).map(RuleSpec::KernelRidge)),
    (UpdateNetworksSpec::FAMILY, |options| read(options).map(RuleSpec::UpdateNetworks)),
    (WarpedDescentSpec::FAMILY, |options| read(options).map(RuleSpec::WarpedDescent)),
    (SampleWeightsSpec::FAMILY, |options| read(options).map(RuleSpec::SampleWeights)),
    (LinearMemorySpec::FAMILY, |options| read(options).map(RuleSpec::LinearMemory)),
];

impl RuleSpec {
    /// What the rule's family says of it.
    pub fn options(&self) -> &dyn RuleOptions {
        match self {
            Self::MultiState(options) => options,
            Self::GradientDescent(options) => options,
            Self::Abcd(options) => options,
            Self::KernelRidge(options) => options,
            Self::UpdateNetworks(options) => options,
            Self::WarpedDescent(options) => options,
            Self::SampleWeights(options) => options,
            Self::LinearMemory(options) => options,
        }
    }

    /// A rule of each family with the default options.
    pub fn of_each_family() -> impl Iterator<Item = Self> {
        FAMILIES.iter().map(|(_, read)| read(Table::new()).expect("all options have a default"))
    }
}

impl Default for RuleSpec {
    fn default() -> Self {
        Self::MultiState(MultiStateSpec::default())
    }
}

impl From<MultiStateSpec> for RuleSpec {
    fn from(options: MultiStateSpec) -> Self {
        Self::MultiState(options)
    }
}

impl From<GradientDescentSpec> for RuleSpec {
    fn from(options: GradientDescentSpec) -> Self {
        Self::GradientDescent(options)
    }
}

impl<'de> Deserialize<'de> for RuleSpec {
    /// By hand, because `family` may be left out and stand anywhere. An error names the field from `rule` on.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Of the two languages, TOML's values are those that can be any number. JSON's null is an option that is left out.
        let options = BTreeMap::<String, Option<Value>>::deserialize(deserializer)?;
        let mut options: Table =
            options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let family = options.remove("family").unwrap_or_else(|| FAMILIES[0].0.into());
        let Some((_, read)) = FAMILIES.iter().find(|(name, _)| family.as_str() == Some(name)) else {
            let names: Vec<String> = FAMILIES.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let problem = format!("rule.family: must be one of {}, not {family}", names.join(", "));
            return Err(D::Error::custom(problem));
        };
        read(options).map_err(D::Error::custom)
    }
}

/// Says in the schema that a rule that names no family is of the first.
fn first_family_is_default(schema: &mut Schema) {
    let first = schema.pointer_mut("/oneOf/0").expect("there is a family");
    first["properties"]["family"]["default"] = FAMILIES[0].0.into();
    first.as_object_mut().expect("it is a schema").remove("required");
}

/// Reads the options of one family.
fn read<T: DeserializeOwned>(options: Table) -> Result<T, String> {
    serde_path_to_error::deserialize(options).map_err(|error| match error.path().to_string() {
        path if path == "." => error.inner().message().to_owned(),
        path => format!("rule.{path}: {}", error.inner().message()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_json(json: &str) -> Result<RuleSpec, String> {
        serde_json::from_str(json).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn a_rule_without_a_family_is_a_multi_state_rule() {
        let rule = from_json(r#"{ "states": 2 }"#).unwrap();
        assert_eq!(rule, MultiStateSpec { states: 2, ..MultiStateSpec::default() }.into());
        for json in ["{}", r#"{ "oja": null }"#, r#"{ "family": "multi-state" }"#] {
            assert_eq!(from_json(json).unwrap(), RuleSpec::default());
        }
        let written = serde_json::to_string(&rule).unwrap();
        assert!(written.starts_with(r#"{"family":"multi-state","states":2,"#), "{written}");
    }

    #[test]
    fn every_family_is_read_as_it_is_written() {
        let mut families = 0;
        for rule in RuleSpec::of_each_family() {
            let json = serde_json::to_value(&rule).unwrap();
            assert_eq!(json["family"], rule.options().family());
            assert_eq!(from_json(&json.to_string()).unwrap(), rule);
            assert_eq!(rule.options().validate(), Ok(()));
            families += 1;
        }
        assert_eq!(families, FAMILIES.len());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (json, expected) in [
            (
                r#"{ "family": "backprop" }"#,
                r#"rule.family: must be one of "multi-state", "gradient-descent", "abcd", "kernel-ridge", "update-networks", "warped-descent", "sample-weights", "linear-memory", not "backprop""#,
            ),
            (
                r#"{ "family": 3 }"#,
                r#"rule.family: must be one of "multi-state", "gradient-descent", "abcd", "kernel-ridge", "update-networks", "warped-descent", "sample-weights", "linear-memory", not 3"#,
            ),
            (r#"{ "states": "two" }"#, r#"rule.states: invalid type: string "two""#),
            (r#"{ "oja": { "scale": true } }"#, "rule.oja.scale: invalid type: boolean"),
            (r#"{ "optimizer": "sgd" }"#, "unknown field `optimizer`, expected one of `states`"),
            (r#"{ "family": "gradient-descent", "loss": "hinge" }"#, "rule.loss: unknown variant `hinge`"),
            (
                r#"{ "family": "gradient-descent", "states": 2 }"#,
                "unknown field `states`, expected one of `optimizer`",
            ),
        ] {
            let error = from_json(json).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
