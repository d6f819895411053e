//! A run for people and programs that ask.

use std::sync::Arc;

use hebbian_shared::genome::Genome;
use hebbian_shared::progress::{RunProgress, RunResult};

use super::Run;
use super::record::Origin;

impl Run {
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
            best: self.reached.best.as_ref().map(|(_, fitness)| *fitness),
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
            best: self.reached.best.as_ref().map(|(genome, fitness)| ((**genome).clone(), *fitness)),
            layout: self.layout.clone(),
            validation: self.validation.clone(),
            remeasurement: self.remeasurement.clone(),
        }
    }

    /// The result: the mean that validation has chosen, or the search's own choice.
    fn mean(&self) -> Genome {
        let finalist = self.reached.finalists.get(self.selected.unwrap_or(0));
        finalist
            .or(self.reached.finalists.first())
            .map_or(Genome(Vec::new()), |finalist| finalist.mean.clone())
    }
}
