//! Who stands against the rule: baselines, and what is printed beside them.

use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::gradient_descent::{Loss, Optimizer};
use hebbian_shared::spec::task::TaskFamily;
use serde::{Deserialize, Serialize};

use super::tuning::{self, Effort, Tuning};
use super::{ComparisonError, ComparisonSettings, Laboratory, TunedBaseline, earlier, report, table};
use crate::rule;

/// Baselines that are printed beside those that the rule must beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rival {
    /// Those of the baselines whose learning rate stays. They are there wherever other rates fall.
    ConstantRates,
    /// Tuned on the very families that they are tried on, which favours them.
    TunedThere,
    /// Those of them whose learning rate stays. They are there wherever other rates of those fall.
    ConstantThere,
    /// In networks whose hidden layers have as many neurons as the rule's have features: those of a multi-state rule with k states
    /// have k/2. Of each number of updates, the best of all.
    Wider,
    /// Kernel ridge regression on all examples that were seen, tuned on the family itself: not a network, but what can be known.
    Ceiling,
    /// Other rules that the family of the rule names: see [`crate::rule::RuleFamily::companions`].
    Own,
}

impl Rival {
    /// Those that can be asked for.
    pub const ASKED: &[Self] = &[Self::TunedThere, Self::Wider, Self::Ceiling, Self::Own];

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConstantRates => "constant-rates",
            Self::TunedThere => "tuned-there",
            Self::ConstantThere => "constant-there",
            Self::Wider => "wider",
            Self::Ceiling => "ceiling",
            Self::Own => "own",
        }
    }
}

impl std::fmt::Display for Rival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no rival.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot stand beside the baselines; there are tuned-there, wider, ceiling, own")]
pub struct UnknownRivalError {
    name: String,
}

impl std::str::FromStr for Rival {
    type Err = UnknownRivalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ASKED.iter().copied().find(|rival| rival.name() == text);
        found.ok_or_else(|| UnknownRivalError { name: text.chars().take(64).collect() })
    }
}

/// How baselines came to their settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunedBy {
    /// By this comparison, over the customary settings.
    #[default]
    Customary,
    /// By this comparison, over all settings.
    Thorough,
    /// By this comparison, over settings near those that stand in the program.
    Near,
    /// By somebody before, over all settings: they stand in the program.
    Table,
}

/// Baselines that are tuned together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedSet {
    /// Families on whose training tasks they are tuned.
    pub tuned_on: Vec<TaskFamily>,
    /// How.
    pub tuned_by: TunedBy,
    /// Hidden layers of their networks.
    pub shapes: Vec<Vec<u32>>,
    /// The best, several of each kind.
    pub baselines: Vec<TunedBaseline>,
}

/// Baselines that shall be tuned and tried.
pub(super) struct Plan {
    /// What they are; of those that the rule must beat, nothing.
    rival: Option<Rival>,
    /// Their networks and the sizes of tasks.
    problem: RuleLearning,
    tuned_on: Vec<TaskFamily>,
    /// Families that they are tried on.
    tried_on: Vec<TaskFamily>,
    optimizers: Vec<Optimizer>,
    losses: &'static [Loss],
    source: Source,
}

enum Source {
    Earlier(TunedSet),
    Table(&'static table::Entry),
    Tuning(Effort),
}

/// Baselines that are tuned and shall be tried.
pub(super) struct Contenders {
    /// As in [`Plan`].
    pub(super) rival: Option<Rival>,
    pub(super) problem: RuleLearning,
    pub(super) tried_on: Vec<TaskFamily>,
    pub(super) set: TunedSet,
}

/// All that a comparison tunes, the rule's own baselines first.
pub(super) fn plan(
    rule: &RuleLearning,
    settings: &ComparisonSettings,
    effort: Option<Effort>,
) -> Result<Vec<Plan>, ComparisonError> {
    let own = Plan::new(None, rule, tuned_on(rule), settings.families.clone(), settings, effort);
    let mut plans = vec![own];
    let wanted = |rival, plan: &Plan| match &settings.rivals {
        Some(rivals) => rivals.contains(&rival),
        // What costs no tuning, or would not if nobody had asked for it.
        None => table::find(&plan.problem, &plan.tuned_on).is_some(),
    };
    for (_, families) in report::groups_of(&settings.families) {
        if families != plans[0].tuned_on {
            let there = Some(Rival::TunedThere);
            let plan = Plan::new(there, rule, families.clone(), families, settings, effort);
            if wanted(Rival::TunedThere, &plan) {
                plans.push(plan);
            }
        }
    }
    let features = rule::family(&rule.rule).features();
    if features > 1 {
        let mut problem = rule.clone();
        let shapes = std::iter::once(&mut problem.network.hidden).chain(&mut problem.network.shapes);
        shapes.flatten().for_each(|neurons| *neurons = neurons.saturating_mul(features));
        let families = settings.families.clone();
        let plan = Plan::new(Some(Rival::Wider), &problem, tuned_on(rule), families, settings, effort);
        if problem.network != rule.network && wanted(Rival::Wider, &plan) {
            problem.network.validate().map_err(|error| {
                let problem = format!("`{}`: {error}", Rival::Wider);
                ComparisonError::Setting { field: "rivals", problem }
            })?;
            plans.push(plan);
        }
    } else if settings.rivals.as_ref().is_some_and(|rivals| rivals.contains(&Rival::Wider)) {
        let problem = format!("`{}`: the rule has one feature a neuron, as the baselines have", Rival::Wider);
        return Err(ComparisonError::Setting { field: "rivals", problem });
    }
    let meant: Vec<_> = plans.iter().map(|plan| (&plan.problem, &plan.tuned_on[..])).collect();
    earlier::check(rule, settings, &meant)?;
    if plans.iter().any(|plan| plan.is_empty(settings)) {
        let problem = "no settings of these are known, or can be tried".to_owned();
        return Err(ComparisonError::Setting { field: "baselines", problem });
    }
    Ok(plans)
}

impl Plan {
    /// `effort`: that of a tuning, whatever the table has.
    fn new(
        rival: Option<Rival>,
        problem: &RuleLearning,
        tuned_on: Vec<TaskFamily>,
        tried_on: Vec<TaskFamily>,
        settings: &ComparisonSettings,
        effort: Option<Effort>,
    ) -> Self {
        let mut learned = tuned_on.iter().chain(&tried_on);
        // Values are no classes, so the logistic loss is out where there are any.
        let losses =
            if learned.any(|family| !family.has_classes()) { &[Loss::Squared][..] } else { Loss::ALL };
        let source =
            match (earlier::find(settings, problem, &tuned_on), effort, table::find(problem, &tuned_on)) {
                (Some(set), ..) => Source::Earlier(set),
                (None, Some(effort), _) => Source::Tuning(effort),
                (None, None, Some(entry)) => Source::Table(entry),
                (None, None, None) => Source::Tuning(Effort::CUSTOMARY),
            };
        let usual = match source {
            Source::Tuning(Effort { grid: tuning::Grid::Customary, .. }) => Optimizer::CUSTOMARY,
            Source::Earlier(_) | Source::Table(_) | Source::Tuning(_) => Optimizer::ALL,
        };
        let optimizers = settings.baselines.clone().unwrap_or_else(|| usual.to_vec());
        Self { rival, problem: problem.clone(), tuned_on, tried_on, optimizers, losses, source }
    }

    /// Whether there is nothing to choose from.
    fn is_empty(&self, settings: &ComparisonSettings) -> bool {
        match &self.source {
            Source::Earlier(set) => self.usable(&set.baselines).is_empty(),
            Source::Table(entry) => self.usable(&entry.baselines).is_empty(),
            Source::Tuning(effort) => self.tuning(settings).is_empty(*effort),
        }
    }

    /// Those of some baselines that are of the optimisers and losses.
    fn usable(&self, baselines: &[TunedBaseline]) -> Vec<TunedBaseline> {
        let is_usable = |one: &&TunedBaseline| {
            let configuration = &one.configuration;
            self.optimizers.contains(&configuration.kind) && self.losses.contains(&configuration.loss)
        };
        baselines.iter().filter(is_usable).cloned().collect()
    }

    fn tuning(&self, settings: &ComparisonSettings) -> Tuning<'_> {
        Tuning {
            problem: &self.problem,
            families: &self.tuned_on,
            optimizers: &self.optimizers,
            losses: self.losses,
            seed: settings.seed,
            score: settings.score,
        }
    }

    /// Updates of all networks that are trained for the tuning, at most.
    pub(super) fn work(&self, settings: &ComparisonSettings) -> u64 {
        match &self.source {
            Source::Earlier(_) | Source::Table(_) => 0,
            Source::Tuning(effort) => self.tuning(settings).work(*effort),
        }
    }

    /// Networks that are tried afterwards on tasks of one family, at most, and the number of those families.
    pub(super) fn networks(&self, settings: &ComparisonSettings) -> (u64, u64) {
        let baselines = match &self.source {
            Source::Earlier(set) => set.baselines.len(),
            Source::Table(entry) => entry.baselines.len(),
            Source::Tuning(effort) => self.tuning(settings).winners_max(*effort),
        };
        (baselines as u64, self.tried_on.len() as u64)
    }

    /// Tunes them, or takes them from the table.
    pub(super) fn tune(
        self,
        settings: &ComparisonSettings,
        laboratory: &Laboratory<'_>,
    ) -> Result<Contenders, ComparisonError> {
        let (tuned_by, mut baselines) = match &self.source {
            Source::Earlier(set) => (set.tuned_by, self.usable(&set.baselines)),
            Source::Table(entry) => (TunedBy::Table, self.usable(&entry.baselines)),
            Source::Tuning(effort) => {
                let tuned_by = match effort.grid {
                    tuning::Grid::Customary => TunedBy::Customary,
                    tuning::Grid::Thorough => TunedBy::Thorough,
                    tuning::Grid::Near => TunedBy::Near,
                };
                (tuned_by, tuning::tune(&self.tuning(settings), *effort, laboratory)?)
            }
        };
        if self.rival == Some(Rival::Wider) {
            baselines = best_of_all(baselines);
        }
        let Self { rival, problem, tuned_on, tried_on, .. } = self;
        let shapes = problem.network.all_shapes().to_vec();
        Ok(Contenders { rival, problem, tried_on, set: TunedSet { tuned_on, tuned_by, shapes, baselines } })
    }
}

/// Of each number of updates, the best of all kinds where they were tuned.
fn best_of_all(baselines: Vec<TunedBaseline>) -> Vec<TunedBaseline> {
    let mut best: Vec<(u32, f64, usize)> = Vec::new();
    for (place, baseline) in baselines.iter().enumerate() {
        for (&updates, &accuracy) in baseline.tuned_for.iter().zip(&baseline.tuning_accuracy) {
            match best.iter_mut().find(|(known, ..)| *known == updates) {
                Some(known) if known.1 >= accuracy => {}
                Some(known) => *known = (updates, accuracy, place),
                None => best.push((updates, accuracy, place)),
            }
        }
    }
    let is_best = |place: usize| best.iter().any(|&(_, _, of)| of == place);
    baselines.into_iter().enumerate().filter(|(place, _)| is_best(*place)).map(|(_, one)| one).collect()
}

/// The families that baselines are tuned on: those of the rule, but for such as only stand in for others that are there.
pub(super) fn tuned_on(rule: &RuleLearning) -> Vec<TaskFamily> {
    without_stand_ins(rule.tasks.distinct_families())
}

/// Those of some families that baselines are tuned on where a rule is trained on all of them.
pub(super) fn without_stand_ins(families: Vec<TaskFamily>) -> Vec<TaskFamily> {
    let others: Vec<TaskFamily> = families.iter().copied().filter(|family| !family.row().stands_in).collect();
    if others.is_empty() { families } else { others }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for &rival in Rival::ASKED {
            assert_eq!(rival.name().parse(), Ok(rival));
        }
        for known in [Rival::ConstantRates, Rival::ConstantThere] {
            let error = known.name().parse::<Rival>().unwrap_err().to_string();
            assert!(error.contains("there are tuned-there, wider, ceiling, own"), "{error}");
        }
    }
}
