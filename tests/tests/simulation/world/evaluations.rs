//! Clients of evaluations: they ask until they have all scores, and some go away and ask again.

use std::collections::BTreeMap;

use hebbian_control::command::evaluation::{Abandon, CreateEvaluation};
use hebbian_control::engine::effect::Scored;
use hebbian_shared::digest::Digest;
use hebbian_shared::id::RunId;
use hebbian_shared::seed::{index_below, uniform};

use super::fault::Fault;
use super::{World, fingerprint};

/// Whoever wants scores.
pub(super) struct Evaluator {
    genomes: u32,
    tasks: u32,
    points: u32,
    /// The evaluation that was begun for it, in this life of the coordinator.
    evaluation: Option<RunId>,
    scores: BTreeMap<(u32, u32), Vec<f64>>,
    done: bool,
}

/// What simulated workers score, a little different on each kind of arithmetic.
pub(super) fn scores(fingerprint: Digest, genome: u32, task: u32, points: u32) -> Vec<f64> {
    let kind = f64::from(fingerprint.0[0]) * 1e-12;
    let score = |point| f64::from(1000 * genome + task) + f64::from(point) / 64.0;
    (0..points).map(|point| kind + score(point) / 1e6).collect()
}

impl World {
    pub(super) fn new_evaluator(&mut self) -> Evaluator {
        Evaluator {
            genomes: 1 + index_below(&mut self.rng, 6),
            tasks: 1 + index_below(&mut self.rng, 20),
            points: 1 + index_below(&mut self.rng, 3),
            evaluation: None,
            scores: BTreeMap::new(),
            done: false,
        }
    }

    /// Whether all who wanted scores have them.
    pub(super) fn is_evaluated(&self) -> bool {
        self.evaluators.iter().all(|evaluator| evaluator.done)
    }

    /// Those who wait for no evaluation begin one; some give up.
    pub(super) fn evaluate(&mut self) {
        for place in 0..self.evaluators.len() {
            let evaluator = &mut self.evaluators[place];
            if evaluator.done {
            } else if let Some(evaluation) = evaluator.evaluation {
                if self.now < self.calm && uniform(&mut self.rng) < 0.1 {
                    self.evaluators[place].evaluation = None;
                    self.count(Fault::EvaluationAbandoned);
                    self.execute(Abandon { evaluation });
                }
            } else {
                evaluator.scores.clear();
                let Evaluator { genomes, tasks, points, .. } = *evaluator;
                let id = RunId::new(self.next_run);
                self.next_run += 1;
                let request = points.to_string().into();
                let weight = 0.5 + uniform(&mut self.rng);
                let command = CreateEvaluation {
                    id,
                    request,
                    genomes,
                    tasks,
                    points,
                    fingerprint: None,
                    weight,
                    owner: String::new(),
                };
                let held = self.begin(command);
                self.evaluators[place].evaluation = held.and_then(|held| held.answer.ok());
                self.settle();
            }
        }
    }

    /// The coordinator has died, and all evaluations with it.
    pub(super) fn lose_evaluations(&mut self) {
        for place in 0..self.evaluators.len() {
            if self.evaluators[place].evaluation.take().is_some() {
                self.count(Fault::KilledWhileEvaluating);
            }
        }
    }

    fn evaluator(&mut self, evaluation: RunId) -> Option<&mut Evaluator> {
        self.evaluators.iter_mut().find(|evaluator| evaluator.evaluation == Some(evaluation))
    }

    pub(super) fn scored(&mut self, evaluation: RunId, scored: Vec<Scored>) {
        let evaluator = self.evaluator(evaluation).expect("nobody else is told");
        for Scored { genome, task, scores } in scored {
            let before = evaluator.scores.insert((genome.0, task.0), scores);
            assert_eq!(before, None, "an episode is told once");
        }
    }

    pub(super) fn evaluation_ended(&mut self, evaluation: RunId, end: &Result<(), String>) {
        // Whoever has given up is told nothing.
        let Some(evaluator) = self.evaluator(evaluation) else { return };
        evaluator.evaluation = None;
        if end.is_err() {
            return self.count(Fault::EvaluationEndedEarly);
        }
        let Evaluator { genomes, tasks, points, .. } = *evaluator;
        let of_kind = |kind| {
            let cells = (0..genomes).flat_map(|genome| (0..tasks).map(move |task| (genome, task)));
            let cell = |(genome, task)| ((genome, task), scores(fingerprint(kind), genome, task, points));
            cells.map(cell).collect::<BTreeMap<_, _>>()
        };
        assert!((0..2).any(|kind| of_kind(kind) == evaluator.scores), "all of one kind of arithmetic");
        evaluator.done = true;
    }
}
