//! HashiCorp Vault and OpenBao: the key/value engine, version 2 (<https://openbao.org/api-docs/secret/kv/kv-v2/>).

use std::time::Duration;

use serde_json::Value;

use super::SecretError;
use crate::plan::VaultPlace;

/// An answer comes in so long, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads a field of the latest version of a secret.
pub(super) async fn ask(place: &VaultPlace) -> Result<String, SecretError> {
    let failed = |why: String| SecretError::Vault { address: place.address.clone(), why };
    // Another part of the program may have chosen one already: it is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
    let client = client.map_err(|error| failed(format!("cannot be asked: {error}")))?;
    let (mount, path) = place.path.split_once('/').unwrap_or(("secret", &place.path));
    let url = format!("{}/v1/{mount}/data/{path}", place.address.trim_end_matches('/'));
    let token = token(place).ok_or_else(|| {
        failed("wants a token: set VAULT_TOKEN, or log in (`vault login` leaves one in ~/.vault-token)".to_owned())
    })?;
    let answer = client.get(url).header("X-Vault-Token", token).header("X-Vault-Request", "true").send().await;
    let answer = answer.map_err(|error| failed(format!("does not answer: {}", error.without_url())))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(failed(match status.as_u16() {
            403 => format!("does not let this token read {}", place.path),
            404 => format!("has no {}", place.path),
            _ => format!("answered {status} for {}", place.path),
        }));
    }
    let body: Value = match answer.bytes().await.map(|bytes| serde_json::from_slice(&bytes)) {
        Ok(Ok(body)) => body,
        _ => return Err(failed("answered with something that is no JSON".to_owned())),
    };
    let field = body["data"]["data"][&place.field].as_str();
    field.map(str::to_owned).ok_or_else(|| failed(format!("has no text `{}` in {}", place.field, place.path)))
}

/// The token, from where Vault's own client has it.
fn token(place: &VaultPlace) -> Option<String> {
    let own = std::env::var("VAULT_TOKEN").ok().filter(|token| !token.is_empty());
    own.or_else(|| {
        let file = place.token_file.as_ref()?;
        let token = std::fs::read_to_string(file).ok()?.trim().to_owned();
        (!token.is_empty()).then_some(token)
    })
}
