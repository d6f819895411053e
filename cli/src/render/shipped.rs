//! Rules that are part of the program.

use super::{Paint, run, text};
use crate::shipped::ShippedRule;

/// A line for each rule.
pub(crate) fn list(rules: &[ShippedRule]) -> String {
    let row = |rule: &ShippedRule| {
        [format!("rule:{}", rule.name), rule.digest[..12].to_owned(), rule.about.to_owned()].to_vec()
    };
    text::table(&["rule", "digest", "for"], &[], rules.iter().map(row).collect())
}

/// All that is said of a rule.
pub(crate) fn rule(rule: &ShippedRule, paint: Paint) -> String {
    let problem = rule.genome().problem();
    let fields = run::fields(
        &[
            ("rule", format!("rule:{}", rule.name)),
            ("for", rule.about.to_owned()),
            ("digest", rule.digest.to_owned()),
            (
                "genome",
                format!(
                    "{}, {}",
                    text::plural(problem.layout().dimension() as u64, "number"),
                    problem.rule.options().summary()
                ),
            ),
            ("made by", rule.made_by.to_owned()),
            ("made", rule.made.to_owned()),
            ("licence", rule.licence.to_owned()),
        ],
        paint,
    );
    format!("{fields}\n{}", rule.results)
}
