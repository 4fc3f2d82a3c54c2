//! A secret in a text that is cut anywhere, in any encoding, in lines of any width, known from the start or told on the way: it
//! never shows, no long piece of it does, and where the cuts are does not matter.
#![no_main]

use argon::execute::Mask;
use argon::plan::Secret;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;

/// So many characters of an encoding are masked wherever they stand.
const PIECE: usize = 12;

/// How many characters of an encoding are masked whole at most; longer ones are by their pieces.
const WHOLE: usize = 24;

#[derive(arbitrary::Arbitrary, Debug)]
enum Encoding {
    Raw,
    Base64,
    Base64Url,
    Hex,
    Json,
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Input {
    one: String,
    other: String,
    before: Vec<u8>,
    encoding: Encoding,
    columns: u8,
    cuts: Vec<u8>,
    is_late: bool,
}

fuzz_target!(|input: Input| {
    let Input { one, other, before, encoding, columns, cuts, is_late } = input;
    let fit = |secret: &str| secret.len() >= 6 && !secret.contains('*') && !secret.contains('\0') && secret.trim() == secret;
    if !fit(&one) || !fit(&other) {
        return;
    }
    let coded = match encoding {
        Encoding::Raw => one.clone(),
        Encoding::Base64 => BASE64_STANDARD.encode(&one),
        Encoding::Base64Url => BASE64_URL_SAFE_NO_PAD.encode(&one),
        Encoding::Hex => one.bytes().map(|byte| format!("{byte:02x}")).collect(),
        Encoding::Json => {
            let json = serde_json::to_string(&one).unwrap();
            json[1..json.len() - 1].to_owned()
        }
    };
    let is_wrapped = !matches!(encoding, Encoding::Raw | Encoding::Json);
    let columns = usize::from(columns).max(16);
    let lines = if is_wrapped { coded.as_bytes().chunks(columns).collect::<Vec<_>>().join(&b'\n') } else { coded.as_bytes().to_vec() };
    let text = [before.as_slice(), b" ", &lines, b"\n", before.as_slice()].concat();
    let masked = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mask = Mask::new(&[Secret::new("B", other.clone())]).unwrap();
        if !is_late {
            mask.add(&Secret::new("A", one.clone())).unwrap();
        }
        let mut stream = mask.stream();
        let mut out = stream.feed(bytes::Bytes::from_static(b"")).to_vec();
        if is_late {
            mask.add(&Secret::new("A", one.clone())).unwrap();
        }
        for piece in pieces {
            out.extend_from_slice(&stream.feed(bytes::Bytes::copy_from_slice(piece)));
        }
        out.extend_from_slice(&stream.flush());
        out
    };
    let whole = masked(&mut std::iter::once(text.as_slice()));
    let mut rest = text.as_slice();
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, more) = rest.split_at(usize::from(cut).min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    assert_eq!(masked(&mut pieces.into_iter()), whole);
    let has = |bytes: &[u8], piece: &[u8]| bytes.windows(piece.len()).any(|window| window == piece);
    assert!(!has(&whole, one.as_bytes()));
    if is_wrapped && coded.len() > WHOLE {
        let joined: Vec<u8> = whole.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let before: Vec<u8> = before.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let probe = coded.trim_end_matches('=').as_bytes();
        // The last character of base64 holds bits of nothing, too.
        for piece in probe[..probe.len() - 1].windows(PIECE) {
            assert!(has(&before, piece) || !has(&joined, piece));
        }
    }
});
