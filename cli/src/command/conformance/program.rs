//! The worker as a process of this program: started when it is needed, ended with its children.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hebbian_worker::evaluator::shell;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::check::Subject;

/// What a command has for the address of the coordinator.
pub(super) const ADDRESS: &str = "{address}";
/// How often it is looked whether a process has ended.
const GLANCE: Duration = Duration::from_millis(10);

/// The process that lives, if one does. Whoever ends the command ends it.
#[derive(Clone, Debug, Default)]
pub(super) struct Living(Arc<Mutex<Option<Child>>>);

impl Living {
    fn with<T>(&self, of: impl FnOnce(&mut Option<Child>) -> T) -> T {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Kills it with its children.
    pub(super) fn kill(&self) {
        self.with(|child| {
            if let Some(mut child) = child.take() {
                // It is not taken from the system before that, so its group's number is no other's.
                let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
                let _ = child.wait();
            }
        });
    }

    /// How it ended, if it has.
    fn status(&self) -> Option<ExitStatus> {
        self.with(|child| child.as_mut()?.try_wait().ok().flatten())
    }
}

/// A worker that a command of the shell starts.
pub(super) struct Program {
    command: String,
    living: Living,
}

impl Program {
    pub(super) fn new(command: String, living: Living) -> Self {
        Self { command, living }
    }
}

fn how(status: ExitStatus) -> Result<(), String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("it exited with status {code}")),
        (None, signal) => Err(format!("it was killed by signal {}", signal.unwrap_or(0))),
    }
}

impl Subject for Program {
    fn is_ours(&self) -> bool {
        true
    }

    fn start(&mut self, address: &str) -> Result<(), String> {
        let lives = self.living.with(|child| child.is_some()) && self.living.status().is_none();
        if lives {
            return Ok(());
        }
        self.living.kill();
        let started = shell(&self.command.replace(ADDRESS, address))
            .stdin(Stdio::null())
            // Standard output is for what the checks find.
            .stdout(Stdio::from(std::io::stderr()))
            .process_group(0)
            .spawn()
            .map_err(|error| format!("the worker could not be started: {error}"))?;
        self.living.with(|child| *child = Some(started));
        Ok(())
    }

    fn ended(&mut self, within: Duration) -> Option<Result<(), String>> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.living.status() {
                return Some(how(status));
            }
            if Instant::now() >= until {
                let told = format!("it was still there after {within:?}");
                return if within.is_zero() { None } else { Some(Err(told)) };
            }
            thread::sleep(GLANCE);
        }
    }

    fn terminate(&mut self) -> bool {
        self.living.with(|child| {
            // The shell passes no signal on, and its children are the worker.
            child.as_ref().is_some_and(|child| {
                let pid = Pid::from_child(child);
                kill_process_group(pid, Signal::TERM).or_else(|_| kill_process(pid, Signal::TERM)).is_ok()
            })
        })
    }

    fn kill(&mut self) {
        self.living.kill();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.living.kill();
    }
}

/// A worker that somebody else starts.
pub(super) struct Foreign;

impl Subject for Foreign {
    fn is_ours(&self) -> bool {
        false
    }

    fn start(&mut self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn ended(&mut self, _: Duration) -> Option<Result<(), String>> {
        None
    }

    fn terminate(&mut self) -> bool {
        false
    }

    fn kill(&mut self) {}
}
