//! A leader that gives way: it looks whether somebody waits to follow, and then the process ends as on `SIGTERM`.

use hebbian_control::command::Refusal;

use super::journal_thread::{JournalRequest, failed};
use super::{Ask, Driver};
use crate::handle::Reply;

/// Gives way to a standby. The names of those that wait.
#[derive(Clone, Copy, Debug)]
pub struct StepDown;

impl Ask for StepDown {
    type Answer = Vec<String>;

    fn ask(self, driver: &mut Driver, reply: Reply<Vec<String>>) {
        let stepping_down = driver.stepping_down.clone();
        driver.job(JournalRequest::Read(Box::new(move |journal| {
            let answer = match journal.standbys() {
                Ok(waiting) if waiting.is_empty() => Err(Refusal::NoStandby),
                Ok(waiting) => Ok(waiting),
                Err(error) => Err(failed(error)),
            };
            let stepping = answer.is_ok();
            let _ = reply.send(answer);
            if stepping {
                stepping_down.send_replace(true);
            }
        })));
    }
}
