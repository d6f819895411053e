//! What is kept of a run that has ended: enough to show and to count it. All else of it is in its journal.
//!
//! A run takes some 70 kB of memory, its summary less than a tenth of that, and coordinators keep thousands of runs that have ended. Who
//! asks for more than the summary has the run read again, see [`Engine::wake`](crate::engine::Engine::wake).

use std::sync::Arc;

use hebbian_proto::v1;
use hebbian_shared::digest::Digest;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::time::Timestamp;
use prost::Message as _;

use super::makers::{Contributors, clean_before};
use super::record::{Created, Record, StoredEnd, Write};
use super::search::Reached;
use super::{Run, RunError};

/// See the module.
#[derive(Clone, Debug)]
pub struct Ended {
    run: RunId,
    sequence: u64,
    /// A [`v1::Run`], encoded: that takes a fraction of the memory.
    progress: Box<[u8]>,
    owner: Box<str>,
    request_id: Box<str>,
    /// Of the spec that it was created with.
    spec: Digest,
    layout: Digest,
    created_unix_ms: u64,
    end_unix_ms: u64,
    began_with: GenerationIndex,
    contributors: Contributors,
}

impl Ended {
    /// What is kept of a run; `None` if it has not ended.
    pub fn of(run: &Run) -> Option<Self> {
        let ended_unix_ms = run.ended_unix_ms()?;
        let created = &run.created;
        Some(Self {
            run: run.id,
            sequence: run.sequence,
            progress: run.progress().encode_to_vec().into(),
            owner: created.owner.as_str().into(),
            request_id: created.request_id.as_str().into(),
            spec: created.spec.digest(),
            layout: run.layout_digest,
            created_unix_ms: created.created_unix_ms,
            end_unix_ms: ended_unix_ms,
            began_with: run.began_with(),
            contributors: run.contributors.clone(),
        })
    }

    /// What is kept of a run that a journal holds.
    pub fn recover(now: Timestamp, stored: StoredEnd) -> Result<Self, RunError> {
        let StoredEnd { run: id, created, records, best, sequence } = stored;
        let refuse = |problem: String| RunError { run: id, problem };
        created.spec.validate().map_err(|error| refuse(error.to_string()))?;
        let origin = created.origin.as_deref().and_then(|origin| origin.snapshot.best.as_ref());
        let best = best.max(origin.map(|(_, fitness)| *fitness));
        let mut run = Run::begin(now, id, created);
        run.sequence = sequence;
        // Nobody asks a summary for the genome.
        let best = best.map(|fitness| (Arc::new(Genome(Vec::new())), fitness));
        run.reached = Arc::new(Reached { best, ..Reached::default() });
        for record in &records {
            run.apply(now, record, None);
        }
        Self::of(&run).ok_or_else(|| refuse("its records do not say that it has ended".to_owned()))
    }

    /// How it stands.
    pub fn progress(&self) -> v1::Run {
        v1::Run::decode(&*self.progress).expect("it was encoded here")
    }

    /// Which run.
    pub fn id(&self) -> RunId {
        self.run
    }

    /// The sequence number of its last record.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// For whom it is counted.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The client's name for its creation; empty for none.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The digest of its genomes' layout.
    pub fn layout_digest(&self) -> Digest {
        self.layout
    }

    /// When it was created, in milliseconds since 1970 UTC.
    pub fn created_unix_ms(&self) -> u64 {
        self.created_unix_ms
    }

    /// When it ended, in milliseconds since 1970 UTC.
    pub fn ended_unix_ms(&self) -> u64 {
        self.end_unix_ms
    }

    /// Whether another creation asks for the same, see [`Created::is_as`].
    pub fn is_as(&self, other: &Created) -> bool {
        let progress = self.progress();
        let from = other.origin.as_deref().map(|origin| origin.parent().run);
        self.spec == other.spec.digest()
            && progress.group == other.group
            && progress.parent.map(|parent| parent.run) == from
    }

    /// Marks it as in doubt if a worker that has lied settled something of it; the record goes to `out`.
    pub fn doubt(&mut self, name: &str, out: &mut Vec<Write>) {
        let Some(&generation) = self.contributors.get(name).or_else(|| self.contributors.get("")) else {
            return;
        };
        let mut progress = self.progress();
        if progress.doubt.as_ref().is_some_and(|doubt| doubt.generation <= generation.0) {
            return;
        }
        let record = Record::Doubted { generation, worker: name.to_owned() };
        let clean_generations = clean_before(generation, self.began_with);
        progress.doubt =
            Some(v1::Doubt { generation: generation.0, worker: name.to_owned(), clean_generations });
        super::remember_note(&mut progress.notes, record.note());
        self.sequence += 1;
        progress.sequence = self.sequence;
        self.progress = progress.encode_to_vec().into();
        out.push(Write::Record { run: self.run, sequence: self.sequence, record });
    }
}
