//! The lines of `hebbian ask-tell`: one of candidates per generation, one at the end.

use hebbian_search::ask_tell::AskTell;
use hebbian_search::{Restart, StopReason};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use serde::Serialize;

use super::json;

#[derive(Serialize)]
struct GenerationLine<'a> {
    generation: u32,
    candidates: Vec<&'a Genome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Vec<u32>>,
}

#[derive(Serialize)]
struct OpenLine {
    generation: u32,
    open: Vec<u32>,
}

#[derive(Serialize)]
struct StopLine<'a> {
    stop: &'a str,
    detail: &'a str,
    mean: Genome,
    best: Option<&'a Genome>,
    best_fitness: Option<Fitness>,
}

/// The candidates of the open generation, and where some of their fitnesses were told, which are open.
pub(crate) fn generation(search: &AskTell) -> String {
    let candidates = search.candidates().iter().map(|candidate| &candidate.genome).collect();
    let open = Some(search.open()).filter(|open| open.len() < search.candidates().len());
    json::line(&GenerationLine { generation: search.generation(), candidates, open })
}

/// The candidates whose fitness was not told yet, by their places.
pub(crate) fn open(search: &AskTell) -> String {
    json::line(&OpenLine { generation: search.generation(), open: search.open() })
}

/// Why a search ended and what it found; `best` is null if every candidate failed.
pub(crate) fn stop(search: &AskTell, reason: &StopReason) -> String {
    json::line(&StopLine {
        stop: &reason.criterion,
        detail: &reason.detail,
        mean: search.mean(),
        best: search.best().map(|(point, _)| point),
        best_fitness: search.best().map(|(_, fitness)| *fitness),
    })
}

/// A restart, for people.
pub(crate) fn restart(restart: &Restart) -> String {
    format!(
        "restart {}: {} ({}); a new search with population {} and step size {}",
        restart.number,
        restart.reason.criterion,
        restart.reason.detail,
        restart.population_size,
        super::text::significant(restart.step_size)
    )
}
