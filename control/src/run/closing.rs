//! How a generation closes, and how a run ends.

use std::sync::Arc;

use hebbian_proto::convert::from_duration;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::validation_summary::Warning;
use hebbian_shared::digest::Digest;
use hebbian_shared::episode::{EpisodePurpose, Outcome};
use hebbian_shared::estimate::Estimate;
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::id::CandidateIndex;
use hebbian_shared::spec::External;
use hebbian_shared::time::Timestamp;

use super::open::Measurement;
use super::record::{Closed, Record, Settled, Turn, Write};
use super::search::{Advance, Advanced, Failure, Outcomes};
use super::strategy::candidates_max;
use super::{Run, distribution, validation};

impl Run {
    /// Takes the search and the outcomes of the complete generation out, to be computed; [`Run::close`] takes what comes of
    /// them. `None` if the search is out, or lost.
    pub fn advance(&mut self) -> Option<Advance> {
        assert!(self.is_complete(), "only complete generations are closed");
        if self.open.share().is_some() {
            return None;
        }
        let outcomes = self.open.measurement(EpisodePurpose::Search)?;
        let search = self.search.take()?;
        self.advancing = true;
        let outcomes = Arc::clone(outcomes);
        let outcomes = Outcomes::Whole(outcomes);
        Some(Advance { run: self.id, generation: self.generation, search, outcomes })
    }

    /// The same of an asynchronous search: it is told of the first candidates that were complete. Of the others those stay open that
    /// somebody has begun; as many are drawn that its population and `threads` have something to do.
    pub fn advance_arrived(&mut self, begun: &[CandidateIndex], threads: u32) -> Option<Advance> {
        let share = self.open.share()?;
        let measurement = Arc::clone(self.open.measurement(EpisodePurpose::Search)?);
        let search = self.search.take()?;
        self.advancing = true;
        let arrived = measurement.complete()[..share as usize].to_vec();
        let most = candidates_max(&self.spec).max(2 * share as usize);
        let complete = &measurement.complete()[share as usize..];
        let begun = begun.iter().map(|candidate| candidate.0);
        let begun = begun.filter(|&candidate| !measurement.is_complete(candidate));
        let kept: Vec<u32> = complete.iter().copied().chain(begun).take(most - share as usize).collect();
        let fresh = share + threads.saturating_sub(kept.len() as u32);
        let fresh = fresh.min((most - kept.len()) as u32);
        let told = arrived.iter().map(|&candidate| measurement.measured_of(candidate)).collect();
        let outcomes = Outcomes::Arrived(told, Turn { arrived, kept, fresh });
        Some(Advance { run: self.id, generation: self.generation, search, outcomes })
    }

    /// Whether candidates enter the search as they come.
    pub fn is_asynchronous(&self) -> bool {
        self.open.share().is_some()
    }

    /// The candidates of the generation before that are the first of the open one, where the search is asynchronous.
    pub fn kept(&self) -> &[u32] {
        &self.kept
    }

    /// Whether the search is out with the outcomes of the open generation.
    pub fn is_advancing(&self) -> bool {
        self.advancing
    }

    /// Whether a computed generation is the one that the run waits for.
    pub fn awaits(&self, advanced: &Advanced) -> bool {
        self.advancing && !self.state.is_final() && advanced.place() == (self.id, self.generation)
    }

    /// Closes the complete generation with what its outcomes made of the search, and opens the next; the record and the snapshot go
    /// to `out` together. An error leaves the generation open.
    pub fn close(&mut self, now: Timestamp, advanced: Advanced, out: &mut Vec<Write>) -> Result<(), String> {
        assert!(self.awaits(&advanced), "what closes a generation is what was made of it");
        self.advancing = false;
        let generation = self.generation;
        let (search, (told, turn), step) = advanced.outcome.map_err(|Failure { search, problem }| {
            self.search = search;
            problem
        })?;
        let verdicts: Vec<Verdict> = told.iter().map(|measured| measured.verdict).collect();
        let diverging = validation::divergence(&self.spec, self.generation, &verdicts);
        let validated = self.validated(0, diverging.clone());
        let restart = step.summary.restart.clone();
        let summary = self.summarise(now, verdicts, step.summary, step.snapshot.digest, turn.as_ref());
        let contributions = match &turn {
            Some(turn) => self.open.contributions_to(&turn.arrived),
            None => self.open.contributions(),
        };
        let carried = turn.as_ref().map(|turn| self.open.carried(&turn.kept));
        self.kept = turn.as_ref().map_or_else(Vec::new, |turn| turn.kept.clone());
        let summary = v1::GenerationSummary { workers: contributions.len() as u32, ..summary };
        let record = Record::GenerationClosed(Box::new(Closed { summary, told, contributions, turn }));
        self.apply(now, &record, Some(search));
        self.write(record, out);
        if let Some((settlements, makers)) = carried.filter(|(settlements, _)| !settlements.is_empty()) {
            let (generation, purpose) = (self.generation, EpisodePurpose::Search);
            let mut settled = Settled { generation, purpose, settlements, makers: Vec::new() };
            settled.made_by(makers);
            self.commit(now, Record::Settled(settled), out);
        }
        if let Some(validated) = validated {
            self.commit(now, Record::Validated(Box::new(validated)), out);
        }
        if let Some(diverging) = diverging {
            self.warn(now, &diverging, out);
        }
        if let Some(restart) = restart {
            let v1::Restart { number, population_size, step_size, criterion, detail } = restart;
            let text = format!(
                "generation {generation}: restart {number}, population {population_size}, step size {step_size:.3}: the \
                 search before ended by {criterion} ({detail})"
            );
            self.note(now, text, out);
        }
        out.push(Write::Snapshot { run: self.id, snapshot: step.snapshot });
        Ok(())
    }

    fn summarise(
        &self,
        now: Timestamp,
        mut verdicts: Vec<Verdict>,
        search: v1::SearchSummary,
        digest: Digest,
        turn: Option<&Turn>,
    ) -> v1::GenerationSummary {
        let outcomes = self.open.measurement(EpisodePurpose::Search).expect("it was advanced with them");
        let external = self.spec.problem.external();
        let best_scores = external.and_then(|problem| best_scores(problem, &verdicts, outcomes, turn));
        let episodes = turn.map_or(outcomes.episodes(), |turn| turn.arrived.len() as u32 * outcomes.tasks());
        verdicts.sort_unstable();
        let all_failed = verdicts.iter().all(|verdict| !verdict.is_ranked());
        let failed_before = self.last.as_ref().and_then(|last| last.failed_generations).unwrap_or(0);
        let fit = verdicts.iter().filter_map(|verdict| verdict.fitness()).map(Fitness::get);
        v1::GenerationSummary {
            fitness_quantiles: distribution::of_fitness(&fit.collect::<Vec<_>>()),
            // Whoever closes the generation knows them.
            workers: 0,
            generation: self.generation.0,
            updates: self.spec.updates(self.generation.0),
            best_scores: best_scores.unwrap_or_default(),
            best_fitness: verdicts.last().and_then(|verdict| verdict.fitness()).map(Fitness::get),
            median_fitness: median(&verdicts),
            fitness_deviation: deviation(&verdicts),
            diverged: verdicts.iter().filter(|verdict| !verdict.is_ranked()).count() as u32,
            infeasible: verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Infeasible(_))).count()
                as u32,
            evaluations: self.evaluations + verdicts.len() as u64,
            episodes: self.episodes + u64::from(episodes),
            compute_time: Some(from_duration(outcomes.compute_time())),
            elapsed: Some(from_duration(self.elapsed_at(now))),
            search: Some(search),
            state_digest: digest.0.to_vec(),
            failed_generations: all_failed.then(|| failed_before.saturating_add(1)),
        }
    }

    /// What the open generation's validation has found of the mean at a place, if there is one.
    fn validated(&self, place: usize, diverging: Option<Warning>) -> Option<v1::ValidationSummary> {
        let spec = &self.spec;
        let settings = spec.validation.as_ref()?;
        let measurement = self.open.measurement(EpisodePurpose::Validation)?;
        let (layout, generation) = (&self.layout, self.generation);
        let history = &self.validations;
        Some(validation::summarise(
            spec,
            settings,
            layout,
            generation,
            (measurement, place),
            history,
            diverging,
        ))
    }

    /// The best of several means in validation, the earliest of equals.
    fn select(&mut self, now: Timestamp, out: &mut Vec<Write>) {
        let Some(measurement) = self.open.measurement(EpisodePurpose::Validation) else { return };
        let searches: Vec<(u32, f64)> = self
            .reached
            .finalists
            .iter()
            .map(|f| f.search)
            .zip(validation::accuracies(measurement))
            .collect();
        if searches.len() < 2 {
            return;
        }
        let best = (0..searches.len()).rev().max_by(|&a, &b| searches[a].1.total_cmp(&searches[b].1));
        let place = best.expect("there are several") as u32;
        self.commit(now, Record::Selected { place, searches }, out);
    }

    /// Notes a failure, unless one of the kept notes tells it already.
    fn warn(&mut self, now: Timestamp, warning: &Warning, out: &mut Vec<Write>) {
        let heading = format!("warning: {}: ", warning.failure);
        if !self.notes.iter().any(|note| note.starts_with(&heading)) {
            let text = format!("{heading}{}; {}", warning.figure, warning.remedy);
            self.commit(now, Record::Note { text }, out);
        }
    }

    /// Ends the search before the open generation; what is open from here on is the measurement of its result.
    pub fn end_search(&mut self, now: Timestamp, reason: v1::StopReason, out: &mut Vec<Write>) {
        self.commit(now, Record::SearchEnded { reason }, out);
    }

    /// Finishes the run whose result has been measured completely; the figures and the state go to `out` together.
    pub fn finish(&mut self, now: Timestamp, out: &mut Vec<Write>) {
        debug_assert!(self.is_complete(), "only what is complete is finished");
        let reason = self.search_ended.clone().expect("only a run whose search has ended is finished");
        self.select(now, out);
        let place = self.selected.unwrap_or(0);
        if let Some(validated) = self.validated(place, None) {
            self.commit(now, Record::Validated(Box::new(validated)), out);
        }
        if let Some(measurement) = self.open.measurement(EpisodePurpose::Remeasure) {
            let places = (place, self.reached.finalists.len());
            let figures = validation::remeasured(&self.spec, self.generation, measurement, places);
            self.commit(now, Record::Remeasured(figures), out);
        }
        self.change_state(now, RunState::Finished(reason), out);
    }
}

/// The scores of the best candidate, each the mean over its evaluations; `None` where none is feasible. The verdicts are in the order of
/// candidates.
fn best_scores(
    problem: &External,
    verdicts: &[Verdict],
    outcomes: &Measurement,
    turn: Option<&Turn>,
) -> Option<Vec<f64>> {
    if problem.scores.is_empty() {
        return None;
    }
    // Of equals the first.
    let candidates = verdicts.iter().enumerate().rev();
    let fit = candidates.filter_map(|(place, verdict)| Some((verdict.fitness()?, place)));
    let (_, best) = fit.max_by_key(|(fitness, _)| *fitness)?;
    let best = turn.map_or(best as u32, |turn| turn.arrived[best]);
    let outcomes: Vec<&Outcome> = outcomes.outcomes_of(best).map(|(_, outcome)| outcome).collect();
    Some(validation::scores(outcomes.into_iter(), problem.scores.len()).map(|of| of.mean).collect())
}

/// The standard deviation of the fitnesses among verdicts.
fn deviation(verdicts: &[Verdict]) -> Option<f64> {
    let fitnesses = verdicts.iter().filter_map(|verdict| verdict.fitness()).map(Fitness::get);
    let count = fitnesses.clone().count();
    (count > 1).then(|| Estimate::of(fitnesses).deviation(count))
}

/// The median fitness of verdicts ranked worst to best; `None` if it falls on a diverged one.
fn median(ranked: &[Verdict]) -> Option<f64> {
    let upper = ranked.get(ranked.len() / 2)?.fitness()?.get();
    if ranked.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = ranked[ranked.len() / 2 - 1].fitness()?;
    Some(f64::midpoint(lower.get(), upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_those_of_what_did_not_diverge() {
        let of = |fitnesses: &[Option<f64>]| {
            let verdict = |fitness: &Option<f64>| match fitness {
                Some(fitness) => Verdict::Fit(Fitness::new(*fitness).unwrap()),
                None => Verdict::Diverged { episodes: 1 },
            };
            deviation(&fitnesses.iter().map(verdict).collect::<Vec<_>>())
        };
        let found = of(&[None, Some(1.0), Some(3.0), Some(1.0), Some(3.0)]).unwrap();
        assert!((found - (4.0_f64 / 3.0).sqrt()).abs() < 1e-15, "{found}");
        assert_eq!(of(&[Some(0.5), Some(0.5)]), Some(0.0));
        assert_eq!(of(&[Some(0.5), None]), None, "one alone deviates from nothing");
        assert_eq!(of(&[None]), None);
        assert_eq!(of(&[Some(f64::MIN), Some(f64::MAX)]), Some(f64::MAX), "no infinity is told");
    }
}
