//! Signing in with an account elsewhere: GitHub, or any provider of OpenID Connect. Who may is a list in the configuration.
//!
//! The authorization code flow (<https://www.rfc-editor.org/rfc/rfc6749#section-4.1>) with PKCE
//! (<https://www.rfc-editor.org/rfc/rfc7636>); who somebody is, the provider itself is asked, over TLS
//! (<https://openid.net/specs/openid-connect-core-1_0.html#UserInfo>, <https://docs.github.com/apps/oauth-apps>). A way that was begun is bound
//! to the browser that began it by a cookie.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::header::{ACCEPT, AUTHORIZATION};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::causes::with_causes;
use crate::listen::notify::{self, SecretError, Source};

/// How long a way may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How many may be on their way at once.
const MOST: usize = 1000;

/// A provider of accounts, and whom of them is let in: `[[sign-in]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Provider {
    #[serde(rename = "type")]
    kind: Kind,
    client_id: String,
    client_secret: Source,
    /// GitHub Enterprise Server's address; the issuer of OpenID Connect.
    issuer: Option<String>,
    /// Logins at GitHub; else addresses that the provider verified, or subjects.
    users: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    GitHub,
    Oidc,
}

/// Why a provider cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// OpenID Connect needs its issuer.
    #[error("`sign-in`: `issuer` is missing: an address, as `https://accounts.example.com`")]
    NoIssuer,
    /// The issuer is no address, or would be talked to in the clear.
    #[error("`sign-in`: `{issuer}` is no address that begins with https://")]
    Issuer {
        /// What was written.
        issuer: String,
    },
    /// Nobody would be let in.
    #[error("`sign-in`: `users` is empty: who is to be let in?")]
    NoUsers,
    /// Its secret is not there.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// Why somebody was not signed in.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignInError {
    /// The way was not begun here, by this browser, or took too long.
    #[error("this way of signing in was not begun here, or took too long")]
    NotBegun,
    /// The provider says no, or is not there.
    #[error("the provider of the account cannot be asked: {0}")]
    Provider(String),
    /// They are not on the list.
    #[error("{0} is not on the list of those who may look")]
    NotListed(String),
    #[error("too many sign in at once")]
    Busy,
}

/// The providers, and who is on their way through one.
#[derive(Debug, Default)]
pub(in crate::listen) struct SignIns {
    providers: Vec<Provider>,
    /// Where people reach this dashboard.
    here: String,
    ways: Mutex<HashMap<String, Way>>,
}

/// A way that somebody began.
#[derive(Debug)]
struct Way {
    provider: usize,
    verifier: String,
    began: Instant,
}

/// The addresses of a provider.
#[derive(Debug, Deserialize)]
struct Endpoints {
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: String,
}

impl Provider {
    /// Whether it can be used. Asks no server.
    ///
    /// # Errors
    /// What is missing.
    pub async fn check(&self) -> Result<(), ProviderError> {
        if self.users.is_empty() {
            return Err(ProviderError::NoUsers);
        }
        match &self.issuer {
            None if self.kind == Kind::Oidc => return Err(ProviderError::NoIssuer),
            Some(issuer) if !is_safe(issuer) => return Err(ProviderError::Issuer { issuer: issuer.clone() }),
            _ => {}
        }
        self.client_secret.read().await?;
        Ok(())
    }

    async fn endpoints(&self, client: &Client) -> Result<Endpoints, SignInError> {
        let issuer = self.issuer.as_deref().map(|issuer| issuer.trim_end_matches('/'));
        match (self.kind, issuer) {
            (Kind::GitHub, issuer) => {
                let site = issuer.unwrap_or("https://github.com");
                let api = issuer.map_or_else(|| "https://api.github.com".to_owned(), |site| format!("{site}/api/v3"));
                Ok(Endpoints {
                    authorization_endpoint: format!("{site}/login/oauth/authorize"),
                    token_endpoint: format!("{site}/login/oauth/access_token"),
                    userinfo_endpoint: format!("{api}/user"),
                })
            }
            (Kind::Oidc, issuer) => {
                let issuer = issuer.unwrap_or_default();
                let found = json(client.get(format!("{issuer}/.well-known/openid-configuration"))).await?;
                if found["issuer"].as_str().map(|said| said.trim_end_matches('/')) != Some(issuer) {
                    return Err(SignInError::Provider("it names another issuer".to_owned()));
                }
                let found: Endpoints =
                    serde_json::from_value(found).map_err(|error| SignInError::Provider(error.to_string()))?;
                let all = [&found.authorization_endpoint, &found.token_endpoint, &found.userinfo_endpoint];
                if all.into_iter().all(|address| is_safe(address)) {
                    Ok(found)
                } else {
                    Err(SignInError::Provider("it has an address without TLS".to_owned()))
                }
            }
        }
    }

    fn scope(&self) -> &'static str {
        match self.kind {
            Kind::GitHub => "read:user",
            Kind::Oidc => "openid email profile",
        }
    }

    /// Who the provider says they are, of what cannot be chosen at will.
    fn names(&self, user: &Value) -> Vec<String> {
        let text = |key: &str| user[key].as_str().map(str::to_owned);
        match self.kind {
            Kind::GitHub => text("login").into_iter().collect(),
            Kind::Oidc => {
                let email = text("email").filter(|_| user["email_verified"] == Value::Bool(true));
                email.into_iter().chain(text("sub")).collect()
            }
        }
    }

    fn lists(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.users.iter().any(|user| user.eq_ignore_ascii_case(name)))
    }
}

/// For people.
impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.issuer.as_deref().and_then(|issuer| Url::parse(issuer).ok()?.host_str().map(str::to_owned));
        match (self.kind, host) {
            (Kind::GitHub, None) => f.write_str("GitHub"),
            (_, Some(host)) => f.write_str(&host),
            (Kind::Oidc, None) => f.write_str("OpenID Connect"),
        }
    }
}

/// Over TLS, or to this machine.
fn is_safe(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

async fn json(request: reqwest::RequestBuilder) -> Result<Value, SignInError> {
    let failed = |error: reqwest::Error| SignInError::Provider(with_causes(&error.without_url()));
    let request = request.header(ACCEPT, "application/json");
    let answer = request.send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    serde_json::from_slice(&answer.bytes().await.map_err(failed)?)
        .map_err(|error| SignInError::Provider(format!("its answer is no JSON: {error}")))
}

impl SignIns {
    pub(in crate::listen) fn new(providers: Vec<Provider>, here: String) -> Self {
        Self { providers, here, ways: Mutex::default() }
    }

    /// What each is called.
    pub(super) fn names(&self) -> Vec<String> {
        self.providers.iter().map(ToString::to_string).collect()
    }

    fn callback(&self) -> String {
        format!("{}/sign-in/back", self.here)
    }

    /// Begins a way: the address that the browser is sent to, and what it has to bring back.
    pub(super) async fn begin(&self, provider: usize) -> Result<(String, String), SignInError> {
        let chosen = self.providers.get(provider).ok_or(SignInError::NotBegun)?;
        let (state, verifier) = (random()?, random()?);
        let client = client()?;
        let endpoints = chosen.endpoints(&client).await?;
        let mut url =
            Url::parse(&endpoints.authorization_endpoint).map_err(|error| SignInError::Provider(error.to_string()))?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &chosen.client_id),
            ("redirect_uri", &self.callback()),
            ("scope", chosen.scope()),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.retain(|_, way| way.began.elapsed() < PATIENCE);
        if ways.len() >= MOST {
            return Err(SignInError::Busy);
        }
        ways.insert(state.clone(), Way { provider, verifier, began: Instant::now() });
        Ok((url.into(), state))
    }

    /// Ends a way: who came back, where they may look. `brought` is what the browser kept.
    pub(super) async fn end(&self, state: &str, brought: Option<&str>, code: &str) -> Result<String, SignInError> {
        let way = {
            let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
            ways.remove(state)
        };
        let way = way.filter(|way| brought == Some(state) && way.began.elapsed() < PATIENCE);
        let way = way.ok_or(SignInError::NotBegun)?;
        let provider = self.providers.get(way.provider).ok_or(SignInError::NotBegun)?;
        let client = client()?;
        let endpoints = provider.endpoints(&client).await?;
        let secret = provider.client_secret.read().await.map_err(|error| SignInError::Provider(error.to_string()))?;
        let form = Url::parse_with_params(
            "http://form/",
            [
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", &self.callback()),
                ("client_id", &provider.client_id),
                ("client_secret", &secret),
                ("code_verifier", &way.verifier),
            ],
        );
        let form = form.map_err(|error| SignInError::Provider(error.to_string()))?;
        let request = client
            .post(&endpoints.token_endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned());
        let answer = json(request).await?;
        let token = answer["access_token"].as_str();
        let token = token.ok_or_else(|| SignInError::Provider("it gave no token".to_owned()))?;
        let request = client.get(&endpoints.userinfo_endpoint).header(AUTHORIZATION, format!("Bearer {token}"));
        let names = provider.names(&json(request).await?);
        let name = names.first().cloned().unwrap_or_else(|| "nobody".to_owned());
        if provider.lists(&names) { Ok(name) } else { Err(SignInError::NotListed(name)) }
    }
}

fn client() -> Result<Client, SignInError> {
    notify::client().map_err(|error| SignInError::Provider(error.to_string()))
}

fn random() -> Result<String, SignInError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| SignInError::Provider(error.to_string()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
