//! The evaluator of real workers: multi-state networks on sampled tasks.

use std::sync::Arc;

use hebbian_shared::digest::Digest;
use hebbian_shared::episode::{Asked, EpisodeKey, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::data_set::{DataSetName, DataSetSpec};
use hebbian_shared::spec::{RunSpec, text};

use super::{Episodes, Evaluator, Runner};
use hebbian_learning::episode::EpisodeRunner;
use hebbian_learning::evaluation::{EvaluationError, EvaluationRequest, EvaluationRunner};
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::task::data_set::{Arriving, DataSets, NoDataSets};
use hebbian_learning::training::Workspace;

/// Trains networks with the rules that genomes stand for.
#[derive(Clone)]
pub struct LearningEvaluator {
    data: Arc<dyn DataSets>,
}

impl LearningEvaluator {
    /// With these data sets.
    pub fn new(data: Arc<dyn DataSets>) -> Self {
        Self { data }
    }
}

impl LearningEvaluator {
    /// Those of some data sets that are not here.
    fn absent<'a>(&self, used: impl Iterator<Item = &'a DataSetSpec>) -> Vec<(DataSetName, Digest)> {
        let known = used.filter_map(|data_set| Some((data_set.name, data_set.digest?)));
        known.filter(|&(name, digest)| self.data.find(name, Some(digest)).is_err()).collect()
    }
}

fn read(request: &str) -> Result<EvaluationRequest, String> {
    text::read(request).map_err(|error| format!("the evaluation cannot be read: {error}"))
}

impl Default for LearningEvaluator {
    /// Without data sets.
    fn default() -> Self {
        Self::new(Arc::new(NoDataSets))
    }
}

impl Evaluator for LearningEvaluator {
    fn prepare(&self, spec: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String> {
        Ok(Arc::new(EpisodeRunner::with_data(spec, &*self.data)?))
    }

    fn lacking(&self, spec: &RunSpec) -> Vec<(DataSetName, Digest)> {
        self.absent(spec.used_data_sets())
    }

    fn prepare_evaluation(&self, request: &str) -> Result<Arc<dyn Runner>, String> {
        let request = Arc::new(read(request)?);
        let runner = EvaluationRunner::new(request, &*self.data).map_err(|error| error.to_string())?;
        Ok(Arc::new(runner))
    }

    fn lacking_for_evaluation(&self, request: &str) -> Vec<(DataSetName, Digest)> {
        let Ok(request) = read(request) else { return Vec::new() };
        let used: Vec<_> = request.families.iter().filter_map(|family| family.data_set()).collect();
        let data_sets = request.problem.tasks.data_sets.iter();
        self.absent(data_sets.filter(|data_set| used.contains(&data_set.name)))
    }

    fn receive(&self, name: DataSetName, digest: Digest) -> Result<Box<dyn Arriving>, String> {
        self.data.receive(name, digest).map_err(|error| error.to_string())
    }
}

impl Runner for EpisodeRunner {
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        Box::new(OnThread { runner: self, workspace: Workspace::default() })
    }
}

/// A runner with a thread's own buffers.
struct OnThread {
    runner: Arc<EpisodeRunner>,
    workspace: Workspace,
}

impl Episodes for OnThread {
    fn run(
        &mut self,
        genome: &Genome,
        key: &EpisodeKey,
        wants: Wants,
        interrupt: &Interrupt,
    ) -> Option<Outcome> {
        self.runner.run_for(&mut self.workspace, genome, key, wants, interrupt)
    }
}

impl Runner for EvaluationRunner {
    fn asked(&self) -> Asked {
        Asked { scores: self.request().points.len(), ..Asked::FITNESS }
    }

    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        Box::new(Scoring { runner: self, workspace: Workspace::default() })
    }
}

/// An evaluation's runner with a thread's own buffers.
struct Scoring {
    runner: Arc<EvaluationRunner>,
    workspace: Workspace,
}

impl Episodes for Scoring {
    fn run(&mut self, _: &Genome, key: &EpisodeKey, _: Wants, interrupt: &Interrupt) -> Option<Outcome> {
        let (genome, task) = (key.candidate.0, key.task.0);
        let request = self.runner.request();
        if genome as usize >= request.genomes.len() || task >= request.tasks() {
            let reason = format!("the evaluation has no genome {genome} or no task {task}");
            return Some(Outcome::Rejected { reason });
        }
        match self.runner.scores(&mut self.workspace, genome, task, interrupt) {
            Ok(scores) => Some(outcome(scores)),
            Err(EvaluationError::Interrupted) => None,
            Err(error) => Some(Outcome::Rejected { reason: error.to_string() }),
        }
    }
}

/// The last score is the fitness.
fn outcome(scores: Vec<f64>) -> Outcome {
    match Fitness::new(scores.last().copied().unwrap_or(f64::NAN)) {
        Ok(fitness) => Outcome::Evaluated(Evaluation { scores, ..Evaluation::of(fitness) }),
        Err(error) => Outcome::WorkerError { reason: format!("a score: {error}") },
    }
}

#[cfg(test)]
mod tests {
    use hebbian_learning::evaluation::Stage;
    use hebbian_shared::episode::EpisodePurpose;
    use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
    use hebbian_shared::spec::task::TaskFamily;

    use super::*;

    #[test]
    fn an_evaluation_gives_scores_of_what_its_request_names() {
        let spec = RunSpec::read(include_str!("../../../examples/quickstart.toml")).unwrap();
        let problem = spec.problem.rule_learning().unwrap().clone();
        let request = EvaluationRequest {
            genomes: vec![Genome(vec![0.25; spec.layout().dimension()]); 2],
            problem,
            ablation: None,
            families: vec![TaskFamily::Xor, TaskFamily::Circle],
            stage: Stage::Comparison,
            first_task: 0,
            tasks_per_family: 2,
            points: vec![1, 3],
            seed: spec.seed,
            score: None,
            part: None,
        };
        let evaluator = LearningEvaluator::default();
        let text = serde_json::to_string(&request).unwrap();
        let runner = evaluator.prepare_evaluation(&text).unwrap();
        assert_eq!(runner.asked().scores, 2);
        let mut episodes = runner.on_thread();
        let mut run = |genome, task| {
            let key = EpisodeKey {
                run: RunId::new(1),
                generation: GenerationIndex(0),
                purpose: EpisodePurpose::Search,
                block: BlockIndex(0),
                candidate: CandidateIndex(genome),
                task: TaskIndex(task),
            };
            episodes.run(&Genome::default(), &key, Wants::default(), &Interrupt::new()).unwrap()
        };
        let direct = EvaluationRunner::new(Arc::new(request), &NoDataSets).unwrap();
        let scores = direct.scores(&mut Workspace::default(), 1, 3, &Interrupt::new()).unwrap();
        assert_eq!(run(1, 3).evaluation().unwrap().scores, scores);
        for (genome, task) in [(2, 0), (0, 4), (u32::MAX, u32::MAX)] {
            assert!(matches!(run(genome, task), Outcome::Rejected { .. }), "{genome} {task}");
        }
        let refused = evaluator.prepare_evaluation(&text.replace("\"xor\"", "\"torus\"")).err().unwrap();
        assert!(refused.contains("torus"), "{refused}");
    }
}
