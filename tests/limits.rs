//! CPU, memory and time: what a component may use, wherever it is used. Attacks that no Rust guest can
//! make are core modules in WAT.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;
#[path = "common/core.rs"]
mod core;
#[path = "common/ear.rs"]
mod ear;

use std::path::Path;

use lockgate::component::{CompileCache, Component, ComponentRuntime};
use lockgate::protocol::Json;
use lockgate::sandbox::Policy;

use self::common::target;
use self::core::Core;
use self::ear::Ear;

fn load(path: &Path) -> Component {
    let cache = CompileCache::at(&target().join("test-cache"));
    ComponentRuntime::new(Some(cache)).load(path).expect("it is a component")
}

fn run<T>(body: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(body)
}

#[test]
fn a_core_module_is_a_connector() {
    run(async {
        let component = load(&Core::source().build());
        let observer = Ear::new();
        let spec = component.spec(&Policy::default(), observer.clone()).await.expect("a spec");
        assert_eq!((spec.name.as_str(), spec.version.as_str()), ("core", "core"));
        let config = Json::empty_object();
        component.check(&Policy::default(), observer.clone(), &config).await.expect("it is well");
        let streams = component.discover(&Policy::default(), observer, &config).await;
        assert!(streams.expect("streams").is_empty());
        load(&Core::destination().build()).kind().expect("a destination");
    });
}
