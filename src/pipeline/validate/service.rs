//! `services` of a job.

use std::collections::HashMap;
use std::rc::Rc;

use super::container_path::{self, Objection};
use super::job;
use crate::pipeline::expr::{Part, Template};
use crate::pipeline::language::Mapping;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::{Entry, Kind, Node};
use crate::pipeline::{Code, Diagnostic, Probe, Ready, Resources, Service, Spanned, host_name};

pub(super) fn services(reader: &mut Reader<'_>, job: &str, entry: &Entry) -> Vec<Service> {
    let help = "write each service below a name of its own: `db:`, then `image:` below that";
    let Some(entries) = reader.open_mapping("services", help, &entry.value) else {
        return Vec::new();
    };
    if entries.is_empty() {
        reader.report(
            Diagnostic::new(Code::NoServices, entry.key.span.clone(), "`services` has no service")
                .help("add one: a name such as `db`, with `image`; or remove the key"),
        );
    }
    entries.iter().filter_map(|entry| service(reader, job, entry)).collect()
}

fn service(reader: &mut Reader<'_>, job: &str, entry: &Entry) -> Option<Service> {
    let key = &entry.key;
    check_name(reader, job, key);
    let node = &entry.value;
    let mut image = None;
    let mut service = Service {
        name: key.clone(),
        image: Spanned { value: Template::default(), span: key.span.clone() },
        env: Vec::new(),
        command: None,
        entrypoint: None,
        user: None,
        tmpfs: Vec::new(),
        resources: Resources::default(),
        ready: Ready::default(),
    };
    let mut has_image = false;
    if !node.is_null() {
        for entry in reader.mapping(&format!("services.{}", key.value), Mapping::Service, node)? {
            let value = &entry.value;
            match entry.key.value.as_str() {
                "image" => {
                    image = reader.image(value);
                    has_image = true;
                }
                "env" => service.env = reader.env("env", value),
                "command" => service.command = command(reader, "command", value),
                "entrypoint" => service.entrypoint = command(reader, "entrypoint", value),
                "user" => service.user = job::user(reader, value),
                "tmpfs" => service.tmpfs = tmpfs(reader, value),
                "resources" => service.resources = job::resources(reader, value),
                "ready" => service.ready = ready(reader, entry),
                _ => {}
            }
        }
    }
    if !has_image {
        let what = format!("the service `{}`", key.value);
        reader.missing(&what, node, Mapping::Service, "image", &key.span, "add `image: postgres:17` or the like");
    }
    service.image = image?;
    Some(service)
}

/// A label of DNS (RFC 1123) that begins with a letter: others of the job reach the service by it.
fn check_name(reader: &mut Reader<'_>, job: &str, key: &Spanned<String>) {
    let name = key.value.as_str();
    let is_label = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_label {
        let finding =
            Diagnostic::new(Code::ServiceName, key.span.clone(), format!("`{name}` cannot be the name of a service"));
        let fixed = name.to_ascii_lowercase().replace('_', "-");
        let is_near = fixed != name
            && fixed.len() <= 63
            && fixed.starts_with(|c: char| c.is_ascii_lowercase())
            && !fixed.ends_with('-')
            && fixed.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        reader.report(if is_near {
            finding.help(format!("the job reaches it by that name: write `{fixed}`"))
        } else {
            finding.help("begin with a small letter, go on with small letters, digits and `-`, 63 at most")
        });
    } else if name == host_name(job) || name == "localhost" {
        let whose = if name == host_name(job) { "its job's" } else { "the job's own" };
        reader.report(
            Diagnostic::new(Code::ServiceIsJob, key.span.clone(), format!("the name `{name}` is {whose}"))
                .help("give the service another: the job could not tell it from itself"),
        );
    }
}

/// Words: a list as it is, a text split as a shell would. An expression stays in one word, whatever it comes to.
fn command(reader: &mut Reader<'_>, key: &str, node: &Rc<Node>) -> Option<Vec<Template>> {
    if !matches!(node.kind, Kind::Seq(_)) {
        let template = reader.template(key, node)?;
        return match words(&template) {
            Ok(words) => Some(words),
            Err(why) => {
                reader.report(
                    Diagnostic::new(Code::CommandQuotes, reader.visible(node), format!("`{key}` {why}"))
                        .help("close each quote, or write a list with a word an item"),
                );
                None
            }
        };
    }
    let items = reader.one_or_many(key, node);
    let words: Vec<Template> = items.iter().filter_map(|item| reader.template(key, item)).collect();
    (words.len() == items.len() && !words.is_empty()).then_some(words)
}

/// Where the private characters begin that stand for expressions while a text is split.
const PRIVATE: u32 = 0xF_0000;
/// The last of them.
const LAST_PRIVATE: u32 = 0xF_FFFD;

fn words(template: &Template) -> Result<Vec<Template>, &'static str> {
    let mut text = String::new();
    for (at, part) in template.parts.iter().enumerate() {
        match part {
            Part::Text(piece) if piece.chars().any(is_private) => {
                return Err("has private characters of Unicode in it");
            }
            Part::Text(piece) => text.push_str(piece),
            Part::Expr(_) => {
                let stand_in =
                    u32::try_from(at).ok().and_then(|at| char::from_u32(PRIVATE + at)).filter(|c| is_private(*c));
                text.push(stand_in.ok_or("has more expressions than can be counted")?);
            }
        }
    }
    let words = shlex::split(&text).ok_or("has a quote that does not close")?;
    if words.is_empty() {
        return Err("has no word: all of it is a comment");
    }
    Ok(words.iter().map(|word| put_back(word, template)).collect())
}

fn is_private(c: char) -> bool {
    (PRIVATE..=LAST_PRIVATE).contains(&u32::from(c))
}

fn put_back(word: &str, template: &Template) -> Template {
    if word.is_empty() {
        return Template::literal("");
    }
    let mut parts = Vec::new();
    let mut text = String::new();
    for c in word.chars() {
        let at = usize::try_from(u32::from(c).wrapping_sub(PRIVATE)).ok().filter(|_| is_private(c));
        match at.and_then(|at| template.parts.get(at)) {
            Some(expr) => {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(expr.clone());
            }
            None => text.push(c),
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Template { parts }
}

fn tmpfs(reader: &mut Reader<'_>, node: &Rc<Node>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut seen: HashMap<String, Spanned<String>> = HashMap::new();
    for item in reader.one_or_many("tmpfs", node) {
        let Some(text) = reader.filled("tmpfs", item) else {
            continue;
        };
        let objection = container_path::objection(text).or_else(|| {
            let help = "write it from `/`, such as `/var/lib/data`".to_owned();
            (!text.starts_with('/')).then_some(Objection { why: "is not absolute", help })
        });
        if let Some(Objection { why, help }) = objection {
            reader.report(
                Diagnostic::new(Code::ContainerPath, item.span.clone(), format!("the `tmpfs` `{text}` {why}"))
                    .help(help),
            );
            continue;
        }
        let path = Spanned { value: container_path::normal(text), span: item.span.clone() };
        match seen.get(&path.value) {
            Some(first) => reader.twice("tmpfs", first, &path),
            None => {
                found.push(path.value.clone());
                seen.insert(path.value.clone(), path);
            }
        }
    }
    found
}

fn ready(reader: &mut Reader<'_>, entry: &Entry) -> Ready {
    let mut ready = Ready::default();
    let mut first: Option<&Spanned<String>> = None;
    if let Kind::Plain(text) | Kind::Text(text) = &entry.value.kind
        && !entry.value.is_null()
        && !text.contains('\n')
    {
        let key = if text.parse::<u16>().is_ok() { "port" } else { "command" };
        let help = format!("write `{key}: {text}` below it");
        if let Some(finding) = reader.wrong_type("ready", &entry.value, "a mapping") {
            finding.help = Some(help);
        }
        return ready;
    }
    let Some(entries) = reader.mapping("ready", Mapping::Ready, &entry.value) else {
        return ready;
    };
    if matches!(&entry.value.kind, Kind::Map(all) if all.is_empty()) {
        reader.report(
            Diagnostic::new(Code::Ready, entry.key.span.clone(), "`ready` says nothing")
                .help("give it a `command`, a `port` or a `timeout`, or remove it"),
        );
    }
    for entry in entries {
        let value = &entry.value;
        let probe = match entry.key.value.as_str() {
            "command" => reader.template("command", value).map(Probe::Command),
            "port" => port(reader, value),
            "timeout" => {
                ready.timeout = reader.duration("timeout", value);
                continue;
            }
            _ => continue,
        };
        if let Some(first) = first.replace(&entry.key) {
            reader.report(
                Diagnostic::new(Code::Ready, entry.key.span.clone(), "`ready` has both `command` and `port`")
                    .label(first.span.clone(), "the other stands here")
                    .help("keep one of them: a command can ask the port, too"),
            );
        }
        ready.probe = probe;
    }
    ready
}

fn port(reader: &mut Reader<'_>, node: &Node) -> Option<Probe> {
    let port = reader.integer("port", node, 1, u32::from(u16::MAX))?;
    u16::try_from(port).ok().and_then(std::num::NonZeroU16::new).map(Probe::Port)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_text_is_split_as_a_shell_would_and_expressions_stay_whole() {
        for (text, wanted) in [
            ("postgres -c fsync=off", &["postgres", "-c", "fsync=off"][..]),
            (r#"sh -c 'echo "a b"' """#, &["sh", "-c", r#"echo "a b""#, ""]),
            (r"a\ b c", &["a b", "c"]),
            ("x-${{ branch }}-y ${{ 'a b' }}", &["x-${{ branch }}-y", "${{ 'a b' }}"]),
            ("'${{ branch }} z'", &["${{ branch }} z"]),
        ] {
            let template = Template::parse(text, text, 0, &mut Vec::new()).unwrap();
            let split: Vec<String> = words(&template).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(split, wanted, "{text}");
        }
        for bad in ["sh -c 'x", "a \"b", "a\\", "# all", "a \u{f0000}"] {
            assert!(words(&Template::literal(bad)).is_err(), "{bad}");
        }
    }
}
