//! Floor 2: what is known of connectors without running any: Airbyte's registry, and the index of those
//! that come with Lockgate.

mod cache;
mod document;
mod error;
mod fetch;
mod index;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use self::cache::{DocumentCache, Kept};
use self::document::Document;
pub use self::error::RegistryError;
use self::fetch::{Deadline, Fetched, MOST_BYTES, Validators, fetch, shown};
pub use self::index::{IndexEntry, IndexStatus, index};
use crate::protocol::{Json, kind_of};

/// Where Airbyte's registry is, and the documents of single versions beside any other.
const AIRBYTE: &str = "https://connectors.airbyte.com/";
/// Bytes of a name or a version that is asked for: it becomes a part of a URL.
const NAME_BYTES: usize = 128;

/// Where the registry is, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// A URL, or the path of a file.
    pub location: String,
    /// Where its documents are kept between two runs; none: nowhere.
    pub cache: Option<PathBuf>,
    /// Whether nothing is asked for over the network.
    pub offline: bool,
    /// The most that one question may take.
    pub deadline: Duration,
}

impl RegistrySettings {
    /// Airbyte's own registry.
    pub const DEFAULT_LOCATION: &'static str =
        "https://connectors.airbyte.com/files/registries/v0/oss_registry.json";
    /// What one question may take: ten megabytes over a slow line.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(20);
}

impl Default for RegistrySettings {
    /// Airbyte's own, online, with no cache.
    fn default() -> Self {
        Self {
            location: Self::DEFAULT_LOCATION.to_owned(),
            cache: None,
            offline: false,
            deadline: Self::DEFAULT_DEADLINE,
        }
    }
}

/// A connector, as the registry has it.
#[derive(Debug, Clone)]
pub struct RegistryEntry {
    /// `source-faker`.
    pub name: String,
    /// Whether it is among the sources.
    pub is_source: bool,
    /// `airbyte/source-faker`.
    pub image: String,
    /// The latest version: the image's tag.
    pub version: String,
    /// Its package on PyPI, where there is one.
    pub python_package: Option<String>,
    /// `python`, `java`, `manifest-only`.
    pub language: Option<String>,
    /// Its pages.
    pub documentation_url: Option<String>,
    /// `certified`, `community`, `archived`.
    pub support_level: Option<String>,
    /// Airbyte's ConnectorSpecification of that version.
    pub spec: Option<Json>,
}

/// Where a registry is.
enum Location<'a> {
    File(&'a Path),
    Server(Url),
}

/// Airbyte's registry of connectors. Asked only when something is needed of it, and once in the life
/// of this value and its copies; blocks meanwhile.
#[derive(Debug, Clone)]
pub struct Registry {
    settings: RegistrySettings,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    document: Option<Arc<Document>>,
    warnings: Vec<String>,
}

impl Registry {
    /// Asks for nothing yet.
    #[must_use]
    pub fn new(settings: RegistrySettings) -> Self {
        Self { settings, known: Arc::default() }
    }

    /// A connector by its name.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn entry(&self, name: &str) -> Result<RegistryEntry, RegistryError> {
        self.document(Deadline::after(self.settings.deadline))?.entry(name)
    }

    /// The specification of a connector, of its latest version or of another, as an Airbyte
    /// ConnectorSpecification. No version and `latest` are the one that the registry has.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn spec(&self, name: &str, version: Option<&str>) -> Result<Json, RegistryError> {
        let deadline = Deadline::after(self.settings.deadline);
        let entry = self.document(deadline)?.entry(name)?;
        let version = match version {
            None | Some("latest") => &entry.version,
            Some(version) => version,
        };
        match entry.spec {
            Some(spec) if version == entry.version => Ok(spec),
            // A file stands for itself: what it leaves out of its own versions is not elsewhere.
            None if version == entry.version && !self.is_server() => {
                Err(RegistryError::NoSpec { name: name.into(), version: version.into() })
            }
            _ => self.spec_of(name, version, deadline),
        }
    }

    /// What went wrong and was helped, since this was last asked: a server that failed while a copy
    /// was there.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner).warnings)
    }

    fn warn(&self, warning: String) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).warnings.push(warning);
    }

    fn is_server(&self) -> bool {
        matches!(self.location(), Ok(Location::Server(_)))
    }

    fn cache(&self) -> Option<DocumentCache> {
        self.settings.cache.as_deref().map(DocumentCache::at)
    }

    fn location(&self) -> Result<Location<'_>, RegistryError> {
        let text = self.settings.location.as_str();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let refused =
            |place: &str, reason| Err(RegistryError::Location { place: place.to_owned(), reason });
        match scheme {
            None if text.is_empty() => refused("\"\"", "it has no address"),
            None => Ok(Location::File(Path::new(text))),
            Some("http" | "https") => match Url::parse(text) {
                Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                    refused(&shown(&url), "its URL holds a user or a password")
                }
                Ok(url) => Ok(Location::Server(url)),
                Err(_) => refused("at that URL", "it is no URL"),
            },
            Some(_) => refused("at that URL", "only http and https are spoken"),
        }
    }

    /// The whole registry.
    fn document(&self, deadline: Deadline) -> Result<Arc<Document>, RegistryError> {
        // Held until it is there: who asks meanwhile asks the same.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = &known.document {
            return Ok(document.clone());
        }
        let document = match self.location()? {
            Location::File(path) => {
                let place = path.display().to_string();
                Document::parse(&place, &file(path, &place)?)?
            }
            Location::Server(url) => self.served(&url, deadline, &mut known.warnings)?,
        };
        let document = Arc::new(document);
        known.document = Some(document.clone());
        Ok(document)
    }

    fn served(
        &self,
        url: &Url,
        deadline: Deadline,
        warnings: &mut Vec<String>,
    ) -> Result<Document, RegistryError> {
        let place = shown(url);
        let cache = self.cache();
        // A copy that is no registry is none.
        let kept = cache.as_ref().and_then(|cache| cache.load(url)).and_then(|kept| {
            let document = Document::parse(&place, &kept.text).ok()?;
            Some((kept, document))
        });
        if self.settings.offline {
            return match kept {
                Some((_, document)) => Ok(document),
                None => Err(RegistryError::Offline { place }),
            };
        }
        let kept = match kept {
            Some((Kept { fresh: true, .. }, document)) => return Ok(document),
            kept => kept,
        };
        if url.scheme() == "http" {
            warnings.push(format!(
                "the registry {place} is asked in the clear: anyone on the way can change what it says"
            ));
        }
        let mut unkept = |result: std::io::Result<()>| {
            if let Err(error) = result {
                warnings.push(format!("the registry's document is not kept: {error}"));
            }
        };
        let validators = kept.as_ref().map(|(kept, _)| &kept.validators);
        let known = validators.filter(|v| **v != Validators::default());
        let fetched = fetch(url, known, deadline).and_then(|fetched| {
            Ok(match fetched {
                Fetched::New(text, validators) => {
                    // Before it is kept: what is no registry replaces none.
                    let document = Document::parse(&place, &text)?;
                    if let Some(cache) = &cache {
                        unkept(cache.keep(url, &text, validators));
                    }
                    Some(document)
                }
                Fetched::Same => None,
            })
        });
        match (fetched, kept) {
            (Ok(Some(document)), _) => Ok(document),
            (Ok(None), Some((kept, document))) => {
                if let Some(cache) = &cache {
                    unkept(cache.holds(url, &kept));
                }
                Ok(document)
            }
            (Ok(None), None) => Err(RegistryError::Status { place, status: 304 }),
            (Err(error), Some((_, document))) => {
                warnings.push(format!("{error}; the copy in the cache is used"));
                Ok(document)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The specification of one version, from its own document. What is published does not
    /// change, so that what came by https is kept for ever.
    fn spec_of(
        &self,
        name: &str,
        version: &str,
        deadline: Deadline,
    ) -> Result<Json, RegistryError> {
        let no_spec =
            || RegistryError::NoSpec { name: name.to_owned(), version: version.to_owned() };
        if !is_segment(name) || !is_segment(version) {
            return Err(no_spec());
        }
        let mut base = match self.location()? {
            Location::Server(url) if url.path().contains("/files/registries/") => url,
            _ => Url::parse(AIRBYTE).map_err(|_| no_spec())?,
        };
        let before = base.path().split("/files/registries/").next().unwrap_or_default();
        let folder =
            format!("{}/files/metadata/airbyte/{name}/{version}", before.trim_end_matches('/'));
        let urls = ["cloud", "oss"].map(|which| {
            base.set_path(&format!("{folder}/{which}.json"));
            base.set_query(None);
            base.clone()
        });
        let cache = self.cache();
        for url in &urls {
            let kept = cache.as_ref().and_then(|cache| cache.load(url));
            // What came in the clear anyone on the way could have written: it expires as the
            // document does.
            let lasting = url.scheme() == "https" || self.settings.offline;
            let kept = kept.filter(|kept| lasting || kept.fresh);
            if let Some(spec) = kept.and_then(|kept| member_spec(&shown(url), &kept.text).ok()) {
                return Ok(spec);
            }
        }
        if self.settings.offline {
            return Err(RegistryError::Offline { place: shown(&urls[0]) });
        }
        for url in &urls {
            match fetch(url, None, deadline) {
                Ok(Fetched::New(text, validators)) => {
                    let spec = member_spec(&shown(url), &text)?;
                    let kept = cache.as_ref().map_or(Ok(()), |c| c.keep(url, &text, validators));
                    if let Err(error) = kept {
                        self.warn(format!("the registry's document is not kept: {error}"));
                    }
                    return Ok(spec);
                }
                // Buckets say 403 of what they do not have.
                Ok(Fetched::Same) | Err(RegistryError::Status { status: 403 | 404 | 410, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(no_spec())
    }
}

/// Whether a text is one step of a URL's path, and nothing else.
fn is_segment(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+');
    (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.')
}

/// The member `spec` of a document.
fn member_spec(place: &str, text: &[u8]) -> Result<Json, RegistryError> {
    #[derive(Deserialize)]
    struct Holder {
        spec: Option<Box<RawValue>>,
    }
    let malformed = |reason: String| RegistryError::Malformed { place: place.to_owned(), reason };
    let holder: Holder = serde_json::from_slice(text)
        .map_err(|e| malformed(format!("no object, at line {} column {}", e.line(), e.column())))?;
    match holder.spec {
        Some(spec) if spec.get().starts_with('{') => Ok(Json::from(spec.as_ref())),
        Some(spec) => Err(malformed(format!("spec is not an object but {}", kind_of(spec.get())))),
        None => Err(malformed("spec is missing".into())),
    }
}

/// The text of a registry file.
fn file(path: &Path, place: &str) -> Result<Vec<u8>, RegistryError> {
    let unreadable = |e: std::io::Error| RegistryError::Unreachable {
        place: place.to_owned(),
        reason: e.to_string(),
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(RegistryError::TooLarge { place: place.to_owned(), limit: MOST_BYTES });
    }
    Ok(text)
}
