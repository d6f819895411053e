//! A bucket that speaks S3. Credentials, region and endpoint come from the variables that other programs take, too.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart};
use tokio::runtime::{Builder, Runtime};

use super::Kept;
use crate::failure::Failure;

/// How addresses of buckets begin.
const SCHEME: &str = "s3://";
/// So much is read and sent at once; what is larger goes in parts of this size.
const PART_BYTES: usize = 8 << 20;
/// Parts that are on their way.
const PARTS_MAX: usize = 4;

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

impl Bucket {
    /// The bucket at an address. Nobody is asked yet.
    pub(super) fn open(field: &str, url: &str) -> Result<Self, Failure> {
        let (bucket, prefix) = parse(url).map_err(|problem| {
            Failure::bad_input(format_args!("{field}: {problem}"))
                .hint("write for example s3://backups/hebbian")
        })?;
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
        Failure::failed(format_args!("{}: {what}: {error}", self.url)).hint(
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

    /// Sends a file; where it is then.
    pub(super) fn put(&self, file: &Path, name: &str) -> Result<String, Failure> {
        let place = format!("{}/{name}", self.url);
        let unread = |error: std::io::Error| Failure::file(file, "cannot be read", &error);
        let mut file = File::open(file).map_err(unread)?;
        let length = file.metadata().map_err(unread)?.len();
        let failed = |error: object_store::Error| self.failed(&format!("{name} cannot be written"), &error);
        runtime()?.block_on(async {
            let key = self.key(name);
            if length <= PART_BYTES as u64 {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map_err(unread)?;
                self.store.put(&key, bytes.into()).await.map_err(failed)?;
            } else {
                let upload = self.store.put_multipart(&key).await.map_err(failed)?;
                let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
                let mut part = vec![0; PART_BYTES];
                loop {
                    let read = file.read(&mut part).map_err(unread)?;
                    if read == 0 {
                        break;
                    }
                    writer.wait_for_capacity(PARTS_MAX).await.map_err(failed)?;
                    writer.write(&part[..read]);
                }
                writer.finish().await.map_err(failed)?;
            }
            // What is there is what was sent, or nothing is.
            let there = self.store.head(&key).await.map_err(failed)?.size;
            if there == length {
                return Ok(place);
            }
            Err(Failure::failed(format_args!("{place}: has {there} bytes there, and {length} were sent")))
        })
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

fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format_args!("cannot start the runtime: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
