//! What happens to a coordinator's journal and memory from outside: full and read-only disks, files that go away, limits. Where the
//! system does not permit what a test needs, it says so and passes.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Coordinator, Metrics, Place, Process, SPEC, errors, until};

/// A run that does not end by itself.
fn endless() -> String {
    SPEC.replace("generations = 60", "generations = 1000000").replace("updates = 400", "updates = 5")
}

/// A coordinator whose journal is on a file system of its own, as `disk`, which nobody else sees; `None` where that is not permitted.
/// It is mounted by `mount` with these arguments.
fn on_disk_of_its_own<'a>(place: &'a Place, mount: &str) -> Option<Disk<'a>> {
    fs::create_dir_all(place.path("disk")).unwrap();
    let script = format!(
        "mount {mount} disk || exit 77; touch mounted; exec \"$0\" coordinator --listen 127.0.0.1:0 --storage \
         sqlite:disk/j.sqlite --address-file address --web 127.0.0.1:0"
    );
    let _ = fs::remove_file(place.path("mounted"));
    let _ = fs::remove_file(place.path("address"));
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_hebbian")]).current_dir(place.path(""));
    let log = File::create(place.path("disk.log")).unwrap();
    let mut process = Process::from(command.stdout(Stdio::null()).stderr(log).spawn().ok()?);
    until("it is mounted", || place.path("mounted").exists() || process.has_ended());
    if !place.path("mounted").exists() {
        eprintln!(
            "skipped: this system permits no mounts: {}",
            fs::read_to_string(place.path("disk.log")).unwrap()
        );
        return None;
    }
    until("it listens", || {
        fs::read_to_string(place.path("address")).is_ok_and(|url| url.ends_with('\n')) || process.has_ended()
    });
    let url = fs::read_to_string(place.path("address")).unwrap_or_default().trim().to_owned();
    Some(Disk { place, process, url })
}

struct Disk<'a> {
    place: &'a Place,
    process: Process,
    url: String,
}

impl Disk<'_> {
    fn output(&self, arguments: &[&str]) -> std::process::Output {
        self.place.output(&[arguments, &["--coordinator", &self.url]].concat())
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn status(&self, run: &str) -> Value {
        serde_json::from_str(&self.ok(&["status", run, "--json"])).unwrap()
    }

    /// Has the coordinator's own mounts looked at or changed.
    fn inside(&self, script: &str) -> String {
        let id = self.process.id().to_string();
        let directory = self.place.path("disk").display().to_string();
        let mut command = Command::new("nsenter");
        let output = command.args(["-m", "-t", &id, "sh", "-c", script, &directory]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn worker(&self) -> Process {
        self.place.start(&["worker", "--coordinator", &self.url, "--threads", "1"], "worker.log")
    }
}

fn reason(status: &Value) -> &str {
    status["state"]["paused"]["reason"].as_str().unwrap_or_default()
}

#[test]
fn on_a_full_disk_runs_pause_and_what_frees_room_works() {
    let place = Place::new();
    place.write("endless.toml", &endless());
    let Some(mut disk) = on_disk_of_its_own(&place, "-t tmpfs -o size=4m tmpfs") else { return };
    let _worker = disk.worker();
    let metrics = Metrics::of(&place, "disk.log");
    let seen = || {
        let paused = metrics.figure("hebbian_runs{state=\"paused\"}");
        (metrics.figure("hebbian_journal_trouble"), paused)
    };
    assert_eq!(seen(), (0.0, 0.0));
    let runs = [0, 1].map(|_| disk.ok(&["create", "endless.toml"]).trim().to_owned());
    until("the disk is full", || reason(&disk.status(&runs[0])).contains("no space left on the disk"));
    until("monitoring sees it", || seen() == (1.0, 2.0));
    // What takes room is refused with that reason, and what frees it is done.
    let refused = disk.output(&["create", "endless.toml"]);
    assert!(!refused.status.success() && errors(&refused).contains("no space left"), "{}", errors(&refused));
    disk.ok(&["cancel", &runs[0]]);
    disk.ok(&["delete", &runs[0]]);
    assert!(!disk.output(&["status", &runs[0]]).status.success());
    let before = disk.status(&runs[1])["generation"].as_u64().unwrap();
    until("the other one goes on in its room", || {
        disk.status(&runs[1])["generation"].as_u64().unwrap() > before
    });
    // What it is told it does also if it is full again.
    disk.ok(&["cancel", &runs[1]]);
    disk.ok(&["delete", &runs[1]]);
    until("monitoring sees that there is room", || seen() == (0.0, 0.0));
    disk.process.signal("TERM");
    let _ = disk.process.exit_code();
}

#[test]
fn a_read_only_disk_is_told_and_changes_nothing() {
    let place = Place::new();
    place.write("endless.toml", &endless());
    let Some(mut disk) = on_disk_of_its_own(&place, "-t tmpfs -o size=64m tmpfs") else { return };
    let worker = disk.worker();
    let run = disk.ok(&["create", "endless.toml"]).trim().to_owned();
    until("it gets on", || disk.status(&run)["generation"].as_u64().unwrap() >= 3);
    drop(worker);
    until("nobody works on it", || disk.status(&run)["eligible_workers"] == 0);
    disk.ok(&["pause", &run]);
    // It is copied out of the mount, which ends with the process, as a kill leaves it.
    disk.inside("cp -a \"$0\" \"$0/../left\"");
    disk.process.kill();
    let on_read_only = |command: &str| {
        let script =
            format!("mount --bind left left && mount -o remount,bind,ro left && exec \"$0\" {command}");
        let mut unshared = Command::new("unshare");
        unshared.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_hebbian")]).current_dir(place.path(""));
        unshared.stdin(Stdio::null()).output().unwrap()
    };
    let before = listing(&place.path("left"));
    let started = on_read_only("coordinator --listen 127.0.0.1:0 --storage sqlite:left/j.sqlite");
    let told = errors(&started);
    assert_eq!(started.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("hebbian: error: ")).count(), 1, "{told}");
    assert!(told.to_lowercase().contains("read-only"), "{told}");
    assert_eq!(listing(&place.path("left")), before);
    // Where it can be written again it goes on.
    check_left(&place, &[&run]);
}

/// Starts a coordinator on the journal in `left`, which must have these runs with some generations each.
fn check_left(place: &Place, runs: &[&str]) {
    let start = "coordinator --listen 127.0.0.1:0 --storage sqlite:left/j.sqlite --address-file again";
    let mut process = place.start(&start.split(' ').collect::<Vec<_>>(), "again.log");
    until("it listens", || place.path("again").exists() || process.has_ended());
    let url = fs::read_to_string(place.path("again")).unwrap().trim().to_owned();
    for run in runs {
        let status = place.json(&["status", run, "--json", "--coordinator", &url]);
        assert!(status["generation"].as_u64().unwrap() >= 3, "{status}");
    }
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
}

/// What a system does with a disk that fails: from one moment on nothing can be written, whoever has files open.
#[test]
fn a_disk_that_becomes_read_only_under_a_coordinator_pauses_its_runs() {
    let place = Place::new();
    place.write("endless.toml", &endless());
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(place.path("image")).arg("24M").output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("skipped: this system makes no file systems");
        return;
    }
    let Some(mut disk) = on_disk_of_its_own(&place, "-t ext4 -o loop image") else { return };
    let _worker = disk.worker();
    let runs = [0, 1].map(|_| disk.ok(&["create", "endless.toml"]).trim().to_owned());
    let generation = |run: &str| disk.status(run)["generation"].as_u64().unwrap();
    until("they get on", || runs.iter().all(|run| generation(run) >= 5));
    // Nobody may remount what is written to; this is how the kernel does it.
    disk.inside("mount -o remount,abort \"$0\" && ! touch \"$0/x\" 2>&-");
    until("they pause", || {
        runs.iter().all(|run| reason(&disk.status(run)).contains("the journal cannot be written"))
    });
    let refused = disk.output(&["create", "endless.toml"]);
    assert!(!refused.status.success(), "nothing is acknowledged that is not on the disk");
    disk.inside("cp -a \"$0\" \"$0/../left\"");
    disk.process.signal("TERM");
    assert_eq!(disk.process.exit_code(), Some(1));
    let log = fs::read_to_string(place.path("disk.log")).unwrap();
    assert!(log.contains("its last records could not be written"), "{log}");
    check_left(&place, &[&runs[0], &runs[1]]);
}

fn listing(directory: &Path) -> Vec<(String, u64)> {
    let entry = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().len())
    };
    let mut found: Vec<_> = fs::read_dir(directory).unwrap().map(|found| entry(found.unwrap())).collect();
    found.sort();
    found
}

#[test]
fn a_journal_that_is_moved_away_acknowledges_nothing_until_it_is_back() {
    let place = Place::new();
    place.write("endless.toml", &endless());
    let mut coordinator = Coordinator::start(&place);
    let _worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "endless.toml"]).trim().to_owned();
    until("it gets on", || coordinator.generation(&run) >= 3);
    fs::rename(place.path("cluster.sqlite"), place.path("elsewhere.sqlite")).unwrap();
    let status = || coordinator.json(&["status", &run]);
    until("it says so", || {
        reason(&status()).contains("has been removed or moved while it is in use; put it back")
    });
    let refused = place.output(&coordinator.arguments(&["create", "endless.toml"]));
    assert!(!refused.status.success(), "nothing is acknowledged that would be gone");
    // Deleting needs the file, too.
    assert!(!place.output(&coordinator.arguments(&["cancel", &run])).status.success());
    let before = coordinator.generation(&run);
    fs::rename(place.path("elsewhere.sqlite"), place.path("cluster.sqlite")).unwrap();
    until("it goes on", || coordinator.generation(&run) > before + 1);
    coordinator.kill_and_restart();
    assert!(coordinator.generation(&run) > before);
    coordinator.ok(&["cancel", &run]);
    assert_eq!(coordinator.stop(), Some(0));
    place.ok(&["journal", "verify", "cluster.sqlite"]);
}

/// It is looked at, though nobody wants to write.
#[test]
fn a_journal_without_work_that_is_moved_away_is_missed() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    let health = || place.output(&coordinator.arguments(&["health"]));
    for _ in 0..2 {
        assert!(health().status.success(), "{}", errors(&health()));
        fs::rename(place.path("cluster.sqlite"), place.path("elsewhere.sqlite")).unwrap();
        until("it says that it does not serve", || health().status.code() == Some(1));
        assert!(coordinator.ok(&["status"]).contains("put it back"), "{}", coordinator.ok(&["status"]));
        fs::rename(place.path("elsewhere.sqlite"), place.path("cluster.sqlite")).unwrap();
        until("it serves again", || health().status.success());
    }
    let log = || fs::read_to_string(place.path("coordinator.log")).unwrap();
    for line in
        ["the journal cannot be written; the runs pause until it can", "the journal can be written again"]
    {
        until("the log says it each time", || log().matches(line).count() == 2);
    }
}

/// A file that was removed cannot be put back, and one of the same content is another.
#[test]
fn a_journal_that_is_unlinked_or_replaced_acknowledges_nothing() {
    for replaced in [false, true] {
        let place = Place::new();
        place.write("endless.toml", &endless());
        let coordinator = Coordinator::start(&place);
        let worker = coordinator.worker("one");
        let run = coordinator.ok(&["create", "endless.toml"]).trim().to_owned();
        until("it gets on", || coordinator.generation(&run) >= 3);
        let journal = place.path("cluster.sqlite");
        let backup = place.path("backup.sqlite");
        place.ok(&["journal", "backup", "cluster.sqlite", "--out", "backup.sqlite"]);
        let problem = if replaced {
            fs::rename(&backup, &journal).unwrap();
            "has been replaced while it is in use"
        } else {
            fs::remove_file(&journal).unwrap();
            "has been removed or moved while it is in use"
        };
        until("it says so", || reason(&coordinator.json(&["status", &run])).contains(problem));
        for command in [&["create", "endless.toml"][..], &["cancel", &run], &["note", &run, "x"]] {
            let refused = place.output(&coordinator.arguments(command));
            assert!(!refused.status.success() && errors(&refused).contains(problem), "{}", errors(&refused));
        }
        drop(worker);
        // Its end tells that it leaves something unwritten.
        assert_eq!(coordinator.stop(), Some(1));
        let log = fs::read_to_string(place.path("coordinator.log")).unwrap();
        assert!(log.contains("its last records could not be written"), "{log}");
        if !replaced {
            let start = ["coordinator", "--listen", "127.0.0.1:0", "--storage", "sqlite:cluster.sqlite"];
            let refused = place.output(&start);
            assert!(errors(&refused).contains("is missing, but its log"), "{}", errors(&refused));
        }
    }
}

#[test]
fn a_log_that_is_lost_is_missed() {
    let place = Place::new();
    place.write("endless.toml", &endless());
    let coordinator = Coordinator::start(&place);
    let worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "endless.toml"]).trim().to_owned();
    until("it gets on", || coordinator.generation(&run) >= 3);
    drop(worker);
    coordinator.signal("KILL");
    drop(coordinator);
    fs::rename(place.path("cluster.sqlite-wal"), place.path("log")).unwrap();
    let start = ["coordinator", "--listen", "127.0.0.1:0", "--storage", "sqlite:cluster.sqlite"];
    let verified = place.output(&["journal", "verify", "cluster.sqlite"]);
    let started = place.output(&start);
    for output in [&started, &verified] {
        assert!(!output.status.success());
        assert!(errors(output).contains("was acknowledged: the last "), "{}", errors(output));
    }
    fs::rename(place.path("log"), place.path("cluster.sqlite-wal")).unwrap();
    place.ok(&["journal", "verify", "cluster.sqlite"]);
    let coordinator = Coordinator::start(&place);
    assert!(coordinator.generation(&run) >= 3);
    assert_eq!(coordinator.stop(), Some(0));
}

/// Changes a limit of a running process; whether the system has the tool for it.
fn limit(process: u32, limit: &str) -> bool {
    let status = Command::new("prlimit").args(["--pid", &process.to_string(), limit]).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_journal_that_may_not_grow_pauses_its_runs() {
    let place = Place::new();
    place.write("endless.toml", &endless());
    let coordinator = Coordinator::start(&place);
    let _worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "endless.toml"]).trim().to_owned();
    until("it gets on", || coordinator.generation(&run) >= 3);
    let length = fs::metadata(place.path("cluster.sqlite-wal")).unwrap().len();
    if !limit(coordinator.id(), &format!("--fsize={length}:unlimited")) {
        eprintln!("skipped: there is no prlimit here");
        return;
    }
    let status = || coordinator.json(&["status", &run]);
    until("it pauses", || reason(&status()).contains("the journal cannot be written"));
    let health = || place.output(&coordinator.arguments(&["health"]));
    until("it says that it does not serve", || health().status.code() == Some(1));
    assert!(errors(&health()).contains("`hebbian status` says which"), "{}", errors(&health()));
    assert!(limit(coordinator.id(), "--fsize=unlimited:unlimited"));
    let before = coordinator.generation(&run);
    until("it goes on", || coordinator.generation(&run) > before);
    coordinator.ok(&["cancel", &run]);
    assert_eq!(coordinator.stop(), Some(0));
}

/// A search for which there is no memory is no run, and others go on.
#[test]
fn a_search_without_memory_is_refused_and_others_go_on() {
    let place = Place::new();
    place.write("endless.toml", &endless());
    // Some thousand numbers: each matrix has 8 MB.
    let large = endless().replace("rule = { states = 2 }", "rule = { states = 16 }");
    place.write("large.toml", &large);
    let coordinator = Coordinator::start(&place);
    let _worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "endless.toml"]).trim().to_owned();
    until("it gets on", || coordinator.generation(&run) >= 3);
    let status = fs::read_to_string(format!("/proc/{}/status", coordinator.id())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kilobytes: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
    let bytes = (kilobytes + 40_000) * 1024;
    if !limit(coordinator.id(), &format!("--as={bytes}:unlimited")) {
        eprintln!("skipped: there is no prlimit here");
        return;
    }
    let refused = place.output(&coordinator.arguments(&["create", "large.toml"]));
    assert!(!refused.status.success() && errors(&refused).contains("no memory for"), "{}", errors(&refused));
    let before = coordinator.generation(&run);
    until("the other one goes on", || coordinator.generation(&run) > before);
    assert!(limit(coordinator.id(), "--as=unlimited:unlimited"));
    let large = coordinator.ok(&["create", "large.toml"]).trim().to_owned();
    for run in [&run, &large] {
        coordinator.ok(&["cancel", run]);
    }
    assert_eq!(coordinator.stop(), Some(0));
}

/// Arguments for the coordinator at an address.
fn of<'a>(url: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--coordinator", url]].concat()
}

/// The journal is in memory: what is written of a search while its memory goes away would take some, too.
#[test]
fn a_run_whose_memory_goes_away_pauses_and_goes_on_where_there_is_some() {
    let place = Place::new();
    place.write("large.toml", &endless().replace("rule = { states = 2 }", "rule = { states = 16 }"));
    let start = "coordinator --listen 127.0.0.1:0 --storage memory: --address-file address";
    let mut coordinator = place.start(&start.split(' ').collect::<Vec<_>>(), "memory.log");
    let read = || fs::read_to_string(place.path("address")).unwrap_or_default();
    until("it listens", || read().ends_with('\n'));
    let url = read().trim().to_owned();
    let work = || place.start(&of(&url, &["worker", "--threads", "1"]), "worker.log");
    let worker = work();
    let run = place.ok(&of(&url, &["create", "large.toml"])).trim().to_owned();
    let status = || place.json(&of(&url, &["status", &run, "--json"]));
    let generation = || status()["generation"].as_u64().unwrap();
    let goes_on = || {
        let before = generation();
        until("it goes on", || generation() > before);
    };
    goes_on();
    drop(worker);
    until("nobody works on it", || status()["eligible_workers"] == 0);
    until("its search does not either", || {
        let status = status();
        status["settled_episodes"].as_u64() < status["generation_episodes"].as_u64()
    });
    let shown = fs::read_to_string(format!("/proc/{}/status", coordinator.id())).unwrap();
    let size = shown.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kilobytes: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
    if !limit(coordinator.id(), &format!("--as={}:unlimited", (kilobytes + 40_000) * 1024)) {
        eprintln!("skipped: there is no prlimit here");
        return;
    }
    let _worker = work();
    until("it pauses", || reason(&status()).contains("no memory for its search"));
    assert!(limit(coordinator.id(), "--as=unlimited:unlimited"));
    place.ok(&of(&url, &["resume", &run]));
    goes_on();
    coordinator.signal("TERM");
    assert_eq!(coordinator.exit_code(), Some(0));
}
