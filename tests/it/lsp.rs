//! `argon lsp` as an editor meets it: the real binary, over a pipe.

mod client;

use serde_json::{Value, json};

use client::{Editor, usual};

const NAME: &str = ".runnerci.yml";

const PIPELINE: &str = "\
version: 1.0
secrets: [TOKEN]
env:
  MODE: release
jobs:
  lint:
    image: busybox:1.36
    outputs:
      version: ${{ steps.read.outputs.number }}
    steps:
      - name: Read it
        id: read
        run: echo number=1 >> $ARGON_OUTPUT
  build:
    name: Build it
    image: python:3.10
    needs: [lint]
    if: branch == 'main' && needs.lint.status == 'success'
    matrix:
      python: [\"3.11\", \"3.12\"]
    steps:
      - run: |
          echo ${{ matrix.python }} $VERSION
        env:
          VERSION: ${{ env.MODE }} ${{ needs.lint.outputs.version }}
        secrets: [TOKEN]
  test:
    image: python:3.10
    needs:
      - build
      - lint
    steps:
      - run: make test
";

fn opened(text: &str) -> Editor {
    let mut editor = Editor::start(&[]);
    editor.open(NAME, text);
    editor
}

/// The labels of the completions at the `^` of a text.
fn completions(text: &str) -> Vec<String> {
    items(text).iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
}

fn items(text: &str) -> Vec<Value> {
    let mut editor = Editor::start(&[]);
    let position = editor.open_at(NAME, text);
    let answer = editor.ask("textDocument/completion", editor.at(NAME, &position)).unwrap();
    answer.as_array().cloned().unwrap_or_default()
}

/// The text after the completion of this label was chosen, with `$0` and the like as they are.
fn completed(text: &str, label: &str) -> String {
    let mut editor = Editor::start(&[]);
    let position = editor.open_at(NAME, text);
    let answer = editor.ask("textDocument/completion", editor.at(NAME, &position)).unwrap();
    let items = answer.as_array().unwrap();
    let item = items.iter().find(|item| item["label"] == label).unwrap_or_else(|| panic!("no {label} in {items:#?}"));
    editor.apply(NAME, &json!([item["textEdit"]]));
    editor.text(NAME).to_owned()
}

// --- Findings -------------------------------------------------------------------------------------------------------

#[test]
fn findings_stand_where_an_editor_counts_them() {
    let text = "jobs:\n  a:\n    image: busybox:1\n    steps: [{run: \"echo \u{1F600}\", nmae: x}]\n";
    let mut editor = opened(text);
    assert_eq!(editor.findings(NAME), ["3:29-3:33 error E0101 a step has no key `nmae` / did you mean `name`?"]);
    let mut bytes = usual();
    bytes["general"] = json!({ "positionEncodings": ["utf-8", "utf-16"] });
    let mut editor = Editor::start_with(&[], bytes);
    editor.open(NAME, text);
    assert_eq!(editor.findings(NAME), ["3:31-3:35 error E0101 a step has no key `nmae` / did you mean `name`?"]);
}

#[test]
fn findings_follow_the_edits() {
    let mut editor = opened(PIPELINE);
    assert_eq!(editor.findings(NAME), Vec::<String>::new());
    editor.edit(NAME, "needs: [lint]", "needs: [lnt]");
    let found = editor.findings(NAME);
    assert!(found[0].starts_with("16:12-16:15 error E0203"), "{found:#?}");
    editor.edit(NAME, "needs: [lnt]", "needs: [lint");
    assert!(editor.findings(NAME)[0].contains("E0003"), "broken YAML is told");
    editor.edit(NAME, "needs: [lint", "needs: [lint]");
    assert_eq!(editor.findings(NAME), Vec::<String>::new());
}

#[test]
fn other_places_are_related_and_the_source_is_named() {
    let mut editor = opened("jobs:\n  a:\n    image: x:1\n    image: y:1\n    steps: [{run: x}]\n");
    let found = editor.raw_findings(NAME);
    assert_eq!(found[0]["source"], "argon");
    assert_eq!(found[0]["code"], "E0011");
    let related = &found[0]["relatedInformation"][0];
    assert_eq!(related["location"]["uri"], editor.uri(NAME));
    assert_eq!(related["location"]["range"]["start"], json!({ "line": 2, "character": 4 }));
    assert_eq!(related["message"], "it stands here first");
}

#[test]
fn a_text_that_is_too_large_is_said_to_be() {
    let mut editor = opened(&format!("# {}\n", "x".repeat(1024 * 1024)));
    assert!(editor.findings(NAME)[0].contains("E0002"));
    let position = json!({ "line": 0, "character": 1 });
    assert_eq!(editor.ask("textDocument/hover", editor.at(NAME, &position)), Ok(Value::Null));
    assert_eq!(editor.ask("textDocument/completion", editor.at(NAME, &position)), Ok(Value::Null));
}

#[test]
fn an_included_file_has_its_findings_and_what_is_open_wins() {
    let bad = "jobs:\n  lint:\n    image: busybox:1\n    stpes: [{run: x}]\n";
    let main = "include: ci/lint.yml\njobs:\n  a:\n    image: busybox:1\n    needs: [lint]\n    steps: [{run: x}]\n";
    let mut editor = Editor::start(&[("ci/lint.yml", bad)]);
    editor.open(NAME, main);
    assert_eq!(
        editor.findings_of_closed("ci/lint.yml"),
        ["3:4-3:9 error E0101 a job has no key `stpes` / did you mean `steps`?"]
    );
    assert_eq!(editor.findings(NAME), Vec::<String>::new());
    editor.open("ci/lint.yml", &bad.replace("stpes", "steps"));
    assert_eq!(editor.findings("ci/lint.yml"), Vec::<String>::new());
    // The other way round: a need that only the included file meets.
    editor.edit("ci/lint.yml", "  lint:", "  lynt:");
    assert_eq!(editor.findings("ci/lint.yml"), Vec::<String>::new());
    assert!(editor.findings(NAME)[0].contains("E0203"), "the need is met by nothing now");
}

#[test]
fn a_file_that_is_open_alone_is_looked_at_as_part_of_its_pipeline() {
    let main = "include: ci/lint.yml\nsecrets: [TOKEN]\n";
    let mut editor = Editor::start(&[(NAME, main)]);
    let lint = "jobs:\n  lint:\n    image: busybox:1\n    steps: [{run: x, secrets: [OTHER]}]\n";
    std::fs::create_dir(editor.path("ci")).unwrap();
    std::fs::write(editor.path("ci/lint.yml"), lint).unwrap();
    editor.open("ci/lint.yml", lint);
    let found = editor.findings("ci/lint.yml");
    assert!(found[0].contains("E0405"), "the pipeline file declares the secrets: {found:#?}");
}

#[test]
fn an_included_file_of_elsewhere_is_no_fault() {
    let commit = "3f786850e387550fdab836ed7e6dc881de23001b";
    let text = format!(
        "include:\n  - file: a.yml\n    git: https://example.com/a.git\n    commit: {commit}\njobs:\n  a:\n    image: b:1\n    needs: [far]\n    steps: [{{run: x}}]\n"
    );
    let found = opened(&text).findings(NAME);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().all(|finding| finding.contains(" hint ")), "{found:#?}");
}

#[test]
fn a_link_out_of_the_repository_is_not_read() {
    let mut editor = Editor::start(&[]);
    std::os::unix::fs::symlink("/etc/hostname", editor.path("out.yml")).unwrap();
    editor.open(NAME, "include: out.yml\njobs: {a: {image: \"b:1\", steps: [{run: x}]}}\n");
    let found = editor.findings(NAME);
    assert!(found[0].contains("leads out of the repository"), "{found:#?}");
}

// --- Completion -----------------------------------------------------------------------------------------------------

#[test]
fn keys_are_those_that_are_not_there_yet() {
    let keys = completions("jobs:\n  a:\n    image: b:1\n    ^\n    steps:\n      - run: x\n");
    assert!(keys.contains(&"needs".to_owned()) && keys.contains(&"matrix".to_owned()), "{keys:?}");
    assert!(!keys.contains(&"image".to_owned()) && !keys.contains(&"steps".to_owned()), "{keys:?}");
    let top = completions("^");
    assert!(top.contains(&"jobs".to_owned()) && top.contains(&"defaults".to_owned()), "{top:?}");
    let step = completions("jobs:\n  a:\n    image: b:1\n    steps:\n      - na^\n");
    assert!(step.contains(&"name".to_owned()) && !step.contains(&"image".to_owned()), "{step:?}");
    let second = completions("jobs:\n  a:\n    steps:\n      - run: x\n        ^\n");
    assert!(second.contains(&"name".to_owned()) && !second.contains(&"run".to_owned()), "{second:?}");
    let flow = completions("jobs:\n  a:\n    steps:\n      - { run: x, na^ }\n");
    assert!(flow.contains(&"name".to_owned()) && !flow.contains(&"run".to_owned()), "{flow:?}");
}

#[test]
fn what_is_inserted_is_indented_as_it_must_be() {
    let job = |key: &str| format!("jobs:\n  a:\n    {key}\n");
    assert_eq!(completed(&job("im^"), "image"), job("image: $0"));
    assert_eq!(completed(&job("ste^"), "steps"), job("steps:\n      - $0"));
    assert_eq!(completed(&job("res^"), "resources"), job("resources:\n      $0"));
    assert_eq!(completed(&job("con^"), "continue-on-error"), job("continue-on-error: ${1|true,false|}"));
    assert_eq!(completed(&job("ima^ge: x"), "image"), job("image: x"));
    let step = "jobs:\n  a:\n    steps:\n      - ";
    assert_eq!(completed(&format!("{step}en^\n"), "env"), format!("{step}env:\n          $0\n"));
}

#[test]
fn values_are_words_jobs_secrets_and_images() {
    let with = |job: &str| completions(&format!("{PIPELINE}  last:\n    {job}\n"));
    assert_eq!(with("needs: [lint, ^]"), ["build", "test"]);
    assert_eq!(with("needs: b^"), ["lint", "build", "test"]);
    assert_eq!(with("needs:\n      - ^"), ["lint", "build", "test"]);
    assert_eq!(with("needs: [li^"), ["lint", "build", "test"]);
    assert_eq!(with("network: ^"), ["default", "none"]);
    assert_eq!(with("continue-on-error: ^"), ["true", "false"]);
    assert_eq!(with("image: ^"), ["busybox:1.36", "python:3.10"]);
    assert_eq!(with("steps:\n      - run: x\n        secrets: [^]"), ["TOKEN"]);
    assert_eq!(with("steps:\n      - run: x\n        shell: ^"), ["sh", "bash", "python"]);
}

#[test]
fn expressions_know_what_is_there() {
    let with = |line: &str| {
        completions(
            &PIPELINE.replace("    steps:\n      - run: |\n", &format!("    {line}\n    steps:\n      - run: \n")),
        )
    };
    let words = with("if: ^");
    assert!(words.contains(&"needs".to_owned()) && words.contains(&"success".to_owned()), "{words:?}");
    assert_eq!(with("if: needs.^"), ["lint"]);
    assert_eq!(with("if: needs.lint.^"), ["status", "outputs"]);
    assert_eq!(with("if: needs.lint.outputs.ver^"), ["version"]);
    assert_eq!(with("name: a ${{ matrix.^ }}"), ["python"]);
    assert_eq!(with("name: \"a ${{ env.^"), ["MODE"]);
    assert_eq!(with("if: secrets.^"), ["TOKEN"]);
    assert_eq!(with("if: branch == 'ne^"), Vec::<String>::new());
    let steps = "jobs:\n  a:\n    steps:\n      - id: one\n        run: x\n      - id: two\n        run: y\n        env: {A: \"${{ steps.^\n      - id: three\n        run: x\n";
    assert_eq!(completions(steps), ["one"]);
}

#[test]
fn a_client_without_snippets_gets_none() {
    let mut editor = Editor::start_with(&[], json!({}));
    let position = editor.open_at(NAME, "jobs:\n  a:\n    im^\n");
    let answer = editor.ask("textDocument/completion", editor.at(NAME, &position)).unwrap();
    let image = answer.as_array().unwrap().iter().find(|item| item["label"] == "image").unwrap().clone();
    assert_eq!(image["textEdit"]["newText"], "image: ");
    assert_eq!(image["insertTextFormat"], Value::Null);
    assert!(image["documentation"]["value"].as_str().unwrap().contains("container"), "{image:#}");
}

#[test]
fn every_beginning_of_a_text_is_answered() {
    let mut editor = opened("");
    let mut written = String::new();
    let mut answers = 0;
    for c in PIPELINE.replace("release", "r\u{1F600}l").chars() {
        written.push(c);
        let end = json!({ "line": 999_999, "character": 0 });
        let change = json!({ "range": { "start": end, "end": end }, "text": c.to_string() });
        let document = json!({ "uri": editor.uri(NAME), "version": written.len() });
        editor.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
        let at = editor.at(NAME, &end);
        let asked = [
            editor.request("textDocument/completion", at.clone()),
            editor.request("textDocument/hover", at.clone()),
            editor.request("textDocument/definition", at.clone()),
            editor.request("textDocument/prepareRename", at),
            editor.request("textDocument/documentSymbol", json!({ "textDocument": { "uri": editor.uri(NAME) } })),
        ];
        answers += asked.iter().filter(|id| editor.answer(id).is_ok_and(|answer| !answer.is_null())).count();
    }
    assert!(answers > written.len(), "{answers} of {} bytes", written.len());
}

// --- Hover, definition, references ----------------------------------------------------------------------------------

/// The hover over the nth occurrence of a text.
fn hover(editor: &mut Editor, text: &str, nth: usize) -> String {
    let at = editor.at(NAME, &editor.find(NAME, text, nth));
    let answer = editor.ask("textDocument/hover", at).unwrap();
    answer["contents"]["value"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn hover_tells_what_a_place_means() {
    let mut editor = opened(PIPELINE);
    let needs = hover(&mut editor, "needs", 0);
    assert!(needs.contains("must be done first") && needs.contains("```yaml\nneeds: [lint, build]\n```"), "{needs}");
    let job = hover(&mut editor, "lint", 1);
    assert!(job.contains("`lint`") && job.contains("busybox:1.36") && job.contains("1. Read it"), "{job}");
    assert!(hover(&mut editor, "branch", 0).contains("The branch"));
    assert!(hover(&mut editor, "matrix.python", 0).contains("combination"));
    assert!(hover(&mut editor, "python }}", 0).contains("3.11"));
    assert!(hover(&mut editor, "MODE }}", 0).contains("MODE: release"));
    assert!(hover(&mut editor, "TOKEN", 1).contains("declares"));
    assert_eq!(hover(&mut editor, "make test", 0), "");
}

/// The lines (from 0) of what `method` answers for the nth occurrence of a text.
fn lines(editor: &mut Editor, method: &str, text: &str, nth: usize) -> Vec<u64> {
    let mut params = editor.at(NAME, &editor.find(NAME, text, nth));
    params["context"] = json!({ "includeDeclaration": true });
    let answer = editor.ask(method, params).unwrap();
    let found = answer.as_array().cloned().unwrap_or_default();
    let range = |found: &Value| found.get("range").cloned().unwrap();
    found.iter().map(|found| range(found)["start"]["line"].as_u64().unwrap()).collect()
}

#[test]
fn definitions_and_references_are_each_others_ways() {
    let mut editor = opened(PIPELINE);
    let definition = "textDocument/definition";
    let cases: &[(&str, usize, &[u64])] = &[
        ("lint]", 0, &[5]),
        ("lint.status", 0, &[5]),
        ("version }}", 0, &[8]),
        ("read.outputs", 0, &[11]),
        ("python }}", 0, &[19]),
        ("MODE }}", 0, &[3]),
        ("TOKEN", 1, &[1]),
        ("make test", 0, &[]),
    ];
    for (text, nth, wanted) in cases {
        assert_eq!(lines(&mut editor, definition, text, *nth), *wanted, "{text}");
    }
    let references = "textDocument/references";
    assert_eq!(lines(&mut editor, references, "lint:", 0), [5, 16, 17, 24, 30]);
    assert_eq!(lines(&mut editor, references, "TOKEN", 0), [1, 25]);
    assert_eq!(lines(&mut editor, "textDocument/documentHighlight", "lint:", 0), [5, 16, 17, 24, 30]);
}

#[test]
fn an_include_leads_to_its_file() {
    let lint = "jobs:\n  lint:\n    image: busybox:1\n    steps: [{run: x}]\n";
    let mut editor = Editor::start(&[("ci/lint.yml", lint)]);
    editor
        .open(NAME, "include: [./ci/lint.yml]\njobs:\n  a:\n    image: b:1\n    needs: lint\n    steps: [{run: x}]\n");
    let at = editor.at(NAME, &editor.find(NAME, "ci/", 0));
    let found = editor.ask("textDocument/definition", at).unwrap();
    assert_eq!(found["uri"], editor.uri("ci/lint.yml"));
    let at = editor.at(NAME, &editor.find(NAME, "needs: lint", 0));
    assert_eq!(editor.ask("textDocument/definition", at).unwrap(), Value::Null, "a key leads nowhere");
    let position = json!({ "line": 4, "character": 12 });
    let found = editor.ask("textDocument/definition", editor.at(NAME, &position)).unwrap();
    assert_eq!(found[0]["uri"], editor.uri("ci/lint.yml"));
    assert_eq!(found[0]["range"]["start"], json!({ "line": 1, "character": 2 }));
}

// --- Rename, fixes, symbols, lenses ---------------------------------------------------------------------------------

#[test]
fn a_renamed_job_is_renamed_everywhere() {
    let lint = "jobs:\n  more:\n    image: busybox:1\n    needs: lint\n    steps: [{run: x}]\n";
    let mut editor = Editor::start(&[("ci/more.yml", lint)]);
    editor.open("ci/more.yml", lint);
    editor.open(NAME, &format!("include: ci/more.yml\n{PIPELINE}"));
    assert_eq!(editor.findings(NAME), Vec::<String>::new());
    let at = editor.at(NAME, &editor.find(NAME, "lint.outputs", 0));
    let prepared = editor.ask("textDocument/prepareRename", at.clone()).unwrap();
    assert_eq!(prepared["placeholder"], "lint");
    assert_eq!(editor.slice(NAME, &prepared["range"]), "lint");
    let mut params = at;
    params["newName"] = json!("check");
    let edit = editor.ask("textDocument/rename", params).unwrap();
    let changes = edit["changes"].as_object().unwrap().clone();
    assert_eq!(changes.len(), 2, "{changes:#?}");
    for name in [NAME, "ci/more.yml"] {
        editor.apply(name, &changes[&editor.uri(name)]);
    }
    assert_eq!(editor.findings(NAME), Vec::<String>::new());
    assert_eq!(editor.findings("ci/more.yml"), Vec::<String>::new());
    assert_eq!(editor.text("ci/more.yml"), lint.replace("needs: lint", "needs: check"));
    assert_eq!(editor.text(NAME).matches("check").count(), 5);
    assert_eq!(editor.text(NAME).matches("lint").count(), 0);
}

#[test]
fn a_bad_name_is_refused_with_a_word() {
    let mut editor = opened(PIPELINE);
    let cases = [("lint:", "2nd", "cannot be the key"), ("lint:", "test", "already"), ("release", "x", "only jobs")];
    for (text, new, said) in cases {
        let mut params = editor.at(NAME, &editor.find(NAME, text, 0));
        params["newName"] = json!(new);
        let (code, message) = editor.ask("textDocument/rename", params).unwrap_err();
        assert_eq!(code, -32803, "{message}");
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn a_quick_fix_mends_its_finding() {
    let cases = [
        ("needs: [lint]", "needs: [lnt]"),
        ("image: python", "imgae: python"),
        ("secrets: [TOKEN]\n  test", "secrets: [TOKN]\n  test"),
        ("image: busybox:1.36\n", "image: busybox:1.36\n    continue-on-error: yes\n"),
        ("image: busybox:1.36\n", "image: busybox:1.36\n    network: nnoe\n"),
        ("${{ matrix.python }}", "${{ matrix.pythn }}"),
        ("if: branch", "if: brnch"),
        ("steps.read.outputs", "steps.raed.outputs"),
    ];
    for (good, bad) in cases {
        let mut editor = opened(&PIPELINE.replacen(good, bad, 1));
        let found = editor.raw_findings(NAME);
        let finding = found.iter().find(|finding| finding["severity"] == 1).unwrap_or_else(|| panic!("{bad}")).clone();
        let params = json!({
            "textDocument": { "uri": editor.uri(NAME) },
            "range": finding["range"],
            "context": { "diagnostics": [finding] },
        });
        let actions = editor.ask("textDocument/codeAction", params).unwrap();
        let action = &actions[0];
        assert_eq!(action["kind"], "quickfix", "{bad}: {actions:#}");
        assert_eq!(action["diagnostics"][0], finding);
        let edits = action["edit"]["changes"][editor.uri(NAME)].clone();
        editor.apply(NAME, &edits);
        assert_eq!(editor.findings(NAME), Vec::<String>::new(), "{bad}: {}", editor.text(NAME));
    }
}

#[test]
fn symbols_are_jobs_with_their_steps() {
    let mut editor = opened(PIPELINE);
    let params = json!({ "textDocument": { "uri": editor.uri(NAME) } });
    let symbols = editor.ask("textDocument/documentSymbol", params).unwrap();
    let names = |symbols: &Value| -> Vec<String> {
        symbols.as_array().unwrap().iter().map(|symbol| symbol["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&symbols), ["lint", "build", "test"]);
    assert_eq!(names(&symbols[0]["children"]), ["Read it"]);
    assert_eq!(names(&symbols[2]["children"]), ["make test"]);
    assert_eq!(symbols[0]["detail"], "busybox:1.36");
    assert_eq!(editor.slice(NAME, &symbols[1]["selectionRange"]), "build");
    let lint = editor.slice(NAME, &symbols[0]["range"]);
    assert!(lint.starts_with("lint:") && lint.ends_with("$ARGON_OUTPUT"), "{lint}");
}

#[test]
fn lenses_name_the_file_and_the_job() {
    let mut editor = opened(PIPELINE);
    let params = json!({ "textDocument": { "uri": editor.uri(NAME) } });
    let lenses = editor.ask("textDocument/codeLens", params).unwrap();
    let commands: Vec<&Value> = lenses.as_array().unwrap().iter().map(|lens| &lens["command"]).collect();
    assert_eq!(commands.len(), 6);
    assert_eq!(commands[0]["command"], "argon.run");
    assert_eq!(commands[1]["command"], "argon.debug");
    assert_eq!(commands[2]["arguments"], json!([editor.uri(NAME), "build"]));
    let (_, refused) = editor.ask("workspace/executeCommand", json!({ "command": "argon.run" })).unwrap_err();
    assert!(refused.contains("editor"), "{refused}");
}

// --- The protocol ---------------------------------------------------------------------------------------------------

#[test]
fn the_protocol_is_kept_from_hello_to_goodbye() {
    let mut editor = Editor::silent(&[]);
    assert_eq!(editor.ask("textDocument/hover", json!({})).unwrap_err().0, -32002, "not before `initialize`");
    let hello = editor.ask("initialize", json!({ "capabilities": {} })).unwrap();
    assert_eq!(hello["capabilities"]["positionEncoding"], "utf-16");
    assert_eq!(hello["capabilities"]["textDocumentSync"]["change"], 2);
    editor.tell("initialized", json!({}));
    assert_eq!(editor.ask("argon/unheard", json!({})).unwrap_err().0, -32601);
    assert_eq!(editor.ask("textDocument/hover", json!({ "what": 1 })).unwrap_err().0, -32602);
    assert_eq!(editor.ask("shutdown", Value::Null), Ok(Value::Null));
    assert_eq!(editor.ask("textDocument/hover", json!({})).unwrap_err().0, -32600, "not after `shutdown`");
    editor.tell("exit", Value::Null);
    let (status, said) = editor.ended();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn leaving_without_a_word_is_quiet() {
    let mut editor = Editor::start(&[]);
    editor.tell("exit", Value::Null);
    let (status, said) = editor.ended();
    assert_eq!((status.code(), said.as_str()), (Some(1), ""));
    let mut editor = Editor::start(&[]);
    editor.close_input();
    let (status, said) = editor.ended();
    assert_eq!((status.code(), said.as_str()), (Some(1), ""));
}

#[test]
fn what_is_taken_back_is_not_answered_as_asked() {
    let mut editor = opened(PIPELINE);
    // One write, so that the server has the second message when it comes to the first.
    let frame = |content: String| format!("Content-Length: {}\r\n\r\n{content}", content.len());
    let ask = json!({ "jsonrpc": "2.0", "id": 900, "method": "textDocument/documentSymbol",
        "params": { "textDocument": { "uri": editor.uri(NAME) } } });
    let cancel = json!({ "jsonrpc": "2.0", "method": "$/cancelRequest", "params": { "id": 900 } });
    let edits: String = (0..20).map(|_| frame(json!({ "jsonrpc": "2.0", "method": "$/noise" }).to_string())).collect();
    editor.write((edits + &frame(ask.to_string()) + &frame(cancel.to_string())).as_bytes());
    match editor.answer(&900.into()) {
        Err((code, _)) => assert_eq!(code, -32800),
        // It was answered before the server had read that it is not wanted.
        Ok(symbols) => assert_eq!(symbols.as_array().unwrap().len(), 3),
    }
}

#[test]
fn what_is_no_message_is_refused_and_the_next_one_read() {
    let mut editor = Editor::start(&[]);
    editor.write(b"Content-Length: 9\r\n\r\n{\"jsonrpc");
    assert!(editor.complaint().contains("-32700"));
    editor.write(b"Content-Length: 2\r\n\r\n[]");
    assert!(editor.complaint().contains("-32600"));
    editor.write(b"Content-Length: 4\r\n\r\n\xff\xfe\xfd\xfc");
    assert!(editor.complaint().contains("-32700"));
    assert_eq!(editor.ask("argon/unheard", json!({})).unwrap_err().0, -32601);
    editor.write(b"Content-Length: -1\r\n\r\n");
    let (status, said) = editor.ended();
    assert_eq!((status.code(), said.as_str()), (Some(1), ""));
}
