//! The creation of a run, from nothing or from another run's state.

use std::sync::Arc;

use hebbian_proto::convert::ConvertError;
use hebbian_proto::v1;
use hebbian_shared::dispatch::{WEIGHT_DEFAULT, check_weight};
use hebbian_shared::id::RunId;
use hebbian_shared::limits::{GENERATION_GRADIENTS_MAX, GROUP_NAME_MAX, REQUEST_ID_BYTES_MAX};
use hebbian_shared::spec::{RunSpec, SpecError};
use hebbian_shared::time::Timestamp;

use crate::command::{Command, Refusal, check_share};
use crate::engine::Engine;
use crate::run::record::{Created, Origin};
use crate::run::strategy::Strategies;
use crate::run::{Run, Search};
use hebbian_search::StrategyError;

/// Creates a run. The same `request_id` with the same spec gives the run that it created before.
#[derive(Debug)]
pub struct Create {
    /// A number that nobody can foresee: the run has the first free id from here on.
    pub id: RunId,
    /// The spec; validated again.
    pub spec: Box<RunSpec>,
    /// The client's name for this creation, at most 128 characters; empty for none.
    pub request_id: String,
    /// The name of the runs that are created together; empty for none.
    pub group: String,
    /// Share of the cluster beside that of other runs. A fork has its parent's.
    pub weight: f64,
    /// Where the run begins, if it is a fork.
    pub origin: Option<Box<Origin>>,
    /// Who wants it, for the run's notes; empty for this process.
    pub by: String,
    /// For whom it is counted: the subject of a certificate, or an address; empty for this process.
    pub owner: String,
    /// The search that it begins with, if [`Create::prepare`] has made it.
    pub search: Option<Result<Search, StrategyError>>,
}

/// What comes of a creation.
#[derive(Clone, Debug, PartialEq)]
pub struct Creation {
    /// The run.
    pub run: v1::Run,
    /// Whether it was there already: an earlier request of the same id has created it.
    pub again: bool,
}

impl Creation {
    /// The run's id.
    pub fn run_id(&self) -> Result<RunId, ConvertError> {
        self.run.run_id()
    }
}

impl Create {
    /// A run of the usual weight that begins from nothing and has no name but its spec's.
    pub fn new(id: RunId, spec: RunSpec) -> Self {
        let (request_id, group, by, owner) = (String::new(), String::new(), String::new(), String::new());
        Self {
            id,
            spec: Box::new(spec),
            request_id,
            group,
            weight: WEIGHT_DEFAULT,
            origin: None,
            by,
            owner,
            search: None,
        }
    }

    /// The same with the search that it begins with. That may take a while: a thread that must not wait has it done elsewhere.
    #[must_use]
    pub fn prepare(mut self, strategies: Strategies) -> Self {
        // A spec that will be refused is none to build from.
        if self.search.is_none() && self.check().is_ok() {
            self.search = Some(Search::begin(&self.spec, strategies, self.origin.as_deref()));
        }
        self
    }

    /// An error names the field.
    fn check(&self) -> Result<(), Refusal> {
        check_weight(self.weight).map_err(|problem| Refusal::field("weight", problem))?;
        if self.request_id.len() > REQUEST_ID_BYTES_MAX {
            let problem = format!("must have at most {REQUEST_ID_BYTES_MAX} bytes");
            return Err(Refusal::field("request_id", problem));
        }
        if self.request_id.contains('\0') {
            return Err(Refusal::field("request_id", "must have no NUL character, which no database keeps"));
        }
        if self.group.chars().count() > GROUP_NAME_MAX
            || self.group.chars().any(|c| c.is_control() || c == '/')
            || self.group.starts_with(['-', '.', ' '])
        {
            let problem = format!(
                "must have at most {GROUP_NAME_MAX} characters, without control characters and `/`, and not begin with `-`, \
                 `.` or a blank"
            );
            return Err(Refusal::field("group", problem));
        }
        self.spec.validate()?;
        Ok(self.spec.check_complete()?)
    }
}

impl Command for Create {
    type Answer = Creation;
    const PROMISE: bool = true;

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<Creation, Refusal> {
        engine.check_journal()?;
        self.check()?;
        let Self { id, spec, request_id, group, mut weight, origin, by, owner, search } =
            self.prepare(engine.settings.strategies);
        if let Some(parent) = origin.as_deref().and_then(|origin| engine.progress(origin.parent)) {
            weight = parent.weight;
        }
        let created_unix_ms = now.0.as_millis() as u64;
        let created = Created {
            spec: Arc::new((*spec).into()),
            request_id,
            created_unix_ms,
            group,
            origin,
            weight,
            owner,
        };
        if let Some(&existing) = engine.request_ids.get(&created.request_id) {
            // As it was created: its limits may have been raised since.
            let same = engine.is_as(existing, &created);
            let known = engine.progress(existing).filter(|_| same);
            let again = known.map(|run| Creation { run, again: true });
            return again.ok_or(Refusal::RequestIdReused(created.request_id));
        }
        if engine.order.len() >= engine.settings.runs_max {
            let limit = engine.settings.runs_max;
            return Err(Refusal::Limit(format!(
                "there are {limit} runs, which is the limit: delete old ones"
            )));
        }
        let own = engine.owned_by(&created.owner);
        let count = (own, engine.order.len() - own, engine.settings.runs_max);
        check_share(&created.owner, count, "runs (delete old ones)")?;
        let id = engine.free_id(id);
        check_layout(engine, &created)?;
        let search =
            search.expect("the spec was checked").map_err(|error| refuse("strategy", error.to_string()))?;
        check_gradients(&created.spec, &search)?;
        let mut writes = Vec::new();
        let mut run = Run::create(now, id, created, search, &mut writes);
        if run.created().origin.is_some()
            && let Some(met) = run.ends_at_once(now)
        {
            let problem =
                format!("must not end the fork at once, but `{}` is met ({})", met.criterion, met.detail);
            return Err(refuse("stop", problem));
        }
        super::note_by(&mut run, now, "created", &by, &mut writes);
        engine.insert(run);
        engine.outbox.write(now, &mut writes);
        engine.open(now, id);
        let run = engine.progress(id).ok_or(Refusal::NoSuchRun(id))?;
        Ok(Creation { run, again: false })
    }
}

fn refuse(field: &str, problem: impl Into<String>) -> Refusal {
    Refusal::Spec(SpecError::field(field, problem))
}

/// The gradients of a generation's episodes are in memory until it closes, and their sums are in one record.
fn check_gradients(spec: &RunSpec, search: &Search) -> Result<(), Refusal> {
    if !search.reached().wants.gradient {
        return Ok(());
    }
    let candidates = u64::from(spec.strategy.candidates_max());
    let numbers = candidates * u64::from(spec.tasks_per_generation()) * spec.layout().dimension() as u64;
    if numbers > GENERATION_GRADIENTS_MAX {
        let problem = format!(
            "makes, with strategy.population_size and the genome's {} numbers, {numbers} numbers of gradients a generation; at \
             most {GENERATION_GRADIENTS_MAX} are allowed",
            spec.layout().dimension()
        );
        return Err(refuse("tasks.per_generation", problem));
    }
    Ok(())
}

/// A fork goes on with genomes of its parent.
fn check_layout(engine: &Engine, created: &Created) -> Result<(), Refusal> {
    let parent = created.origin.as_ref().and_then(|origin| engine.layout_digest(origin.parent));
    if parent.is_some_and(|parent| parent != created.spec.layout().digest()) {
        return Err(refuse("rule", "must keep the layout of the parent's genome"));
    }
    Ok(())
}
