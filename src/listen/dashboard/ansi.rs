//! A line of a log to pieces of text with classes for their colours. Nothing of it is ever markup.

use serde::{Serialize, Serializer};

use crate::sinks::sanitize::Sanitizer;
use crate::sinks::style::Color;

/// Text of one look. Its JSON is `["classes", "text"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) class: String,
    pub(super) text: String,
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.class, &self.text).serialize(serializer)
    }
}

/// The pieces of a line, without its end.
pub(super) fn pieces(line: &[u8]) -> Vec<Piece> {
    let mut clean = String::new();
    let mut sanitizer = Sanitizer::new(Color::On);
    let mut take = |part: &str| clean.push_str(part);
    sanitizer.push(line, &mut take);
    sanitizer.finish(&mut take);
    let mut look = Look::default();
    let mut pieces: Vec<Piece> = Vec::new();
    for (at, part) in clean.split('\x1b').enumerate() {
        let text = match (at, part.strip_prefix('[').and_then(|rest| rest.split_once('m'))) {
            (0, _) => part,
            (_, Some((codes, text))) => {
                look.change(codes);
                text
            }
            // The sanitizer lets nothing else through.
            (_, None) => "",
        };
        if text.is_empty() {
            continue;
        }
        let class = look.class();
        match pieces.last_mut() {
            Some(last) if last.class == class => last.text.push_str(text),
            _ => pieces.push(Piece { class, text: text.to_owned() }),
        }
    }
    pieces
}

/// How text looks: as ECMA-48 has it, with the colours of xterm.
#[derive(Debug, Default)]
struct Look {
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    struck: bool,
    reversed: bool,
    /// Of 256.
    text: Option<u8>,
    ground: Option<u8>,
}

impl Look {
    fn change(&mut self, codes: &str) {
        let mut codes = codes.split([';', ':']).map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                7 => self.reversed = true,
                9 => self.struck = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                27 => self.reversed = false,
                29 => self.struck = false,
                38 => self.text = chosen(&mut codes),
                39 => self.text = None,
                48 => self.ground = chosen(&mut codes),
                49 => self.ground = None,
                30..=37 => self.text = u8::try_from(code - 30).ok(),
                40..=47 => self.ground = u8::try_from(code - 40).ok(),
                90..=97 => self.text = u8::try_from(code - 82).ok(),
                100..=107 => self.ground = u8::try_from(code - 92).ok(),
                _ => {}
            }
        }
    }

    fn class(&self) -> String {
        let mut classes = Vec::new();
        let flags = [
            (self.bold, "b"),
            (self.dim, "d"),
            (self.italic, "i"),
            (self.underlined, "u"),
            (self.struck, "s"),
            (self.reversed, "r"),
        ];
        classes.extend(flags.iter().filter(|(on, _)| *on).map(|(_, class)| (*class).to_owned()));
        classes.extend(self.text.map(|color| format!("f{color}")));
        classes.extend(self.ground.map(|color| format!("g{color}")));
        classes.join(" ")
    }
}

/// The colour behind `38` or `48`: `5;N`, or `2;R;G;B` as the nearest of the 256.
fn chosen(codes: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match codes.next()? {
        5 => u8::try_from(codes.next()?).ok(),
        2 => {
            let step = |value: u16| {
                if value < 48 {
                    0
                } else if value < 115 {
                    1
                } else {
                    (value.min(255) - 35) / 40
                }
            };
            let (red, green, blue) = (step(codes.next()?), step(codes.next()?), step(codes.next()?));
            u8::try_from(16 + 36 * red + 6 * green + blue).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Vec<(String, String)> {
        pieces(line.as_bytes()).into_iter().map(|piece| (piece.class, piece.text)).collect()
    }

    fn piece(class: &str, text: &str) -> (String, String) {
        (class.to_owned(), text.to_owned())
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(told("plain"), [piece("", "plain")]);
        assert_eq!(
            told("a \x1b[1;31mred\x1b[0m \x1b[38;5;200mpink\x1b[39m \x1b[48;2;255;0;0mx\x1b[m."),
            [
                piece("", "a "),
                piece("b f1", "red"),
                piece("", " "),
                piece("f200", "pink"),
                piece("", " "),
                piece("g196", "x"),
                piece("", ".")
            ]
        );
        assert_eq!(told("\x1b[97;100mx"), [piece("f15 g8", "x")]);
    }

    /// FAULTS 20.
    #[test]
    fn everything_else_is_text_or_nothing() {
        let hostile = "\x1b]0;title\x07<script>alert(1)</script>\x1b[2J\x1b[10;10H\x1b]52;c;aGk=\x07&amp;\x1b[?1049h";
        assert_eq!(told(hostile), [piece("", "<script>alert(1)</script>&amp;")]);
        assert_eq!(told("\x1b[38;5m\x1b[38mx\x1b[999mx"), [piece("", "xx")]);
        assert_eq!(told("10%\r20%\r100%"), [piece("", "100%")]);
    }
}
