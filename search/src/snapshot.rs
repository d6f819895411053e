//! Strategies' states as plain numbers, and how they are stored: exact, compact, versioned.

use hebbian_shared::digest::Digest;

use super::StrategyError;

/// A strategy's whole state; one variant per strategy.
#[derive(Clone, Debug, PartialEq)]
pub enum StrategySnapshot {
    /// Of CMA-ES.
    CmaEs(Box<CmaEsSnapshot>),
    /// Of CMA-ES with restarts.
    Restarts(Box<RestartsSnapshot>),
    /// Of random search.
    RandomSearch(RandomSearchSnapshot),
    /// Of sep-CMA-ES.
    SepCmaEs(SepCmaEsSnapshot),
    /// Of PGPE.
    Pgpe(PgpeSnapshot),
    /// Of antithetic evolution strategies.
    OpenAiEs(OpenAiEsSnapshot),
}

/// The state of CMA-ES in n dimensions, in the tutorial's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct CmaEsSnapshot {
    /// Generations told; the open generation's index.
    pub generation: u32,
    /// Generations that changed the distribution: those in which at least one candidate had a fitness.
    pub updates: u32,
    /// Updates since the covariance matrix was decomposed.
    pub lag: u32,
    /// Whether the last update was refused since it would have left the finite numbers.
    pub stuck: bool,
    /// m, n numbers.
    pub mean: Vec<f64>,
    /// sigma.
    pub step_size: f64,
    /// `p_sigma`, n numbers.
    pub step_size_path: Vec<f64>,
    /// `p_c`, n numbers.
    pub covariance_path: Vec<f64>,
    /// The lower triangle of C by columns, n (n + 1) / 2 numbers.
    pub covariance: Vec<f64>,
    /// B by columns, n^2 numbers: eigenvectors of C when it was last decomposed.
    pub eigenbasis: Vec<f64>,
    /// The diagonal of D, n numbers: square roots of the eigenvalues then.
    pub axis_lengths: Vec<f64>,
    /// How candidates are drawn: the number of [`super::cma_es::Sampler`].
    pub sampler: u8,
    /// What is known of noise; `None` where it is not measured.
    pub noise: Option<NoiseSnapshot>,
    /// Learning rates while they adapt.
    pub learning_rates: Option<LearningRatesSnapshot>,
    /// What the criteria remember.
    pub history: HistorySnapshot,
    /// Points that take the place of the open generation's last candidates, in the search's coordinates.
    pub injected: Vec<Vec<f64>>,
}

/// What CMA-ES knows of noise.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseSnapshot {
    /// Agreeing less disagreeing pairs, older ones counting less.
    pub agreeing: f64,
    /// All pairs, older ones counting less.
    pub pairs: f64,
    /// Generations until candidates are asked again; 0: in the open one.
    pub wait: u32,
    /// Whether two measurements have differed.
    pub present: bool,
    /// Whether learning rates adapt.
    pub strong: bool,
}

/// Learning rates of CMA-ES in n dimensions, in the terms of LRA-CMA-ES.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningRatesSnapshot {
    /// `eta_m`.
    pub mean_rate: f64,
    /// `E_m`, n numbers.
    pub mean_average: Vec<f64>,
    /// `V_m`.
    pub mean_power: f64,
    /// `eta_Sigma`.
    pub covariance_rate: f64,
    /// `E_Sigma` by columns, n^2 numbers.
    pub covariance_average: Vec<f64>,
    /// `V_Sigma`.
    pub covariance_power: f64,
}

/// What the criteria of CMA-ES remember.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistorySnapshot {
    /// Best fitness of recent generations, the last one last.
    pub best: Vec<f64>,
    /// Median fitness of the same generations.
    pub median: Vec<f64>,
    /// Range of the last generation's fitnesses.
    pub range: f64,
    /// Generations in a row with equal fitnesses.
    pub flat: u32,
    /// The mean when it last moved, n numbers.
    pub anchor: Vec<f64>,
    /// Generations since.
    pub still: u32,
}

/// The state of restarted CMA-ES.
#[derive(Clone, Debug, PartialEq)]
pub struct RestartsSnapshot {
    /// Generations told, over all searches.
    pub generation: u32,
    /// Candidates told, over all searches.
    pub evaluations: u64,
    /// Number of the present search, from 0.
    pub number: u32,
    /// How many times the population has been doubled.
    pub doublings: u32,
    /// The present search's population size.
    pub population_size: u32,
    /// The present search's initial step size.
    pub step_size: f64,
    /// Whether the present search has a small population (BIPOP).
    pub small: bool,
    /// Candidates told to the present search.
    pub spent: u64,
    /// Candidates that the present search may be told.
    pub allowance: Option<u64>,
    /// Candidates told to searches of large and of small populations that have ended.
    pub spent_by_regime: [u64; 2],
    /// The mean and the final median fitness of the best search that has ended.
    pub elite: Option<(Vec<f64>, f64)>,
    /// Ended searches that are kept for a choice at the end; none where no choice is wanted.
    pub finalists: Vec<FinalistSnapshot>,
    /// The median fitness of the present search's last generation.
    pub median: Option<f64>,
    /// Whether the last generation ended a search, by which criterion and figure.
    pub restarted: Option<(String, String)>,
    /// Why there will be no further search: criterion and figure.
    pub ended: Option<(String, String)>,
    /// The present search.
    pub search: CmaEsSnapshot,
}

/// An ended search whose mean may still become the result.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalistSnapshot {
    /// Its number, from 0.
    pub number: u32,
    /// The mean that it ended with.
    pub mean: Vec<f64>,
    /// The median fitness of its last generation.
    pub median: f64,
}

/// The state of random search.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomSearchSnapshot {
    /// Generations told; the open generation's index.
    pub generation: u32,
    /// The best sample and its fitness; `None` before the first candidate with a fitness.
    pub best: Option<(Vec<f64>, f64)>,
}

/// The state of sep-CMA-ES in n dimensions, in the tutorial's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct SepCmaEsSnapshot {
    /// Generations told; the open generation's index.
    pub generation: u32,
    /// Generations that changed the distribution: those in which at least one candidate had a fitness.
    pub updates: u32,
    /// Whether the last update was refused since it would have left the finite numbers.
    pub stuck: bool,
    /// sigma.
    pub step_size: f64,
    /// m, n numbers.
    pub mean: Vec<f64>,
    /// `p_sigma`, n numbers.
    pub step_size_path: Vec<f64>,
    /// `p_c`, n numbers.
    pub covariance_path: Vec<f64>,
    /// The diagonal of C, n numbers.
    pub variances: Vec<f64>,
}

/// The state of PGPE in n dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct PgpeSnapshot {
    /// Generations told; the open generation's index.
    pub generation: u32,
    /// m, n numbers.
    pub mean: Vec<f64>,
    /// sigma, n numbers.
    pub deviations: Vec<f64>,
    /// What Adam remembers of the mean's gradients.
    pub adam: AdamSnapshot,
}

/// The state of antithetic evolution strategies in n dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiEsSnapshot {
    /// Generations told; the open generation's index.
    pub generation: u32,
    /// m, n numbers.
    pub mean: Vec<f64>,
    /// What Adam remembers of the mean's gradients.
    pub adam: AdamSnapshot,
}

/// The state of Adam in n dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamSnapshot {
    /// Steps taken.
    pub steps: u32,
    /// Decaying mean of the gradients, n numbers.
    pub first_moment: Vec<f64>,
    /// Decaying mean of their squares, n numbers.
    pub second_moment: Vec<f64>,
}

/// Refuses a list of a snapshot that does not hold as many finite numbers as the search has coordinates.
pub(super) fn check_numbers(name: &str, dimension: usize, values: &[f64]) -> Result<(), StrategyError> {
    if values.len() != dimension {
        let problem = format!("{name} must hold {dimension} numbers, not {}", values.len());
        return Err(StrategyError::Snapshot(problem));
    }
    if values.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(StrategyError::Snapshot(format!("{name} must hold finite numbers")))
    }
}

/// The first byte of every stored snapshot: the version of the encoding.
///
/// Version 2 added to CMA-ES what follows `axis_lengths`; a state of version 1 had nothing of it.
const ENCODING_VERSION: u8 = 2;
const CMA_ES: u8 = 1;
const RANDOM_SEARCH: u8 = 2;
const RESTARTS: u8 = 3;
const SEP_CMA_ES: u8 = 4;
const PGPE: u8 = 5;
const OPENAI_ES: u8 = 6;
/// As `RESTARTS`, preceded by the finalists.
const FINALISTS: u8 = 7;

impl StrategySnapshot {
    /// The strategy's name as a spec writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CmaEs(_) => "cma-es",
            Self::Restarts(_) => "cma-es with restarts",
            Self::RandomSearch(_) => "random-search",
            Self::SepCmaEs(_) => "sep-cma-es",
            Self::Pgpe(_) => "pgpe",
            Self::OpenAiEs(_) => "openai-es",
        }
    }

    /// The digest of the encoded state: equal digests, equal bits.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// The state as it is stored: a version, a variant, then the fields in order. Little-endian; lists are preceded by their
    /// length as u32.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(vec![ENCODING_VERSION]);
        match self {
            Self::CmaEs(state) => {
                out.byte(CMA_ES);
                out.cma_es(state);
            }
            Self::Restarts(state) => {
                let finalists = &state.finalists;
                out.byte(if finalists.is_empty() { RESTARTS } else { FINALISTS });
                if !finalists.is_empty() {
                    out.count(finalists.len() as u32);
                }
                for finalist in finalists {
                    out.count(finalist.number);
                    out.numbers(&finalist.mean);
                    out.number(finalist.median);
                }
                out.count(state.generation);
                out.long(state.evaluations);
                out.count(state.number);
                out.count(state.doublings);
                out.count(state.population_size);
                out.number(state.step_size);
                out.flag(state.small);
                out.long(state.spent);
                out.option(state.allowance.as_ref(), |out, allowance| out.long(*allowance));
                state.spent_by_regime.iter().for_each(|spent| out.long(*spent));
                out.option(state.elite.as_ref(), |out, (mean, fitness)| {
                    out.numbers(mean);
                    out.number(*fitness);
                });
                out.option(state.median.as_ref(), |out, median| out.number(*median));
                for reason in [&state.restarted, &state.ended] {
                    out.option(reason.as_ref(), |out, (criterion, detail)| {
                        out.text(criterion);
                        out.text(detail);
                    });
                }
                out.cma_es(&state.search);
            }
            Self::RandomSearch(state) => {
                out.byte(RANDOM_SEARCH);
                out.count(state.generation);
                out.option(state.best.as_ref(), |out, (genome, fitness)| {
                    out.number(*fitness);
                    out.numbers(genome);
                });
            }
            Self::SepCmaEs(state) => {
                out.byte(SEP_CMA_ES);
                out.count(state.generation);
                out.count(state.updates);
                out.flag(state.stuck);
                out.number(state.step_size);
                out.numbers(&state.mean);
                out.numbers(&state.step_size_path);
                out.numbers(&state.covariance_path);
                out.numbers(&state.variances);
            }
            Self::Pgpe(state) => {
                out.byte(PGPE);
                out.count(state.generation);
                out.numbers(&state.mean);
                out.numbers(&state.deviations);
                out.adam(&state.adam);
            }
            Self::OpenAiEs(state) => {
                out.byte(OPENAI_ES);
                out.count(state.generation);
                out.numbers(&state.mean);
                out.adam(&state.adam);
            }
        }
        out.0
    }

    /// Reads what `to_bytes` wrote. Lengths are checked against the bytes that are there before anything is allocated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StrategyError> {
        let mut input = Reader(bytes);
        let version = input.byte()?;
        if version == 0 || version > ENCODING_VERSION {
            let problem = format!(
                "this program reads encodings 1 to {ENCODING_VERSION}, not {version}; use a newer program"
            );
            return Err(StrategyError::Snapshot(problem));
        }
        let variant = input.byte()?;
        let snapshot = match variant {
            CMA_ES => Self::CmaEs(Box::new(input.cma_es(version)?)),
            RESTARTS | FINALISTS => {
                let reason = |input: &mut Reader| Ok((input.text()?, input.text()?));
                let count = if variant == FINALISTS { input.count()? } else { 0 };
                let finalists = (0..count).map(|_| input.finalist()).collect::<Result<_, _>>()?;
                Self::Restarts(Box::new(RestartsSnapshot {
                    generation: input.count()?,
                    evaluations: input.long()?,
                    number: input.count()?,
                    doublings: input.count()?,
                    population_size: input.count()?,
                    step_size: input.number()?,
                    small: input.flag()?,
                    spent: input.long()?,
                    allowance: input.option(Reader::long)?,
                    spent_by_regime: [input.long()?, input.long()?],
                    elite: input.option(|input| Ok((input.numbers()?, input.number()?)))?,
                    finalists,
                    median: input.option(Reader::number)?,
                    restarted: input.option(reason)?,
                    ended: input.option(reason)?,
                    search: input.cma_es(version)?,
                }))
            }
            RANDOM_SEARCH => {
                let generation = input.count()?;
                let best = input.option(|input| {
                    let fitness = input.number()?;
                    Ok((input.numbers()?, fitness))
                })?;
                Self::RandomSearch(RandomSearchSnapshot { generation, best })
            }
            SEP_CMA_ES => Self::SepCmaEs(SepCmaEsSnapshot {
                generation: input.count()?,
                updates: input.count()?,
                stuck: input.flag()?,
                step_size: input.number()?,
                mean: input.numbers()?,
                step_size_path: input.numbers()?,
                covariance_path: input.numbers()?,
                variances: input.numbers()?,
            }),
            PGPE => Self::Pgpe(PgpeSnapshot {
                generation: input.count()?,
                mean: input.numbers()?,
                deviations: input.numbers()?,
                adam: input.adam()?,
            }),
            OPENAI_ES => Self::OpenAiEs(OpenAiEsSnapshot {
                generation: input.count()?,
                mean: input.numbers()?,
                adam: input.adam()?,
            }),
            other => return Err(StrategyError::Snapshot(format!("there is no strategy of number {other}"))),
        };
        if input.0.is_empty() {
            Ok(snapshot)
        } else {
            Err(StrategyError::Snapshot(format!("{} bytes follow its end", input.0.len())))
        }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    fn flag(&mut self, value: bool) {
        self.byte(u8::from(value));
    }

    fn option<T>(&mut self, value: Option<&T>, write: impl Fn(&mut Self, &T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn count(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn long(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, value: &str) {
        self.count(value.len() as u32);
        self.0.extend(value.as_bytes());
    }

    fn cma_es(&mut self, state: &CmaEsSnapshot) {
        self.count(state.generation);
        self.count(state.updates);
        self.count(state.lag);
        self.flag(state.stuck);
        self.number(state.step_size);
        self.numbers(&state.mean);
        self.numbers(&state.step_size_path);
        self.numbers(&state.covariance_path);
        self.numbers(&state.covariance);
        self.numbers(&state.eigenbasis);
        self.numbers(&state.axis_lengths);
        self.byte(state.sampler);
        self.option(state.noise.as_ref(), |out, noise| {
            out.number(noise.agreeing);
            out.number(noise.pairs);
            out.count(noise.wait);
            out.flag(noise.present);
            out.flag(noise.strong);
        });
        self.option(state.learning_rates.as_ref(), |out, rates| {
            out.number(rates.mean_rate);
            out.numbers(&rates.mean_average);
            out.number(rates.mean_power);
            out.number(rates.covariance_rate);
            out.numbers(&rates.covariance_average);
            out.number(rates.covariance_power);
        });
        let history = &state.history;
        self.numbers(&history.best);
        self.numbers(&history.median);
        self.number(history.range);
        self.count(history.flat);
        self.numbers(&history.anchor);
        self.count(history.still);
        self.count(state.injected.len() as u32);
        state.injected.iter().for_each(|point| self.numbers(point));
    }

    fn number(&mut self, value: f64) {
        self.0.extend(value.to_le_bytes());
    }

    fn numbers(&mut self, values: &[f64]) {
        self.count(values.len() as u32);
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    fn adam(&mut self, state: &AdamSnapshot) {
        self.count(state.steps);
        self.numbers(&state.first_moment);
        self.numbers(&state.second_moment);
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn finalist(&mut self) -> Result<FinalistSnapshot, StrategyError> {
        Ok(FinalistSnapshot { number: self.count()?, mean: self.numbers()?, median: self.number()? })
    }

    fn adam(&mut self) -> Result<AdamSnapshot, StrategyError> {
        Ok(AdamSnapshot {
            steps: self.count()?,
            first_moment: self.numbers()?,
            second_moment: self.numbers()?,
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StrategyError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, StrategyError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Result<bool, StrategyError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(StrategyError::Snapshot(format!("a flag must be 0 or 1, not {other}"))),
        }
    }

    fn count(&mut self) -> Result<u32, StrategyError> {
        self.take().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Result<u64, StrategyError> {
        self.take().map(u64::from_le_bytes)
    }

    fn option<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, StrategyError>,
    ) -> Result<Option<T>, StrategyError> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    fn text(&mut self) -> Result<String, StrategyError> {
        let count = self.count()? as usize;
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(truncated)?;
        self.0 = rest;
        String::from_utf8(bytes.to_vec()).map_err(|error| StrategyError::Snapshot(error.to_string()))
    }

    fn cma_es(&mut self, version: u8) -> Result<CmaEsSnapshot, StrategyError> {
        let (generation, updates, lag) = (self.count()?, self.count()?, self.count()?);
        let (stuck, step_size) = (self.flag()?, self.number()?);
        let mut snapshot = CmaEsSnapshot {
            generation,
            updates,
            lag,
            stuck,
            step_size,
            mean: self.numbers()?,
            step_size_path: self.numbers()?,
            covariance_path: self.numbers()?,
            covariance: self.numbers()?,
            eigenbasis: self.numbers()?,
            axis_lengths: self.numbers()?,
            sampler: 0,
            noise: None,
            learning_rates: None,
            history: HistorySnapshot::default(),
            injected: Vec::new(),
        };
        if version < 2 {
            snapshot.history.anchor.clone_from(&snapshot.mean);
            return Ok(snapshot);
        }
        snapshot.sampler = self.byte()?;
        snapshot.noise = self.option(|input| {
            Ok(NoiseSnapshot {
                agreeing: input.number()?,
                pairs: input.number()?,
                wait: input.count()?,
                present: input.flag()?,
                strong: input.flag()?,
            })
        })?;
        snapshot.learning_rates = self.option(|input| {
            Ok(LearningRatesSnapshot {
                mean_rate: input.number()?,
                mean_average: input.numbers()?,
                mean_power: input.number()?,
                covariance_rate: input.number()?,
                covariance_average: input.numbers()?,
                covariance_power: input.number()?,
            })
        })?;
        snapshot.history = HistorySnapshot {
            best: self.numbers()?,
            median: self.numbers()?,
            range: self.number()?,
            flat: self.count()?,
            anchor: self.numbers()?,
            still: self.count()?,
        };
        // Each takes at least the four bytes of its length.
        let injected = self.count()? as usize;
        if injected > self.0.len() / 4 {
            return Err(truncated());
        }
        snapshot.injected = (0..injected).map(|_| self.numbers()).collect::<Result<_, _>>()?;
        Ok(snapshot)
    }

    fn number(&mut self) -> Result<f64, StrategyError> {
        self.take().map(f64::from_le_bytes)
    }

    fn numbers(&mut self) -> Result<Vec<f64>, StrategyError> {
        let count = self.count()? as usize;
        let (values, rest) = self.0.split_at_checked(count.saturating_mul(8)).ok_or_else(truncated)?;
        self.0 = rest;
        Ok(values.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }
}

fn truncated() -> StrategyError {
    StrategyError::Snapshot("it ends too early".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(snapshot: &StrategySnapshot) {
        let bytes = snapshot.to_bytes();
        assert_eq!(StrategySnapshot::from_bytes(&bytes).as_ref(), Ok(snapshot));
        for length in 0..bytes.len() {
            assert!(StrategySnapshot::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(StrategySnapshot::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        let foreign = |place: usize| {
            let mut foreign = bytes.clone();
            foreign[place] = 99;
            StrategySnapshot::from_bytes(&foreign).unwrap_err().to_string()
        };
        assert!(foreign(0).contains("not 99"), "{}", foreign(0));
        assert!(foreign(1).contains("number 99"), "{}", foreign(1));
    }

    #[test]
    fn snapshots_survive_storage_and_nothing_else_is_one() {
        let cma_es = CmaEsSnapshot {
            generation: 7,
            updates: 6,
            lag: 2,
            stuck: true,
            mean: vec![0.1, -0.0],
            step_size: f64::MIN_POSITIVE,
            step_size_path: vec![1e300, 3.0],
            covariance_path: vec![4.0, 5.0],
            covariance: vec![6.0, 7.0, 8.0],
            eigenbasis: vec![9.0, 10.0, 11.0, 12.0],
            axis_lengths: vec![13.0, 14.0],
            sampler: 1,
            noise: Some(NoiseSnapshot { agreeing: -1.5, pairs: 2.0, wait: 3, present: true, strong: false }),
            learning_rates: Some(LearningRatesSnapshot {
                mean_rate: 0.5,
                mean_average: vec![1.0, 2.0],
                mean_power: 3.0,
                covariance_rate: 0.25,
                covariance_average: vec![4.0, 5.0, 6.0, 7.0],
                covariance_power: 8.0,
            }),
            history: HistorySnapshot {
                best: vec![1.0, 2.0],
                median: vec![0.0, 1.0],
                range: 4.0,
                flat: 5,
                anchor: vec![6.0, 7.0],
                still: 8,
            },
            injected: vec![vec![1.0, 2.0], vec![3.0, 4.0]],
        };
        check(&StrategySnapshot::CmaEs(Box::new(cma_es.clone())));
        let restarts = RestartsSnapshot {
            generation: 9,
            evaluations: 1 << 40,
            number: 2,
            doublings: 1,
            population_size: 8,
            step_size: 0.25,
            small: true,
            spent: 16,
            allowance: Some(1000),
            spent_by_regime: [3, 4],
            elite: Some((vec![0.5, 0.25], -1.0)),
            finalists: Vec::new(),
            median: Some(-2.0),
            restarted: Some(("tolx".into(), "small".into())),
            ended: None,
            search: cma_es,
        };
        let finalist = |number| FinalistSnapshot { number, mean: vec![0.5, -0.25], median: -1.5 };
        let finalists = vec![finalist(0), finalist(1)];
        check(&StrategySnapshot::Restarts(Box::new(RestartsSnapshot { finalists, ..restarts.clone() })));
        check(&StrategySnapshot::Restarts(Box::new(restarts)));
        check(&StrategySnapshot::RandomSearch(RandomSearchSnapshot { generation: 1, best: None }));
        let best = Some((vec![0.1, 0.2], -3.0));
        check(&StrategySnapshot::RandomSearch(RandomSearchSnapshot { generation: 2, best }));
    }

    /// As the first version wrote it, byte for byte: two dimensions, seven generations.
    #[test]
    fn snapshots_of_the_first_version_are_read() {
        let mut bytes = vec![1, 1];
        for count in [7u32, 6, 2] {
            bytes.extend(count.to_le_bytes());
        }
        bytes.push(0);
        bytes.extend(0.5f64.to_le_bytes());
        for (length, first) in [(2u32, 1.0f64), (2, 3.0), (2, 5.0), (3, 7.0), (4, 10.0), (2, 14.0)] {
            bytes.extend(length.to_le_bytes());
            (0..length).for_each(|i| bytes.extend((first + f64::from(i)).to_le_bytes()));
        }
        let StrategySnapshot::CmaEs(read) = StrategySnapshot::from_bytes(&bytes).unwrap() else {
            panic!("it is of CMA-ES");
        };
        assert_eq!((read.generation, read.updates, read.lag, read.step_size), (7, 6, 2, 0.5));
        assert_eq!((read.mean, read.axis_lengths), (vec![1.0, 2.0], vec![14.0, 15.0]));
        assert_eq!(read.covariance, [7.0, 8.0, 9.0]);
        assert_eq!((read.sampler, read.noise, read.learning_rates), (0, None, None));
    }

    #[test]
    fn snapshots_of_the_companions_survive_storage() {
        check(&StrategySnapshot::SepCmaEs(SepCmaEsSnapshot {
            generation: 7,
            updates: 6,
            stuck: true,
            step_size: 0.5,
            mean: vec![0.1, -0.0],
            step_size_path: vec![1.0, 2.0],
            covariance_path: vec![3.0, 4.0],
            variances: vec![5.0, 6.0],
        }));
        let adam = AdamSnapshot { steps: 5, first_moment: vec![1.0, 2.0], second_moment: vec![3.0, 4.0] };
        check(&StrategySnapshot::Pgpe(PgpeSnapshot {
            generation: 7,
            mean: vec![5.0, 6.0],
            deviations: vec![7.0, 8.0],
            adam: adam.clone(),
        }));
        check(&StrategySnapshot::OpenAiEs(OpenAiEsSnapshot { generation: 7, mean: vec![5.0, 6.0], adam }));
    }

    #[test]
    fn one_bit_changes_the_digest() {
        let digest = |fitness| {
            let best = Some((vec![1.0], fitness));
            StrategySnapshot::RandomSearch(RandomSearchSnapshot { generation: 3, best }).digest()
        };
        assert_ne!(digest(1.0), digest(1.0 + f64::EPSILON));
    }
}
