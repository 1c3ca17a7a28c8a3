//! The declared members of a stream's rows.

use std::collections::HashMap;

use crate::escape::unescape;
use crate::scan::{self, Kind, Nest, NoObject, Value};

/// Finds the declared members of rows. Nothing is allocated for a row that looks like the one before.
#[derive(Debug)]
pub struct Fields {
    names: Vec<String>,
    places: HashMap<Vec<u8>, usize>,
    /// Where the members of the row before were, by their order: rows of a stream look alike.
    guesses: Vec<usize>,
    values: Vec<Option<Value>>,
    others: Vec<(Value, Value)>,
    nest: Nest,
}

impl Fields {
    /// Of members by their names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        let places = names.iter().enumerate();
        Self {
            places: places.map(|(place, name)| (name.clone().into_bytes(), place)).collect(),
            guesses: Vec::new(),
            values: vec![None; names.len()],
            others: Vec::new(),
            nest: Nest::default(),
            names,
        }
    }

    /// The members' names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The value of each declared member in the row that was found last; none where it has none. Of
    /// two members of one name the last counts, as in JavaScript.
    #[must_use]
    pub fn values(&self) -> &[Option<Value>] {
        &self.values
    }

    /// Members of the row that are not declared: keys and values.
    #[must_use]
    pub fn others(&self) -> &[(Value, Value)] {
        &self.others
    }

    /// Looks at a row.
    ///
    /// # Errors
    /// It is not a JSON object.
    pub fn find(&mut self, row: &[u8]) -> Result<(), NoObject> {
        let Self { names, places, guesses, values, others, nest } = self;
        values.fill(None);
        others.clear();
        let most = names.len();
        let note =
            |guesses: &mut Vec<usize>, member: usize, place: usize| match guesses.get_mut(member) {
                Some(guess) => *guess = place,
                // With more members than fields, the rest is looked up.
                None if member < most => guesses.push(place),
                None => {}
            };
        let mut member = 0;
        scan::members(row, nest, |key, value| {
            let inside = key.inside(row);
            let guess = guesses.get(member).copied();
            let place = guess
                .filter(|place| {
                    let name = names.get(*place);
                    key.kind == Kind::Plain && name.is_some_and(|name| name.as_bytes() == inside)
                })
                .or_else(|| match key.kind {
                    Kind::Plain => places.get(inside).copied(),
                    _ => {
                        let mut name = Vec::new();
                        unescape(inside, &mut name);
                        places.get(&name).copied()
                    }
                });
            if let Some(place) = place {
                note(guesses, member, place);
                if let Some(found) = values.get_mut(place) {
                    *found = Some(value);
                }
            } else {
                others.push((key, value));
                note(guesses, member, usize::MAX);
            }
            member += 1;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_wherever_they_are() {
        let mut fields = Fields::new(["a".to_owned(), "b".to_owned()]);
        for row in [
            r#"{"a":1,"b":2}"#,
            r#"{"b":2,"x":0,"a":1}"#,
            r#"{"\u0061":1,"b":0,"b":2}"#,
            r#"{"x":0,"y":0,"z":0,"b":2,"a":1}"#,
        ] {
            fields.find(row.as_bytes()).expect("an object");
            let found: Vec<_> = (fields.values().iter())
                .map(|value| value.map(|value| value.raw(row.as_bytes())))
                .collect();
            assert_eq!(found, [Some(&b"1"[..]), Some(&b"2"[..])], "{row}");
            assert_eq!(
                fields.others().len(),
                row.matches(":0").count() - row.matches("\"b\":0").count()
            );
        }
        fields.find(b"{}").expect("an object");
        assert_eq!(fields.values(), [None, None]);
        assert_eq!(fields.find(b"[]"), Err(NoObject));
    }
}
