//! What a step hands on: the files that its `ARGON_OUTPUT`, `ARGON_ENV`, `ARGON_PATH` and `ARGON_SUMMARY` name.
//!
//! Outputs and variables are lines `name=value`; a value of several lines is `name<<WORD`, the lines, `WORD`. That is the
//! format of GitHub Actions' files of the same use
//! (<https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>).

use super::supervisor::Content;
use crate::pipeline::{Env, is_variable_name};

/// The most that a step may leave in one file, in bytes. `supervisor.sh` has the same number.
const LIMIT: usize = 1024 * 1024;

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandFile {
    Output,
    Env,
    Path,
    Summary,
}

impl HandFile {
    pub(super) const ALL: [Self; 4] = [Self::Output, Self::Env, Self::Path, Self::Summary];

    /// The supervisor's word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Env => "env",
            Self::Path => "path",
            Self::Summary => "summary",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|file| file.word() == word)
    }

    /// The variable that names it to a step.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Output => "ARGON_OUTPUT",
            Self::Env => "ARGON_ENV",
            Self::Path => "ARGON_PATH",
            Self::Summary => "ARGON_SUMMARY",
        }
    }
}

/// What came out of a step's files so far.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: [Vec<u8>; 4],
    trouble: Option<BadHandover>,
}

/// What a step hands on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HandedOn {
    /// By name; a name that was written twice has its last value.
    pub(super) outputs: Vec<(String, String)>,
    /// For later steps.
    pub(super) env: Env,
    /// Folders for the front of `PATH`, the foremost first.
    pub(super) path: Vec<String>,
    /// Markdown; empty where there is none.
    pub(super) summary: String,
}

/// What is wrong with a file. Holds text of the step, unmasked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub(super) struct BadHandover {
    pub(super) file: HandFile,
    pub(super) problem: String,
}

impl Files {
    /// Takes what the supervisor sent.
    pub(super) fn take(&mut self, file: HandFile, content: Content) {
        let all = &mut self.files[file as usize];
        let problem = match content {
            Content::Piece(piece) if all.len() + piece.len() <= LIMIT => {
                all.extend_from_slice(&piece);
                return;
            }
            Content::Piece(_) | Content::Over => format!("it has more than {} KiB", LIMIT / 1024),
            Content::Lost => "it cannot be read: the image has no `dd` or no `wc`".to_owned(),
        };
        self.trouble.get_or_insert(BadHandover { file, problem });
    }

    /// Reads the files.
    pub(super) fn read(self) -> Result<HandedOn, BadHandover> {
        if let Some(trouble) = self.trouble {
            return Err(trouble);
        }
        let [output, env, path, summary] = self.files;
        let outputs = pairs(HandFile::Output, &output, |name| match is_output(name) {
            true => Ok(()),
            false => Err("a name has letters, digits, `_` and `-`".to_owned()),
        })?;
        let env = pairs(HandFile::Env, &env, |name| match name {
            "CI" | "ARGON" => Err(format!("`{name}` is set by Argon")),
            name if name.starts_with("ARGON_") => Err("variables that begin with `ARGON_` are Argon's".to_owned()),
            name if is_variable_name(name) => Ok(()),
            _ => Err("a variable has letters, digits and `_`".to_owned()),
        })?;
        let mut path: Vec<String> =
            text(HandFile::Path, &path)?.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        path.reverse();
        Ok(HandedOn { outputs, env, path, summary: String::from_utf8_lossy(&summary).into_owned() })
    }
}

fn is_output(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn text(file: HandFile, bytes: &[u8]) -> Result<&str, BadHandover> {
    let bad = |problem: &str| BadHandover { file, problem: problem.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = memchr::memchr_iter(b'\n', &bytes[..error.valid_up_to()]).count() + 1;
        bad(&format!("line {line} is not UTF-8"))
    })?;
    if text.contains('\0') {
        return Err(bad("it has a NUL character in it"));
    }
    Ok(text)
}

/// The pairs of a file, each name once.
fn pairs(
    file: HandFile,
    bytes: &[u8],
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<(String, String)>, BadHandover> {
    let text = text(file, bytes)?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut lines = text.split('\n').enumerate();
    while let Some((at, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let bad = |problem: String| BadHandover { file, problem: format!("line {}: {problem}", at + 1) };
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        let (name, value) = match (equals, heredoc) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                (&line[..equals], line[equals + 1..].to_owned())
            }
            (_, Some(heredoc)) => {
                let word = &line[heredoc + 2..];
                if word.is_empty() {
                    return Err(bad("a word is missing behind `<<`: the one that ends the value".to_owned()));
                }
                let mut value: Vec<&str> = Vec::new();
                loop {
                    match lines.next() {
                        Some((_, line)) if line == word => break,
                        Some((_, line)) => value.push(line),
                        None => return Err(bad(format!("the line `{word}` that ends the value is missing"))),
                    }
                }
                (&line[..heredoc], value.join("\n"))
            }
            _ => {
                let shown: String = line.chars().take(60).collect();
                return Err(bad(format!("`{shown}` is neither `name=value` nor `name<<WORD`")));
            }
        };
        check(name)
            .map_err(|why| bad(format!("`{}` cannot be a name: {why}", name.chars().take(60).collect::<String>())))?;
        match pairs.iter_mut().find(|(known, _)| known == name) {
            Some(pair) => pair.1 = value,
            None => pairs.push((name.to_owned(), value)),
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests;
