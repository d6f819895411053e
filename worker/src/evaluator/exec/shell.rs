//! Commands of the shell, as users write them.

use std::process::Command;

/// A command of the shell. If it is one program with its arguments, the program takes the shell's place: otherwise some shells stay
/// between, pass no signal on, and end by a signal before the program does.
pub fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c");
    if is_program(command, is_in_path) {
        shell.arg(format!("exec {command}"))
    } else {
        shell.arg(command)
    };
    shell
}

/// Whether a command is a single program with its arguments and redirections, so that `exec` may stand before it.
fn is_program(command: &str, is_known: impl Fn(&str) -> bool) -> bool {
    let first = command.split_whitespace().next().unwrap_or_default();
    // Neither an assignment, a variable, nor what only the shell itself can do.
    let is_plain = !first.is_empty()
        && first.chars().all(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+'));
    is_plain && (first.contains('/') || is_known(first)) && is_single(command)
}

/// Whether nothing outside of quotation marks ends a command or begins another.
fn is_single(command: &str) -> bool {
    let mut quoted = None;
    let mut before = ' ';
    let mut characters = command.trim_end().chars();
    while let Some(character) = characters.next() {
        match (quoted, character) {
            (None | Some('"'), '\\') => {
                characters.next();
            }
            (None, '\'' | '"') => quoted = Some(character),
            (Some(mark), _) if mark == character => quoted = None,
            (None, ';' | '|' | '\n' | '(' | ')' | '`') => return false,
            // `2>&1` is a redirection.
            (None, '&') if !matches!(before, '>' | '<') => return false,
            _ => {}
        }
        before = character;
    }
    quoted.is_none()
}

fn is_in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_program_takes_the_shells_place_and_nothing_else_does() {
        let is_known = |name: &str| name != "exit" && name != "cd";
        for single in [
            "python3 objective.py",
            "  ./objective --fast",
            "python3 -c 'import os; print(1)' \"a | b\" c\\;d",
            "objective <in 2>&1 >out",
            "python3 \"$HOME/objective.py\"",
        ] {
            assert!(is_program(single, is_known), "{single}");
        }
        for other in [
            "",
            "cd directory",
            "cd directory && python3 objective.py",
            "a; b",
            "a\nb",
            "a | b",
            "a & wait",
            "(a)",
            "KEY=value python3 objective.py",
            "$PYTHON objective.py",
            "`which python3` objective.py",
            "exit 3",
            "echo 'no end",
        ] {
            assert!(!is_program(other, is_known), "{other}");
        }
    }

    #[test]
    fn what_the_shell_does_is_what_it_did() {
        for (command, expected) in [
            ("printf '%s;' 'a b' \"$0\"", "a b;sh;"),
            ("exit 3", ""),
            ("printf x; printf y", "xy"),
            ("printf z 2>&1", "z"),
        ] {
            let output = shell(command).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{command}");
            assert_eq!(output.status.code(), Some(if command == "exit 3" { 3 } else { 0 }));
        }
    }
}
