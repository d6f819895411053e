use super::*;

const QUICKSTART: &str = include_str!("../../../examples/quickstart.toml");

fn check(change: &str, to: &str, expected: &str) {
    assert!(QUICKSTART.contains(change), "the example has no `{change}`");
    let error = RunSpec::from_toml(&QUICKSTART.replacen(change, to, 1)).expect_err(to);
    assert!(error.to_string().contains(expected), "`{to}` gave: {error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn the_quickstart_survives_being_written_and_read() {
    let spec = RunSpec::from_toml(QUICKSTART).unwrap();
    assert_eq!(RunSpec::from_toml(&spec.to_toml()).unwrap(), spec);
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
        "strategy.population_size: invalid value: integer `-8`, expected a whole",
    );
    check("population_size = 64", "population_sice = 64", "population_sice");
    check(
        "step_size = 0.5",
        "step_size = \"x\"",
        "strategy.step_size: invalid type: string \"x\", expected a number",
    );
    check(
        "kind = \"cma-es\"",
        "kind = \"cma\"",
        "strategy.kind: unknown variant `cma`, expected `cma-es` or `random-search`",
    );
    check(
        "kind = \"cma-es\"",
        "kind = \"random-search\"\nactive = true",
        "strategy.active: is a setting of cma-es",
    );
    check("states = 4", "states = \"four\"", "rule.states: invalid type");
    check("step_size = 0.5", "step_size = 0.0", "strategy.step_size");
    check("step_size = 0.5", "step_size = nan", "strategy.step_size");
    check("states = 4", "states = 17", "rule.states");
    check("states = 4", "states = 1", "rule.feedback");
    check("states = 4", "states = 4\nforward_activation = [\"tanh\"]", "rule.forward_activation");
    check("states = 4", "states = 4\nforward_activation = \"tan\"", "line");
    check("hidden = [20]", "hidden = [0]", "network.hidden[0]");
    check("hidden = [20]", "hidden = [4096, 4096]", "network.hidden");
    check("scale = 0.5", "scale = -1.0", "network.initial_synapses.scale");
    check("\"xor\"", "\"xor\", \"xor\"", "tasks.families: names `xor` twice");
    check("\"xor\"", "\"xorr\"", "xorr");
    check("per_generation = 24", "per_generation = 0", "tasks.per_generation");
    check("per_generation = 24", "per_generation = 4097", "tasks.per_generation");
    check("batch_size = 64", "batch_size = 0", "tasks.batch_size");
    check("update = 10", "update = 11", "evaluation.measure[2].update");
    check("weight = 0.3", "weight = 0.0", "evaluation.measure[0].weight");
    check("updates = 10 ", "updates = 0 ", "evaluation.unroll[0].updates");
    check("generations = 265", "generations = 0", "stop.generations");
    check("generations = 265", "", "stop: must set at least one");
    check("version = 1", "version = 2", "version: this program reads versions 1 to 1");
    check("name = \"quickstart\"", "name = \"Quick start\"", "name: must be");
}

#[test]
fn the_unroll_schedule_is_a_function_of_the_generation() {
    let spec = RunSpec::from_toml(QUICKSTART).unwrap();
    let updates = [0, 238, 239, 261, 262, 264, 10_000].map(|generation| spec.evaluation.updates(generation));
    assert_eq!(updates, [10, 10, 30, 30, 100, 100, 100]);
}

#[test]
fn what_costs_without_bound_is_refused() {
    check("hidden = [20]", "hidden = [4096, 4096]", "network.hidden: makes more than");
    let mut spec = RunSpec::from_toml(QUICKSTART).unwrap();
    let Problem::RuleLearning(problem) = &mut spec.problem;
    problem.network.hidden = vec![3000, 3000];
    assert_eq!(spec.validate(), Ok(()));
    spec.evaluation.unroll[2].updates = 10_000;
    let error = spec.validate().unwrap_err().to_string();
    assert!(error.starts_with("evaluation.unroll: the longest episode"), "{error}");
}
