//! Finds secrets in texts, to hide them for good or to put a placeholder in their place.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, Match, MatchKind};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::forms::forms;
use super::json::{Becomes, Role, map_texts};
use super::{SHORTEST_SECRET, Secrets};
use crate::protocol::Json;

/// What stands in place of a secret.
const HIDDEN: &str = "***";
/// What begins a placeholder.
pub const SEALED: &str = "${sealed:";
/// The placeholder of that beginning, where it is text.
const TEXT: &str = "${sealed:text:}";
/// A message this long may have been cut somewhere: by a limit of its own, or as a line that is no
/// message.
const MAYBE_CUT: usize = 1900;

/// Where a pattern comes from.
struct Origin {
    form: String,
    /// The secret's place in `secrets`; none: the beginning of a placeholder.
    secret: Option<usize>,
}

/// All forms of some secrets: as they are; as JSON writes them; percent-encoded; base64, base32 and
/// hexadecimal, also as a part of something that is encoded as a whole.
#[derive(Default)]
pub struct Redactor {
    secrets: Secrets,
    search: Option<AhoCorasick>,
    origins: Vec<Origin>,
    texts: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("secrets", &self.secrets.0.len()).finish_non_exhaustive()
    }
}

impl Redactor {
    /// Looks for these.
    #[must_use]
    pub fn new(secrets: &Secrets) -> Self {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut origins = vec![Origin { form: "text".into(), secret: None }];
        let mut texts = vec![SEALED.to_owned()];
        for (place, secret) in secrets.all().iter().enumerate() {
            for (form, text) in forms(secret.expose()) {
                if text.chars().count() < SHORTEST_SECRET || seen.contains_key(&text) {
                    continue;
                }
                seen.insert(text.clone(), texts.len());
                origins.push(Origin { form, secret: Some(place) });
                texts.push(text);
            }
        }
        let search = AhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&texts)
            .ok()
            .filter(|_| !secrets.0.is_empty());
        // More patterns than the search can hold: nothing is said rather than a secret.
        Self { secrets: secrets.clone(), search, origins, texts }
    }

    /// How many secrets it knows.
    #[must_use]
    pub fn known(&self) -> usize {
        self.secrets.0.len()
    }

    /// Whether it knows no secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets.0.is_empty()
    }

    fn matches<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (Match, &'a Origin)> {
        let found = self.search.iter().flat_map(move |search| search.find_iter(text));
        found.filter_map(|m| Some((m, self.origins.get(m.pattern().as_usize())?)))
    }

    /// The text with every secret hidden.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_empty() {
            return Cow::Borrowed(text);
        }
        if self.search.is_none() {
            return Cow::Borrowed(HIDDEN);
        }
        let mut out = String::new();
        let mut copied = 0;
        for (found, origin) in self.matches(text) {
            if origin.secret.is_some() {
                out.push_str(&text[copied..found.start()]);
                out.push_str(HIDDEN);
                copied = found.end();
            }
        }
        let end = if text.len() >= MAYBE_CUT { self.cut(&text[copied..]) } else { None };
        match end {
            Some(end) => {
                out.push_str(&text[copied..copied + end]);
                out.push_str(HIDDEN);
            }
            None if copied == 0 => return Cow::Borrowed(text),
            None => out.push_str(&text[copied..]),
        }
        Cow::Owned(out)
    }

    /// Where the text breaks off within a secret, if it does.
    fn cut(&self, text: &str) -> Option<usize> {
        let begins = |pattern: &String| {
            let longest = pattern.len().saturating_sub(1).min(text.len());
            (4..=longest).rev().find(|n| text.as_bytes().ends_with(&pattern.as_bytes()[..*n]))
        };
        let longest = self.texts.iter().skip(1).filter_map(begins).max()?;
        let at = text.len() - longest;
        text.is_char_boundary(at).then_some(at)
    }

    /// A document with every secret hidden: in names, strings and numbers.
    #[must_use]
    pub fn redact_json(&self, json: &Json) -> Json {
        if self.is_empty() {
            return json.clone();
        }
        map_texts(json, |_, text| match self.redact(text) {
            Cow::Borrowed(same) if same == text => Becomes::Same,
            other => Becomes::Text(other.into_owned()),
        })
    }

    /// A value with every secret hidden.
    #[must_use]
    pub fn redact_value(&self, value: &serde_json::Value) -> serde_json::Value {
        if self.is_empty() {
            return value.clone();
        }
        self.redact_json(&Json::from_value(value)).to_value().unwrap_or_default()
    }

    /// The label of a secret in the text.
    #[must_use]
    pub fn finds(&self, text: &str) -> Option<&str> {
        if !self.is_empty() && self.search.is_none() {
            return Some("a secret");
        }
        let place = self.matches(text).find_map(|(_, origin)| origin.secret)?;
        Some(self.secrets.all().get(place)?.label.as_str())
    }

    /// The label of a secret in a document, as its reader sees it.
    #[must_use]
    pub fn finds_in(&self, json: &Json) -> Option<String> {
        let mut label = None;
        let _ = map_texts(json, |_, text| {
            label = label.take().or_else(|| self.finds(text).map(str::to_owned));
            Becomes::Same
        });
        label
    }

    /// The text with a placeholder for each secret. Loses nothing: see [`Self::unseal`].
    #[must_use]
    pub fn seal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = String::new();
        let mut copied = 0;
        let mut put = |start: usize, end: usize, placeholder: &str| {
            out.push_str(&text[copied..start]);
            out.push_str(placeholder);
            copied = end;
        };
        if self.search.is_none() {
            // Without a secret, what looks like a placeholder still has to come back as it is.
            for (at, found) in text.match_indices(SEALED) {
                put(at, at + found.len(), TEXT);
            }
        }
        for (found, origin) in self.matches(text) {
            let secret = origin.secret.and_then(|place| self.secrets.all().get(place));
            let placeholder = match secret {
                Some(secret) => {
                    let label = utf8_percent_encode(&secret.label, &LABEL);
                    format!("{SEALED}{}:{label}}}", origin.form)
                }
                None => TEXT.to_owned(),
            };
            put(found.start(), found.end(), &placeholder);
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[copied..]);
        Cow::Owned(out)
    }

    /// The text with each placeholder filled in. A secret that was replaced meanwhile comes back as
    /// it is now.
    ///
    /// # Errors
    /// The label of a secret that is no longer known.
    pub fn unseal<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, String> {
        if !text.contains(SEALED) {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(SEALED) {
            out.push_str(&rest[..at]);
            let after = &rest[at + SEALED.len()..];
            let inner = after.split_once('}').map(|(inner, _)| inner);
            match inner.and_then(|inner| inner.split_once(':')) {
                Some((form, label)) => {
                    out.push_str(&self.filled(form, label)?);
                    rest = &after[form.len() + label.len() + 2..];
                }
                // Not ours: older than the escape.
                None => {
                    out.push_str(SEALED);
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        Ok(Cow::Owned(out))
    }

    fn filled(&self, form: &str, label: &str) -> Result<String, String> {
        if (form, label) == ("text", "") {
            return Ok(SEALED.to_owned());
        }
        let label = percent_decode_str(label).decode_utf8_lossy();
        let secret = self.secrets.all().iter().find(|s| s.label == label);
        let text =
            secret.and_then(|s| forms(s.expose()).into_iter().find(|(name, _)| name == form));
        text.map(|(_, text)| text).ok_or_else(|| label.into_owned())
    }

    /// A document with a placeholder for each secret.
    #[must_use]
    pub fn seal_json(&self, json: &Json) -> Json {
        map_texts(json, |role, text| {
            let sealed = self.seal(text);
            match sealed {
                Cow::Borrowed(_) => Becomes::Same,
                // A number that is a secret has to come back as a number.
                Cow::Owned(sealed) if role == Role::Number => {
                    Becomes::Text(format!("{NUMBER}{sealed}"))
                }
                Cow::Owned(sealed) => Becomes::Text(sealed),
            }
        })
    }

    /// A document with each placeholder filled in.
    ///
    /// # Errors
    /// The label of a secret that is no longer known.
    pub fn unseal_json(&self, json: &Json) -> Result<Json, String> {
        let mut unknown = None;
        let open = map_texts(json, |role, text| {
            let (number, sealed) = match text.strip_prefix(NUMBER) {
                Some(sealed) if role == Role::Text => (true, sealed),
                _ => (false, text),
            };
            match self.unseal(sealed) {
                Ok(Cow::Borrowed(_)) => Becomes::Same,
                Ok(Cow::Owned(open)) if number && is_number(&open) => Becomes::Number(open),
                Ok(Cow::Owned(open)) => Becomes::Text(open),
                Err(label) => {
                    unknown.get_or_insert(label);
                    Becomes::Same
                }
            }
        });
        match unknown {
            Some(label) => Err(label),
            None => Ok(open),
        }
    }
}

/// What comes before the placeholders of a number.
const NUMBER: &str = "${sealed:number:}";

/// What a label keeps as it is within a placeholder.
const LABEL: percent_encoding::AsciiSet =
    NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-').remove(b'@');

fn is_number(text: &str) -> bool {
    crate::protocol::kind_of(text) == "a number" && Json::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[(&str, &str)]) -> Redactor {
        let mut secrets = Secrets::default();
        for (label, value) in values {
            secrets.add(label, value);
        }
        Redactor::new(&secrets)
    }

    #[test]
    fn secrets_are_hidden_in_every_form() {
        let redactor = of(&[("config.password", "hunter2 \"x\"")]);
        assert_eq!(redactor.redact("a hunter2 \"x\" b"), "a *** b");
        assert_eq!(redactor.redact(r#"{"p":"hunter2 \"x\""}"#), r#"{"p":"***"}"#);
        assert_eq!(redactor.redact("u=hunter2+%22x%22&a"), "u=***&a");
        let basic = STANDARD.encode("user:hunter2 \"x\"");
        assert!(!redactor.redact(&basic).contains(&basic[8..16]));
        assert!(matches!(redactor.redact("nothing"), Cow::Borrowed("nothing")));
        let json = Json::parse(r#"{"hunter2 \"x\"":["\u0068unter2 \"x\""]}"#).unwrap();
        assert_eq!(redactor.redact_json(&json).get(), r#"{"***":["***"]}"#);
        assert!(!format!("{redactor:?} {:?}", redactor.secrets).contains("hunter2"));
    }

    #[test]
    fn lines_and_cut_ends_are_hidden_too() {
        let redactor = of(&[("config.key", "-----BEGIN\nabcdefgh\nijklmnop\n")]);
        assert_eq!(redactor.redact("x abcdefgh"), "x ***");
        let cut = format!("{}ijklm", "x".repeat(MAYBE_CUT));
        assert!(redactor.redact(&cut).ends_with("x***"));
    }

    #[test]
    fn a_sealed_state_follows_a_secret_that_is_replaced() {
        let old = of(&[("config.token", "old-token-1")]);
        let state = Json::parse(r#"{"t":"old-token-1","h":"b2xkLXRva2VuLTE=","n":1.10}"#).unwrap();
        let sealed = old.seal_json(&state);
        assert_eq!(old.finds_in(&sealed), None);
        assert_eq!(old.unseal_json(&sealed).unwrap().get(), state.get());
        let new = of(&[("config.token", "new-token-2")]);
        let open = new.unseal_json(&sealed).unwrap();
        assert_eq!(open.get(), r#"{"t":"new-token-2","h":"bmV3LXRva2VuLTI=","n":1.10}"#);
        assert_eq!(of(&[]).unseal_json(&sealed).unwrap_err(), "config.token");
    }

    #[test]
    fn a_number_comes_back_as_a_number() {
        let redactor = of(&[("config.pin", "12345678")]);
        let state = Json::parse(r#"{"pin":12345678,"s":"12345678"}"#).unwrap();
        let sealed = redactor.seal_json(&state);
        assert!(!sealed.get().contains("12345678"));
        assert_eq!(redactor.unseal_json(&sealed).unwrap().get(), state.get());
    }

    proptest! {
        #[test]
        fn no_form_is_left(value in "\\PC{6,40}", before in "[ -~]{0,7}", after in "[ -~]{0,7}") {
            prop_assume!(!super::super::is_short(&value));
            let redactor = of(&[("config.x", value.as_str())]);
            let whole = format!("{before}{value}{after}");
            for (_, form) in forms(&value) {
                let text = redactor.redact(&form).into_owned();
                prop_assert!(!text.contains(&form), "{form}");
            }
            let encoded = STANDARD.encode(&whole);
            prop_assert!(redactor.finds(&encoded).is_some());
            let json = serde_json::to_string(&whole).unwrap();
            prop_assert!(!redactor.redact(&json).contains(&value) || value.contains("***"));
        }

        #[test]
        fn sealing_loses_nothing(
            value in "[a-z\"\\\\$:{}]{6,12}",
            text in r#"(\$\{sealed:|text:|plain:|config\.x|\}|\$|[a-z"\\])(\$\{sealed:|text:|plain:|config\.x|\}|\$|[a-z"\\]){0,12}"#,
            at in 0_usize..20,
        ) {
            let redactor = of(&[("config.x", value.as_str())]);
            let mut text = text;
            let mut at = at.min(text.len());
            while !text.is_char_boundary(at) { at -= 1; }
            text.insert_str(at, &value);
            let sealed = redactor.seal(&text).into_owned();
            prop_assert_eq!(redactor.unseal(&sealed).unwrap(), text.clone());
            let json = Json::from_value(&serde_json::json!({ text.clone(): [text.clone(), 1] }));
            let sealed = redactor.seal_json(&json);
            let open = redactor.unseal_json(&sealed).unwrap();
            prop_assert_eq!(open.get(), json.get());
        }
    }
}
