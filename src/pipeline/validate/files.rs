//! The files of a pipeline: the first one, and what `include` brings in, each once.

use std::collections::HashSet;
use std::rc::Rc;

use super::first_line;
use crate::pipeline::language::Mapping;
use crate::pipeline::reader::Reader;
use crate::pipeline::sources::{FileId, Origin, Sources};
use crate::pipeline::tree::{self, Entry, Kind, Node};
use crate::pipeline::{Code, Diagnostic, Includes, MAX_BYTES, MAX_FILES, Span, Spanned};

/// A file with its tree, which is a mapping.
pub(super) struct Unit {
    /// Its place in the sources.
    pub(super) source: usize,
    pub(super) root: Rc<Node>,
    pub(super) first_line: Span,
    pub(super) role: Role,
}

/// What a file is to the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the pipeline file.
    Main,
    /// Another file includes it.
    Included,
}

impl Unit {
    /// A key of the file, where it stands.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        match &self.root.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key.value == name),
            _ => None,
        }
    }
}

/// Who included a file: where, and from which tree.
struct Wanted {
    id: FileId,
    at: Span,
}

/// Reads the file and all that it includes, in the order in which they are named, depth first.
pub(super) fn read(
    bytes: &[u8],
    includes: &mut dyn Includes,
    sources: &mut Sources,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Unit> {
    let mut units = Vec::new();
    let Some(main) = open(bytes, None, sources, findings) else {
        return units;
    };
    let mut open_files = wanted(&main, &Origin::Here, sources, findings);
    units.push(main);
    let mut known: HashSet<FileId> = HashSet::new();
    open_files.reverse();
    while let Some(want) = open_files.pop() {
        if !known.insert(want.id.clone()) || includes.is_main(&want.id) {
            continue;
        }
        if known.len() >= MAX_FILES {
            let message = format!("the pipeline has more than {MAX_FILES} files");
            findings.push(Diagnostic::new(Code::TooManyFiles, want.at, message).help("join some of them"));
            break;
        }
        let bytes = match includes.load(&want.id) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("cannot include {}: {}", want.id.shown(), error.message);
                findings.push(Diagnostic::new(Code::Include, want.at, message).help(error.help));
                continue;
            }
        };
        if let Some(unit) = open(&bytes, Some(want.id.clone()), sources, findings) {
            let mut more = wanted(&unit, &want.id.origin, sources, findings);
            more.reverse();
            open_files.extend(more);
            units.push(unit);
        }
    }
    units
}

/// Takes a file's text in, and reads its tree.
fn open(bytes: &[u8], id: Option<FileId>, sources: &mut Sources, findings: &mut Vec<Diagnostic>) -> Option<Unit> {
    let role = if id.is_some() { Role::Included } else { Role::Main };
    let text = String::from_utf8_lossy(bytes.get(..MAX_BYTES + 1).unwrap_or(bytes)).into_owned();
    let source = sources.add(id, text);
    let file = &sources.files()[source];
    let base = file.base;
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, more than the {MAX_BYTES} that are read", bytes.len());
        findings.push(
            Diagnostic::new(Code::TooLarge, base..base, message).help("move long scripts into files of the repository"),
        );
        return None;
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        let at = error.valid_up_to();
        let line = memchr::memchr_iter(b'\n', &bytes[..at]).count() + 1;
        let message = format!("the file is not UTF-8: byte {at}, on line {line}, belongs to no character");
        findings.push(Diagnostic::new(Code::NotUtf8, base + at..base + at, message).help("save the file as UTF-8"));
        return None;
    }
    let before = findings.len();
    let root = tree::read(&file.text, base, findings);
    let Some(root) = root.filter(|root| !root.is_null()) else {
        if findings.len() == before {
            findings.push(
                Diagnostic::new(Code::Empty, base..base, "the file is empty")
                    .help("begin with `jobs:`, or let `argon init` write a first pipeline"),
            );
        }
        return None;
    };
    let reader = Reader { findings, text: &file.text, base };
    let first_line = first_line(&root, &reader);
    if !matches!(root.kind, Kind::Map(_)) {
        reader.findings.push(
            Diagnostic::new(
                Code::WrongType,
                first_line,
                format!("a pipeline file is a mapping, this is {}", root.describe()),
            )
            .help("begin with `jobs:`"),
        );
        return None;
    }
    Some(Unit { source, root, first_line, role })
}

/// What a file's `include` names.
fn wanted(unit: &Unit, origin: &Origin, sources: &Sources, findings: &mut Vec<Diagnostic>) -> Vec<Wanted> {
    let Some(entry) = unit.entry("include") else {
        return Vec::new();
    };
    let source = &sources.files()[unit.source];
    let mut reader = Reader { findings, text: &source.text, base: source.base };
    let one = [Rc::clone(&entry.value)];
    let items = match &entry.value.kind {
        Kind::Seq(items) => items.as_slice(),
        _ => &one[..],
    };
    items.iter().filter_map(|item| include(&mut reader, item, origin)).collect()
}

fn include(reader: &mut Reader<'_>, node: &Node, origin: &Origin) -> Option<Wanted> {
    let at = reader.visible(node);
    if !matches!(node.kind, Kind::Map(_)) {
        let path = path(reader, node)?;
        return Some(Wanted { id: FileId { origin: origin.clone(), path }, at });
    }
    let entries = reader.mapping("include", Mapping::Include, node)?;
    let (mut file, mut git, mut commit) = (None, None, None);
    for entry in &entries {
        match entry.key.value.as_str() {
            "file" => file = Some(path(reader, &entry.value)),
            "git" => git = Some(address(reader, &entry.value)),
            "commit" => commit = Some((commit_id(reader, &entry.value), entry.key.span.clone())),
            _ => {}
        }
    }
    if file.is_none() {
        reader.report(
            Diagnostic::new(Code::MissingKey, at.clone(), "the `include` names no `file`")
                .help("add `file:` with its path from the top of the repository"),
        );
    }
    let origin = match (git, commit) {
        (None, None) => origin.clone(),
        (Some(url), Some((commit, _))) => Origin::Git { url: url?, commit: commit? },
        (Some(_), None) => {
            reader.report(
                Diagnostic::new(Code::IncludeCommit, at, "an `include` from another repository has no `commit`").help(
                    "add `commit:` with a full commit id: what a branch holds tomorrow is not what you read today",
                ),
            );
            return None;
        }
        (None, Some((_, at))) => {
            reader.report(
                Diagnostic::new(Code::IncludeCommit, at, "`commit` stands without `git`")
                    .help("add `git:` with the repository's address, or remove `commit`"),
            );
            return None;
        }
    };
    Some(Wanted { id: FileId { origin, path: file?? }, at })
}

/// A path from the top of the repository.
fn path(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.filled("include", node)?;
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if text.starts_with('/') || parts.contains(&"..") || parts.is_empty() {
        reader.report(
            Diagnostic::new(Code::IncludePath, node.span.clone(), format!("`{text}` is not a path of the repository"))
                .help("write the file's path from the top of the repository, such as `ci/lint.yml`"),
        );
        return None;
    }
    Some(parts.join("/"))
}

fn address(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.filled("git", node)?;
    if text.starts_with('-') || text.contains(char::is_whitespace) || text.contains("::") {
        reader.report(
            Diagnostic::new(
                Code::IncludeAddress,
                node.span.clone(),
                format!("`{text}` is not the address of a repository"),
            )
            .help("write it as `https://example.com/team/ci.git` or `git@example.com:team/ci.git`"),
        );
        return None;
    }
    Some(text.to_owned())
}

fn commit_id(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.filled("commit", node)?;
    if text.len() != 40 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        reader.report(
            Diagnostic::new(Code::IncludeCommit, node.span.clone(), format!("`{text}` is not a full commit id"))
                .help("write all 40 digits: `git rev-parse HEAD` in that repository gives them"),
        );
        return None;
    }
    Some(text.to_owned())
}

/// The keys of an included file that belong in the pipeline file alone.
pub(super) fn misplaced(reader: &mut Reader<'_>, key: &Spanned<String>) {
    reader.report(
        Diagnostic::new(
            Code::MainFileOnly,
            key.span.clone(),
            format!("`{}` means nothing in a file that is included", key.value),
        )
        .help("move it to the pipeline file itself"),
    );
}
