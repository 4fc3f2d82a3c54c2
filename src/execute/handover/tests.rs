//! Files as steps write them.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;

fn read(file: HandFile, text: &str) -> Result<HandedOn, BadHandover> {
    let mut files = Files::default();
    for piece in text.as_bytes().chunks(7) {
        files.take(file, Content::Piece(Bytes::copy_from_slice(piece)));
    }
    files.read()
}

fn outputs(text: &str) -> Vec<(String, String)> {
    read(HandFile::Output, text).unwrap().outputs
}

#[test]
fn outputs_of_every_form() {
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    for (text, wanted) in [
        ("", pairs(&[])),
        ("a=1\n", pairs(&[("a", "1")])),
        ("a=1\n\nb=x=y", pairs(&[("a", "1"), ("b", "x=y")])),
        ("a=1\na=2\n", pairs(&[("a", "2")])),
        ("a=\n", pairs(&[("a", "")])),
        ("a<<END\none\n\ntwo=2\nEND\nb=3\n", pairs(&[("a", "one\n\ntwo=2"), ("b", "3")])),
        ("a<<END\nEND\n", pairs(&[("a", "")])),
        ("a=b<<c\n", pairs(&[("a", "b<<c")])),
        ("build-id=\u{e9} \t\n", pairs(&[("build-id", "\u{e9} \t")])),
    ] {
        assert_eq!(outputs(text), wanted, "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (file, text, wanted) in [
        (HandFile::Output, "a=1\nhello\n", "line 2: `hello` is neither `name=value` nor `name<<WORD`"),
        (HandFile::Output, "1a=1", "line 1: `1a` cannot be a name: a name has letters, digits, `_` and `-`"),
        (HandFile::Output, "=1", "line 1: `` cannot be a name: a name has letters, digits, `_` and `-`"),
        (HandFile::Output, "a<<\nx", "line 1: a word is missing behind `<<`: the one that ends the value"),
        (HandFile::Output, "\na<<E\nx", "line 2: the line `E` that ends the value is missing"),
        (HandFile::Env, "A-B=1", "line 1: `A-B` cannot be a name: a variable has letters, digits and `_`"),
        (HandFile::Env, "CI=1", "line 1: `CI` cannot be a name: `CI` is set by Argon"),
        (
            HandFile::Env,
            "ARGON_JOB=1",
            "line 1: `ARGON_JOB` cannot be a name: variables that begin with `ARGON_` are Argon's",
        ),
        (HandFile::Env, "A=\0", "it has a NUL character in it"),
    ] {
        assert_eq!(read(file, text).unwrap_err(), BadHandover { file, problem: wanted.to_owned() }, "{text:?}");
    }
    let mut files = Files::default();
    files.take(HandFile::Output, Content::Piece(Bytes::from_static(b"a=1\nb=\xff")));
    assert_eq!(files.read().unwrap_err().problem, "line 2 is not UTF-8");
}

#[test]
fn the_last_folder_comes_first_and_a_summary_may_be_any_bytes() {
    assert_eq!(read(HandFile::Path, "/a\n/b\n").unwrap().path, ["/b", "/a"]);
    let mut files = Files::default();
    files.take(HandFile::Summary, Content::Piece(Bytes::from_static(b"# \xff")));
    assert_eq!(files.read().unwrap().summary, "# \u{fffd}");
}

#[test]
fn more_than_the_limit_is_told_and_not_kept() {
    for content in [Content::Over, Content::Piece(Bytes::from(vec![b'x'; LIMIT + 1]))] {
        let mut files = Files::default();
        files.take(HandFile::Summary, content);
        assert_eq!(files.read().unwrap_err().problem, "it has more than 1024 KiB");
    }
}
