//! Scripts of `deploy/slurm/` with their settings filled in.

use std::fmt::Write as _;

use crate::render::text::shell_word;

/// The coordinator's job.
pub(super) const COORDINATOR: &str = include_str!("../../../../deploy/slurm/coordinator.sh");
/// A worker: a task of an array.
pub(super) const WORKER: &str = include_str!("../../../../deploy/slurm/worker.sh");

/// The line of a script that settings replace: behind Slurm's own ones, of which the last counts.
const SETTINGS: &str = "#@ settings\n";

/// Variables that clients and workers have in common; Slurm passes them on to jobs.
const CLIENT_VARIABLES: &str =
    "HEBBIAN_COORDINATOR HEBBIAN_TLS_CA HEBBIAN_TLS_CERTIFICATE HEBBIAN_TLS_KEY HEBBIAN_TOKEN_FILE";

/// What is filled into a script.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    options: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl Settings {
    /// An option of `sbatch`.
    pub(super) fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Options of `sbatch`.
    pub(super) fn options(mut self, options: &[String]) -> Self {
        self.options.extend_from_slice(options);
        self
    }

    /// A variable of the script.
    pub(super) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The script.
    pub(super) fn fill(&self, script: &str) -> String {
        let mut text = String::new();
        for option in &self.options {
            let _ = writeln!(text, "#SBATCH {}", option_text(option));
        }
        // What the variables of the submission say is for its own commands.
        let _ = writeln!(text, "unset {CLIENT_VARIABLES}");
        for (name, value) in &self.variables {
            let _ = writeln!(text, "export {name}={}", shell_word(value));
        }
        script.replacen(SETTINGS, &text, 1)
    }
}

/// An option as `sbatch` reads it in a script, in which blanks, quotes, backslashes and `#` have a meaning.
fn option_text(option: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:._-=,%+@".contains(c);
    if option.chars().all(plain) {
        return option.to_owned();
    }
    format!("\"{}\"", option.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_behind_the_scripts_own_options_and_before_its_commands() {
        for script in [COORDINATOR, WORKER] {
            assert_eq!(script.matches(SETTINGS).count(), 1);
            let settings = Settings::default()
                .option("--comment=it's \\ \"so\" #1")
                .option("--time=1:00")
                .option("--output=/a b/%j.log")
                .variable("HEBBIAN", "/opt/it's/hebbian");
            let filled = settings.fill(script);
            let lines: Vec<&str> = filled.lines().collect();
            let at = |line: &str| {
                lines.iter().position(|found| *found == line).unwrap_or_else(|| panic!("{line}"))
            };
            at(r#"#SBATCH "--comment=it's \\ \"so\" #1""#);
            let time = at("#SBATCH --time=1:00");
            assert!(at("#SBATCH --signal=B:USR1@60") < time && time < at("#SBATCH \"--output=/a b/%j.log\""));
            assert!(at("#SBATCH \"--output=/a b/%j.log\"") < at(r"export HEBBIAN='/opt/it'\''s/hebbian'"));
            assert!(at(r"export HEBBIAN='/opt/it'\''s/hebbian'") < at("set -u"));
            assert!(at(&format!("unset {CLIENT_VARIABLES}")) < at(r"export HEBBIAN='/opt/it'\''s/hebbian'"));
            // Nothing that is a command stands before the options.
            assert!(lines[..time].iter().all(|line| line.starts_with('#')));
        }
    }
}
