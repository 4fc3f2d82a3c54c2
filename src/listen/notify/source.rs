//! Where a secret is: an environment variable or a file, read at each attempt, so that it can be changed while a listener runs.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;
use zeroize::Zeroizing;

/// A file with a secret is not larger than this, in bytes.
const LARGEST: u64 = 64 * 1024;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub enum Source {
    /// In this file, that nobody else can read. White space around it does not count.
    File(PathBuf),
    /// In this environment variable.
    Env(String),
}

/// As it is written. A secret that stands there itself is refused, and is not in what is said of it.
#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a secret is not written here: expected `{ file = \"…\" }` or `{ env = \"…\" }`"
)]
enum Written {
    File { file: PathBuf },
    Env { env: String },
}

impl From<Written> for Source {
    fn from(written: Written) -> Self {
        match written {
            Written::File { file } => Self::File(file),
            Written::Env { env } => Self::Env(env),
        }
    }
}

/// There is no secret where one should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret in `{}`: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// What is there is no secret.
    #[error("`{}` is no file with a secret: {why}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The variable is not set, or empty.
    #[error("the environment has no variable `{name}`")]
    Env {
        /// The variable.
        name: String,
    },
    /// The secret cannot be used.
    #[error("{of} is not usable: {why}")]
    Unfit {
        /// Where it came from.
        of: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Source {
    /// The secret, never empty.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn read(&self) -> Result<Zeroizing<String>, SecretError> {
        let text = match self {
            Self::File(file) => read(file).await?,
            Self::Env(name) => {
                Zeroizing::new(std::env::var(name).map_err(|_| SecretError::Env { name: name.clone() })?)
            }
        };
        let trimmed = text.trim();
        match (trimmed.is_empty(), self) {
            (false, _) => Ok(Zeroizing::new(trimmed.to_owned())),
            (true, Self::File(file)) => Err(SecretError::File { file: file.clone(), why: "it is empty" }),
            (true, Self::Env(name)) => Err(SecretError::Env { name: name.clone() }),
        }
    }

    /// What stands for it where secrets are told apart, and tells none.
    pub(super) fn key(&self) -> String {
        match self {
            Self::File(file) => format!("file:{}", file.display()),
            Self::Env(name) => format!("env:{name}"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "the secret in `{}`", file.display()),
            Self::Env(name) => write!(f, "the secret in the variable `{name}`"),
        }
    }
}

async fn read(file: &Path) -> Result<Zeroizing<String>, SecretError> {
    let unreadable = |source| SecretError::Unreadable { file: file.to_owned(), source };
    let refused = |why| Err(SecretError::File { file: file.to_owned(), why });
    let meta = tokio::fs::metadata(file).await.map_err(unreadable)?;
    // A pipe would be waited for without end.
    if !meta.is_file() {
        return refused("it is no plain file");
    }
    if meta.len() > LARGEST {
        return refused("it has more than 64 KiB");
    }
    if is_readable_by_others(&meta) {
        return refused("others can read it (`chmod 600` keeps it)");
    }
    let bytes = Zeroizing::new(tokio::fs::read(file).await.map_err(unreadable)?);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => refused("it is not UTF-8"),
    }
}

#[cfg(unix)]
fn is_readable_by_others(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &std::fs::Metadata) -> bool {
    false
}

/// An address of the web that is a secret itself, as those of Slack and Discord are.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected an address (`https://…`), `{ file = \"…\" }` or `{ env = \"…\" }`")]
pub enum Address {
    /// It stands in the configuration.
    Text(Web),
    /// It is a secret elsewhere.
    From(Source),
}

/// An address that was read already.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Web(Url);

impl TryFrom<String> for Web {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        web(&text).map(Self)
    }
}

impl Address {
    /// An address as it stands in a configuration.
    ///
    /// # Errors
    /// Where it is none of the web.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        web(text).map(|url| Self::Text(Web(url)))
    }

    pub(super) async fn read(&self) -> Result<Url, SecretError> {
        match self {
            Self::Text(Web(url)) => Ok(url.clone()),
            Self::From(source) => {
                let text = source.read().await?;
                web(&text).map_err(|why| SecretError::Unfit { of: source.to_string(), why })
            }
        }
    }

    pub(super) fn key(&self) -> String {
        match self {
            Self::Text(Web(url)) => url.to_string(),
            Self::From(source) => source.key(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(Web(url)) => f.write_str(&host(url)),
            Self::From(source) => write!(f, "{source}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Web({})", host(&self.0))
    }
}

/// Of an address what is no secret.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn web(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text.trim()).map_err(|_| "it is no address")?;
    if matches!(url.scheme(), "https" | "http") {
        Ok(url)
    } else {
        Err("it does not begin with `https://` or `http://`")
    }
}
