//! Processes, conditions with a deadline, and a spec that takes a second.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a condition may take to come true. Far more than it takes: the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// A run of about 2 s on one core: tiny networks and many updates, so that episodes take a while and the comparison at
/// the end does not.
pub(crate) const SPEC: &str = r#"
name = "tiny"
seed = 7
strategy = { kind = "cma-es", population_size = 8 }
rule = { states = 2 }
network = { hidden = [3] }

[tasks]
families = ["xor", "half-plane"]
per_generation = 4
batch_size = 4
query_size = 16

[evaluation]
measure = [{ update = "last", weight = 1.0 }]
unroll = [{ generations = 1, updates = 400 }]

[stop]
generations = 60
"#;

/// An own directory for a test.
pub(crate) struct Place(TempDir);

impl Place {
    /// A fresh directory that holds `tiny.toml`.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("tiny.toml"), SPEC).unwrap();
        Self(directory)
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in it.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// All that is in it, sorted.
    pub(crate) fn listing(&self) -> Vec<String> {
        fn visit(directory: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.display().to_string());
                if path.is_dir() {
                    visit(&path, found);
                }
            }
        }
        let mut found = Vec::new();
        visit(self.0.path(), &mut found);
        found.sort();
        found
    }

    /// The program in this directory, without the user's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("HEBBIAN") || text.starts_with("OTEL_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        // Its usual port is one for the whole machine.
        command.env("HEBBIAN__SERVER__WEB", "off");
        command
    }

    /// Runs to the end.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs to the end with a text as standard input.
    pub(crate) fn output_of(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs to the end, which must be a good one; what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?} ended with {}: {}", output.status, errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// As `ok`, read as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {text}"))
    }

    /// Starts it and goes on; its lines on standard error go to the file `log`.
    pub(crate) fn start(&self, arguments: &[&str], log: &str) -> Process {
        self.start_with(&[], arguments, log)
    }

    /// The same with variables.
    pub(crate) fn start_with(&self, variables: &[(&str, String)], arguments: &[&str], log: &str) -> Process {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.path(log)).unwrap();
        let mut command = self.command(arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Process(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

/// What a process wrote to standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The program as it is started from a terminal: it hears SIGHUP also where whoever started the tests ignores it (`nohup`).
fn program() -> Command {
    let binary = env!("CARGO_BIN_EXE_hebbian");
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let hangup = ignored.is_some_and(|mask| mask.trim().ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']));
    if !hangup {
        return Command::new(binary);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", binary]);
    command
}

/// A process that does not outlive its test.
pub(crate) struct Process(Child);

impl From<Child> for Process {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Process {
    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Waits for its end; the exit code, or `None` if a signal ended it.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        until("the process has ended", || self.has_ended());
        self.0.wait().unwrap().code()
    }

    /// SIGKILL: no last words.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The bits of a genome file's values.
pub(crate) fn bits(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let values = file["values"].as_array().unwrap();
    values.iter().map(|value| value.as_f64().unwrap().to_bits()).collect()
}

/// What an address answers to a request for a path.
pub(crate) fn fetched(address: &str, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The metrics of a process, by their address.
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// Where the process's log says that they are, the last time that it says so.
    pub(crate) fn of(place: &Place, log: &str) -> Self {
        let told = || {
            let log = fs::read_to_string(place.path(log)).unwrap_or_default();
            let (_, rest) = log.rsplit_once("metrics at http://")?;
            rest.split_once("/metrics").map(|(address, _)| address.to_owned())
        };
        until("it says where its metrics are", || told().is_some());
        Self(told().unwrap())
    }

    /// All of them.
    pub(crate) fn text(&self) -> String {
        let text = fetched(&self.0, "/metrics", &self.0);
        assert!(
            text.starts_with("HTTP/1.1 200") && text.contains("content-type: text/plain; version=0.0.4"),
            "{text}"
        );
        text
    }

    /// One of them, with its label if it has one.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }
}

/// A coordinator on a port of its own, with its journal in the test's directory.
pub(crate) struct Coordinator<'a> {
    place: &'a Place,
    process: Process,
    further: &'a [&'a str],
    /// Where it listens.
    pub(crate) url: String,
}

impl<'a> Coordinator<'a> {
    /// Starts one and waits until it listens.
    pub(crate) fn start(place: &'a Place) -> Self {
        Self::start_with(place, &[])
    }

    /// Starts one with further arguments.
    pub(crate) fn start_with(place: &'a Place, further: &'a [&'a str]) -> Self {
        let (process, url) = Self::launch(place, "127.0.0.1:0", further);
        Self { place, process, further, url }
    }

    fn launch(place: &Place, listen: &str, further: &[&str]) -> (Process, String) {
        let address = place.path("address");
        // The predecessor's, if there was one.
        let _ = fs::remove_file(&address);
        let arguments = [
            "coordinator",
            "--listen",
            listen,
            "--storage",
            "sqlite:cluster.sqlite",
            "--address-file",
            "address",
        ];
        let mut process = place.start(&[&arguments, further].concat(), "coordinator.log");
        until("the coordinator listens", || {
            assert!(!process.has_ended(), "{}", fs::read_to_string(place.path("coordinator.log")).unwrap());
            address.exists()
        });
        let url = fs::read_to_string(&address).unwrap().trim().to_owned();
        (process, url)
    }

    /// SIGKILL, then another one on the same journal and the same port.
    pub(crate) fn kill_and_restart(&mut self) {
        self.process.kill();
        let listen = self.url.strip_prefix("http://").unwrap().to_owned();
        (self.process, self.url) = Self::launch(self.place, &listen, self.further);
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Starts a worker of one thread.
    pub(crate) fn worker(&self, name: &str) -> Process {
        let arguments = ["worker", "--coordinator", &self.url, "--threads", "1", "--name", name];
        self.place.start(&arguments, &format!("{name}.log"))
    }

    /// A client command's arguments with this coordinator's address.
    pub(crate) fn arguments<'b>(&'b self, arguments: &[&'b str]) -> Vec<&'b str> {
        [arguments, &["--coordinator", &self.url]].concat()
    }

    /// A client command that must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.place.ok(&self.arguments(arguments))
    }

    /// A client command's JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.place.json(&self.arguments(&[arguments, &["--json"]].concat()))
    }

    /// Closed generations of a run.
    pub(crate) fn generation(&self, run: &str) -> u64 {
        self.json(&["status", run])["generation"].as_u64().unwrap()
    }

    /// Waits until a run is in a state.
    pub(crate) fn until_state(&self, run: &str, state: &str) {
        until(&format!("run {run} is {state}"), || self.json(&["status", run])["state"]["kind"] == state);
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.process.signal("TERM");
        self.process.exit_code()
    }
}
