//! From verdicts to weights: which candidates are selected, and how much each counts.

use hebbian_shared::fitness::Verdict;

/// A candidate that takes part in an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Selected {
    /// Its position in the population.
    pub(super) candidate: usize,
    /// Its weight in the mean, at least 0.
    pub(super) recombination: f64,
    /// Its weight in the covariance matrix, negative for the worse half in the active update.
    pub(super) covariance: f64,
}

/// Gives each candidate the weight of its rank, best first; `weights` holds one weight per rank, falling.
///
/// Equal fitnesses share: each gets the average over the ranks that they occupy together, so the order in which they
/// stand in the population does not matter. Infeasible candidates rank below all fits, by their violations. Diverged ones rank below all and weigh nothing: neither is there
/// anything to move towards, nor is the place where a network left the finite numbers evidence of the fitness's shape,
/// as negative weights would take it to be. Only candidates with a weight are returned.
pub(super) fn select(verdicts: &[Verdict], weights: &[f64]) -> Vec<Selected> {
    let mut order: Vec<usize> = (0..verdicts.len()).filter(|&i| verdicts[i].is_ranked()).collect();
    order.sort_by(|&a, &b| verdicts[b].cmp(&verdicts[a]));
    weigh(verdicts, weights, &order)
}

/// The same for mirrored pairs (0, 1), (2, 3), ..., of which only the better one is selected to move towards (Auger,
/// Brockhoff and Hansen 2011): steps of both would cancel, and the step size would shrink without a reason.
pub(super) fn select_of_pairs(verdicts: &[Verdict], weights: &[f64]) -> Vec<Selected> {
    let is_worse = |i: usize| {
        let partner = i ^ 1;
        partner < verdicts.len() && (verdicts[i], partner) < (verdicts[partner], i)
    };
    let mut order: Vec<usize> = (0..verdicts.len()).filter(|&i| verdicts[i].is_ranked()).collect();
    order.sort_by(|&a, &b| is_worse(a).cmp(&is_worse(b)).then(verdicts[b].cmp(&verdicts[a])));
    weigh(verdicts, weights, &order)
}

fn weigh(verdicts: &[Verdict], weights: &[f64], order: &[usize]) -> Vec<Selected> {
    let mut selected = Vec::with_capacity(order.len());
    let mut rank = 0;
    for equals in order.chunk_by(|&a, &b| verdicts[a] == verdicts[b]) {
        let ranks = &weights[rank..rank + equals.len()];
        let average =
            |weight: fn(f64) -> f64| ranks.iter().map(|&w| weight(w)).sum::<f64>() / equals.len() as f64;
        let (recombination, covariance) = (average(|w| w.max(0.0)), average(|w| w));
        if recombination != 0.0 || covariance != 0.0 {
            selected.extend(equals.iter().map(|&candidate| Selected {
                candidate,
                recombination,
                covariance,
            }));
        }
        rank += equals.len();
    }
    selected
}

#[cfg(test)]
mod tests {
    use hebbian_shared::fitness::Fitness;

    use super::*;

    const WEIGHTS: [f64; 5] = [0.75, 0.25, 0.0, -0.25, -0.5];

    /// `None` is a candidate of which one episode diverged; expected are (candidate, recombination, covariance).
    fn check(fitnesses: &[Option<f64>], expected: &[(usize, f64, f64)]) {
        let verdict = |fitness: &Option<f64>| match fitness {
            Some(value) => Verdict::Fit(Fitness::new(*value).unwrap()),
            None => Verdict::Diverged { episodes: 1 },
        };
        let verdicts: Vec<Verdict> = fitnesses.iter().map(verdict).collect();
        let selected: Vec<_> = select(&verdicts, &WEIGHTS)
            .iter()
            .map(|s| (s.candidate, s.recombination, s.covariance))
            .collect();
        assert_eq!(selected, expected);
    }

    #[test]
    fn the_best_weighs_most_and_a_zero_weight_is_left_out() {
        check(
            &[Some(1.0), Some(5.0), Some(3.0), Some(2.0), Some(4.0)],
            &[(1, 0.75, 0.75), (4, 0.25, 0.25), (3, 0.0, -0.25), (0, 0.0, -0.5)],
        );
    }

    #[test]
    fn equal_fitnesses_share_their_weights() {
        check(
            &[Some(1.0), Some(9.0), Some(9.0), Some(2.0), Some(1.0)],
            &[(1, 0.5, 0.5), (2, 0.5, 0.5), (0, 0.0, -0.375), (4, 0.0, -0.375)],
        );
        // A tie across the middle keeps both parts apart.
        check(
            &[Some(3.0), Some(1.0), Some(1.0), Some(1.0), Some(0.0)],
            &[
                (0, 0.75, 0.75),
                (1, 0.25 / 3.0, 0.0),
                (2, 0.25 / 3.0, 0.0),
                (3, 0.25 / 3.0, 0.0),
                (4, 0.0, -0.5),
            ],
        );
    }

    #[test]
    fn infeasible_candidates_rank_behind_all_others_by_their_violations() {
        let outside = |by| Verdict::Infeasible(hebbian_shared::fitness::Violation::new(by).unwrap());
        let fit = Verdict::Fit(Fitness::new(-1e9).unwrap());
        let verdicts = [outside(2.0), Verdict::Diverged { episodes: 1 }, outside(0.5), fit];
        let order: Vec<usize> = select(&verdicts, &WEIGHTS[..4]).iter().map(|s| s.candidate).collect();
        assert_eq!(order, [3, 2], "the third rank weighs nothing");
        let order: Vec<usize> =
            select(&verdicts, &[3.0, 2.0, 1.0, 0.5]).iter().map(|s| s.candidate).collect();
        assert_eq!(order, [3, 2, 0]);
    }

    #[test]
    fn diverged_candidates_weigh_nothing_and_lift_nobody() {
        check(&[None, Some(1.0), None, Some(2.0), Some(0.0)], &[(3, 0.75, 0.75), (1, 0.25, 0.25)]);
        check(&[None, None, None, None, Some(0.0)], &[(4, 0.75, 0.75)]);
        check(&[None; 5], &[]);
    }
}
