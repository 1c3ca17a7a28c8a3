//! What a connector says of itself.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{DestinationSyncMode, Json};

/// Something a connector asks to reach. A request only; see the contract's `need`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Need {
    /// `network`, `directory-read`, `directory-write`, `environment`, or a word we do not know.
    pub capability: String,
    /// What, with `${path.in.config}` not filled in yet.
    pub pattern: String,
    /// Why.
    pub reason: String,
}

/// A connector's specification.
#[derive(Debug, Clone)]
pub struct Specification {
    /// The connector's name; empty when it does not say.
    pub name: String,
    /// Its version; empty when it does not say.
    pub version: String,
    /// Where its documentation is.
    pub documentation_url: Option<String>,
    /// JSON Schema of the configuration.
    pub config_schema: Json,
    /// What a destination can do; none means it did not say.
    pub destination_sync_modes: Option<Vec<DestinationSyncMode>>,
    /// What it asks to reach.
    pub needs: Vec<Need>,
    /// Members of Airbyte's SPEC without a field here.
    pub extra: Map<String, Value>,
}

/// Airbyte's name of the schema member.
const SCHEMA: &str = "connectionSpecification";
const MODES: &str = "supported_destination_sync_modes";
const DOCS: &str = "documentationUrl";
/// Where we keep what Airbyte's SPEC has no member for; unknown members are allowed there.
const OURS: &str = "lockgate";

/// Modes of later protocol versions are no use to us and no fault of the connector.
fn known_modes(words: &[Value]) -> Vec<DestinationSyncMode> {
    words.iter().filter_map(Value::as_str).filter_map(DestinationSyncMode::from_airbyte).collect()
}

impl Specification {
    /// From the body of an Airbyte SPEC message.
    ///
    /// # Errors
    /// A sentence that names the member that is missing or of the wrong kind.
    pub fn from_airbyte(text: &str) -> Result<Self, String> {
        let mut extra: Map<String, Value> = serde_json::from_str(text)
            .map_err(|e| format!("the SPEC body: {}", super::json::syntax(&e)))?;
        let schema = match extra.remove(SCHEMA) {
            Some(schema @ Value::Object(_)) => Json::from_value(&schema),
            Some(_) => return Err(format!("SPEC's {SCHEMA} is not an object")),
            None => return Err(format!("SPEC has no {SCHEMA}")),
        };
        // What our fields do not hold stays among the rest: it is shown as it came.
        let modes = match extra.get(MODES) {
            None | Some(Value::Null) => None,
            Some(Value::Array(words)) => {
                let known = known_modes(words);
                if known.len() == words.len() {
                    extra.remove(MODES);
                }
                Some(known)
            }
            Some(_) => return Err(format!("SPEC's {MODES} is not an array")),
        };
        let documentation_url = match extra.remove(DOCS) {
            Some(Value::String(url)) => Some(url),
            Some(other) => {
                extra.insert(DOCS.into(), other);
                None
            }
            None => None,
        };
        let ours = extra.remove(OURS);
        let word = |key: &str| {
            ours.as_ref().and_then(|o| o.get(key)).and_then(Value::as_str).unwrap_or("").to_owned()
        };
        Ok(Self {
            name: word("name"),
            version: word("version"),
            documentation_url,
            config_schema: schema,
            destination_sync_modes: modes,
            needs: Vec::new(),
            extra,
        })
    }

    /// The body of an Airbyte SPEC message.
    #[must_use]
    pub fn to_airbyte(&self) -> Value {
        let mut body = self.extra.clone();
        let schema = self.config_schema.to_value().unwrap_or_else(|_| Value::Object(Map::new()));
        body.insert(SCHEMA.into(), schema);
        if let Some(url) = &self.documentation_url {
            body.insert(DOCS.into(), url.clone().into());
        }
        if let Some(modes) = &self.destination_sync_modes {
            // As it came, where that says the same and more.
            let came = body.get(MODES).and_then(Value::as_array);
            if !came.is_some_and(|words| known_modes(words) == *modes) {
                let words = modes.iter().map(|m| Value::from(m.airbyte())).collect();
                body.insert(MODES.into(), Value::Array(words));
            }
        }
        if !self.name.is_empty() {
            body.entry("protocol_version").or_insert_with(|| "0.18.0".into());
            body.insert(
                OURS.into(),
                serde_json::json!({"name": self.name, "version": self.version, "needs": self.needs}),
            );
        }
        Value::Object(body)
    }

    /// Whether a destination keeps the rows of a generation that was not completed, and goes on in it
    /// (`supportsRefreshes`, as Airbyte's registry has it).
    #[must_use]
    pub fn supports_refreshes(&self) -> bool {
        self.extra.get("supportsRefreshes").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether a destination can write in a mode. One that names no mode may or may not: Airbyte
    /// made the member optional, and connectors without it append.
    #[must_use]
    pub fn supports(&self, mode: DestinationSyncMode) -> bool {
        match &self.destination_sync_modes {
            Some(modes) => modes.contains(&mode),
            None => mode == DestinationSyncMode::Append,
        }
    }
}
