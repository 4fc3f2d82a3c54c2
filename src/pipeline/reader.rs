//! Reading single values out of the tree: each function reports what is wrong with a value and goes on.

mod lists;
mod templates;
mod variables;

use super::expr::Template;
use super::keys;
use super::language::Mapping;
use super::tree::{Entry, Kind, Node};
use super::{Code, Diagnostic, OnError, Shell, Span, Spanned, image, units};

pub(crate) use templates::is_identifier;
pub use variables::is_variable_name;

/// Collects the findings of one walk.
pub(super) struct Reader<'a> {
    pub(super) findings: &'a mut Vec<Diagnostic>,
    /// The text of the file that is read.
    pub(super) text: &'a str,
    /// Where the offsets of that file begin.
    pub(super) base: usize,
}

impl Reader<'_> {
    pub(super) fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    pub(super) fn wrong_type(&mut self, key: &str, node: &Node, wanted: &str) -> Option<&mut Diagnostic> {
        if matches!(node.kind, Kind::Broken) {
            return None;
        }
        let message = format!("`{key}` takes {wanted}, this is {}", node.describe());
        let help = match &node.kind {
            _ if node.is_null() => "give it a value, or remove the key".to_owned(),
            Kind::Seq(_) | Kind::Map(_) if key == "run" => {
                "write the commands below `run: |`, one on each line".to_owned()
            }
            _ => format!("write one value behind `{key}:`"),
        };
        self.findings.push(Diagnostic::new(Code::WrongType, self.visible(node), message).help(help));
        self.findings.last_mut()
    }

    /// What stands in the file at a span.
    pub(super) fn source(&self, span: &Span) -> &str {
        self.text.get(span.start.saturating_sub(self.base)..span.end.saturating_sub(self.base)).unwrap_or_default()
    }

    /// A long value is shown by its first line: where it begins is what people look for.
    pub(super) fn visible(&self, node: &Node) -> Span {
        let text = self.source(&node.span);
        let length = text.find('\n').map_or(text.len(), |line| text[..line].trim_end().len());
        node.span.start..node.span.start + length
    }

    /// The entries of a mapping; those that are not built where they stand are refused.
    pub(super) fn mapping<'n>(&mut self, what: &str, mapping: Mapping, node: &'n Node) -> Option<Vec<&'n Entry>> {
        let Kind::Map(entries) = &node.kind else {
            let help = format!("its keys are {}", keys::list(mapping.names()));
            if let Some(finding) = self.wrong_type(what, node, "a mapping") {
                finding.help = Some(help);
            }
            return None;
        };
        Some(
            entries
                .iter()
                .filter(|entry| {
                    let is_built = mapping.key(&entry.key.value).is_some();
                    if !is_built {
                        self.report(keys::refuse(mapping, &entry.key));
                    }
                    is_built
                })
                .collect(),
        )
    }

    /// The entries of a mapping whose keys the user chooses.
    pub(super) fn open_mapping<'n>(&mut self, what: &str, help: &str, node: &'n Node) -> Option<&'n [Entry]> {
        match &node.kind {
            Kind::Map(entries) => Some(entries),
            _ => {
                if let Some(finding) = self.wrong_type(what, node, "a mapping") {
                    finding.help = Some(help.to_owned());
                }
                None
            }
        }
    }

    /// Reports that a required key does not stand, where no other was likely meant to be it.
    pub(super) fn missing(&mut self, what: &str, node: &Node, mapping: Mapping, key: &str, at: &Span, help: &str) {
        if !keys::is_meant(node, mapping, key) {
            let message = format!("{what} has no `{key}`");
            self.report(Diagnostic::new(Code::MissingKey, at.clone(), message).help(help));
        }
    }

    /// The items of a list.
    pub(super) fn list<'n>(&mut self, what: &str, wanted: &str, node: &'n Node) -> Option<&'n [std::rc::Rc<Node>]> {
        match &node.kind {
            Kind::Seq(items) => Some(items),
            _ => {
                if let Some(finding) = self.wrong_type(what, node, wanted) {
                    finding.help = Some("write each item on a line of its own, behind `- `".to_owned());
                }
                None
            }
        }
    }

    /// A text as it was typed: `3.10` stays `3.10`. Not null, no NUL, no expression.
    pub(super) fn text<'n>(&mut self, key: &str, node: &'n Node) -> Option<&'n str> {
        match &node.kind {
            Kind::Plain(text) | Kind::Text(text) if !node.is_null() => self.plain_text(key, text, node).then_some(text),
            _ => {
                self.wrong_type(key, node, "text");
                None
            }
        }
    }

    /// A text that says something.
    pub(super) fn filled<'n>(&mut self, key: &str, node: &'n Node) -> Option<&'n str> {
        let text = self.text(key, node)?;
        if text.trim().is_empty() {
            self.report(
                Diagnostic::new(Code::EmptyText, node.span.clone(), format!("`{key}` is empty"))
                    .help("give it a value, or remove the key"),
            );
            return None;
        }
        Some(text)
    }

    pub(super) fn plain_text(&mut self, key: &str, text: &str, node: &Node) -> bool {
        if !self.no_nul(key, text, node) {
            return false;
        }
        if text.contains("${{") {
            let at = self.expression_in(node);
            self.report(
                Diagnostic::new(Code::NoExpressionHere, at, format!("`{key}` takes no `${{{{ … }}}}`"))
                    .help("write the value itself: it is read before anything is evaluated"),
            );
            return false;
        }
        true
    }

    fn expression_in(&self, node: &Node) -> Span {
        let source = self.source(&node.span);
        let Some(start) = source.find("${{") else {
            return self.visible(node);
        };
        let line = source[start..].lines().next().unwrap_or_default();
        let length = line.find("}}").map_or(line.len(), |end| end + 2);
        node.span.start + start..node.span.start + start + length
    }

    /// `true` or `false`, without quotes.
    pub(super) fn boolean(&mut self, key: &str, node: &Node) -> Option<bool> {
        let (text, is_plain) = match &node.kind {
            Kind::Plain(text) => (text.as_str(), true),
            Kind::Text(text) => (text.as_str(), false),
            _ => {
                self.wrong_type(key, node, "`true` or `false`");
                return None;
            }
        };
        match (text, is_plain) {
            ("true", true) => return Some(true),
            ("false", true) => return Some(false),
            _ => {}
        }
        let meant = match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => Some("true"),
            "false" | "no" | "off" | "n" | "0" => Some("false"),
            _ => None,
        };
        let help = match meant {
            Some(meant) if !is_plain && text.eq_ignore_ascii_case(meant) => "leave out the quotes".to_owned(),
            Some(meant) => format!("write `{meant}`"),
            None => "write one of them, or remove the key".to_owned(),
        };
        let message = format!("`{key}` takes `true` or `false`, not `{text}`");
        let message = if is_plain { message } else { format!("`{key}` takes `true` or `false`, not a text in quotes") };
        let finding = Diagnostic::new(Code::Boolean, node.span.clone(), message).help(help);
        self.report(match meant {
            Some(meant) => finding.replace(meant),
            None => finding,
        });
        None
    }

    pub(super) fn on_error(&mut self, node: &Node) -> OnError {
        if self.boolean("continue-on-error", node) == Some(true) { OnError::Continue } else { OnError::Fail }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, node: &Node, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key, node)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words = || choices.iter().map(|(word, _)| *word);
        let finding = Diagnostic::new(Code::Choice, node.span.clone(), format!("`{key}` cannot be `{text}`"));
        self.report(match keys::near(text, words()) {
            Some(near) => finding.suggest(near),
            None => finding.help(format!("it takes {}", keys::list(words()).replace(" and ", " or "))),
        });
        None
    }

    pub(super) fn duration(&mut self, key: &str, node: &Node) -> Option<std::time::Duration> {
        let text = self.text(key, node)?;
        units::duration(text)
            .map_err(|help| {
                self.report(
                    Diagnostic::new(
                        Code::Duration,
                        node.span.clone(),
                        format!("`{text}` is not a duration for `{key}`"),
                    )
                    .help(help),
                );
            })
            .ok()
    }

    pub(super) fn size(&mut self, key: &str, node: &Node) -> Option<u64> {
        let text = self.text(key, node)?;
        units::size(text)
            .map_err(|help| {
                self.report(
                    Diagnostic::new(Code::Size, node.span.clone(), format!("`{text}` is not a size for `{key}`"))
                        .help(help),
                );
            })
            .ok()
    }

    /// An image reference; one with an expression in it is checked when it is known.
    pub(super) fn image(&mut self, node: &Node) -> Option<Spanned<Template>> {
        let template = self.template("image", node)?;
        let at = node.span.clone();
        if let Some(text) = template.as_literal() {
            match image::check(text) {
                Ok(image::Pinned::Yes) => {}
                Ok(image::Pinned::No) => self.report(
                    Diagnostic::new(
                        Code::ImageNotPinned,
                        at.clone(),
                        format!("the image `{text}` has no tag: it changes when the registry's `latest` does"),
                    )
                    .help(format!("name a version, such as `{text}:VERSION`")),
                ),
                Err(bad) => {
                    self.report(
                        Diagnostic::new(Code::Image, at, format!("`{text}` is not an image reference: {}", bad.why))
                            .help(bad.help),
                    );
                    return None;
                }
            }
        }
        Some(Spanned { value: template, span: at })
    }

    /// A whole number in a range.
    pub(super) fn integer(&mut self, key: &str, node: &Node, min: u32, max: u32) -> Option<u32> {
        let text = self.text(key, node)?;
        let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|number| is_digits && (min..=max).contains(number));
        if number.is_none() {
            self.report(
                Diagnostic::new(Code::Number, node.span.clone(), format!("`{text}` is not a number for `{key}`"))
                    .help(format!("write a whole number, {min} to {max}")),
            );
        }
        number
    }

    /// Absolute in the container, or below the workspace.
    pub(super) fn working_directory(&mut self, node: &Node) -> Option<Template> {
        let template = self.template("working-directory", node)?;
        let Some(text) = template.as_literal() else {
            return Some(template);
        };
        let mut depth = 0_i64;
        let escapes = !text.starts_with('/')
            && text.split('/').any(|part| {
                depth += match part {
                    "" | "." => 0,
                    ".." => -1,
                    _ => 1,
                };
                depth < 0
            });
        if escapes {
            self.report(
                Diagnostic::new(
                    Code::WorkingDirectory,
                    node.span.clone(),
                    format!("the working directory `{text}` leaves the workspace"),
                )
                .help("name a folder of the repository, or an absolute path in the container"),
            );
            return None;
        }
        Some(template)
    }

    pub(super) fn shell(&mut self, node: &Node) -> Option<Shell> {
        let text = self.filled("shell", node)?;
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        let is_command = words.next().is_some() || first.contains(['/', '{']);
        match first {
            _ if is_command => {}
            "sh" => return Some(Shell::Sh),
            "bash" => return Some(Shell::Bash),
            "python" => return Some(Shell::Python),
            _ => {
                let finding = Diagnostic::new(Code::Shell, node.span.clone(), format!("there is no shell `{text}`"));
                // `fish` is no misspelt `bash`: for words this short one letter is all that may differ.
                let near = ["bash", "python"].into_iter().find(|shell| strsim::damerau_levenshtein(text, shell) <= 1);
                self.report(match near {
                    Some(near) => finding.suggest(near),
                    None => {
                        finding.help(format!("it takes `sh`, `bash`, `python`, or a command such as `{text} {{0}}`"))
                    }
                });
                return None;
            }
        }
        Some(Shell::Custom(text.split_whitespace().map(str::to_owned).collect()))
    }
}
