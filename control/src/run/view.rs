//! A run for people and programs that ask.

use hebbian_proto::convert::run_name;
use hebbian_proto::figures::moment;
use hebbian_proto::v1;
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::external::Direction;
use hebbian_shared::spec::strategy::ORDER_COUNTS;

use super::Run;
use super::record::Origin;

impl Run {
    /// How the run stands. What is the scheduler's to say of episodes and workers is 0 here.
    pub fn progress(&self) -> v1::Run {
        // Of a run that has ended nothing is open.
        let ended = self.state.is_final();
        let episodes = |count: u32| if ended { 0 } else { count };
        v1::Run {
            name: run_name(self.id),
            display_name: self.spec.name.clone(),
            spec_digest: self.spec.digest().0.to_vec(),
            state: Some(self.state.clone().into()),
            generation: self.generation.0,
            generations_limit: self.spec.stop.generations,
            settled_episodes: episodes(self.open.settled()),
            generation_episodes: episodes(self.open.episodes()),
            leased_episodes: 0,
            eligible_workers: 0,
            best_fitness: self.reached.best.as_ref().map(|(_, fitness)| fitness.get()),
            last_generation: self.last.clone(),
            create_time: Some(moment(self.created.created_unix_ms)),
            fingerprint: self.fingerprint.map_or_else(Vec::new, |digest| digest.0.to_vec()),
            notes: self.shown_notes(),
            sequence: self.sequence,
            validation: self.validation.clone(),
            search_ended: self.search_ended.clone(),
            remeasurement: self.remeasurement.clone(),
            parent: self.created.origin.as_deref().map(Origin::parent),
            group: self.created.group.clone(),
            seed: self.spec.seed.get(),
            end_time: self.ended_unix_ms().map(moment),
            weight: self.created.weight,
            unanswering_workers: 0,
            unanswering: Vec::new(),
            doubt: self.doubt(),
            objective: self.spec.problem.external().map(|problem| v1::Objective {
                name: problem.name.clone(),
                minimise: problem.direction == Direction::Minimise,
                scores: problem.scores.clone(),
            }),
        }
    }

    /// The notes, and, of an asynchronous search, always before them what its result depends on.
    fn shown_notes(&self) -> Vec<String> {
        let order = self.spec.strategy.is_asynchronous().then(|| ORDER_COUNTS.to_owned());
        order.into_iter().chain(self.notes.iter().cloned()).collect()
    }

    /// What the run has found.
    pub fn result(&self) -> v1::RunResult {
        let best = self.reached.best.as_ref();
        v1::RunResult {
            name: run_name(self.id),
            spec: self.spec.json().to_owned(),
            state: Some(self.state.clone().into()),
            generations: self.generation.0,
            mean: self.mean().0,
            best: best.map(|(genome, fitness)| v1::run_result::Sample {
                genome: genome.0.clone(),
                fitness: fitness.get(),
            }),
            layout: Some((&self.layout).into()),
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
