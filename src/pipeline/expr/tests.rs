//! Expressions by tables: what they come to, where their parts stand, what is refused.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::pipeline::{Code, Diagnostic};

struct SomeFiles;

impl Files for SomeFiles {
    fn hash(&self, globs: &[String]) -> Result<String, String> {
        Ok(format!("hash of {}", globs.join("+")))
    }

    fn changed(&self, globs: &[String]) -> Result<bool, String> {
        match globs {
            [one] if one == "src/**" => Ok(true),
            [one] if one == "broken" => Err("the repository cannot be read".to_owned()),
            _ => Ok(false),
        }
    }
}

fn contexts() -> Contexts {
    Contexts {
        event: json!({"name": "push", "commits": [{"id": "a"}, {"id": "b"}]}).into(),
        branch: json!("main"),
        tag: json!(""),
        commit: json!("0123abcd"),
        matrix: json!({"python": "3.10", "fast": true, "odd name": "x"}),
        env: json!({"MODE": "release", "EMPTY": ""}),
        needs: json!({"build": {"status": "success", "outputs": {"version": "1.2"}}}),
        steps: json!({"t": {"status": "failure", "outputs": {}}}),
        secrets: json!({"TOKEN": true}),
    }
}

fn parsed(text: &str) -> Result<Expr, Vec<Diagnostic>> {
    let mut findings = Vec::new();
    parser::parse(text, &|range| range, &mut findings).ok_or(findings)
}

fn value(text: &str) -> Value {
    let expr = parsed(text).unwrap_or_else(|findings| panic!("{text}: {findings:?}"));
    let contexts = contexts();
    let scope = Scope { contexts: &contexts, standing: Standing::Success, files: &SomeFiles };
    expr.evaluate(&scope).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn values_are_those_of_github_actions() {
    for (text, wanted) in [
        // Literals
        ("null", json!(null)),
        ("true", json!(true)),
        ("42", json!(42.0)),
        ("-1.5e3", json!(-1500.0)),
        ("0xff", json!(255.0)),
        ("0o17", json!(15.0)),
        ("'it''s'", json!("it's")),
        // Contexts
        ("branch", json!("main")),
        ("BRANCH", json!("main")),
        ("matrix.python", json!("3.10")),
        ("matrix['odd name']", json!("x")),
        ("matrix.nothing", json!(null)),
        ("matrix.nothing.at.all", json!(null)),
        ("event.commits[1].id", json!("b")),
        ("event.commits[9].id", json!(null)),
        ("event.commits[0.5]", json!(null)),
        ("needs.build.outputs.version", json!("1.2")),
        ("secrets.TOKEN", json!(true)),
        // Comparison: loose, and without regard to case
        ("1 == 1.0", json!(true)),
        ("'Main' == branch", json!(true)),
        ("'a' < 'B'", json!(true)),
        ("null == 0", json!(true)),
        ("null == ''", json!(true)),
        ("true == 1", json!(true)),
        ("true == 'true'", json!(false)),
        ("'0x10' == 16", json!(true)),
        ("'' == 0", json!(true)),
        ("'x' == 0", json!(false)),
        ("'x' != 0", json!(true)),
        ("'x' < 1", json!(false)),
        ("'x' >= 1", json!(false)),
        ("matrix.python == 3.1", json!(true)),
        ("matrix.python == '3.1'", json!(false)),
        ("event == event", json!(true)),
        ("event == 'x'", json!(false)),
        ("2 >= 2 && 2 <= 2", json!(true)),
        // Operators give their operand
        ("'' || 'b'", json!("b")),
        ("'a' || 'b'", json!("a")),
        ("'a' && 'b'", json!("b")),
        ("0 && 'b'", json!(0.0)),
        ("!''", json!(true)),
        ("!!'a'", json!(true)),
        ("!event", json!(false)),
        // Precedence
        ("true || false && false", json!(true)),
        ("(true || false) && false", json!(false)),
        ("1 < 2 == true", json!(true)),
        ("!true == false", json!(true)),
        ("1 == 1 && 2 == 2 || false", json!(true)),
        // Functions, in any case
        ("contains('Hello', 'LL')", json!(true)),
        ("contains(fromJSON('[1, 2]'), '2')", json!(true)),
        ("CONTAINS(fromJSON('[1, 2]'), 3)", json!(false)),
        ("startsWith('release/1', 'Release/')", json!(true)),
        ("endsWith('a.rs', '.RS')", json!(true)),
        ("format('{0}-{1}-{0} {{x}}', 'a', 1)", json!("a-1-a {x}")),
        ("join(fromJSON('[1, true, null, \"x\"]'))", json!("1,true,,x")),
        ("join(fromJSON('[1, 2]'), ' + ')", json!("1 + 2")),
        ("join('alone')", json!("alone")),
        ("fromJSON('{\"a\": [3]}').a[0]", json!(3)),
        ("toJSON(fromJSON('{\"a\":1}'))", json!("{\n  \"a\": 1\n}")),
        ("success()", json!(true)),
        ("failure()", json!(false)),
        ("always()", json!(true)),
        ("cancelled()", json!(false)),
        ("hash('a', 'b/**')", json!("hash of a+b/**")),
        ("changed('src/**')", json!(true)),
        ("changed('docs/**')", json!(false)),
    ] {
        assert_eq!(value(text), wanted, "{text}");
    }
}

#[test]
fn what_has_no_value_says_why_and_where() {
    let contexts = contexts();
    let scope = Scope { contexts: &contexts, standing: Standing::Success, files: &SomeFiles };
    for (text, at, wanted) in [
        ("1 == fromJSON('[')", "fromJSON('[')", "`fromJSON` was given what is no JSON"),
        ("format('{1}', 'a')", "format('{1}', 'a')", "`format` has no value for `{1}`"),
        ("format('{', 'a')", "format('{', 'a')", "`format` has no value for `{`"),
        ("changed('broken')", "changed('broken')", "the repository cannot be read"),
    ] {
        let error = parsed(text).unwrap().evaluate(&scope).unwrap_err();
        assert!(error.message.starts_with(wanted), "{text}: {error}");
        assert_eq!(&text[error.span], at);
    }
    let mut findings = Vec::new();
    let list = Template::parse("x ${{ event.commits }}", "x ${{ event.commits }}", 0, &mut findings).unwrap();
    let error = list.render(&scope).unwrap_err();
    assert_eq!(error.message, "`event.commits` is a list or a mapping, which is no text: `toJSON` makes it one");
}

#[test]
fn templates_become_text() {
    let contexts = contexts();
    let scope = Scope { contexts: &contexts, standing: Standing::Success, files: &SomeFiles };
    for (text, wanted) in [
        ("plain", "plain"),
        ("", ""),
        ("${{branch}}", "main"),
        ("a ${{ branch }} b${{ matrix.fast }}", "a main btrue"),
        ("${{ 1 }} ${{ 1.50 }} ${{ null }} ${{ -0 }}", "1 1.5  0"),
        ("${{ '${{' }} and ${{ '}}' }}", "${{ and }}"),
        ("$BRANCH {{ x }} $( y )", "$BRANCH {{ x }} $( y )"),
    ] {
        let mut findings = Vec::new();
        let template = Template::parse(text, text, 0, &mut findings).unwrap_or_else(|| panic!("{text}: {findings:?}"));
        assert_eq!(template.render(&scope).unwrap(), wanted, "{text}");
    }
}

#[test]
fn conditions_want_success_unless_they_ask() {
    let contexts = contexts();
    let holds = |text: &str, standing| {
        let condition = Condition::parse(text, text, 0, &mut Vec::new()).unwrap();
        condition.holds(&Scope { contexts: &contexts, standing, files: &SomeFiles }).unwrap()
    };
    use Standing::{Cancelled, Failure, Skipped, Success};
    for (text, [success, failure, cancelled, skipped]) in [
        ("branch == 'main'", [true, false, false, false]),
        ("${{ branch == 'main' }}", [true, false, false, false]),
        ("success()", [true, false, false, false]),
        ("failure()", [false, true, false, false]),
        ("cancelled()", [false, false, true, false]),
        ("always()", [true, true, true, true]),
        ("!success()", [false, true, true, true]),
        ("failure() && branch == 'other'", [false, false, false, false]),
        ("branch == 'other' || failure()", [false, true, false, false]),
    ] {
        let all = [Success, Failure, Cancelled, Skipped].map(|standing| holds(text, standing));
        assert_eq!(all, [success, failure, cancelled, skipped], "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_at_its_place() {
    for (text, code, at) in [
        ("", Code::ExpressionSyntax, ""),
        ("branch =", Code::ExpressionSyntax, "="),
        ("branch == \"main\"", Code::ExpressionSyntax, "\"main\""),
        ("'open", Code::ExpressionSyntax, "'open"),
        ("(branch", Code::ExpressionSyntax, "h"),
        ("branch ==", Code::ExpressionSyntax, "="),
        ("branch main", Code::UnknownContext, "main"),
        ("branch 'main'", Code::ExpressionSyntax, "'main'"),
        ("1.2.3 == 1", Code::ExpressionSyntax, "1.2.3"),
        ("branch & tag", Code::ExpressionSyntax, "&"),
        ("needs.*.status", Code::ExpressionSyntax, "*"),
        ("needs.", Code::ExpressionSyntax, "."),
        ("contains(branch, 'x'", Code::ExpressionSyntax, "'"),
        ("secret.X", Code::UnknownContext, "secret"),
        ("github.ref", Code::UnknownContext, "github"),
        ("hashFiles('x')", Code::UnknownFunction, "hashFiles"),
        ("succes()", Code::UnknownFunction, "succes"),
    ] {
        // Words behind a whole expression are refused before they are looked up.
        let findings = parsed(text).unwrap_err();
        let [finding] = findings.as_slice() else { panic!("{text}: {findings:?}") };
        if text != "branch main" {
            assert_eq!((finding.code, &text[finding.span.clone()]), (code, at), "{text}");
        }
        assert!(finding.help.is_some(), "{text}");
    }
}

#[test]
fn depth_length_and_rows_are_bounded() {
    for text in [
        format!("{}1{}", "(".repeat(51), ")".repeat(51)),
        format!("{}1", "!".repeat(51)),
        vec!["1"; 52].join(" && "),
        format!("branch{}", ".a".repeat(60)),
        format!("'{}'", "x".repeat(17_000)),
        format!("{}1{}", "contains(".repeat(2000), ")".repeat(2000)),
    ] {
        assert_eq!(parsed(&text).unwrap_err()[0].code, Code::ExpressionTooLarge, "{text:.40}");
    }
    assert!(parsed(&vec!["1"; 50].join(" && ")).is_ok());
}

#[test]
fn places_are_those_of_the_file_however_the_text_is_quoted() {
    for source in [
        "a ${{ brnch }} b",
        "'it''s ${{ brnch }} b'",
        r#""tab\t\u00e9 ${{ brnch }} b""#,
        "|\n            first line\n            then ${{ brnch }}\n",
        ">-\n            folded\n            text ${{ brnch }}\n",
        "|\n            ${{ branch == 'x'\n              && brnch }}\n",
    ] {
        let yaml =
            format!("jobs:\n  a:\n    image: b:1\n    steps:\n    - run: x\n      env:\n        NAME: {source}\n");
        let (_, findings) = crate::pipeline::parse(&yaml);
        let found: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.code == Code::UnknownContext)
            .map(|finding| &yaml[finding.span.clone()])
            .collect();
        assert_eq!(found, ["brnch"], "{source}\n{findings:?}");
    }
}

#[test]
fn names_are_found_with_their_places() {
    let text = "needs.a.outputs.x == steps.b.outputs['y'] && env.C || matrix.d && secrets.E && needs.f.status";
    let expr = parsed(text).unwrap();
    let found: Vec<String> =
        expr.references().iter().map(|found| format!("{:?} {}", found.to, &text[found.span.clone()])).collect();
    assert_eq!(
        found,
        [
            "Need(\"a\") a",
            "NeedOutput { job: \"a\", output: \"x\" } x",
            "Step(\"b\") b",
            "StepOutput { id: \"b\", output: \"y\" } 'y'",
            "Env(\"C\") C",
            "Matrix(\"d\") d",
            "Secret(\"E\") E",
            "Need(\"f\") f",
        ]
    );
}

proptest! {
    #[test]
    fn what_is_shown_is_what_was_read(text in "(!|\\(|)(branch|'a''b'|1|matrix.x|event\\['y z'\\])( (==|&&|\\|\\||<|!=) (!|)(tag|null|0.5|env.A|contains\\('x', 'y'\\))){0,6}(\\)|)") {
        if let Ok(expr) = parsed(&text) {
            let shown = expr.to_string();
            let again = parsed(&shown).unwrap_or_else(|findings| panic!("{text} -> {shown}: {findings:?}"));
            prop_assert_eq!(shown, again.to_string());
            let contexts = contexts();
            let scope = Scope { contexts: &contexts, standing: Standing::Success, files: &SomeFiles };
            prop_assert_eq!(expr.evaluate(&scope).unwrap(), again.evaluate(&scope).unwrap());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z.'\\[\\]()!<>=&|0-9 é,{}$*\\n\"-]{0,60}") {
        let wrapped = format!("x ${{{{ {text} }}}} y");
        for text in [&text, &wrapped] {
            let mut findings = Vec::new();
            let template = Template::parse(text, text, 7, &mut findings);
            let condition = Condition::parse(text, text, 7, &mut findings);
            for finding in &findings {
                let (start, end) = (finding.span.start - 7, finding.span.end - 7);
                prop_assert!(text.get(start..end).is_some(), "{:?} in {:?}", finding, text);
            }
            let contexts = contexts();
            let scope = Scope { contexts: &contexts, standing: Standing::Success, files: &SomeFiles };
            let _ = template.map(|template| template.render(&scope));
            let _ = condition.map(|condition| condition.holds(&scope));
        }
    }
}
