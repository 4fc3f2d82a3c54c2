//! Any text as the expression of a condition, of a script and of a variable in a file that is fine otherwise.
#![no_main]

mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A text of JSON is a text of YAML.
    let quoted = |text: String| serde_json::Value::String(text).to_string();
    let condition = quoted(text.to_owned());
    let template = quoted(format!("a ${{{{ {text} }}}} b"));
    let file = format!(
        "env: {{A: {template}}}\njobs:\n  a:\n    image: b:1\n    if: {condition}\n    \
         steps:\n      - id: s\n        if: {condition}\n        run: {template}\n"
    );
    checks::hold(file.as_bytes());
});
