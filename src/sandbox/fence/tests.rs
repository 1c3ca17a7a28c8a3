use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use super::*;

fn fenced(plan: &FencePlan, level: Fence, script: &str) -> Output {
    let fence = plan.prepare(level).unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env_clear().env("PATH", "/usr/bin:/bin");
    // SAFETY: `enter` makes system calls only.
    #[expect(unsafe_code, reason = "the only way to act between fork and exec")]
    unsafe {
        command.pre_exec(move || fence.enter());
    }
    command.output().unwrap()
}

fn plan() -> FencePlan {
    FencePlan { read: system_folders(), write: devices(), ..FencePlan::default() }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn programs_run_and_reach_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let secret = secret.display();
    let output = fenced(
        &plan(),
        Fence::Require,
        "ls /usr > /dev/null && read line < /proc/self/maps && echo well",
    );
    assert_eq!(text(&output), "well\n");
    for attack in [
        format!("cat {secret}"),
        format!("echo x > {secret}"),
        format!("ls {}", folder.path().display()),
        format!("ln {secret} {secret}2"),
        format!("rm {secret}"),
        "cat /etc/shadow".into(),
        "cat /proc/1/cmdline".into(),
        format!("cat /proc/{}/environ", std::process::id()),
        format!("kill -0 {}", std::process::id()),
        "unshare -r true".into(),
        "setsid true".into(),
        "ls /proc".into(),
    ] {
        let output = fenced(&plan(), Fence::Require, &attack);
        assert!(!output.status.success(), "{attack}: {}", text(&output));
        assert!(!text(&output).contains("hunter2"), "{attack}");
    }
}

#[test]
fn what_is_granted_is_there_and_read_only_is_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    std::fs::write(folder.path().join("file"), "content").unwrap();
    let mut read = plan();
    read.read.push(folder.path().to_owned());
    assert_eq!(text(&fenced(&read, Fence::Require, &format!("cat {path}/file"))), "content");
    for attack in [
        "> $D/file",
        ">> $D/file",
        "> $D/new",
        "rm $D/file",
        "mv $D/file $D/other",
        "ln -s x $D/link",
        "mkdir $D/m",
        "truncate -s 0 $D/file",
    ] {
        let attack = format!("D={path}; {attack}");
        assert!(!fenced(&read, Fence::Require, &attack).status.success(), "{attack}");
    }
    let mut write = plan();
    write.write.push(folder.path().to_owned());
    let work = format!(
        "cd {path} && echo new > new && mkdir m && mv new m/ && rm file && ln -s m l && cat l/new"
    );
    assert_eq!(text(&fenced(&write, Fence::Require, &work)), "new\n");
    let node = format!("mknod {path}/disk b 8 0");
    assert!(!fenced(&write, Fence::Require, &node).status.success());
}

#[test]
fn modes_and_times_stay() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let before = std::fs::metadata(&file).unwrap();
    let read = FencePlan { read: [system_folders(), vec![file.clone()]].concat(), ..plan() };
    let file = file.display();
    let script = "import os,sys; p=sys.argv[1]; os.chmod(p,0o777); os.utime(p,(1,1)); f=open(p); os.fchmod(f.fileno(),0o777)";
    let output = fenced(
        &read,
        Fence::Require,
        &format!(
            "chmod 777 {file}; python3 -c '{script}' {file} || perl -e 'chmod 0777, \"{file}\"; utime 1, 1, \"{file}\"'"
        ),
    );
    assert!(output.status.success(), "{}", text(&output));
    let after = std::fs::metadata(folder.path().join("file")).unwrap();
    assert_eq!(after.permissions(), before.permissions());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
}

#[test]
fn limits_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let mut plan = plan();
    plan.write.push(folder.path().to_owned());
    plan.open_files = Some(32);
    plan.file_bytes = Some(1 << 20);
    plan.memory_bytes = Some(64 << 20);
    plan.cpu = Some(Duration::from_secs(1));
    let output = fenced(
        &plan,
        Fence::Require,
        "ulimit -n; ulimit -c; ulimit -t; ulimit -d; ulimit -Hn 4096 || echo refused",
    );
    let said = text(&output);
    assert!(said.starts_with("32\n0\n1\n65536\n"), "{said}");
    assert!(
        !fenced(&plan, Fence::Require, &format!("head -c 2000000 /dev/zero > {path}/big"))
            .status
            .success()
    );
    assert_eq!(std::fs::metadata(folder.path().join("big")).unwrap().len(), 1 << 20);
    assert!(
        !fenced(&plan, Fence::Require, "head -c 200000000 /dev/zero | tail -c 190000000")
            .status
            .success()
    );
    assert!(!fenced(&plan, Fence::Require, "while :; do :; done").status.success());
}

#[test]
fn levels() {
    let none = KernelSupport { landlock: 0, seccomp: false, namespace: Namespace::None };
    let error = plan().prepare_on(Fence::Require, none).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("SANDBOX_UNAVAILABLE", ExitClass::Refused));
    let said = error.to_string();
    assert!(said.contains("Landlock (files") && said.contains("seccomp"), "{said}");
    assert!(error.hint().unwrap().contains("--sandbox best-effort"));

    let some = plan().prepare_on(Fence::BestEffort, none).unwrap();
    assert!(some.reached().words().starts_with("limits; without Landlock"));
    assert!(!some.reached().is_whole());

    let old = KernelSupport { landlock: 3, seccomp: true, namespace: Namespace::None };
    let ports = FencePlan { connect: TcpAccess::Ports(vec![5432]), ..plan() };
    assert!(ports.prepare_on(Fence::Require, old).unwrap_err().to_string().contains("TCP ports"));
    assert!(plan().prepare_on(Fence::Require, old).unwrap().reached().words().contains("signals"));

    let off = plan().prepare(Fence::Off).unwrap();
    assert_eq!(off.reached().words(), "off");
    let here = plan().prepare(Fence::Require).unwrap();
    assert!(here.reached().is_whole() || KernelSupport::here().landlock < 6);
    let output = fenced(&plan(), Fence::Off, "cat /proc/1/status > /dev/null && ulimit -c");
    assert!(output.status.success());
}

#[test]
fn the_filters_compile_for_every_plan() {
    for connect in [TcpAccess::None, TcpAccess::Ports(vec![1]), TcpAccess::Any] {
        for unix_sockets in [false, true] {
            for exec in [false, true] {
                let plan = FencePlan { connect: connect.clone(), unix_sockets, exec, ..plan() };
                let filters = calls::filters(&plan).unwrap();
                assert!(filters.iter().all(|f| f.len() < 4096));
            }
        }
    }
}

#[test]
fn shared_memory_is_its_own() {
    let plan = FencePlan { shared_memory: true, ..plan() };
    let own = "test -z \"$(ls /dev/shm)\" && echo x > /dev/shm/lockgate-test && cat /dev/shm/lockgate-test";
    if KernelSupport::here().namespace == Namespace::None {
        assert!(!fenced(&plan, Fence::Require, own).status.success());
    } else {
        assert_eq!(text(&fenced(&plan, Fence::Require, own)), "x\n");
    }
    assert!(!std::path::Path::new("/dev/shm/lockgate-test").exists());
    let without = FencePlan { shared_memory: false, ..plan };
    assert!(!fenced(&without, Fence::Require, "ls /dev/shm").status.success());
}
