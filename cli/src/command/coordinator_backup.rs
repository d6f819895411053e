//! Scheduled copies of a coordinator's journal: `[backup]` of its configuration.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use hebbian_coordinator::upkeep::Upkeep;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::configuration::BackupSettings;
use crate::copies::Copies;
use crate::failure::Failure;
use crate::time;

/// What the names of copies begin and end with; between them stands the moment, so that names sort by age.
const NAME: (&str, &str) = ("hebbian-", ".sqlite");
/// The moment in a name, in UTC.
const MOMENT: &str = "%Y%m%dT%H%M%SZ";
/// When a copy that failed is tried again, unless the next one is due earlier.
const RETRY: Duration = Duration::from_secs(60);
/// So long the end of the process waits for a copy to be given up.
const GIVE_UP: Duration = Duration::from_secs(5);
/// Copies more often than that would be all that the disk does.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// When what is copied where.
#[derive(Debug)]
pub(super) struct Backups {
    journal: PathBuf,
    copies: Copies,
    every: Duration,
    keep: usize,
}

impl Backups {
    /// What the settings ask for, if they ask for copies; checked, so that the first failure is not tonight's.
    pub(super) fn new(settings: &BackupSettings, url: &str) -> Result<Option<Self>, Failure> {
        let field = match (&settings.directory, &settings.url) {
            (None, None) => return Ok(None),
            (Some(_), None) => "backup.directory",
            (None, Some(_)) => "backup.url",
            (Some(_), Some(_)) => {
                return Err(Failure::bad_input(
                    "backup.url: cannot stand beside backup.directory; leave one of both out",
                ));
            }
        };
        let journal = url.strip_prefix("sqlite:").unwrap_or(url);
        if url == "memory:" {
            return Err(Failure::bad_input(format_args!("{field}: memory: is nothing that could be copied"))
                .hint("storage.url must be sqlite:PATH or postgresql://USER@HOST/DATABASE"));
        }
        let every = time::parse(&settings.every)
            .and_then(
                |every| {
                    if every >= EVERY_MIN { Ok(every) } else { Err("must be at least 1s".to_owned()) }
                },
            )
            .map_err(|problem| {
                Failure::bad_input(format_args!("backup.every: `{}`: {problem}", settings.every))
            })?;
        let copies = match (&settings.directory, &settings.url) {
            (Some(directory), _) => Copies::directory(directory)?,
            (None, url) => Copies::bucket(field, url.as_deref().unwrap_or_default())?,
        };
        Ok(Some(Self { journal: PathBuf::from(journal), copies, every, keep: settings.keep as usize }))
    }

    /// Makes copies until `ended` says so, and leaves nothing then of the one that is on its way.
    pub(super) async fn make(self, upkeep: &Upkeep, ended: &CancellationToken) {
        let Self { every, .. } = self;
        let backups = std::sync::Arc::new(self);
        loop {
            let looked = std::sync::Arc::clone(&backups);
            let due = async {
                let due = tokio::task::spawn_blocking(move || looked.due_in(SystemTime::now())).await;
                tokio::time::sleep(due.unwrap_or_default()).await;
            };
            if ended.run_until_cancelled(due).await.is_none() {
                return;
            }
            let (made, mut answer) = tokio::sync::oneshot::channel();
            let (copied, told) = (std::sync::Arc::clone(&backups), ended.clone());
            // A thread of its own: the end of the process does not wait for a copy.
            let thread = std::thread::Builder::new().name("backup".to_owned()).spawn(move || {
                drop(made.send(copied.make_one(Timestamp::now(), &told)));
            });
            let made = match thread {
                Ok(_) => match ended.run_until_cancelled(&mut answer).await {
                    Some(made) => made.unwrap_or_else(|_| Err(Failure::failed("the thread has panicked"))),
                    None => return backups.give_up(answer).await,
                },
                Err(error) => Err(Failure::failed(format_args!("a thread cannot be started: {error}"))),
            };
            upkeep.copied(made.is_ok());
            match made {
                Ok(place) => tracing::info!("the journal was copied to {place}"),
                Err(failure) => {
                    tracing::error!("the journal could not be copied: {}", failure.message());
                    if ended.run_until_cancelled(tokio::time::sleep(RETRY.min(every))).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for a copy that is told to be given up, if anything would be left of it.
    async fn give_up(&self, answer: tokio::sync::oneshot::Receiver<Result<String, Failure>>) {
        if !self.copies.leave_parts() {
            return;
        }
        match tokio::time::timeout(GIVE_UP, answer).await {
            Ok(Ok(Ok(place))) => tracing::info!("the journal was copied to {place}"),
            Ok(Ok(Err(failure))) => tracing::info!("the last copy: {}", failure.message()),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(
                    "the last copy could not be given up in {GIVE_UP:?}; parts of it may stay in the bucket"
                );
            }
        }
    }

    /// Until the next copy is due: an interval after the last one, also of an earlier process; at once where there is none.
    fn due_in(&self, now: SystemTime) -> Duration {
        let newest = self.copies.list(is_copy).ok().and_then(|copies| copies.into_iter().next_back());
        let made = newest.and_then(|copy| copy.made);
        match made {
            // A clock that was set back makes nobody wait for longer.
            Some(made) => self.every.saturating_sub(now.duration_since(made).unwrap_or_default()),
            None => Duration::ZERO,
        }
    }

    /// Makes a copy, and removes the oldest ones beyond those that are kept.
    fn make_one(&self, now: Timestamp, ended: &CancellationToken) -> Result<String, Failure> {
        let moment = now.to_zoned(TimeZone::UTC).strftime(MOMENT).to_string();
        let place = self.copies.add(&self.journal, &format!("{}{moment}{}", NAME.0, NAME.1), ended)?;
        self.remove_surplus()?;
        Ok(place)
    }

    fn remove_surplus(&self) -> Result<(), Failure> {
        let copies = self.copies.list(is_copy)?;
        let surplus = if self.keep == 0 { 0 } else { copies.len().saturating_sub(self.keep) };
        for old in &copies[..surplus] {
            self.copies.remove(&old.name)?;
        }
        Ok(())
    }
}

/// Whether a name is a copy's. What has another name is not ours.
pub(super) fn is_copy(name: &str) -> bool {
    let moment = name.strip_prefix(NAME.0).and_then(|rest| rest.strip_suffix(NAME.1));
    moment.is_some_and(|moment| jiff::civil::DateTime::strptime(MOMENT, moment).is_ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn settings(every: &str) -> (tempfile::TempDir, BackupSettings) {
        let place = tempfile::tempdir().unwrap();
        let directory = Some(place.path().join("copies"));
        (place, BackupSettings { directory, every: every.to_owned(), keep: 2, url: None })
    }

    #[test]
    fn what_cannot_be_copied_or_is_no_time_is_refused() {
        let check = |url: &str, every: &str, message: &str| {
            let failure = Backups::new(&settings(every).1, url).unwrap_err();
            assert!(failure.message().contains(message), "{}", failure.message());
        };
        check("memory:", "1h", "backup.directory: memory: is nothing");
        check("sqlite:x", "soon", "backup.every: `soon`");
        check("sqlite:x", "0s", "must be at least 1s");
        assert!(Backups::new(&BackupSettings::default(), "memory:").unwrap().is_none());
    }

    #[test]
    fn a_copy_is_due_an_interval_after_the_last_one() {
        let (_place, settings) = settings("1h");
        let directory = settings.directory.clone().unwrap();
        let backups = Backups::new(&settings, "sqlite:x").unwrap().unwrap();
        let now = SystemTime::now();
        assert_eq!(backups.due_in(now), Duration::ZERO);
        // Neither is a copy of ours.
        for name in ["hebbian-mine.sqlite", "hebbian-20260101T000000Z.sqlite-wal"] {
            fs::write(directory.join(name), "").unwrap();
        }
        assert_eq!(backups.due_in(now), Duration::ZERO);
        let copy = directory.join("hebbian-20260101T000000Z.sqlite");
        fs::write(&copy, "").unwrap();
        let made = fs::metadata(&copy).unwrap().modified().unwrap();
        let hour = Duration::from_secs(3600);
        for (passed, expected) in [(0, 3600), (600, 3000), (3600, 0), (9999, 0)] {
            assert_eq!(backups.due_in(made + Duration::from_secs(passed)), Duration::from_secs(expected));
        }
        assert_eq!(backups.due_in(made - 5 * hour), hour);
    }

    #[test]
    fn the_newest_copies_are_kept_and_what_is_not_ours() {
        const COPIES: [&str; 4] = [
            "hebbian-20251231T235959Z.sqlite",
            "hebbian-20260101T000000Z.sqlite",
            "hebbian-20260101T000001Z.sqlite",
            "hebbian-20260201T000000Z.sqlite",
        ];
        const OTHERS: [&str; 2] = ["hebbian-mine.sqlite", "photo.png"];
        for (keep, kept) in
            [(0, &COPIES[..]), (1, &COPIES[3..]), (2, &COPIES[2..]), (4, &COPIES[..]), (9, &COPIES[..])]
        {
            let (_place, settings) = settings("1h");
            let backups =
                Backups::new(&BackupSettings { keep, ..settings.clone() }, "sqlite:x").unwrap().unwrap();
            let directory = settings.directory.unwrap();
            for name in COPIES.iter().rev().chain(&OTHERS) {
                fs::write(directory.join(name), "").unwrap();
            }
            backups.remove_surplus().unwrap();
            let mut found: Vec<String> = fs::read_dir(&directory)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort();
            assert_eq!(found, [kept, &OTHERS].concat(), "{keep} are kept");
        }
    }
}
