//! Genomes, their layouts, and what a run has found.

use hebbian_shared::genome::{Genome, GenomeLayout, Segment, Transform};
use hebbian_shared::limits::GENOME_VALUES_MAX;
use hebbian_shared::spec::ResolvedSpec;

use super::{ConvertError, check_length, required, to_digest};
use crate::v1;

/// A genome of finite values from little-endian f64.
pub(super) fn to_genome(field: &str, bytes: &[u8]) -> Result<Genome, ConvertError> {
    if bytes.len() > 8 * GENOME_VALUES_MAX {
        let problem = format!("must have at most {GENOME_VALUES_MAX} values, not {}", bytes.len() / 8);
        return Err(ConvertError::new(field, problem));
    }
    let genome = Genome::from_le_bytes(bytes).ok_or_else(|| {
        ConvertError::new(field, format!("must have a multiple of 8 bytes, not {}", bytes.len()))
    })?;
    to_numbers(field, genome.0).map(Genome)
}

/// Finite numbers, no more than a genome has.
pub(super) fn to_numbers(field: &str, values: Vec<f64>) -> Result<Vec<f64>, ConvertError> {
    check_length(field, &values, GENOME_VALUES_MAX)?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(place) => {
            let problem = format!("value {place} must be finite, not {}", values[place]);
            Err(ConvertError::new(field, problem))
        }
    }
}

impl From<&Segment> for v1::Segment {
    fn from(segment: &Segment) -> Self {
        use v1::transform::{Affine, Bounded, Decay, Exp, Kind, Mirrored, Whole};
        let kind = match segment.transform {
            Transform::Affine { offset, scale } => Kind::Affine(Affine { offset, scale }),
            Transform::Exp { factor, scale } => Kind::Exp(Exp { factor, scale }),
            Transform::Decay { rate, shift } => Kind::Decay(Decay { rate, shift }),
            Transform::Bounded { low, high } => Kind::Bounded(Bounded { low, high }),
            Transform::Mirrored { offset, scale, low, high, logarithmic } => {
                Kind::Mirrored(Mirrored { offset, scale, low, high, logarithmic })
            }
            Transform::Whole { offset, scale, low, high } => Kind::Whole(Whole { offset, scale, low, high }),
        };
        Self {
            name: segment.name.clone(),
            start: segment.start,
            shape: segment.shape.clone(),
            transform: Some(v1::Transform { kind: Some(kind) }),
            initial_mean: segment.initial_mean,
        }
    }
}

impl From<&GenomeLayout> for v1::GenomeLayout {
    fn from(layout: &GenomeLayout) -> Self {
        Self {
            segments: layout.segments().iter().map(Into::into).collect(),
            digest: layout.digest().0.to_vec(),
        }
    }
}

impl v1::RunResult {
    /// The spec, and the mean, which fits to the spec's layout. The layout is derived from the spec and compared with the
    /// coordinator's by its digest.
    pub fn read(&self) -> Result<(ResolvedSpec, Genome), ConvertError> {
        let spec =
            ResolvedSpec::from_json(self.spec.clone()).map_err(|error| ConvertError::of_spec(&error))?;
        let layout = spec.layout();
        let theirs = to_digest("layout.digest", &required("layout", self.layout.as_ref())?.digest)?;
        if theirs != layout.digest() {
            let problem =
                "this program lays genomes out otherwise than the coordinator; use the same version";
            return Err(ConvertError::new("layout.digest", problem));
        }
        if self.mean.len() != layout.dimension() {
            let problem =
                format!("must have {} values (layout), not {}", layout.dimension(), self.mean.len());
            return Err(ConvertError::new("mean", problem));
        }
        let mean = to_numbers("mean", self.mean.clone())?;
        Ok((spec, Genome(mean)))
    }
}
