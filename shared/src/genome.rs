//! Genomes and their layouts: which numbers of the search vector mean what.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::spec::network::NetworkSpec;
use crate::spec::rule::RuleOptions;

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

/// A search value at which a decay vanishes.
const KEEP_ALL: f64 = -50.0;

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
    /// `low + (high - low) / (1 + exp(-x))`: a number between two bounds
    Bounded {
        /// Value far below x = 0.
        low: f64,
        /// Value far above x = 0.
        high: f64,
    },
    /// `offset + scale * x`, or the exponential of `log(offset) + scale * x`, mirrored at the bounds: a real of an external problem
    Mirrored {
        /// Value at x = 0, within the bounds.
        offset: f64,
        /// Slope, of a logarithmic one that of the logarithm.
        scale: f64,
        /// The smallest value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        low: Option<f64>,
        /// The largest value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        high: Option<f64>,
        /// Whether the logarithm is what is searched.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        logarithmic: bool,
    },
    /// The whole number that is nearest to `offset + scale * x`, clipped to the bounds: an integer of an external problem
    Whole {
        /// What is rounded at x = 0.
        offset: f64,
        /// Slope.
        scale: f64,
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
    },
}

/// Mirrors a number at bounds, as often as it takes.
fn mirror(u: f64, low: Option<f64>, high: Option<f64>) -> f64 {
    match (low, high) {
        (None, None) => u,
        (Some(low), None) => low + (u - low).abs(),
        (None, Some(high)) => high - (u - high).abs(),
        (Some(low), Some(high)) => {
            let width = high - low;
            let phase = (u - low).rem_euclid(2.0 * width);
            low + phase.min(2.0 * width - phase)
        }
    }
}

/// Logarithms beyond which there are no numbers.
const LOGARITHM_MAX: f64 = 700.0;

impl Transform {
    /// The value itself.
    pub const IDENTITY: Self = Self::Affine { offset: 0.0, scale: 1.0 };

    /// The parameter that the search value `x` stands for.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::Affine { offset, scale } => offset + scale * x,
            Self::Exp { factor, scale } => factor * libm::exp(scale * x),
            Self::Decay { rate, shift } => libm::exp(-rate * libm::exp(x - shift)),
            Self::Bounded { low, high } => low + (high - low) / (1.0 + libm::exp(-x)),
            Self::Mirrored { offset, scale, low, high, logarithmic } => {
                let value = if logarithmic {
                    let u = mirror(libm::log(offset) + scale * x, low.map(libm::log), high.map(libm::log));
                    libm::exp(u.clamp(-LOGARITHM_MAX, LOGARITHM_MAX))
                } else {
                    mirror(offset + scale * x, low, high)
                };
                // Rounding, and the ends of the numbers.
                value.max(low.unwrap_or(-f64::MAX)).min(high.unwrap_or(f64::MAX))
            }
            Self::Whole { offset, scale, low, high } => {
                libm::floor(offset + scale * x + 0.5).max(low).min(high)
            }
        }
    }

    /// The derivative of the parameter by the search value at `x`.
    pub fn slope(self, x: f64) -> f64 {
        match self {
            // Of a mirrored one within the bounds.
            Self::Affine { scale, .. } | Self::Mirrored { scale, logarithmic: false, .. } => scale,
            Self::Exp { scale, .. } | Self::Mirrored { scale, .. } => scale * self.apply(x),
            Self::Decay { rate, shift } => -rate * libm::exp(x - shift) * self.apply(x),
            Self::Bounded { low, high } => {
                let share = 1.0 / (1.0 + libm::exp(-x));
                (high - low) * share * (1.0 - share)
            }
            // Nearly everywhere.
            Self::Whole { .. } => 0.0,
        }
    }

    /// How far the search value moves from one bound at which it is mirrored to the other.
    pub fn interval(self) -> Option<f64> {
        match self {
            Self::Mirrored { scale, low: Some(low), high: Some(high), logarithmic, .. } => {
                let of = |bound| if logarithmic { libm::log(bound) } else { bound };
                Some((of(high) - of(low)) / scale)
            }
            _ => None,
        }
    }

    /// The search value that stands for `parameter`, which is one that the transform gives.
    pub fn invert(self, parameter: f64) -> f64 {
        match self {
            Self::Affine { offset, scale } => (parameter - offset) / scale,
            Self::Exp { factor, scale } => libm::log(parameter / factor) / scale,
            // All is kept in every precision from -36 on downwards.
            Self::Decay { .. } if parameter == 1.0 => KEEP_ALL,
            Self::Decay { rate, shift } => shift + libm::log(-libm::log(parameter) / rate),
            Self::Bounded { low, high } => libm::log((parameter - low) / (high - parameter)),
            Self::Mirrored { offset, scale, logarithmic: true, .. } => {
                (libm::log(parameter) - libm::log(offset)) / scale
            }
            Self::Mirrored { offset, scale, .. } | Self::Whole { offset, scale, .. } => {
                (parameter - offset) / scale
            }
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
    /// Where the search starts, in the search space.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub initial_mean: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenomeLayout {
    segments: Vec<Segment>,
}

impl GenomeLayout {
    /// The layout of the genomes of a rule for these networks.
    ///
    /// # Panics
    /// If the rule does not suit the networks, which [`RuleOptions::validate_for`] refuses.
    pub fn of_rule(rule: &dyn RuleOptions, network: &NetworkSpec) -> Self {
        rule.layout(network)
    }

    /// Appends a segment.
    pub(crate) fn push(&mut self, name: &str, shape: &[u32], transform: Transform) {
        let (name, start, shape) = (name.to_owned(), self.dimension() as u32, shape.to_vec());
        self.segments.push(Segment { name, start, shape, transform, initial_mean: 0.0 });
    }

    /// Lets a search start at `initial_mean` in the last segment instead of at 0.
    pub(crate) fn start_at(&mut self, initial_mean: f64) {
        self.segments.last_mut().expect("there is a segment").initial_mean = initial_mean;
    }

    /// Where a search starts: each segment's initial mean for all of its values.
    pub fn initial_mean(&self) -> Genome {
        let of_segment = |segment: &Segment| std::iter::repeat_n(segment.initial_mean, segment.len());
        Genome(self.segments.iter().flat_map(of_segment).collect())
    }

    /// The slope of each parameter by its search value, in the genome's order.
    pub fn slopes(&self, genome: &Genome) -> Vec<f64> {
        let of_segment = |segment: &Segment| {
            let transform = segment.transform;
            genome.0[segment.range()].iter().map(move |&value| transform.slope(value)).collect::<Vec<_>>()
        };
        self.segments.iter().flat_map(of_segment).collect()
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
        Some(self.each_parameter(name, genome)?.collect())
    }

    /// As [`GenomeLayout::parameters`], one after the other.
    pub fn each_parameter<'a>(
        &'a self,
        name: &str,
        genome: &'a Genome,
    ) -> Option<impl Iterator<Item = f64> + use<'a>> {
        let segment = self.segment(name)?;
        let fits = genome.0.len() == self.dimension();
        fits.then(|| genome.0[segment.range()].iter().map(|&x| segment.transform.apply(x)))
    }

    /// The parameter of segment `name`, which is one number. `None` as in [`GenomeLayout::parameters`].
    pub fn parameter(&self, name: &str, genome: &Genome) -> Option<f64> {
        let segment = self.segment(name).filter(|segment| segment.shape.is_empty())?;
        let fits = genome.0.len() == self.dimension();
        fits.then(|| segment.transform.apply(genome.0[segment.start as usize]))
    }

    /// What two processes compare before they exchange genomes.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a layout is plain data"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::rule::multi_state::{
        ForwardSynapseUpdate, Gates, GenomeScope, MultiStateSpec, Normalisation, Oja, Saturation,
    };

    fn layout(states: u8, gates: Gates) -> GenomeLayout {
        of_rule(&MultiStateSpec { states, gates, ..MultiStateSpec::default() })
    }

    fn of_rule(rule: &MultiStateSpec) -> GenomeLayout {
        GenomeLayout::of_rule(rule, &NetworkSpec::default())
    }

    /// Names and shapes of a rule with every option for networks of three layers of synapses.
    fn everything(genome: GenomeScope, gates: Gates) -> Vec<(String, Vec<u32>)> {
        let rule = MultiStateSpec {
            states: 3,
            gates,
            genome,
            normalisation: Some(Normalisation { stored: true, rescale: true, ..Normalisation::default() }),
            oja: Some(Oja { multiplier: true, ..Oja::default() }),
            saturation: Some(Saturation::default()),
            forward_synapse_update: ForwardSynapseUpdate::OwnGenome,
            evolve_initial_scale: true,
            ..MultiStateSpec::default()
        };
        let network = NetworkSpec { hidden: vec![4, 5], ..NetworkSpec::default() };
        let layout = GenomeLayout::of_rule(&rule, &network);
        layout.segments().iter().map(|segment| (segment.name.clone(), segment.shape.clone())).collect()
    }

    #[test]
    fn options_append_segments_and_a_genome_per_layer_gives_them_an_axis() {
        let check = |genome, gates, matrix: &[u32], gate: &[u32], state: &[u32]| {
            let segments = everything(genome, gates);
            let names: Vec<&str> = segments.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                names[8..],
                [
                    "oja_multiplier",
                    "saturation",
                    "rescale_to",
                    "initial_synapse_scale",
                    "forward_synapse_hebbian_pre",
                    "forward_synapse_hebbian_post",
                    "forward_synapse_keep",
                    "forward_synapse_update",
                    "forward_synapse_oja_multiplier",
                    "forward_synapse_saturation",
                ]
            );
            for (name, shape) in &segments {
                let expected = match name.as_str() {
                    "rescale_to" => state,
                    "initial_synapse_scale" => &[],
                    name if name.contains("transform") || name.contains("hebbian") => matrix,
                    _ => gate,
                };
                assert_eq!(shape, expected, "{name}");
            }
        };
        check(GenomeScope::Shared, Gates::Scalar, &[3, 3], &[], &[]);
        check(GenomeScope::Shared, Gates::PerState, &[3, 3], &[3], &[3]);
        check(GenomeScope::PerLayer, Gates::Scalar, &[3, 3, 3], &[3], &[]);
        check(GenomeScope::PerLayer, Gates::PerState, &[3, 3, 3], &[3, 3], &[3]);
    }

    /// A genome file holds its layout, and programs compare layouts by their digests.
    #[test]
    fn the_layout_of_the_first_rules_is_as_it_was() {
        assert_eq!(
            layout(4, Gates::Scalar).digest().to_string(),
            "2236f8d9e4fb1e572ad5b3c1b46c9ae960b4930e9fdc3c2b320e7137ac064f59"
        );
        assert_eq!(
            layout(2, Gates::PerState).digest().to_string(),
            "57348df78203da0984ab5123e9967e3ac64476a3cbaa45a4e71a2afec8763abf"
        );
    }

    #[test]
    fn the_search_starts_at_the_initial_mean_and_bounds_hold() {
        let rule = MultiStateSpec { evolve_initial_scale: true, ..MultiStateSpec::default() };
        let mut layout = of_rule(&rule);
        assert_eq!(layout.initial_mean(), Genome(vec![0.0; 69]));
        let at = |x: f64| Transform::Bounded { low: 0.0, high: 2.0 }.apply(x);
        assert_eq!(layout.parameters("initial_synapse_scale", &layout.initial_mean()), Some(vec![1.0]));
        assert!(at(-800.0) >= 0.0 && at(-3.0) < at(3.0) && at(800.0) <= 2.0);
        layout.segments[1].initial_mean = -0.5;
        let mean = layout.initial_mean();
        assert_eq!((mean.0[15], mean.0[16], mean.0[31], mean.0[32]), (0.0, -0.5, -0.5, 0.0));
        let back: GenomeLayout = serde_json::from_str(&serde_json::to_string(&layout).unwrap()).unwrap();
        assert_eq!(back, layout);
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
    fn a_transform_is_undone_and_has_its_slope() {
        for transform in [
            Transform::Affine { offset: 1.0, scale: 2.0 },
            Transform::Exp { factor: 0.1, scale: 0.5 },
            Transform::Decay { rate: 0.05, shift: 1.0 },
            Transform::Bounded { low: -1.0, high: 3.0 },
            Transform::Mirrored { offset: 1.0, scale: 0.5, low: Some(-3.0), high: None, logarithmic: false },
            Transform::Mirrored {
                offset: 1.0,
                scale: 0.5,
                low: Some(0.1),
                high: Some(9.0),
                logarithmic: true,
            },
        ] {
            for x in [-2.0, 0.0, 1.25] {
                assert!((transform.invert(transform.apply(x)) - x).abs() < 1e-12, "{transform:?} of {x}");
                let difference = (transform.apply(x + 1e-4) - transform.apply(x - 1e-4)) / 2e-4;
                assert!((transform.slope(x) - difference).abs() < 1e-7, "{transform:?} at {x}");
            }
        }
    }

    #[test]
    fn what_is_beyond_a_bound_is_mirrored_and_whole_numbers_are_rounded() {
        let mirrored =
            |low, high, logarithmic| Transform::Mirrored { offset: 1.0, scale: 1.0, low, high, logarithmic };
        let both = mirrored(Some(0.0), Some(4.0), false);
        for (x, expected) in
            [(0.0, 1.0), (3.0, 4.0), (4.0, 3.0), (7.0, 0.0), (8.0, 1.0), (-2.0, 1.0), (-1.0, 0.0)]
        {
            assert_eq!(both.apply(x), expected, "{x}");
        }
        assert_eq!(mirrored(Some(0.5), None, false).apply(-1.0), 1.0);
        assert_eq!(mirrored(None, Some(2.0), false).apply(2.5), 0.5);
        let logarithmic = mirrored(Some(0.01), Some(100.0), true);
        assert!((logarithmic.apply(libm::log(1000.0)) - 10.0).abs() < 1e-12);
        for x in [-1e300, -50.0, 3.25, 1e300] {
            assert!((0.01..=100.0).contains(&logarithmic.apply(x)), "{x}");
            assert!(
                mirrored(None, None, true).apply(x).is_finite()
                    && mirrored(None, None, false).apply(x).is_finite()
            );
        }
        let whole = Transform::Whole { offset: 3.0, scale: 2.0, low: 1.0, high: 8.0 };
        for (x, expected) in [(0.0, 3.0), (0.2, 3.0), (0.25, 4.0), (-0.26, 2.0), (-9.0, 1.0), (9.0, 8.0)] {
            assert_eq!(whole.apply(x), expected, "{x}");
        }
        assert_eq!(whole.apply(whole.invert(5.0)), 5.0);
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
