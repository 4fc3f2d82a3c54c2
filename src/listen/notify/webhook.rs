//! A webhook of Argon's own: the report as JSON, signed as GitHub signs its own (docs/notifications.md).

use reqwest::header::{HeaderName, HeaderValue};
use serde::Serialize;
use zeroize::Zeroizing;

use super::failure::SendError;
use super::http::Request;
use super::report::Report;
use super::source::{SecretError, Source};
use super::{Delivery, http};
use crate::listen::webhook::Secret;

/// The `v` of every body. What breaks a reader raises it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Body<'a> {
    v: u32,
    #[serde(flatten)]
    report: &'a Report,
}

/// The request, signed where there is a secret.
pub(super) async fn request(report: &Report, id: &Delivery, signer: Option<&Source>) -> Result<Request, SendError> {
    let mut request = http::json(&Body { v: VERSION, report });
    request.headers.extend(header("x-argon-delivery", &id.to_string()));
    if let Some(source) = signer {
        let (secret, text) = secret(source).await?;
        let signature = format!("sha256={}", secret.sign(&request.body));
        request.headers.extend(header("x-argon-signature-256", &signature));
        request.hidden.push(text);
    }
    Ok(request)
}

/// What bodies are signed with, and its text.
pub(super) async fn secret(source: &Source) -> Result<(Secret, Zeroizing<String>), SecretError> {
    let text = source.read().await?;
    let too_short = || SecretError::Unfit { of: source.to_string(), why: "it has less than 16 bytes" };
    Ok((Secret::new(&text).ok_or_else(too_short)?, text))
}

/// Names and values are ASCII, so there always is one.
fn header(name: &'static str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    HeaderValue::from_str(value).ok().map(|value| (HeaderName::from_static(name), value))
}
