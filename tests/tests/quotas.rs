//! Shares: what one client may have of what a coordinator serves, and what is left for others.

use crate::bench::{Bench, creation, settings, spec};
use hebbian_control::command::evaluation::CreateEvaluation;
use hebbian_control::command::run::Create;
use hebbian_control::engine::Settings;
use hebbian_coordinator::driver::reading::Watch;
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::journal::memory::MemoryJournal;
use hebbian_shared::id::RunId;

fn create(bench: &mut Bench, number: u64, owner: &str) -> Result<(), String> {
    let creation = creation(RunId::new(number), spec("generations = 3"), "");
    bench.request(Create { owner: owner.to_owned(), ..creation })
}

#[test]
fn a_client_may_have_half_of_the_runs_that_others_leave() {
    let mut bench = Bench::with_settings(Settings { runs_max: 8, ..settings() });
    for number in 0..4 {
        create(&mut bench, number, "one").unwrap();
    }
    let refused = create(&mut bench, 4, "one").unwrap_err();
    assert!(refused.contains("one has 4 runs") && refused.contains("which is 4"), "{refused}");
    for number in 4..6 {
        create(&mut bench, number, "CN=two").unwrap();
    }
    assert!(create(&mut bench, 6, "CN=two").is_err());
    create(&mut bench, 6, "three").unwrap();
    // A restart counts them for the same clients.
    let stored = crate::bench::load(&mut bench.journal);
    let limited = Settings { runs_max: 8, ..settings() };
    let mut bench = Bench::recover_with(limited, bench.journal.clone(), stored, bench.now);
    for owner in ["one", "CN=two", "three"] {
        assert!(create(&mut bench, 7, owner).is_err(), "{owner}");
    }
    // This process is nobody's client.
    create(&mut bench, 7, "").unwrap();
    assert!(create(&mut bench, 8, "").unwrap_err().contains("there are 8 runs, which is the limit"));
}

#[test]
fn a_client_may_have_half_of_the_evaluations_that_others_leave() {
    let mut bench = Bench::with_settings(settings());
    let mut evaluate = |number, owner: &str| {
        let (request, owner) = ("{}".into(), owner.to_owned());
        let id = RunId::new(number);
        bench.request(CreateEvaluation {
            id,
            request,
            genomes: 1,
            tasks: 2,
            points: 1,
            fingerprint: None,
            weight: 1.0,
            owner,
        })
    };
    for number in 0..8 {
        evaluate(number, "one").unwrap();
    }
    assert!(evaluate(8, "one").unwrap_err().contains("one has 8 evaluations"));
    for number in 8..12 {
        evaluate(number, "two").unwrap();
    }
    assert!(evaluate(12, "two").is_err());
    evaluate(12, "three").unwrap();
}

#[tokio::test]
async fn a_client_may_have_half_of_the_watches_that_others_leave() {
    let settings = DriverSettings { watchers_max: 8, ..DriverSettings::default() };
    let (handle, _driver) = driver::start(settings, Box::new(MemoryJournal::default())).await.unwrap();
    let run =
        handle.create(creation(RunId::new(1), spec("generations = 3"), "")).await.unwrap().run_id().unwrap();
    let watch = async |owner: &str| handle.ask(Watch { run, after: 0, owner: owner.to_owned() }).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(watch("one").await.unwrap());
    }
    assert!(watch("one").await.unwrap_err().to_string().contains("one has 4 watches"));
    for _ in 0..2 {
        held.push(watch("two").await.unwrap());
    }
    assert!(watch("two").await.is_err());
    // Who ends one may begin another; its end is noticed a moment later.
    held.clear();
    let again = async {
        while watch("one").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), again).await.expect("in time");
}
