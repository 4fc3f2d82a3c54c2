//! One POST, and what its answer means.
//!
//! Redirects are not followed: they would carry what is told, and its signature, to where nobody sent it.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url, redirect};
use serde::Serialize;
use zeroize::Zeroizing;

use super::failure::{Cause, SendError, with_causes};
use super::source::{Address, host};
use super::words;

pub use reqwest::Client;

/// What is read of an answer, in bytes.
const ANSWER: usize = 4 * 1024;

/// What is told of it, in UTF-16 code units.
const SAID: usize = 200;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// The longest that a server may have us wait.
const WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What all channels of HTTP send with. To be made once: it keeps connections.
///
/// # Errors
/// Where no connections with TLS can be made.
pub fn client() -> Result<Client, SendError> {
    // An error only says that a provider is installed already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let built = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(super::TIMEOUT)
        .user_agent(concat!("argon/", env!("CARGO_PKG_VERSION")))
        .build();
    built.map_err(|error| SendError::never(Cause::Client { why: with_causes(&error) }))
}

/// What is posted.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// What no error may tell.
    pub(super) hidden: Vec<Zeroizing<String>>,
}

/// A body of JSON, with no headers of its own.
pub(super) fn json(body: &impl Serialize) -> Request {
    // What is serialised here has text for keys, so it cannot fail.
    Request { body: serde_json::to_vec(body).unwrap_or_default(), headers: Vec::new(), hidden: Vec::new() }
}

/// Posts it. Any status of 2xx is success.
pub(super) async fn post(client: &Client, address: &Address, request: Request) -> Result<(), SendError> {
    let url = address.read().await?;
    let host = host(&url);
    let mut hidden = request.hidden;
    hidden.extend(secrets_of(&url));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(request.headers);
    let sent = client.post(url).headers(headers).body(request.body).send().await;
    // Its address is a secret.
    let answer = sent.map_err(reqwest::Error::without_url);
    let answer = answer.map_err(|error| {
        let why = hide(&with_causes(&error), &hidden);
        SendError::again(Cause::Unreachable { host: host.clone(), why })
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let after = answer.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, Timestamp::now()));
    let text = if status.is_redirection() {
        "a redirect, which is not followed: give the address that it leads to".to_owned()
    } else {
        words::line(&hide(&beginning(answer).await, &hidden), SAID)
    };
    let cause = Cause::Answered { host, code: status.as_u16(), text };
    Err(if is_passing(status) { SendError::Retry { after, cause } } else { SendError::never(cause) })
}

/// Whether the same may be taken later.
fn is_passing(status: StatusCode) -> bool {
    let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || busy.contains(&status)
}

/// When to come again: seconds (Discord sends fractions) or a date, <https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_nan() => return None,
        Ok(seconds) => Duration::try_from_secs_f64(seconds.clamp(0.0, WAIT.as_secs_f64())).ok()?,
        Err(_) => {
            let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(then.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(WAIT))
}

/// What an answer begins with. What does not come is left out: the status has said enough.
async fn beginning(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(chunk.get(..ANSWER - bytes.len()).unwrap_or(&chunk)),
            Ok(None) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The parts of an address that a server may say again.
fn secrets_of(url: &Url) -> Vec<Zeroizing<String>> {
    let segments = url.path_segments().into_iter().flatten().filter(|segment| segment.len() >= 8);
    let whole = [Some(url.as_str()), Some(url.path()), url.query(), url.password()];
    let whole = whole.into_iter().flatten().filter(|text| text.len() > 1);
    whole.chain(segments).map(|text| Zeroizing::new(text.to_owned())).collect()
}

/// The text without the secrets.
pub(super) fn hide(text: &str, secrets: &[Zeroizing<String>]) -> String {
    secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_when_to_come_again() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, expected) in [
            ("0", seconds(0)),
            ("30", seconds(30)),
            (" 7 ", seconds(7)),
            ("0.25", Some(Duration::from_millis(250))),
            ("-5", seconds(0)),
            ("1e300", seconds(86_400)),
            ("inf", seconds(86_400)),
            ("NaN", None),
            ("999999999999999999999", seconds(86_400)),
            ("Tue, 24 Nov 2026 10:02:00 GMT", seconds(120)),
            ("Tue, 24 Nov 2026 09:00:00 GMT", seconds(0)),
            ("Tue, 24 Nov 2099 10:00:00 GMT", seconds(86_400)),
            ("soon", None),
            ("", None),
        ] {
            let value = HeaderValue::from_str(text).unwrap();
            assert_eq!(retry_after(&value, now), expected, "{text:?}");
        }
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for (code, passes) in
            [(408, true), (425, true), (429, true), (500, true), (503, true), (301, false), (400, false), (404, false)]
        {
            assert_eq!(is_passing(StatusCode::from_u16(code).unwrap()), passes, "{code}");
        }
    }

    #[test]
    fn no_part_of_an_address_is_told() {
        let url = Url::parse("https://user:password@hooks.example/services/T0000/B0000/verysecret?token=abc").unwrap();
        let said = "no such hook: https://user:password@hooks.example/services/T0000/B0000/verysecret?token=abc, \
            /services/T0000/B0000/verysecret, verysecret, token=abc, password";
        assert_eq!(hide(said, &secrets_of(&url)), "no such hook: …, …, …, …, …");
    }
}
