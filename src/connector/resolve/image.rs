//! The names of images, and the settings of a container.

use super::fits::Given;
use super::{Asking, Choice, Method, ResolveError};
use crate::config::{ConnectorReference, DockerImage};
use crate::executor::DockerSettings;

/// Whether an image's name says which version it is: a tag or a digest. The port of a registry
/// (`localhost:5000/x`) is no tag.
pub(super) fn is_pinned(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    image.contains('@') || last.contains(':')
}

impl Asking<'_> {
    /// The image that the name or an option gives; none: it is Airbyte's, by the connector's name.
    fn given_image(&self) -> Result<Option<&str>, ResolveError> {
        Ok(match (self.reference, &self.options.docker_image) {
            (ConnectorReference::Docker(image), _) => Some(image),
            (_, Some(DockerImage::Named(image))) => Some(DockerImage::checked(image)?),
            _ => None,
        })
    }

    /// Asked for with Docker.
    pub(super) fn claimed_image(&self, given: &Given) -> Result<Choice, ResolveError> {
        let image = self.given_image()?;
        let pinned = image.filter(|image| is_pinned(image));
        self.fits(given, pinned)?;
        let image = match (pinned, image) {
            (Some(pinned), _) => pinned.to_owned(),
            (None, Some(image)) => self.tagged(image, "latest"),
            (None, None) => self.tagged(&format!("airbyte/{}", self.plain()?), "latest"),
        };
        Ok(self.image(image, given.why.clone()))
    }

    /// An image with the version asked for, or another.
    pub(super) fn tagged(&self, image: &str, otherwise: &str) -> String {
        format!("{image}:{}", self.options.version.as_deref().unwrap_or(otherwise))
    }

    pub(super) fn image(&self, image: String, why: String) -> Choice {
        let options = self.options;
        let settings = DockerSettings {
            image,
            writable_root: options.docker_writable_root,
            pull: options.install_if_missing.unwrap_or(true),
        };
        Choice::new(Method::Docker(settings), why)
    }
}

#[cfg(test)]
mod tests {
    use super::is_pinned;

    #[test]
    fn a_port_is_no_tag() {
        for image in ["x", "a/x", "localhost:5000/x", "localhost:5000/a/x", "r.example:5000/x"] {
            assert!(!is_pinned(image), "{image}");
        }
        let digest = "x@sha256:0123456789012345678901234567890123456789012345678901234567890123";
        for image in
            ["x:1", "a/x:latest", "localhost:5000/x:1", digest, "localhost:5000/x@sha256:0"]
        {
            assert!(is_pinned(image), "{image}");
        }
    }
}
