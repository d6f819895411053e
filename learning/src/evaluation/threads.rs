//! Evaluations on the threads of this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::{Evaluate, EvaluationError, EvaluationRequest, EvaluationRunner, Gathering, Scores, Stage};
use crate::interrupt::Interrupt;
use crate::task::Distributions;
use crate::task::data_set::DataSets;
use crate::training::{SameTasks, Workspace};

/// Computes evaluations with threads of its own.
#[derive(Clone, Copy)]
pub struct Threads<'a> {
    /// How many, at least 1. They change only the time it takes.
    pub threads: usize,
    /// The data sets of the families `idx:NAME`.
    pub data: &'a dyn DataSets,
}

/// One task of one request, for all of its genomes.
struct TaskOfRequest {
    request: usize,
    task: u32,
}

/// Runners, and kinds of shared tasks.
type Prepared = (Vec<EvaluationRunner>, Vec<Option<usize>>);

/// What a task gave: the scores of each genome.
type TaskScores = Result<Vec<Vec<f64>>, EvaluationError>;

impl Evaluate for Threads<'_> {
    fn evaluate(
        &self,
        requests: &[EvaluationRequest],
        advance: &(dyn Fn(u64) + Sync),
        interrupt: &Interrupt,
    ) -> Result<Vec<Scores>, EvaluationError> {
        let (runners, kinds) = self.prepare(requests)?;
        let jobs = |(request, of): (usize, &EvaluationRequest)| {
            (0..of.tasks()).map(move |task| TaskOfRequest { request, task })
        };
        let mut jobs: Vec<TaskOfRequest> = requests.iter().enumerate().flat_map(jobs).collect();
        // Task by task where requests share them: drawing a large image's projection, and projecting, costs more than learning.
        jobs.sort_by_key(|job| match kinds[job.request] {
            Some(kind) => (0, kind, job.task, job.request),
            None => (1, job.request, job.task, 0),
        });
        let compute = |workspace: &mut Workspace, job: &TaskOfRequest| {
            let runner = &runners[job.request];
            let genomes = 0..requests[job.request].genomes.len() as u32;
            let scores = genomes.map(|genome| runner.scores(workspace, genome, job.task, interrupt));
            let scores = scores.collect::<TaskScores>()?;
            advance(requests[job.request].work() / u64::from(requests[job.request].tasks()));
            Ok(scores)
        };
        let mut gatherings: Vec<Gathering> = requests.iter().map(Gathering::new).collect();
        for (job, scores) in jobs.iter().zip(map(&jobs, self.threads, interrupt, compute)) {
            for (genome, scores) in scores?.iter().enumerate() {
                let added = gatherings[job.request].add(genome as u32, job.task, scores);
                added.map_err(EvaluationError::Elsewhere)?;
            }
        }
        Ok(gatherings.into_iter().filter_map(Gathering::finish).collect())
    }
}

impl Threads<'_> {
    /// A runner for each request. Those of the same tasks share them: a data set is read and scaled once. And for each request whose tasks
    /// are of images, which of the kinds of tasks that requests share they are of.
    fn prepare(&self, requests: &[EvaluationRequest]) -> Result<Prepared, EvaluationError> {
        type Tasks<'a> = (&'a TaskSpec, &'a [TaskFamily], Stage);
        type Kind<'a> = (Tasks<'a>, &'a [Vec<u32>], u32, u32, Seed);
        let mut known: Vec<(Tasks<'_>, Distributions)> = Vec::new();
        let mut shared: Vec<(Kind<'_>, Arc<SameTasks>)> = Vec::new();
        let (mut runners, mut kinds) =
            (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
        for request in requests {
            request.validate()?;
            let tasks = (&request.problem.tasks, &request.families[..], request.stage);
            let distributions = if let Some((_, known)) = known.iter().find(|(known, _)| *known == tasks) {
                known.clone()
            } else {
                let families = request.families.iter().copied();
                let set = request.stage.task_set();
                let new = Distributions::new(families, &request.judged_tasks(), set, self.data)?;
                known.push((tasks, new.clone()));
                new
            };
            let kind = request.families.iter().any(|family| family.is_images()).then(|| {
                let shapes = request.problem.network.all_shapes();
                let kind = (tasks, shapes, request.first_task, request.tasks_per_family, request.seed);
                shared.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
                    shared.push((kind, Arc::new(SameTasks)));
                    shared.len() - 1
                })
            });
            let same = kind.map(|kind| Arc::clone(&shared[kind].1));
            runners.push(EvaluationRunner::with_distributions(
                Arc::new(request.clone()),
                distributions,
                same,
            ));
            kinds.push(kind);
        }
        Ok((runners, kinds))
    }
}

/// The results of `compute` for jobs, in their order, up to the first that is an error. After an error nobody starts another
/// job.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever calls says how many threads, and results come in the order of the jobs"
)]
fn map(
    jobs: &[TaskOfRequest],
    threads: usize,
    interrupt: &Interrupt,
    compute: impl Fn(&mut Workspace, &TaskOfRequest) -> TaskScores + Sync,
) -> Vec<TaskScores> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut workspace = Workspace::new();
        let mut results = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(place) else { return results };
            let result = if interrupt.is_raised() {
                Err(EvaluationError::Interrupted)
            } else {
                compute(&mut workspace, job)
            };
            if result.is_err() {
                next.store(jobs.len(), Ordering::Relaxed);
            }
            results.push((place, result));
        }
    };
    let mut results: Vec<_> = std::thread::scope(|scope| {
        // Where the system gives fewer threads, it takes longer.
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads.min(jobs.len())).filter_map(start).collect();
        let mut results = work();
        for other in others {
            results.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
