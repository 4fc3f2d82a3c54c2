use super::*;

/// The tree in a line: `key=value`, `-` for items, `?` for words, children in parentheses.
fn shown(text: &str) -> String {
    fn show(outline: &Outline, text: &str, at: At) -> String {
        let element = outline.get(at);
        let name = match &element.kind {
            Kind::Key(key) => key.value.clone(),
            Kind::Item => "-".to_owned(),
            Kind::Word => "?".to_owned(),
        };
        let value = element.text(text).map(|text| format!("={}", text.value.trim().replace('\n', "/")));
        let children: Vec<String> = element.children.iter().map(|child| show(outline, text, *child)).collect();
        let children = if children.is_empty() { String::new() } else { format!("({})", children.join(" ")) };
        format!("{name}{}{children}", value.unwrap_or_default())
    }
    let outline = Outline::of(text);
    outline.top().map(|at| show(&outline, text, at)).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_people_write_is_seen() {
    let cases = [
        ("a: 1\nb:\n  c: 2 # x\n  d: \"#y\"\n", "a=1 b(c=2 d=#y)"),
        ("a:\n  - b: 1\n    c: 2\n  - d\n", "a(-(b=1 c=2) -=d)"),
        ("a:\n- b: 1\n  c: 2\n- d\ne: 3\n", "a(-(b=1 c=2) -=d) e=3"),
        ("a: |\n  b: 1\n\n  # c\nd: 2\n", "a=b: 1//  # c d=2"),
        ("- run: >-\n    x\n  name: y\n", "-(run=x name=y)"),
        ("a: [b, 'c, d', {e: f}]\ng: {h: i, j: [k]}\n", "a(-=b -=c, d -(e=f)) g(h=i j(-=k))"),
        ("a: [\n  b,\n  c\n]\nd: 1\n", "a(-=b -=c) d=1"),
        ("a: x\n  y\nb: 1\n", "a=x/  y b=1"),
        ("a: &x {b: 1}\nc: !!str 2\nd:\n  <<: *x\n", "a(b=1) c=2 d(<<=*x)"),
        ("'a b': 1\n\"c\": 2\n---\n", "a b=1 c=2"),
        ("a: it's\nb: \"x\n  y\"\n", "a=it's b=x/  y"),
        ("a: http://x\nb: python:3.10\n", "a=http://x b=python:3.10"),
        ("if: ${{ a }} == '}'\nx: [${{ b, c }}, d]\n", "if=${{ a }} == '}' x(-=${{ b, c }} -=d)"),
        ("{\"a\": {\"b\": 1},\n\"c\": [2]}\n", "a(b=1) c(-=2)"),
        ("\u{feff}a: 1\nb: 2\n", "a=1 b=2"),
        ("a:\n  [b, c]\nd: 1\n", "a(-=b -=c) d=1"),
        ("a:\r\n  b: 1\r\nc: 2\r\n", "a(b=1) c=2"),
    ];
    for (text, wanted) in cases {
        assert_eq!(shown(text), wanted, "{text}");
    }
}

#[test]
fn what_is_being_typed_spoils_nothing_behind_it() {
    let cases = [
        ("a:\n  needs: [li\n  b: 1\n", "a(needs(-=li) b=1)"),
        ("a:\n  needs: [\n  b: 1\n", "a(needs b=1)"),
        ("a:\n  b: \"x\n  c: 1\n", "a(b=x c=1)"),
        ("a:\n  im\n  c: 1\n", "a(?=im c=1)"),
        ("a: {b: 1, c\nd: 2\n", "a(b=1 ?=c) d=2"),
        ("a:\n  b: {\n", "a(b)"),
        ("a: ]\nb: }\nc: ,\n", "a=] b=} c=,"),
        ("a: [}, :, ]\nb: 1", "a b=1"),
    ];
    for (text, wanted) in cases {
        assert_eq!(shown(text), wanted, "{text}");
    }
}

proptest::proptest! {
    /// Nothing that is typed stops it, and every span is one of the text.
    #[test]
    fn any_text_has_an_outline(text in r#"([ \n\t\-:\[\]{},'"|>#&*!$]|a|\u{e4}|\u{1F600}|\n  |: |- |\$\{\{){0,60}"#) {
        let outline = Outline::of(&text);
        for (at, element) in outline.all() {
            let value = element.value.as_ref().map(|value| value.span.clone());
            for span in [Some(element.extent.clone()), element.key().map(|key| key.span.clone()), value].into_iter().flatten() {
                proptest::prop_assert!(text.get(span.clone()).is_some(), "{span:?} of {text:?}");
            }
            proptest::prop_assert!(element.parent.is_none_or(|parent| parent < at));
        }
    }
}
