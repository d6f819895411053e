//! A run's search between two generations, and the one function that advances it.
//!
//! While a run lives, [`Advance::compute`] is called on another thread than the engine's, so that nobody waits for it, unless it is
//! [short](Advance::is_short); recovery calls
//! [`Search::advance`] in place. In both the record of the closed generation installs what it gives, and nothing else changes a search.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use hebbian_proto::v1;
use hebbian_search::cost::cost;
use hebbian_search::{
    Birth, Envelope, Finalist, Measured, SearchSummary, StopReason, Strategy, StrategyError, WarmStart,
};
use hebbian_shared::digest::Digest;
use hebbian_shared::episode::Wants;
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, GenerationIndex, RunId};
use hebbian_shared::spec::RunSpec;

use super::distribution;
use super::open::Measurement;
use super::record::{Origin, Snapshot, Turn};
use super::strategy::Strategies;

/// Where a search has come to: what it asks for next, and what it has found.
#[derive(Debug, Default)]
pub struct Reached {
    /// The candidates of the next generation with their blocks.
    pub candidates: Vec<(Arc<Genome>, BlockIndex)>,
    /// Of an asynchronous search, when each of them was drawn, which is the generation and the candidate of its episodes. Its block
    /// here is the former. Empty of others.
    pub births: Vec<Birth>,
    /// The candidate of each birth: what workers say is found without a search.
    pub places: BTreeMap<Birth, u32>,
    /// The means that may become the result; the first is the search's own choice.
    pub finalists: Vec<Finalist>,
    /// The best sample told so far.
    pub best: Option<(Arc<Genome>, Fitness)>,
    /// What it wants to be told of candidates beside verdicts.
    pub wants: Wants,
    /// Why the search itself would end here.
    pub stop: Option<v1::StopReason>,
}

/// See the module.
pub struct Search {
    strategy: Box<dyn Strategy>,
    /// Bytes of memory that it takes to advance.
    memory: usize,
    reached: Arc<Reached>,
}

/// What a generation's verdicts made of a search.
#[derive(Clone, Debug)]
pub struct Step {
    /// The strategy's own account.
    pub summary: v1::SearchSummary,
    /// The state afterwards.
    pub snapshot: Snapshot,
}

impl Search {
    /// The search of a validated spec at its beginning, or where the run that it was forked from had come to.
    pub fn begin(
        spec: &RunSpec,
        strategies: Strategies,
        origin: Option<&Origin>,
    ) -> Result<Self, StrategyError> {
        if let Some(origin) = origin {
            return Self::restore(spec, strategies, &origin.snapshot);
        }
        let memory = memory(spec);
        check_memory(memory)?;
        Ok(Self::at((strategies.start)(spec), None, memory))
    }

    /// The search of a validated spec as it was when the snapshot was taken.
    pub fn restore(
        spec: &RunSpec,
        strategies: Strategies,
        snapshot: &Snapshot,
    ) -> Result<Self, StrategyError> {
        let memory = memory(spec);
        check_memory(memory)?;
        let strategy = (strategies.resume)(spec, &Envelope::from_bytes(&snapshot.strategy)?)?;
        let best = snapshot.best.as_ref().map(|(genome, fitness)| (Arc::new(genome.clone()), *fitness));
        Ok(Self::at(strategy, best, memory))
    }

    fn at(strategy: Box<dyn Strategy>, best: Option<(Arc<Genome>, Fitness)>, memory: usize) -> Self {
        let reached = reached(strategy.as_ref(), best);
        Self { strategy, memory, reached }
    }

    /// Where another search may begin to go on from what this one has learnt; `None` of strategies that keep no covariance.
    pub fn warm_start(&self) -> Option<WarmStart> {
        self.strategy.warm_start()
    }

    /// Where it has come to.
    pub fn reached(&self) -> &Arc<Reached> {
        &self.reached
    }

    /// Tells the search what its candidates measured in `generation`, and asks for the next ones. An error leaves it as it was.
    ///
    /// Of an asynchronous one the turn says which of them.
    pub fn advance(
        &mut self,
        generation: GenerationIndex,
        told: &[Measured],
        turn: Option<&Turn>,
    ) -> Result<Step, StrategyError> {
        check_memory(self.memory)?;
        let places: Vec<u32> = if let Some(Turn { arrived, kept, fresh }) = turn {
            check_arrived(arrived, told)?;
            let arrivals: Vec<(u32, Measured)> = arrived.iter().copied().zip(told.iter().cloned()).collect();
            self.strategy.tell_arrived(&arrivals, kept, *fresh)?;
            arrived.clone()
        } else {
            self.strategy.tell(told)?;
            (0..told.len() as u32).collect()
        };
        let mut best = self.reached.best.clone();
        for (place, measured) in places.into_iter().zip(told) {
            let (genome, _) = &self.reached.candidates[place as usize];
            if let Some(fitness) = measured.verdict.fitness()
                && best.as_ref().is_none_or(|(_, best)| fitness > *best)
            {
                best = Some((Arc::clone(genome), fitness));
            }
        }
        self.reached = reached(self.strategy.as_ref(), best);
        let summary = summary(self.strategy.summary());
        Ok(Step { summary, snapshot: self.snapshot(generation.next()) })
    }

    /// The whole state after so many closed generations.
    pub fn snapshot(&self, closed: GenerationIndex) -> Snapshot {
        let strategy = self.strategy.state().to_bytes();
        let best = self.reached.best.as_ref().map(|(genome, fitness)| ((**genome).clone(), *fitness));
        Snapshot { closed, digest: Digest::of(&strategy), strategy, best }
    }
}

/// Bytes of memory that a search takes while a generation closes.
fn memory(spec: &RunSpec) -> usize {
    cost(&spec.strategy, spec.layout().dimension()).memory_bytes as usize
}

/// A coordinator that has not so much is ended by whatever it does next, so nobody asks for it beforehand. A search that stays
/// [short](Advance::is_short) takes less.
const UNASKED: usize = 1 << 20;

/// Refuses a search before it asks for memory that there is not: a process that asks in vain is ended, with all its runs. Another
/// process may still take the memory in between.
fn check_memory(bytes: usize) -> Result<(), StrategyError> {
    if bytes <= UNASKED {
        return Ok(());
    }
    let mut probe = Vec::<u8>::new();
    let found = probe.try_reserve_exact(bytes);
    // It is asked for although nobody uses it.
    black_box(&probe);
    found.map_err(|_| StrategyError::Memory { bytes: bytes as u64 })
}

/// Refuses a record whose lists do not fit.
fn check_arrived(arrived: &[u32], told: &[Measured]) -> Result<(), StrategyError> {
    if arrived.len() == told.len() {
        return Ok(());
    }
    Err(StrategyError::VerdictCount { expected: arrived.len(), found: told.len() })
}

fn reached(strategy: &dyn Strategy, best: Option<(Arc<Genome>, Fitness)>) -> Arc<Reached> {
    let births = strategy.births();
    let candidates = strategy.ask().into_iter().enumerate().map(|(place, candidate)| {
        // Those of a birth are handed out together: the workers know an episode by its generation.
        let block = births.get(place).map_or(candidate.block, |birth| BlockIndex(birth.generation));
        (Arc::new(candidate.genome), block)
    });
    let candidates = candidates.collect();
    let (finalists, wants) = (strategy.finalists(), strategy.wants());
    let stop = strategy.stop_reason().map(stop_reason);
    let places = births.iter().copied().zip(0..).collect();
    Arc::new(Reached { candidates, births, places, finalists, best, wants, stop })
}

/// A strategy's own account as a figure.
fn summary(of: SearchSummary) -> v1::SearchSummary {
    let distribution = distribution::figure(&of);
    let SearchSummary { step_size, axis_ratio, deviation_range, mean_norm, noise, gradient, restart, .. } =
        of;
    v1::SearchSummary {
        distribution: Some(distribution),
        step_size,
        axis_ratio,
        deviation_min: deviation_range.0,
        deviation_max: deviation_range.1,
        mean_norm,
        agreement: noise.and_then(|noise| noise.agreement),
        mean_rate: noise.map(|noise| noise.mean_rate),
        covariance_rate: noise.map(|noise| noise.covariance_rate),
        gradient_norm: gradient.map(|gradient| gradient.norm),
        diverged_tasks: gradient.map(|gradient| gradient.diverged),
        restart: restart.map(|restart| v1::Restart {
            number: restart.number,
            population_size: restart.population_size,
            step_size: restart.step_size,
            criterion: restart.reason.criterion,
            detail: restart.reason.detail,
        }),
    }
}

/// Why a search ended as a figure.
pub(super) fn stop_reason(StopReason { criterion, detail }: StopReason) -> v1::StopReason {
    v1::StopReason { criterion, detail }
}

/// A generation's outcomes on their way to the search: may be computed anywhere, and takes a while.
pub struct Advance {
    pub(super) run: RunId,
    pub(super) generation: GenerationIndex,
    pub(super) search: Search,
    pub(super) outcomes: Outcomes,
}

/// What an [`Advance`] tells.
pub(super) enum Outcomes {
    /// All candidates of a generation.
    Whole(Arc<Measurement>),
    /// Those that have arrived, in that order.
    Arrived(Vec<Measured>, Turn),
}

/// What a search was told, and of an asynchronous one, of whom.
type Told = (Vec<Measured>, Option<Turn>);

/// An [`Advance`] that was computed.
pub struct Advanced {
    pub(super) run: RunId,
    pub(super) generation: GenerationIndex,
    pub(super) outcome: Result<(Search, Told, Step), Failure>,
}

/// Why a search could not be advanced.
pub(super) struct Failure {
    /// The search as it was before; `None` if it is lost.
    pub(super) search: Option<Search>,
    /// For people.
    pub(super) problem: String,
}

impl Advance {
    /// Numbers of all candidates and of a square of the dimension, up to which it takes less than a millisecond, the decomposition of a
    /// covariance included.
    const SHORT_MAX: usize = 10_000;

    /// Whether another thread would cost more than it saves: waking it, and being woken by it, is a third of a small generation. The
    /// shape of the search says so, and no clock.
    pub fn is_short(&self) -> bool {
        let candidates = &self.search.reached().candidates;
        let dimension = candidates.first().map_or(0, |(genome, _)| genome.0.len());
        dimension.saturating_mul(dimension + candidates.len()) <= Self::SHORT_MAX
    }

    /// Of which run and generation.
    pub fn place(&self) -> (RunId, GenerationIndex) {
        (self.run, self.generation)
    }

    /// Takes the verdicts in candidate order and tells them. Pure: when and where makes no difference.
    pub fn compute(self) -> Advanced {
        let Self { run, generation, mut search, outcomes } = self;
        let (told, turn) = match outcomes {
            Outcomes::Whole(outcomes) => (outcomes.measured(), None),
            Outcomes::Arrived(told, turn) => (told, Some(turn)),
        };
        let outcome = match search.advance(generation, &told, turn.as_ref()) {
            Ok(step) => Ok((search, (told, turn), step)),
            Err(error) => Err(Failure { search: Some(search), problem: error.to_string() }),
        };
        Advanced { run, generation, outcome }
    }
}

impl Advanced {
    /// What takes the place of an [`Advance`] whose computation was broken off: its search is lost.
    pub fn broken_off((run, generation): (RunId, GenerationIndex)) -> Self {
        let problem = "its computation was broken off by a panic, see the log; the coordinator tries it again when it \
                       starts the next time";
        Self { run, generation, outcome: Err(Failure { search: None, problem: problem.to_owned() }) }
    }

    /// Of which run and generation.
    pub fn place(&self) -> (RunId, GenerationIndex) {
        (self.run, self.generation)
    }
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Search({:?})", self.strategy.summary())
    }
}

impl std::fmt::Debug for Advance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Advance({} generation {})", self.run, self.generation)
    }
}

impl std::fmt::Debug for Advanced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Advanced({} generation {})", self.run, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::strategy::StrategySpec;
    use hebbian_shared::spec::text;

    use super::*;

    /// The driver's thread asks nobody for memory.
    #[test]
    fn what_is_short_takes_so_little_memory_that_it_is_not_asked_for() {
        for kind in StrategySpec::NAMES {
            for dimension in 1..=100 {
                let candidates = Advance::SHORT_MAX / dimension - dimension;
                let with = format!("kind = \"{kind}\"\npopulation_size = {candidates}");
                let Ok(strategy) = text::read::<StrategySpec>(&with) else { continue };
                if strategy.candidates_max() as usize != candidates {
                    continue;
                }
                let bytes = cost(&strategy, dimension).memory_bytes as usize;
                assert!(bytes <= UNASKED, "{kind}: {dimension} numbers, {candidates} candidates: {bytes}");
            }
        }
        assert!(check_memory(UNASKED).is_ok() && check_memory(2 * UNASKED).is_ok());
        assert!(matches!(check_memory(isize::MAX as usize), Err(StrategyError::Memory { .. })));
    }
}
