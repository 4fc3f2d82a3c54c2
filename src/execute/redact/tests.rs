//! The mask under every cut, and in every encoding.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

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
fn what_cannot_become_a_secret_is_not_held_back() {
    let mut stream = mask(&["secret-value"]).stream();
    assert_eq!(&stream.feed(Bytes::from_static(b"prompt> "))[..], b"prompt> ");
    assert_eq!(&stream.feed(Bytes::from_static(b"x sec"))[..], b"x ");
    assert_eq!(&stream.feed(Bytes::from_static(b"ond"))[..], b"second");
}

#[test]
fn encodings_are_masked() {
    let secret = "s3cr3t/value+ö\"x";
    let mask = mask(&[secret]);
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    for shown in [
        BASE64_STANDARD_NO_PAD.encode(secret),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
        hex.clone(),
        hex.to_uppercase(),
        "s3cr3t%2Fvalue%2B%C3%B6%22x".to_owned(),
        serde_json::to_string(secret).unwrap(),
    ] {
        let seen = through(&mask, &[shown.as_bytes()]);
        assert!(seen.contains("***"), "{shown} came out as {seen}");
    }
    for offset in 0..3 {
        let around = format!("{}{secret}{}", "~".repeat(offset), "tail");
        let seen = through(&mask, &[BASE64_STANDARD_NO_PAD.encode(&around).as_bytes()]);
        assert!(seen.contains("***"), "at offset {offset}: {seen}");
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

proptest! {
    #[test]
    fn no_cut_shows_a_secret(text in "[ab]{0,40}(abba1)?[ab]{0,40}", cut in 1usize..20) {
        let mask = mask(&["abba1"]);
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
        prop_assert_eq!(through(&mask, &chunks), text.replace("abba1", "***"));
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
