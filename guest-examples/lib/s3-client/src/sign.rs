//! AWS Signature Version 4, in the `Authorization` header, of the service `s3`.

use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use json_rows::time::civil;
use sha2::{Digest, Sha256};

use crate::access::Credentials;
use crate::encode::hex;

/// When it is signed, as `YYYYMMDDThhmmssZ`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment(String);

impl Moment {
    /// Of the system's clock; one that stands before 1970 is taken to stand at it.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::at(since.as_secs())
    }

    /// So many seconds after 1970-01-01T00:00Z.
    #[must_use]
    pub fn at(seconds: u64) -> Self {
        let days = i64::try_from(seconds / 86_400).unwrap_or_default();
        let (year, month, day) = civil(days);
        let rest = seconds % 86_400;
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        Self(format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
    }

    /// The text of `x-amz-date`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn date(&self) -> &str {
        self.0.split('T').next().unwrap_or_default()
    }
}

/// What is signed of a request.
#[derive(Clone, Debug)]
pub struct Signable<'a> {
    /// `GET` and the like.
    pub method: &'a str,
    /// The path as it is sent, encoded once, with its first `/`.
    pub path: &'a str,
    /// The query in its canonical form: encoded, sorted, `name=value`.
    pub query: &'a str,
    /// All headers that are signed, in small letters, `host`, `x-amz-date` and
    /// `x-amz-content-sha256` among them.
    pub headers: &'a [(String, String)],
    /// The SHA-256 of the body in hexadecimal digits, as `x-amz-content-sha256` has it.
    pub payload: &'a str,
}

/// The value of the header `Authorization`.
#[must_use]
pub fn authorization(
    credentials: &Credentials,
    region: &str,
    now: &Moment,
    request: &Signable<'_>,
) -> String {
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (&**name, value.trim())).collect();
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let signed = names.join(";");
    let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
    for (name, value) in headers {
        canonical.push_str(name);
        canonical.push(':');
        // Runs of spaces count as one.
        for (place, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
            if place > 0 {
                canonical.push(' ');
            }
            canonical.push_str(word);
        }
        canonical.push('\n');
    }
    canonical.push_str(&format!("\n{signed}\n{}", request.payload));

    let scope = format!("{}/{region}/s3/aws4_request", now.date());
    let hash = hex(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}", now.as_str());
    let mut key = hmac(
        format!("AWS4{}", credentials.secret_access_key.reveal()).as_bytes(),
        now.date().as_bytes(),
    );
    for part in [region, "s3", "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    let signature = hex(&hmac(&key, text.as_bytes()));
    let id = &credentials.access_key_id;
    format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}"
    )
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Secret;

    /// "Examples: Signature Calculations" of the S3 API reference.
    fn signature(
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        let credentials = Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session_token: None,
        };
        // 2013-05-24
        let now = Moment::at(1_369_353_600);
        let payload = hex(&Sha256::digest(body));
        let mut all = vec![
            ("host".to_owned(), "examplebucket.s3.amazonaws.com".to_owned()),
            ("x-amz-date".to_owned(), now.as_str().to_owned()),
            ("x-amz-content-sha256".to_owned(), payload.clone()),
        ];
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let request = Signable { method, path, query, headers: &all, payload: &payload };
        let header = authorization(&credentials, "us-east-1", &now, &request);
        let start = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/\
                     aws4_request, SignedHeaders=";
        assert!(header.starts_with(start), "{header}");
        header.rsplit_once("Signature=").expect("a signature").1.to_owned()
    }

    #[test]
    fn the_examples_of_aws_have_their_signatures() {
        assert_eq!(
            signature("GET", "/test.txt", "", &[("range", "bytes=0-9")], ""),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let headers = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        assert_eq!(
            signature("PUT", "/test%24file.text", "", &headers, "Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        assert_eq!(
            signature("GET", "/", "lifecycle=", &[], ""),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            signature("GET", "/", "max-keys=2&prefix=J", &[], ""),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn moments_are_written_as_the_header_has_them() {
        assert_eq!(Moment::at(0).as_str(), "19700101T000000Z");
        assert_eq!(Moment::at(1_582_979_696).as_str(), "20200229T123456Z");
        assert_eq!(Moment::at(4_102_444_799).date(), "20991231");
    }
}
