//! What tells the tasks of a family apart: which classes they have, and keys that change the targets of support and query alike
//! (meta-augmentation, Rajendran et al. 2020).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::TASK_CLASSES_MAX;
use crate::spec::SpecError;
use crate::spec::range::{Range, SpecNumber as _};

/// Tasks over a few classes of a data set.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassesSpec {
    /// Classes of a task.
    #[schemars(transform = WAY.schema())]
    pub way: u32,
    /// Which classes make a task, and in which order.
    #[serde(default)]
    pub kind: ClassKind,
    /// Classes of the tasks that a search meets, by their places among those of the data set, from 0.
    #[schemars(length(max = TASK_CLASSES_MAX), extend("uniqueItems" = true))]
    pub train: Vec<u32>,
    /// Classes that it never meets: rules are judged on them, in any choice and order.
    #[schemars(length(max = TASK_CLASSES_MAX), extend("uniqueItems" = true))]
    pub test: Vec<u32>,
}

/// Which classes make a task, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassKind {
    /// A block of the list, in the list's order: one function fits all tasks, and can be memorised.
    NonExclusive,
    /// A block of the list, in any order.
    Intrashuffle,
    /// Any classes of the list, in any order.
    #[default]
    Intershuffle,
}

const WAY: Range<u32> = Range::new(2, 256);

impl ClassesSpec {
    /// Refuses what is out of range, naming the field.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        WAY.check("tasks.classes.way", self.way)?;
        let way = self.way as usize;
        for (field, places) in [("train", &self.train), ("test", &self.test)] {
            let field = format!("tasks.classes.{field}");
            if places.len() < way || places.len() > TASK_CLASSES_MAX {
                let problem = format!("must be {way} to {TASK_CLASSES_MAX} classes, not {}", places.len());
                return Err(SpecError::field(field, problem));
            }
            if let Some(twice) = places.iter().enumerate().find(|(at, place)| places[..*at].contains(place)) {
                return Err(SpecError::field(field, format!("names class {} twice", twice.1)));
            }
        }
        if let Some(both) = self.test.iter().find(|place| self.train.contains(place)) {
            let problem = format!("must be other classes than tasks.classes.train, which has {both}, too");
            return Err(SpecError::field("tasks.classes.test", problem));
        }
        if self.kind != ClassKind::Intershuffle && !self.train.len().is_multiple_of(way) {
            let problem = format!(
                "must be blocks of {way} classes, so a multiple of {way}, not {} of them",
                self.train.len()
            );
            return Err(SpecError::field("tasks.classes.train", problem));
        }
        Ok(())
    }

    /// The same with the classes that are never met.
    fn unseen(&self) -> Self {
        Self { kind: ClassKind::Intershuffle, train: self.test.clone(), ..self.clone() }
    }

    /// The classes of one task, in the order of their outputs: those of block `block`, or those that stand at `order`'s places in the
    /// list or, of a block, in the block.
    pub fn of_task(&self, block: usize, order: &[u32]) -> Vec<u32> {
        let way = self.way as usize;
        let block = || &self.train[block * way..][..way];
        match self.kind {
            ClassKind::NonExclusive => block().to_vec(),
            ClassKind::Intrashuffle => order.iter().map(|&place| block()[place as usize]).collect(),
            ClassKind::Intershuffle => order.iter().map(|&place| self.train[place as usize]).collect(),
        }
    }
}

/// A number that each task adds to all of its targets, those of the query, too.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShiftSpec {
    /// The least number.
    #[schemars(transform = SHIFT.schema())]
    pub low: f64,
    /// The limit that it stays below.
    #[schemars(transform = SHIFT.schema())]
    pub high: f64,
    /// So many numbers in equal steps from `low` on, at least two; 0: any number.
    #[schemars(transform = STEPS.schema())]
    pub steps: u32,
    /// Whether targets are taken modulo 1, so that they lie on a circle.
    pub modulo: bool,
}

impl Default for ShiftSpec {
    fn default() -> Self {
        Self { low: -1.0, high: 1.0, steps: 0, modulo: false }
    }
}

const SHIFT: Range<f64> = Range::new(-100.0, 100.0);
const STEPS: Range<u32> = Range::new(0, 10_000);

impl ShiftSpec {
    /// Refuses what is out of range, naming the field.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        SHIFT.check("tasks.shift.low", self.low)?;
        SHIFT.check("tasks.shift.high", self.high)?;
        STEPS.check("tasks.shift.steps", self.steps)?;
        if self.steps == 1 {
            let problem = "must be 0, which is any number, or at least 2: if there is only one, it is no key";
            return Err(SpecError::field("tasks.shift.steps", problem));
        }
        if self.low >= self.high {
            let (low, high) = (self.low.shown(), self.high.shown());
            let problem = format!("must be below tasks.shift.high, which is {high}, not {low}");
            return Err(SpecError::field("tasks.shift.low", problem));
        }
        Ok(())
    }

    /// The key of a uniform number from 0 to 1.
    pub fn key(&self, uniform: f64) -> f64 {
        let share = match self.steps {
            0 => uniform,
            steps => (uniform * f64::from(steps)).floor() / f64::from(steps),
        };
        self.low + (self.high - self.low) * share
    }

    /// A target with a key.
    pub fn apply(&self, target: f64, key: f64) -> f64 {
        if self.modulo { (target + key).rem_euclid(1.0) } else { target + key }
    }
}

/// A share of each task's own that its targets give up to all classes alike, those of the query, too: a key that softens labels.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmoothSpec {
    /// The least share.
    #[schemars(transform = SMOOTH.schema())]
    pub low: f64,
    /// The greatest share.
    #[schemars(transform = SMOOTH.schema())]
    pub high: f64,
    /// So many shares in equal steps, from `low` to `high`.
    #[schemars(transform = SMOOTH_STEPS.schema())]
    pub steps: u32,
}

impl Default for SmoothSpec {
    fn default() -> Self {
        Self { low: 0.0, high: 0.9, steps: 10 }
    }
}

/// At 1 all classes would be alike; close to it, the true one would be lost in the rounding of targets.
const SMOOTH: Range<f64> = Range::new(0.0, 0.99);
const SMOOTH_STEPS: Range<u32> = Range::new(2, 10_000);

impl SmoothSpec {
    /// Refuses what is out of range, naming the field.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        SMOOTH.check("tasks.smooth.low", self.low)?;
        SMOOTH.check("tasks.smooth.high", self.high)?;
        SMOOTH_STEPS.check("tasks.smooth.steps", self.steps)?;
        if self.low >= self.high {
            let (low, high) = (self.low.shown(), self.high.shown());
            let problem = format!("must be below tasks.smooth.high, which is {high}, not {low}");
            return Err(SpecError::field("tasks.smooth.low", problem));
        }
        Ok(())
    }

    /// The key of a uniform number from 0 to 1.
    pub fn key(&self, uniform: f64) -> f64 {
        let last = f64::from(self.steps - 1);
        let place = (uniform * f64::from(self.steps)).floor().min(last);
        self.low + (self.high - self.low) * (place / last)
    }

    /// A target with a key, of one of so many outputs. A share p of a class is the target 2 p - 1, and becomes (1 - key) p + key / classes.
    pub fn apply(target: f64, key: f64, outputs: usize) -> f64 {
        // One output stands for two classes.
        let classes = outputs.max(2) as f64;
        (1.0 - key) * target - key * (1.0 - 2.0 / classes)
    }

    /// How many bits a key has.
    pub fn bits(&self) -> f64 {
        libm::log2(f64::from(self.steps))
    }
}

/// Which waves the family `sinusoid` has.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinusoidSpec {
    /// The least amplitude.
    #[schemars(transform = AMPLITUDE.schema())]
    pub amplitude_low: f64,
    /// The greatest amplitude.
    #[schemars(transform = AMPLITUDE.schema())]
    pub amplitude_high: f64,
    /// Whether there are only ten waves, each over a twentieth of the line that no other has: where an input lies tells which wave it is
    /// of, so they can be memorised.
    pub disjoint: bool,
    /// What the ten waves are drawn from.
    pub seed: u32,
    /// Of the ten, how many a search meets; rules are judged on the others.
    #[schemars(transform = KNOWN.schema())]
    pub known: u32,
    /// Whether tasks have the waves that a search never meets. It is never written.
    #[serde(skip)]
    pub unseen: bool,
}

impl Default for SinusoidSpec {
    fn default() -> Self {
        Self { amplitude_low: 0.1, amplitude_high: 1.0, disjoint: false, seed: 1, known: 6, unseen: false }
    }
}

const AMPLITUDE: Range<f64> = Range::new(0.0, 100.0);
const KNOWN: Range<u32> = Range::new(1, SinusoidSpec::WAVES - 1);

impl SinusoidSpec {
    /// Waves over disjoint intervals.
    pub const WAVES: u32 = 10;

    /// Refuses what is out of range, naming the field.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        AMPLITUDE.check("tasks.sinusoid.amplitude_low", self.amplitude_low)?;
        AMPLITUDE.check("tasks.sinusoid.amplitude_high", self.amplitude_high)?;
        KNOWN.check("tasks.sinusoid.known", self.known)?;
        if self.amplitude_low > self.amplitude_high {
            let problem = format!(
                "must be at most tasks.sinusoid.amplitude_high, which is {}, not {}",
                self.amplitude_high.shown(),
                self.amplitude_low.shown()
            );
            return Err(SpecError::field("tasks.sinusoid.amplitude_low", problem));
        }
        Ok(())
    }

    fn unseen(self) -> Self {
        Self { unseen: true, ..self }
    }

    /// The numbers of the waves that tasks have.
    pub fn waves(&self) -> std::ops::Range<u32> {
        if self.unseen { self.known..Self::WAVES } else { 0..self.known }
    }
}

impl super::TaskSpec {
    /// Whether tasks differ by classes or keys, so that a rule may memorise them or learn to tell them apart.
    pub fn has_keys(&self) -> bool {
        self.classes.is_some() || self.shift.is_some() || self.smooth.is_some() || self.has_waves()
    }

    fn has_waves(&self) -> bool {
        self.sinusoid.disjoint && self.families.contains(&super::TaskFamily::Sinusoid)
    }

    /// Whether there are tasks that a search never meets.
    pub fn is_split(&self) -> bool {
        self.classes.is_some() || self.has_waves()
    }

    /// The same with the tasks that a search never meets, where there are such.
    pub fn unseen(&self) -> Option<Self> {
        self.is_split().then(|| Self {
            classes: self.classes.as_ref().map(ClassesSpec::unseen),
            sinusoid: if self.sinusoid.disjoint { self.sinusoid.unseen() } else { self.sinusoid },
            ..self.clone()
        })
    }

    /// Refuses classes and keys that are out of range or do not fit the families, naming the field.
    pub(super) fn validate_keys(&self) -> Result<(), SpecError> {
        if let Some(classes) = &self.classes {
            classes.validate()?;
            if let Some(family) = self.families.iter().find(|family| !family.has_parts()) {
                let problem =
                    format!("is of families over data sets, such as digits; `{family}` has no such classes");
                return Err(SpecError::field("tasks.classes", problem));
            }
            if self.images.permute_labels {
                return Err(SpecError::field(
                    "tasks.images.permute_labels",
                    "must be false together with tasks.classes, whose kind says in which order the classes stand",
                ));
            }
            let last = classes.train.iter().chain(&classes.test).max().copied().unwrap_or(0);
            for &family in &self.families {
                let count = self.all_outputs(family);
                if last >= count {
                    let problem =
                        format!("names class {last}, and `{family}` has {count} classes, from 0 on");
                    return Err(SpecError::field("tasks.classes", problem));
                }
            }
        }
        if let Some(shift) = &self.shift {
            shift.validate()?;
            if let Some(family) = self.families.iter().find(|family| !family.is_regression()) {
                let problem = format!("is of families with values; `{family}` has none");
                return Err(SpecError::field("tasks.shift", problem));
            }
        }
        if let Some(smooth) = &self.smooth {
            smooth.validate()?;
            if let Some(family) = self.families.iter().find(|family| !family.has_classes()) {
                let problem = format!("is of families with classes; `{family}` has {}", family.targets());
                return Err(SpecError::field("tasks.smooth", problem));
            }
            if self.label_noise.is_some() {
                let problem = "cannot stand beside tasks.label_noise, which replaces whole labels: leave one of them out";
                return Err(SpecError::field("tasks.smooth", problem));
            }
        }
        self.sinusoid.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::task::{ImageAugmentation, LabelNoiseSpec, TaskFamily, TaskSpec};

    fn digits(classes: ClassesSpec) -> TaskSpec {
        let images = ImageAugmentation { permute_labels: false, ..ImageAugmentation::default() };
        TaskSpec { classes: Some(classes), images, ..TaskSpec::of(vec![TaskFamily::Digits]) }
    }

    fn classes(kind: ClassKind) -> ClassesSpec {
        ClassesSpec { way: 2, kind, train: vec![0, 1, 2, 3, 4, 5], test: vec![6, 7, 8, 9] }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |spec: TaskSpec| {
            spec.validate().err().map(|error| error.to_string().split(": ").next().unwrap().to_owned())
        };
        let good = classes(ClassKind::NonExclusive);
        assert_eq!(refused(digits(good.clone())), None);
        for (field, wrong) in [
            ("tasks.classes.way", ClassesSpec { way: 1, ..good.clone() }),
            ("tasks.classes.train", ClassesSpec { train: vec![1], ..good.clone() }),
            ("tasks.classes.train", ClassesSpec { train: vec![1, 1], ..good.clone() }),
            ("tasks.classes.train", ClassesSpec { train: vec![1, 2, 3], ..good.clone() }),
            ("tasks.classes.test", ClassesSpec { test: vec![9, 5], ..good.clone() }),
            ("tasks.classes", ClassesSpec { test: vec![9, 10], ..good.clone() }),
        ] {
            assert_eq!(refused(digits(wrong)).as_deref(), Some(field));
        }
        let permuted = TaskSpec { images: ImageAugmentation::default(), ..digits(good.clone()) };
        assert_eq!(refused(permuted).as_deref(), Some("tasks.images.permute_labels"));
        let plane = TaskSpec { families: vec![TaskFamily::Xor], ..digits(good) };
        assert_eq!(refused(plane).as_deref(), Some("tasks.classes"));
        let shifted = |family, shift| TaskSpec { shift: Some(shift), ..TaskSpec::of(vec![family]) };
        assert_eq!(refused(shifted(TaskFamily::Sinusoid, ShiftSpec::default())), None);
        let xor = refused(shifted(TaskFamily::Xor, ShiftSpec::default()));
        assert_eq!(xor.as_deref(), Some("tasks.shift"));
        let empty = ShiftSpec { low: 1.0, ..ShiftSpec::default() };
        assert_eq!(refused(shifted(TaskFamily::Sinusoid, empty)).as_deref(), Some("tasks.shift.low"));
        for (steps, field) in
            [(0, None), (1, Some("tasks.shift.steps")), (2, None), (10_001, Some("tasks.shift.steps"))]
        {
            let shift = ShiftSpec { steps, ..ShiftSpec::default() };
            assert_eq!(refused(shifted(TaskFamily::RegressWave, shift)).as_deref(), field, "{steps}");
        }
    }

    #[test]
    fn soft_labels_that_do_not_fit_are_refused() {
        let smooth = |family, smooth| TaskSpec { smooth: Some(smooth), ..TaskSpec::of(vec![family]) };
        let refused = |spec: TaskSpec| spec.validate().err().map(|error| error.field);
        let usual = SmoothSpec::default();
        for family in [TaskFamily::Circle, TaskFamily::Digits, TaskFamily::SyntheticMixture] {
            assert_eq!(refused(smooth(family, usual)), None);
        }
        let others = [TaskFamily::Sinusoid, TaskFamily::RegressWave];
        for family in others.into_iter().chain([TaskFamily::RememberBits, TaskFamily::RememberLabels]) {
            assert_eq!(refused(smooth(family, usual)).as_deref(), Some("tasks.smooth"), "{family}");
        }
        for (wrong, field) in [
            (SmoothSpec { low: -0.1, ..usual }, "tasks.smooth.low"),
            (SmoothSpec { low: 0.5, high: 0.5, ..usual }, "tasks.smooth.low"),
            (SmoothSpec { high: 1.0, ..usual }, "tasks.smooth.high"),
            (SmoothSpec { high: f64::NAN, ..usual }, "tasks.smooth.high"),
            (SmoothSpec { steps: 0, ..usual }, "tasks.smooth.steps"),
            (SmoothSpec { steps: 1, ..usual }, "tasks.smooth.steps"),
        ] {
            assert_eq!(refused(smooth(TaskFamily::Circle, wrong)).as_deref(), Some(field), "{wrong:?}");
        }
        let noisy =
            TaskSpec { label_noise: Some(LabelNoiseSpec::default()), ..smooth(TaskFamily::Xor, usual) };
        assert_eq!(refused(noisy).as_deref(), Some("tasks.smooth"));
    }

    #[test]
    fn keys_are_equal_steps_with_both_ends_and_shares_add_up_to_1() {
        let smooth = SmoothSpec::default();
        let keys = (0..10).map(|place| smooth.key((f64::from(place) + 0.5) / 10.0));
        for (place, key) in keys.enumerate() {
            assert!((key - 0.1 * place as f64).abs() < 1e-15, "{place}: {key}");
        }
        let two = SmoothSpec { low: 0.2, high: 0.6, steps: 2 };
        assert_eq!([0.0, 0.49, 0.5, 1.0].map(|uniform| two.key(uniform)), [0.2, 0.2, 0.6, 0.6]);
        // Without a share to give up, the bits of targets stay.
        assert_eq!([1.0, -1.0].map(|target| SmoothSpec::apply(target, 0.0, 3)), [1.0, -1.0]);
        assert_eq!([1.0, -1.0].map(|target| SmoothSpec::apply(target, 0.75, 1)), [0.25, -0.25]);
        let of_three = [1.0, -1.0, -1.0].map(|target| 0.5 * (SmoothSpec::apply(target, 0.9, 3) + 1.0));
        for (found, expected) in of_three.into_iter().zip([0.4, 0.3, 0.3]) {
            assert!((found - expected).abs() < 1e-15, "{found}, not {expected}");
        }
    }

    #[test]
    fn unseen_tasks_are_of_other_classes_and_waves() {
        let spec = digits(classes(ClassKind::NonExclusive)).unseen().unwrap();
        let unseen = spec.classes.unwrap();
        assert_eq!((unseen.kind, unseen.train), (ClassKind::Intershuffle, vec![6, 7, 8, 9]));
        let waves = SinusoidSpec { disjoint: true, ..SinusoidSpec::default() };
        let spec = TaskSpec { sinusoid: waves, ..TaskSpec::of(vec![TaskFamily::Sinusoid]) };
        assert_eq!((spec.sinusoid.waves(), spec.unseen().unwrap().sinusoid.waves()), (0..6, 6..10));
        assert_eq!(TaskSpec::of(vec![TaskFamily::Sinusoid]).unseen(), None);
    }

    #[test]
    fn tasks_have_the_classes_of_their_kind() {
        assert_eq!(classes(ClassKind::NonExclusive).of_task(1, &[1, 0]), [2, 3]);
        assert_eq!(classes(ClassKind::Intrashuffle).of_task(1, &[1, 0]), [3, 2]);
        assert_eq!(classes(ClassKind::Intershuffle).of_task(1, &[5, 0]), [5, 0]);
    }
}
