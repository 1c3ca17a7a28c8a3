//! A bucket of a test's own.

#![expect(
    clippy::expect_used,
    reason = "a module of a test, which ends where something is missing"
)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use destination_s3::S3;
use lockgate_sdk::retry::Policy;
use lockgate_sdk::testing::{self, DestinationRun, Feed};
use lockgate_sdk::{Catalog, ConfiguredStream, DestinationSyncMode, http};
use s3_client::{Access, Bucket, Condition, Credentials, Secret};
use serde_json::{Value, json};

/// A bucket of a test's own, on the server of the tests.
pub(crate) struct Scene {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) name: String,
    endpoint: String,
    /// Members of the configuration beside those that every one has.
    pub(crate) config: Value,
}

#[expect(clippy::disallowed_methods, reason = "where the services of the tests are")]
fn endpoint() -> String {
    std::env::var("LOCKGATE_TEST_S3").expect(
        "LOCKGATE_TEST_S3 is set: run the tests with scripts/with-test-services, or `make test`",
    )
}

impl Scene {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let (endpoint, name) = (endpoint(), format!("native-{}-{next}", std::process::id()));
        let url = format!("{endpoint}/{name}");
        http::Client::new().put(url).send().and_then(http::Response::success).expect("a bucket");
        let access = Access {
            endpoint: Some(endpoint.clone()),
            region: "us-east-1".to_owned(),
            bucket: name.clone(),
            addressing: None,
            credentials: Credentials {
                access_key_id: "id".to_owned(),
                secret_access_key: Secret::new("t0ps3cret"),
                session_token: None,
            },
        };
        let bucket = Arc::new(Bucket::new(&access, Policy::BRIEF).expect("a bucket"));
        Self { bucket, name, endpoint, config: json!({}) }
    }

    pub(crate) fn config(&self) -> String {
        let mut config = json!({
            "endpoint": self.endpoint, "region": "us-east-1", "bucket": self.name, "prefix": "lake",
            "access_key_id": "id", "secret_access_key": "t0ps3cret", "flush_seconds": 0,
        });
        for (name, value) in self.config.as_object().expect("members") {
            config[name] = value.clone();
        }
        config.to_string()
    }

    pub(crate) fn run(&self, catalog: &Catalog, feed: Feed) -> DestinationRun {
        testing::write::<S3>(&self.config(), catalog, feed)
    }

    #[track_caller]
    pub(crate) fn write(&self, stream: ConfiguredStream, feed: Feed) -> DestinationRun {
        let run = self.run(&testing::catalog([stream]), feed);
        assert_eq!(run.result, Ok(()));
        run
    }

    /// All keys there are.
    pub(crate) fn keys(&self) -> Vec<String> {
        let (mut keys, mut next) = (Vec::new(), None);
        loop {
            let page = self.bucket.list("", next.as_deref()).expect("a list");
            keys.extend(page.items.into_iter().map(|object| object.key));
            next = page.next;
            if next.is_none() {
                return keys;
            }
        }
    }

    /// Keys that hold rows.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut keys = self.keys();
        keys.retain(|key| !key.ends_with("_manifest.json"));
        keys
    }

    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.bucket.get(key, 64 << 20).expect("it can be read").expect("it is there").body
    }

    pub(crate) fn put(&self, key: &str, body: &str) {
        let body = body.as_bytes();
        self.bucket.put(key, body, "text/plain", &Condition::None).expect("it can be written");
    }

    pub(crate) fn manifest(&self, stream: &str) -> Value {
        let text = self.get(&format!("lake/{stream}/_manifest.json"));
        serde_json::from_slice(&text).expect("a manifest is JSON")
    }

    /// Keys that a reader finds through the manifest.
    pub(crate) fn named(&self, stream: &str) -> Vec<String> {
        let manifest = self.manifest(stream);
        let objects = manifest["objects"].as_array().expect("objects");
        let key = |entry: &Value| entry["key"].as_str().expect("a key").to_owned();
        objects.iter().map(key).collect()
    }

    /// There is no object with rows but those that the manifest names.
    #[track_caller]
    pub(crate) fn assert_all_named(&self, stream: &str) {
        let mut named = self.named(stream);
        named.sort();
        assert_eq!(self.objects(), named);
    }

    /// What a reader finds through the manifest, of JSON lines.
    pub(crate) fn rows(&self, stream: &str) -> Vec<String> {
        let mut text = String::new();
        for key in self.named(stream) {
            let body = self.get(&key);
            let read = if key.ends_with(".gz") {
                flate2::read::MultiGzDecoder::new(&*body).read_to_string(&mut text)
            } else {
                (&*body).read_to_string(&mut text)
            };
            read.expect("it is text");
        }
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// Rows of each object, by the manifest.
    pub(crate) fn counts(&self, stream: &str) -> BTreeMap<String, u64> {
        let manifest = self.manifest(stream);
        let objects = manifest["objects"].as_array().expect("objects");
        let count = |entry: &Value| {
            let key = entry["key"].as_str().expect("a key").to_owned();
            (key, entry["rows"].as_u64().expect("a number"))
        };
        objects.iter().map(count).collect()
    }
}

/// A stream of a generation that keeps, or that replaces others.
pub(crate) fn stream(name: &str, generation: u64, replaces: bool) -> ConfiguredStream {
    ConfiguredStream {
        generation_id: generation,
        minimum_generation_id: if replaces { generation } else { 0 },
        json_schema: r#"{"properties":{"n":{"type":"integer"},"t":{"type":"string"}}}"#.to_owned(),
        ..testing::stream(name)
    }
}

/// As hosts ask it of destinations that know no generations.
pub(crate) fn overwritten(name: &str, generation: u64) -> ConfiguredStream {
    ConfiguredStream {
        destination_sync_mode: DestinationSyncMode::Overwrite,
        ..stream(name, generation, generation != 0)
    }
}

/// Rows with these numbers.
pub(crate) fn numbers(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!(r#"{{"n":{n}}}"#)).collect()
}
