//! Objects that come in parts.

use lockgate_sdk::http::Method;

use crate::answer::{self, OpenUpload, Outcome};
use crate::bucket::{Ask, Bucket};
use crate::error::Error;
use crate::xml::element;

impl Bucket {
    /// Begins an object of parts. Gives the upload's id.
    ///
    /// # Errors
    /// Any of [`Reason`](crate::Reason).
    pub fn begin(&self, key: &str, media_type: &str) -> Result<String, Error> {
        let ask = Ask {
            query: &[("uploads", "")],
            headers: &[("content-type", media_type)],
            ..Ask::new("CreateMultipartUpload", Method::Post, Some(key))
        };
        let answer = self.run(&ask)?;
        answer::upload_id(answer.text()).ok_or_else(|| self.odd(&ask, "there is no upload id"))
    }

    /// Writes a part; the first has the number 1. Gives its entity tag.
    ///
    /// # Errors
    /// Any of [`Reason`](crate::Reason).
    pub fn put_part(&self, key: &str, id: &str, number: u32, body: &[u8]) -> Result<String, Error> {
        let number = number.to_string();
        let ask = Ask {
            query: &[("partNumber", &number), ("uploadId", id)],
            body,
            ..Ask::new("UploadPart", Method::Put, Some(key))
        };
        let answer = self.run(&ask)?;
        self.tag(answer, "UploadPart", key)
    }

    /// Makes the object of its parts, visible at once.
    ///
    /// # Errors
    /// Any of [`Reason`](crate::Reason), also where the status was 200 and the body an error.
    pub fn complete(&self, key: &str, id: &str, tags: &[String], bytes: u64) -> Result<(), Error> {
        let mut body = String::from(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        for (number, tag) in (1..).zip(tags) {
            body.push_str("<Part>");
            element("PartNumber", &u32::to_string(&number), &mut body);
            element("ETag", tag, &mut body);
            body.push_str("</Part>");
        }
        body.push_str("</CompleteMultipartUpload>");
        let ask = Ask {
            query: &[("uploadId", id)],
            headers: &[("content-type", "application/xml")],
            body: body.as_bytes(),
            ..Ask::new("CompleteMultipartUpload", Method::Post, Some(key))
        };
        let mut sent = 0;
        let completed = self.policy().run(&format!("completing {}", self.url(key)), || {
            sent += 1;
            let answer = self.once(&ask)?;
            match answer::completed(answer.text(), &self.hidden()) {
                Some(Outcome::Done) => Ok(()),
                Some(Outcome::Refused(refusal)) => {
                    // The status was sent before it was known.
                    let status = if refusal.code == "NoSuchUpload" { 404 } else { 500 };
                    Err(Error::refused(ask.operation, &self.url(key), status, refusal, None))
                }
                None => Err(self.odd(&ask, "it does not say whether the object is complete")),
            }
        });
        match completed {
            // The answer to an earlier attempt was lost.
            Err(error) if error.code() == "NoSuchUpload" && sent > 1 => {
                if self.size(key)? == Some(bytes) { Ok(()) } else { Err(error) }
            }
            other => other,
        }
    }

    /// Forgets an upload and its parts; one that is not there is none.
    ///
    /// # Errors
    /// Any of [`Reason`](crate::Reason).
    pub fn abort(&self, key: &str, id: &str) -> Result<(), Error> {
        gone(self.run(&Self::abort_ask(key, &[("uploadId", id)])))
    }

    /// The same, once: for whoever is about to go.
    ///
    /// # Errors
    /// As [`Bucket::abort`].
    pub fn abort_once(&self, key: &str, id: &str) -> Result<(), Error> {
        gone(self.once(&Self::abort_ask(key, &[("uploadId", id)])))
    }

    fn abort_ask<'a>(key: &'a str, query: &'a [(&'a str, &'a str)]) -> Ask<'a> {
        Ask { query, ..Ask::new("AbortMultipartUpload", Method::Delete, Some(key)) }
    }

    /// Uploads of keys that begin with `prefix` which nobody completed or aborted, 1000 at most; and
    /// whether there are more.
    ///
    /// # Errors
    /// Any of [`Reason`](crate::Reason).
    pub fn open_uploads(&self, prefix: &str) -> Result<(Vec<OpenUpload>, bool), Error> {
        let ask = Ask {
            query: &[("uploads", ""), ("prefix", prefix), ("encoding-type", "url")],
            ..Ask::new("ListMultipartUploads", Method::Get, None)
        };
        let answer = self.run(&ask)?;
        answer::uploads(answer.text()).ok_or_else(|| self.odd(&ask, "it is no list of uploads"))
    }
}

/// What is not there is gone.
fn gone<T>(aborted: Result<T, Error>) -> Result<(), Error> {
    match aborted {
        Err(error) if error.status() != Some(404) || error.code() == "NoSuchBucket" => Err(error),
        _ => Ok(()),
    }
}
