//! One run as a state machine over its records.
//!
//! The state changes only in `Run::apply`, and live runs and recovered ones go through the same lines: a live run
//! applies a record when it hands it to the journal, a recovered one when it reads it. Verdicts are taken in task
//! order and told in candidate order, so the order in which outcomes arrive cannot be seen in the result.

mod closing;
mod distribution;
pub mod ended;
mod limits;
mod makers;
pub mod measures;
mod open;
pub mod record;
pub mod recovery;
mod search;
pub mod strategy;
mod validation;
mod view;

use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::figures::{RunState, duration};
use hebbian_proto::v1;
use hebbian_search::Birth;
use hebbian_shared::digest::Digest;
use hebbian_shared::episode::{Asked, EpisodePurpose, Wants};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::limits::NOTES_MAX;
use hebbian_shared::spec::ResolvedSpec;
use hebbian_shared::spec::evaluation::Objective;
use hebbian_shared::time::Timestamp;

use crate::scheduler::Portion;
pub use limits::ExtendError;
use open::OpenGeneration;
use record::{Created, Record, Settled, Write};
pub use search::{Advance, Advanced, Reached, Search, Step};

/// Why records do not make a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("run {run}: {problem}")]
pub struct RunError {
    /// The run.
    pub run: RunId,
    /// What is wrong.
    pub problem: String,
}

/// See the module.
pub struct Run {
    id: RunId,
    created: Created,
    /// As it was created, with the limits as they are now.
    spec: Arc<ResolvedSpec>,
    layout: GenomeLayout,
    layout_digest: Digest,
    /// `None` while it advances, and for ever once the run was cancelled meanwhile.
    search: Option<Search>,
    /// Whether an [`Advance`] is out.
    advancing: bool,
    /// Of an asynchronous search, the candidates of the last generation that stayed open.
    kept: Vec<u32>,
    /// Where the search had come to when the last generation closed.
    reached: Arc<Reached>,
    state: RunState,
    /// Index of the open generation; when the search has ended, the number of closed ones.
    generation: GenerationIndex,
    open: OpenGeneration,
    /// Why no further generation will be searched.
    search_ended: Option<v1::StopReason>,
    /// Among the means that the search ended with, the place of the result where validation has chosen it.
    selected: Option<usize>,
    validation: Option<v1::ValidationSummary>,
    validations: validation::History,
    remeasurement: Option<v1::Remeasurement>,
    evaluations: u64,
    episodes: u64,
    last: Option<v1::GenerationSummary>,
    fingerprint: Option<Digest>,
    time_limit: Option<GenerationIndex>,
    notes: Vec<String>,
    /// Where answers are checked: who settled something, and when first.
    contributors: makers::Contributors,
    /// From which generation on what a worker said is in the search though it lied, and its name.
    doubted: Option<(GenerationIndex, String)>,
    sequence: u64,
    /// Running time up to the last record that says so, and since when the run has been running on.
    elapsed: Duration,
    running_since: Option<Timestamp>,
    /// When the last change of state was, in milliseconds since 1970 UTC; 0 before there was one.
    changed_unix_ms: u64,
}

impl Run {
    /// A new run with the search that its spec begins with; its first record goes to `out`.
    pub fn create(now: Timestamp, id: RunId, created: Created, search: Search, out: &mut Vec<Write>) -> Self {
        let mut run = Self::begin(now, id, created.clone());
        run.install(search);
        run.write(Record::Created(created), out);
        run
    }

    /// A run whose search is still to be installed.
    fn begin(now: Timestamp, id: RunId, created: Created) -> Self {
        let spec = Arc::clone(&created.spec);
        let layout = spec.layout();
        let origin = created.origin.as_deref();
        let before = origin.map(|origin| &origin.last);
        Self {
            id,
            layout_digest: layout.digest(),
            layout,
            spec,
            search: None,
            advancing: false,
            kept: Vec::new(),
            reached: Arc::default(),
            open: OpenGeneration::default(),
            search_ended: None,
            selected: None,
            validation: None,
            validations: validation::History::default(),
            remeasurement: None,
            state: RunState::RUNNING,
            generation: origin.map_or(GenerationIndex(0), |origin| origin.snapshot.closed),
            evaluations: before.map_or(0, |last| last.evaluations),
            episodes: before.map_or(0, |last| last.episodes),
            elapsed: before.map_or(Duration::ZERO, |last| duration(last.elapsed)),
            last: before.cloned(),
            created,
            fingerprint: None,
            time_limit: None,
            notes: Vec::new(),
            contributors: makers::Contributors::new(),
            doubted: None,
            sequence: 0,
            running_since: Some(now),
            changed_unix_ms: 0,
        }
    }

    /// Goes on with a search.
    fn install(&mut self, search: Search) {
        self.reached = Arc::clone(search.reached());
        self.search = Some(search);
        self.reopen();
    }

    /// Opens what is measured next: the candidates that the search asks for, or, when it has ended, its result.
    fn reopen(&mut self) {
        self.open = match self.search_ended {
            None => OpenGeneration::ask(&self.spec, &self.reached, self.generation),
            Some(_) => OpenGeneration::last(&self.spec, &self.reached),
        };
    }

    /// Applies a record and hands it to the journal.
    pub fn commit(&mut self, now: Timestamp, record: Record, out: &mut Vec<Write>) {
        self.apply(now, &record, None);
        self.write(record, out);
    }

    fn write(&mut self, record: Record, out: &mut Vec<Write>) {
        self.sequence += 1;
        out.push(Write::Record { run: self.id, sequence: self.sequence, record });
    }

    /// The one place where records change the state. With a closed generation comes the search after it, unless the run is
    /// being recovered and a later one is stored.
    fn apply(&mut self, now: Timestamp, record: &Record, search: Option<Search>) {
        match record {
            Record::GenerationClosed(closed) => {
                let summary = &closed.summary;
                self.generation = GenerationIndex(summary.generation).next();
                self.evaluations = summary.evaluations;
                self.episodes = summary.episodes;
                self.elapsed = duration(summary.elapsed);
                self.running_since = self.running_since.map(|_| now);
                self.last = Some(distribution::without(summary));
                if let Some(search) = search {
                    self.install(search);
                }
            }
            Record::FingerprintTaken { fingerprint, .. } => self.fingerprint = Some(*fingerprint),
            Record::FingerprintReleased => {
                self.fingerprint = None;
                self.reopen();
            }
            Record::TimeLimit { generation } => self.time_limit = Some(*generation),
            Record::Settled(settled) => self.settle(settled),
            Record::Reopened { generation, episodes } => {
                if *generation == self.generation {
                    self.open.reopen(episodes);
                }
            }
            Record::Contributor { worker, generation } => {
                self.contributors.entry(worker.clone()).or_insert(*generation);
            }
            Record::Doubted { generation, worker } => {
                if self.doubted.as_ref().is_none_or(|(first, _)| generation < first) {
                    self.doubted = Some((*generation, worker.clone()));
                }
            }
            Record::StateChanged { state, elapsed, unix_ms } => {
                self.state = state.clone();
                self.changed_unix_ms = *unix_ms;
                self.elapsed = self.elapsed.max(*elapsed);
                self.running_since = (*state == RunState::RUNNING).then_some(now);
            }
            Record::Validated(summary) => {
                // Nothing follows that of the end, unless the run is extended; then it is set aside.
                if self.search_ended.is_none() {
                    self.validations.add(summary);
                }
                self.validation = Some((**summary).clone());
            }
            Record::SearchEnded { reason } => {
                self.search_ended = Some(reason.clone());
                self.reopen();
            }
            Record::Selected { place, .. } => self.selected = Some(*place as usize),
            Record::Extended { stop } => self.extended(stop),
            Record::Remeasured(figures) => self.remeasurement = Some(figures.clone()),
            // The first is what a run begins from, see `begin`; the other is told below.
            Record::Created(_) | Record::Note { .. } => {}
        }
        remember_note(&mut self.notes, record.note());
    }

    /// What does not fit (another generation, an episode that has settled) changes nothing.
    fn settle(&mut self, settled: &Settled) {
        if settled.generation == self.generation {
            self.open.settle(settled);
        }
    }

    /// Whether every episode of the open generation has an outcome.
    pub fn is_complete(&self) -> bool {
        self.open.is_complete()
    }

    /// Changes the state; nothing if it is the same already.
    pub fn change_state(&mut self, now: Timestamp, state: RunState, out: &mut Vec<Write>) {
        if self.state != state {
            let elapsed = self.elapsed_at(now);
            // The driver's clock counts from 1970.
            let unix_ms = now.0.as_millis() as u64;
            self.commit(now, Record::StateChanged { state, elapsed, unix_ms }, out);
        }
    }

    /// Records a note, unless it stands among the last ones already.
    pub fn note(&mut self, now: Timestamp, text: String, out: &mut Vec<Write>) {
        if !self.notes.contains(&text) {
            self.commit(now, Record::Note { text }, out);
        }
    }

    /// Whether no generation has closed since the run was created.
    pub fn has_closed_none(&self) -> bool {
        self.generation == self.began_with()
    }

    /// Whether an episode of the open generation has an outcome.
    pub fn has_settled(&self, purpose: EpisodePurpose, candidate: CandidateIndex, task: TaskIndex) -> bool {
        self.open.has_settled(purpose, candidate, task)
    }

    /// The id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The spec, with the limits as they are now.
    pub fn spec(&self) -> &Arc<ResolvedSpec> {
        &self.spec
    }

    /// How the run began.
    pub fn created(&self) -> &Created {
        &self.created
    }

    /// When it ended, in milliseconds since 1970 UTC; `None` while it has not.
    pub fn ended_unix_ms(&self) -> Option<u64> {
        self.state.is_final().then_some(self.changed_unix_ms)
    }

    /// The state.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// The search; `None` while its next generation is computed, and for ever if the run was cancelled meanwhile.
    pub fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// The open generation.
    pub fn generation(&self) -> GenerationIndex {
        self.generation
    }

    /// What the open generation is made of.
    pub fn portions(&self) -> Vec<Portion<'_>> {
        self.open.portions()
    }

    /// The genomes that the open generation measures for a purpose, by candidate.
    pub fn genomes(&self, purpose: EpisodePurpose) -> &[Arc<Genome>] {
        self.open.measurement(purpose).map_or(&[], |measurement| measurement.genomes())
    }

    /// When a candidate of an asynchronous search was drawn, which is what the workers know it by; `None` of all others.
    pub fn birth(&self, purpose: EpisodePurpose, candidate: CandidateIndex) -> Option<Birth> {
        let is_open = purpose == EpisodePurpose::Search && self.search_ended.is_none();
        self.reached.births.get(candidate.as_usize()).copied().filter(|_| is_open)
    }

    /// When each candidate of an asynchronous search was drawn; none of all others.
    pub fn births(&self) -> &[Birth] {
        if self.search_ended.is_none() { &self.reached.births } else { &[] }
    }

    /// The open candidate of an asynchronous search that was drawn then.
    pub fn born(&self, purpose: EpisodePurpose, birth: Birth) -> Option<CandidateIndex> {
        let is_open = purpose == EpisodePurpose::Search && self.search_ended.is_none();
        self.reached.places.get(&birth).filter(|_| is_open).map(|&place| CandidateIndex(place))
    }

    /// What is asked for of each episode of a purpose beside its fitness.
    pub fn wants(&self, purpose: EpisodePurpose) -> Wants {
        match purpose {
            EpisodePurpose::Search => self.reached.wants,
            EpisodePurpose::Remeasure | EpisodePurpose::Validation => Wants::default(),
        }
    }

    /// What an episode's outcome has to look like.
    pub fn asked(&self, purpose: EpisodePurpose) -> Asked {
        if let Some(problem) = self.spec.problem.external() {
            return Asked { scores: problem.scores.len(), bounded: true, ..Asked::FITNESS };
        }
        let measures = match purpose {
            EpisodePurpose::Search | EpisodePurpose::Remeasure => self.spec.evaluation.objective,
            EpisodePurpose::Validation => Objective::Accuracy,
        };
        Asked {
            wants: self.wants(purpose),
            dimension: self.dimension(),
            scores: 0,
            range: measures.range(),
            bounded: false,
        }
    }

    /// Numbers of a genome.
    pub fn dimension(&self) -> usize {
        self.layout.dimension()
    }

    /// The digest of the genomes' layout.
    pub fn layout_digest(&self) -> Digest {
        self.layout_digest
    }

    /// The numerics fingerprint that workers must have.
    pub fn fingerprint(&self) -> Option<Digest> {
        self.fingerprint
    }

    /// The sequence number of the last record.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// Adds a note to those of a run; the oldest go.
fn remember_note(notes: &mut Vec<String>, note: Option<String>) {
    if let Some(note) = note {
        if notes.len() == NOTES_MAX {
            notes.remove(0);
        }
        notes.push(note);
    }
}
