//! A run as a page: what it is, its pictures, its tables. The report is such a page in one file.

use std::fmt::Write as _;

use hebbian_proto::figures::{RunState, short};
use hebbian_proto::v1;
use hebbian_shared::genome::{Genome, GenomeLayout};

use crate::comparison::{self, Group};
use crate::escape::{name, text};
use crate::history::History;
use crate::learned::{self, Learned};
use crate::number::{count, digits, optional, seconds};
use crate::panels::{self, FitnessAxis};
use crate::picture::{Picture, STYLE, Table};
use crate::rule;

/// The style of pages beside that of pictures.
pub const PAGE_STYLE: &str = include_str!("page.css");

/// What a page of a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct RunPage<'a> {
    /// How the run stands.
    pub run: &'a v1::Run,
    /// What has happened.
    pub history: &'a History,
    /// What it has found.
    pub result: Option<&'a v1::RunResult>,
    /// The layout of its genomes.
    pub layout: &'a GenomeLayout,
    /// What the fitness measures, as the spec names it.
    pub objective: &'a str,
    /// The rule beside baselines, where that was measured.
    pub comparison: &'a [Group],
    /// What networks answer that learn by the rule, where that was computed.
    pub learned: Option<&'a Learned>,
}

impl RunPage<'_> {
    /// All pictures, in the order of the page.
    pub fn pictures(&self) -> Vec<Picture> {
        let mut pictures = panels::all(self.history, self.layout, self.fitness());
        pictures.extend(
            self.comparison.iter().enumerate().map(|(place, group)| comparison::picture(place, group)),
        );
        pictures.extend(self.learned.map(learned::pictures).unwrap_or_default());
        if let Some(result) = self.result {
            pictures.extend(rule::matrices(self.layout, &Genome(result.mean.clone()), self.found()));
        }
        pictures.extend(rule::over_generations(self.history, self.layout, self.found()));
        pictures
    }

    /// What a fitness is.
    fn fitness(&self) -> FitnessAxis<'_> {
        let is_minus_value = self.run.objective.as_ref().is_some_and(|objective| objective.minimise);
        FitnessAxis { measures: self.objective, is_minus_value }
    }

    /// What is searched for, at the beginning of a title.
    fn found(&self) -> &'static str {
        if self.run.objective.is_some() { "The result" } else { "The rule" }
    }

    /// The page's content.
    pub fn body(&self) -> String {
        let (before, behind) = self.around("");
        before + &self.pictures_html() + &behind
    }

    /// The pictures with their numbers: nearly all that a page costs.
    pub fn pictures_html(&self) -> String {
        self.pictures().iter().map(Picture::html).collect()
    }

    /// What stands before the pictures, with more HTML below the summary, and what stands behind them.
    pub fn around(&self, below_summary: &str) -> (String, String) {
        let name = name(&self.run.display_name);
        let before = format!("<h1>{name}</h1>{}{below_summary}{}", self.summary(), self.warnings());
        let mut html = String::new();
        html.push_str(&self.validation());
        html.push_str(&self.happened());
        if let Some(result) = self.result {
            let _ = write!(
                html,
                "<details><summary>Spec</summary><pre role=\"region\" aria-label=\"Spec\" tabindex=\"0\">{}</pre></details>",
                text(&result.spec)
            );
        }
        (before, html)
    }

    /// One file that needs nothing else. Nothing in it can fetch or run anything.
    pub fn report(&self, written_by: &str) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{0} - hebbian</title>\
             <style>{STYLE}{PAGE_STYLE}</style></head><body><main>{1}</main><footer>Written by {2}.</footer></body></html>\n",
            name(&self.run.display_name),
            self.body(),
            name(written_by),
        )
    }

    fn summary(&self) -> String {
        let run = self.run;
        let last = run.last_generation.as_ref();
        let is_minus_value = self.fitness().is_minus_value;
        let oriented = |fitness: f64| if is_minus_value { 0.0 - fitness } else { fitness };
        let mut rows = vec![("state", state(run)), ("run", run.id().to_owned())];
        if !run.group.is_empty() {
            rows.push(("group", run.group.clone()));
        }
        let limit =
            run.generations_limit.map_or_else(String::new, |limit| format!(" of {}", count(limit.into())));
        rows.push(("generations", format!("{}{limit}", count(self.history.closed().into()))));
        if let Some(objective) = &run.objective {
            let what = if objective.minimise { "minimise" } else { "maximise" };
            rows.push(("objective", format!("{what} {}", objective.name)));
            rows.push(("best value of any sample", optional(run.best_fitness.map(oriented))));
            let scores = last.map(|last| &last.best_scores[..]).unwrap_or_default();
            let score = |(name, score): (&String, &f64)| format!("{name} {}", optional(Some(*score)));
            if !scores.is_empty() {
                let scores: Vec<String> = objective.scores.iter().zip(scores).map(score).collect();
                rows.push(("scores of the last best", scores.join(", ")));
            }
        } else {
            rows.push(("best fitness of any sample", optional(run.best_fitness)));
        }
        rows.push(("last median fitness", optional(last.and_then(|last| last.median_fitness))));
        if let Some(figures) = self.history.remeasurement().or(run.remeasurement.as_ref())
            && let Some(fitness) = figures.mean.as_ref().and_then(|mean| mean.fitness.as_ref())
        {
            let error = digits(fitness.standard_error, 2);
            let label = match &run.objective {
                Some(_) => "the mean's value, measured again",
                None => "the result on fresh tasks",
            };
            rows.push((label, format!("{} +- {error}", digits(oriented(fitness.mean), 3))));
        }
        if let Some(last) = last {
            rows.push((
                "evaluations; episodes",
                format!("{}; {}", count(last.evaluations), count(last.episodes)),
            ));
            let elapsed = hebbian_proto::figures::duration(last.elapsed).as_secs_f64();
            rows.push(("has run", seconds(elapsed)));
        }
        rows.push(("seed; spec digest", format!("{}; {}", run.seed, short(&run.spec_digest))));
        let cell =
            |(label, value): &(&str, String)| format!("<div><dt>{label}</dt><dd>{}</dd></div>", name(value));
        format!("<dl>{}</dl>", rows.iter().map(cell).collect::<String>())
    }

    fn warnings(&self) -> String {
        let last = self.history.validations().last().or(self.run.validation.as_ref());
        let of = |warning: &v1::validation_summary::Warning| {
            format!(
                "<p class=\"warning\"><strong>{}</strong>: {}. What helps: {}.</p>",
                name(&warning.failure),
                text(&warning.figure),
                text(&warning.remedy)
            )
        };
        last.map_or_else(String::new, |last| last.warnings.iter().map(of).collect())
    }

    fn validation(&self) -> String {
        let Some(last) = self.history.validations().last().or(self.run.validation.as_ref()) else {
            return String::new();
        };
        let accuracy = |estimate: Option<v1::Estimate>| {
            estimate.map_or_else(
                || "-".to_owned(),
                |estimate| format!("{} +- {}", digits(estimate.mean, 3), digits(estimate.standard_error, 2)),
            )
        };
        let rows = last.families.iter().map(|family| {
            vec![
                family.family.clone(),
                if family.trained { "yes" } else { "no" }.to_owned(),
                family.tasks.to_string(),
                accuracy(family.accuracy),
                accuracy(family.extended),
                family.diverged.to_string(),
            ]
        });
        let after = [last.updates, last.extended_updates].map(|updates| format!("after {updates}"));
        let heading = ["family", "trained on", "tasks", &after[0], &after[1], "diverged"];
        let table = Table::new(&heading, rows.collect());
        format!(
            "<h2>The last validation (generation {})</h2>{}",
            last.generation,
            table.html("The last validation")
        )
    }

    fn happened(&self) -> String {
        let mut html = String::new();
        let notes = if self.history.notes().is_empty() { &self.run.notes[..] } else { self.history.notes() };
        if !notes.is_empty() {
            let item = |note: &String| format!("<li>{}</li>", text(note));
            let items: String = notes.iter().rev().map(item).collect();
            let _ = write!(html, "<h2>Notes, newest first</h2><ul>{items}</ul>");
        }
        if !self.history.marks().is_empty() {
            let rows = self
                .history
                .marks()
                .iter()
                .rev()
                .map(|mark| vec![mark.generation.to_string(), mark.kind.to_owned(), mark.text.clone()]);
            let table = Table::new(&["generation", "what", "why"], rows.collect());
            let _ = write!(html, "<h2>What happened</h2>{}", table.html("What happened"));
        }
        html
    }
}

/// A run's state in words.
pub fn state(run: &v1::Run) -> String {
    match run.state() {
        None => "a state of a newer program".to_owned(),
        Some(RunState::Paused(paused)) => format!("paused: {}", paused.reason),
        Some(RunState::Finished(reason)) => format!("finished: {}", reason.detail),
        Some(RunState::Failed(failed)) => format!("failed: {}", failed.reason),
        Some(state) => state.name().to_owned(),
    }
}
