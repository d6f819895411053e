//! Rules that are part of the program: each a genome file with what it is worth, who made it and how it is made again.

use std::path::Path;

use crate::failure::Failure;
use crate::genome_file::GenomeFile;

/// What stands before a shipped rule's name where else a genome file is named.
const PREFIX: &str = "rule:";

/// A rule that is part of the program.
#[derive(Debug)]
pub(crate) struct ShippedRule {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    /// Digest of its genome, in full.
    pub(crate) digest: &'static str,
    /// The command that makes it again; `tests/slow/rules` runs it and compares the digests.
    pub(crate) made_by: &'static str,
    /// Where and when it was made.
    pub(crate) made: &'static str,
    /// What may be done with it.
    pub(crate) licence: &'static str,
    /// What it is worth: what the command printed in the end.
    pub(crate) results: &'static str,
    /// Its genome file.
    file: &'static str,
}

macro_rules! shipped {
    ($($name:literal: $about:literal, $digest:literal, $made_by:literal, $made:literal;)+) => {
        /// All of them.
        pub(crate) const RULES: &[ShippedRule] = &[$(ShippedRule {
            name: $name,
            about: $about,
            digest: $digest,
            made_by: $made_by,
            made: $made,
            licence: "MIT OR Apache-2.0",
            results: include_str!(concat!("../rules/", $name, "/results.txt")),
            file: include_str!(concat!("../rules/", $name, "/genome.json")),
        }),+];
    };
}

shipped! {
    "images": "images in classes: from backpropagation along its gradient, on digits and mixtures",
        "fc9d07091bc1909b51e2f2809e27e255bc79022a4826b1fd2888addc44ee8bb4", "hebbian run --preset images --seed 1", "2026-11-27, two cores of an AMD EPYC, by version 0.1.0";
    "quickstart": "labels of points in the plane: by evolution from zeros",
        "a99d9a3c4d7ef10c531de6a5d015cee9c975bd7809f57930f784925e14d4d7c4", "hebbian run --preset quickstart --seed 1", "2026-11-27, two cores of an AMD EPYC, by version 0.1.0";
}

impl ShippedRule {
    /// The rule of a name, or of the path that stands for it.
    pub(crate) fn find(name: &str) -> Result<&'static Self, Failure> {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        RULES.iter().find(|rule| rule.name == name).ok_or_else(|| {
            let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
            let name: String = name.chars().take(64).collect();
            Failure::not_found(format_args!(
                "no rule is called `{}`; there are {}",
                name.escape_debug(),
                names.join(", ")
            ))
            .hint("`hebbian rules list` shows them")
        })
    }

    /// The rule that a path stands for: `rule:NAME`.
    pub(crate) fn of_path(path: &Path) -> Option<Result<&'static Self, Failure>> {
        path.to_str()?.strip_prefix(PREFIX).map(Self::find)
    }

    /// Its genome file, as it is written.
    pub(crate) fn text(&self) -> &'static str {
        self.file
    }

    /// Its genome file, read.
    pub(crate) fn genome(&self) -> GenomeFile {
        GenomeFile::parse(self.file).expect("a test reads every shipped rule")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_rule_is_what_is_said_of_it() {
        for rule in RULES {
            let file = GenomeFile::parse(rule.file).unwrap_or_else(|error| panic!("{}: {error}", rule.name));
            assert_eq!(file.genome().digest().to_string(), rule.digest, "{}", rule.name);
            assert!(
                rule.made_by
                    .contains(&format!("--preset {} --seed {}", file.provenance.spec, file.provenance.seed))
            );
            assert!(
                rule.results.contains("after updates") && rule.results.ends_with('\n'),
                "{}",
                rule.results
            );
            assert_eq!(ShippedRule::find(rule.name).unwrap().digest, rule.digest);
            assert_eq!(ShippedRule::find(&format!("rule:{}", rule.name)).unwrap().digest, rule.digest);
            assert!(ShippedRule::of_path(Path::new(&format!("rule:{}", rule.name))).unwrap().is_ok());
        }
    }

    #[test]
    fn other_names_are_refused_and_other_paths_are_files() {
        let error = ShippedRule::of_path(Path::new("rule:imagse")).unwrap().unwrap_err().message().to_owned();
        assert!(error.contains("no rule is called `imagse`; there are images, quickstart"), "{error}");
        assert!(ShippedRule::of_path(Path::new("images")).is_none());
        assert!(ShippedRule::of_path(Path::new("rules/images.json")).is_none());
    }
}
