//! What a connector says of itself.

use serde_json::{Map, Value};

pub use crate::bindings::types::DestinationSyncMode;
use crate::bindings::types::{Need, RowFormat, Specification};

/// What a connector says of itself; the schema of its configuration is added by the SDK.
///
/// ```
/// use lockgate_sdk::Spec;
///
/// let spec = Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
///     .documentation_url("https://example.com/source-orders")
///     .need("network", "${host}:${port}", "reads orders from the shop's API");
/// # let _ = spec;
/// ```
#[derive(Clone, Debug)]
pub struct Spec {
    name: String,
    version: String,
    documentation_url: Option<String>,
    modes: Vec<DestinationSyncMode>,
    needs: Vec<Need>,
    extra: Map<String, Value>,
}

impl Spec {
    /// A specification with the connector's name and its own SemVer version.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            documentation_url: None,
            modes: Vec::new(),
            needs: Vec::new(),
            extra: Map::new(),
        }
    }

    /// Where the operator reads about the connector.
    #[must_use]
    pub fn documentation_url(mut self, url: impl Into<String>) -> Self {
        self.documentation_url = Some(url.into());
        self
    }

    /// The modes a destination supports; a source gives none.
    #[must_use]
    pub fn modes(mut self, modes: impl IntoIterator<Item = DestinationSyncMode>) -> Self {
        self.modes.extend(modes);
        self
    }

    /// Something the connector asks to reach: `network` with `${host}:${port}`, `directory-read` or
    /// `directory-write` with a guest path, `environment` with a name; each with the reason, in
    /// words for the operator. `${path.in.config}` is filled in from the configuration.
    #[must_use]
    pub fn need(
        mut self,
        capability: impl Into<String>,
        pattern: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        self.needs.push(Need {
            capability: capability.into(),
            pattern: pattern.into(),
            reason: reason.into(),
        });
        self
    }

    /// A member of Airbyte's SPEC that has no method here.
    #[must_use]
    pub fn extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(key.into(), value.into());
        self
    }

    pub(crate) fn into_specification(self, config_schema: String) -> Specification {
        Specification {
            name: self.name,
            version: self.version,
            documentation_url: self.documentation_url,
            config_schema,
            destination_sync_modes: self.modes,
            formats: vec![RowFormat::JsonLines],
            needs: self.needs,
            extra: Value::Object(self.extra).to_string(),
        }
    }
}
