//! How text for people looks: colours, symbols (with ASCII for other locales), durations.

use std::time::Duration;

use jiff::Timestamp;

use crate::event::Status;

/// Whether colour is used. Decided once, by [`super::choose::color`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Color {
    /// Text carries SGR codes.
    On,
    /// Text carries none.
    #[default]
    Off,
}

/// Which signs stand for statuses and joints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Symbols {
    /// `✓ ✗ – ▸ │ › …`
    #[default]
    Unicode,
    /// ASCII only, for locales that are not UTF-8.
    Ascii,
}

impl Symbols {
    fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self {
            Self::Unicode => unicode,
            Self::Ascii => ascii,
        }
    }

    /// The sign of a status. All are one column wide.
    pub fn status(self, status: Status) -> &'static str {
        match status {
            Status::Success => self.pick("✓", "+"),
            Status::Failure => self.pick("✗", "x"),
            Status::Skipped => self.pick("–", "-"),
            Status::Cancelled | Status::Error => "!",
        }
    }

    /// Before a step that begins.
    pub fn begin(self) -> &'static str {
        self.pick("▸", ">")
    }

    /// Before what waits.
    pub fn waiting(self) -> &'static str {
        self.pick("·", ".")
    }

    /// Between a job's name and a line of its output.
    pub fn bar(self) -> &'static str {
        self.pick("│", "|")
    }

    /// In place of [`Symbols::bar`] where a line goes on that another job interrupted.
    pub fn broken_bar(self) -> &'static str {
        self.pick("┆", ":")
    }

    /// Between a job and its step.
    pub fn inside(self) -> &'static str {
        self.pick("›", ">")
    }

    /// For what is left out.
    pub fn ellipsis(self) -> &'static str {
        self.pick("…", "...")
    }

    /// Full and empty part of a progress bar.
    pub fn progress(self) -> (&'static str, &'static str) {
        match self {
            Self::Unicode => ("━", "─"),
            Self::Ascii => ("#", "."),
        }
    }

    /// The frames of a spinner, one column each.
    pub fn spinner(self) -> &'static [&'static str] {
        match self {
            Self::Unicode => &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
            Self::Ascii => &["|", "/", "-", "\\"],
        }
    }
}

/// What a piece of text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Wants attention.
    Warn,
    /// Less important.
    Dim,
    /// More important.
    Bold,
    /// The name of the job at this position of the plan.
    Job(usize),
}

impl Tone {
    /// The tone of a status.
    pub fn of(status: Status) -> Self {
        match status {
            Status::Success => Self::Good,
            Status::Failure | Status::Error => Self::Bad,
            Status::Cancelled => Self::Warn,
            Status::Skipped => Self::Dim,
        }
    }
}

/// Colour and symbols together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Colour.
    pub color: Color,
    /// Symbols.
    pub symbols: Symbols,
}

impl Style {
    /// The text in its tone; as it is where there is no colour.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        const JOBS: [console::Color; 6] = [
            console::Color::Cyan,
            console::Color::Magenta,
            console::Color::Blue,
            console::Color::Yellow,
            console::Color::Green,
            console::Color::White,
        ];
        if self.color == Color::Off || text.is_empty() {
            return text.to_owned();
        }
        let style = console::Style::new().force_styling(true);
        let style = match tone {
            Tone::Good => style.green(),
            Tone::Bad => style.red().bold(),
            Tone::Warn => style.yellow(),
            Tone::Dim => style.dim(),
            Tone::Bold => style.bold(),
            Tone::Job(position) => style.fg(JOBS[position % JOBS.len()]),
        };
        style.apply_to(text).to_string()
    }

    /// The sign of a status in its tone.
    pub fn status(&self, status: Status) -> String {
        self.paint(Tone::of(status), self.symbols.status(status))
    }
}

/// A duration as people say it: `340ms`, `1.2s`, `2m 05s`, `1h 02m`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A size as people say it: `512 B`, `1.5 MiB`.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    // Tenths of the unit, so that integers do.
    let mut tenths = u128::from(size) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match tenths % 10 {
        0 => format!("{} {}", tenths / 10, UNITS[unit]),
        tenth => format!("{}.{tenth} {}", tenths / 10, UNITS[unit]),
    }
}

/// So many files, as people say it.
pub fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// How long ago that was: `12s ago`, `5 min ago`, `3 h ago`, `2 days ago`; a date beyond a month.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let past = Duration::try_from(now.duration_since(then)).unwrap_or_default().as_secs();
    match past {
        0..60 => format!("{past}s ago"),
        60..3600 => format!("{} min ago", past / 60),
        3600..86_400 => format!("{} h ago", past / 3600),
        86_400..172_800 => "1 day ago".to_owned(),
        172_800..2_592_000 => format!("{} days ago", past / 86_400),
        _ => then.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d").to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn durations() {
        for (millis, text) in
            [(0, "0ms"), (340, "340ms"), (1_299, "1.2s"), (59_999, "59.9s"), (125_000, "2m 05s"), (3_725_000, "1h 02m")]
        {
            assert_eq!(human(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn sizes() {
        for (size, text) in
            [(512, "512 B"), (1024, "1 KiB"), (1536 * 1024, "1.5 MiB"), (2 << 30, "2 GiB"), (3 << 50, "3072 TiB")]
        {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn no_colour_is_no_codes() {
        let off = Style::default();
        let on = Style { color: Color::On, ..off };
        assert_eq!(off.paint(Tone::Bad, "no"), "no");
        assert!(on.paint(Tone::Bad, "no").contains('\u{1b}'));
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (then, text) in [
            ("2026-03-01T11:59:48Z", "12s ago"),
            ("2026-03-01T12:00:09Z", "0s ago"),
            ("2026-03-01T11:55:00Z", "5 min ago"),
            ("2026-03-01T09:00:00Z", "3 h ago"),
            ("2026-02-28T12:00:00Z", "1 day ago"),
            ("2026-02-20T12:00:00Z", "9 days ago"),
        ] {
            assert_eq!(ago(then.parse().unwrap(), now), text);
        }
    }
}
