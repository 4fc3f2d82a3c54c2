//! Any text as a step's script.
#![no_main]

use argon::pipeline::{Shell, script};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for shell in [Shell::Sh, Shell::Bash] {
        if let Some(problem) = script::check(text, &shell) {
            assert!(text.get(problem.offset..).is_some_and(|rest| !rest.is_empty()), "{problem:?}");
        }
    }
    for (name, at) in script::named_files(text) {
        assert!(text.get(at).is_some_and(|word| word.ends_with(&name)), "{name}");
    }
    let _ = script::makes_no_files(text);
});
