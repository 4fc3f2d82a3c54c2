//! The address of a repository, as a user or a configuration wrote it: what Argon fetches from, and what it shows.

use std::path::PathBuf;

use super::SourceError;

/// An address that Argon fetches from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A path on this machine.
    Path(PathBuf),
    /// Over the network, in the words that git takes: a URL, or `user@host:path`.
    Network(String),
}

/// Transports that only move objects. `ext::` and the other `name::` helpers run programs that the address names.
const SCHEMES: &[&str] = &["https", "http", "ssh", "git"];

impl Address {
    /// Reads an address. What could be taken for an option, or runs a program, is refused.
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        let refuse = |reason| Err(SourceError::Address { address: without_credentials(text), reason });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.starts_with('-') {
            return refuse("it begins with a dash");
        }
        if text.chars().any(char::is_control) {
            return refuse("it has control characters in it");
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let scheme = scheme.to_ascii_lowercase();
            if scheme == "file" {
                return match rest.strip_prefix("localhost").unwrap_or(rest) {
                    path if path.starts_with('/') => Ok(Self::Path(path.into())),
                    _ => refuse("a file:// address names a host"),
                };
            }
            if !SCHEMES.contains(&scheme.as_str()) {
                return refuse("only https, http, ssh, git and file are taken");
            }
            let host = authority(rest).rsplit('@').next().unwrap_or_default();
            if authority(rest).starts_with('-') || host.starts_with('-') {
                return refuse("its host or user begins with a dash");
            }
            return match host {
                "" => refuse("it has no host"),
                _ => Ok(Self::Network(text.to_owned())),
            };
        }
        if text.starts_with('/') || text.starts_with('.') {
            return Ok(Self::Path(text.into()));
        }
        let is_helper = text
            .split_once("::")
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)));
        if is_helper {
            return refuse("transports by helper programs (NAME::ADDRESS) are not taken");
        }
        // As git has it: a colon before the first slash makes it `host:path`, unless such a path is there.
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') && !std::path::Path::new(text).exists() => {
                let name = host.rsplit('@').next().unwrap_or_default();
                if name.is_empty() {
                    refuse("it has no host")
                } else if name.starts_with('-') {
                    refuse("its host begins with a dash")
                } else if path.is_empty() || path.starts_with('-') {
                    refuse("its path is empty or begins with a dash")
                } else {
                    Ok(Self::Network(text.to_owned()))
                }
            }
            _ => Ok(Self::Path(text.into())),
        }
    }
}

/// The part of a URL between `://` and the path.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// The address without user name and password; for ssh the user stays, for it says which account is meant.
pub(super) fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    // A password may hold an unescaped slash, though it should not: so it goes up to the last `@` before the path's first `/`,
    // or before the first `/` behind an `@`.
    let Some(at) = credentials_end(rest) else {
        return address.to_owned();
    };
    let (credentials, rest) = (&rest[..at], &rest[at + 1..]);
    let user = credentials.split(':').next().unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        "ssh" | "git+ssh" | "ssh+git" if !user.is_empty() => format!("{scheme}://{user}@{rest}"),
        _ => format!("{scheme}://{rest}"),
    }
}

fn credentials_end(rest: &str) -> Option<usize> {
    let authority = authority(rest);
    authority.rfind('@').or_else(|| {
        // `user:pass/word@host/path`: the part before the slash is no host with a port.
        let (_, port) = authority.split_once(':')?;
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        if is_port { None } else { rest.find('@') }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_that_are_taken() {
        for network in [
            "https://example.com/a/b.git",
            "http://user:secret@example.com/a",
            "ssh://git@example.com:2222/a",
            "git://example.com/a",
            "git@example.com:a/b.git",
            "example.com:a/b.git",
            "HTTPS://example.com/a",
        ] {
            assert_eq!(Address::parse(network).unwrap(), Address::Network(network.into()));
        }
        for (text, path) in [
            ("/a/b", "/a/b"),
            ("./a:b", "./a:b"),
            ("../a", "../a"),
            ("a/b", "a/b"),
            ("a/ext::b", "a/ext::b"),
            ("file:///a/b", "/a/b"),
            ("file://localhost/a/b", "/a/b"),
        ] {
            assert_eq!(Address::parse(text).unwrap(), Address::Path(path.into()));
        }
    }

    #[test]
    fn addresses_that_could_run_something_are_refused() {
        for text in [
            "",
            "--upload-pack=touch /tmp/x",
            "-oProxyCommand=touch /tmp/x",
            "ext::sh -c touch% /tmp/x",
            "fd::3",
            "ssh://-oProxyCommand=touch/x",
            "ssh://user@-oProxyCommand=x/y",
            "ssh://-oProxyCommand=x@host/y",
            "-oProxyCommand=x:y",
            "user@-oProxyCommand=x:y",
            "host:-x",
            "ftp://example.com/a",
            "file://example.com/a",
            "https:///a",
            "https://example.com/a\nb",
            ":a",
        ] {
            assert!(matches!(Address::parse(text), Err(SourceError::Address { .. })), "{text} was taken");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        for (address, shown) in [
            ("https://u:p@example.com/a", "https://example.com/a"),
            ("https://token@example.com/a@b", "https://example.com/a@b"),
            ("https://u:p/w@example.com/a", "https://example.com/a"),
            ("https://u:p@q@example.com/a", "https://example.com/a"),
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("https://example.com:8080/a@b", "https://example.com:8080/a@b"),
            ("ssh://git:p@example.com/a", "ssh://git@example.com/a"),
            ("git@example.com:a", "git@example.com:a"),
            ("origin", "origin"),
        ] {
            assert_eq!(without_credentials(address), shown);
        }
    }
}
