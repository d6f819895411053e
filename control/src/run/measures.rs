//! What tells memory from learning (docs/FAMILIES.md): scores before and after adaptation, on labels of another key, and on tasks that a
//! search never meets.

use hebbian_shared::estimate::{Estimate, mean};

/// Of one validation; higher scores are better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measures {
    /// What the true support is worth against one with labels of another key.
    pub support_use: f64,
    /// How much of the score above chance is there before the first update; 0 if nothing is above chance.
    pub memorised: f64,
    /// Tasks that the search meets against those that it never meets.
    pub learner_gap: f64,
    /// As `support_use`, on tasks that the search never meets.
    pub test_support_use: f64,
}

/// From the scores of tasks that the search meets (adapted, on labels of another key, unadapted), of those that it never meets (adapted,
/// on labels of another key), and of the best that ignores the support.
pub fn measures(
    [adapted, blind, unadapted]: [f64; 3],
    [unseen, unseen_blind]: [f64; 2],
    chance: f64,
) -> Measures {
    let above = adapted - chance;
    Measures {
        support_use: adapted - blind,
        memorised: if above > 0.0 { (unadapted - chance) / above } else { 0.0 },
        learner_gap: adapted - unseen,
        test_support_use: unseen - unseen_blind,
    }
}

/// A ratio of means over the same tasks, with its standard error.
pub(super) fn ratio(pairs: &[(f64, f64)]) -> Estimate {
    let mean = |of: fn(&(f64, f64)) -> f64| mean(pairs.iter().map(of));
    let (above, below) = (mean(|pair| pair.0), mean(|pair| pair.1));
    if below <= 0.0 || below.is_nan() {
        return Estimate { mean: 0.0, standard_error: 0.0 };
    }
    let ratio = above / below;
    let residuals = pairs.iter().map(|(x, y)| (x - ratio * y) / below);
    Estimate { mean: ratio, ..Estimate::of(residuals) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_has_the_error_of_its_residuals() {
        let exact = ratio(&[(0.1, 0.2), (0.2, 0.4), (0.15, 0.3)]);
        assert!((exact.mean - 0.5).abs() < 1e-12 && exact.standard_error < 1e-12, "{exact:?}");
        let scattered = ratio(&[(0.0, 0.4), (0.4, 0.4), (0.2, 0.4)]);
        assert!((scattered.mean - 0.5).abs() < 1e-12 && scattered.standard_error > 0.2, "{scattered:?}");
        assert_eq!(ratio(&[(0.3, -0.1)]).mean, 0.0);
    }
}
