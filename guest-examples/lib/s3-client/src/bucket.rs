//! One bucket: requests that are signed, sent, tried again, and understood.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_sdk::http::{self, Method};
use lockgate_sdk::log;
use lockgate_sdk::retry::Policy;
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::access::{Access, Credentials, Place};
use crate::answer::{self, Listed, Page};
use crate::encode::{encode, hex, query};
use crate::error::{Error, Reason, Refusal};
use crate::sign::{Moment, Signable, authorization};
use crate::xml::element;

/// What is read of an answer that is not an object: a list of 1000 keys of 1024 bytes, three each where
/// they are encoded, and what is around them.
pub(crate) const ANSWER_BYTES: u64 = 8 << 20;

/// What is read of an answer that says why not.
const REFUSAL_BYTES: u64 = 64 << 10;

/// Keys that DeleteObjects takes.
const DELETED_AT_ONCE: usize = 1000;

/// When an object may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    None,
    /// If there is none of this key.
    Absent,
    /// If the one there has this entity tag.
    Match(String),
}

/// A small object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its entity tag, for [`Condition::Match`].
    pub tag: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// A bucket of S3.
pub struct Bucket {
    name: String,
    place: Place,
    region: String,
    credentials: Credentials,
    client: http::Client,
    policy: Policy,
    /// The service does not know conditions; it was said.
    unconditional: AtomicBool,
    /// The last request had no answer at all.
    silent: AtomicBool,
}

/// A request that is to be signed.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// S3's name of it.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// None: of the bucket.
    pub(crate) key: Option<&'a str>,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
    /// What is read of the answer's body.
    pub(crate) limit: u64,
}

/// An answer whose status is 2xx.
pub(crate) struct Answer {
    pub(crate) tag: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }
}

impl<'a> Ask<'a> {
    pub(crate) fn new(operation: &'static str, method: Method, key: Option<&'a str>) -> Self {
        Self { operation, method, key, query: &[], headers: &[], body: &[], limit: ANSWER_BYTES }
    }
}

impl Bucket {
    /// Of a place, asked by these rules. Nothing is sent.
    ///
    /// # Errors
    /// `config`: what cannot be an endpoint, a region or a bucket.
    pub fn new(access: &Access, policy: Policy) -> Result<Self, Error> {
        Ok(Self {
            name: access.bucket.clone(),
            place: access.place()?,
            region: access.region.clone(),
            credentials: access.credentials.clone(),
            client: http::Client::new(),
            policy,
            unconditional: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        })
    }

    /// `s3://BUCKET/KEY`, for messages.
    #[must_use]
    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// Did the last request have no answer at all? Then cleaning up is not worth the time.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Writes a whole object, visible at once. Gives its entity tag.
    ///
    /// A service that knows no conditions (501) is told so once and written to without.
    ///
    /// # Errors
    /// [`Error::is_precondition`]: the condition does not hold. Any other of [`Reason`].
    pub fn put(
        &self,
        key: &str,
        body: &[u8],
        media_type: &str,
        condition: &Condition,
    ) -> Result<String, Error> {
        let mut sent = 0;
        let written = self.policy.run(&format!("writing {}", self.url(key)), || {
            sent += 1;
            self.put_once(key, body, media_type, condition)
        });
        match written {
            // The answer to an earlier attempt may have been lost, and the object be ours.
            Err(error) if error.is_precondition() && sent > 1 => {
                let there = self.get(key, body.len() as u64)?;
                there.filter(|object| object.body == body).map(|object| object.tag).ok_or(error)
            }
            other => other,
        }
    }

    fn put_once(
        &self,
        key: &str,
        body: &[u8],
        media_type: &str,
        condition: &Condition,
    ) -> Result<String, Error> {
        let kind = ("content-type", media_type);
        let ask = Ask { body, ..Ask::new("PutObject", Method::Put, Some(key)) };
        let conditional = match condition {
            _ if self.unconditional.load(Ordering::Relaxed) => None,
            Condition::None => None,
            Condition::Absent => Some(("if-none-match", "*")),
            Condition::Match(tag) => Some(("if-match", &**tag)),
        };
        let answer = match conditional {
            None => self.once(&Ask { headers: &[kind], ..ask }),
            Some(conditional) => match self.once(&Ask { headers: &[kind, conditional], ..ask }) {
                Err(error) if error.status() == Some(501) => {
                    log::warn(
                        "the service does not know conditional writes: two syncs that write to the same \
                         prefix at once would not notice one another",
                    );
                    self.unconditional.store(true, Ordering::Relaxed);
                    self.once(&Ask { headers: &[kind], ..ask })
                }
                other => other,
            },
        }?;
        self.tag(answer, "PutObject", key)
    }

    pub(crate) fn tag(
        &self,
        answer: Answer,
        operation: &'static str,
        key: &str,
    ) -> Result<String, Error> {
        let missing = || {
            Error::new(operation, &self.url(key), Reason::Answer("there is no entity tag (`ETag`)"))
        };
        answer.tag.filter(|tag| !tag.is_empty()).ok_or_else(missing)
    }

    /// Reads a small object. None: it is not there.
    ///
    /// # Errors
    /// It is larger than `limit` bytes; any of [`Reason`].
    pub fn get(&self, key: &str, limit: u64) -> Result<Option<Object>, Error> {
        let ask = Ask { limit, ..Ask::new("GetObject", Method::Get, Some(key)) };
        match self.run(&ask) {
            Ok(mut answer) => {
                let body = std::mem::take(&mut answer.body);
                Ok(Some(Object { tag: self.tag(answer, "GetObject", key)?, body }))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bytes of an object. None: it is not there.
    ///
    /// # Errors
    /// Any of [`Reason`].
    pub fn size(&self, key: &str) -> Result<Option<u64>, Error> {
        match self.run(&Ask::new("HeadObject", Method::Head, Some(key))) {
            Ok(answer) => Ok(Some(answer.size.unwrap_or_default())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Objects whose keys begin with `prefix`, 1000 at most, in order; `next` is the last page's.
    ///
    /// # Errors
    /// Any of [`Reason`].
    pub fn list(&self, prefix: &str, next: Option<&str>) -> Result<Page<Listed>, Error> {
        let mut parameters = vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)];
        parameters.extend(next.map(|next| ("continuation-token", next)));
        let ask = Ask { query: &parameters, ..Ask::new("ListObjectsV2", Method::Get, None) };
        let answer = self.run(&ask)?;
        answer::objects(answer.text()).ok_or_else(|| self.odd(&ask, "it is no list of objects"))
    }

    /// Deletes objects; one that is not there is none to delete.
    ///
    /// # Errors
    /// The first object that stays, after all were asked to go; any of [`Reason`].
    pub fn delete<K: AsRef<str>>(&self, keys: &[K]) -> Result<(), Error> {
        let mut first = None;
        for keys in keys.chunks(DELETED_AT_ONCE) {
            let mut body =
                String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
            for key in keys {
                body.push_str("<Object>");
                element("Key", key.as_ref(), &mut body);
                body.push_str("</Object>");
            }
            body.push_str("<Quiet>true</Quiet></Delete>");
            let sum = STANDARD.encode(Md5::digest(&body));
            let headers = [("content-type", "application/xml"), ("content-md5", &*sum)];
            let ask = Ask {
                query: &[("delete", "")],
                headers: &headers,
                body: body.as_bytes(),
                ..Ask::new("DeleteObjects", Method::Post, None)
            };
            let answer = self.run(&ask)?;
            let refused = answer::deleted(answer.text(), &self.hidden())
                .ok_or_else(|| self.odd(&ask, "it does not say what was deleted"))?;
            if let Some((key, refusal)) = refused {
                let url = self.url(&key);
                first.get_or_insert_with(|| {
                    let status = if refusal.code == "AccessDenied" { 403 } else { 500 };
                    Error::refused("DeleteObjects", &url, status, refusal, None)
                });
            }
        }
        first.map_or(Ok(()), Err)
    }

    pub(crate) fn odd(&self, ask: &Ask<'_>, what: &'static str) -> Error {
        Error::new(ask.operation, &self.target(ask), Reason::Answer(what))
    }

    fn target(&self, ask: &Ask<'_>) -> String {
        self.url(ask.key.unwrap_or_default())
    }

    /// What no message may show.
    pub(crate) fn hidden(&self) -> Vec<&str> {
        let token = self.credentials.session_token.as_ref().map(|token| token.reveal());
        std::iter::once(self.credentials.secret_access_key.reveal()).chain(token).collect()
    }

    /// Sends a request, again where that may help.
    pub(crate) fn run(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        self.policy.run(&format!("{} of {}", ask.operation, self.target(ask)), || self.once(ask))
    }

    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// Sends a request, and reads its answer.
    pub(crate) fn once(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let result = self.exchange(ask);
        let silent = matches!(&result, Err(error) if error.status().is_none());
        self.silent.store(silent, Ordering::Relaxed);
        result
    }

    fn exchange(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let target = self.target(ask);
        let failed = |error| Error::new(ask.operation, &target, Reason::Http(error));
        let mut path = self.place.path.clone();
        path.push('/');
        encode(ask.key.unwrap_or_default(), true, &mut path);
        let query = query(ask.query);
        let mut url = format!("{}{path}", self.place.origin);
        if !query.is_empty() {
            url.push('?');
            url.push_str(&query);
        }
        let mut request = self.client.request(ask.method, &url);
        for (name, value) in self.signed(ask, &path, &query) {
            // Whoever sends the request sets it.
            if name != "host" {
                request = request.header(&name, value);
            }
        }
        let response = request.body(ask.body).send().map_err(failed)?;
        let status = response.status();
        if response.is_success() {
            let tag = response.header("etag").map(ToOwned::to_owned);
            let size = response.header("content-length").and_then(|length| length.parse().ok());
            let body = match ask.method {
                Method::Head => Vec::new(),
                _ => response.bytes_up_to(ask.limit).map_err(failed)?,
            };
            return Ok(Answer { tag, size, body });
        }
        let after = response.retry_after();
        let region = response.header("x-amz-bucket-region").map(ToOwned::to_owned);
        // What the status says is enough where the rest cannot be read.
        let body = response.bytes_up_to(REFUSAL_BYTES).unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        let mut refusal = Refusal::read(&text, &self.hidden()).unwrap_or_default();
        let other = region.filter(|region| *region != self.region);
        refusal.region = refusal.region.filter(|region| *region != self.region).or(other);
        Err(Error::refused(ask.operation, &target, status, refusal, after))
    }

    /// All headers of a request, its signature among them.
    fn signed(&self, ask: &Ask<'_>, path: &str, query: &str) -> Vec<(String, String)> {
        let now = Moment::now();
        let payload = hex(&Sha256::digest(ask.body));
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![
            own("host", &self.place.host),
            own("x-amz-content-sha256", &payload),
            own("x-amz-date", now.as_str()),
        ];
        headers.extend(ask.headers.iter().map(|(name, value)| own(name, value)));
        if let Some(token) = &self.credentials.session_token {
            headers.push(own("x-amz-security-token", token.reveal()));
        }
        let signable = Signable {
            method: ask.method.as_str(),
            path,
            query,
            headers: &headers,
            payload: &payload,
        };
        let signature = authorization(&self.credentials, &self.region, &now, &signable);
        headers.push(("authorization".to_owned(), signature));
        headers
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("name", &self.name)
            .field("origin", &self.place.origin)
            .finish_non_exhaustive()
    }
}
