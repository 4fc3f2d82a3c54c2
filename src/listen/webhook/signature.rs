//! Who sent a delivery, and whether it is genuine. Verified over the raw bytes, in constant time, before anything is parsed.
//!
//! - GitHub: `X-Hub-Signature-256: sha256=HEX`, <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>
//! - Gitea, Forgejo: `X-Gitea-Signature: HEX` or `X-Forgejo-Signature`, <https://docs.gitea.com/usage/webhooks>
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
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes());
        mac.map(|mac| hex::encode(mac.chain_update(body).finalize().into_bytes())).unwrap_or_default()
    }

    fn signed(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        verify(self.0.as_bytes(), parts, signature)
    }

    /// The key of Standard Webhooks: `whsec_` and base64, or the text as it is.
    fn signed_as_standard(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        let key =
            self.0.strip_prefix("whsec_").and_then(|coded| BASE64_STANDARD.decode(coded).ok()).map(Zeroizing::new);
        match key {
            Some(key) => verify(&key, parts, signature),
            None => self.signed(parts, signature),
        }
    }
}

fn verify(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The delivery is not taken for genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is missing or wrong")]
pub struct Refusal;

/// Tells who sent a delivery, and that it is genuine by one of the secrets.
///
/// # Errors
/// Where it is not, whatever the reason.
pub fn authenticate(headers: &HeaderMap, body: &[u8], secrets: &[Secret], now: Timestamp) -> Result<Forge, Refusal> {
    let headers = Headers(headers);
    let forge = headers.forge()?;
    let any = |holds: &dyn Fn(&Secret) -> bool| {
        // Each is tried, so that the time does not tell which one it was.
        secrets.iter().fold(false, |found, secret| holds(secret) | found)
    };
    let genuine = match forge {
        Forge::GitHub => {
            let signature = headers.hex("x-hub-signature-256", "sha256=")?.ok_or(Refusal)?;
            any(&|secret| secret.signed(&[body], &signature))
        }
        Forge::Gitea => {
            let plain = [headers.hex("x-gitea-signature", "")?, headers.hex("x-forgejo-signature", "")?];
            let signature = plain.into_iter().flatten().next();
            let signature = signature.or(headers.hex("x-hub-signature-256", "sha256=")?).ok_or(Refusal)?;
            any(&|secret| secret.signed(&[body], &signature))
        }
        Forge::Bitbucket | Forge::BitbucketDataCenter => {
            let signature = headers.hex("x-hub-signature", "sha256=")?.ok_or(Refusal)?;
            any(&|secret| secret.signed(&[body], &signature))
        }
        Forge::GitLab => match headers.one("webhook-signature")? {
            Some(signatures) => {
                let (id, time) =
                    (headers.one("webhook-id")?.ok_or(Refusal)?, headers.recent("webhook-timestamp", now)?);
                let signatures = standard(signatures);
                any(&|secret| {
                    let parts = [id, b".", time, b".", body];
                    signatures.iter().fold(false, |found, one| secret.signed_as_standard(&parts, one) | found)
                })
            }
            None => {
                let token = headers.one("x-gitlab-token")?.ok_or(Refusal)?;
                any(&|secret| secret.is(token))
            }
        },
    };
    if genuine { Ok(forge) } else { Err(Refusal) }
}

/// Tells that a request of a person is genuine: `X-Argon-Signature-256: sha256=HEX`, over the body, by one of the secrets.
///
/// # Errors
/// Where it is not.
pub fn authenticate_person(headers: &HeaderMap, body: &[u8], secrets: &[Secret]) -> Result<(), Refusal> {
    let signature = Headers(headers).hex("x-argon-signature-256", "sha256=")?.ok_or(Refusal)?;
    let genuine = secrets.iter().fold(false, |found, secret| secret.signed(&[body], &signature) | found);
    if genuine { Ok(()) } else { Err(Refusal) }
}

/// Whether a time, in seconds since 1970, is near `now`: what was signed long ago may have been overheard.
#[must_use]
pub fn is_recent(second: i64, now: Timestamp) -> bool {
    second.abs_diff(now.as_second()) <= TOLERANCE.unsigned_abs()
}

/// The signatures of version 1, of those that stand in the header.
fn standard(header: &[u8]) -> Vec<Vec<u8>> {
    let versioned = header.split(|byte| *byte == b' ').filter_map(|one| one.strip_prefix(b"v1,"));
    versioned.filter_map(|coded| BASE64_STANDARD.decode(coded).ok()).collect()
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

    fn hex(&self, name: &str, prefix: &str) -> Result<Option<[u8; 32]>, Refusal> {
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
