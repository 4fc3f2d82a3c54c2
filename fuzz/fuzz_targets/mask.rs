//! A secret in a text that is cut anywhere: it never shows, and where the cuts are does not matter.
#![no_main]

use argon::execute::Mask;
use argon::plan::Secret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, String, Vec<u8>, Vec<u8>)| {
    let (one, other, text, cuts) = input;
    let fit = |secret: &str| secret.len() >= 4 && !secret.contains('*') && !secret.contains('\0');
    if !fit(&one) || !fit(&other) {
        return;
    }
    let mask = Mask::new(&[Secret::new("A", one.clone()), Secret::new("B", other)]).unwrap();
    let text = [text.as_slice(), one.as_bytes(), text.as_slice()].concat();
    let masked = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut stream = mask.stream();
        let mut out = Vec::new();
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
    assert!(!whole.windows(one.len()).any(|window| window == one.as_bytes()));
});
