//! Each family of rules with each way to search on a cluster with kills: the bits of `hebbian run`.

use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::rule::RuleSpec;

use crate::cluster::check_kills;

/// The estimators of gradients, by what a spec calls them.
const ESTIMATORS: [&str; 5] = ["unrolled", "trajectory", "trajectory-first-order", "one-step", "evograd"];

/// Each family with its options and its start, and with its networks, tasks and updates.
const FAMILIES: [(&str, &str, &str); 8] = [
    (
        "multi-state",
        r#"
states = 2
gates = "per-state"
genome = "per-layer"
forward_activation = ["tanh", "d_tanh"]
backward_activation = "tanh"
last_layer_activation = "identity"
backward_update = "gated"
feedback = "softmax-difference"
symmetric_synapses = true
readout = true
initial_scale = { tied_draws = [0, 0] }
[start]
genome = "backpropagation"
noise = 0.02
"#,
        PLANE,
    ),
    ("gradient-descent", "", PLANE),
    ("abcd", "", PLANE),
    (
        "kernel-ridge",
        "",
        r#"
[tasks]
families = ["xor", "half-plane"]
per_generation = 4
batch_size = 4
query_size = 16
[evaluation]
objective = "logistic"
measure = [{ update = "last", weight = 1.0 }]
# It solves for all examples that it has seen.
unroll = [{ generations = 300, updates = 8 }]
"#,
    ),
    (
        "update-networks",
        r"
body_states = 3
synapse_states = 2
embedding = 2
features = 3
[start.segments]
axon = { noise = 0.3 }
body_candidate = { noise = 0.3 }
body_gate = { noise = 0.3 }
synapse_pre = { noise = 0.3 }
synapse_post = { noise = 0.3 }
synapse_out = { noise = 0.3 }
",
        REMEMBER,
    ),
    (
        "warped-descent",
        r#"
rank = 2
start = "learned"
"#,
        r#"
[network]
hidden = [8, 8]
[tasks]
families = ["sinusoid"]
per_generation = 6
batch_size = 10
support = "fixed"
query_size = 50
[evaluation]
objective = "squared-error"
measure = [{ update = 5, weight = 1.0 }, { update = "last", weight = 1.0 }]
unroll = [{ generations = 300, updates = 20 }]
"#,
    ),
    (
        "sample-weights",
        r#"
units = 3
inputs = "loss-and-progress"
normalise = "sum"
horizon = 20
[start.segments]
input = { noise = 0.5 }
bias = { noise = 0.5 }
output = { noise = 0.5 }
"#,
        r#"
[network]
hidden = [5]
[tasks]
families = ["digits"]
per_generation = 4
batch_size = 16
query_size = 50
label_noise = { kind = "symmetric", rates = [0.4], samples = 100 }
[evaluation]
objective = "logistic"
measure = [{ update = "last", weight = 1.0 }]
unroll = [{ generations = 300, updates = 20 }]
"#,
    ),
    ("linear-memory", "passes = 3", REMEMBER),
];

/// Networks that learn points of the plane: few neurons and many updates, so that episodes take a while.
const PLANE: &str = r#"
[network]
hidden = [3]
[tasks]
families = ["xor", "half-plane"]
per_generation = 4
batch_size = 4
query_size = 16
[evaluation]
objective = "logistic"
measure = [{ update = "last", weight = 1.0 }]
unroll = [{ generations = 100, updates = 100 }, { generations = 1, updates = 200 }]
"#;

/// Networks without hidden layers that remember bits.
const REMEMBER: &str = r#"
[network]
hidden = []
[tasks]
families = ["remember-bits"]
per_generation = 4
batch_size = 1
query_size = 8
remember = { cue = 8, target = 8, noise = 0.0 }
[evaluation]
objective = "squared-error"
measure = [{ update = "last", weight = 1.0 }]
unroll = [{ generations = 300, updates = 16 }]
"#;

/// A search by a strategy that evolves, or along gradients by one of the estimators; long enough to be killed in the middle on a fast machine.
fn spec(family: &str, search: &str) -> String {
    let (_, rule, problem) =
        FAMILIES.iter().find(|(name, ..)| *name == family).expect("the family has its row");
    let strategy = if ESTIMATORS.contains(&search) {
        format!(
            r#"kind = "gradient", learning_rate = 0.003, warm_up = 10, cosine = 300, estimator = "{search}""#
        )
    } else {
        format!(r#"kind = "{search}", population_size = 8"#)
    };
    format!(
        r#"
name = "{family}"
seed = 7
strategy = {{ {strategy} }}
stop = {{ generations = 300 }}
[rule]
family = "{family}"
{rule}
{problem}
"#
    )
}

macro_rules! of {
    ($($name:ident: $family:literal by $search:literal;)*) => {
        $(
            #[test]
            fn $name() {
                let workers: &[&str] = if $family == "multi-state" { &["1", "2", "4"] } else { &["2"] };
                check_kills(&spec($family, $search), workers);
            }
        )*

        /// What is tested.
        const ROWS: &[(&str, &str)] = &[$(($family, $search)),*];
    };
}

of! {
    multi_state_by_evolution: "multi-state" by "cma-es";
    multi_state_by_gradients: "multi-state" by "unrolled";
    gradient_descent: "gradient-descent" by "cma-es";
    abcd: "abcd" by "cma-es";
    kernel_ridge: "kernel-ridge" by "cma-es";
    update_networks_by_evolution: "update-networks" by "openai-es";
    update_networks_by_gradients: "update-networks" by "unrolled";
    warped_descent_by_evolution: "warped-descent" by "openai-es";
    warped_descent_by_gradients: "warped-descent" by "unrolled";
    warped_descent_by_trajectories: "warped-descent" by "trajectory";
    warped_descent_by_trajectories_of_first_order: "warped-descent" by "trajectory-first-order";
    sample_weights_by_evolution: "sample-weights" by "cma-es";
    sample_weights_by_gradients: "sample-weights" by "unrolled";
    sample_weights_by_one_step: "sample-weights" by "one-step";
    sample_weights_by_evograd: "sample-weights" by "evograd";
    linear_memory: "linear-memory" by "pgpe";
}

/// Whoever adds a family, or a gradient to a family, adds a row.
#[test]
fn every_family_has_a_row_for_each_way_to_search() {
    for rule in RuleSpec::of_each_family() {
        let family = rule.options().family();
        let rows: Vec<&str> =
            ROWS.iter().filter(|(name, _)| *name == family).map(|(_, search)| *search).collect();
        assert!(rows.iter().any(|search| !ESTIMATORS.contains(search)), "`{family}` by evolution");
        for estimator in ESTIMATORS {
            let spec = RunSpec::read(&spec(family, estimator));
            let refused = spec.as_ref().err().map(std::string::ToString::to_string);
            assert_eq!(spec.is_ok(), rows.contains(&estimator), "`{family}` by `{estimator}`: {refused:?}");
        }
    }
}
