//! A mail server, by SMTP (<https://www.rfc-editor.org/rfc/rfc5321>): one message with plain text and HTML.
//!
//! TLS is asked for or there is none: a server that does not offer STARTTLS gets neither the password nor the message.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::failure::{Cause, SendError, with_causes};
use super::report::Report;
use super::source::{SecretError, Source};
use super::words::{self, head};
use super::{Delivery, digits, http};

/// The longest subject, in UTF-16 code units.
const SUBJECT: usize = 200;

/// How many failed jobs are shown.
const JOBS: usize = 10;

/// The most people that one message goes to: servers take a hundred.
const PEOPLE: usize = 50;

/// How long to wait for a server's goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a mail server is talked to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Begins in the clear and turns to TLS before anything is told; mostly on port 587.
    #[default]
    StartTls,
    /// TLS from the first byte; mostly on port 465.
    Implicit,
    /// In the clear; mostly on port 25.
    None,
}

impl Tls {
    fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

/// A mail server, and who writes to whom.
#[derive(Debug, Clone)]
pub struct Email {
    host: String,
    port: u16,
    tls: Tls,
    /// Certificates that are trusted beside those of the system, as PEM.
    ca: Option<PathBuf>,
    login: Option<Login>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// Who one is to the server.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Source,
}

/// No message can be sent this way.
#[derive(Debug, thiserror::Error)]
pub(super) enum EmailError {
    #[error("`host`: `{}` is no name of a server", .0.escape_debug())]
    Host(String),
    #[error("`{key}`: `{}` is no address: {source}", text.escape_debug())]
    Address { key: &'static str, text: String, source: lettre::address::AddressError },
    #[error("`to` names {0} people; it takes 1 to {PEOPLE}")]
    People(usize),
    #[error(
        "`tls = \"none\"` would send the password in the clear; without TLS only a server on this machine gets one"
    )]
    PasswordInTheClear,
}

impl Email {
    pub(super) fn new(
        host: String,
        port: Option<u16>,
        tls: Tls,
        ca: Option<PathBuf>,
        login: Option<Login>,
        from: &str,
        to: &[String],
    ) -> Result<Self, EmailError> {
        if host.is_empty() || !host.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-:_".contains(letter)) {
            return Err(EmailError::Host(host));
        }
        if tls == Tls::None && login.is_some() && !is_here(&host) {
            return Err(EmailError::PasswordInTheClear);
        }
        if !(1..=PEOPLE).contains(&to.len()) {
            return Err(EmailError::People(to.len()));
        }
        let address = |key, text: &str| {
            text.parse::<Mailbox>().map_err(|source| EmailError::Address { key, text: text.to_owned(), source })
        };
        let from = address("from", from)?;
        let to = to.iter().map(|text| address("to", text)).collect::<Result<_, _>>()?;
        Ok(Self { host, port: port.unwrap_or(tls.port()), tls, ca, login, from, to })
    }

    pub(super) fn key(&self) -> String {
        let to: Vec<String> = self.to.iter().map(ToString::to_string).collect();
        digits(&["email", &self.host, &self.port.to_string(), &self.from.to_string(), &to.join(",")])
    }

    pub(super) async fn check(&self) -> Result<(), SecretError> {
        if let Some(login) = &self.login {
            login.password.read().await?;
        }
        self.authorities().await.map(drop)
    }

    async fn authorities(&self) -> Result<Option<Certificate>, SecretError> {
        let Some(file) = &self.ca else { return Ok(None) };
        let unreadable = |source| SecretError::Unreadable { file: file.clone(), source };
        let pem = tokio::fs::read(file).await.map_err(unreadable)?;
        let refused = |why| SecretError::File { file: file.clone(), why };
        if !pem.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") {
            return Err(refused("it has no certificate in it"));
        }
        Certificate::from_pem(&pem).map(Some).map_err(|_| refused("its certificate cannot be read"))
    }

    /// Sends it, once, on a connection of its own.
    pub(super) async fn send(&self, report: &Report, id: &Delivery) -> Result<(), SendError> {
        let message = self.message(report, id)?;
        let host = format!("{}:{}", self.host, self.port);
        let mut hidden = Vec::new();
        let mut credentials = None;
        if let Some(login) = &self.login {
            let password = login.password.read().await?;
            credentials = Some(Credentials::new(login.user.clone(), password.to_string()));
            hidden.push(password);
        }
        let encryption = self.encryption().await?;
        let talked = self.talk(encryption, credentials, &message).await;
        let mut connection = talked.map_err(|error| failed(&error, host, &hidden))?;
        // The server has the message: one that does not say goodbye must not make us send it again.
        let _ = tokio::time::timeout(FAREWELL, connection.quit()).await;
        Ok(())
    }

    /// Not by lettre's transport: that waits for the answer to QUIT before it tells that the message was taken.
    async fn talk(
        &self,
        encryption: Option<TlsParameters>,
        credentials: Option<Credentials>,
        message: &Message,
    ) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let me = ClientId::default();
        let at_once = encryption.clone().filter(|_| self.tls == Tls::Implicit);
        let server = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(super::TIMEOUT), &me, at_once, None).await?;
        if let (Tls::StartTls, Some(parameters)) = (self.tls, encryption) {
            // An error where the server does not offer it.
            connection.starttls(parameters, &me).await?;
        }
        if let Some(credentials) = credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
        }
        connection.send(message.envelope(), &message.formatted()).await?;
        Ok(connection)
    }

    async fn encryption(&self) -> Result<Option<TlsParameters>, SendError> {
        if self.tls == Tls::None {
            return Ok(None);
        }
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(authorities) = self.authorities().await? {
            parameters = parameters.add_root_certificate(authorities);
        }
        let built = parameters.build();
        built.map(Some).map_err(|error| SendError::never(Cause::Client { why: with_causes(&error) }))
    }

    fn message(&self, report: &Report, id: &Delivery) -> Result<Message, SendError> {
        let subject = head(&words::subject(report), SUBJECT, String::from);
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(subject)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            // No answers of machines, <https://www.rfc-editor.org/rfc/rfc3834#section-5>.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for person in &self.to {
            message = message.to(person.clone());
        }
        let made = message.multipart(MultiPart::alternative_plain_html(plain(report), html(report)));
        made.map_err(|error| SendError::never(Cause::Message { why: with_causes(&error) }))
    }
}

/// For people.
impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to: Vec<&str> = self.to.iter().map(|person| person.email.as_ref()).collect();
        write!(f, "{}:{} to {}", self.host, self.port, to.join(", "))
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Replies of 5yz stay; all else may pass, but what server and client cannot agree on.
fn failed(error: &lettre::transport::smtp::Error, host: String, hidden: &[Zeroizing<String>]) -> SendError {
    let why = http::hide(&with_causes(error), hidden);
    let cause = match error.status() {
        Some(code) => {
            // Its own words are behind `permanent error (550): `.
            let text = why.split_once("): ").map_or("", |(_, text)| text).to_owned();
            Cause::Answered { host, code: code.into(), text }
        }
        None => Cause::Unreachable { host, why },
    };
    if error.is_permanent() || error.is_client() { SendError::never(cause) } else { SendError::again(cause) }
}

fn plain(report: &Report) -> String {
    let mut text = format!("{}\n\n{}\n", words::subject(report), words::who(report));
    for line in [words::commit(report), report.reason.clone()].into_iter().flatten() {
        text.push_str(&line);
        text.push('\n');
    }
    for job in report.failed.iter().take(JOBS) {
        let _ = write!(text, "\n{}\n", words::failed(job));
        for line in &job.output {
            let _ = writeln!(text, "{}", format!("    {line}").trim_end());
        }
    }
    if let Some(more) = words::more(report.failed.len().saturating_sub(JOBS)) {
        let _ = write!(text, "\n{more}\n");
    }
    if let Some(url) = &report.url {
        let _ = write!(text, "\n{url}\n");
    }
    text
}

fn html(report: &Report) -> String {
    let safe = |text: &str| text.chars().map(escape).collect::<String>();
    let mut html = format!("<!doctype html>\n<html lang=\"en\">\n<body>\n<h3>{}</h3>\n", safe(&words::subject(report)));
    for line in [Some(words::who(report)), words::commit(report), report.reason.clone()].into_iter().flatten() {
        let _ = writeln!(html, "<p>{}</p>", safe(&line));
    }
    for job in report.failed.iter().take(JOBS) {
        let _ = writeln!(html, "<p><b>{}</b></p>", safe(&words::failed(job)));
        if !job.output.is_empty() {
            let _ = writeln!(html, "<pre>{}</pre>", safe(&job.output.join("\n")));
        }
    }
    if let Some(more) = words::more(report.failed.len().saturating_sub(JOBS)) {
        let _ = writeln!(html, "<p>{more}</p>");
    }
    if let Some(url) = &report.url {
        let _ = writeln!(html, "<p><a href=\"{}\">Show the run</a></p>", safe(url));
    }
    html.push_str("</body>\n</html>\n");
    html
}

/// A character as text of HTML, also within quotes.
pub(super) fn escape(letter: char) -> String {
    match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        letter => letter.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn email() -> Email {
        let to = ["Ada <ada@example.com>".to_owned()];
        Email::new("localhost".to_owned(), None, Tls::None, None, None, "Argon <ci@example.com>", &to).unwrap()
    }

    proptest! {
        #[test]
        fn nothing_that_people_write_makes_a_header(text in "(\\PC|\r\n|\n|\r|\u{0}|\u{85}|\u{2028}|: |Bcc: x@example.com){0,60}") {
            let report = serde_json::json!({
                "run": text, "number": 1, "repository": text, "event": "push", "branch": text, "message": text,
                "pusher_name": text, "status": "failure", "duration_ms": 1, "failed": [{"job": text, "cause": text}],
            });
            let report: Report = serde_json::from_value(report).unwrap();
            prop_assert_eq!(report.failed.len(), 1);
            let shown = report.shown();
            let id = Delivery::new(&report, &crate::listen::notify::Channel::Desktop);
            let message = String::from_utf8(email().message(&shown, &id).unwrap().formatted()).unwrap();
            let (head, _) = message.split_once("\r\n\r\n").unwrap();
            let names = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
            let names: Vec<&str> = names.map(|line| line.split(':').next().unwrap()).collect();
            let expected =
                ["From", "Subject", "Message-ID", "Auto-Submitted", "To", "MIME-Version", "Date", "Content-Type"];
            prop_assert_eq!(names, expected);
            prop_assert!(head.is_ascii());
        }
    }
}
