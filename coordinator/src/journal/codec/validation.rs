//! What validations and the measurement of a result have found, as it is stored.

use std::time::Duration;

use hebbian_proto::journal::v1 as stored;
use hebbian_shared::id::GenerationIndex;
use hebbian_shared::progress::{
    Estimate, FamilyValidation, Measured, Remeasurement, SegmentNorm, ValidationSummary, Warning,
};

use super::{DecodeError, nanoseconds, wrong};

fn encode_estimate(Estimate { mean, standard_error }: Estimate) -> stored::Estimate {
    stored::Estimate { mean, standard_error }
}

fn decode_estimate(estimate: Option<stored::Estimate>) -> Result<Estimate, DecodeError> {
    let stored::Estimate { mean, standard_error } = estimate.ok_or_else(|| wrong("a figure is missing"))?;
    Ok(Estimate { mean, standard_error })
}

pub(super) fn encode_summary(summary: &ValidationSummary) -> stored::Validated {
    let family = |family: &FamilyValidation| stored::FamilyValidation {
        family: family.family.clone(),
        trained: family.trained,
        tasks: family.tasks,
        diverged: family.diverged,
        accuracy: Some(encode_estimate(family.accuracy)),
        extended: Some(encode_estimate(family.extended)),
    };
    let norm = |norm: &SegmentNorm| stored::SegmentNorm { segment: norm.segment.clone(), norm: norm.norm };
    let warning = |warning: &Warning| stored::Warning {
        failure: warning.failure.clone(),
        figure: warning.figure.clone(),
        remedy: warning.remedy.clone(),
    };
    stored::Validated {
        generation: summary.generation.0,
        updates: summary.updates,
        extended_updates: summary.extended_updates,
        families: summary.families.iter().map(family).collect(),
        accuracy: Some(encode_estimate(summary.accuracy)),
        extended: Some(encode_estimate(summary.extended)),
        drop: Some(encode_estimate(summary.drop)),
        norms: summary.norms.iter().map(norm).collect(),
        warnings: summary.warnings.iter().map(warning).collect(),
        compute_time_ns: nanoseconds(summary.compute_time),
    }
}

pub(super) fn decode_summary(validated: stored::Validated) -> Result<ValidationSummary, DecodeError> {
    let family = |family: stored::FamilyValidation| {
        Ok(FamilyValidation {
            accuracy: decode_estimate(family.accuracy)?,
            extended: decode_estimate(family.extended)?,
            family: family.family,
            trained: family.trained,
            tasks: family.tasks,
            diverged: family.diverged,
        })
    };
    let norm = |norm: stored::SegmentNorm| SegmentNorm { segment: norm.segment, norm: norm.norm };
    let warning = |warning: stored::Warning| Warning {
        failure: warning.failure,
        figure: warning.figure,
        remedy: warning.remedy,
    };
    Ok(ValidationSummary {
        generation: GenerationIndex(validated.generation),
        updates: validated.updates,
        extended_updates: validated.extended_updates,
        families: validated.families.into_iter().map(family).collect::<Result<_, DecodeError>>()?,
        accuracy: decode_estimate(validated.accuracy)?,
        extended: decode_estimate(validated.extended)?,
        drop: decode_estimate(validated.drop)?,
        norms: validated.norms.into_iter().map(norm).collect(),
        warnings: validated.warnings.into_iter().map(warning).collect(),
        compute_time: Duration::from_nanos(validated.compute_time_ns),
    })
}

pub(super) fn encode_figures(figures: &Remeasurement) -> stored::Remeasured {
    let measured = |measured: Measured| stored::Measured {
        fitness: Some(encode_estimate(measured.fitness)),
        diverged: measured.diverged,
    };
    stored::Remeasured {
        updates: figures.updates,
        tasks: figures.tasks,
        mean: Some(measured(figures.mean)),
        best: figures.best.map(measured),
        compute_time_ns: nanoseconds(figures.compute_time),
    }
}

pub(super) fn decode_figures(figures: &stored::Remeasured) -> Result<Remeasurement, DecodeError> {
    let measured = |measured: &stored::Measured| {
        let fitness = decode_estimate(measured.fitness)?;
        Ok::<_, DecodeError>(Measured { fitness, diverged: measured.diverged })
    };
    Ok(Remeasurement {
        updates: figures.updates,
        tasks: figures.tasks,
        mean: measured(figures.mean.as_ref().ok_or_else(|| wrong("the mean's figures are missing"))?)?,
        best: figures.best.as_ref().map(measured).transpose()?,
        compute_time: Duration::from_nanos(figures.compute_time_ns),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::codec::{decode_record, encode_record};
    use hebbian_control::run::record::Record;

    fn check(record: &Record) {
        assert_eq!(decode_record(&encode_record(record)).unwrap(), *record);
    }

    #[test]
    fn figures_survive_being_written_and_read() {
        let estimate = |mean| Estimate { mean, standard_error: mean / 7.0 };
        let text = |text: &str| text.to_owned();
        check(&Record::Validated(Box::new(ValidationSummary {
            generation: GenerationIndex(25),
            updates: 10,
            extended_updates: 50,
            families: vec![FamilyValidation {
                family: text("xor"),
                trained: true,
                tasks: 8,
                diverged: 1,
                accuracy: estimate(0.9),
                extended: estimate(0.8),
            }],
            accuracy: estimate(0.7),
            extended: estimate(0.6),
            drop: estimate(-0.1),
            norms: vec![SegmentNorm { segment: text("hebbian_pre"), norm: 3.5 }],
            warnings: vec![Warning { failure: text("a"), figure: text("b"), remedy: text("c") }],
            compute_time: Duration::from_nanos(1_234_567_891),
        })));
        for best in [None, Some(Measured { fitness: estimate(0.5), diverged: 2 })] {
            let mean = Measured { fitness: estimate(0.75), diverged: 0 };
            let compute_time = Duration::from_millis(3);
            check(&Record::Remeasured(Box::new(Remeasurement {
                updates: 100,
                tasks: 96,
                mean,
                best,
                compute_time,
            })));
        }
    }
}
