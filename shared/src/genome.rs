//! Genomes and their layouts: which numbers of the search vector mean what.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::spec::rule::{Gates, RuleSpec};

/// A point of the search space: one f64 per dimension of the layout, untransformed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Genome(pub Vec<f64>);

impl Genome {
    /// The digest of the values' little-endian bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_le_bytes())
    }

    /// The values as little-endian f64, as they travel.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Reads what `to_le_bytes` wrote; `None` unless the length is a multiple of eight.
    pub fn from_le_bytes(bytes: &[u8]) -> Option<Self> {
        let (values, rest) = bytes.as_chunks::<8>();
        rest.is_empty().then(|| Self(values.iter().map(|value| f64::from_le_bytes(*value)).collect()))
    }
}

/// How a segment's search values become parameters of the rule. Zero is a sane start under each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Transform {
    /// `offset + scale * x`
    Affine {
        /// Value at x = 0.
        offset: f64,
        /// Slope.
        scale: f64,
    },
    /// `factor * exp(scale * x)`
    Exp {
        /// Value at x = 0.
        factor: f64,
        /// Slope of the logarithm.
        scale: f64,
    },
    /// `exp(-rate * exp(x - shift))`: a share kept per step, in (0, 1)
    Decay {
        /// Decay per step at x = shift.
        rate: f64,
        /// The x at which the decay is `rate`.
        shift: f64,
    },
}

impl Transform {
    /// The value itself.
    pub const IDENTITY: Self = Self::Affine { offset: 0.0, scale: 1.0 };

    /// The parameter that the search value `x` stands for.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::Affine { offset, scale } => offset + scale * x,
            Self::Exp { factor, scale } => factor * libm::exp(scale * x),
            Self::Decay { rate, shift } => libm::exp(-rate * libm::exp(x - shift)),
        }
    }
}

/// A named, contiguous part of the genome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// The name, unique in its layout; see `docs/GLOSSARY.md`.
    pub name: String,
    /// Index of the first value.
    pub start: u32,
    /// Row-major shape; empty for one number.
    pub shape: Vec<u32>,
    /// From search values to parameters.
    pub transform: Transform,
}

impl Segment {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().map(|&side| side as usize).product()
    }

    /// Whether the segment holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the values stand in the genome.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len()
    }
}

/// Names, shapes and transforms of all parts of a genome, in order and without gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenomeLayout {
    segments: Vec<Segment>,
}

impl GenomeLayout {
    /// The layout of the shared genome of `rule` (science: 4 k^2 numbers and four gates).
    pub fn of_rule(rule: &RuleSpec) -> Self {
        let k = u32::from(rule.states);
        let gate_shape = match rule.gates {
            Gates::Scalar => vec![],
            Gates::PerState => vec![k],
        };
        let mut layout = Self { segments: Vec::with_capacity(8) };
        for name in ["forward_transform", "backward_transform", "hebbian_pre", "hebbian_post"] {
            layout.push(name, vec![k, k], Transform::IDENTITY);
        }
        layout.push("neuron_keep", gate_shape.clone(), Transform::Affine { offset: 1.0, scale: 1.0 });
        layout.push("neuron_update", gate_shape.clone(), Transform::Exp { factor: 1.0, scale: 0.5 });
        layout.push("synapse_keep", gate_shape.clone(), Transform::Decay { rate: 0.05, shift: 1.0 });
        layout.push("synapse_update", gate_shape, Transform::Exp { factor: 0.1, scale: 1.0 });
        layout
    }

    fn push(&mut self, name: &str, shape: Vec<u32>, transform: Transform) {
        let start = self.dimension() as u32;
        self.segments.push(Segment { name: name.to_owned(), start, shape, transform });
    }

    /// The segments in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The number of values of a genome of this layout.
    pub fn dimension(&self) -> usize {
        self.segments.last().map_or(0, |last| last.range().end)
    }

    /// The segment of that name.
    pub fn segment(&self, name: &str) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.name == name)
    }

    /// The parameters of segment `name`: its values of `genome`, transformed.
    /// `None` if there is no such segment or the genome has another dimension.
    pub fn parameters(&self, name: &str, genome: &Genome) -> Option<Vec<f64>> {
        let segment = self.segment(name)?;
        if genome.0.len() != self.dimension() {
            return None;
        }
        Some(genome.0[segment.range()].iter().map(|&x| segment.transform.apply(x)).collect())
    }

    /// What two processes compare before they exchange genomes.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a layout is plain data"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(states: u8, gates: Gates) -> GenomeLayout {
        GenomeLayout::of_rule(&RuleSpec { states, gates, ..RuleSpec::default() })
    }

    #[test]
    fn a_shared_genome_has_four_matrices_and_four_gates() {
        assert_eq!(layout(2, Gates::Scalar).dimension(), 20);
        assert_eq!(layout(4, Gates::Scalar).dimension(), 68);
        assert_eq!(layout(4, Gates::PerState).dimension(), 80);
        assert_eq!(layout(1, Gates::Scalar).dimension(), 8);
    }

    #[test]
    fn zero_is_a_sane_start() {
        let layout = layout(2, Gates::Scalar);
        let zero = Genome(vec![0.0; 20]);
        let at = |name| layout.parameters(name, &zero).unwrap()[0];
        assert_eq!(at("forward_transform"), 0.0);
        assert_eq!(at("neuron_keep"), 1.0);
        assert_eq!(at("neuron_update"), 1.0);
        assert!((at("synapse_keep") - 0.981_774).abs() < 1e-6);
        assert_eq!(at("synapse_update"), 0.1);
        assert_eq!(layout.parameters("synapse_update", &Genome(vec![0.0; 19])), None);
    }

    #[test]
    fn layouts_differ_in_their_digests() {
        assert_ne!(layout(2, Gates::Scalar).digest(), layout(2, Gates::PerState).digest());
        assert_eq!(layout(2, Gates::Scalar).digest(), layout(2, Gates::Scalar).digest());
    }

    #[test]
    fn genomes_survive_the_wire_bit_for_bit() {
        let genome = Genome(vec![0.1, -0.0, f64::MIN_POSITIVE, 1e300]);
        let back = Genome::from_le_bytes(&genome.to_le_bytes()).unwrap();
        assert!(genome.0.iter().zip(&back.0).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert_eq!(Genome::from_le_bytes(&[0; 9]), None);
    }
}
