//! What a worker does about each message of its coordinator.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::convert::run_name;
use hebbian_proto::v1;
use hebbian_proto::v1::attach_response::Kind as ResponseKind;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{Assignment, Batch, BatchGenome, BlockEpisodes, FromWorker, ToWorker};
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::limits::{ANNOUNCED_RUNS_MAX, EPISODES_HELD_MAX};
use hebbian_shared::spec::ResolvedSpec;
use hebbian_trace::{Kind, Span, TraceContext};
use tonic::Status;

use super::super::prepare::{Announcement, Preparation};
use super::{Announced, Open, Stream, StreamEnd, said};
use crate::evaluator::Runner;
use crate::pool::PoolBatch;

impl Stream<'_> {
    pub(super) fn hear(&mut self, message: Result<Option<v1::AttachResponse>, Status>) -> Result<(), String> {
        let mut message = match message {
            Ok(Some(message)) => message,
            Ok(None) => return Err("the coordinator closed the stream".to_owned()),
            Err(status) => return Err(said(&status)),
        };
        // A spec that this program cannot read is a reason to reject the run, not to leave the coordinator.
        if let Some(ResponseKind::Announcement(announcement)) = message.kind {
            let run = announcement.run().map_err(|error| error.to_string())?;
            match announcement.into_spec() {
                Ok(spec) => self.announced(run, spec)?,
                Err(error) => self.reject(run, error.to_string()),
            }
            return Ok(());
        }
        // Of a newer version, which does without an answer.
        if message.kind.is_none() {
            tracing::debug!("the coordinator said something of a kind that this worker does not know");
            return Ok(());
        }
        let traceparent = message.traceparent.take();
        match ToWorker::try_from(message)
            .map_err(|error| format!("the coordinator sent nonsense: {error}"))?
        {
            ToWorker::Spec { run, spec } => self.announced(run, Arc::unwrap_or_clone(spec))?,
            ToWorker::Evaluation { evaluation, request } => {
                let digest = Digest::of(request.as_bytes());
                self.announce(evaluation, Announcement::Evaluation(request), (digest, digest))?;
            }
            ToWorker::Batch(batch) => {
                let span = self.begin_span(&batch, traceparent.as_deref());
                self.take(batch, span)?;
            }
            ToWorker::Acknowledge { sequence } => self.worker.reports.acknowledge(sequence),
            ToWorker::Withdraw { run, up_to } => self.withdraw(run, up_to),
            ToWorker::WithdrawEpisodes(unwanted) => self.withdraw_episodes(&unwanted),
            ToWorker::Drain { within } => self.leave(StreamEnd::Drained, within),
        }
        Ok(())
    }

    /// Begins the span of a batch that the coordinator traces.
    fn begin_span(&self, batch: &Batch, traceparent: Option<&str>) -> Option<Span> {
        let tracer = &self.settings.tracer;
        let parent = traceparent.filter(|_| tracer.is_on()).and_then(TraceContext::parse)?;
        let mut span = tracer.begin_below(parent, "compute", Kind::Server)?;
        span.set("hebbian.run", run_name(batch.run));
        span.set("hebbian.generation", batch.generation.0);
        span.set("hebbian.episodes", batch.assignments.len() as u64);
        Some(span)
    }

    fn announced(&mut self, run: RunId, spec: ResolvedSpec) -> Result<(), String> {
        let digests = (spec.digest(), spec.layout().digest());
        self.announce(run, Announcement::Run(Arc::new(spec.into())), digests)
    }

    /// Takes a run or an evaluation with its digest and that of the layout of its genomes.
    fn announce(
        &mut self,
        run: RunId,
        work: Announcement,
        (digest, layout_digest): (Digest, Digest),
    ) -> Result<(), String> {
        if self.runs.len() >= ANNOUNCED_RUNS_MAX {
            return Err(format!("the coordinator announced more than {ANNOUNCED_RUNS_MAX} runs"));
        }
        let announced = Announced { work, digest, layout_digest, preparing: false, waiting: Vec::new() };
        self.runs.insert(run, Some(announced));
        self.prepare(run);
        Ok(())
    }

    /// Gets ready for a run, or finds out that this worker cannot; meanwhile its batches wait. Of a run that it has rejected, or that was
    /// withdrawn, there is nothing to get ready for.
    fn prepare(&mut self, run: RunId) {
        let Some(Some(announced)) = self.runs.get_mut(&run) else { return };
        if announced.preparing || self.worker.runner(announced.digest).is_some() {
            return;
        }
        announced.preparing = true;
        let preparation = Preparation {
            evaluator: self.worker.evaluator.clone(),
            work: announced.work.clone(),
            channel: self.channel.clone(),
            turn: self.worker.fetching.clone(),
            tracer: self.settings.tracer.clone(),
        };
        self.preparing.spawn(async move { (run, preparation.run(run).await) });
    }

    pub(super) fn prepared(&mut self, run: RunId, runner: Result<Arc<dyn Runner>, String>) {
        match runner {
            Ok(runner) => {
                // It may have been withdrawn meanwhile.
                let Some(Some(announced)) = self.runs.get_mut(&run) else { return };
                announced.preparing = false;
                let waiting = std::mem::take(&mut announced.waiting);
                self.worker.remember(announced.digest, runner.clone());
                for (batch, span) in waiting {
                    self.submit(batch, runner.clone(), span);
                }
            }
            Err(reason) => self.reject(run, reason),
        }
    }

    /// Says that this worker cannot work on a run, and drops what it holds of it.
    fn reject(&mut self, run: RunId, reason: String) {
        tracing::warn!(%run, reason, "this worker cannot work on a run");
        if let Some(Some(announced)) = self.runs.insert(run, None) {
            self.held -= announced.waiting.iter().map(|(batch, _)| batch.assignments.len()).sum::<usize>();
        }
        self.urgent.push_back(FromWorker::Reject { run, reason });
    }

    fn take(&mut self, batch: Batch, span: Option<Span>) -> Result<(), String> {
        let run = batch.run;
        let Some(announced) = self.runs.get_mut(&run) else {
            return Err(format!("the coordinator sent a batch of run {run}, which it has not announced"));
        };
        // A batch that crossed the rejection.
        let Some(announced) = announced else { return Ok(()) };
        if batch.layout != announced.layout_digest {
            let reason = format!(
                "the coordinator lays genomes out as {}, this worker as {}",
                batch.layout.short(),
                announced.layout_digest.short()
            );
            self.reject(run, reason);
            return Ok(());
        }
        self.held += batch.assignments.len();
        if self.held > EPISODES_HELD_MAX {
            return Err(format!("the coordinator sent more than {EPISODES_HELD_MAX} episodes"));
        }
        if self.leaving.is_some() {
            // It crossed the message that the worker leaves.
            self.give_back(&batch, &batch.assignments);
        } else if let Some(runner) = self.worker.runner(announced.digest) {
            self.submit(batch, runner, span);
        } else {
            announced.waiting.push((batch, span));
            self.prepare(run);
        }
        Ok(())
    }

    fn submit(&mut self, batch: Batch, runner: Arc<dyn Runner>, span: Option<Span>) {
        let remaining = batch.assignments.len();
        if remaining == 0 {
            return;
        }
        self.worker.tickets += 1;
        let ticket = self.worker.tickets;
        let job = Arc::new(PoolBatch::new(ticket, batch, runner));
        let compute_time = Duration::ZERO;
        self.open.insert(ticket, Open { job: job.clone(), remaining, span, compute_time });
        self.worker.pool.submit(job);
    }

    /// Interrupts single episodes that are not wanted. Nothing is said about them.
    fn withdraw_episodes(&mut self, unwanted: &BlockEpisodes) {
        let BlockEpisodes { run, generation, purpose, block, .. } = *unwanted;
        let episodes: BTreeSet<_> = unwanted.episodes.iter().copied().collect();
        let is_about =
            |of: &Batch| (of.run, of.generation, of.purpose, of.block) == (run, generation, purpose, block);
        let is_unwanted = |genomes: &[BatchGenome], assignment: Assignment| {
            episodes.contains(&(genomes[assignment.genome as usize].candidate, assignment.task))
        };
        for open in self.open.values().filter(|open| is_about(&open.job.batch)) {
            let genomes = &open.job.batch.genomes;
            self.worker.pool.withdraw(&open.job, |assignment| is_unwanted(genomes, assignment));
        }
        if let Some(Some(announced)) = self.runs.get_mut(&run) {
            for (batch, _) in announced.waiting.iter_mut().filter(|(batch, _)| is_about(batch)) {
                let before = batch.assignments.len();
                batch.assignments.retain(|assignment| !is_unwanted(&batch.genomes, *assignment));
                self.held -= before - batch.assignments.len();
            }
        }
    }

    /// Interrupts what is not wanted. Nothing is said about it.
    fn withdraw(&mut self, run: RunId, up_to: Option<GenerationIndex>) {
        let unwanted = |batch: &Batch| batch.run == run && up_to.is_none_or(|last| batch.generation <= last);
        for open in self.open.values().filter(|open| unwanted(&open.job.batch)) {
            self.worker.pool.withdraw(&open.job, |_| true);
        }
        if let Some(Some(announced)) = self.runs.get_mut(&run) {
            let gone = announced.waiting.extract_if(.., |(batch, _)| unwanted(batch));
            self.held -= gone.map(|(batch, _)| batch.assignments.len()).sum::<usize>();
            // A run may come back, an evaluation has ended.
            if up_to.is_none() && matches!(announced.work, Announcement::Evaluation(_)) {
                self.runs.remove(&run);
            }
        }
    }
}
