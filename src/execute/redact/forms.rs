//! The forms in which a value may show: itself, its lines, and what encodings make of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// Encodings of a shorter value are too common by chance to be masked; the value itself always is.
const SHORTEST_ENCODED: usize = 6;

/// A line of a value of several lines is masked on its own from this length.
const SHORTEST_LINE: usize = 4;

/// Up to this length base64 and hex are masked as a whole, and wrapped at any place; longer ones by their pieces.
const LONGEST_WHOLE: usize = 24;

/// A part of so many characters before or behind the end of a line gives nothing away.
const SHORTEST_PART: usize = 3;

/// What percent escapes keep beside letters, digits and `-._`, by who makes them: RFC 3986, Python's `quote`, JavaScript's
/// `encodeURIComponent`, both, `encodeURI`, and forms (WHATWG, Java), which escape `~`.
const KEPT_IN_PERCENT: [&str; 6] = ["~", "~/", "~!'()*", "~/!'()*", "~;/?:@&=+$,#!'()*", "*"];

/// The forms of some secrets.
#[derive(Default)]
pub(super) struct Forms {
    /// To be found whole.
    pub(super) whole: BTreeSet<Vec<u8>>,
    /// To be found by any piece of them: base64 and hex, which tools wrap at 60, 64 or 76 columns, behind whatever stands
    /// before them.
    pub(super) pieces: BTreeSet<Vec<u8>>,
}

impl Forms {
    /// Takes in those of a value.
    pub(super) fn add(&mut self, value: &str) {
        let trimmed = value.trim_end_matches(['\n', '\r']);
        self.add_whole(value);
        self.add_whole(trimmed);
        if trimmed.contains('\n') {
            let lines = trimmed.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
            lines.for_each(|line| self.add_whole(line));
        }
        if trimmed.len() < SHORTEST_ENCODED {
            return;
        }
        for text in BTreeSet::from([value, trimmed]) {
            base64_forms(text.as_bytes()).for_each(|form| self.add_encoded(form));
            hex_forms(text.as_bytes()).into_iter().for_each(|form| self.add_encoded(form));
            percent_forms(text).chain(json_forms(text)).for_each(|form| self.add_whole(&form));
            // As `set -x` quotes it.
            self.add_whole(&text.replace('\'', "'\\''"));
        }
    }

    fn add_whole(&mut self, form: &str) {
        if !form.is_empty() {
            self.whole.insert(form.as_bytes().to_vec());
        }
    }

    fn add_encoded(&mut self, form: String) {
        if form.len() > LONGEST_WHOLE {
            self.pieces.insert(form.into_bytes());
            return;
        }
        for end in SHORTEST_PART..form.len().saturating_sub(SHORTEST_PART) {
            self.add_whole(&format!("{}\n{}", &form[..end], &form[end..]));
        }
        self.add_whole(&form);
    }
}

/// Base64 of the value behind 0, 1 and 2 other bytes, less the characters that those and what follows decide.
fn base64_forms(value: &[u8]) -> impl Iterator<Item = String> {
    (0..3).flat_map(move |before| {
        let padded = [&b"\0\0"[..before], value].concat();
        let first = (before * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        let texts = [BASE64_STANDARD_NO_PAD.encode(&padded), BASE64_URL_SAFE_NO_PAD.encode(&padded)];
        texts.map(|text| text[first..last].to_owned())
    })
}

fn hex_forms(value: &[u8]) -> [String; 2] {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let lower: String = value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    [lower.to_uppercase(), lower]
}

/// Percent escapes, with small and large digits, and a space as `%20` or `+`.
fn percent_forms(value: &str) -> impl Iterator<Item = String> {
    KEPT_IN_PERCENT.into_iter().flat_map(move |kept| {
        ["%20", "+"].into_iter().flat_map(move |space| {
            let upper = percent(value, kept, space, b"0123456789ABCDEF");
            [upper, percent(value, kept, space, b"0123456789abcdef")]
        })
    })
}

fn percent(value: &str, kept: &str, space: &str, digits: &[u8; 16]) -> String {
    let mut text = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => text.push(char::from(byte)),
            b' ' => text.push_str(space),
            _ if kept.as_bytes().contains(&byte) => text.push(char::from(byte)),
            _ => text.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]].map(char::from)),
        }
    }
    text
}

/// What a JSON text escapes besides what it must, by who writes it.
#[derive(Debug, Clone, Copy)]
struct JsonStyle {
    /// Python, by default: all but ASCII.
    ascii: bool,
    /// Go, by default: what HTML has a meaning for.
    html: bool,
    /// PHP, by default: `/`.
    slash: bool,
    /// .NET writes large digits.
    upper: bool,
}

fn json_forms(value: &str) -> impl Iterator<Item = String> {
    (0..16u8).map(|bits| {
        let has = |bit: u8| bits & bit != 0;
        json(value, JsonStyle { ascii: has(1), html: has(2), slash: has(4), upper: has(8) })
    })
}

fn json(value: &str, style: JsonStyle) -> String {
    let mut text = String::with_capacity(value.len() * 2);
    let code = |text: &mut String, unit: u16| {
        // A `String` takes all that is written.
        let _ = if style.upper { write!(text, "\\u{unit:04X}") } else { write!(text, "\\u{unit:04x}") };
    };
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '/' if style.slash => text.push_str("\\/"),
            c if c < ' '
                || (style.ascii && !c.is_ascii())
                || (style.html && matches!(c, '&' | '<' | '>' | '\u{2028}' | '\u{2029}')) =>
            {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| code(&mut text, *unit));
            }
            c => text.push(c),
        }
    }
    text
}
