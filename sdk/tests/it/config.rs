//! A configuration that does not fit is told without its values.

use lockgate_sdk::testing;
use lockgate_sdk::{Catalog, Failure, FailureKind, Output, SavedState, Source, Spec, Stream};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    #[expect(dead_code, reason = "only its type matters")]
    host: String,
    #[serde(default)]
    #[expect(dead_code, reason = "only its type matters")]
    port: Option<u16>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its type matters")]
    tables: Vec<Table>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its type matters")]
    login: Option<Login>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Table {
    #[expect(dead_code, reason = "only its type matters")]
    columns: Vec<Column>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Column {
    Text,
    Number(#[expect(dead_code, reason = "only its type matters")] u8),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "method")]
enum Login {
    Password {
        #[expect(dead_code, reason = "only its type matters")]
        password: String,
    },
    None,
}

struct Configured;

impl Source for Configured {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new("source-configured", "1.0.0")
    }

    fn check(_: Config) -> Result<(), Failure> {
        Ok(())
    }

    fn discover(_: Config) -> Result<Vec<Stream>, Failure> {
        Ok(Vec::new())
    }

    fn read(_: Config, _: &Catalog, _: &SavedState, _: &mut Output<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
fn failures_name_the_place_and_the_kind_only() {
    let cases = [
        (r#"{"host":"h","port":"hunter2"}"#, "the configuration: `port` is a string, not u16"),
        (
            r#"{"host":"h","port":70001}"#,
            "the configuration: `port` is an integer out of range, not u16",
        ),
        (r#"{"host":{"hunter2":1}}"#, "the configuration: `host` is an object, not a string"),
        (r#"{"host":null}"#, "the configuration: `host` is null, not a string"),
        (
            r#"{"host":"h","prot":1}"#,
            "the configuration has a member `prot` that is not one of `host`, `port`, `tables`, `login`",
        ),
        (r#"{"port":1}"#, "the configuration has no member `host`"),
        (
            r#"{"host":"h","tables":[{"columns":["text"]},{"columns":["text","hunter2"]}]}"#,
            "the configuration: `tables[1].columns[1]` is not one of `text`, `number`",
        ),
        (
            r#"{"host":"h","tables":[{"columns":[{"number":"hunter2"}]}]}"#,
            "the configuration: `tables[0].columns[0].number` is a string, not u8",
        ),
        (
            r#"{"host":"h","login":{"method":"Password","password":70001}}"#,
            "the configuration: `login` is an integer, not a string",
        ),
        (r#"["hunter2"]"#, "the configuration is an array, not an object"),
        (r#"{"host":hunter2}"#, "the configuration is not JSON: line 1, column 9"),
    ];
    for (config, message) in cases {
        let failure = lockgate_sdk::source::check::<Configured>(config).expect_err(config);
        assert_eq!(failure.message, message);
        assert_eq!(failure.kind, FailureKind::Config);
        let told = format!("{failure:?}");
        assert!(!told.contains("hunter2") && !told.contains("70001"), "{told}");
    }
}

#[test]
fn what_fits_is_read() {
    let config = r#"{"host":"h","port":5432,"tables":[{"columns":["text",{"number":3}]}],
        "login":{"method":"Password","password":"hunter2"}}"#;
    assert_eq!(lockgate_sdk::source::check::<Configured>(config), Ok(()));
    let run = testing::read::<Configured>(
        r#"{"host":"h","port":null,"login":{"method":"None"}}"#,
        &testing::catalog([]),
        Vec::new(),
    );
    assert_eq!(run.result, Ok(()));
}
