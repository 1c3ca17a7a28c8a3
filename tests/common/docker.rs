//! A real container engine, and the image that misbehaves as it is told.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

#[path = "ear.rs"]
mod ear;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate::Connector;
use lockgate::component::SystemResolver;
use lockgate::executor::{DockerExecutor, DockerSettings, Executor};
use lockgate::protocol::Json;
use lockgate::sandbox::Policy;
use serde_json::Value;

use ear::Ear;

/// The image of `tests/images/misbehaving`.
pub const IMAGE: &str = "lockgate-test/misbehaving:1";

/// Where the engine of the tests is.
pub fn engine() -> String {
    #[expect(clippy::disallowed_methods, reason = "where the tests' engine is")]
    let named = std::env::var("LOCKGATE_TEST_DOCKER").ok().filter(|text| !text.is_empty());
    named.unwrap_or_else(|| {
        panic!(
            "these tests need a container engine with their images: run them in \
             scripts/with-test-services, or set LOCKGATE_TEST_DOCKER after scripts/engine start and \
             scripts/build-test-images"
        )
    })
}

/// Runs the engine's own command line.
pub fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(["--host", &engine()]).args(arguments).output().expect("docker")
}

/// The same, for what must succeed. Gives its output.
pub fn docker_ok(arguments: &[&str]) -> String {
    let output = docker(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A connector of the image, whose containers are told from those of other tests.
pub struct Contained {
    pub settings: DockerSettings,
    pub policy: Policy,
    pub heard: Arc<Ear>,
    mark: String,
}

impl Contained {
    pub fn new(name: &str) -> Self {
        let mark = format!("LOCKGATE_TEST_MARK={name}-{}", std::process::id());
        let mut policy = Policy::default();
        policy.allow_env(&mark).expect("a variable");
        // The image is a shell, and the machine may be busy.
        policy.limits.container_memory = 256 << 20;
        policy.limits.stop_time = Duration::from_secs(2);
        let settings = DockerSettings { image: IMAGE.into(), writable_root: false, pull: false };
        Self { settings, policy, heard: Arc::default(), mark }
    }

    /// The variable that tells its containers from others.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    pub fn executor(&self) -> DockerExecutor {
        DockerExecutor::new(self.settings.clone(), self.policy.clone(), Arc::new(SystemResolver))
            .expect("an executor")
            .at(&engine())
    }

    pub fn connector(&self, config: &str) -> Connector {
        let executor: Arc<dyn Executor> = Arc::new(self.executor());
        let config = Json::parse(config.to_owned()).expect("a configuration");
        Connector::new("contained", executor, config, self.heard.clone())
    }

    /// Lets it try a configuration.
    pub fn check(&self, config: &str) -> Result<(), lockgate::connector::ConnectorError> {
        block_on(self.connector(config).try_config())
    }

    /// The containers of this test that are there.
    pub fn containers(&self) -> Vec<Value> {
        let ids = docker_ok(&["ps", "--all", "--quiet", "--filter", "label=io.lockgate.run"]);
        let mut found = Vec::new();
        for id in ids.split_whitespace() {
            // Another test's may be gone by now.
            let output = docker(&["inspect", id]);
            let Ok(Value::Array(list)) = serde_json::from_slice(&output.stdout) else { continue };
            found.extend(
                list.into_iter().filter(|c| c["Config"]["Env"].to_string().contains(&self.mark)),
            );
        }
        found
    }

    /// The one container of this test, once it runs.
    pub fn running(&self) -> Value {
        let start = Instant::now();
        loop {
            let found = self.containers();
            if let Some(container) = found.iter().find(|c| c["State"]["Running"] == true) {
                return container.clone();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it does not run: {found:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Nothing of this test is left on the engine.
    pub fn nothing_left(&self) {
        let left = self.containers();
        assert!(left.is_empty(), "{left:#?}");
    }

    /// The same, where the removal is nobody's to wait for.
    pub fn nothing_left_soon(&self) {
        let start = Instant::now();
        while !self.containers().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(60), "{:#?}", self.containers());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// A folder that the image's user may write to.
pub fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path).expect("a folder");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("a mode");
}
