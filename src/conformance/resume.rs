//! The rules of sources that go on: from each of their states nothing is lost, and from the last not
//! everything comes again.

use serde_json::Value;

use super::compare::{missing, tally};
use super::report::Findings;
use super::rule::{
    INCREMENTAL_FUTURE, INCREMENTAL_KEEPS, INCREMENTAL_RESUME, INCREMENTAL_USES, READ_REPEATABLE,
    READ_STATE, READ_STATUS, Rule,
};
use super::taken::{Read, covers, read};
use super::{Trial, told};
use crate::protocol::{Catalog, ConfiguredStream, Json, StateMessage, StateScope, SyncMode};

/// The rules of this module, the first of which says most.
const ALL: [Rule; 4] =
    [INCREMENTAL_RESUME, INCREMENTAL_USES, INCREMENTAL_KEEPS, INCREMENTAL_FUTURE];

pub(super) async fn rules(
    trial: &Trial<'_>,
    findings: &mut Findings,
    catalog: &Catalog,
    whole: &Read,
) {
    if whole.states().next().is_none() {
        findings.skip_all(&ALL, "it gave no state");
        return;
    }
    if let Some(before) = [READ_STATUS, READ_STATE].iter().find(|rule| findings.failed(**rule)) {
        findings.skip_all(&ALL, &format!("{} does not hold", before.code));
        return;
    }
    if findings.failed(READ_REPEATABLE) {
        findings.skip(INCREMENTAL_RESUME, "READ_REPEATABLE does not hold");
    } else {
        from_each(trial, findings, catalog, whole).await;
    }
    if findings.failed(INCREMENTAL_RESUME) {
        findings.skip_all(&ALL[1..], "INCREMENTAL_RESUME does not hold");
        return;
    }
    if !catalog.streams.iter().any(is_incremental) {
        findings.skip_all(
            &ALL[1..],
            "no stream is incremental by itself; choose cursors with --catalog",
        );
        return;
    }
    let news = from_last(trial, findings, catalog, whole).await;
    kept(trial, findings, catalog, whole, news).await;
    if findings.failed(INCREMENTAL_USES) {
        findings.skip(INCREMENTAL_FUTURE, "INCREMENTAL_USES does not hold");
    } else {
        future(trial, findings, catalog, whole).await;
    }
}

fn is_incremental(stream: &ConfiguredStream) -> bool {
    stream.sync_mode == SyncMode::Incremental
}

/// So many of the places, the first and the last among them.
fn sampled(places: &[usize], most: usize) -> Vec<usize> {
    if places.len() <= most.max(1) {
        return places.to_vec();
    }
    let most = most.max(2);
    let mut sample: Vec<usize> =
        (0..most).map(|n| places[n * (places.len() - 1) / (most - 1)]).collect();
    sample.dedup();
    sample
}

async fn from_each(trial: &Trial<'_>, findings: &mut Findings, catalog: &Catalog, whole: &Read) {
    findings.begin();
    let places: Vec<usize> = whole.states().map(|(place, _)| place).collect();
    let sample = sampled(&places, trial.options.resumes);
    let ignored = &trial.options.ignored_fields;
    let mut faults = Vec::new();
    for (number, place) in sample.iter().enumerate() {
        trial.progress.tries(&format!("reading from state {} of {}", number + 1, sample.len()));
        let states = whole.states_at(*place);
        let (again, ended) = read(trial, catalog, &states).await;
        let nth = places.iter().position(|p| p == place).unwrap_or(0) + 1;
        if let Err(error) = ended {
            faults.push(format!("from state {nth}: {}", told(&error)));
            continue;
        }
        for (index, stream) in (0u32..).zip(&catalog.streams) {
            let name = &stream.stream.descriptor;
            // What came after the last state that covers it, and that was kept by then.
            let from = whole.states().filter(|(at, state)| at <= place && covers(state, name));
            let from = from.map(|(at, _)| at).last().unwrap_or(0);
            let expected = tally(whole.rows(index, from), ignored);
            let lost = missing(&expected, &tally(again.rows(index, 0), ignored));
            if lost > 0 {
                let after: i64 = expected.values().sum();
                faults.push(format!(
                    "from state {nth} of {}: {name}: {lost} of the {after} rows that came after it did not come again",
                    places.len()
                ));
            }
        }
    }
    findings.judge(INCREMENTAL_RESUME, faults);
}

/// The value of a cursor in a row.
fn cursor(row: &str, path: &[String]) -> Option<Value> {
    let row: Value = serde_json::from_str(row).ok()?;
    path.iter().try_fold(&row, |value, step| value.get(step)).cloned()
}

/// Streams of which everything came again, with their rows.
fn all_again(catalog: &Catalog, whole: &Read, again: &Read) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, stream) in (0u32..).zip(&catalog.streams).filter(|(_, s)| is_incremental(s)) {
        let (first, second) = (whole.count(index), again.count(index));
        let path = &stream.cursor_field;
        let last = whole.rows(index, 0).last().and_then(|row| cursor(row, path));
        // Rows with the last cursor may come again.
        let ties = whole.rows(index, 0).filter(|row| cursor(row, path) == last).count();
        let all_tied = !path.is_empty() && ties == first;
        if first > 1 && second >= first && !all_tied {
            let name = &stream.stream.descriptor;
            faults.push(format!("{name}: {second} rows came, and it has {first}"));
        }
    }
    faults
}

async fn from_last(
    trial: &Trial<'_>,
    findings: &mut Findings,
    catalog: &Catalog,
    whole: &Read,
) -> Option<Read> {
    trial.progress.tries("reading from the last state");
    findings.begin();
    let (again, ended) = read(trial, catalog, &whole.last_states()).await;
    if let Err(error) = ended {
        findings.judge(INCREMENTAL_USES, vec![told(&error)]);
        return None;
    }
    findings.judge(INCREMENTAL_USES, all_again(catalog, whole, &again)).then_some(again)
}

async fn kept(
    trial: &Trial<'_>,
    findings: &mut Findings,
    catalog: &Catalog,
    whole: &Read,
    news: Option<Read>,
) {
    let Some(news) = news else {
        findings.skip(INCREMENTAL_KEEPS, "INCREMENTAL_USES does not hold");
        return;
    };
    trial.progress.tries("reading from the state of a read without news");
    findings.begin();
    let states = news.stored_over(whole.last_states());
    let (third, ended) = read(trial, catalog, &states).await;
    let faults = match ended {
        Ok(()) => all_again(catalog, whole, &third),
        Err(error) => vec![told(&error)],
    };
    findings.judge(INCREMENTAL_KEEPS, faults);
}

/// The far future of a cursor: of a date the same in the year 2999, of a number much more.
fn far(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => {
            let bytes = text.as_bytes();
            let date = bytes.len() >= 10
                && bytes[..4].iter().all(u8::is_ascii_digit)
                && bytes[4] == b'-'
                && bytes[7] == b'-';
            // The 29th of February is not in every year.
            date.then(|| Value::from(format!("2999-01-01{}", text.get(10..).unwrap_or(""))))
        }
        Value::Number(number) => {
            number.as_i64()?.checked_add(1_000_000_000_000_000).map(Value::from)
        }
        _ => None,
    }
}

/// Replaces each value that is the cursor's; whether there was one.
fn replace(state: &mut Value, last: &Value, far: &Value) -> bool {
    if state == last {
        *state = far.clone();
        return true;
    }
    match state {
        Value::Array(items) => {
            items.iter_mut().fold(false, |any, item| replace(item, last, far) | any)
        }
        Value::Object(members) => {
            members.values_mut().fold(false, |any, item| replace(item, last, far) | any)
        }
        _ => false,
    }
}

/// The last states with the cursor of a stream in the far future, and which streams have one.
fn future_states(catalog: &Catalog, whole: &Read) -> (Vec<StateMessage>, Vec<u32>) {
    let mut streams = Vec::new();
    let states = whole.last_states().into_iter().map(|state| {
        let StateScope::Stream(descriptor) = state.scope() else { return state };
        let place = catalog.streams.iter().position(|s| s.stream.descriptor == *descriptor);
        let changed = place.and_then(|place| {
            let stream = &catalog.streams[place];
            let index = u32::try_from(place).ok()?;
            if !is_incremental(stream) || stream.cursor_field.is_empty() {
                return None;
            }
            let last =
                whole.rows(index, 0).last().and_then(|row| cursor(row, &stream.cursor_field))?;
            let mut body = state.body().to_value().ok()?;
            if !replace(body.pointer_mut("/stream/stream_state")?, &last, &far(&last)?) {
                return None;
            }
            streams.push(index);
            StateMessage::from_airbyte(Json::from_value(&body)).ok()
        });
        changed.unwrap_or(state)
    });
    (states.collect(), streams)
}

async fn future(trial: &Trial<'_>, findings: &mut Findings, catalog: &Catalog, whole: &Read) {
    findings.begin();
    let given = &trial.options.future_states;
    let (states, streams) = if given.is_empty() {
        future_states(catalog, whole)
    } else {
        let covered = |stream: &ConfiguredStream| {
            is_incremental(stream) && given.iter().any(|s| covers(s, &stream.stream.descriptor))
        };
        let streams = (0u32..).zip(&catalog.streams).filter(|(_, s)| covered(s));
        (given.clone(), streams.map(|(index, _)| index).collect())
    };
    if streams.is_empty() {
        findings.skip(
            INCREMENTAL_FUTURE,
            "no state holds the last value of its cursor; give --future-state",
        );
        return;
    }
    trial.progress.tries("reading from a state of the far future");
    let (none, ended) = read(trial, catalog, &states).await;
    let mut faults: Vec<String> = match ended {
        Err(error) => vec![told(&error)],
        Ok(()) => streams
            .into_iter()
            .filter(|index| none.count(*index) > 0)
            .map(|index| {
                let name = catalog.streams.get(index as usize).map(|s| &s.stream.descriptor);
                let name = name.map_or_else(String::new, ToString::to_string);
                format!("{name}: {} rows came", none.count(index))
            })
            .collect(),
    };
    if faults.is_empty() && !findings.failed(INCREMENTAL_KEEPS) {
        // What it leaves behind is no state of the beginning.
        let (again, ended) = read(trial, catalog, &none.stored_over(states)).await;
        faults = match ended {
            Err(error) => vec![told(&error)],
            Ok(()) => all_again(catalog, whole, &again),
        };
    }
    findings.judge(INCREMENTAL_FUTURE, faults);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sample_has_both_ends() {
        let places: Vec<usize> = (10..110).collect();
        let sample = sampled(&places, 5);
        assert_eq!((sample.len(), sample[0], sample[4]), (5, 10, 109));
        assert_eq!(sampled(&places[..3], 5), [10, 11, 12]);
        assert_eq!(sampled(&places, 0).len(), 2);
    }

    #[test]
    fn the_future_is_of_the_cursors_kind() {
        assert_eq!(far(&json!("2024-02-29T10:00:00Z")), Some(json!("2999-01-01T10:00:00Z")));
        assert_eq!(far(&json!(7)), Some(json!(1_000_000_000_000_007_i64)));
        assert_eq!(far(&json!("abc")), None);
        let mut state = json!({ "at": 7, "more": [{ "at": 7 }, 8] });
        assert!(replace(&mut state, &json!(7), &json!(9)));
        assert_eq!(state, json!({ "at": 9, "more": [{ "at": 9 }, 8] }));
    }
}
