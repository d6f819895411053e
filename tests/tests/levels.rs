//! One result on every CPU: what the README promises of the quickstart, with the widest vectors of this CPU and with those that every CPU
//! has. `tests/slow/cpu` asks whole programs, as other CPUs.

use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::vectors::narrow;

/// As many as the README has a digest of.
const GENERATIONS: u32 = 5;

/// Of which so many are computed a second time, by slow code: 20 s of a core each. `tests/slow/run cpu` has all of them.
fn narrow_generations() -> u32 {
    std::env::var("HEBBIAN_NARROW_GENERATIONS").map_or(1, |count| count.parse().expect("it is a number"))
}

/// The means of the quickstart's first generations.
fn means(generations: u32) -> Vec<Genome> {
    let spec = RunSpec::read(include_str!("../../examples/quickstart.toml")).unwrap();
    crate::cluster::means(&spec, generations)
}

#[test]
fn the_quickstarts_first_generations_have_the_readmes_digest_on_two_levels() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("after five generations its digest is `").expect("the README has it");
    let (digest, _) = rest.split_once('`').unwrap();
    let (wide, narrow) = std::thread::scope(|scope| {
        let wide = scope.spawn(|| means(GENERATIONS));
        let narrow = narrow(|| means(narrow_generations()));
        (wide.join().unwrap(), narrow)
    });
    assert!(!narrow.is_empty() && narrow.len() <= wide.len(), "{} generations", narrow.len());
    for (generation, (wide, narrow)) in wide.iter().zip(&narrow).enumerate() {
        assert_eq!(narrow.digest(), wide.digest(), "the mean after {} generations", generation + 1);
    }
    assert_eq!(wide[GENERATIONS as usize - 1].digest().short(), digest, "the README has {digest}");
}
