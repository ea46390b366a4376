//! Verdicts to be read.

use std::fmt::Write;

use crate::case::Verdict;

/// One line, as soon as it's known.
pub(crate) fn line(verdict: &Verdict) -> String {
    let (word, seen) = match &verdict.seen {
        Ok(seen) => ("ok", seen),
        Err(why) => ("FAILED", why),
    };
    format!(
        "{:15} {word:6} {:5.1} s  {seen}",
        verdict.case,
        verdict.took.as_secs_f64()
    )
}

/// All of them as a table in Markdown.
pub(crate) fn of(verdicts: &[Verdict]) -> String {
    let mut table = String::from(
        "| Case | What is sent | What was seen | MB more (bound) | ms until served |\n|:--|:--|:--|--:|--:|\n",
    );
    for verdict in verdicts {
        let seen = match &verdict.seen {
            Ok(seen) => seen.clone(),
            Err(why) => format!("**failed**: {why}"),
        };
        // Writing to a string can't fail.
        let _ = writeln!(
            table,
            "| {} | {} | {} | {:.1} ({}) | {} |",
            verdict.case,
            verdict.sends,
            seen.replace('|', "\\|"),
            verdict.measured.growth_bytes as f64 / 1e6,
            verdict.growth_mb_max,
            verdict.measured.health.as_millis()
        );
    }
    let failed = verdicts.iter().filter(|it| it.seen.is_err()).count();
    let _ = writeln!(table, "\n{} cases, {failed} failed.", verdicts.len());
    table
}
