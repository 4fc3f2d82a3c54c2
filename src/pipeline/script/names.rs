//! The files that a script plainly names. Only what is certain: a path that a command may make, ask for or do without is
//! none.

use std::collections::HashSet;
use std::ops::Range;

use super::grammar::Command;
use super::words::Word;

/// What a script says of files.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The paths that it cannot do without, in its order.
    pub(super) files: Vec<(String, Range<usize>)>,
    /// Whether it is known to make no file.
    pub(super) makes_none: bool,
}

/// Commands that make no file, unless `>` does.
const HARMLESS: [&str; 38] = [
    ".", ":", "[", "[[", "basename", "cat", "chmod", "command", "date", "df", "dirname", "du", "echo", "env", "exit",
    "export", "false", "free", "grep", "head", "id", "local", "ls", "printf", "pwd", "readonly", "return", "set",
    "shift", "sleep", "tail", "test", "trap", "true", "type", "umask", "uname", "which",
];
/// Commands whose first argument is a script.
const INTERPRETERS: [&str; 12] =
    ["python", "python3", "node", "ruby", "perl", "php", "Rscript", "sh", "bash", "dash", ".", "source"];
/// Commands of which `-f FILE` reads.
const READERS_OF_F: [&str; 7] = ["make", "docker", "docker-compose", "podman", "kubectl", "psql", "awk"];
/// Names that are no path, for commands that ask for a file before they use it.
const QUESTIONS: [&str; 5] = ["test", "[", "[[", "ls", "stat"];

/// Looks at the commands of a script, up to the first that may make files or change the folder.
pub(super) fn of(text: &str, commands: &[Command], is_whole: bool) -> Names {
    let asked: HashSet<&str> = commands
        .iter()
        .filter(|command| command.words.first().is_some_and(|word| QUESTIONS.contains(&raw(text, word))))
        .flat_map(|command| command.words.iter().skip(1).map(|word| unquoted(raw(text, word))))
        .collect();
    let mut names = Names { files: Vec::new(), makes_none: is_whole };
    for command in commands {
        if command.is_outermost && !command.is_optional {
            let needed = needed(text, command);
            names.files.extend(needed.into_iter().filter(|(path, _)| !asked.contains(path.as_str())));
        }
        if !is_harmless(text, command) {
            names.makes_none = false;
            break;
        }
    }
    names
}

fn raw<'a>(text: &'a str, word: &Word) -> &'a str {
    text.get(word.at.clone()).unwrap_or_default()
}

fn unquoted(word: &str) -> &str {
    word.trim_matches(['"', '\''])
}

/// The words without assignments and without what only starts another command.
fn program<'a>(text: &str, command: &'a Command) -> &'a [Word] {
    let mut words = command.words.as_slice();
    while let [first, rest @ ..] = words {
        let word = raw(text, first);
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        if !is_assignment && !matches!(word, "exec" | "time" | "sudo" | "nice") {
            break;
        }
        words = rest;
    }
    words
}

fn is_harmless(text: &str, command: &Command) -> bool {
    let writes = command.outputs.iter().any(|word| {
        let target = raw(text, word);
        !target.starts_with("/dev/") && target != "-" && target.parse::<u32>().is_err()
    });
    let first = program(text, command).first();
    !writes
        && first.is_none_or(|word| HARMLESS.contains(&raw(text, word)) && !matches!(raw(text, word), "." | "command"))
}

fn needed(text: &str, command: &Command) -> Vec<(String, Range<usize>)> {
    let mut found: Vec<&Word> = command.inputs.iter().collect();
    if let [first, arguments @ ..] = program(text, command) {
        let name = raw(text, first);
        if name.contains('/') {
            found.push(first);
        }
        found.extend(arguments_that_are_files(text, name, arguments));
    }
    found.sort_by_key(|word| word.at.start);
    let paths = found.into_iter().filter(|word| word.is_plain);
    paths.filter_map(|word| Some((path(raw(text, word))?, word.at.clone()))).collect()
}

fn arguments_that_are_files<'a>(text: &str, name: &str, arguments: &'a [Word]) -> Vec<&'a Word> {
    let is_option = |word: &&Word| raw(text, word).starts_with(['-', '+']);
    let behind = |options: &[&str]| -> Vec<&'a Word> {
        let pairs = arguments.iter().zip(arguments.iter().skip(1));
        pairs.filter(|(option, _)| options.contains(&raw(text, option))).map(|(_, value)| value).collect()
    };
    // What an option takes with it is not known: with one, only what has the look of a file counts.
    let plain: Vec<&Word> = arguments.iter().filter(|word| !is_option(word)).collect();
    let has_options = arguments.iter().any(|word| is_option(&word));
    match name {
        _ if INTERPRETERS.contains(&name) => {
            let first = arguments.iter().find(|word| !is_option(word));
            let flags = arguments.iter().take_while(is_option).all(|word| {
                matches!(raw(text, word), "-e" | "-u" | "-x" | "-eu" | "-ex" | "-eux" | "-B" | "-s")
                    && !runs_text(name, raw(text, word))
            });
            first.filter(|word| flags && looks_like_a_file(raw(text, word))).into_iter().collect()
        }
        "cat" => plain,
        "chmod" if !has_options || arguments.first().is_some_and(|word| is_option(&word)) => {
            plain.into_iter().filter(|word| looks_like_a_file(raw(text, word))).collect()
        }
        "cp" if !has_options && plain.len() > 1 => plain[..plain.len() - 1].to_vec(),
        "pip" | "pip3" => behind(&["-r", "--requirement"]),
        "docker" | "docker-compose" | "podman" => behind(&["-f", "--file", "--env-file"]),
        _ if READERS_OF_F.contains(&name) => behind(&["-f", "--file"]),
        _ => Vec::new(),
    }
}

/// Whether an option of an interpreter takes a script as text.
fn runs_text(name: &str, option: &str) -> bool {
    matches!((name, option), ("node" | "ruby" | "perl" | "Rscript", "-e") | ("python" | "python3", "-e") | (_, "-s"))
}

fn looks_like_a_file(word: &str) -> bool {
    word.contains('/') || word.trim_start_matches('.').contains('.') || (word.starts_with('.') && word.len() > 1)
}

/// The path, where it is a relative one that stays inside of its folder, without `./` before it.
fn path(word: &str) -> Option<String> {
    let word = word.strip_prefix("./").unwrap_or(word);
    let is_simple = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/@+,".contains(&byte) || byte >= 0x80);
    let is_inside = word.split('/').all(|piece| !matches!(piece, "" | "." | ".."));
    let is_option = word.starts_with(['-', '+']) || word.bytes().all(|byte| byte.is_ascii_digit());
    (is_simple && is_inside && !is_option).then(|| word.to_owned())
}
