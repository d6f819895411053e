//! What validations and the measurement of a result have found.

use hebbian_shared::id::GenerationIndex;
use hebbian_shared::progress::{
    Estimate, FamilyValidation, Measured, Remeasurement, SegmentNorm, ValidationSummary, Warning,
};

use super::{ConvertError, from_duration, required, to_duration};
use crate::v1;
use crate::v1::remeasurement;
use crate::v1::validation_summary as parts;

impl From<Estimate> for v1::Estimate {
    fn from(Estimate { mean, standard_error }: Estimate) -> Self {
        Self { mean, standard_error }
    }
}

fn estimate(field: &str, message: Option<v1::Estimate>) -> Result<Estimate, ConvertError> {
    let v1::Estimate { mean, standard_error } = required(field, message)?;
    Ok(Estimate { mean, standard_error })
}

impl From<&ValidationSummary> for v1::ValidationSummary {
    fn from(summary: &ValidationSummary) -> Self {
        let family = |family: &FamilyValidation| parts::Family {
            family: family.family.clone(),
            trained: family.trained,
            tasks: family.tasks,
            diverged: family.diverged,
            accuracy: Some(family.accuracy.into()),
            extended: Some(family.extended.into()),
        };
        let norm = |norm: &SegmentNorm| parts::SegmentNorm { segment: norm.segment.clone(), norm: norm.norm };
        let warning = |warning: &Warning| parts::Warning {
            failure: warning.failure.clone(),
            figure: warning.figure.clone(),
            remedy: warning.remedy.clone(),
        };
        Self {
            generation: summary.generation.0,
            updates: summary.updates,
            extended_updates: summary.extended_updates,
            families: summary.families.iter().map(family).collect(),
            accuracy: Some(summary.accuracy.into()),
            extended: Some(summary.extended.into()),
            drop: Some(summary.drop.into()),
            norms: summary.norms.iter().map(norm).collect(),
            warnings: summary.warnings.iter().map(warning).collect(),
            compute_time: Some(from_duration(summary.compute_time)),
        }
    }
}

impl TryFrom<v1::ValidationSummary> for ValidationSummary {
    type Error = ConvertError;

    fn try_from(message: v1::ValidationSummary) -> Result<Self, ConvertError> {
        let family = |(place, family): (usize, parts::Family)| {
            let field = |name: &str| format!("families[{place}].{name}");
            Ok(FamilyValidation {
                accuracy: estimate(&field("accuracy"), family.accuracy)?,
                extended: estimate(&field("extended"), family.extended)?,
                family: family.family,
                trained: family.trained,
                tasks: family.tasks,
                diverged: family.diverged,
            })
        };
        let norm = |norm: parts::SegmentNorm| SegmentNorm { segment: norm.segment, norm: norm.norm };
        let warning = |warning: parts::Warning| Warning {
            failure: warning.failure,
            figure: warning.figure,
            remedy: warning.remedy,
        };
        Ok(Self {
            generation: GenerationIndex(message.generation),
            updates: message.updates,
            extended_updates: message.extended_updates,
            families: message.families.into_iter().enumerate().map(family).collect::<Result<_, _>>()?,
            accuracy: estimate("accuracy", message.accuracy)?,
            extended: estimate("extended", message.extended)?,
            drop: estimate("drop", message.drop)?,
            norms: message.norms.into_iter().map(norm).collect(),
            warnings: message.warnings.into_iter().map(warning).collect(),
            compute_time: to_duration("compute_time", message.compute_time)?,
        })
    }
}

impl From<&Remeasurement> for v1::Remeasurement {
    fn from(figures: &Remeasurement) -> Self {
        let measured = |measured: Measured| remeasurement::Measured {
            fitness: Some(measured.fitness.into()),
            diverged: measured.diverged,
        };
        Self {
            updates: figures.updates,
            tasks: figures.tasks,
            mean: Some(measured(figures.mean)),
            best: figures.best.map(measured),
            compute_time: Some(from_duration(figures.compute_time)),
        }
    }
}

impl TryFrom<v1::Remeasurement> for Remeasurement {
    type Error = ConvertError;

    fn try_from(message: v1::Remeasurement) -> Result<Self, ConvertError> {
        let measured = |field: &str, message: remeasurement::Measured| {
            let fitness = estimate(&format!("{field}.fitness"), message.fitness)?;
            Ok::<_, ConvertError>(Measured { fitness, diverged: message.diverged })
        };
        Ok(Self {
            updates: message.updates,
            tasks: message.tasks,
            mean: measured("mean", required("mean", message.mean)?)?,
            best: message.best.map(|best| measured("best", best)).transpose()?,
            compute_time: to_duration("compute_time", message.compute_time)?,
        })
    }
}
