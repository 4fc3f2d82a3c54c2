//! `matrix`: its axes, `include`, `exclude`, and the combinations that they make.

use std::num::NonZeroU32;
use std::rc::Rc;

use crate::pipeline::language::Mapping;
use crate::pipeline::reader::{Reader, is_identifier};
use crate::pipeline::tree::{Entry, Kind, Node};
use crate::pipeline::{Code, Combination, Diagnostic, MAX_JOBS, Matrix, MatrixValue, Spanned, keys};

/// An axis.
struct Axis {
    name: Spanned<String>,
    values: Vec<MatrixValue>,
}

/// A combination as `include` or `exclude` has it.
struct Item {
    pairs: Vec<(Spanned<String>, MatrixValue)>,
    node: Rc<Node>,
}

/// The matrix, where it can be built, and the number of jobs that it makes.
pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry) -> (Option<Matrix>, usize) {
    let node = &entry.value;
    let before = reader.findings.len();
    let help = "write each axis on a line: `python: [\"3.11\", \"3.12\"]`";
    let entries = reader.open_mapping("matrix", help, node).unwrap_or_default();
    let (mut axes, mut include, mut exclude) = (Vec::new(), Vec::new(), Vec::new());
    let mut max_parallel = None;
    for entry in entries {
        match entry.key.value.as_str() {
            "include" => include = items(reader, "include", &entry.value),
            "exclude" => exclude = items(reader, "exclude", &entry.value),
            "max-parallel" => {
                max_parallel = reader.integer("max-parallel", &entry.value, 1, 256).and_then(NonZeroU32::new);
            }
            _ => axes.extend(axis(reader, entry)),
        }
    }
    if reader.findings.len() > before {
        return (None, 1);
    }
    let product = axes.iter().fold(1_usize, |product, axis| product.saturating_mul(axis.values.len()));
    if product > MAX_JOBS {
        let message = format!("the matrix makes {product} jobs, more than {MAX_JOBS}");
        reader.report(
            Diagnostic::new(Code::TooManyJobs, entry.key.span.clone(), message)
                .help("take values out, or axes: `exclude` counts only after this"),
        );
        return (None, 1);
    }
    let mut combinations = if axes.is_empty() { Vec::new() } else { product_of(&axes) };
    for item in &exclude {
        take_out(reader, item, &axes, &mut combinations);
    }
    let crossed = combinations.len();
    for item in include {
        bring_in(item, &axes, &mut combinations, crossed);
    }
    if combinations.is_empty() {
        reader.report(
            Diagnostic::new(Code::EmptyMatrix, entry.key.span.clone(), "the matrix has no combination")
                .help(if axes.is_empty() { "add an axis: a name and its values" } else { "exclude fewer of them" }),
        );
        return (None, 1);
    }
    let mut names: Vec<Spanned<String>> = axes.into_iter().map(|axis| axis.name).collect();
    for (name, _) in combinations.iter().flat_map(|combination| &combination.0) {
        if !names.iter().any(|known| known.value == *name) {
            names.push(Spanned { value: name.clone(), span: entry.key.span.clone() });
        }
    }
    let count = combinations.len();
    (Some(Matrix { keys: names, combinations, max_parallel }), count)
}

fn axis(reader: &mut Reader<'_>, entry: &Entry) -> Option<Axis> {
    let name = &entry.key;
    if !is_identifier(&name.value) {
        bad_name(reader, name);
        return None;
    }
    // `max_parallel` is not meant to be an axis.
    if let Some(near) = keys::near(&name.value, Mapping::Matrix.names())
        && !matches!(entry.value.kind, Kind::Seq(_))
    {
        reader.report(
            Diagnostic::new(Code::UnknownKey, name.span.clone(), format!("`matrix` has no key `{}`", name.value))
                .help(format!("did you mean `{near}`? The values of an axis are a list")),
        );
        return None;
    }
    let what = format!("matrix.{}", name.value);
    let items = reader.list(&what, "a list of values", &entry.value)?;
    if items.is_empty() {
        reader.report(
            Diagnostic::new(
                Code::MatrixValue,
                entry.value.span.clone(),
                format!("the axis `{}` has no value", name.value),
            )
            .help("give it at least one, or remove it"),
        );
        return None;
    }
    let mut values: Vec<MatrixValue> = Vec::new();
    for item in items {
        let Some(value) = value(reader, &name.value, item) else {
            continue;
        };
        if values.contains(&value) {
            reader.report(
                Diagnostic::new(
                    Code::DuplicateValue,
                    item.span.clone(),
                    format!("the axis `{}` has `{value}` twice", name.value),
                )
                .help("keep one of them"),
            );
        } else {
            values.push(value);
        }
    }
    Some(Axis { name: name.clone(), values })
}

fn bad_name(reader: &mut Reader<'_>, name: &Spanned<String>) {
    reader.report(
        Diagnostic::new(Code::MatrixKey, name.span.clone(), format!("`{}` cannot be the name of an axis", name.value))
            .help("begin with a letter or `_`, go on with letters, digits, `_` and `-`"),
    );
}

/// One value: text as it was typed, or a boolean.
fn value(reader: &mut Reader<'_>, axis: &str, node: &Node) -> Option<MatrixValue> {
    match &node.kind {
        Kind::Plain(text) if text == "true" => Some(MatrixValue::Bool(true)),
        Kind::Plain(text) if text == "false" => Some(MatrixValue::Bool(false)),
        Kind::Plain(_) | Kind::Text(_) if !node.is_null() => {
            reader.text(axis, node).map(|text| MatrixValue::Text(text.to_owned()))
        }
        Kind::Broken => None,
        _ => {
            let message = format!("a value of `{axis}` is text, a number or a boolean, this is {}", node.describe());
            reader.report(
                Diagnostic::new(Code::MatrixValue, reader.visible(node), message)
                    .help("write one value an item; `include` gives a combination further values"),
            );
            None
        }
    }
}

fn items(reader: &mut Reader<'_>, key: &str, node: &Rc<Node>) -> Vec<Item> {
    let list = reader.list(key, "a list of combinations", node).unwrap_or_default();
    list.iter().filter_map(|node| item(reader, key, node)).collect()
}

fn item(reader: &mut Reader<'_>, key: &str, node: &Rc<Node>) -> Option<Item> {
    let entries = reader.open_mapping(key, "write a name and a value for each: `{ python: \"3.12\" }`", node)?;
    if entries.is_empty() {
        reader.report(
            Diagnostic::new(Code::MatrixValue, node.span.clone(), format!("an item of `{key}` is empty"))
                .help("give it a name and a value, or remove it"),
        );
        return None;
    }
    let mut pairs = Vec::new();
    for entry in entries {
        if !is_identifier(&entry.key.value) {
            bad_name(reader, &entry.key);
            continue;
        }
        pairs.push((entry.key.clone(), value(reader, &entry.key.value, &entry.value)?));
    }
    Some(Item { pairs, node: Rc::clone(node) })
}

/// Every combination of the axes' values; the last axis moves fastest.
fn product_of(axes: &[Axis]) -> Vec<Combination> {
    axes.iter().fold(vec![Combination::default()], |combinations, axis| {
        combinations
            .iter()
            .flat_map(|before| {
                axis.values.iter().map(|value| {
                    let mut combination = before.clone();
                    combination.0.push((axis.name.value.clone(), value.clone()));
                    combination
                })
            })
            .collect()
    })
}

fn take_out(reader: &mut Reader<'_>, item: &Item, axes: &[Axis], combinations: &mut Vec<Combination>) {
    for (name, _) in &item.pairs {
        if !axes.iter().any(|axis| axis.name.value == name.value) {
            let finding = Diagnostic::new(
                Code::UnknownAxis,
                name.span.clone(),
                format!("the matrix has no axis `{}`", name.value),
            );
            let names = || axes.iter().map(|axis| axis.name.value.as_str());
            reader.report(match keys::near(&name.value, names()) {
                Some(near) => finding.suggest(near),
                None => finding.help(format!("its axes are {}", keys::list(names()))),
            });
            return;
        }
    }
    let before = combinations.len();
    combinations
        .retain(|combination| !item.pairs.iter().all(|(name, value)| combination.get(&name.value) == Some(value)));
    if combinations.len() == before {
        let at = reader.visible(&item.node);
        reader.report(
            Diagnostic::new(Code::ExcludesNothing, at, "this `exclude` takes no combination out")
                .help("no combination has all of these values: look at how they are typed, or remove it"),
        );
    }
}

/// Adds the item's values to each of the axes' combinations that it contradicts in nothing, or makes it one of its own.
fn bring_in(item: Item, axes: &[Axis], combinations: &mut Vec<Combination>, crossed: usize) {
    let is_axis = |name: &str| axes.iter().any(|axis| axis.name.value == name);
    let mut found = false;
    for combination in combinations.iter_mut().take(crossed) {
        let fits = item
            .pairs
            .iter()
            .filter(|(name, _)| is_axis(&name.value))
            .all(|(name, value)| combination.get(&name.value) == Some(value));
        if fits {
            found = true;
            for (name, value) in item.pairs.iter().filter(|(name, _)| !is_axis(&name.value)) {
                match combination.0.iter_mut().find(|(known, _)| *known == name.value) {
                    Some(pair) => pair.1 = value.clone(),
                    None => combination.0.push((name.value.clone(), value.clone())),
                }
            }
        }
    }
    let own = Combination(item.pairs.into_iter().map(|(name, value)| (name.value, value)).collect());
    if !found && !combinations.contains(&own) {
        combinations.push(own);
    }
}
