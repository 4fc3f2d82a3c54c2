//! The grammar of a shell script: lists, pipelines, compound commands. What stands in them is not kept, but for the words
//! of simple commands.

use super::words::{HereDocument, Word};
use super::{Dialect, ScriptProblem, Stop};

/// Constructs inside each other. What is deeper is not looked at.
const MAX_DEPTH: usize = 60;

/// A reader of one script.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) dialect: Dialect,
    /// Here-documents that begin behind the end of the line.
    pub(super) pending: Vec<HereDocument>,
    /// How many substitutions the cursor is in.
    pub(super) level: usize,
    /// How many constructs of any kind.
    depth: usize,
    /// The simple commands that were read.
    pub(super) commands: Vec<Command>,
}

/// A simple command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Its words, assignments before it included.
    pub(super) words: Vec<Word>,
    /// What `<` reads.
    pub(super) inputs: Vec<Word>,
    /// What `>` and its like write.
    pub(super) outputs: Vec<Word>,
    /// Whether it stands in no compound command, function or substitution.
    pub(super) is_outermost: bool,
    /// Whether it can be done without: `||` stands before or behind it.
    pub(super) is_optional: bool,
}

/// What a list of commands ended at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    End,
    /// `)`
    Parenthesis,
    /// `;;` and its like.
    Branch,
    /// A word that only closes or divides something.
    Word(&'static str),
}

/// A list that was read, and what stands behind it.
pub(super) struct List {
    pub(super) ended: Ended,
    /// Where that stands.
    pub(super) at: usize,
    is_empty: bool,
}

/// A construct that waits for its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) word: &'static str,
    pub(super) at: usize,
}

const CLOSERS: [&str; 8] = ["then", "elif", "else", "fi", "do", "done", "esac", "}"];

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, dialect: Dialect) -> Self {
        let (bytes, pending, commands) = (text.as_bytes(), Vec::new(), Vec::new());
        Self { text, bytes, at: 0, dialect, pending, level: 0, depth: 0, commands }
    }

    /// Reads all of it.
    pub(super) fn script(&mut self) -> Result<(), Stop> {
        let list = self.list()?;
        let (word, of) = match list.ended {
            Ended::End => return Ok(()),
            Ended::Parenthesis => (")", "without a `(`"),
            Ended::Branch => (";;", "outside of a `case`"),
            Ended::Word(word) => match word {
                "}" => (word, "without a `{`"),
                "esac" => (word, "without a `case`"),
                "do" | "done" => (word, "without a `for`, `while` or `until`"),
                _ => (word, "without an `if`"),
            },
        };
        let help = match word {
            "}" => "remove it, or add the `{`, which wants a blank behind it".to_owned(),
            ")" => "remove it, or put the text that it is part of in quotes".to_owned(),
            _ => format!("remove it, or add what it belongs to before it; as a word it is written `\\{word}`"),
        };
        Err(self.problem(list.at, format!("`{word}` stands {of}"), help))
    }

    /// Reads commands up to what closes them.
    pub(super) fn list(&mut self) -> Result<List, Stop> {
        let mut is_empty = true;
        loop {
            self.lines()?;
            let at = self.at;
            if let Some(ended) = self.closer()? {
                return Ok(List { ended, at, is_empty });
            }
            is_empty = false;
            let is_exit = self.and_or()?;
            self.blanks();
            match self.peek() {
                Some(b';') if !self.looking_at(";;") && !self.looking_at(";&") => self.at += 1,
                Some(b'&') => self.at += 1,
                // What is behind is never read: it may be anything.
                Some(b'\n') | None if is_exit && self.depth == 0 => self.at = self.bytes.len(),
                _ => {}
            }
        }
    }

    /// What closes a list here. A word that does is taken, and so is `)` and `;;`.
    fn closer(&mut self) -> Result<Option<Ended>, Stop> {
        let ended = match self.peek() {
            None if self.pending.is_empty() => Ended::End,
            // The text of a here-document is missing altogether.
            None => {
                self.newline()?;
                Ended::End
            }
            Some(b')') => {
                self.at += 1;
                Ended::Parenthesis
            }
            Some(b';') => {
                let Some(mark) = [";;&", ";;", ";&"].into_iter().find(|mark| self.looking_at(mark)) else {
                    return Ok(None);
                };
                self.at += mark.len();
                Ended::Branch
            }
            Some(_) => {
                let Some(word) = self.reserved(&CLOSERS) else { return Ok(None) };
                self.at += word.len();
                Ended::Word(word)
            }
        };
        Ok(Some(ended))
    }

    /// The reserved word at the cursor, if it is one of these.
    pub(super) fn reserved(&self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().copied().find(|word| {
            let next = self.bytes.get(self.at + word.len());
            self.looking_at(word) && next.is_none_or(|byte| b" \t\n;&|<>()".contains(byte))
        })
    }

    /// Reads pipelines joined by `&&` and `||`. True where it is an `exit` that nothing hinders.
    fn and_or(&mut self) -> Result<bool, Stop> {
        let mut first = self.commands.len();
        let mut is_exit = self.pipeline()?;
        loop {
            self.blanks();
            let operators = [("&&", false), ("||", true)];
            let Some(operator) = operators.into_iter().find(|(mark, _)| self.looking_at(mark)) else {
                return Ok(is_exit);
            };
            is_exit = false;
            let at = self.at;
            self.at += 2;
            if operator.1 {
                self.make_optional(first);
                first = self.commands.len();
            }
            self.operand(at, operator.0)?;
            if operator.1 {
                self.make_optional(first);
            }
        }
    }

    fn make_optional(&mut self, from: usize) {
        for command in self.commands.iter_mut().skip(from) {
            command.is_optional = true;
        }
    }

    fn pipeline(&mut self) -> Result<bool, Stop> {
        let mut is_exit = self.command()?;
        loop {
            self.blanks();
            if self.peek() != Some(b'|') || self.looking_at("||") {
                return Ok(is_exit);
            }
            is_exit = false;
            let at = self.at;
            let mark = if self.looking_at("|&") { "|&" } else { "|" };
            self.at += mark.len();
            self.operand_of_pipe(at, mark)?;
        }
    }

    fn operand(&mut self, at: usize, operator: &str) -> Result<(), Stop> {
        self.wants_command(at, operator)?;
        self.pipeline().map(|_| ())
    }

    fn operand_of_pipe(&mut self, at: usize, operator: &str) -> Result<(), Stop> {
        self.wants_command(at, operator)?;
        self.command().map(|_| ())
    }

    /// Behind an operator a command must follow, if on another line.
    fn wants_command(&mut self, at: usize, operator: &str) -> Result<(), Stop> {
        self.lines()?;
        let before = self.at;
        if self.peek().is_none() || self.closer()?.is_some() {
            self.at = before;
            let help = format!("add the command behind `{operator}`, or remove it");
            return Err(self.problem(at, format!("no command follows `{operator}`"), help));
        }
        Ok(())
    }

    /// Reads one command of any kind, with the cursor at its first character.
    pub(super) fn command(&mut self) -> Result<bool, Stop> {
        let at = self.at;
        match self.peek() {
            Some(b'(') => {
                if !(self.looking_at("((") && self.deeper(|reader| reader.arithmetic(at))?) {
                    self.at += 1;
                    self.deeper(|reader| reader.group(Open { word: "(", at }, Ended::Parenthesis))?;
                }
                self.behind_compound()?;
                return Ok(false);
            }
            Some(b';' | b'&' | b'|') if !self.looking_at("&>") => {
                let operator = ["&&", "||", ";", "&", "|"].into_iter().find(|mark| self.looking_at(mark));
                let operator = operator.unwrap_or(";");
                return Err(self.problem(
                    at,
                    format!("a command cannot begin with `{operator}`"),
                    format!("remove it, or put what comes before `{operator}` on the same line"),
                ));
            }
            _ => {}
        }
        const OPENERS: [&str; 13] =
            ["if", "while", "until", "for", "select", "case", "{", "[[", "!", "time", "function", "coproc", "repeat"];
        let Some(word) = self.reserved(&OPENERS) else { return self.simple() };
        let open = Open { word, at };
        self.at += word.len();
        match word {
            "!" | "time" => return self.prefix(),
            "coproc" | "repeat" => return Err(Stop::Unsure),
            "function" => {
                self.function()?;
                return Ok(false);
            }
            _ => {}
        }
        self.deeper(|reader| match word {
            "if" => reader.if_then(open),
            "while" | "until" => {
                reader.part(open, &["do"])?;
                reader.part(open, &["done"]).map(|_| ())
            }
            "for" | "select" => reader.for_in(open),
            "case" => reader.case(open),
            "{" => reader.group(open, Ended::Word("}")),
            _ => reader.test(open),
        })?;
        self.behind_compound()?;
        Ok(false)
    }

    /// Behind `!` and `time` a command may follow, and need not.
    fn prefix(&mut self) -> Result<bool, Stop> {
        self.blanks();
        while self.looking_at("-p ") {
            self.at += 2;
            self.blanks();
        }
        match self.peek() {
            None | Some(b'\n' | b';' | b'&' | b'|' | b')') => Ok(false),
            Some(_) => self.deeper(Self::command).map(|_| false),
        }
    }

    /// One more construct around the cursor.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.depth == MAX_DEPTH {
            return Err(Stop::Unsure);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// `$(…)`, `<(…)`, behind the opening parenthesis. It may be empty.
    pub(super) fn substitution(&mut self, at: usize, word: &'static str) -> Result<(), Stop> {
        self.level += 1;
        let list = self.deeper(Self::list)?;
        self.level -= 1;
        if list.ended == Ended::Parenthesis { Ok(()) } else { Err(self.mismatch(Open { word, at }, &[")"], &list)) }
    }

    fn group(&mut self, open: Open, end: Ended) -> Result<(), Stop> {
        let list = self.list()?;
        let wanted = if end == Ended::Parenthesis { ")" } else { "}" };
        if list.ended != end {
            return Err(self.mismatch(open, &[wanted], &list));
        }
        self.must_have_commands(open.word, wanted, &list)
    }

    /// A list of a compound command up to one of the words that may close it.
    pub(super) fn part(&mut self, open: Open, wanted: &[&'static str]) -> Result<&'static str, Stop> {
        let behind = self.text.get(..self.at).and_then(|before| before.rsplit([' ', '\n', ';', '\t']).next());
        let behind = behind.unwrap_or(open.word).to_owned();
        let list = self.list()?;
        match list.ended {
            Ended::Word(word) if wanted.contains(&word) => {
                self.must_have_commands(&behind, word, &list)?;
                Ok(word)
            }
            _ => Err(self.mismatch(open, wanted, &list)),
        }
    }

    fn must_have_commands(&self, from: &str, to: &str, list: &List) -> Result<(), Stop> {
        if list.is_empty {
            let message = format!("there is no command between `{from}` and `{to}`");
            return Err(self.problem(list.at, message, "add one; `:` does nothing".to_owned()));
        }
        Ok(())
    }

    /// Behind `fi`, `done`, `}` and their like: redirections, and then no word but one that closes.
    fn behind_compound(&mut self) -> Result<(), Stop> {
        let mut outputs = Vec::new();
        loop {
            self.blanks();
            match self.peek() {
                Some(b'<' | b'>') => {
                    self.redirection(&mut Vec::new(), &mut outputs)?;
                }
                Some(b'&') if self.looking_at("&>") => {
                    self.redirection(&mut Vec::new(), &mut outputs)?;
                }
                Some(b'0'..=b'9') => self.at += 1,
                None | Some(b'\n' | b';' | b'&' | b'|' | b')') => return Ok(()),
                Some(_) if self.reserved(&CLOSERS).is_some() => return Ok(()),
                Some(_) => return Err(Stop::Unsure),
            }
        }
    }

    fn simple(&mut self) -> Result<bool, Stop> {
        let mut command = Command {
            words: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            is_outermost: self.depth == 0,
            is_optional: false,
        };
        loop {
            self.blanks();
            match self.peek() {
                Some(b'<' | b'>') => self.redirection(&mut command.inputs, &mut command.outputs)?,
                Some(b'&') if self.looking_at("&>") => {
                    self.redirection(&mut command.inputs, &mut command.outputs)?;
                }
                Some(b'(') => {
                    self.parentheses(&command)?;
                    return Ok(false);
                }
                None | Some(b'\n' | b';' | b'&' | b'|' | b')') => break,
                Some(_) => {
                    let word = self.word()?;
                    // A line that goes on in the middle of what may be a reserved word.
                    let raw = self.text.get(word.at.clone()).unwrap_or_default();
                    if command.words.is_empty() && (raw.ends_with('\\') || raw.contains("\\\n")) {
                        return Err(Stop::Unsure);
                    }
                    command.words.push(word);
                }
            }
        }
        let first = command.words.first().and_then(|word| self.text.get(word.at.clone()));
        let is_exit = first == Some("exit");
        self.commands.push(command);
        Ok(is_exit)
    }

    /// `(` behind a word: a function, or none of the shell's business.
    fn parentheses(&mut self, command: &Command) -> Result<(), Stop> {
        let at = self.at;
        self.at += 1;
        self.blanks();
        if let ([name], Some(b')')) = (command.words.as_slice(), self.peek()) {
            if !name.is_plain {
                return Err(Stop::Unsure);
            }
            self.at += 1;
            return self.body();
        }
        if command.words.is_empty() {
            return Err(Stop::Unsure);
        }
        Err(self.problem(
            at,
            "`(` stands inside of a command".to_owned(),
            "put the text that it is part of in quotes, or write `\\(`".to_owned(),
        ))
    }

    fn redirection(&mut self, inputs: &mut Vec<Word>, outputs: &mut Vec<Word>) -> Result<(), Stop> {
        let at = self.at;
        if self.looking_at("<(") || self.looking_at(">(") {
            self.at += 2;
            return self.substitution(at, "<(");
        }
        const MARKS: [&str; 12] = ["<<<", "<<-", "<<", "<>", "<&", "<", "&>>", "&>", ">>", ">|", ">&", ">"];
        let mark = MARKS.into_iter().find(|mark| self.looking_at(mark)).unwrap_or(">");
        self.at += mark.len();
        self.blanks();
        if self.looking_at("<(") || self.looking_at(">(") {
            let at = self.at;
            self.at += 2;
            return self.substitution(at, "<(");
        }
        if mark == "<<" || mark == "<<-" {
            return self.here_word(at, mark == "<<-");
        }
        let word = self.word()?;
        if word.at.is_empty() {
            // `(` and a further `<` or `>` are wrong too, in ways of their own.
            if matches!(self.peek(), Some(b'(' | b'<' | b'>')) {
                return Err(Stop::Unsure);
            }
            return Err(self.problem(
                at,
                format!("`{mark}` is not followed by a file"),
                format!("name the file behind `{mark}`; as text it is put in quotes"),
            ));
        }
        match mark {
            "<" => inputs.push(word),
            "<<<" | "<&" => {}
            _ => outputs.push(word),
        }
        Ok(())
    }

    /// A list that does not end as it must.
    pub(super) fn mismatch(&self, open: Open, wanted: &[&str], list: &List) -> Stop {
        let missing = wanted.first().copied().unwrap_or_default();
        let found = match list.ended {
            Ended::End => return self.unclosed(open.at, open.word, missing),
            Ended::Parenthesis => ")",
            Ended::Branch => ";;",
            Ended::Word(word) => word,
        };
        let message =
            format!("`{found}` stands where the `{}` on line {} lacks its `{missing}`", open.word, self.line(open.at));
        let help = match missing {
            "then" | "do" => format!("write `{missing}` before it, behind a `;` or a line break"),
            "}" => "put `}` before it, behind a `;` or a line break".to_owned(),
            _ => format!("put `{missing}` before it"),
        };
        self.problem(list.at, message, help)
    }

    /// Something that is still open at the end.
    pub(super) fn unclosed(&self, at: usize, opened: &str, wanted: &str) -> Stop {
        let help = match (opened, wanted) {
            ("{", _) => "add the `}`, behind a `;` or a line break".to_owned(),
            (_, "then" | "do") => {
                format!("add the `{wanted}`, behind a `;` or a line break, and all that belongs to it")
            }
            _ => format!("add the `{wanted}`"),
        };
        self.problem(at, format!("`{opened}` is not closed: its `{wanted}` is missing"), help)
    }

    pub(super) fn problem(&self, offset: usize, message: String, help: String) -> Stop {
        let offset = self.text.floor_char_boundary(offset);
        Stop::Problem(ScriptProblem { offset, message, help })
    }

    pub(super) fn line(&self, at: usize) -> usize {
        memchr::memchr_iter(b'\n', &self.bytes[..at.min(self.bytes.len())]).count() + 1
    }
}
