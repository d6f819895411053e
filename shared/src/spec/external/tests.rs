use super::*;
use crate::episode::{EpisodePurpose, Evaluation};
use crate::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};

const SPEC: &str = r#"
name = "mine"
seed = 3

[strategy]
kind = "cma-es"
population_size = 8
step_size = 1.0

[problem]
kind = "external"
name = "cart-pole"
direction = "minimise"
evaluations_per_candidate = 2
scores = ["steps"]

[[problem.parameters]]
name = "rate"
kind = "real"
low = 1e-4
high = 1.0
scale = "log"

[[problem.parameters]]
name = "optimiser"
kind = "fixed"
value = "adam"

[[problem.parameters]]
name = "layers"
kind = "integer"
low = 1
high = 8

[[problem.parameters]]
name = "weights"
kind = "real"
length = 3
initial = 0.5
deviation = 2.0

[stop]
generations = 5
"#;

fn read(text: &str) -> RunSpec {
    RunSpec::read(text).unwrap_or_else(|error| panic!("{error}"))
}

fn key(task: u32, candidate: u32) -> EpisodeKey {
    EpisodeKey {
        run: RunId::new(1),
        generation: GenerationIndex(2),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(0),
        candidate: CandidateIndex(candidate),
        task: TaskIndex(task),
    }
}

#[test]
fn a_genome_stands_for_the_values_of_all_parameters() {
    let spec = read(SPEC);
    let problem = spec.problem.external().unwrap();
    assert_eq!((spec.layout().dimension(), spec.tasks_per_generation(), spec.updates(0)), (5, 2, 0));
    assert_eq!(spec.initial_mean(), Genome(vec![0.0; 5]));
    let values = serde_json::to_value(problem.values(&Genome(vec![0.0, 0.1, 0.0, 1.0, -0.25]))).unwrap();
    let rate = values[0][1].as_f64().unwrap();
    assert!((rate - 0.01).abs() < 1e-12, "the geometric middle: {rate}");
    assert_eq!(
        values.to_string(),
        format!("[[\"rate\",{rate}],[\"optimiser\",\"adam\"],[\"layers\",5],[\"weights\",[0.5,2.5,0.0]]]")
    );
    let numbers = problem.numbers(&Genome(vec![1e9, -9.0, 1.0, 0.0, 0.0]));
    assert!((1e-4..=1.0).contains(&numbers[0]));
    assert_eq!(numbers[1..], [1.0, 2.5, 0.5, 0.5]);
    // A genome of another length is refused elsewhere, and here no reason to panic.
    assert_eq!(problem.numbers(&Genome(vec![0.0])).len(), 1);
    assert_eq!(problem.values(&Genome::default()).len(), 4);
}

#[test]
fn the_text_of_a_spec_comes_back_and_says_nothing_of_rules() {
    let spec = read(SPEC);
    let toml = spec.to_toml();
    assert_eq!(read(&toml), spec);
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(read(&json), spec);
    for section in ["rule", "network", "tasks", "evaluation", "validation"] {
        assert!(!json.contains(&format!("\"{section}\":")), "{section}");
        let error = RunSpec::read(&format!("{SPEC}\n[{section}]\n")).unwrap_err();
        let expected = format!("{section}: is of rules, and the problem is external; leave it out");
        // What the section lacks may be said first.
        assert!(error.to_string().ends_with(&expected) || error.field == section, "{error}");
    }
}

#[test]
fn seeds_are_common_to_candidates_and_fit_every_generator() {
    let spec = read(SPEC);
    let problem = spec.problem.external().unwrap();
    let seed = |task, candidate| problem.seed(&key(task, candidate), spec.seed);
    assert_eq!(seed(0, 0), seed(0, 5));
    assert_ne!(seed(0, 0), seed(1, 0));
    assert!(seed(0, 0) < 1 << 31);
    assert_eq!(seed(0, 0), 567_508_277, "a golden number: the seeds of runs that exist must not change");
    let fixed = read(&SPEC.replace("evaluations_per_candidate = 2", "seeds = [7, 8, 9]"));
    let problem = fixed.problem.external().unwrap();
    let seeds: Vec<u32> = (0..4).map(|task| problem.seed(&key(task, 0), fixed.seed)).collect();
    assert_eq!((seeds, fixed.tasks_per_generation(), fixed.remeasured_tasks()), (vec![7, 8, 9, 7], 3, 3));
}

#[test]
fn a_value_becomes_a_fitness_by_the_direction() {
    let spec = read(SPEC);
    let outcome = |value| Outcome::Evaluated(Evaluation::of(Fitness::new(value).unwrap()));
    for (value, fitness) in [(2.5, -2.5), (-1.0, 1.0), (0.0, 0.0)] {
        let mut found = outcome(value);
        spec.problem.external().unwrap().orient(&mut found);
        assert_eq!(found, outcome(fitness));
    }
    let target = format!("{SPEC}target_fitness = 0.25\n");
    let of = |text: &str| read(text).orient_target(read(text).stop.target_fitness.unwrap());
    assert_eq!((of(&target), of(&target.replace("minimise", "maximise"))), (-0.25, 0.25));
}

#[test]
fn what_is_wrong_is_named() {
    for (from, to, expected) in [
        ("\"external\"", "\"foreign\"", "problem.kind: must be \"external\""),
        ("name = \"cart-pole\"", "name = \"Cart\"", "problem.name: must be 1 to 64 characters"),
        ("\"minimise\"", "\"down\"", "problem.direction: unknown variant `down`"),
        ("scores = [", "score = [", "problem.score: unknown field `score`"),
        ("[\"steps\"]", "[\"steps\", \"steps\"]", "problem.scores[1]: names `steps` twice"),
        ("[\"steps\"]", "[]\nrecheck = { relative = 2.0 }", "problem.recheck.relative: "),
        ("[\"steps\"]", "[]\nrecheck = { absolute = -1.0 }", "problem.recheck.absolute: "),
        ("[\"steps\"]", "[]\nrecheck = { near = 1.0 }", "problem.recheck.near: unknown field"),
        (
            "[\"steps\"]",
            "[]\nnoisy = true\nrecheck = {}",
            "problem.recheck: compares answers, and those of a noisy",
        ),
        ("[\"steps\"]", "[\"a b\"]", "problem.scores[0]: must be 1 to 64 letters"),
        ("candidate = 2", "candidate = 0", "problem.evaluations_per_candidate: must be from 1"),
        (
            "candidate = 2",
            "candidate = 2\nseeds = [1]",
            "problem.evaluations_per_candidate: must be the number of",
        ),
        ("candidate = 2", "candidate = 2\ntime_limit_s = 0", "problem.time_limit_s: must be from 0.001 to"),
        (
            "candidate = 2",
            "candidate = 2\ntime_limit_s = 1e-300",
            "problem.time_limit_s: must be from 0.001 to",
        ),
        ("\"rate\"", "\"seed\"", "problem.parameters[0].name: must not be \"seed\""),
        ("\"rate\"", "\"layers\"", "problem.parameters[2].name: names `layers` twice"),
        ("\"rate\"", "\"1st\"", "problem.parameters[0].name: must be 1 to 64 letters"),
        ("low = 1e-4", "low = 0.0", "problem.parameters[0].low: must be above 0 on a logarithmic scale"),
        ("low = 1e-4\n", "", "problem.parameters[0].initial: is missing"),
        ("high = 1.0", "high = 1e-5", "problem.parameters[0].high: must be above low"),
        ("\"log\"", "\"logarithmic\"", "problem.parameters[0].scale: unknown variant"),
        ("value = \"adam\"", "", "problem.parameters[1].value: is missing"),
        ("value = \"adam\"", "value = \"adam\"\nlow = 1", "problem.parameters[1].low: is no setting"),
        ("value = \"adam\"", "value = [1]", "problem.parameters[1].value: expected a number"),
        ("low = 1\n", "low = 1.5\n", "problem.parameters[2].low: must be a whole number"),
        ("high = 8", "", "problem.parameters[2].high: is missing"),
        ("high = 8", "high = 8\nscale = \"log\"", "problem.parameters[2].scale: is no setting"),
        ("high = 8", "high = 8\ninitial = 9", "problem.parameters[2].initial: must be within"),
        ("high = 8", "high = 1e17", "problem.parameters[2].high: must be from"),
        ("length = 3", "length = 0", "problem.parameters[3].length: must be from 1"),
        ("deviation = 2.0", "deviation = 0", "problem.parameters[3].deviation: must be above 0"),
        ("deviation = 2.0", "", "problem.parameters[3].deviation: is missing"),
        ("seed = 3", "seed = 3\nnumerics = \"any\"", "numerics: is of rules"),
        ("seed = 3", "seed = 3\nstart = { genome = \"backpropagation\" }", "start.genome: must be \"zeros\""),
        ("seed = 3", "seed = 3\nstart = { noise = 0.5 }", "start.noise: is added to the transforms"),
        (
            "\"cma-es\"\npopulation_size = 8\nstep_size = 1.0",
            "\"gradient\"",
            "strategy.kind: gradient is of rules",
        ),
        ("candidate = 2", "candidate = 4096\n", ""),
        ("population_size = 8", "population_size = 60000", ""),
    ] {
        let text = SPEC.replace(from, to);
        assert_ne!(text, SPEC, "{from}");
        match RunSpec::read(&text) {
            Ok(_) => assert_eq!(expected, "", "{to}"),
            Err(error) => {
                let error = SpecError { line: None, ..error }.to_string();
                assert!(!expected.is_empty() && error.starts_with(expected), "{to}: {error}");
            }
        }
    }
    let many = SPEC.replace("candidate = 2", "candidate = 4096").replace("size = 8", "size = 4000");
    let error = RunSpec::read(&many).unwrap_err().to_string();
    assert!(error.contains(": problem.evaluations_per_candidate: times strategy.population_size"), "{error}");
    let start = SPEC.find("[[problem").unwrap();
    let none = format!("{}parameters = []\n[stop]\ngenerations = 1", &SPEC[..start]);
    assert!(RunSpec::read(&none).unwrap_err().to_string().contains(": problem.parameters: must have one"));
}

#[test]
fn only_its_parameters_say_what_is_an_integer() {
    let text = SPEC.replace("step_size = 1.0", "step_size = 1.0\nintegers = [1]");
    let error = RunSpec::read(&text).unwrap_err().to_string();
    assert!(error.contains(": strategy.integers: is of points for ask-tell"), "{error}");
}
