use std::sync::atomic::{AtomicU64, Ordering};

use hebbian_shared::seed::fill_normal;
use hebbian_shared::spec::RunSpec;

use super::*;
use crate::task::data_set::NoDataSets;

fn genome(seed: u64) -> Genome {
    let mut values = vec![0.0; 68];
    fill_normal(&mut Seed::new(seed).unwrap().rng(), &mut values);
    Genome(values.into_iter().map(|value| 0.5 * value).collect())
}

fn request() -> EvaluationRequest {
    let spec = RunSpec::read(include_str!("../../../examples/quickstart.toml")).unwrap();
    let problem = spec.problem.rule_learning().unwrap().clone();
    EvaluationRequest {
        problem,
        ablation: None,
        genomes: vec![genome(1), genome(2)],
        families: vec![TaskFamily::Xor, TaskFamily::RegressWave, TaskFamily::Digits],
        stage: Stage::Comparison,
        first_task: 0,
        tasks_per_family: 3,
        points: vec![1, 5, 8],
        seed: Seed::new(4).unwrap(),
        score: None,
        part: None,
    }
}

fn evaluate(requests: &[EvaluationRequest], threads: usize) -> Vec<Scores> {
    let done = AtomicU64::new(0);
    let advance = |work| {
        done.fetch_add(work, Ordering::Relaxed);
    };
    let scores = Threads { threads, data: &NoDataSets }.evaluate(requests, &advance, &Interrupt::new());
    assert_eq!(done.into_inner(), requests.iter().map(EvaluationRequest::work).sum::<u64>());
    scores.unwrap()
}

#[test]
fn scores_are_a_function_of_the_request() {
    let tuning = EvaluationRequest { stage: Stage::Tuning, ..request() };
    let ablated = EvaluationRequest { ablation: Some(Ablation::ReadoutOnly), ..request() };
    let requests = [request(), tuning, ablated];
    let scores = evaluate(&requests, 1);
    assert_eq!(evaluate(&requests, 3), scores);
    assert_ne!(scores[0], scores[1], "other tasks");
    assert_ne!(scores[0], scores[2], "another rule");

    // Read back from text, one by one, the last first, and as part of another request.
    let text = serde_json::to_string(&request()).unwrap();
    let back: EvaluationRequest = serde_json::from_str(&text).unwrap();
    assert_eq!(back, request());
    let runner = EvaluationRunner::new(Arc::new(back), &NoDataSets).unwrap();
    let mut gathering = Gathering::new(runner.request());
    let mut workspace = Workspace::new();
    for (genome, task) in (0..2).flat_map(|genome| (0..9).map(move |task| (genome, task))).rev() {
        let alone = runner.scores(&mut workspace, genome, task, &Interrupt::new()).unwrap();
        gathering.add(genome, task, &alone).unwrap();
    }
    assert_eq!(gathering.finish().unwrap(), scores[0]);
    let part =
        EvaluationRequest { genomes: vec![genome(2)], first_task: 2, tasks_per_family: 1, ..request() };
    let part = &evaluate(&[part], 1)[0];
    for family in 0..3 {
        assert_eq!(part.of(0, family), scores[0].of(1, 3 * family + 2));
    }
}

#[test]
fn what_was_evaluated_is_not_evaluated_again() {
    struct Counting(AtomicU64);
    impl Evaluate for Counting {
        fn evaluate(
            &self,
            requests: &[EvaluationRequest],
            advance: &(dyn Fn(u64) + Sync),
            interrupt: &Interrupt,
        ) -> Result<Vec<Scores>, EvaluationError> {
            self.0.fetch_add(requests.len() as u64, Ordering::Relaxed);
            Threads { threads: 1, data: &NoDataSets }.evaluate(requests, advance, interrupt)
        }
    }
    let other = EvaluationRequest { seed: Seed::new(5).unwrap(), ..request() };
    let asked = [[request(), other.clone(), request()], [other.clone(), request(), other]];
    let counting = Counting(AtomicU64::new(0));
    let remembering = Remembering::new(&counting);
    for (requests, computed) in asked.iter().zip([2, 2]) {
        let done = AtomicU64::new(0);
        let advance = |work| {
            done.fetch_add(work, Ordering::Relaxed);
        };
        let scores = remembering.evaluate(requests, &advance, &Interrupt::new()).unwrap();
        assert_eq!(scores, evaluate(requests, 1));
        assert_eq!(counting.0.load(Ordering::Relaxed), computed);
        assert_eq!(done.into_inner(), requests.iter().map(EvaluationRequest::work).sum::<u64>());
    }
    let interrupt = Interrupt::new();
    interrupt.raise();
    let new = EvaluationRequest { first_task: 7, ..request() };
    assert!(remembering.evaluate(&[new], &|_| (), &interrupt).is_err(), "an error is not remembered");
}

#[test]
fn a_network_that_diverges_scores_nothing() {
    let genomes = vec![Genome(vec![f64::NAN; 68])];
    let scores = evaluate(&[EvaluationRequest { genomes, ..request() }], 1);
    assert_eq!(scores[0].of(0, 8), [0.0; 3]);
}

#[test]
fn wrong_requests_are_named() {
    let check = |change: &dyn Fn(&mut EvaluationRequest), expected: &str| {
        let mut wrong = request();
        change(&mut wrong);
        let error = EvaluationRunner::new(Arc::new(wrong), &NoDataSets).err().expect(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check(&|wrong| wrong.problem.tasks.batch_size = 0, "tasks.batch_size: must be from 1");
    check(&|wrong| wrong.families.clear(), "tasks.families: must name at least one family");
    check(&|wrong| wrong.families.push(TaskFamily::Xor), "families: must name each family once");
    check(&|wrong| wrong.genomes.clear(), "genomes: must be 1 to 4096, not 0");
    check(&|wrong| wrong.genomes[1].0.truncate(9), "genomes: the genome has 9 values; a rule of these");
    check(&|wrong| wrong.tasks_per_family = 0, "tasks_per_family: must be from 1 to 100000");
    check(&|wrong| wrong.first_task = 99_998, "tasks_per_family: must be from 1 to 2 behind");
    check(&|wrong| wrong.first_task = u32::MAX, "tasks_per_family: must be");
    check(&|wrong| wrong.points.clear(), "points: must be 1 to 32 numbers, not 0");
    check(&|wrong| wrong.points = vec![5, 5], "points: must increase, but 5 follows 5");
    check(&|wrong| wrong.points = vec![2001], "points: must be from 1 to 2000, not 2001");
}

#[test]
fn an_interrupt_ends_an_evaluation() {
    let interrupt = Interrupt::new();
    let advance = |_| interrupt.raise();
    let ended = Threads { threads: 2, data: &NoDataSets }.evaluate(&[request()], &advance, &interrupt);
    assert_eq!(ended, Err(EvaluationError::Interrupted));
}

#[test]
fn scores_that_cannot_be_are_refused() {
    let mut gathering = Gathering::new(&request());
    for (genome, task, scores) in [
        (0, 0, vec![0.5; 4]),
        (0, 9, vec![0.5; 3]),
        (2, 0, vec![0.5; 3]),
        (u32::MAX, u32::MAX, vec![0.5; 3]),
        (0, 0, vec![0.5, 0.5, 1.5]),
        (0, 0, vec![0.5, 0.5, f64::NAN]),
    ] {
        let refused = gathering.add(genome, task, &scores).unwrap_err();
        assert!(refused.contains("score"), "{refused}");
    }
    assert_eq!(gathering.missing(), 18);
    for _ in 0..2 {
        gathering.add(1, 8, &[0.25; 3]).unwrap();
        assert_eq!(gathering.missing(), 17, "what comes twice counts once");
    }
    assert_eq!(gathering.finish(), None);
}
