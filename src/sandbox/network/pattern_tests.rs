use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pattern(text: &str) -> NetworkPattern {
    NetworkPattern::parse(text, false).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn names_match_in_one_spelling() {
    assert!(pattern("DB.example.:5432").has_name("db.example"));
    assert!(pattern("BÜCHER.example:1").has_name("xn--bcher-kva.example"));
    assert!(!pattern("db.example:5432").has_name("x.db.example"));
    let below = pattern("*.Example.com:443");
    assert!(below.has_name("a.example.com") && below.has_name("a.b.example.com"));
    for name in ["example.com", "evilexample.com", ".example.com", "example.com.evil", ""] {
        assert!(!below.has_name(name), "{name}");
    }
}

#[test]
fn ports() {
    assert!(pattern("a:5432").has_port(5432) && !pattern("a:5432").has_port(5433));
    let range = pattern("a:1000-2000");
    assert!(range.has_port(1000) && range.has_port(2000) && !range.has_port(2001));
    assert!(pattern("a:*").has_port(1) && pattern("a:*").has_port(65535));
    assert!(!pattern("a:*").has_port(0));
}

#[test]
fn addresses_and_ranges() {
    assert!(pattern("[::1]:5432").has_address(ip("::1")));
    assert!(pattern("127.0.0.1:1").has_address(ip("::ffff:127.0.0.1")));
    assert!(pattern("0x7f.1:1").has_address(ip("127.0.0.1")));
    assert!(!pattern("127.0.0.1:1").has_address(ip("64:ff9b::7f00:1")));
    assert!(pattern("10.0.0.0/8:1").has_address(ip("10.9.9.9")));
    assert!(pattern("[fd00::/8]:443").has_address(ip("fd12::9")));
    // A wide range opens what is public in it; a closed one what it names.
    let wide = pattern("8.0.0.0/6:1");
    assert!(wide.has_address(ip("8.8.8.8")) && !wide.has_address(ip("10.0.0.1")));
    assert!(pattern("169.254.0.0/16:80").has_address(ip("169.254.1.1")));
    assert!(!pattern("169.254.0.0/16:80").has_address(ip("169.254.169.254")));
    assert!(pattern("169.254.169.254:80").has_address(ip("169.254.169.254")));
    assert!(!pattern("db.example:80").has_address(ip("1.1.1.1")));
    let any = NetworkPattern::parse("*:443", true).unwrap();
    assert!(any.has_address(ip("1.1.1.1")) && !any.has_address(ip("::1")));
}

#[test]
fn malformed_grants_are_refused_with_a_reason() {
    for text in [
        "",
        ":",
        "a",
        "a:",
        ":1",
        "a:0",
        "a:65536",
        "a:+5",
        "a:x",
        "a:9-1",
        "a:1-",
        "*:443",
        "*a.b:1",
        "a.*:1",
        "*.*:1",
        "*.:1",
        "*.1.2.3.4:1",
        "::1:5432",
        "[::1]",
        "[::1:1",
        "[::1]5",
        "1.2.3.4/33:1",
        "10.1.2.3/8:1",
        "[10.0.0.0/8]:1",
        "0.0.0.0/0:1",
        "[::/0]:1",
        "[::ffff:0:0/96]:1",
        "a b:1",
        "a@b:1",
        "http://a:1",
        "a/b:1",
        "a..b:1",
        "${x}:1",
    ] {
        assert!(NetworkPattern::parse(text, false).is_err(), "{text}");
    }
}

#[test]
fn templates_stand_for_one_host_and_one_port() {
    let config = json!({
        "host": "DB.Example", "port": 5432, "text": "443", "v6": "::1", "sub": "eu",
        "deep": { "list": ["x.example"] },
        "bad": ["*", "*.x", "0.0.0.0/0", "x:1", "x,y", "a/b", "", "x@y", "[::/0]", "10.0.0.0/8", "a b"],
        "worse": ["169.254.169.254", "0", "::ffff:169.254.169.254", "224.0.0.1"],
        "ports": ["*", "1-9", "0", "65536", "+5", "", true],
    });
    let fill = |text: &str| NetworkPattern::fill(text, &config, false).map(|p| p.text().to_owned());
    assert_eq!(fill("${config.host}:${config.port}").as_deref(), Ok("db.example:5432"));
    assert_eq!(fill("${host}:${text}").as_deref(), Ok("db.example:443"));
    assert_eq!(fill("${deep.list.0}:*").as_deref(), Ok("x.example:*"));
    assert_eq!(fill("[${v6}]:1").as_deref(), Ok("[::1]:1"));
    assert_eq!(fill("${v6}:1").as_deref(), Ok("[::1]:1"));
    assert_eq!(fill("${sub}.example.com:443").as_deref(), Ok("eu.example.com:443"));
    assert_eq!(fill("*.${host}:443").as_deref(), Ok("*.DB.Example:443"));
    for at in 0..11 {
        for text in [format!("${{bad.{at}}}:1"), format!("${{bad.{at}}}.example.com:1")] {
            let error = fill(&text).unwrap_err().to_string();
            assert!(error.contains("configuration's value"), "{text}: {error}");
        }
    }
    for at in 0..4 {
        assert!(fill(&format!("${{worse.{at}}}:1")).is_err(), "{at}");
    }
    for at in 0..7 {
        assert!(fill(&format!("a:${{ports.{at}}}")).is_err(), "{at}");
    }
    for text in
        ["${none}:1", "${deep}:1", "${host:1", "${}:1", "${host}${host}", "a:${port}-${port}x"]
    {
        assert!(fill(text).is_err(), "{text}");
    }
}

#[test]
fn what_covers_what() {
    let covers = |ours: &str, theirs: &str| {
        let ours = NetworkPattern::parse(ours, true).unwrap();
        ours.covers(&NetworkPattern::parse(theirs, true).unwrap())
    };
    assert!(covers("db.example:5432", "DB.example.:5432"));
    assert!(covers("*.example:1-9", "db.example:5"));
    assert!(covers("*:443", "*.example:443") && covers("*:443", "1.1.1.1:443"));
    assert!(covers("10.0.0.0/8:1", "10.1.1.1:1") && covers("*.b:1", "*.a.b:1"));
    for (ours, theirs) in [
        ("db.example:5432", "db.example:5433"),
        ("db.example:5432", "db.example:*"),
        ("*.example:1", "example:1"),
        ("*:1", "10.0.0.1:1"),
        ("*.a.b:1", "*.b:1"),
    ] {
        assert!(!covers(ours, theirs), "{ours} {theirs}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_pattern_or_an_error(text in r"[\[\]*.:/a-c0-9${}@%-]{0,20}|.{0,20}") {
        if let Ok(pattern) = NetworkPattern::parse(&text, false) {
            prop_assert_eq!(pattern.text(), text.as_str());
            prop_assert!(pattern.hosts != Hosts::Any && pattern.first_port > 0);
        }
    }

    #[test]
    fn a_value_never_opens_more_than_one_host(
        value in r"[\[\]*.:/a-c0-9${}@%-]{0,12}|.{0,12}",
        text in prop::sample::select(vec!["${h}:1", "[${h}]:1", "a${h}:1", "${h}.x.y:1", "${h}${h}:1"]),
    ) {
        let config = json!({ "h": value });
        if let Ok(pattern) = NetworkPattern::fill(text, &config, true) {
            prop_assert!(matches!(pattern.hosts, Hosts::Name(_) | Hosts::Address(_)), "{pattern}");
            prop_assert_eq!((pattern.first_port, pattern.last_port), (1, 1));
            if let (Hosts::Name(name), "${h}.x.y:1") = (&pattern.hosts, text) {
                prop_assert!(name.ends_with(".x.y"), "{}", name);
            }
        }
    }
}
