//! Who sent a delivery, and whether it is genuine. Verified over the raw bytes, in constant time, before anything is parsed.
//!
//! - GitHub: `X-Hub-Signature-256: sha256=HEX`, <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>
//! - Gitea, Forgejo, Gogs: `X-Gitea-Signature: HEX`, `X-Forgejo-Signature`, `X-Gogs-Signature`, and GitHub's; all that are there
//!   must be right, <https://docs.gitea.com/usage/webhooks>
//! - GitLab: `X-Gitlab-Token` is the secret itself; or, signed as Standard Webhooks has it, `webhook-signature: v1,BASE64` over
//!   `ID.TIMESTAMP.BODY`, <https://docs.gitlab.com/user/project/integrations/webhooks/>
//! - Bitbucket: `X-Hub-Signature: sha256=HEX`, <https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/>
//!
//! Hex is lower case, as all of them send it. A header that comes twice, signatures with SHA-1, and headers of two forges at once
//! are refused. All refusals say the same: which of them it was is nobody's business.

use std::fmt;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::listen::forge::Forge;

/// How far the time of a signed delivery may be from ours, in seconds.
const TOLERANCE: i64 = 5 * 60;

/// How many signatures a header may have: one for each secret that is being changed for another.
const SIGNATURES: usize = 8;

/// What forge and listener share.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret; `None` where it is too short to be one (less than 16 bytes).
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (text.len() >= 16).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// Whether `text` is the secret. Takes the same time whatever differs.
    #[must_use]
    pub fn is(&self, text: &[u8]) -> bool {
        // Hashes of one length, so that the secret's own length is not told either.
        Sha256::digest(self.0.as_bytes()).ct_eq(&Sha256::digest(text)).into()
    }

    /// The signature of a body: 64 hex digits.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        sign(self.0.as_bytes(), &[body]).map(hex::encode).unwrap_or_default()
    }

    /// The key of Standard Webhooks: what stands behind `whsec_` in base64, or the text as it is.
    fn standard_key(&self) -> Zeroizing<Vec<u8>> {
        let coded = self.0.strip_prefix("whsec_").and_then(|coded| BASE64_STANDARD.decode(coded).ok());
        Zeroizing::new(coded.unwrap_or_else(|| self.0.as_bytes().to_vec()))
    }
}

/// A signature: HMAC with SHA-256.
type Signature = [u8; 32];

fn sign(key: &[u8], parts: &[&[u8]]) -> Option<Signature> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().into())
}

fn is_same(one: &Signature, other: &Signature) -> bool {
    one.ct_eq(other).into()
}

/// In the same time whatever differs.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The delivery is not taken for genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is missing or wrong")]
pub struct Refusal;

/// What the headers of a delivery say of its sender, to be held against its body. Read before the body is, so that a body comes
/// into memory only where something vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who sends it.
    pub forge: Forge,
    proof: Proof,
}

/// What makes a delivery genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Each of them is the signature of the body.
    Body(Vec<Signature>),
    /// One of them is the signature of `before` and the body.
    Standard { before: Vec<u8>, signatures: Vec<Signature> },
    /// It is the secret itself.
    Token(Zeroizing<Vec<u8>>),
}

impl Claim {
    /// Reads the headers.
    ///
    /// # Errors
    /// Where they claim nothing, or more than one thing.
    pub fn read(headers: &HeaderMap, now: Timestamp) -> Result<Self, Refusal> {
        let headers = Headers(headers);
        let forge = headers.forge()?;
        let proof = match forge {
            Forge::GitHub => headers.body_signed(&[("x-hub-signature-256", "sha256=")])?,
            Forge::Gitea => headers.body_signed(&[
                ("x-gitea-signature", ""),
                ("x-forgejo-signature", ""),
                ("x-gogs-signature", ""),
                ("x-hub-signature-256", "sha256="),
            ])?,
            Forge::Bitbucket | Forge::BitbucketDataCenter => headers.body_signed(&[("x-hub-signature", "sha256=")])?,
            Forge::GitLab => match headers.one("webhook-signature")? {
                Some(signatures) => {
                    let id = headers.one("webhook-id")?.ok_or(Refusal)?;
                    let time = headers.recent("webhook-timestamp", now)?;
                    Kind::Standard { before: [id, b".", time, b"."].concat(), signatures: standard(signatures)? }
                }
                None => Kind::Token(headers.one("x-gitlab-token")?.ok_or(Refusal)?.to_vec().into()),
            },
        };
        Ok(Self { forge, proof: Proof(proof) })
    }

    /// Tells by which of the secrets the delivery is genuine.
    ///
    /// # Errors
    /// Where it is by none, whatever the reason.
    pub fn check(&self, body: &[u8], secrets: &[Secret]) -> Result<Vec<usize>, Refusal> {
        self.proof.check(body, secrets)
    }
}

impl Proof {
    /// That of a request of a person: `X-Argon-Signature-256: sha256=HEX`, over the body.
    ///
    /// # Errors
    /// Where there is none.
    pub fn of_person(headers: &HeaderMap) -> Result<Self, Refusal> {
        Headers(headers).body_signed(&[("x-argon-signature-256", "sha256=")]).map(Self)
    }

    /// Tells by which of the secrets it holds.
    ///
    /// # Errors
    /// Where it does by none.
    pub fn check(&self, body: &[u8], secrets: &[Secret]) -> Result<Vec<usize>, Refusal> {
        // Each is tried, so that the time does not tell which one it was. The body is gone through once for each.
        let by: Vec<usize> = (0..secrets.len()).filter(|at| self.holds(body, &secrets[*at])).collect();
        if by.is_empty() { Err(Refusal) } else { Ok(by) }
    }

    fn holds(&self, body: &[u8], secret: &Secret) -> bool {
        match &self.0 {
            Kind::Body(signatures) => sign(secret.0.as_bytes(), &[body])
                .is_some_and(|own| signatures.iter().fold(true, |all, one| is_same(one, &own) & all)),
            Kind::Standard { before, signatures } => sign(&secret.standard_key(), &[before, body])
                .is_some_and(|own| signatures.iter().fold(false, |any, one| is_same(one, &own) | any)),
            Kind::Token(token) => secret.is(token),
        }
    }
}

/// Whether a time, in seconds since 1970, is near `now`: what was signed long ago may have been overheard.
#[must_use]
pub fn is_recent(second: i64, now: Timestamp) -> bool {
    second.abs_diff(now.as_second()) <= TOLERANCE.unsigned_abs()
}

/// The signatures of version 1, of those that stand in the header.
fn standard(header: &[u8]) -> Result<Vec<Signature>, Refusal> {
    let versioned = header.split(|byte| *byte == b' ').filter_map(|one| one.strip_prefix(b"v1,"));
    let signatures: Vec<Signature> = versioned
        .filter_map(|coded| BASE64_STANDARD.decode(coded).ok()?.try_into().ok())
        .take(SIGNATURES + 1)
        .collect();
    if signatures.is_empty() || signatures.len() > SIGNATURES { Err(Refusal) } else { Ok(signatures) }
}

struct Headers<'a>(&'a HeaderMap);

impl<'a> Headers<'a> {
    /// A header's value. One that comes twice is refused: which of the two would count?
    fn one(&self, name: &str) -> Result<Option<&'a [u8]>, Refusal> {
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value.map(|value| value.as_bytes())),
            (_, Some(_)) => Err(Refusal),
        }
    }

    /// Signatures of the body, in the headers of these names, behind these prefixes. At least one must be there.
    fn body_signed(&self, names: &[(&str, &str)]) -> Result<Kind, Refusal> {
        let found = names.iter().filter_map(|(name, prefix)| self.hex(name, prefix).transpose());
        let signatures = found.collect::<Result<Vec<_>, _>>()?;
        if signatures.is_empty() { Err(Refusal) } else { Ok(Kind::Body(signatures)) }
    }

    fn hex(&self, name: &str, prefix: &str) -> Result<Option<Signature>, Refusal> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        let digits = value.strip_prefix(prefix.as_bytes()).ok_or(Refusal)?;
        if digits.iter().any(u8::is_ascii_uppercase) {
            return Err(Refusal);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| Refusal)?;
        Ok(Some(bytes))
    }

    /// A time in seconds since 1970, as it stands, where it is near `now`.
    fn recent(&self, name: &str, now: Timestamp) -> Result<&'a [u8], Refusal> {
        let text = self.one(name)?.ok_or(Refusal)?;
        let second: i64 = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Refusal)?;
        if is_recent(second, now) { Ok(text) } else { Err(Refusal) }
    }

    /// Who sends it. Gitea sends GitHub's headers beside its own.
    fn forge(&self) -> Result<Forge, Refusal> {
        let has = |name: &str| self.0.contains_key(name);
        let gitea = has("x-gitea-event") || has("x-forgejo-event") || has("x-gogs-event");
        let github = has("x-github-event");
        let gitlab = has("x-gitlab-event");
        let bitbucket = self.one("x-event-key")?;
        match (gitea, github, gitlab, bitbucket) {
            (true, _, false, None) => Ok(Forge::Gitea),
            (false, true, false, None) => Ok(Forge::GitHub),
            (false, false, true, None) => Ok(Forge::GitLab),
            (false, false, false, Some(key)) => {
                let of_data_center = [b"pr:".as_slice(), b"repo:refs_changed", b"diagnostics:"];
                let is = of_data_center.iter().any(|begin| key.starts_with(begin));
                Ok(if is { Forge::BitbucketDataCenter } else { Forge::Bitbucket })
            }
            _ => Err(Refusal),
        }
    }
}
