//! The configuration.

use std::fmt;
use std::time::Duration;

use lockgate_sdk::Failure;
use row_files::{Compression, Format, Numbers, Options};
use s3_client::{Access, Addressing, Credentials, MAX_PARTS, MIN_PART_BYTES, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::key;

/// The largest part: it is held in memory, and once more while it is sent.
const MAX_PART_BYTES: usize = 32 << 20;

/// The least that objects may be meant to have: smaller ones are for tests only, and cost a request each.
const MIN_OBJECT_BYTES: u64 = 64 << 10;

/// The bucket, and what the objects are like.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "S3")]
pub struct Config {
    /// The service's URL, without a path. Without it, AWS in the region.
    #[serde(default)]
    #[schemars(
        title = "Endpoint",
        regex(pattern = "^https?://"),
        example = "https://s3.example.com"
    )]
    pub(crate) endpoint: Option<String>,
    /// The region the bucket is in. Services of one's own mostly take `us-east-1`.
    #[schemars(title = "Region", length(min = 1), example = "eu-central-1")]
    pub(crate) region: String,
    /// The bucket.
    #[schemars(title = "Bucket", length(min = 3, max = 63))]
    pub(crate) bucket: String,
    /// What the keys of all objects begin with, as `FOLDER` or `FOLDER/FOLDER`.
    #[serde(default)]
    #[schemars(title = "Prefix", example = "lake/shop")]
    pub(crate) prefix: String,
    /// The access key's id.
    #[schemars(title = "Access key id", length(min = 1))]
    pub(crate) access_key_id: String,
    /// The access key's secret.
    #[schemars(title = "Secret access key", length(min = 1), extend("airbyte_secret" = true))]
    pub(crate) secret_access_key: Secret,
    /// The session token that comes with keys which end.
    #[serde(default)]
    #[schemars(title = "Session token", extend("airbyte_secret" = true))]
    pub(crate) session_token: Option<Secret>,
    /// Where URLs have the bucket. Without it: in the host at AWS, in the path at an endpoint.
    #[serde(default)]
    #[schemars(title = "Addressing", with = "Addressing")]
    pub(crate) addressing: Option<Addressing>,
    /// The kind of the objects.
    #[serde(default)]
    #[schemars(title = "Format")]
    pub(crate) format: Format,
    /// How JSON lines and CSV are compressed. Parquet always is, by Snappy.
    #[serde(default)]
    #[schemars(title = "Compression")]
    pub(crate) compression: Compression,
    /// What holds a number that may have a fraction, in Parquet.
    #[serde(default)]
    #[schemars(title = "Numbers")]
    pub(crate) numbers: Numbers,
    /// Whether CSV and Parquet have the columns of the platform, `_airbyte_…`.
    #[serde(default = "default_metadata")]
    #[schemars(title = "Metadata columns")]
    pub(crate) metadata: bool,
    /// Bytes of an object at which the next one is begun. Objects are smaller where little comes.
    #[serde(default = "default_object_bytes")]
    #[schemars(title = "Object size", range(min = 65_536))]
    pub(crate) object_bytes: u64,
    /// Bytes that are sent at once of an object that is larger: so much of each open object is held in
    /// memory. S3 takes no less than 5 MiB.
    #[serde(default = "default_part_bytes")]
    #[schemars(title = "Part size", range(min = 5_242_880, max = 33_554_432))]
    pub(crate) part_bytes: usize,
    /// While little comes, seconds from one object to the next of a stream.
    #[serde(default = "default_flush_seconds")]
    #[schemars(title = "Flush interval", range(max = 3600))]
    pub(crate) flush_seconds: u64,
}

fn default_metadata() -> bool {
    true
}

/// What readers of Parquet like best; a sync that fails does no more than so much again.
fn default_object_bytes() -> u64 {
    128 << 20
}

/// Few requests, and little memory.
fn default_part_bytes() -> usize {
    8 << 20
}

/// A day of a source that never rests is 8,640 objects at most.
fn default_flush_seconds() -> u64 {
    10
}

impl Config {
    /// Refuses what cannot be meant.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.options().check()?;
        key::check_prefix(&self.prefix)?;
        if !(MIN_PART_BYTES..=MAX_PART_BYTES).contains(&self.part_bytes) {
            return Err(Failure::config(format!(
                "`part_bytes` is {}: it is from {MIN_PART_BYTES} to {MAX_PART_BYTES}",
                self.part_bytes
            )));
        }
        // Half of it: an object ends behind the batch that fills it.
        let most = (self.part_bytes as u64) * (MAX_PARTS as u64) / 2;
        if !(MIN_OBJECT_BYTES..=most).contains(&self.object_bytes) {
            return Err(Failure::config(format!(
                "`object_bytes` is {}: with this `part_bytes` it is from {MIN_OBJECT_BYTES} to {most}",
                self.object_bytes
            )));
        }
        let hour = 3600;
        if self.flush_seconds > hour {
            return Err(Failure::config(format!(
                "`flush_seconds` is {}: it is {hour} at most",
                self.flush_seconds
            )));
        }
        Ok(())
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            format: self.format,
            compression: self.compression,
            numbers: self.numbers,
            metadata: self.metadata,
        }
    }

    pub(crate) fn flush_interval(&self) -> Duration {
        Duration::from_secs(self.flush_seconds)
    }

    pub(crate) fn access(&self) -> Access {
        Access {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            bucket: self.bucket.clone(),
            addressing: self.addressing,
            credentials: Credentials {
                access_key_id: self.access_key_id.clone(),
                secret_access_key: self.secret_access_key.clone(),
                session_token: self.session_token.clone(),
            },
        }
    }
}

/// Without the secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use lockgate_sdk::{FailureKind, destination};
    use serde_json::{Value, json};

    use super::*;
    use crate::S3;

    fn config(members: &Value) -> Config {
        let mut config = json!({
            "region": "us-east-1", "bucket": "shop", "access_key_id": "id",
            "secret_access_key": "t0ps3cret", "session_token": "t0k3n",
        });
        for (name, value) in members.as_object().expect("members") {
            config[name] = value.clone();
        }
        serde_json::from_value(config).expect("it is a configuration")
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(config(&json!({})).check(), Ok(()));
        for (members, reason) in [
            (json!({"part_bytes": 5_242_879}), "`part_bytes` is 5242879"),
            (json!({"part_bytes": 33_554_433}), "`part_bytes` is 33554433"),
            (json!({"object_bytes": 65_535}), "`object_bytes` is 65535"),
            (json!({"object_bytes": 1_u64 << 50}), "`object_bytes` is"),
            (json!({"flush_seconds": 3601}), "`flush_seconds` is 3601"),
            (json!({"prefix": "a/../b"}), "`prefix`"),
            (json!({"format": "parquet", "compression": "gzip"}), "`compression` is gzip"),
        ] {
            let failure = config(&members).check().expect_err(reason);
            assert_eq!(failure.kind, FailureKind::Config);
            assert!(failure.message.contains(reason), "{}", failure.message);
        }
    }

    #[test]
    fn secrets_are_marked_and_not_shown() {
        let config = config(&json!({}));
        for text in [format!("{config:?}"), format!("{:?}", config.access())] {
            assert!(!text.contains("t0ps3cret") && !text.contains("t0k3n"), "{text}");
        }
        let spec = destination::spec::<S3>();
        let schema: Value = serde_json::from_str(&spec.config_schema).expect("a schema is JSON");
        for secret in ["secret_access_key", "session_token"] {
            assert_eq!(schema["properties"][secret]["airbyte_secret"], true, "{schema}");
        }
        let required = json!(["region", "bucket", "access_key_id", "secret_access_key"]);
        assert_eq!(schema["required"], required);
        assert_eq!(schema["additionalProperties"], false);
    }
}
