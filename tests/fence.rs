//! What a hostile connector that is a process tries, and what comes of it: the kernel's fence, through
//! the real binary.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;
mod peers;

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::{Duration, Instant};

use common::Folder;
use lockgate::executor::{Context, Executor, ProcessExecutor};
use lockgate::fault::{ExitClass, Fault};
use lockgate::sandbox::fence::{KernelSupport, Namespace};
use lockgate::sandbox::{Fence, Policy};
use peers::executable;
use serde_json::{Value, json};

/// A source that tries what its configuration says, as Python, and gives what came of it as rows:
/// `[name, outcome]`, where an error is its errno's name.
const HOSTILE: &str = r#"#!/usr/bin/env python3
import ctypes, errno, json, os, signal, socket, subprocess, sys
def say(kind, **body): print(json.dumps({"type": kind, **body}), flush=True)
def row(name, outcome): say("RECORD", record={"stream": "s", "data": {"name": name, "outcome": outcome}, "emitted_at": 1})
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0: raise OSError(ctypes.get_errno(), name)
    return "done"
def tcp(port):
    with socket.create_connection(("127.0.0.1", port), 5): return "connected"
def udp(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s: return s.sendto(b"x", ("127.0.0.1", port))
def fast(port):
    with socket.socket() as s: return s.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", port))
def mptcp(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as s: return s.connect(("127.0.0.1", port))
def unix(path):
    with socket.socket(socket.AF_UNIX) as s: return s.connect(path)
def pair(path):
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); return a.sendto(b"x", path)
def read(path): return open(path, "rb").read(100).decode("latin1")
def write(path): return open(path, "w").write("x")
def run(*command): return subprocess.run(command, check=True, capture_output=True, timeout=20).stdout.decode()
command = sys.argv[1]
if command == "spec": say("SPEC", spec={"connectionSpecification": {"type": "object"}})
if command == "check": say("CONNECTION_STATUS", connectionStatus={"status": "SUCCEEDED"})
if command == "discover": say("CATALOG", catalog={"streams": [{"name": "s", "json_schema": {}, "supported_sync_modes": ["full_refresh"]}]})
if command == "read":
    config = json.load(open(sys.argv[sys.argv.index("--config") + 1]))
    for name, code in config["tries"]:
        try: outcome = repr(eval(code))
        except OSError as e: outcome = errno.errorcode.get(e.errno, str(e))
        except BaseException as e: outcome = type(e).__name__
        row(name, outcome)
    say("STATE", state={"type": "STREAM", "stream": {"stream_descriptor": {"name": "s"}, "stream_state": {"tried": len(config["tries"])}}})
    say("TRACE", trace={"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": {"stream_descriptor": {"name": "s"}, "status": "COMPLETE"}})
"#;

/// A folder of the test, with the hostile program in one of its own.
fn stage() -> (Folder, String) {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("program")).expect("a folder");
    let program = executable(&folder, "program/source", HOSTILE);
    (folder, format!("exec:{}", program.display()))
}

/// Runs the tries and gives their outcomes, by name, and the report.
fn tried(
    folder: &Folder,
    source: &str,
    tries: &[(&str, String)],
    more: &[&str],
) -> (Vec<(String, String)>, Value) {
    let config = json!({ "tries": tries }).to_string();
    let recorder = format!(
        "#!/bin/sh\ncase $1 in\nspec) echo '{1}' ;;\ncheck) echo '{2}' ;;\nwrite) cat > {0}/rows; grep '\"STATE\"' {0}/rows ;;\nesac\n",
        folder.path().display(),
        r#"{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"},"supported_destination_sync_modes":["overwrite","append"]}}"#,
        r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}"#,
    );
    let recorder = format!("exec:{}", executable(folder, "recorder", &recorder).display());
    let place = folder.path().display().to_string();
    let mut command = folder.lockgate();
    command.args(["sync", "--output", "json", "--source", source]);
    if !more.contains(&"--state") {
        command.args(["--state", "none"]);
    }
    command.args(["--source-config", &config, "--destination", &recorder]);
    command.args(["--destination-allow-dir", &place]).args(more);
    let output = command.timeout(Duration::from_secs(120)).output().expect("lockgate runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report = serde_json::from_slice(&output.stdout).expect("a report");
    let rows = folder.read("rows");
    let data = peers::rows_of(&rows, "s").into_iter().map(|row| {
        let text = |member: &str| row[member].as_str().expect("a string").to_owned();
        (text("name"), text("outcome"))
    });
    (data.collect(), report)
}

#[track_caller]
fn all_refused(outcomes: &[(String, String)], tries: usize) {
    assert_eq!(outcomes.len(), tries);
    for (name, outcome) in outcomes {
        let refused = [
            "EACCES",
            "EPERM",
            "EXDEV",
            "ENOENT",
            "ENOSYS",
            "CalledProcessError",
            "PermissionError",
        ];
        assert!(refused.contains(&outcome.as_str()), "{name}: {outcome}");
    }
}

/// What is outside, and was not touched.
#[test]
fn files_outside_are_out_of_reach() {
    let (folder, source) = stage();
    let home = tempfile::tempdir().expect("a folder");
    let secret = home.path().join("id_x");
    std::fs::write(&secret, "hunter2").expect("a file");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let (s, h) = (secret.display(), home.path().display());
    let own = format!("{}/program", folder.path().display());
    let tries: Vec<(&str, String)> = vec![
        ("read", format!("read('{s}')")),
        ("list", format!("os.listdir('{h}')")),
        ("write", format!("write('{h}/new')")),
        ("append", format!("open('{s}', 'a')")),
        ("truncate", format!("os.truncate('{s}', 0)")),
        ("rename", format!("os.rename('{s}', '{h}/other')")),
        ("rename in", format!("os.rename('{s}', os.environ['TMPDIR'] + '/stolen')")),
        (
            "rename out",
            format!(
                "(open(os.environ['TMPDIR'] + '/mine', 'w').close(), os.rename(os.environ['TMPDIR'] + '/mine', '{h}/mine'))"
            ),
        ),
        (
            "hard link in",
            format!(
                "(os.link('{s}', os.environ['TMPDIR'] + '/link'), read(os.environ['TMPDIR'] + '/link'))"
            ),
        ),
        (
            "symlink",
            format!(
                "(os.symlink('{s}', os.environ['TMPDIR'] + '/sym'), read(os.environ['TMPDIR'] + '/sym'))"
            ),
        ),
        ("symlink out", format!("os.symlink('/', '{h}/sym')")),
        ("remove", format!("os.remove('{s}')")),
        ("owner", format!("os.chown('{s}', 1, 1)")),
        ("attribute", format!("os.setxattr('{s}', 'user.x', b'x')")),
        ("own program", format!("write('{own}/source')")),
        ("shadow", "read('/etc/shadow')".into()),
        ("passwords", "os.listdir('/root')".into()),
        ("other runs", "os.listdir(os.path.dirname(os.path.dirname(os.environ['TMPDIR'])))".into()),
        ("temporary", "os.listdir('/tmp')".into()),
        (
            "a disk",
            "(os.mknod(os.environ['TMPDIR'] + '/disk', 0o60600, os.makedev(8, 0)), 1)".into(),
        ),
        ("a handle", "call('open_by_handle_at', -100, None, 0)".into()),
    ];
    let before = std::fs::metadata(&secret).expect("it is there").modified().expect("a time");
    let (outcomes, report) = tried(&folder, &source, &tries, &[]);
    all_refused(&outcomes, tries.len());
    // These say that they went well, and do nothing.
    let silent = [
        ("mode", format!("os.chmod('{s}', 0o666)")),
        ("times", format!("os.utime('{s}', (1, 1))")),
    ];
    tried(&folder, &source, &silent, &[]);
    let after = std::fs::metadata(&secret).expect("it is there").modified().expect("a time");
    assert_eq!(after, before);
    assert_eq!(std::fs::read_to_string(&secret).expect("it is there"), "hunter2");
    let facts = std::fs::metadata(&secret).expect("it is there");
    assert_eq!(facts.permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_dir(home.path()).expect("a folder").count(), 1);
    let fence = report["source"]["fence"].as_str().expect("a fence");
    assert!(fence.starts_with("landlock-") && fence.contains("seccomp, limits"), "{fence}");

    // With a grant of that folder it reads, and no more.
    let grant = format!("{h}:ro");
    let read_only = [tries[0].clone(), tries[2].clone(), tries[4].clone(), tries[11].clone()];
    let (outcomes, _) = tried(&folder, &source, &read_only, &["--source-allow-dir", &grant]);
    assert_eq!(outcomes[0].1, "'hunter2'");
    all_refused(&outcomes[1..], 3);
}

#[test]
fn what_the_host_keeps_in_a_granted_folder_is_out_of_reach() {
    let (folder, source) = stage();
    folder.write("lockgate.toml", "# not yours");
    folder.write("lib/file", "yours");
    let here = folder.path().display().to_string();
    let kept = format!("{here}/.lockgate");
    let grants = ["--source-allow-dir", here.as_str(), "--state", "default"];
    if KernelSupport::here().namespace == Namespace::None {
        let mut command = folder.lockgate();
        command.args(["sync", "--source", &source, "--destination", "destination-dev-null"]);
        let output = command.args(grants).output().expect("lockgate runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("error[AUDIT_EXPOSED]"), "{errors}");
        return;
    }
    let tries: Vec<(&str, String)> = vec![
        ("granted", format!("read('{here}/lib/file')")),
        ("granted to write", format!("write('{here}/lib/more')")),
        // A superuser sees that it is empty, anybody else not even that.
        (
            "kept",
            format!(
                "[] if os.geteuid() and not os.access('{kept}', os.R_OK) else os.listdir('{kept}')"
            ),
        ),
        ("states", format!("read('{kept}/state.db')")),
        ("new", format!("write('{kept}/new')")),
        ("new folder", format!("os.mkdir('{kept}/runs')")),
        ("rename", format!("os.rename('{kept}', '{here}/other')")),
        ("remove", format!("os.rmdir('{kept}')")),
        ("replace", format!("(os.mkdir('{here}/lib/x'), os.rename('{here}/lib/x', '{kept}'))")),
        ("unmount", format!("call('umount2', b'{kept}', 2)")),
        ("from its root", format!("os.listdir('/proc/self/root{kept}')[0]")),
        ("policy", format!("read('{here}/lockgate.toml')")),
        ("new policy", format!("write('{here}/lockgate.toml')")),
        ("other policy", format!("os.replace('{here}/lib/more', '{here}/lockgate.toml')")),
        ("no policy", format!("os.remove('{here}/lockgate.toml')")),
    ];
    let (outcomes, report) = tried(&folder, &source, &tries, &grants);
    let told: Vec<&str> = outcomes.iter().map(|(_, outcome)| outcome.as_str()).collect();
    assert_eq!(told[..3], ["'yours'", "1", "[]"]);
    for (name, outcome) in &outcomes[3..] {
        let refused = ["EACCES", "EPERM", "ENOENT", "EROFS", "EBUSY", "EXDEV", "IndexError"];
        assert!(refused.contains(&outcome.as_str()), "{name}: {outcome}");
    }
    // What the host keeps is whole.
    assert_eq!(folder.read("lockgate.toml"), "# not yours");
    let name = report["run"].as_str().expect("a run");
    let run = folder.read(&format!(".lockgate/runs/{name}/run.json"));
    let run: Value = serde_json::from_str(&run).expect("a record");
    assert_eq!(run["status"], "succeeded");
    assert!(!folder.read(&format!(".lockgate/runs/{name}/audit.jsonl")).is_empty());
    let connection = report["connection"].as_str().expect("a connection");
    let show = folder.lockgate().args(["state", "show", connection]).output();
    let states: Value = serde_json::from_slice(&show.expect("lockgate runs").stdout).expect("JSON");
    assert_eq!(states[0]["stream"]["stream_state"]["tried"], tries.len(), "{states}");
}

#[test]
fn the_network_is_out_of_reach_and_opens_by_port() {
    let (folder, source) = stage();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let second = other.local_addr().expect("an address").port();
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let third = datagrams.local_addr().expect("an address").port();
    let path = folder.path().join("socket");
    let _unix = UnixListener::bind(&path).expect("a socket");
    let (path, dgram) = (path.display(), folder.path().join("dgram"));
    let _dgram = UnixDatagram::bind(&dgram).expect("a socket");
    let tries: Vec<(&str, String)> = vec![
        ("tcp", format!("tcp({port})")),
        ("udp", format!("udp({third})")),
        ("fast open", format!("fast({port})")),
        ("mptcp", format!("mptcp({port})")),
        ("unix", format!("unix('{path}')")),
        ("abstract", "unix('\\0x')".into()),
        ("pair", format!("pair('{}')", dgram.display())),
        ("raw", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)".into()),
        ("netlink", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)".into()),
        ("listen", "socket.socket().listen()".into()),
    ];
    let (outcomes, _) = tried(&folder, &source, &tries, &[]);
    all_refused(&outcomes, tries.len());

    let grant = format!("localhost:{port}");
    let tries = [
        tries[0].clone(),
        ("other port", format!("tcp({second})")),
        ("bind", "socket.socket().bind(('127.0.0.1', 0))".into()),
        tries[9].clone(),
        tries[2].clone(),
        tries[3].clone(),
        tries[4].clone(),
        tries[7].clone(),
        ("fast other", format!("fast({second})")),
    ];
    let (outcomes, report) = tried(&folder, &source, &tries, &["--source-allow-net", &grant]);
    assert_eq!(outcomes[0].1, "'connected'");
    all_refused(&outcomes[1..], tries.len() - 1);
    let fence = report["source"]["fence"].as_str().expect("a fence");
    assert!(fence.contains(&port.to_string()) && fence.contains("not enforced"), "{fence}");
}

#[test]
fn other_processes_and_the_machine_are_out_of_reach() {
    let (folder, source) = stage();
    let me = std::process::id();
    let tries: Vec<(&str, String)> = vec![
        ("environment", "read('/proc/%d/environ' % os.getppid())".into()),
        ("memory", "open('/proc/%d/mem' % os.getppid(), 'rb')".into()),
        ("arguments", format!("read('/proc/{me}/cmdline')")),
        ("first", "read('/proc/1/cmdline')".into()),
        ("trace", "call('ptrace', 16, os.getppid(), None, None)".into()),
        ("pages", "call('process_vm_readv', os.getppid(), None, 0, None, 0, 0)".into()),
        ("kill", "os.kill(os.getppid(), signal.SIGKILL)".into()),
        ("kill others", format!("os.kill({me}, signal.SIGKILL)")),
        ("limits", "__import__('resource').prlimit(os.getppid(), 7, (1, 1))".into()),
        ("priority", "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)".into()),
        ("mount", "call('mount', b'tmpfs', b'/mnt', b'tmpfs', 0, None)".into()),
        ("namespaces", "call('unshare', 0x10000000)".into()),
        ("namespaces again", "call('unshare', 0x00020000)".into()),
        ("root", "os.chroot('/')".into()),
        ("session", "os.setsid()".into()),
        ("group", "os.setpgid(0, 0)".into()),
        ("keys", "call('syscall', 250, 0, -3, 0)".into()),
        ("super user", "run('su', '-c', 'id')".into()),
    ];
    let (outcomes, _) = tried(&folder, &source, &tries, &[]);
    all_refused(&outcomes, tries.len());
    // Its own are its own.
    let tries: Vec<(&str, String)> = vec![
        ("itself", "'source' in read('/proc/self/cmdline')".into()),
        ("a child", "run('echo', 'x')".into()),
        (
            "a killed child",
            "(lambda p: (p.kill(), p.wait())[1])(subprocess.Popen(['sleep', '60']))".into(),
        ),
        ("variables", "sorted(os.environ)".into()),
        (
            "privileges",
            "[l for l in open('/proc/self/status') if l.startswith('NoNewPrivs')][0].split()[1]"
                .into(),
        ),
    ];
    let (outcomes, _) = tried(&folder, &source, &tries, &["--source-env", "GRANTED=1"]);
    let told: Vec<&str> = outcomes.iter().map(|(_, outcome)| outcome.as_str()).collect();
    let variables = told[3].replace("'LC_CTYPE', ", "");
    assert_eq!(&told[..3], ["True", "'x\\n'", "-9"]);
    assert!(variables.starts_with("['GRANTED', 'HOME', 'LANG', 'PATH'"), "{variables}");
    assert!(!variables.contains("CARGO") && !variables.contains("LOCKGATE"), "{variables}");
    assert_eq!(told[4], "'1'");
}

#[test]
fn what_it_uses_has_limits() {
    let (folder, source) = stage();
    let tries: Vec<(&str, String)> = vec![
        ("memory", "len(bytearray(600 << 20))".into()),
        ("files", "[open('/dev/null') for _ in range(10000)] and 'opened'".into()),
        ("a large file", "(signal.signal(signal.SIGXFSZ, signal.SIG_IGN), open(os.environ['TMPDIR'] + '/x', 'wb').write(b'x' * (8 << 20)))".into()),
        ("more", "__import__('resource').setrlimit(7, (20000, 20000))".into()),
        ("core", "__import__('resource').getrlimit(4)".into()),
    ];
    let limits = ["process-bytes=256MiB", "process-files=100", "written-bytes=1MiB"];
    let limits: Vec<&str> = limits.iter().flat_map(|limit| ["--source-limit", limit]).collect();
    let (outcomes, _) = tried(&folder, &source, &tries, &limits);
    let told: Vec<&str> = outcomes.iter().map(|(_, outcome)| outcome.as_str()).collect();
    assert_eq!(told[..3], ["MemoryError", "EMFILE", "EFBIG"]);
    assert!(["ValueError", "PermissionError", "EPERM"].contains(&told[3]), "{}", told[3]);
    assert_eq!(told[4], "(0, 0)");
}

#[test]
fn nothing_of_it_is_left() {
    let (folder, source) = stage();
    // Twice forked, with its output closed, in the background; it cannot leave its group.
    let marker = format!("{}7", std::process::id());
    let orphan = format!("run('sh', '-c', '(sleep {marker} <&- >&- 2>&- &) ; exit 0')");
    tried(&folder, &source, &[("orphan", orphan)], &[]);
    let began = Instant::now();
    let pattern = format!("^sleep {marker}$");
    loop {
        let left = std::process::Command::new("pgrep").args(["-f", &pattern]).output();
        if left.expect("pgrep").stdout.is_empty() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "it is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_failure_behind_the_fence_says_so() {
    let folder = Folder::new();
    let program = executable(&folder, "source", "#!/bin/sh\ncat /root/secret >&2 || exit 7\n");
    let program = program.display().to_string();
    let output = folder.lockgate().args(["spec", &format!("exec:{program}")]).output();
    let errors = String::from_utf8_lossy(&output.expect("it runs").stderr).into_owned();
    assert!(errors.contains("exited with code 7"), "{errors}");
    for word in ["behind the kernel's fence", "--allow-dir DIR", "--allow-net", "--sandbox off"] {
        assert!(errors.contains(word), "{word}: {errors}");
    }
    let off = ["spec", "--sandbox", "off", &format!("exec:{program}")];
    let output = folder.lockgate().args(off).output().expect("it runs");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("fence"));
    // A directory under another name is refused in words.
    let grant = format!("{}::/out", folder.path().display());
    let exec = format!("exec:{program}");
    let output = folder.lockgate().args(["spec", &exec, "--allow-dir", &grant]).output();
    let output = output.expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("under that path and no other"), "{errors}");
}

#[test]
fn a_kernel_that_cannot_is_named() {
    let (folder, source) = stage();
    let program = std::path::PathBuf::from(source.trim_start_matches("exec:"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let spec = |level: Fence, kernel: KernelSupport| {
        let policy = Policy { fence: level, ..Policy::default() };
        let executor = ProcessExecutor::new(program.clone(), policy).expect("it is there");
        let executor = executor.on_kernel(kernel);
        let context = Context::new(std::sync::Arc::new(lockgate::connector::Silent));
        let told = runtime.block_on(async { executor.spec(&context).await });
        (told, executor.describe().fence.expect("a word"))
    };
    let bare = KernelSupport { landlock: 0, seccomp: true, namespace: Namespace::None };
    let (told, _) = spec(Fence::Require, bare);
    let error = told.expect_err("it is refused");
    assert_eq!((error.code(), error.exit()), ("SANDBOX_UNAVAILABLE", ExitClass::Refused));
    assert!(error.to_string().contains("it lacks Landlock"), "{error}");
    assert!(error.hint().expect("a hint").contains("--sandbox best-effort"));

    let (told, fence) = spec(Fence::BestEffort, bare);
    assert!(told.is_ok(), "{told:?}");
    assert!(fence.starts_with("seccomp, limits; without Landlock"), "{fence}");
    let (told, fence) = spec(Fence::Off, bare);
    assert!(told.is_ok() && fence == "off", "{told:?} {fence}");
    let (told, fence) = spec(Fence::Require, KernelSupport::here());
    assert!(told.is_ok() && fence.starts_with("landlock-"), "{told:?} {fence}");
    drop(folder);
}

#[test]
fn a_socket_of_ours_is_not_inherited() {
    // Python's own, which is not close-on-exec here: the fence closes what was forgotten.
    let (folder, source) = stage();
    let (mut ours, theirs) = std::io::pipe().expect("a pipe");
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).expect("a flag");
    let number = std::os::fd::AsRawFd::as_raw_fd(&theirs);
    let tries = [("inherited", format!("os.write({number}, b'leak')"))];
    let (outcomes, _) = tried(&folder, &source, &tries, &[]);
    drop(theirs);
    let mut leaked = String::new();
    ours.read_to_string(&mut leaked).expect("a pipe");
    assert_eq!(leaked, "", "{outcomes:?}");
}
