//! Image references: `[registry/]name[:tag][@digest]`.

use crate::engine::EngineError;

/// An image reference, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// All before the tag.
    pub(super) name: String,
    /// The digest where there is one, else the tag, else `latest`.
    pub(super) version: String,
    /// The registry's host, with its port; `docker.io` where none is named.
    pub(super) registry: String,
}

impl Reference {
    /// Takes a reference apart. Refuses what could mean something else in a URL; the engine judges the rest.
    pub(super) fn parse(text: &str) -> Result<Self, EngineError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._/:@-+".contains(c);
        let odd_part = |part: &str| part.is_empty() || part == "." || part == "..";
        if !text.chars().all(allowed) || text.split('/').any(odd_part) {
            return Err(EngineError::Refused { status: 400, message: format!("`{text}` is no image reference") });
        }
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[last..].split_once(':') {
            Some((name, tag)) => (&rest[..last + name.len()], Some(tag)),
            None => (rest, None),
        };
        Ok(Self {
            name: name.to_owned(),
            version: digest.or(tag).unwrap_or("latest").to_owned(),
            registry: registry(name).to_owned(),
        })
    }
}

fn registry(name: &str) -> &str {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn references_come_apart() {
        for (text, name, version, registry) in [
            ("busybox", "busybox", "latest", "docker.io"),
            ("python:3.10", "python", "3.10", "docker.io"),
            ("argon-dev/busybox:x", "argon-dev/busybox", "x", "docker.io"),
            ("localhost:5000/a/b:tag", "localhost:5000/a/b", "tag", "localhost:5000"),
            ("localhost:5000/a/b", "localhost:5000/a/b", "latest", "localhost:5000"),
            ("localhost/a", "localhost/a", "latest", "localhost"),
            ("ghcr.io/a/b@sha256:0f", "ghcr.io/a/b", "sha256:0f", "ghcr.io"),
            ("r:5000/a:1@sha256:0f", "r:5000/a", "sha256:0f", "r:5000"),
        ] {
            let parsed = Reference::parse(text).unwrap();
            assert_eq!((&*parsed.name, &*parsed.version, &*parsed.registry), (name, version, registry), "{text}");
        }
        for text in ["", "a/../b", "a//b", "a?b=c", "a b", "a#b", "/a", "a%2fb"] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
