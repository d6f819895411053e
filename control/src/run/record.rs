//! What is journalled of a run, in the domain's words. `journal::codec` puts it on the disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::convert::run_name;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind as Event;
use hebbian_search::Measured;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::spec::ResolvedSpec;
use hebbian_shared::spec::stop::StopSpec;

/// One change of a run's state. Applying a run's records in order gives the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The run exists. Always the first record.
    Created(Created),
    /// Only workers whose canonical episodes have this digest may work on the run.
    FingerprintTaken {
        /// The digest.
        fingerprint: Digest,
        /// The name of the worker it was taken from.
        worker: String,
    },
    /// Workers of any numerics may work on the run again, and what has settled of the open generation, the first, is forgotten.
    FingerprintReleased,
    /// Episodes of the open generation have outcomes.
    Settled(Settled),
    /// Episodes of the open generation that had settled are open again: who settled them is not believed.
    Reopened {
        /// Which generation.
        generation: GenerationIndex,
        /// The episodes.
        episodes: Vec<Place>,
    },
    /// A worker settled something of the run for the first time, where answers are checked.
    Contributor {
        /// The worker's name; empty for all of those that are too many to be told apart.
        worker: String,
        /// The generation that was open.
        generation: GenerationIndex,
    },
    /// What a worker said that has lied is part of the search.
    Doubted {
        /// The first generation that it settled something of.
        generation: GenerationIndex,
        /// The worker's name.
        worker: String,
    },
    /// All episodes of the open generation have settled and the search was told.
    GenerationClosed(Box<Closed>),
    /// The time limit was reached: this is the last generation.
    TimeLimit {
        /// Which.
        generation: GenerationIndex,
    },
    /// The run was paused, resumed, finished or cancelled.
    StateChanged {
        /// The state from now on.
        state: RunState,
        /// How long the run had been running.
        elapsed: Duration,
        /// When, in milliseconds since 1970 UTC.
        unix_ms: u64,
    },
    /// Something people should know.
    Note {
        /// What.
        text: String,
    },
    /// The mean that a generation opened with was validated. With the record of the generation's close, or, of the mean that
    /// a search ended with, with the run's last state.
    Validated(Box<v1::ValidationSummary>),
    /// A criterion ended the search: from here on only its result is measured.
    SearchEnded {
        /// Which, with the figure that met it.
        reason: v1::StopReason,
    },
    /// Validation chose the result among the means of several searches. With the run's last state.
    Selected {
        /// The place of the chosen one.
        place: u32,
        /// Number and accuracy of each search.
        searches: Vec<(u32, f64)>,
    },
    /// The mean and the best sample were measured on fresh tasks. With the run's last state.
    Remeasured(v1::Remeasurement),
    /// Limits were raised. If the search had ended, it goes on.
    Extended {
        /// All limits from now on.
        stop: StopSpec,
    },
}

/// How a run began.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// All that determines its result, defaults resolved.
    pub spec: Arc<ResolvedSpec>,
    /// The client's name for the creation; empty for none.
    pub request_id: String,
    /// When, in milliseconds since 1970 UTC.
    pub created_unix_ms: u64,
    /// The name of the runs that were created together; empty for none.
    pub group: String,
    /// Where it began, if it was forked.
    pub origin: Option<Box<Origin>>,
    /// Share of the cluster beside that of other runs. Beside the spec, because it changes no result.
    pub weight: f64,
    /// The client whose quota counts it: the subject of a certificate, or an address; empty for the coordinator itself.
    pub owner: String,
}

impl Created {
    /// Whether another creation asks for the same. A fork of "the last generation" does, however far its parent has come
    /// meanwhile.
    pub fn is_as(&self, other: &Self) -> bool {
        let from = |created: &Self| created.origin.as_deref().map(|origin| origin.parent);
        self.spec.digest() == other.spec.digest() && self.group == other.group && from(self) == from(other)
    }
}

/// Where a forked run began.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The run that it was forked from.
    pub parent: RunId,
    /// That run's last closed generation.
    pub last: v1::GenerationSummary,
    /// That run's search after it.
    pub snapshot: Arc<Snapshot>,
}

impl Origin {
    /// The origin as people see it.
    pub fn parent(&self) -> v1::Parent {
        v1::Parent { run: run_name(self.parent), generations: self.last.generation + 1 }
    }
}

/// What closed a generation: enough to compute the search after it from the search before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// The generation in figures.
    pub summary: v1::GenerationSummary,
    /// What the search was told of its candidates.
    pub told: Vec<Measured>,
    /// The workers that computed the episodes.
    pub contributions: Contributions,
    /// Of an asynchronous search: which candidates they were, and what follows. Otherwise they were all of them in their order.
    pub turn: Option<Turn>,
}

/// How an asynchronous search goes from one generation to the next: what no clock and no worker can be asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The candidates that it was told of, in the order in which they were complete.
    pub arrived: Vec<u32>,
    /// Those that stay open, which are the first of the next generation; all others are dropped.
    pub kept: Vec<u32>,
    /// How many are drawn for the next generation.
    pub fresh: u32,
}

impl Closed {
    /// The best fitness of its candidates.
    pub fn best(&self) -> Option<Fitness> {
        self.summary.best_fitness.and_then(|best| Fitness::new(best).ok())
    }
}

/// Episodes that workers computed, by the workers' names.
pub type Contributions = BTreeMap<String, u32>;

/// An episode of a generation. Its block is the candidate's.
pub type Place = (EpisodePurpose, CandidateIndex, TaskIndex);

/// A worker that settled episodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    /// Its name.
    pub worker: String,
    /// Its id; 0 if another coordinator gave it one.
    pub session: u64,
    /// How many.
    pub episodes: u32,
}

/// Outcomes of episodes of one generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Which generation.
    pub generation: GenerationIndex,
    /// What the episodes were for.
    pub purpose: EpisodePurpose,
    /// The episodes with their outcomes, each of which settles its episode. Their block is the candidate's.
    pub settlements: Vec<Settlement>,
    /// The workers that computed them, in the order of the settlements.
    pub makers: Vec<Maker>,
}

impl Settled {
    /// Takes the makers of what is added.
    pub fn made_by(&mut self, makers: Vec<Maker>) {
        for maker in makers {
            match self
                .makers
                .last_mut()
                .filter(|last| (last.session, &last.worker) == (maker.session, &maker.worker))
            {
                Some(last) => last.episodes += maker.episodes,
                None => self.makers.push(maker),
            }
        }
    }
}

/// The search's whole state between two generations. A cache: the records give the same state.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// How many generations are closed, which is the index of the next one.
    pub closed: GenerationIndex,
    /// The strategy's state, as the strategy writes it.
    pub strategy: Vec<u8>,
    /// The digest of the strategy's state.
    pub digest: Digest,
    /// The best sample told so far.
    pub best: Option<(Genome, Fitness)>,
}

impl Snapshot {
    /// Whether it is whole, and the state that a generation was closed with.
    pub fn closes(&self, last: &v1::GenerationSummary) -> bool {
        self.closed == GenerationIndex(last.generation).next()
            && self.digest.0 == *last.state_digest
            && Digest::of(&self.strategy) == self.digest
    }
}

/// What a journal gives back of a run: enough to go on, not its history.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRun {
    /// The run.
    pub run: RunId,
    /// How it began.
    pub created: Created,
    /// The last snapshot that is whole, if there is one.
    pub snapshot: Option<Snapshot>,
    /// All other records in order, except what [`StoredRun::needs`] leaves out.
    pub records: Vec<Record>,
    /// The sequence number of the run's last record.
    pub sequence: u64,
}

impl StoredRun {
    /// Whether recovery needs a record beside a snapshot: all but the generations before the one that the snapshot closed,
    /// and settlements of closed generations.
    pub fn needs(snapshot: Option<&Snapshot>, record: &Record) -> bool {
        let closed = snapshot.map_or(GenerationIndex(0), |snapshot| snapshot.closed);
        match record {
            Record::Created(_) => false,
            Record::Settled(settled) => settled.generation >= closed,
            Record::Reopened { generation, .. } => *generation >= closed,
            Record::GenerationClosed(of) => of.summary.generation + 1 >= closed.0,
            _ => true,
        }
    }
}

/// What a journal gives back of a run that has ended where its search is not asked for: enough to show and to count it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEnd {
    /// The run.
    pub run: RunId,
    /// How it began.
    pub created: Created,
    /// All other records in order, but settlements, and of the closed generations the last.
    pub records: Vec<Record>,
    /// The best fitness of all closed generations.
    pub best: Option<Fitness>,
    /// The sequence number of the run's last record.
    pub sequence: u64,
}

impl StoredEnd {
    /// Whether what is shown of a run that has ended needs a record; [`StoredEnd::records`] has of the closed generations only the last.
    pub fn needs(record: &Record) -> bool {
        !matches!(record, Record::Created(_) | Record::Settled(_) | Record::Reopened { .. })
    }

    /// Whether records, in order, say that their run has ended.
    pub fn is_end<'a>(records: impl DoubleEndedIterator<Item = &'a Record>) -> bool {
        let state = |record: &'a Record| match record {
            Record::StateChanged { state, .. } => Some(state),
            _ => None,
        };
        records.rev().find_map(state).is_some_and(RunState::is_final)
    }
}

/// A run that a journal holds but cannot give back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableRun {
    /// The run.
    pub run: RunId,
    /// Its spec's name, as far as it is known.
    pub name: String,
    /// When it was created, in milliseconds since 1970 UTC.
    pub created_unix_ms: u64,
    /// What is wrong.
    pub problem: String,
}

/// What a journal holds of a run.
pub type LoadedRun = Result<StoredRun, UnreadableRun>;

/// What a journal holds of a run, without the search of one that has ended.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredStanding {
    /// A run that goes on, or that cannot be read.
    Loaded(LoadedRun),
    /// A run that has ended.
    Ended(StoredEnd),
}

/// Something to be written to the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A record.
    Record {
        /// Of which run.
        run: RunId,
        /// Increases from record to record of a run, from 1.
        sequence: u64,
        /// The record.
        record: Record,
    },
    /// A snapshot. Those before the last two, and the settlements of generations that are closed, may be forgotten.
    Snapshot {
        /// Of which run.
        run: RunId,
        /// The snapshot.
        snapshot: Snapshot,
    },
    /// All of a run is to be forgotten.
    Delete {
        /// Which run.
        run: RunId,
    },
}

impl Write {
    /// Which run it is about.
    pub fn run(&self) -> RunId {
        match self {
            Self::Record { run, .. } | Self::Snapshot { run, .. } | Self::Delete { run } => *run,
        }
    }

    /// Whether a full disk is fuller by nothing, or is by less than it will be emptier: a run is deleted, or ends so that it can be.
    pub fn frees_room(&self) -> bool {
        match self {
            Self::Record { record: Record::StateChanged { state, .. }, .. } => *state == RunState::CANCELLED,
            Self::Delete { .. } => true,
            Self::Record { .. } | Self::Snapshot { .. } => false,
        }
    }
}

impl Record {
    /// What watchers are told of the record; `None` if nothing.
    pub fn event(&self) -> Option<v1::RunEvent> {
        Some(v1::RunEvent::of(match self {
            Self::GenerationClosed(closed) => Event::Generation(closed.summary.clone()),
            Self::StateChanged { state, .. } => Event::State(state.clone().into()),
            Self::Created(_) => Event::State(RunState::RUNNING.into()),
            Self::Settled(_) | Self::Reopened { .. } | Self::Contributor { .. } => return None,
            Self::Validated(summary) => Event::Validation((**summary).clone()),
            Self::Remeasured(figures) => Event::Remeasurement(figures.clone()),
            other => Event::Note(other.note()?),
        }))
    }

    /// The record as a note for people; `None` for those that are more than that.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::FingerprintTaken { fingerprint, worker } => {
                Some(format!("numerics fingerprint {} taken from worker {worker}", fingerprint.short()))
            }
            Self::FingerprintReleased => Some(
                "nobody has the numerics of its first settlement: it begins again, and takes them anew"
                    .to_owned(),
            ),
            Self::Doubted { generation, worker } => Some(format!(
                "in doubt from generation {generation} on: worker {worker}, which settled something of it, has lied"
            )),
            Self::TimeLimit { generation } => Some(format!("time limit reached in generation {generation}")),
            Self::Note { text } => Some(text.clone()),
            Self::SearchEnded { reason } => Some(format!(
                "the search has ended ({}); its result is measured on fresh tasks",
                reason.detail
            )),
            Self::Selected { place, searches } => Some(selection_note(*place, searches)),
            Self::Extended { stop } => Some(format!("extended; the limits are now {stop}")),
            Self::Created(_)
            | Self::Settled(_)
            | Self::Reopened { .. }
            | Self::Contributor { .. }
            | Self::GenerationClosed(_)
            | Self::StateChanged { .. }
            | Self::Validated(_)
            | Self::Remeasured(_) => None,
        }
    }
}

fn selection_note(place: u32, searches: &[(u32, f64)]) -> String {
    let all: Vec<String> =
        searches.iter().map(|(search, accuracy)| format!("{accuracy:.3} of search {search}")).collect();
    let chosen = searches.get(place as usize).map_or(0, |(search, _)| *search);
    format!("the result is the mean of search {chosen}, the best in validation ({})", all.join(", "))
}
