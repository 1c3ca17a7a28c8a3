//! What a connector says of itself.

use lockgate_sdk::bindings::types::RowFormat;
use lockgate_sdk::{
    Catalog, Destination, DestinationSyncMode, Failure, Input, Output, SavedState, Source, Spec,
    Stream, SyncMode, destination, source,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where it is.
    #[expect(dead_code, reason = "only its type matters")]
    server: Server,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Server {
    /// Opens the door.
    #[schemars(extend("airbyte_secret" = true))]
    #[expect(dead_code, reason = "only its type matters")]
    password: String,
}

struct Both;

impl Source for Both {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new("both", "1.2.3")
            .documentation_url("https://example.com")
            .need("network", "${server.host}:443", "reads from it")
            .extra("protocol_version", "0.2.0")
    }

    fn check(_: Config) -> Result<(), Failure> {
        Ok(())
    }

    fn discover(_: Config) -> Result<Vec<Stream>, Failure> {
        Ok(vec![
            Stream::new("plain", json!({})),
            Stream::new("full", json!({ "type": "object" }))
                .namespace("shop")
                .incremental()
                .resumable()
                .source_defined_cursor(["meta", "at"])
                .primary_key([["a"], ["b"]])
                .extra("is_file_based", true),
        ])
    }

    fn read(_: Config, _: &Catalog, _: &SavedState, _: &mut Output<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Destination for Both {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new("both", "1.2.3").modes([DestinationSyncMode::Append])
    }

    fn check(_: Config) -> Result<(), Failure> {
        Ok(())
    }

    fn write(_: Config, _: &Catalog, _: &mut Input<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

// Both can be exported: outside a component the macros only check the type.
lockgate_sdk::export_source!(Both);
lockgate_sdk::export_destination!(Both);

#[test]
fn a_specification_holds_what_was_said() {
    let spec = source::spec::<Both>();
    assert_eq!((&*spec.name, &*spec.version), ("both", "1.2.3"));
    assert_eq!(spec.documentation_url.as_deref(), Some("https://example.com"));
    assert_eq!(spec.formats, [RowFormat::JsonLines]);
    assert_eq!(spec.destination_sync_modes, []);
    assert_eq!(spec.needs[0].pattern, "${server.host}:443");
    assert_eq!(spec.extra, r#"{"protocol_version":"0.2.0"}"#);
    let spec = destination::spec::<Both>();
    assert_eq!(spec.destination_sync_modes, [DestinationSyncMode::Append]);
}

#[test]
fn the_schema_is_draft_07_without_references() {
    let spec = source::spec::<Both>();
    let schema: Value = serde_json::from_str(&spec.config_schema).expect("a schema is JSON");
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(schema["additionalProperties"], false);
    let password = &schema["properties"]["server"]["properties"]["password"];
    assert_eq!(password["airbyte_secret"], true);
    assert_eq!(password["description"], "Opens the door.");
    assert!(!spec.config_schema.contains("$ref"), "{schema}");
}

#[test]
fn discovered_streams_hold_what_was_said() {
    let streams = source::discover::<Both>(r#"{"server":{"password":"p"}}"#).expect("it is there");
    let [plain, full] = &streams[..] else {
        panic!("{streams:?}");
    };
    assert_eq!(plain.descriptor.namespace, None);
    assert_eq!(plain.sync_modes, [SyncMode::FullRefresh]);
    assert_eq!(plain.extra, "{}");
    assert_eq!(full.descriptor.to_string(), "shop.full");
    assert_eq!(full.sync_modes, [SyncMode::FullRefresh, SyncMode::Incremental]);
    assert_eq!(full.default_cursor_field, ["meta", "at"]);
    assert_eq!(full.source_defined_primary_key, [["a"], ["b"]]);
    assert!(full.source_defined_cursor && full.resumable);
    assert_eq!(full.extra, r#"{"is_file_based":true}"#);
}
