//! Everything that components of one process share. A test of its own, as it uses all of it.

mod common;
#[path = "common/core.rs"]
mod core;
#[path = "common/ear.rs"]
mod ear;

use lockgate::component::{CompileCache, Component, ComponentRuntime};
use lockgate::fault::Fault;
use lockgate::protocol::Json;
use lockgate::sandbox::Policy;

use self::common::target;
use self::core::{Core, with_instances};
use self::ear::Ear;

async fn check(component: Component) -> &'static str {
    let config = Json::empty_object();
    let result = component.check(&Policy::default(), Ear::new(), &config).await;
    result.map_or_else(|error| error.code(), |()| "ok")
}

#[test]
fn one_component_too_many_is_told_so() {
    let cache = CompileCache::at(&target().join("test-cache"));
    let runtime = ComponentRuntime::new(Some(cache));
    let plain = Core::source();
    let naps = Core {
        imports: r#"
          (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
            (func $subscribe (param i64) (result i32)))
          (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#
            .into(),
        check: "(call $block (call $subscribe (i64.const 1500000000))) i32.const 0".into(),
        ..plain.clone()
    };
    let naps = naps.build_with("import wasi:clocks/monotonic-clock@0.2.0;");
    // As many memories as one may have.
    let greedy = with_instances(&naps, "(module (memory 1))", 7);
    let load = |path| runtime.load(path).expect("a component");
    let (plain, naps, greedy) = (load(&plain.build()), load(&naps), load(&greedy));
    let tokio = tokio::runtime::Runtime::new().expect("a runtime");
    tokio.block_on(async {
        let start = |component: &Component, count: usize| -> Vec<_> {
            (0..count).map(|_| tokio::spawn(check(component.clone()))).collect()
        };
        let ended = async |tasks: Vec<tokio::task::JoinHandle<&'static str>>| {
            let mut codes = std::collections::BTreeMap::new();
            for task in tasks {
                *codes.entry(task.await.expect("it ends")).or_insert(0) += 1;
            }
            codes
        };
        let codes = ended(start(&naps, 80)).await;
        assert_eq!(codes.get("ok"), Some(&64), "{codes:?}");
        assert_eq!(codes.get("LIMIT_COMPONENTS"), Some(&16), "{codes:?}");
        assert_eq!(check(plain.clone()).await, "ok");

        // Twenty that take all they can get leave room for their neighbours.
        let tasks = start(&greedy, 20);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        for _ in 0..20 {
            assert_eq!(check(plain.clone()).await, "ok");
        }
        let codes = ended(tasks).await;
        assert_eq!(codes.get("ok"), Some(&20), "{codes:?}");
    });
}
