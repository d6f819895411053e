//! Addresses, and what stays in a bucket that has a fault: nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, ObjectMeta, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result as Answer, UploadPart,
};

use super::*;

const LENGTH: u64 = 2 * PART_BYTES_MIN + 1234;

/// What a bucket does wrong.
#[derive(Clone, Debug, PartialEq)]
enum Fault {
    None,
    /// The part of that number is refused.
    Part(usize),
    /// No part arrives, and the process is to end when the second one is sent.
    Hangs(CancellationToken),
    Complete,
    /// All is taken, and a byte is missing afterwards.
    Size,
}

/// What was asked of a bucket.
#[derive(Clone, Debug, Default, PartialEq)]
struct Asked {
    begun: usize,
    parts: Vec<usize>,
    completed: usize,
    aborted: usize,
}

type Log = Arc<Mutex<Asked>>;

fn locked(log: &Log) -> MutexGuard<'_, Asked> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    fault: Fault,
    log: Log,
}

#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    fault: Fault,
    log: Log,
}

fn refused() -> Error {
    Error::Generic { store: "test", source: "the server has a fault".into() }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("test")
    }
}

#[tonic::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, key: &Key, bytes: PutPayload, options: PutOptions) -> Answer<PutResult> {
        self.inner.put_opts(key, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Key,
        options: PutMultipartOptions,
    ) -> Answer<Box<dyn MultipartUpload>> {
        locked(&self.log).begun += 1;
        let inner = self.inner.put_multipart_opts(key, options).await?;
        Ok(Box::new(Upload { inner, fault: self.fault.clone(), log: Arc::clone(&self.log) }))
    }

    async fn get_opts(&self, key: &Key, options: GetOptions) -> Answer<GetResult> {
        let mut got = self.inner.get_opts(key, options).await?;
        got.meta.size -= u64::from(self.fault == Fault::Size);
        Ok(got)
    }

    fn delete_stream(&self, keys: BoxStream<'static, Answer<Key>>) -> BoxStream<'static, Answer<Key>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Answer<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Answer<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Answer<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[tonic::async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let mut asked = locked(&self.log);
        asked.parts.push(part.content_length());
        match &self.fault {
            Fault::Part(number) if *number == asked.parts.len() => std::future::ready(Err(refused())).boxed(),
            Fault::Hangs(ended) => {
                if asked.parts.len() == 2 {
                    ended.cancel();
                }
                std::future::pending().boxed()
            }
            _ => self.inner.put_part(part),
        }
    }

    async fn complete(&mut self) -> Answer<PutResult> {
        if self.fault == Fault::Complete {
            return Err(refused());
        }
        locked(&self.log).completed += 1;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Answer<()> {
        locked(&self.log).aborted += 1;
        self.inner.abort().await
    }
}

/// A file that gives little at once, and ends or fails after `good` bytes.
struct Slow {
    given: u64,
    good: u64,
    fails: bool,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.good - self.given;
        if left == 0 && self.fails {
            return Err(std::io::Error::other("the disk is broken"));
        }
        let length = left.min(100_003).min(buffer.len() as u64) as usize;
        for (at, byte) in buffer[..length].iter_mut().enumerate() {
            *byte = byte_at(self.given + at as u64);
        }
        self.given += length as u64;
        Ok(length)
    }
}

fn byte_at(place: u64) -> u8 {
    (place % 251) as u8
}

/// What comes of a file that is sent to a bucket with a fault; the bucket, and what was asked of it.
fn sent(fault: Fault, length: u64, slow: Slow) -> (Result<String, Failure>, Bucket, Asked) {
    let log = Log::default();
    let ended = if let Fault::Hangs(ended) = &fault { ended.clone() } else { CancellationToken::new() };
    let store = Faulty { inner: InMemory::new(), fault, log: Arc::clone(&log) };
    let bucket =
        Bucket { url: "s3://bucket/mine".to_owned(), store: Arc::new(store), prefix: Key::from("mine") };
    let source = Source { file: slow, path: Path::new("journal.sqlite"), length };
    let result = runtime().unwrap().block_on(bucket.send(source, "copy", &ended));
    let asked = locked(&log).clone();
    (result, bucket, asked)
}

fn whole(length: u64) -> Slow {
    Slow { given: 0, good: length, fails: false }
}

#[test]
fn parts_are_full_but_the_last_and_arrive_as_they_were() {
    for (length, parts) in [
        (0, vec![]),
        (PART_BYTES_MIN, vec![]),
        (PART_BYTES_MIN + 1, vec![PART_BYTES_MIN as usize, 1]),
        (LENGTH, vec![PART_BYTES_MIN as usize, PART_BYTES_MIN as usize, 1234]),
        (6 * PART_BYTES_MIN, vec![PART_BYTES_MIN as usize; 6]),
    ] {
        let (result, bucket, asked) = sent(Fault::None, length, whole(length));
        assert_eq!(result.unwrap(), "s3://bucket/mine/copy");
        let many = usize::from(!parts.is_empty());
        assert_eq!(asked, Asked { begun: many, parts, completed: many, aborted: 0 });
        let place = tempfile::tempdir().unwrap();
        bucket.get("copy", &place.path().join("back")).unwrap();
        let back = std::fs::read(place.path().join("back")).unwrap();
        assert_eq!(back.len() as u64, length);
        assert!(back.iter().enumerate().all(|(place, byte)| *byte == byte_at(place as u64)));
    }
}

#[test]
fn a_file_of_any_length_has_at_most_ten_thousand_parts() {
    for (length, expected) in [
        (1, PART_BYTES_MIN),
        (PART_BYTES_MIN * PARTS_MAX, PART_BYTES_MIN),
        (PART_BYTES_MIN * PARTS_MAX + 1, PART_BYTES_MIN + 1),
        (5 << 40, 549_755_814),
    ] {
        assert_eq!(part_bytes(length), expected);
        assert!(length.div_ceil(expected) <= PARTS_MAX);
    }
}

#[test]
fn nothing_stays_there_of_what_fails() {
    let broken = |fails| Slow { given: 0, good: PART_BYTES_MIN + 1, fails };
    for (fault, slow, completed, aborted, expected) in [
        (
            Fault::Part(1),
            whole(LENGTH),
            0,
            1,
            "copy cannot be written: Generic test error: the server has a fault",
        ),
        (
            Fault::Part(3),
            whole(LENGTH),
            0,
            1,
            "copy cannot be written: Generic test error: the server has a fault",
        ),
        (
            Fault::Complete,
            whole(LENGTH),
            0,
            1,
            "copy cannot be written: Generic test error: the server has a fault",
        ),
        (Fault::Size, whole(LENGTH), 1, 0, "s3://bucket/mine/copy: has 16778449 bytes there, not 16778450"),
        (Fault::None, broken(true), 0, 1, "journal.sqlite: cannot be read: the disk is broken"),
        (
            Fault::None,
            broken(false),
            0,
            1,
            "journal.sqlite: ends after 8388609 bytes; it had 16778450 before",
        ),
        (
            Fault::Hangs(CancellationToken::new()),
            whole(LENGTH),
            0,
            1,
            "not written, because this process is to end",
        ),
    ] {
        let said = format!("{fault:?}");
        let (result, bucket, asked) = sent(fault, LENGTH, slow);
        let failure = result.unwrap_err();
        assert!(failure.message().contains(expected), "{said}: {}", failure.message());
        assert_eq!((asked.begun, asked.completed, asked.aborted), (1, completed, aborted), "{said}");
        assert!(bucket.list().unwrap().is_empty(), "{said}");
    }
}

#[test]
fn a_small_file_of_another_size_is_no_copy_either() {
    let (result, bucket, _) = sent(Fault::Size, 10, whole(10));
    assert!(result.unwrap_err().message().contains("has 9 bytes there, not 10"));
    assert!(bucket.list().unwrap().is_empty());
}

#[test]
fn what_is_to_end_begins_nothing() {
    let ended = CancellationToken::new();
    ended.cancel();
    let (result, _, asked) = sent(Fault::Hangs(ended), LENGTH, whole(LENGTH));
    assert!(result.unwrap_err().message().contains("this process is to end"));
    assert_eq!(asked, Asked::default());
}

#[test]
fn an_address_is_a_bucket_and_a_prefix_and_no_place_for_secrets() {
    for (url, bucket, prefix) in [
        ("s3://backups", "backups", ""),
        ("s3://backups/", "backups", ""),
        ("s3://backups/a/b-1", "backups", "a/b-1"),
        ("s3://backups/a/", "backups", "a"),
    ] {
        let (found, key) = parse(url).unwrap();
        assert_eq!((found, key.as_ref()), (bucket, prefix));
    }
    for (url, expected) in [
        ("https://backups", "must be s3://BUCKET/PREFIX"),
        ("s3://", "3 to 63"),
        ("s3://Backups/x", "3 to 63"),
        ("s3://backups/a//b", "no part of the prefix is empty"),
        ("s3://key:secret@backups/a", "AWS_SECRET_ACCESS_KEY"),
        ("s3://backups/a?secret=x", "AWS_REGION"),
    ] {
        let failure = Bucket::open("backup.url", url).unwrap_err();
        let told = failure.message();
        assert!(told.starts_with("backup.url: ") && told.contains(expected), "{url}: {told}");
        assert!(!told.contains("secret@") && !told.contains("secret=x"), "{told}");
    }
}

#[test]
fn an_endpoint_without_tls_must_be_allowed() {
    let plain = |set: &[(&str, &str)]| {
        plain_endpoint(|name| set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned()))
    };
    assert_eq!(plain(&[]), None);
    assert_eq!(plain(&[("AWS_ENDPOINT_URL", "https://store.example")]), None);
    assert_eq!(plain(&[("AWS_ENDPOINT_URL", " http://store.example")]), Some("AWS_ENDPOINT_URL"));
    assert_eq!(
        plain(&[("AWS_ENDPOINT", "http://[::1]:9000"), ("AWS_ALLOW_HTTP", "no")]),
        Some("AWS_ENDPOINT")
    );
    assert_eq!(plain(&[("AWS_ENDPOINT", "http://[::1]:9000"), ("AWS_ALLOW_HTTP", "True")]), None);
}
