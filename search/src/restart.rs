//! CMA-ES begun anew whenever it has stopped by itself, under one budget.
//!
//! IPOP (A. Auger and N. Hansen 2005) doubles the population each time. BIPOP (N. Hansen 2009) spends as much on searches
//! with small populations and small steps, which find narrow optima, as on those that double. The first search is that of
//! the settings, to the last bit; later ones start from a draw of its initial distribution.

use hebbian_shared::genome::Genome;
use hebbian_shared::limits::POPULATION_SIZE_MAX;
use hebbian_shared::seed::{Purpose, Seed, uniform};
use hebbian_shared::spec::strategy::{CmaEsSpec, Restarts};
use serde::{Deserialize, Serialize};

use super::cma_es::{self, CmaEs};
use super::envelope::{Envelope, Form, unreachable};
use super::stop::reason;
use super::{
    Candidate, Finalist, Frame, Measured, Restart, SearchSummary, StopReason, Strategy, StrategyError,
    WarmStart,
};

const FORM: Form = Form { strategy: "cma-es with restarts", version: 1 };
/// Of searches with integers: the present one's factors follow its state.
const FORM_WITH_INTEGERS: Form = Form { strategy: "cma-es with restarts", version: 2 };

/// What all searches together keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest population; a search that would need a larger one is not begun.
    pub population_size: u32,
    /// Ended searches of which the means are kept for a choice among them at the end; the best by their last medians.
    pub finalists: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { population_size: POPULATION_SIZE_MAX, finalists: 0 }
    }
}

/// See the module.
pub struct RestartedCmaEs {
    mean: Vec<f64>,
    settings: CmaEsSpec,
    seed: Seed,
    frame: Frame,
    state: State,
    search: CmaEs,
}

/// How far all searches have come.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    present: Plan,
    /// Candidates told to the present search.
    spent: u64,
    /// Candidates of ended searches: large ones and small ones.
    spent_by_regime: [u64; 2],
    /// The mean and the final median fitness of the best search that has ended.
    elite: Option<(Vec<f64>, f64)>,
    /// Ended searches that are kept for a choice at the end; none where no choice is wanted.
    finalists: Vec<EndedSearch>,
    /// The median fitness of the present search's last generation.
    median: Option<f64>,
    /// What ended a search in the last generation.
    restarted: Option<StopReason>,
    /// Why there will be no further search.
    ended: Option<StopReason>,
}

/// A search that has ended, and whose mean may still become the result.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EndedSearch {
    /// From 0.
    number: u32,
    /// The mean that it ended with.
    mean: Vec<f64>,
    /// The median fitness of its last generation.
    median: f64,
}

/// One search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plan {
    /// From 0.
    number: u32,
    doublings: u32,
    population_size: u32,
    step_size: f64,
    /// Whether it is one of BIPOP's with a small population.
    small: bool,
    /// Candidates it may be told.
    allowance: Option<u64>,
}

impl State {
    /// Refuses what no search of genomes of `n` numbers can reach.
    fn check(&self, n: usize, settings: &CmaEsSpec, limits: &Limits) -> Result<(), StrategyError> {
        let Self { present, elite, finalists, .. } = self;
        let finite = |mean: &[f64], fitness: f64| {
            mean.len() == n && mean.iter().all(|x| x.is_finite()) && fitness.is_finite()
        };
        let sound = (4..=POPULATION_SIZE_MAX).contains(&present.population_size)
            && present.step_size > 0.0
            && present.step_size <= settings.step_size
            && present.doublings <= present.number
            && elite.as_ref().is_none_or(|(elite, fitness)| finite(elite, *fitness))
            && (limits.finalists == 0 || finalists.len() <= limits.finalists)
            && finalists.iter().all(|f| f.number <= present.number && finite(&f.mean, f.median));
        if sound { Ok(()) } else { Err(unreachable()) }
    }
}

impl RestartedCmaEs {
    /// A search that starts from `mean`.
    pub fn new(mean: Vec<f64>, settings: &CmaEsSpec, seed: Seed, frame: &Frame) -> Self {
        let present = Plan {
            number: 0,
            doublings: 0,
            population_size: settings.population_size,
            step_size: settings.step_size,
            small: false,
            allowance: None,
        };
        let search = CmaEs::begin(mean.clone(), settings, seed, frame);
        let state = State {
            present,
            spent: 0,
            spent_by_regime: [0; 2],
            elite: None,
            finalists: Vec::new(),
            median: None,
            restarted: None,
            ended: None,
        };
        Self { mean, settings: settings.clone(), seed, frame: frame.clone(), state, search }
    }

    /// The search that was started from `mean` with the same settings, as it was when it gave away its state.
    pub fn restore(
        mean: &[f64],
        settings: &CmaEsSpec,
        seed: Seed,
        frame: &Frame,
        stored: &Envelope,
    ) -> Result<Self, StrategyError> {
        let (state, search): (State, cma_es::State) = if cma_es::has_integers(settings, frame) {
            let (state, search, factors): (_, cma_es::State, Vec<f64>) = stored.open(FORM_WITH_INTEGERS)?;
            (state, search.with_factors(factors))
        } else {
            stored.open(FORM)?
        };
        let mut restored = Self::new(mean.to_vec(), settings, seed, frame);
        state.check(restored.mean().0.len(), settings, &frame.limits)?;
        let (start, settings, search_seed) = restored.start_of(&state.present);
        restored.search = CmaEs::resume(start, &settings, search_seed, frame, search)?;
        restored.state = state;
        if frame.limits.finalists == 0 {
            // A fork may have no use for what its parent kept.
            restored.state.finalists.clear();
        }
        Ok(restored)
    }

    /// Initial mean, settings and seed of a search. All but the first start from a candidate of the first one's initial
    /// distribution.
    fn start_of(&self, plan: &Plan) -> (Vec<f64>, CmaEsSpec, Seed) {
        if plan.number == 0 {
            return (self.mean.clone(), self.settings.clone(), self.seed);
        }
        let seed = self.seed.derive(Purpose::Restart, u64::from(plan.number));
        let first = CmaEs::begin(self.mean.clone(), &self.settings, seed, &self.frame).ask().swap_remove(0);
        let settings = CmaEsSpec {
            population_size: plan.population_size,
            step_size: plan.step_size,
            ..self.settings.clone()
        };
        // Another stream than the draw of the mean.
        (first.genome.0, settings, seed.derive(Purpose::Restart, 0))
    }

    /// The search after the present one: large, or with half of what a large one has spent on average. `None` if its population would be too large.
    fn next(&self) -> Option<Plan> {
        let State { present, spent_by_regime: [large, small], .. } = &self.state;
        let number = present.number + 1;
        let doublings = present.doublings + 1;
        let population_size = self.settings.population_size.checked_mul(1u32.checked_shl(doublings)?)?;
        let step_size = self.settings.step_size;
        if self.settings.restarts == Restarts::Bipop && small < large {
            let mut rng = self.seed.derive(Purpose::Restart, u64::from(number)).rng();
            let (shape, shrink) = (uniform(&mut rng), uniform(&mut rng));
            let factor = libm::exp2(f64::from(present.doublings) * shape * shape);
            return Some(Plan {
                number,
                doublings: present.doublings,
                population_size: (f64::from(self.settings.population_size) * factor) as u32,
                step_size: step_size * libm::exp10(-2.0 * shrink),
                small: true,
                allowance: Some(large / u64::from(doublings) / 2),
            });
        }
        let fits = population_size <= self.frame.limits.population_size;
        fits.then_some(Plan { number, doublings, population_size, step_size, small: false, allowance: None })
    }

    /// Ends the present search and begins the next.
    fn restart(&mut self, why: StopReason) {
        let state = &mut self.state;
        let spent = &mut state.spent_by_regime[usize::from(state.present.small)];
        *spent = spent.saturating_add(state.spent);
        if let Some(median) = state.median {
            keep_finalist(
                &mut state.finalists,
                EndedSearch { number: state.present.number, mean: self.search.mean().0, median },
                self.frame.limits.finalists,
            );
        }
        if let Some(median) = state.median
            && state.elite.as_ref().is_none_or(|(_, best)| median > *best)
        {
            state.elite = Some((self.search.mean().0, median));
        }
        let Some(plan) = self.next() else {
            let detail = format!(
                "the last of {} searches ended by {} ({}); a larger population than {} is not allowed",
                self.state.present.number + 1,
                why.criterion,
                why.detail,
                self.frame.limits.population_size
            );
            self.state.ended = Some(reason("restarts", detail));
            return;
        };
        let (start, settings, seed) = self.start_of(&plan);
        self.search = CmaEs::begin(start, &settings, seed, &self.frame);
        self.state.present = plan;
        self.state.spent = 0;
        self.state.median = None;
        self.state.restarted = Some(why);
    }
}

/// Adds an ended search; of more than `most` the one with the lowest median is dropped, of equal ones the latest.
fn keep_finalist(finalists: &mut Vec<EndedSearch>, finalist: EndedSearch, most: usize) {
    finalists.push(finalist);
    if finalists.len() > most
        && let Some(worst) =
            (0..finalists.len()).rev().min_by(|&a, &b| finalists[a].median.total_cmp(&finalists[b].median))
    {
        finalists.remove(worst);
    }
}

impl Strategy for RestartedCmaEs {
    fn ask(&self) -> Vec<Candidate> {
        self.search.ask()
    }

    fn tell(&mut self, measured: &[Measured]) -> Result<(), StrategyError> {
        self.search.tell(measured)?;
        let state = &mut self.state;
        state.spent = state.spent.saturating_add(measured.len() as u64);
        state.restarted = None;
        let mut fits: Vec<f64> = measured.iter().filter_map(|m| Some(m.verdict.fitness()?.get())).collect();
        fits.sort_unstable_by(f64::total_cmp);
        state.median = fits.get(fits.len() / 2).copied().or(state.median);
        let allowance = state.present.allowance.filter(|allowance| state.spent >= *allowance);
        let why = self.search.stop_reason().or_else(|| {
            let detail = format!("{} evaluations (limit {})", state.spent, allowance?);
            Some(reason("allowance", detail))
        });
        if let Some(why) = why.filter(|_| state.ended.is_none()) {
            self.restart(why);
        }
        Ok(())
    }

    fn inject(&mut self, points: &[Genome]) -> Result<(), StrategyError> {
        self.search.inject(points)
    }

    fn warm_start(&self) -> Option<WarmStart> {
        self.search.warm_start()
    }

    fn stop_reason(&self) -> Option<StopReason> {
        self.state.ended.clone()
    }

    /// The mean of the best search, judged by the median fitness of its last generation.
    fn mean(&self) -> Genome {
        match (&self.state.elite, self.state.median) {
            (Some((elite, best)), median) if median.is_none_or(|median| median <= *best) => {
                Genome(elite.clone())
            }
            _ => self.search.mean(),
        }
    }

    /// Those of the ended searches that were kept, and the present one's; first the one that the search itself would choose.
    fn finalists(&self) -> Vec<Finalist> {
        let present = Finalist { search: self.state.present.number, mean: self.search.mean() };
        let own = self.mean();
        if self.frame.limits.finalists == 0 {
            return vec![Finalist { mean: own, ..present }];
        }
        // When no further search is begun, the last one is among those that have ended, too.
        let ended = self.state.finalists.iter().filter(|ended| ended.number != present.search);
        let ended = ended.map(|ended| Finalist { search: ended.number, mean: Genome(ended.mean.clone()) });
        let mut finalists: Vec<Finalist> = ended.chain([present.clone()]).collect();
        // A fork of a search that kept none knows only the best that has ended, and not its number.
        if finalists.iter().all(|finalist| finalist.mean != own) {
            finalists.push(Finalist { search: 0, mean: own.clone() });
        }
        finalists.sort_by_key(|finalist| finalist.mean != own);
        finalists
    }

    fn summary(&self) -> SearchSummary {
        let restart = self.state.restarted.as_ref().map(|reason| {
            Box::new(Restart {
                number: self.state.present.number,
                population_size: self.state.present.population_size,
                step_size: self.state.present.step_size,
                reason: reason.clone(),
            })
        });
        SearchSummary { restart, ..self.search.summary() }
    }

    fn state(&self) -> Envelope {
        let search = self.search.stored();
        if cma_es::has_integers(&self.settings, &self.frame) {
            return Envelope::seal(FORM_WITH_INTEGERS, &(&self.state, search, search.factors()));
        }
        Envelope::seal(FORM, &(&self.state, search))
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::fitness::{Fitness, Verdict};
    use hebbian_shared::spec::strategy::NoiseHandling;

    use super::*;

    /// Steps without a slope: each search soon ends by `flat`, at a level that depends on where it started.
    fn plateaus(x: &[f64]) -> f64 {
        -(x[0] * 4.0).round().abs()
    }

    fn search(restarts: Restarts, limits: Limits) -> RestartedCmaEs {
        let settings = CmaEsSpec { restarts, noise: NoiseHandling::None, ..CmaEsSpec::of(6) };
        let frame = Frame { limits, ..Frame::default() };
        RestartedCmaEs::new(vec![3.0, 0.0], &settings, Seed::new(1).unwrap(), &frame)
    }

    fn tell(search: &mut RestartedCmaEs) {
        let fit = |c: &Candidate| Verdict::Fit(Fitness::new(plateaus(&c.genome.0)).unwrap());
        let verdicts: Vec<Verdict> = search.ask().iter().map(fit).collect();
        search.tell(&Measured::without_gradients(&verdicts)).unwrap();
    }

    /// Candidates told, over all searches.
    fn evaluations(search: &RestartedCmaEs) -> u64 {
        search.state.spent + search.state.spent_by_regime.iter().sum::<u64>()
    }

    /// All restarts of a search until it ends or has spent so many evaluations, checked against a copy restored from its state after each generation.
    fn restarts(mut search: RestartedCmaEs, most: u64) -> (Vec<Restart>, Option<StopReason>, Vec<f64>) {
        let mut restarts = Vec::new();
        for _ in 0..100_000 {
            if search.stop_reason().is_some() || evaluations(&search) >= most {
                return (restarts, search.stop_reason(), search.mean().0);
            }
            let stored = Envelope::from_bytes(&search.state().to_bytes()).unwrap();
            let RestartedCmaEs { mean, settings, seed, frame, .. } = &search;
            let mut restored = RestartedCmaEs::restore(mean, settings, *seed, frame, &stored).unwrap();
            assert_eq!(restored.ask(), search.ask());
            tell(&mut search);
            tell(&mut restored);
            assert_eq!(Strategy::state(&restored), Strategy::state(&search));
            assert_eq!(restored.mean(), search.mean());
            restarts.extend(search.summary().restart.map(|restart| *restart));
        }
        panic!("the search must end");
    }

    #[test]
    fn ipop_doubles_the_population_until_the_largest() {
        let limits = Limits { population_size: 50, ..Limits::default() };
        let (found, reason, mean) = restarts(search(Restarts::Ipop, limits), u64::MAX);
        let sizes: Vec<(u32, u32)> = found.iter().map(|r| (r.number, r.population_size)).collect();
        assert_eq!(sizes, [(1, 12), (2, 24), (3, 48)]);
        assert!(found.iter().all(|r| !r.reason.detail.is_empty() && r.step_size == 0.5));
        assert_eq!(reason.unwrap().criterion, "restarts");
        assert!(plateaus(&mean) > plateaus(&[3.0]), "{mean:?}");
    }

    #[test]
    fn bipop_spends_alike_on_small_and_large_populations_within_one_budget() {
        let limits = Limits { population_size: 1 << 14, finalists: 0 };
        let mut bipop = search(Restarts::Bipop, limits);
        while evaluations(&bipop) < 30_000 {
            tell(&mut bipop);
        }
        assert_eq!(bipop.stop_reason(), None);
        let [large, small] = bipop.state.spent_by_regime;
        assert!(small > large / 4 && large > 0, "{large} {small}");
        let (found, _, _) = restarts(search(Restarts::Bipop, limits), 3000);
        assert_eq!((found[0].number, found[0].population_size), (1, 6));
        assert!(found.iter().any(|r| r.step_size < 0.5) && found.iter().any(|r| r.population_size > 6));
    }

    #[test]
    fn the_best_of_ended_searches_are_kept_for_a_choice() {
        let limits = Limits { population_size: 50, finalists: 2 };
        let mut ipop = search(Restarts::Ipop, limits);
        let mut ended = Vec::new();
        while ipop.stop_reason().is_none() {
            let (mean, number) = (ipop.search.mean(), ipop.state.present.number);
            tell(&mut ipop);
            if ipop.state.restarted.is_some() || ipop.stop_reason().is_some() {
                assert_ne!(mean, ipop.search.mean());
                ended.push(number);
            }
            let finalists = ipop.finalists();
            assert!(finalists.len() <= 3, "two that have ended, and the present one");
            assert_eq!(finalists[0].mean, ipop.mean());
            let present = |finalist: &&Finalist| finalist.search == ipop.state.present.number;
            assert_eq!(finalists.iter().filter(present).count(), 1);
        }
        assert_eq!(ended, [0, 1, 2, 3]);
        let kept: Vec<f64> = ipop.state.finalists.iter().map(|finalist| finalist.median).collect();
        assert_eq!(kept.len(), 2);
        let best = ipop.state.elite.as_ref().unwrap().1;
        assert!(kept.contains(&best), "{kept:?} {best}");
        // And they survive a restart at any time.
        restarts(search(Restarts::Ipop, limits), u64::MAX);
    }

    /// The first search is the one without restarts.
    #[test]
    fn nothing_differs_before_the_first_restart() {
        let mut restarted = search(Restarts::Ipop, Limits::default());
        let mut plain = CmaEs::new(vec![3.0, 0.0], &restarted.settings, restarted.seed);
        while plain.stop_reason().is_none() {
            assert_eq!(plain.ask(), restarted.ask());
            let fit = |c: &Candidate| Verdict::Fit(Fitness::new(plateaus(&c.genome.0)).unwrap());
            let verdicts: Vec<Verdict> = plain.ask().iter().map(fit).collect();
            plain.tell(&Measured::without_gradients(&verdicts)).unwrap();
            restarted.tell(&Measured::without_gradients(&verdicts)).unwrap();
        }
        let restart = restarted.summary().restart.unwrap();
        assert_eq!((restart.number, &restart.reason), (1, &plain.stop_reason().unwrap()));
        assert_ne!(plain.ask(), restarted.ask());
    }
}
