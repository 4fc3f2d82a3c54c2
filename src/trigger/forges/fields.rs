//! The fields of a payload: taken out, checked, and made fit for a variable.

use serde_json::Value;

use super::super::{EventKind, MESSAGE_BYTES, NAME_BYTES, TriggerError};

/// A payload, or a part of one, and what it is taken for.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) payload: &'a Value,
    pub(super) forge: &'static str,
    pub(super) kind: EventKind,
}

/// A branch or a tag: one of them is there.
type Named = (Option<String>, Option<String>);

impl<'a> Fields<'a> {
    pub(super) fn wrong(&self, field: &'static str, is: &'static str) -> TriggerError {
        TriggerError::Field { forge: self.forge, kind: self.kind, field, is }
    }

    /// Text that is not empty, at a JSON pointer.
    pub(super) fn text(&self, at: &str) -> Option<String> {
        self.payload.pointer(at)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn list(&self, at: &str) -> &'a [Value] {
        self.payload.pointer(at).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn count(&self, at: &str) -> Option<usize> {
        self.payload.pointer(at)?.as_u64()?.try_into().ok()
    }

    pub(super) fn is_true(&self, at: &str) -> bool {
        self.payload.pointer(at).and_then(Value::as_bool) == Some(true)
    }

    /// Text that must be there; `field` has dots between its parts.
    fn required(&self, field: &'static str) -> Result<String, TriggerError> {
        let at = format!("/{}", field.replace('.', "/"));
        match self.payload.pointer(&at) {
            None | Some(Value::Null) => Err(self.wrong(field, "missing")),
            Some(Value::String(text)) if text.is_empty() => Err(self.wrong(field, "empty")),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(self.wrong(field, "not text")),
        }
    }

    /// A name of a branch or tag that git could have.
    pub(super) fn name(&self, field: &'static str, name: &str) -> Result<String, TriggerError> {
        if name.is_empty() {
            Err(self.wrong(field, "empty"))
        } else if name.len() > NAME_BYTES || name.chars().any(|c| c.is_control() || c == ' ') {
            Err(self.wrong(field, "not the name of a branch or tag"))
        } else {
            Ok(name.to_owned())
        }
    }

    pub(super) fn branch(&self, field: &'static str) -> Result<String, TriggerError> {
        let name = self.required(field)?;
        self.name(field, name.strip_prefix("refs/heads/").unwrap_or(&name))
    }

    /// A full ref: a branch, or a tag.
    pub(super) fn reference(&self, field: &'static str) -> Result<Named, TriggerError> {
        let name = self.required(field)?;
        if let Some(branch) = name.strip_prefix("refs/heads/") {
            Ok((Some(self.name(field, branch)?), None))
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            Ok((None, Some(self.name(field, tag)?)))
        } else {
            Err(self.wrong(field, "neither refs/heads/… nor refs/tags/…"))
        }
    }

    pub(super) fn commit(&self, field: &'static str) -> Result<String, TriggerError> {
        let id = self.required(field)?;
        if is_id(&id) && !all_zero(&id) { Ok(id) } else { Err(self.wrong(field, "not a commit id")) }
    }

    /// The commit before; `None` where there was none, which forges write as zeros.
    pub(super) fn commit_before(&self, at: &str) -> Option<String> {
        self.text(at).filter(|id| is_id(id) && !all_zero(id))
    }

    /// A push that deletes leaves a commit id of zeros.
    pub(super) fn refuse_deleted(&self, after: &str, what: Option<&String>) -> Result<(), TriggerError> {
        match self.text(after) {
            Some(id) if all_zero(&id) => Err(TriggerError::Deleted { what: what.cloned().unwrap_or_default() }),
            _ => Ok(()),
        }
    }

    pub(super) fn message(&self, at: &str) -> Option<String> {
        clean(&self.text(at)?, MESSAGE_BYTES)
    }

    pub(super) fn person(&self, at: &str) -> Option<String> {
        clean(&self.text(at)?, NAME_BYTES)
    }

    /// The first that is there.
    pub(super) fn person_of(&self, at: &[&str]) -> Option<String> {
        at.iter().find_map(|at| self.person(at))
    }
}

/// An id of a commit, in full or its first digits: SHA-1 or SHA-256.
fn is_id(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn all_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

/// Text that a variable can hold: no NUL, and not too long. `None` where nothing is left.
pub(super) fn clean(text: &str, most: usize) -> Option<String> {
    let text = cut(&text.replace('\0', "\u{fffd}"), most);
    (!text.is_empty()).then_some(text)
}

/// The beginning of a text, in whole characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}
