//! Which forges there are, and the words for them.

use std::fmt;

/// A kind of server that repositories live on, by the protocol of its webhooks and statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forge {
    /// GitHub, also Enterprise Server.
    #[serde(rename = "github")]
    GitHub,
    /// GitLab.
    #[serde(rename = "gitlab")]
    GitLab,
    /// Gitea, Forgejo and Gogs.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Data Center (once Server).
    BitbucketDataCenter,
}

impl Forge {
    /// Every forge.
    pub const ALL: &'static [Self] =
        &[Self::GitHub, Self::GitLab, Self::Gitea, Self::Bitbucket, Self::BitbucketDataCenter];

    /// The word for it in configuration, paths and the store.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Bitbucket => "bitbucket",
            Self::BitbucketDataCenter => "bitbucket-data-center",
        }
    }
}

impl fmt::Display for Forge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
