//! What the attacks on the network attack: servers on this machine, and a resolver that answers what
//! an attacker's would.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lockgate::component::Resolver;

/// A server, and how many came to it.
pub(crate) struct Server {
    pub(crate) port: u16,
    came: &'static AtomicUsize,
}

impl Server {
    fn start(serve: fn(TcpStream)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let came: &AtomicUsize = Box::leak(Box::default());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                came.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { port, came }
    }

    pub(crate) fn came(&self) -> usize {
        self.came.load(Ordering::Relaxed)
    }
}

/// Nobody may come here.
pub(crate) static FORBIDDEN: LazyLock<Server> = LazyLock::new(|| {
    Server::start(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ngot");
    })
});

/// A server that is granted, and hostile too: what it does is in the path.
pub(crate) static GRANTED: LazyLock<Server> = LazyLock::new(|| Server::start(serve));

fn serve(mut stream: TcpStream) {
    // Whatever it does, it ends: nothing of a test is left in the process.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mut send = |text: &str| stream.write_all(text.as_bytes()).is_ok();
    match path {
        "/redirect" => {
            let to = FORBIDDEN.port;
            send(&format!(
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{to}/\r\ncontent-length: 0\r\n\r\n"
            ));
        }
        "/large-header" => {
            send("HTTP/1.1 200 OK\r\nx: ");
            while send(&"x".repeat(1000)) {}
        }
        "/many-headers" => {
            send("HTTP/1.1 200 OK\r\n");
            for n in 0.. {
                if !send(&format!("x-{n}: y\r\n")) {
                    break;
                }
            }
        }
        "/endless" => {
            send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            while send("400\r\n") && send(&"y".repeat(1024)) && send("\r\n") {}
        }
        "/drip" => {
            send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx");
            let _ = stream.read(&mut byte);
        }
        "/silent" => {
            let _ = stream.read(&mut byte);
        }
        _ => {
            send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    }
}

/// A resolver that an attacker has a say in.
#[derive(Debug)]
pub(crate) struct Names;

/// How often a name was asked for that would carry data out.
pub(crate) static CARRIED_OUT: AtomicU64 = AtomicU64::new(0);

/// How often each name was asked for that turns.
static TURNED: LazyLock<Mutex<HashMap<String, u64>>> = LazyLock::new(Mutex::default);

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        let public = IpAddr::from([203, 0, 114, 1]);
        let here = IpAddr::from([127, 0, 0, 1]);
        if name.ends_with(".turns.example") {
            let mut turned = TURNED.lock().expect("nobody panics with it");
            let times = turned.entry(name.to_owned()).or_default();
            *times += 1;
            return Ok(vec![if *times == 1 { public } else { here }]);
        }
        if name.starts_with("metadata.") {
            return Ok(vec![IpAddr::from([169, 254, 169, 254])]);
        }
        if name.ends_with(".thief.example") {
            CARRIED_OUT.fetch_add(1, Ordering::Relaxed);
        }
        Ok(vec![here])
    }
}

/// A name that is public at first and this machine from then on.
pub(crate) fn turning_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("n{}.turns.example", NEXT.fetch_add(1, Ordering::Relaxed))
}
