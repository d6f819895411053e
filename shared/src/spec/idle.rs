//! Options that do nothing beside the others: whoever writes one means something that would not happen.

use super::task::{SinusoidSpec, TaskFamily};
use super::{RunSpec, SpecError, is_default};

/// An option and what it belongs to, for a spec in which that is not so.
pub(crate) type Idle = (&'static str, &'static str);

/// Refuses the first option that is not as it is by default and does nothing, naming the field.
pub(super) fn refuse(spec: &RunSpec) -> Result<(), SpecError> {
    let Some(problem) = spec.problem.rule_learning() else { return Ok(()) };
    let validated = spec.validation.iter().flat_map(|validation| &validation.families);
    let families: Vec<TaskFamily> = problem.tasks.families.iter().chain(validated).copied().collect();
    let waves = families.contains(&TaskFamily::Sinusoid);
    let remembers = |family: &TaskFamily| family.name().starts_with("remember-");
    let snippets = families.iter().any(remembers);
    let tasks = &problem.tasks;
    // A rule may be judged on data sets that it is not trained on.
    let images =
        !tasks.data_sets.is_empty() || families.iter().any(|family| family.is_images() || remembers(family));
    let (SinusoidSpec { disjoint, seed, known, .. }, usual) = (tasks.sinusoid, SinusoidSpec::default());
    let of_tasks = [
        (!is_default(&tasks.images) && !images, ("tasks.images", "families of images")),
        (!is_default(&tasks.remember) && !snippets, ("tasks.remember", "the families `remember-*`")),
        (!is_default(&tasks.sinusoid) && !waves, ("tasks.sinusoid", "the family `sinusoid`")),
        (!disjoint && seed != usual.seed, ("tasks.sinusoid.seed", "disjoint waves")),
        (!disjoint && known != usual.known, ("tasks.sinusoid.known", "disjoint waves")),
    ];
    let of_tasks = of_tasks.into_iter().find_map(|(is_idle, option)| is_idle.then_some(option));
    match problem.rule.options().idle().or(of_tasks) {
        Some((field, of)) => {
            Err(SpecError::field(field, format!("has no effect here: it is of {of}; leave it out")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_without_an_effect_are_refused_and_those_with_one_are_not() {
        let read = |family: &str, rule: &str, tasks: &str| {
            let text = format!(
                "name = \"x\"\nstrategy = {{ kind = \"cma-es\", population_size = 8 }}\nrule = {{ {rule} }}\nnetwork = {{ hidden = [4] }}\n\
                 tasks = {{ families = [\"{family}\"], {tasks} }}\nevaluation = {{ {} }}\nstop = {{ generations = 1 }}\n",
                "objective = \"squared-error\", measure = [{ update = 1, weight = 1.0 }], unroll = [{ generations = 1, updates = 1 }]"
            );
            RunSpec::read(&text).map_err(|error| error.to_string())
        };
        let (warped, weights) = ("family = \"warped-descent\"", "family = \"sample-weights\"");
        let rule = |family: &str, more: &str| format!("{family}, {more}");
        for (family, rule, tasks, field) in [
            ("xor", rule(warped, "warp = \"linear\", rank = 5"), "", "rule.rank"),
            ("xor", rule(warped, "warp = \"none\", block = 2"), "", "rule.block"),
            ("xor", rule(warped, "warp = \"none\", share_layers = true"), "", "rule.share_layers"),
            ("xor", rule(warped, "start = \"drawn\", start_seed = 7"), "", "rule.start_seed"),
            ("xor", rule(weights, "form = \"exponential\", units = 9"), "", "rule.units"),
            ("xor", rule(weights, "inputs = \"loss\", horizon = 9"), "", "rule.horizon"),
            ("xor", warped.to_owned(), "images = { permute_labels = false }", "tasks.images"),
            ("xor", warped.to_owned(), "sinusoid = { amplitude_high = 3.0 }", "tasks.sinusoid"),
            ("xor", warped.to_owned(), "sinusoid = { seed = 3 }", "tasks.sinusoid"),
            ("sinusoid", warped.to_owned(), "sinusoid = { seed = 3 }", "tasks.sinusoid.seed"),
            (
                "sinusoid",
                warped.to_owned(),
                "sinusoid = { known = 3, disjoint = false }",
                "tasks.sinusoid.known",
            ),
            ("digits", warped.to_owned(), "remember = { cue = 9 }", "tasks.remember"),
        ] {
            let error = read(family, &rule, tasks).expect_err(field);
            assert!(error.contains(&format!("{field}: has no effect here")), "{field}: {error}");
        }
        for (family, rule, tasks) in [
            ("xor", rule(warped, "rank = 5"), ""),
            ("xor", rule(warped, "warp = \"diagonal\", block = 2, start_seed = 7"), ""),
            ("xor", rule(weights, "units = 9, horizon = 9"), ""),
            ("xor", rule(weights, "form = \"exponential\", horizon = 9"), ""),
            ("xor", rule(weights, "form = \"small-loss\", inputs = \"loss\""), ""),
            ("digits", warped.to_owned(), "images = { permute_labels = false }"),
            ("sinusoid", warped.to_owned(), "sinusoid = { amplitude_high = 3.0 }"),
            ("sinusoid", warped.to_owned(), "sinusoid = { disjoint = true, seed = 3, known = 3 }"),
        ] {
            read(family, &rule, tasks).unwrap_or_else(|error| panic!("{rule} {tasks}: {error}"));
        }
    }
}
