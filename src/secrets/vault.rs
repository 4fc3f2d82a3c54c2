//! HashiCorp Vault and OpenBao: the key/value engine, version 2 (<https://openbao.org/api-docs/secret/kv/kv-v2/>).

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use super::SecretError;
use crate::plan::VaultPlace;

/// An answer comes in so long, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads a field of the latest version of a secret.
pub(super) async fn ask(place: &VaultPlace) -> Result<String, SecretError> {
    let shown = format!("{}/{}", place.mount, place.path);
    let failed = |why: String| SecretError::Vault { address: place.address.clone(), why };
    // Another part of the program may have chosen one already: it is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
    let client = client.map_err(|error| failed(format!("cannot be asked: {error}")))?;
    let url = url(place).ok_or_else(|| failed("has no address of that form, or no such path can be".to_owned()))?;
    let token = token(place).ok_or_else(|| {
        let [variable, _] = place.token_variables;
        failed(format!("wants a token: set {variable}, or log in (`vault login` leaves one in ~/.vault-token)"))
    })?;
    let mut request = client.get(url).header("X-Vault-Token", token).header("X-Vault-Request", "true");
    if let Some(namespace) = &place.namespace {
        request = request.header("X-Vault-Namespace", namespace);
    }
    let answer = request.send().await;
    let answer = answer.map_err(|error| failed(format!("does not answer: {}", error.without_url())))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(failed(match status.as_u16() {
            403 => format!("does not let this token read {shown}"),
            404 => format!("has no {shown}"),
            _ => format!("answered {status} for {shown}"),
        }));
    }
    let body: Value = match answer.bytes().await.map(|bytes| serde_json::from_slice(&bytes)) {
        Ok(Ok(body)) => body,
        _ => return Err(failed("answered with something that is no JSON".to_owned())),
    };
    let field = body["data"]["data"][&place.field].as_str();
    field.map(str::to_owned).ok_or_else(|| failed(format!("has no text `{}` in {shown}", place.field)))
}

/// Where a secret is asked for. A part of a path is a name, whatever is in it.
fn url(place: &VaultPlace) -> Option<Url> {
    let mut url = Url::parse(&place.address).ok()?;
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let all = [vec!["v1".to_owned()], parts(&place.mount), vec!["data".to_owned()], parts(&place.path)].concat();
    // A part that leads up would be left out, and lead elsewhere.
    if all.iter().any(|part| matches!(part.as_str(), "." | "..")) {
        return None;
    }
    url.path_segments_mut().ok()?.pop_if_empty().extend(all);
    Some(url)
}

/// The token, from where Vault's own client has it.
fn token(place: &VaultPlace) -> Option<String> {
    let own = place.token_variables.iter().find_map(|name| std::env::var(name).ok().filter(|token| !token.is_empty()));
    own.or_else(|| {
        let file = place.token_file.as_ref()?;
        let token = std::fs::read_to_string(file).ok()?.trim().to_owned();
        (!token.is_empty()).then_some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_is_a_name_whatever_is_in_it() {
        let shown = |address: &str, mount: &str, path: &str| {
            let place = VaultPlace {
                address: address.to_owned(),
                namespace: None,
                mount: mount.to_owned(),
                path: path.to_owned(),
                field: "f".to_owned(),
                token_variables: ["A", "B"],
                token_file: None,
            };
            url(&place).map(|url| url.to_string())
        };
        let at = |path: &str| Some(format!("https://v.example/{path}"));
        assert_eq!(shown("https://v.example/", "kv", "team/app"), at("v1/kv/data/team/app"));
        assert_eq!(shown("https://v.example", "team/kv", "a b?c#d%2e"), at("v1/team/kv/data/a%20b%3Fc%23d%252e"));
        assert_eq!(shown("https://v.example/behind/proxy", "kv", "app"), at("behind/proxy/v1/kv/data/app"));
        assert_eq!(shown("https://v.example", "kv", "../sys/health"), None);
        assert_eq!(shown("no address", "kv", "app"), None);
    }
}
