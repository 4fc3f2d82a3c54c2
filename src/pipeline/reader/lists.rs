//! One value, or a list of them.

use std::rc::Rc;

use super::Reader;
use crate::pipeline::tree::{Kind, Node};
use crate::pipeline::{Code, Diagnostic, Spanned};

impl Reader<'_> {
    /// The items of a list that says something; a value that is no list is the one item.
    pub(in crate::pipeline) fn one_or_many<'n>(&mut self, key: &str, node: &'n Rc<Node>) -> &'n [Rc<Node>] {
        let Kind::Seq(items) = &node.kind else {
            return std::slice::from_ref(node);
        };
        if items.is_empty() {
            self.report(
                Diagnostic::new(Code::EmptyList, node.span.clone(), format!("`{key}` is an empty list"))
                    .help("give it at least one item, or remove the key"),
            );
        }
        items
    }

    /// Reports the item that stands in the list already.
    pub(in crate::pipeline) fn twice(&mut self, key: &str, first: &Spanned<String>, second: &Spanned<String>) {
        self.report(
            Diagnostic::new(Code::DuplicateItem, second.span.clone(), format!("`{key}` has `{}` twice", second.value))
                .label(first.span.clone(), "it stands here first")
                .help("keep one of them"),
        );
    }

    /// Some of a few words, each once.
    pub(in crate::pipeline) fn choices<T: Copy>(
        &mut self,
        key: &str,
        node: &Rc<Node>,
        choices: &[(&str, T)],
    ) -> Vec<T> {
        let mut seen: Vec<Spanned<String>> = Vec::new();
        let mut chosen = Vec::new();
        for item in self.one_or_many(key, node) {
            let Some(value) = self.choice(key, item, choices) else {
                continue;
            };
            let Some(word) = self.text(key, item) else {
                continue;
            };
            let word = Spanned { value: word.to_owned(), span: item.span.clone() };
            match seen.iter().find(|other| other.value == word.value) {
                Some(first) => self.twice(key, first, &word),
                None => {
                    seen.push(word);
                    chosen.push(value);
                }
            }
        }
        chosen
    }
}
