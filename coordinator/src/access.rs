//! Who may do what: roles, the one table of what takes which role ([`table`]), and the tokens that stand for roles.
//!
//! Three rules. Where access is controlled, whoever shows a token may do what its role says, and nobody is let in by one that is unknown,
//! expired or revoked. A certificate that names a role is always held to it. Whoever shows neither may do everything while access is not
//! controlled, and nothing but ask for health while it is: where [`AccessSettings::required`] says so, and from the first token on.

pub mod role;
pub mod table;
pub mod tokens;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hebbian_proto::v1;
use hebbian_shared::limits::{GROUP_NAME_MAX, TOKEN_LIFETIME_MAX, TOKEN_NAME_MAX, TOKENS_MAX};
use tokio_util::sync::CancellationToken;

pub use role::Role;
use table::{Needs, Reach, Requirement};
use tokens::{AccessError, Book, Secret, TokenRecord};

/// How access is controlled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// Whether it is controlled although there is no token.
    pub required: bool,
    /// The file that keeps tokens; without it there are none.
    pub file: Option<PathBuf>,
}

/// Who asks, as far as it is known by a token or by the role of a certificate.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name of the token; none where a certificate names the role.
    pub token: Option<Arc<str>>,
    /// What they may do.
    pub role: Role,
    /// The only group of runs that there is for them.
    pub group: Option<Arc<str>>,
    /// When that ends.
    pub expires: Option<SystemTime>,
    /// Cancelled when the token is revoked.
    pub revoked: CancellationToken,
}

impl Caller {
    /// Comes back when they may no more: what they have opened ends then.
    pub async fn ended(self) {
        let expired = async {
            match self.expires {
                Some(end) => {
                    tokio::time::sleep(end.duration_since(SystemTime::now()).unwrap_or_default()).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.revoked.cancelled() => {}
            () = expired => {}
        }
    }
}

/// What somebody shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// A token, or what stands in its place.
    pub token: Option<&'a str>,
    /// The role that a certificate names, or what is wrong with it; none without a certificate or where it names none.
    pub certificate: Option<&'a Result<Role, String>>,
}

/// Why somebody is not let in. Each says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is not known who they are.
    #[error("{0}")]
    Unknown(String),
    /// It is known, and they may not.
    #[error("{0}")]
    Forbidden(String),
}

/// Why tokens were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessRefusal {
    /// A value cannot be meant.
    #[error("{field}: {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// There is a valid token of this name.
    #[error("there is a valid token `{0}` already; revoke it first, or take another name")]
    Exists(String),
    /// There is none of this name.
    #[error("there is no token `{0}`")]
    NoSuchToken(String),
    /// Nobody could change anything afterwards, or there is no place to keep tokens.
    #[error("{0}")]
    Precondition(String),
    /// There are too many.
    #[error("{TOKENS_MAX} tokens are valid, which is the limit; revoke some")]
    Full,
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] AccessError),
}

/// A token that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// What it lets do.
    pub role: Role,
    /// The only group of runs that it is for; empty for all.
    pub group: String,
    /// After what time it ends.
    pub expires_in: Option<Duration>,
}

/// Who is let in: the tokens of a coordinator, and whether one is needed.
#[derive(Debug)]
pub struct Access {
    settings: AccessSettings,
    /// Every request looks here, so nobody holds it while a file is read or written.
    book: RwLock<Book>,
    /// Held by whoever reads or changes the file.
    file: Mutex<()>,
    /// Cancelled when there are tokens.
    begun: CancellationToken,
}

impl Access {
    /// No tokens, and nobody needs one: a process that serves itself.
    pub fn open() -> Arc<Self> {
        Arc::new(Self {
            settings: AccessSettings::default(),
            book: RwLock::default(),
            file: Mutex::default(),
            begun: CancellationToken::new(),
        })
    }

    /// Reads the tokens.
    pub fn new(settings: AccessSettings) -> Result<Arc<Self>, AccessError> {
        let records = match &settings.file {
            Some(file) => tokens::read(file)?.unwrap_or_default(),
            None => Vec::new(),
        };
        let (file, begun) = (Mutex::default(), CancellationToken::new());
        let access = Self { settings, book: RwLock::default(), file, begun };
        access.take(records);
        Ok(Arc::new(access))
    }

    /// Reads the tokens again. If that fails, those in use stay in use.
    pub fn reload(&self) -> Result<(), AccessError> {
        let Some(file) = &self.settings.file else { return Ok(()) };
        let _turn = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match tokens::read(file)? {
            Some(records) => self.take(records),
            None if self.read().is_empty() => {}
            None => return Err(AccessError::gone(file)),
        }
        Ok(())
    }

    fn take(&self, records: Vec<TokenRecord>) {
        let is_on = !records.is_empty();
        self.book.write().unwrap_or_else(PoisonError::into_inner).take(records);
        if is_on {
            self.begun.cancel();
        }
    }

    /// Cancelled when access is controlled from then on: what was opened by nobody in particular ends.
    pub fn begun(&self) -> CancellationToken {
        self.begun.clone()
    }

    /// Whether whoever shows nothing is kept out.
    pub fn is_on(&self) -> bool {
        self.settings.required || !self.read().is_empty()
    }

    /// How many tokens are valid at this moment.
    pub fn valid_tokens(&self) -> usize {
        let now = SystemTime::now();
        self.read().records().filter(|record| record.is_valid(now)).count()
    }

    /// Whether a token with the role admin is valid at this moment.
    pub fn has_admin(&self) -> bool {
        let now = SystemTime::now();
        self.read().records().any(|record| record.role == Role::Admin && record.is_valid(now))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody may ask for `what`, and who it is as far as that is known.
    pub fn judge(&self, what: &str, rule: Requirement, shown: Shown<'_>) -> Result<Option<Caller>, Denied> {
        self.judge_at(SystemTime::now(), what, rule, shown)
    }

    fn judge_at(
        &self,
        now: SystemTime,
        what: &str,
        Requirement { needs, reach }: Requirement,
        Shown { token, certificate }: Shown<'_>,
    ) -> Result<Option<Caller>, Denied> {
        let Needs::Role(needed) = needs else { return Ok(None) };
        let caller = match (token, certificate) {
            // While there are none, whoever has one for another coordinator is not kept out by it.
            (Some(token), _) if self.is_on() => self.read().find(token, now).map_err(Denied::Unknown)?,
            (_, Some(Ok(role))) => {
                let revoked = CancellationToken::new();
                Caller { token: None, role: *role, group: None, expires: None, revoked }
            }
            (_, Some(Err(problem))) => return Err(Denied::Unknown(problem.clone())),
            (_, None) if self.is_on() => {
                return Err(Denied::Unknown(format!(
                    "{what} takes a token or a certificate with the role {needed}: --token-file FILE or HEBBIAN_TOKEN_FILE names a \
                     file with a token, and `hebbian token create` makes one"
                )));
            }
            (_, None) => return Ok(None),
        };
        let who = match &caller.token {
            Some(name) => format!("the token `{name}`"),
            None => "the certificate".to_owned(),
        };
        if !caller.role.may(needed) {
            let role = caller.role;
            return Err(Denied::Forbidden(format!(
                "{who} has the role {role}, and {what} takes the role {needed}"
            )));
        }
        match (&caller.group, reach) {
            (Some(group), Reach::Cluster) => Err(Denied::Forbidden(format!(
                "{who} is for the runs of the group `{group}` only, and {what} is about the whole cluster"
            ))),
            _ => Ok(Some(caller)),
        }
    }

    /// All tokens, in order of their names.
    pub fn list(&self) -> Vec<v1::Token> {
        self.read().records().map(TokenRecord::message).collect()
    }

    /// Makes a token. Whoever asks has an admin's certificate, or another way to make more (`has_other_way`), or has the first
    /// token made an admin's.
    pub fn create(
        &self,
        new: &NewToken,
        by: &str,
        has_other_way: bool,
    ) -> Result<(v1::Token, Secret), AccessRefusal> {
        new.check()?;
        let now = SystemTime::now();
        let failed = || AccessRefusal::Precondition("the operating system gives no random bytes".to_owned());
        let secret = Secret::random().ok_or_else(failed)?;
        let message = self.change(|records| {
            let is_valid = |record: &TokenRecord| record.is_valid(now);
            if records.iter().any(|record| record.name == new.name && is_valid(record)) {
                return Err(AccessRefusal::Exists(new.name.clone()));
            }
            let has_admin = records.iter().any(|record| record.role == Role::Admin && is_valid(record));
            if !has_admin && !has_other_way && new.role != Role::Admin {
                return Err(AccessRefusal::Precondition(
                    "the first token must have the role admin: with it access control begins, and without one nobody could make or \
                     revoke any"
                        .to_owned(),
                ));
            }
            if records.iter().filter(|record| is_valid(record)).count() >= TOKENS_MAX {
                return Err(AccessRefusal::Full);
            }
            records.retain(|record| record.name != new.name);
            while records.len() >= TOKENS_MAX {
                let ended = |record: &TokenRecord| record.revoked_unix_s.or(record.expires_unix_s).unwrap_or(u64::MAX);
                let oldest = (0..records.len()).filter(|&place| !is_valid(&records[place]));
                let Some(oldest) = oldest.min_by_key(|&place| ended(&records[place])) else { break };
                records.remove(oldest);
            }
            let record = TokenRecord::new(new, by, unix_s(now), &secret);
            let message = record.message();
            records.push(record);
            Ok(message)
        })?;
        Ok((message, secret))
    }

    /// Revokes a token: nobody is let in by it from now on, and what it opened ends.
    pub fn revoke(&self, name: &str, has_other_way: bool) -> Result<v1::Token, AccessRefusal> {
        let now = SystemTime::now();
        self.change(|records| {
            let place = records.iter().position(|record| record.name == name);
            let place = place.ok_or_else(|| AccessRefusal::NoSuchToken(name.to_owned()))?;
            let is_admin = |record: &&TokenRecord| record.role == Role::Admin && record.is_valid(now);
            let is_last = records.iter().filter(is_admin).count() == 1 && is_admin(&&records[place]);
            if is_last && !has_other_way {
                return Err(AccessRefusal::Precondition(format!(
                    "`{name}` is the last valid token with the role admin: without it nobody could make or revoke any; make another \
                     one first"
                )));
            }
            records[place].revoked_unix_s.get_or_insert(unix_s(now));
            Ok(records[place].message())
        })
    }

    /// Changes the file, as it is now, and takes what it holds then.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<TokenRecord>) -> Result<T, AccessRefusal>,
    ) -> Result<T, AccessRefusal> {
        let file = self.settings.file.as_ref().ok_or_else(|| {
            AccessRefusal::Precondition(
                "access.tokens: names no file to keep tokens in, and this journal is no file beside which one could be".to_owned(),
            )
        })?;
        let _turn = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = match tokens::read(file)? {
            Some(records) => records,
            None if self.read().is_empty() => Vec::new(),
            None => return Err(AccessError::gone(file).into()),
        };
        let changed = change(&mut records)?;
        records.sort_by(|a, b| a.name.cmp(&b.name));
        tokens::write(file, &records)?;
        self.take(records);
        Ok(changed)
    }
}

fn unix_s(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl NewToken {
    /// Whether there can be such a token.
    pub fn check(&self) -> Result<(), AccessRefusal> {
        let refused = |field, problem: String| Err(AccessRefusal::Field { field, problem });
        if !tokens::is_name(&self.name) {
            return refused(
                "name",
                format!(
                    "must have 1 to {TOKEN_NAME_MAX} of the characters a-z, A-Z, 0-9, `-`, `_`, `.` and `@`, and begin with a letter or \
                     a digit"
                ),
            );
        }
        if !self.group.is_empty() {
            if !matches!(self.role, Role::Observer | Role::Operator) {
                let problem = format!("is for observers and operators; the role {} has no group", self.role);
                return refused("group", problem);
            }
            if !tokens::is_group(&self.group) {
                let problem = format!(
                    "must have at most {GROUP_NAME_MAX} characters, without control characters and `/`, and not begin with `-`, \
                     `.` or a blank"
                );
                return refused("group", problem);
            }
        }
        match self.expires_in {
            Some(time) if time < Duration::from_secs(1) || time > TOKEN_LIFETIME_MAX => {
                let days = TOKEN_LIFETIME_MAX.as_secs() / 86_400;
                refused("expires_in", format!("must be from a second to {days} days"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
