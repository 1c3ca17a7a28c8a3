//! A server that goes away, refuses, or is somebody else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use lockgate::fault::Fault;
use lockgate::state::{StateStoreError, SyncStart};
use lockgate::{PostgresStateStore, PostgresUrl, StateStore};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::schema::{Schema, server};
use crate::{Place, bodies, keep, stream, texts};

fn parsed() -> url::Url {
    url::Url::parse(&server()).unwrap()
}

fn open(url: &str) -> Result<PostgresStateStore, StateStoreError> {
    PostgresStateStore::open(PostgresUrl::parse(url).unwrap())
}

#[test]
fn a_lost_connection_is_made_again() {
    let place = Place::postgres();
    let Place::Postgres(schema) = &place else { unreachable!() };
    let url = format!("{}&application_name={}", schema.url(), schema.name);
    let store = open(&url).unwrap();
    keep(&store, "a", [stream("s", 1)]);
    for at in 2..4 {
        schema.run(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = '{}'",
            schema.name
        ));
        keep(&store, "a", [stream("s", at)]);
        assert_eq!(bodies(&store, "a"), texts([stream("s", at)]));
    }
    assert_eq!(store.begin_sync("a", &SyncStart::default(), None).unwrap().sync_id, 1);
}

#[test]
fn it_may_be_called_from_threads_of_a_runtime() {
    let place = Place::postgres();
    let store = place.open();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        keep(store.as_ref(), "a", [stream("s", 1)]);
        let opened = place.open();
        assert_eq!(bodies(opened.as_ref(), "a"), texts([stream("s", 1)]));
    });
}

#[test]
fn a_refusal_says_no_password() {
    let mut url = parsed();
    let user = url.username().to_owned();
    url.set_password(Some("hunter2-hunter2")).unwrap();
    let error = open(url.as_str()).unwrap_err();
    assert_eq!(error.code(), "STATE_STORE");
    let text = error.to_string();
    assert!(text.contains(&format!("postgres://{user}@")) && text.contains("28P01"), "{text}");
    assert!(!format!("{text} {error:?}").contains("hunter2"), "{text}");
    // Nobody is there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    url.set_port(Some(free)).unwrap();
    let error = open(url.as_str()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let schema = Schema::new();
    let error = open(&format!("{}&sslmode=require", schema.url())).unwrap_err();
    assert!(error.to_string().contains("TLS"), "{error}");
}

/// Speaks TLS before the server of the tests, with a certificate for `localhost`.
fn before_it(folder: &Path) -> u16 {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("ca.pem"), made.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let config = config.clone();
            std::thread::spawn(move || relay(client, config));
        }
    });
    port
}

/// One connection. Request and answer come in turns, so that one thread relays both.
fn relay(mut client: TcpStream, config: Arc<ServerConfig>) -> Option<()> {
    // The eight bytes that ask for TLS.
    let mut request = [0; 8];
    client.read_exact(&mut request).ok()?;
    client.write_all(b"S").ok()?;
    let url = parsed();
    let mut server = TcpStream::connect((url.host_str()?, url.port()?)).ok()?;
    let pause = Some(std::time::Duration::from_millis(5));
    server.set_read_timeout(pause).ok()?;
    let mut tls = StreamOwned::new(ServerConnection::new(config).ok()?, client);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock).ok()?;
    }
    tls.sock.set_read_timeout(pause).ok()?;
    let mut buffer = [0; 16384];
    let waits = |e: &std::io::Error| {
        matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
    };
    loop {
        match tls.read(&mut buffer) {
            Ok(0) => return None,
            Ok(read) => server.write_all(&buffer[..read]).ok()?,
            Err(e) if waits(&e) => {}
            Err(_) => return None,
        }
        match server.read(&mut buffer) {
            Ok(0) => return None,
            Ok(read) => tls.write_all(&buffer[..read]).ok()?,
            Err(e) if waits(&e) => {}
            Err(_) => return None,
        }
    }
}

#[test]
fn a_certificate_must_be_trusted_and_for_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let port = before_it(folder.path());
    let schema = Schema::new();
    let url = |host: &str, more: &str| {
        let mut url = parsed();
        url.set_host(Some(host)).unwrap();
        url.set_port(Some(port)).unwrap();
        format!("{url}?schema={}&sslmode=verify-full{more}", schema.name)
    };
    let own = format!("&sslrootcert={}", folder.path().join("ca.pem").display());
    let store = open(&url("localhost", &own)).unwrap();
    keep(&store, "a", [stream("s", 1)]);
    assert_eq!(bodies(&store, "a"), texts([stream("s", 1)]));
    // Another name, and nobody who vouches for it.
    for refused in [url("127.0.0.1", &own), url("localhost", "")] {
        let error = open(&refused).unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
