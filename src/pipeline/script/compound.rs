//! The compound commands of a shell script: `if`, `for`, `case`, `[[`, functions.

use super::grammar::{Ended, Open, Reader};
use super::{Dialect, Stop};

impl Reader<'_> {
    pub(super) fn if_then(&mut self, open: Open) -> Result<(), Stop> {
        self.part(open, &["then"])?;
        loop {
            match self.part(open, &["fi", "else", "elif"])? {
                "elif" => self.part(open, &["then"])?,
                "else" => return self.part(open, &["fi"]).map(|_| ()),
                _ => return Ok(()),
            };
        }
    }

    pub(super) fn for_in(&mut self, open: Open) -> Result<(), Stop> {
        self.blanks();
        if self.looking_at("((") {
            if !self.arithmetic(self.at)? {
                return Err(Stop::Unsure);
            }
        } else {
            self.wants_word()?;
            self.lines()?;
            if self.reserved(&["in"]).is_some() {
                self.at += 2;
                while {
                    self.blanks();
                    !self.word()?.at.is_empty()
                } {}
            }
        }
        self.blanks();
        match self.peek() {
            Some(b';') if !self.looking_at(";;") => self.at += 1,
            Some(b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')') => return Err(Stop::Unsure),
            _ => {}
        }
        self.lines()?;
        if self.peek() == Some(b'{') {
            return Err(Stop::Unsure);
        }
        let at = self.at;
        if self.reserved(&["do"]).is_some() {
            self.at += 2;
            return self.part(open, &["done"]).map(|_| ());
        }
        if self.peek().is_none() {
            return Err(self.unclosed(open.at, open.word, "done"));
        }
        let found = self.word()?.at;
        if self.text.get(found).is_some_and(|raw| raw.contains('\\')) {
            return Err(Stop::Unsure);
        }
        let word = open.word;
        Err(self.problem(
            at,
            format!("the `{word}` on line {} has no `do` before this", self.line(open.at)),
            format!("write `{word} … in …; do`: a `;` or a line break stands before `do`"),
        ))
    }

    pub(super) fn case(&mut self, open: Open) -> Result<(), Stop> {
        self.blanks();
        self.wants_word()?;
        self.lines()?;
        if self.reserved(&["in"]).is_none() {
            return Err(Stop::Unsure);
        }
        self.at += 2;
        loop {
            self.lines()?;
            if self.peek().is_none() {
                return Err(self.unclosed(open.at, "case", "esac"));
            }
            if self.reserved(&["esac"]).is_some() {
                self.at += 4;
                return Ok(());
            }
            self.patterns()?;
            let list = self.list()?;
            match list.ended {
                Ended::Branch => {}
                Ended::Word("esac") => return Ok(()),
                Ended::Parenthesis => {
                    return Err(self.problem(
                        list.at,
                        format!("`)` stands in a branch of the `case` on line {}", self.line(open.at)),
                        "end the branch before with `;;`".to_owned(),
                    ));
                }
                _ => return Err(self.mismatch(open, &["esac"], &list)),
            }
        }
    }

    /// `a | b)`
    fn patterns(&mut self) -> Result<(), Stop> {
        if self.peek() == Some(b'(') {
            self.at += 1;
        }
        loop {
            self.blanks();
            self.wants_word()?;
            self.blanks();
            match self.peek() {
                Some(b'|') => self.at += 1,
                Some(b')') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Stop::Unsure),
            }
        }
    }

    fn wants_word(&mut self) -> Result<(), Stop> {
        if self.word()?.at.is_empty() { Err(Stop::Unsure) } else { Ok(()) }
    }

    /// `[[ … ]]`, which is a command like any other where the shell has none.
    pub(super) fn test(&mut self, open: Open) -> Result<(), Stop> {
        loop {
            while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'(' | b')' | b'&' | b'|' | b'<' | b'>')) {
                if self.peek() == Some(b'\n') {
                    self.newline()?;
                } else {
                    self.at += 1;
                }
            }
            match self.peek() {
                None if self.dialect == Dialect::Bash => return Err(self.unclosed(open.at, "[[", "]]")),
                None | Some(b';') => return Err(Stop::Unsure),
                Some(_) => {}
            }
            let word = self.word()?;
            if word.is_plain && self.text.get(word.at) == Some("]]") {
                return Ok(());
            }
        }
    }

    pub(super) fn function(&mut self) -> Result<(), Stop> {
        self.blanks();
        self.wants_word()?;
        self.blanks();
        if self.peek() == Some(b'(') {
            self.at += 1;
            self.blanks();
            if self.peek() != Some(b')') {
                return Err(Stop::Unsure);
            }
            self.at += 1;
        }
        self.body()
    }

    pub(super) fn body(&mut self) -> Result<(), Stop> {
        self.lines()?;
        if self.peek().is_none() { Err(Stop::Unsure) } else { self.deeper(Self::command).map(|_| ()) }
    }
}
