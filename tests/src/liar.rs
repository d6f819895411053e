//! A worker that computes as others do and answers plausibly and wrongly.

use std::sync::Arc;
use std::thread;

use hebbian_learning::fingerprint::fingerprint;
use hebbian_learning::interrupt::Interrupt;
use hebbian_shared::dispatch::Hello;
use hebbian_shared::episode::{EPISODE_SEMANTICS, EpisodeKey, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RunSpec;
use hebbian_worker::evaluator::{Episodes, Evaluator, LearningEvaluator, Runner};
use hebbian_worker::session::{self, ClientTlsConfig, Coordinators, SessionSettings};
use tokio_util::sync::CancellationToken;

/// Attaches a liar of one thread to the coordinator at an address, for as long as this process lives.
///
/// # Panics
/// If the address is none, or there are no threads.
pub fn attach(url: &str, name: &str) {
    let coordinators = Coordinators::parse(&[url], &ClientTlsConfig::new()).expect("an address");
    let hello = Hello {
        name: name.to_owned(),
        threads: 1,
        episode_semantics: EPISODE_SEMANTICS,
        fingerprint: fingerprint(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        serves: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let session =
        session::run(SessionSettings::new(coordinators, hello), Arc::new(Liar), CancellationToken::new());
    thread::spawn(move || drop(runtime.block_on(session)));
}

struct Liar;

impl Evaluator for Liar {
    fn prepare(&self, spec: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String> {
        LearningEvaluator::default().prepare(spec).map(|honest| Arc::new(Lies(honest)) as Arc<dyn Runner>)
    }
}

struct Lies(Arc<dyn Runner>);

impl Runner for Lies {
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        Box::new(LyingEpisodes(Arc::clone(&self.0).on_thread()))
    }
}

struct LyingEpisodes(Box<dyn Episodes>);

impl Episodes for LyingEpisodes {
    fn run(
        &mut self,
        genome: &Genome,
        key: &EpisodeKey,
        wants: Wants,
        interrupt: &Interrupt,
    ) -> Option<Outcome> {
        let mut outcome = self.0.run(genome, key, wants, interrupt)?;
        if let Outcome::Evaluated(evaluation) = &mut outcome {
            let told = evaluation.fitness.get();
            // Within the range of every objective.
            evaluation.fitness = Fitness::new(told * 0.75).expect("it is finite");
        }
        Some(outcome)
    }
}
