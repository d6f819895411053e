//! A run from its records.

use hebbian_proto::figures::short;
use hebbian_shared::id::GenerationIndex;
use hebbian_shared::time::Timestamp;

use super::ended::Ended;
use super::record::{
    Closed, Created, LoadedRun, Record, Snapshot, StoredRun, StoredStanding, UnreadableRun, Write,
};
use super::search::{Search, Step};
use super::strategy::Strategies;
use super::{Run, RunError};

impl Run {
    /// The run that a journal holds. New records, if the recovery found something to say, go to `out`.
    ///
    /// The snapshot only saves time: behind it, and without one from the beginning, each closed generation is computed again from
    /// what its record says was told.
    pub fn recover(
        now: Timestamp,
        stored: StoredRun,
        strategies: Strategies,
        out: &mut Vec<Write>,
    ) -> Result<Self, RunError> {
        let StoredRun { run: id, created, snapshot, records, sequence } = stored;
        let refuse = |problem: String| RunError { run: id, problem };
        created.spec.validate().map_err(|error| refuse(error.to_string()))?;
        let mut run = Self::begin(now, id, created);
        run.sequence = sequence;
        if snapshot.is_none() {
            let search = Search::begin(&run.spec, strategies, run.created.origin.as_deref());
            run.install(search.map_err(|error| refuse(error.to_string()))?);
        }
        let mut again = 0;
        for record in &records {
            let search = match record {
                Record::GenerationClosed(closed) => {
                    let after = run.search_after(closed, (strategies, snapshot.as_ref()), &mut again);
                    Some(after.map_err(refuse)?)
                }
                _ => None,
            };
            run.apply(now, record, search);
        }
        if run.search.is_none() {
            return Err(refuse("the generation that its snapshot closed is missing".into()));
        }
        if again > 0 {
            let text = format!(
                "{again} closed generations were computed again from their records, up to generation {}: their snapshots are \
                 missing or damaged",
                run.generation.0.saturating_sub(1)
            );
            run.note(now, text, out);
        }
        Ok(run)
    }

    /// The search as a closed generation left it: from the snapshot, or computed again.
    fn search_after(
        &mut self,
        closed: &Closed,
        (strategies, snapshot): (Strategies, Option<&Snapshot>),
        again: &mut u32,
    ) -> Result<Search, String> {
        let generation = GenerationIndex(closed.summary.generation);
        let Some(mut search) = self.search.take() else {
            let snapshot = snapshot.filter(|snapshot| snapshot.closes(&closed.summary));
            let Some(snapshot) = snapshot else {
                return Err(format!(
                    "its snapshot is not the state that generation {generation} was closed with"
                ));
            };
            return Search::restore(&self.spec, strategies, snapshot).map_err(|error| error.to_string());
        };
        if generation != self.generation {
            return Err(format!("generation {} is missing", self.generation));
        }
        advance(&mut search, closed)?;
        *again += 1;
        Ok(search)
    }
}

/// Advances a search by what the record of a closed generation says was told, and refuses another state than the record's.
fn advance(search: &mut Search, closed: &Closed) -> Result<Step, String> {
    let generation = GenerationIndex(closed.summary.generation);
    let step = search.advance(generation, &closed.told, closed.turn.as_ref());
    let step = step.map_err(|error| format!("generation {generation} cannot be computed again: {error}"))?;
    let (found, said) = (step.snapshot.digest, &closed.summary.state_digest);
    if found.0 != **said {
        return Err(format!(
            "computing generation {generation} again gives state {}, and not {} as its record says: the record is damaged, or \
             this program or machine computes otherwise than the one that wrote it",
            found.short(),
            short(said)
        ));
    }
    Ok(step)
}

/// The snapshots of a run, computed again from the records of its closed generations, one after the other.
#[derive(Debug)]
pub struct Recomputation(Search);

impl Recomputation {
    /// Begins where the run did, or at a snapshot of it that is whole.
    pub fn begin(created: &Created, from: Option<&Snapshot>, strategies: Strategies) -> Result<Self, String> {
        created.spec.validate().map_err(|error| error.to_string())?;
        let search = match from {
            Some(snapshot) => Search::restore(&created.spec, strategies, snapshot),
            None => Search::begin(&created.spec, strategies, created.origin.as_deref()),
        };
        search.map(Self).map_err(|error| error.to_string())
    }

    /// The snapshot behind the next closed generation.
    pub fn after(&mut self, closed: &Closed) -> Result<Snapshot, String> {
        advance(&mut self.0, closed).map(|step| step.snapshot)
    }
}

/// A run as it is taken up from a journal.
pub enum TakenUp {
    /// Whole, with what the recovery found to say.
    Whole(Box<Run>, Vec<Write>),
    /// It has ended: what is kept of it.
    Ended(Box<Ended>),
    /// Nobody can go on with it.
    Unreadable(UnreadableRun),
}

impl TakenUp {
    /// A run, of which no more is taken up than a coordinator needs: a summary, if it has ended.
    pub fn of(now: Timestamp, standing: StoredStanding, strategies: Strategies) -> Self {
        match standing {
            StoredStanding::Loaded(loaded) => Self::whole(now, loaded, strategies),
            StoredStanding::Ended(stored) => {
                let (name, created_unix_ms) =
                    (stored.created.spec.name.clone(), stored.created.created_unix_ms);
                match Ended::recover(now, stored) {
                    Ok(ended) => Self::Ended(Box::new(ended)),
                    Err(RunError { run, problem }) => {
                        Self::Unreadable(UnreadableRun { run, name, created_unix_ms, problem })
                    }
                }
            }
        }
    }

    /// A run, whole also if it has ended.
    pub fn whole(now: Timestamp, loaded: LoadedRun, strategies: Strategies) -> Self {
        let mut writes = Vec::new();
        let recovered = loaded.and_then(|stored| {
            let (name, created_unix_ms) = (stored.created.spec.name.clone(), stored.created.created_unix_ms);
            let recovered = Run::recover(now, stored, strategies, &mut writes);
            recovered.map_err(|RunError { run, problem }| UnreadableRun {
                run,
                name,
                created_unix_ms,
                problem,
            })
        });
        match recovered {
            Ok(run) => Self::Whole(Box::new(run), writes),
            Err(unreadable) => Self::Unreadable(unreadable),
        }
    }
}
