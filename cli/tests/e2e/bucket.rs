//! Scheduled copies in a bucket, of a small server that speaks as much S3 as they need.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::support::{Place, Process, SPEC, bits, errors, until};

/// A coordinator that makes the copies that `backup.toml` says.
const COORDINATOR: [&str; 9] = [
    "coordinator",
    "--listen",
    "127.0.0.1:0",
    "--storage",
    "sqlite:cluster.sqlite",
    "--address-file",
    "address",
    "--config",
    "backup.toml",
];

/// Whom the server lets in.
const KEY: &str = "test-key";
const SECRET: &str = "nobody-may-see-this";

/// S3 takes no smaller part of an upload, but the last.
const PART_BYTES_MIN: usize = 5 << 20;

/// A bucket with the name `backups`. It serves until the process ends.
#[derive(Clone)]
struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    uploads: Arc<Mutex<Uploads>>,
    endpoint: String,
}

/// What comes of the second part of every upload.
#[derive(Clone, Copy, Default, PartialEq)]
enum SecondPart {
    #[default]
    Taken,
    Refused,
    /// Nobody answers.
    Hangs,
}

/// Uploads in parts.
#[derive(Default)]
struct Uploads {
    begun: usize,
    aborted: usize,
    second_part: SecondPart,
    /// The parts by number of those that are neither complete nor aborted, by identifier.
    open: BTreeMap<String, BTreeMap<usize, Vec<u8>>>,
}

impl Uploads {
    /// Answers what belongs to an upload in parts; the object that is complete by it.
    fn answer(&mut self, method: &str, query: &str, body: Vec<u8>) -> (Reply, Option<Vec<u8>>) {
        let of = |name: &str| {
            let mut fields = query.split('&').filter_map(|field| field.split_once('='));
            fields.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
        };
        let refused = |code: &str| {
            (("400 Bad Request", format!("<Error><Code>{code}</Code></Error>").into_bytes()), None)
        };
        let Some(id) = of("uploadId") else {
            self.begun += 1;
            let id = format!("upload-{}", self.begun);
            let text = format!("<R><UploadId>{id}</UploadId></R>");
            self.open.insert(id, BTreeMap::new());
            return (("200 OK", text.into_bytes()), None);
        };
        let Some(parts) = self.open.get_mut(&id) else { return refused("NoSuchUpload") };
        match method {
            "PUT" => {
                let number: usize = of("partNumber").unwrap().parse().unwrap();
                if number == 2 && self.second_part == SecondPart::Refused {
                    return refused("InvalidPart");
                }
                parts.insert(number, body);
                let hangs = number == 2 && self.second_part == SecondPart::Hangs;
                ((if hangs { HANGS } else { "200 OK" }, Vec::new()), None)
            }
            "POST" => {
                let body = String::from_utf8(body).unwrap();
                let listed = body.split("<PartNumber>").skip(1);
                let listed: Vec<usize> =
                    listed.map(|rest| rest.split("</PartNumber>").next().unwrap().parse().unwrap()).collect();
                if !listed.iter().eq(parts.keys()) || listed.first() != Some(&1) {
                    return refused("InvalidPart");
                }
                if parts.range(..listed.len()).any(|(_, part)| part.len() < PART_BYTES_MIN) {
                    return refused("EntityTooSmall");
                }
                let parts = self.open.remove(&id).unwrap_or_default();
                let whole = parts.into_values().flatten().collect();
                (("200 OK", b"<R><ETag>e</ETag></R>".to_vec()), Some(whole))
            }
            "DELETE" => {
                self.aborted += 1;
                self.open.remove(&id);
                (("204 No Content", Vec::new()), None)
            }
            _ => refused("MethodNotAllowed"),
        }
    }
}

/// Status and body.
type Reply = (&'static str, Vec<u8>);
/// The status of what nobody hears of.
const HANGS: &str = "";

/// A request: method, path, query, whether it is signed by [`KEY`], and body.
struct Request {
    method: String,
    path: String,
    query: String,
    signed: bool,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let (mut length, mut signed) = (0, false);
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).ok()?;
            let Some((name, value)) = header.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "authorization" => signed = value.contains(&format!("Credential={KEY}/")),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        Some(Self { method, path: path.to_owned(), query: query.to_owned(), signed, body })
    }
}

impl Bucket {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let bucket = Self { objects: Arc::default(), uploads: Arc::default(), endpoint };
        let served = bucket.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let served = served.clone();
                std::thread::spawn(move || served.serve(stream.unwrap()));
            }
        });
        bucket
    }

    fn serve(&self, stream: TcpStream) {
        let mut answers = stream.try_clone().unwrap();
        let mut requests = BufReader::new(stream);
        while let Some(request) = Request::read(&mut requests) {
            let head = request.method == "HEAD";
            let (status, body) = self.answer(request);
            if status == HANGS {
                continue;
            }
            let sent = if head { &[][..] } else { &body };
            let text = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"e\"\r\nlast-modified: Sat, 28 Nov 2026 05:00:00 GMT\r\n\r\n",
                body.len()
            );
            if answers.write_all(text.as_bytes()).and_then(|()| answers.write_all(sent)).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: Request) -> Reply {
        let Request { method, path, query, signed, body } = request;
        if !signed {
            return ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>".to_vec());
        }
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = path.strip_prefix("/backups") else { return ("404 Not Found", Vec::new()) };
        let key = key.trim_start_matches('/');
        if query.contains("upload") {
            let (reply, whole) = self.uploads().answer(&method, &query, body);
            objects.extend(whole.map(|whole| (key.to_owned(), whole)));
            return reply;
        }
        match (method.as_str(), key) {
            ("GET", "") => {
                let of = |(key, bytes): (&String, &Vec<u8>)| {
                    format!(
                        "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>2026-11-28T05:00:00.000Z</LastModified></Contents>",
                        bytes.len()
                    )
                };
                let all: String = objects.iter().map(of).collect();
                ("200 OK", format!("<ListBucketResult>{all}</ListBucketResult>").into_bytes())
            }
            ("POST", "") if query.starts_with("delete") => {
                let body = String::from_utf8(body).unwrap();
                let named: Vec<String> = body
                    .split("<Key>")
                    .skip(1)
                    .map(|rest| rest.split("</Key>").next().unwrap().to_owned())
                    .collect();
                let told: Vec<String> =
                    named.iter().map(|key| format!("<Deleted><Key>{key}</Key></Deleted>")).collect();
                let told = told.concat();
                for key in named {
                    objects.remove(&key);
                }
                ("200 OK", format!("<DeleteResult>{told}</DeleteResult>").into_bytes())
            }
            ("PUT", key) => {
                objects.insert(key.to_owned(), body);
                ("200 OK", Vec::new())
            }
            ("GET" | "HEAD", key) => match objects.get(key) {
                Some(bytes) => ("200 OK", bytes.clone()),
                None => ("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            },
            _ => ("400 Bad Request", Vec::new()),
        }
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// What says who asks whom.
    fn variables(&self, key: &str) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "eu-test-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", key.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ]
    }
}

/// Copies are made while runs go on, the oldest ones are removed, others' objects stay; the newest one goes on to the same genome.
#[test]
fn copies_in_a_bucket_are_kept_in_number_and_restored_to_the_same_genome() {
    let place = Place::new();
    place.write("short.toml", &SPEC.replace("generations = 60", "generations = 24"));
    place.ok(&["run", "short.toml", "--out", "whole"]);
    place.write("backup.toml", "[backup]\nurl = 's3://backups/of/mine'\nevery = '1s'\nkeep = 2\n");
    let bucket = Bucket::start();
    let others = ["of/mine/hebbian-photo.sqlite", "of/mine/below/hebbian-20200101T000000Z.sqlite"];
    for name in others {
        bucket.objects.lock().unwrap().insert(name.to_owned(), Vec::new());
    }
    let variables = bucket.variables(KEY);
    let mut coordinator = place.start_with(&variables, &COORDINATOR, "coordinator.log");
    until("the coordinator listens", || place.path("address").exists());
    let url = fs::read_to_string(place.path("address")).unwrap().trim().to_owned();
    let run = place.ok(&["create", "short.toml", "--coordinator", &url]).trim().to_owned();
    let worker = place.start(&["worker", "--coordinator", &url, "--threads", "1"], "worker.log");
    let copies = || {
        let mut names = bucket.names();
        names.retain(|name| !others.contains(&name.as_str()));
        names
    };
    until("there is a copy", || !copies().is_empty());
    let first = copies()[0].clone();
    until("the oldest copy is gone", || !copies().contains(&first));
    let fetch = |out: &str| {
        let output = place
            .command(&["journal", "fetch", "s3://backups/of/mine", "--out", out])
            .envs(variables.clone())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    };
    let mut tries = 0;
    until("a copy has generations of the run", || {
        tries += 1;
        let name = format!("try-{tries}.sqlite");
        fetch(&name);
        let reports = place.json(&["journal", "verify", &name, "--json"]);
        reports[0]["generations"].as_u64().is_some_and(|generations| generations >= 1)
    });
    assert!(copies().len() <= 3, "{:?}", copies());
    assert!(others.iter().all(|name| bucket.names().contains(&(*name).to_owned())));
    drop(worker);
    coordinator.signal("TERM");
    assert_eq!(coordinator.exit_code(), Some(0));
    for file in ["cluster.sqlite", "cluster.sqlite-wal", "cluster.sqlite-shm", "cluster.sqlite.lock"] {
        // What SQLite had not made, or has removed, need not be.
        let _ = fs::remove_file(place.path(file));
    }
    fetch("cluster.sqlite");
    let coordinator = crate::support::Coordinator::start(&place);
    let _worker = coordinator.worker("two");
    coordinator.until_state(&run, "finished");
    coordinator.ok(&["result", &run, "--out", "restored.json"]);
    assert_eq!(bits(&place.path("restored.json")), bits(&place.path("whole/genome.json")));
    let log = fs::read_to_string(place.path("coordinator.log")).unwrap();
    assert!(log.contains("the journal was copied to s3://backups/of/mine/hebbian-"), "{log}");
}

/// What is wrong is said, with what would be right, and without what nobody may see.
#[test]
fn a_bucket_that_refuses_and_addresses_that_name_none_are_told_without_secrets() {
    let place = Place::new();
    let bucket = Bucket::start();
    let variables = bucket.variables("another-key");
    place.write("backup.toml", "[backup]\nurl = 's3://backups/x'\nevery = '1s'\n");
    let _coordinator = place.start_with(&variables, &COORDINATOR, "coordinator.log");
    let log = || fs::read_to_string(place.path("coordinator.log")).unwrap();
    until("the failure is told", || log().contains("the journal could not be copied: s3://backups/x: "));
    assert!(!log().contains(SECRET), "{}", log());
    for (text, expected) in [
        ("url = 's3://key:hidden@backups/x'", "backup.url: must be s3://BUCKET/PREFIX without credentials"),
        ("url = 'https://backups/x'", "backup.url: must be s3://BUCKET/PREFIX"),
        ("url = 's3://backups/x'\ndirectory = 'copies'", "backup.url: cannot stand beside backup.directory"),
    ] {
        place.write("wrong.toml", &format!("[backup]\n{text}\n"));
        let refused = place.output(&["coordinator", "--listen", "127.0.0.1:0", "--config", "wrong.toml"]);
        assert_eq!(refused.status.code(), Some(2), "{text}");
        assert!(
            errors(&refused).contains(expected) && !errors(&refused).contains("hidden"),
            "{}",
            errors(&refused)
        );
    }
    let missing = place
        .command(&["journal", "fetch", "s3://backups/x", "--out", "copy.sqlite"])
        .envs(bucket.variables(KEY))
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(3), "{}", errors(&missing));
    assert!(
        errors(&missing).contains("s3://backups/x: holds no copies of a journal"),
        "{}",
        errors(&missing)
    );
    assert!(!place.path("copy.sqlite").exists());
}

/// A coordinator with runs of so much text that its journal goes to the bucket in parts; what `list` says of them.
fn large_journal(place: &Place, bucket: &Bucket) -> (Process, String) {
    let parameter = |number: usize| {
        let value = "v".repeat(1000);
        format!("[[problem.parameters]]\nname = 'p{number}'\nkind = 'fixed'\nvalue = '{value}'\n")
    };
    let head = "name = 'large'\n[strategy]\nkind = 'cma-es'\npopulation_size = 8\n[problem]\nkind = 'external'\nname = 'valley'\ndirection = 'minimise'\n";
    let real = "[[problem.parameters]]\nname = 'x'\nkind = 'real'\nlow = -5\nhigh = 5\n";
    let all: String = (0..3500).map(parameter).collect();
    place.write("large.toml", &format!("{head}{real}{all}[stop]\ngenerations = 3\n"));
    place.write("backup.toml", "[backup]\nurl = 's3://backups/x'\nevery = '1h'\nkeep = 2\n");
    // Before there is anything to copy, nothing is copied.
    let mut arguments = COORDINATOR.to_vec();
    arguments.truncate(arguments.len() - 2);
    let mut coordinator = place.start_with(&[], &arguments, "filling.log");
    until("the coordinator listens", || place.path("address").exists());
    let url = fs::read_to_string(place.path("address")).unwrap().trim().to_owned();
    for _ in 0..3 {
        place.ok(&["create", "large.toml", "--coordinator", &url]);
    }
    let list = place.ok(&["list", "--coordinator", &url, "--json"]);
    coordinator.signal("TERM");
    assert_eq!(coordinator.exit_code(), Some(0));
    (place.start_with(&bucket.variables(KEY), &COORDINATOR, "coordinator.log"), list)
}

/// Of a journal of more than a part, all parts arrive, and it is restored as it was.
#[test]
fn a_large_journal_goes_to_a_bucket_in_parts_and_is_restored() {
    let place = Place::new();
    let bucket = Bucket::start();
    let (mut coordinator, list) = large_journal(&place, &bucket);
    until("there is a copy", || !bucket.names().is_empty());
    coordinator.signal("TERM");
    assert_eq!(coordinator.exit_code(), Some(0));
    {
        let uploads = bucket.uploads();
        assert_eq!((uploads.begun, uploads.aborted, uploads.open.len()), (1, 0, 0));
    }
    let fetched = place
        .command(&["journal", "fetch", "s3://backups/x", "--out", "copy.sqlite"])
        .envs(bucket.variables(KEY))
        .output()
        .unwrap();
    assert!(fetched.status.success(), "{}", errors(&fetched));
    let sent = bucket.objects.lock().unwrap().values().next().unwrap().clone();
    assert!(sent.len() > 8 << 20 && sent == fs::read(place.path("copy.sqlite")).unwrap(), "{}", sent.len());
    let reports = place.json(&["journal", "verify", "copy.sqlite", "--json"]);
    assert_eq!(reports.as_array().unwrap().len(), 3);
    for file in ["cluster.sqlite", "cluster.sqlite-wal", "cluster.sqlite-shm", "cluster.sqlite.lock"] {
        // What SQLite had not made, or has removed, need not be.
        let _ = fs::remove_file(place.path(file));
    }
    fs::rename(place.path("copy.sqlite"), place.path("cluster.sqlite")).unwrap();
    let coordinator = crate::support::Coordinator::start(&place);
    assert_eq!(coordinator.ok(&["list", "--json"]), list);
}

/// A copy that fails, or is on its way when the coordinator ends, leaves no parts, which would cost money and are in no list.
#[test]
fn nothing_stays_in_a_bucket_of_a_copy_that_fails_or_is_given_up() {
    for (second_part, told) in [
        (SecondPart::Refused, "the journal could not be copied: s3://backups/x: hebbian-"),
        (SecondPart::Hangs, "not written, because this process is to end"),
    ] {
        let place = Place::new();
        let bucket = Bucket::start();
        bucket.uploads().second_part = second_part;
        let (mut coordinator, _) = large_journal(&place, &bucket);
        let log = || fs::read_to_string(place.path("coordinator.log")).unwrap_or_default();
        if second_part == SecondPart::Hangs {
            let sent = || bucket.uploads().open.values().any(|parts| parts.contains_key(&2));
            until("a part hangs", sent);
        } else {
            until("the failure is told", || log().contains(told));
        }
        coordinator.signal("TERM");
        assert_eq!(coordinator.exit_code(), Some(0));
        assert!(log().contains(told), "{}", log());
        let uploads = bucket.uploads();
        assert_eq!((uploads.begun, uploads.aborted, uploads.open.len()), (1, 1, 0), "{}", log());
        assert!(bucket.names().is_empty(), "{:?}", bucket.names());
    }
}
