//! Makes a step's output harmless to a terminal: whole lines of text with SGR colours, and nothing else.
//!
//! What moves the cursor, sets titles or the clipboard, switches screens or hides text is taken out. A carriage return
//! starts the line anew, as a terminal would show it, so progress bars leave their last state only.

use super::style::Color;

/// Past this much (in bytes) a line is handed on in pieces, so that one without an end takes no memory.
const LONGEST: usize = 8 * 1024;
/// The longest control sequence that is kept together; longer ones are dropped.
const LONGEST_SEQUENCE: usize = 64;

/// A name or message that comes from elsewhere (a file, a registry), fit for one line: no control characters.
pub fn one_line(text: &str) -> String {
    text.trim_end()
        .chars()
        .filter_map(|character| match character {
            '\n' | '\t' => Some(' '),
            character if character.is_control() => None,
            character => Some(character),
        })
        .collect()
}

/// Takes bytes in any pieces, gives clean lines. One for each stream of each job.
#[derive(Debug)]
pub struct Sanitizer {
    color: Color,
    state: State,
    /// The line so far.
    line: String,
    /// Its columns, as far as tabs need them.
    column: usize,
    /// A carriage return came; what follows decides what it meant.
    returned: bool,
    /// SGR codes in force, to be taken up again on the next line.
    active: String,
    /// The bytes of a character that is not whole yet.
    partial: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Text,
    Escape,
    /// ESC and an intermediate byte (`ESC ( B`): one more byte belongs to it.
    EscapeIntermediate,
    /// ESC `[`: the parameters so far.
    Csi(String),
    /// OSC, DCS, SOS, PM, APC: swallowed up to BEL or ST.
    Swallow,
    SwallowEscape,
}

impl Sanitizer {
    /// Nothing seen yet. Without colour, SGR codes go too.
    pub fn new(color: Color) -> Self {
        Self {
            color,
            state: State::Text,
            line: String::new(),
            column: 0,
            returned: false,
            active: String::new(),
            partial: Vec::new(),
        }
    }

    /// Takes bytes; calls `line` for each line that is complete (without its newline).
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        if self.partial.is_empty() {
            self.chunks(bytes, &mut line);
        } else {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(bytes);
            self.chunks(&joined, &mut line);
        }
    }

    /// The output ended: gives the line that had no newline, and forgets all state.
    pub fn finish(&mut self, mut line: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            self.partial.clear();
            self.character(char::REPLACEMENT_CHARACTER, &mut line);
        }
        if self.column > 0 {
            self.end_line(&mut line);
        }
        *self = Self::new(self.color);
    }

    fn chunks(&mut self, mut bytes: &[u8], line: &mut impl FnMut(&str)) {
        loop {
            match std::str::from_utf8(bytes) {
                Ok(text) => return self.text(text, line),
                Err(error) => {
                    let (good, rest) = bytes.split_at(error.valid_up_to());
                    self.text(std::str::from_utf8(good).unwrap_or_default(), line);
                    match error.error_len() {
                        Some(bad) => {
                            self.character(char::REPLACEMENT_CHARACTER, line);
                            bytes = &rest[bad..];
                        }
                        None => {
                            self.partial = rest.to_vec();
                            return;
                        }
                    }
                }
            }
        }
    }

    fn text(&mut self, text: &str, line: &mut impl FnMut(&str)) {
        for character in text.chars() {
            self.character(character, line);
        }
    }

    fn character(&mut self, character: char, line: &mut impl FnMut(&str)) {
        match (&mut self.state, character) {
            (State::Text, _) => self.plain(character, line),
            (State::Swallow, '\u{7}' | '\u{9c}') | (State::SwallowEscape, '\\') => {
                self.state = State::Text;
            }
            (State::Swallow, '\u{1b}') => self.state = State::SwallowEscape,
            (State::Swallow, '\n') => {
                // An unterminated string must not eat the rest of the log.
                self.state = State::Text;
                self.plain('\n', line);
            }
            (State::Swallow, _) => {}
            (State::SwallowEscape | State::Escape, '[') => self.state = State::Csi(String::new()),
            (State::SwallowEscape | State::Escape, ']' | 'P' | 'X' | '^' | '_') => {
                self.state = State::Swallow;
            }
            (State::SwallowEscape | State::Escape, ' '..='/') => {
                self.state = State::EscapeIntermediate;
            }
            (State::SwallowEscape | State::Escape | State::EscapeIntermediate, '\u{1b}') => {
                self.state = State::Escape;
            }
            (State::SwallowEscape | State::Escape | State::EscapeIntermediate, _) => {
                self.state = State::Text;
                if character.is_control() {
                    self.plain(character, line);
                }
            }
            (State::Csi(parameters), ' '..='?') => {
                if parameters.len() <= LONGEST_SEQUENCE {
                    parameters.push(character);
                }
            }
            (State::Csi(parameters), 'm') => {
                let parameters = std::mem::take(parameters);
                self.state = State::Text;
                self.sgr(&parameters);
            }
            (State::Csi(_), '\u{1b}') => self.state = State::Escape,
            (State::Csi(_), _) => {
                self.state = State::Text;
                if character.is_control() {
                    self.plain(character, line);
                }
            }
        }
    }

    fn plain(&mut self, character: char, line: &mut impl FnMut(&str)) {
        match character {
            '\n' => {
                self.returned = false;
                self.end_line(line);
                return;
            }
            '\r' => {
                self.returned = true;
                return;
            }
            '\u{1b}' => {
                self.state = State::Escape;
                return;
            }
            '\u{9b}' => {
                self.state = State::Csi(String::new());
                return;
            }
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => {
                self.state = State::Swallow;
                return;
            }
            _ => {}
        }
        if std::mem::take(&mut self.returned) {
            self.restart();
        }
        match character {
            '\t' => {
                let spaces = 8 - self.column % 8;
                self.line.extend(std::iter::repeat_n(' ', spaces));
                self.column += spaces;
            }
            '\u{8}' => self.backspace(),
            // Bidirectional overrides make text look like other text.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            character if character.is_control() => {}
            character => {
                self.line.push(character);
                self.column += 1;
            }
        }
        if self.line.len() >= LONGEST {
            self.end_line(line);
        }
    }

    /// Takes the last character back, never a part of a code.
    fn backspace(&mut self) {
        if self.column > 0 && !self.line.ends_with('m') {
            self.line.pop();
            self.column -= 1;
        }
    }

    fn restart(&mut self) {
        self.line.clear();
        self.line.push_str(&self.active);
        self.column = 0;
    }

    fn end_line(&mut self, line: &mut impl FnMut(&str)) {
        if !self.active.is_empty() || self.line.contains('\u{1b}') {
            self.line.push_str("\u{1b}[0m");
        }
        line(&self.line);
        self.restart();
    }

    fn sgr(&mut self, parameters: &str) {
        let is_sgr = parameters.len() <= LONGEST_SEQUENCE
            && parameters.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'));
        // 8 is `conceal`: text that is there and not seen. As a sub-parameter of a colour it is an index.
        let conceals = parameters == "8" || parameters == "08";
        if self.color == Color::Off || !is_sgr || conceals {
            return;
        }
        if std::mem::take(&mut self.returned) {
            self.restart();
        }
        let code = format!("\u{1b}[{parameters}m");
        // Codes alone do not make a line longer without end.
        if self.line.len() < LONGEST {
            self.line.push_str(&code);
        }
        match parameters {
            "" | "0" | "00" => self.active.clear(),
            // A program that never resets must not grow this for ever.
            _ if self.active.len() + code.len() > 4 * LONGEST_SEQUENCE => self.active = code,
            _ => self.active.push_str(&code),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(color: Color, pieces: &[&[u8]]) -> Vec<String> {
        let mut sanitizer = Sanitizer::new(color);
        let mut lines = Vec::new();
        for piece in pieces {
            sanitizer.push(piece, |line| lines.push(line.to_owned()));
        }
        sanitizer.finish(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn table() {
        let cases: &[(&[u8], &[&str])] = &[
            (b"a\nb", &["a", "b"]),
            (b"a\r\nb\r\n", &["a", "b"]),
            (b"\n\n", &["", ""]),
            (b"10%\r20%\r100%\n", &["100%"]),
            (b"done\r\n", &["done"]),
            (b"\x1b[31mred\x1b[0m\n", &["\x1b[31mred\x1b[0m\x1b[0m"]),
            (b"\x1b[1mbold\nstill\x1b[m\nnot\n", &["\x1b[1mbold\x1b[0m", "\x1b[1mstill\x1b[m\x1b[0m", "not"]),
            (b"\x1b[2J\x1b[Hclear\n", &["clear"]),
            (b"up\x1b[1A\x1b[2Kdown\n", &["updown"]),
            (b"\x1b]0;title\x07text\n", &["text"]),
            (b"\x1b]52;c;ZXZpbA==\x1b\\text\n", &["text"]),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", &["link"]),
            (b"\x1bPq#0\x1b\\sixel\n", &["sixel"]),
            (b"\x1b]0;never ends\nnext\n", &["", "next"]),
            (b"\x1b[?1049hscreen\x1b[?25l\n", &["screen"]),
            (b"\x1b(Bcharset\x1bc\x1b7\n", &["charset"]),
            (b"\xc2\x9b2Jc1\n", &["c1"]),
            (b"tab\tx\n", &["tab     x"]),
            (b"ab\x08c\n", &["ac"]),
            (b"bell\x07\x00nul\n", &["bellnul"]),
            (b"bad\xff\xfe!\n", &["bad\u{fffd}\u{fffd}!"]),
            (b"cut \xe2\x82", &["cut \u{fffd}"]),
            ("trojan\u{202e}x\n".as_bytes(), &["trojanx"]),
            (b"\x1b[8mhidden\x1b[>4;1mmode\n", &["hiddenmode"]),
        ];
        for (input, expected) in cases {
            assert_eq!(lines_of(Color::On, &[input]), *expected, "{:?}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn names_stay_on_one_line() {
        assert_eq!(one_line("a\u{1b}[2Jb\nc\u{9b}d\r\n"), "a[2Jb cd");
    }

    #[test]
    fn without_colour_there_are_no_codes() {
        assert_eq!(lines_of(Color::Off, &[b"\x1b[31mred\x1b[0m\n"]), ["red"]);
    }

    #[test]
    fn a_line_without_end_is_handed_on() {
        let mut sanitizer = Sanitizer::new(Color::On);
        let mut seen = 0;
        for _ in 0..1000 {
            sanitizer.push(&[b'x'; 1000], |line| seen += line.len());
            assert!(sanitizer.line.capacity() <= 4 * LONGEST);
        }
        sanitizer.finish(|line| seen += line.len());
        assert_eq!(seen, 1_000_000);
    }

    /// All that is left after SGR codes are taken out is printable.
    fn is_harmless(line: &str) -> bool {
        let mut rest = line;
        while let Some(at) = rest.find('\u{1b}') {
            if rest[..at].chars().any(char::is_control) {
                return false;
            }
            let Some(end) = rest[at..].find('m') else {
                return false;
            };
            let code = &rest[at + 1..at + end];
            if !code.starts_with('[') || !code[1..].bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')) {
                return false;
            }
            rest = &rest[at + end + 1..];
        }
        !rest.chars().any(char::is_control)
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"\x1b".to_vec()),
            Just(b"\x1b[".to_vec()),
            Just(b"\x1b]".to_vec()),
            Just(b"31m".to_vec()),
            Just(b"\x9b".to_vec()),
            Just("\u{9b}é€".as_bytes().to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\x08".to_vec()),
            Just(b"text".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_but_text_and_sgr_passes(input in hostile()) {
            for line in lines_of(Color::On, &[&input]) {
                prop_assert!(is_harmless(&line), "{line:?}");
            }
        }

        #[test]
        fn where_it_is_cut_makes_no_difference(input in hostile(), at in 0usize..100) {
            let at = at.min(input.len());
            let (first, second) = input.split_at(at);
            prop_assert_eq!(lines_of(Color::On, &[first, second]), lines_of(Color::On, &[&input]));
        }
    }
}
