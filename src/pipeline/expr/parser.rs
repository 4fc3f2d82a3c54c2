//! Words to a tree. Each level of precedence is a function; their depth is bounded.

use std::ops::Range;

use serde_json::Value;

use super::lexer::{self, Token};
use super::{Context, Expr, ExprKind, Function, Operator};
use crate::pipeline::{Code, Diagnostic, Span, Spanned, keys};

/// Parentheses and the like inside each other.
const MAX_DEPTH: usize = 50;
/// The longest expression, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// Words of GitHub Actions that have another name here, or none.
const FOREIGN_CONTEXTS: &[(&str, &str)] = &[
    ("github", "it is `branch`, `tag`, `commit` and `event` here"),
    ("runner", "there is none: a job runs in a container of its own"),
    ("strategy", "there is none: `matrix` has the values"),
    ("inputs", "there is none: `env` has the values of `-e NAME=VALUE`"),
    ("vars", "there is none: `env` has the values of `-e NAME=VALUE`"),
    ("job", "there is none: `needs.JOB` is a job that this one needs"),
    ("jobs", "it is `needs.JOB` here"),
];

/// Parses an expression. `span` gives the place in the file of a range of the text.
pub(super) fn parse(text: &str, span: &dyn Fn(Range<usize>) -> Span, findings: &mut Vec<Diagnostic>) -> Option<Expr> {
    let report = |findings: &mut Vec<Diagnostic>, code, at: Range<usize>, message: String, help: String| {
        findings.push(Diagnostic::new(code, span(at), message).help(help));
    };
    let first_line = text.find('\n').unwrap_or(text.len());
    if text.len() > MAX_LENGTH {
        let message = format!("an expression of {} bytes is longer than {MAX_LENGTH}", text.len());
        report(findings, Code::ExpressionTooLarge, 0..first_line, message, "move it into the script".to_owned());
        return None;
    }
    let tokens = match lexer::words(text) {
        Ok(tokens) => tokens,
        Err(bad) => {
            report(findings, Code::ExpressionSyntax, bad.at, bad.message, bad.help.to_owned());
            return None;
        }
    };
    if tokens.is_empty() {
        let message = "an expression is empty".to_owned();
        let help = "write one, such as `branch == 'main'`, or remove it".to_owned();
        report(findings, Code::ExpressionSyntax, 0..first_line, message, help);
        return None;
    }
    let mut parser = Parser { tokens: &tokens, at: 0, end: text.trim_end().len(), depth: 0, span };
    let parsed = parser.or().and_then(|expr| match parser.tokens.get(parser.at) {
        None => Ok(expr),
        Some((token, at)) => {
            let what = describe(token);
            Err(Wrong::syntax(
                at.clone(),
                format!("{what} stands behind a whole expression"),
                "join the two with `&&` or `||`, or remove one",
            ))
        }
    });
    match parsed {
        Ok(expr) => Some(expr),
        Err(wrong) => {
            let finding = Diagnostic::new(wrong.code, span(wrong.at), wrong.message).help(wrong.help);
            findings.push(match wrong.meant {
                Some(meant) => finding.replace(meant),
                None => finding,
            });
            None
        }
    }
}

struct Wrong {
    code: Code,
    at: Range<usize>,
    message: String,
    help: String,
    /// What was likely meant in the place of what stands there.
    meant: Option<&'static str>,
}

impl Wrong {
    fn syntax(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code: Code::ExpressionSyntax, at, message: message.into(), help: help.into(), meant: None }
    }
}

struct Parser<'a> {
    tokens: &'a [(Token, Range<usize>)],
    at: usize,
    /// Where the text ends.
    end: usize,
    depth: usize,
    span: &'a dyn Fn(Range<usize>) -> Span,
}

type Parsed = Result<Expr, Wrong>;

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    /// Where the next word stands; the end of the text where there is none.
    fn here(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.end.saturating_sub(1)..self.end, |(_, at)| at.clone())
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Parsed {
        self.binary(&[Operator::Or], Self::and)
    }

    fn and(&mut self) -> Parsed {
        self.binary(&[Operator::And], Self::equality)
    }

    fn equality(&mut self) -> Parsed {
        self.binary(&[Operator::Equal, Operator::NotEqual], Self::order)
    }

    fn order(&mut self) -> Parsed {
        let all = [Operator::Less, Operator::LessOrEqual, Operator::Greater, Operator::GreaterOrEqual];
        self.binary(&all, Self::not)
    }

    /// A row of operators of one precedence. A long row is a deep tree, so it counts as depth.
    fn binary(&mut self, operators: &[Operator], side: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = side(self)?;
        let mut row = 0;
        while let Some(Token::Operator(operator)) = self.peek()
            && operators.contains(operator)
        {
            let operator = *operator;
            self.at += 1;
            row += 1;
            if row > MAX_DEPTH {
                return Err(self.too_deep());
            }
            let right = side(self)?;
            let span = left.span.start..right.span.end;
            left = Expr { kind: ExprKind::Binary { operator, left: Box::new(left), right: Box::new(right) }, span };
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed {
        let start = self.here();
        if !self.take(&Token::Not) {
            return self.postfix();
        }
        self.deeper(|parser| {
            let of = parser.not()?;
            let span = (parser.span)(start).start..of.span.end;
            Ok(Expr { kind: ExprKind::Not(Box::new(of)), span })
        })
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Wrong>) -> Result<T, Wrong> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let done = work(self);
        self.depth -= 1;
        done
    }

    fn too_deep(&self) -> Wrong {
        Wrong {
            code: Code::ExpressionTooLarge,
            at: self.here(),
            message: format!("an expression is nested deeper than {MAX_DEPTH} levels"),
            help: "move it into the script".to_owned(),
            meant: None,
        }
    }

    fn postfix(&mut self) -> Parsed {
        let mut expr = self.primary()?;
        let mut row = 0;
        loop {
            row += 1;
            if row > MAX_DEPTH {
                return Err(self.too_deep());
            }
            if self.take(&Token::Dot) {
                let at = self.here();
                let Some(Token::Name(name)) = self.peek() else {
                    return Err(Wrong::syntax(
                        at,
                        "a name is missing behind `.`",
                        "write it as `needs.JOB.status`; other names as `['a name']`",
                    ));
                };
                let name = Spanned { value: name.clone(), span: (self.span)(at) };
                self.at += 1;
                let span = expr.span.start..name.span.end;
                expr = Expr { kind: ExprKind::Property { of: Box::new(expr), name }, span };
            } else if self.take(&Token::OpenBracket) {
                let index = self.deeper(Self::or)?;
                let close = self.here();
                if !self.take(&Token::CloseBracket) {
                    return Err(Wrong::syntax(close, "a `[` is not closed", "add the `]`"));
                }
                let span = expr.span.start..(self.span)(close).end;
                let of = Box::new(expr);
                let kind = match index.kind {
                    ExprKind::Literal(Value::String(name)) => {
                        ExprKind::Property { of, name: Spanned { value: name, span: index.span } }
                    }
                    _ => ExprKind::Index { of, index: Box::new(index) },
                };
                expr = Expr { kind, span };
            } else {
                return Ok(expr);
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let at = self.here();
        let Some(token) = self.peek().cloned() else {
            return Err(Wrong::syntax(
                at,
                "the expression ends where a value belongs",
                "write the value, or remove the operator",
            ));
        };
        let span = (self.span)(at.clone());
        self.at += 1;
        match token {
            Token::Literal(value) => Ok(Expr { kind: ExprKind::Literal(value), span }),
            Token::OpenParen => {
                let inner = self.deeper(Self::or)?;
                let close = self.here();
                if !self.take(&Token::CloseParen) {
                    return Err(Wrong::syntax(close, "a `(` is not closed", "add the `)`"));
                }
                Ok(Expr { span: span.start..(self.span)(close).end, ..inner })
            }
            Token::Name(name) if self.peek() == Some(&Token::OpenParen) => self.call(&name, at),
            Token::Name(name) => context(&name, at).map(|context| Expr { kind: ExprKind::Context(context), span }),
            other => Err(Wrong::syntax(
                at,
                format!("{} stands where a value belongs", describe(&other)),
                "write a value: a text in `'…'`, a number, or a name such as `branch`",
            )),
        }
    }

    fn call(&mut self, name: &str, at: Range<usize>) -> Parsed {
        let function = Function::ALL.iter().find(|function| function.name().eq_ignore_ascii_case(name));
        let Some(function) = function else {
            return Err(unknown_function(name, at));
        };
        let span = (self.span)(at);
        let function = Spanned { value: *function, span: span.clone() };
        self.take(&Token::OpenParen);
        let mut arguments = Vec::new();
        let mut close = self.here();
        if !self.take(&Token::CloseParen) {
            loop {
                arguments.push(self.deeper(Self::or)?);
                close = self.here();
                if self.take(&Token::CloseParen) {
                    break;
                }
                if !self.take(&Token::Comma) {
                    return Err(Wrong::syntax(
                        close,
                        format!("the `(` of `{name}` is not closed"),
                        "put `,` between its arguments and `)` behind the last",
                    ));
                }
            }
        }
        let span = span.start..(self.span)(close).end;
        Ok(Expr { kind: ExprKind::Call { function, arguments }, span })
    }
}

fn context(name: &str, at: Range<usize>) -> Result<Context, Wrong> {
    if let Some(context) = Context::ALL.iter().find(|context| context.name().eq_ignore_ascii_case(name)) {
        return Ok(*context);
    }
    let foreign = FOREIGN_CONTEXTS.iter().find(|(foreign, _)| *foreign == name);
    let near = match foreign {
        Some(_) => None,
        None => keys::near(name, Context::ALL.iter().map(|context| context.name())),
    };
    let help = match foreign {
        Some((_, help)) => (*help).to_owned(),
        None => match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if Function::ALL.iter().any(|function| function.name().eq_ignore_ascii_case(name)) => {
                format!("a function is called: `{name}()`")
            }
            None => format!("write a text in quotes, `'{name}'`; names are those of `matrix`, `env`, `branch`, …"),
        },
    };
    Err(Wrong {
        code: Code::UnknownContext,
        at,
        message: format!("there is no `{name}` in expressions"),
        help,
        meant: near,
    })
}

fn unknown_function(name: &str, at: Range<usize>) -> Wrong {
    let near = match name {
        "hashFiles" => Some("hash"),
        _ => keys::near(name, Function::ALL.iter().map(|function| function.name())),
    };
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", keys::list(Function::ALL.iter().map(|function| function.name()))),
    };
    Wrong { code: Code::UnknownFunction, at, message: format!("there is no function `{name}`"), help, meant: near }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Literal(Value::String(text)) => format!("the text '{text}'"),
        Token::Literal(value) => format!("`{value}`"),
        Token::Name(name) => format!("`{name}`"),
        Token::Operator(operator) => format!("`{}`", operator.symbol()),
        Token::Not => "`!`".to_owned(),
        Token::Dot => "`.`".to_owned(),
        Token::Comma => "`,`".to_owned(),
        Token::OpenParen => "`(`".to_owned(),
        Token::CloseParen => "`)`".to_owned(),
        Token::OpenBracket => "`[`".to_owned(),
        Token::CloseBracket => "`]`".to_owned(),
    }
}
