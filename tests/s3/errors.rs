//! What is wrong is said, with what to do about it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use serde_json::json;

use crate::scene::Scene;

#[test]
fn a_check_succeeds_and_leaves_no_trace() {
    let scene = Scene::new();
    assert_eq!(scene.check(&scene.grant()).0, "SUCCEEDED", "{}", scene.check(&scene.grant()).1);
    assert_eq!(scene.objects(), [""; 0]);
}

#[test]
fn a_grant_that_is_missing_is_named() {
    let scene = Scene::new();
    let (status, message) = scene.check("s3.example:443");
    assert_eq!(status, "FAILED");
    assert!(message.contains(&format!("--allow-net {}", scene.grant())), "{message}");
    // Without any network, the host says it before the connector is asked.
    let output = scene.command("", &["check"]).output().expect("lockgate runs");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert!(said.contains("granted none of it"), "{said}");
}

#[test]
fn a_bucket_that_is_not_there_is_said() {
    let mut scene = Scene::new();
    scene.config = json!({"bucket": "no-such-bucket-here"});
    let (status, message) = scene.check(&scene.grant());
    assert_eq!(status, "FAILED");
    assert!(message.contains("NoSuchBucket") && message.contains("`bucket`"), "{message}");
}

/// A service that has this against every request.
fn refusing(status: u16, xml: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Ok(copy) = stream.try_clone() else { return };
            let mut lines = BufReader::new(copy).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let length = xml.len();
            let head =
                format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}");
            let _ = stream.write_all(format!("{head}\r\n\r\n{xml}").as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn keys_and_regions_that_are_wrong_are_said() {
    for (status, xml, parts) in [
        (
            403,
            "<Error><Code>InvalidAccessKeyId</Code><Message>no t0ps3cret</Message></Error>",
            ["InvalidAccessKeyId", "`access_key_id`"],
        ),
        (
            403,
            "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>",
            ["SignatureDoesNotMatch", "`secret_access_key`"],
        ),
        (403, "<Error><Code>AccessDenied</Code></Error>", ["AccessDenied", "policy"]),
        (
            400,
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>",
            ["eu-west-3", "`region`"],
        ),
    ] {
        let mut scene = Scene::new();
        scene.endpoint = refusing(status, xml);
        let (told, message) = scene.check(&scene.grant());
        assert_eq!(told, "FAILED");
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    }
}
