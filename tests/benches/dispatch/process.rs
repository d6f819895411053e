//! Child processes: this program in another role, what the system says of them, and signals.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Clock ticks of `/proc` in a second; the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A child in a role. It is killed when this is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program in a role and waits for its first line.
    pub(crate) fn start(role: &str, arguments: &[String]) -> (Self, String) {
        let program = std::env::current_exe().expect("a program knows where it is");
        let mut process = Command::new(program)
            .arg("--role")
            .arg(role)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let input = process.stdin.take();
        let mut child = Self { process, input, output };
        let line = child.line();
        (child, line)
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let length = self.output.read_line(&mut line).expect("a pipe");
        assert!(length > 0, "a child has ended: its message stands above");
        line.trim().to_owned()
    }

    /// Sends it a line.
    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("an open pipe");
        writeln!(input, "{line}").expect("the child reads");
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} could not be sent");
    }

    /// SIGKILL at this moment.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it has not ended");
        self.process.wait().expect("it was ours");
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux");
        let kilobytes = line.trim().trim_end_matches("kB").trim();
        kilobytes.parse::<f64>().expect("a number") * 1024.0
    }

    /// Processor time it has used, in seconds.
    pub(crate) fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it lives");
        // The second field is the name in parentheses, which may hold anything.
        let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
        let ticks: Vec<f64> = fields.skip(11).take(2).map(|field| field.parse().expect("ticks")).collect();
        (ticks[0] + ticks[1]) / TICKS_PER_SECOND
    }

    /// Processor time that its threads of this name have used, in seconds.
    pub(crate) fn thread_time(&self, name: &str) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("it lives");
        let time = |thread: std::path::PathBuf| {
            // A thread may end meanwhile.
            let of = fs::read_to_string(thread.join("comm")).ok()?;
            let figures = fs::read_to_string(thread.join("schedstat")).ok()?;
            let nanoseconds: f64 = figures.split(' ').next()?.parse().ok()?;
            (of.trim() == name).then_some(nanoseconds / 1e9)
        };
        threads.filter_map(|thread| time(thread.ok()?.path())).sum()
    }

    /// The share of one core that it uses over a time.
    pub(crate) fn load(&self, over: Duration) -> f64 {
        let (start, used) = (Instant::now(), self.processor_time());
        std::thread::sleep(over);
        (self.processor_time() - used) / start.elapsed().as_secs_f64()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prints a line for the parent.
pub(crate) fn report(line: &str) {
    println!("{line}");
    std::io::stdout().flush().expect("the parent reads");
}

/// Ends this process when its parent has gone.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        let mut line = String::new();
        while std::io::stdin().read_line(&mut line).is_ok_and(|length| length > 0) {}
        std::process::exit(0);
    });
}
