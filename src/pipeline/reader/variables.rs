//! Variables and secrets: names that every shell takes, and their values.

use super::Reader;
use crate::pipeline::expr::Template;
use crate::pipeline::tree::{Entry, Kind, Node};
use crate::pipeline::{Code, Diagnostic, EnvTemplates, Spanned};

impl Reader<'_> {
    /// Variables. A value is what was typed; nothing is the empty text.
    pub(in crate::pipeline) fn env(&mut self, key: &str, node: &Node) -> EnvTemplates {
        let help = "write a name and a value on each line, such as `MODE: release`";
        let entries = self.open_mapping(key, help, node).unwrap_or_default();
        entries.iter().filter_map(|entry| self.variable(entry)).collect()
    }

    fn variable(&mut self, entry: &Entry) -> Option<(Spanned<String>, Template)> {
        let name = entry.key.value.as_str();
        let at = entry.key.span.clone();
        let is_named = if !is_variable_name(name) {
            self.report(
                Diagnostic::new(Code::EnvName, at, format!("`{name}` cannot be the name of a variable"))
                    .help(format!("use letters, digits and `_`, such as `{}`", variable_like(name))),
            );
            false
        } else if is_reserved(name) {
            self.report(
                Diagnostic::new(
                    Code::ReservedEnv,
                    at,
                    format!("`{name}` is reserved: Argon sets the `ARGON` variables"),
                )
                .help("choose another name"),
            );
            false
        } else {
            true
        };
        let value = self.variable_value(name, &entry.value)?;
        is_named.then(|| (entry.key.clone(), value))
    }

    fn variable_value(&mut self, name: &str, node: &Node) -> Option<Template> {
        match &node.kind {
            _ if node.is_null() => Some(Template::literal("")),
            Kind::Plain(_) | Kind::Text(_) => self.template_or_empty(name, node),
            Kind::Broken => None,
            Kind::Seq(_) | Kind::Map(_) => {
                let message = format!("the variable `{name}` takes one value, this is {}", node.describe());
                self.report(
                    Diagnostic::new(Code::EnvValue, self.visible(node), message)
                        .help("write it as one text, in quotes where it has `: ` or ` #`"),
                );
                None
            }
        }
    }

    /// A list of names of secrets, each of which becomes a variable.
    pub(in crate::pipeline) fn secrets(&mut self, node: &Node) -> Vec<Spanned<String>> {
        let Some(items) = self.list("secrets", "a list of names", node) else {
            return Vec::new();
        };
        let mut names: Vec<Spanned<String>> = Vec::new();
        for item in items {
            let Some(name) = self.filled("secrets", item) else {
                continue;
            };
            let at = item.span.clone();
            if !is_variable_name(name) || is_reserved(name) {
                self.report(
                    Diagnostic::new(Code::SecretName, at, format!("`{name}` cannot be the name of a secret")).help(
                        "a secret becomes a variable: use letters, digits and `_`, and do not begin with `ARGON`",
                    ),
                );
            } else if let Some(first) = names.iter().find(|other| other.value == name) {
                self.findings.push(
                    Diagnostic::new(Code::DuplicateSecret, at, format!("the secret `{name}` stands twice"))
                        .label(first.span.clone(), "it stands here first")
                        .help("keep one of them"),
                );
            } else {
                names.push(Spanned { value: name.to_owned(), span: at });
            }
        }
        names
    }
}

/// What every shell takes as a variable's name: `[A-Za-z_][A-Za-z0-9_]*`.
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `ARGON` and `ARGON_…` are set by Argon.
fn is_reserved(name: &str) -> bool {
    name == "ARGON" || name.starts_with("ARGON_")
}

fn variable_like(name: &str) -> String {
    let cleaned: String = name.chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if cleaned.starts_with(|c: char| c.is_ascii_digit()) || cleaned.is_empty() {
        format!("_{cleaned}")
    } else {
        cleaned
    }
}
