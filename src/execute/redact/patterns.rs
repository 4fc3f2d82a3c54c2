//! Finding forms in bytes of which more may come.
//!
//! What is to be found whole is found by its head, and then compared: an automaton of whole secrets of 64 KiB would take
//! seconds to build. What is to be found by its pieces is found by all runs of [`PIECE`] characters in it.

use std::ops::Range;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use memchr::memmem;

use super::forms::Forms;

/// How much of a form the automaton knows.
const HEAD: usize = 32;

/// So many characters of base64 or hex are masked wherever they stand: 9 bytes of the value, or 6.
pub(super) const PIECE: usize = 12;

/// A form that is longer is not looked for within itself: a value of one letter, repeated, is everywhere in itself.
const SELF_OVERLAP: usize = 4096;

/// What was found.
pub(super) struct Found {
    /// What is to be masked: in order, apart from one another.
    pub(super) hidden: Vec<Range<usize>>,
    /// From here on more bytes could make a difference.
    pub(super) open: usize,
}

/// The patterns of all secrets of a run.
pub(super) struct Patterns {
    heads: AhoCorasick,
    /// In order.
    sorted: Vec<Vec<u8>>,
    /// The forms of each head.
    forms: Vec<Vec<Vec<u8>>>,
    pieces: Pieces,
}

impl Patterns {
    pub(super) fn new(forms: &Forms) -> Result<Option<Self>, BuildError> {
        if forms.whole.is_empty() {
            return Ok(None);
        }
        let mut sorted: Vec<Vec<u8>> = Vec::new();
        let mut of_heads: Vec<Vec<Vec<u8>>> = Vec::new();
        // They come in order, so those of one head come together.
        for form in &forms.whole {
            let head = &form[..form.len().min(HEAD)];
            if sorted.last().is_none_or(|last| last != head) {
                sorted.push(head.to_vec());
                of_heads.push(Vec::new());
            }
            if let Some(of_head) = of_heads.last_mut() {
                of_head.push(form.clone());
            }
        }
        let heads = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&sorted)?;
        Ok(Some(Self { heads, sorted, forms: of_heads, pieces: Pieces::new(forms) }))
    }

    /// Looks through bytes.
    pub(super) fn find(&self, bytes: &[u8]) -> Found {
        let mut hidden = Vec::new();
        let open = self.find_whole(bytes, &mut hidden).min(self.pieces.find(bytes, &mut hidden));
        let hidden = merged(hidden);
        // What is cut by it may become longer.
        let cut = hidden.iter().find(|range| range.start < open && open < range.end);
        let open = cut.map_or(open, |range| range.start);
        Found { hidden, open }
    }

    fn find_whole(&self, bytes: &[u8], hidden: &mut Vec<Range<usize>>) -> usize {
        let mut open = self.open_from(bytes);
        let mut done: Vec<usize> = vec![0; self.sorted.len()];
        for found in self.heads.find_overlapping_iter(bytes) {
            let (head, start) = (found.pattern().as_usize(), found.start());
            if start < done[head] {
                continue;
            }
            let rest = &bytes[start..];
            for form in &self.forms[head] {
                if rest.starts_with(form) {
                    hidden.push(start..start + form.len());
                    if form.len() > SELF_OVERLAP {
                        done[head] = start + form.len();
                    }
                } else if form.len() > rest.len() && form.starts_with(rest) {
                    open = open.min(start);
                }
            }
        }
        open
    }

    /// Where the first suffix starts that more bytes could make a head.
    fn open_from(&self, bytes: &[u8]) -> usize {
        let first = (bytes.len() + 1).saturating_sub(HEAD);
        (first..bytes.len()).find(|&start| self.may_begin(&bytes[start..])).unwrap_or(bytes.len())
    }

    /// A head begins with these bytes, and is longer.
    fn may_begin(&self, start: &[u8]) -> bool {
        let after = self.sorted.partition_point(|head| head.as_slice() <= start);
        self.sorted.get(after).is_some_and(|head| head.starts_with(start))
    }
}

/// Ranges in order, those that overlap as one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// All runs of [`PIECE`] characters of the forms that are found by pieces.
struct Pieces {
    /// In order. A piece is its bytes, the first of them the highest.
    sorted: Vec<u128>,
    /// Tells of most others at once that they are none: a bit for each hash.
    filter: Vec<u64>,
    /// The forms themselves, apart from one another: for beginnings of pieces.
    text: Vec<u8>,
}

/// The characters seen last that a piece can be made of.
#[derive(Default)]
struct Recent {
    piece: u128,
    /// Where each of them stands, in a ring.
    at: [usize; PIECE],
    count: usize,
}

impl Recent {
    fn push(&mut self, byte: u8, at: usize) {
        self.piece = ((self.piece << 8) | u128::from(byte)) & MASK;
        self.at[self.count % PIECE] = at;
        self.count += 1;
    }

    /// Where the last `length` characters begin.
    fn start(&self, length: usize) -> usize {
        self.at[(self.count - length) % PIECE]
    }

    /// The last characters.
    fn last(&self, length: usize) -> Vec<u8> {
        self.piece.to_be_bytes()[16 - length..].to_vec()
    }
}

/// The bits of a piece.
const MASK: u128 = (1 << (8 * PIECE)) - 1;

impl Pieces {
    fn new(forms: &Forms) -> Self {
        let mut sorted: Vec<u128> = Vec::new();
        for form in &forms.pieces {
            let mut recent = Recent::default();
            for (at, byte) in form.iter().enumerate() {
                recent.push(*byte, at);
                if recent.count >= PIECE {
                    sorted.push(recent.piece);
                }
            }
        }
        sorted.sort_unstable();
        sorted.dedup();
        let mut filter = vec![0u64; (sorted.len() / 4).next_power_of_two()];
        for piece in &sorted {
            let (word, bit) = place(*piece, filter.len());
            filter[word] |= bit;
        }
        let text = forms.pieces.iter().flat_map(|form| form.iter().copied().chain([0])).collect();
        Self { sorted, filter, text }
    }

    fn has(&self, piece: u128) -> bool {
        let (word, bit) = place(piece, self.filter.len());
        self.filter[word] & bit != 0 && self.sorted.binary_search(&piece).is_ok()
    }

    /// Finds what is made of pieces; gives from where on more bytes could make a difference. The end of a line, and the
    /// indentation of the next one, do not end what reaches it.
    fn find(&self, bytes: &[u8], hidden: &mut Vec<Range<usize>>) -> usize {
        if self.sorted.is_empty() {
            return bytes.len();
        }
        let mut recent = Recent::default();
        // Where what was found began, while it goes on.
        let mut run: Option<usize> = None;
        let mut is_new_line = false;
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' | b'\r' if run.is_some() => is_new_line = true,
                b' ' | b'\t' if run.is_some() && is_new_line => {}
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' => {
                    is_new_line = false;
                    recent.push(byte, at);
                    if recent.count < PIECE || !self.has(recent.piece) {
                        run = None;
                        continue;
                    }
                    let start = recent.start(PIECE);
                    hidden.push(start..at + 1);
                    run = run.or(Some(start));
                }
                _ => {
                    recent = Recent::default();
                    run = None;
                    is_new_line = false;
                }
            }
        }
        run.unwrap_or_else(|| self.open_from(&recent).unwrap_or(bytes.len()))
    }

    /// Where the longest end of what was seen begins that a piece may go on from.
    fn open_from(&self, recent: &Recent) -> Option<usize> {
        let longest = recent.count.min(PIECE - 1);
        let length = (1..=longest).rev().find(|length| memmem::find(&self.text, &recent.last(*length)).is_some())?;
        Some(recent.start(length))
    }
}

/// A bit of the filter.
fn place(piece: u128, words: usize) -> (usize, u64) {
    #[allow(clippy::cast_possible_truncation, reason = "both halves are wanted")]
    let folded = (piece as u64) ^ ((piece >> 64) as u64).rotate_left(29);
    let hash = folded.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    #[allow(clippy::cast_possible_truncation, reason = "it is below the number of words")]
    let word = (hash >> 32) as usize & (words - 1);
    (word, 1 << (hash >> 26 & 63))
}
