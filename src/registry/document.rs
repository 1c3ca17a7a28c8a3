//! The registry's document, as it is kept in memory: of each entry its text, read when it is asked
//! for. A real one has ten megabytes, most of them specifications.
//!
//! The attack: whoever can change the document names a package `x @ https://…` or `./x`, and that is
//! installed. What becomes a part of a requirement or of an image's name is checked here.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{RegistryEntry, RegistryError};
use crate::config::{is_image, is_plain, version_name};
use crate::protocol::{Json, kind_of};

/// Names that are offered instead of an unknown one.
const OFFERED: usize = 5;
/// Airbyte's own images; a name leaves it out.
const AIRBYTE: &str = "airbyte/";

/// All entries, by name.
#[derive(Debug)]
pub(super) struct Document {
    /// The file or URL, for messages.
    place: String,
    entries: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    is_source: bool,
    /// `sources[3]`.
    at: String,
    text: Box<RawValue>,
}

#[derive(Deserialize)]
struct Lists<'a> {
    #[serde(borrow)]
    sources: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    destinations: Option<Vec<&'a RawValue>>,
}

type Members<'a> = HashMap<String, &'a RawValue>;

/// Where and how a text is wrong, without a piece of it.
fn syntax(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

impl Document {
    /// Reads a document that stands at a place.
    pub(super) fn parse(place: &str, text: &[u8]) -> Result<Self, RegistryError> {
        let malformed =
            |reason: String| RegistryError::Malformed { place: place.to_owned(), reason };
        let text = std::str::from_utf8(text).map_err(|e| malformed(format!("not UTF-8: {e}")))?;
        let lists: Lists<'_> = serde_json::from_str(text).map_err(|e| {
            malformed(match e.is_data() {
                true => format!(
                    "it is no object with the arrays sources and destinations, at {}",
                    syntax(&e)
                ),
                false => format!("not JSON, at {}", syntax(&e)),
            })
        })?;
        if lists.sources.is_none() && lists.destinations.is_none() {
            return Err(malformed("sources and destinations are missing".into()));
        }
        let mut entries = HashMap::new();
        for (list, texts) in [("sources", lists.sources), ("destinations", lists.destinations)] {
            for (number, text) in texts.into_iter().flatten().enumerate() {
                let entry = Entry {
                    is_source: list == "sources",
                    at: format!("{list}[{number}]"),
                    text: text.to_owned(),
                };
                let image = entry.image().map_err(malformed)?;
                entries.entry(name_of(&image).to_owned()).or_insert(entry);
            }
        }
        Ok(Self { place: place.to_owned(), entries })
    }

    /// An entry by its name.
    pub(super) fn entry(&self, name: &str) -> Result<RegistryEntry, RegistryError> {
        let Some(entry) = self.entries.get(name) else {
            let similar = similar(name, self.entries.keys().map(String::as_str));
            return Err(RegistryError::NotRegistered { name: name.to_owned(), similar });
        };
        entry
            .read(name)
            .map_err(|reason| RegistryError::Malformed { place: self.place.clone(), reason })
    }
}

/// The name of a connector whose image is this.
fn name_of(image: &str) -> &str {
    image.strip_prefix(AIRBYTE).unwrap_or(image)
}

impl Entry {
    fn members(&self) -> Result<Members<'_>, String> {
        serde_json::from_str(self.text.get())
            .map_err(|_| format!("{} is not an object but {}", self.at, kind_of(self.text.get())))
    }

    /// A member that is a text, where it is there at all.
    fn text(&self, members: &Members<'_>, name: &str) -> Result<Option<String>, String> {
        let Some(raw) = members.get(name).filter(|raw| raw.get() != "null") else {
            return Ok(None);
        };
        let kind = kind_of(raw.get());
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|_| format!("{}.{name} is not a string but {kind}", self.at))
    }

    fn must(&self, members: &Members<'_>, name: &str) -> Result<String, String> {
        match self.text(members, name)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(format!("{}.{name} is missing", self.at)),
        }
    }

    fn image(&self) -> Result<String, String> {
        self.must(&self.members()?, "dockerRepository")
    }

    fn read(&self, name: &str) -> Result<RegistryEntry, String> {
        let members = self.members()?;
        let text = |member: &str| self.text(&members, member);
        let image = self.must(&members, "dockerRepository")?;
        let version = self.must(&members, "dockerImageTag")?;
        if version_name(&version).is_err() {
            return Err(format!("{}.dockerImageTag is not a version", self.at));
        }
        if !is_image(&image) {
            return Err(format!("{}.dockerRepository is not the name of an image", self.at));
        }
        let spec = match members.get("spec").filter(|raw| raw.get() != "null") {
            None => None,
            Some(raw) if raw.get().starts_with('{') => Some(Json::from(*raw)),
            Some(raw) => {
                let kind = kind_of(raw.get());
                return Err(format!("{}.spec is not an object but {kind}", self.at));
            }
        };
        Ok(RegistryEntry {
            name: name.to_owned(),
            is_source: self.is_source,
            image,
            version,
            python_package: self.python_package(&members)?,
            language: match text("language")? {
                Some(language) => Some(language),
                None => self.tagged_language(&members)?,
            },
            documentation_url: text("documentationUrl")?,
            support_level: text("supportLevel")?,
            spec,
        })
    }

    /// `remoteRegistries.pypi.packageName`, where that is enabled.
    fn python_package(&self, members: &Members<'_>) -> Result<Option<String>, String> {
        #[derive(Deserialize)]
        struct Remote {
            pypi: Option<Pypi>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Pypi {
            enabled: bool,
            package_name: String,
        }
        let Some(raw) = members.get("remoteRegistries") else { return Ok(None) };
        let remote: Option<Remote> = serde_json::from_str(raw.get()).map_err(|_| {
            format!("{}.remoteRegistries.pypi is not {{enabled, packageName}}", self.at)
        })?;
        let pypi = remote.and_then(|remote| remote.pypi).filter(|pypi| pypi.enabled);
        match pypi.map(|pypi| pypi.package_name) {
            // It becomes a requirement: an address or a path would be installed as well.
            Some(name) if !is_plain(&name) => Err(format!(
                "{}.remoteRegistries.pypi.packageName is not the name of a package",
                self.at
            )),
            name => Ok(name),
        }
    }

    /// `language:python` among the tags.
    fn tagged_language(&self, members: &Members<'_>) -> Result<Option<String>, String> {
        let Some(raw) = members.get("tags").filter(|raw| raw.get() != "null") else {
            return Ok(None);
        };
        let tags: Vec<String> = serde_json::from_str(raw.get())
            .map_err(|_| format!("{}.tags is not an array of strings", self.at))?;
        Ok(tags.iter().find_map(|tag| tag.strip_prefix("language:")).map(str::to_owned))
    }
}

/// Names like one, the likest first.
fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let name = name.to_lowercase();
    if name.is_empty() {
        return Vec::new();
    }
    let most = name.len() / 3;
    let mut found: Vec<(usize, &str)> = known
        .filter_map(|known| {
            let steps = steps(&name, known);
            (steps <= most || known.contains(&name)).then_some((steps, known))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(OFFERED).map(|(_, name)| name.to_owned()).collect()
}

/// Letters to change, add or leave out between two words.
fn steps(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, other) in b.bytes().enumerate() {
            let change = corner + usize::from(letter != other);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        let read = Document::parse("r.json", text.as_bytes()).and_then(|d| d.entry("source-x"));
        match read.unwrap_err() {
            RegistryError::Malformed { place, reason } => format!("{place}: {reason}"),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn faults_name_the_field_and_no_value() {
        let entry = |more: &str| {
            format!(r#"{{"sources":[{{"dockerRepository":"airbyte/source-x"{more}}}]}}"#)
        };
        const PACKAGE: &str = "sources[0].remoteRegistries.pypi.packageName is not the name";
        let package = |name: &str| {
            entry(&format!(
                r#","dockerImageTag":"1","remoteRegistries":{{"pypi":{{"enabled":true,"packageName":"{name}"}}}}"#
            ))
        };
        let faults = [
            ("[]".to_owned(), "sources and destinations"),
            ("{\"sources\":".to_owned(), "not JSON, at line 1"),
            ("{}".to_owned(), "sources and destinations are missing"),
            (r#"{"sources":{}}"#.to_owned(), "the arrays sources and destinations"),
            (r#"{"sources":[7]}"#.to_owned(), "sources[0] is not an object but a number"),
            (r#"{"sources":[{}]}"#.to_owned(), "sources[0].dockerRepository is missing"),
            (entry(""), "sources[0].dockerImageTag is missing"),
            (entry(r#","dockerImageTag":7"#), "sources[0].dockerImageTag is not a string"),
            (
                entry(r#","dockerImageTag":"1","spec":"hunter2""#),
                "sources[0].spec is not an object",
            ),
            (entry(r#","dockerImageTag":"1","tags":"hunter2""#), "sources[0].tags is not"),
            (
                entry(r#","dockerImageTag":"1","remoteRegistries":{"pypi":{"enabled":1}}"#),
                "sources[0].remoteRegistries.pypi is not",
            ),
            (entry(r#","dockerImageTag":"1 hunter2""#), "sources[0].dockerImageTag is not a"),
            (package("x @ https://hunter2.example/x.zip"), PACKAGE),
            (package("./hunter2"), PACKAGE),
            (package("-rhunter2"), PACKAGE),
            (package("x hunter2"), PACKAGE),
        ];
        for (text, wanted) in faults {
            let fault = fault(&text);
            assert!(fault.starts_with("r.json: ") && fault.contains(wanted), "{text}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn a_faulty_entry_is_no_fault_of_another() {
        let text = r#"{"sources":[{"dockerRepository":"airbyte/source-y","dockerImageTag":[]},
            {"dockerRepository":"airbyte/source-x","dockerImageTag":"1"}]}"#;
        let document = Document::parse("r.json", text.as_bytes()).unwrap();
        assert_eq!(document.entry("source-x").unwrap().version, "1");
        assert!(document.entry("source-y").is_err());
    }

    #[test]
    fn the_likest_names_come_first() {
        let known = ["source-faker", "source-fake", "source-file", "destination-postgres"];
        assert_eq!(similar("source-fakr", known.into_iter())[0], "source-fake");
        assert_eq!(similar("postgres", known.into_iter()), ["destination-postgres"]);
        assert!(similar("zzz", known.into_iter()).is_empty());
        assert_eq!(steps("kitten", "sitting"), 3);
    }
}
