//! The mask under every cut, and in every encoding.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::patterns::PIECE;
use super::*;

fn mask(values: &[&str]) -> Mask {
    let secrets: Vec<Secret> = values.iter().map(|value| Secret::new("S", (*value).to_owned())).collect();
    Mask::new(&secrets).unwrap()
}

fn through(mask: &Mask, chunks: &[&[u8]]) -> String {
    let mut stream = mask.stream();
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&stream.feed(Bytes::copy_from_slice(chunk)));
    }
    out.extend_from_slice(&stream.flush());
    String::from_utf8_lossy(&out).into_owned()
}

/// A long piece of `form` that is left in what was shown, lines aside.
fn left(shown: &str, form: &str) -> Option<String> {
    let shown: String = shown.chars().filter(|c| !c.is_whitespace()).collect();
    let form: Vec<char> = form.chars().filter(|c| !c.is_whitespace()).collect();
    let pieces = form.windows(PIECE.min(form.len())).map(|piece| piece.iter().collect::<String>());
    pieces.into_iter().find(|piece| shown.contains(piece.as_str()))
}

fn wrapped(text: &str, columns: usize) -> String {
    let lines: Vec<&str> = text.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n") + "\n"
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unquoted(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap();
    json[1..json.len() - 1].to_owned()
}

#[test]
fn without_secrets_bytes_pass_untouched() {
    assert_eq!(through(&mask(&[]), &[b"any", b"thing"]), "anything");
}

#[test]
fn a_secret_is_masked_wherever_it_is_cut() {
    let mask = mask(&["hunter2hunter2"]);
    let text = b"user=me pass=hunter2hunter2 ok";
    for cut in 0..text.len() {
        assert_eq!(through(&mask, &[&text[..cut], &text[cut..]]), "user=me pass=*** ok", "cut at {cut}");
    }
}

#[test]
fn the_longest_secret_wins_also_over_a_cut() {
    let mask = mask(&["abcd", "abcdefgh"]);
    assert_eq!(through(&mask, &[b"x abcd", b"efgh y"]), "x *** y");
    assert_eq!(through(&mask, &[b"x abcd", b"e y"]), "x ***e y");
}

#[test]
fn secrets_that_overlap_leave_nothing_of_either() {
    let mask = mask(&["abcd", "cdef"]);
    assert_eq!(through(&mask, &[b"x abcdef y"]), "x *** y");
    assert_eq!(through(&mask, &[b"x abc", b"def y"]), "x *** y");
}

#[test]
fn what_cannot_become_a_secret_is_not_held_back() {
    let mut stream = mask(&["secret-value"]).stream();
    assert_eq!(&stream.feed(Bytes::from_static(b"prompt> "))[..], b"prompt> ");
    assert_eq!(&stream.feed(Bytes::from_static(b"x sec"))[..], b"x ");
    assert_eq!(&stream.feed(Bytes::from_static(b"ond"))[..], b"second");
    // A line that ended is not held for what wraps lines, either.
    let mut stream = mask(&["a-value-whose-base64-is-long-enough-to-be-wrapped"]).stream();
    assert_eq!(&stream.feed(Bytes::from_static(b"public\n"))[..], b"public\n");
    assert_eq!(&stream.feed(Bytes::from_static(b"prompt> "))[..], b"prompt> ");
}

#[test]
fn encodings_are_masked_and_nothing_of_them_is_left() {
    let secret = "s3cr3t/value+\u{f6}\"x & <y>!'()*;\u{1F511}";
    let mask = mask(&[secret]);
    let python = "s3cr3t/value+\\u00f6\\\"x & <y>!'()*;\\ud83d\\udd11";
    let go = "s3cr3t/value+\u{f6}\\\"x \\u0026 \\u003cy\\u003e!'()*;\u{1F511}";
    let strict = "s3cr3t%2Fvalue%2B%C3%B6%22x%20%26%20%3Cy%3E%21%27%28%29%2A%3B%F0%9F%94%91";
    let quote = strict.replace("%2F", "/");
    let component = strict.replace("%21%27%28%29%2A", "!'()*");
    let form = strict.replace("%20", "+").replace("%2A", "*");
    let uri = "s3cr3t/value+%C3%B6%22x%20&%20%3Cy%3E!'()*;%F0%9F%94%91";
    for shown in [
        BASE64_STANDARD.encode(secret),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
        hex(secret),
        hex(secret).to_uppercase(),
        strict.to_owned(),
        strict.to_lowercase(),
        quote,
        component,
        form,
        uri.to_owned(),
        unquoted(secret),
        python.to_owned(),
        python.replace("\\u00f6", "\\u00F6").replace("ud83d", "uD83D").replace("udd11", "uDD11"),
        go.to_owned(),
        go.replace('/', "\\/"),
        secret.replace('\'', "'\\''"),
    ] {
        assert!(left(&shown, &shown).is_some(), "the control: it is found where nothing masks it");
        let seen = through(&mask, &[b"it is ", shown.as_bytes(), b" end"]);
        assert_eq!(left(&seen, &shown), None, "{shown} came out as {seen}");
        assert!(seen.starts_with("it is ***") && seen.ends_with(" end"), "{seen}");
    }
    for offset in 0..3 {
        let around = format!("{}{secret}{}", "~".repeat(offset), "tail");
        let shown = BASE64_STANDARD.encode(&around);
        let seen = through(&mask, &[shown.as_bytes()]);
        assert_eq!(left(&seen, &shown[4..shown.len() - 8]), None, "at offset {offset}: {seen}");
    }
}

#[test]
fn what_tools_wrap_into_lines_is_masked_to_its_end() {
    let secret: String = (0..40).map(|n| format!("part-{n:02};")).collect();
    let mask = mask(&[&secret]);
    for before in ["", "x", "{\"password\":\"", "a-longer-beginning-of-a-file-that-has-it-in-it: "] {
        let base64 = BASE64_STANDARD.encode(format!("{before}{secret}"));
        let hex = hex(&format!("{before}{secret}"));
        let from = before.len() * 4 / 3 + 2;
        // base64, PEM, xxd -p, and something odd.
        for (text, from, columns) in
            [(&base64, from, 76), (&base64, from, 64), (&hex, before.len() * 2, 60), (&base64, from, 19)]
        {
            for (start, end) in [("", "\n"), ("  ", "\r\n")] {
                let shown: String = wrapped(text, columns).lines().map(|line| format!("{start}{line}{end}")).collect();
                let seen = through(&mask, &[shown.as_bytes(), b"after\n"]);
                assert_eq!(
                    left(&seen, text[from..].trim_end_matches('=')),
                    None,
                    "{columns} columns after {before:?}: {seen}"
                );
                assert!(seen.ends_with("after\n"), "{seen}");
            }
        }
    }
    // Of a line on its own, wherever it was cut, nothing long is left, either.
    let base64 = BASE64_STANDARD.encode(&secret);
    assert_eq!(left(&through(&mask, &[b"> ", &base64.as_bytes()[33..100], b" <"]), &base64), None);
    assert_eq!(through(&mask, &[b"> ", &base64.as_bytes()[33..100], b" <"]), "> *** <");
}

#[test]
fn a_short_token_is_masked_where_the_end_of_a_line_cuts_its_base64() {
    let mask = mask(&["0123456789"]);
    let base64 = BASE64_STANDARD.encode("0123456789");
    for cut in 3..10 {
        let seen = through(&mask, &[format!("{}\n{}", &base64[..cut], &base64[cut..]).as_bytes()]);
        assert!(!seen.contains(&base64[4..9]) && seen.starts_with("***"), "cut at {cut}: {seen}");
    }
}

#[test]
fn each_line_of_a_key_is_masked() {
    let mask = mask(&["-----BEGIN KEY-----\nMIIEabc\nxyz123\n-----END KEY-----\n"]);
    let seen = through(&mask, &[b"log: MIIEabc and\nxyz123\n"]);
    assert_eq!(seen, "log: *** and\n***\n");
}

#[test]
fn a_secret_does_not_print_itself() {
    let secret = Secret::new("TOKEN", "hunter2".into());
    assert!(!format!("{secret:?}").contains("hunter2"));
}

#[test]
fn a_large_secret_is_masked_in_a_moment_and_a_larger_one_is_refused() {
    let began = std::time::Instant::now();
    for large in ["x".repeat(LARGEST_SECRET), (0..LARGEST_SECRET / 8).map(|n| format!("{n:07};")).collect()] {
        let mask = mask(&[&large]);
        let text = format!("before {large} after");
        for chunk in [text.len(), 4096] {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(chunk).collect();
            assert_eq!(through(&mask, &chunks), "before *** after");
        }
    }
    // Seconds even in a build that is not optimised, on a machine that does other things; it was minutes.
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    let larger = Secret::new("BIG", "x".repeat(LARGEST_SECRET + 1));
    let error = Mask::new(&[larger]).err().unwrap().to_string();
    assert_eq!(error, "the secret BIG has 65537 bytes, and 65536 can be masked");
}

proptest! {
    #[test]
    fn no_cut_shows_a_secret(text in "[ab]{0,40}(abba1)?[ab]{0,40}", cut in 1usize..20) {
        let mask = mask(&["abba1"]);
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
        prop_assert_eq!(through(&mask, &chunks), text.replace("abba1", "***"));
    }

    /// As the fuzz target `mask` has it: any encoding, wrapped, cut anywhere; the secret is known from the start or comes to be
    /// known before it shows. Nothing long of it is left, and where the cuts are does not matter.
    #[test]
    fn no_encoding_no_line_and_no_cut_shows_a_secret(
        secret in "[ -~\u{e9}\u{1F511}]{6,90}",
        before in "[a-z: \n]{0,80}",
        columns in 16usize..100,
        encoding in 0usize..5,
        cuts in prop::collection::vec(1usize..40, 1..12),
        is_late in any::<bool>(),
    ) {
        let secret = secret.trim().to_owned();
        prop_assume!(secret.len() >= 6 && !secret.contains("***"));
        let coded = match encoding {
            0 => secret.clone(),
            1 => BASE64_STANDARD.encode(&secret),
            2 => hex(&secret),
            3 => BASE64_URL_SAFE_NO_PAD.encode(&secret),
            _ => unquoted(&secret),
        };
        let is_wrapped = (1..4).contains(&encoding);
        let shown = if is_wrapped { wrapped(&coded, columns) } else { coded.clone() };
        let text = format!("{before}{shown}\nend");
        let mask = if is_late { mask(&["another-one"]) } else { mask(&["another-one", &secret]) };
        let feed = |chunks: &mut dyn Iterator<Item = &[u8]>| {
            let mut stream = mask.stream();
            let mut out = Vec::new();
            if is_late {
                mask.add(&Secret::new("S", secret.clone())).unwrap();
            }
            for chunk in chunks {
                out.extend_from_slice(&stream.feed(Bytes::copy_from_slice(chunk)));
            }
            out.extend_from_slice(&stream.flush());
            String::from_utf8_lossy(&out).into_owned()
        };
        let whole = feed(&mut std::iter::once(text.as_bytes()));
        let mut rest = text.as_bytes();
        let mut chunks = Vec::new();
        for cut in cuts {
            let (chunk, more) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = more;
        }
        chunks.push(rest);
        prop_assert_eq!(&feed(&mut chunks.into_iter()), &whole);
        if coded.len() > 24 || !is_wrapped {
            let probe = coded.trim_end_matches('=');
            // The last character of base64 holds bits of nothing, too.
            let probe = if encoding == 1 || encoding == 3 { &probe[..probe.len() - 1] } else { probe };
            let hides_in_before = left(&before, probe).is_some();
            prop_assert!(hides_in_before || left(&whole, probe).is_none(), "{}", whole);
        }
    }
}

#[test]
fn a_secret_that_comes_to_be_known_is_masked_in_streams_that_are_on_their_way() {
    let mask = mask(&["first-secret"]);
    let mut stream = mask.stream();
    let mut out = stream.feed(Bytes::from_static(b"first-secret second-sec")).to_vec();
    mask.add(&Secret::new("S", "second-secret".to_owned())).unwrap();
    out.extend_from_slice(&stream.feed(Bytes::from_static(b"ret second-secret first-")));
    out.extend_from_slice(&stream.feed(Bytes::from_static(b"secret")));
    out.extend_from_slice(&stream.flush());
    // What had passed before it was known had passed.
    assert_eq!(String::from_utf8(out).unwrap(), "*** second-secret *** ***");
    assert_eq!(mask.text("second-secret"), "***");
    let mut late = Mask::default();
    assert_eq!(late.text("x"), "x");
    late = Mask::new(&[]).unwrap();
    let mut stream = late.stream();
    late.add(&Secret::new("S", "third-secret".to_owned())).unwrap();
    assert_eq!(&[stream.feed(Bytes::from_static(b"a third-secret")), stream.flush()].concat()[..], b"a ***");
}
