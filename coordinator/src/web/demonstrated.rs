//! What a run's rule does, on a page of its own: networks learn a fresh task by the run's mean while somebody waits for the page.
//! It is computed when it is asked for, one at a time and rarely, since it takes a core for a moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hebbian_control::command::run::{Get, GetResult};
use hebbian_proto::v1;
use hebbian_shared::id::RunId;
use hebbian_shared::limits::PAGE_RUNS_FOLLOWED_MAX;
use hebbian_view::escape::{name, text};
use tokio::time::Instant;

use super::page::Page;
use crate::handle::Handle;

/// Lets networks learn by the mean of a result, and draws what they answer, as HTML; or says why there is nothing to see.
pub type Demonstrate = Arc<dyn Fn(&v1::RunResult) -> Result<String, String> + Send + Sync>;

/// A run is demonstrated again after so many times what it took, and not before [`SHOWN_FOR`].
const RESTS: u32 = 30;
const SHOWN_FOR: Duration = Duration::from_secs(5);

/// What was demonstrated last of each run.
#[derive(Default)]
pub(super) struct Demonstrated(tokio::sync::Mutex<BTreeMap<RunId, Shown>>);

struct Shown {
    generation: u32,
    html: String,
    again: Instant,
}

impl Demonstrated {
    /// The page of a run that is named by its id; `None` if there is none.
    pub(super) async fn page(&self, handle: &Handle, demonstrate: &Demonstrate, id: &str) -> Option<Page> {
        let run: RunId = id.parse().ok()?;
        let now = handle.ask(Get { run }).await.ok()?;
        // One at a time: whoever comes meanwhile waits.
        let mut shown = self.0.lock().await;
        let is_good = |shown: &Shown| shown.generation == now.generation || Instant::now() < shown.again;
        if !shown.get(&run).is_some_and(is_good) {
            let result = handle.ask(GetResult { run }).await.ok()?;
            let (begun, demonstrate) = (Instant::now(), Arc::clone(demonstrate));
            let computed = tokio::task::spawn_blocking(move || demonstrate(&result)).await;
            let html = match computed {
                Ok(Ok(html)) => html,
                Ok(Err(why)) => format!("<p>{}</p>", text(&why)),
                Err(_) => "<p class=\"warning\">It could not be computed.</p>".to_owned(),
            };
            if shown.len() >= PAGE_RUNS_FOLLOWED_MAX {
                shown.clear();
            }
            let again = Instant::now() + (begun.elapsed() * RESTS).max(SHOWN_FOR);
            shown.insert(run, Shown { generation: now.generation, html, again });
        }
        let Shown { generation, html, .. } = &shown[&run];
        let title = format!("What the rule does: {}", now.display_name);
        let body = format!(
            "<h1>{}</h1><p>Networks that learn one fresh task by the mean after {generation} generations. Load the page again for a newer \
             one. <a href=\"/runs/{run}\">The run</a></p>{html}",
            name(&title),
        );
        Some(Page::at_rest(title, body))
    }
}
