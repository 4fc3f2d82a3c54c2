//! What a file says besides its jobs.

use std::time::Duration;

use super::files::{Role, Unit, misplaced};
use super::trigger;
use crate::pipeline::expr::Template;
use crate::pipeline::language::Mapping;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::{Entry, Node};
use crate::pipeline::{Code, Concurrency, Diagnostic, EnvTemplates, On, Shell, Spanned};

/// The head of a file.
#[derive(Default)]
pub(super) struct Head {
    pub(super) name: Option<String>,
    pub(super) on: Option<On>,
    pub(super) concurrency: Option<Concurrency>,
    pub(super) env: EnvTemplates,
    pub(super) secrets: Option<Vec<Spanned<String>>>,
    pub(super) defaults: Defaults,
    pub(super) role: Option<Role>,
}

/// `defaults`.
#[derive(Default)]
pub(super) struct Defaults {
    pub(super) image: DefaultImage,
    pub(super) shell: Option<Shell>,
    pub(super) working_directory: Option<Template>,
    pub(super) timeout: Option<Duration>,
}

/// `defaults.image`.
#[derive(Default)]
pub(super) enum DefaultImage {
    /// There is none.
    #[default]
    None,
    /// There is one, and it is wrong: the jobs are not blamed for it.
    Broken,
    /// It is this.
    Is(Spanned<Template>),
}

impl Head {
    pub(super) fn is_included(&self) -> bool {
        self.role == Some(Role::Included)
    }
}

pub(super) fn read(reader: &mut Reader<'_>, unit: &Unit) -> Head {
    let mut head = Head { role: Some(unit.role), ..Head::default() };
    for entry in reader.mapping("the file", Mapping::Top, &unit.root).unwrap_or_default() {
        let value = &entry.value;
        match (entry.key.value.as_str(), unit.role) {
            ("name" | "on" | "concurrency", Role::Included) => misplaced(reader, &entry.key),
            ("version", _) => version(reader, value),
            ("name", Role::Main) => head.name = reader.filled("name", value).map(str::to_owned),
            ("on", Role::Main) => head.on = Some(trigger::on(reader, entry)),
            ("concurrency", Role::Main) => head.concurrency = trigger::concurrency(reader, entry),
            ("env", _) => head.env = reader.env("env", value),
            ("secrets", _) => head.secrets = Some(reader.secrets(value)),
            ("defaults", _) => head.defaults = defaults(reader, entry),
            _ => {}
        }
    }
    head
}

/// The secrets that any of the files declares; `None` where none says anything.
pub(super) fn declared(heads: &[Head]) -> Option<Vec<Spanned<String>>> {
    let mut all: Option<Vec<Spanned<String>>> = None;
    for secret in heads.iter().filter_map(|head| head.secrets.as_ref()) {
        let known = all.get_or_insert_default();
        for secret in secret {
            if !known.iter().any(|other| other.value == secret.value) {
                known.push(secret.clone());
            }
        }
    }
    all
}

fn version(reader: &mut Reader<'_>, node: &Node) {
    let Some(text) = reader.text("version", node) else {
        return;
    };
    if !matches!(text, "1" | "1.0") {
        reader.report(
            Diagnostic::new(
                Code::Version,
                node.span.clone(),
                format!("there is no version `{text}` of the pipeline language"),
            )
            .help("write `version: 1.0`"),
        );
    }
}

fn defaults(reader: &mut Reader<'_>, entry: &Entry) -> Defaults {
    let mut defaults = Defaults::default();
    for entry in reader.mapping("defaults", Mapping::Defaults, &entry.value).unwrap_or_default() {
        let value = &entry.value;
        match entry.key.value.as_str() {
            "image" => {
                defaults.image = reader.image(value).map_or(DefaultImage::Broken, DefaultImage::Is);
            }
            "shell" => defaults.shell = reader.shell(value),
            "working-directory" => defaults.working_directory = reader.working_directory(value),
            "timeout" => defaults.timeout = reader.duration("timeout", value),
            _ => {}
        }
    }
    defaults
}
