//! What a Dockerfile rests on: the images that a build of it takes, and what of its folder the build does not see.
//!
//! The engine builds; this reads just enough to have those images there before (each pulled once, with the user's logins and
//! Argon's progress), and to know when an image that was built is out of date. What it cannot tell, the engine sees to.
//! The format: <https://docs.docker.com/reference/dockerfile/>.

mod ignore;

pub use ignore::{Ignore, IgnoreError};

/// What a build is named that begins from nothing.
const NOTHING: &str = "scratch";

/// A Dockerfile, as far as it names images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// `# syntax=`: the image that reads the file.
    syntax: Option<String>,
    /// `ARG`s before the first stage, with their defaults.
    args: Vec<(String, Option<String>)>,
    stages: Vec<Stage>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stage {
    name: Option<String>,
    /// What it begins from, as it is written.
    base: String,
    /// It names a platform of its own: which image that is, the engine knows.
    other_platform: bool,
    /// What it copies or mounts from, as it is written.
    takes: Vec<String>,
}

impl Dockerfile {
    /// Reads one. Never fails: what is wrong in it, the engine says when it builds.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (syntax, escape) = directives(text);
        let mut file = Self { syntax, ..Self::default() };
        for line in instructions(text, escape) {
            let words = shlex::split(&line).unwrap_or_else(|| line.split_whitespace().map(str::to_owned).collect());
            let Some((instruction, rest)) = words.split_first() else { continue };
            match (instruction.to_ascii_uppercase().as_str(), file.stages.last_mut()) {
                ("FROM", _) => file.stages.extend(stage(rest)),
                ("ARG", None) => file.args.extend(rest.iter().map(|word| match word.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (word.clone(), None),
                })),
                ("COPY" | "ADD" | "RUN", Some(stage)) => stage.takes.extend(taken(rest)),
                _ => {}
            }
        }
        file
    }

    /// The images that a build of `target` (the last stage where not said) takes from elsewhere, each once, in the order of
    /// the file. Those whose names rest on what is not known here are left out.
    #[must_use]
    pub fn images(&self, target: Option<&str>, args: &[(String, String)]) -> Vec<String> {
        let mut images: Vec<String> = self.syntax.iter().cloned().collect();
        let last = self.stages.len().checked_sub(1);
        let target = target.map_or(last, |name| self.stage(name, self.stages.len()));
        let mut wanted: Vec<usize> = target.into_iter().collect();
        let mut seen = vec![false; self.stages.len()];
        while let Some(at) = wanted.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let stage = &self.stages[at];
            let base = (!stage.other_platform).then(|| self.value(&stage.base, args)).flatten();
            for name in base.into_iter().chain(stage.takes.iter().filter_map(|name| self.value(name, args))) {
                match self.stage(&name, at) {
                    Some(earlier) => wanted.push(earlier),
                    None if name == NOTHING || name.is_empty() || images.contains(&name) => {}
                    None => images.push(name),
                }
            }
        }
        images
    }

    /// The stage before `before` that a name or a number means; the last one of that name.
    fn stage(&self, name: &str, before: usize) -> Option<usize> {
        let named = |stage: &Stage| stage.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        let by_name = self.stages[..before].iter().rposition(named);
        by_name.or_else(|| name.parse().ok().filter(|number| *number < before))
    }

    /// A word with its variables replaced, where all of them are known.
    fn value(&self, word: &str, given: &[(String, String)]) -> Option<String> {
        let arg = |name: &str| {
            let (_, default) = self.args.iter().rfind(|(known, _)| known == name)?;
            given.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.clone()).or_else(|| default.clone())
        };
        substitute(word, &arg, 8)
    }
}

/// The parser directives at the top: `# syntax=` and `# escape=`.
fn directives(text: &str) -> (Option<String>, char) {
    let (mut syntax, mut escape) = (None, '\\');
    for line in text.lines() {
        let Some((name, value)) = line.trim().strip_prefix('#').and_then(|line| line.split_once('=')) else { break };
        match (name.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("syntax", image) => syntax = Some(image.to_owned()),
            ("escape", "`") => escape = '`',
            ("escape" | "check", _) => {}
            _ => break,
        }
    }
    (syntax, escape)
}

/// The instructions, each as one line: comments are out, continued lines joined, here-documents passed over.
fn instructions(text: &str, escape: char) -> Vec<String> {
    let mut instructions = Vec::new();
    let mut lines = text.lines();
    let mut begun = String::new();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        match line.strip_suffix(escape) {
            Some(part) => {
                begun.push_str(part);
                begun.push(' ');
            }
            None => {
                begun.push_str(line);
                for end in here_documents(&begun) {
                    // Also where its end is missing: then there is no more to read.
                    lines.by_ref().find(|line| line.trim() == end);
                }
                instructions.push(std::mem::take(&mut begun));
            }
        }
    }
    instructions.push(begun);
    instructions
}

/// The words that end the here-documents of an instruction: `RUN <<EOF`, `COPY <<-"EOF" /etc/motd`.
fn here_documents(line: &str) -> Vec<String> {
    let takes_some = ["RUN", "COPY", "ADD"]
        .iter()
        .any(|name| line.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)));
    if !takes_some {
        return Vec::new();
    }
    let end = |word: &str| {
        let word = word.split_once("<<")?.1;
        let word = word.strip_prefix('-').unwrap_or(word).trim_matches(['"', '\'']);
        let is_name = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then(|| word.to_owned())
    };
    line.split_whitespace().filter_map(end).collect()
}

/// `FROM [--platform=P] IMAGE [AS NAME]`.
fn stage(words: &[String]) -> Option<Stage> {
    let flags = words.iter().take_while(|word| word.starts_with("--"));
    // That of the machine, by either name, is what an image is pulled for.
    let is_own =
        |platform: &str| ["$BUILDPLATFORM", "$TARGETPLATFORM"].contains(&platform.replace(['{', '}'], "").as_str());
    let other_platform = flags.clone().any(|flag| flag.strip_prefix("--platform=").is_some_and(|value| !is_own(value)));
    let mut words = words.iter().skip(flags.count());
    let base = words.next()?.clone();
    let name = words.next().filter(|word| word.eq_ignore_ascii_case("as")).and_then(|_| words.next()).cloned();
    Some(Stage { name, base, other_platform, takes: Vec::new() })
}

/// What an instruction takes from elsewhere: `--from=NAME`, and `from=NAME` in a `--mount`.
fn taken(words: &[String]) -> impl Iterator<Item = String> {
    let flags = words.iter().take_while(|word| word.starts_with("--"));
    flags.filter_map(|flag| match flag.split_once('=')? {
        ("--from", name) => Some(name.to_owned()),
        ("--mount", options) => options.split(',').find_map(|option| option.strip_prefix("from=")).map(str::to_owned),
        _ => None,
    })
}

/// Replaces `$NAME`, `${NAME}`, `${NAME:-WORD}` and `${NAME:+WORD}`; `None` where a variable is not known. `depth` bounds words
/// within words.
fn substitute(word: &str, arg: &dyn Fn(&str) -> Option<String>, depth: usize) -> Option<String> {
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(inner) = rest.strip_prefix('{') {
            let end = closing(inner)?;
            text.push_str(&braced(&inner[..end], arg, depth)?);
            rest = &inner[end + 1..];
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            text.push_str(&arg(&rest[..end])?);
            rest = &rest[end..];
        }
    }
    text.push_str(rest);
    Some(text)
}

/// Where the brace ends that was opened before.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    text.char_indices().find_map(|(at, c)| {
        open += i32::from(c == '{') - i32::from(c == '}');
        (open == 0).then_some(at)
    })
}

/// What stands between braces: `NAME`, `NAME:-WORD` (or this), `NAME:+WORD` (this, where it has a value).
fn braced(text: &str, arg: &dyn Fn(&str) -> Option<String>, depth: usize) -> Option<String> {
    let Some((name, rest)) = text.split_once(':') else { return arg(text) };
    let known = arg(name).filter(|value| !value.is_empty());
    let word = |word: &str| substitute(word, arg, depth.checked_sub(1)?);
    match (rest.strip_prefix('-'), rest.strip_prefix('+'), known) {
        (Some(_), _, Some(value)) => Some(value),
        (Some(other), _, None) => word(other),
        (_, Some(other), Some(_)) => word(other),
        (_, Some(_), None) => Some(String::new()),
        (None, None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(text: &str, target: Option<&str>, args: &[(&str, &str)]) -> String {
        let args: Vec<_> = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Dockerfile::parse(text).images(target, &args).join(" ")
    }

    #[test]
    fn the_images_that_a_build_takes() {
        for (text, taken) in [
            ("FROM python:3.12\nRUN FROM x", "python:3.12"),
            ("from python:3.12 as base\nFROM base\n", "python:3.12"),
            ("FROM scratch\nCOPY --from=golang:1 /x /x", "golang:1"),
            ("# syntax=docker/dockerfile:1\n# escape=`\nFROM a `\n  AS b\nFROM b", "docker/dockerfile:1 a"),
            ("# a word\n# syntax=docker/dockerfile:1\nFROM a", "a"),
            ("FROM a AS one\nFROM b AS two\nFROM c\nCOPY --from=one / /\nCOPY --from=1 / /", "c b a"),
            ("FROM a\nRUN --mount=type=cache,target=/c --mount=type=bind,from=tool:1,target=/t make", "a tool:1"),
            ("FROM a\nRUN <<EOF\nFROM b\nEOF\nCOPY --from=c / /", "a c"),
            ("FROM --platform=$BUILDPLATFORM a", "a"),
            ("FROM --platform=linux/s390x a\nCOPY --from=b / /", "b"),
            ("FROM a \\\n# in between\n\n AS x\nFROM x", "a"),
            ("ONLY nonsense", ""),
            ("", ""),
        ] {
            assert_eq!(images(text, None, &[]), taken, "{text}");
        }
    }

    #[test]
    fn a_target_takes_what_leads_to_it_alone() {
        let text = "FROM a AS base\nFROM base AS test\nCOPY --from=x / /\nFROM b AS ship\nCOPY --from=test / /";
        assert_eq!(images(text, Some("base"), &[]), "a");
        assert_eq!(images(text, Some("TEST"), &[]), "x a");
        assert_eq!(images(text, None, &[]), "b x a");
        assert_eq!(images(text, Some("nowhere"), &[]), "", "the engine says that there is none");
    }

    #[test]
    fn arguments_are_put_in_where_they_are_known() {
        let text = "ARG V=3.12\nARG TAG\nFROM python:${V}${TAG:+-$TAG}\nFROM ${REST:-x}\nCOPY --from=0 / /";
        assert_eq!(images(text, Some("0"), &[]), "python:3.12");
        assert_eq!(images(text, Some("0"), &[("V", "3.10"), ("TAG", "slim")]), "python:3.10-slim");
        assert_eq!(images(text, None, &[]), "x python:3.12");
        assert_eq!(images("FROM $V", None, &[("V", "not declared")]), "", "an argument counts where it is declared");
        assert_eq!(images("ARG V\nFROM a:$V", None, &[]), "");
        assert_eq!(images(&format!("FROM {}", "${A:-".repeat(5000)), None, &[]), "");
        assert_eq!(images(&format!("FROM {}x{}", "${A:-".repeat(50), "}".repeat(50)), None, &[]), "");
    }
}
