//! The record of a run as it is read again.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use serde::Serialize;

use super::folder::{AUDIT, RUN, open_file, runs_still};
use super::trail::Answer;
use super::{AuditLine, RunFile, RunId, RunsError, RunsFolder, Side};
use crate::protocol::Capability;

/// Bytes of one file of a record that are read; what we write is smaller.
const MOST: u64 = 256 << 20;

/// Runs that an error about an unknown one names.
const NAMED: usize = 5;

/// One decision of a run, and how often it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountedDecision {
    /// The side it is about.
    pub side: Side,
    /// What was asked for.
    pub capability: Capability,
    /// Of what.
    pub target: String,
    /// The answer.
    pub decision: Answer,
    /// The grant or rule it rests on.
    pub rule: String,
    /// How often; of a run that was killed, at least.
    pub count: u64,
}

/// A run, as it was recorded.
#[derive(Debug, Clone)]
pub struct Run {
    /// `run.json`. Its status is `interrupted` where the process is gone and wrote no end.
    pub file: RunFile,
    /// The decisions, in the order in which they were first made.
    pub decisions: Vec<CountedDecision>,
}

impl Run {
    /// How many decisions were refusals.
    #[must_use]
    pub fn denied(&self) -> u64 {
        let denied = self.decisions.iter().filter(|d| d.decision == Answer::Deny);
        denied.map(|d| d.count).sum()
    }
}

impl RunsFolder {
    /// Every run, newest first, without its decisions. A record that cannot be read is left out:
    /// its run ended before anything was run.
    ///
    /// # Errors
    /// [`RunsError::Unreadable`].
    pub fn list(&self) -> Result<Vec<RunFile>, RunsError> {
        let names = self.names().map_err(|e| self.unreadable(None, e.to_string()))?;
        let files = names.iter().filter_map(|id| {
            let folder = self.run(id).ok()?;
            let mut file = self.file(id, &folder).ok()?;
            if file.ended_at.is_none() {
                file.denied = self
                    .decisions(id, &folder)
                    .ok()
                    .map_or(0, |decisions| Run { file: file.clone(), decisions }.denied());
            }
            Some(file)
        });
        Ok(files.collect())
    }

    /// A run by its name, or the last one by the name `last`.
    ///
    /// # Errors
    /// [`RunsError::Unknown`], [`RunsError::Unreadable`].
    pub fn get(&self, name: &str) -> Result<Run, RunsError> {
        let unknown = |names: &[RunId]| {
            let known: Vec<&str> = names.iter().take(NAMED).map(RunId::as_str).collect();
            RunsError::unknown(name, &known)
        };
        let names = self.names().map_err(|e| self.unreadable(None, e.to_string()))?;
        let id = match name {
            "last" => names.first().cloned(),
            name => RunId::parse(name).filter(|id| names.contains(id)),
        };
        let id = id.ok_or_else(|| unknown(&names))?;
        let folder = self.run(&id).map_err(|e| self.unreadable(Some(&id), e.to_string()))?;
        let file = self.file(&id, &folder)?;
        let decisions = self.decisions(&id, &folder)?;
        Ok(Run { file, decisions })
    }

    fn unreadable(&self, id: Option<&RunId>, reason: String) -> RunsError {
        let path = id.map_or_else(|| self.path().to_owned(), |id| self.path().join(id.as_str()));
        RunsError::Unreadable { path, reason }
    }

    fn file(&self, id: &RunId, folder: &OwnedFd) -> Result<RunFile, RunsError> {
        // Before it is read: a run that ends in between is one that ended.
        let alive = runs_still(folder);
        let mut text = String::new();
        open_file(folder, RUN, OFlags::RDONLY)
            .and_then(|file| file.take(MOST).read_to_string(&mut text))
            .map_err(|e| self.unreadable(Some(id), e.to_string()))?;
        let mut file: RunFile = serde_json::from_str(&text)
            .map_err(|e| self.unreadable(Some(id), format!("run.json is not one of ours: {e}")))?;
        if file.ended_at.is_none() && !alive {
            "interrupted".clone_into(&mut file.status);
        }
        Ok(file)
    }

    /// The decisions, each with its count. A torn last line is that of a run that was killed.
    fn decisions(&self, id: &RunId, folder: &OwnedFd) -> Result<Vec<CountedDecision>, RunsError> {
        let unreadable = |reason: String| self.unreadable(Some(id), reason);
        let file = open_file(folder, AUDIT, OFlags::RDONLY)
            .map_err(|e| unreadable(format!("{AUDIT}: {e}")))?;
        let mut places = HashMap::new();
        let mut all: Vec<CountedDecision> = Vec::new();
        for line in BufReader::new(file.take(MOST)).lines() {
            let line = line.map_err(|e| unreadable(format!("{AUDIT}: {e}")))?;
            let Ok(line) = serde_json::from_str::<AuditLine>(&line) else { continue };
            let count = line.count.unwrap_or(1);
            let decision = CountedDecision {
                side: line.side,
                capability: line.capability,
                target: line.target,
                decision: line.decision,
                rule: line.rule,
                count,
            };
            let key = (
                decision.side,
                decision.capability,
                decision.target.clone(),
                decision.decision,
                decision.rule.clone(),
            );
            match places.get(&key) {
                Some(place) => {
                    let known: &mut CountedDecision = &mut all[*place];
                    known.count = known.count.max(count);
                }
                None => {
                    places.insert(key, all.len());
                    all.push(decision);
                }
            }
        }
        Ok(all)
    }
}

impl RunsError {
    /// No run has this name; `known` are the newest.
    #[must_use]
    pub fn unknown(name: &str, known: &[&str]) -> Self {
        let known = match known {
            [] => "none is recorded here".to_owned(),
            known => format!("the last are {}", known.join(", ")),
        };
        Self::Unknown { name: crate::sandbox::one_line(name), known }
    }
}
