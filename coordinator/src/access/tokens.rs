//! Tokens and the file that keeps them: names, roles and hashes, never a token itself.
//!
//! The file stands beside the journal and not in it: a copy of the journal that is brought back must not bring back what was revoked
//! since, whoever is given a copy of a journal gets no hashes with it, and the first token can be made before there is a coordinator.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hebbian_proto::{figures, v1};
use hebbian_shared::digest::Digest;
use hebbian_shared::limits::{GROUP_NAME_MAX, TOKEN_NAME_MAX, TOKENS_FILE_BYTES_MAX, TOKENS_MAX};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::crypto::ring;
use tokio_util::sync::CancellationToken;

use super::{Caller, NewToken, Role};
use crate::regular_file;

/// How every token begins, so that people and programs that look for secrets know one.
pub const PREFIX: &str = "hebbian_";
/// Bytes of a token before they are written in hexadecimal: 256 bits.
const BYTES: usize = 32;

/// Why the file of tokens cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct AccessError {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl AccessError {
    fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.display().to_string(), problem: problem.into() }
    }

    fn io(path: &Path, what: &str, error: &io::Error) -> Self {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
        Self::new(path, format!("{what}: {text}"))
    }

    /// A file that was there.
    pub(super) fn gone(path: &Path) -> Self {
        Self::new(
            path,
            "is gone; the tokens that it held stay in use until it is back or the coordinator ends",
        )
    }
}

/// The text of a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// One that nobody can foresee; `None` if the operating system gives no random bytes.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; BYTES];
        ring::default_provider().secure_random.fill(&mut bytes).ok()?;
        Some(Self(format!("{PREFIX}{}", figures::hexadecimal(&bytes))))
    }

    /// As it is shown, once.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Whether a file holds tokens of a coordinator.
pub fn is_kept_in(file: &Path) -> bool {
    read(file).is_ok_and(|records| records.is_some_and(|records| !records.is_empty()))
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRecord {
    pub(super) name: String,
    pub(super) role: Role,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group: String,
    /// Of its whole text.
    sha256: String,
    created_unix_s: u64,
    created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_unix_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revoked_unix_s: Option<u64>,
}

fn moment(unix_s: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_s.min(1 << 40))
}

impl TokenRecord {
    pub(super) fn new(new: &NewToken, by: &str, created_unix_s: u64, secret: &Secret) -> Self {
        let by = if by.is_empty() { "this process" } else { by };
        let shown = |c: char| if c.is_control() { '?' } else { c };
        Self {
            name: new.name.clone(),
            role: new.role,
            group: new.group.clone(),
            sha256: Digest::of(secret.text().as_bytes()).to_string(),
            created_unix_s,
            created_by: by.chars().take(TOKEN_NAME_MAX).map(shown).collect(),
            expires_unix_s: new.expires_in.map(|time| created_unix_s + time.as_secs()),
            revoked_unix_s: None,
        }
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.revoked_unix_s.is_none() && self.expires_unix_s.is_none_or(|end| now < moment(end))
    }

    /// For clients: all but the hash.
    pub(super) fn message(&self) -> v1::Token {
        let time = |unix_s: u64| figures::moment(unix_s.saturating_mul(1000));
        v1::Token {
            name: self.name.clone(),
            role: v1::Role::from(self.role).into(),
            group: self.group.clone(),
            created: Some(time(self.created_unix_s)),
            created_by: self.created_by.clone(),
            expires: self.expires_unix_s.map(time),
            revoked: self.revoked_unix_s.map(time),
        }
    }

    fn check(&self) -> Result<(), String> {
        if !is_name(&self.name) {
            return Err(format!("{:?} is no name of a token", self.name));
        }
        if !self.group.is_empty() && !is_group(&self.group) {
            return Err(format!("the token `{}` has {:?}, which is no group", self.name, self.group));
        }
        if self.sha256.parse::<Digest>().is_err() {
            return Err(format!("the hash of the token `{}` must have 64 hexadecimal digits", self.name));
        }
        Ok(())
    }
}

/// Whether a token may be called so.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    name.len() <= TOKEN_NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
}

/// Whether a group of runs may be called so.
pub(super) fn is_group(group: &str) -> bool {
    group.chars().count() <= GROUP_NAME_MAX
        && !group.chars().any(|c| c.is_control() || c == '/')
        && !group.starts_with(['-', '.', ' '])
}

/// Tokens in use.
#[derive(Debug, Default)]
pub(super) struct Book(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    record: TokenRecord,
    hash: Digest,
    name: Arc<str>,
    revoked: CancellationToken,
}

impl Book {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &TokenRecord> {
        self.0.iter().map(|entry| &entry.record)
    }

    /// Has these in place of those before. What is no more, or was revoked, is told to whoever was let in by it.
    pub(super) fn take(&mut self, records: Vec<TokenRecord>) {
        let mut before = std::mem::take(&mut self.0);
        for record in records {
            let hash = record.sha256.parse::<Digest>().expect("a record is checked when it is read");
            let known = before.iter().position(|entry| entry.hash == hash);
            let mut revoked =
                known.map_or_else(CancellationToken::new, |place| before.swap_remove(place).revoked);
            if record.revoked_unix_s.is_some() {
                revoked.cancel();
            } else if revoked.is_cancelled() {
                // Whoever wrote the file by hand has thought better of it.
                revoked = CancellationToken::new();
            }
            let name = record.name.as_str().into();
            self.0.push(Entry { record, hash, name, revoked });
        }
        for entry in before {
            entry.revoked.cancel();
        }
    }

    /// Whose token this is, or why it lets nobody in. Every hash is compared, and all of it, so that the time says nothing of how much was
    /// right.
    pub(super) fn find(&self, token: &str, now: SystemTime) -> Result<Caller, String> {
        let shown = Digest::of(token.as_bytes());
        let mut found = None;
        for entry in &self.0 {
            let differs = entry.hash.0.iter().zip(shown.0).fold(0, |sum, (a, b)| sum | (a ^ b));
            if std::hint::black_box(differs) == 0 {
                found = Some(entry);
            }
        }
        let Some(Entry { record, name, revoked, .. }) = found else {
            return Err(
                "the token is not known to this coordinator; `hebbian token create` makes one".to_owned()
            );
        };
        if record.revoked_unix_s.is_some() {
            return Err(format!("the token `{name}` was revoked; an administrator can make another one"));
        }
        let expires = record.expires_unix_s.map(moment);
        if expires.is_some_and(|end| now >= end) {
            return Err(format!("the token `{name}` has expired; an administrator can make another one"));
        }
        let group = (!record.group.is_empty()).then(|| record.group.as_str().into());
        let (token, role) = (Some(Arc::clone(name)), record.role);
        Ok(Caller { token, role, group, expires, revoked: revoked.clone() })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    tokens: Vec<TokenRecord>,
}

/// The tokens of a file; none if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<TokenRecord>>, AccessError> {
    let mut text = String::new();
    let read = regular_file::open(path)
        .and_then(|file| file.take(TOKENS_FILE_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(AccessError::io(path, "cannot be read", &error)),
        Ok(_) if text.len() as u64 > TOKENS_FILE_BYTES_MAX => {
            return Err(AccessError::new(path, format!("has more than {TOKENS_FILE_BYTES_MAX} bytes")));
        }
        Ok(_) => {}
    }
    let Stored { tokens } = serde_json::from_str(&text).map_err(|error| {
        AccessError::new(path, format!("is no file of tokens (`hebbian token create` writes one): {error}"))
    })?;
    if tokens.len() > TOKENS_MAX {
        return Err(AccessError::new(path, format!("holds more than {TOKENS_MAX} tokens")));
    }
    let mut names = std::collections::BTreeSet::new();
    for record in &tokens {
        record.check().map_err(|problem| AccessError::new(path, problem))?;
        if !names.insert(&record.name) {
            return Err(AccessError::new(path, format!("holds the token `{}` twice", record.name)));
        }
    }
    Ok(Some(tokens))
}

/// Writes a file for its owner only: all of it or nothing, and on the disk before anybody hears of it.
pub(super) fn write(path: &Path, records: &[TokenRecord]) -> Result<(), AccessError> {
    let failed = |error: io::Error| AccessError::io(path, "cannot be written", &error);
    let stored = Stored { tokens: records.to_vec() };
    let text =
        serde_json::to_string_pretty(&stored).map_err(|error| AccessError::new(path, error.to_string()))?;
    // A link stays one.
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    let directory: PathBuf = directory.unwrap_or(Path::new(".")).to_owned();
    let mut temporary = tempfile::Builder::new()
        .prefix(".hebbian-")
        .suffix(".tmp")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(&directory)
        .map_err(failed)?;
    temporary.write_all(text.as_bytes()).map_err(failed)?;
    temporary.write_all(b"\n").map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(&file).map_err(|error| failed(error.error))?;
    File::open(&directory).and_then(|directory| directory.sync_all()).map_err(failed)
}
