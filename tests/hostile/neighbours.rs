//! What becomes of the host and of its other guests: panics, dropped calls, memory, compiled code.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lockgate::component::CompileCache;
use lockgate::fault::Fault;
use lockgate::protocol::{Decision, Failure, Json, LogLevel, Observer};
use lockgate::{ConnectorOptions, Host};
use sha2::{Digest, Sha256};

use crate::common::guest;
use crate::harness::{Operation, Way, healthy, jsonl, run, write_options};
use crate::{ALONE, runtime};

/// An embedder's observer that panics: a fault of the host while a guest waits in its call.
struct Panics;

#[async_trait]
impl Observer for Panics {
    fn log(&self, _: LogLevel, _: &str) {
        panic!("on purpose: a fault of the host");
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, _: &Decision) {}
}

#[test]
fn a_panic_of_the_host_ends_one_operation() {
    let _alone = ALONE.lock();
    for way in Way::ALL {
        let (host, runtime) = (way.host(), runtime());
        let expected = runtime.block_on(healthy(&host, 100));
        let folder = tempfile::tempdir().expect("a folder");
        let name = guest("hostile/log-in-read").display().to_string();
        let source = host.get_source(&name, &ConnectorOptions::default(), Json::empty_object());
        let source = source.expect("a source").heard_by(Arc::new(Panics));
        let destination = jsonl(&host, folder.path());
        let result = runtime.block_on(destination.write(&source, &write_options()));
        let failure = result.expect_err("it fails");
        assert_eq!(failure.error.code(), "SOURCE_FAILED");
        assert!(failure.to_string().contains("a fault in lockgate ended read"), "{failure}");
        assert_eq!(runtime.block_on(healthy(&host, 100)), expected);
    }
}

#[test]
fn a_call_that_is_dropped_leaves_nothing() {
    let _alone = ALONE.lock();
    for way in Way::ALL {
        let (host, runtime) = (way.host(), runtime());
        let expected = runtime.block_on(healthy(&host, 100));
        let folder = tempfile::tempdir().expect("a folder");
        let all = [
            ("sleep", Operation::Check),
            ("poll-never", Operation::Check),
            ("spin-in-check", Operation::Check),
            ("spin-in-read", Operation::Read),
            ("never-reads", Operation::Write),
            ("estimates", Operation::Read),
        ];
        for (name, operation) in all {
            // More often than there are instances.
            for _ in 0..12 {
                let options = ConnectorOptions::default();
                let file = guest(&format!("hostile/{name}"));
                let call = run(&host, &file, operation, &options, folder.path());
                let dropped = async { tokio::time::timeout(Duration::from_millis(20), call).await };
                let ended = runtime.block_on(dropped).is_ok();
                assert!(!ended, "{name} ended by itself");
            }
            assert_eq!(runtime.block_on(healthy(&host, 100)), expected, "after {name}");
        }
    }
}

#[test]
fn one_that_takes_all_memory_does_not_stop_another() {
    let _alone = ALONE.lock();
    for way in Way::ALL {
        let (host, runtime) = (way.host(), runtime());
        let expected = runtime.block_on(healthy(&host, 100));
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        runtime.block_on(async {
            let hogs = async {
                for _ in 0..8 {
                    let options =
                        ConnectorOptions { max_memory: Some("64MiB".into()), ..Default::default() };
                    let file = guest("hostile/memory-hog");
                    let [one, other] = folders
                        .each_ref()
                        .map(|folder| run(&host, &file, Operation::Read, &options, folder.path()));
                    let (one, other) = tokio::join!(one, other);
                    assert_eq!(
                        (one.code.as_str(), other.code.as_str()),
                        ("LIMIT_MEMORY", "LIMIT_MEMORY")
                    );
                }
            };
            let beside = async {
                for _ in 0..8 {
                    assert_eq!(healthy(&host, 100).await, expected);
                }
            };
            tokio::join!(hogs, beside);
        });
    }
}

/// A cache that holds one compiled component, and its file.
fn cached(base: &Path) -> (Host, PathBuf) {
    let host = Host::new().with_cache(Some(CompileCache::at(base)));
    check(&host);
    let file = find(base).pop().expect("it was kept");
    (host, file)
}

fn find(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(find(&path)),
            false if path.extension().is_some_and(|e| e == "cwasm") => found.push(path),
            false => {}
        }
    }
    found
}

/// Loads a component and calls it.
fn check(host: &Host) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("harmless.wasm");
    fs::write(&file, crate::artifacts::harmless()).expect("a file");
    let options = ConnectorOptions::default();
    let running = run(host, &file, Operation::Check, &options, folder.path());
    assert_eq!(runtime().block_on(running).code, "-");
}

#[test]
fn compiled_code_that_was_changed_is_not_run() {
    let _alone = ALONE.lock();
    let base = tempfile::tempdir().expect("a folder");
    let (host, file) = cached(base.path());
    let good = fs::read(&file).expect("it is there");
    // Every part of it: the head, its check, the code's beginning, middle and end.
    for at in [0, 20, 48, 60, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        fs::write(&file, &bad).expect("it can be written");
        check(&host);
        assert_ne!(fs::read(&file).expect("it is there"), bad, "byte {at} was not noticed");
    }
    for short in [0, 10, 47, good.len() / 2] {
        fs::write(&file, &good[..short]).expect("it can be written");
        check(&host);
    }
    // What others may write to.
    fs::write(&file, &good).expect("it can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("its owner may");
    check(&host);
    let facts = fs::metadata(&file).expect("it is there");
    assert_eq!(facts.permissions().mode() & 0o022, 0, "it was used as it was");
    // A link to where others may write.
    let elsewhere = base.path().join("elsewhere");
    fs::rename(&file, &elsewhere).expect("it can be moved");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("a link");
    check(&host);
    assert!(fs::symlink_metadata(&file).expect("it is there").is_file(), "a link was followed");
}

#[test]
fn compiled_code_of_another_version_is_not_run() {
    let _alone = ALONE.lock();
    let base = tempfile::tempdir().expect("a folder");
    let (host, file) = cached(base.path());
    let good = fs::read(&file).expect("it is there");
    // Code for an engine with other settings, with a digest that fits.
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_component(&crate::artifacts::harmless()).expect("it compiles");
    let mut other = good[..16].to_vec();
    other.extend_from_slice(&Sha256::digest(&code));
    other.extend_from_slice(&code);
    fs::write(&file, &other).expect("it can be written");
    check(&host);
    assert_ne!(fs::read(&file).expect("it is there"), other, "it was taken for ours");
}
