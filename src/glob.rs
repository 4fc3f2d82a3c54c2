//! Patterns of paths, branches and tags, as the pipeline file has them. Pure, and knows no other room.
//!
//! `*` and `?` stay within a folder, `**` crosses folders, `[a-z]` is one character of a set, `{a,b}` either of two. A
//! leading `!` takes out again what an earlier pattern took in: the last one that matches decides. A leading `./` counts
//! for nothing, and a pattern that ends in `/` means all that is below.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A list of patterns, ready to be asked.
#[derive(Debug, Clone)]
pub struct Globs {
    set: GlobSet,
    /// What each pattern does to what it matches.
    verdicts: Vec<Verdict>,
}

/// What a pattern does to what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    In,
    Out,
}

/// Which pattern cannot be understood, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern: {why}")]
pub struct GlobError {
    /// Its place in the list, from 0.
    pub index: usize,
    /// The pattern as it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// What stands for a `**` inside of a folder's name: anything, of this folder or below.
const INSIDE: &str = "{*,*/**/*}";

impl Globs {
    /// Reads a list of patterns. An empty list matches nothing.
    ///
    /// # Errors
    /// The first pattern that cannot be understood.
    pub fn parse<T: AsRef<str>>(patterns: &[T]) -> Result<Self, GlobError> {
        let mut set = GlobSetBuilder::new();
        let mut verdicts = Vec::with_capacity(patterns.len());
        for (index, pattern) in patterns.iter().enumerate() {
            let pattern = pattern.as_ref();
            let refused = |why: String| GlobError { index, pattern: pattern.to_owned(), why };
            let (verdict, text) = match pattern.strip_prefix('!') {
                Some(rest) => (Verdict::Out, rest),
                None => (Verdict::In, pattern),
            };
            let text = text.strip_prefix("./").unwrap_or(text);
            if let Some(why) = objection(text) {
                return Err(refused(why.to_owned()));
            }
            let built = GlobBuilder::new(&normal(text))
                .literal_separator(true)
                .backslash_escape(true)
                .empty_alternates(true)
                .build()
                .map_err(|error| refused(error.kind().to_string()))?;
            set.add(built);
            verdicts.push(verdict);
        }
        let too_many = |error: globset::Error| GlobError {
            index: 0,
            pattern: error.glob().unwrap_or_default().to_owned(),
            why: error.kind().to_string(),
        };
        Ok(Self { set: set.build().map_err(too_many)?, verdicts })
    }

    /// Whether the list takes a path, or a name, in. Where it only takes out, it takes in all else.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let last = self.set.matches(path).into_iter().max().and_then(|at| self.verdicts.get(at));
        match last {
            Some(verdict) => *verdict == Verdict::In,
            None => !self.verdicts.is_empty() && !self.verdicts.contains(&Verdict::In),
        }
    }
}

/// What could never match, though it can be read.
fn objection(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("it is empty")
    } else if text.starts_with('/') {
        Some("it begins with `/`, and what it is matched with never does")
    } else if text.split('/').any(|part| part == "..") {
        Some("it has `..` in it, and what it is matched with never does")
    } else {
        None
    }
}

/// The pattern as globset has it, which knows `**` only as a whole part between slashes.
fn normal(text: &str) -> String {
    let whole = if text.ends_with('/') { format!("{text}**") } else { text.to_owned() };
    let parts = whole.split('/').map(|part| if part == "**" { part.to_owned() } else { crossing(part) });
    parts.collect::<Vec<_>>().join("/")
}

/// A part of a pattern in which `**` crosses folders: `**.rs` is `a.rs` and `b/c.rs`.
fn crossing(part: &str) -> String {
    let mut out = String::new();
    let mut rest = part.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' => {
                out.push(next);
                out.extend(rest.next());
            }
            '*' if rest.peek() == Some(&'*') => {
                while rest.next_if_eq(&'*').is_some() {}
                out.push_str(INSIDE);
            }
            _ => out.push(next),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn patterns_match_as_people_mean_them() {
        let cases: &[(&[&str], &[&str], &[&str])] = &[
            (&["*"], &["a", ".a", "a.b"], &["a/b"]),
            (&["**"], &["a", "a/b", "a/.b/c"], &[]),
            (&["*.rs"], &["a.rs", ".rs"], &["a/b.rs", "a.rsx", "A.RS"]),
            (&["**/*.rs"], &["a.rs", "a/b.rs", "a/b/c.rs"], &["a.rb"]),
            (&["**.rs"], &["a.rs", "a/b.rs", "a/b/c.rs"], &["a.rb", "a/rs"]),
            (&["src/**"], &["src/a", "src/a/b"], &["src", "srcs/a", "a/src/b"]),
            (&["src/"], &["src/a", "src/a/b"], &["src", "lib/a"]),
            (&["./src/**"], &["src/a"], &["./src/a"]),
            (&["src/**/b"], &["src/b", "src/a/b", "src/a/a/b"], &["src/ab"]),
            (&["src/**.rs"], &["src/a.rs", "src/a/b.rs"], &["a.rs", "lib/a.rs"]),
            (&["a**b"], &["ab", "axb", "a/b", "a/x/b", "ax/y/zb"], &["a", "b", "ab/c"]),
            (&["v?"], &["v1", "vx"], &["v", "v10", "v/"]),
            (&["v[0-9]*"], &["v1", "v1.2.3"], &["vx", "v1/a"]),
            (&["{a,b}/*.{c,d}"], &["a/x.c", "b/x.d"], &["c/x.c", "a/x.e"]),
            (&["release/*"], &["release/1", "release/1.2"], &["release", "release/1/2", "releases/1"]),
            (&["feature/**"], &["feature/a", "feature/a/b"], &["feature"]),
            (&["**", "!docs/**"], &["a", "docs"], &["docs/a", "docs/a/b"]),
            (&["**", "!docs/**", "docs/api/**"], &["a", "docs/api/x"], &["docs/a"]),
            (&["!docs/**", "**"], &["docs/a"], &[]),
            (&["!*.md"], &["a", "a/b.md"], &["a.md"]),
            (&["!*.md", "!*.txt"], &["a"], &["a.md", "a.txt"]),
            (&["!a", "b"], &["b"], &["a", "c"]),
            (&[r"\*", r"\!a"], &["*", "!a"], &["a", "x"]),
            (&[r"\**"], &["*", "*a"], &["a"]),
            (&["é*"], &["été"], &["e"]),
            (&[], &[], &["a", ""]),
        ];
        for (patterns, taken, left) in cases {
            let globs = Globs::parse(patterns).unwrap();
            for path in *taken {
                assert!(globs.matches(path), "{patterns:?} does not match {path}");
            }
            for path in *left {
                assert!(!globs.matches(path), "{patterns:?} matches {path}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_named_with_its_place() {
        for (pattern, why) in [
            ("", "it is empty"),
            ("!", "it is empty"),
            ("./", "it is empty"),
            ("/src", "it begins with `/`, and what it is matched with never does"),
            ("a/../b", "it has `..` in it, and what it is matched with never does"),
            ("[a", "unclosed character class; missing ']'"),
            ("[z-a]", "invalid range; 'z' > 'a'"),
            ("{a", "unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"),
            ("a\\", "dangling '\\'"),
        ] {
            let error = Globs::parse(&["**", pattern]).unwrap_err();
            assert_eq!((error.index, error.pattern.as_str(), error.why.as_str()), (1, pattern, why));
        }
    }

    #[test]
    fn long_lists_and_hostile_patterns_stay_cheap() {
        let many: Vec<String> = (0..500).map(|n| format!("dir{n}/**.x")).collect();
        assert!(Globs::parse(&many).unwrap().matches("dir499/a/b.x"));
        let hostile = Globs::parse(&["*a".repeat(200)]).unwrap();
        assert!(!hostile.matches(&"ab".repeat(5000)));
    }
}
