//! Where the bucket is, and as whom it is asked.

use std::fmt;

use lockgate_sdk::http::{self, Url};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Reason};

/// A text that no message shows.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Who signs.
#[derive(Clone)]
pub struct Credentials {
    /// The access key's id; it is no secret.
    pub access_key_id: String,
    /// What signs.
    pub secret_access_key: Secret,
    /// What comes with keys that end.
    pub session_token: Option<Secret>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Where a URL has the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Addressing {
    /// In its path: `https://HOST/BUCKET/KEY`. Most services of one's own have it so.
    Path,
    /// In its host: `https://BUCKET.HOST/KEY`.
    Virtual,
}

/// Where the bucket is, and as whom it is asked.
#[derive(Clone, Debug)]
pub struct Access {
    /// `http://…` or `https://…` without a path; none for AWS.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// Where a URL has the bucket. None: in the host at AWS, but for a name with a point, whose
    /// certificate would not fit; in the path at an endpoint that was given.
    pub addressing: Option<Addressing>,
    /// Who asks.
    pub credentials: Credentials,
}

/// What all URLs of a bucket begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// `https://HOST`, to which a path is added.
    pub(crate) origin: String,
    /// The header `host`.
    pub(crate) host: String,
    /// `/BUCKET`, or nothing where the host has it.
    pub(crate) path: String,
}

impl Access {
    /// The host and port that are asked, as a grant has them.
    ///
    /// # Errors
    /// As [`Bucket::new`](crate::Bucket::new).
    pub fn grant(&self) -> Result<String, Error> {
        let url =
            http::parse_url(&self.place()?.origin).map_err(|_| invalid("`endpoint` is no URL"))?;
        let host = url.host_str().unwrap_or_default();
        Ok(format!("{host}:{}", url.port_or_known_default().unwrap_or_default()))
    }

    pub(crate) fn place(&self) -> Result<Place, Error> {
        check_region(&self.region)?;
        check_bucket(&self.bucket)?;
        let (endpoint, given) = match self.endpoint.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => (endpoint(text)?, true),
            None => {
                let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
                let url = format!("https://s3.{}.amazonaws.com{suffix}", self.region);
                (http::parse_url(&url).map_err(|_| invalid("`region` is no region"))?, false)
            }
        };
        let addressing = self.addressing.unwrap_or(if given || self.bucket.contains('.') {
            Addressing::Path
        } else {
            Addressing::Virtual
        });
        let host = match (endpoint.host_str(), endpoint.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(invalid("`endpoint` has no host")),
        };
        let (host, path) = match addressing {
            Addressing::Path => (host, format!("/{}", self.bucket)),
            Addressing::Virtual if endpoint.domain().is_none() => {
                return Err(invalid(
                    "`endpoint` is an address, before which no bucket can stand: set `addressing` \
                     to path",
                ));
            }
            Addressing::Virtual => (format!("{}.{host}", self.bucket), String::new()),
        };
        Ok(Place { origin: format!("{}://{host}", endpoint.scheme()), host, path })
    }
}

fn endpoint(text: &str) -> Result<Url, Error> {
    let url = http::parse_url(text).map_err(|error| {
        invalid(format!(
            "`endpoint` is not what it should be, as in https://s3.example.com: {error}"
        ))
    })?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(
            "`endpoint` has a path: it is a host only, as in https://s3.example.com; what keys begin \
             with goes into `prefix`",
        ));
    }
    Ok(url)
}

/// The attack: a bucket or a region that makes the URL one of another host.
fn check_bucket(bucket: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let dots = bucket.starts_with('.') || bucket.ends_with('.') || bucket.contains("..");
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) || dots {
        return Err(invalid(
            "`bucket` is not the name of one: 3 to 63 letters, digits, `-` and `.`, without `s3://`",
        ));
    }
    Ok(())
}

fn check_region(region: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if region.is_empty() || region.len() > 63 || !region.bytes().all(plain) {
        return Err(invalid("`region` is not the name of one, as in eu-central-1"));
    }
    Ok(())
}

pub(crate) fn invalid(what: impl Into<String>) -> Error {
    Error::new("", "", Reason::Config(what.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(endpoint: &str, bucket: &str, addressing: Option<Addressing>) -> Access {
        Access {
            endpoint: (!endpoint.is_empty()).then(|| endpoint.to_owned()),
            region: "eu-central-1".to_owned(),
            bucket: bucket.to_owned(),
            addressing,
            credentials: Credentials {
                access_key_id: "id".to_owned(),
                secret_access_key: Secret::new("t0ps3cret"),
                session_token: None,
            },
        }
    }

    #[test]
    fn a_bucket_is_in_the_host_or_in_the_path() {
        use Addressing::{Path, Virtual};
        for (endpoint, bucket, addressing, origin, path, grant) in [
            (
                "",
                "shop",
                None,
                "https://shop.s3.eu-central-1.amazonaws.com",
                "",
                "shop.s3.eu-central-1.amazonaws.com:443",
            ),
            (
                "",
                "shop.example",
                None,
                "https://s3.eu-central-1.amazonaws.com",
                "/shop.example",
                "s3.eu-central-1.amazonaws.com:443",
            ),
            (
                "",
                "shop",
                Some(Path),
                "https://s3.eu-central-1.amazonaws.com",
                "/shop",
                "s3.eu-central-1.amazonaws.com:443",
            ),
            (
                "http://127.0.0.1:9000",
                "shop",
                None,
                "http://127.0.0.1:9000",
                "/shop",
                "127.0.0.1:9000",
            ),
            (
                "https://s3.example/",
                "shop",
                Some(Virtual),
                "https://shop.s3.example",
                "",
                "shop.s3.example:443",
            ),
            ("http://s3.example:80", "shop", None, "http://s3.example", "/shop", "s3.example:80"),
            ("http://[::1]:9000", "shop", None, "http://[::1]:9000", "/shop", "[::1]:9000"),
        ] {
            let access = access(endpoint, bucket, addressing);
            let place = access.place().expect("a place");
            assert_eq!((&*place.origin, &*place.path), (origin, path));
            assert_eq!(access.grant().expect("a grant"), grant);
            assert!(place.origin.ends_with(&place.host));
        }
        let china = Access { region: "cn-north-1".to_owned(), ..access("", "shop", None) };
        let grant = china.grant().expect("a grant");
        assert_eq!(grant, "shop.s3.cn-north-1.amazonaws.com.cn:443");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for (endpoint, bucket, addressing, reason) in [
            ("", "s3://shop", None, "`bucket`"),
            ("", "evil.example/x", None, "`bucket`"),
            ("", "a", None, "`bucket`"),
            ("", "a..b", None, "`bucket`"),
            ("ftp://x", "shop", None, "`endpoint`"),
            ("s3.example", "shop", None, "`endpoint`"),
            ("https://user:t0ps3cret@s3.example", "shop", None, "`endpoint`"),
            ("https://s3.example/shop", "shop", None, "`endpoint` has a path"),
            ("http://127.0.0.1:9000", "shop", Some(Addressing::Virtual), "`addressing`"),
        ] {
            let error = access(endpoint, bucket, addressing).place().expect_err(bucket).to_string();
            assert!(error.contains(reason) && !error.contains("t0ps3cret"), "{error}");
        }
        let region = Access { region: "x.evil.example/".to_owned(), ..access("", "shop", None) };
        assert!(region.place().is_err());
        assert!(!format!("{region:?}").contains("t0ps3cret"));
    }
}
