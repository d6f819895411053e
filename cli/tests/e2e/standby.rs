//! Coordinators that follow each other on one journal in PostgreSQL.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hebbian_tests::postgres::Server;
use serde_json::Value;

use crate::support::{Metrics, Place, Process, SPEC, bits, errors, until};

/// The longest time without a leader that is promised. Checked where somebody asks for it (`HEBBIAN_KILLS`): a busy machine takes longer.
const TAKEOVER: Duration = Duration::from_secs(3);

/// Two coordinators, each the other's standby.
struct Pair<'a> {
    place: &'a Place,
    storage: String,
    further: &'a [&'a str],
    processes: [Process; 2],
    urls: [String; 2],
}

/// Starts a coordinator that leads when nobody else does.
fn launch(place: &Place, storage: &str, (name, listen): (&str, &str), further: &[&str]) -> (Process, String) {
    let address = place.path(name);
    let _ = fs::remove_file(&address);
    let log = format!("{name}.log");
    let at = ["--listen", listen, "--web", "127.0.0.1:0", "--address-file", name];
    let arguments = [&["coordinator", "--standby", "--storage", storage][..], &at, further].concat();
    let mut process = place.start(&arguments, &log);
    until("the coordinator listens", || {
        assert!(!process.has_ended(), "{}", fs::read_to_string(place.path(&log)).unwrap());
        address.exists()
    });
    (process, fs::read_to_string(&address).unwrap().trim().to_owned())
}

impl<'a> Pair<'a> {
    /// The first one leads.
    fn start(place: &'a Place, server: &Server) -> Self {
        Self::start_with(place, server, &[])
    }

    /// The same with further arguments for both.
    fn start_with(place: &'a Place, server: &Server, further: &'a [&'a str]) -> Self {
        let storage = server.database();
        let (first, url) = launch(place, &storage, ("a", "127.0.0.1:0"), further);
        until("it leads", || serves(place, &url));
        let (second, other) = launch(place, &storage, ("b", "127.0.0.1:0"), further);
        Self { place, storage, further, processes: [first, second], urls: [url, other] }
    }

    fn both(&self) -> String {
        self.urls.join(",")
    }

    fn worker(&self, name: &str) -> Process {
        let both = self.both();
        let arguments = ["worker", "--coordinator", &both, "--threads", "1", "--name", name];
        self.place.start(&arguments, &format!("{name}.log"))
    }

    /// A client's command, asked again as long as nobody leads.
    fn json(&self, arguments: &[&str]) -> Value {
        let both = self.both();
        let arguments = [arguments, &["--json", "--coordinator", &both]].concat();
        let mut answer = None;
        until("a coordinator answers", || {
            let output = self.place.output(&arguments);
            if output.status.success() {
                answer = Some(serde_json::from_slice(&output.stdout).unwrap());
            } else {
                assert_eq!(output.status.code(), Some(4), "{arguments:?}: {}", errors(&output));
            }
            answer.is_some()
        });
        answer.unwrap()
    }

    /// Creates a run; its id.
    fn create(&self, arguments: &[&str]) -> String {
        let created = self.json(&[&["create"], arguments].concat());
        created["name"].as_str().unwrap().strip_prefix("runs/").unwrap().to_owned()
    }

    /// Waits until a run has closed a generation.
    fn goes_on(&self, run: &str) {
        let before = self.generation(run);
        until("it goes on", || self.generation(run) > before);
    }

    fn generation(&self, run: &str) -> u64 {
        self.json(&["status", run])["generation"].as_u64().unwrap()
    }

    /// Waits for a run's end, however long it is: only that it goes on must not take too long.
    fn finish(&self, run: &str) {
        let mut before = None;
        let mut finished = false;
        while !finished {
            until("the run goes on", || {
                let status = self.json(&["status", run]);
                finished = status["state"]["kind"] == "finished";
                let moved = before != Some(status["generation"].clone());
                before = Some(status["generation"].clone());
                moved || finished
            });
        }
    }

    fn leader(&self) -> usize {
        let mut leads = None;
        until("one leads", || {
            leads = (0..2).find(|&one| serves(self.place, &self.urls[one]));
            leads.is_some()
        });
        leads.unwrap()
    }

    /// Waits until one of both leads; how long that took.
    fn taken_over(&self, by: usize) -> Duration {
        let begun = Instant::now();
        until("the standby leads", || serves(self.place, &self.urls[by]));
        begun.elapsed()
    }

    /// Starts one again where it was.
    fn restart(&mut self, one: usize) {
        let listen = self.urls[one].strip_prefix("http://").unwrap().to_owned();
        let named = (["a", "b"][one], listen.as_str());
        (self.processes[one], _) = launch(self.place, &self.storage, named, self.further);
    }
}

fn serves(place: &Place, url: &str) -> bool {
    place.output(&["health", "--coordinator", url]).status.success()
}

/// The genome of a run that nothing happens to.
fn undisturbed(place: &Place, spec: &str) -> Vec<u64> {
    let mut process = place.start(&["run", spec, "--workers", "1", "--out", "alone"], "run.log");
    let genome = place.path("alone").join("genome.json");
    // However long it is; the process ends sooner or later.
    while !genome.exists() && !process.has_ended() {
        thread::sleep(Duration::from_millis(50));
    }
    bits(&genome)
}

#[test]
fn leaders_that_are_killed_are_followed_and_nothing_acknowledged_is_lost() {
    let Some(server) = Server::start() else { return };
    let asked: Option<usize> = std::env::var("HEBBIAN_KILLS").ok().map(|kills| kills.parse().unwrap());
    let kills = asked.unwrap_or(3);
    let place = Place::new();
    place.write(
        "long.toml",
        &SPEC.replace("generations = 60", &format!("generations = {}", 60 * kills.max(4))),
    );
    let expected = undisturbed(&place, "long.toml");
    let mut pair = Pair::start(&place, &server);
    let _workers = ["one", "two"].map(|name| pair.worker(name));
    let run = pair.create(&["long.toml", "--request-id", "first"]);
    let (mut slowest, mut random) = (Duration::ZERO, 0x9e37_79b9_u32);
    for kill in 0..kills {
        pair.goes_on(&run);
        pair.json(&["note", &run, &format!("note {kill}")]);
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Anywhere in a generation.
        thread::sleep(Duration::from_millis(u64::from(random >> 24)));
        let leader = pair.leader();
        pair.processes[leader].kill();
        slowest = slowest.max(pair.taken_over(1 - leader));
        pair.restart(leader);
        assert_eq!(pair.json(&["status", &run])["state"]["kind"], "running", "it is killed before the end");
    }
    println!("the slowest of {kills} takeovers took {slowest:?}");
    assert!(asked.is_none() || slowest < TAKEOVER, "{slowest:?}");
    pair.finish(&run);
    let both = pair.both();
    place.ok(&["result", &run, "--out", "cluster.json", "--coordinator", &both]);
    assert_eq!(bits(&place.path("cluster.json")), expected);
    // All of them: `status` shows the last ones.
    let events = place.ok(&["watch", &run, "--json", "--coordinator", &both]);
    for kill in 0..kills {
        assert!(events.contains(&format!("note {kill}\"")), "note {kill} is missing: {events}");
    }
    let journal = place.json(&["journal", "verify", &pair.storage, "--json"]);
    assert_eq!(journal[0]["problems"], Value::Array(Vec::new()), "{journal}");
}

#[test]
fn a_leader_that_hangs_is_followed_and_says_so_when_it_wakes() {
    let Some(server) = Server::shared() else { return };
    let place = Place::new();
    let mut pair = Pair::start(&place, server);
    let leads = || ["a.log", "b.log"].map(|log| Metrics::of(&place, log).figure("hebbian_leads"));
    assert_eq!(leads(), [1.0, 0.0]);
    // It looks for the lease from time to time.
    until("the standby knows who leads", || {
        let told = place.output(&["status", "--coordinator", &pair.urls[1]]);
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        told.contains("a standby") && told.contains(&pair.urls[0])
    });
    let health = place.output(&["health", "--coordinator", &pair.urls[1]]);
    assert_eq!(health.status.code(), Some(1), "{}", errors(&health));
    let refused = place.output(&["list", "--coordinator", &pair.urls[1]]);
    assert!(
        errors(&refused).contains("is a standby") && errors(&refused).contains(&pair.urls[0]),
        "{}",
        errors(&refused)
    );
    let status = pair.json(&["status"]);
    assert_eq!(
        (&status["leadership"]["leads"], &status["leadership"]["address"]),
        (&Value::Bool(true), &Value::from(pair.urls[0].as_str()))
    );
    let run = pair.json(&["create", "tiny.toml"])["name"].as_str().unwrap().to_owned();
    pair.processes[0].signal("STOP");
    pair.taken_over(1);
    let others = place.json(&["list", "--json", "--coordinator", &pair.urls[1]]);
    assert_eq!(others[0]["name"], run.as_str());
    assert_eq!(Metrics::of(&place, "b.log").figure("hebbian_leads"), 1.0);
    pair.processes[0].signal("CONT");
    assert_eq!(pair.processes[0].exit_code(), Some(1));
    let log = fs::read_to_string(place.path("a.log")).unwrap();
    assert!(
        log.contains("a younger coordinator (epoch 2) has taken this journal over from this one (epoch 1)"),
        "{log}"
    );
}

#[test]
fn a_leader_steps_down_for_its_standby_and_for_nobody_else() {
    let Some(server) = Server::shared() else { return };
    let place = Place::new();
    place.write("long.toml", &SPEC.replace("generations = 60", "generations = 240"));
    let expected = undisturbed(&place, "long.toml");
    let mut pair = Pair::start(&place, server);
    let _worker = pair.worker("one");
    let run = pair.create(&["long.toml"]);
    for _ in 0..2 {
        pair.goes_on(&run);
        let leader = pair.leader();
        place.ok(&["step-down", "--coordinator", &pair.urls[leader]]);
        let pause = pair.taken_over(1 - leader);
        println!("nobody led for {pause:?}");
        assert_eq!(pair.processes[leader].exit_code(), Some(0));
        let refused = place.output(&["step-down", "--coordinator", &pair.urls[1 - leader]]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(errors(&refused).contains("no standby waits for this journal"), "{}", errors(&refused));
        pair.restart(leader);
    }
    until("the run is finished", || pair.json(&["status", &run])["state"]["kind"] == "finished");
    let both = pair.both();
    place.ok(&["result", &run, "--out", "cluster.json", "--coordinator", &both]);
    assert_eq!(bits(&place.path("cluster.json")), expected);
}

/// Ends what asks in the background, whatever happens in front.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Both coordinators, by hand-over, and both workers, by draining, are replaced under load, while a client asks and writes without a pause.
#[test]
fn a_rolling_upgrade_fails_no_request_and_changes_no_bit() {
    let Some(server) = Server::shared() else { return };
    let place = Place::new();
    place.write("long.toml", &SPEC.replace("generations = 60", "generations = 200"));
    let expected = undisturbed(&place, "long.toml");
    let mut pair = Pair::start(&place, server);
    let both = pair.both();
    let asked =
        |arguments: &[&str]| place.ok(&[arguments, &["--timeout", "100s", "--coordinator", &both]].concat());
    let mut workers = vec![pair.worker("old-0"), pair.worker("old-1")];
    let run = &pair.create(&["long.toml"]);
    let over = AtomicBool::new(false);
    let notes = thread::scope(|scope| {
        let end = Over(&over);
        let notes = scope.spawn(|| {
            let mut notes = 0;
            while !over.load(Ordering::Relaxed) {
                asked(&["note", run, &format!("note {notes}")]);
                asked(&["status", run]);
                notes += 1;
            }
            notes
        });
        for (part, worker) in ["old-0", "old-1"].into_iter().enumerate() {
            pair.goes_on(run);
            let leader = pair.leader();
            until("the standby offers itself", || offered(server, &pair) == "1");
            place.ok(&["step-down", "--coordinator", &pair.urls[leader]]);
            pair.taken_over(1 - leader);
            assert_eq!(pair.processes[leader].exit_code(), Some(0));
            pair.restart(leader);
            workers.push(pair.worker(&format!("new-{part}")));
            // The old one, too, has found the new leader by then.
            until("both are attached", || {
                let attached = asked(&["workers"]);
                [worker, &format!("new-{part}")].iter().all(|name| attached.contains(*name))
            });
            asked(&["drain", worker]);
            assert_eq!(workers[part].exit_code(), Some(0));
        }
        let status = pair.json(&["status", run]);
        println!("all is replaced after {} of 200 generations", status["generation"]);
        assert_eq!(status["state"]["kind"], "running", "all is replaced before the end");
        drop(end);
        notes.join().unwrap()
    });
    assert!(notes > 0);
    pair.finish(run);
    asked(&["result", run, "--out", "cluster.json"]);
    assert_eq!(bits(&place.path("cluster.json")), expected);
    let events = asked(&["watch", run, "--json"]);
    for note in 0..notes {
        assert!(events.contains(&format!("note {note}\"")), "note {note} was acknowledged: {events}");
    }
}

/// A command is asked again of whoever leads then, also when it begins while nobody does.
#[test]
fn commands_follow_when_the_leader_goes_away() {
    let Some(server) = Server::shared() else { return };
    let place = Place::new();
    let mut pair = Pair::start(&place, server);
    let both = pair.both();
    let asked = |arguments: &[&str]| {
        place.ok(&[arguments, &["--timeout", "100s", "--coordinator", &both]].concat());
    };
    asked(&["create", "tiny.toml"]);
    until("it offers itself", || offered(server, &pair) == "1");
    pair.processes[0].kill();
    asked(&["note", "tiny", "killed"]);
    pair.restart(0);
    until("it offers itself", || offered(server, &pair) == "1");
    pair.processes[1].kill();
    asked(&["list"]);
    assert!(place.ok(&["status", "tiny", "--coordinator", &both]).contains("killed"));
}

/// While the database is gone or hangs nobody serves; the leader still says how its runs stand, and what is wrong.
#[test]
fn a_leader_in_trouble_is_asked_before_its_standby() {
    let Some(mut server) = Server::start() else { return };
    let place = Place::new();
    let pair = Pair::start(&place, &server);
    place.ok(&["create", "tiny.toml", "--coordinator", &pair.urls[0]]);
    // A standby does its part, too.
    let is = |what: &str, ready: bool| {
        let health = |url: &str| place.output(&["health", "--service", what, "--coordinator", url]);
        pair.urls.iter().all(|url| health(url).status.code() == Some(i32::from(!ready)))
    };
    until("both are ready", || is("ready", true));
    server.crash();
    // It notices though nobody wants to write.
    until("the leader does not serve", || !serves(&place, &pair.urls[0]));
    let [leader, standby] = &pair.urls;
    for both in [format!("{leader},{standby}"), format!("{standby},{leader}")] {
        assert!(place.ok(&["list", "--coordinator", &both]).contains("tiny"), "{both}");
    }
    // Neither can do its part, and a new process could not either.
    until("neither is ready", || is("ready", false));
    assert!(is("live", true));
    server.restart();
    until("both are ready again", || is("ready", true));
    let hanging = server.hang();
    let begun = Instant::now();
    until("neither is ready", || is("ready", false));
    // Within 2 s; the machine may be busy.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(hanging);
    until("both are ready again", || is("ready", true));
}

/// What a client's command at one of both says, with its exit code.
fn asked(place: &Place, url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = place.output(&[arguments, &["--coordinator", url]].concat());
    (output.status.code(), errors(&output))
}

/// How many standbys a leader would step down for.
fn offered(server: &Server, pair: &Pair<'_>) -> String {
    let standbys = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND starts_with(application_name, 'hebbian standby ')";
    server.ask(&pair.storage, standbys)
}

/// The file is empty when the standby starts; what is made and revoked at the leader is in force when the standby leads, however it comes
/// to that, and before, in what it says of itself.
#[test]
fn tokens_made_and_revoked_at_the_leader_are_in_force_at_whoever_follows() {
    let Some(server) = Server::shared() else { return };
    let place = Place::new();
    let mut pair = Pair::start_with(&place, server, &["--tokens", "tokens.json"]);
    let make = |pair: &Pair<'_>, leader: usize, name: &str, further: &[&str]| {
        let made = ["token", "create", name, "--role", "admin", "--out", name];
        place.ok(&[&made, further, &["--coordinator", &pair.urls[leader]]].concat());
    };
    let boss = ["--token-file", "boss"];
    let refused = |url: &str, arguments: &[&str], message: &str| {
        let (code, said) = asked(&place, url, arguments);
        assert!(code == Some(1) && said.contains(message), "{arguments:?}: {said}");
    };
    make(&pair, 0, "boss", &[]);
    make(&pair, 0, "former", &boss);
    place.ok(&["token", "revoke", "former", boss[0], boss[1], "--coordinator", &pair.urls[0]]);
    // It looks ten times a second.
    until("the standby keeps strangers out", || asked(&place, &pair.urls[1], &["status"]).0 == Some(1));
    place.ok(&["status", boss[0], boss[1], "--coordinator", &pair.urls[1]]);
    // Both ways to lead: the leader is killed, and the next one steps down.
    for leader in [0, 1] {
        let last = format!("last{leader}");
        make(&pair, leader, &last, &boss);
        if leader == 0 {
            pair.processes[leader].kill();
        } else {
            place.ok(&["step-down", boss[0], boss[1], "--coordinator", &pair.urls[leader]]);
            assert_eq!(pair.processes[leader].exit_code(), Some(0));
        }
        let follower = &pair.urls[1 - leader];
        until("the standby leads", || serves(&place, follower));
        refused(follower, &["list"], "takes a token or a certificate");
        refused(follower, &["list", "--token-file", "former"], "was revoked");
        for known in ["boss", &last] {
            place.ok(&["list", "--token-file", known, "--coordinator", follower]);
        }
        pair.restart(leader);
        until("it offers itself", || offered(server, &pair) == "1");
    }
}

/// A standby that does not know whom the leader lets in would let in anybody.
#[test]
fn a_standby_without_its_tokens_does_not_lead_until_it_has_them() {
    let Some(server) = Server::shared() else { return };
    for broken in ["gone", "unreadable"] {
        let place = Place::new();
        let mut pair = Pair::start_with(&place, server, &["--tokens", "tokens.json"]);
        let made = ["token", "create", "boss", "--role", "admin", "--out", "boss"];
        place.ok(&[&made[..], &["--coordinator", &pair.urls[0]]].concat());
        until("the standby keeps strangers out", || asked(&place, &pair.urls[1], &["status"]).0 == Some(1));
        let (file, away) = (place.path("tokens.json"), place.path("away.json"));
        fs::rename(&file, &away).unwrap();
        if broken == "unreadable" {
            fs::write(&file, "{").unwrap();
        }
        let log = || fs::read_to_string(place.path("b.log")).unwrap();
        until("the standby says so", || log().contains("this standby does not lead until they can be read"));
        let boss = ["step-down", "--token-file", "boss"];
        until("it offers itself no more", || offered(server, &pair) == "0");
        let health = |what: &str| asked(&place, &pair.urls[1], &["health", "--service", what]);
        until("it is not ready", || health("ready").1.contains("a standby that could not take over"));
        assert_eq!(health("live").0, Some(0));
        let (code, said) = asked(&place, &pair.urls[0], &boss);
        assert!(code == Some(1) && said.contains("no standby waits for this journal"), "{said}");
        pair.processes[0].kill();
        // As long as it takes to notice that there is no leader, and more.
        thread::sleep(TAKEOVER);
        assert!(!serves(&place, &pair.urls[1]), "{broken}: {}", log());
        let (code, said) = asked(&place, &pair.urls[1], &["list"]);
        assert!(code == Some(1) && said.contains("takes a token"), "{said}");
        fs::rename(&away, &file).unwrap();
        pair.taken_over(1);
        place.ok(&["list", "--token-file", "boss", "--coordinator", &pair.urls[1]]);
    }
}

#[test]
fn a_standby_needs_a_database() {
    let place = Place::new();
    let refused = place.output(&["coordinator", "--standby"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        errors(&refused).contains("--standby: storage.url must be postgresql://"),
        "{}",
        errors(&refused)
    );
    assert!(!place.path("hebbian.sqlite").exists());
}
