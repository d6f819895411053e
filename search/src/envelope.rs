//! Strategies' states as they are stored: exact and compact, in an envelope that says what is in it.

use hebbian_shared::digest::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StrategyError;

/// What the bytes of a state mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Whose state it is.
    pub strategy: &'static str,
    /// Raised when the state's type changes: the bytes do not describe themselves.
    pub version: u32,
}

/// A strategy's whole state. Equal envelopes continue alike, bit for bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    strategy: String,
    version: u32,
    state: Vec<u8>,
}

impl Envelope {
    /// Takes a state in.
    ///
    /// # Panics
    /// If the state's type is none that postcard writes, which no value can change.
    pub fn seal(form: Form, state: &impl Serialize) -> Self {
        let Form { strategy, version } = form;
        let state = postcard::to_stdvec(state).expect("a strategy's state is plain data");
        Self { strategy: strategy.to_owned(), version, state }
    }

    /// The state, if it is in the expected form. Its numbers are whatever the bytes say: their reader checks them.
    pub fn open<T: DeserializeOwned>(&self, form: Form) -> Result<T, StrategyError> {
        let Form { strategy, version } = form;
        if self.strategy != strategy {
            let found: String = self.strategy.chars().take(32).collect();
            return Err(StrategyError::State(format!("it is of `{found}`, not of `{strategy}`")));
        }
        if self.version != version {
            return Err(StrategyError::State(format!(
                "this program reads version {version} of the state of {strategy}, not {}",
                self.version
            )));
        }
        match postcard::take_from_bytes(&self.state) {
            Ok((state, [])) => Ok(state),
            Ok((_, rest)) => Err(StrategyError::State(format!("{} bytes follow its end", rest.len()))),
            Err(error) => Err(StrategyError::State(format!("it cannot be read: {error}"))),
        }
    }

    /// Whose state it is.
    pub fn strategy(&self) -> &str {
        &self.strategy
    }

    /// The digest of the stored bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// The envelope as it is stored: whose state follows in which version, then the state, all as postcard writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            postcard::to_stdvec(&(&self.strategy, self.version)).expect("a name and a number are plain data");
        bytes.extend(&self.state);
        bytes
    }

    /// Reads what [`Envelope::to_bytes`] wrote; the state is looked at when it is opened.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StrategyError> {
        let ((strategy, version), state) =
            postcard::take_from_bytes::<(&str, u32)>(bytes).map_err(|error| {
                StrategyError::State(format!("it does not say of which strategy it is: {error}"))
            })?;
        Ok(Self { strategy: strategy.to_owned(), version, state: state.to_vec() })
    }
}

/// A state whose numbers contradict each other or cannot be computed with.
pub(crate) fn unreachable() -> StrategyError {
    StrategyError::State("it holds numbers that no search can reach".to_owned())
}

/// Refuses a list of a state that does not hold as many numbers as it must.
pub(crate) fn check_length(name: &str, expected: usize, found: usize) -> Result<(), StrategyError> {
    if expected == found {
        Ok(())
    } else {
        Err(StrategyError::State(format!("{name} must hold {expected} numbers, not {found}")))
    }
}

/// Refuses a list of a state that does not hold as many finite numbers as the search has coordinates.
pub(crate) fn check_numbers(name: &str, dimension: usize, values: &[f64]) -> Result<(), StrategyError> {
    check_length(name, dimension, values.len())?;
    if values.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(StrategyError::State(format!("{name} must hold finite numbers")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form { strategy: "cma-es", version: 1 };

    type State = (u32, Vec<f64>, Option<f64>);

    fn check(envelope: &Envelope, expected: &str) {
        let message = envelope.open::<State>(FORM).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_state_survives_storage_and_nothing_else_is_one() {
        let state: State = (7, vec![0.1, -0.0, 1e300, f64::MIN_POSITIVE], Some(-2.5));
        let envelope = Envelope::seal(FORM, &state);
        let bytes = envelope.to_bytes();
        assert_eq!(Envelope::from_bytes(&bytes).unwrap(), envelope);
        let back: State = envelope.open(FORM).unwrap();
        assert_eq!(back, state);
        assert!(back.1[1].is_sign_negative());
        for length in 0..bytes.len() {
            let read = Envelope::from_bytes(&bytes[..length]).and_then(|e| e.open::<State>(FORM));
            assert!(read.is_err(), "{length} bytes");
        }
        check(&Envelope::from_bytes(&[&bytes[..], &[0]].concat()).unwrap(), "1 bytes follow its end");
        check(
            &Envelope::seal(Form { version: 2, ..FORM }, &state),
            "reads version 1 of the state of cma-es, not 2",
        );
        check(&Envelope::seal(Form { strategy: "pgpe", ..FORM }, &state), "it is of `pgpe`, not of `cma-es`");
    }

    #[test]
    fn a_list_that_claims_more_numbers_than_there_are_bytes_is_refused() {
        // As varints: the largest length that there can be, after the first field.
        let state = [&[7][..], &[0xff; 9], &[1]].concat();
        check(&Envelope { strategy: "cma-es".to_owned(), version: 1, state }, "it cannot be read");
    }

    #[test]
    fn one_bit_changes_the_digest() {
        let digest = |number: f64| Envelope::seal(FORM, &number).digest();
        assert_ne!(digest(1.0), digest(1.0 + f64::EPSILON));
    }
}
