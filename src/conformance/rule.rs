//! The rules: each has a code that stays, what it asks for, why that matters, and how to mend it.

use serde::Serialize;

/// Whom a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Applies {
    /// Every connector.
    Both,
    /// Sources.
    Source,
    /// Destinations.
    Destination,
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its code; never used for something else.
    pub code: &'static str,
    /// Whom it is for.
    pub applies: Applies,
    /// What it asks for, in a line.
    pub title: &'static str,
    /// How it is tried, and why it matters.
    pub meaning: &'static str,
    /// What to do about it.
    pub mend: &'static str,
}

macro_rules! rules {
    ($($name:ident, $applies:ident: $title:literal, $meaning:literal, $mend:literal;)*) => {
        $(
            #[doc = $title]
            pub(super) const $name: Rule = Rule {
                code: stringify!($name),
                applies: Applies::$applies,
                title: $title,
                meaning: $meaning,
                mend: $mend,
            };
        )*
        /// All rules, in the order in which they are tried.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    SPEC_ANSWERS, Both: "spec answers, with nothing granted",
        "The connector is asked for its specification before anything is known of it, twice. It must answer within the time budget, the same both times, once in each, and a program must end with exit code 0.",
        "Answer spec from constants: read no file and reach no network. A connector that is slow to start does less at its start.";
    SPEC_SCHEMA, Both: "the configuration's schema is a JSON Schema of an object",
        "connectionSpecification must be a schema of draft 7 whose type is object; every $ref in it must lead somewhere inside it, and what is required must be a property.",
        "Generate the schema from the type that reads the configuration, and inline references.";
    SPEC_KEYWORDS, Both: "the configuration's schema uses what every platform understands",
        "Forms and filters of platforms do not know: not, anyOf, patternProperties, prefixItems, allOf, if, then, else, dependentSchemas, dependentRequired. Types are one word, or one and null.",
        "Use oneOf with a constant in each variant where there is a choice, and plain properties elsewhere.";
    SPEC_ONE_OF, Both: "each oneOf can be told apart by one constant",
        "Each variant of a oneOf must have properties, and exactly one property that has a const in all of them, another one in each.",
        "Give every variant the same property, such as type, with a const of its own and no default.";
    SPEC_ENUMS, Both: "no enum has a value twice",
        "An enum that has a value twice cannot be shown as a choice.",
        "Remove the repeated value.";
    SPEC_SECRETS, Both: "what is named like a secret is marked as one",
        "Properties of texts and numbers with a name such as password, db_password, token, api_key or client_secret must have airbyte_secret: true. Only what is marked is hidden in logs, errors and states.",
        "Mark the property: \"airbyte_secret\": true (in Rust: #[schemars(extend(\"airbyte_secret\" = true))]).";
    SPEC_CONFIG, Both: "the given configuration fits the specification",
        "The configuration must be valid against the connector's own schema.",
        "Correct the configuration, or the schema where that is wrong.";
    SPEC_MODES, Destination: "the destination says in which modes it writes",
        "supported_destination_sync_modes must be there, not empty, and without a word twice. Without it nobody knows what overwrite will do.",
        "List the modes that the destination applies, and no other.";
    CHECK_ACCEPTS, Both: "check says yes to a configuration that works",
        "check is run with the given configuration and must succeed: one CONNECTION_STATUS, SUCCEEDED, no TRACE of an error, exit code 0.",
        "See the message. If the configuration is right, mend check; it should do what reading or writing does first.";
    CHECK_REJECTS, Both: "check says no to a configuration that cannot work",
        "check is run without a property that is required, with one of the wrong type (a required one where there is one), and with --bad-config where that is given. It must answer with a failure that the operator can mend (kind config), and neither succeed nor crash.",
        "Parse the whole configuration in check, try to connect with it, and answer with a failure of kind config.";
    SECRETS_HIDDEN, Both: "nothing that the connector says has a secret in it",
        "Values of properties that are marked airbyte_secret, of six characters or more, must not be in any log, failure, state or catalog.",
        "Never put the configuration, an address with a password, or a request's headers into a message.";
    SANDBOX_NEEDS, Both: "the connector stays within what it says it needs",
        "Everything that it reached for is in the audit of this run. What it was refused, and what it used without a need for it in its specification, is listed. For components only: others declare no needs.",
        "Declare each network target, directory and variable as a need with its reason, or do not use it.";
    LIMITS_KEPT, Both: "the connector stays within its limits",
        "No limit of the sandbox was reached: memory (--max-memory), files, connections, log bytes and the rest of `lockgate policy show`. What took longer than --timeout breaks the rule of what it was doing instead.",
        "Work in batches of bounded size; log less. Where it needs more for a reason, say so in its documentation.";
    DISCOVER_ANSWERS, Source: "discover lists streams, the same each time",
        "discover is run twice. It must list at least one stream, none of them twice, and the same both times, in one CATALOG each.",
        "List streams in a fixed order, and infer schemas from the same sample each time.";
    DISCOVER_SCHEMAS, Source: "each stream has a usable schema",
        "Each stream's schema must be a JSON Schema of an object with properties, without $ref, allOf and not.",
        "Describe each column with a type; inline references.";
    DISCOVER_KEYS, Source: "keys and cursors are columns of their stream",
        "Each path of source_defined_primary_key and default_cursor_field must lead to a property of the stream's schema.",
        "Name keys and cursors as the schema does; add what is missing to the schema.";
    DISCOVER_MODES, Source: "each stream says how it can be read",
        "supported_sync_modes must not be empty.",
        "List full_refresh, and incremental where reading goes on from a state.";
    READ_ENDS, Source: "a read of all streams ends well",
        "All chosen streams are read from the beginning. The read must end without a failure, and within the size that is kept for comparison; who does nothing for --idle-time is not waited for.",
        "See the message. For a large source choose streams with --streams or a catalog with --catalog.";
    READ_STATUS, Source: "each stream is said to be complete, once and after its last row",
        "STARTED where it is said, then rows, then COMPLETE. A stream without COMPLETE counts as failed, so that nothing is replaced by half of it.",
        "Report COMPLETE when the last row of a stream was emitted; report INCOMPLETE when it could not be read.";
    READ_ROWS, Source: "there are rows",
        "At least one chosen stream must have a row; each that has none is listed as a note.",
        "Try with a configuration that has data: what has no rows proves nothing.";
    READ_SCHEMA, Source: "each row fits the schema of its stream",
        "Each row is validated against its stream's schema, and must have at least one property of it. A column that the schema does not name is a note.",
        "Correct the schema, or what is put into the row. A destination makes its columns from the schema.";
    READ_KEYS, Source: "each row has its key",
        "The columns of the primary key must be in each row, and not null.",
        "Do not declare a key that can be missing.";
    READ_STATE, Source: "each stream has a state after its last row",
        "After its last row each stream must be covered by a STATE: one of its own, a global or a legacy one. Without it nothing of the stream is ever committed before the end, and an interrupted sync starts again.",
        "Emit a state every few thousand rows and after the last one, also for streams that are always read whole.";
    READ_COUNTS, Source: "the counts in states are those of the rows",
        "Where a state has sourceStats, its recordCount must be the number of rows since the state before.",
        "Count the rows that were emitted, not those that were read.";
    READ_REPEATABLE, Source: "the same rows, read again",
        "Full refreshes of the same data must give the same rows, in any order. Columns that may differ are named by --ignore-fields.",
        "Page by a stable order, and put nothing of the moment (times of reading, random ids) into rows.";
    READ_UNKNOWN_STREAM, Source: "a stream that is not there is an error",
        "A catalog with a stream that the source does not have must fail, or say INCOMPLETE for it; never COMPLETE, and never nothing at all.",
        "Look every stream of the catalog up before reading, and fail with kind config where there is none.";
    INCREMENTAL_RESUME, Source: "from every checkpoint, nothing is lost",
        "The source is read again from several of the states that it emitted, as if it had been interrupted there. Every row that came after such a state must come again.",
        "Emit a state only after every row that it covers, and treat rows with equal cursors as not yet read.";
    INCREMENTAL_USES, Source: "from the last state, not everything comes again",
        "An incremental stream that is read from its last state must not give all of its rows again.",
        "Read the state that is given, and ask the system for what came after it. Otherwise do not say incremental.";
    INCREMENTAL_KEEPS, Source: "a read without news keeps its state",
        "After a read from the last state, its own last state must be as good: a read from there must not give everything again.",
        "When there were no rows, emit the state that was given; never an empty one.";
    INCREMENTAL_FUTURE, Source: "from a state of the far future, nothing comes",
        "Where the state holds the largest value of the cursor, it is replaced by one of the far future (or --future-state is given): no row may come, and no failure, and the state afterwards is no worse.",
        "Compare cursors as values of their type, not as texts; do not clamp what lies in the future.";
    WRITE_ENDS, Destination: "a write ends well",
        "The scenarios are written in one call, streams of many shapes. It must end, and without a failure; who does nothing for --idle-time, beyond what a state is waited for, is not waited for.",
        "See the message, and the scenario that it names.";
    WRITE_COMMITS, Destination: "each state is confirmed, in order",
        "Every checkpoint must be confirmed by itself or by a later one, in the order in which they were given, and none that was not given.",
        "Confirm a state when all rows before it are durable, and at the latest when the input ends.";
    WRITE_COUNTS, Destination: "the counts of the destination are those of the rows",
        "The rows that it says it wrote and rejected must be those that it was given.",
        "Count each row once: written, or rejected with a reason.";
    WRITE_STATE_WHOLE, Destination: "a state comes back as it went in",
        "What an acknowledged state holds must all be in the echo, unchanged: the state itself, its id, and members that the destination does not know. Platforms keep their own there.",
        "Echo the STATE message as it was received, with destinationStats added.";
    WRITE_UNLISTED, Destination: "a mode that it does not list is refused",
        "A stream is written in each mode of append, overwrite and append_dedup that the specification does not list. The write must fail with a reason: who appends instead, and says nothing, gives rows twice.",
        "Look at each stream's destination_sync_mode before writing, and fail with kind config where it cannot be applied.";
    WRITE_VALUES, Destination: "what was written is there, value by value",
        "22 scenarios (types, nulls, odd names, long names, unicode, big numbers, wide and sparse rows) are written and read back, in WRITE_EMPTY the one without rows. Columns are found by their name, letter case and punctuation aside; numbers, times and JSON are compared as values. A way back that was given and does not work breaks this rule.",
        "See the first difference that is listed, or what is wrong with --read-back.";
    WRITE_APPEND, Destination: "append adds, and takes nothing away",
        "A stream is written in mode append, twice. Afterwards the rows of both are there.",
        "Add to what is there; replace nothing.";
    WRITE_OVERWRITE, Destination: "overwrite replaces",
        "A stream is written in mode overwrite, twice. Afterwards the rows of the second are there and nothing else.",
        "Write a new table, and put it in the place of the old one when the stream is complete. Otherwise do not list overwrite.";
    WRITE_DEDUP, Destination: "append_dedup keeps one row a key, the last",
        "Rows with keys are written in mode append_dedup, changed, and written again, the same key twice in one write as well, and keys of two columns. Afterwards there is one row a key, and it is the last.",
        "Merge by primary key, by cursor and by order of arrival. Otherwise do not list append_dedup.";
    WRITE_INTERLEAVED, Destination: "streams that take turns stay apart",
        "Rows and states of several streams come in turns. Each stream must have its own rows.",
        "Keep a buffer a stream; flush all of them before a state is confirmed.";
    WRITE_GLOBAL, Destination: "a state of all streams is confirmed as one",
        "Rows of two streams come in turns, with states of type GLOBAL, as sources that read a log have them. Each must be confirmed, in order, and come back whole; and all rows must be there.",
        "Flush every stream before a GLOBAL state is confirmed, and echo it as it was received.";
    WRITE_NAMES, Destination: "streams of similar names stay apart",
        "Streams whose names differ in letter case and punctuation only are written at once, then such with / and .. in them, then one name in two namespaces. Each must keep its own rows, or the write must fail and say why.",
        "Escape names, or add a hash to those that collide. Never let two streams share a table.";
    WRITE_EMPTY, Destination: "a write of nothing ends well",
        "A stream without rows is written alone, and beside others. The write must succeed, and what is written in mode append must stay.",
        "Do not take the absence of rows for a fault.";
    WRITE_BIG_ROW, Destination: "a big row arrives, or is refused",
        "A row of 8 MiB must be there afterwards, or be rejected, or the write must fail with a reason. It must not crash, must not be cut, and must not take the rows around it along.",
        "Bound the size of a row, and say so when it is exceeded.";
    WRITE_BAD_ROW, Destination: "a row that does not fit its schema does no harm",
        "Among good rows some have values of the wrong type. The good ones must arrive; for the bad ones the value is kept, nulled or the row rejected, or the write fails with a reason: it must not crash.",
        "Null the value and record the change in _airbyte_meta, or reject the row.";
    WRITE_DURABLE, Destination: "what is confirmed survives a kill",
        "Rows and states are given, and nothing more, until the last state is confirmed. Then the destination is killed. Every row before the state must be there; with states of one stream, twice, and of all streams.",
        "Confirm a state after the commit, or after fsync, and not before.";
    WRITE_INTERRUPTED, Destination: "an interrupted overwrite leaves what was there",
        "A stream that has rows is written in mode overwrite, and interrupted before it is complete; one is said to be incomplete; one is refreshed in mode append. The rows that were there must still be there.",
        "Replace the old rows when the stream is complete, in one step.";
    REFRESH_TRUNCATE, Destination: "a new generation replaces the old one, once complete",
        "A stream in mode append is written with generation_id and minimum_generation_id raised, and one in mode append_dedup. Afterwards only rows of the new generation are there.",
        "When a stream with a minimum generation is complete, remove the rows of generations below it.";
    REFRESH_RETAIN, Destination: "a new generation beside the old one keeps both",
        "A stream in mode append is written with generation_id raised and minimum_generation_id 0. Afterwards both generations are there.",
        "Remove rows of older generations only where the minimum generation says so.";
    REFRESH_RESUME, Destination: "an interrupted refresh goes on",
        "A refresh is interrupted after a confirmed state, and goes on with the same generation from there. Afterwards the rows of the whole generation are there, and no others.",
        "Keep the rows of a generation that is not complete yet, and add to them when it goes on (or do not say supportsRefreshes).";
    REFRESH_CLEAR, Destination: "a generation without rows empties the stream",
        "A stream that has rows is written with no rows at all, and is complete: in mode overwrite, and in mode append with minimum_generation_id raised. Afterwards it has none.",
        "Replace the old rows when a stream is complete, also by none.";
}

/// A rule by its code, in any letter case.
#[must_use]
pub fn rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_every_rule_says_how_to_mend_it() {
        for (place, rule) in RULES.iter().enumerate() {
            assert!(RULES[..place].iter().all(|other| other.code != rule.code), "{}", rule.code);
            assert!(rule.title.len() <= 80, "{}", rule.code);
            assert!(!rule.meaning.is_empty() && !rule.mend.is_empty(), "{}", rule.code);
        }
        assert_eq!(rule("spec_answers").map(|rule| rule.code), Some("SPEC_ANSWERS"));
        assert_eq!(rule("NONE"), None);
    }
}
