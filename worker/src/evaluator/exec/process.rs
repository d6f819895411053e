//! A program that evaluates an objective, as a process with all its children: lines in, lines out, an end in any case.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hebbian_learning::interrupt::Interrupt;
use hebbian_shared::limits::{PROGRAM_ERROR_LINE_MAX, PROGRAM_LINE_BYTES_MAX, PROGRAM_TERM_GRACE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::shell::shell;

/// The mark of the order of bytes, as UTF-8 has it.
const BYTE_ORDER: &[u8] = b"\xef\xbb\xbf";
/// How often it is looked whether there is an interrupt, or an end, while a program computes.
const GLANCE: Duration = Duration::from_millis(50);
/// How often it is looked whether a process has ended that is ending.
const ENDING_GLANCE: Duration = Duration::from_millis(5);
/// How long after the end of its output a process may take to end, until it is told to.
const EXIT_GRACE: Duration = Duration::from_millis(500);
/// How long the system may take to end what is killed.
const KILLED_GRACE: Duration = Duration::from_secs(60);
/// Lines of standard error that are remembered, for what is said of a process that broke.
const LAST_WORDS: usize = 3;

/// Why there is no line.
#[derive(Debug, PartialEq)]
pub(super) enum NoLine {
    /// Somebody wants it no more.
    Interrupted,
    /// It takes too long.
    Late,
    /// The program has ended, or cannot be spoken with; it says how.
    Broken(String),
}

/// What a process's standard error is about, and what was last said there.
#[derive(Debug, Default)]
struct Words {
    about: String,
    last: VecDeque<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Its group has the same number.
    pid: Pid,
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// What was read of lines that were not taken yet, and how much of it holds no end of a line.
    read: Vec<u8>,
    searched: usize,
    /// A line was written in part.
    is_midway: bool,
    words: Arc<Mutex<Words>>,
    listener: Option<thread::JoinHandle<()>>,
}

fn lock(words: &Mutex<Words>) -> MutexGuard<'_, Words> {
    words.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Starts a command of the shell in a group of its own.
    pub(super) fn start(command: &str, slot: usize) -> Result<Self, String> {
        let started = shell(command)
            .env("HEBBIAN_SLOT", slot.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        let failed = |error: std::io::Error| format!("the program could not be started: {error}");
        let mut child = started.map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err("the program has no standard streams".to_owned());
        };
        rustix::io::ioctl_fionbio(&input, true).map_err(|error| failed(error.into()))?;
        rustix::io::ioctl_fionbio(&output, true).map_err(|error| failed(error.into()))?;
        let pid = Pid::from_child(&child);
        let words = Arc::new(Mutex::new(Words::default()));
        let heard = Arc::clone(&words);
        let listener = thread::Builder::new()
            .name(format!("stderr-{slot}"))
            .spawn(move || listen(errors, &heard))
            .map_err(failed)?;
        Ok(Self {
            child,
            pid,
            input: Some(input),
            output,
            read: Vec::new(),
            searched: 0,
            is_midway: false,
            words,
            listener: Some(listener),
        })
    }

    /// The number of the process and of its group.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// What is said on standard error from here on is about this.
    pub(super) fn about(&self, about: String) {
        lock(&self.words).about = about;
    }

    /// Writes a line, and takes what comes of it: the next line of the program.
    pub(super) fn ask(
        &mut self,
        line: &str,
        until: Instant,
        interrupt: &Interrupt,
    ) -> Result<String, NoLine> {
        let mut rest = line.as_bytes();
        self.is_midway = true;
        while !rest.is_empty() {
            let Some(input) = &mut self.input else { return Err(self.broken()) };
            match input.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let input = PollFd::new(input, PollFlags::OUT);
                    let output = PollFd::new(&self.output, PollFlags::IN);
                    wait(&mut [input, output], until, interrupt)?;
                    // It may not read on before somebody has read what it wrote.
                    if !self.take_in()? && self.has_ended() {
                        return Err(self.broken());
                    }
                }
                Err(_) => return Err(self.broken()),
            }
        }
        self.is_midway = false;
        self.line(until, interrupt)
    }

    /// Whether a line was written in part, so that no other can follow.
    pub(super) fn is_midway(&self) -> bool {
        self.is_midway
    }

    /// The next line of the program.
    pub(super) fn line(&mut self, until: Instant, interrupt: &Interrupt) -> Result<String, NoLine> {
        loop {
            if let Some(end) = self.read[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(self.searched + end + 1);
                let mut line = std::mem::replace(&mut self.read, rest);
                self.searched = 0;
                line.pop();
                // Some programs begin what they write with a mark of the order of its bytes.
                line.drain(..if line.starts_with(BYTE_ORDER) { BYTE_ORDER.len() } else { 0 });
                return String::from_utf8(line)
                    .map_err(|_| NoLine::Broken("its standard output is no text in UTF-8".to_owned()));
            }
            self.searched = self.read.len();
            if self.take_in()? {
                continue;
            }
            if !self.has_ended() {
                wait(&mut [PollFd::new(&self.output, PollFlags::IN)], until, interrupt)?;
            } else if !self.take_in()? {
                // What it wrote before it ended counts. Children that it left may hold its output open for ever.
                return Err(self.broken());
            }
        }
    }

    /// Reads what the program has written; whether that is anything.
    fn take_in(&mut self) -> Result<bool, NoLine> {
        let mut buffer = [0; 16 << 10];
        match self.output.read(&mut buffer) {
            Ok(0) => return Err(self.broken()),
            Ok(count) => self.read.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(_) => return Err(self.broken()),
        }
        if self.read.len() > PROGRAM_LINE_BYTES_MAX {
            let problem = format!("it wrote a line of more than {PROGRAM_LINE_BYTES_MAX} bytes");
            return Err(NoLine::Broken(problem));
        }
        Ok(true)
    }

    /// How a process ended that says nothing any more.
    fn broken(&mut self) -> NoLine {
        let status = self.exit(EXIT_GRACE).or_else(|| {
            self.end();
            None
        });
        let how = match status {
            None => "the program closed its standard output".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("the program exited with status {code}"),
                (None, signal) => format!("the program was killed by signal {}", signal.unwrap_or(0)),
            },
        };
        let words = lock(&self.words);
        let last: Vec<&str> = words.last.iter().map(String::as_str).collect();
        NoLine::Broken(if last.is_empty() {
            how
        } else {
            format!("{how}; its last words: {}", last.join(" | "))
        })
    }

    /// Whether the process has ended. It is not taken from the system yet, so its number, and that of its group, is no other's.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    /// Waits so long for the process to end by itself; whatever it leaves behind in its group is killed.
    fn exit(&mut self, within: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        while !self.has_ended() {
            if Instant::now() >= until {
                return None;
            }
            thread::sleep(ENDING_GLANCE);
        }
        let _ = kill_process_group(self.pid, Signal::KILL);
        let status = self.child.wait().ok();
        // The listener reads to the end of what was said. A process that left the group may hold that open: nobody waits for it.
        if let Some(listener) = self.listener.take() {
            let until = Instant::now() + EXIT_GRACE;
            while !listener.is_finished() && Instant::now() < until {
                thread::sleep(ENDING_GLANCE);
            }
        }
        status
    }

    /// Ends the process and its children: they are told to end, and killed if they do not. Takes two seconds at most.
    pub(super) fn end(&mut self) {
        self.input = None;
        if self.listener.is_none() {
            return;
        }
        let _ = kill_process_group(self.pid, Signal::TERM);
        let until = Instant::now() + PROGRAM_TERM_GRACE;
        // A shell ends at once, and leaves those behind that want to end in order.
        while Instant::now() < until && (!self.has_ended() || has_company(self.pid)) {
            thread::sleep(ENDING_GLANCE);
        }
        if self.exit(Duration::ZERO).is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
            self.exit(KILLED_GRACE);
        }
    }
}

/// Whether somebody else in the group of a process lives. Where there is no `/proc` nobody is known.
fn has_company(pid: Pid) -> bool {
    let number = pid.as_raw_nonzero().to_string();
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let mut others = processes.flatten().filter(|process| process.file_name() != *number);
    others.any(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // The name, which stands in brackets, may contain anything. After it: state, parent, group.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let lives = fields.next().is_some_and(|state| !matches!(state, "Z" | "X"));
        lives && fields.nth(1) == Some(&number)
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until something can be read or written, but no longer than a glance.
fn wait(wanted: &mut [PollFd<'_>], until: Instant, interrupt: &Interrupt) -> Result<(), NoLine> {
    if interrupt.is_raised() {
        return Err(NoLine::Interrupted);
    }
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(NoLine::Late);
    }
    let span = left.min(GLANCE);
    let span = Timespec { tv_sec: 0, tv_nsec: i64::from(span.subsec_nanos()) };
    match poll(wanted, Some(&span)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(NoLine::Broken(format!("its standard streams broke: {error}"))),
    }
}

/// Puts what a program says on its standard error into the log, line by line, each with the evaluation it is about.
fn listen(errors: ChildStderr, words: &Mutex<Words>) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    // Nothing of a longer line is kept.
    while let Ok(1..) = (&mut errors).take(PROGRAM_ERROR_LINE_MAX as u64).read_until(b'\n', &mut line) {
        let text = printable(&String::from_utf8_lossy(&line));
        line.clear();
        if text.is_empty() {
            continue;
        }
        let about = {
            let mut words = lock(words);
            if words.last.len() >= LAST_WORDS {
                words.last.pop_front();
            }
            words.last.push_back(text.clone());
            words.about.clone()
        };
        tracing::info!(about, "objective: {text}");
    }
}

/// A line without what would spoil a terminal.
fn printable(line: &str) -> String {
    let line = line.trim_end_matches(['\n', '\r']);
    // A program may say very much.
    if !line.contains(char::is_control) {
        return line.to_owned();
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    line.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn start(command: &str) -> Process {
        Process::start(command, 0).unwrap()
    }

    fn ask(process: &mut Process, line: &str, within: Duration) -> Result<String, NoLine> {
        process.ask(line, Instant::now() + within, &Interrupt::new())
    }

    #[test]
    fn lines_go_in_and_come_out() {
        let mut process = start("cat");
        for line in ["one\n", "two\n", "ä\n"] {
            assert_eq!(ask(&mut process, line, LONG).as_deref(), Ok(line.trim_end()));
        }
        // Some programs begin what they write with a mark of the order of its bytes.
        let mut marked = start("printf '\\357\\273\\277{}\\n\\357\\273\\277\\n'; cat");
        assert_eq!(ask(&mut marked, "x\n", LONG).as_deref(), Ok("{}"));
        assert_eq!(marked.line(Instant::now() + LONG, &Interrupt::new()).as_deref(), Ok(""));
        // Longer than what a pipe holds.
        let long = format!("{}\n", "x".repeat(1 << 20));
        assert_eq!(ask(&mut process, &long, LONG).map(|line| line.len()), Ok(1 << 20));
    }

    #[test]
    fn a_program_that_ends_says_how() {
        let broken = |command: &str, expected: &str| {
            let found = ask(&mut start(command), "x\n", LONG).unwrap_err();
            assert_eq!(found, NoLine::Broken(expected.to_owned()));
        };
        broken("exit 3", "the program exited with status 3");
        broken("kill -9 $$", "the program was killed by signal 9");
        broken(
            "printf 'Trace\\nback\\033[2J\\n' >&2; exit 1",
            "the program exited with status 1; its last words: Trace | back\\u{1b}[2J",
        );
        broken("exec 1>&-; cat >/dev/null", "the program closed its standard output");
        let endless = ask(&mut start("yes x | tr -d '\\n'"), "x\n", LONG).unwrap_err();
        assert!(matches!(endless, NoLine::Broken(problem) if problem.contains("a line of more than")));
    }

    #[test]
    fn one_that_takes_too_long_is_ended_with_its_children() {
        // The shell's child holds the pipe open, and both let SIGTERM pass.
        let mut process = start("trap '' TERM; sleep 1000 & echo $!; cat >/dev/null & wait");
        let child = process.line(Instant::now() + LONG, &Interrupt::new()).unwrap();
        assert_eq!(ask(&mut process, "x\n", Duration::from_millis(20)), Err(NoLine::Late));
        process.end();
        assert_ends(&child);
    }

    #[test]
    fn the_children_of_a_shell_have_time_to_end_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let note = directory.path().join("note");
        let program = format!(
            "trap 'sleep 0.3; echo ended >{}; exit' TERM; echo ready; while :; do sleep 0.01; done",
            note.display()
        );
        // One that the shell waits for, and one that takes its place.
        for command in [format!("sh -c \"{program}\" & wait"), format!("sh -c \"{program}\"")] {
            let mut process = start(&command);
            assert_eq!(process.line(Instant::now() + LONG, &Interrupt::new()).as_deref(), Ok("ready"));
            process.end();
            assert_eq!(std::fs::read_to_string(&note).unwrap(), "ended\n", "{command}");
            std::fs::remove_file(&note).unwrap();
        }
    }

    #[test]
    fn children_that_an_ended_program_left_hold_nobody_up() {
        let found = ask(&mut start("read x; sleep 1000 & exit 3"), "x\n", LONG);
        assert_eq!(found, Err(NoLine::Broken("the program exited with status 3".to_owned())));
        // What was said before counts, and the child ends with the program.
        let mut process = start("read x; sleep 1000 & echo $!");
        let child = ask(&mut process, "x\n", LONG).unwrap();
        let ended = Err(NoLine::Broken("the program exited with status 0".to_owned()));
        assert_eq!(process.line(Instant::now() + LONG, &Interrupt::new()), ended);
        assert_ends(&child);
        // Nor is it waited for while nobody reads what it is asked.
        let long = format!("{}\n", "x".repeat(1 << 20));
        assert_eq!(ask(&mut start("sleep 1000 <&0 & exit 0"), &long, LONG), ended);
    }

    #[test]
    fn a_process_that_left_the_group_holds_nobody_up() {
        // It has a session of its own, and keeps the standard streams open.
        let mut process = start("setsid sleep 30 & echo $!; cat >/dev/null");
        let left = process.line(Instant::now() + LONG, &Interrupt::new()).unwrap();
        let begun = Instant::now();
        process.end();
        assert!(begun.elapsed() < Duration::from_secs(20));
        let _ = std::process::Command::new("kill").arg(left).status();
    }

    /// A process that was killed ends: the system may take a moment.
    fn assert_ends(pid: &str) {
        let until = Instant::now() + LONG;
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat
                .rsplit(')')
                .next()
                .is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with(['Z', 'X']))
            {
                return;
            }
            assert!(Instant::now() < until, "{pid} lives: {stat}");
            thread::yield_now();
        }
    }

    #[test]
    fn an_interrupt_is_heard_while_a_program_computes_or_does_not_read() {
        let interrupt = Interrupt::new();
        interrupt.raise();
        let until = Instant::now() + LONG;
        assert_eq!(start("sleep 1000").line(until, &interrupt), Err(NoLine::Interrupted));
        let long = format!("{}\n", "x".repeat(1 << 20));
        assert_eq!(start("sleep 1000").ask(&long, until, &interrupt), Err(NoLine::Interrupted));
    }
}
