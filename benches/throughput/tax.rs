//! The sandbox's tax: the same destination's code, native and as a component, on the same batches.
//! CPU time of user and kernel together.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use destination_dev_null::DevNull;
use destination_jsonl::Jsonl;
use destination_parse::DestinationParse;
use lockgate::component::{CompileCache, Component, ComponentRuntime};
use lockgate::connector::Silent;
use lockgate::protocol::{
    Catalog, Commit, DestinationInput, EmittedAt, Event, Failure, Json, Outcome, Rows,
};
use lockgate::sandbox::{Access, DirectoryGrant, Policy};
use lockgate_sdk::bindings::{input, types};
use lockgate_sdk::port::InputPort;
use lockgate_sdk::{Destination, destination, testing};

use crate::measure::{Table, cpu_of_child, guest, median, spend, target};

/// Rows of a batch, and batches between two checkpoints.
const ROWS: u32 = 218;
const BATCHES_PER_CHECKPOINT: u64 = 500;

fn batch() -> Vec<u8> {
    let mut data = Vec::new();
    for id in 0..ROWS {
        let row = format!(
            r#"{{"id":{id},"name":"Name {id}","email":"user{id}@example.com","address":{{"street":"Main Street","city":"Springfield","zip":"12345"}},"created_at":"2024-04-08T18:07:20+00:00","score":1.5,"tags":["a","b"]}}"#
        );
        data.extend_from_slice(row.as_bytes());
        let pad = 299_usize.saturating_sub(row.len());
        // Spaces are white space of the row.
        data.extend(std::iter::repeat_n(b' ', pad));
        data.push(b'\n');
    }
    data
}

/// The place in the input of the nth call of `next`.
enum Step {
    Rows,
    Checkpoint(u64),
    End,
    Nothing,
}

fn step(call: u64, batches: u64) -> Step {
    let cycle = BATCHES_PER_CHECKPOINT + 1;
    let cycles = batches / BATCHES_PER_CHECKPOINT;
    match (call / cycle, call % cycle) {
        (done, 0) if done == cycles => Step::End,
        (done, 1) if done == cycles => Step::Checkpoint(cycles + 1),
        (done, _) if done >= cycles => Step::Nothing,
        (done, BATCHES_PER_CHECKPOINT) => Step::Checkpoint(done + 1),
        _ => Step::Rows,
    }
}

struct Fed {
    data: Vec<u8>,
    batches: u64,
    calls: AtomicU64,
}

#[async_trait]
impl DestinationInput for Fed {
    async fn next(&self) -> Result<Option<Event>, Failure> {
        Ok(match step(self.calls.fetch_add(1, Ordering::Relaxed), self.batches) {
            Step::Rows => Some(Event::Rows(Rows {
                stream: 0,
                count: ROWS,
                data: self.data.clone(),
                emitted_at: EmittedAt::All(1),
                meta: Vec::new(),
                parsed: false,
            })),
            Step::Checkpoint(id) => Some(Event::Checkpoint { id, state: None }),
            Step::End => Some(Event::StreamEnd { stream: 0, outcome: Outcome::Complete }),
            Step::Nothing => None,
        })
    }

    async fn committed(&self, _: Vec<Commit>) -> Result<(), Failure> {
        Ok(())
    }
}

struct NativeFed(Fed);

impl InputPort for NativeFed {
    fn next(&mut self) -> Result<Option<input::Event>, lockgate_sdk::Failure> {
        let fed = &self.0;
        Ok(match step(fed.calls.fetch_add(1, Ordering::Relaxed), fed.batches) {
            Step::Rows => Some(input::Event::Rows(types::Rows {
                stream: 0,
                count: ROWS,
                data: fed.data.clone(),
                emitted_at: vec![1],
                meta: Vec::new(),
            })),
            Step::Checkpoint(id) => Some(input::Event::Checkpoint(id)),
            Step::End => Some(input::Event::StreamEnd(input::StreamEnd {
                stream: 0,
                outcome: input::Outcome::Complete,
            })),
            Step::Nothing => None,
        })
    }

    fn committed(&mut self, _: u64, _: &[input::StreamTotal]) -> Result<(), lockgate_sdk::Failure> {
        Ok(())
    }
}

/// The first argument that turns the benchmark into a native destination on a pipe.
pub(crate) const NAME: &str = "native-destination";

/// Batches from stdin: a byte that says what follows, a length, the rows.
struct Piped(std::io::StdinLock<'static>);

impl InputPort for Piped {
    fn next(&mut self) -> Result<Option<input::Event>, lockgate_sdk::Failure> {
        let mut head = [0; 9];
        if self.0.read_exact(&mut head).is_err() {
            return Ok(None);
        }
        let [tag, number @ ..] = head;
        let number = u64::from_le_bytes(number);
        Ok(Some(match tag {
            b'R' => {
                let mut data = vec![0; usize::try_from(number).expect("a length")];
                self.0.read_exact(&mut data).expect("rows");
                input::Event::Rows(types::Rows {
                    stream: 0,
                    count: ROWS,
                    data,
                    emitted_at: vec![1],
                    meta: Vec::new(),
                })
            }
            b'C' => input::Event::Checkpoint(number),
            _ => input::Event::StreamEnd(input::StreamEnd {
                stream: 0,
                outcome: input::Outcome::Complete,
            }),
        }))
    }

    fn committed(&mut self, _: u64, _: &[input::StreamTotal]) -> Result<(), lockgate_sdk::Failure> {
        Ok(())
    }
}

/// Runs a destination natively on stdin's batches.
pub(crate) fn native_destination(name: &str, config: &str) {
    let mut port = Piped(std::io::stdin().lock());
    let catalog = testing::catalog([testing::stream("rows")]);
    match name {
        "destination-dev-null" => destination::write::<DevNull>(config, &catalog, &mut port),
        "destination-jsonl" => destination::write::<Jsonl>(config, &catalog, &mut port),
        _ => destination::write::<DestinationParse>(config, &catalog, &mut port),
    }
    .expect("a native write");
}

/// Feeds a native destination in a process of its own; gives the CPU seconds of both.
fn piped(name: &str, config: &str, fed: &Fed) -> f64 {
    let exe = std::env::current_exe().expect("a path");
    let mut command = Command::new(exe);
    command.args([NAME, name, config]).stdin(Stdio::piped());
    let mut child_cpu = 0.0;
    let spent = spend(|| {
        child_cpu = cpu_of_child(&mut command, |mut pipe| {
            let _ = rustix::pipe::fcntl_setpipe_size(&pipe, 1 << 20);
            for call in 0.. {
                let (tag, number) = match step(call, fed.batches) {
                    Step::Rows => (b'R', fed.data.len() as u64),
                    Step::Checkpoint(id) => (b'C', id),
                    Step::End => (b'E', 0),
                    Step::Nothing => return,
                };
                let mut head = [tag; 9];
                head[1..].copy_from_slice(&number.to_le_bytes());
                pipe.write_all(&head).expect("a pipe");
                if tag == b'R' {
                    pipe.write_all(&fed.data).expect("a pipe");
                }
            }
        });
    });
    spent.cpu.as_secs_f64() + child_cpu
}

fn native<D: Destination>(config: &str, fed: Fed) {
    let catalog = testing::catalog([testing::stream("rows")]);
    destination::write::<D>(config, &catalog, &mut NativeFed(fed)).expect("a native write");
}

fn sandboxed(component: &Component, policy: &Policy, config: &str, fed: Fed) {
    let catalog = Catalog::from_airbyte(
        r#"{"streams":[{"stream":{"name":"rows","json_schema":{"type":"object"}},"sync_mode":"full_refresh","destination_sync_mode":"append","generation_id":1}]}"#,
    );
    let catalog = catalog.expect("a catalog");
    let config = Json::parse(config).expect("a config");
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
    tokio
        .block_on(component.write(policy, Arc::new(Silent), &config, &catalog, Arc::new(fed)))
        .expect("a sandboxed write");
}

fn compare<D: Destination>(
    table: &mut Table,
    name: &str,
    bytes: u64,
    with_files: bool,
    budget: &str,
) {
    let cache = CompileCache::at(&target().join("bench-cache"));
    let component = ComponentRuntime::new(Some(cache)).load(&guest(name)).expect("a component");
    let data = batch();
    let cycle = data.len() as u64 * BATCHES_PER_CHECKPOINT;
    let batches = (bytes / cycle).max(1) * BATCHES_PER_CHECKPOINT;
    let fed = |batches| Fed { data: data.clone(), batches, calls: AtomicU64::new(0) };
    let folder = tempfile::tempdir_in(target()).expect("a folder");
    let config_of =
        |path: &str| if with_files { format!(r#"{{"path":"{path}"}}"#) } else { "{}".into() };
    let clean = |path: &Path| {
        let _ = std::fs::remove_file(path.join("rows.jsonl"));
    };
    let host = folder.path().to_str().expect("a path");
    let mut policy = Policy::default();
    if with_files {
        let grant =
            DirectoryGrant { host: host.into(), guest: "/out".into(), access: Access::ReadWrite };
        policy.grant_directory(grant).expect("a grant");
    }
    let run_native = |batches| {
        let spent = spend(|| native::<D>(&config_of(host), fed(batches)));
        clean(folder.path());
        spent
    };
    let run_sandboxed = |batches| {
        let spent = spend(|| sandboxed(&component, &policy, &config_of("/out"), fed(batches)));
        clean(folder.path());
        spent
    };
    let run_piped = |batches| {
        let cpu = piped(name, &config_of(host), &fed(batches));
        clean(folder.path());
        cpu
    };
    run_native(BATCHES_PER_CHECKPOINT);
    run_sandboxed(BATCHES_PER_CHECKPOINT);
    let (mut ours, mut others, mut ratios, mut walls) = (vec![], vec![], vec![], vec![]);
    let (mut pipes, mut against_pipes) = (vec![], vec![]);
    for _ in 0..7 {
        let (our, other, pipe) = (run_sandboxed(batches), run_native(batches), run_piped(batches));
        against_pipes.push(our.cpu.as_secs_f64() / pipe);
        pipes.push(pipe);
        ratios.push(our.cpu.as_secs_f64() / other.cpu.as_secs_f64());
        walls.push(our.wall.as_secs_f64() / other.wall.as_secs_f64());
        ours.push(our.cpu.as_secs_f64());
        others.push(other.cpu.as_secs_f64());
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let rows = (batches * u64::from(ROWS)) as f64;
    table.add(
        &format!("sandbox tax: {name}, CPU"),
        format!("{:.0} ns a row", median(ours.clone()) / rows * 1e9),
        format!("{:.0} ns a row, the same code native", median(others) / rows * 1e9),
        format!("{:.2} x CPU, {:.2} x wall", median(ratios), median(walls)),
        budget,
    );
    table.add(
        &format!("the same, against a process: {name}, CPU"),
        format!("{:.0} ns a row", median(ours) / rows * 1e9),
        format!(
            "{:.0} ns a row, the same code native in a process on a pipe",
            median(pipes) / rows * 1e9
        ),
        format!("{:.2} x CPU", median(against_pipes)),
        "-",
    );
}

pub(crate) fn run(table: &mut Table, quick: bool) {
    let bytes: u64 = if quick { 100_000_000 } else { 1_000_000_000 };
    compare::<DevNull>(
        table,
        "destination-dev-null",
        bytes * 4,
        false,
        "at most 1.2 x (rows pass through)",
    );
    compare::<Jsonl>(table, "destination-jsonl", bytes, true, "at most 1.2 x (rows pass through)");
    compare::<DestinationParse>(
        table,
        "destination-parse",
        bytes,
        false,
        "at most 2 x (each row parsed)",
    );
}
