//! What may stand behind `sqlite:` in an address. What cannot be meant is refused, with what would be right.

use std::path::Path;

/// Endings of the names of files that belong to a journal's file.
pub const COMPANIONS: [&str; 5] = ["-wal", "-shm", "-journal", ".lock", ".tokens"];

/// The path of a journal's file, or why it can be none.
pub(super) fn path(path: &str) -> Result<&Path, String> {
    if path.contains(":memory:") {
        return Err("would forget everything at its end; write `memory:` if that is meant".to_owned());
    }
    if let Some(file) = path.strip_prefix("file:") {
        return Err(format!("has more than a path; write `sqlite:{file}`"));
    }
    if let Some(rest) = path.strip_prefix("//") {
        let relative = rest.trim_start_matches('/');
        return Err(format!(
            "has a host, and a journal is a file of this machine; write `sqlite:{relative}`, or `sqlite:/{relative}` from \
             the root"
        ));
    }
    if let Some((file, _)) = path.split_once('?').filter(|(_, options)| options.contains('=')) {
        return Err(format!("has options behind its path, and a journal takes none; write `sqlite:{file}`"));
    }
    if path.trim() != path {
        return Err(format!("has a blank at an end of its path; write `sqlite:{}`", path.trim()));
    }
    if path.starts_with("~/") {
        return Err(
            "begins with `~`, which is a home directory to shells only; write the whole path".to_owned()
        );
    }
    if path == "-" {
        return Err("is standard output, and a journal is a file that is read again".to_owned());
    }
    if path.chars().any(char::is_control) {
        return Err("has a control character in its path".to_owned());
    }
    if let Some(ending) = COMPANIONS.iter().find(|ending| path.ends_with(*ending)) {
        let journal = path.trim_end_matches(ending);
        return Err(format!("is the name of a file beside a journal; write `sqlite:{journal}`"));
    }
    Ok(Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_stands() {
        for text in [
            "journal.sqlite",
            "/var/lib/hebbian/journal.sqlite",
            "C:/journal",
            "my journal",
            "a-walk",
            "what?",
        ] {
            assert_eq!(path(text), Ok(Path::new(text)));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_would_be_right() {
        for (text, expected) in [
            (":memory:", "write `memory:` if that is meant"),
            ("file::memory:?cache=shared", "write `memory:` if that is meant"),
            ("file:j.sqlite", "write `sqlite:j.sqlite`"),
            ("//j.sqlite", "write `sqlite:j.sqlite`, or `sqlite:/j.sqlite` from the root"),
            ("///var/j.sqlite", "write `sqlite:var/j.sqlite`, or `sqlite:/var/j.sqlite` from the root"),
            ("j.sqlite?mode=memory", "write `sqlite:j.sqlite`"),
            (" j.sqlite", "write `sqlite:j.sqlite`"),
            ("j.sqlite ", "write `sqlite:j.sqlite`"),
            ("-", "is standard output"),
            ("~/j.sqlite", "write the whole path"),
            ("a\nb", "a control character"),
            ("j.sqlite-wal", "write `sqlite:j.sqlite`"),
            ("j.sqlite.lock", "write `sqlite:j.sqlite`"),
        ] {
            let problem = path(text).expect_err(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
