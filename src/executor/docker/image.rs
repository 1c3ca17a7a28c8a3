//! The image: whether the engine has it, getting it, and what it says of itself.
//!
//! The attack: a name that is a path of the engine's API, or a pull that nobody asked for. A name has
//! a fixed alphabet, and nothing is pulled unless that is allowed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::credentials;
use super::engine::{Engine, is_absent, said};
use super::error::DockerError;
use crate::config::is_pinned;
use crate::protocol::{LogLevel, Observer};
use crate::sandbox::Limits;

/// How often the progress of a pull is told.
const TOLD: Duration = Duration::from_secs(5);
/// Where Airbyte's images say what to start, where they have no entrypoint.
const AIRBYTE_ENTRYPOINT: &str = "AIRBYTE_ENTRYPOINT=";

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// The digest that its registry knows it by, else its ID.
    pub(super) digest: String,
    /// Its ID: what is started is what was looked at.
    pub(super) id: String,
    /// Its user, as it was written.
    pub(super) user: String,
    /// What is started instead of the image's own entrypoint, where it has none.
    pub(super) entrypoint: Option<Vec<String>>,
}

/// Refuses what is no image's name.
pub(super) fn check_name(image: &str) -> Result<(), DockerError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let empty = image.split('/').any(|part| matches!(part, "" | "." | ".."));
    if image.len() > 512 || empty || image.starts_with(['-', ':', '@']) || !image.chars().all(plain)
    {
        let reason = "that is no name of an image: [REGISTRY[:PORT]/]NAME[:TAG|@DIGEST]".to_owned();
        return Err(DockerError::Image { image: image.to_owned(), reason });
    }
    Ok(())
}

/// Its name without, and with, a tag or digest: a pull without one would take every tag.
fn with_tag(image: &str) -> String {
    if is_pinned(image) { image.to_owned() } else { format!("{image}:latest") }
}

/// Finds an image, and pulls it if that is allowed.
pub(super) async fn ready(
    engine: &Engine,
    image: &str,
    pull: bool,
    limits: &Limits,
    observer: &dyn Observer,
) -> Result<Image, DockerError> {
    if let Some(found) = inspect(engine, image).await? {
        return known(image, found);
    }
    if !pull {
        return Err(DockerError::Missing { image: image.to_owned() });
    }
    self::pull(engine, image, limits, observer).await?;
    let found = inspect(engine, image).await?;
    let found = found.ok_or_else(|| DockerError::Missing { image: image.to_owned() })?;
    let found = known(image, found)?;
    observer.log(LogLevel::Info, &format!("pulled {image}, {}", found.digest));
    Ok(found)
}

async fn inspect(engine: &Engine, image: &str) -> Result<Option<ImageInspect>, DockerError> {
    let asking = async {
        match engine.docker.inspect_image(image).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let what = "looking for an image";
    engine.ask(asking).await.map_err(|reason| DockerError::Engine { what, reason })
}

fn known(image: &str, found: ImageInspect) -> Result<Image, DockerError> {
    let id = found.id.unwrap_or_default();
    let digests = found.repo_digests.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let entrypoint = if config.entrypoint.is_some_and(|words| !words.is_empty()) {
        None
    } else {
        let variables = config.env.unwrap_or_default();
        let text = variables.iter().find_map(|v| v.strip_prefix(AIRBYTE_ENTRYPOINT));
        let words: Vec<String> =
            text.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            let reason = "it has neither an entrypoint nor AIRBYTE_ENTRYPOINT".to_owned();
            return Err(DockerError::Image { image: image.to_owned(), reason });
        }
        Some(words)
    };
    let digest = digest_of(image, &digests).unwrap_or_else(|| id.clone());
    Ok(Image { digest, id, user: config.user.unwrap_or_default(), entrypoint })
}

/// The digest of the repository that was named; one image may be in several.
fn digest_of(image: &str, digests: &[String]) -> Option<String> {
    let tagged = with_tag(image);
    let name = match tagged.split_once('@') {
        Some((name, _)) => name,
        None => tagged.rsplit_once(':').map_or(tagged.as_str(), |(name, _)| name),
    };
    let split = |known: &String| known.split_once('@').map(|(n, d)| (n.to_owned(), d.to_owned()));
    let known: Vec<(String, String)> = digests.iter().filter_map(split).collect();
    let same = |known: &str| known == name || known.ends_with(&format!("/{name}"));
    let found = known.iter().find(|(known, _)| same(known)).or_else(|| known.first());
    found.map(|(_, digest)| digest.clone())
}

async fn pull(
    engine: &Engine,
    image: &str,
    limits: &Limits,
    observer: &dyn Observer,
) -> Result<(), DockerError> {
    let found = credentials::find(image, limits.secret_time).await?;
    let registry = credentials::registry(image);
    observer.log(LogLevel::Info, &format!("pulling {image} from {registry}"));
    let options = CreateImageOptionsBuilder::default().from_image(&with_tag(image)).build();
    // The engine may say nothing until the registry has answered.
    let docker = engine.docker.clone().with_timeout(limits.pull_time + Duration::from_secs(1));
    let mut progress = docker.create_image(Some(options), None, found);
    let pulling = async {
        let mut layers = Layers::default();
        let mut told = Instant::now();
        while let Some(step) = progress.next().await {
            let step = step.map_err(|e| said(&e))?;
            if let Some(error) = step.error_detail.and_then(|detail| detail.message) {
                return Err(error);
            }
            let sizes = step.progress_detail.unwrap_or_default();
            if let (Some(id), Some(status)) = (step.id, step.status) {
                layers.step(id, &status, sizes.current, sizes.total);
            }
            if told.elapsed() >= TOLD {
                told = Instant::now();
                observer.log(LogLevel::Info, &format!("pulling {image}: {}", layers.told()));
            }
        }
        Ok(())
    };
    let failed = |reason: String| {
        if wants_credentials(&reason) {
            let registry = registry.to_owned();
            DockerError::Denied { image: image.to_owned(), reason, registry }
        } else {
            DockerError::Pull { image: image.to_owned(), reason }
        }
    };
    match tokio::time::timeout(limits.pull_time, pulling).await {
        Ok(result) => result.map_err(failed),
        Err(_) => {
            let time = limits.pull_time.as_secs_f64();
            Err(failed(format!("{} {time} s", DockerError::OVERDUE)))
        }
    }
}

/// Whether a registry's refusal is about who asks. Engines give it with any status, so its words
/// count.
fn wants_credentials(reason: &str) -> bool {
    const WORDS: [&str; 6] = [
        "no basic auth credentials",
        "unauthorized",
        "authentication required",
        "access denied",
        "incorrect username or password",
        "access forbidden",
    ];
    let reason = reason.to_lowercase();
    WORDS.iter().any(|word| reason.contains(word))
}

/// How far the layers of an image are. A hostile registry names no more of them than an image has.
#[derive(Debug, Default)]
struct Layers(HashMap<String, (i64, i64, bool)>);

impl Layers {
    fn step(&mut self, id: String, status: &str, current: Option<i64>, total: Option<i64>) {
        const MOST: usize = 1000;
        if self.0.len() >= MOST && !self.0.contains_key(&id) {
            return;
        }
        match status {
            "Pulling fs layer" | "Waiting" => {
                self.0.entry(id).or_default();
            }
            "Downloading" => {
                let known = self.0.entry(id).or_default();
                (known.0, known.1) = (current.unwrap_or(known.0), total.unwrap_or(known.1));
            }
            "Pull complete" | "Already exists" => self.0.entry(id).or_default().2 = true,
            _ => {}
        }
    }

    fn told(&self) -> String {
        let done = self.0.values().filter(|layer| layer.2).count();
        let bytes: i64 = self.0.values().map(|layer| layer.0.max(0)).sum();
        format!("{done} of {} layers, {} MiB downloaded", self.0.len(), bytes >> 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        for good in ["a", "airbyte/source-faker:6.2.0", "localhost:5000/a/b@sha256:00"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in
            ["", "/a", "a//b", "../a", "a/../../b", "a b", "a?x=1", "-a", "a\n", "a#b", "%2e"]
        {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(with_tag("localhost:5000/a"), "localhost:5000/a:latest");
        assert_eq!(with_tag("a:1"), "a:1");
        assert_eq!(with_tag("a@sha256:0"), "a@sha256:0");
    }

    #[test]
    fn the_digest_is_that_of_the_repository_that_was_named() {
        let digests = ["other/a@sha256:1".to_owned(), "docker.io/b/a@sha256:2".to_owned()];
        assert_eq!(digest_of("b/a:1", &digests).as_deref(), Some("sha256:2"));
        assert_eq!(digest_of("c", &digests).as_deref(), Some("sha256:1"));
        assert_eq!(digest_of("c", &[]), None);
    }

    #[test]
    fn refusals_about_who_asks() {
        for text in [
            "Get http://127.0.0.1:5055/v2/a/manifests/1: no basic auth credentials",
            "unauthorized: authentication required",
            "pull access denied for x, repository does not exist or may require 'docker login'",
        ] {
            assert!(wants_credentials(text), "{text}");
        }
        assert!(!wants_credentials("manifest for a:1 not found: manifest unknown"));
    }

    fn inspected(entrypoint: &[&str], env: &[&str]) -> ImageInspect {
        let words = |list: &[&str]| Some(list.iter().map(|w| (*w).to_owned()).collect());
        ImageInspect {
            id: Some("sha256:9".into()),
            config: Some(bollard::models::ImageConfig {
                entrypoint: words(entrypoint),
                env: words(env),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_started() {
        let given = known("a", inspected(&["/x"], &["AIRBYTE_ENTRYPOINT=/y"])).unwrap();
        assert_eq!(given.entrypoint, None);
        assert_eq!(given.digest, "sha256:9");
        let variable = known("a", inspected(&[], &["A=b", "AIRBYTE_ENTRYPOINT=/y  z"])).unwrap();
        assert_eq!(variable.entrypoint, Some(vec!["/y".into(), "z".into()]));
        assert!(known("a", inspected(&[], &[])).is_err());
    }
}
