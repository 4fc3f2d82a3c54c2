//! `.dockerignore`: what of a folder a build does not see (<https://docs.docker.com/build/concepts/context/#dockerignore-files>).

use globset::{GlobBuilder, GlobMatcher};

/// The rules of a `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub struct Ignore(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    pattern: GlobMatcher,
    /// `!PATTERN`: takes in again what a rule before it left out.
    takes_in: bool,
}

/// A pattern that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct IgnoreError {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Ignore {
    /// Reads the file.
    ///
    /// # Errors
    /// Where a line is no pattern.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let rules = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
        let rules = rules.filter_map(|(at, line)| {
            let line = line.trim();
            let (takes_in, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            let pattern = cleaned(pattern);
            (!pattern.is_empty()).then(|| {
                let glob = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build();
                let glob = glob.map_err(|error| IgnoreError { line: at + 1, why: error.kind().to_string() })?;
                Ok(Rule { pattern: glob.compile_matcher(), takes_in })
            })
        });
        rules.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the path (below the folder, `/` between its parts) is left out. The last rule that meets it, or a folder that
    /// it is in, decides.
    #[must_use]
    pub fn leaves_out(&self, path: &str) -> bool {
        let meets = |rule: &&Rule| ancestors(path).any(|part| rule.pattern.is_match(part));
        self.0.iter().rev().find(meets).is_some_and(|rule| !rule.takes_in)
    }
}

/// The pattern without `.` and doubled `/`, from the folder's top. Braces stand for themselves.
fn cleaned(pattern: &str) -> String {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    parts.join("/").replace('{', "[{]").replace('}', "[}]")
}

/// The path, and each folder that it is in.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(folder, _)| folder))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_left_out_as_docker_does() {
        let all = [
            "a.md",
            "b/a.md",
            "b/c/d.tmp",
            "node_modules/x/y.js",
            "b/node_modules/z.js",
            "keep/me",
            "{x}",
            "Dockerfile",
        ];
        for (text, left_out) in [
            ("", ""),
            ("# *\n\n", ""),
            ("*.md", "a.md"),
            ("**/*.md", "a.md b/a.md"),
            ("b", "b/a.md b/c/d.tmp b/node_modules/z.js"),
            ("/b/", "b/a.md b/c/d.tmp b/node_modules/z.js"),
            ("./b/c", "b/c/d.tmp"),
            ("*/c", "b/c/d.tmp"),
            ("*/*.md", "b/a.md"),
            ("node_modules", "node_modules/x/y.js"),
            ("**/node_modules", "node_modules/x/y.js b/node_modules/z.js"),
            ("*\n!keep", "a.md b/a.md b/c/d.tmp node_modules/x/y.js b/node_modules/z.js {x} Dockerfile"),
            ("!a.md\n*.md", "a.md"),
            ("*.md\n!a.md", ""),
            ("?.md", "a.md"),
            ("{x}", "{x}"),
            ("[a-b].md", "a.md"),
        ] {
            let ignore = Ignore::parse(text).unwrap();
            let found: Vec<&str> = all.into_iter().filter(|path| ignore.leaves_out(path)).collect();
            assert_eq!(found.join(" "), left_out, "{text:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_pattern_is_told() {
        assert_eq!(Ignore::parse("a\n[").unwrap_err().line, 2);
    }
}
