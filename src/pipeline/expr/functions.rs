//! What each function does.

use serde_json::Value;

use super::values::{compare, fold, text};
use super::{Function, Scope, Standing};

/// Calls a function. The number of its arguments was checked.
pub(super) fn call(function: Function, arguments: &[Value], scope: &Scope<'_>) -> Result<Value, String> {
    let argument = |at: usize| arguments.get(at).unwrap_or(&Value::Null);
    let words = |at: usize| text(argument(at)).unwrap_or_default();
    Ok(match function {
        Function::Contains => Value::Bool(match argument(0) {
            Value::Array(list) => list.iter().any(|item| compare(item, argument(1)) == Some(std::cmp::Ordering::Equal)),
            _ => fold(&words(0)).contains(&fold(&words(1))),
        }),
        Function::StartsWith => Value::Bool(fold(&words(0)).starts_with(&fold(&words(1)))),
        Function::EndsWith => Value::Bool(fold(&words(0)).ends_with(&fold(&words(1)))),
        Function::Format => Value::String(format(&words(0), arguments.get(1..).unwrap_or_default())?),
        Function::Join => {
            let separator = if arguments.len() > 1 { words(1) } else { ",".to_owned() };
            Value::String(match argument(0) {
                Value::Array(list) => {
                    list.iter().map(|item| text(item).unwrap_or_default()).collect::<Vec<_>>().join(&separator)
                }
                other => text(other).unwrap_or_default(),
            })
        }
        Function::ToJson => {
            Value::String(serde_json::to_string_pretty(argument(0)).map_err(|error| error.to_string())?)
        }
        Function::FromJson => {
            serde_json::from_str(&words(0)).map_err(|error| format!("`fromJSON` was given what is no JSON: {error}"))?
        }
        Function::Success => Value::Bool(scope.standing == Standing::Success),
        Function::Failure => Value::Bool(scope.standing == Standing::Failure),
        Function::Always => Value::Bool(true),
        Function::Cancelled => Value::Bool(scope.standing == Standing::Cancelled),
        Function::Hash => Value::String(scope.files.hash(&globs(arguments))?),
        Function::Changed => Value::Bool(scope.files.changed(&globs(arguments))?),
    })
}

fn globs(arguments: &[Value]) -> Vec<String> {
    arguments.iter().filter_map(text).collect()
}

/// `{0}` is the first of the values; `{{` and `}}` are braces.
fn format(pattern: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            out.push_str(&rest[..1]);
            rest = after;
            continue;
        }
        let end = rest.find('}').filter(|_| rest.starts_with('{'));
        let value = end.and_then(|end| Some((end, values.get(rest[1..end].parse::<usize>().ok()?)?)));
        let Some((end, value)) = value else {
            let shown = rest.get(..end.map_or(1, |end| end + 1)).unwrap_or_default();
            return Err(format!("`format` has no value for `{shown}`; `{{{{` is a brace"));
        };
        out.push_str(&text(value).unwrap_or_default());
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}
