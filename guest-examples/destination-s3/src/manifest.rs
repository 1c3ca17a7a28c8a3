//! The manifest of a stream: which objects count. It is written whole, by one request, and so is every
//! change of what a reader sees.

use lockgate_sdk::{Failure, StreamDescriptor};
use s3_client::{Bucket, Condition};
use serde::{Deserialize, Serialize};

use crate::key::MANIFEST;

/// The form that is written here; a later one is not understood.
const VERSION: u32 = 1;

/// Objects of a stream. A manifest is written whole at each commit and held in memory: with so many it has
/// about 15 MiB.
pub(crate) const MAX_OBJECTS: usize = 100_000;

/// Bytes of a manifest: what is larger would not be read again.
const MAX_BYTES: u64 = 32 << 20;

/// An object with rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its whole key.
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) generation: u64,
    pub(crate) sync: u64,
}

/// Rows of a generation that will replace others, and are not all there yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) generation: u64,
    pub(crate) objects: Vec<Entry>,
}

/// Which objects count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// The attempt that wrote it last: it is what tells an attempt that another one took over.
    pub(crate) run: String,
    /// What readers see.
    pub(crate) objects: Vec<Entry>,
    /// What they will see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) begun: Option<Begun>,
}

impl Manifest {
    /// Of a stream without objects.
    pub(crate) fn new(stream: &StreamDescriptor) -> Self {
        Self {
            version: VERSION,
            namespace: stream.namespace.clone(),
            name: stream.name.clone(),
            run: String::new(),
            objects: Vec::new(),
            begun: None,
        }
    }

    /// All objects that it names.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.objects.iter().chain(self.begun.iter().flat_map(|begun| &begun.objects))
    }

    /// Reads a stream's manifest, with its entity tag. None: there is none.
    pub(crate) fn load(
        bucket: &Bucket,
        folder: &str,
        stream: &StreamDescriptor,
    ) -> Result<Option<(Self, String)>, Failure> {
        let key = format!("{folder}{MANIFEST}");
        let Some(object) = bucket.get(&key, MAX_BYTES)? else { return Ok(None) };
        let url = bucket.url(&key);
        let manifest: Self = serde_json::from_slice(&object.body).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::config(format!(
                "{url} is no manifest of this connector ({place}): put the right one back, or empty the \
                 folder"
            ))
        })?;
        if manifest.version != VERSION {
            return Err(Failure::config(format!(
                "{url} is of version {}, and this connector knows {VERSION}: use a newer one",
                manifest.version
            )));
        }
        if manifest.name != stream.name || manifest.namespace != stream.namespace {
            return Err(Failure::config(format!("{url} is the manifest of another stream")));
        }
        // A key of another folder would be deleted one day.
        if let Some(entry) = manifest.all().find(|entry| !entry.key.starts_with(folder)) {
            return Err(Failure::config(format!(
                "{url} names {}, which is not in its folder: objects that were moved need a manifest \
                 with their new keys",
                bucket.url(&entry.key)
            )));
        }
        Ok(Some((manifest, object.tag)))
    }

    /// Writes it where it was read with this entity tag, or where there was none. Gives the new tag.
    pub(crate) fn save(
        &self,
        bucket: &Bucket,
        folder: &str,
        tag: Option<&str>,
    ) -> Result<String, Failure> {
        let count = self.all().count();
        if count > MAX_OBJECTS {
            return Err(Failure::config(format!(
                "the stream would have {count} objects, and may have {MAX_OBJECTS}: read it again with \
                 --refresh truncate and a larger `object_bytes` or `flush_seconds`, or go on below \
                 another `prefix`"
            )));
        }
        let body = serde_json::to_vec(self)
            .map_err(|error| Failure::system("a manifest cannot be written").with_detail(error))?;
        if body.len() as u64 > MAX_BYTES {
            return Err(Failure::config(format!(
                "the stream's manifest would have {} bytes, and may have {MAX_BYTES}: read it again with \
                 --refresh truncate and a larger `object_bytes` or `flush_seconds`, or go on below \
                 another, shorter `prefix`",
                body.len()
            )));
        }
        let condition = tag.map_or(Condition::Absent, |tag| Condition::Match(tag.to_owned()));
        let key = format!("{folder}{MANIFEST}");
        bucket.put(&key, &body, "application/json", &condition).map_err(|error| {
            if error.is_precondition() {
                Failure::config(format!(
                    "another sync writes to {} at the same time and has taken it over: let one at a time",
                    bucket.url(folder)
                ))
            } else {
                error.into()
            }
        })
    }
}
