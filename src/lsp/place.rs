//! What the language has at a place of an outline: which mapping a key stands in, what its value may be.

use super::outline::{At, Kind as Shape, Outline};
use crate::pipeline::language::{Key, Kind, Mapping};

/// What may stand as the value of an element: any of these. Empty where the language knows nothing there.
pub(super) type Allowed = Vec<Kind>;

/// What may stand as the value of an element, or as the whole file.
pub(super) fn allowed(outline: &Outline, at: Option<At>) -> Allowed {
    let mut kinds = vec![Kind::Of(Mapping::Top)];
    let mut path: Vec<At> = at.into_iter().flat_map(|at| outline.line(at)).collect();
    path.reverse();
    for at in path {
        kinds = match &outline.get(at).kind {
            Shape::Key(key) => below_key(&kinds, &key.value),
            Shape::Item => items(&kinds),
            Shape::Word => Allowed::new(),
        };
    }
    kinds
}

/// The key of the language that an element is.
pub(super) fn key(outline: &Outline, at: At) -> Option<&'static Key> {
    let name = outline.get(at).name()?;
    mappings(&allowed(outline, outline.get(at).parent)).into_iter().find_map(|mapping| mapping.key(name))
}

/// The mappings of the language that may stand as a value.
pub(super) fn mappings(allowed: &Allowed) -> Vec<Mapping> {
    let choices = choices(allowed).into_iter();
    choices.filter_map(|kind| if let Kind::Of(mapping) = kind { Some(mapping) } else { None }).collect()
}

/// What may stand as an item, where a list may.
pub(super) fn items(allowed: &Allowed) -> Allowed {
    let choices = choices(allowed).into_iter();
    choices.filter_map(|kind| if let Kind::List(item) = kind { Some(*item) } else { None }).collect()
}

/// All that may be chosen from, each a kind that is no choice itself.
pub(super) fn choices(allowed: &Allowed) -> Allowed {
    fn collect(kind: Kind, found: &mut Allowed) {
        match kind {
            Kind::Either(kinds) => kinds.iter().for_each(|kind| collect(*kind, found)),
            Kind::Optional(kind) => collect(*kind, found),
            Kind::OneOrMany(kind) => {
                collect(*kind, found);
                found.push(Kind::List(kind));
            }
            kind => found.push(kind),
        }
    }
    let mut found = Allowed::new();
    allowed.iter().for_each(|kind| collect(*kind, &mut found));
    found
}

fn below_key(allowed: &Allowed, name: &str) -> Allowed {
    let below = |kind| match kind {
        Kind::Of(mapping) => match mapping.key(name) {
            Some(key) => Some(key.kind),
            None => mapping.is_open().then_some(Kind::List(&Kind::Combination)),
        },
        Kind::Named(mapping) => Some(Kind::Of(mapping)),
        Kind::Env | Kind::Outputs => Some(Kind::Template),
        _ => None,
    };
    choices(allowed).into_iter().filter_map(below).collect()
}
