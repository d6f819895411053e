use super::rule::multi_state::{MultiStateSpec, Oja};
use super::strategy::{OpenAiEsSpec, PgpeSpec, SepCmaEsSpec};
use super::*;
use crate::limits::SPEC_BYTES_MAX;

const QUICKSTART: &str = include_str!("../../../examples/quickstart.toml");

/// The quickstart without its settings that only CMA-ES has.
fn for_any_strategy() -> String {
    QUICKSTART.replacen("step_size_max = 0.5", "", 1).replacen("noise = \"none\"", "", 1)
}

fn check(change: &str, to: &str, expected: &str) {
    assert!(QUICKSTART.contains(change), "the example has no `{change}`");
    let error = RunSpec::read(&for_any_strategy().replacen(change, to, 1)).expect_err(to);
    assert!(error.to_string().contains(expected), "`{to}` gave: {error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    // The same as JSON, which has no `nan`.
    let Ok(table) = for_any_strategy().replacen(change, to, 1).parse::<toml::Table>() else { return };
    let json = serde_json::to_string(&table).unwrap();
    if !to.contains("nan") {
        let again = RunSpec::read(&json).expect_err(&json);
        assert_eq!((again.field, again.problem), (error.field, error.problem));
    }
}

#[test]
fn an_error_has_the_line_of_its_field_and_not_of_its_section() {
    let at = |text: &str| {
        let error = RunSpec::read(text).unwrap_err();
        (error.line.unwrap(), error.field, error.problem)
    };
    let wrong = |from: &str, to: &str| {
        let text = for_any_strategy().replacen(from, to, 1);
        let line = text.lines().position(|line| line.contains(to)).unwrap() + 1;
        let (found, field, problem) = at(&text);
        assert_eq!(found, line, "{to}: {field}: {problem}");
        // The same as JSON of many lines.
        let json = serde_json::to_string_pretty(&text.parse::<toml::Table>().unwrap()).unwrap();
        let (line, in_json, of_json) = at(&json);
        let name = field.rsplit('.').next().unwrap().split('[').next().unwrap();
        let written = json.lines().nth(line - 1).unwrap();
        assert!(written.contains(&format!("\"{name}\"")) || field.ends_with(']'), "{field}: {written}");
        assert_eq!((in_json, of_json), (field, problem));
    };
    // Read by serde, by hand in two sections, and checked afterwards.
    wrong("per_generation = 24", "per_generation = -1");
    wrong("states = 4", "states = -4");
    wrong("states = 4", "sates = 4");
    wrong("population_size = 64", "population_size = 64.5");
    wrong("population_size = 64", "population = 64");
    wrong("states = 4", "states = 17");
    wrong("population_size = 64", "population_size = 3");
    wrong("hidden = [20]", "hidden = [20, 0]");
}

#[test]
fn a_text_is_told_apart_by_its_first_character() {
    let spec = RunSpec::read(QUICKSTART).unwrap();
    let resolved = ResolvedSpec::from(spec.clone());
    assert_eq!(RunSpec::read(&format!("\n {}", resolved.json())), Ok(spec));
    let error = |text: &str| RunSpec::read(text).unwrap_err().to_string();
    assert_eq!(error("{\n  \"name\": 1\n}"), "line 2: name: must be a text in quotes, not 1");
    assert_eq!(error("{\"name\": 1}"), "name: must be a text in quotes, not 1");
    let after = resolved.json().len() + 2;
    assert_eq!(
        error(&format!("{} {{", resolved.json())),
        format!("column {after}: the text must end after its object; remove what follows")
    );
    assert_eq!(error("{\"name\": \"a\""), "column 12: the text ends within an object; a `}` is missing");
    let deep = error(&format!("{{\"strategy\": {{\"x\": {}", "[".repeat(100_000)));
    assert!(deep.contains("lists and objects stand in each other too deeply"), "{deep}");
    assert_eq!(
        error("{\n  \"name\": \"a\",\n}"),
        "line 3: no comma may stand before a closing bracket; remove it"
    );
    let missing = |field| {
        format!(
            "the field `{field}` is missing; docs/spec.schema.json has every field, examples/quickstart.toml and \
             examples/cart-pole.toml show them"
        )
    };
    assert_eq!(error(""), format!("line 1: {}", missing("name")));
    assert_eq!(error("{\"name\": \"a\"}"), missing("strategy"));
    assert!(error("name = ").starts_with("line 1: "), "{}", error("name = "));
    assert!(error(&" ".repeat(SPEC_BYTES_MAX as usize + 1)).starts_with("must have at most"));
}

#[test]
fn the_quickstart_survives_being_written_and_read() {
    let spec = RunSpec::read(QUICKSTART).unwrap();
    assert_eq!(RunSpec::read(&spec.to_toml()).unwrap(), spec);
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<RunSpec>(&json).unwrap().digest(), spec.digest());
}

#[test]
fn every_wrong_field_is_named() {
    check("seed = ", "sead = ", "line");
    check("seed = ", "sead = ", "sead");
    check("seed = 1", "seed = -1", "-1");
    check(
        "population_size = 64",
        "population_size = 3",
        "strategy.population_size: must be from 4 to 65536, not 3",
    );
    check(
        "population_size = 64",
        "population_size = -8",
        "strategy.population_size: must be a whole number from 4 to 65536, not -8",
    );
    check("population_size = 64", "population_sice = 64", "population_sice");
    check(
        "step_size = 0.5",
        "step_size = \"x\"",
        "strategy.step_size: must be a number from 1e-100 to 1e6, not \"x\"",
    );
    check(
        "kind = \"cma-es\"",
        "kind = \"cma\"",
        "strategy.kind: unknown variant `cma`, expected one of `cma-es`, `random-search`",
    );
    check(
        "kind = \"cma-es\"",
        "kind = \"random-search\"\nactive = true",
        "strategy.active: is no setting of random-search, expected `population_size` or `step_size`",
    );
    for (written, expected) in [
        ("kind = \"pgpe\"\nactive = true", "strategy.active: is no setting of pgpe, expected one of"),
        ("kind = \"sep-cma-es\"\nfixed = [1]", "strategy.fixed: is no setting of sep-cma-es, expected"),
        (
            "learning_rate = 0.1\nkind = \"sep-cma-es\"",
            "strategy.learning_rate: is no setting of sep-cma-es, expected",
        ),
        (
            "learning_rate = 0.1\nkind = \"cma-es\"",
            "strategy.learning_rate: is no setting of cma-es, expected one of",
        ),
        ("learning_rate = 0.0\nkind = \"pgpe\"", "strategy.learning_rate: must be from 1e-100 to 1e6, not 0"),
        (
            "learning_rate = nan\nkind = \"openai-es\"",
            "strategy.learning_rate: must be from 1e-100 to 1e6, not NaN",
        ),
    ] {
        check("kind = \"cma-es\"", written, expected);
    }
    check("step_size = 0.5", "step_size = 0.0", "strategy.step_size");
    check("step_size = 0.5", "step_size = nan", "strategy.step_size");
    check("generations = 265", "generations = 0", "stop.generations");
    check("generations = 265", "", "stop: must set at least one");
    check("version = 1", "version = 2", "version: this program reads version 1, not 2");
    check("version = 1", "version = 0", "version: this program reads version 1, not 0");
    check("name = \"quickstart\"", "name = \"Quick start\"", "name: must be");
}

#[test]
fn every_wrong_field_of_the_problem_is_named() {
    check(
        "states = 4",
        "states = \"four\"",
        "rule.states: must be a whole number from 1 to 16, not \"four\"",
    );
    check("states = 4", "states = 17", "rule.states");
    check("states = 4", "states = 1", "rule.feedback");
    check("states = 4", "states = 4\nforward_activation = [\"tanh\"]", "rule.forward_activation");
    check("states = 4", "states = 4\nforward_activation = \"tan\"", "line");
    check(
        "states = 4",
        "states = 4\nnormalisation = { rescale = true }",
        "rule.normalisation: normalises nothing",
    );
    check("states = 4", "states = 4\noja = { scale = nan }", "rule.oja.scale: must be from");
    check(
        "states = 4",
        "states = 4\nsaturation = { epsilon = -1.0 }",
        "rule.saturation.epsilon: must be from 0",
    );
    check("states = 4", "states = 4\nsupervised_every = 0", "rule.supervised_every: must be from 1");
    check("states = 4", "states = 4\nupdatable = [false, true]", "rule.updatable: must have 3 flags");
    check("states = 4", "states = 4\ngenome = \"per-state\"", "rule.genome: unknown variant `per-state`");
    check(
        "states = 4",
        "states = 4\nforward_synapse_update = \"own-genome\"\nforward_activations_in_synapse_update = true",
        "rule.forward_activations_in_synapse_update: cannot be combined with rule.forward_synapse_update",
    );
    check("hidden = [20]", "hidden = [0]", "network.hidden[0]");
    check("hidden = [20]", "hidden = [4096, 4096]", "network.hidden");
    check("scale = 0.5", "scale = -1.0", "network.initial_synapses.scale");
    check("\"xor\"", "\"xorr\"", "xorr");
    check("\"xor\"", "\"idx:A\"", "`idx:A` is not a task family");
    check("\"xor\"", "\"idx:mnist\"", "tasks.families[0]: `idx:mnist` needs its entry in tasks.data_sets");
    check(
        "\"xor\"",
        "\"regress-wave\"",
        "evaluation.objective: must be squared-error, not accuracy: `regress-wave`",
    );
    let data_sets = |text: &str, expected: &str| {
        check("batch_size = 64", &format!("batch_size = 64\ndata_sets = [{text}]"), expected);
    };
    data_sets("{ name = \"Mnist\" }", "`Mnist` cannot be the name of a data set");
    data_sets("{ name = \"mnist\", side = 65 }", "tasks.data_sets[0].side: must be from 2 to 64, not 65");
    data_sets(
        "{ name = \"mnist\", classes = [1] }",
        "tasks.data_sets[0].classes: must be two labels or more",
    );
    data_sets("{ name = \"mnist\", classes = [1, 2, 1] }", "tasks.data_sets[0].classes: names 1 twice");
    data_sets("{ name = \"a\" }, { name = \"a\" }", "tasks.data_sets: names `a` twice");
    data_sets("{ name = \"a\", digest = \"0\" }", "a digest is 64 hexadecimal digits");
    check("hidden = [20]", "shapes = [[6], [20, 0]]", "network.shapes[1][1]: must be from 1");
    check(
        "hidden = [20]",
        "hidden = [20]\nshapes = [[6]]",
        "network.shapes: stand in place of network.hidden",
    );
    check("hidden = [20]", "shapes = [[3000, 3000], [3000, 3000]]", "network.shapes: makes more than");
    check("per_generation = 24", "per_generation = 0", "tasks.per_generation");
    check("per_generation = 24", "per_generation = 4097", "tasks.per_generation");
    check("batch_size = 64", "batch_size = 0", "tasks.batch_size");
    check("update = 10", "update = 11", "evaluation.measure[2].update");
    check("weight = 0.3", "weight = 0.0", "evaluation.measure[0].weight");
    let unmeasured = RunSpec::read(
        "name = 'x'\n[strategy]\nkind = 'cma-es'\npopulation_size = 8\n[tasks]\nfamilies = ['xor']\n\
         [evaluation]\nunroll = [{ generations = 1, updates = 5 }]\n[stop]\ngenerations = 1\n",
    );
    let error = unmeasured.expect_err("the default measures at update 10").to_string();
    assert!(error.contains(": evaluation.measure: is by default at updates 10 and last, but"), "{error}");
    check("updates = 10 ", "updates = 0 ", "evaluation.unroll[0].updates");
}

/// Fields that came later are written only where they are set, so that the digests of old specs stay what they were.
#[test]
fn new_fields_are_written_where_they_are_set() {
    let old = RunSpec::read(QUICKSTART).unwrap().to_toml();
    assert!(!old.contains("shapes") && !old.contains("data_sets"), "{old}");
    let text = QUICKSTART
        .replace("hidden = [20]", "shapes = [[6], [20], [10, 10], []]")
        .replace("[\"xor\",", "[\"idx:mnist\", \"xor\",")
        .replace(
            "batch_size = 64",
            "batch_size = 64\ndata_sets = [{ name = \"mnist\", side = 8, classes = [3, 1] }]",
        );
    let mut spec = RunSpec::read(&text).unwrap();
    assert_eq!(RunSpec::read(&spec.to_toml()).unwrap(), spec);
    let error = spec.check_complete().unwrap_err().to_string();
    assert!(
        error.starts_with("tasks.data_sets[0].digest: must be the digest of the content of `mnist`"),
        "{error}"
    );
    let problem = spec.problem.rule_learning_mut().unwrap();
    assert_eq!(problem.network.all_shapes(), [vec![6], vec![20], vec![10, 10], vec![]]);
    let family = problem.tasks.families[0];
    assert_eq!((problem.tasks.inputs(family), problem.tasks.outputs(family)), (64, 2));
    problem.tasks.data_sets[0].digest = Some(Digest::of(b""));
    assert_eq!(spec.check_complete(), Ok(()));
    assert_eq!(RunSpec::read(&spec.to_toml()).unwrap(), spec);
}

#[test]
fn large_images_count_among_synapses_and_multiplications() {
    let images = |side: u32, hidden: u32| {
        let text = QUICKSTART
            .replace("[\"xor\",", "[\"idx:a\", \"xor\",")
            .replace("hidden = [20]", &format!("hidden = [{hidden}]"))
            .replace(
                "batch_size = 64",
                &format!("batch_size = 512\ndata_sets = [{{ name = \"a\", side = {side} }}]"),
            )
            .replace("updates = 100", "updates = 2000");
        RunSpec::read(&text).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(images(28, 20), Ok(()));
    let error = images(64, 4096).unwrap_err();
    assert!(error.contains(": network.hidden: "), "{error}");
    assert!(
        images(64, 20).unwrap_err().contains(": evaluation.unroll: the longest episode"),
        "it is the projection"
    );
}

#[test]
fn wrong_fields_of_validation_are_named() {
    check("every = 25", "every = 0", "validation.every: must be from 1");
    check("every = 25", "evry = 25", "evry");
    check("\"and\", \"qand\"", "\"and\", \"and\"", "validation.families: names `and` twice");
    check(
        "tasks_per_family = 8",
        "tasks_per_family = 293",
        "validation.tasks_per_family: must be from 1 to 292",
    );
    check("unroll_factor = 5", "unroll_factor = 1", "validation.unroll_factor: must be from 2 to 100");
    check(
        "unroll_factor = 5",
        "select = \"best-restart\"",
        "validation.select: \"best-restart\" chooses among restarts",
    );
    let mut spec = RunSpec::read(QUICKSTART).unwrap();
    spec.evaluation.unroll[2].updates = 2000;
    spec.validation.as_mut().unwrap().unroll_factor = 51;
    let error = spec.validate().unwrap_err().to_string();
    assert!(
        error.starts_with("validation.unroll_factor: times the longest unroll (2000 updates)"),
        "{error}"
    );
    spec.validation.as_mut().unwrap().families.clear();
    assert_eq!(
        spec.validate().unwrap_err().to_string(),
        "validation.families: must name at least one family"
    );
}

#[test]
fn a_spec_without_validation_is_written_as_before_there_was_any() {
    let (before, rest) = QUICKSTART.split_once("[validation]").unwrap();
    let (_, stop) = rest.split_once("[stop]").unwrap();
    let spec = RunSpec::read(&format!("{before}[stop]{stop}")).unwrap();
    assert_eq!(spec.validation, None);
    assert!(!spec.to_toml().contains("validation"), "{}", spec.to_toml());
    assert_eq!(RunSpec::read(&spec.to_toml()).unwrap().digest(), spec.digest());
}

#[test]
fn validation_is_due_every_so_many_generations_but_not_at_the_start() {
    let validation = RunSpec::read(QUICKSTART).unwrap().validation.unwrap();
    let due: Vec<u32> = (0..80).filter(|&generation| validation.is_due(generation)).collect();
    assert_eq!(due, [25, 50, 75]);
    assert_eq!(
        (validation.tasks(), validation.family(13), validation.family(14)),
        (112, task::TaskFamily::Quadric, task::TaskFamily::Xor)
    );
}

#[test]
fn pairs_need_an_even_population() {
    for kind in ["pgpe", "openai-es"] {
        let spec = |population_size: u32| {
            let text = for_any_strategy().replacen("kind = \"cma-es\"", &format!("kind = \"{kind}\""), 1);
            RunSpec::read(&text.replacen(
                "population_size = 64",
                &format!("population_size = {population_size}"),
                1,
            ))
        };
        let error = spec(63).unwrap_err();
        assert!(
            error.field == "strategy.population_size" && error.problem.starts_with("must be even, not 63"),
            "{error}"
        );
        assert!(spec(2).unwrap_err().problem.starts_with("must be from 4"));
        let spec = spec(64).unwrap();
        assert_eq!(spec.strategy.name(), kind);
        assert_eq!(RunSpec::read(&spec.to_toml()).unwrap(), spec);
    }
}

#[test]
fn a_strategy_that_names_no_sizes_has_those_of_its_kind() {
    let spec = |strategy: &str| {
        let (before, rest) = QUICKSTART.split_once("[strategy]").unwrap();
        let (_, after) = rest.split_once("\n[").unwrap();
        RunSpec::read(&format!("{before}strategy = {{ {strategy} }}\n[{after}")).unwrap().strategy
    };
    let pgpe = |step_size, learning_rate| PgpeSpec { population_size: 8, step_size, learning_rate };
    assert_eq!(spec("kind = 'pgpe', population_size = 8"), StrategySpec::Pgpe(pgpe(0.3, 0.3 / 3.0)));
    assert_eq!(
        spec("kind = 'pgpe', population_size = 8, step_size = 3.0, learning_rate = 0.5"),
        StrategySpec::Pgpe(pgpe(3.0, 0.5))
    );
    let openai_es = OpenAiEsSpec { population_size: 8, step_size: 0.2, learning_rate: 0.1 };
    assert_eq!(spec("kind = 'openai-es', population_size = 8"), StrategySpec::OpenAiEs(openai_es));
    assert_eq!(spec("kind = 'sep-cma-es', population_size = 8"), StrategySpec::SepCmaEs(SepCmaEsSpec::of(8)));
}

#[test]
fn the_unroll_schedule_is_a_function_of_the_generation() {
    let spec = RunSpec::read(QUICKSTART).unwrap();
    let updates = [0, 238, 239, 261, 262, 264, 10_000].map(|generation| spec.evaluation.updates(generation));
    assert_eq!(updates, [10, 10, 30, 30, 100, 100, 100]);
}

#[test]
fn what_costs_without_bound_is_refused() {
    check("hidden = [20]", "hidden = [4096, 4096]", "network.hidden: makes more than");
    let mut spec = RunSpec::read(QUICKSTART).unwrap();
    let problem = spec.problem.rule_learning_mut().unwrap();
    problem.network.hidden = vec![3000, 3000];
    assert_eq!(spec.validate(), Ok(()));
    spec.evaluation.unroll[2].updates = 10_000;
    let error = spec.validate().unwrap_err().to_string();
    assert!(error.starts_with("evaluation.unroll: the longest episode"), "{error}");
    spec.evaluation.unroll[2].updates = 100;
    assert_eq!(spec.validate(), Ok(()));
    spec.validation.as_mut().unwrap().unroll_factor = 100;
    let error = spec.validate().unwrap_err().to_string();
    assert!(error.starts_with("validation.unroll_factor: the longest episode"), "{error}");
}

fn cma_es(text: &str) -> strategy::CmaEsSpec {
    match RunSpec::read(text).unwrap().strategy {
        StrategySpec::CmaEs(spec) => spec,
        other => panic!("the quickstart runs cma-es, not {}", other.name()),
    }
}

#[test]
fn what_is_done_about_noise_is_auto_by_default() {
    use strategy::NoiseHandling;
    let of = |line: &str| cma_es(&QUICKSTART.replacen("noise = \"none\"", line, 1)).noise;
    assert_eq!(of(""), NoiseHandling::Auto);
    assert_eq!(of("noise = \"lra\""), NoiseHandling::Lra);
    assert_eq!(of("noise = \"none\""), NoiseHandling::None);
}

#[test]
fn the_largest_step_size_is_at_least_the_initial_one() {
    let read = |line: &str| QUICKSTART.replacen("step_size_max = 0.5", line, 1);
    assert_eq!(cma_es(&read("")).step_size_max, f64::INFINITY);
    let limited = read("step_size_max = 2.5");
    assert_eq!(cma_es(&limited).step_size_max, 2.5);
    assert_eq!(cma_es(&RunSpec::read(&limited).unwrap().to_toml()).step_size_max, 2.5);
    for wrong in ["0.25", "nan", "-inf"] {
        let error = RunSpec::read(&read(&format!("step_size_max = {wrong}"))).unwrap_err().to_string();
        assert!(error.contains("step_size_max: must be at least step_size, which is 0.5, or inf"), "{error}");
    }
}

#[test]
fn where_a_search_starts_is_checked_against_the_genomes() {
    let check = |lines: &str, expected: &str| {
        check("population_size = 64", &format!("population_size = 64\n{lines}"), expected);
    };
    check("initial_covariance = [1.0]", "strategy.initial_covariance: must hold 2346 numbers, not 1");
    check("scales = [1.0, 2.0]", "strategy.scales: must hold 68 numbers, not 2");
    check("lower_bounds = [1.0, 2.0]", "strategy.lower_bounds: must hold 1 or 68 numbers, not 2");
    check("lower_bounds = [nan]", "strategy.lower_bounds[0]: must be from -1e100 to 1e100, not NaN");
    check(
        "lower_bounds = [1.0]",
        "strategy.lower_bounds: must leave room for the start, whose coordinate 0 is 0",
    );
    check("lower_bounds = [1.0]\nupper_bounds = [-1.0]", "strategy.lower_bounds: must be below upper_bounds");
    check("fixed = [68]", "strategy.fixed[0]: must be a coordinate below 68, not 68");
    check("fixed = [3, 4, 3]", "strategy.fixed: names coordinate 3 twice");
    let all: Vec<String> = (0..68).map(|i| i.to_string()).collect();
    check(&format!("fixed = [{}]", all.join(", ")), "strategy.fixed: leaves no coordinate to search");
    check("noise = \"some\"", "unknown variant `some`, expected one of `auto`, `none`, `lra`");
    let zeros = ["0.0"; 68].join(", ");
    check(&format!("scales = [{zeros}]"), "strategy.scales[0]: must be from 1e-100 to 1e100, not 0");
    let random = |line: &str| format!("kind = \"random-search\"\n{line}");
    for (field, line) in [("noise", "noise = \"auto\""), ("scales", "scales = [1.0]")] {
        super::tests::check(
            "kind = \"cma-es\"",
            &random(line),
            &format!("strategy.{field}: is no setting of random-search"),
        );
    }
}

#[test]
fn a_covariance_matrix_that_fills_the_memory_is_refused() {
    let spec = StrategySpec::CmaEs(strategy::CmaEsSpec::of(16));
    let error = spec.validate(&vec![0.0; 100_000]).unwrap_err().to_string();
    assert!(
        error.starts_with("strategy.kind: ") && error.contains("80 GB") && error.contains("sep-cma-es"),
        "{error}"
    );
}

/// Specs, genome files and journals that were written before an option existed are compared by their digests.
#[test]
fn a_spec_without_the_later_options_is_written_as_it_was() {
    let spec = RunSpec::read(QUICKSTART).unwrap();
    let problem = spec.problem.rule_learning().unwrap();
    let written = serde_json::to_value(&problem.rule).unwrap();
    let mut names: Vec<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "backward_activation",
            "backward_update",
            "family",
            "feedback",
            "forward_activation",
            "gates",
            "hebbian",
            "last_layer_activation",
            "states",
            "symmetric_states",
            "symmetric_synapses",
            "synapse_activation",
            "zero_out_neurons",
        ]
    );
}

#[test]
fn every_option_survives_being_written_and_read() {
    let options = r#"states = 4
genome = "per-layer"
normalisation = { stored = true, in_activations = true, rescale = true }
oja = { scale = 0.5, multiplier = true, synapse_weights = true }
saturation = { epsilon = 0.25 }
forward_synapse_update = "own-genome"
supervised_every = 3
updatable = [true, false, true]
evolve_initial_scale = true
backward_update = "none""#;
    let spec = RunSpec::read(&QUICKSTART.replacen("states = 4", options, 1)).unwrap();
    assert_eq!(RunSpec::read(&spec.to_toml()).unwrap(), spec);
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<RunSpec>(&json).unwrap(), spec);
    // Two layers of synapses: four 4 x 4 matrices and six gates each, the forward update's own two and four, a norm
    // and a scale.
    assert_eq!(spec.layout().dimension(), 2 * (4 * 16 + 6) + 2 * (2 * 16 + 4) + 2);
}

#[test]
fn networks_that_would_not_fit_into_memory_are_refused() {
    fn refused(change: impl FnOnce(&mut RuleLearning)) {
        let mut spec = RunSpec::read(QUICKSTART).unwrap();
        let problem = spec.problem.rule_learning_mut().unwrap();
        problem.network.hidden = vec![4096];
        assert_eq!(problem.validate(), Ok(()));
        change(problem);
        let error = spec.validate().unwrap_err().to_string();
        assert!(error.starts_with("network.hidden: the networks of a thread with their batches"), "{error}");
    }
    refused(|problem| problem.tasks.batch_size = 16384);
    refused(|problem| problem.tasks.query_size = 16384);
    refused(|problem| {
        let oja = Some(Oja { synapse_weights: true, ..Oja::default() });
        problem.rule = MultiStateSpec { states: 8, oja, ..MultiStateSpec::default() }.into();
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the examples are files")]
fn every_example_is_valid() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        RunSpec::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        count += 1;
    }
    assert!(count >= 3, "{count} examples");
}

#[test]
fn products_of_what_is_allowed_by_itself_are_bounded() {
    let check = |strategy: &str, states: u32, hidden: &str, expected: Option<&str>| {
        let text = format!(
            "name = \"large\"\n[strategy]\n{strategy}\n[rule]\nstates = {states}\ngenome = \"per-layer\"\n\
             [network]\nhidden = {hidden}\n[tasks]\nfamilies = [\"xor\"]\nper_generation = 1\n[stop]\ngenerations = 1\n"
        );
        match (RunSpec::read(&text), expected) {
            (Ok(spec), None) => assert!(spec.layout().dimension() > 1000, "{}", spec.layout().dimension()),
            (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, _) => panic!("{strategy}: {:?}", found.map(|spec| spec.layout().dimension())),
        }
    };
    // 3,084 numbers: three layers of 16 states.
    let cma = "kind = \"cma-es\"\npopulation_size = 64";
    check(cma, 16, "[20, 20]", Some("strategy.kind: cma-es would keep full matrices of 3084 x 3084 numbers"));
    check(cma, 16, "[20]", None);
    let wide = "kind = \"sep-cma-es\"\npopulation_size = 65536";
    check(wide, 16, "[20, 20]", Some("strategy.population_size: makes 65536 candidates of 3084 numbers"));
    check("kind = \"sep-cma-es\"\npopulation_size = 64", 16, "[20, 20]", None);
}

#[test]
fn a_key_that_the_objective_does_not_see_is_noted() {
    let notes = |objective: &str| {
        let text = QUICKSTART.replacen("[tasks]", "[tasks]\nsmooth = {}", 1);
        let mut spec = RunSpec::read(&text).unwrap();
        spec.evaluation.objective = match objective {
            "accuracy" => Objective::Accuracy,
            _ => Objective::Logistic,
        };
        spec.notes()
    };
    assert!(notes("accuracy")[0].contains("tasks.smooth changes no class"));
    assert_eq!(notes("logistic"), [""; 0]);
    assert_eq!(RunSpec::read(QUICKSTART).unwrap().notes(), [""; 0]);
}

#[test]
fn what_is_no_class_is_called_by_its_name() {
    for (family, is) in [("regress-wave", "values"), ("remember-bits", "bits")] {
        let text = QUICKSTART.replacen("[tasks]", "[tasks]\nsmooth = {}", 1);
        let spec = text.parse::<toml::Table>().unwrap();
        let mut spec = serde_json::to_value(spec).unwrap();
        spec["tasks"]["families"] = serde_json::json!([family]);
        spec["evaluation"]["objective"] = "squared-error".into();
        let error = RunSpec::read(&spec.to_string()).unwrap_err().to_string();
        assert!(error.contains(&format!("`{family}` has {is}")), "{error}");
    }
}
