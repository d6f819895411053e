//! Some episodes are computed twice, by different workers, so that one that answers plausibly and wrongly is found.
//!
//! A share of the episodes settles only when two workers have said the same of it: to the last bit, or, of an external problem, within
//! its tolerance. Which ones nobody can foresee, and no worker can
//! tell that it is asked for the second time. Where two disagree, a third is asked, and so on until two agree; whoever said otherwise
//! has *lied*. Where nobody else could be asked that is proven, the first answer settles. It costs that share of the computing time
//! and cannot change what an honest worker's answers make of a run.

use std::collections::BTreeSet;

use hebbian_shared::dispatch::{Report, Settlement};
use hebbian_shared::episode::{EpisodePurpose, Outcome};
use hebbian_shared::id::{BlockIndex, GenerationIndex, RunId, WorkerId};
use hebbian_shared::spec::external::Tolerance;

use super::Scheduler;
use super::work::Work;

/// Which episodes are computed twice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recheck {
    /// Their share of all, 0 to 1; 0 for none.
    pub share: f64,
    /// What nobody outside may know: it decides which.
    pub secret: u64,
}

impl Recheck {
    /// Whether an episode is computed twice.
    pub(super) fn picks(self, run: RunId, generation: GenerationIndex, slot: u32) -> bool {
        if self.share <= 0.0 {
            return false;
        }
        let place = u64::from(generation.0) << 32 | u64::from(slot);
        let mixed = mix(mix(self.secret ^ mix(run.number())) ^ place);
        // 53 bits are a number from 0 to 1.
        ((mixed >> 11) as f64) < self.share * (1_u64 << 53) as f64
    }
}

/// Scatters the bits of a number (the finaliser of `SplitMix64`).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// What workers have said of an episode that is computed twice, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Check {
    answers: Vec<(WorkerId, Outcome)>,
}

impl Check {
    /// Who has answered.
    pub(super) fn answered(&self) -> BTreeSet<WorkerId> {
        self.answers.iter().map(|(worker, _)| *worker).collect()
    }

    fn has(&self, worker: WorkerId) -> bool {
        self.answers.iter().any(|(of, _)| *of == worker)
    }
}

/// What an answer makes of an episode.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Weighed {
    /// It settles; these have said otherwise.
    Settles(Vec<WorkerId>),
    /// Somebody else has to say the same first.
    Waits,
}

impl Work {
    /// Takes an answer. `picked` says whether the episode is computed twice, `tolerance` how far honest answers may be apart, `others` whether somebody that is proven could be asked
    /// beside those that have answered or failed.
    pub(super) fn weigh(
        &mut self,
        slot: u32,
        worker: WorkerId,
        outcome: &Outcome,
        (picked, tolerance): (bool, Tolerance),
        others: impl Fn(&BTreeSet<WorkerId>) -> bool,
    ) -> Weighed {
        if self.has_settled(slot) || !picked && !self.checks.contains_key(&slot) {
            return Weighed::Settles(Vec::new());
        }
        let check = self.checks.entry(slot).or_default();
        if !check.has(worker) {
            let agrees = |said: &Outcome| tolerance.agree(said, outcome);
            if check.answers.iter().any(|(_, said)| agrees(said)) {
                let lied = check.answers.iter().filter(|(_, said)| !agrees(said)).map(|(worker, _)| *worker);
                let lied = lied.collect();
                self.checks.remove(&slot);
                return Weighed::Settles(lied);
            }
            check.answers.push((worker, outcome.clone()));
        }
        // One answer alone settles where nobody can be asked; two that differ wait for somebody who can.
        let alone = check.answers.len() == 1 && check.answers[0].1 == *outcome;
        let mut known = check.answered();
        known.extend(self.setbacks.get(&slot).into_iter().flat_map(|setbacks| setbacks.failed_on.keys()));
        if alone && !others(&known) {
            self.checks.remove(&slot);
            return Weighed::Settles(Vec::new());
        }
        Weighed::Waits
    }
}

impl Scheduler {
    /// Says how far apart the answers of honest workers may be: only where they can be compared something is computed twice.
    pub fn set_tolerance(&mut self, run: RunId, tolerance: Option<Tolerance>) {
        if let Some(entry) = self.runs.get_mut(&run) {
            entry.tolerance = tolerance;
        }
    }

    /// Which of a run's episodes are computed twice, and how far apart honest answers may be.
    pub(super) fn recheck(&self, run: RunId) -> (Recheck, Tolerance) {
        match self.runs.get(&run).and_then(|entry| entry.tolerance) {
            Some(tolerance) => (self.settings.recheck, tolerance),
            None => (Recheck::default(), Tolerance::NONE),
        }
    }

    /// Who could be asked about what a report answers, if that is to be computed twice.
    pub(super) fn who_checks(&self, report: &Report) -> BTreeSet<WorkerId> {
        let (run, (recheck, _)) = (report.run, self.recheck(report.run));
        let entry = self.runs.get(&run).filter(|entry| entry.is_at(report.generation));
        let Some(work) = entry.and_then(|entry| entry.work.as_ref()) else { return BTreeSet::new() };
        if recheck.share <= 0.0 && work.checks.is_empty() {
            return BTreeSet::new();
        }
        let is_checked = |settlement: &Settlement| {
            let slot = work.slot(report.purpose, report.block, settlement.candidate, settlement.task);
            slot.is_some_and(|slot| {
                recheck.picks(run, report.generation, slot) || work.checks.contains_key(&slot)
            })
        };
        if report.settlements.iter().any(is_checked) { self.proven(run).collect() } else { BTreeSet::new() }
    }

    /// An episode of the open generation settled with an answer, and another worker says otherwise: a third one is asked. The episode
    /// must be open again for its run, too.
    pub fn dispute(
        &mut self,
        run: RunId,
        settled: &Settlement,
        about: (EpisodePurpose, BlockIndex),
        answers: Vec<(WorkerId, Outcome)>,
    ) {
        let work = self.runs.get_mut(&run).and_then(|entry| entry.work.as_mut());
        let work = work.expect("an answer is disputed while its generation is open");
        let (purpose, block) = about;
        let slot = work.slot(purpose, block, settled.candidate, settled.task);
        let slot = slot.expect("a disputed answer settled an episode of the generation");
        work.checks.insert(slot, Check { answers });
        work.reopen(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_the_episodes_and_another_secret_picks_others() {
        let picked = |secret, share| -> Vec<u32> {
            let recheck = Recheck { share, secret };
            (0..100_000).filter(|slot| recheck.picks(RunId::new(7), GenerationIndex(3), *slot)).collect()
        };
        assert!(picked(1, 0.0).is_empty());
        assert_eq!(picked(1, 1.0).len(), 100_000);
        let (one, two) = (picked(1, 0.01), picked(2, 0.01));
        assert!((900..1100).contains(&one.len()), "{}", one.len());
        assert!(one.iter().filter(|slot| two.contains(slot)).count() < 50);
    }
}
