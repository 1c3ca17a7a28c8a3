use proptest::prelude::*;

use super::super::reference;
use super::*;

fn gate(grants: &[&str]) -> NetworkGate {
    let patterns = grants.iter().map(|g| NetworkPattern::parse(g, true).unwrap()).collect();
    NetworkGate::new(NetworkGrants { patterns, tls_roots: Vec::new() })
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_name_opens_its_addresses_at_its_port() {
    let gate = gate(&["db.example:5432"]);
    assert_eq!(gate.connect(at("1.1.1.1:5432")).unwrap_err().rule, "not-granted");
    let (host, rule) = gate.lookup("DB.example.", None).unwrap();
    assert_eq!(
        (host.to_string().as_str(), rule.as_str()),
        ("db.example", "allow-net db.example:5432")
    );
    assert_eq!(gate.resolved("db.example", ips(&["1.1.1.1"])).unwrap(), ips(&["1.1.1.1"]));
    gate.connect(at("1.1.1.1:5432")).unwrap();
    gate.connect(at("[::ffff:1.1.1.1]:5432")).unwrap();
    let denied = gate.connect(at("1.1.1.1:5433")).unwrap_err();
    assert_eq!(denied.hint.as_deref(), Some("--allow-net db.example:5433"));
    assert_eq!(denied.to_string(), "db.example:5433 was refused: no grant covers it");
    assert!(gate.connect(at("1.1.1.2:5432")).is_err());
    let denied = gate.lookup("other.example", None).unwrap_err();
    assert_eq!(denied.hint.as_deref(), Some("--allow-net other.example:PORT"));
    assert_eq!(gate.lookup("a..b", None).unwrap_err().rule, "invalid-name");
    assert_eq!(gate.lookup("2130706433", None).unwrap_err().rule, "loopback-range");
}

#[test]
fn exact_names_open_private_addresses_and_wildcards_do_not() {
    let gate = gate(&["db.example:1", "*.example:1", "*:2"]);
    for private in ["10.0.0.1", "127.0.0.1", "fd00::1", "::1"] {
        gate.resolved("db.example", ips(&[private])).unwrap();
        assert!(gate.resolved("x.example", ips(&[private])).is_err(), "{private}");
        assert!(gate.resolved("y.other", ips(&[private])).is_err(), "{private}");
    }
    for never in
        ["169.254.169.254", "169.254.0.1", "fe80::1", "224.0.0.1", "0.0.0.0", "fd00:ec2::254"]
    {
        assert!(gate.resolved("db.example", ips(&[never])).is_err(), "{never}");
    }
    assert!(gate.connect(at("10.0.0.1:2")).is_err());
    assert_eq!(gate.connect(at("10.0.0.1:3")).unwrap_err().rule, "not-granted");
}

#[test]
fn the_metadata_service_by_its_own_name_or_address_only() {
    let named = gate(&["metadata.google.internal:80", "meta.example:80"]);
    let service = ips(&["169.254.169.254"]);
    named.resolved("metadata.google.internal", service.clone()).unwrap();
    assert!(named.connect(at("169.254.169.254:80")).is_ok());
    assert_eq!(named.resolved("meta.example", service).unwrap_err().rule, "metadata-address");
    assert!(gate(&["0.0.0.0/0:80"]).connect(at("169.254.169.254:80")).is_err());
    assert!(gate(&["169.254.169.254:80"]).connect(at("169.254.169.254:80")).is_ok());
}

#[test]
fn a_name_keeps_its_kind() {
    let gate = gate(&["db.example:1"]);
    gate.resolved("db.example", ips(&["1.1.1.1"])).unwrap();
    let denied = gate.resolved("db.example", ips(&["127.0.0.1"])).unwrap_err();
    assert_eq!(denied.rule, "rebinding");
    assert!(gate.connect(at("127.0.0.1:1")).is_err());
    // Of a mix, the public ones.
    let mixed = ips(&["10.0.0.1", "1.1.1.2", "127.0.0.1"]);
    assert_eq!(gate.resolved("db.example", mixed).unwrap(), ips(&["1.1.1.2"]));
    assert!(gate.connect(at("10.0.0.1:1")).is_err());
}

#[test]
fn an_address_of_one_name_is_not_another_names() {
    let gate = gate(&["a.example:1", "b.example:2"]);
    gate.resolved("a.example", ips(&["1.1.1.1"])).unwrap();
    assert!(gate.connect(at("1.1.1.1:2")).is_err());
    gate.resolved("b.example", ips(&["1.1.1.1"])).unwrap();
    assert!(gate.connect(at("1.1.1.1:2")).is_ok() && gate.connect(at("1.1.1.1:1")).is_ok());
}

#[test]
fn what_is_remembered_is_bounded() {
    let gate = gate(&["*.example:1"]);
    for n in 0..5000u32 {
        let address = IpAddr::from((0x0100_0000 + n).to_be_bytes());
        gate.resolved(&format!("n{n}.example"), vec![address]).unwrap();
    }
    assert_eq!(gate.memory.lock().unwrap().given.len(), REMEMBERED);
    assert!(gate.connect(at("1.0.0.0:1")).is_err());
}

const HOSTS: &[&str] = &[
    "a.b",
    "c.a.b",
    "*.a.b",
    "*.b",
    "b",
    "*",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "8.0.0.0/6",
    "127.0.0.1",
    "[::1]",
    "[fd00::/8]",
    "[2000::/3]",
    "1.1.1.1",
    "169.254.0.0/16",
    "192.168.0.0/24",
    "x.y",
];
const PORTS: &[&str] = &["1", "2", "1-3", "*"];
const NAMES: &[&str] = &["a.b", "c.a.b", "d.c.a.b", "b", "x.y", "z.x.y", "ba.b"];
const ADDRESSES: &[&str] = &[
    "1.1.1.1",
    "8.8.8.8",
    "10.0.0.1",
    "127.0.0.1",
    "127.0.0.2",
    "::1",
    "::ffff:127.0.0.1",
    "fd00::1",
    "169.254.169.254",
    "169.254.0.9",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2606:4700::1",
    "0.0.0.0",
    "2001:0:102:304::80ff:fffe",
    "192.168.0.7",
    "224.0.0.1",
    "fe80::1",
    "100.100.100.200",
    "4000::1",
    "2606:4700::5efe:a00:1",
    "::ffff:0:10.0.0.1",
    "64:ff9b:1::a00:1",
    "64:ff9b::101:101",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_gate_never_allows_what_the_reference_denies(
        grants in prop::collection::vec((prop::sample::select(HOSTS), prop::sample::select(PORTS)), 0..4),
        steps in prop::collection::vec(
            (prop::sample::select(NAMES), prop::collection::vec(prop::sample::select(ADDRESSES), 0..3)),
            0..4,
        ),
        dials in prop::collection::vec((prop::sample::select(ADDRESSES), 0u16..5), 1..8),
    ) {
        let texts: Vec<String> = grants.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let gate = gate(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let mut answers = Vec::new();
        for (name, addresses) in steps {
            let looked_up = gate.lookup(name, None).is_ok();
            prop_assert!(!looked_up || reference::may_look_up(&texts, name), "{texts:?} {name}");
            if looked_up {
                answers.extend(ips(&addresses).into_iter().map(|a| (name.to_owned(), a)));
                let _ = gate.resolved(name, ips(&addresses));
            }
        }
        for (address, port) in dials {
            let address: IpAddr = address.parse().unwrap();
            let allowed = gate.connect(SocketAddr::new(address, port)).is_ok();
            let may = reference::may_dial(&texts, &answers, address, port);
            prop_assert!(!allowed || may, "{texts:?} {answers:?} {address} {port}");
        }
    }
}
