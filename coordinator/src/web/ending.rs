//! How far a program has come that serves the page of one run and ends with it. Pages show the comparison that it makes of the rule, and hear
//! that it ends: what they show then is what remains of it in the browser.

use std::sync::Arc;
use std::time::Duration;

use hebbian_view::comparison::Group;
use tokio::sync::watch;

/// Pages that are open have so long to fetch what is shown at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// See the module. A coordinator's does not end: it is thought to come back.
#[derive(Clone, Debug)]
pub struct Ending(Arc<watch::Sender<Stage>>);

/// What was said last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Stage {
    /// Nothing: runs go on, or wait.
    #[default]
    Searching,
    /// The search has ended, and its rule is compared with baselines.
    Comparing,
    /// The program ends, with the comparison if it was made.
    Ended(Arc<[Group]>),
}

impl Stage {
    /// The rule beside baselines, where that was measured.
    pub(super) fn compared(&self) -> &[Group] {
        match self {
            Self::Ended(groups) => groups,
            Self::Searching | Self::Comparing => &[],
        }
    }

    /// What there is to say of it, as HTML.
    pub(super) fn html(&self) -> &'static str {
        match self {
            Self::Comparing => {
                "<p>The search has ended. Its rule is being compared with baselines, which will be shown here.</p>"
            }
            Self::Searching | Self::Ended(_) => "",
        }
    }
}

impl Default for Ending {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::default())))
    }
}

impl Ending {
    /// Says that the search has ended and its rule is being compared.
    pub fn comparing(&self) {
        self.0.send_replace(Stage::Comparing);
    }

    /// Says that the program ends, and waits until all open pages have what is shown at the end, but not for long.
    pub async fn end(&self, compared: Vec<Group>) {
        self.0.send_replace(Stage::Ended(compared.into()));
        // Whoever listens goes away when they have it.
        let _ = tokio::time::timeout(FAREWELL, self.0.closed()).await;
    }

    pub(super) fn stage(&self) -> Stage {
        self.0.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Stage> {
        self.0.subscribe()
    }
}
