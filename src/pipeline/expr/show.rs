//! Expressions as text: what was written, spaces aside.

use std::fmt;

use serde_json::Value;

use super::{Condition, Expr, ExprKind, Part, Template, values};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Literal(Value::String(text)) => write!(f, "'{}'", text.replace('\'', "''")),
            ExprKind::Literal(Value::Null) => f.write_str("null"),
            ExprKind::Literal(value) => f.write_str(&values::text(value).unwrap_or_default()),
            ExprKind::Context(context) => f.write_str(context.name()),
            ExprKind::Property { of, name } if is_plain(&name.value) => write!(f, "{of}.{}", name.value),
            ExprKind::Property { of, name } => write!(f, "{of}['{}']", name.value.replace('\'', "''")),
            ExprKind::Index { of, index } => write!(f, "{of}[{index}]"),
            ExprKind::Call { function, arguments } => {
                write!(f, "{}(", function.value.name())?;
                for (at, argument) in arguments.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{argument}")?;
                }
                f.write_str(")")
            }
            ExprKind::Not(of) if rank(of) < UNARY => write!(f, "!({of})"),
            ExprKind::Not(of) => write!(f, "!{of}"),
            ExprKind::Binary { operator, left, right } => {
                side(f, left, operator.rank())?;
                write!(f, " {} ", operator.symbol())?;
                // What binds as tightly on the right was in parentheses.
                side(f, right, operator.rank() + 1)
            }
        }
    }
}

/// The rank of what is no operator with two sides.
const UNARY: u8 = 9;

fn rank(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Binary { operator, .. } => operator.rank(),
        _ => UNARY,
    }
}

fn side(f: &mut fmt::Formatter<'_>, expr: &Expr, least: u8) -> fmt::Result {
    if rank(expr) < least { write!(f, "({expr})") } else { write!(f, "{expr}") }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Expr(expr) => write!(f, "${{{{ {expr} }}}}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}
