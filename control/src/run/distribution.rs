//! A search distribution as a figure: coordinates, or quantiles of them where they are many.

use hebbian_proto::v1;
use hebbian_search::SearchSummary;

/// Genomes of more numbers are told of by quantiles.
const COORDINATES_MAX: usize = 256;

/// Where the quantiles of coordinates are, in percent.
const COORDINATES_AT: [usize; 7] = [0, 5, 25, 50, 75, 95, 100];

/// Where the quantiles of fitness are, in percent.
const FITNESS_AT: [usize; 7] = [0, 10, 25, 50, 75, 90, 100];

/// What a strategy says of its distribution. Called where the search advances: it sorts as many numbers as a genome has.
pub(super) fn figure(of: &SearchSummary) -> v1::Distribution {
    let dimension = of.mean.len();
    let mut axes = of.axes.clone();
    axes.sort_unstable_by(f64::total_cmp);
    v1::Distribution {
        dimension: dimension as u32,
        mean: list(&of.mean),
        deviations: list(&of.deviations),
        axes: list(&axes),
    }
}

/// The same figures of a generation without its distribution.
pub(super) fn without(summary: &v1::GenerationSummary) -> v1::GenerationSummary {
    let search = summary.search.as_ref().map(|search| {
        let v1::SearchSummary { restart, .. } = search;
        v1::SearchSummary { distribution: None, restart: restart.clone(), ..*search }
    });
    let v1::GenerationSummary { state_digest, fitness_quantiles, best_scores, .. } = summary;
    v1::GenerationSummary {
        search,
        state_digest: state_digest.clone(),
        fitness_quantiles: fitness_quantiles.clone(),
        best_scores: best_scores.clone(),
        ..*summary
    }
}

/// Quantiles of fitnesses, which are sorted.
pub(super) fn of_fitness(sorted: &[f64]) -> Vec<f64> {
    quantiles(sorted, &FITNESS_AT)
}

fn list(values: &[f64]) -> Vec<f32> {
    if values.len() <= COORDINATES_MAX {
        return values.iter().copied().map(rounded).collect();
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantiles(&sorted, &COORDINATES_AT).into_iter().map(rounded).collect()
}

/// The nearest number of 24 binary digits that is finite, and not 0 unless the number is.
fn rounded(value: f64) -> f32 {
    let nearest = (value as f32).clamp(f32::MIN, f32::MAX);
    if nearest == 0.0 && value != 0.0 { f32::MIN_POSITIVE.copysign(value as f32) } else { nearest }
}

/// Quantiles of sorted numbers: the numbers at their places, and between two of them the straight line.
fn quantiles(sorted: &[f64], percents: &[usize]) -> Vec<f64> {
    let Some(last) = sorted.len().checked_sub(1) else { return Vec::new() };
    let at = |&percent: &usize| {
        let (place, rest) = (percent * last / 100, percent * last % 100);
        let (lower, upper) = (sorted[place], sorted[(place + 1).min(last)]);
        let share = rest as f64 / 100.0;
        // Not the difference of both, which need not be finite.
        lower * (1.0 - share) + upper * share
    };
    percents.iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn few_coordinates_are_kept_and_many_become_quantiles() {
        let mean = |n: usize| SearchSummary {
            mean: (0..n).rev().map(|i| i as f64).collect(),
            deviations: vec![0.5; n],
            axes: vec![3.0, 1.0, 2.0],
            ..SearchSummary::default()
        };
        let few = figure(&mean(256));
        assert_eq!((few.dimension, few.mean.len(), few.mean[0]), (256, 256, 255.0));
        assert_eq!((few.deviations.len(), few.axes), (256, vec![1.0, 2.0, 3.0]));
        let many = figure(&mean(401));
        assert_eq!((many.dimension, many.mean), (401, vec![0.0, 20.0, 100.0, 200.0, 300.0, 380.0, 400.0]));
        assert_eq!(many.deviations, [0.5; 7]);
    }

    #[test]
    fn quantiles_lie_between_the_numbers() {
        assert!(of_fitness(&[]).is_empty());
        assert_eq!(of_fitness(&[-2.0]), [-2.0; 7]);
        assert_eq!(of_fitness(&[0.0, 1.0]), [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]);
        assert!(of_fitness(&[f64::MIN, f64::MAX]).iter().all(|value| value.is_finite()));
    }

    #[test]
    fn what_is_rounded_stays_finite_and_keeps_its_sign() {
        assert_eq!([rounded(1e140), rounded(-1e140)], [f32::MAX, f32::MIN]);
        assert_eq!([rounded(1e-140), rounded(-1e-140)], [f32::MIN_POSITIVE, -f32::MIN_POSITIVE]);
        assert_eq!([rounded(0.0), rounded(0.1)], [0.0, 0.1]);
    }

    /// What docs/OPERATIONS.md says of the journal's growth.
    #[test]
    fn a_generation_has_at_most_four_kilobytes() {
        for (n, most) in [(1, 64), (72, 1024), (256, 4096), (100_000, 128)] {
            let summary = SearchSummary {
                mean: vec![0.1; n],
                deviations: vec![0.1; n],
                axes: vec![0.1; n],
                ..SearchSummary::default()
            };
            let bytes = figure(&summary).encoded_len();
            assert!(bytes <= most, "n = {n}: {bytes} bytes");
        }
    }
}
