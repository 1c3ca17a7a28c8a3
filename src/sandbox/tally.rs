//! Decisions, counted.
//!
//! The attack: a connector asks for the same thing a million times, or for a million things, so that
//! the trail of what it did fills the disk or hides what matters. Equal decisions are one with a
//! count; distinct ones have a limit, and what is beyond it is counted.

use std::borrow::Cow;
use std::collections::HashMap;

use super::printable;
use crate::protocol::{Capability, Decision};

/// Characters of a target or a rule that are kept.
const TEXT: usize = 256;

/// A connector's words as one line without control characters, cut at 256 characters.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut out = String::new();
    let mut kept = 0;
    // A huge text is not made printable as a whole first.
    let start: String = text.chars().take(TEXT + 1).collect();
    for c in printable(&start).chars() {
        let shown = match c {
            '\n' => Cow::Borrowed("\\n"),
            '\t' => Cow::Borrowed("\\t"),
            c => Cow::Owned(c.to_string()),
        };
        kept += shown.chars().count();
        if kept > TEXT {
            out.push('…');
            break;
        }
        out.push_str(&shown);
    }
    out
}

/// What one decision is to the tally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// It was not made before: as it is kept.
    First(Decision),
    /// It was made before, and is counted.
    Again,
    /// There are too many distinct ones, since this one: the decision that says so.
    Full(Decision),
    /// There are too many distinct ones, as was said.
    Beyond,
}

/// The decisions about one connector.
#[derive(Debug)]
pub struct Tally {
    most: usize,
    counts: HashMap<Decision, u64>,
    beyond: u64,
}

impl Tally {
    /// Keeps so many distinct decisions.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, counts: HashMap::new(), beyond: 0 }
    }

    /// The same for another number of distinct decisions.
    pub fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Counts a decision.
    pub fn note(&mut self, decision: &Decision) -> Noted {
        let kept = Decision {
            capability: decision.capability,
            target: one_line(&decision.target),
            allowed: decision.allowed,
            rule: one_line(&decision.rule),
        };
        if let Some(count) = self.counts.get_mut(&kept) {
            *count = count.saturating_add(1);
            return Noted::Again;
        }
        if self.counts.len() < self.most {
            self.counts.insert(kept.clone(), 1);
            return Noted::First(kept);
        }
        self.beyond = self.beyond.saturating_add(1);
        if self.beyond == 1 { Noted::Full(Self::full()) } else { Noted::Beyond }
    }

    fn full() -> Decision {
        Decision::deny(Capability::Limit, "decisions", "limit decisions")
    }

    /// The decisions that were made more than once, with how often; the last says how many were
    /// beyond the limit.
    #[must_use]
    pub fn repeated(&self) -> Vec<(Decision, u64)> {
        let again = self.counts.iter().filter(|(_, count)| **count > 1);
        let mut all: Vec<_> = again.map(|(d, count)| (d.clone(), *count)).collect();
        all.sort_by(|a, b| {
            let key = |d: &Decision| (d.capability, d.target.clone(), d.rule.clone());
            key(&a.0).cmp(&key(&b.0))
        });
        if self.beyond > 1 {
            all.push((Self::full(), self.beyond));
        }
        all
    }

    /// How many decisions were refusals.
    #[must_use]
    pub fn denied(&self) -> u64 {
        let denied = self.counts.iter().filter(|(decision, _)| !decision.allowed);
        denied.map(|(_, count)| count).sum::<u64>() + u64::from(self.beyond > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deny(target: &str) -> Decision {
        Decision::deny(Capability::Connect, target, "not-granted")
    }

    #[test]
    fn equal_decisions_are_counted_and_distinct_ones_have_a_limit() {
        let mut tally = Tally::new(2);
        assert_eq!(tally.note(&deny("a:1")), Noted::First(deny("a:1")));
        assert_eq!(tally.note(&deny("a:1")), Noted::Again);
        assert_eq!(tally.note(&deny("b:1")), Noted::First(deny("b:1")));
        assert!(matches!(tally.note(&deny("c:1")), Noted::Full(d) if d.target == "decisions"));
        for i in 0..1000 {
            assert_eq!(tally.note(&deny(&format!("d:{i}"))), Noted::Beyond);
        }
        assert_eq!(tally.note(&deny("b:1")), Noted::Again);
        let repeated = tally.repeated();
        let counts: Vec<_> = repeated.iter().map(|(d, n)| (d.target.as_str(), *n)).collect();
        assert_eq!(counts, [("a:1", 2), ("b:1", 2), ("decisions", 1001)]);
        assert_eq!(tally.denied(), 5);
    }

    #[test]
    fn words_are_one_short_line() {
        assert_eq!(one_line("a\nb\u{1b}[2J\t"), "a\\nb\\u{1b}[2J\\t");
        let long = one_line(&"\u{1b}".repeat(1 << 20));
        assert!(long.chars().count() <= TEXT + 1 && long.ends_with('…'), "{long}");
        assert_eq!(one_line(&"x".repeat(TEXT)).len(), TEXT);
    }
}
