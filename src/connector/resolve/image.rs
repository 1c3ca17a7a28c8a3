//! The names of images, and the settings of a container.

use super::fits::Given;
use super::{Asking, Choice, Method, ResolveError};
use crate::config::{ConnectorReference, DockerImage, is_pinned};
use crate::executor::DockerSettings;

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
