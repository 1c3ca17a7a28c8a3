//! Signatures are those of AWS's own client: `scripts/setup-test-connectors` installs it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use s3_client::{Credentials, Moment, Secret, Signable, authorization};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Reads requests, one a line, and prints botocore's header for each.
const SIGNER: &str = r#"
import datetime, json, sys
from botocore import auth, awsrequest, credentials

for line in sys.stdin:
    case = json.loads(line)
    # Its clock stands still.
    now = datetime.datetime.strptime(case["now"], "%Y%m%dT%H%M%SZ")
    auth.get_current_datetime = lambda *a, **k: now
    keys = credentials.Credentials(case["id"], case["secret"], case["token"])
    request = awsrequest.AWSRequest(
        case["method"], case["url"], data=bytes(case["body"]), headers=dict(case["headers"]))
    request.context["payload_signing_enabled"] = True
    auth.S3SigV4Auth(keys, "s3", case["region"]).add_auth(request)
    prepared = dict(request.headers)
    assert prepared["X-Amz-Date"] == case["now"], prepared
    print(json.dumps(prepared["Authorization"]), flush=True)
"#;

#[test]
fn a_request_is_signed_as_botocore_signs_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let script = root.join("scripts/setup-test-connectors");
    let output = Command::new(script).arg("moto").output().expect("the script runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = String::from_utf8(output.stdout).expect("text");
    let folder = root.join(folder.trim().strip_prefix("moto=").expect("a folder"));

    let mut cases = vec![
        ("GET", "/", "list-type=2&prefix=lake%2Fa%20b%2F".to_owned(), Vec::new(), Vec::new(), None),
        (
            "PUT",
            "/shop/lake/gr%C3%B6%C3%9Fe/a%252eb.jsonl",
            "partNumber=12&uploadId=a~b.c_d".to_owned(),
            vec![("content-type", "application/x-ndjson".to_owned())],
            b"{\"n\":1}\n".to_vec(),
            Some("t0k3n/+="),
        ),
        (
            "POST",
            "/shop/",
            "delete=".to_owned(),
            vec![
                ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==".to_owned()),
                ("content-type", "application/xml".to_owned()),
            ],
            b"<Delete/>".to_vec(),
            None,
        ),
    ];
    // And those that nobody thought of.
    let mut runner = TestRunner::deterministic();
    let strategy = ("[a-zA-Z0-9_.~-]{1,20}", "[ -~]{0,30}", "[a-z0-9-]{0,30}");
    for _ in 0..200 {
        let (name, value, body) = strategy.new_tree(&mut runner).expect("a case").current();
        let headers = vec![("x-amz-meta-x", value)];
        cases.push(("PUT", "/a/b", format!("x={name}"), headers, body.into_bytes(), None));
    }

    let mut python = Command::new(folder.join("bin/python"))
        .args(["-c", SIGNER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut input = python.stdin.take().expect("a pipe");
    let mut expected = Vec::new();
    let mut lines = String::new();
    for (number, (method, path, query, headers, body, token)) in (0..).zip(&cases) {
        let now = Moment::at(1_700_000_000 + number * 86_399);
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: token.map(Secret::new),
        };
        let payload: String = Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect();
        let mut own = vec![
            ("host".to_owned(), "s3.example:9000".to_owned()),
            ("x-amz-content-sha256".to_owned(), payload.clone()),
            ("x-amz-date".to_owned(), now.as_str().to_owned()),
        ];
        own.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        own.extend(token.map(|token| ("x-amz-security-token".to_owned(), token.to_owned())));
        let request = Signable { method, path, query, headers: &own, payload: &payload };
        expected.push(authorization(&credentials, "eu-west-3", &now, &request));
        let case = json!({
            "now": now.as_str(), "id": credentials.access_key_id, "token": token,
            "secret": credentials.secret_access_key.reveal(), "region": "eu-west-3", "method": method,
            "url": format!("http://s3.example:9000{path}?{query}"), "headers": headers, "body": body,
        });
        lines.push_str(&format!("{case}\n"));
    }
    let feeding = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = python.wait_with_output().expect("it ends");
    feeding.join().expect("it was fed").expect("it reads");
    assert!(output.status.success());
    let signed = String::from_utf8(output.stdout).expect("text");
    let signed: Vec<Value> =
        signed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(signed.len(), cases.len());
    for ((signed, expected), case) in signed.iter().zip(&expected).zip(&cases) {
        assert_eq!(signed, expected, "{case:?}");
    }
}
