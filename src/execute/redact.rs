//! The mask: replaces secrets in a stream of bytes, wherever its chunks are cut.
//!
//! Masked are the value itself, each line of a value of several lines, and what encodings make of it: base64 (standard
//! and URL alphabet, at each of the three offsets it can have inside a larger text), hex, percent and JSON escapes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};

use crate::plan::Secret;

/// What stands where a secret stood.
const MASK: &[u8] = b"***";

/// Encodings of a shorter value are too common by chance to be masked; the value itself always is.
const SHORTEST_ENCODED: usize = 6;

/// A line of a value of several lines is masked on its own from this length.
const SHORTEST_LINE: usize = 4;

/// The patterns of all secrets of a run. Cheap to clone: all clones are one mask, and what one learns all know.
#[derive(Clone, Default)]
pub struct Mask(Arc<Shared>);

#[derive(Default)]
struct Shared {
    known: RwLock<Known>,
    /// Rises with each secret that comes to be known, so that streams need look at a number alone.
    age: AtomicU64,
}

#[derive(Default)]
struct Known {
    forms: BTreeSet<Vec<u8>>,
    patterns: Option<Arc<Patterns>>,
}

struct Patterns {
    finder: AhoCorasick,
    sorted: Vec<Vec<u8>>,
    longest: usize,
}

impl Mask {
    /// The mask for these secrets. Fails where they are too large for one.
    pub fn new(secrets: &[Secret]) -> Result<Self, MaskError> {
        let mask = Self::default();
        mask.learn(secrets)?;
        Ok(mask)
    }

    /// Masks one more, also in the streams that are on their way. Fails where it is too large.
    pub fn add(&self, secret: &Secret) -> Result<(), MaskError> {
        self.learn(std::slice::from_ref(secret))
    }

    fn learn(&self, secrets: &[Secret]) -> Result<(), MaskError> {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let new = secrets.iter().flat_map(|secret| forms(secret.value.expose())).filter(|form| !form.is_empty());
        known.forms.extend(new);
        let sorted: Vec<Vec<u8>> = known.forms.iter().cloned().collect();
        let Some(longest) = sorted.iter().map(Vec::len).max() else {
            return Ok(());
        };
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&sorted)?;
        known.patterns = Some(Arc::new(Patterns { finder, sorted, longest }));
        self.0.age.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn patterns(&self) -> Option<Arc<Patterns>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).patterns.clone()
    }

    /// A stream to be masked.
    pub fn stream(&self) -> Redactor {
        let age = self.0.age.load(Ordering::Acquire);
        Redactor { mask: self.clone(), age, patterns: self.patterns(), held: BytesMut::new() }
    }

    /// Whether a text holds a secret, in any of its forms.
    pub fn holds(&self, text: &str) -> bool {
        self.text(text) != text
    }

    /// A whole text, masked.
    pub fn text(&self, text: &str) -> String {
        let mut stream = self.stream();
        let mut out = stream.feed(Bytes::copy_from_slice(text.as_bytes())).to_vec();
        out.extend_from_slice(&stream.flush());
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// The secrets are past the size that can be masked. A run must not start then: it would show them.
#[derive(Debug, thiserror::Error)]
#[error("the secrets are too large to be masked")]
pub struct MaskError(#[from] aho_corasick::BuildError);

/// One stream, on its way through the mask.
pub struct Redactor {
    mask: Mask,
    age: u64,
    patterns: Option<Arc<Patterns>>,
    held: BytesMut,
}

impl Redactor {
    /// Takes bytes, gives what is safe to show. What may be the beginning of a secret is held until more comes.
    pub fn feed(&mut self, bytes: Bytes) -> Bytes {
        self.look();
        let Some(patterns) = &self.patterns else {
            return bytes;
        };
        self.held.extend_from_slice(&bytes);
        let open = patterns.open_from(&self.held);
        let (out, taken) = patterns.replace(&self.held, open);
        let _ = self.held.split_to(taken);
        out
    }

    /// Takes up what came to be known since.
    fn look(&mut self) {
        let age = self.mask.0.age.load(Ordering::Acquire);
        if age != self.age {
            self.age = age;
            self.patterns = self.mask.patterns();
        }
    }

    /// What is held, when no more will come.
    pub fn flush(&mut self) -> Bytes {
        self.look();
        let Some(patterns) = &self.patterns else {
            return Bytes::new();
        };
        let held = self.held.split();
        patterns.replace(&held, held.len()).0
    }
}

impl Patterns {
    /// Where the first suffix starts that more bytes could make a secret (or a longer one).
    fn open_from(&self, bytes: &[u8]) -> usize {
        let first = (bytes.len() + 1).saturating_sub(self.longest);
        (first..bytes.len()).find(|&start| self.may_begin(&bytes[start..])).unwrap_or(bytes.len())
    }

    /// A pattern begins with these bytes, and is longer.
    fn may_begin(&self, head: &[u8]) -> bool {
        let after = self.sorted.partition_point(|pattern| pattern.as_slice() <= head);
        self.sorted.get(after).is_some_and(|pattern| pattern.starts_with(head))
    }

    /// Masks what begins before `open`. Gives the masked bytes, and how many bytes they stand for.
    fn replace(&self, bytes: &[u8], open: usize) -> (Bytes, usize) {
        let mut out = BytesMut::with_capacity(bytes.len());
        let mut done = 0;
        for found in self.finder.find_iter(bytes).take_while(|found| found.start() < open) {
            out.extend_from_slice(&bytes[done..found.start()]);
            out.extend_from_slice(MASK);
            done = found.end();
        }
        let end = open.max(done);
        out.extend_from_slice(&bytes[done..end]);
        (out.freeze(), end)
    }
}

/// All the forms in which a value may show.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![value.as_bytes().to_vec()];
    let trimmed = value.trim_end_matches(['\n', '\r']);
    forms.push(trimmed.as_bytes().to_vec());
    if trimmed.contains('\n') {
        forms.extend(
            trimmed
                .lines()
                .map(str::trim)
                .filter(|line| line.len() >= SHORTEST_LINE)
                .map(|line| line.as_bytes().to_vec()),
        );
    }
    if trimmed.len() >= SHORTEST_ENCODED {
        for text in [value, trimmed] {
            forms.extend(base64_forms(text.as_bytes()));
            forms.extend(hex_forms(text.as_bytes()));
            forms.extend(percent_forms(text));
            forms.extend(json_form(text));
        }
    }
    forms
}

/// Base64 of the value behind 0, 1 and 2 other bytes, less the characters that those and what follows decide.
fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let padded = [&b"\0\0"[..before], value].concat();
        let first = (before * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        for text in [BASE64_STANDARD_NO_PAD.encode(&padded), BASE64_URL_SAFE_NO_PAD.encode(&padded)] {
            forms.push(text.as_bytes()[first..last].to_vec());
        }
    }
    forms
}

fn hex_forms(value: &[u8]) -> [Vec<u8>; 2] {
    let lower = value.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    [lower.to_uppercase().into_bytes(), lower.into_bytes()]
}

/// Percent escapes: all but unreserved characters (RFC 3986, 2.3), and the form where a space is `+`.
fn percent_forms(value: &str) -> [Vec<u8>; 3] {
    let escaped = |lower: bool| {
        value.bytes().fold(String::new(), |mut text, byte| {
            let _ = match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    write!(text, "{}", char::from(byte))
                }
                _ if lower => write!(text, "%{byte:02x}"),
                _ => write!(text, "%{byte:02X}"),
            };
            text
        })
    };
    let upper = escaped(false);
    [upper.replace("%20", "+").into_bytes(), upper.into_bytes(), escaped(true).into_bytes()]
}

fn json_form(value: &str) -> Option<Vec<u8>> {
    let quoted = serde_json::to_string(value).ok()?;
    Some(quoted.as_bytes()[1..quoted.len() - 1].to_vec())
}

#[cfg(test)]
mod tests;
