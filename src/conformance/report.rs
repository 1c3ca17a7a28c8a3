//! What came of the rules: as a table, as JSON, as JUnit's XML, and as a line for a badge.

use std::fmt::Write as _;

use serde::Serialize;

use super::rule::Rule;
use crate::sandbox::one_line;

/// Details listed of one finding before the rest is only counted.
const DETAILS: usize = 8;

/// Why a rule was not tried where those before it do not hold.
pub(super) const RESTS: &str = "a rule before it does not hold";

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was tried, and holds.
    Passed,
    /// It was tried, and does not hold.
    Failed,
    /// It could not be tried, or does not apply; the details say why.
    Skipped,
}

/// What came of one rule.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// What came of it.
    pub verdict: Verdict,
    /// What does not hold, or why it was not tried.
    pub details: Vec<String>,
    /// What is worth knowing and no fault.
    pub notes: Vec<String>,
    /// How long it took, in ms.
    pub millis: u64,
}

/// How many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Rules that hold.
    pub passed: usize,
    /// Rules that do not.
    pub failed: usize,
    /// Rules that were not tried.
    pub skipped: usize,
}

/// What came of all rules.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The connector, as it was named.
    pub connector: String,
    /// `source` or `destination`.
    pub kind: &'static str,
    /// How it was run: `component`, `process`, `docker`.
    pub executor: String,
    /// How many of each.
    pub counts: Counts,
    /// In the order of the rules.
    pub findings: Vec<Finding>,
    /// The line for a badge.
    pub badge: String,
}

/// What is found while rules are tried.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) all: Vec<Finding>,
    since: Option<std::time::Instant>,
}

fn listed(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(DETAILS);
    lines.truncate(DETAILS);
    let mut lines: Vec<String> = lines.iter().map(|text| one_line(text)).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

impl Findings {
    /// Begins to measure what the next finding took.
    pub(super) fn begin(&mut self) {
        self.since = Some(std::time::Instant::now());
    }

    fn add(&mut self, rule: Rule, verdict: Verdict, details: Vec<String>, notes: Vec<String>) {
        let millis = self.since.take().map_or(0, |since| since.elapsed().as_millis());
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let (details, notes) = (listed(details), listed(notes));
        self.all.push(Finding { rule, verdict, details, notes, millis });
    }

    /// A rule that holds where nothing speaks against it.
    pub(super) fn judge(&mut self, rule: Rule, faults: Vec<String>) -> bool {
        self.judge_noting(rule, faults, Vec::new())
    }

    /// The same, with what is worth knowing.
    pub(super) fn judge_noting(
        &mut self,
        rule: Rule,
        faults: Vec<String>,
        notes: Vec<String>,
    ) -> bool {
        let holds = faults.is_empty();
        let verdict = if holds { Verdict::Passed } else { Verdict::Failed };
        self.add(rule, verdict, faults, notes);
        holds
    }

    /// A rule that was not tried.
    pub(super) fn skip(&mut self, rule: Rule, why: impl Into<String>) {
        self.add(rule, Verdict::Skipped, vec![why.into()], Vec::new());
    }

    /// Rules that were not tried, for one reason.
    pub(super) fn skip_all(&mut self, rules: &[Rule], why: &str) {
        for rule in rules {
            self.skip(*rule, why);
        }
    }

    /// Whether a rule was tried and does not hold.
    pub(super) fn failed(&self, rule: Rule) -> bool {
        self.all.iter().any(|f| f.rule.code == rule.code && f.verdict == Verdict::Failed)
    }

    pub(super) fn has(&self, rule: Rule) -> bool {
        self.all.iter().any(|f| f.rule.code == rule.code)
    }
}

impl Report {
    pub(super) fn new(
        connector: &str,
        kind: &'static str,
        executor: &str,
        findings: Findings,
    ) -> Self {
        let mut findings = findings.all;
        let place = |finding: &Finding| {
            super::rule::RULES.iter().position(|rule| rule.code == finding.rule.code)
        };
        findings.sort_by_key(place);
        let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
        let counts = Counts {
            passed: count(Verdict::Passed),
            failed: count(Verdict::Failed),
            skipped: count(Verdict::Skipped),
        };
        let tried = counts.passed + counts.failed;
        let badge = format!(
            "lockgate validate: {}, {} of {tried} rules hold, {} not tried ({connector}, lockgate {})",
            if counts.failed == 0 { "passing" } else { "failing" },
            counts.passed,
            counts.skipped,
            env!("CARGO_PKG_VERSION"),
        );
        Self {
            connector: connector.to_owned(),
            kind,
            executor: executor.to_owned(),
            counts,
            findings,
            badge,
        }
    }

    /// Whether every rule that was tried holds.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.counts.failed == 0
    }

    /// For people: a line a rule, and below it what is wrong.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let rests =
            |finding: &Finding| finding.verdict == Verdict::Skipped && finding.details == [RESTS];
        for finding in self.findings.iter().filter(|finding| !rests(finding)) {
            let word = match finding.verdict {
                Verdict::Passed => "ok",
                Verdict::Failed => "FAILED",
                Verdict::Skipped => "skipped",
            };
            let Rule { code, title, mend, .. } = finding.rule;
            let _ = writeln!(text, "{word:8}{code:21}{title}");
            for detail in &finding.details {
                let _ = writeln!(text, "{:29}{detail}", "");
            }
            for note in &finding.notes {
                let _ = writeln!(text, "{:29}note: {note}", "");
            }
            if finding.verdict == Verdict::Failed {
                let _ = writeln!(text, "{:29}mend: {mend}", "");
            }
        }
        let resting = self.findings.iter().filter(|finding| rests(finding)).count();
        if resting > 0 {
            let _ = writeln!(text, "\n{resting} more rules were not tried: {RESTS}");
        }
        let Counts { passed, failed, skipped } = self.counts;
        let _ = writeln!(text, "\n{passed} passed, {failed} failed, {skipped} skipped");
        let _ = writeln!(text, "{}", self.badge);
        text
    }

    /// As JUnit's XML, which CI systems read.
    #[must_use]
    pub fn junit(&self) -> String {
        let Counts { passed, failed, skipped } = self.counts;
        let seconds = |millis: u64| format!("{}.{:03}", millis / 1000, millis % 1000);
        let total = self.findings.iter().map(|f| f.millis).sum();
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            text,
            "<testsuite name=\"lockgate validate\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\" time=\"{}\">",
            passed + failed + skipped,
            seconds(total)
        );
        for finding in &self.findings {
            let _ = write!(
                text,
                "  <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
                xml(&self.connector),
                finding.rule.code,
                seconds(finding.millis)
            );
            let all = xml(&finding.details.join("\n"));
            let _ = match finding.verdict {
                Verdict::Passed => writeln!(text, "/>"),
                Verdict::Failed => writeln!(
                    text,
                    ">\n    <failure message=\"{}\">{all}\n{}</failure>\n  </testcase>",
                    xml(finding.rule.title),
                    xml(finding.rule.mend)
                ),
                Verdict::Skipped => {
                    writeln!(text, ">\n    <skipped message=\"{all}\"/>\n  </testcase>")
                }
            };
        }
        text.push_str("</testsuite>\n");
        text
    }
}

/// A text for XML. Control characters, which XML cannot hold, are not in what is reported.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            // Not characters of XML 1.0.
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::rule::{READ_ENDS, READ_ROWS, SPEC_ANSWERS};
    use super::*;

    #[test]
    fn a_report_is_in_the_order_of_the_rules_and_its_xml_is_escaped() {
        let mut findings = Findings::default();
        findings.judge(READ_ENDS, vec!["a <b> & \"c\"\u{1}".into()]);
        findings.skip(READ_ROWS, "it did not end");
        findings.judge(SPEC_ANSWERS, Vec::new());
        let report = Report::new("x.wasm", "source", "component", findings);
        let codes: Vec<_> = report.findings.iter().map(|f| f.rule.code).collect();
        assert_eq!(codes, ["SPEC_ANSWERS", "READ_ENDS", "READ_ROWS"]);
        assert_eq!(report.counts, Counts { passed: 1, failed: 1, skipped: 1 });
        let xml = report.junit();
        assert!(xml.contains("a &lt;b&gt; &amp; &quot;c&quot;"), "{xml}");
        assert!(!xml.contains('\u{1}'), "{xml}");
        assert!(report.badge.contains("failing, 1 of 2 rules hold"), "{}", report.badge);
        assert!(report.table().contains("FAILED  READ_ENDS"), "{}", report.table());
    }

    #[test]
    fn what_is_long_is_cut_and_counted() {
        let mut findings = Findings::default();
        findings.judge(READ_ENDS, (0..20).map(|_| "é".repeat(1000)).collect());
        let details = &findings.all[0].details;
        assert_eq!(details.len(), DETAILS + 1);
        assert_eq!(details[DETAILS], "and 12 more");
        assert!(details[0].chars().count() < 300);
    }
}
