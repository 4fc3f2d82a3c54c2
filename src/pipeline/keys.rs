//! The keys of the language: which are built, which are planned, and what someone meant who wrote another.

use super::tree::{Kind, Node};
use super::{Code, Diagnostic, Spanned};

/// A mapping of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Top,
    Defaults,
    Job,
    Step,
    Resources,
}

impl Place {
    const ALL: [Self; 5] = [Self::Top, Self::Defaults, Self::Job, Self::Step, Self::Resources];

    /// The keys that are built.
    pub(super) fn built(self) -> &'static [&'static str] {
        match self {
            Self::Top => &["version", "name", "env", "defaults", "secrets", "jobs"],
            Self::Defaults => &["image", "shell", "working-directory", "timeout"],
            Self::Job => &[
                "name",
                "image",
                "needs",
                "env",
                "shell",
                "working-directory",
                "timeout",
                "continue-on-error",
                "resources",
                "network",
                "user",
                "output",
                "steps",
            ],
            Self::Step => {
                &["name", "run", "env", "secrets", "shell", "working-directory", "timeout", "continue-on-error"]
            }
            Self::Resources => &["cpus", "memory", "pids"],
        }
    }

    /// The keys that are planned: refused, because a pipeline that asks for them must not run without them.
    pub(super) fn planned(self) -> &'static [&'static str] {
        match self {
            Self::Top => &["on", "include", "concurrency"],
            Self::Job => &["if", "matrix", "services", "retry", "cache", "artifacts", "inputs", "outputs", "security"],
            Self::Step => &["id", "if", "retry"],
            Self::Defaults | Self::Resources => &[],
        }
    }

    fn owner(self) -> &'static str {
        match self {
            Self::Top => "the file",
            Self::Defaults => "`defaults`",
            Self::Job => "a job",
            Self::Step => "a step",
            Self::Resources => "`resources`",
        }
    }

    fn belongs(self) -> &'static str {
        match self {
            Self::Top => "at the top of the file",
            Self::Defaults => "in `defaults`",
            Self::Job => "in a job",
            Self::Step => "in a step, under `steps`",
            Self::Resources => "in a job's `resources`",
        }
    }
}

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
];

/// The finding for a key that is not built where it stands.
pub(super) fn refuse(place: Place, key: &Spanned<String>) -> Diagnostic {
    let name = key.value.as_str();
    let at = key.span.clone();
    if place.planned().contains(&name) {
        return Diagnostic::new(Code::NotSupportedYet, at, format!("`{name}` is not supported yet"))
            .help(format!("remove `{name}`: the pipeline would not do what it says"));
    }
    if let Some(home) = Place::ALL.into_iter().find(|other| other.built().contains(&name)) {
        return Diagnostic::new(Code::MisplacedKey, at, format!("`{name}` does not belong in {}", place.owner()))
            .help(format!("`{name}` belongs {}", home.belongs()));
    }
    let finding = Diagnostic::new(Code::UnknownKey, at, format!("{} has no key `{name}`", place.owner()));
    match suggest(place, name) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("its keys are {}", list(place.built().iter().copied()))),
    }
}

/// Whether a mapping has a key that was likely meant to be `wanted`: its own finding says so, that it is missing need not.
pub(super) fn is_meant(node: &Node, place: Place, wanted: &str) -> bool {
    let Kind::Map(entries) = &node.kind else {
        return false;
    };
    let names = entries.iter().map(|entry| entry.key.value.as_str());
    names.filter(|name| !place.built().contains(name)).any(|name| suggest(place, name) == Some(wanted))
}

fn suggest(place: Place, name: &str) -> Option<&'static str> {
    let foreign = FOREIGN.iter().find(|(theirs, ours)| *theirs == name && place.built().contains(ours));
    foreign.map(|(_, ours)| *ours).or_else(|| near(name, place.built().iter().copied()))
}

/// The candidate that a typing error away from `name` might have been. Case and `_` for `-` cost nothing.
pub fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase().replace('_', "-");
    if folded.len() > 64 {
        return None;
    }
    let allowed = match folded.chars().count() {
        0..=2 => 1,
        3..=6 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
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
