//! The words of a shell script: quotes, expansions, here-documents, comments.

use std::ops::Range;

use super::grammar::Reader;
use super::{Dialect, Stop};

/// A word as it stands in the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Where.
    pub(super) at: Range<usize>,
    /// Whether it means what it says: nothing in it is quoted or expanded.
    pub(super) is_plain: bool,
}

/// A here-document whose text is still to come.
#[derive(Debug)]
pub(super) struct HereDocument {
    operator: usize,
    end: String,
    strips_tabs: bool,
    is_quoted: bool,
    /// The substitution that it was asked for in.
    level: usize,
}

impl Reader<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    /// Skips blanks, continued lines and a comment.
    pub(super) fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\\') if self.bytes.get(self.at + 1) == Some(&b'\n') => self.at += 2,
                Some(b'#') => {
                    let rest = &self.bytes[self.at..];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    /// Skips blanks, comments and ends of lines.
    pub(super) fn lines(&mut self) -> Result<(), Stop> {
        loop {
            self.blanks();
            if self.peek() != Some(b'\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    /// Takes the end of a line, and the here-documents that begin behind it.
    pub(super) fn newline(&mut self) -> Result<(), Stop> {
        self.at = (self.at + 1).min(self.bytes.len());
        for document in std::mem::take(&mut self.pending) {
            // Shells differ in whose line it is that ends inside of a substitution.
            if document.level != self.level {
                return Err(Stop::Unsure);
            }
            self.here_document(&document)?;
        }
        Ok(())
    }

    fn here_document(&mut self, document: &HereDocument) -> Result<(), Stop> {
        let mut is_continued = false;
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..length];
            self.at = (self.at + length + 1).min(self.bytes.len());
            let tabs = if document.strips_tabs { line.iter().take_while(|byte| **byte == b'\t').count() } else { 0 };
            if &line[tabs..] == document.end.as_bytes() {
                return if is_continued { Err(Stop::Unsure) } else { Ok(()) };
            }
            let slashes = line.iter().rev().take_while(|byte| **byte == b'\\').count();
            is_continued = !document.is_quoted && slashes % 2 == 1;
        }
        if self.level > 0 {
            // bash takes `EOF)` for the end.
            return Err(Stop::Unsure);
        }
        let end = &document.end;
        Err(self.problem(
            document.operator,
            format!("the here-document has no end: no line is `{end}` and nothing else"),
            format!("put `{end}` alone on a line, without blanks before or behind it"),
        ))
    }

    /// Reads the word behind `<<` or `<<-`.
    pub(super) fn here_word(&mut self, operator: usize, strips_tabs: bool) -> Result<(), Stop> {
        let word = self.word()?;
        let raw = self.text.get(word.at).unwrap_or_default();
        if raw.contains(['$', '`']) {
            return Err(Stop::Unsure);
        }
        let end: String = raw.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
        self.pending.push(HereDocument { operator, end, strips_tabs, is_quoted: !word.is_plain, level: self.level });
        Ok(())
    }

    /// Reads a word: up to a blank or an operator. Empty where there is none.
    pub(super) fn word(&mut self) -> Result<Word, Stop> {
        let start = self.at;
        let mut is_plain = true;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b')' => break,
                b'(' => match self.bytes.get(start..self.at).and_then(<[u8]>::last) {
                    Some(b'=') => self.deeper(Self::array)?,
                    // An extended glob, which bash has when it is told to.
                    Some(b'?' | b'*' | b'+' | b'@' | b'!') => return Err(Stop::Unsure),
                    _ => break,
                },
                b'\\' => self.at = (self.at + 2).min(self.bytes.len()),
                b'\'' => self.single_quotes()?,
                b'"' => self.double_quotes()?,
                b'`' => self.backquotes()?,
                b'$' => self.dollar(Within::Word)?,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            is_plain = false;
        }
        Ok(Word { at: start..self.at, is_plain })
    }

    /// `(…)` of an assignment.
    fn array(&mut self) -> Result<(), Stop> {
        let opened = self.at;
        self.at += 1;
        loop {
            self.lines()?;
            match self.peek() {
                Some(b')') => {
                    self.at += 1;
                    return Ok(());
                }
                None => return Err(self.unclosed(opened, "(", ")")),
                Some(_) => {
                    if self.word()?.at.is_empty() {
                        return Err(Stop::Unsure);
                    }
                }
            }
        }
    }

    fn single_quotes(&mut self) -> Result<(), Stop> {
        let opened = self.at;
        match memchr::memchr(b'\'', &self.bytes[opened + 1..]) {
            Some(length) => {
                self.at = opened + length + 2;
                Ok(())
            }
            None => Err(self.problem(
                opened,
                "a `'` is not closed".to_owned(),
                "add the closing `'`; an apostrophe of a text is written `\\'`, or put the text in `\" \"`".to_owned(),
            )),
        }
    }

    fn double_quotes(&mut self) -> Result<(), Stop> {
        let opened = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.at = (self.at + 2).min(self.bytes.len()),
                b'`' => self.backquotes()?,
                b'$' => self.dollar(Within::DoubleQuotes)?,
                _ => self.at += 1,
            }
        }
        Err(self.problem(
            opened,
            "a `\"` is not closed".to_owned(),
            "add the closing `\"`; one that is part of a text is written `\\\"`".to_owned(),
        ))
    }

    /// What stands inside is read when it runs: only the end is looked for.
    fn backquotes(&mut self) -> Result<(), Stop> {
        let opened = self.at;
        self.at += 1;
        while let Some(found) = memchr::memchr2(b'`', b'\\', &self.bytes[self.at.min(self.bytes.len())..]) {
            self.at += found;
            if self.peek() == Some(b'`') {
                self.at += 1;
                return Ok(());
            }
            self.at += 2;
        }
        Err(self.unclosed(opened, "`", "`"))
    }

    fn dollar(&mut self, within: Within) -> Result<(), Stop> {
        let opened = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'(') if self.looking_at("((") && self.arithmetic(opened)? => Ok(()),
            Some(b'(') => {
                self.at += 1;
                self.substitution(opened, "$(")
            }
            Some(b'{') => self.parameter(opened, within),
            // `$$`, which a `(` or a quote may follow.
            Some(b'$') => {
                self.at += 1;
                Ok(())
            }
            Some(b'\'') if within == Within::Word => self.ansi_quotes(),
            _ => Ok(()),
        }
    }

    /// `$'…'`, which is a quote with escapes in bash, and `$` with a quote in dash.
    fn ansi_quotes(&mut self) -> Result<(), Stop> {
        let opened = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'\'' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' if self.bytes.get(self.at + 1) == Some(&b'\'') && self.dialect == Dialect::Sh => {
                    return Err(Stop::Unsure);
                }
                b'\\' => self.at = (self.at + 2).min(self.bytes.len()),
                _ => self.at += 1,
            }
        }
        Err(self.unclosed(opened, "$'", "'"))
    }

    /// `${…}`.
    fn parameter(&mut self, opened: usize, within: Within) -> Result<(), Stop> {
        self.at += 1;
        // bash 5.3 runs commands in `${ …; }`.
        if matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'|' | b'(')) {
            return Err(Stop::Unsure);
        }
        self.deeper(|reader| {
            while let Some(byte) = reader.peek() {
                match byte {
                    b'}' => {
                        reader.at += 1;
                        return Ok(());
                    }
                    b'\\' => reader.at = (reader.at + 2).min(reader.bytes.len()),
                    // Whether it quotes depends on the operator, and on the shell.
                    b'\'' if within == Within::DoubleQuotes => return Err(Stop::Unsure),
                    b'\'' => reader.single_quotes()?,
                    b'"' => reader.double_quotes()?,
                    b'`' => reader.backquotes()?,
                    b'$' => reader.dollar(within)?,
                    _ => reader.at += 1,
                }
            }
            Err(reader.unclosed(opened, "${", "}"))
        })
    }

    /// Reads `((…))` where it is one, with the cursor at its first `(`. Else nothing is read, and it is false: then it is
    /// two parentheses of something else.
    pub(super) fn arithmetic(&mut self, opened: usize) -> Result<bool, Stop> {
        let start = self.at;
        let mut open = 0_usize;
        let mut has_quotes = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => open += 1,
                b')' if open == 2 => {
                    let closes = self.bytes.get(self.at + 1) == Some(&b')');
                    self.at = if closes { self.at + 2 } else { start };
                    return Ok(closes);
                }
                b')' => open -= 1,
                b'\\' => self.at += 1,
                b'\'' | b'"' | b'`' => {
                    has_quotes = true;
                    let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
                    let Some(length) = memchr::memchr(byte, rest) else { return Err(Stop::Unsure) };
                    self.at += length + 1;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.bytes.len();
        if has_quotes {
            return Err(Stop::Unsure);
        }
        let mark = self.text.get(opened..start).filter(|mark| !mark.is_empty()).map_or("((", |_| "$((");
        Err(self.unclosed(opened, mark, "))"))
    }
}

/// What an expansion stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Word,
    DoubleQuotes,
}
