//! Who is let in: by which names the dashboard is reached, who signed in, and where a change comes from.
//!
//! - Hosts: a name that is none of ours is refused, so that no page of a stranger becomes one of ours by DNS (rebinding).
//! - A login is a link that is good for once, an hour; it begins a session of 30 days. Both are random 256 bits, and on the disk by their
//!   hashes alone.
//! - Nobody may guess, or ask, as often as they like; each address counts for itself.
//! - The cookie is `HttpOnly` and `SameSite=Strict`. A change is a POST of our own origin with the session's token in it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderName, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::limit::{Client, Limit};
use super::pages::Failed;
use super::{Board, LOGIN_LASTS};
use crate::store::access::{Access, TokenHash};
use crate::store::{StateDir, StoreError};

/// How long a session lasts.
const SESSION_LASTS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The cookie of a browser that is on its way through a provider of accounts.
const SIGNING: &str = "argon_signing";

/// How many wrong links a client may try in a minute.
const GUESSES: u32 = 20;

/// How often it may be sent to a provider of accounts: each time asks that, and is remembered until it comes back.
const SIGN_INS: u32 = 20;

/// How often it may ask for anything. Somebody who goes through a long log asks often; this machine itself may as it likes.
const REQUESTS: u32 = 3000;

/// Where links sign in.
const LOGIN: &str = "/login/";

/// Where one is sent to a provider of accounts from.
const LEAVE: &str = "/sign-in/to/";

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The names by which the dashboard is reached.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    names: Vec<String>,
    /// People reach it by TLS.
    secure: bool,
    /// The cookie with the session's token. A browser sends it to every port of a host, so each dashboard has its own.
    cookie: String,
}

impl Hosts {
    /// Those of an address, and of where people reach it.
    #[must_use]
    pub fn new(address: SocketAddr, url: Option<&str>) -> Self {
        let port = address.port();
        let mut names = vec![address.to_string(), format!("localhost:{port}")];
        if address.ip().is_unspecified() {
            names.extend([format!("127.0.0.1:{port}"), format!("[::1]:{port}")]);
        }
        let url = url.and_then(|url| url.split_once("://"));
        names.extend(url.map(|(_, rest)| rest.split('/').next().unwrap_or(rest).to_ascii_lowercase()));
        let cookie = format!("argon_session_{port}");
        Self { names, cookie, secure: url.is_some_and(|(scheme, _)| scheme == "https") }
    }

    fn has(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.names.contains(&host)
    }
}

/// How much each client may do.
#[derive(Debug)]
pub(super) struct Limits {
    guesses: Limit,
    sign_ins: Limit,
    requests: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self { guesses: Limit::new(GUESSES), sign_ins: Limit::new(SIGN_INS), requests: Limit::new(REQUESTS) }
    }
}

impl Limits {
    /// Whether a request may go on.
    fn check(&self, client: Client, path: &str) -> Result<(), Failed> {
        let may = (client.is_here() || self.requests.take(client))
            && !(path.starts_with(LOGIN) && self.guesses.is_used_up(client))
            && (!path.starts_with(LEAVE) || self.sign_ins.take(client));
        if may { Ok(()) } else { Err(Failed::TooMany) }
    }
}

/// A token: what a browser or a link holds.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(hex::encode(bytes)))
    }

    fn hash(&self) -> TokenHash {
        TokenHash(hex::encode(Sha256::digest(self.0.as_bytes())))
    }

    /// What a form of this session holds. It does not tell the token.
    pub(super) fn form(&self) -> String {
        hex::encode(Sha256::digest(format!("form {}", self.0)))
    }
}

/// A path that signs one in, once.
///
/// # Errors
/// Where it cannot be stored.
pub fn login(state: &StateDir, now: Timestamp) -> Result<String, StoreError> {
    let token = Token::new().map_err(|error| StoreError::File {
        what: "get randomness for",
        path: state.path().join("access.db"),
        source: std::io::Error::other(error.to_string()),
    })?;
    Access::open(state)?.0.add_login(&token.hash(), now, LOGIN_LASTS)?;
    Ok(format!("/login/{}", token.0))
}

/// Lets requests of ours through, and those who signed in; says what a browser may do with the answer.
pub(super) async fn guard(State(board): State<Arc<Board>>, mut request: Request, next: Next) -> Response {
    let badges = if board.has_public_badges() { "/badge/" } else { "/assets/" };
    let client = Client::of(&request);
    let is_login = request.uri().path().starts_with(LOGIN);
    let open = ["/assets/", LOGIN, "/sign-in/", badges].iter().any(|begin| request.uri().path().starts_with(begin));
    let may = board.limits.check(client, request.uri().path());
    let mut response = match may.and_then(|()| check(&board, &request)) {
        Err(refused) => refused.into_response(),
        Ok(Some(session)) => {
            request.extensions_mut().insert(session);
            next.run(request).await
        }
        Ok(None) if open => next.run(request).await,
        Ok(None) => unknown(&board, &request),
    };
    if is_login && response.status() == StatusCode::FORBIDDEN {
        board.limits.guesses.take(client);
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with it a form has no origin either.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The session of a request, where there is one.
fn check(board: &Board, request: &Request) -> Result<Option<Token>, Failed> {
    let headers = request.headers();
    let host = text(headers, &HOST).unwrap_or_default();
    if !board.hosts.has(host) {
        return Err(Failed::Host(host.to_owned()));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD && !is_own_origin(board, headers) {
        return Err(Failed::Origin);
    }
    let Some(token) = cookie(headers, &board.hosts.cookie).map(|token| Token(token.to_owned())) else {
        return Ok(None);
    };
    let is_good = board.access().is_session(&token.hash(), Timestamp::now())?;
    Ok(is_good.then_some(token))
}

fn is_own_origin(board: &Board, headers: &HeaderMap) -> bool {
    let origin = text(headers, &ORIGIN).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, host)| board.hosts.has(host))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Somebody without a session. A link on another site brings no cookie along (`SameSite=Strict`), so such a page asks once more,
/// from here.
fn unknown(board: &Board, request: &Request) -> Response {
    let site = request.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
    let again = site == Some("cross-site") && request.method() == Method::GET;
    let again = again.then(|| request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned());
    super::pages::sign_in(again, board.sign_ins.names())
}

/// Signs in with a link.
pub(super) fn sign_in(board: &Board, login: String) -> Result<Response, Failed> {
    let session = Token::new().map_err(|_| Failed::Login)?;
    let now = Timestamp::now();
    if !board.access().sign_in(&Token(login).hash(), &session.hash(), now, SESSION_LASTS)? {
        return Err(Failed::Login);
    }
    Ok(with_cookie(board, &session.0, SESSION_LASTS))
}

/// Sends a browser to a provider of accounts.
pub(super) async fn leave(board: &Board, provider: usize) -> Result<Response, Failed> {
    let (address, state) = board.sign_ins.begin(provider).await?;
    let secure = if board.hosts.secure { "; Secure" } else { "" };
    // Not `Strict`: the provider sends the browser back from elsewhere.
    let cookie = format!("{SIGNING}={state}; Path=/sign-in/; HttpOnly; SameSite=Lax; Max-Age=600{secure}");
    Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, address)]).into_response())
}

/// Signs in somebody who comes back from a provider of accounts.
pub(super) async fn come_back(board: &Board, headers: &HeaderMap, state: &str, code: &str) -> Result<Response, Failed> {
    let name = board.sign_ins.end(state, cookie(headers, SIGNING), code).await?;
    let session = Token::new().map_err(|_| Failed::Login)?;
    board.access().begin(&session.hash(), Timestamp::now(), SESSION_LASTS)?;
    tracing::info!(name, "signed in");
    Ok(with_cookie(board, &session.0, SESSION_LASTS))
}

/// Ends a session.
pub(super) fn sign_out(board: &Board, session: &Token) -> Result<Response, Failed> {
    board.access().sign_out(&session.hash())?;
    Ok(with_cookie(board, "", Duration::ZERO))
}

fn with_cookie(board: &Board, value: &str, lasts: Duration) -> Response {
    let secure = if board.hosts.secure { "; Secure" } else { "" };
    let name = &board.hosts.cookie;
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", lasts.as_secs());
    let headers = [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Whether a form was one of this session's.
pub(super) fn is_own_form(session: &Token, token: &str) -> bool {
    session.form().as_bytes().ct_eq(token.as_bytes()).into()
}
