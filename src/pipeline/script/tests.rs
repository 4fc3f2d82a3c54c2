#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use super::*;

/// No shell takes these: the script, what is at the offset, the message.
const WRONG: &[(&str, &str, &str)] = &[
    ("echo don't\n", "'t", "a `'` is not closed"),
    ("a\necho \"b\nc", "\"b", "a `\"` is not closed"),
    ("echo `a", "`a", "``` is not closed: its ``` is missing"),
    ("x=$(a\necho b", "$(a", "`$(` is not closed: its `)` is missing"),
    ("echo ${a", "${a", "`${` is not closed: its `}` is missing"),
    ("echo $((1 + 2", "$((1", "`$((` is not closed: its `))` is missing"),
    ("if a; then\n b\n", "if a", "`if` is not closed: its `fi` is missing"),
    ("if a\n", "if a", "`if` is not closed: its `then` is missing"),
    ("if a; b; fi", "fi", "`fi` stands where the `if` on line 1 lacks its `then`"),
    ("while a; do\n if b; then c\ndone", "done", "`done` stands where the `if` on line 2 lacks its `fi`"),
    ("for a in b c do\n d\ndone", "d\ndone", "the `for` on line 1 has no `do` before this"),
    ("for a in b; do c", "for", "`for` is not closed: its `done` is missing"),
    ("until a; do b; fi", "fi", "`fi` stands where the `until` on line 1 lacks its `done`"),
    ("case a in\n b) c ;;\n", "case", "`case` is not closed: its `esac` is missing"),
    ("case a in\n b) c\n d) e ;;\nesac", ") e", "`)` stands in a branch of the `case` on line 1"),
    ("{ echo a }", "{", "`{` is not closed: its `}` is missing"),
    ("f() {\n a\n", "{", "`{` is not closed: its `}` is missing"),
    ("(a; b", "(a", "`(` is not closed: its `)` is missing"),
    ("a\nfi\n", "fi", "`fi` stands without an `if`"),
    ("a; done", "done", "`done` stands without a `for`, `while` or `until`"),
    ("a; }", "}", "`}` stands without a `{`"),
    ("a)", ")", "`)` stands without a `(`"),
    ("a;;", ";;", "`;;` stands outside of a `case`"),
    ("echo a (b)", "(b", "`(` stands inside of a command"),
    ("a\n&& b", "&& b", "a command cannot begin with `&&`"),
    ("a ; ; b", "; b", "a command cannot begin with `;`"),
    ("a &&\n", "&&", "no command follows `&&`"),
    ("if a; then b | fi", "|", "no command follows `|`"),
    ("if a; then\n # only this\nfi", "fi", "there is no command between `then` and `fi`"),
    ("echo a >\n", ">", "`>` is not followed by a file"),
    ("cat <<EOF\na\n EOF\n", "<<", "the here-document has no end: no line is `EOF` and nothing else"),
    ("echo ${{ a }} 'é", "'é", "a `'` is not closed"),
];

/// Some shell takes these, or it cannot be told.
const RIGHT: &[&str] = &[
    "",
    "# only a comment",
    "echo ${{ matrix.a == 'it''s }}' }}\nif ${{ b }}; then c; fi",
    "cat <<'EOF'\nif ' \" ( $(\nEOF\necho",
    "cat <<-A <<B\n\tx'\n\tA\ny\"\nB\n",
    "x=$(cat <<E\na'b\nE\n)",
    "case $x in (a|b) c;; *) d; esac",
    "case x in a) ;; b) esac",
    "if a; then if b; then c; fi fi",
    "while read -r a; do b; done < x > y 2>&1",
    "echo \"$(echo \"$(a \"b)\")\")\" ${a:-\"}\"} $(( (1) + $(b) ))",
    "((a++)) && b; ( (a); b )",
    "a=(1 2 # x\n '3')\nb+=(x)\ndeclare -a c=(1)",
    "[[ $a =~ ^(x|y)$ && b < c ]] || d",
    "function f { a; }\ng() ( b )\nh ()\n{\n c\n}",
    "diff <(a) <(b; c) &> d",
    "echo $'it\\'s'",
    "echo fi done } { a#b if; ! a; time b",
    "a && # x\n\n b |\n c &\nd",
    "echo \\\n'a'\\\n\"b\"",
    "exit 0\n) ' it is never read",
    "for ((i=0; i<3; i++)); do a; done; for b; do c; done; for d do e; done; select f in g; do h; done",
    "echo ${#a} ${a##*/} ${a//\\'/} \"${a%'}\"",
    "shopt -s extglob\nrm !(a|b)",
    "coproc a { b; }",
    "echo \"$$(a\" $$'b'",
    "if a; then b; fi\\\n",
    "for a in b; do\\\n c; done",
];

#[test]
fn what_no_shell_takes_is_told_where_it_stands() {
    for (script, at, message) in WRONG {
        let problem = check(script, &Shell::Sh).unwrap_or_else(|| panic!("nothing is said of {script:?}"));
        assert_eq!(problem.message, *message, "{script:?}");
        assert!(script[problem.offset..].starts_with(at), "{script:?}: {:?}", &script[problem.offset..]);
        assert!(!problem.help.is_empty());
        assert_eq!(check(script, &Shell::Bash), Some(problem), "{script:?}");
        assert_eq!(check(script, &Shell::Python), None);
    }
}

#[test]
fn what_a_shell_may_take_is_left_alone() {
    for script in RIGHT {
        for shell in [Shell::Sh, Shell::Bash] {
            assert_eq!(check(script, &shell), None, "{script:?}");
        }
    }
}

#[test]
fn hostile_scripts_are_quick() {
    let most = MAX_BYTES;
    for piece in [
        "$(",
        "(",
        "((",
        "$((",
        "{ ",
        "if ",
        "\"$(",
        "${a:-",
        "`",
        "'",
        "\"",
        "case x in a) ",
        "f() ",
        "! ",
        "a|",
        "a &&",
        "[[ ",
        "<<E\n",
        "a=(",
        "<(",
        "<<E ",
        "\\\n",
        "\n",
        "#",
        "\\",
        "if a; then b; fi\n",
        "a;;",
        "$'",
        "((a)\n",
        "é ",
        "$((a)) ",
        "${{ a }} ",
        "${{",
    ] {
        let script = piece.repeat(most / piece.len());
        let began = Instant::now();
        for shell in [Shell::Sh, Shell::Bash] {
            if let Some(problem) = check(&script, &shell) {
                assert!(script.is_char_boundary(problem.offset), "{piece:?}");
            }
        }
        let _ = named_files(&script);
        assert!(began.elapsed() < Duration::from_secs(3), "{piece:?}: {:?}", began.elapsed());
    }
}

#[test]
fn only_files_that_are_plainly_needed_are_named() {
    for (script, expected) in [
        ("./build.sh\n./later.sh", &["build.sh"][..]),
        ("set -e\necho a\nscripts/test.sh --all ./x", &["scripts/test.sh"]),
        ("cat config/secrets.env b.txt", &["config/secrets.env", "b.txt"]),
        ("python -u main.py data.csv", &["main.py"]),
        ("python -m pytest tests/a.py", &[]),
        ("python -c 'x'\ncat a", &[]),
        ("pip install -r requirements.txt -c constraints.txt", &["requirements.txt"]),
        ("A=1 exec bash -eux ci/run.sh", &["ci/run.sh"]),
        (". ./.env && make", &[".env"]),
        ("sort < in.txt > out.txt", &["in.txt"]),
        ("cp .env.ci .env", &[".env.ci"]),
        ("chmod +x run.sh && ./run.sh", &["run.sh", "run.sh"]),
        ("docker compose -f ci/compose.yml up", &["ci/compose.yml"]),
        ("make\ncat out.txt", &[]),
        ("echo a > b\ncat b", &[]),
        ("cd sub\ncat b", &[]),
        ("cat *.txt $X https://a/b ../up /etc/passwd ~/.x a=b - ${{ y }}", &[]),
        ("cat a || true\n[ -f b ] && cat b\nif x; then cat c; fi", &[]),
        ("ls .env\ncat .env", &[]),
        ("cat <<E > x\nfile.txt\nE", &[]),
        ("f() { cat a; }\ncat \"b c\" 'd'", &[]),
        ("bash -s a.sh\n", &[]),
    ] {
        let found = named_files(script);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected, "{script:?}");
        for (name, at) in &found {
            assert!(script[at.clone()].ends_with(name.as_str()), "{script:?}");
        }
    }
    assert!(makes_no_files("echo a\ncat b 2>/dev/null\n[ -f x ]"));
    for script in ["make", "echo a > b", "echo 'a", "./x"] {
        assert!(!makes_no_files(script), "{script}");
    }
}
