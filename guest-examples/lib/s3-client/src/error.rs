//! Why a request failed.

use std::fmt;
use std::time::Duration;

use lockgate_sdk::http;
use lockgate_sdk::retry::{Retryable, Verdict};
use lockgate_sdk::{Failure, FailureKind};

use crate::xml::{Item, walk};

/// How much of a service's own words is kept for the failure's detail.
const WORDS: usize = 300;

/// A request that failed: what, of which object, and why. Its text has no secret and no signature.
#[derive(Clone, Debug, PartialEq)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    operation: &'static str,
    target: String,
    reason: Reason,
    /// What the service says of it.
    words: String,
    after: Option<Duration>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// There is no answer.
    Http(http::Error),
    /// The service refused it, with a status and, mostly, a code of S3.
    Refused {
        /// HTTP's.
        status: u16,
        /// S3's, such as `NoSuchBucket`; empty where there was none.
        code: String,
        /// Where the bucket is, if the service says so.
        region: Option<String>,
    },
    /// The answer is not what S3 answers.
    Answer(&'static str),
    /// The configuration cannot be meant.
    Config(String),
    /// An object would have more parts than there may be.
    TooManyParts,
}

impl Error {
    pub(crate) fn new(operation: &'static str, target: &str, reason: Reason) -> Self {
        let target = target.to_owned();
        Self(Box::new(Inner { operation, target, reason, words: String::new(), after: None }))
    }

    /// What an answer refuses with.
    pub(crate) fn refused(
        operation: &'static str,
        target: &str,
        status: u16,
        refusal: Refusal,
        after: Option<Duration>,
    ) -> Self {
        let Refusal { code, message, region } = refusal;
        let mut error = Self::new(operation, target, Reason::Refused { status, code, region });
        error.0.words = message;
        error.0.after = after;
        error
    }

    /// Why it failed.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// S3's code; empty where there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        match &self.0.reason {
            Reason::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// HTTP's status, where there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.0.reason {
            Reason::Refused { status, .. } => Some(*status),
            Reason::Http(error) => error.status(),
            _ => None,
        }
    }

    /// Is what was asked for not there? A bucket that is not there is no such answer.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404) && matches!(self.code(), "" | "NoSuchKey" | "NotFound" | "404")
    }

    /// Did another one change the object in between?
    #[must_use]
    pub fn is_precondition(&self) -> bool {
        self.status() == Some(412)
    }

    /// Who can mend it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match &self.0.reason {
            Reason::Http(error) => error.kind(),
            Reason::Refused { status, code, .. } => match &**code {
                "SlowDown"
                | "SlowDownRead"
                | "SlowDownWrite"
                | "InternalError"
                | "ServiceUnavailable"
                | "RequestTimeout"
                | "OperationAborted"
                | "ConditionalRequestConflict"
                | "TooManyRequestsException"
                | "Throttling"
                | "BadDigest"
                | "XAmzContentSHA256Mismatch"
                | "IncompleteBody" => FailureKind::Transient,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "ExpiredToken"
                | "TokenRefreshRequired"
                | "RequestTimeTooSkewed"
                | "NoSuchBucket"
                | "InvalidBucketName"
                | "AuthorizationHeaderMalformed"
                | "PermanentRedirect"
                | "IllegalLocationConstraintException"
                | "EntityTooLarge"
                | "KMS.DisabledException" => FailureKind::Config,
                _ if *status == 409 => FailureKind::Transient,
                // Only what says where to go is a region's.
                _ if *status == 400 && self.region().is_some() => FailureKind::Config,
                _ => http::failure_kind(*status),
            },
            Reason::Config(_) | Reason::TooManyParts => FailureKind::Config,
            Reason::Answer(_) => FailureKind::System,
        }
    }

    fn region(&self) -> Option<&str> {
        match &self.0.reason {
            Reason::Refused { region, .. } => region.as_deref(),
            _ => None,
        }
    }

    /// What the operator may do about it.
    fn advice(&self) -> Option<String> {
        if let Some(region) = self.region()
            && (matches!(self.status(), Some(301 | 307 | 400)))
        {
            return Some(format!("the bucket is in the region {region}: set `region` to it"));
        }
        Some(
            match self.code() {
                "NoSuchBucket" => {
                    "there is no such bucket: is `bucket` spelt right, and `endpoint`?"
                }
                "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => {
                    "the access key may not do that: let its policy allow it (README, \"Rights\")"
                }
                "InvalidAccessKeyId" => "there is no such access key: is `access_key_id` right?",
                "SignatureDoesNotMatch" => {
                    "the signature is not the one expected: is `secret_access_key` that of \
                 `access_key_id`?"
                }
                "InvalidToken" => "the session token is not valid: is `session_token` right?",
                "ExpiredToken" | "TokenRefreshRequired" => {
                    "the session token has expired: get new keys, and set all three members"
                }
                "RequestTimeTooSkewed" => {
                    "the clocks of this machine and of the service differ: set yours"
                }
                "AuthorizationHeaderMalformed" => {
                    "it was signed for another region: is `region` right?"
                }
                "PermanentRedirect" | "TemporaryRedirect" => {
                    "the bucket is somewhere else: are `region` and `endpoint` right?"
                }
                "PreconditionFailed" => "another one wrote it in between",
                "SlowDown" | "ServiceUnavailable" => "the service is busy",
                "" => match self.status()? {
                    301 | 307 => "the bucket is somewhere else: are `region` and `endpoint` right?",
                    400 => "the request was refused: is `region` right?",
                    403 => "it is forbidden: are the access key and its policy right?",
                    404 => "it is not there: are `bucket` and `endpoint` right?",
                    _ => return None,
                },
                _ => return None,
            }
            .to_owned(),
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { operation, target, reason, .. } = &*self.0;
        if !operation.is_empty() {
            write!(f, "{operation} of {target}: ")?;
        }
        match reason {
            Reason::Http(error) => error.fmt(f),
            Reason::Refused { status, code, .. } => {
                if let Some(advice) = self.advice() {
                    write!(f, "{advice} ")?;
                } else {
                    f.write_str("the service refused it ")?;
                }
                if code.is_empty() { write!(f, "({status})") } else { write!(f, "({status} {code})") }
            }
            Reason::Answer(what) => write!(f, "the answer is not one of S3: {what}; is `endpoint` right?"),
            Reason::Config(what) => f.write_str(what),
            Reason::TooManyParts => f.write_str(
                "the object would have more than 10,000 parts: make `part_bytes` larger, or `object_bytes` \
                 smaller",
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.reason {
            Reason::Http(error) => Some(error),
            _ => None,
        }
    }
}

impl Retryable for Error {
    fn verdict(&self) -> Verdict {
        match &self.0.reason {
            Reason::Http(error) => error.verdict(),
            _ if self.kind() == FailureKind::Transient => Verdict::Again { after: self.0.after },
            _ => Verdict::Final,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new(error.kind(), error.to_string());
        if !error.0.words.is_empty() {
            failure = failure.with_detail(format_args!("the service says: {}", error.0.words));
        }
        match error.0.after {
            Some(wait) => failure.retry_after(wait),
            None => failure,
        }
    }
}

/// What an answer's XML has against a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) region: Option<String>,
}

impl Refusal {
    /// Reads it. Some services answer with pages of their own: then it is empty. What `hide` has, which an
    /// answer may repeat, is taken out.
    pub(crate) fn read(text: &str, hide: &[&str]) -> Option<Self> {
        let mut refusal = Self::default();
        let mut is_error = false;
        walk(text, |item| match item {
            Item::Text([root, name], text) if root == "Error" => {
                is_error = true;
                match &**name {
                    "Code" => text.clone_into(&mut refusal.code),
                    "Message" => text.clone_into(&mut refusal.message),
                    "Region" => refusal.region = Some(text.to_owned()),
                    _ => {}
                }
            }
            Item::Text([root], _) | Item::End([root]) if root == "Error" => is_error = true,
            _ => {}
        })?;
        // A code is a word: anything else would be printed where people read.
        let word = |text: &str| {
            text.len() <= 80
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !word(&refusal.code) {
            refusal.code.clear();
        }
        refusal.region = refusal.region.filter(|region| !region.is_empty() && word(region));
        for secret in hide.iter().filter(|secret| secret.len() >= 4) {
            refusal.message = refusal.message.replace(secret, "[hidden]");
        }
        refusal.message = (refusal.message.trim().chars().take(WORDS))
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        is_error.then_some(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, xml: &str) -> Error {
        let refusal = Refusal::read(xml, &["t0ps3cret"]).unwrap_or_default();
        Error::refused("PutObject", "s3://shop/a", status, refusal, None)
    }

    #[test]
    fn codes_have_kinds_and_advice() {
        use FailureKind::{Config, System, Transient};
        for (status, code, kind, advice) in [
            (404, "NoSuchBucket", Config, "`bucket`"),
            (403, "AccessDenied", Config, "policy"),
            (403, "InvalidAccessKeyId", Config, "`access_key_id`"),
            (403, "SignatureDoesNotMatch", Config, "`secret_access_key`"),
            (400, "ExpiredToken", Config, "new keys"),
            (403, "RequestTimeTooSkewed", Config, "clocks"),
            (503, "SlowDown", Transient, "busy"),
            (500, "InternalError", Transient, "refused it"),
            (400, "RequestTimeout", Transient, "refused it"),
            (409, "OperationAborted", Transient, "refused it"),
            (429, "", Transient, "refused it"),
            (400, "MalformedXML", System, "refused it"),
            (301, "", Config, "somewhere else"),
        ] {
            let xml = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            let error = refused(status, &xml);
            assert_eq!(error.kind(), kind, "{error}");
            let text = error.to_string();
            assert!(
                text.starts_with("PutObject of s3://shop/a: ") && text.contains(advice),
                "{text}"
            );
            assert!(text.contains(code));
        }
    }

    #[test]
    fn the_right_region_is_said() {
        for (status, code) in [(400, "AuthorizationHeaderMalformed"), (301, "PermanentRedirect")] {
            let xml = format!("<Error><Code>{code}</Code><Region>eu-west-3</Region></Error>");
            let text = refused(status, &xml).to_string();
            assert!(text.contains("in the region eu-west-3: set `region` to it"), "{text}");
        }
    }

    #[test]
    fn what_an_answer_repeats_is_hidden() {
        let xml = "<Error><Code>SignatureDoesNotMatch</Code><Message>key t0ps3cret\nis wrong</Message>\
                   <StringToSign>t0ps3cret</StringToSign></Error>";
        let failure = Failure::from(refused(403, xml));
        let detail = failure.detail.expect("the service's words");
        assert_eq!(detail, "the service says: key [hidden] is wrong");
        let odd = refused(400, "<Error><Code>a\nb t0ps3cret</Code></Error>");
        assert_eq!(odd.code(), "");
        assert_eq!(Refusal::read("<html>no</html>", &[]), None);
    }

    #[test]
    fn a_bucket_that_is_not_there_is_no_absent_object() {
        assert!(refused(404, "<Error><Code>NoSuchKey</Code></Error>").is_not_found());
        assert!(refused(404, "").is_not_found());
        assert!(!refused(404, "<Error><Code>NoSuchBucket</Code></Error>").is_not_found());
    }
}
