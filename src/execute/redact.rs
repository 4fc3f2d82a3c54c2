//! The mask: replaces secrets in a stream of bytes, wherever its chunks are cut.
//!
//! Masked are the value itself, each line of a value of several lines, and what encodings make of it: base64 (standard
//! and URL alphabet, at each of the three offsets it can have inside a larger text) and hex, also wrapped into lines or in part;
//! percent and JSON escapes. `forms` makes these, `patterns` finds them.

mod forms;
mod patterns;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::{Bytes, BytesMut};

use crate::plan::{LARGEST_SECRET, Secret};
use forms::Forms;
use patterns::Patterns;

/// What stands where a secret stood.
const MASK: &[u8] = b"***";

/// The patterns of all secrets of a run. Cheap to clone: all clones are one mask, and what one learns all know.
#[derive(Clone, Default)]
pub struct Mask(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Held while patterns are made of them: that takes a moment, in which streams go on with what was known.
    forms: Mutex<Forms>,
    patterns: RwLock<Option<Arc<Patterns>>>,
    /// Rises with each secret that comes to be known, so that streams need look at a number alone.
    age: AtomicU64,
}

impl Mask {
    /// The mask for these secrets. Blocks for as long as they are large; fails where they are too large for one.
    ///
    /// # Errors
    /// Where one is larger than [`LARGEST_SECRET`].
    pub fn new(secrets: &[Secret]) -> Result<Self, MaskError> {
        let mask = Self::default();
        mask.learn(secrets)?;
        Ok(mask)
    }

    /// Masks one more, also in the streams that are on their way. Blocks as [`new`](Self::new) does.
    ///
    /// # Errors
    /// Where it is too large.
    pub fn add(&self, secret: &Secret) -> Result<(), MaskError> {
        self.learn(std::slice::from_ref(secret))
    }

    fn learn(&self, secrets: &[Secret]) -> Result<(), MaskError> {
        let bytes = |secret: &Secret| secret.value.expose().len();
        if let Some(large) = secrets.iter().find(|secret| bytes(secret) > LARGEST_SECRET) {
            return Err(MaskError::TooLarge { name: large.name.clone(), bytes: bytes(large) });
        }
        let mut forms = self.0.forms.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().for_each(|secret| forms.add(secret.value.expose()));
        let patterns = Patterns::new(&forms)?.map(Arc::new);
        *self.0.patterns.write().unwrap_or_else(PoisonError::into_inner) = patterns;
        self.0.age.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn patterns(&self) -> Option<Arc<Patterns>> {
        self.0.patterns.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A stream to be masked.
    pub fn stream(&self) -> Redactor {
        let age = self.0.age.load(Ordering::Acquire);
        Redactor { mask: self.clone(), age, patterns: self.patterns(), held: BytesMut::new() }
    }

    /// Whether a text holds a secret, in any of its forms.
    pub fn holds(&self, text: &str) -> bool {
        self.patterns().is_some_and(|patterns| !patterns.find(text.as_bytes()).hidden.is_empty())
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
#[non_exhaustive]
pub enum MaskError {
    /// One is.
    #[error("the secret {name} has {bytes} bytes, and {LARGEST_SECRET} can be masked")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// All of them together are.
    #[error("the secrets are too large to be masked")]
    TooMany(#[from] aho_corasick::BuildError),
}

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
        let found = patterns.find(&self.held);
        let shown = self.held.split_to(found.open);
        masked(&shown, &found.hidden)
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
        let held = self.held.split();
        match &self.patterns {
            Some(patterns) => masked(&held, &patterns.find(&held).hidden),
            None => held.freeze(),
        }
    }
}

/// Bytes with the mask in the place of what is hidden, as far as that lies within them.
fn masked(bytes: &[u8], hidden: &[std::ops::Range<usize>]) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes.len());
    let mut done = 0;
    for range in hidden.iter().take_while(|range| range.end <= bytes.len()) {
        out.extend_from_slice(&bytes[done..range.start]);
        out.extend_from_slice(MASK);
        done = range.end;
    }
    out.extend_from_slice(&bytes[done..]);
    out.freeze()
}

#[cfg(test)]
mod tests;
