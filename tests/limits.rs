//! CPU, memory and time: what a component may use, wherever it is used. Attacks that no Rust guest can
//! make are core modules in WAT. After each, the same process runs a healthy component.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;
#[path = "common/core.rs"]
mod core;
#[path = "common/ear.rs"]
mod ear;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lockgate::component::{CompileCache, Component, ComponentError, ComponentRuntime};
use lockgate::executor::{ComponentExecutor, Context, Executor, ProcessExecutor};
use lockgate::fault::Fault;
use lockgate::protocol::{
    Catalog, Commit, Decision, DestinationInput, Event, Failure, Json, LogLevel, Observer, Rows,
    SourceOutput, StateMessage, StreamStatus,
};
use lockgate::sandbox::{Limits, Policy};

use self::common::{Folder, target};
use self::core::{Core, with_instances};
use self::ear::Ear;

const LOOP: &str = "(loop $forever (br $forever)) unreachable";
const LOG: &str =
    r#"(import "lockgate:connector/logging@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
const STDOUT: &str = r#"
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.write"
    (func $write (param i32 i32 i32 i32)))"#;
const STDOUT_IMPORT: &str = "import wasi:cli/stdout@0.2.0;";
const WAIT: &str = r#"
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
    (func $subscribe (param i64) (result i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;
const WAIT_IMPORT: &str = "import wasi:clocks/monotonic-clock@0.2.0;";

fn load(path: &Path) -> Component {
    try_load(path).expect("it is a component")
}

fn try_load(path: &Path) -> Result<Component, ComponentError> {
    let cache = CompileCache::at(&target().join("test-cache"));
    ComponentRuntime::new(Some(cache)).load(path)
}

fn run<T>(body: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(body)
}

fn policy(limits: Limits) -> Policy {
    Policy { limits, ..Policy::default() }
}

/// Short deadlines.
fn hurried() -> Policy {
    let short = Duration::from_millis(300);
    let sync_time = Some(short);
    policy(Limits { spec_time: short, check_time: short, sync_time, ..Limits::default() })
}

struct Nowhere;

#[async_trait]
impl SourceOutput for Nowhere {
    async fn emit(&self, _: Rows) -> Result<(), Failure> {
        Ok(())
    }

    async fn checkpoint(&self, _: StateMessage) -> Result<u64, Failure> {
        Ok(1)
    }

    async fn status(&self, _: u32, _: StreamStatus) -> Result<(), Failure> {
        Ok(())
    }

    fn estimate(&self, _: u32, _: Option<u64>, _: Option<u64>) {}
}

#[async_trait]
impl DestinationInput for Nowhere {
    async fn next(&self) -> Result<Option<Event>, Failure> {
        Ok(None)
    }

    async fn committed(&self, _: Vec<Commit>) -> Result<(), Failure> {
        Ok(())
    }
}

fn no_streams() -> Catalog {
    Catalog { streams: Vec::new() }
}

/// Runs one operation by its name.
async fn operate(
    component: &Component,
    operation: &str,
    policy: &Policy,
    ear: Arc<dyn Observer>,
) -> Result<(), ComponentError> {
    let (config, catalog) = (Json::empty_object(), no_streams());
    match operation {
        "spec" => component.spec(policy, ear).await.map(|_| ()),
        "check" => component.check(policy, ear, &config).await,
        "discover" => component.discover(policy, ear, &config).await.map(|_| ()),
        "read" => component.read(policy, ear, &config, &catalog, &[], Arc::new(Nowhere)).await,
        _ => component.write(policy, ear, &config, &catalog, Arc::new(Nowhere)).await,
    }
}

async fn check(component: &Component, policy: &Policy) -> (Result<(), ComponentError>, Arc<Ear>) {
    let ear = Ear::new();
    (operate(component, "check", policy, ear.clone()).await, ear)
}

async fn assert_healthy() {
    let (result, _) = check(&load(&Core::source().build()), &Policy::default()).await;
    result.expect("a healthy component is served");
}

fn code(result: &Result<(), ComponentError>) -> &'static str {
    result.as_ref().map_or_else(Fault::code, |()| "ok")
}

#[test]
fn a_core_module_is_a_connector() {
    run(async {
        let source = load(&Core::source().build());
        let spec = source.spec(&Policy::default(), Ear::new()).await.expect("a spec");
        assert_eq!((spec.name.as_str(), spec.version.as_str()), ("core", "core"));
        for operation in ["spec", "check", "discover", "read"] {
            let done = operate(&source, operation, &Policy::default(), Ear::new()).await;
            assert_eq!(code(&done), "ok", "{operation}: {done:?}");
        }
        let destination = load(&Core::destination().build());
        let done = operate(&destination, "write", &Policy::default(), Ear::new()).await;
        assert_eq!(code(&done), "ok", "{done:?}");
    });
}

#[test]
fn a_loop_ends_wherever_it_is() {
    let source = Core::source;
    let body = || LOOP.to_owned();
    // The host lowers a failure into the guest: that calls `realloc` in the middle of a host call.
    let result_realloc = Core {
        imports: r#"(import "lockgate:connector/control@0.1.0" "update-config"
            (func $update (param i32 i32 i32)))"#
            .into(),
        fields: "(global $armed (mut i32) (i32.const 0))".into(),
        realloc: format!("(if (global.get $armed) (then {LOOP}))"),
        check: "(global.set $armed (i32.const 1))
            (call $update (i32.const 4200) (i32.const 4) (i32.const 104)) i32.const 0"
            .into(),
        ..source()
    };
    let cases = [
        ("start", "check", Core { fields: format!("(func $s {LOOP}) (start $s)"), ..source() }),
        ("spec", "spec", Core { spec: body(), ..source() }),
        ("check", "check", Core { check: body(), ..source() }),
        ("discover", "discover", Core { discover: body(), ..source() }),
        ("read", "read", Core { read: body(), ..source() }),
        ("write", "write", Core { read: body(), ..Core::destination() }),
        ("realloc of arguments", "check", Core { realloc: body(), ..source() }),
        ("realloc of a result", "check", result_realloc),
        ("post-return", "check", Core { after_check: LOOP.into(), ..source() }),
        (
            "host calls",
            "check",
            Core {
                imports: LOG.into(),
                check: "(loop $l (call $log (i32.const 0) (i32.const 0) (i32.const 0)) (br $l))
                    unreachable"
                    .into(),
                ..source()
            },
        ),
    ];
    run(async {
        for (place, operation, core) in cases {
            let component = load(&core.build());
            let (began, ear) = (Instant::now(), Ear::new());
            let result = operate(&component, operation, &hurried(), ear.clone()).await;
            assert_eq!(code(&result), "LIMIT_TIME", "{place}: {result:?}");
            let took = began.elapsed();
            assert!(took < Duration::from_secs(5), "{place} took {took:?}");
            let name = if operation == "spec" { "spec-time" } else { "-time" };
            let denied = ear.decisions();
            assert!(
                denied.iter().any(|d| d.starts_with("deny limit ") && d.contains(name)),
                "{denied:?}"
            );
            assert_healthy().await;
        }
    });
}

#[test]
fn a_loop_in_a_destructor_ends() {
    let core = Core {
        imports: r#"
          (import "[export]lockgate:attack/things" "[resource-new]thing"
            (func $new (param i32) (result i32)))
          (import "[export]lockgate:attack/things" "[resource-drop]thing" (func $drop (param i32)))"#
            .into(),
        fields: format!(
            r#"(func (export "lockgate:attack/things#[dtor]thing") (param i32) {LOOP})"#
        ),
        check: "(call $drop (call $new (i32.const 1))) i32.const 0".into(),
        ..Core::source()
    };
    run(async {
        let component = load(&core.build_with("export things;"));
        let (result, _) = check(&component, &hurried()).await;
        assert_eq!(code(&result), "LIMIT_TIME", "{result:?}");
        assert_healthy().await;
    });
}

#[test]
fn waiting_ends_too() {
    // Nobody will ever wake it.
    let forever = Core {
        imports: WAIT.into(),
        check: "(call $block (call $subscribe (i64.const -1))) i32.const 0".into(),
        ..Core::source()
    };
    run(async {
        let began = Instant::now();
        let (result, _) = check(&load(&forever.build_with(WAIT_IMPORT)), &hurried()).await;
        assert_eq!(code(&result), "LIMIT_TIME", "{result:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_healthy().await;
    });
}

#[test]
fn cpu_time_is_counted_and_waiting_is_not() {
    let limits = Limits { cpu_time: Some(Duration::from_millis(200)), ..Limits::default() };
    let policy = policy(limits);
    let spin = || LOOP.to_owned();
    run(async {
        for (operation, core) in [
            ("spec", Core { spec: spin(), ..Core::source() }),
            ("check", Core { check: spin(), ..Core::source() }),
            ("discover", Core { discover: spin(), ..Core::source() }),
            ("read", Core { read: spin(), ..Core::source() }),
            ("write", Core { read: spin(), ..Core::destination() }),
            ("check", Core { fields: format!("(func $s {LOOP}) (start $s)"), ..Core::source() }),
        ] {
            let (began, ear) = (Instant::now(), Ear::new());
            let result = operate(&load(&core.build()), operation, &policy, ear.clone()).await;
            assert_eq!(code(&result), "LIMIT_CPU", "{operation}: {result:?}");
            let hint = result.err().and_then(|e| e.hint()).unwrap_or_default();
            assert!(hint.contains("--limit cpu-time="), "{hint}");
            assert!(began.elapsed() < Duration::from_secs(5));
            assert_eq!(ear.decisions(), ["deny limit cpu-time limit cpu-time"]);
            assert_healthy().await;
        }
        // A second in naps of 50 ms, each longer than a tick.
        let naps = Core {
            imports: WAIT.into(),
            check: "(local $n i32) (loop $l
                (call $block (call $subscribe (i64.const 50000000)))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $l (i32.lt_u (local.get $n) (i32.const 20))))
                i32.const 0"
                .into(),
            ..Core::source()
        };
        let (result, _) = check(&load(&naps.build_with(WAIT_IMPORT)), &policy).await;
        assert_eq!(code(&result), "ok", "{result:?}");
    });
}

#[test]
fn recursion_and_memory_have_an_end() {
    let small = policy(Limits { memory_bytes: 4 << 20, ..Limits::default() });
    let recursion = Core {
        fields: "(func $deep (param i32) (result i32)
            (i32.add (i32.const 1) (call $deep (local.get 0))))"
            .into(),
        check: "(call $deep (i32.const 0))".into(),
        ..Core::source()
    };
    let steps = "(block $full (loop $l
        (br_if $full (i32.eq (memory.grow (i32.const 1)) (i32.const -1))) (br $l)))";
    let trap = Core { check: format!("{steps} unreachable"), ..Core::source() };
    let content = Core {
        check: format!(
            "{steps} (if (i32.gt_u (memory.size) (i32.const 64)) (then unreachable))
             (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))
             i32.const 0"
        ),
        ..Core::source()
    };
    let at_once = Core { memory: "2000".into(), ..Core::source() };
    let tables = Core {
        fields: "(table $t 1 funcref)".into(),
        check: "(if (i32.ne (table.grow $t (ref.null func) (i32.const -1)) (i32.const -1))
                (then unreachable))
            (if (i32.ne (table.grow $t (ref.null func) (i32.const 300000)) (i32.const -1))
                (then unreachable))
            (drop (table.grow $t (ref.null func) (i32.const 1000))) i32.const 0"
            .into(),
        ..Core::source()
    };
    run(async {
        for (what, core, expected) in [
            ("recursion", recursion, "CONNECTOR_TRAP"),
            ("growing until there is none", trap, "LIMIT_MEMORY"),
            ("growing and being content", content, "ok"),
            ("more than the limit at once", at_once, "LIMIT_MEMORY"),
            ("growing tables", tables, "ok"),
        ] {
            let (result, _) = check(&load(&core.build()), &small).await;
            assert_eq!(code(&result), expected, "{what}: {result:?}");
            assert_healthy().await;
        }
    });
}

#[test]
fn instances_memories_and_tables_are_counted() {
    let plain = Core::source().build();
    run(async {
        for (what, module, count, expected) in [
            ("instances", "(module)", 100, "ok"),
            ("instances", "(module)", 200, "LIMIT_INSTANCES"),
            ("memories", "(module (memory 1))", 7, "ok"),
            ("memories", "(module (memory 1))", 8, "COMPONENT_INVALID"),
            ("memories", "(module (memory 4096))", 2, "LIMIT_MEMORY"),
            ("tables", "(module (table 10 funcref))", 30, "ok"),
            ("tables", "(module (table 10 funcref))", 100, "COMPONENT_INVALID"),
            ("tables", "(module (table 250000 funcref))", 1, "LIMIT_TABLE"),
            ("tables", "(module (table 4000000000 funcref))", 1, "COMPONENT_INVALID"),
            ("instances", "(module)", 1000, "COMPONENT_INVALID"),
        ] {
            let result = match try_load(&with_instances(&plain, module, count)) {
                Ok(component) => check(&component, &Policy::default()).await.0,
                Err(error) => Err(error),
            };
            assert_eq!(code(&result), expected, "{count} {what}: {result:?}");
            assert_healthy().await;
        }
    });
}

#[test]
fn handles_are_counted() {
    let flood = |imports: &str, call: &str| Core {
        imports: imports.into(),
        check: format!("(loop $l (drop {call}) (br $l)) unreachable"),
        ..Core::source()
    };
    run(async {
        for (core, import) in [
            (flood(STDOUT, "(call $stdout)"), STDOUT_IMPORT),
            (flood(WAIT, "(call $subscribe (i64.const 1))"), WAIT_IMPORT),
        ] {
            let (result, ear) = check(&load(&core.build_with(import)), &Policy::default()).await;
            assert_eq!(code(&result), "LIMIT_HANDLES", "{result:?}");
            assert_eq!(ear.decisions(), ["deny limit handles limit handles"]);
            assert_healthy().await;
        }
    });
}

#[test]
fn what_a_call_makes_the_host_allocate_has_a_measure() {
    let random = |interface: &str, function: &str| Core {
        imports: format!(
            r#"(import "wasi:random/{interface}@0.2.0" "{function}" (func $r (param i64 i32)))"#
        ),
        check: "(call $r (i64.const 4294967296) (i32.const 64)) i32.const 0".into(),
        ..Core::source()
    };
    let log = |megabytes: u32| Core {
        imports: LOG.into(),
        memory: "2000".into(),
        check: format!(
            "(call $log (i32.const 0) (i32.const 0) (i32.const {})) i32.const 0",
            megabytes << 20
        ),
        ..Core::source()
    };
    let emit = Core {
        imports: r#"(import "lockgate:connector/output@0.1.0" "emit"
            (func $emit (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#
            .into(),
        memory: "2000".into(),
        // Ten million empty members of `meta`, 12 bytes each.
        read: "(call $emit (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 8192) (i32.const 10000000) (i32.const 64)) i32.const 0"
            .into(),
        ..Core::source()
    };
    let update = Core {
        imports: r#"(import "lockgate:connector/control@0.1.0" "update-config"
            (func $update (param i32 i32 i32)))"#
            .into(),
        memory: "2000".into(),
        check: "(call $update (i32.const 0) (i32.const 100000000) (i32.const 64)) i32.const 0"
            .into(),
        ..Core::source()
    };
    // A configuration schema of 5 MiB, where 4 are allowed.
    let spec = Core {
        memory: "200".into(),
        spec: "(i32.store (i32.const 4128) (i32.const 5242880)) i32.const 4096".into(),
        ..Core::source()
    };
    let cases = [
        ("random", "check", random("random", "get-random-bytes"), "LIMIT_RANDOM"),
        ("insecure", "check", random("insecure", "get-insecure-random-bytes"), "LIMIT_RANDOM"),
        ("log", "check", log(5), "LIMIT_HOST_CALL"),
        ("log", "check", log(3), "ok"),
        ("emit", "read", emit, "LIMIT_HOST_CALL"),
        ("update-config", "check", update, "LIMIT_HOST_CALL"),
        ("spec", "spec", spec, "LIMIT_HOST_CALL"),
    ];
    run(async {
        for (what, operation, core, expected) in cases {
            let import = match what {
                "random" => "import wasi:random/random@0.2.0;",
                "insecure" => "import wasi:random/insecure@0.2.0;",
                _ => "",
            };
            let component = load(&core.build_with(import));
            let result = operate(&component, operation, &Policy::default(), Ear::new()).await;
            assert_eq!(code(&result), expected, "{what}: {result:?}");
            assert_healthy().await;
        }
    });
}

#[test]
fn floods_on_stdout_are_cut() {
    let flood = |length: u32, times: u32| Core {
        imports: STDOUT.into(),
        memory: "4".into(),
        check: format!(
            "(local $n i32) (local $o i32) (local.set $o (call $stdout))
             (loop $l
               (call $write (local.get $o) (i32.const 65536) (i32.const {length}) (i32.const 64))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $l (i32.lt_u (local.get $n) (i32.const {times}))))
             i32.const 0"
        ),
        ..Core::source()
    };
    run(async {
        // Nothing, very often; a line of 128 MiB, which never ends.
        for (length, times) in [(0, 50_000), (65_536, 2048)] {
            let component = load(&flood(length, times).build_with(STDOUT_IMPORT));
            let (result, ear) = check(&component, &Policy::default()).await;
            assert_eq!(code(&result), "ok", "{result:?}");
            let heard: usize = ear.logs().iter().map(String::len).sum();
            assert!(heard <= 64 << 10, "{length} x {times}: {heard} bytes");
            assert_healthy().await;
        }
    });
}

/// A source that lists `count` streams at 65536, the first of which has texts of so many bytes.
fn lister(count: u32, schema: u32, extra: &str) -> Core {
    let text = extra.replace('\\', "\\\\").replace('"', "\\\"");
    let length = extra.len();
    Core {
        memory: "1500".into(),
        fields: format!(r#"(data (i32.const 32768) "{text}")"#),
        discover: format!(
            "(i32.store (i32.const 8) (i32.const 65536))
             (i32.store (i32.const 12) (i32.const {count}))
             (i32.store (i32.const 65556) (i32.const 20000000))
             (i32.store (i32.const 65560) (i32.const {schema}))
             (i32.store (i32.const 65596) (i32.const 32768))
             (i32.store (i32.const 65600) (i32.const {length}))
             (memory.fill (i32.const 20000000) (i32.const 32) (i32.const {schema}))
             (i32.store16 (i32.const 20000000) (i32.const 0x7d7b))
             i32.const 0"
        ),
        ..Core::source()
    }
}

#[test]
fn a_discovered_catalog_has_a_measure() {
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    let twice = r#"{"a":1,"a":2}"#;
    let numbers = format!("{{\"n\":1e{}}}", "9".repeat(1000));
    run(async {
        for (what, core, expected) in [
            ("one stream", lister(1, 100, "{}"), "ok"),
            ("too many streams", lister(200_000, 100, "{}"), "200000 streams; 100000 are allowed"),
            ("a large schema", lister(1, 70 << 20, "{}"), "--limit discover-bytes="),
            ("nested extra", lister(1, 100, &nested), "not JSON"),
            ("a key twice", lister(1, 100, twice), "ok"),
            ("a huge number", lister(1, 100, &numbers), "not JSON"),
            ("no JSON", lister(1, 100, "{"), "extra of stream"),
        ] {
            let component = load(&core.build());
            let config = Json::empty_object();
            let result = component.discover(&Policy::default(), Ear::new(), &config).await;
            let said = result.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
            assert!(said.contains(expected), "{what}: {said}");
            assert_healthy().await;
        }
    });
}

/// One component fills its memory, its table and a global; the next looks for what is left of it.
#[test]
fn nothing_leaks_from_one_instance_to_the_next() {
    let writes = Core {
        memory: "64".into(),
        fields: "(table $t 1000 funcref) (func $f) (elem declare func $f)
            (global $g (mut i64) (i64.const 0))"
            .into(),
        check: "(global.set $g (i64.const -1))
            (drop (memory.grow (i32.const 64)))
            (memory.fill (i32.const 65536) (i32.const 0xa5) (i32.const 8323072))
            (table.fill $t (i32.const 0) (ref.func $f) (i32.const 1000))
            (drop (table.grow $t (ref.func $f) (i32.const 1000)))
            i32.const 0"
            .into(),
        ..Core::source()
    };
    let looks = Core {
        memory: "64".into(),
        fields: "(table $t 1000 funcref) (global $g (mut i64) (i64.const 0))".into(),
        check: "(local $at i32)
            (if (i64.ne (global.get $g) (i64.const 0)) (then unreachable))
            (drop (memory.grow (i32.const 64)))
            (local.set $at (i32.const 65536))
            (loop $l
              (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (br_if $l (i32.lt_u (local.get $at) (i32.const 8388608))))
            (drop (table.grow $t (ref.null func) (i32.const 1000)))
            (local.set $at (i32.const 0))
            (loop $l
              (if (i32.eqz (ref.is_null (table.get $t (local.get $at)))) (then unreachable))
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (br_if $l (i32.lt_u (local.get $at) (i32.const 2000))))
            i32.const 0"
            .into(),
        ..Core::source()
    };
    run(async {
        let (writes, looks) = (load(&writes.build()), load(&looks.build()));
        for turn in 0..50 {
            let (wrote, _) = check(&writes, &Policy::default()).await;
            assert_eq!(code(&wrote), "ok", "{turn}: {wrote:?}");
            let (found, _) = check(&looks, &Policy::default()).await;
            assert_eq!(code(&found), "ok", "{turn}: {found:?}");
        }
    });
}

/// Panics at the first message.
struct Faulty;

#[async_trait]
impl Observer for Faulty {
    #[expect(clippy::panic, reason = "the fault of the host that the test is about")]
    fn log(&self, _: LogLevel, _: &str) {
        panic!("an assertion of the host");
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, _: &Decision) {}
}

#[test]
fn a_fault_of_the_host_ends_one_operation() {
    let says = "(call $log (i32.const 2) (i32.const 4200) (i32.const 4)) i32.const 0".to_owned();
    let component = Core {
        imports: LOG.into(),
        check: says.clone(),
        discover: says.clone(),
        read: says.clone(),
        spec: says.replace("i32.const 0", "i32.const 4096"),
        ..Core::source()
    };
    let folder = Folder::new();
    let line = r#"{"type":"LOG","log":{"level":"INFO","message":"hello"}}"#;
    let program = folder.write("source", &format!("#!/bin/sh\necho '{line}'\nsleep 5\n"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("it can be made executable");
    run(async {
        let component = ComponentExecutor::new(load(&component.build()), Policy::default());
        let open = Policy { fence: lockgate::sandbox::Fence::Off, ..Policy::default() };
        let process = ProcessExecutor::new(program, open).expect("a program");
        let faulty = Context::new(Arc::new(Faulty));
        let config = Json::empty_object();
        for executor in [&component as &dyn Executor, &process] {
            let errors = [
                executor.spec(&faulty).await.map(|_| ()),
                executor.check(&faulty, &config).await,
                executor.discover(&faulty, &config).await.map(|_| ()),
                executor.read(&faulty, &config, &no_streams(), &[], Arc::new(Nowhere)).await,
            ];
            for error in errors {
                let error = error.expect_err("the host is at fault");
                assert_eq!(error.code(), "HOST_PANIC", "{executor:?}: {error}");
                assert!(error.to_string().contains("an assertion of the host"), "{error}");
            }
        }
        let well = Context::new(Ear::new());
        component.check(&well, &config).await.expect("the same connector is served afterwards");
        assert_healthy().await;
    });
}

#[test]
fn an_operation_that_is_dropped_leaves_nothing_behind() {
    let waits = "(call $block (call $subscribe (i64.const -1))) i32.const 0".to_owned();
    let waiting = Core {
        imports: WAIT.into(),
        spec: waits.clone(),
        check: waits.clone(),
        discover: waits.clone(),
        read: waits,
        ..Core::source()
    };
    let busy = LOOP.to_owned();
    let spinning = Core {
        spec: busy.clone(),
        check: busy.clone(),
        discover: busy.clone(),
        read: busy.clone(),
        fields: "(global $x (mut i32) (i32.const 0))".into(),
        ..Core::source()
    };
    run(async {
        let components = [load(&waiting.build_with(WAIT_IMPORT)), load(&spinning.build())];
        // More than the pool has places for: a place that is not given back is missed.
        for turn in 0..100 {
            for component in &components {
                let operation = ["spec", "check", "discover", "read"][turn % 4];
                let (component, policy) = (component.clone(), Policy::default());
                let task = tokio::spawn(async move {
                    operate(&component, operation, &policy, Ear::new()).await
                });
                tokio::time::sleep(Duration::from_millis(3)).await;
                task.abort();
                assert!(task.await.is_err_and(|e| e.is_cancelled()), "{operation}");
            }
        }
        assert_healthy().await;
    });
}
