//! The user's logins to registries, as `docker login` left them.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError as Failure, DockerCredential, get_credential_from_reader};

/// How long a credential helper may take: it may ask a keychain, which may ask the user.
const HELPER: Duration = Duration::from_secs(20);

/// What is shown to a registry.
pub(super) enum Login {
    /// These credentials.
    Known(DockerCredentials),
    /// Nothing, for the user has no login there.
    None,
    /// Nothing, for this reason: the user may have a login there.
    Unreadable(String),
}

/// The login for a registry. Runs the user's credential helper where one is configured.
pub(super) async fn login(config_dir: Option<PathBuf>, registry: String) -> Login {
    let asked = tokio::task::spawn_blocking(move || look_up(&config_dir?, &registry));
    match tokio::time::timeout(HELPER, asked).await {
        Ok(Ok(Some(login))) => login,
        Ok(Ok(None)) => Login::None,
        Ok(Err(_)) => Login::Unreadable("looking for a login broke off".to_owned()),
        Err(_) => Login::Unreadable(format!("the credential helper gave no answer in {} s", HELPER.as_secs())),
    }
}

fn look_up(config_dir: &Path, registry: &str) -> Option<Login> {
    let file = config_dir.join("config.json");
    for key in keys(registry) {
        let config = match File::open(&file) {
            Ok(config) => config,
            Err(e) if e.kind() == ErrorKind::NotFound => return None,
            Err(e) => return Some(Login::Unreadable(format!("{}: {e}", file.display()))),
        };
        match get_credential_from_reader(BufReader::new(config), &key) {
            Ok(credential) => return Some(Login::Known(credentials(credential, key))),
            Err(Failure::NoCredentialConfigured) => {}
            // A helper's way to say that it has none.
            Err(Failure::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {}
            Err(e) => return Some(Login::Unreadable(reason(&e))),
        }
    }
    None
}

/// The names that a login to a registry is kept under.
fn keys(registry: &str) -> Vec<String> {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => {
            vec!["https://index.docker.io/v1/".to_owned()]
        }
        host => vec![host.to_owned(), format!("https://{host}")],
    }
}

fn credentials(credential: DockerCredential, server: String) -> DockerCredentials {
    let of = DockerCredentials { serveraddress: Some(server), ..DockerCredentials::default() };
    match credential {
        DockerCredential::IdentityToken(token) => DockerCredentials { identitytoken: Some(token), ..of },
        DockerCredential::UsernamePassword(name, password) => {
            DockerCredentials { username: Some(name), password: Some(password), ..of }
        }
    }
}

/// Why there is no login, without a helper's stdout, which may hold a secret.
fn reason(failure: &Failure) -> String {
    match failure {
        Failure::HelperCommunicationError => "the credential helper of Docker's config.json cannot be run".to_owned(),
        Failure::HelperFailure { helper, stderr, .. } => {
            format!("{helper} failed: {}", stderr.trim())
        }
        other => format!("Docker's config.json: {other}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn found(config: &str, registry: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), config).unwrap();
        match login(Some(directory.path().to_owned()), registry.to_owned()).await {
            Login::Known(c) => {
                format!("{}:{}", c.username.unwrap_or_default(), c.password.or(c.identitytoken).unwrap_or_default())
            }
            Login::None => "none".to_owned(),
            Login::Unreadable(reason) => reason,
        }
    }

    #[tokio::test]
    async fn logins_are_found_where_docker_keeps_them() {
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}"#;
        let own = r#"{"auths":{"localhost:5000":{"auth":"dTpw"}}}"#;
        let schemed = r#"{"auths":{"https://ghcr.io":{"auth":"dTpw"}}}"#;
        let missing = r#"{"credsStore":"argon-no-such-helper"}"#;
        for (config, registry, login) in [
            (hub, "docker.io", "u:p"),
            (own, "localhost:5000", "u:p"),
            (schemed, "ghcr.io", "u:p"),
            (hub, "ghcr.io", "none"),
            ("{}", "docker.io", "none"),
            (missing, "docker.io", "the credential helper of Docker's config.json cannot be run"),
        ] {
            assert_eq!(found(config, registry).await, login, "{config} {registry}");
        }
        assert!(matches!(login(None, "docker.io".to_owned()).await, Login::None));
    }
}
