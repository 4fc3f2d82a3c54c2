//! How text for people looks here: colour, symbols, width; and writing it without panics.

use std::io::{IsTerminal, Write};

use argon::sinks::choose::{self, ColorChoice, Destination, Facts};
use argon::sinks::style::{Color, Style, Tone};

use super::exit::{CommandError, Exit};
use super::report::{Colour, ReportStyle};

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorArg {
    // No comments on these: each help text would spend six lines on them.
    #[default]
    Auto,
    Always,
    Never,
}

/// The environment's word on output, read once.
#[derive(Debug)]
pub(crate) struct Look {
    choice: ColorChoice,
    variables: Variables,
}

#[derive(Debug)]
struct Variables {
    term: Option<String>,
    ci: Option<String>,
    no_color: Option<String>,
    clicolor: Option<String>,
    clicolor_force: Option<String>,
    lc_all: Option<String>,
    lc_ctype: Option<String>,
    lang: Option<String>,
}

impl Look {
    /// What this process's environment and `--color` say.
    pub(crate) fn from_process(color: ColorArg) -> Self {
        let choice = match color {
            ColorArg::Auto => ColorChoice::Auto,
            ColorArg::Always => ColorChoice::Always,
            ColorArg::Never => ColorChoice::Never,
        };
        let read = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let variables = Variables {
            term: read("TERM"),
            ci: read("CI"),
            no_color: read("NO_COLOR"),
            clicolor: read("CLICOLOR"),
            clicolor_force: read("CLICOLOR_FORCE"),
            lc_all: read("LC_ALL"),
            lc_ctype: read("LC_CTYPE"),
            lang: read("LANG"),
        };
        Self { choice, variables }
    }

    /// The facts that decide on an output.
    pub(crate) fn facts(&self, terminal: &impl IsTerminal) -> Facts<'_> {
        let v = &self.variables;
        Facts {
            destination: if terminal.is_terminal() { Destination::Terminal } else { Destination::Other },
            term: v.term.as_deref(),
            ci: v.ci.as_deref(),
            no_color: v.no_color.as_deref(),
            clicolor: v.clicolor.as_deref(),
            clicolor_force: v.clicolor_force.as_deref(),
            lc_all: v.lc_all.as_deref(),
            lc_ctype: v.lc_ctype.as_deref(),
            lang: v.lang.as_deref(),
        }
    }

    fn style_for(&self, terminal: &impl IsTerminal) -> Style {
        let facts = self.facts(terminal);
        Style { color: choose::color(self.choice, &facts), symbols: choose::symbols(&facts) }
    }

    /// The look of standard output.
    pub(crate) fn stdout(&self) -> Style {
        self.style_for(&std::io::stdout())
    }

    /// How findings are rendered on standard output.
    pub(crate) fn report(&self) -> ReportStyle {
        report_style(self.stdout())
    }

    /// How findings are rendered on standard error.
    pub(crate) fn report_on_stderr(&self) -> ReportStyle {
        report_style(self.style_for(&std::io::stderr()))
    }

    /// A command's failure, for standard error.
    pub(crate) fn error(&self, error: &CommandError) -> String {
        let style = self.style_for(&std::io::stderr());
        let mut text = format!("{} {}\n", style.paint(Tone::Bad, "error:"), error.message);
        if let Some(hint) = &error.hint {
            text.push_str(&format!("{} {hint}\n", style.paint(Tone::Bold, " help:")));
        }
        text
    }
}

impl Look {
    /// A word of warning, for standard error.
    pub(crate) fn warning(&self, message: &str) -> String {
        format!("{} {message}\n", self.style_for(&std::io::stderr()).paint(Tone::Warn, "warning:"))
    }
}

fn report_style(style: Style) -> ReportStyle {
    let colour = match style.color {
        Color::On => Colour::Ansi,
        Color::Off => Colour::Plain,
    };
    let width = console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns)).clamp(40, 120);
    ReportStyle { colour, width }
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What a write came to. A reader that went away is no failure (`argon list | head -1`).
pub(crate) fn written(result: std::io::Result<()>) -> Result<(), CommandError> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CommandError {
            exit: Exit::Infrastructure,
            message: format!("cannot write to standard output: {error}"),
            hint: None,
        }),
        _ => Ok(()),
    }
}
