//! Each family of rules on a cluster with kills: the bits of `hebbian run`.

use crate::cluster::{check_kills, for_kills};

/// A spec of a family; `rest` are its own lines.
fn spec(name: &str, strategy: &str, rest: &str) -> String {
    format!(
        r#"
name = "{name}"
seed = 7
strategy = {{ {strategy} }}
{rest}

[stop]
generations = 300
"#
    )
}

#[test]
fn of_update_networks() {
    let rest = r#"
[rule]
family = "update-networks"
body_states = 3
synapse_states = 2
embedding = 2
features = 3

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
    check_kills(&spec("update-networks", r#"kind = "openai-es", population_size = 8"#, rest), &["2"]);
}

#[test]
fn of_warped_descent_by_gradients() {
    let rest = r#"
[rule]
family = "warped-descent"
rank = 2
start = "learned"

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
unroll = [{ generations = 300, updates = 40 }]
"#;
    check_kills(&spec("warped-descent", r#"kind = "gradient", learning_rate = 0.003"#, rest), &["2"]);
}

#[test]
fn of_sample_weights() {
    let rest = r#"
[rule]
family = "sample-weights"
units = 3
inputs = "loss-and-progress"
normalise = "sum"
horizon = 40

[network]
hidden = [5]

[tasks]
families = ["digits"]
per_generation = 2
batch_size = 16
query_size = 50
label_noise = { kind = "symmetric", rates = [0.4], samples = 100 }

[evaluation]
objective = "accuracy"
measure = [{ update = "last", weight = 1.0 }]
unroll = [{ generations = 300, updates = 40 }]
"#;
    check_kills(
        &spec("sample-weights", r#"kind = "cma-es", population_size = 8, noise = "none""#, rest),
        &["2"],
    );
}

#[test]
fn of_gradient_descent_and_of_local_plasticity() {
    for family in ["gradient-descent", "abcd"] {
        let rule = format!("rule = {{ family = \"{family}\" }}");
        check_kills(&for_kills().replace("rule = { states = 2 }", &rule), &["2"]);
    }
}
