//! Which output a run gets, whether it has colour, and which symbols: pure decisions. The caller reads the environment.

use super::Verbosity;
use super::style::{Color, Symbols};

/// `--output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutputChoice {
    /// The live view on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// The live view.
    Tui,
    /// Plain lines.
    Plain,
    /// One JSON object a line.
    Json,
}

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal that can, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a run writes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The live view.
    Terminal,
    /// Plain lines.
    Plain,
    /// One JSON object a line.
    Json,
}

/// What standard output is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Destination {
    /// A terminal.
    Terminal,
    /// A pipe, a file, nothing.
    #[default]
    Other,
}

/// What the decisions rest on: environment variables as they are, `None` where unset.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// What standard output is.
    pub destination: Destination,
    /// `TERM`.
    pub term: Option<&'a str>,
    /// `CI`.
    pub ci: Option<&'a str>,
    /// `NO_COLOR` (no-color.org: any value but the empty one).
    pub no_color: Option<&'a str>,
    /// `CLICOLOR`: `0` is no colour.
    pub clicolor: Option<&'a str>,
    /// `CLICOLOR_FORCE`: anything but `0` is colour, also in a pipe.
    pub clicolor_force: Option<&'a str>,
    /// `LC_ALL`.
    pub lc_all: Option<&'a str>,
    /// `LC_CTYPE`.
    pub lc_ctype: Option<&'a str>,
    /// `LANG`.
    pub lang: Option<&'a str>,
}

impl Facts<'_> {
    fn is_dumb(&self) -> bool {
        self.term == Some("dumb")
    }
}

/// A variable that is set to something that does not mean no.
fn is_on(value: Option<&str>) -> bool {
    value.is_some_and(|value| !matches!(value, "" | "0" | "false"))
}

/// The output. The live view needs a terminal that can move its cursor: without one, `--output tui` is plain too.
pub fn output(choice: OutputChoice, verbosity: Verbosity, facts: &Facts<'_>) -> Output {
    let can_move = facts.destination == Destination::Terminal && !facts.is_dumb();
    match choice {
        OutputChoice::Json => Output::Json,
        OutputChoice::Plain => Output::Plain,
        OutputChoice::Tui if can_move => Output::Terminal,
        OutputChoice::Auto if can_move && verbosity != Verbosity::Quiet && !is_on(facts.ci) => Output::Terminal,
        OutputChoice::Tui | OutputChoice::Auto => Output::Plain,
    }
}

/// Whether text for people has colour. The command line wins over `NO_COLOR`, that over `CLICOLOR_FORCE`, that over the rest.
pub fn color(choice: ColorChoice, facts: &Facts<'_>) -> Color {
    let on = match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if facts.no_color.is_some_and(|value| !value.is_empty()) => false,
        ColorChoice::Auto if is_on(facts.clicolor_force) => true,
        ColorChoice::Auto => {
            facts.destination == Destination::Terminal && !facts.is_dumb() && facts.clicolor != Some("0")
        }
    };
    if on { Color::On } else { Color::Off }
}

/// The symbols. Where no locale is set (as in most CI) the reader is taken to know UTF-8.
pub fn symbols(facts: &Facts<'_>) -> Symbols {
    let locale = [facts.lc_all, facts.lc_ctype, facts.lang].into_iter().flatten().find(|value| !value.is_empty());
    let is_utf8 = |locale: &str| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    };
    match locale {
        Some(locale) if !is_utf8(locale) => Symbols::Ascii,
        _ => Symbols::Unicode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTY: Facts<'static> = Facts {
        destination: Destination::Terminal,
        term: Some("xterm-256color"),
        ci: None,
        no_color: None,
        clicolor: None,
        clicolor_force: None,
        lc_all: None,
        lc_ctype: None,
        lang: None,
    };
    const PIPE: Facts<'static> = Facts { destination: Destination::Other, ..TTY };

    #[test]
    fn outputs() {
        use Output::{Json, Plain, Terminal};
        use OutputChoice as Choice;
        use Verbosity::{Normal, Quiet, Verbose};
        let dumb = Facts { term: Some("dumb"), ..TTY };
        let ci = Facts { ci: Some("true"), ..TTY };
        let not_ci = Facts { ci: Some("false"), ..TTY };
        for (choice, verbosity, facts, expected) in [
            (Choice::Auto, Normal, TTY, Terminal),
            (Choice::Auto, Verbose, TTY, Terminal),
            (Choice::Auto, Quiet, TTY, Plain),
            (Choice::Auto, Normal, PIPE, Plain),
            (Choice::Auto, Normal, dumb, Plain),
            (Choice::Auto, Normal, ci, Plain),
            (Choice::Auto, Normal, not_ci, Terminal),
            (Choice::Tui, Normal, ci, Terminal),
            (Choice::Tui, Normal, PIPE, Plain),
            (Choice::Tui, Normal, dumb, Plain),
            (Choice::Plain, Normal, TTY, Plain),
            (Choice::Json, Normal, TTY, Json),
            (Choice::Json, Quiet, PIPE, Json),
        ] {
            assert_eq!(output(choice, verbosity, &facts), expected, "{choice:?} {verbosity:?} {facts:?}");
        }
    }

    #[test]
    fn colours() {
        use ColorChoice::{Always, Auto, Never};
        let no = |value| Facts { no_color: Some(value), ..TTY };
        let force = |value| Facts { clicolor_force: Some(value), ..PIPE };
        let both = Facts { no_color: Some("1"), clicolor_force: Some("1"), ..TTY };
        let cli = |value| Facts { clicolor: Some(value), ..TTY };
        let dumb = Facts { term: Some("dumb"), ..TTY };
        for (choice, facts, expected) in [
            (Auto, TTY, Color::On),
            (Auto, PIPE, Color::Off),
            (Auto, no("1"), Color::Off),
            (Auto, no(""), Color::On),
            (Auto, force("1"), Color::On),
            (Auto, force("0"), Color::Off),
            (Auto, both, Color::Off),
            (Auto, cli("0"), Color::Off),
            (Auto, cli("1"), Color::On),
            (Auto, dumb, Color::Off),
            (Always, PIPE, Color::On),
            (Always, both, Color::On),
            (Never, force("1"), Color::Off),
        ] {
            assert_eq!(color(choice, &facts), expected, "{choice:?} {facts:?}");
        }
    }

    #[test]
    fn locales() {
        let locale = |lc_all, lc_ctype, lang| Facts { lc_all, lc_ctype, lang, ..TTY };
        for (facts, expected) in [
            (locale(None, None, None), Symbols::Unicode),
            (locale(None, None, Some("en_GB.UTF-8")), Symbols::Unicode),
            (locale(None, Some("C.utf8"), Some("C")), Symbols::Unicode),
            (locale(Some("C"), None, Some("en_GB.UTF-8")), Symbols::Ascii),
            (locale(Some(""), None, Some("POSIX")), Symbols::Ascii),
            (locale(None, None, Some("de_DE.ISO-8859-1")), Symbols::Ascii),
        ] {
            assert_eq!(symbols(&facts), expected, "{facts:?}");
        }
    }
}
