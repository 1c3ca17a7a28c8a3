//! Components from core modules in WAT: what no Rust guest can do (a loop in `start`, in `realloc`,
//! in a post-return or a destructor; tables and memories without measure).

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The subset of WASI that attacks in WAT import, for [`component_with`].
pub const WASI: &str = include_str!("../fixtures/wasi-subset.wit");

/// A component of a world of `wit/v0.1` (`source-connector`, `destination-connector`) around a core
/// module. Gives its file, which stays until the target folder is cleaned.
pub fn component_from_core_wat(world: &str, wat: &str) -> PathBuf {
    component_with(world, "", wat)
}

/// The same, with more imports than the world has: `imports` is `import wasi:io/poll@0.2.0;` and the
/// like, out of [`WASI`].
pub fn component_with(world: &str, imports: &str, wat: &str) -> PathBuf {
    let mut resolve = Resolve::default();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit/v0.1");
    resolve.push_path(&contract).expect("the contract is WIT");
    let text = format!(
        "package lockgate:attack;\nworld attack {{\n  include lockgate:connector/{world}@0.1.0;\n  \
         {imports}\n}}\n{WASI}"
    );
    let package = resolve.push_str("attack.wit", &text).expect("the imports are WIT");
    let world = resolve.select_world(&[package], Some("attack")).expect("a world");
    let mut module = match wat::parse_str(wat) {
        Ok(module) => module,
        Err(error) => panic!("{error}\n{wat}"),
    };
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("metadata can be embedded");
    let component = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .unwrap_or_else(|error| panic!("{error:#}\n{wat}"));
    save(&component)
}

/// A component that is written in WAT as a whole.
pub fn component_from_wat(wat: &str) -> PathBuf {
    save(&wat::parse_str(wat).expect("it is WAT"))
}

/// By its content: tests that run at once may ask for the same component.
fn save(component: &[u8]) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(component);
    let folder = super::common::target().join("test-components");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(format!("{hash:016x}.wasm"));
    let own = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{hash:016x}-{}-{own}", std::process::id()));
    std::fs::write(&temporary, component).expect("a file");
    std::fs::rename(&temporary, &path).expect("a file");
    path
}

/// A connector's core module by its parts: each has a harmless default, and an attack replaces one.
///
/// Memory: 0 to 4 KiB is zero, which reads as `ok` and as empty lists; the specification is at 4096;
/// free from 8192.
#[derive(Clone)]
pub struct Core {
    /// `source` or `destination`.
    pub kind: &'static str,
    /// Imports, `(import ...)`.
    pub imports: String,
    /// The memory's limits: `1`, or `1 100`.
    pub memory: String,
    /// More fields of the module: globals, tables, functions, `(start $f)`.
    pub fields: String,
    /// Bodies: each gives an `i32`, the address of its result. `read` also is a destination's `write`.
    pub spec: String,
    pub check: String,
    pub discover: String,
    pub read: String,
    /// What `realloc` does before it gives memory.
    pub realloc: String,
    /// What happens after `check`'s result was read.
    pub after_check: String,
}

impl Core {
    pub fn source() -> Self {
        Self {
            kind: "source",
            imports: String::new(),
            memory: "1".into(),
            fields: String::new(),
            spec: "i32.const 4096".into(),
            check: "i32.const 0".into(),
            discover: "i32.const 0".into(),
            read: "i32.const 0".into(),
            realloc: String::new(),
            after_check: String::new(),
        }
    }

    pub fn destination() -> Self {
        Self { kind: "destination", ..Self::source() }
    }

    /// The module's text.
    pub fn wat(&self) -> String {
        let Self {
            kind,
            imports,
            memory,
            fields,
            spec,
            check,
            discover,
            read,
            realloc,
            after_check,
        } = self;
        let interface = format!("lockgate:connector/{kind}@0.1.0");
        let (discover, read) = if *kind == "source" {
            let parameters = "(param i32 i32 i32 i32 i32 i32 i32 i32)";
            (
                format!(
                    r#"(func (export "{interface}#discover") (param i32 i32) (result i32) {discover})"#
                ),
                format!(r#"(func (export "{interface}#read") {parameters} (result i32) {read})"#),
            )
        } else {
            let parameters = "(param i32 i32 i32 i32 i32 i32)";
            let write =
                format!(r#"(func (export "{interface}#write") {parameters} (result i32) {read})"#);
            (String::new(), write)
        };
        // At 4096: name and version of 4 bytes, no documentation, a schema and extra of `{{}}`.
        format!(
            r#"(module
  {imports}
  (memory (export "memory") {memory})
  (global $free (mut i32) (i32.const 8192))
  (data (i32.const 4200) "core{{}}")
  (data (i32.const 4096) "\68\10\00\00\04\00\00\00\68\10\00\00\04\00\00\00")
  (data (i32.const 4124) "\6c\10\00\00\02\00\00\00")
  (data (i32.const 4156) "\6c\10\00\00\02\00\00\00")
  {fields}
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    {realloc}
    (global.set $free
      (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 3)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $free) (i32.shl (memory.size) (i32.const 16))))
      (br_if $fits (i32.ne (memory.grow (i32.add (i32.const 1)
        (i32.shr_u (local.get 3) (i32.const 16)))) (i32.const -1)))
      unreachable))
  (func (export "{interface}#spec") (result i32) {spec})
  (func (export "{interface}#check") (param i32 i32) (result i32) {check})
  (func (export "cabi_post_{interface}#check") (param i32) {after_check})
  {discover}
  {read})"#
        )
    }

    /// Its component.
    pub fn build(&self) -> PathBuf {
        self.build_with("")
    }

    /// Its component, with more imports out of [`WASI`].
    pub fn build_with(&self, imports: &str) -> PathBuf {
        component_with(&format!("{}-connector", self.kind), imports, &self.wat())
    }
}

/// The component with `count` more instances of a core module, which the connector does not use.
pub fn with_instances(component: &Path, module: &str, count: usize) -> PathBuf {
    let mut bytes = std::fs::read(component).expect("a component");
    let mut depth = 0_u32;
    let mut modules = 0;
    for payload in wasmparser::Parser::new(0).parse_all(&bytes) {
        match payload.expect("it is a component") {
            wasmparser::Payload::ModuleSection { .. } => {
                modules += usize::from(depth == 0);
                depth += 1;
            }
            wasmparser::Payload::ComponentSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    section(&mut bytes, 1, &wat::parse_str(module).expect("it is WAT"));
    let mut instances = Vec::new();
    number(&mut instances, count);
    for _ in 0..count {
        // `instantiate` of a module, without arguments.
        instances.push(0);
        number(&mut instances, modules);
        instances.push(0);
    }
    section(&mut bytes, 2, &instances);
    save(&bytes)
}

fn section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    number(bytes, content.len());
    bytes.extend_from_slice(content);
}

/// LEB128.
fn number(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return;
        }
    }
}
