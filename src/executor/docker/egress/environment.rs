//! What tells programs in a container of the proxy. Nothing relies on it: who does not listen has no
//! way out.

use std::net::SocketAddr;

/// What every JVM reads before its arguments.
const JAVA: &str = "JAVA_TOOL_OPTIONS";

/// The variables for a proxy at an address.
///
/// `ALL_PROXY` names it as a proxy for HTTP, too: Python's httpx fails at once where that is SOCKS and
/// a package of its own is missing. No place is left out, and `localhost` is the one that is granted.
/// A JVM takes HTTP's for HTTP and HTTPS, and SOCKS for any other socket, so that it hears of the name.
pub(super) fn of(at: SocketAddr) -> Vec<(String, String)> {
    let proxy = format!("http://{at}");
    let mut all = Vec::new();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        all.push((name.to_owned(), proxy.clone()));
        all.push((name.to_lowercase(), proxy.clone()));
    }
    all.push(("NO_PROXY".to_owned(), String::new()));
    all.push(("no_proxy".to_owned(), String::new()));
    let (ip, port) = (at.ip(), at.port());
    all.push((
        JAVA.to_owned(),
        format!(
            "-DsocksProxyHost={ip} -DsocksProxyPort={port} -DsocksNonProxyHosts= \
             -Dhttp.proxyHost={ip} -Dhttp.proxyPort={port} \
             -Dhttps.proxyHost={ip} -Dhttps.proxyPort={port} -Dhttp.nonProxyHosts="
        ),
    ));
    all
}

/// The operator's variables, with those of the proxy. There is no other way out, so the proxy's win,
/// but a JVM is told both: of two properties of one name it takes the last.
pub(in super::super) fn merged(
    operators: &[(String, String)],
    proxys: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let mut all: Vec<_> = operators
        .iter()
        .filter(|(name, _)| name == JAVA || !proxys.iter().any(|(ours, _)| ours == name))
        .cloned()
        .collect();
    for (name, value) in proxys {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, options)) => {
                options.push(' ');
                options.push_str(&value);
            }
            None => all.push((name, value)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(all: &'a [(String, String)], name: &str) -> &'a str {
        let found: Vec<_> = all.iter().filter(|(known, _)| known == name).collect();
        assert_eq!(found.len(), 1, "{name} in {all:?}");
        &found[0].1
    }

    #[test]
    fn every_program_hears_of_it() {
        let all = of("10.9.8.7:1234".parse().unwrap());
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            assert_eq!(value(&all, name), "http://10.9.8.7:1234");
        }
        assert_eq!((value(&all, "NO_PROXY"), value(&all, "no_proxy")), ("", ""));
        let java = value(&all, JAVA);
        assert!(java.contains("-DsocksProxyHost=10.9.8.7 -DsocksProxyPort=1234 "), "{java}");
        assert!(!java.contains("  "), "{java}");
        let six = of("[fd00::1]:1".parse().unwrap());
        assert_eq!(value(&six, "http_proxy"), "http://[fd00::1]:1");
        assert!(value(&six, JAVA).contains("-Dhttp.proxyHost=fd00::1 "));
    }

    #[test]
    fn the_operator_keeps_options_of_the_jvm_and_no_other_proxy() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let operators =
            [pair(JAVA, "-Xmx1g"), pair("http_proxy", "http://corp:3128"), pair("TZ", "UTC")];
        let ours = of("10.9.8.7:1234".parse().unwrap());
        let all = merged(&operators, ours.clone());
        assert_eq!(value(&all, JAVA), format!("-Xmx1g {}", value(&ours, JAVA)));
        assert_eq!(value(&all, "http_proxy"), "http://10.9.8.7:1234");
        assert_eq!(value(&all, "TZ"), "UTC");
        assert_eq!(merged(&[], ours.clone()), ours);
    }
}
