//! What stands beside update networks in comparisons: linear memories of the same pairs.

use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::linear_memory::{LinearMemorySpec, MemoryMethod};
use hebbian_shared::spec::task::TaskKind;

use crate::rule::Companion;

/// Learning rates of the delta rule in one pass.
const RATES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.5];
/// The same in several passes; from 2 on it diverges.
const RATES_OF_PASSES: [f64; 6] = [0.1, 0.2, 0.4, 0.6, 0.8, 1.0];
const PASSES: u32 = 10;
/// What is added to the diagonal of least squares.
const RIDGES: [f64; 4] = [1e-9, 1e-5, 1e-3, 1e-2];

/// The memories of tasks of remembering; of other tasks none.
pub(super) fn of(problem: &RuleLearning) -> Vec<Companion> {
    if problem.tasks.families.iter().any(|family| family.row().kind != TaskKind::Snippets) {
        return Vec::new();
    }
    let row = |name: &str, meaning: &str, (method, passes): (MemoryMethod, u32), settings: &[f64]| {
        let problem = RuleLearning {
            rule: RuleSpec::LinearMemory(LinearMemorySpec { method, passes }),
            network: NetworkSpec { hidden: Vec::new(), ..NetworkSpec::default() },
            tasks: problem.tasks.clone(),
        };
        let transform = problem.layout().segments()[0].transform;
        let called = |value: f64| if value < 1e-4 { format!("{value:e}") } else { format!("{value}") };
        let setting = |&value: &f64| (called(value), Genome(vec![transform.invert(value)]));
        // Nothing lies beyond no ridge at all.
        let first = usize::from(method == MemoryMethod::LeastSquares);
        let ends = if settings.len() > 1 { [0, settings.len() - 1][first..].to_vec() } else { Vec::new() };
        let settings = settings.iter().map(setting).collect();
        Companion { ends, ..Companion::new((name, meaning), problem, settings) }
    };
    vec![
        row("outer product", "w += y x, seen once", (MemoryMethod::OuterProduct, 1), &[1.0]),
        row(
            "delta rule",
            "w += rate (y - w x / n) x, seen once, with the best rate of the column",
            (MemoryMethod::DeltaRule, 1),
            &RATES,
        ),
        row("delta x 10", "the same, seen ten times", (MemoryMethod::DeltaRule, PASSES), &RATES_OF_PASSES),
        row(
            "least squares",
            "the matrix of the least squared error, with the best ridge: what a linear memory can reach that keeps all pairs",
            (MemoryMethod::LeastSquares, 1),
            &RIDGES,
        ),
    ]
}
