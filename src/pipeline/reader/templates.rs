//! Texts in which `${{ … }}` may stand, and conditions.

use super::Reader;
use crate::pipeline::expr::{Condition, Template};
use crate::pipeline::tree::{Kind, Node};
use crate::pipeline::{Code, Diagnostic, Spanned};

impl Reader<'_> {
    /// A text that says something.
    pub(in crate::pipeline) fn template(&mut self, key: &str, node: &Node) -> Option<Template> {
        self.any_text(key, node)?;
        let template = self.template_or_empty(key, node)?;
        if template.as_literal().is_some_and(|text| text.trim().is_empty()) {
            self.report(
                Diagnostic::new(Code::EmptyText, node.span.clone(), format!("`{key}` is empty"))
                    .help("give it a value, or remove the key"),
            );
            return None;
        }
        Some(template)
    }

    /// A text, which may be empty.
    pub(in crate::pipeline) fn template_or_empty(&mut self, key: &str, node: &Node) -> Option<Template> {
        let text = self.any_text(key, node)?;
        if !self.no_nul(key, text, node) {
            return None;
        }
        let source = self.source(&node.span).to_owned();
        Template::parse(text, &source, node.span.start, self.findings)
    }

    /// `if`.
    pub(in crate::pipeline) fn condition(&mut self, node: &Node) -> Option<Condition> {
        let text = self.any_text("if", node)?;
        if !self.no_nul("if", text, node) {
            return None;
        }
        let source = self.source(&node.span).to_owned();
        Condition::parse(text, &source, node.span.start, self.findings)
    }

    /// Templates by names: `outputs`.
    pub(in crate::pipeline) fn outputs(&mut self, node: &Node) -> Vec<(Spanned<String>, Template)> {
        let help = "write a name and a value on each line, such as `version: ${{ steps.version.outputs.number }}`";
        let entries = self.open_mapping("outputs", help, node).unwrap_or_default();
        let mut outputs = Vec::new();
        for entry in entries {
            let name = entry.key.value.as_str();
            if !is_identifier(name) {
                self.report(
                    Diagnostic::new(
                        Code::OutputName,
                        entry.key.span.clone(),
                        format!("`{name}` cannot be the name of an output"),
                    )
                    .help("begin with a letter or `_`, go on with letters, digits, `_` and `-`"),
                );
                continue;
            }
            outputs.extend(self.template_or_empty(name, &entry.value).map(|value| (entry.key.clone(), value)));
        }
        outputs
    }

    fn any_text<'n>(&mut self, key: &str, node: &'n Node) -> Option<&'n str> {
        match &node.kind {
            Kind::Plain(text) | Kind::Text(text) if !node.is_null() => Some(text),
            _ => {
                self.wrong_type(key, node, "text");
                None
            }
        }
    }

    pub(super) fn no_nul(&mut self, key: &str, text: &str, node: &Node) -> bool {
        let is_clean = !text.contains('\0');
        if !is_clean {
            let message = format!("`{key}` has a NUL character in it");
            self.report(
                Diagnostic::new(Code::Nul, self.visible(node), message)
                    .help("a program's arguments and variables end at a NUL: remove it"),
            );
        }
        is_clean
    }
}

/// What may be named in an expression: `[A-Za-z_][A-Za-z0-9_-]*`, 100 at most.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
