//! The rule's part of a comparison, computed by a cluster's workers.

use hebbian_learning::comparison::remote::Gathered;
use hebbian_learning::comparison::{Ablation, ComparisonSettings};
use hebbian_learning::fingerprint::fingerprint;
use hebbian_proto::v1;
use hebbian_shared::episode::EPISODE_SEMANTICS;
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::evaluation::{EvaluationSpec, Objective};
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::{Numerics, Problem, ResolvedSpec, RuleLearning, RunSpec};

use crate::client::{Client, ClientArguments};
use crate::command::block_on;
use crate::failure::Failure;
use crate::render::progress::Activity;

/// Has the workers of a coordinator compute what the rule scores on every task.
pub(crate) fn gather(
    arguments: &ClientArguments,
    problem: &RuleLearning,
    genome: &Genome,
    settings: &ComparisonSettings,
) -> Result<Gathered, Failure> {
    let request = v1::CompareRequest {
        comparison: Some(v1::RuleComparison {
            spec: ResolvedSpec::from(spec(problem, settings)?).json().to_owned(),
            genome: genome.to_le_bytes(),
            families: settings.families.iter().map(ToString::to_string).collect(),
            updates: settings.updates.clone(),
            ablations: settings.ablations.iter().map(|&ablation| wire(ablation).into()).collect(),
            tasks_per_family: settings.tasks_per_family,
        }),
        fingerprint: fingerprint().0.to_vec(),
        episode_semantics: EPISODE_SEMANTICS,
    };
    let mut gathered = Gathered::new(settings);
    block_on(async {
        let client = Client::connect(arguments).await?;
        let mut stream = client.compare(request).await?;
        let activity = Activity::new("training the rule's networks on the cluster");
        while let Some(response) = stream.message().await.map_err(|status| client.broken(&status))? {
            let v1::CompareResponse { family, first_task, scores } = response;
            gathered.add(family, first_task, &scores).map_err(|problem| {
                Failure::failed(format_args!("{}: the answer is not understood: {problem}", client.url()))
            })?;
            let (done, total) = gathered.progress();
            activity.show(done as f64 / total.max(1) as f64);
        }
        let (done, total) = gathered.progress();
        if done < total {
            let problem = format!("{}: the comparison ended after {done} of {total} tasks", client.url());
            return Err(Failure::unreachable(problem));
        }
        Ok(())
    })?;
    Ok(gathered)
}

/// A spec that carries the comparison's problem and seed; there is no search.
fn spec(problem: &RuleLearning, settings: &ComparisonSettings) -> Result<RunSpec, Failure> {
    let mut spec = RunSpec::read(crate::QUICKSTART).expect("the quickstart is tested to be valid");
    let regresses = problem.tasks.families.iter().any(|family| family.is_regression());
    "comparison".clone_into(&mut spec.name);
    spec.seed = settings.seed;
    spec.problem = Problem::RuleLearning(problem.clone());
    spec.evaluation = EvaluationSpec::default();
    if regresses {
        spec.evaluation.objective = Objective::SquaredError;
    }
    spec.validation = None;
    spec.stop = StopSpec { generations: Some(1), ..StopSpec::default() };
    spec.numerics = Numerics::default();
    spec.validate().map_err(|error| {
        Failure::failed(format_args!("this rule cannot be sent to a cluster: {error}"))
            .hint("without --coordinator it is compared here")
    })?;
    Ok(spec)
}

fn wire(ablation: Ablation) -> v1::Ablation {
    match ablation {
        Ablation::NoBackwardTransform => v1::Ablation::NoBackwardTransform,
        Ablation::HiddenSynapsesFrozen => v1::Ablation::HiddenSynapsesFrozen,
        Ablation::ReadoutOnly => v1::Ablation::ReadoutOnly,
    }
}
