//! `image` as a mapping: built from the repository.

use crate::pipeline::language::Mapping;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::{Entry, Node};
use crate::pipeline::{Build, Code, Diagnostic, Spanned};

pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry) -> Option<Build> {
    let node = &entry.value;
    let mut build = Build {
        span: entry.key.span.clone(),
        context: String::new(),
        dockerfile: None,
        target: None,
        args: Vec::new(),
    };
    let (mut context, mut has_context) = (None, false);
    for entry in reader.mapping("image", Mapping::Build, node)? {
        let value = &entry.value;
        match entry.key.value.as_str() {
            "build" => {
                context = path(reader, "build", value);
                has_context = true;
            }
            "dockerfile" => build.dockerfile = file(reader, value),
            "target" => build.target = reader.filled("target", value).map(str::to_owned),
            "args" => build.args = reader.env("args", value),
            _ => {}
        }
    }
    if !has_context {
        let help = "add `build: .` with the folder of the Dockerfile";
        reader.missing("an `image` that is built", node, Mapping::Build, "build", &entry.key.span, help);
    }
    Some(Build { context: context?.value, ..build })
}

fn file(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let path = path(reader, "dockerfile", node)?;
    if path.value == "." {
        reader.report(
            Diagnostic::new(Code::BuildPath, path.span, "`dockerfile` names the repository itself")
                .help("name the file, such as `ci/Dockerfile`"),
        );
        return None;
    }
    Some(path.value)
}

/// A path in the repository, without `.` and doubled `/`; `.` for its top.
fn path(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Spanned<String>> {
    let text = reader.filled(key, node)?;
    let at = node.span.clone();
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let why = if text.contains("://") || text.starts_with("git@") {
        "is an address"
    } else if text.starts_with('/') {
        "is an absolute path"
    } else if text.starts_with('~') {
        "is a path of a person's home"
    } else if parts.contains(&"..") {
        "leaves the repository"
    } else if parts.is_empty() {
        return Some(Spanned { value: ".".to_owned(), span: at });
    } else {
        return Some(Spanned { value: parts.join("/"), span: at });
    };
    reader.report(
        Diagnostic::new(Code::BuildPath, at, format!("the `{key}` `{text}` {why}"))
            .help("an image is built from this repository alone: write a path from its top, such as `ci/image`"),
    );
    None
}
