//! Reads the items of a paged HTTP API: the example of a source in Rust.
//!
//! The API answers `GET /items?page=N` with `{"items": [...], "next": "/items?page=2"}`, oldest change
//! first, and takes `updated_since=TIME` to leave out what did not change. A page says where the next
//! one is: `next` is a link, or null at the end; where it is missing, pages are counted until one is
//! empty.

mod pages;
#[cfg(test)]
mod tests;

use lockgate_sdk::{
    Catalog, Failure, Output, SavedState, Source, Spec, Stream, SyncMode, export_source, http,
    retry,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::pages::Pages;

/// Where the API is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Pages")]
pub struct Config {
    /// The API's host.
    #[schemars(title = "Host", example = "api.example")]
    host: String,
    /// The API's port.
    #[serde(default = "https_port")]
    #[schemars(title = "Port")]
    port: u16,
    /// Whether the API speaks HTTPS.
    #[serde(default = "yes")]
    #[schemars(title = "TLS")]
    tls: bool,
    /// A token that is sent with each request, if the API wants one.
    #[schemars(title = "Token", extend("airbyte_secret" = true))]
    token: Option<String>,
}

fn https_port() -> u16 {
    443
}

fn yes() -> bool {
    true
}

/// The only stream there is.
const STREAM: &str = "items";

/// Where a later read goes on: what was changed at this time or later is read again, so nothing that
/// has the same time is left out.
#[derive(Debug, Default, Deserialize, Serialize)]
struct State {
    updated_at: Option<String>,
}

/// The connector.
#[derive(Debug)]
pub struct PagesSource;

impl Source for PagesSource {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).need(
            "network",
            "${host}:${port}",
            "reads the API",
        )
    }

    fn check(config: Config) -> Result<(), Failure> {
        Pages::new(&config, None, retry::Policy::BRIEF)?.next()?;
        Ok(())
    }

    fn discover(_: Config) -> Result<Vec<Stream>, Failure> {
        let schema = json!({
            "type": "object",
            "properties": {
                "id": { "type": "integer" },
                "name": { "type": ["null", "string"] },
                "updated_at": { "type": "string", "format": "date-time" },
            },
        });
        Ok(vec![
            Stream::new(STREAM, schema)
                .incremental()
                .source_defined_cursor(["updated_at"])
                .primary_key([["id"]]),
        ])
    }

    fn read(
        config: Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        for (index, configured) in catalog.streams.iter().enumerate() {
            let descriptor = &configured.descriptor;
            if descriptor.name != STREAM || descriptor.namespace.is_some() {
                return Err(Failure::config(format!("there is no stream `{descriptor}`"))
                    .in_stream(descriptor));
            }
            let incremental = configured.sync_mode == SyncMode::Incremental;
            let mut reached: State = match incremental {
                true => state.stream(descriptor)?.unwrap_or_default(),
                false => State::default(),
            };
            let mut stream = output.stream(index)?;
            let since = reached.updated_at.as_deref();
            let mut pages = Pages::new(&config, since, retry::Policy::default())?;
            while let Some(items) = pages.next()? {
                for item in &items {
                    if item.updated_at > reached.updated_at {
                        reached.updated_at.clone_from(&item.updated_at);
                    }
                    stream.write_with(|data| item.append_to(data))?;
                }
                if incremental && reached.updated_at.is_some() {
                    stream.checkpoint(&reached)?;
                }
            }
            stream.complete()?;
        }
        Ok(())
    }
}

export_source!(PagesSource);

/// The URL of the first page.
fn first_page(config: &Config) -> Result<http::Url, http::Error> {
    let scheme = if config.tls { "https" } else { "http" };
    http::parse_url(&format!("{scheme}://{}:{}/items", config.host, config.port))
}
