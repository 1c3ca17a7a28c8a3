//! What goes wrong with a service, against one that does it on purpose.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lockgate_sdk::retry::Policy;
use lockgate_sdk::{Failure, FailureKind};
use s3_client::{Access, Addressing, Bucket, Condition, Credentials, Secret, Upload};

/// A service that gives these answers, one a connection, and what it was asked. An empty answer ends the
/// connection.
struct Service {
    bucket: Arc<Bucket>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn new(answers: &[String]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, seen) = (answers.to_vec(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("it"));
                let mut head = String::new();
                while reader.read_line(&mut head).expect("a line") > 2 {}
                let lower = head.to_ascii_lowercase();
                let length = lower
                    .split_once("content-length: ")
                    .and_then(|(_, rest)| rest.lines().next()?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).expect("a body");
                seen.lock().expect("a lock").push(head + &String::from_utf8_lossy(&body));
                stream.write_all(answer.as_bytes()).expect("it listens");
            }
        });
        let access = Access {
            endpoint: Some(endpoint),
            region: "us-east-1".to_owned(),
            bucket: "shop".to_owned(),
            addressing: Some(Addressing::Path),
            credentials: Credentials {
                access_key_id: "AKID".to_owned(),
                secret_access_key: Secret::new("t0ps3cret"),
                session_token: Some(Secret::new("t0k3n")),
            },
        };
        let policy = Policy {
            attempts: 3,
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_millis(1),
            deadline: Duration::from_secs(30),
        };
        Self { bucket: Arc::new(Bucket::new(&access, policy).expect("a bucket")), asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }

    /// The first line of each request.
    fn lines(&self) -> Vec<String> {
        let line = |text: &String| text.lines().next().unwrap_or_default().to_owned();
        self.asked().iter().map(line).collect()
    }
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

fn refusal(status: u16, code: &str) -> String {
    answer(
        status,
        "",
        &format!("<Error><Code>{code}</Code><Message>t0ps3cret t0k3n</Message></Error>"),
    )
}

fn done() -> String {
    answer(200, "etag: \"e\"\r\n", "")
}

fn completed() -> String {
    answer(200, "", "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
}

fn put(service: &Service, condition: &Condition) -> Result<String, s3_client::Error> {
    service.bucket.put("a b", b"{}", "application/json", condition)
}

#[test]
fn what_may_work_the_next_time_is_sent_again() {
    for trouble in [
        refusal(503, "SlowDown"),
        refusal(500, "InternalError"),
        refusal(400, "RequestTimeout"),
        refusal(409, "OperationAborted"),
        answer(429, "retry-after: 0\r\n", ""),
        answer(502, "", "<html>bad gateway</html>"),
        String::new(),
    ] {
        let service = Service::new(&[trouble.clone(), done()]);
        assert_eq!(put(&service, &Condition::None).as_deref(), Ok("\"e\""), "{trouble}");
        assert_eq!(service.lines(), ["PUT /shop/a%20b HTTP/1.1"; 2]);
    }
}

#[test]
fn what_will_not_work_is_told_at_once_and_without_secrets() {
    for (status, code) in [
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (400, "ExpiredToken"),
        (404, "NoSuchBucket"),
    ] {
        let service = Service::new(&[refusal(status, code)]);
        let error = put(&service, &Condition::None).expect_err("it is refused");
        assert_eq!(service.lines().len(), 1);
        let failure = Failure::from(error);
        assert_eq!(failure.kind, FailureKind::Config);
        let text = format!("{failure:?}");
        assert!(text.contains(code) && text.contains("s3://shop/a b"), "{text}");
        let request = service.asked().concat();
        let signature = request.split_once("Signature=").expect("it was signed").1;
        let signature = signature.lines().next().expect("a line");
        for secret in ["t0ps3cret", "t0k3n", signature] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_service_that_stays_away_is_transient() {
    let service =
        Service::new(&[refusal(503, "SlowDown"), String::new(), refusal(503, "SlowDown")]);
    let error = put(&service, &Condition::None).expect_err("it gives up");
    assert_eq!(error.kind(), FailureKind::Transient);
    assert_eq!(service.lines().len(), 3);
}

#[test]
fn the_region_of_a_bucket_elsewhere_is_said() {
    for trouble in [
        answer(301, "x-amz-bucket-region: eu-west-3\r\n", ""),
        answer(
            400,
            "",
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>",
        ),
    ] {
        let service = Service::new(&[trouble]);
        let error = put(&service, &Condition::None).expect_err("it is elsewhere");
        assert_eq!(error.kind(), FailureKind::Config);
        let text = error.to_string();
        assert!(text.contains("in the region eu-west-3: set `region`"), "{text}");
    }
}

#[test]
fn what_is_sent_has_hash_date_token_and_signature() {
    let service = Service::new(&[done()]);
    put(&service, &Condition::Match("\"e\"".to_owned())).expect("it is written");
    let head = service.asked().concat().to_ascii_lowercase();
    for part in [
        // That of `{}`.
        "x-amz-content-sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\r\n",
        "x-amz-security-token: t0k3n\r\n",
        "if-match: \"e\"\r\n",
        "signedheaders=content-type;host;if-match;x-amz-content-sha256;x-amz-date;x-amz-security-token,",
    ] {
        assert!(head.contains(part), "{head}");
    }
}

/// The answer to the first attempt is lost, and it was ours that the condition finds.
#[test]
fn a_condition_that_an_own_attempt_broke_holds() {
    let there = answer(200, "etag: \"own\"\r\n", "{}");
    let service = Service::new(&[String::new(), refusal(412, "PreconditionFailed"), there]);
    assert_eq!(put(&service, &Condition::Absent).as_deref(), Ok("\"own\""));
    let other = answer(200, "etag: \"x\"\r\n", "[]");
    let service = Service::new(&[String::new(), refusal(412, "PreconditionFailed"), other]);
    assert!(put(&service, &Condition::Absent).expect_err("another's").is_precondition());
    let service = Service::new(&[refusal(412, "PreconditionFailed")]);
    assert!(put(&service, &Condition::Absent).expect_err("another's").is_precondition());
}

#[test]
fn a_service_without_conditions_is_written_to_without() {
    let service = Service::new(&[refusal(501, "NotImplemented"), done(), done()]);
    for _ in 0..2 {
        put(&service, &Condition::Absent).expect("it is written");
    }
    let asked = service.asked();
    assert!(asked[0].contains("if-none-match: *"));
    assert!(!asked[1].contains("if-none-match") && !asked[2].contains("if-none-match"));
}

#[test]
fn a_completion_that_fails_late_is_sent_again() {
    let late = answer(200, "", "  \n<Error><Code>InternalError</Code></Error>");
    let service = Service::new(&[late.clone(), completed()]);
    let tags = ["\"a\"".to_owned(), "\"b\"".to_owned()];
    service.bucket.complete("k", "u&1", &tags, 7).expect("it is complete");
    let asked = service.asked();
    assert!(asked[0].starts_with("POST /shop/k?uploadId=u%261 HTTP/1.1\r\n"), "{asked:?}");
    let part = "<Part><PartNumber>2</PartNumber><ETag>&quot;b&quot;</ETag></Part>";
    assert!(asked[0].contains(part), "{asked:?}");

    let service = Service::new(&[late.clone(), late.clone(), late]);
    let error = service.bucket.complete("k", "u", &tags, 7).expect_err("it never is");
    assert_eq!((error.kind(), error.code()), (FailureKind::Transient, "InternalError"));

    let service = Service::new(&[answer(200, "", "<html/>")]);
    let error = service.bucket.complete("k", "u", &tags, 7).expect_err("it does not say so");
    assert_eq!(error.kind(), FailureKind::System);
}

/// The answer to the first attempt is lost: the upload is no more, and its object is there.
#[test]
fn a_completion_whose_answer_was_lost_is_one() {
    let head = |bytes: u64| {
        format!("HTTP/1.1 200 x\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n")
    };
    for (bytes, good) in [(7, true), (8, false)] {
        let service = Service::new(&[String::new(), refusal(404, "NoSuchUpload"), head(bytes)]);
        let tags = ["\"a\"".to_owned()];
        assert_eq!(service.bucket.complete("k", "u", &tags, 7).is_ok(), good, "{bytes}");
        assert_eq!(service.lines()[2], "HEAD /shop/k HTTP/1.1");
    }
    let service = Service::new(&[refusal(404, "NoSuchUpload")]);
    assert!(service.bucket.complete("k", "u", &[], 7).is_err());
}

#[test]
fn a_part_is_sent_again_and_an_upload_that_fails_is_aborted() {
    let begun = answer(
        200,
        "",
        "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
    );
    let gone = "HTTP/1.1 204 x\r\nconnection: close\r\n\r\n".to_owned();
    let denied = refusal(403, "AccessDenied");
    let answers = [begun, refusal(503, "SlowDown"), done(), denied, gone];
    let service = Service::new(&answers);
    let mut upload = Upload::new(Arc::clone(&service.bucket), "k", "text/plain", 5 << 20);
    let error = upload.push(&vec![b'x'; 16 << 20]).expect_err("the second part is refused");
    assert_eq!(error.code(), "AccessDenied");
    drop(upload);
    let lines = service.lines();
    assert_eq!(
        lines,
        [
            "POST /shop/k?uploads= HTTP/1.1",
            "PUT /shop/k?partNumber=1&uploadId=u1 HTTP/1.1",
            "PUT /shop/k?partNumber=1&uploadId=u1 HTTP/1.1",
            "PUT /shop/k?partNumber=2&uploadId=u1 HTTP/1.1",
            "DELETE /shop/k?uploadId=u1 HTTP/1.1",
        ]
    );
}

#[test]
fn an_object_that_stays_is_told() {
    let body = "<DeleteResult><Error><Key>b</Key><Code>AccessDenied</Code></Error></DeleteResult>";
    let service = Service::new(&[answer(200, "", body)]);
    let error = service.bucket.delete(&["a", "b"]).expect_err("one stays");
    assert_eq!(error.kind(), FailureKind::Config);
    assert!(error.to_string().contains("s3://shop/b"), "{error}");
    let asked = service.asked().concat();
    assert!(asked.starts_with("POST /shop/?delete= HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_ascii_lowercase().contains("content-md5: "), "{asked}");
    assert!(asked.contains("<Object><Key>a</Key></Object>"), "{asked}");
}

#[test]
fn what_is_no_service_of_s3_is_told() {
    for body in ["<html>welcome</html>", "", "{}"] {
        let service = Service::new(&[answer(200, "", body)]);
        let error = service.bucket.list("", None).expect_err("it is no list");
        assert!(error.to_string().contains("is `endpoint` right?"), "{error}");
    }
    // An answer without end.
    let service = Service::new(&[answer(200, "", &"x".repeat(9 << 20))]);
    assert!(service.bucket.list("", None).is_err());
}
