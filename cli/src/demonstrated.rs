//! What a rule does: what networks answer that learn a fresh task by the mean of a run, for reports, files and the live page.

use hebbian_learning::comparison::{BaselineSettings, known_adam};
use hebbian_learning::demonstration::{Answers, LOOKS, Learner, Probe, SIDE, demonstrate};
use hebbian_learning::task::data_set::NoDataSets;
use hebbian_proto::v1;
use hebbian_shared::genome::Genome;
use hebbian_shared::limits::DEMONSTRATED_NUMBERS_MAX;
use hebbian_shared::spec::ResolvedSpec;
use hebbian_view::learned::{self, Learned, LearnerLooks};
use hebbian_view::picture::Picture;

/// What networks answer that learn a fresh task by the result, and by a baseline where there is one. `None` of an external problem, and
/// where tasks have no picture, or their data are not part of the program.
pub(crate) fn learned(
    result: &v1::RunResult,
    baseline: Option<&(String, BaselineSettings)>,
) -> Option<Learned> {
    let spec = ResolvedSpec::from_json(result.spec.clone()).ok()?;
    let problem = spec.problem.rule_learning()?;
    let genome = Genome(result.mean.clone());
    let mut learners = vec![Learner::by_rule("learned rule", problem, genome)];
    learners.extend(baseline.map(|(name, of)| Learner::by_baseline(name, problem, *of)));
    let family = *problem.tasks.families.first()?;
    let shown = demonstrate(&learners, family, spec.seed, &NoDataSets)?;
    let answers = |answers: Answers| LearnerLooks {
        name: answers.name,
        looks: answers.looks,
        accuracy: answers.accuracy,
    };
    Some(Learned {
        family: family.name().to_owned(),
        updates: LOOKS.to_vec(),
        asked: match shown.asked {
            Probe::Plane(examples) => learned::Question::Plane { side: SIDE, examples },
            Probe::Images(images) => learned::Question::Images(images),
        },
        learners: shown.learners.into_iter().map(answers).collect(),
    })
}

/// The same as pictures for the live page, beside Adam as the program knows it for these tasks; or why there are none.
pub(crate) fn for_the_page(result: &v1::RunResult) -> Result<String, String> {
    let spec = ResolvedSpec::from_json(result.spec.clone()).map_err(|error| error.to_string())?;
    let problem = spec.problem.rule_learning().ok_or("The run searches for no learning rule.")?;
    if problem.network_numbers() > DEMONSTRATED_NUMBERS_MAX {
        return Err(
            "Its networks are too large to be trained for a page: `hebbian plot` draws what they do."
                .to_owned(),
        );
    }
    let learned = learned(result, Some(&known_adam(problem))).ok_or(
        "Its tasks have no picture: they are neither points of the plane nor images that the program has.",
    )?;
    Ok(learned::pictures(&learned).iter().map(Picture::html).collect())
}
