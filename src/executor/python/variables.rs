//! The variables that an installation gets.
//!
//! The attack: what is installed runs code of its own while it is built, and this process's
//! environment holds every secret of its operator. An installation gets the variables by which
//! package installs are configured, each by its name, and no other.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What configures pip and uv, and how both reach an index. Not those that say where something is
/// installed, or for which Python: that is decided here.
pub(super) const PASSED: &[&str] = &[
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NETRC",
    "NO_PROXY",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_CONFIG_FILE",
    "PIP_CONSTRAINT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_PROXY",
    "PIP_RETRIES",
    "PIP_TIMEOUT",
    "PIP_TRUSTED_HOST",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SSL_CLIENT_CERT",
    "UV_BUILD_CONSTRAINT",
    "UV_CONCURRENT_BUILDS",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CONCURRENT_INSTALLS",
    "UV_CONSTRAINT",
    "UV_DEFAULT_INDEX",
    "UV_EXCLUDE_NEWER",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_INDEX",
    "UV_INDEX_STRATEGY",
    "UV_INDEX_URL",
    "UV_INSECURE_HOST",
    "UV_LINK_MODE",
    "UV_NATIVE_TLS",
    "UV_NO_BINARY",
    "UV_NO_BUILD",
    "UV_NO_INDEX",
    "UV_OFFLINE",
    "UV_OVERRIDE",
    "UV_PRERELEASE",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_INSTALL_DIR",
    "UV_PYTHON_INSTALL_MIRROR",
    "UV_PYTHON_PREFERENCE",
    "UV_REQUEST_TIMEOUT",
    "UV_RESOLUTION",
    "UV_SYSTEM_CERTS",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What uv is told where it is not told so itself: pip's variable, pip's option in its file, uv's
/// variable, and how the value is written.
const AS_PIP: &[(&str, &str, &str, Form)] = &[
    ("PIP_INDEX_URL", "index-url", "UV_DEFAULT_INDEX", Form::Same),
    ("PIP_EXTRA_INDEX_URL", "extra-index-url", "UV_INDEX", Form::Spaces),
    ("PIP_FIND_LINKS", "find-links", "UV_FIND_LINKS", Form::Commas),
    ("PIP_NO_INDEX", "no-index", "UV_NO_INDEX", Form::Same),
    ("PIP_TRUSTED_HOST", "trusted-host", "UV_INSECURE_HOST", Form::Spaces),
    ("PIP_CONSTRAINT", "constraint", "UV_CONSTRAINT", Form::Spaces),
    ("PIP_CERT", "cert", "SSL_CERT_FILE", Form::Same),
    ("PIP_CLIENT_CERT", "client-cert", "SSL_CLIENT_CERT", Form::Same),
    ("PIP_PROXY", "proxy", "ALL_PROXY", Form::Same),
    ("PIP_DEFAULT_TIMEOUT", "timeout", "UV_HTTP_TIMEOUT", Form::Same),
];

/// The older names of uv's own: where one is set, uv was told.
const OLDER: &[(&str, &str)] = &[
    ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    ("UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT"),
];

/// How pip's value, words with spaces between, is written for uv.
#[derive(Clone, Copy)]
enum Form {
    Same,
    Spaces,
    Commas,
}

/// The variables of an installation, out of those of this process, which `own` gives by name, and
/// out of the texts of pip's files, the most general first.
pub(super) fn of_install(
    own: &dyn Fn(&str) -> Option<OsString>,
    pip_files: &[String],
) -> BTreeMap<String, OsString> {
    let given = |name: &str| own(name).filter(|value| !value.is_empty());
    let mut variables: BTreeMap<String, OsString> =
        PASSED.iter().filter_map(|name| Some(((*name).to_owned(), given(name)?))).collect();
    // `UV_INDEX="corp=https://…"` has its credentials in UV_INDEX_CORP_USERNAME and _PASSWORD.
    for list in ["UV_INDEX", "UV_DEFAULT_INDEX"] {
        let list = variables.get(list).and_then(|v| v.to_str()).unwrap_or_default().to_owned();
        for (name, _) in list.split_whitespace().filter_map(|index| index.split_once('=')) {
            let plain =
                |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            let name: String = name.chars().map(plain).collect();
            for what in ["USERNAME", "PASSWORD"] {
                let name = format!("UV_INDEX_{name}_{what}");
                if let Some(value) = given(&name) {
                    variables.insert(name, value);
                }
            }
        }
    }
    let mut options = BTreeMap::new();
    for text in pip_files {
        options.extend(pip_options(text));
    }
    for (pip, option, uv, form) in AS_PIP {
        let told = |name: &str| variables.contains_key(name);
        if told(uv) || OLDER.iter().any(|(newer, older)| newer == uv && told(older)) {
            continue;
        }
        let from_file = || options.get(*option).map(OsString::from);
        let Some(value) = variables.get(*pip).cloned().or_else(from_file) else { continue };
        let value = match (form, value.to_str()) {
            (Form::Spaces, Some(text)) => words(text, " ").into(),
            (Form::Commas, Some(text)) => words(text, ",").into(),
            _ => value,
        };
        variables.insert((*uv).to_owned(), value);
    }
    variables
}

fn words(text: &str, between: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(between)
}

/// Where pip's files are: the system's, the user's, and the one that `PIP_CONFIG_FILE` names.
pub(super) fn pip_files(own: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let named = own("PIP_CONFIG_FILE").filter(|v| !v.is_empty()).map(PathBuf::from);
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let home = own("HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let config = own("XDG_CONFIG_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let config = config.or_else(|| home.as_ref().map(|h| h.join(".config")));
    let mut files = vec![PathBuf::from("/etc/xdg/pip/pip.conf"), PathBuf::from("/etc/pip.conf")];
    files.extend(home.map(|home| home.join(".pip/pip.conf")));
    files.extend(config.map(|config| config.join("pip/pip.conf")));
    files.extend(named);
    files
}

/// The options of a file of pip's that matter for an installation: those of `[install]` before
/// those of `[global]`.
fn pip_options(text: &str) -> BTreeMap<String, String> {
    let mut sections: [BTreeMap<String, String>; 2] = Default::default();
    let mut section = None;
    let mut last: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = ["global", "install"].iter().position(|known| *known == name);
            last = None;
            continue;
        }
        let Some(section) = section else { continue };
        let options = &mut sections[section];
        if line.starts_with(char::is_whitespace)
            && let Some(value) = last.as_ref().and_then(|name| options.get_mut(name))
        {
            // A value goes on in lines that are indented.
            value.push(' ');
            value.push_str(trimmed);
        } else if let Some((name, value)) = trimmed.split_once(['=', ':']) {
            let name = name.trim().to_lowercase().replace('_', "-");
            options.insert(name.clone(), value.trim().to_owned());
            last = Some(name);
        }
    }
    let [mut options, install] = sections;
    options.extend(install);
    options.retain(|_, value| !value.is_empty());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(own: &[(&str, &str)], files: &[&str]) -> BTreeMap<String, String> {
        let own = |name: &str| {
            own.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value))
        };
        let files: Vec<String> = files.iter().map(|f| (*f).to_owned()).collect();
        let text = |(name, value): (String, OsString)| (name, value.into_string().unwrap());
        of_install(&own, &files).into_iter().map(text).collect()
    }

    #[test]
    fn only_what_configures_an_installation_is_passed() {
        let variables = with(
            &[
                ("AWS_SECRET_ACCESS_KEY", "s"),
                ("PIP_TARGET", "/elsewhere"),
                ("UV_PYTHON", "2"),
                ("HOME", "/home/me"),
                ("HTTPS_PROXY", "http://proxy.example:3128"),
                ("NO_PROXY", ""),
                ("UV_INDEX", "my-corp=https://pypi.example/simple"),
                ("UV_INDEX_MY_CORP_PASSWORD", "p"),
                ("UV_INDEX_OTHER_PASSWORD", "q"),
            ],
            &[],
        );
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        assert_eq!(names, ["HTTPS_PROXY", "UV_INDEX", "UV_INDEX_MY_CORP_PASSWORD"]);
    }

    #[test]
    fn uv_is_told_what_pip_is_told() {
        let variables = with(
            &[
                ("PIP_INDEX_URL", "https://a.example/simple"),
                ("PIP_EXTRA_INDEX_URL", "https://b.example  https://c.example"),
                ("PIP_FIND_LINKS", "/wheels /more"),
                ("PIP_CERT", "/ca.pem"),
            ],
            &[],
        );
        assert_eq!(variables["UV_DEFAULT_INDEX"], "https://a.example/simple");
        assert_eq!(variables["UV_INDEX"], "https://b.example https://c.example");
        assert_eq!(variables["UV_FIND_LINKS"], "/wheels,/more");
        assert_eq!(variables["SSL_CERT_FILE"], "/ca.pem");
        // What uv is told itself comes first, also by an older name.
        let variables = with(&[("PIP_INDEX_URL", "https://a"), ("UV_INDEX_URL", "https://u")], &[]);
        assert!(!variables.contains_key("UV_DEFAULT_INDEX"), "{variables:?}");
    }

    #[test]
    fn pips_files_are_read_and_variables_come_first() {
        let system = "[global]\nindex-url = https://system\ncert=/system.pem\n[list]\nproxy = no\n";
        let user = "# mine\n[global]\nindex_url: https://user\nextra-index-url =\n  https://a\n  \
                    https://b\n[install]\nfind-links = /install\n";
        let variables = with(&[("PIP_CERT", "/own.pem")], &[system, user]);
        assert_eq!(variables["UV_DEFAULT_INDEX"], "https://user");
        assert_eq!(variables["UV_INDEX"], "https://a https://b");
        assert_eq!(variables["UV_FIND_LINKS"], "/install");
        assert_eq!(variables["SSL_CERT_FILE"], "/own.pem");
        assert!(!variables.contains_key("ALL_PROXY"));
        let none = |name: &str| (name == "PIP_CONFIG_FILE").then(|| "/dev/null".into());
        assert!(pip_files(&none).is_empty());
    }
}
