//! Who settled what of a run, and from where on that is in doubt.

use std::collections::BTreeMap;

use hebbian_proto::v1;
use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::{EpisodePurpose, Outcome};
use hebbian_shared::id::{GenerationIndex, WorkerId};
use hebbian_shared::limits::CONTRIBUTORS_MAX;
use hebbian_shared::spec::Numerics;
use hebbian_shared::spec::external::Tolerance;

use super::Run;
use super::record::Place;

/// Workers that settled something, by name, with the generation in which each of them did so first. Those that are too many are
/// one, without a name.
pub(super) type Contributors = BTreeMap<String, GenerationIndex>;

impl Run {
    /// The name under which a worker is to be remembered, if it is not yet.
    pub fn is_new(&self, name: &str) -> Option<String> {
        if self.contributors.contains_key(name) {
            return None;
        }
        let known = if self.contributors.len() < CONTRIBUTORS_MAX { name } else { "" };
        (!self.contributors.contains_key(known)).then(|| known.to_owned())
    }

    /// The generation in which a worker settled something first; the run's first if that is not known. `None` if it settled nothing.
    pub fn first_settled(&self, worker: WorkerId, name: &str) -> Option<GenerationIndex> {
        let first = self.contributors.get(name).or_else(|| self.contributors.get("")).copied();
        let open = || self.open.settled_by(worker, name).next().map(|_| self.began_with());
        first.or_else(open)
    }

    /// The episodes of the open generation that a worker settled.
    pub fn settled_by(&self, worker: WorkerId, name: &str) -> Vec<Place> {
        self.open.settled_by(worker, name).collect()
    }

    /// What settled an episode, and who, if an outcome says otherwise.
    pub fn contradicted_by(
        &self,
        purpose: EpisodePurpose,
        said: &Settlement,
    ) -> Option<(Outcome, WorkerId, String)> {
        let (outcome, maker) = self.open.settled_with((purpose, said.candidate, said.task))?;
        let tolerance = self.tolerance().unwrap_or(Tolerance::NONE);
        let agree = tolerance.agree(outcome, &said.outcome);
        (!agree).then(|| (outcome.clone(), WorkerId(maker.session), maker.worker.clone()))
    }

    /// How far apart the answers of honest workers may be, if they can be compared: those of rules when it is known with which numerics.
    pub fn tolerance(&self) -> Option<Tolerance> {
        match self.spec().problem.external() {
            Some(problem) => problem.recheck,
            None => (self.spec().numerics == Numerics::Uniform && self.fingerprint().is_some())
                .then_some(Tolerance::NONE),
        }
    }

    /// Whether two answers that differ are no news.
    pub fn is_noisy(&self) -> bool {
        let external = self.spec().problem.external();
        external.map_or(self.spec().numerics != Numerics::Uniform, |problem| problem.noisy)
    }

    /// The name of a worker that settled something of the open generation.
    pub fn name_of(&self, worker: WorkerId) -> Option<String> {
        self.open.name_of(worker)
    }

    /// The generation that the run began with.
    pub(super) fn began_with(&self) -> GenerationIndex {
        self.created.origin.as_deref().map_or(GenerationIndex(0), |origin| origin.snapshot.closed)
    }

    /// From where on the run is in doubt, and what is to be done about it.
    pub(super) fn doubt(&self) -> Option<v1::Doubt> {
        let (generation, worker) = self.doubted.as_ref()?;
        let clean_generations = clean_before(*generation, self.began_with());
        Some(v1::Doubt { generation: generation.0, worker: worker.clone(), clean_generations })
    }
}

/// After how many generations a fork of a run is honest that is in doubt from a generation on; none if it is from its first one on.
pub(super) fn clean_before(generation: GenerationIndex, began_with: GenerationIndex) -> Option<u32> {
    (generation > began_with).then_some(generation.0)
}
