//! Scheduled copies in a bucket, of a small server that speaks as much S3 as they need.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::support::{Place, SPEC, bits, errors, until};

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

/// A bucket with the name `backups`. It serves until the process ends.
#[derive(Clone)]
struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    endpoint: String,
}

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
        let bucket = Self { objects: Arc::default(), endpoint };
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

    fn answer(&self, request: Request) -> (&'static str, Vec<u8>) {
        let Request { method, path, query, signed, body } = request;
        if !signed {
            return ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>".to_vec());
        }
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = path.strip_prefix("/backups") else { return ("404 Not Found", Vec::new()) };
        let key = key.trim_start_matches('/');
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
