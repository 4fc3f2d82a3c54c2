//! A step's script, looked at without running it: errors of its syntax, and the files that it plainly names.
//!
//! The script is read by what POSIX sh, dash, busybox ash and bash agree on: what is reported, none of them
//! takes, but for a here-document without its end, which runs to the end of the script where a shell takes it. Where
//! they differ, or where this reader knows too little (extended globs, `coproc`, very deep nesting), it gives up and says
//! nothing: a false warning is worse than none. brush-parser knows more, and was tried: 30 crates, a second for 1 MiB,
//! minutes for 10,000 open parentheses, and it does not tell what it is that was left open.

mod compound;
mod grammar;
mod names;
mod words;

use std::borrow::Cow;
use std::ops::Range;

use super::{MAX_BYTES, Shell};
use grammar::Reader;

/// What is wrong with a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptProblem {
    /// Where, in bytes of the script: the character that no shell takes, or the one that is left open.
    pub offset: usize,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// The first error of syntax in a script of sh or bash. Linear in its length; `${{ … }}` counts as a word.
#[must_use]
pub fn check(script: &str, shell: &Shell) -> Option<ScriptProblem> {
    let dialect = match shell {
        Shell::Sh => Dialect::Sh,
        Shell::Bash => Dialect::Bash,
        Shell::Python | Shell::Custom(_) => return None,
    };
    let text = plain(script)?;
    match Reader::new(&text, dialect).script() {
        Err(Stop::Problem(problem)) => Some(problem),
        Ok(()) | Err(Stop::Unsure) => None,
    }
}

/// The relative paths that a script of sh or bash cannot do without, each with where it stands: programs, arguments of
/// commands that read files, `< file`. Only those before the first command that might have made them, and none that the
/// script asks about or does without (`test -f`, `||`). Every such path is below the folder that the script begins in.
#[must_use]
pub fn named_files(script: &str) -> Vec<(String, Range<usize>)> {
    looked_at(script).files
}

/// Whether a script is known to make no file: then the files that the next step names had to be there before it, too.
#[must_use]
pub fn makes_no_files(script: &str) -> bool {
    looked_at(script).makes_none
}

fn looked_at(script: &str) -> names::Names {
    let Some(text) = plain(script) else { return names::Names::default() };
    let mut reader = Reader::new(&text, Dialect::Sh);
    let end = reader.script();
    names::of(&text, &reader.commands, end.is_ok())
}

/// Which shell reads the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sh,
    Bash,
}

/// Why reading ended early.
#[derive(Debug)]
enum Stop {
    /// No shell takes this.
    Problem(ScriptProblem),
    /// A shell might.
    Unsure,
}

/// Part of a word to every shell, and of no file's name that is taken for one.
const PLACEHOLDER: &str = "%";

/// The script with a word of the same length for each `${{ … }}`. `None` where it is nothing to look at.
fn plain(script: &str) -> Option<Cow<'_, str>> {
    if script.len() > MAX_BYTES || memchr::memchr2(b'\0', b'\r', script.as_bytes()).is_some() {
        return None;
    }
    let mut text = Cow::Borrowed(script);
    let mut from = 0;
    while let Some(found) = script.get(from..)?.find("${{") {
        let start = from + found;
        from = end_of_expression(script, start + 3)?;
        text.to_mut().replace_range(start..from, &PLACEHOLDER.repeat(from - start));
    }
    Some(text)
}

/// Behind the `}}` of an expression; one in a text of it does not count.
fn end_of_expression(script: &str, from: usize) -> Option<usize> {
    let mut in_text = false;
    let bytes = script.as_bytes();
    (from..bytes.len()).find_map(|at| match bytes[at] {
        b'\'' => {
            in_text = !in_text;
            None
        }
        b'}' if !in_text && bytes.get(at + 1) == Some(&b'}') => Some(at + 2),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
