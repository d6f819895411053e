//! Addresses of journals. What cannot be meant is refused, with what would be right.

use std::path::Path;

use super::JournalError;

/// Where a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// `sqlite:PATH`
    Sqlite(&'a Path),
    /// `memory:`
    Memory,
}

/// Endings of the names of files that belong to a journal's file.
const COMPANIONS: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];

/// Reads an address.
pub(super) fn parse(url: &str) -> Result<Address<'_>, JournalError> {
    let refused = |problem: String| Err(JournalError::Url { url: url.to_owned(), problem });
    let path = match url.split_once(':') {
        Some(("memory", "")) => return Ok(Address::Memory),
        Some(("sqlite", path)) if !path.is_empty() => path,
        _ => return refused("names no journal: it must be `sqlite:PATH` or `memory:`".to_owned()),
    };
    if path.contains(":memory:") {
        return refused("would forget everything at its end; write `memory:` if that is meant".to_owned());
    }
    if let Some(file) = path.strip_prefix("file:") {
        return refused(format!("has more than a path; write `sqlite:{file}`"));
    }
    if let Some(rest) = path.strip_prefix("//") {
        let relative = rest.trim_start_matches('/');
        return refused(format!(
            "has a host, and a journal is a file of this machine; write `sqlite:{relative}`, or `sqlite:/{relative}` from \
             the root"
        ));
    }
    if path == "-" {
        return refused("is standard output, and a journal is a file that is read again".to_owned());
    }
    if path.chars().any(char::is_control) {
        return refused("has a control character in its path".to_owned());
    }
    if let Some(ending) = COMPANIONS.iter().find(|ending| path.ends_with(*ending)) {
        let journal = path.trim_end_matches(ending);
        return refused(format!("is the name of a file beside a journal; write `sqlite:{journal}`"));
    }
    Ok(Address::Sqlite(Path::new(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_or_memory() {
        assert_eq!(parse("memory:"), Ok(Address::Memory));
        for path in
            ["journal.sqlite", "/var/lib/hebbian/journal.sqlite", "C:/journal", "my journal", "a-walk"]
        {
            assert_eq!(parse(&format!("sqlite:{path}")), Ok(Address::Sqlite(Path::new(path))));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_would_be_right() {
        for (url, expected) in [
            ("", "it must be `sqlite:PATH` or `memory:`"),
            ("journal.sqlite", "it must be `sqlite:PATH` or `memory:`"),
            ("sqlite:", "it must be `sqlite:PATH` or `memory:`"),
            ("memory:x", "it must be `sqlite:PATH` or `memory:`"),
            ("postgres:x", "it must be `sqlite:PATH` or `memory:`"),
            ("sqlite::memory:", "write `memory:` if that is meant"),
            ("sqlite:file::memory:?cache=shared", "write `memory:` if that is meant"),
            ("sqlite:file:j.sqlite", "write `sqlite:j.sqlite`"),
            ("sqlite://j.sqlite", "write `sqlite:j.sqlite`, or `sqlite:/j.sqlite` from the root"),
            (
                "sqlite:///var/j.sqlite",
                "write `sqlite:var/j.sqlite`, or `sqlite:/var/j.sqlite` from the root",
            ),
            ("sqlite:-", "is standard output"),
            ("sqlite:a\nb", "a control character"),
            ("sqlite:j.sqlite-wal", "write `sqlite:j.sqlite`"),
            ("sqlite:j.sqlite.lock", "write `sqlite:j.sqlite`"),
        ] {
            let error = parse(url).expect_err(url).to_string();
            assert!(error.starts_with("storage.url: ") && error.contains(expected), "{url}: {error}");
        }
    }
}
