//! What a genome stands for: warps, rates and start.

use hebbian_shared::genome::{Genome, GenomeLayout};

use crate::rule::Ablation;
use crate::rule::number::Number;

/// Parameters in the order of the genome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters<T>(pub(super) Vec<T>);

impl<T: Number> Parameters<T> {
    /// The parameters in the order of the genome.
    pub fn values(&self) -> &[T] {
        &self.0
    }

    /// Reads a genome, and takes from it what an ablation says. Whether the genome has the layout's dimension.
    #[must_use]
    pub fn read(&mut self, layout: &GenomeLayout, genome: &Genome, ablation: Option<Ablation>) -> bool {
        if genome.0.len() != layout.dimension() {
            return false;
        }
        self.0.clear();
        let last = layout.segments().iter().filter_map(|segment| warp(&segment.name)).max();
        for segment in layout.segments() {
            let is_input = segment.name.starts_with("warp_in_");
            let is_left = is_left(&segment.name, ablation, last);
            let width = segment.shape.last().map_or(1, |&width| width as usize);
            let values = genome.0[segment.range()].iter().enumerate();
            self.0.extend(values.map(|(place, &value)| {
                let value = segment.transform.apply(if is_left { value } else { 0.0 });
                let offset = if is_input { cosine(place / width, place % width, width) } else { 0.0 };
                T::of(offset + value)
            }));
        }
        true
    }
}

/// The place of the warp that a segment belongs to; `None` if it belongs to none.
fn warp(segment: &str) -> Option<usize> {
    segment.strip_prefix("warp_")?.rsplit('_').next()?.parse().ok()
}

/// Whether an ablation leaves a segment as it is, where the last warp has this place.
fn is_left(segment: &str, ablation: Option<Ablation>, last: Option<usize>) -> bool {
    let warp = warp(segment);
    match ablation {
        Some(Ablation::IdentityWarp) => warp.is_none(),
        Some(Ablation::FirstWarpAlone) => warp.is_none_or(|place| place == 0),
        Some(Ablation::LastWarpAlone) => warp.is_none() || warp == last,
        Some(Ablation::UnlearnedWarpInputs) => {
            !segment.starts_with("warp_in_") && !segment.starts_with("warp_bias_")
        }
        Some(Ablation::UnlearnedStart) => !segment.starts_with("start_"),
        _ => true,
    }
}

/// What stands in row k and column j of a residual warp's inputs, of d columns, beside what is evolved:
/// `sqrt(2 / d) cos(pi (k + 1)(2 j + 1) / (2 d))`. So the genome of zeros is the identity and has a gradient.
fn cosine(k: usize, j: usize, d: usize) -> f64 {
    let [k, j, d] = [k as f64, j as f64, d as f64];
    (2.0 / d).sqrt() * libm::cos(std::f64::consts::PI * (k + 1.0) * (2.0 * j + 1.0) / (2.0 * d))
}
