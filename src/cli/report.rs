//! Findings of a pipeline file as text: for people, for editors, for GitHub's annotations.

use std::fmt;

use argon::pipeline::{Diagnostic, LineIndex, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

/// How a report for people looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportStyle {
    /// Whether it may have colours.
    pub(crate) colour: Colour,
    /// The columns that it may take.
    pub(crate) width: usize,
}

/// Whether text may have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// ANSI colours.
    Ansi,
    /// None.
    Plain,
}

/// More findings than this help nobody; the rest are counted.
const MOST_SHOWN: usize = 50;

/// Longer lines are not drawn: nobody reads them, and miette panics past 65,535 columns.
const LONGEST_DRAWN: usize = 2000;

/// The findings for people: each with its lines of the file, its code and what to do.
#[must_use]
pub(crate) fn render(findings: &[Diagnostic], name: &str, text: &str, style: ReportStyle) -> String {
    let theme = match style.colour {
        Colour::Ansi => GraphicalTheme::unicode(),
        Colour::Plain => GraphicalTheme::unicode_nocolor(),
    };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_width(style.width).with_links(false).with_context_lines(1);
    let source = (!text.is_empty()).then(|| NamedSource::new(harmless(name), harmless_in_place(text)));
    let mut out = String::new();
    let lines = LineIndex::new(text);
    let is_long: Vec<bool> = text.split('\n').map(|line| line.len() > LONGEST_DRAWN).collect();
    for finding in findings.iter().take(MOST_SHOWN) {
        if is_near_long_line(finding, &lines, &is_long) {
            out.push_str(&short(std::slice::from_ref(finding), name, text));
            if let Some(help) = &finding.help {
                out.push_str(&format!("  help: {}\n", harmless(help)));
            }
            out.push('\n');
            continue;
        }
        let report = Report { finding, message: harmless(&finding.message), source: source.as_ref() };
        // Writing to a String does not fail, and a report that cannot be drawn still has its one line.
        if handler.render_report(&mut out, &report).is_err() {
            out.push_str(&short(std::slice::from_ref(finding), name, text));
        }
        out.push('\n');
    }
    if findings.len() > MOST_SHOWN {
        out.push_str(&format!("and {} more findings\n", findings.len() - MOST_SHOWN));
    }
    out
}

/// Whether a line that would be drawn for a finding is too long for it.
fn is_near_long_line(finding: &Diagnostic, lines: &LineIndex<'_>, is_long: &[bool]) -> bool {
    let spans = std::iter::once(&finding.span).chain(finding.labels.iter().map(|label| &label.span));
    spans.map(|span| lines.place(span)).any(|place| {
        // With the lines of context: one before, one behind.
        let drawn = place.line.saturating_sub(2)..place.end_line.saturating_add(1).min(is_long.len());
        is_long.get(drawn).is_some_and(|drawn| drawn.contains(&true))
    })
}

/// `file:line:column: severity: message`, a line each.
#[must_use]
pub(crate) fn short(findings: &[Diagnostic], name: &str, text: &str) -> String {
    let lines = LineIndex::new(text);
    let line = |finding: &Diagnostic| {
        let place = lines.place(&finding.span);
        format!(
            "{}:{}:{}: {}: {}\n",
            harmless(name),
            place.line,
            place.column,
            finding.severity(),
            harmless(&finding.message)
        )
    };
    findings.iter().map(line).collect()
}

/// GitHub's workflow commands: they become annotations of a pull request.
#[must_use]
pub(crate) fn github(findings: &[Diagnostic], name: &str, text: &str) -> String {
    let value = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| value(text).replace(':', "%3A").replace(',', "%2C");
    let lines = LineIndex::new(text);
    let line = |finding: &Diagnostic| {
        let place = lines.place(&finding.span);
        let help = finding.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
        format!(
            "::{} file={},line={},endLine={},col={},endColumn={},title={}::{}\n",
            finding.severity(),
            property(name),
            place.line,
            place.end_line,
            place.column,
            place.end_column,
            finding.code,
            value(&format!("{}{help}", finding.message)),
        )
    };
    findings.iter().map(line).collect()
}

/// A finding as `--format json` shows it. Lines and columns are 1-based.
#[derive(Debug, serde::Serialize)]
pub(crate) struct JsonFinding<'a> {
    file: &'a str,
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    help: Option<&'a str>,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

/// The findings of one file for `--format json`.
#[must_use]
pub(crate) fn json<'a>(findings: &'a [Diagnostic], name: &'a str, text: &str) -> Vec<JsonFinding<'a>> {
    let lines = LineIndex::new(text);
    let entry = |finding: &'a Diagnostic| {
        let place = lines.place(&finding.span);
        JsonFinding {
            file: name,
            severity: finding.severity().as_str(),
            code: finding.code.as_str(),
            message: &finding.message,
            help: finding.help.as_deref(),
            line: place.line,
            column: place.column,
            end_line: place.end_line,
            end_column: place.end_column,
        }
    };
    findings.iter().map(entry).collect()
}

/// A file's text goes to a terminal: what could move its cursor, or turn the direction of writing, is made visible.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// As [`harmless`], with every offset kept.
fn harmless_in_place(text: &str) -> String {
    let visible = |c: char| match c {
        '\n' | '\t' => c,
        '\r' => ' ',
        c if is_harmful(c) => match c.len_utf8() {
            1 => '?',
            2 => '¿',
            _ => char::REPLACEMENT_CHARACTER,
        },
        c => c,
    };
    text.chars().map(visible).collect()
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A finding as miette draws it.
#[derive(Debug)]
struct Report<'a> {
    finding: &'a Diagnostic,
    message: String,
    source: Option<&'a NamedSource<String>>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity() {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding.help.as_ref().map(|help| Box::new(harmless(help)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source?;
        let own = LabeledSpan::new_primary_with_span(None, self.finding.span.clone());
        let others = self
            .finding
            .labels
            .iter()
            .map(|label| LabeledSpan::new_with_span(Some(label.text.clone()), label.span.clone()));
        Some(Box::new(std::iter::once(own).chain(others)))
    }
}
