//! What each combination should come to.

use lockgate::WriteStrategy;

/// Where rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Source,
    ReadResult,
}

/// Where they are kept on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cached {
    Nowhere,
    Default,
    Sqlite,
    /// The tests' server.
    Postgres,
}

/// Where states are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum States {
    Off,
    Separate,
    /// In the cache's own database.
    Shared,
}

/// A combination.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) from: From,
    pub(crate) cache: Cached,
    pub(crate) states: States,
    pub(crate) strategy: WriteStrategy,
    pub(crate) full_refresh: bool,
    /// Only the stream with a key.
    pub(crate) keyed_alone: bool,
}

/// Every combination of these caches that means something: a read result has a cache, and states are
/// shared with one.
pub(crate) fn cases(caches: &[Cached]) -> Vec<Case> {
    let mut cases = Vec::new();
    for from in [From::Source, From::ReadResult] {
        for cache in caches.iter().copied() {
            for states in [States::Off, States::Separate, States::Shared] {
                let without = cache == Cached::Nowhere;
                if without && (from == From::ReadResult || states == States::Shared) {
                    continue;
                }
                for strategy in [
                    WriteStrategy::Auto,
                    WriteStrategy::Append,
                    WriteStrategy::Replace,
                    WriteStrategy::Merge,
                ] {
                    for full_refresh in [false, true] {
                        let keyed_alone = false;
                        let case =
                            Case { from, cache, states, strategy, full_refresh, keyed_alone };
                        cases.push(case);
                    }
                }
            }
        }
    }
    cases
}

/// Those that merge, of the one stream that can be merged.
pub(crate) fn merges(caches: &[Cached]) -> Vec<Case> {
    let merging = cases(caches).into_iter().filter(|case| case.strategy == WriteStrategy::Merge);
    merging.map(|case| Case { keyed_alone: true, ..case }).collect()
}

/// The tables of a source: those of a stream with a key and changes, in the order in which they were
/// written, and of one that is read in full.
pub(crate) type State = [Vec<&'static str>; 2];

const OLD: [&str; 3] = [r#"{"id":1,"v":1}"#, r#"{"id":2,"v":1}"#, r#"{"id":3,"v":1}"#];
const NEW: [&str; 2] = [r#"{"id":2,"v":2}"#, r#"{"id":4,"v":1}"#];
const PLAIN: [&str; 2] = [r#"{"n":1}"#, r#"{"n":2}"#];
const CHANGED: [&str; 3] = [r#"{"n":2}"#, r#"{"n":3}"#, r#"{"n":4}"#];

/// Before the first sync.
pub(crate) fn first() -> State {
    [OLD.to_vec(), PLAIN.to_vec()]
}

/// Before the second.
pub(crate) fn second() -> State {
    [[&OLD[..], &NEW].concat(), CHANGED.to_vec()]
}

/// What the destination has after both, if it can; `merges`: it can merge by key.
pub(crate) fn after(case: &Case, merges: bool) -> Option<[Vec<String>; 2]> {
    let log = second()[0].clone();
    let incremental = [&OLD[..], &NEW].concat();
    let twice = [&OLD[..], &log].concat();
    let merged = || vec![OLD[0], OLD[2], NEW[0], NEW[1]];
    let replaced = match (case.from, case.strategy) {
        // In the cache, which can merge, there is one row a key.
        (From::ReadResult, WriteStrategy::Auto) => merged(),
        _ => log,
    };
    let starts_again = case.states == States::Off && case.from == From::Source;
    let keyed = match case.strategy {
        WriteStrategy::Merge if merges && case.keyed_alone => merged(),
        // The stream without a key cannot.
        WriteStrategy::Merge => return None,
        WriteStrategy::Replace => replaced,
        WriteStrategy::Auto if merges => merged(),
        WriteStrategy::Auto if case.full_refresh => replaced,
        WriteStrategy::Auto | WriteStrategy::Append if case.full_refresh || starts_again => twice,
        WriteStrategy::Auto | WriteStrategy::Append => incremental,
    };
    let plain = match case.strategy {
        _ if case.keyed_alone => Vec::new(),
        WriteStrategy::Append => [&PLAIN[..], &CHANGED].concat(),
        WriteStrategy::Auto | WriteStrategy::Replace | WriteStrategy::Merge => CHANGED.to_vec(),
    };
    let texts = |rows: Vec<&str>| rows.into_iter().map(str::to_owned).collect();
    Some([texts(keyed), texts(plain)])
}
