//! Evaluation: a tree and what it looks into to a value.

use std::cmp::Ordering;

use serde_json::Value;

use super::functions;
use super::values::{compare, text, truth};
use super::{Condition, Context, EvalError, Expr, ExprKind, Operator, Part, Scope, Standing, Template};

impl Expr {
    /// Its value.
    ///
    /// # Errors
    /// Where it has none: a file that cannot be read, a text that is no JSON.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        match &self.kind {
            ExprKind::Literal(value) => Ok(value.clone()),
            ExprKind::Context(context) => Ok(scope.contexts.get(*context).clone()),
            ExprKind::Property { of, name } => {
                let of = of.evaluate(scope)?;
                Ok(of.get(&name.value).cloned().unwrap_or(Value::Null))
            }
            ExprKind::Index { of, index } => {
                let (of, index) = (of.evaluate(scope)?, index.evaluate(scope)?);
                Ok(element(&of, &index).cloned().unwrap_or(Value::Null))
            }
            ExprKind::Not(of) => Ok(Value::Bool(!truth(&of.evaluate(scope)?))),
            ExprKind::Binary { operator, left, right } => {
                let left = left.evaluate(scope)?;
                match operator {
                    Operator::And if !truth(&left) => return Ok(left),
                    Operator::Or if truth(&left) => return Ok(left),
                    _ => {}
                }
                let right = right.evaluate(scope)?;
                let order = || compare(&left, &right);
                Ok(match operator {
                    Operator::And | Operator::Or => right,
                    Operator::Equal => Value::Bool(order() == Some(Ordering::Equal)),
                    Operator::NotEqual => Value::Bool(order() != Some(Ordering::Equal)),
                    Operator::Less => Value::Bool(order() == Some(Ordering::Less)),
                    Operator::LessOrEqual => Value::Bool(order().is_some_and(Ordering::is_le)),
                    Operator::Greater => Value::Bool(order() == Some(Ordering::Greater)),
                    Operator::GreaterOrEqual => Value::Bool(order().is_some_and(Ordering::is_ge)),
                })
            }
            ExprKind::Call { function, arguments } => {
                let values =
                    arguments.iter().map(|argument| argument.evaluate(scope)).collect::<Result<Vec<_>, _>>()?;
                functions::call(function.value, &values, scope)
                    .map_err(|message| EvalError { message, span: self.span.clone() })
            }
        }
    }
}

fn element<'a>(of: &'a Value, index: &Value) -> Option<&'a Value> {
    match (of, index) {
        (Value::Array(list), Value::Number(at)) => {
            let at = at.as_f64().filter(|at| *at >= 0.0 && at.fract() == 0.0)?;
            list.iter()
                .enumerate()
                .find(|(position, _)| f64::from(u32::try_from(*position).unwrap_or(u32::MAX)) == at)
                .map(|(_, value)| value)
        }
        (Value::Object(map), index) => map.get(&text(index)?),
        _ => None,
    }
}

impl super::Contexts {
    fn get(&self, context: Context) -> &Value {
        match context {
            Context::Event => &self.event,
            Context::Branch => &self.branch,
            Context::Tag => &self.tag,
            Context::Commit => &self.commit,
            Context::Matrix => &self.matrix,
            Context::Env => &self.env,
            Context::Needs => &self.needs,
            Context::Steps => &self.steps,
            Context::Secrets => &self.secrets,
        }
    }
}

impl Template {
    /// The text with the values of its expressions.
    ///
    /// # Errors
    /// Where one has no value, or one that is no text.
    pub fn render(&self, scope: &Scope<'_>) -> Result<String, EvalError> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expr(expr) => {
                    let value = expr.evaluate(scope)?;
                    let words = text(&value).ok_or_else(|| EvalError {
                        message: format!("`{expr}` is a list or a mapping, which is no text: `toJSON` makes it one"),
                        span: expr.span.clone(),
                    })?;
                    if words.contains('\0') {
                        let message = format!("`{expr}` has a NUL character in it");
                        return Err(EvalError { message, span: expr.span.clone() });
                    }
                    out.push_str(&words);
                }
            }
        }
        Ok(out)
    }
}

impl Condition {
    /// Whether it holds. Where it calls no status function, all must have gone well besides.
    ///
    /// # Errors
    /// Where it has no value.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, EvalError> {
        if !self.uses_status() && scope.standing != Standing::Success {
            return Ok(false);
        }
        Ok(truth(&self.expr.evaluate(scope)?))
    }
}
