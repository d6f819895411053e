//! The lines that pass between a worker and the program that evaluates an objective: requests go to its standard input, answers come from
//! its standard output, one JSON text a line. `docs/WORKERS.md` is for whoever writes such a program.

use std::collections::BTreeMap;

use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::{Fitness, Violation};
use hebbian_shared::limits::PROGRAM_BATCH_MAX;
use hebbian_shared::spec::External;
use hebbian_shared::spec::external::ParameterValue;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One evaluation that a program is asked for.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    /// What its answer must bear.
    pub(super) id: u64,
    problem: &'a str,
    run: String,
    generation: u32,
    purpose: &'static str,
    candidate: u32,
    evaluation: u32,
    /// How often this worker has asked for it, this time included.
    attempt: u32,
    seed: u32,
    parameters: Parameters<'a>,
}

/// An object whose keys are in the order of the spec.
#[derive(Debug)]
struct Parameters<'a>(Vec<(&'a str, ParameterValue)>);

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'a> Request<'a> {
    pub(super) fn new(
        id: u64,
        problem: &'a External,
        key: &EpisodeKey,
        (attempt, seed): (u32, u32),
        parameters: Vec<(&'a str, ParameterValue)>,
    ) -> Self {
        let purpose = match key.purpose {
            EpisodePurpose::Search => "search",
            EpisodePurpose::Remeasure => "remeasure",
            EpisodePurpose::Validation => "validation",
        };
        Self {
            id,
            problem: &problem.name,
            run: format!("runs/{}", key.run),
            generation: key.generation.0,
            purpose,
            candidate: key.candidate.0,
            evaluation: key.task.0,
            attempt,
            seed,
            parameters: Parameters(parameters),
        }
    }
}

/// What a program says of one evaluation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"id\":7,\"value\":0.5}")]
struct Answer {
    id: u64,
    #[serde(default)]
    value: Given,
    #[serde(default)]
    scores: BTreeMap<String, Option<f64>>,
    infeasible: Option<f64>,
    failed: Option<String>,
    error: Option<String>,
}

/// A value, as far as it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Given {
    /// It was not.
    #[default]
    No,
    /// As `null`.
    Null,
    /// As a number.
    Number(f64),
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(written: D) -> Result<Self, D::Error> {
        Ok(Option::<f64>::deserialize(written)?.map_or(Self::Null, Self::Number))
    }
}

/// What a program says before it is asked anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    batch: u32,
}

/// How many evaluations the program takes at once, if the line says so.
pub(super) fn greeting(line: &str) -> Option<Result<usize, String>> {
    let Greeting { batch } = serde_json::from_str(line).ok()?;
    Some(if (1..=PROGRAM_BATCH_MAX).contains(&batch) {
        Ok(batch as usize)
    } else {
        Err(format!("batch: must be from 1 to {PROGRAM_BATCH_MAX}, not {batch}"))
    })
}

/// The outcomes of the evaluations of a line of requests, in their order. An error says how the line broke the protocol.
pub(super) fn answers(
    line: &str,
    ids: &[u64],
    problem: &External,
    batch: bool,
) -> Result<Vec<Outcome>, String> {
    let read: Vec<Answer> =
        if batch { read(line)? } else { read::<Answer>(line).map(|answer| vec![answer])? };
    if read.len() != ids.len() {
        return Err(format!("it gave {} answers to {} requests", read.len(), ids.len()));
    }
    let mut outcomes: BTreeMap<u64, Outcome> = BTreeMap::new();
    for answer in read {
        let id = answer.id;
        if !ids.contains(&id) || outcomes.contains_key(&id) {
            return Err(format!("it answered id {id}, which it was not asked or has answered before"));
        }
        outcomes.insert(id, outcome(answer, problem));
    }
    Ok(outcomes.into_values().collect())
}

fn read<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    serde_json::from_str(line).map_err(|error| {
        let shown: String = line.chars().take(SHOWN).collect();
        format!(
            "it wrote `{shown}` where an answer is expected, one JSON text a line: {error} (what is for people goes to standard error)"
        )
    })
}

/// Characters of a line that are shown.
const SHOWN: usize = 120;

/// What an answer says; one that says nothing that can be used is the worker's error.
fn outcome(answer: Answer, problem: &External) -> Outcome {
    let Answer { value, scores, infeasible, failed, error, .. } = answer;
    let said = [value != Given::No, infeasible.is_some(), failed.is_some(), error.is_some()];
    let wrong = |reason: String| Outcome::WorkerError { reason };
    if said.iter().filter(|said| **said).count() != 1 {
        return wrong("an answer must have one of value, infeasible, failed and error".to_owned());
    }
    if let Some(reason) = error {
        return wrong(format!("the objective broke: {reason}"));
    }
    if failed.is_some() {
        return Outcome::Diverged;
    }
    if let Some(by) = infeasible {
        return match Violation::new(by) {
            Ok(violation) => Outcome::Infeasible(violation),
            Err(error) => wrong(format!("infeasible: {error}")),
        };
    }
    // What is no number is no value: the objective has failed.
    let fitness = match value {
        Given::Number(value) => Fitness::new(value).ok(),
        Given::Null | Given::No => None,
    };
    let Some(fitness) = fitness else { return Outcome::Diverged };
    let mut found = Vec::with_capacity(problem.scores.len());
    for name in &problem.scores {
        match scores.get(name) {
            Some(Some(score)) if score.is_finite() => found.push(*score),
            Some(_) => return wrong(format!("scores.{name}: must be a finite number")),
            None => return wrong(format!("scores.{name}: is missing; the spec names it (problem.scores)")),
        }
    }
    if let Some(name) = scores.keys().find(|name| !problem.scores.contains(name)) {
        let name: String = name.chars().take(SHOWN).collect();
        return wrong(format!("scores.{name}: is not among the spec's `problem.scores`"));
    }
    Outcome::Evaluated(Evaluation { scores: found, ..Evaluation::of(fitness) })
}

/// Why an objective failed, for the log.
pub(super) fn reasons(line: &str) -> Vec<String> {
    let answers: Vec<Answer> = serde_json::from_str(line)
        .or_else(|_| serde_json::from_str(line).map(|answer: Answer| vec![answer]))
        .unwrap_or_default();
    answers.into_iter().filter_map(|answer| answer.failed).collect()
}

/// A line with `null` in place of the numbers that Python and others write and that JSON does not have.
pub(super) fn without_nan(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let (mut rest, mut in_string) = (line, false);
    while let Some(next) = rest.chars().next() {
        if in_string && next == '\\' {
            let end = rest.char_indices().nth(2).map_or(rest.len(), |(place, _)| place);
            text.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        in_string ^= next == '"';
        let word =
            ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| !in_string && rest.starts_with(word));
        if let Some(word) = word {
            text.push_str("null");
            rest = &rest[word.len()..];
        } else {
            text.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use hebbian_shared::genome::Genome;
    use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
    use hebbian_shared::spec::RunSpec;

    use super::*;

    fn problem(scores: &str) -> External {
        let text = format!(
            "name = \"mine\"\nstrategy = {{ kind = \"cma-es\", population_size = 8 }}\nstop = {{ generations = 1 }}\n\
             [problem]\nkind = \"external\"\nname = \"cart\"\ndirection = \"maximise\"\nscores = {scores}\n\
             [[problem.parameters]]\nname = \"x\"\nkind = \"real\"\ninitial = 2\ndeviation = 1\n\
             [[problem.parameters]]\nname = \"n\"\nkind = \"integer\"\nlow = 1\nhigh = 9\n"
        );
        RunSpec::read(&text).unwrap().problem.external().unwrap().clone()
    }

    fn evaluated(value: f64, scores: &[f64]) -> Outcome {
        let scores = scores.to_vec();
        Outcome::Evaluated(Evaluation { scores, ..Evaluation::of(Fitness::new(value).unwrap()) })
    }

    #[test]
    fn a_request_is_a_line_with_parameters_in_their_order() {
        let (problem, run) = (problem("[]"), RunId::new(7));
        let key = EpisodeKey {
            run,
            generation: GenerationIndex(3),
            purpose: EpisodePurpose::Remeasure,
            block: BlockIndex(0),
            candidate: CandidateIndex(4),
            task: TaskIndex(5),
        };
        let values = problem.values(&Genome(vec![1.0, 0.0]));
        let text = serde_json::to_string(&Request::new(9, &problem, &key, (2, 11), values)).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"id\":9,\"problem\":\"cart\",\"run\":\"runs/{run}\",\"generation\":3,\"purpose\":\"remeasure\",\"candidate\":4,\
                 \"evaluation\":5,\"attempt\":2,\"seed\":11,\"parameters\":{{\"x\":3.0,\"n\":5}}}}"
            )
        );
    }

    #[test]
    fn an_answer_is_a_value_a_violation_a_failure_or_an_error() {
        let check = |text: &str, expected: Outcome| {
            let found = answers(text, &[1], &problem("[\"a\", \"b\"]"), false).unwrap();
            assert_eq!(found, [expected], "{text}");
        };
        let wrong = |reason: &str| Outcome::WorkerError { reason: reason.to_owned() };
        check(r#"{"id":1,"value":2,"scores":{"b":1.5,"a":0.5}}"#, evaluated(2.0, &[0.5, 1.5]));
        check(r#"{"id":1,"infeasible":0.25}"#, Outcome::Infeasible(Violation::new(0.25).unwrap()));
        check(r#"{"id":1,"failed":"it fell"}"#, Outcome::Diverged);
        check(r#"{"id":1,"value":null}"#, Outcome::Diverged);
        check(r#"{"id":1,"error":"no disk"}"#, wrong("the objective broke: no disk"));
        check(
            r#"{"id":1,"infeasible":-1}"#,
            wrong("infeasible: a violation must be finite and not below 0, not -1"),
        );
        check(r#"{"id":1}"#, wrong("an answer must have one of value, infeasible, failed and error"));
        check(
            r#"{"id":1,"value":1,"failed":""}"#,
            wrong("an answer must have one of value, infeasible, failed and error"),
        );
        check(
            r#"{"id":1,"value":1,"scores":{"a":1}}"#,
            wrong("scores.b: is missing; the spec names it (problem.scores)"),
        );
        check(r#"{"id":1,"value":1,"scores":{"a":null,"b":1}}"#, wrong("scores.a: must be a finite number"));
        check(
            r#"{"id":1,"value":1,"scores":{"a":1,"b":1,"c":1}}"#,
            wrong("scores.c: is not among the spec's `problem.scores`"),
        );
    }

    #[test]
    fn what_is_no_answer_is_refused_with_what_it_was() {
        let refused = |text: &str, batch: bool, expected: &str| {
            let error = answers(text, &[1, 2][..=usize::from(batch)], &problem("[]"), batch).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        refused("epoch 1 of 10", false, "it wrote `epoch 1 of 10` where an answer is expected");
        refused("5", false, "expected an object such as");
        refused(r#"{"id":2,"value":1}"#, false, "id 2, which it was not asked");
        refused(r#"{"id":1,"valeu":1}"#, false, "unknown field `valeu`");
        refused(r#"[{"id":1,"value":1}]"#, true, "1 answers to 2 requests");
        refused(
            r#"[{"id":1,"value":1},{"id":1,"value":1}]"#,
            true,
            "id 1, which it was not asked or has answered",
        );
        let both = answers(r#"[{"id":2,"value":2},{"id":1,"value":1}]"#, &[1, 2], &problem("[]"), true);
        assert_eq!(both.unwrap(), [evaluated(1.0, &[]), evaluated(2.0, &[])]);
    }

    #[test]
    fn a_program_may_take_several_at_once() {
        assert_eq!(greeting(r#"{"batch":64}"#), Some(Ok(64)));
        assert!(greeting(r#"{"batch":0}"#).unwrap().is_err());
        assert_eq!(greeting(r#"{"id":1,"value":3}"#), None);
    }

    #[test]
    fn numbers_that_json_does_not_have_are_null() {
        let check = |text: &str, expected: &str| assert_eq!(without_nan(text), expected);
        check(r#"{"value": NaN, "a": -Infinity, "b": Infinity}"#, r#"{"value": null, "a": null, "b": null}"#);
        check(r#"{"failed": "NaN \" NaN"}"#, r#"{"failed": "NaN \" NaN"}"#);
        check(r#"{"ä\"#, r#"{"ä\"#);
    }
}
