use std::sync::Mutex;

use async_trait::async_trait;
use http_body_util::Empty;

use super::super::{Network, Run, SystemResolver};
use super::*;
use crate::protocol::{Decision, Failure, Json, LogLevel, Observer};
use crate::sandbox::{Limits, NetworkGrants, NetworkPattern};

#[derive(Default)]
struct Heard(Mutex<Vec<Decision>>);

#[async_trait]
impl Observer for Heard {
    fn log(&self, _: LogLevel, _: &str) {}

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, decision: &Decision) {
        self.0.lock().unwrap().push(decision.clone());
    }
}

/// What is said of a request to a place that is granted, and the rule that refused it.
fn checked(method: Method, authority: &str, path: &str) -> (Result<Target, Error>, Option<String>) {
    let heard = Arc::new(Heard::default());
    let patterns = vec![NetworkPattern::parse("api.example:80", false).unwrap()];
    let run = Run::new(&NetworkGrants { patterns, tls_roots: Vec::new() }).unwrap();
    let limits = Limits::default();
    let network = Network::new(Arc::new(run), Arc::new(SystemResolver), heard.clone(), &limits);
    let uri = Uri::builder().scheme("http").authority(authority).path_and_query(path);
    let body = Empty::new().map_err(Error::from).boxed_unsync();
    let request = Request::builder().method(method).uri(uri.build().unwrap()).body(body).unwrap();
    let target = target(&network.shared(), &request);
    let rule = heard.0.lock().unwrap().first().map(|decision| decision.rule.clone());
    (target, rule)
}

/// The engine and the library of URIs refuse such targets themselves since GHSA-5qpp-g3j2-8frx; where
/// one let them through again, this would.
#[test]
fn a_target_is_in_origin_form() {
    for path in ["http://evil.example/", "evil.example:80", "*", "x"] {
        let uri = Uri::builder().scheme("http").authority("api.example").path_and_query(path);
        if uri.build().is_ok() {
            let (target, rule) = checked(Method::GET, "api.example", path);
            assert!(target.is_err(), "{path}");
            assert_eq!(rule.as_deref(), Some("absolute-form"), "{path}");
        }
    }
    let (target, rule) = checked(Method::GET, "API.example.", "/a?b");
    let target = target.map_err(|e| e.to_string()).unwrap();
    assert_eq!((target.host.to_string().as_str(), target.port), ("api.example", 80));
    assert_eq!((target.path.as_str(), rule), ("/a?b", None));
}

#[test]
fn what_is_no_request_to_a_server_is_refused() {
    for (method, authority, word) in [
        (Method::CONNECT, "api.example", "method"),
        (Method::TRACE, "api.example", "method"),
        (Method::GET, "api.example@evil.example", "userinfo"),
        (Method::GET, "u:p@api.example", "userinfo"),
        (Method::GET, "api.example:81", "not-granted"),
        (Method::GET, "evil.example", "not-granted"),
        (Method::GET, "[::1]:80", "loopback-range"),
    ] {
        let (target, rule) = checked(method, authority, "/");
        assert!(target.is_err(), "{authority}");
        assert_eq!(rule.as_deref(), Some(word), "{authority}");
    }
}

#[test]
fn headers_of_the_connection_are_the_hosts() {
    let mut headers = HeaderMap::new();
    for name in [
        "host",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "proxy-connection",
        "proxy-authorization",
        "proxy-anything",
        "http2-settings",
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static("x"));
    }
    headers.append("x-own", HeaderValue::from_static("1"));
    headers.append("content-length", HeaderValue::from_static("1"));
    strip(&mut headers);
    assert_eq!(headers.len(), 2, "{headers:?}");
    assert_eq!(header_bytes(&headers), "x-own: 1\r\ncontent-length: 1\r\n".len());
}

#[test]
fn times_are_brought_within_the_limits() {
    let limit = Duration::from_secs(5);
    assert_eq!(clamp(None, limit), limit);
    assert_eq!(clamp(Some(Duration::ZERO), limit), SHORTEST);
    assert_eq!(clamp(Some(Duration::MAX), limit), limit);
    assert_eq!(clamp(Some(Duration::from_secs(1)), limit), Duration::from_secs(1));
    assert_eq!(clamp(None, Duration::MAX), LONGEST);
    assert_eq!(clamp(None, Duration::ZERO), SHORTEST);
}
