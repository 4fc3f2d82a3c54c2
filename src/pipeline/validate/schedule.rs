//! An item of `on.schedule`: cron expressions and time zones.

use std::rc::Rc;

use croner::parser::CronParser;

use crate::pipeline::language::Mapping;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::Node;
use crate::pipeline::{Code, Diagnostic, Schedule, Spanned, keys};

/// Far more than any that says something; a list of all minutes has 169.
const MAX_CRON: usize = 256;

/// A field of a cron expression.
struct Field {
    name: &'static str,
    least: u16,
    most: u16,
    /// Words that stand for numbers elsewhere, from the least on.
    words: &'static [&'static str],
}

const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

const FIELDS: [Field; 5] = [
    Field { name: "the minute", least: 0, most: 59, words: &[] },
    Field { name: "the hour", least: 0, most: 23, words: &[] },
    Field { name: "the day of the month", least: 1, most: 31, words: &[] },
    Field { name: "the month", least: 1, most: 12, words: MONTHS },
    Field { name: "the day of the week", least: 0, most: 7, words: DAYS },
];

const NICKNAMES: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

const FORM: &str = "write minute, hour, day of the month, month and day of the week: `0 3 * * 1-5`";

/// The most schedules of a pipeline: one expression can name many times.
const MAX_SCHEDULES: usize = 100;

pub(super) fn all(reader: &mut Reader<'_>, node: &Rc<Node>) -> Vec<Schedule> {
    let items = reader.one_or_many("schedule", node);
    if let Some(over) = items.get(MAX_SCHEDULES) {
        let message = format!("the pipeline has {} schedules, more than {MAX_SCHEDULES}", items.len());
        reader.report(
            Diagnostic::new(Code::Cron, reader.visible(over), message)
                .help("join some of them: `0,30 3-5 * * *` is six times a day"),
        );
    }
    items.iter().take(MAX_SCHEDULES).filter_map(|item| read(reader, item)).collect()
}

fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Schedule> {
    let entries = reader.mapping("schedule", Mapping::Schedule, node)?;
    let (mut cron, mut has_cron, mut time_zone) = (None, false, None);
    for entry in entries {
        match entry.key.value.as_str() {
            "cron" => {
                cron = cron_of(reader, &entry.value);
                has_cron = true;
            }
            "time-zone" => time_zone = zone(reader, &entry.value),
            _ => {}
        }
    }
    if !has_cron {
        let at = reader.visible(node);
        reader.missing("the `schedule`", node, Mapping::Schedule, "cron", &at, "add `cron: 0 3 * * *`");
    }
    Some(Schedule { cron: cron?, time_zone })
}

fn cron_of(reader: &mut Reader<'_>, node: &Node) -> Option<Spanned<String>> {
    let text = reader.filled("cron", node)?;
    match check(text) {
        Ok(()) => {
            Some(Spanned { value: text.split_whitespace().collect::<Vec<_>>().join(" "), span: node.span.clone() })
        }
        Err((message, help)) => {
            reader.report(Diagnostic::new(Code::Cron, node.span.clone(), message).help(help));
            None
        }
    }
}

/// What is wrong with an expression, and what to do.
fn check(text: &str) -> Result<(), (String, String)> {
    if text.len() > MAX_CRON {
        let message = format!("the cron expression has {} bytes, more than {MAX_CRON}", text.len());
        return Err((message, FORM.to_owned()));
    }
    if text.trim_start().starts_with('@') {
        let written = NICKNAMES.iter().find(|(nickname, _)| nickname.eq_ignore_ascii_case(text.trim()));
        let help = written.map_or_else(|| FORM.to_owned(), |(_, written)| format!("write `{written}`"));
        return Err((format!("`{text}` is not a cron expression of five fields"), help));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let help = match &fields[..] {
            [_, rest @ ..] if rest.len() == FIELDS.len() => {
                format!("it has no field for seconds or years: did you mean `{}`?", rest.join(" "))
            }
            _ => FORM.to_owned(),
        };
        return Err((format!("`{text}` has {} fields, a cron expression has five", fields.len()), help));
    }
    for (at, field) in fields.iter().enumerate() {
        FIELDS[at].check(field, at, &fields)?;
    }
    comes(text, fields[4] == "*")
}

impl Field {
    fn check(&self, text: &str, at: usize, all: &[&str]) -> Result<(), (String, String)> {
        let range = format!("it takes {} to {}, as `*`, `5`, `1-5`, `*/2` or a list", self.least, self.most);
        let message = || format!("`{text}` is not {} of a cron expression", self.name);
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'/' | b',' | b'-'));
        if !plain(text) {
            let written = self.in_numbers(text);
            if plain(&written) && self.parse(&written, at) {
                let mut fields = all.to_vec();
                fields[at] = &written;
                return Err((message(), format!("write numbers: `{}`", fields.join(" "))));
            }
            return Err((message(), range));
        }
        // The parser goes over what stands between two commas, were it nothing.
        if text.split(',').any(str::is_empty) || !self.parse(text, at) {
            return Err((message(), range));
        }
        Ok(())
    }

    /// Whether the parser takes it in this place.
    fn parse(&self, text: &str, at: usize) -> bool {
        let mut fields = ["*"; FIELDS.len()];
        fields[at] = text;
        CronParser::new().parse(&fields.join(" ")).is_ok()
    }

    fn in_numbers(&self, text: &str) -> String {
        let mut written = text.to_ascii_lowercase();
        for (number, word) in (self.least..).zip(self.words) {
            written = written.replace(word, &number.to_string());
        }
        written
    }
}

/// The 30th of February does not come. Where both days are bound, either will do.
fn comes(text: &str, every_weekday: bool) -> Result<(), (String, String)> {
    let Ok(cron) = CronParser::new().parse(text) else {
        return Err((format!("`{text}` is not a cron expression"), FORM.to_owned()));
    };
    let pattern = &cron.pattern;
    let length = |month: u16| match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let longest = pattern.months.values().into_iter().map(length).max().unwrap_or(0);
    let first = pattern.days.values().into_iter().min().unwrap_or(0);
    if every_weekday && first > longest {
        let message = format!("the time of `{text}` never comes: its months have no day {first}");
        return Err((message, "name a day that one of the months has".to_owned()));
    }
    Ok(())
}

fn zone(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.filled("time-zone", node)?;
    // The database that is built in: what is valid does not rest on the machine.
    let known: Vec<String> =
        jiff::tz::TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect();
    if known.iter().any(|name| name == text) {
        return Some(text.to_owned());
    }
    let place = |name: &&String| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
    let near = known.iter().find(|name| name.eq_ignore_ascii_case(text)).or_else(|| known.iter().find(place));
    let near = near.map(String::as_str).or_else(|| keys::near(text, known.iter().map(String::as_str)));
    let finding = Diagnostic::new(Code::TimeZone, node.span.clone(), format!("there is no time zone `{text}`"));
    reader.report(match near {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help("write a name of the IANA database, such as `UTC` or `Europe/Berlin`"),
    });
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_five_fields() {
        for good in [
            "0 3 * * *",
            "*/15 * * * *",
            "0 0 1-7,15 1,7 1-5",
            "5-55/10 22 29 2 *",
            "0 0 30 2 1",
            "  0\t3 * * 7 ",
            "59 23 31 12 0",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, help) in [
            ("@daily", "write `0 0 * * *`"),
            ("@reboot", FORM),
            ("0 0 3 * * *", "it has no field for seconds or years: did you mean `0 3 * * *`?"),
            ("0 3 * *", FORM),
            ("", FORM),
            ("0 3 * * mon-fri", "write numbers: `0 3 * * 1-5`"),
            ("0 3 1 JAN,jul *", "write numbers: `0 3 1 1,7 *`"),
            ("0 3 * * monday", "it takes 0 to 7, as `*`, `5`, `1-5`, `*/2` or a list"),
            ("60 3 * * *", "it takes 0 to 59, as `*`, `5`, `1-5`, `*/2` or a list"),
            ("0 24 * * *", "it takes 0 to 23, as `*`, `5`, `1-5`, `*/2` or a list"),
            ("0 3 0 * *", "it takes 1 to 31, as `*`, `5`, `1-5`, `*/2` or a list"),
            ("0 3 L * *", "it takes 1 to 31, as `*`, `5`, `1-5`, `*/2` or a list"),
            ("0 3 * 5-3 *", "it takes 1 to 12, as `*`, `5`, `1-5`, `*/2` or a list"),
            ("*/0 3 * * *", "it takes 0 to 59, as `*`, `5`, `1-5`, `*/2` or a list"),
            ("1,, 3 * * *", "it takes 0 to 59, as `*`, `5`, `1-5`, `*/2` or a list"),
            ("99999999999999999999 3 * * *", "it takes 0 to 59, as `*`, `5`, `1-5`, `*/2` or a list"),
            ("0 3 30 2 *", "name a day that one of the months has"),
            ("0 3 31 4,6 *", "name a day that one of the months has"),
        ] {
            assert_eq!(check(bad).map_err(|(_, help)| help), Err(help.to_owned()), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_expression_panics(text in "[-0-9*/,#LW?+@a-z ]{0,60}", any in "\\PC{0,300}") {
            let _ = check(&text);
            let _ = check(&any);
        }
    }
}
