//! How fast a connector starts.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use lockgate::component::{CompileCache, ComponentRuntime};
use lockgate::connector::Silent;
use lockgate::sandbox::Policy;

use crate::measure::{Table, guest, lockgate, median, target};

pub(crate) fn run(table: &mut Table) {
    let path = guest("destination-jsonl");
    let cache = CompileCache::at(&target().join("bench-cache"));
    let runtime = ComponentRuntime::new(Some(cache));
    let component = runtime.load(&path).expect("a component");
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
    let policy = Policy::default();
    let calls = (0..200).map(|_| {
        let start = Instant::now();
        tokio.block_on(component.spec(&policy, Arc::new(Silent))).expect("a spec");
        start.elapsed().as_secs_f64() * 1e3
    });
    let ours = median(calls.collect());
    table.add(
        "store, instance and one call of `spec`, compiled",
        format!("{ours:.3} ms"),
        "-".into(),
        "-".into(),
        "at most 1 ms",
    );

    let spec = || {
        let start = Instant::now();
        let status = Command::new(lockgate())
            .arg("spec")
            .arg(&path)
            .env("LOCKGATE_CACHE_DIR", target().join("bench-cache"))
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("lockgate").success());
        start.elapsed().as_secs_f64() * 1e3
    };
    spec();
    let ours = median((0..20).map(|_| spec()).collect());
    let faker = target().join("test-connectors/faker/bin/source-faker");
    let (other, ratio) = if faker.is_file() {
        let start = Instant::now();
        let status =
            Command::new(&faker).arg("spec").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("source-faker").success());
        let other = start.elapsed().as_secs_f64() * 1e3;
        (format!("{other:.0} ms, `source-faker spec` from PyPI"), format!("{:.0} x", other / ours))
    } else {
        ("run scripts/setup-test-connectors to compare".into(), "-".into())
    };
    table.add(
        "whole process `lockgate spec x.wasm`, warm",
        format!("{ours:.1} ms"),
        other,
        ratio,
        "at most 30 ms",
    );
}
