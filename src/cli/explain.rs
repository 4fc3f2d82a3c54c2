//! `argon validate --explain CODE`: a code's section of docs/diagnostics.md, for a terminal.

use argon::pipeline::{Code, near};

use super::report::{Colour, ReportStyle};

/// The page that tells of every code; tests/it/pipeline/docs.rs holds it against them.
const PAGE: &str = include_str!("../../docs/diagnostics.md");

/// Lines wider than this are hard to read.
const WIDEST: usize = 90;

/// What the page says of one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    /// The heading behind the code.
    pub(crate) title: &'static str,
    /// All below the heading, in Markdown.
    pub(crate) body: &'static str,
}

/// There is no such code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownCode {
    /// What was asked for.
    pub(crate) asked: String,
    /// What may have been meant, and all that there is.
    pub(crate) hint: String,
}

/// The section of a code.
#[must_use]
pub(crate) fn section(code: Code) -> Option<Section> {
    let heading = format!("\n## {code}: ");
    let (title, body) = PAGE.split_once(&heading)?.1.split_once('\n')?;
    // A heading of the first level begins the next group.
    let end = ["\n## ", "\n# "].iter().filter_map(|mark| body.find(mark)).min().unwrap_or(body.len());
    Some(Section { title, body: body.get(..end)?.trim() })
}

/// What is to be said of a code, whatever its case.
///
/// # Errors
/// Where there is no such code.
pub(crate) fn explain(asked: &str, style: ReportStyle) -> Result<String, UnknownCode> {
    let known = Code::ALL.iter().find(|code| code.as_str().eq_ignore_ascii_case(asked.trim()));
    let found = known.and_then(|code| Some((*code, section(*code)?)));
    let Some((code, section)) = found else {
        return Err(UnknownCode { asked: asked.to_owned(), hint: instead_of(asked) });
    };
    let mut text = format!("{}\n\n", bold(&format!("{code}: {}", section.title), style));
    text.push_str(&render(section.body, style));
    Ok(text)
}

fn instead_of(asked: &str) -> String {
    let mut hint = match near(asked, Code::ALL.iter().map(|code| code.as_str())) {
        Some(code) => format!("did you mean `{code}`? All codes:\n"),
        None => "these are the codes:\n".to_owned(),
    };
    for code in Code::ALL {
        let title = section(*code).map_or("", |section| section.title);
        hint.push_str(&format!("  {code}  {title}\n"));
    }
    hint.truncate(hint.trim_end().len());
    hint
}

/// The Markdown of the page, of which there is little: headings, paragraphs, lists, blocks of code.
fn render(markdown: &str, style: ReportStyle) -> String {
    let width = style.width.min(WIDEST);
    let mut out = String::new();
    let mut paragraph = String::new();
    let mut in_code = false;
    for line in markdown.lines() {
        let starts_item = line.starts_with("- ") || line.starts_with('|');
        if in_code || line.is_empty() || line.starts_with("```") || line.starts_with('#') || starts_item {
            wrap(&std::mem::take(&mut paragraph), width, &mut out);
        }
        match line {
            fence if fence.starts_with("```") => in_code = !in_code,
            code if in_code => out.push_str(format!("    {code}").trim_end()),
            heading if heading.starts_with('#') => out.push_str(&bold(heading.trim_start_matches(['#', ' ']), style)),
            "" => {}
            row if row.starts_with('|') => out.push_str(row),
            words => {
                paragraph.push_str(words);
                paragraph.push(' ');
                continue;
            }
        }
        if !line.starts_with("```") {
            out.push('\n');
        }
    }
    wrap(&paragraph, width, &mut out);
    out
}

/// Whole words, as many to a line as fit; the further lines of a list's item stand below its text.
fn wrap(paragraph: &str, width: usize, out: &mut String) {
    let indent = if paragraph.starts_with("- ") { "  " } else { "" };
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let length = console::measure_text_width(word);
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            out.push_str(indent);
            column = indent.len();
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    if column > 0 {
        out.push('\n');
    }
}

fn bold(text: &str, style: ReportStyle) -> String {
    match style.colour {
        Colour::Ansi => console::style(text).bold().force_styling(true).to_string(),
        Colour::Plain => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PLAIN: ReportStyle = ReportStyle { colour: Colour::Plain, width: 80 };

    #[test]
    fn every_code_is_explained_within_the_width() {
        // That each has a section is held by tests/it/pipeline/docs.rs.
        for code in Code::ALL.iter().filter(|code| section(**code).is_some()) {
            let text = explain(code.as_str(), PLAIN).unwrap();
            assert!(text.starts_with(&format!("{code}: ")), "{text}");
            assert!(!text.contains("```") && !text.contains("\n#") && !text.contains('\u{1b}'), "{text}");
            let long = text.lines().find(|line| !line.starts_with("    ") && line.chars().count() > 80);
            assert_eq!(long, None);
        }
    }

    #[test]
    fn blocks_of_markdown() {
        let markdown =
            "One two\nthree.\n\n- an item that goes\n  on\n- another\n\n### More\n\n```yaml\na:\n\n  b: 1\n```\n";
        let style = ReportStyle { colour: Colour::Plain, width: 12 };
        assert_eq!(
            render(markdown, style),
            "One two\nthree.\n\n- an item\n  that goes\n  on\n- another\n\nMore\n\n    a:\n\n      b: 1\n"
        );
        let bright = explain("e0003", ReportStyle { colour: Colour::Ansi, width: 80 }).unwrap();
        assert!(bright.starts_with("\u{1b}[1mE0003: "), "{bright:?}");
    }

    #[test]
    fn an_unknown_code_has_its_near_miss_and_the_list() {
        let unknown = explain("E003", PLAIN).unwrap_err();
        assert!(unknown.hint.starts_with("did you mean `E000"), "{}", unknown.hint);
        assert!(unknown.hint.contains("\n  W0401  "), "{}", unknown.hint);
        let far = explain("everything", PLAIN).unwrap_err();
        assert!(far.hint.starts_with("these are the codes"), "{}", far.hint);
    }
}
