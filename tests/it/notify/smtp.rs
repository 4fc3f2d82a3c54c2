//! A mail server of the tests: one conversation after the other, as RFC 5321 has them, with TLS where it is asked for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// When a conversation turns to TLS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Encryption {
    Never,
    StartTls,
    AtOnce,
}

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    Takes,
    /// Says this where it would say yes to this command; `.` is the end of a message.
    Says(&'static str, &'static str),
    /// Takes the connection and says nothing.
    Hangs,
    /// Hears this command, and says nothing any more.
    HangsAt(&'static str),
    /// Ends the connection at this command.
    HangsUp(&'static str),
}

/// A message that was taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) login: Option<String>,
    pub(crate) text: String,
}

/// The server. Its thread ends with the tests.
pub(crate) struct Smtp {
    pub(crate) port: u16,
    taken: Arc<Mutex<Vec<Mail>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Smtp {
    pub(crate) fn start(encryption: Encryption, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self { port: listener.local_addr().unwrap().port(), taken: Arc::default(), heard: Arc::default() };
        let (taken, heard) = (this.taken.clone(), this.heard.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (taken, heard) = (taken.clone(), heard.clone());
                let talk = Talk { stream: Stream::Plain(stream.unwrap()), encryption, manner, taken, heard };
                // A client that goes away in the middle is nothing to a server.
                let _ = talk.go_on();
            }
        });
        this
    }

    /// The one message that was taken.
    pub(crate) fn mail(&self) -> Mail {
        let taken = self.taken.lock().unwrap();
        assert_eq!(taken.len(), 1, "{taken:#?}");
        taken[0].clone()
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.taken.lock().unwrap().clone()
    }

    /// The words that were heard, each with `(tls)` where nobody else could hear them.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail").join(name)
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    fn encrypted(self) -> Self {
        let Self::Plain(stream) = self else { panic!("it is encrypted already") };
        let chain = CertificateDer::pem_file_iter(fixture("cert.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        Self::Tls(Box::new(StreamOwned::new(connection, stream)))
    }
}

struct Talk {
    stream: Stream,
    encryption: Encryption,
    manner: Manner,
    taken: Arc<Mutex<Vec<Mail>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Talk {
    fn go_on(mut self) -> std::io::Result<()> {
        if self.manner == Manner::Hangs {
            // Until the client has had enough.
            return self.line().map(drop);
        }
        if self.encryption == Encryption::AtOnce {
            self.stream = self.stream.encrypted();
        }
        self.say("220 mail.example ESMTP")?;
        let mut mail = Mail::default();
        loop {
            let line = self.line()?;
            let word = line.split([' ', ':']).next().unwrap().to_uppercase();
            let tls = if matches!(self.stream, Stream::Tls(_)) { " (tls)" } else { "" };
            self.heard.lock().unwrap().push(format!("{word}{tls}"));
            match self.manner {
                Manner::HangsUp(at) if at == word => return Ok(()),
                Manner::HangsAt(at) if at == word => return self.line().map(drop),
                _ => {}
            }
            if let Some(other) = self.otherwise(&word) {
                self.say(other)?;
                continue;
            }
            match word.as_str() {
                "EHLO" => {
                    let offers = self.encryption == Encryption::StartTls && tls.is_empty();
                    let more = if offers { "250-STARTTLS\r\n" } else { "" };
                    self.say(&format!("250-mail.example\r\n{more}250-8BITMIME\r\n250 AUTH PLAIN LOGIN"))?;
                }
                "STARTTLS" => {
                    self.say("220 go on")?;
                    self.stream = self.stream.encrypted();
                }
                "AUTH" => {
                    let coded = line.rsplit(' ').next().unwrap();
                    mail.login = Some(String::from_utf8(BASE64_STANDARD.decode(coded).unwrap()).unwrap());
                    self.say("235 welcome")?;
                }
                "MAIL" => {
                    mail.from = line;
                    self.say("250 ok")?;
                }
                "RCPT" => {
                    mail.to.push(line);
                    self.say("250 ok")?;
                }
                "DATA" => {
                    self.say("354 go on")?;
                    mail.text = self.message()?;
                    match self.otherwise(".") {
                        _ if self.manner == Manner::HangsAt(".") => return self.line().map(drop),
                        Some(other) => self.say(other)?,
                        None => {
                            self.taken.lock().unwrap().push(std::mem::take(&mut mail));
                            self.say("250 taken")?;
                        }
                    }
                }
                "QUIT" => {
                    return self.say("221 bye");
                }
                _ => self.say("500 what?")?,
            }
        }
    }

    fn otherwise(&self, word: &str) -> Option<&'static str> {
        match self.manner {
            Manner::Says(at, what) if at == word => Some(what),
            _ => None,
        }
    }

    fn say(&mut self, text: &str) -> std::io::Result<()> {
        let bytes = format!("{text}\r\n");
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes.as_bytes()),
            Stream::Tls(stream) => stream.write_all(bytes.as_bytes()).and_then(|()| stream.flush()),
        }
    }

    /// A byte at a time: what comes after STARTTLS is not for this side of it.
    fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            match &mut self.stream {
                Stream::Plain(stream) => stream.read_exact(&mut byte)?,
                Stream::Tls(stream) => stream.read_exact(&mut byte)?,
            }
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8(line).unwrap())
    }

    fn message(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        loop {
            let line = self.line()?;
            match line.strip_prefix('.') {
                Some("") => return Ok(text),
                Some(rest) => text.push_str(rest),
                None => text.push_str(&line),
            }
            text.push('\n');
        }
    }
}
