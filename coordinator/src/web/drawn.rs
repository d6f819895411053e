//! What is drawn of runs: pictures, which are most of what pages cost, at a pace that costs little of a core, and what stands around them
//! whenever something has changed.

use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::v1;
use hebbian_shared::genome::GenomeLayout;
use hebbian_shared::spec::ResolvedSpec;
use hebbian_view::document::RunPage;
use hebbian_view::history::History;
use tokio::time::Instant;

use super::ending::Stage;
use super::followed::PACE;
use super::page::{Page, Pictured};

/// Pictures are drawn again after so many times what drawing and compressing them took, so that this is a third of a hundredth of a core at
/// most, but after [`DRAWN_FOR`] in any case.
const PICTURES_PACE: u32 = 300;
/// What was drawn is drawn again after this time, whether its runs have changed or not.
pub(super) const DRAWN_FOR: Duration = Duration::from_secs(10);

/// A run's page as it was drawn last.
pub(super) struct Drawn {
    /// Up to which sequence number.
    pub(super) up_to: u64,
    pub(super) when: Instant,
    pub(super) page: Page,
    pub(super) pictures: Pictures,
    pub(super) spec: Arc<FromSpec>,
    /// How far the program had come that serves the page.
    pub(super) stage: Stage,
}

impl Drawn {
    /// Whether it is what would be drawn of all that pages were told up to a sequence number.
    pub(super) fn is_good(&self, up_to: u64, stage: &Stage) -> bool {
        self.up_to == up_to
            && self.when.elapsed() < DRAWN_FOR
            && self.stage == *stage
            && (self.pictures.up_to == up_to || Instant::now() < self.pictures.due)
    }
}

/// What a page needs of a run's spec, which never changes but by an extension of its limits.
#[derive(Default)]
pub(super) struct FromSpec {
    layout: GenomeLayout,
    pub(super) objective: String,
    /// Whether what is searched for is a learning rule.
    pub(super) has_rule: bool,
}

impl FromSpec {
    pub(super) fn of(json: String) -> Option<Self> {
        let spec = ResolvedSpec::from_json(json).ok()?;
        let has_rule = spec.problem.rule_learning().is_some();
        Some(Self { layout: spec.layout(), objective: spec.objective_name().to_owned(), has_rule })
    }
}

/// Pictures, which may be older than what stands around them.
pub(super) struct Pictures {
    /// Up to which sequence number of their run; 0 of several runs.
    pub(super) up_to: u64,
    pub(super) drawn: Arc<Pictured>,
    begun: Instant,
    /// When they may be drawn again.
    pub(super) due: Instant,
    /// Whether pages are told then.
    pub(super) awaited: bool,
}

impl Pictures {
    pub(super) fn of(up_to: u64, draw: impl FnOnce() -> String) -> Self {
        let begun = Instant::now();
        Self { up_to, drawn: Pictured::new(draw()), begun, due: begun, awaited: false }
    }

    /// Compresses them on the page that they were drawn for, and lets them rest as long as all of that took in proportion. While events of
    /// the past still come the rest is not waited for; a fast run is always some events ahead.
    pub(super) fn rest(&mut self, page: &Page, (taken, closed): (u32, u32)) {
        page.pack();
        let coming = taken < closed - closed / 10;
        let rest = if coming { PACE } else { rest_after(self.begun.elapsed()) };
        self.due = Instant::now() + rest;
    }
}

/// How long nothing is drawn after what took so long.
fn rest_after(drawing: Duration) -> Duration {
    (drawing * PICTURES_PACE).clamp(PACE, DRAWN_FOR)
}

/// How a run stands, beside its history.
pub(super) struct RunNow {
    pub(super) now: v1::Run,
    pub(super) result: Option<v1::RunResult>,
    pub(super) spec: Arc<FromSpec>,
    pub(super) stage: Stage,
}

impl RunNow {
    pub(super) fn page<'a>(&'a self, history: &'a History) -> RunPage<'a> {
        RunPage {
            run: &self.now,
            history,
            result: self.result.as_ref(),
            layout: &self.spec.layout,
            objective: &self.spec.objective,
            comparison: self.stage.compared(),
            learned: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_pictures_takes_little_of_a_core_and_none_is_older_than_ten_seconds() {
        let milliseconds = Duration::from_millis;
        for (drawing, rest) in [(0, 850), (1, 850), (5, 1_500), (20, 6_000), (100, 10_000), (3_000, 10_000)] {
            assert_eq!(rest_after(milliseconds(drawing)), milliseconds(rest), "{drawing} ms");
        }
    }
}
