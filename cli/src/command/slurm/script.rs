//! Scripts of `deploy/slurm/` with their settings filled in.

use std::fmt::Write as _;

use crate::render::text::shell_word;

/// The coordinator's job.
pub(super) const COORDINATOR: &str = include_str!("../../../../deploy/slurm/coordinator.sh");
/// A worker: a task of an array.
pub(super) const WORKER: &str = include_str!("../../../../deploy/slurm/worker.sh");

/// The line of a script that settings replace: behind Slurm's own ones, of which the last counts.
const SETTINGS: &str = "#@ settings\n";

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
        for (name, value) in &self.variables {
            let _ = writeln!(text, "export {name}={}", shell_word(value));
        }
        script.replacen(SETTINGS, &text, 1)
    }
}

/// An option as `sbatch` reads it in a script: quotes around what has blanks.
fn option_text(option: &str) -> String {
    if option.contains(char::is_whitespace) { format!("\"{option}\"") } else { option.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_behind_the_scripts_own_options_and_before_its_commands() {
        for script in [COORDINATOR, WORKER] {
            assert_eq!(script.matches(SETTINGS).count(), 1);
            let settings = Settings::default()
                .option("--time=1:00")
                .option("--output=/a b/%j.log")
                .variable("HEBBIAN", "/opt/it's/hebbian");
            let filled = settings.fill(script);
            let lines: Vec<&str> = filled.lines().collect();
            let at = |line: &str| {
                lines.iter().position(|found| *found == line).unwrap_or_else(|| panic!("{line}"))
            };
            let time = at("#SBATCH --time=1:00");
            assert!(at("#SBATCH --signal=B:USR1@60") < time && time < at("#SBATCH \"--output=/a b/%j.log\""));
            assert!(at("#SBATCH \"--output=/a b/%j.log\"") < at(r"export HEBBIAN='/opt/it'\''s/hebbian'"));
            assert!(at(r"export HEBBIAN='/opt/it'\''s/hebbian'") < at("set -u"));
            // Nothing that is a command stands before the options.
            assert!(lines[..time].iter().all(|line| line.starts_with('#')));
        }
    }
}
