//! A home directory is `~` to shells only, and to some of them only where a word begins with it.

use std::any::TypeId;
use std::ffi::OsStr;
use std::path::PathBuf;

use clap::{ArgMatches, Command};

use crate::failure::Failure;

/// Refuses paths among the arguments that a shell was to expand and has not.
pub(super) fn check(command: &Command, matches: &ArgMatches) -> Result<(), Failure> {
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        if argument.get_value_parser().type_id() != TypeId::of::<PathBuf>() {
            continue;
        }
        let values = matches.try_get_raw(id).ok().flatten();
        let Some(path) = values.into_iter().flatten().find(|path| is_unexpanded(path)) else { continue };
        let name = argument.get_long().map_or_else(|| id.to_uppercase(), |long| format!("--{long}"));
        let path = path.to_string_lossy();
        return Err(Failure::bad_input(format_args!("{name}: the shell has not expanded the `~` of {path}"))
            .hint(format_args!(
                "write it without quotes, or $HOME in its place; ./{path} is a directory of that name"
            )));
    }
    match matches.subcommand() {
        Some((name, matches)) => {
            command.find_subcommand(name).map_or(Ok(()), |command| check(command, matches))
        }
        None => Ok(()),
    }
}

/// Whether a path begins with `~`, or with `~` and a user's name.
fn is_unexpanded(path: &OsStr) -> bool {
    let Some(rest) = path.to_str().and_then(|path| path.strip_prefix('~')) else { return false };
    let name = rest.split('/').next().unwrap_or_default();
    (rest.is_empty() || rest.contains('/'))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_expands_is_told_from_names() {
        for path in ["~", "~/foo", "~ann/foo", "~/"] {
            assert!(is_unexpanded(OsStr::new(path)), "{path}");
        }
        for path in ["foo~", "./~/foo", "~foo", "a/~/b", "~a b/c", ""] {
            assert!(!is_unexpanded(OsStr::new(path)), "{path}");
        }
    }
}
