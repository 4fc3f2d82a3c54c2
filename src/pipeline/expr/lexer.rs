//! The words of an expression, each with its place in the text.

use std::ops::Range;

use serde_json::Value;

use super::Operator;

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Literal(Value),
    Name(String),
    Operator(Operator),
    Not,
    Dot,
    Comma,
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
}

/// A word that is none.
#[derive(Debug)]
pub(super) struct BadWord {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Takes the words of a text, which stands at `from` in the text around it.
pub(super) fn words(text: &str) -> Result<Vec<(Token, Range<usize>)>, BadWord> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        let token = match c {
            _ if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '\'' => {
                let (value, end) = quoted(text, at)?;
                at = end;
                Token::Literal(Value::String(value))
            }
            '0'..='9' | '-' | '+' => {
                at += number_length(&text[at..]);
                number(text, start..at)?
            }
            _ if c.is_alphabetic() || c == '_' => {
                let rest = &text[at..];
                at += rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
                word(&text[start..at])
            }
            _ => {
                let (token, length) = symbol(&text[at..]).ok_or_else(|| bad_symbol(text, at, c))?;
                at += length;
                token
            }
        };
        tokens.push((token, start..at));
    }
    Ok(tokens)
}

fn word(text: &str) -> Token {
    match text {
        "true" => Token::Literal(Value::Bool(true)),
        "false" => Token::Literal(Value::Bool(false)),
        "null" => Token::Literal(Value::Null),
        _ => Token::Name(text.to_owned()),
    }
}

fn symbol(rest: &str) -> Option<(Token, usize)> {
    let two = [
        ("&&", Operator::And),
        ("||", Operator::Or),
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
    ];
    if let Some((_, operator)) = two.into_iter().find(|(text, _)| rest.starts_with(text)) {
        return Some((Token::Operator(operator), 2));
    }
    let token = match rest.as_bytes().first()? {
        b'<' => Token::Operator(Operator::Less),
        b'>' => Token::Operator(Operator::Greater),
        b'!' => Token::Not,
        b'.' => Token::Dot,
        b',' => Token::Comma,
        b'(' => Token::OpenParen,
        b')' => Token::CloseParen,
        b'[' => Token::OpenBracket,
        b']' => Token::CloseBracket,
        _ => return None,
    };
    Some((token, 1))
}

fn bad_symbol(text: &str, at: usize, c: char) -> BadWord {
    let (length, help) = match c {
        '"' => (text[at + 1..].find('"').map_or(1, |end| end + 2), "write texts in single quotes: `'main'`"),
        '=' => (1, "write `==` to compare"),
        '&' => (1, "write `&&` for and"),
        '|' => (1, "write `||` for or"),
        '$' => (1, "a variable is `env.NAME` here"),
        '*' => (1, "there is no `*` in expressions; `join` and `contains` take whole lists"),
        '{' | '}' => (1, "`${{` and `}}` stand around an expression once"),
        _ => (c.len_utf8(), "write texts in single quotes: `'main'`"),
    };
    BadWord { at: at..at + length, message: format!("an expression has no {c:?}"), help }
}

/// A text in single quotes, in which `''` is one quote; and where it ends.
fn quoted(text: &str, from: usize) -> Result<(String, usize), BadWord> {
    let mut value = String::new();
    let mut at = from + 1;
    loop {
        let Some(quote) = text[at..].find('\'') else {
            return Err(BadWord {
                at: from..text.len(),
                message: "a text in an expression is not closed".to_owned(),
                help: "add the closing `'`; a quote inside is written twice",
            });
        };
        value.push_str(&text[at..at + quote]);
        at += quote + 1;
        if !text[at..].starts_with('\'') {
            return Ok((value, at));
        }
        value.push('\'');
        at += 1;
    }
}

fn number_length(rest: &str) -> usize {
    let mut before = ' ';
    let end = rest.char_indices().find(|(at, c)| {
        let goes_on = c.is_ascii_alphanumeric()
            || *c == '.'
            || (matches!(c, '+' | '-') && (*at == 0 || matches!(before, 'e' | 'E')));
        before = *c;
        !goes_on
    });
    end.map_or(rest.len(), |(at, _)| at)
}

fn number(text: &str, at: Range<usize>) -> Result<Token, BadWord> {
    let word = &text[at.clone()];
    let value = super::values::parse_number(word).and_then(serde_json::Number::from_f64);
    value.map(|number| Token::Literal(Value::Number(number))).ok_or_else(|| BadWord {
        at,
        message: format!("`{word}` is not a number"),
        help: "write a number as `42`, `3.5` or `0xff`; a version is a text: `'3.10'`",
    })
}
