//! A registry of images (Debian's package docker-registry), and a door in front of it that notes what
//! comes in and can be made slow.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is missing"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::common::Folder;
use super::docker::{IMAGE, docker, docker_ok};

pub const USER: &str = "puller";
pub const PASSWORD: &str = "let-me-in-7431";
/// USER:PASSWORD as HTTP and Docker's configuration have it.
pub const BASIC: &str = "cHVsbGVyOmxldC1tZS1pbi03NDMx";
/// The same for the registry's file of users; its cost is the lowest that there is.
const HTPASSWD: &str = "puller:$2b$05$lomnb84Ow/NxI.WinPVjqeQ0iAHK7nlun7qkl/QPD4Ailnco5TeHG\n";

/// A registry of this test, that ends with it.
pub struct ImageRegistry {
    folder: Folder,
    process: Child,
    door: Door,
    private: bool,
}

impl ImageRegistry {
    pub fn start() -> Self {
        Self::with("")
    }

    /// One that wants to know who asks.
    pub fn private() -> Self {
        Self::with("auth:\n  htpasswd:\n    realm: test\n    path: USERS\n")
    }

    fn with(auth: &str) -> Self {
        let folder = Folder::new();
        let users = folder.write("users", HTPASSWD).display().to_string();
        let data = folder.path().join("data").display().to_string();
        let config = format!(
            "version: 0.1\nlog:\n  level: info\n  formatter: json\nstorage:\n  filesystem:\n    \
             rootdirectory: {data}\nhttp:\n  addr: 127.0.0.1:0\n{}",
            auth.replace("USERS", &users)
        );
        let config = folder.write("config.yml", &config);
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!(
                "these tests need a registry of images, and docker-registry cannot be run ({error}): \
                 apt-get install docker-registry"
            )
        });
        let mut log = BufReader::new(process.stderr.take().expect("its log"));
        let address = listening(&mut log);
        // It would wait for a reader of what else it says.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { folder, process, door: Door::open(address), private: !auth.is_empty() }
    }

    /// HOST:PORT, as an image's name begins.
    pub fn place(&self) -> String {
        self.door.address.to_string()
    }

    /// The requests and all else that came in since the last push.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.door.heard.lock().expect("a lock")).into_owned()
    }

    /// Lets its answers out slowly while this is so.
    pub fn slow_while(&self, so: impl Fn() -> bool + Send + Sync + 'static) {
        *self.door.slow.lock().expect("a lock") = Arc::new(so);
    }

    /// Puts an image with a new layer of `bytes` bytes there, and not on the engine.
    pub fn push(&self, name: &str, bytes: u64) -> Pushed {
        let image = format!("{}/lockgate-test/{name}", self.place());
        let tagged = format!("{image}:1");
        let layer = self.folder.path().join("layer");
        let mut random = std::fs::File::open("/dev/urandom").expect("random bytes").take(bytes);
        let mut file = std::fs::File::create(&layer).expect("a file");
        std::io::copy(&mut random, &mut file).expect("a layer");
        let container = docker_ok(&["create", "--pull=never", "--network=none", IMAGE]);
        docker_ok(&["cp", &layer.display().to_string(), &format!("{container}:/layer")]);
        docker_ok(&["commit", &container, &tagged]);
        docker_ok(&["rm", &container]);
        if self.private {
            let auths = format!(r#"{{"auths":{{"{}":{{"auth":"{BASIC}"}}}}}}"#, self.place());
            let login = self.folder.write("login/config.json", &auths);
            let login = login.parent().expect("its folder").display().to_string();
            docker_ok(&["--config", &login, "push", &tagged]);
        } else {
            docker_ok(&["push", &tagged]);
        }
        let pushed = Pushed { digest: self.digest(name), image, tagged };
        pushed.remove();
        assert!(!pushed.is_there());
        self.door.heard.lock().expect("a lock").clear();
        pushed
    }

    /// What the registry itself knows the image by.
    fn digest(&self, name: &str) -> String {
        let mut stream = TcpStream::connect(self.door.address).expect("the registry");
        let request = format!(
            "HEAD /v2/lockgate-test/{name}/manifests/1 HTTP/1.0\r\nHost: {}\r\n\
             Authorization: Basic {BASIC}\r\n\
             Accept: application/vnd.docker.distribution.manifest.v2+json\r\n\r\n",
            self.place()
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let digest = answer.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
        digest.unwrap_or_else(|| panic!("no digest: {answer}")).trim().to_owned()
    }
}

impl Drop for ImageRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where it says that it listens.
fn listening(log: &mut impl BufRead) -> SocketAddr {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if log.read_line(&mut line).expect("its log") == 0 {
            panic!("the registry ended: {said}");
        }
        if let Some((_, rest)) = line.split_once("listening on ") {
            let address: String =
                rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
            return address.parse().expect("an address");
        }
        said.push_str(&line);
    }
}

/// An image that a registry has. It leaves the engine with the test.
pub struct Pushed {
    /// Without a tag.
    pub image: String,
    pub tagged: String,
    pub digest: String,
}

impl Pushed {
    pub fn is_there(&self) -> bool {
        docker(&["image", "inspect", &self.tagged]).status.success()
    }

    pub fn remove(&self) {
        let by_digest = format!("{}@{}", self.image, self.digest);
        // One of them may be there, or both.
        docker(&["rmi", "--force", &self.tagged]);
        docker(&["rmi", "--force", &by_digest]);
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        self.remove();
    }
}

type Slow = Arc<dyn Fn() -> bool + Send + Sync>;

/// Passes connections on.
struct Door {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    slow: Arc<Mutex<Slow>>,
}

impl Door {
    fn open(inside: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let slow: Slow = Arc::new(|| false);
        let door = Self { address, heard: Arc::default(), slow: Arc::new(Mutex::new(slow)) };
        let (heard, slow) = (door.heard.clone(), door.slow.clone());
        std::thread::spawn(move || {
            for outer in listener.incoming() {
                let (Ok(outer), Ok(inner)) = (outer, TcpStream::connect(inside)) else { continue };
                let back = (inner.try_clone().expect("a handle"), outer.try_clone().expect("one"));
                let (heard, slow) = (heard.clone(), slow.clone());
                std::thread::spawn(move || {
                    pass(outer, inner, |bytes| heard.lock().expect("a lock").extend(bytes));
                });
                std::thread::spawn(move || {
                    pass(back.0, back.1, |_| {
                        let slow = slow.lock().expect("a lock").clone();
                        if slow() {
                            std::thread::sleep(Duration::from_millis(100));
                        }
                    });
                });
            }
        });
        door
    }
}

/// One way, at most 64 KiB at a time.
fn pass(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        see(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // The other way may have more to say.
    let _ = to.shutdown(std::net::Shutdown::Write);
}
