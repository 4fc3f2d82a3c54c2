//! `retry`: a number, or a mapping.

use crate::pipeline::language::Mapping;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::{Entry, Kind};
use crate::pipeline::{Retry, RetryWhen};

/// A step that fails ten times will fail the eleventh.
const MOST: u32 = 10;

const WHEN: [(&str, RetryWhen); 3] =
    [("failure", RetryWhen::Failure), ("timeout", RetryWhen::Timeout), ("error", RetryWhen::Error)];

pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry) -> Option<Retry> {
    let node = &entry.value;
    let mut retry = Retry { max: 0, when: WHEN.map(|(_, when)| when).to_vec(), backoff: None };
    if !matches!(node.kind, Kind::Map(_)) {
        retry.max = reader.integer("retry", node, 0, MOST)?;
        return Some(retry);
    }
    let (mut max, mut has_max) = (None, false);
    for entry in reader.mapping("retry", Mapping::Retry, node)? {
        match entry.key.value.as_str() {
            "max" => {
                max = reader.integer("max", &entry.value, 0, MOST);
                has_max = true;
            }
            "when" => retry.when = reader.choices("when", &entry.value, &WHEN),
            "backoff" => retry.backoff = reader.duration("backoff", &entry.value),
            _ => {}
        }
    }
    if !has_max {
        let help = "add `max:` with how often it is tried again";
        reader.missing("`retry`", node, Mapping::Retry, "max", &entry.key.span, help);
    }
    Some(Retry { max: max?, ..retry })
}
