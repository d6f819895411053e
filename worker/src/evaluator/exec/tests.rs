use std::path::Path;

use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::fitness::Fitness;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};

use super::*;

/// A program of the shell whose value is `x`; `$line`, `$id` and `$x` are at hand in `body`, which is run before it answers.
fn program(body: &str) -> String {
    format!(
        "while IFS= read -r line; do id=${{line#*'\"id\":'}}; id=${{id%%,*}}; x=${{line##*'\"x\":'}}; x=${{x%%\\}}*}}; \
         {body}; echo \"{{\\\"id\\\":$id,\\\"value\\\":$x}}\"; done"
    )
}

fn spec(time_limit_s: f64) -> Arc<RunSpec> {
    let text = format!(
        "name = \"mine\"\nstrategy = {{ kind = \"cma-es\", population_size = 8 }}\nstop = {{ generations = 1 }}\n\
         [problem]\nkind = \"external\"\nname = \"cart\"\ndirection = \"maximise\"\ntime_limit_s = {time_limit_s}\n\
         [[problem.parameters]]\nname = \"x\"\nkind = \"real\"\ninitial = 0\ndeviation = 1\n"
    );
    Arc::new(RunSpec::read(&text).unwrap())
}

fn key(candidate: u32) -> EpisodeKey {
    EpisodeKey {
        run: RunId::new(1),
        generation: GenerationIndex(0),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(0),
        candidate: CandidateIndex(candidate),
        task: TaskIndex(0),
    }
}

struct Bench {
    evaluator: ExecEvaluator,
    episodes: Box<dyn Episodes>,
}

impl Bench {
    fn new(command: &str, time_limit_s: f64) -> Self {
        let evaluator = ExecEvaluator::new(command.to_owned(), vec![ALL_PROBLEMS.to_owned()]);
        let episodes = evaluator.prepare(spec(time_limit_s)).unwrap().on_thread();
        Self { evaluator, episodes }
    }

    fn of(body: &str) -> Self {
        Self::new(&program(body), 60.0)
    }

    fn run(&mut self, candidate: u32, x: f64) -> Option<Outcome> {
        self.episodes.run(&Genome(vec![x]), &key(candidate), Wants::default(), &Interrupt::new())
    }

    fn value(&mut self, x: f64) {
        let Some(Outcome::Evaluated(found)) = self.run(0, x) else { panic!("{:?}", self.run(0, x)) };
        assert_eq!(found.fitness, Fitness::new(x).unwrap());
    }

    fn error(&mut self, candidate: u32, x: f64) -> String {
        match self.run(candidate, x) {
            Some(Outcome::WorkerError { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_program_is_started_once_and_asked_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let mut bench = Bench::new(&format!("echo >> {}; {}", starts.display(), program(":")), 60.0);
    for x in [1.5, -2.0, 1e-9] {
        bench.value(x);
    }
    assert_eq!(std::fs::read_to_string(starts).unwrap().len(), 1);
}

#[test]
fn a_problem_that_is_not_served_is_refused() {
    let evaluator = ExecEvaluator::new("cat".to_owned(), vec!["pole".to_owned(), "walker".to_owned()]);
    let refused = evaluator.prepare(spec(1.0)).err().unwrap();
    assert_eq!(refused, "this worker serves pole, walker and not `cart`");
    let rules = RunSpec::read(include_str!("../../../../examples/quickstart.toml")).unwrap();
    assert!(evaluator.prepare(Arc::new(rules)).err().unwrap().contains("trains no networks"));
}

#[test]
fn what_breaks_is_the_workers_trouble_and_started_again() {
    let mut bench = Bench::of("case $x in 7.0) echo oh no >&2; exit 4;; 8.0) echo nonsense; continue;; esac");
    assert_eq!(bench.error(1, 7.0), "the program exited with status 4; its last words: oh no");
    bench.value(1.0);
    assert!(bench.error(2, 8.0).starts_with("it wrote `nonsense` where an answer is expected"));
    bench.value(2.0);
}

#[test]
fn the_time_limit_ends_an_evaluation_and_its_program() {
    let mut bench = Bench::new(&program("case $x in 7.0) sleep 1000;; esac"), 0.3);
    assert_eq!(bench.error(1, 7.0), "it took longer than problem.time_limit_s = 0.3");
    bench.value(1.0);
}

#[test]
fn a_request_says_how_often_this_worker_was_asked() {
    let mut bench = Bench::of("case $line in *'\"attempt\":1,'*) exit 1;; esac");
    bench.error(3, 1.0);
    assert!(bench.run(3, 1.0).unwrap().evaluation().is_some());
    bench.error(4, 1.0);
}

/// In lists: the values are minus the numbers of the request's line.
const LISTS: &str = "echo '{\"batch\":4}'; while IFS= read -r line; do case $line in *'\"x\":7.0'*) exit 1;; esac; \
                     case $line in '['*) open='[' shut=']';; *) open= shut=;; esac; \
                     echo \"$open$(echo \"$line\" | grep -o '\"id\":[0-9]*' | sed 's/.*/{&,\"value\":1}/' | paste -sd,)$shut\"; done";

#[test]
fn a_program_that_takes_several_is_asked_for_several() {
    let mut bench = Bench::new(LISTS, 60.0);
    assert_eq!(bench.episodes.together(), 1);
    assert!(bench.run(0, 1.0).unwrap().evaluation().is_some(), "the first is asked for alone");
    assert_eq!(bench.episodes.together(), 4);
    let genomes: Vec<Genome> = [1.0, 2.0, 7.0, 3.0, 4.0, 5.0].map(|x| Genome(vec![x])).into();
    let episodes: Vec<_> = (1..).zip(&genomes).map(|(candidate, genome)| (genome, key(candidate))).collect();
    let outcomes = bench.episodes.run_together(&episodes, Wants::default(), &Interrupt::new());
    let settled: Vec<bool> = outcomes.iter().map(|outcome| outcome.as_ref().unwrap().settles()).collect();
    assert_eq!(
        settled,
        [true, true, false, true, true, true],
        "only the one that breaks the program is an error"
    );
}

#[test]
fn an_interrupted_evaluation_leaves_its_program_and_its_answer_is_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let body = format!("case $x in 7.0) until test -e {}; do sleep 0.01; done;; esac", go.display());
    let mut bench = Bench::of(&body);
    let interrupt = Interrupt::new();
    interrupt.raise();
    let genome = Genome(vec![7.0]);
    assert_eq!(bench.episodes.run(&genome, &key(1), Wants::default(), &interrupt), None);
    std::fs::write(&go, "").unwrap();
    bench.value(2.0);
}

#[test]
fn at_the_end_no_process_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let mut bench = Bench::of(&format!("trap '' TERM; sleep 1000 & echo $! >> {}", pids.display()));
    bench.value(1.0);
    bench.evaluator.end();
    let pid = std::fs::read_to_string(pids).unwrap();
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z"), "{stat}");
    assert_eq!(bench.run(2, 1.0).map(|outcome| outcome.settles()), None, "nothing is started any more");
}
