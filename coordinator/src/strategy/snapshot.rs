//! Strategies' states as plain numbers, and how they are stored: exact, compact, versioned.

use hebbian_shared::digest::Digest;

use super::StrategyError;

/// A strategy's whole state; one variant per strategy.
#[derive(Clone, Debug, PartialEq)]
pub enum StrategySnapshot {
    /// Of CMA-ES.
    CmaEs(CmaEsSnapshot),
    /// Of random search.
    RandomSearch(RandomSearchSnapshot),
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
}

/// The state of random search.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomSearchSnapshot {
    /// Generations told; the open generation's index.
    pub generation: u32,
    /// The best sample and its fitness; `None` before the first candidate with a fitness.
    pub best: Option<(Vec<f64>, f64)>,
}

/// The first byte of every stored snapshot: the version of the encoding.
const ENCODING_VERSION: u8 = 1;
const CMA_ES: u8 = 1;
const RANDOM_SEARCH: u8 = 2;

impl StrategySnapshot {
    /// The strategy's name as a spec writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CmaEs(_) => "cma-es",
            Self::RandomSearch(_) => "random-search",
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
                out.count(state.generation);
                out.count(state.updates);
                out.count(state.lag);
                out.byte(u8::from(state.stuck));
                out.number(state.step_size);
                out.numbers(&state.mean);
                out.numbers(&state.step_size_path);
                out.numbers(&state.covariance_path);
                out.numbers(&state.covariance);
                out.numbers(&state.eigenbasis);
                out.numbers(&state.axis_lengths);
            }
            Self::RandomSearch(state) => {
                out.byte(RANDOM_SEARCH);
                out.count(state.generation);
                out.byte(u8::from(state.best.is_some()));
                if let Some((genome, fitness)) = &state.best {
                    out.number(*fitness);
                    out.numbers(genome);
                }
            }
        }
        out.0
    }

    /// Reads what `to_bytes` wrote. Lengths are checked against the bytes that are there before anything is allocated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StrategyError> {
        let mut input = Reader(bytes);
        let version = input.byte()?;
        if version != ENCODING_VERSION {
            let problem =
                format!("this program reads encoding {ENCODING_VERSION}, not {version}; use a newer program");
            return Err(StrategyError::Snapshot(problem));
        }
        let snapshot = match input.byte()? {
            CMA_ES => {
                let (generation, updates, lag) = (input.count()?, input.count()?, input.count()?);
                let (stuck, step_size) = (input.flag()?, input.number()?);
                Self::CmaEs(CmaEsSnapshot {
                    generation,
                    updates,
                    lag,
                    stuck,
                    step_size,
                    mean: input.numbers()?,
                    step_size_path: input.numbers()?,
                    covariance_path: input.numbers()?,
                    covariance: input.numbers()?,
                    eigenbasis: input.numbers()?,
                    axis_lengths: input.numbers()?,
                })
            }
            RANDOM_SEARCH => {
                let generation = input.count()?;
                let best = if input.flag()? {
                    let fitness = input.number()?;
                    Some((input.numbers()?, fitness))
                } else {
                    None
                };
                Self::RandomSearch(RandomSearchSnapshot { generation, best })
            }
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

    fn count(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn number(&mut self, value: f64) {
        self.0.extend(value.to_le_bytes());
    }

    fn numbers(&mut self, values: &[f64]) {
        self.count(values.len() as u32);
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
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
        check(&StrategySnapshot::CmaEs(CmaEsSnapshot {
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
        }));
        check(&StrategySnapshot::RandomSearch(RandomSearchSnapshot { generation: 1, best: None }));
        let best = Some((vec![0.1, 0.2], -3.0));
        check(&StrategySnapshot::RandomSearch(RandomSearchSnapshot { generation: 2, best }));
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
