//! Files that are attacks before anything of them runs: bytes put together by hand.

use crate::wat::component;

/// A source that does nothing.
pub(crate) fn harmless() -> Vec<u8> {
    component("")
}

fn leb(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// A section of a binary: its number and content.
fn section(id: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    leb(content.len(), out);
    out.extend_from_slice(content);
}

fn name(text: &str, out: &mut Vec<u8>) {
    leb(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// How many core modules a component has so far, and how many core instances.
fn modules(component: &[u8]) -> usize {
    let mut depth = 0;
    let mut found = 0;
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        match payload.expect("it is valid") {
            wasmparser::Payload::ModuleSection { .. } => {
                found += usize::from(depth == 0);
                depth += 1;
            }
            wasmparser::Payload::ComponentSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    found
}

/// A source that instantiates a module of its own so many times.
pub(crate) fn instances(module: &str, count: usize) -> Vec<u8> {
    let mut bytes = harmless();
    let index = modules(&bytes);
    section(1, &wat::parse_str(module).expect("a module"), &mut bytes);
    let mut content = Vec::new();
    leb(count, &mut content);
    for _ in 0..count {
        content.push(0);
        leb(index, &mut content);
        leb(0, &mut content);
    }
    section(2, &content, &mut bytes);
    bytes
}

pub(crate) fn many_instances() -> Vec<u8> {
    instances("(module)", 150)
}

pub(crate) fn more_instances_than_the_engine_has() -> Vec<u8> {
    instances("(module)", 100_000)
}

pub(crate) fn many_memories() -> Vec<u8> {
    instances("(module (memory 400))", 7)
}

/// 20 modules of 99 tables each.
pub(crate) fn many_tables() -> Vec<u8> {
    instances(&format!("(module {})", "(table 1 funcref)".repeat(99)), 20)
}

pub(crate) fn nothing() -> Vec<u8> {
    Vec::new()
}

pub(crate) fn text() -> Vec<u8> {
    b"#!/bin/sh\nrm -rf /\n".to_vec()
}

pub(crate) fn archive() -> Vec<u8> {
    b"PK\x03\x04\x14\x00\x00\x00\x08\x00".repeat(100)
}

pub(crate) fn native_program() -> Vec<u8> {
    std::fs::read("/proc/self/exe").expect("a program has a file")[..4096].to_vec()
}

pub(crate) fn core_module() -> Vec<u8> {
    wat::parse_str("(module (func (export \"_start\")))").expect("a module")
}

pub(crate) fn unknown_version() -> Vec<u8> {
    b"\0asm\x0e\x00\x01\x00".to_vec()
}

/// Compiled by an engine like the host's, and so native code of anybody's choice.
pub(crate) fn precompiled() -> Vec<u8> {
    let engine = wasmtime::Engine::default();
    engine.precompile_component(&harmless()).expect("it compiles")
}

/// Cut in the middle of its code.
pub(crate) fn truncated() -> Vec<u8> {
    let mut bytes = harmless();
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// A section that says it is 4 GiB long.
pub(crate) fn section_without_measure() -> Vec<u8> {
    let mut bytes = harmless();
    bytes.extend_from_slice(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, b'x']);
    bytes
}

/// A number of seventy bits where thirty-two are allowed.
pub(crate) fn number_without_end() -> Vec<u8> {
    let mut bytes = harmless();
    bytes.push(0);
    bytes.extend_from_slice(&[0x80; 10]);
    bytes
}

/// 64 MiB of nothing beside the code.
pub(crate) fn large_custom_section() -> Vec<u8> {
    let mut bytes = harmless();
    let mut content = Vec::new();
    name("padding", &mut content);
    content.resize(64 << 20, 0xa5);
    section(0, &content, &mut bytes);
    bytes
}

/// Names that are no UTF-8, say lengths beyond their section, and nest.
pub(crate) fn bad_names() -> Vec<u8> {
    let mut bytes = harmless();
    for (section_name, rest) in [
        ("name", &[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff][..]),
        ("component-name", &[0, 3, 2, 0xff, 0xfe, 1, 0xff, 0xff, 0xff][..]),
        ("producers", &[0xff; 9][..]),
        ("component-type:attack", &[0xff; 64][..]),
        ("\u{1b}[2J\u{202e}", &[][..]),
    ] {
        let mut content = Vec::new();
        name(section_name, &mut content);
        content.extend_from_slice(rest);
        section(0, &content, &mut bytes);
    }
    bytes
}

/// A custom section whose own name is no UTF-8.
pub(crate) fn custom_section_without_name() -> Vec<u8> {
    let mut bytes = harmless();
    section(0, &[2, 0xff, 0xfe], &mut bytes);
    bytes
}

/// Two exports of one name.
pub(crate) fn duplicate_exports() -> Vec<u8> {
    let mut bytes = harmless();
    // Instance 0, exported twice more under one name.
    let mut content = Vec::new();
    leb(2, &mut content);
    for _ in 0..2 {
        content.push(0);
        name("hostile:attack/twice", &mut content);
        content.extend_from_slice(&[5, 0, 0]);
    }
    section(11, &content, &mut bytes);
    bytes
}

/// 60,000 locals: more than any validator takes.
pub(crate) fn many_locals() -> Vec<u8> {
    component(&format!("(func {})", "(local i64)".repeat(60_000)))
}

/// Blocks nested 100,000 deep, to overflow a compiler that recurses.
pub(crate) fn deep_blocks() -> Vec<u8> {
    let mut body = vec![0];
    for _ in 0..100_000 {
        body.extend_from_slice(&[0x02, 0x40]);
    }
    body.extend(std::iter::repeat_n(0x0b, 100_001));
    with_function(&body)
}

/// A jump table of 2,000,000 ways in one function.
pub(crate) fn huge_jump_table() -> Vec<u8> {
    // block; i32.const 0; br_table; end; end
    let mut body = vec![0, 0x02, 0x40, 0x41, 0, 0x0e];
    leb(2_000_000, &mut body);
    body.resize(body.len() + 2_000_001, 0);
    body.extend_from_slice(&[0x0b, 0x0b]);
    with_function(&body)
}

/// A function longer than any engine takes.
pub(crate) fn endless_function() -> Vec<u8> {
    let mut body = vec![0];
    body.resize(8 << 20, 0x01);
    body.push(0x0b);
    with_function(&body)
}

/// A source with one module more, of one function with this body (locals included).
fn with_function(body: &[u8]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[1, 0x60, 0, 0], &mut module);
    section(3, &[1, 0], &mut module);
    let mut code = vec![1];
    leb(body.len(), &mut code);
    code.extend_from_slice(body);
    section(10, &code, &mut module);
    let mut bytes = harmless();
    section(1, &module, &mut bytes);
    bytes
}

/// Components nested 2,000 deep.
pub(crate) fn nested_components() -> Vec<u8> {
    let mut inner = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..2000 {
        let mut outer = b"\0asm\x0d\0\x01\0".to_vec();
        section(4, &inner, &mut outer);
        inner = outer;
    }
    inner
}

fn fixture(file: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{file}.wat", env!("CARGO_MANIFEST_DIR"));
    wat::parse_file(path).expect("a fixture is valid")
}

pub(crate) fn newer_patch() -> Vec<u8> {
    fixture("newer-patch")
}

pub(crate) fn newer_minor() -> Vec<u8> {
    fixture("newer-minor")
}

pub(crate) fn no_connector() -> Vec<u8> {
    fixture("no-connector")
}

pub(crate) fn imports_unknown() -> Vec<u8> {
    fixture("imports-unknown")
}

/// WASI as it will be one day.
pub(crate) fn later_wasi() -> Vec<u8> {
    importing("wasi:cli/environment@0.3.0")
}

/// A WASI interface that nobody grants.
pub(crate) fn ungranted_wasi() -> Vec<u8> {
    importing("wasi:nn/graph@0.2.0")
}

fn importing(import: &str) -> Vec<u8> {
    let text = format!(
        r#"(component (import "{import}" (instance))
        (instance $source) (export "lockgate:connector/source@0.1.0" (instance $source)))"#
    );
    wat::parse_str(text).expect("it is valid")
}

/// Streams and futures, which this engine is built without.
pub(crate) fn streams() -> Vec<u8> {
    let text = r#"(component (type $s (stream u8)) (core func (canon stream.new $s))
        (instance $source) (export "lockgate:connector/source@0.1.0" (instance $source)))"#;
    wat::parse_str(text).expect("it is valid")
}

/// The right names with the wrong types.
pub(crate) fn wrong_types() -> Vec<u8> {
    let text = r#"(component (import "lockgate:connector/logging@0.1.0" (instance
          (export "log" (func (param "level" u64) (result string)))))
        (instance $source) (export "lockgate:connector/source@0.1.0" (instance $source)))"#;
    wat::parse_str(text).expect("it is valid")
}

/// A source without any function.
pub(crate) fn exports_nothing() -> Vec<u8> {
    let text = r#"(component
        (instance $source) (export "lockgate:connector/source@0.1.0" (instance $source)))"#;
    wat::parse_str(text).expect("it is valid")
}
