//! Faults in what is taken from the host: time, memory, and what was not granted.

use std::fmt::{Debug, Display};
use std::hint::black_box;

use lockgate_sdk::{Failure, fs, log};

use crate::Mode;

pub(crate) fn run(mode: &Mode) -> Result<(), Failure> {
    match mode {
        Mode::Spin => spin(),
        Mode::Hog => hog(),
        Mode::Overflow => {
            log::info(overflow(1));
            Ok(())
        }
        Mode::Env => {
            env();
            Ok(())
        }
        Mode::Touch { path } => {
            touch(path);
            Ok(())
        }
        Mode::Flood { messages, bytes } => {
            let message = "x".repeat(*bytes);
            for _ in 0..*messages {
                log::info(&message);
            }
            Ok(())
        }
        Mode::Escape => escape(),
        Mode::UpdateConfig { members } => lockgate_sdk::update_config(members),
        _ => Ok(()),
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn hog() -> ! {
    let mut kept = Vec::new();
    loop {
        // Written to, so that it is really there.
        kept.push(black_box(vec![1_u8; 16 * 1024 * 1024]));
    }
}

#[expect(unconditional_recursion, reason = "using up the stack is what the mode asks for")]
fn overflow(depth: u64) -> u64 {
    black_box(overflow(black_box(depth + 1))) + depth
}

#[expect(
    clippy::disallowed_methods,
    reason = "all that a component can see is what the mode asks for"
)]
fn env() {
    for (name, value) in std::env::vars() {
        log::info(format_args!("env {name}={value}"));
    }
    for argument in std::env::args() {
        log::info(format_args!("argument {argument}"));
    }
    log::info(format_args!("working directory {:?}", std::env::current_dir()));
    log::info("end of environment");
}

fn touch(path: &str) {
    report("read", std::fs::read(path).map(|bytes| bytes.len()));
    report("write", std::fs::write(path, b"touched"));
    report("list", std::fs::read_dir(path).map(Iterator::count));
    report("link", std::fs::read_link(path));
    report("remove", std::fs::remove_file(path));
    report("directory", fs::Directory::open(path));
}

fn escape() -> Result<(), Failure> {
    const TEXT: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\r\u{0}\u{202e}end";
    log::info(TEXT);
    Err(Failure::system(TEXT).with_detail(TEXT))
}

fn report<T: Debug, E: Display>(what: &str, result: Result<T, E>) {
    match result {
        Ok(value) => log::info(format_args!("{what}: done: {value:?}")),
        Err(error) => log::info(format_args!("{what}: refused: {error}")),
    }
}
