//! Single episodes that a worker holds are taken back from it, as an asynchronous search does.

use std::collections::{BTreeMap, BTreeSet};

use hebbian_control::command::coordinator;
use hebbian_control::command::worker::List;
use hebbian_shared::dispatch::{Batch, BlockEpisodes, Report, Settlement};
use hebbian_shared::episode::{EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::id::{BlockIndex, CandidateIndex, TaskIndex};

use super::*;

const POPULATION: usize = 4;
const EVALUATIONS: usize = 2;

/// As workers name an evaluation: by the generation that its candidate was drawn in.
type Episode = (GenerationIndex, CandidateIndex, TaskIndex);

fn spec() -> String {
    format!(
        r#"
        name = "late"
        stop = {{ generations = 1000 }}
        [strategy]
        kind = "cma-es"
        population_size = {POPULATION}
        step_size = 1.0
        noise = "none"
        asynchronous = true
        [problem]
        kind = "external"
        name = "bowl"
        direction = "minimise"
        evaluations_per_candidate = {EVALUATIONS}
        parameters = [{{ name = "x", kind = "real", initial = 1.0, deviation = 1.0, length = 3 }}]
        "#
    )
}

/// A worker that the test plays.
struct Played {
    id: WorkerId,
    sent: mpsc::Receiver<Outgoing>,
    sequence: u64,
    /// What it was given, with the value, and was not taken back.
    held: BTreeMap<Episode, f64>,
    /// What was taken back, in this order.
    withdrawn: Vec<(Episode, f64)>,
}

impl Played {
    async fn attach(setting: &Setting, name: &str) -> Self {
        let (outbox, sent) = mpsc::channel(1024);
        let hello = Hello {
            name: name.to_owned(),
            threads: POPULATION as u32,
            episode_semantics: EPISODE_SEMANTICS,
            fingerprint: hebbian_shared::digest::Digest::of(b"any"),
            version: "0".to_owned(),
            serves: vec!["bowl".to_owned()],
        };
        let id = setting.driver.attach(hello, "here".to_owned(), outbox).await.unwrap().worker;
        Self { id, sent, sequence: 0, held: BTreeMap::new(), withdrawn: Vec::new() }
    }

    fn take(&mut self, batch: &Batch) {
        assert_eq!((batch.purpose, batch.block), (EpisodePurpose::Search, BlockIndex(0)));
        for assignment in &batch.assignments {
            let of = &batch.genomes[assignment.genome as usize];
            let value = of.parameters.iter().map(|x| x * x).sum();
            self.held.insert((batch.generation, of.candidate, assignment.task), value);
        }
    }

    /// What is taken back must be what it holds.
    fn give_up(&mut self, unwanted: &BlockEpisodes) {
        assert_eq!((unwanted.purpose, unwanted.block), (EpisodePurpose::Search, BlockIndex(0)));
        assert!(!unwanted.episodes.is_empty());
        for &(candidate, task) in &unwanted.episodes {
            let episode = (unwanted.generation, candidate, task);
            let value = self.held.remove(&episode).unwrap_or_else(|| panic!("{episode:?} is not held"));
            self.withdrawn.push((episode, value));
        }
    }

    fn hear(&mut self, message: &ToWorker) {
        match message {
            ToWorker::Batch(batch) => self.take(batch),
            ToWorker::WithdrawEpisodes(unwanted) => self.give_up(unwanted),
            _ => {}
        }
    }

    async fn answer(&mut self, setting: &Setting, run: RunId, episode: Episode, value: f64) {
        let (generation, candidate, task) = episode;
        self.held.remove(&episode);
        self.sequence += 1;
        let outcome = Outcome::Evaluated(Evaluation::of(Fitness::new(value).unwrap()));
        let settlements =
            vec![Settlement { candidate, task, outcome, compute_time: Duration::from_millis(1) }];
        let (sequence, purpose, block) = (self.sequence, EpisodePurpose::Search, BlockIndex(0));
        let report = Report { sequence, run, generation, purpose, block, settlements };
        setting.driver.from_worker(self.id, FromWorker::Report(report)).await.unwrap();
    }

    /// As the coordinator has it: the episodes that it holds and those that it settled.
    async fn known(&self, setting: &Setting) -> (usize, u64) {
        let workers = setting.driver.ask(List::default()).await.unwrap().items;
        let own = workers.iter().find(|worker| worker.id == self.id.0).expect("it is attached");
        (own.leased_episodes as usize, own.settled_episodes)
    }
}

/// Late messages, and episodes that have settled.
async fn counts(setting: &Setting) -> (u64, u64) {
    let status = setting.driver.ask(coordinator::Status).await.unwrap();
    (status.late_messages, status.settled_episodes)
}

#[tokio::test]
async fn single_episodes_are_taken_back_and_late_answers_are_dropped_and_counted() {
    tokio::time::timeout(PATIENCE, taken_back()).await.expect("in time");
}

async fn taken_back() {
    let setting = Setting::new().await;
    let name = setting.create(spec(), "").await.unwrap();
    let mut slow = Played::attach(&setting, "slow").await;
    let mut run = None;
    while slow.held.len() < POPULATION {
        let message = slow.sent.recv().await.unwrap().message;
        if let ToWorker::Batch(batch) = &message {
            run = Some(batch.run);
        }
        slow.hear(&message);
    }
    let run = run.expect("it was given a batch");
    let special = *slow.held.keys().next().expect("it holds some");

    // The other one answers all that it is given but one evaluation that the slow one holds.
    let mut quick = Played::attach(&setting, "quick").await;
    let mut answered = BTreeSet::new();
    let mut complete = Vec::new();
    let mut beat = tokio::time::interval(Duration::from_millis(500));
    while slow.withdrawn.len() < POPULATION - 1 {
        tokio::select! {
            outgoing = slow.sent.recv() => slow.hear(&outgoing.unwrap().message),
            outgoing = quick.sent.recv() => quick.hear(&outgoing.unwrap().message),
            _ = beat.tick() => setting.driver.from_worker(slow.id, FromWorker::Heartbeat).await.unwrap(),
        }
        assert!(slow.withdrawn.iter().all(|(episode, _)| answered.contains(episode)), "all is settled");
        let todo: Vec<_> = quick.held.iter().map(|(episode, value)| (*episode, *value)).collect();
        for (episode, value) in todo.into_iter().filter(|(episode, _)| *episode != special) {
            quick.answer(&setting, run, episode, value).await;
            if answered.insert(episode) {
                let (generation, candidate, _) = episode;
                let evaluated = |task| answered.contains(&(generation, candidate, TaskIndex(task)));
                if (0..EVALUATIONS as u32).all(evaluated) {
                    complete.push((generation, candidate));
                }
            }
        }
    }
    // Nobody says anything, until all generations that are complete have closed.
    let generations = complete.len() / POPULATION;
    loop {
        while let Ok(outgoing) = slow.sent.try_recv() {
            slow.hear(&outgoing.message);
        }
        let found = setting.runs().get_run(v1::GetRunRequest { name: name.clone() }).await.unwrap();
        let closed = found.into_inner().run.unwrap().generation as usize == generations;
        // It holds exactly what it was not told of.
        if closed && slow.known(&setting).await == (slow.held.len(), 0) {
            break;
        }
    }
    assert!(
        slow.held.contains_key(&special) && slow.withdrawn.iter().all(|(episode, _)| *episode != special)
    );

    // Whatever it says of what was taken back comes late; of a candidate that has entered the search it is counted.
    let entered = |(generation, candidate, _): &Episode| {
        complete[..generations * POPULATION].contains(&(*generation, *candidate))
    };
    let (late, settled) = counts(&setting).await;
    let withdrawn = slow.withdrawn.clone();
    for (episode, value) in &withdrawn {
        // Another value than the one that it was: it must not count.
        slow.answer(&setting, run, *episode, value - 1e6).await;
    }
    let expected = withdrawn.iter().filter(|(episode, _)| entered(episode)).count() as u64;
    assert!(expected > 0);
    // What was left to it is as good as ever; whoever hears of it has heard of all before.
    let value = slow.held[&special];
    slow.answer(&setting, run, special, value).await;
    while slow.known(&setting).await.1 == 0 {}
    assert_eq!(counts(&setting).await, (late + expected, settled + 1));
    assert_eq!(slow.known(&setting).await.1, 1);
}
