//! The names of columns.

use std::collections::HashSet;

use lockgate_sdk::{Failure, log};

use super::records::{Found, Records};
use crate::config::CsvConfig;

/// Reads the names from the first record, or, without a header, makes them from how many fields it
/// has. None: the file has no record.
///
/// A name that is empty becomes `column_N`, the second of one name `name_2`.
pub(super) fn read(
    records: &mut Records,
    csv: &CsvConfig,
    file: &str,
) -> Result<Option<Vec<String>>, Failure> {
    match records.next()? {
        Found::End => return Ok(None),
        Found::Open => {
            return Err(Failure::config(format!(
                "{file}, line 1: a quote in the header is not closed"
            )));
        }
        Found::Record | Found::Last => {}
    }
    if !csv.header {
        return Ok(Some((1..=records.len()).map(|number| format!("column_{number}")).collect()));
    }
    let mut given = Vec::with_capacity(records.len());
    for place in 0..records.len() {
        let name = std::str::from_utf8(records.field(place)).map_err(|_| {
            Failure::config(format!(
                "{file}, line 1: the name of column {} is not UTF-8: convert the file to it",
                place + 1
            ))
        })?;
        given.push(name.to_owned());
    }
    let names = distinct(&given);
    for (place, (given, name)) in given.iter().zip(&names).enumerate() {
        if given != name {
            log::warn(format_args!(
                "{file}: the header's column {} has {}: it is read as {name}",
                place + 1,
                if given.is_empty() { "no name" } else { "the name of another" }
            ));
        }
    }
    Ok(Some(names))
}

fn distinct(given: &[String]) -> Vec<String> {
    let taken: HashSet<&str> = given.iter().map(String::as_str).collect();
    let mut used: HashSet<String> = HashSet::new();
    let name = |(place, given): (usize, &String)| {
        let base = if given.is_empty() { format!("column_{}", place + 1) } else { given.clone() };
        let mut name = base.clone();
        let mut number = 1_u64;
        // One that is made up is none that is given.
        while used.contains(&name) || (name != *given && taken.contains(name.as_str())) {
            number += 1;
            name = format!("{base}_{number}");
        }
        used.insert(name.clone());
        name
    };
    given.iter().enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_made_distinct() {
        let given = ["a", "", "a", "a_2", "column_2", ""].map(str::to_owned);
        let expected = ["a", "column_2_2", "a_3", "a_2", "column_2", "column_6"];
        assert_eq!(distinct(&given), expected);
    }

    proptest! {
        #[test]
        fn no_name_is_there_twice(given in proptest::collection::vec("[ab_2]{0,4}", 0..20)) {
            let names = distinct(&given);
            let different: HashSet<_> = names.iter().collect();
            prop_assert_eq!(different.len(), given.len());
        }
    }
}
