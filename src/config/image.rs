//! The names of images: `[REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]`.

/// Whether a text could be the name of an image: the engine knows the rest.
pub(crate) fn is_image(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = |c: char| c.is_ascii_alphanumeric() || "._-/:@+[]".contains(c);
    // An address is none: it may hold a password, and an image's name is shown.
    first && text.chars().all(rest) && !text.contains("://")
}

/// An image's name without what says its version. The port of a registry (`localhost:5000/x`) is no
/// tag.
pub(crate) fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        // Behind a port comes a path.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// Whether an image's name says which version it is: a tag or a digest.
pub(crate) fn is_pinned(image: &str) -> bool {
    repository(image) != image
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_an_image_is_without_its_version() {
        for image in ["x", "x:1", "x@sha256:0", "x:1@sha256:0"] {
            assert_eq!(repository(image), "x", "{image}");
            let elsewhere = format!("localhost:5000/a/{image}");
            assert_eq!(repository(&elsewhere), "localhost:5000/a/x", "{elsewhere}");
        }
    }
}
