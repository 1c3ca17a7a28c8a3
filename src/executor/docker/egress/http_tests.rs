use super::*;

fn forwarded(head: &str) -> Request {
    match parse(head.as_bytes()) {
        Ok(Asked::Forward(request)) => *request,
        other => panic!("{head:?}: {other:?}"),
    }
}

fn sent(head: &str) -> String {
    let request = forwarded(head);
    let host = NetworkHost::parse(&request.host).unwrap();
    String::from_utf8(request.head(&host)).unwrap()
}

#[test]
fn a_request_is_written_anew() {
    let head = "GET HTTP://API.Example/a?b HTTP/1.1\r\nHost: evil.example\r\nAccept: x\r\n\
        Connection: close, X-Hop\r\nX-Hop: 1\r\nProxy-Authorization: y\r\nKeep-Alive: 5\r\n\
        TE: trailers\r\nUpgrade: websocket\r\n\r\n";
    let expected =
        "GET /a?b HTTP/1.1\r\nAccept: x\r\nHost: api.example\r\nConnection: close\r\n\r\n";
    assert_eq!(sent(head), expected);
    let head = "GET http://[::1]?q HTTP/1.0\r\n\r\n";
    assert_eq!(sent(head), "GET /?q HTTP/1.0\r\nHost: [::1]\r\nConnection: close\r\n\r\n");
    let head =
        "POST http://a:8080 HTTP/1.1\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\n";
    let expected =
        "POST / HTTP/1.1\r\nHost: a:8080\r\nConnection: close\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(sent(head), expected);
}

#[test]
fn what_is_read_in_two_ways_is_refused() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://a/ HTTP/1.1\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\n\r\n",
        "GET http:// HTTP/1.1\r\n\r\n",
        "GET http://a@b/ HTTP/1.1\r\n\r\n",
        "GET http://a\\@b/ HTTP/1.1\r\n\r\n",
        "GET http://a:b/ HTTP/1.1\r\n\r\n",
        "GET http://a:+80/ HTTP/1.1\r\n\r\n",
        "GET http://a:0/ HTTP/1.1\r\n\r\n",
        "GET http://a:80:80/ HTTP/1.1\r\n\r\n",
        "GET http://a:65616/ HTTP/1.1\r\n\r\n",
        "GET http://::1/ HTTP/1.1\r\n\r\n",
        "GET http://a/#b HTTP/1.1\r\n\r\n",
        "GET http://a#b HTTP/1.1\r\n\r\n",
        "GET http://a/ HTTP/2.0\r\n\r\n",
        "GET http://a/\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nA : b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "GET http://a/ HTTP/1.1\nA: b\n\nx\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: \r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
        "POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "CONNECT a HTTP/1.1\r\n\r\n",
        "CONNECT a: HTTP/1.1\r\n\r\n",
        "CONNECT :443 HTTP/1.1\r\n\r\n",
        "CONNECT a:0 HTTP/1.1\r\n\r\n",
        "CONNECT a@b:443 HTTP/1.1\r\n\r\n",
        "CONNECT ::1:443 HTTP/1.1\r\n\r\n",
        "CONNECT http://a:443 HTTP/1.1\r\n\r\n",
    ] {
        assert!(parse(head.as_bytes()).is_err(), "{head:?}");
    }
    let many = format!("GET http://a/ HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
    assert_eq!(parse(many.as_bytes()).unwrap_err(), Bad::TOO_LARGE);
}

#[test]
fn an_answer_is_the_last_of_its_connection() {
    let head = b"HTTP/1.1 200 Fine\r\nConnection: keep-alive\r\nKeep-Alive: 9\r\nContent-Length: 2\r\n\r\n";
    let (head, interim) = rewrite(head).unwrap();
    let expected = "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
    assert_eq!((String::from_utf8(head).unwrap().as_str(), interim), (expected, false));
    let (head, interim) = rewrite(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    assert_eq!((head.as_slice(), interim), (&b"HTTP/1.1 100 Continue\r\n\r\n"[..], true));
    for head in ["HTTP/1.1 101 Switching Protocols\r\n\r\n", "x\r\n\r\n", "HTTP/3 200 x\r\n\r\n"] {
        assert!(rewrite(head.as_bytes()).is_none(), "{head:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_head_is_understood_or_refused(
        method in "GET|POST|CONNECT|[A-Z]{0,3}",
        target in r"(http://)?[a-c@:/.#?\[\]0-9\\]{0,12}",
        headers in r"((Content-Length|Transfer-Encoding|Connection|Host|X):[ a-c,0-9]{0,5}\r\n){0,3}",
    ) {
        let head = format!("{method} {target} HTTP/1.1\r\n{headers}\r\n");
        if let Ok(Asked::Forward(request)) = parse(head.as_bytes()) {
            proptest::prop_assert!(!request.host.contains(['@', '/', '\\', '#', '?']));
            proptest::prop_assert!(request.path.starts_with('/'));
            if let Ok(host) = NetworkHost::parse(&request.host) {
                let sent = String::from_utf8(request.head(&host)).unwrap();
                proptest::prop_assert_eq!(sent.matches("\r\nHost: ").count(), 1);
                proptest::prop_assert!(sent.matches("\r\nContent-Length: ").count() <= 1);
            }
        }
    }
}
