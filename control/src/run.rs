//! One run as a state machine over its records.
//!
//! The state changes only in `Run::apply`, and live runs and recovered ones go through the same lines: a live run
//! applies a record when it hands it to the journal, a recovered one when it reads it. Verdicts are taken in task
//! order and told in candidate order, so the order in which outcomes arrive cannot be seen in the result.

mod extend;
mod open;
pub mod record;
pub mod strategy;
mod validation;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hebbian_shared::digest::Digest;
use hebbian_shared::episode::{EpisodePurpose, Wants};
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::limits::NOTES_MAX;
use hebbian_shared::progress::{
    GenerationSummary, Remeasurement, Restart, RunProgress, RunResult, RunState, StopReason,
    ValidationSummary, Warning,
};
use hebbian_shared::spec::ResolvedSpec;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::time::Timestamp;

use crate::scheduler::Portion;
pub use extend::ExtendError;
use hebbian_search::{Envelope, Measured, Strategy, StrategyError, stop};
use open::OpenGeneration;
use record::{Created, Origin, Record, Settled, Snapshot, StoredRun, Write};

/// Why records do not make a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The strategy refused.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
    /// The journalled spec is not one that this program accepts.
    #[error("run {run}: {problem}")]
    Stored {
        /// The run.
        run: RunId,
        /// What is wrong.
        problem: String,
    },
}

/// See the module.
pub struct Run {
    id: RunId,
    created: Created,
    /// As it was created, with the limits as they are now.
    spec: Arc<ResolvedSpec>,
    layout: GenomeLayout,
    layout_digest: Digest,
    strategy: Box<dyn Strategy>,
    state: RunState,
    /// Index of the open generation; when the search has ended, the number of closed ones.
    generation: GenerationIndex,
    open: OpenGeneration,
    /// Why no further generation will be searched.
    search_ended: Option<StopReason>,
    /// Among the means that the search ended with, the place of the result where validation has chosen it.
    selected: Option<usize>,
    validation: Option<ValidationSummary>,
    validations: validation::History,
    remeasurement: Option<Remeasurement>,
    evaluations: u64,
    episodes: u64,
    best: Option<(Genome, Fitness)>,
    last: Option<GenerationSummary>,
    fingerprint: Option<Digest>,
    time_limit: Option<GenerationIndex>,
    notes: VecDeque<String>,
    sequence: u64,
    /// Running time up to the last record that says so, and since when the run has been running on.
    elapsed: Duration,
    running_since: Option<Timestamp>,
    /// When the last change of state was, in milliseconds since 1970 UTC; 0 where that is not known.
    changed_unix_ms: u64,
}

impl Run {
    /// A new run; its first record goes to `out`.
    pub fn create(now: Timestamp, id: RunId, created: Created, out: &mut Vec<Write>) -> Self {
        let mut run = Self::begin(now, id, created.clone());
        run.write(Record::Created(created), out);
        run
    }

    /// A new run that begins with a snapshot of another one, whose spec's `origin` names it. An error says what of the spec
    /// does not fit to it.
    pub fn fork(
        now: Timestamp,
        id: RunId,
        created: Created,
        snapshot: Snapshot,
        out: &mut Vec<Write>,
    ) -> Result<Self, RunError> {
        let mut run = Self::begin(now, id, created.clone());
        run.restore(&snapshot)?;
        run.write(Record::Created(created), out);
        out.push(Write::Snapshot { run: id, snapshot });
        Ok(run)
    }

    fn begin(now: Timestamp, id: RunId, created: Created) -> Self {
        let spec = Arc::clone(&created.spec);
        let strategy = strategy::build(&spec);
        let layout = spec.layout();
        let origin = created.origin.as_ref().map(|origin| origin.last.clone());
        let before = origin.as_ref();
        Self {
            id,
            layout_digest: layout.digest(),
            layout,
            open: OpenGeneration::ask(&spec, strategy.as_ref(), GenerationIndex(0)),
            spec,
            search_ended: None,
            selected: None,
            validation: None,
            validations: validation::History::default(),
            remeasurement: None,
            strategy,
            created,
            state: RunState::Running,
            generation: GenerationIndex(0),
            evaluations: before.map_or(0, |last| last.evaluations),
            episodes: before.map_or(0, |last| last.episodes),
            elapsed: before.map_or(Duration::ZERO, |last| last.elapsed),
            best: None,
            last: origin,
            fingerprint: None,
            time_limit: None,
            notes: VecDeque::new(),
            sequence: 0,
            running_since: Some(now),
            changed_unix_ms: 0,
        }
    }

    /// The run that a journal holds. New records, if the recovery found something to say, go to `out`.
    ///
    /// It starts from the last snapshot but replays the generation before it, where the journal still has it: if
    /// that gives another state, this machine's arithmetic differs from the one that ran before.
    pub fn recover(now: Timestamp, stored: StoredRun, out: &mut Vec<Write>) -> Result<Self, RunError> {
        let StoredRun { run: id, created, last, snapshots, records, sequence } = stored;
        let last = last.or_else(|| created.origin.as_ref().map(|origin| origin.last.clone()));
        let refuse = |problem: String| RunError::Stored { run: id, problem };
        created.spec.validate().map_err(|error| refuse(error.to_string()))?;
        let mut run = Self::begin(now, id, created);
        run.sequence = sequence;
        let mut snapshots = snapshots.into_iter().rev();
        let latest = snapshots.next();
        let mut replayed = None;
        if let Some(latest) = &latest {
            let before = snapshots.next();
            let start = before.as_ref().map_or(GenerationIndex(0), |snapshot| snapshot.closed);
            if start.next() == latest.closed {
                if let Some(before) = &before {
                    run.restore(before)?;
                }
                for record in &records {
                    if matches!(record, Record::Settled(_)) {
                        run.apply(now, record);
                    }
                }
                if run.is_complete() {
                    run.tell()?;
                    replayed = Some(run.strategy.state().digest());
                }
            }
            run.restore(latest)?;
        }
        match (&latest, &last) {
            (Some(latest), Some(last)) if latest.closed == last.generation.next() => {}
            (None, None) => {}
            _ => {
                return Err(refuse("its last snapshot does not belong to its last closed generation".into()));
            }
        }
        if let Some(last) = last {
            run.evaluations = last.evaluations;
            run.episodes = last.episodes;
            run.elapsed = last.elapsed;
            run.last = Some(last);
        }
        for record in &records {
            run.apply(now, record);
        }
        if let (Some(latest), Some(replayed)) = (latest, replayed)
            && latest.digest != replayed
        {
            let generation = GenerationIndex(latest.closed.0 - 1);
            let record = Record::NumericsChanged { generation, journalled: latest.digest, replayed };
            run.commit(now, record, out);
        }
        Ok(run)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), RunError> {
        let state = Envelope::from_bytes(&snapshot.strategy)?;
        let (found, closed) = (Digest::of(&snapshot.strategy), snapshot.closed);
        if found != snapshot.digest {
            let (found, said) = (found.short(), snapshot.digest.short());
            let problem = format!(
                "the snapshot of {closed} closed generations is damaged: it has digest {found}, not {said}"
            );
            return Err(RunError::Stored { run: self.id, problem });
        }
        self.strategy = strategy::restore(&self.spec, &state)?;
        self.generation = snapshot.closed;
        self.best.clone_from(&snapshot.best);
        self.open_generation();
        Ok(())
    }

    /// Asks the strategy for the open generation's candidates.
    fn open_generation(&mut self) {
        self.open = OpenGeneration::ask(&self.spec, self.strategy.as_ref(), self.generation);
    }

    /// Applies a record and hands it to the journal.
    pub fn commit(&mut self, now: Timestamp, record: Record, out: &mut Vec<Write>) {
        self.apply(now, &record);
        self.write(record, out);
    }

    fn write(&mut self, record: Record, out: &mut Vec<Write>) {
        self.sequence += 1;
        out.push(Write::Record { run: self.id, sequence: self.sequence, record });
    }

    /// The one place where records change the state. What does not fit (another generation, an episode that has
    /// settled) changes nothing.
    fn apply(&mut self, now: Timestamp, record: &Record) {
        match record {
            Record::GenerationClosed(summary) => {
                self.evaluations = summary.evaluations;
                self.episodes = summary.episodes;
                self.elapsed = summary.elapsed;
                self.running_since = self.running_since.map(|_| now);
                self.last = Some((**summary).clone());
            }
            Record::FingerprintTaken { fingerprint, .. } => self.fingerprint = Some(*fingerprint),
            Record::TimeLimit { generation } => self.time_limit = Some(*generation),
            Record::Settled(settled) => self.settle(settled),
            Record::StateChanged { state, elapsed, unix_ms } => {
                self.state = state.clone();
                self.changed_unix_ms = *unix_ms;
                self.elapsed = self.elapsed.max(*elapsed);
                self.running_since = (*state == RunState::Running).then_some(now);
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
                let best = self.best.as_ref().map(|(genome, _)| genome);
                self.open = OpenGeneration::last(&self.spec, &self.finalists(), best);
            }
            Record::Selected { place, .. } => self.selected = Some(*place as usize),
            Record::Extended { stop } => self.extended(stop),
            Record::Remeasured(figures) => self.remeasurement = Some((**figures).clone()),
            // The first is what a run begins from, see `begin`; the others are notes.
            Record::Created(_) | Record::NumericsChanged { .. } | Record::Note { .. } => {}
        }
        if let Some(note) = record.note() {
            if self.notes.len() == NOTES_MAX {
                self.notes.pop_front();
            }
            self.notes.push_back(note);
        }
    }

    fn settle(&mut self, settled: &Settled) {
        if settled.generation == self.generation {
            self.open.settle(settled);
        }
    }

    /// Whether every episode of the open generation has an outcome.
    pub fn is_complete(&self) -> bool {
        self.open.is_complete()
    }

    /// Verdicts over the open generation's candidates, told to the strategy; the best sample is remembered.
    fn tell(&mut self) -> Result<Vec<Verdict>, StrategyError> {
        let search =
            self.open.measurement(EpisodePurpose::Search).expect("generations that are told are searched");
        let measured: Vec<Measured> = search
            .candidates()
            .map(|outcomes| Measured::of_outcomes(outcomes).expect("a generation has tasks"))
            .collect();
        self.strategy.tell(&measured)?;
        let verdicts: Vec<Verdict> = measured.iter().map(|measured| measured.verdict).collect();
        for (genome, verdict) in search.genomes().iter().zip(&verdicts) {
            if let Some(fitness) = verdict.fitness()
                && self.best.as_ref().is_none_or(|(_, best)| fitness > *best)
            {
                self.best = Some(((**genome).clone(), fitness));
            }
        }
        Ok(verdicts)
    }

    /// Closes the complete generation and opens the next; the summary and the snapshot go to `out` together.
    pub fn close(&mut self, now: Timestamp, out: &mut Vec<Write>) -> Result<(), RunError> {
        debug_assert!(self.is_complete(), "only complete generations are closed");
        let verdicts = self.tell()?;
        let diverging = validation::divergence(self.generation, &verdicts);
        let validated = self.validated(0, diverging.clone());
        let search = self.open.measurement(EpisodePurpose::Search).expect("it was told");
        let (episodes, compute_time) = (search.episodes(), search.compute_time());
        let state = self.strategy.state();
        let digest = state.digest();
        let mut ranked = verdicts.clone();
        ranked.sort_unstable();
        let diverged = verdicts.iter().filter(|verdict| verdict.fitness().is_none()).count() as u32;
        let summary = GenerationSummary {
            generation: self.generation,
            updates: self.spec.evaluation.updates(self.generation.0),
            best: ranked.last().and_then(|verdict| verdict.fitness()),
            median: median(&ranked),
            diverged,
            evaluations: self.evaluations + verdicts.len() as u64,
            episodes: self.episodes + u64::from(episodes),
            compute_time,
            elapsed: self.elapsed_at(now),
            search: self.strategy.summary(),
            digest,
        };
        let restart = summary.search.restart.clone();
        self.commit(now, Record::GenerationClosed(Box::new(summary)), out);
        if let Some(validated) = validated {
            self.commit(now, Record::Validated(Box::new(validated)), out);
        }
        if let Some(diverging) = diverging {
            self.warn(now, &diverging, out);
        }
        if let Some(restart) = restart {
            let Restart { number, population_size, step_size, reason } = *restart;
            let text = format!(
                "generation {}: restart {number}, population {population_size}, step size {step_size:.3}: the search before \
                 ended by {} ({})",
                self.generation, reason.criterion, reason.detail
            );
            self.note(now, text, out);
        }
        self.generation = self.generation.next();
        let best = self.best.clone();
        let snapshot = Snapshot { closed: self.generation, strategy: state.to_bytes(), digest, best };
        out.push(Write::Snapshot { run: self.id, snapshot });
        self.open_generation();
        Ok(())
    }

    /// What the open generation's validation has found of the mean at a place, if there is one.
    fn validated(&self, place: usize, diverging: Option<Warning>) -> Option<ValidationSummary> {
        let spec = &self.spec;
        let settings = spec.validation.as_ref()?;
        let measurement = self.open.measurement(EpisodePurpose::Validation)?;
        let (layout, generation) = (&self.layout, self.generation);
        let history = &self.validations;
        Some(validation::summarise(
            spec,
            settings,
            layout,
            generation,
            (measurement, place),
            history,
            diverging,
        ))
    }

    /// The means that may become the result.
    fn finalists(&self) -> Vec<Genome> {
        self.strategy.finalists().into_iter().map(|finalist| finalist.mean).collect()
    }

    /// The best of several means in validation, the earliest of equals.
    fn select(&mut self, now: Timestamp, out: &mut Vec<Write>) {
        let Some(measurement) = self.open.measurement(EpisodePurpose::Validation) else { return };
        let finalists = self.strategy.finalists();
        let searches: Vec<(u32, f64)> =
            finalists.iter().map(|f| f.search).zip(validation::accuracies(measurement)).collect();
        if searches.len() < 2 {
            return;
        }
        let best = (0..searches.len()).rev().max_by(|&a, &b| searches[a].1.total_cmp(&searches[b].1));
        let place = best.expect("there are several") as u32;
        self.commit(now, Record::Selected { place, searches }, out);
    }

    /// The result: the mean that validation has chosen, or the strategy's.
    fn mean(&self) -> Genome {
        let chosen = self.selected.and_then(|place| self.finalists().into_iter().nth(place));
        chosen.unwrap_or_else(|| self.strategy.mean())
    }

    /// Notes a failure, unless it was noted of late.
    fn warn(&mut self, now: Timestamp, warning: &Warning, out: &mut Vec<Write>) {
        let heading = format!("warning: {}: ", warning.failure);
        if !self.notes.iter().any(|note| note.starts_with(&heading)) {
            self.commit(now, Record::Note { text: format!("warning: {warning}") }, out);
        }
    }

    /// Ends the search before the open generation; what is open from here on is the measurement of its result.
    pub fn end_search(&mut self, now: Timestamp, reason: StopReason, out: &mut Vec<Write>) {
        self.commit(now, Record::SearchEnded { reason }, out);
    }

    /// Finishes the run whose result has been measured completely; the figures and the state go to `out` together.
    pub fn finish(&mut self, now: Timestamp, out: &mut Vec<Write>) {
        debug_assert!(self.is_complete(), "only what is complete is finished");
        let Some(reason) = self.search_ended.clone() else { return };
        self.select(now, out);
        let place = self.selected.unwrap_or(0);
        if let Some(validated) = self.validated(place, None) {
            self.commit(now, Record::Validated(Box::new(validated)), out);
        }
        if let Some(measurement) = self.open.measurement(EpisodePurpose::Remeasure) {
            let places = (place, self.strategy.finalists().len());
            let figures = validation::remeasured(&self.spec, self.generation, measurement, places);
            self.commit(now, Record::Remeasured(Box::new(figures)), out);
        }
        self.change_state(now, RunState::Finished { reason }, out);
    }

    /// Why the search ended, once it has.
    pub fn search_ended(&self) -> Option<&StopReason> {
        self.search_ended.as_ref()
    }

    /// Why the search should end before the open generation. Reaching the time limit is a record of its own.
    pub fn stop_reason(&mut self, now: Timestamp, out: &mut Vec<Write>) -> Option<StopReason> {
        if let Some(reason) = self.criterion() {
            return Some(reason);
        }
        let spec = Arc::clone(&self.spec);
        let limit = spec.stop.time_limit_s?;
        let last = GenerationIndex(self.generation.0.checked_sub(1)?);
        if self.time_limit.is_none() && self.elapsed_at(now) >= Duration::from_secs(limit) {
            self.commit(now, Record::TimeLimit { generation: last }, out);
        }
        self.time_limit.filter(|generation| *generation <= last).map(|_| self.time_is_up(now, limit))
    }

    /// The criterion that ends the search before the open generation, the time limit apart.
    pub fn criterion(&self) -> Option<StopReason> {
        self.criterion_met(&self.spec.stop, self.strategy.as_ref())
    }

    /// What would end the search at once, the time limit included.
    pub fn ends_at_once(&self, now: Timestamp) -> Option<StopReason> {
        self.would_end(now, &self.spec.stop, self.strategy.as_ref())
    }

    /// The same with other limits, for a search in this state.
    fn would_end(&self, now: Timestamp, limits: &StopSpec, strategy: &dyn Strategy) -> Option<StopReason> {
        self.criterion_met(limits, strategy).or_else(|| {
            let limit = limits.time_limit_s?;
            (self.elapsed_at(now) >= Duration::from_secs(limit)).then(|| self.time_is_up(now, limit))
        })
    }

    fn time_is_up(&self, now: Timestamp, limit: u64) -> StopReason {
        let detail = format!("{:.0} s (limit {limit} s)", self.elapsed_at(now).as_secs_f64());
        StopReason { criterion: "time_limit".into(), detail }
    }

    /// The criterion that a search in this state meets, the time limit apart.
    fn criterion_met(&self, limits: &StopSpec, strategy: &dyn Strategy) -> Option<StopReason> {
        let best = self.best.as_ref().map(|(_, fitness)| *fitness);
        let reason = strategy.stop_reason().filter(|_| self.generation.0 > 0);
        stop::limit_reached(limits, self.generation.0, self.evaluations, best).or(reason)
    }

    /// Time for which the run has been running.
    fn elapsed_at(&self, now: Timestamp) -> Duration {
        self.elapsed + self.running_since.map_or(Duration::ZERO, |since| now.since(since))
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

    /// When it ended, in milliseconds since 1970 UTC; `None` while it has not, and where the journal does not say.
    pub fn ended_unix_ms(&self) -> Option<u64> {
        Some(self.changed_unix_ms).filter(|&moment| self.state.is_final() && moment > 0)
    }

    /// The state.
    pub fn state(&self) -> &RunState {
        &self.state
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

    /// What is asked for of each episode of a purpose beside its fitness.
    pub fn wants(&self, purpose: EpisodePurpose) -> Wants {
        match purpose {
            EpisodePurpose::Search => self.strategy.wants(),
            EpisodePurpose::Remeasure | EpisodePurpose::Validation => Wants::default(),
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

    /// How the run stands. `leased` and `eligible_workers` are the scheduler's to say and are 0 here.
    pub fn progress(&self) -> RunProgress {
        RunProgress {
            run: self.id,
            name: self.spec.name.clone(),
            spec_digest: self.spec.digest(),
            state: self.state.clone(),
            weight: self.created.weight,
            generation: self.generation,
            generations_limit: self.spec.stop.generations,
            settled: self.open.settled(),
            episodes: self.open.episodes(),
            leased: 0,
            eligible_workers: 0,
            best: self.best.as_ref().map(|(_, fitness)| *fitness),
            last: self.last.clone(),
            created_unix_ms: self.created.created_unix_ms,
            fingerprint: self.fingerprint,
            validation: self.validation.clone(),
            search_ended: self.search_ended.clone(),
            remeasurement: self.remeasurement.clone(),
            notes: self.notes.iter().cloned().collect(),
            sequence: self.sequence,
            seed: self.spec.seed,
            group: self.created.group.clone(),
            parent: self.created.origin.as_deref().map(Origin::parent),
            ended_unix_ms: self.ended_unix_ms(),
        }
    }

    /// What the run has found.
    pub fn result(&self) -> RunResult {
        RunResult {
            run: self.id,
            spec: Arc::clone(&self.spec),
            state: self.state.clone(),
            generations: self.generation.0,
            mean: self.mean(),
            best: self.best.clone(),
            layout: self.layout.clone(),
            validation: self.validation.clone(),
            remeasurement: self.remeasurement.clone(),
        }
    }
}

/// The median fitness of verdicts ranked worst to best; `None` if it falls on a diverged one.
fn median(ranked: &[Verdict]) -> Option<Fitness> {
    let upper = ranked.get(ranked.len() / 2)?.fitness()?;
    if ranked.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = ranked[ranked.len() / 2 - 1].fitness()?;
    Fitness::new(f64::midpoint(lower.get(), upper.get())).ok()
}
