//! What the YAML parser refuses, in words that say what to do.

use granit_parser::{ErrorKind, ScanError};

use super::{Code, Diagnostic, tree};

/// The finding for an error of the parser. Its span is the character at which the parser gave up.
pub(super) fn explain(error: &ScanError, text: &str) -> Diagnostic {
    let at = text.floor_char_boundary(error.marker().byte_offset().unwrap_or(0));
    let width = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    let span = at..at + width;
    let (message, help) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => return tree::too_deep(span),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => ("a tab stands where YAML takes spaces only", "indent with spaces"),
        ErrorKind::UnclosedQuotedScalar => ("a quoted text is not closed", "add the closing quote"),
        ErrorKind::UnclosedFlowCollection { open: '[' } | ErrorKind::UnexpectedEofFlowSequence => {
            ("a list that `[` opens is not closed", "add the `]`")
        }
        ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::UnexpectedEofFlowMapping => {
            ("a mapping that `{` opens is not closed", "add the `}`")
        }
        ErrorKind::ExpectedFlowSequenceSeparator => (
            "a list in `[ ]` has something else where a `,` or the `]` belongs",
            "put `,` between its items and `]` behind the last",
        ),
        ErrorKind::ExpectedFlowMappingSeparator => (
            "a mapping in `{ }` has something else where a `,` or the `}` belongs",
            "put `,` between its pairs and `}` behind the last",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "a line is neither `key: value` nor a part of the value above",
            "write `key: value`, or indent the line deeper",
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            return Diagnostic::new(Code::Syntax, span, format!("a value cannot begin with {character:?}"))
                .help("put the value in quotes");
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockSequenceEntry => (
            "this line does not fit into the lines above it",
            "give keys of one mapping, and items of one list, the same indentation",
        ),
        ErrorKind::BlockSequenceEntryNotAllowed => {
            ("a list cannot begin on the line of its key", "put `- …` on the next line, indented deeper than the key")
        }
        ErrorKind::UnknownQuotedScalarEscape => (
            "a text in double quotes has an escape that YAML does not know",
            "write `\\\\` for a backslash, or use single quotes",
        ),
        ErrorKind::InvalidColonPlacement => (
            "a `:` stands where it cannot separate a key from its value",
            "close the `[`, `{` or quote above it, or put a text that has `: ` in it in quotes",
        ),
        other => {
            return Diagnostic::new(Code::Syntax, span, format!("this is not YAML: {other}"))
                .help("quote texts with special characters, and check the indentation");
        }
    };
    Diagnostic::new(Code::Syntax, span, message).help(help)
}
