//! What a job keeps: `cache` and `artifacts`.

use std::collections::HashMap;
use std::rc::Rc;

use super::container_path::{self, Objection, WORKSPACE};
use super::patterns::{self, Of};
use crate::pipeline::expr::{Part, Template};
use crate::pipeline::language::Mapping;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::{Entry, Kind, Node};
use crate::pipeline::{Artifact, ArtifactWhen, Cache, CacheMode, CacheSave, Code, Diagnostic, Span, Spanned};

const MODES: [(&str, CacheMode); 3] =
    [("shared", CacheMode::Shared), ("locked", CacheMode::Locked), ("private", CacheMode::Private)];
const SAVES: [(&str, CacheSave); 2] = [("success", CacheSave::Success), ("always", CacheSave::Always)];
const WHEN: [(&str, ArtifactWhen); 3] =
    [("success", ArtifactWhen::Success), ("failure", ArtifactWhen::Failure), ("always", ArtifactWhen::Always)];

pub(super) fn caches(reader: &mut Reader<'_>, entry: &Entry) -> Vec<Cache> {
    let items = reader.one_or_many("cache", &entry.value);
    let caches: Vec<Cache> = items.iter().filter_map(|item| cache(reader, item, &place(items, item, entry))).collect();
    let mut seen: HashMap<&str, &Spanned<String>> = HashMap::new();
    for path in caches.iter().flat_map(|cache| &cache.paths) {
        if let Some(first) = seen.insert(&path.value, path) {
            reader.report(
                Diagnostic::new(Code::DuplicateCachePath, path.span.clone(), format!("`{}` is kept twice", path.value))
                    .label(first.span.clone(), "it stands here first")
                    .help("a folder comes from one cache: keep one of them"),
            );
        }
    }
    caches
}

/// Where a finding about the whole of an item stands: at the key where it is the one item, else where it begins.
fn place(items: &[Rc<Node>], item: &Rc<Node>, entry: &Entry) -> Span {
    let is_alone = items.first().is_some_and(|first| Rc::ptr_eq(first, &entry.value));
    if is_alone {
        return entry.key.span.clone();
    }
    match &item.kind {
        Kind::Map(entries) => entries.first().map(|entry| entry.key.span.clone()),
        _ => None,
    }
    .unwrap_or_else(|| item.span.clone())
}

fn cache(reader: &mut Reader<'_>, node: &Node, at: &Span) -> Option<Cache> {
    let (mut key, mut paths) = (None, None);
    let mut restore_keys = Vec::new();
    let (mut mode, mut save) = (CacheMode::default(), CacheSave::default());
    let mut has_key = false;
    for entry in reader.mapping("cache", Mapping::Cache, node)? {
        let value = &entry.value;
        match entry.key.value.as_str() {
            "key" => {
                key = cache_key(reader, value);
                has_key = true;
            }
            "restore-keys" => {
                let items = reader.one_or_many("restore-keys", value);
                restore_keys = items.iter().filter_map(|item| reader.template("restore-keys", item)).collect();
            }
            "paths" => paths = Some(cache_paths(reader, value)),
            "mode" => mode = reader.choice("mode", value, &MODES).unwrap_or_default(),
            "save" => save = reader.choice("save", value, &SAVES).unwrap_or_default(),
            _ => {}
        }
    }
    if !has_key {
        let help = "add `key:` with what decides over its content, such as `pip-${{ hash('requirements.txt') }}`";
        reader.missing("the `cache`", node, Mapping::Cache, "key", at, help);
    }
    if paths.is_none() {
        let help = "add `paths:` with the folders to keep, such as `[/root/.cache/pip]`";
        reader.missing("the `cache`", node, Mapping::Cache, "paths", at, help);
    }
    Some(Cache { key: key?, restore_keys, paths: paths?, mode, save })
}

fn cache_key(reader: &mut Reader<'_>, node: &Node) -> Option<Spanned<Template>> {
    let template = reader.template("key", node)?;
    if let Some(text) = template.as_literal() {
        reader.report(
            Diagnostic::new(
                Code::ConstantCacheKey,
                node.span.clone(),
                format!("the cache `{text}` never changes: what is once saved under a key stays as it is"),
            )
            .help(format!("add what decides over its content: `{text}-${{{{ hash('requirements.txt') }}}}`")),
        );
    }
    Some(Spanned { value: template, span: node.span.clone() })
}

fn cache_paths(reader: &mut Reader<'_>, node: &Rc<Node>) -> Vec<Spanned<String>> {
    let items = reader.one_or_many("paths", node);
    items.iter().filter_map(|item| cache_path(reader, item)).collect()
}

/// A folder: from the workspace, or absolute where it lies elsewhere.
fn cache_path(reader: &mut Reader<'_>, node: &Node) -> Option<Spanned<String>> {
    let text = reader.filled("paths", node)?;
    let path = container_path::normal(text);
    let in_workspace = path.strip_prefix(WORKSPACE).and_then(|rest| rest.strip_prefix('/'));
    let objection = container_path::objection(text).or_else(|| {
        let help = "name a folder in it: what is cached as a whole hides the sources".to_owned();
        (path.is_empty() || path == WORKSPACE).then_some(Objection { why: "is the workspace itself", help })
    });
    if let Some(Objection { why, help }) = objection {
        reader.report(
            Diagnostic::new(Code::CachePath, node.span.clone(), format!("a cache cannot keep `{text}`: it {why}"))
                .help(help),
        );
        return None;
    }
    let value = in_workspace.map_or_else(|| path.clone(), str::to_owned);
    Some(Spanned { value, span: node.span.clone() })
}

pub(super) fn artifacts(reader: &mut Reader<'_>, job: &str, entry: &Entry) -> Vec<Artifact> {
    let items = reader.one_or_many("artifacts", &entry.value);
    let mut artifacts: Vec<Artifact> = Vec::new();
    let mut seen: HashMap<String, Span> = HashMap::new();
    for item in items {
        let at = place(items, item, entry);
        let Some(artifact) = artifact(reader, item, &at) else {
            continue;
        };
        let (name, at) = match &artifact.name {
            Some(name) => (name.value.to_string(), name.span.clone()),
            None => (job.to_owned(), at),
        };
        if let Some(first) = seen.insert(name.clone(), at.clone()) {
            reader.report(
                Diagnostic::new(Code::DuplicateArtifact, at, format!("the job has two artifacts `{name}`"))
                    .label(first, "the other stands here")
                    .help("give each a `name` of its own; without one it has the job's key"),
            );
        }
        artifacts.push(artifact);
    }
    artifacts
}

fn artifact(reader: &mut Reader<'_>, node: &Node, at: &Span) -> Option<Artifact> {
    let (mut name, mut paths) = (None, None);
    let (mut when, mut expire) = (ArtifactWhen::default(), None);
    for entry in reader.mapping("artifacts", Mapping::Artifacts, node)? {
        let value = &entry.value;
        match entry.key.value.as_str() {
            "name" => name = artifact_name(reader, value),
            "paths" => paths = Some(patterns::read(reader, "paths", Of::Files, value)),
            "when" => when = reader.choice("when", value, &WHEN).unwrap_or_default(),
            "expire" => expire = reader.duration("expire", value),
            _ => {}
        }
    }
    if paths.is_none() {
        let help = "add `paths:` with the files to keep, such as `[dist/**]`";
        reader.missing("the artifact", node, Mapping::Artifacts, "paths", at, help);
    }
    Some(Artifact { name, paths: paths?, when, expire })
}

/// It becomes the name of a folder: what an expression in it comes to is checked when it is known.
fn artifact_name(reader: &mut Reader<'_>, node: &Node) -> Option<Spanned<Template>> {
    let template = reader.template("name", node)?;
    let texts = || {
        template.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Expr(_) => None,
        })
    };
    let wrong = texts().flat_map(str::chars).find(|c| matches!(c, '/' | '\\') || c.is_control());
    let length: usize = texts().map(str::len).sum();
    let why = match wrong {
        Some(c) => format!("it has {c:?} in it"),
        None if length > 100 => "it has more than 100 bytes".to_owned(),
        None if template.as_literal().is_some_and(|text| text.starts_with(['.', '-', ' ']) || text.ends_with(' ')) => {
            "it begins with `.`, `-` or a space, or ends with a space".to_owned()
        }
        None => return Some(Spanned { value: template, span: node.span.clone() }),
    };
    reader.report(
        Diagnostic::new(Code::ArtifactName, node.span.clone(), format!("an artifact cannot be called so: {why}"))
            .help("write a plain name, such as `packages` or `report-${{ matrix.os }}`"),
    );
    None
}
