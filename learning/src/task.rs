//! Tasks: what networks are trained on and measured on.
//!
//! A family's [`TaskDistribution`] turns a seed into a [`Task`], and a task turns the number of an update into a batch.
//! Every draw is a function of the task's seed, through its children named [`Purpose::Task`] (the function or the
//! augmentation), [`Purpose::Split`] (which examples of a finite set are support), [`Purpose::Support`] (by update) and
//! [`Purpose::Query`], so batches can be drawn again, in any order, by anybody.
//!
//! [`Purpose::Task`]: hebbian_shared::seed::Purpose::Task
//! [`Purpose::Split`]: hebbian_shared::seed::Purpose::Split
//! [`Purpose::Support`]: hebbian_shared::seed::Purpose::Support
//! [`Purpose::Query`]: hebbian_shared::seed::Purpose::Query

use std::collections::BTreeMap;
use std::sync::Arc;

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::data_set::DataSetSpec;
use hebbian_shared::spec::task::{ShiftSpec, SupportDraw, TaskFamily, TaskSpec};

pub mod data_set;
mod embedded;
pub mod entropy;
mod fixed_support;
pub mod idx;
mod images;
mod keyed;
pub mod label_noise;
mod linear;
mod mixture;
mod plane;
mod remember;
mod scale;
pub mod sinusoid;

use data_set::{DataSetError, DataSets};

/// Numbers of neurons and examples of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskSizes {
    /// Input neurons.
    pub inputs: usize,
    /// Output neurons: one of labels +-1 or of values, or one per class.
    pub outputs: usize,
    /// Examples of each support batch.
    pub support: usize,
    /// Examples of the query.
    pub query: usize,
}

/// What a task is for, and so which images of a data set it may use. Families that draw from a formula do not distinguish them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskSet {
    /// Rules are learned: support and query from the training part without what is held back, without overlap within a task.
    Training,
    /// Something is chosen: the images of [`TaskSet::Training`], which no augmentation distorts.
    Tuning,
    /// Rules are judged while they are being made: as [`TaskSet::Tuning`], but the query is from what is held back, if anything is.
    HeldBack,
    /// Rules are judged: support from the whole training part, query from the test part, which no search has ever seen. Nothing
    /// distorts.
    Evaluation,
}

/// A distribution over tasks.
pub trait TaskDistribution: Send + Sync {
    /// Draws the task of a seed; the same seed gives the same task.
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError>;
}

/// One task. Its targets are +1 for the true class and -1 otherwise; with one output, the sign is the class. Where a key softens
/// labels, a share p of a class is the target 2 p - 1: the true class has the largest, which may be negative. Targets of
/// regression are values in about -1 .. 1.
pub trait Task: Send + Sync {
    /// Its numbers of neurons and examples.
    fn sizes(&self) -> TaskSizes;

    /// Writes the support batch of an update (counted from 0): `inputs` is `[support, inputs]` and `targets` is
    /// `[support, outputs]`, both row-major.
    ///
    /// # Panics
    /// If a buffer has another length than [`Task::sizes`] says.
    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]);

    /// Writes the query: `inputs` is `[query, inputs]` and `targets` is `[query, outputs]`, both row-major.
    ///
    /// # Panics
    /// If a buffer has another length than [`Task::sizes`] says.
    fn query(&self, inputs: &mut [f32], targets: &mut [f32]);

    /// How many of the query's examples, from the first on, are asked for after so many updates: all of them, unless they are to be
    /// remembered and have not been shown yet. Before the first update it is as after it.
    fn asked_after(&self, _updates: u32) -> usize {
        self.sizes().query
    }

    /// Examples whose labels are known to be right, `[examples, inputs]` and `[examples, outputs]`, if the task has such.
    fn clean_set(&self) -> Option<(&[f32], &[f32])> {
        None
    }
}

/// Why a task cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// No draw of a family's function had enough of both labels.
    #[error("{family}: none of {draws} random functions had 30 to 70 % positive labels")]
    Unbalanced {
        /// The family.
        family: TaskFamily,
        /// How many functions were drawn.
        draws: u32,
    },
    /// A data set cannot be had.
    #[error(transparent)]
    DataSet(#[from] DataSetError),
    /// A training set with too few right labels for what is asked of it.
    #[error(
        "tasks.label_noise.{field}: of {wanted} examples with a right label {found} were found; ask for fewer, or for fewer samples or \
         less noise"
    )]
    TooFewKnown {
        /// The field.
        field: &'static str,
        /// Examples that were found.
        found: usize,
        /// Examples that are needed.
        wanted: usize,
    },
    /// A data set is too small for what is asked of it.
    #[error(
        "tasks.query_size: must be below the {examples} training examples of {family}, not {query_size}: the rest is trained on"
    )]
    TooFewExamples {
        /// The family.
        family: TaskFamily,
        /// Examples of its training part.
        examples: usize,
        /// What the query asks for.
        query_size: u32,
    },
}

/// The distributions of some families' tasks, for all threads.
#[derive(Clone, Default)]
pub(crate) struct Distributions(BTreeMap<TaskFamily, Arc<dyn TaskDistribution>>);

impl Distributions {
    /// Of these families.
    pub(crate) fn new(
        families: impl IntoIterator<Item = TaskFamily>,
        spec: &TaskSpec,
        set: TaskSet,
        data: &dyn DataSets,
    ) -> Result<Self, TaskError> {
        let of_family = |family| Ok((family, Arc::from(distribution(family, spec, set, data)?)));
        families.into_iter().map(of_family).collect::<Result<_, _>>().map(Self)
    }

    /// The same tasks with labels of another key in their support.
    pub(crate) fn blind(&self, shift: Option<ShiftSpec>) -> Self {
        let blind = |tasks: &Arc<dyn TaskDistribution>| -> Arc<dyn TaskDistribution> {
            Arc::new(keyed::Blind { tasks: Arc::clone(tasks), shift })
        };
        Self(self.0.iter().map(|(&family, tasks)| (family, blind(tasks))).collect())
    }

    /// Of one of the families.
    pub(crate) fn of(&self, family: TaskFamily) -> &dyn TaskDistribution {
        &*self.0[&family]
    }

    /// The families.
    pub(crate) fn families(&self) -> impl Iterator<Item = TaskFamily> {
        self.0.keys().copied()
    }
}

/// The distribution of a family's tasks, with the batch sizes and augmentations of `spec`; data sets are those of
/// `data`.
pub fn distribution(
    family: TaskFamily,
    spec: &TaskSpec,
    set: TaskSet,
    data: &dyn DataSets,
) -> Result<Box<dyn TaskDistribution>, TaskError> {
    let fresh = fresh_distribution(family, spec, set, data)?;
    let fresh = match spec.shift {
        None => fresh,
        Some(shift) => Box::new(keyed::Keyed { tasks: fresh, keys: shift }),
    };
    let fresh = match spec.smooth {
        // A rule may be judged on families that it was not trained on.
        Some(smooth) if family.has_classes() => Box::new(keyed::Keyed { tasks: fresh, keys: smooth }),
        _ => fresh,
    };
    let fresh = match &spec.label_noise {
        None => fresh,
        Some(noise) => Box::new(label_noise::NoisyDistribution { clean: fresh, noise: noise.clone() }),
    };
    Ok(match spec.support {
        SupportDraw::Fresh => fresh,
        SupportDraw::Fixed => Box::new(fixed_support::FixedSupport(fresh)),
    })
}

/// The same with examples of their own for all updates.
fn fresh_distribution(
    family: TaskFamily,
    spec: &TaskSpec,
    set: TaskSet,
    data: &dyn DataSets,
) -> Result<Box<dyn TaskDistribution>, TaskError> {
    let images = match family {
        TaskFamily::Digits => embedded::DIGITS.images()?,
        TaskFamily::Fashion => embedded::FASHION.images()?,
        TaskFamily::RememberBits => {
            let source = remember::Source::Bits;
            return Ok(Box::new(remember::RememberDistribution::new(family, source, spec, set)));
        }
        TaskFamily::RememberImages | TaskFamily::RememberLabels => {
            let source = remember::Source::of(family, embedded::DIGITS.images()?);
            return Ok(Box::new(remember::RememberDistribution::new(family, source, spec, set)));
        }
        TaskFamily::Sinusoid => return Ok(Box::new(sinusoid::SinusoidDistribution::new(spec))),
        TaskFamily::SyntheticMixture => return Ok(Box::new(mixture::MixtureDistribution::new(spec))),
        TaskFamily::Idx(name) => {
            let wanted = spec.data_set(name).cloned();
            let wanted = wanted.unwrap_or_else(|| DataSetSpec::of(name, DataSetSpec::DEFAULT_SIDE));
            data.find(name, wanted.digest)?.inputs(&wanted)?
        }
        _ => return Ok(Box::new(plane::PlaneDistribution::new(family, spec))),
    };
    Ok(Box::new(images::ImageDistribution::new(family, images, spec, set)?))
}

#[cfg(test)]
mod tests;
