//! A PostgreSQL server for tests: its own processes, its own folder, no port. It ends with the process that has started it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// Where Debian's packages put the programs of a server.
const PACKAGES: &str = "/usr/lib/postgresql";

/// What starts a server, says so, and stops it when nobody listens any more. Its folder goes with it: a server of a whole process is never
/// dropped.
const KEEPER: &str = r#""$0" -w -D "$1" -l "$1/../log" -o "$2" start >/dev/null || exit
echo ready
cat >/dev/null
"$0" -m immediate -D "$1" stop >/dev/null 2>&1
rm -rf "${1%/*}""#;

/// A server.
#[derive(Debug)]
pub struct Server {
    /// Must be short: the socket is in it.
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    settings: String,
    databases: AtomicUsize,
    keeper: Child,
}

/// The programs of a server, of the newest version that there is.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(PACKAGES).ok()?.filter_map(|version| {
        let version = version.ok()?;
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let programs = version.path().join("bin");
        programs.join("initdb").exists().then_some((number, programs))
    });
    versions.max().map(|(_, programs)| programs)
}

/// The account that servers run as where this process is root, which they refuse to be.
fn account() -> Option<(u32, u32)> {
    let me = fs::metadata("/proc/self").ok()?;
    if std::os::unix::fs::MetadataExt::uid(&me) != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    let line = accounts.lines().find(|line| line.starts_with("postgres:"))?;
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
    // Where everybody may be.
    command.current_dir("/").env_remove("PGHOST").env_remove("PGUSER").env_remove("PGPASSWORD");
    command
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Server {
    /// Starts a server of its own; none, loudly, where there are no programs of one. `HEBBIAN_POSTGRES=required` makes that a failure.
    pub fn start() -> Option<Self> {
        Self::with(5432, |_| String::new())
    }

    /// The same with more settings: `-c NAME=VALUE ...`, as a look at its folder gives them, which has its data in `data`. The port is
    /// part of its socket's name.
    pub fn with(port: u16, settings: impl FnOnce(&Path) -> String) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("HEBBIAN_POSTGRES").is_none(),
                "there is no PostgreSQL in {PACKAGES}; Debian's package is `postgresql`"
            );
            eprintln!("SKIPPED: there is no PostgreSQL in {PACKAGES}; Debian's package `postgresql` has it");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("hebbian-pg").tempdir_in("/tmp").unwrap();
        if let Some((user, group)) = account() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        let mut initdb = command(programs.join("initdb"));
        initdb.args(["-A", "trust", "-U", "hebbian", "--no-sync", "-E", "UTF8", "--locale=C", "-D"]);
        succeed(initdb.arg(&data));
        // What is not synced survives its processes, and no test ends the machine.
        let settings = format!(
            "-k {} -p {port} -c listen_addresses='' -c shared_buffers=16MB -c max_connections=60 -c fsync=off {}",
            folder.path().display(),
            settings(folder.path())
        );
        let keeper = keep(&programs, &data, &settings);
        Some(Self { folder, programs, port, settings, databases: AtomicUsize::new(0), keeper })
    }

    /// Writes a file that only the server may read.
    pub fn secret(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = account() {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    /// One server for all tests of a process that do no harm to it.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Server>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// The folder, which has the server's files and its socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of a new database.
    pub fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut create = command(self.programs.join("createdb"));
        let port = self.port.to_string();
        succeed(
            create
                .args(["-U", "hebbian", "-T", "template0", "-p", &port, "-h"])
                .arg(self.folder())
                .arg(&name),
        );
        format!("postgresql://hebbian@/{name}?host={}&port={port}", self.folder().display())
    }

    /// What a statement in a database gives: a line for each row, with `|` between its columns.
    pub fn ask(&self, address: &str, sql: &str) -> String {
        let mut psql = command(self.programs.join("psql"));
        let output =
            psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", address, "-c", sql]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Ends all of its processes at once, as a crash does; what was answered as committed is there at the next start.
    pub fn crash(&self) {
        let mut stop = command(self.programs.join("pg_ctl"));
        succeed(stop.args(["-m", "immediate", "-w", "-D"]).arg(self.folder().join("data")).arg("stop"));
    }

    /// Has all of its processes hang, as a machine does that is cut off, until the answer is dropped.
    pub fn hang(&self) -> Hang {
        let file = fs::read_to_string(self.folder().join("data/postmaster.pid")).unwrap();
        let parent = file.lines().next().unwrap().to_owned();
        let signal = |name: &str, process: &str| {
            // Some end meanwhile.
            let _ = Command::new("kill").args(["-s", name, process]).stderr(Stdio::null()).status();
        };
        // It starts no other ones from here on.
        signal("STOP", &parent);
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        let mut processes: Vec<String> = children.split_whitespace().map(str::to_owned).collect();
        for process in &processes {
            signal("STOP", process);
        }
        processes.push(parent);
        Hang(processes)
    }

    /// Starts it again after a crash.
    pub fn restart(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        self.keeper = keep(&self.programs, &self.folder().join("data"), &self.settings);
    }
}

/// Processes of a server that hang.
#[derive(Debug)]
pub struct Hang(Vec<String>);

impl Drop for Hang {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "CONT"]).args(&self.0).stderr(Stdio::null()).status();
    }
}

/// Starts a server, and waits until it answers.
fn keep(programs: &Path, data: &Path, settings: &str) -> Child {
    let mut shell = command("/bin/sh");
    shell.arg("-c").arg(KEEPER).arg(programs.join("pg_ctl")).arg(data).arg(settings);
    let mut keeper = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let log = || fs::read_to_string(data.join("../log")).unwrap_or_default();
    assert_eq!(said, "ready\n", "the server has not started: {}", log());
    keeper
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::mem::ManuallyDrop;

    use super::*;

    #[test]
    fn a_process_that_ends_leaves_nothing_of_its_server() {
        let Some(server) = Server::start() else { return };
        // As a process ends: nothing is dropped, and the pipe is closed.
        let mut server = ManuallyDrop::new(server);
        assert!(server.folder().join("data").exists());
        drop(server.keeper.stdin.take());
        server.keeper.wait().unwrap();
        assert!(!server.folder().exists(), "{}", server.folder().display());
    }
}
