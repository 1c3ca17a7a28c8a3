//! Components that are made to be slow or large to compile: each ends as an error within its limits,
//! and the same process then runs a healthy one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Folder, guest};
use lockgate::component::{CompileCache, Compiler, ComponentError, ComponentRuntime};
use lockgate::fault::{ExitClass, Fault};
use lockgate::sandbox::Limits;

fn compiler() -> Compiler {
    Compiler::Child(assert_cmd::cargo::cargo_bin!("lockgate").to_owned())
}

fn runtime() -> ComponentRuntime {
    ComponentRuntime::new(None).with_compiler(compiler())
}

/// A component around a core module in WAT.
fn component(folder: &Folder, name: &str, module: &str) -> PathBuf {
    let text = format!("(component (core module {module}))");
    let bytes = wat::parse_str(&text).unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn limits() -> Limits {
    Limits { compile_time: Duration::from_secs(2), ..Limits::default() }
}

#[track_caller]
fn ends(path: &std::path::Path, limits: &Limits) -> Option<ComponentError> {
    let began = Instant::now();
    let end = runtime().load_within(path, limits).err();
    // The rest is reading, starting and killing, on a machine that does other things too.
    let most = limits.compile_time + Duration::from_secs(20);
    assert!(began.elapsed() < most, "{:?}", began.elapsed());
    end
}

/// This process still compiles and loads a connector.
#[track_caller]
fn serves() {
    let healthy = runtime().load(&guest("destination-dev-null")).unwrap();
    assert!(healthy.kind().is_ok());
}

#[test]
fn the_compiler_is_found_beside_this_program() {
    let Some(Compiler::Child(found)) = Compiler::find() else { panic!("none was found") };
    assert_eq!(found, assert_cmd::cargo::cargo_bin!("lockgate"));
}

#[test]
fn a_compilation_ends_at_its_time() {
    let folder = Folder::new();
    // Each function is some work for the register allocator; there are far more than two seconds' of
    // them, whatever the machine.
    let mut module = String::new();
    let mut body = String::new();
    for i in 0..2000 {
        let (a, b) = (i % 61, (i * 7) % 61);
        write!(
            body,
            "(local.set {a} (i64.mul (local.get {b}) (i64.add (local.get {a}) (i64.const {i}))))"
        )
        .unwrap();
    }
    let locals = "(local i64)".repeat(62);
    for _ in 0..400 {
        write!(module, "(func {locals} {body})").unwrap();
    }
    let path = component(&folder, "work.wasm", &module);
    let few = Limits { compile_time: Duration::from_millis(500), ..Limits::default() };
    let error = ends(&path, &few).expect("it is not compiled");
    assert_eq!((error.code(), error.exit()), ("COMPONENT_COMPILE_LIMIT", ExitClass::Failed));
    assert!(error.to_string().contains("0.5 s"), "{error}");
    assert!(error.hint().unwrap().contains("--limit compile-time="));
    serves();
}

#[test]
fn a_compilation_ends_at_its_memory() {
    let folder = Folder::new();
    let mut body = String::new();
    for i in 0..200_000 {
        write!(body, "(local.set 0 (i64.mul (local.get 0) (i64.const {i})))").unwrap();
    }
    let path = component(&folder, "large.wasm", &format!("(func (local i64) {body})"));
    let little = Limits { compile_bytes: 48 << 20, ..Limits::default() };
    let error = ends(&path, &little).expect("it is not compiled");
    assert_eq!(error.code(), "COMPONENT_COMPILE_LIMIT", "{error}");
    assert!(error.hint().unwrap().contains("--limit compile-bytes="));
    serves();
}

#[test]
fn bombs_end_within_their_limits() {
    let folder = Folder::new();
    let table = format!(
        "(func (param i32) {} (br_table {} (local.get 0)) {})",
        "(block ".repeat(100),
        (0..500_000).map(|i| format!("{} ", i % 100)).collect::<String>(),
        ")".repeat(100),
    );
    for (name, module) in [
        ("table.wasm", table),
        ("locals.wasm", format!("(func (local {}))", "i64 ".repeat(49_999))),
        ("functions.wasm", "(func (drop (i32.const 1)))".repeat(100_000)),
        ("globals.wasm", "(global i64 (i64.const 1))".repeat(900_000)),
    ] {
        let path = component(&folder, name, &module);
        // Compiled in time, or refused in time.
        if let Some(error) = ends(&path, &limits()) {
            let code = error.code();
            assert!(
                ["COMPONENT_COMPILE_LIMIT", "COMPONENT_INVALID"].contains(&code),
                "{name}: {error}"
            );
        }
        serves();
    }
    // The text parser would not get so deep: by bytes.
    let path = folder.path().join("deep.wasm");
    std::fs::write(&path, nested(200_000)).unwrap();
    if let Some(error) = ends(&path, &limits()) {
        let code = error.code();
        assert!(["COMPONENT_COMPILE_LIMIT", "COMPONENT_INVALID"].contains(&code), "{error}");
    }
    serves();
}

/// A component whose one function is so many blocks within each other.
fn nested(depth: usize) -> Vec<u8> {
    fn leb(mut n: usize) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let byte = u8::try_from(n & 0x7f).unwrap();
            n >>= 7;
            if n == 0 {
                out.push(byte);
                return out;
            }
            out.push(byte | 0x80);
        }
    }
    fn section(id: u8, body: Vec<u8>) -> Vec<u8> {
        [vec![id], leb(body.len()), body].concat()
    }
    let code = [vec![0], [2, 0x40].repeat(depth), vec![0x0b; depth + 1]].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, vec![1, 0x60, 0, 0]),
        section(3, vec![1, 0]),
        section(10, [vec![1], leb(code.len()), code].concat()),
    ]
    .concat();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, module)].concat()
}

#[test]
fn a_file_beyond_its_limit_is_not_read() {
    let small = Limits { component_bytes: 1000, ..Limits::default() };
    let error = runtime().load_within(&guest("destination-jsonl"), &small).unwrap_err();
    assert_eq!(error.code(), "LIMIT_COMPONENT");
    assert!(error.hint().unwrap().contains("component-bytes"));
}

#[test]
fn a_compiler_that_is_none_is_an_error_and_not_code() {
    let folder = Folder::new();
    let path = guest("destination-dev-null");
    for (name, text) in [
        ("silent", "#!/bin/sh\ncat > /dev/null\n"),
        (
            "other",
            "#!/bin/sh\ncat > /dev/null\necho '{\"code\":{\"version\":\"0.0.1\",\"settings\":\"x\"}}'; echo evil\n",
        ),
        ("crash", "#!/bin/sh\nkill -SEGV $$\n"),
        ("fails", "#!/bin/sh\nexit 3\n"),
    ] {
        let program = folder.write(name, text);
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let runtime = ComponentRuntime::new(None).with_compiler(Compiler::Child(program));
        let error = runtime.load(&path).unwrap_err();
        assert_eq!(error.code(), "COMPILER_FAILED", "{name}: {error}");
    }
    serves();
}

#[test]
fn a_trusted_component_may_be_compiled_here() {
    let here = ComponentRuntime::new(None).with_compiler(Compiler::InProcess);
    assert!(here.load(&guest("destination-dev-null")).unwrap().kind().is_ok());
}

#[test]
fn the_cache_is_used_and_what_is_odd_in_it_is_compiled_again() {
    let folder = Folder::new();
    let path = guest("destination-dev-null");
    let load = |compiler: Compiler| {
        let cache = CompileCache::at(folder.path());
        ComponentRuntime::new(Some(cache)).with_compiler(compiler).load(&path)
    };
    load(compiler()).unwrap();
    let stored = std::fs::read_dir(folder.path().join("components")).unwrap();
    let file = stored.map(|entry| entry.unwrap().path()).next().unwrap();
    let good = std::fs::read(&file).unwrap();
    // A compiler that cannot work: whatever loads comes from the cache.
    let none = || Compiler::Child("/bin/false".into());
    load(none()).unwrap();

    let flipped = {
        let mut bytes = good.clone();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    for odd in [&flipped[..], &good[..good.len() / 2], &good[..20], &[]] {
        std::fs::write(&file, odd).unwrap();
        assert_eq!(load(none()).unwrap_err().code(), "COMPILER_FAILED");
        load(compiler()).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), good);
    }
    // A link, even to the same code.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    assert_eq!(load(none()).unwrap_err().code(), "COMPILER_FAILED");
    std::fs::remove_file(&file).unwrap();
    // Whoever may write to it may have.
    std::fs::write(&file, &good).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o622)).unwrap();
    assert_eq!(load(none()).unwrap_err().code(), "COMPILER_FAILED");
}

#[test]
fn compiled_code_is_loaded_in_one_place() {
    fn visit(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let calls = text.matches("Component::deserialize").count()
                    + text.matches("Module::deserialize").count();
                found.extend((0..calls).map(|_| path.display().to_string()));
            }
        }
    }
    let mut found = Vec::new();
    visit(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("src/component/runtime.rs"));
}
