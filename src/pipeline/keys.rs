//! Keys that mean nothing where they stand, and what someone meant who wrote them.

use super::language::Mapping;
use super::tree::{Kind, Node};
use super::{Code, Diagnostic, Spanned};

/// Words of other runners, and what they are here.
const FOREIGN: &[(&str, &str)] = &[
    ("runs-on", "image"),
    ("container", "image"),
    ("depends_on", "needs"),
    ("depends-on", "needs"),
    ("dependencies", "needs"),
    ("script", "run"),
    ("command", "run"),
    ("commands", "run"),
    ("cmd", "run"),
    ("environment", "env"),
    ("variables", "env"),
    ("timeout-minutes", "timeout"),
    ("allow_failure", "continue-on-error"),
    ("workdir", "working-directory"),
    ("cwd", "working-directory"),
    ("stages", "jobs"),
    ("before_script", "steps"),
    ("pull_request", "pull-request"),
    ("merge_request", "pull-request"),
    ("workflow_dispatch", "manual"),
    ("timezone", "time-zone"),
    ("rules", "if"),
    ("when", "if"),
    ("strategy", "matrix"),
    ("uses", "run"),
    ("tags-ignore", "tags"),
    ("branches-ignore", "branches"),
    ("paths-ignore", "paths"),
    ("restore_keys", "restore-keys"),
    ("path", "paths"),
    ("health-cmd", "command"),
    ("healthcheck", "ready"),
    ("context", "build"),
];

/// The finding for a key that does not exist where it stands.
pub(super) fn refuse(mapping: Mapping, key: &Spanned<String>) -> Diagnostic {
    let name = key.value.as_str();
    let at = key.span.clone();
    // A word of another runner is that word, wherever ours may have the same.
    let foreign = foreign(mapping, name);
    if foreign.is_none()
        && let Some(home) = Mapping::ALL.iter().find(|other| other.key(name).is_some())
    {
        return Diagnostic::new(Code::MisplacedKey, at, format!("`{name}` does not belong in {}", mapping.title()))
            .help(format!("`{name}` belongs {}", home.belongs()));
    }
    let finding = Diagnostic::new(Code::UnknownKey, at, format!("{} has no key `{name}`", mapping.title()));
    match foreign.or_else(|| near(name, mapping.names())) {
        Some(near) => finding.suggest(near),
        None => finding.help(format!("its keys are {}", list(mapping.names()))),
    }
}

/// Whether a mapping has a key that was likely meant to be `wanted`: its own finding says so, that it is missing need not.
pub(super) fn is_meant(node: &Node, mapping: Mapping, wanted: &str) -> bool {
    let Kind::Map(entries) = &node.kind else {
        return false;
    };
    let names = entries.iter().map(|entry| entry.key.value.as_str());
    names.filter(|name| mapping.key(name).is_none()).any(|name| suggest(mapping, name) == Some(wanted))
}

fn suggest(mapping: Mapping, name: &str) -> Option<&'static str> {
    foreign(mapping, name).or_else(|| near(name, mapping.names()))
}

fn foreign(mapping: Mapping, name: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(theirs, ours)| *theirs == name && mapping.key(ours).is_some()).map(|(_, ours)| *ours)
}

/// The candidate that a typing error away from `name` might have been. Case and `_` for `-` cost nothing.
pub fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase().replace('_', "-");
    if folded.len() > 64 {
        return None;
    }
    let length = folded.chars().count();
    let allowed = match length {
        0..=2 => 1,
        3..=6 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        // Lengths that far apart need not be compared: this is asked of every word of a hostile file.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase().replace('_', "-")), candidate))
        // Something must remain: `ab` is not a misspelt `x`.
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count().max(2) / 2 + 1)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` and `c`.
pub(super) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
