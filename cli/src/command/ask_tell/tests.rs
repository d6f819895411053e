use std::io::Cursor;

use hebbian_shared::spec::strategy::CmaEsSpec;

use super::*;

fn search() -> AskTell {
    let strategy = StrategySpec::CmaEs(CmaEsSpec::of(4));
    let settings = Settings { strategy, mean: vec![0.5, -1.0], seed: Seed::new(9).expect("in range") };
    AskTell::new(settings).expect("it can be started")
}

/// Takes a line as the command does; whether it was taken.
fn take(search: &mut AskTell, line: &[u8]) -> bool {
    let candidates = search.candidates().len();
    let told = parse_line(line, candidates, line_size_max(candidates, 2));
    told.is_ok_and(|told| match told {
        Told::Fitness(fitness) => search.tell(&fitness).is_ok(),
        Told::Partial(some) => search.tell_some(&some).is_ok(),
        Told::Inject(points) => search.inject(&points).is_ok(),
    })
}

/// See `tests/tests/fuzz.rs`.
#[test]
fn bytes_that_nobody_wrote_are_told_or_refused() {
    let candidates = search().candidates().len();
    let all = vec!["0.25"; candidates].join(",");
    let corpus = [
        format!("{{\"fitness\":[{all}]}}\n"),
        format!("{{\"inject\":[[0.5,-1e3],[0,0]]}}\n{{\"fitness\":[{}]}}\n", all.replacen("0.25", "null", 1)),
        format!(
            "{{\"partial\":{{\"0\":1,\"1\":null}}}}\n\n{{\"partial\":{{\"2\":-1.5e10}}}}\n{{\"fitness\":[{all}]}}"
        ),
    ];
    let corpus: Vec<Vec<u8>> = corpus.into_iter().map(String::into_bytes).collect();
    hebbian_tests::fuzz::fuzz("ask-tell", &corpus, |bytes| {
        let (mut search, mut input, mut line, mut taken) = (search(), Cursor::new(bytes), Vec::new(), false);
        let size_max = line_size_max(candidates, 2);
        while read_line(&mut input, &mut line, size_max).expect("memory can be read") {
            taken |= take(&mut search, &line);
            assert!(search.mean().0.iter().all(|x| x.is_finite()));
            assert!(search.open().len() <= search.candidates().len());
        }
        taken
    });
}
