//! Evaluations that are computed once, however often they are asked for.

use std::sync::{Mutex, PoisonError};

use super::{Evaluate, EvaluationError, EvaluationRequest, Scores};
use crate::interrupt::Interrupt;

/// Remembers all that it evaluated: rules that are compared with the same baselines on the same tasks need these once.
pub struct Remembering<'a> {
    evaluate: &'a dyn Evaluate,
    known: Mutex<Vec<(EvaluationRequest, Scores)>>,
}

impl<'a> Remembering<'a> {
    /// Of what `evaluate` computes; nothing yet.
    pub fn new(evaluate: &'a dyn Evaluate) -> Self {
        Self { evaluate, known: Mutex::default() }
    }
}

impl Evaluate for Remembering<'_> {
    fn evaluate(
        &self,
        requests: &[EvaluationRequest],
        advance: &(dyn Fn(u64) + Sync),
        interrupt: &Interrupt,
    ) -> Result<Vec<Scores>, EvaluationError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |known: &[(EvaluationRequest, Scores)], request: &EvaluationRequest| {
            known.iter().any(|(known, _)| known == request)
        };
        let mut new: Vec<EvaluationRequest> = Vec::new();
        for request in requests {
            if is_known(&known, request) || new.contains(request) {
                advance(request.work());
            } else {
                new.push(request.clone());
            }
        }
        if !new.is_empty() {
            let scores = self.evaluate.evaluate(&new, advance, interrupt)?;
            known.extend(new.into_iter().zip(scores));
        }
        let of = |request| known.iter().find(|(known, _)| known == request).map(|(_, scores)| scores.clone());
        let missing = || EvaluationError::Elsewhere("an evaluation has no scores".to_owned());
        requests.iter().map(|request| of(request).ok_or_else(missing)).collect()
    }
}
