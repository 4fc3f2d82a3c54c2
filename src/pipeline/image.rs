//! Image references, after the grammar of the OCI distribution project: `[registry[:port]/]path[:tag][@digest]`.

/// What a good reference fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pinned {
    /// It has a tag, a digest, or both.
    Yes,
    /// Neither: the registry's `latest`, whatever that is on the day.
    No,
}

/// What is wrong with a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadImage {
    pub(super) why: String,
    pub(super) help: String,
}

fn bad<T>(why: impl Into<String>, help: impl Into<String>) -> Result<T, BadImage> {
    Err(BadImage { why: why.into(), help: help.into() })
}

const EXAMPLE: &str = "write it like `python:3.10` or `registry.example.com:5000/team/app:1.2`";

/// Checks a reference that an expression made.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_image(text: &str) -> Result<(), String> {
    check(text).map(|_| ()).map_err(|bad| bad.why)
}

/// Checks a reference.
pub(super) fn check(text: &str) -> Result<Pinned, BadImage> {
    if text.is_empty() {
        return bad("it is empty", EXAMPLE);
    }
    if let Some(scheme) = text.find("://") {
        return bad("it is a URL", format!("leave out the `{}`", &text[..scheme + 3]));
    }
    if let Some(space) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return bad(format!("it has {space:?} in it"), EXAMPLE);
    }
    let (name_and_tag, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if let Some(digest) = digest {
        check_digest(digest)?;
    }
    // A colon before a slash is a port.
    let path_at = name_and_tag.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name_and_tag[path_at..].find(':') {
        Some(colon) => (&name_and_tag[..path_at + colon], Some(&name_and_tag[path_at + colon + 1..])),
        None => (name_and_tag, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    check_name(name, text)?;
    Ok(if tag.is_some() || digest.is_some() { Pinned::Yes } else { Pinned::No })
}

fn check_name(name: &str, whole: &str) -> Result<(), BadImage> {
    if name.len() > 255 {
        return bad("its name is longer than 255 characters", EXAMPLE);
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, name),
    };
    if let Some(registry) = registry {
        check_registry(registry)?;
    }
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        let fixed = whole.replacen(path, &path.to_ascii_lowercase(), 1);
        return bad("an image's name has no capital letters", format!("write `{fixed}`"));
    }
    for part in path.split('/') {
        if part.is_empty() {
            return bad("a part of its name is empty", EXAMPLE);
        }
        if let Some(wrong) = part.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-')) {
            return bad(format!("its name has `{wrong}` in it"), "a name is made of a-z, 0-9, `.`, `_`, `-` and `/`");
        }
        let edge = |c: Option<char>| c.is_some_and(|c| !c.is_ascii_alphanumeric());
        if edge(part.chars().next()) || edge(part.chars().next_back()) {
            return bad(
                format!("`{part}` begins or ends with a separator"),
                "begin and end each part with a letter or digit",
            );
        }
        if has_wrong_separator(part) {
            return bad(
                format!("`{part}` has separators in a row"),
                "between letters stand one `.`, `_` or `__`, or any number of `-`",
            );
        }
    }
    Ok(())
}

fn has_wrong_separator(part: &str) -> bool {
    part.split(|c: char| c.is_ascii_alphanumeric())
        .any(|run| !matches!(run, "" | "." | "_" | "__") && !run.bytes().all(|byte| byte == b'-'))
}

fn check_registry(registry: &str) -> Result<(), BadImage> {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !registry.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    if let Some(port) = port
        && (port.parse::<u16>().is_err() || port.starts_with('+'))
    {
        return bad(format!("`{port}` is not a port"), EXAMPLE);
    }
    let is_v6 = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if is_v6 || host.split('.').all(is_label) {
        Ok(())
    } else {
        bad(format!("`{host}` is not the name of a registry"), EXAMPLE)
    }
}

fn check_tag(tag: &str) -> Result<(), BadImage> {
    if tag.is_empty() {
        return bad("nothing stands behind the `:`", EXAMPLE);
    }
    let is_good = tag.len() <= 128
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if is_good {
        Ok(())
    } else {
        bad(format!("`{tag}` is not a tag"), "a tag is up to 128 of letters, digits, `_`, `.` and `-`")
    }
}

fn check_digest(digest: &str) -> Result<(), BadImage> {
    let lengths = [("sha256:", 64), ("sha384:", 96), ("sha512:", 128)];
    let is_good = lengths.iter().any(|(algorithm, length)| {
        digest
            .strip_prefix(algorithm)
            .is_some_and(|hex| hex.len() == *length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    });
    if is_good {
        Ok(())
    } else {
        bad(format!("`{digest}` is not a digest"), "a digest is `sha256:` and 64 of 0-9 and a-f")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_every_shape() {
        let hex = "0".repeat(64);
        for (text, pinned) in [
            ("python:3.10", Pinned::Yes),
            ("busybox", Pinned::No),
            ("a__b/c---d.e", Pinned::No),
            ("localhost:5000/x:1", Pinned::Yes),
            ("localhost:5000/x", Pinned::No),
            ("[::1]:5000/x:1", Pinned::Yes),
            ("Registry.Example.COM/x:V1", Pinned::Yes),
            (&format!("x@sha256:{hex}"), Pinned::Yes),
            (&format!("ghcr.io/a/b:1@sha256:{hex}"), Pinned::Yes),
        ] {
            assert_eq!(check(text), Ok(pinned), "{text}");
        }
    }

    #[test]
    fn wrong_references_are_refused() {
        for text in [
            "",
            "Python:3",
            "a b",
            "x:",
            "x@sha256:00",
            "https://x/y",
            "a//b",
            "/a",
            "a/",
            "-a",
            "a..b",
            "a:b:c",
            "a.b:x/y",
            "é",
            "x:é",
            "a@b@c",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        let error = check("ghcr.io/Team/App:V1").map_err(|error| error.help);
        assert_eq!(error, Err("write `ghcr.io/team/app:V1`".to_owned()));
    }
}
