//! The language as a JSON Schema (draft-07), for editors that know YAML: written from the table of keys.
//!
//! <https://json-schema.org/draft-07/json-schema-validation>. A schema can tell less than the validator: it sees no spans,
//! no names, no expressions. What it refuses, the validator refuses too (tests/it/schema.rs holds them against each other).

use serde_json::{Map, Value, json};

use super::language::{Key, Kind, Mapping};

const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_-]{0,99}$";
const VARIABLE: &str = "^(?!ARGON(_|$))[A-Za-z_][A-Za-z0-9_]*$";

/// The schema of a pipeline file.
#[must_use]
pub fn schema() -> Value {
    let definitions: Map<String, Value> =
        Mapping::ALL.iter().map(|mapping| (name(*mapping), definition(*mapping))).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Argon pipeline (.runnerci.yml)",
        "description": "A pipeline that `argon run` runs in containers.",
        "$ref": reference(Mapping::Top),
        "definitions": definitions,
    })
}

fn name(mapping: Mapping) -> String {
    format!("{mapping:?}").to_lowercase()
}

fn reference(mapping: Mapping) -> String {
    format!("#/definitions/{}", name(mapping))
}

fn definition(mapping: Mapping) -> Value {
    let properties: Map<String, Value> =
        mapping.keys().iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = mapping.keys().iter().filter(|key| key.is_required()).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "description": format!("The keys of {}.", mapping.title()),
        "properties": properties,
        "additionalProperties": false,
    });
    match mapping {
        // What includes others may do without jobs of its own.
        Mapping::Top => schema["anyOf"] = json!([{ "required": ["jobs"] }, { "required": ["include"] }]),
        Mapping::Include => {
            schema["required"] = json!(required);
            schema["dependencies"] = json!({ "git": ["commit"], "commit": ["git"] });
        }
        Mapping::Ready => {
            schema["oneOf"] = json!([
                { "required": ["command"] },
                { "required": ["port"] },
                { "not": { "anyOf": [{ "required": ["command"] }, { "required": ["port"] }] } },
            ]);
        }
        Mapping::Matrix => {
            schema["additionalProperties"] = json!({
                "type": "array",
                "items": scalar(),
                "minItems": 1,
                "description": "An axis: the job runs once for each of its values, combined with those of the other axes.",
            });
            schema["propertyNames"] = names(IDENTIFIER);
        }
        _ if required.is_empty() => {}
        _ => schema["required"] = json!(required),
    }
    schema
}

/// A key: what it takes, with its description.
fn property(key: &Key) -> Value {
    let mut schema = value(&key.kind);
    // Draft-07 ignores what stands beside a `$ref`.
    if schema.get("$ref").is_some() {
        schema = json!({ "allOf": [schema] });
    }
    let default = match key.default {
        "required" => "Required.".to_owned(),
        default => format!("Default: {default}."),
    };
    schema["description"] = json!(format!("{}\n{}", key.doc, default).replace('`', ""));
    schema["markdownDescription"] = json!(
        format!("{}\n\n{default}\n\n```yaml\n{}: {}\n```", key.doc, key.name, key.example).replace(": \n", ":\n")
    );
    schema
}

/// What a value must be. Text is what was typed, so an editor may take it for a number or a boolean.
fn value(kind: &Kind) -> Value {
    match kind {
        Kind::Version => json!({ "enum": [1, "1", "1.0"] }),
        Kind::Text | Kind::Template | Kind::Condition => filled(),
        Kind::Script => json!({ "type": ["string", "number", "boolean"], "minLength": 1 }),
        Kind::Image | Kind::Shell | Kind::Path | Kind::Glob => {
            json!({ "type": ["string", "number", "boolean"], "minLength": 1 })
        }
        Kind::Cron | Kind::TimeZone | Kind::Capability => json!({ "type": "string", "minLength": 1 }),
        Kind::User => {
            json!({ "type": ["string", "number"], "pattern": "^[A-Za-z0-9_.][A-Za-z0-9_.-]*(:[A-Za-z0-9_.][A-Za-z0-9_.-]*)?$" })
        }
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer { min, max } => {
            json!({ "type": ["integer", "string"], "minimum": min, "maximum": max, "pattern": "^[0-9]+$" })
        }
        Kind::Cpus => json!({
            "type": ["number", "string"], "exclusiveMinimum": 0, "maximum": 1024, "pattern": r"^[0-9]+(\.[0-9]{1,3})?$",
        }),
        Kind::Duration => json!({ "type": "string", "pattern": "^(?=.)([0-9]+h)?([0-9]+m)?([0-9]+s)?$" }),
        Kind::Size => json!({ "type": "string", "pattern": "^[0-9]+(B|[KMG]i?B)$" }),
        Kind::Words(words) => {
            let (names, docs): (Vec<&str>, Vec<&str>) = words.iter().copied().unzip();
            json!({ "enum": names, "markdownEnumDescriptions": docs, "enumDescriptions": docs })
        }
        Kind::Commit => json!({ "type": ["string", "number"], "pattern": "^[0-9a-f]{40}$" }),
        Kind::Id | Kind::JobKey => json!({ "type": ["string", "boolean"], "pattern": IDENTIFIER }),
        Kind::SecretName => json!({ "type": ["string", "boolean"], "pattern": VARIABLE }),
        Kind::Env => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
            "propertyNames": names(VARIABLE),
        }),
        Kind::Outputs => json!({
            "type": "object",
            "additionalProperties": scalar(),
            "propertyNames": names(IDENTIFIER),
        }),
        Kind::Combination => json!({
            "type": "object",
            "additionalProperties": scalar(),
            "propertyNames": names(IDENTIFIER),
            "minProperties": 1,
        }),
        Kind::Of(mapping) => json!({ "$ref": reference(*mapping) }),
        Kind::Named(mapping) => json!({
            "type": "object",
            "additionalProperties": { "$ref": reference(*mapping) },
            "propertyNames": names(IDENTIFIER),
            "minProperties": 1,
        }),
        Kind::List(item) => json!({ "type": "array", "items": value(item) }),
        // Words of a command: any of them but the first may be empty.
        Kind::OneOrMany(item @ Kind::Template) => {
            json!({ "anyOf": [value(item), { "type": "array", "items": scalar(), "minItems": 1 }] })
        }
        Kind::OneOrMany(item) => {
            json!({ "anyOf": [value(item), { "type": "array", "items": value(item), "minItems": 1 }] })
        }
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(value).collect::<Vec<_>>() }),
        Kind::Optional(kind) => json!({ "anyOf": [{ "type": "null" }, value(kind)] }),
    }
}

/// The keys of a mapping that the user chooses. Editors look at `<<` before they merge.
fn names(pattern: &str) -> Value {
    json!({ "anyOf": [{ "pattern": pattern }, { "const": "<<" }] })
}

fn scalar() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

/// Text that says something.
fn filled() -> Value {
    json!({ "type": ["string", "number", "boolean"], "pattern": r"\S" })
}
