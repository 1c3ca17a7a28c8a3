//! Tells secrets, in every form that comes to mind.

use lockgate_sdk::{Failure, log};
use serde_json::{Value, json};

/// The values of these members of the configuration and of all variables, in every form.
pub(crate) fn texts(config: &str, members: &[String]) -> Vec<String> {
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    let values = members.iter().filter_map(|m| config.pointer(m)?.as_str().map(str::to_owned));
    #[expect(
        clippy::disallowed_methods,
        reason = "all that a component can see is what is asked for"
    )]
    let variables = std::env::vars().map(|(_, value)| value);
    values.chain(variables).flat_map(|value| forms(&value)).collect()
}

fn forms(value: &str) -> Vec<String> {
    let hex = |prefix: &str| value.bytes().map(|b| format!("{prefix}{b:02x}")).collect::<String>();
    let mut forms = vec![
        value.to_owned(),
        format!("before{value}after"),
        json!(value).to_string(),
        json!({ "inner": json!({ "value": value }).to_string() }).to_string(),
        hex(""),
        hex("").to_uppercase(),
        hex("%"),
        hex("%").to_uppercase(),
        hex("\\x"),
        percent(value, "%20"),
        percent(value, "+"),
        value.encode_utf16().map(|u| format!("\\u{u:04x}")).collect(),
    ];
    for before in ["", "u", "u:", "user:"] {
        for after in ["", "@", "@h", "@host"] {
            let text = format!("{before}{value}{after}");
            let base64 = base64(text.as_bytes());
            forms.push(base64.replace('+', "-").replace('/', "_").replace('=', ""));
            forms.push(json!({ "basic": base64 }).to_string());
            forms.push(percent(&base64, "+"));
            forms.push(base64);
        }
    }
    forms
}

fn percent(text: &str, space: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' ' => space.to_owned(),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0, |w, i| w << 8 | usize::from(*chunk.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = char::from(DIGITS[word >> (18 - 6 * i) & 63]);
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

/// Tells them in one way.
#[expect(clippy::panic, reason = "a trap is what is asked for")]
pub(crate) fn run(by: &str, config: &str, members: &[String]) -> Result<(), Failure> {
    let texts = texts(config, members);
    let all = texts.join(" ");
    match by {
        "log" => texts.iter().for_each(log::warn),
        "print" => {
            // The standard streams end in the log.
            for text in &texts {
                let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
                let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
                let _ = std::io::Write::write_all(&mut std::io::stderr(), b"\n");
            }
        }
        "failure" => return Err(Failure::system(all.clone()).with_detail(all)),
        "config-failure" => return Err(Failure::config(all.clone()).with_detail(all)),
        "trap" => panic!("{all}"),
        "file" => {
            let result = std::fs::read(&all).map_err(|e| e.to_string());
            log::warn(format_args!("{all}: {result:?}"));
        }
        "update-config" => {
            let mut whole: Value = serde_json::from_str(config).unwrap_or_default();
            whole["copies"] = members.iter().filter_map(|m| whole.pointer(m).cloned()).collect();
            whole["forged"] = json!("${secret:exec:touch forged}");
            update(whole.as_object().cloned().unwrap_or_default());
            // These may be refused, and what is said of it tells them again.
            for (i, text) in texts.iter().enumerate() {
                update([(format!("leak{i}"), json!([text]))].into_iter().collect());
                update([(text.clone(), json!(true))].into_iter().collect());
            }
        }
        _ => {}
    }
    Ok(())
}

fn update(members: serde_json::Map<String, Value>) {
    if let Err(failure) = lockgate_sdk::update_config(&members) {
        log::warn(format_args!("refused: {}", failure.message));
    }
}
