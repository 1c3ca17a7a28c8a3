//! Attacks that no language but the machine's own can say: core modules in `wat/`, made into
//! components here.
//!
//! A file holds what attacks; what a source needs besides, and the file does not define, comes from
//! [`PIECES`].

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A well-behaved source: export, and its text. Memory below 2048 is the attacker's. The
/// specification is at 2048: eight members, each a string or a list, one of them an option.
const PIECES: &[(&str, &str)] = &[
    ("memory", r#"(memory (export "memory") 2)"#),
    (
        "cabi_realloc",
        r#"(global $free (mut i32) (i32.const 16384))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
          (local $at i32)
          (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
          (global.set $free (i32.add (local.get $at) (local.get 3)))
          (local.get $at))"#,
    ),
    (
        "lockgate:connector/source@0.1.0#spec",
        r#"(func (export "lockgate:connector/source@0.1.0#spec") (result i32) (i32.const 2048))"#,
    ),
    (
        "lockgate:connector/source@0.1.0#check",
        r#"(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
          (i32.const 8192))"#,
    ),
    (
        "lockgate:connector/source@0.1.0#discover",
        r#"(func (export "lockgate:connector/source@0.1.0#discover") (param i32 i32) (result i32)
          (i32.const 8192))"#,
    ),
    (
        "lockgate:connector/source@0.1.0#read",
        r#"(func (export "lockgate:connector/source@0.1.0#read")
          (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8192))"#,
    ),
    (
        "specification",
        r#"(data (i32.const 2048)
          "\00\10\00\00\07\00\00\00" "\08\10\00\00\05\00\00\00"
          "\00\00\00\00\00\00\00\00\00\00\00\00" "\10\10\00\00\02\00\00\00"
          "\00\00\00\00\00\00\00\00" "\18\10\00\00\01\00\00\00"
          "\00\00\00\00\00\00\00\00" "\10\10\00\00\02\00\00\00")
        (data (i32.const 4096) "hostile\000.0.1\00\00\00{}\00\00\00\00\00\00\00")"#,
    ),
];

/// The world of a source, with what an attack exports besides.
fn world(more: &str) -> String {
    format!(
        "package hostile:attack;\nworld attack {{\n  include lockgate:connector/source-connector@0.1.0;\n  {more}\n}}"
    )
}

/// The component that a core module's text becomes. A line `;; world: ...` adds to its world.
pub(crate) fn component(text: &str) -> Vec<u8> {
    let mut whole = format!("(module\n{text}\n");
    for (export, piece) in PIECES {
        if !text.contains(&format!("\"{export}\"")) && !text.contains(&format!(";; no {export}")) {
            whole.push_str(piece);
            whole.push('\n');
        }
    }
    whole.push(')');
    let more: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix(";; world: ")).collect();
    let mut module = wat::parse_str(&whole).unwrap_or_else(|e| panic!("{e}\n{whole}"));
    let mut resolve = Resolve::default();
    resolve
        .push_str("connector.wit", include_str!("../../wit/v0.1/connector.wit"))
        .expect("the contract is valid");
    let package = resolve.push_str("attack.wit", &world(&more.join("\n"))).expect("a valid world");
    let world = resolve.select_world(&[package], Some("attack")).expect("it is there");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("it can be embedded");
    // Not validated: some are to be invalid.
    let encoder = ComponentEncoder::default().validate(false).module(&module);
    encoder.unwrap_or_else(|e| panic!("{e:#}\n{whole}")).encode().expect("it can be encoded")
}
