//! What a search costs beside its evaluations, before it begins: of the order of magnitude, for whoever plans a run.

use crate::cma_es::parameters::Parameters;
use crate::strategy::StrategySpec;

/// What one generation of a search costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Multiplications of a generation, on average.
    pub multiplications: f64,
    /// Bytes of memory while a generation closes: the state with what is computed of it, all candidates, and the state as it is stored.
    pub memory_bytes: f64,
    /// Bytes of the state as it is stored after a generation.
    pub state_bytes: f64,
}

/// Bytes of a number.
const NUMBER: f64 = 8.0;
/// Multiplications of an eigendecomposition of n x n numbers, in n^3.
const DECOMPOSITION: f64 = 9.0;
/// Copies of all candidates that there are for a moment: as samples, as genomes of two generations, and as points.
const COPIES: f64 = 4.0;

/// What a generation costs of a search in `dimension` numbers.
pub fn cost(spec: &StrategySpec, dimension: usize) -> Cost {
    let (n, candidates) = (dimension as f64, f64::from(spec.candidates_max()));
    let population = candidates * n;
    let (multiplications, working, state) = match spec {
        StrategySpec::CmaEs(settings) => {
            let parameters = Parameters::new(dimension, settings.population_size as usize, settings.active);
            let decomposition = DECOMPOSITION * n.powi(3) / f64::from(parameters.eigen_interval);
            // Sampling takes the eigenbasis whole, the update half of the covariance.
            let products = 1.5 * candidates * n * n;
            (decomposition + products, 5.0 * n * n, 1.5 * n * n + 4.0 * n)
        }
        _ => (20.0 * population, 16.0 * n, 4.0 * n),
    };
    Cost {
        multiplications,
        memory_bytes: NUMBER * (working + COPIES * population + 3.0 * state),
        state_bytes: NUMBER * state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Envelope, Frame, Measured, Seed, Verdict, start};

    /// The state as it is stored after a generation has the size that was said, within a fifth and a kilobyte.
    #[test]
    fn the_stored_state_has_the_size_that_is_told() {
        for kind in StrategySpec::NAMES {
            let read = |text: String| serde_json::from_str::<StrategySpec>(&text);
            let spec = read(format!("{{\"kind\": \"{kind}\", \"population_size\": 8}}"))
                .or_else(|_| read(format!("{{\"kind\": \"{kind}\"}}")))
                .unwrap();
            let n = 300;
            let mut search = start(&spec, vec![0.5; n], Seed::new(1).unwrap(), &Frame::default());
            let fit = |place: usize| Verdict::Fit(crate::Fitness::new(place as f64).unwrap());
            let told: Vec<Measured> = (0..search.ask().len())
                .map(|place| Measured {
                    verdict: fit(place),
                    gradient: search.wants().gradient.then(|| vec![0.5; n]),
                })
                .collect();
            search.tell(&told).unwrap();
            let found = Envelope::to_bytes(&search.state()).len() as f64;
            let expected = cost(&spec, n).state_bytes;
            assert!(found <= 1.2 * expected + 1024.0, "{kind}: {found} bytes, {expected} were told");
        }
    }
}
