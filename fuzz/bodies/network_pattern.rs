//! What an operator grants of the network.

use lockgate::sandbox::{NetworkPattern, Policy};

/// A grant is read or refused, means the same when it is read again, and `*` needs its own word.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(pattern) = NetworkPattern::parse(text, false) {
        let host = text.rsplit_once(':').map(|(host, _)| host);
        assert_ne!(host, Some("*"), "{text:?} opens every host");
        assert_eq!(NetworkPattern::parse(pattern.text(), false), Ok(pattern.clone()));
    }
    let mut policy = Policy::default();
    if policy.allow_net(text, &serde_json::Value::Null, true).is_err() {
        assert!(policy.network.patterns.is_empty(), "a refused grant opened something");
    }
}
