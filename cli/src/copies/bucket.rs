//! A bucket that speaks S3. Credentials, region and endpoint come from the variables that other programs take, too.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hebbian_coordinator::runtime;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::Kept;
use crate::command;
use crate::failure::Failure;

/// How addresses of buckets begin.
const SCHEME: &str = "s3://";
/// So much is read and sent at once; what is larger goes in parts, of which only the last may be smaller. S3 wants 5 MiB at least.
const PART_BYTES_MIN: u64 = 8 << 20;
/// S3 takes no object in more parts.
const PARTS_MAX: u64 = 10_000;
/// Parts that are on their way at once.
const PARTS_AT_ONCE: usize = 4;

/// See the module.
pub(crate) struct Bucket {
    /// `s3://BUCKET/PREFIX`, for messages.
    url: String,
    store: Arc<dyn ObjectStore>,
    prefix: Key,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Bucket").field(&self.url).finish()
    }
}

/// The bucket and the prefix of an address. What is wrong with it is told without what may be a secret.
fn parse(url: &str) -> Result<(&str, Key), &'static str> {
    let Some(rest) = url.strip_prefix(SCHEME) else { return Err("must be s3://BUCKET/PREFIX") };
    if rest.contains('@') {
        return Err(
            "must be s3://BUCKET/PREFIX without credentials: they belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        );
    }
    if rest.contains(['?', '#']) {
        return Err(
            "must be s3://BUCKET/PREFIX without parameters: region and endpoint belong into AWS_REGION and AWS_ENDPOINT_URL",
        );
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(plain) {
        return Err("must be s3://BUCKET/PREFIX, where a bucket's name has 3 to 63 of a-z, 0-9, `-` and `.`");
    }
    let prefix = Key::parse(prefix.trim_end_matches('/'))
        .map_err(|_| "must be s3://BUCKET/PREFIX, where no part of the prefix is empty, `.` or `..`")?;
    Ok((bucket, prefix))
}

/// The variable that names an endpoint without TLS which nobody has allowed: every request would fail, without saying why.
fn plain_endpoint(variable: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    if variable("AWS_ALLOW_HTTP")
        .is_some_and(|allowed| matches!(&*allowed.to_ascii_lowercase(), "true" | "1"))
    {
        return None;
    }
    let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    names.into_iter().find(|name| variable(name).is_some_and(|url| url.trim().starts_with("http://")))
}

impl Bucket {
    /// The bucket at an address. Nobody is asked yet.
    pub(super) fn open(field: &str, url: &str) -> Result<Self, Failure> {
        let (bucket, prefix) = parse(url).map_err(|problem| {
            Failure::bad_input(format_args!("{field}: {problem}"))
                .hint("write for example s3://backups/hebbian")
        })?;
        if let Some(name) = plain_endpoint(|name| std::env::var(name).ok()) {
            return Err(Failure::bad_input(format_args!("{name}: is an address without TLS (http://)"))
                .hint("write https://, or set AWS_ALLOW_HTTP=true on a network of your own"));
        }
        // Whoever has no credentials is asked for those of the machine, which takes a while where there are none.
        let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build();
        let store = store.map_err(|error| Failure::bad_input(format_args!("{field}: {error}")))?;
        let url = if prefix.as_ref().is_empty() {
            format!("{SCHEME}{bucket}")
        } else {
            format!("{SCHEME}{bucket}/{prefix}")
        };
        Ok(Self { url, store: Arc::new(store), prefix })
    }

    fn failed(&self, what: &str, error: &object_store::Error) -> Failure {
        let error = error.to_string();
        // Where a machine of a cloud asks who it is.
        let nobody = if error.contains("//169.254.169.254/") {
            "there are no credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and this machine has none of its own: "
        } else {
            ""
        };
        Failure::failed(format_args!("{}: {what}: {nobody}{error}", self.url)).hint(
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL say who asks whom",
        )
    }

    fn key(&self, name: &str) -> Key {
        self.prefix.clone().join(name)
    }

    /// All objects directly behind the prefix.
    pub(super) fn list(&self) -> Result<Vec<Kept>, Failure> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listed = runtime()?.block_on(self.store.list(prefix).try_collect::<Vec<_>>());
        let listed =
            listed.map_err(|error| self.failed("the copies that are there cannot be listed", &error))?;
        let kept = listed.into_iter().filter_map(|object| {
            let name = object.location.filename()?.to_owned();
            (object.location == self.key(&name))
                .then(|| Kept { name, made: Some(object.last_modified.into()) })
        });
        Ok(kept.collect())
    }

    /// Sends a file, unless `ended` comes first; where it is then. What fails leaves nothing there.
    pub(super) fn put(&self, path: &Path, name: &str, ended: &CancellationToken) -> Result<String, Failure> {
        let unread = |error: std::io::Error| Failure::file(path, "cannot be read", &error);
        let file = File::open(path).map_err(unread)?;
        let length = file.metadata().map_err(unread)?.len();
        runtime()?.block_on(self.send(Source { file, path, length }, name, ended))
    }

    async fn send<R: Read>(
        &self,
        mut source: Source<'_, R>,
        name: &str,
        ended: &CancellationToken,
    ) -> Result<String, Failure> {
        let place = format!("{}/{name}", self.url);
        let key = self.key(name);
        let length = source.length;
        let unwritten = |error| self.failed(&format!("{name} cannot be written"), &error);
        let written = if length <= PART_BYTES_MIN {
            let bytes = source.read(length)?;
            self.store.put(&key, bytes.into()).await.map(drop).map_err(unwritten)
        } else {
            if ended.is_cancelled() {
                return Err(given_up(&place));
            }
            let mut upload = self.store.put_multipart(&key).await.map_err(unwritten)?;
            let sent = tokio::select! {
                biased;
                () = ended.cancelled() => Err(given_up(&place)),
                sent = send_parts(upload.as_mut(), &mut source, unwritten) => sent,
            };
            if let Err(failure) = sent {
                return Err(self.abort(upload.as_mut(), failure).await);
            }
            match upload.complete().await {
                Ok(_) => Ok(()),
                Err(error) => Err(self.abort(upload.as_mut(), unwritten(error)).await),
            }
        };
        let (may_be_wrong, failure) = match written {
            Err(failure) => (false, failure),
            Ok(()) => match self.store.head(&key).await {
                Ok(there) if there.size == length => return Ok(place),
                Ok(there) => {
                    let bytes = there.size;
                    (true, Failure::failed(format_args!("{place}: has {bytes} bytes there, not {length}")))
                }
                Err(error) => (true, unwritten(error)),
            },
        };
        // What is there is what was sent, or nothing is; also where only the answer was lost.
        match self.store.delete(&key).await {
            Err(error) if may_be_wrong => {
                Err(Failure::failed(format_args!("{}; and it cannot be removed: {error}", failure.message()))
                    .hint(format_args!("remove {place}: it is no copy")))
            }
            _ => Err(failure),
        }
    }

    /// Removes the parts of an upload that failed: they are in no list, and cost as objects do.
    async fn abort(&self, upload: &mut dyn MultipartUpload, failure: Failure) -> Failure {
        match upload.abort().await {
            // It was complete, and only the answer was lost.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => failure,
            Err(error) => Failure::failed(format_args!(
                "{}; and its parts cannot be removed: {error}",
                failure.message()
            ))
            .hint("let the bucket's lifecycle abort incomplete multipart uploads after a day"),
        }
    }

    /// Writes an object to a file.
    pub(super) fn get(&self, name: &str, to: &Path) -> Result<(), Failure> {
        let unwritten = |error: std::io::Error| Failure::writing(to, "cannot be written", &error);
        let failed = |error: object_store::Error| match error {
            object_store::Error::NotFound { .. } => {
                Failure::not_found(format_args!("{}: there is no {name}", self.url))
            }
            error => self.failed(&format!("{name} cannot be read"), &error),
        };
        let mut file = File::options().write(true).truncate(true).create(true).open(to).map_err(unwritten)?;
        runtime()?.block_on(async {
            let mut stream = self.store.get(&self.key(name)).await.map_err(failed)?.into_stream();
            while let Some(bytes) = stream.try_next().await.map_err(failed)? {
                file.write_all(&bytes).map_err(unwritten)?;
            }
            file.sync_all().map_err(unwritten)
        })
    }

    /// Removes an object.
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        let removed = runtime()?.block_on(self.store.delete(&self.key(name)));
        removed.map_err(|error| self.failed("old copies cannot be removed", &error))
    }
}

/// What is sent.
struct Source<'a, R> {
    file: R,
    /// For messages.
    path: &'a Path,
    length: u64,
}

impl<R: Read> Source<'_, R> {
    /// The next bytes; fewer than `most` only at the end.
    fn read(&mut self, most: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let read = self.file.by_ref().take(most).read_to_end(&mut bytes);
        read.map_err(|error| Failure::file(self.path, "cannot be read", &error))?;
        Ok(bytes)
    }
}

/// How large the parts of a file are.
fn part_bytes(length: u64) -> u64 {
    length.div_ceil(PARTS_MAX).max(PART_BYTES_MIN)
}

/// Sends a file's parts. None of them is on its way any more when this has ended.
async fn send_parts<R: Read>(
    upload: &mut dyn MultipartUpload,
    source: &mut Source<'_, R>,
    unwritten: impl Fn(object_store::Error) -> Failure,
) -> Result<(), Failure> {
    let bytes = part_bytes(source.length);
    let mut parts = FuturesUnordered::new();
    let sent = async {
        let mut sent = 0;
        while sent < source.length {
            let part = source.read(bytes.min(source.length - sent))?;
            if part.is_empty() {
                let problem = format!("ends after {sent} bytes; it had {} before", source.length);
                return Err(Failure::failed(format_args!("{}: {problem}", source.path.display())));
            }
            sent += part.len() as u64;
            if parts.len() == PARTS_AT_ONCE {
                parts.next().await.transpose().map_err(&unwritten)?;
            }
            parts.push(upload.put_part(part.into()));
        }
        while parts.next().await.transpose().map_err(&unwritten)?.is_some() {}
        Ok(())
    }
    .await;
    // S3 may keep a part that arrives after the upload was aborted.
    while parts.next().await.is_some() {}
    sent
}

fn given_up(place: &str) -> Failure {
    Failure::interrupted(format_args!("{place}: not written, because this process is to end"))
}

fn runtime() -> Result<Runtime, Failure> {
    command::started(runtime::on_this_thread())
}

#[cfg(test)]
mod tests;
