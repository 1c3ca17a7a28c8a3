//! Speaks to S3, and to what is like it, from inside a component: what the connectors to object stores
//! share. It is a library and no connector.
//!
//! Requests go through [`lockgate_sdk::http`], so the host decides where they may go, and are signed here
//! (AWS Signature Version 4, with the hash of each body). What may work the next time is tried again. An
//! [`Error`] says which request failed and what the service has against it, in its own code; it never shows
//! a secret or a signature.
//!
//! ```no_run
//! use lockgate_sdk::{Failure, retry::Policy};
//! use s3_client::{Access, Bucket, Condition, Upload};
//! use std::sync::Arc;
//!
//! fn store(access: &Access) -> Result<(), Failure> {
//!     let bucket = Arc::new(Bucket::new(access, Policy::default())?);
//!     bucket.put("small.json", b"{}", "application/json", &Condition::None)?;
//!     let mut large = Upload::new(Arc::clone(&bucket), "large.jsonl", "application/x-ndjson", 8 << 20);
//!     large.push(b"{}\n")?;
//!     large.finish()?;
//!     Ok(())
//! }
//! ```

mod access;
mod answer;
mod bucket;
mod encode;
mod error;
mod multipart;
mod sign;
mod upload;
mod xml;

pub use access::{Access, Addressing, Credentials, Secret};
pub use answer::{Listed, OpenUpload, Page};
pub use bucket::{Bucket, Condition, Object};
pub use error::{Error, Reason};
pub use sign::{Moment, Signable, authorization};
pub use upload::{MAX_PARTS, MIN_PART_BYTES, Upload, Uploaded};
