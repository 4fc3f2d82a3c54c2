//! The names that an expression mentions: what editors follow, and what checks look up.

use super::{Condition, Context, Expr, ExprKind, Function, Template};
use crate::pipeline::{Span, Spanned};

/// A name in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'a> {
    /// What it refers to.
    pub to: Referred<'a>,
    /// Where the name stands.
    pub span: Span,
}

/// What a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referred<'a> {
    /// `needs.JOB`
    Need(&'a str),
    /// `needs.JOB.outputs.NAME`
    NeedOutput {
        /// The job.
        job: &'a str,
        /// The output.
        output: &'a str,
    },
    /// `steps.ID`
    Step(&'a str),
    /// `steps.ID.outputs.NAME`
    StepOutput {
        /// The step.
        id: &'a str,
        /// The output.
        output: &'a str,
    },
    /// `matrix.NAME`
    Matrix(&'a str),
    /// `env.NAME`
    Env(&'a str),
    /// `secrets.NAME`
    Secret(&'a str),
}

impl Expr {
    /// The names that it mentions, in their order.
    #[must_use]
    pub fn references(&self) -> Vec<Reference<'_>> {
        let mut found = Vec::new();
        self.walk(&mut |expr| {
            if let ExprKind::Property { of, name } = &expr.kind {
                found.extend(reference(of, name));
            }
        });
        found.sort_by_key(|reference| reference.span.start);
        found
    }

    /// What in it is known only in the course of the run, for people.
    #[must_use]
    pub fn rests_on_the_run(&self) -> Option<String> {
        let mut found = None;
        self.walk(&mut |expr| match &expr.kind {
            ExprKind::Context(context @ (Context::Needs | Context::Steps)) => {
                found.get_or_insert_with(|| format!("`{}`", context.name()));
            }
            ExprKind::Call { function, .. }
                if function.value.is_status() || matches!(function.value, Function::Hash | Function::Changed) =>
            {
                found.get_or_insert_with(|| format!("`{}()`", function.value.name()));
            }
            _ => {}
        });
        found
    }

    /// The variables that it names.
    pub fn env_names(&self) -> impl Iterator<Item = &str> {
        self.references().into_iter().filter_map(|reference| match reference.to {
            Referred::Env(name) => Some(name),
            _ => None,
        })
    }
}

/// What `OF.NAME` refers to.
fn reference<'a>(of: &'a Expr, name: &'a Spanned<String>) -> Option<Reference<'a>> {
    let text = name.value.as_str();
    let to = match &of.kind {
        ExprKind::Context(Context::Needs) => Referred::Need(text),
        ExprKind::Context(Context::Steps) => Referred::Step(text),
        ExprKind::Context(Context::Matrix) => Referred::Matrix(text),
        ExprKind::Context(Context::Env) => Referred::Env(text),
        ExprKind::Context(Context::Secrets) => Referred::Secret(text),
        ExprKind::Property { of: owner, name: outputs } if outputs.value == "outputs" => match &owner.kind {
            ExprKind::Property { of, name: owner } => match of.kind {
                ExprKind::Context(Context::Needs) => Referred::NeedOutput { job: &owner.value, output: text },
                ExprKind::Context(Context::Steps) => Referred::StepOutput { id: &owner.value, output: text },
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    Some(Reference { to, span: name.span.clone() })
}

impl Template {
    /// The names that its expressions mention.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.expressions().flat_map(Expr::references)
    }
}

impl Condition {
    /// The names that it mentions.
    #[must_use]
    pub fn references(&self) -> Vec<Reference<'_>> {
        self.expr.references()
    }

    /// What it comes to where that rests on nothing.
    #[must_use]
    pub fn constant(&self) -> Option<bool> {
        let mut rests = false;
        self.expr.walk(&mut |expr| {
            rests |= match &expr.kind {
                ExprKind::Context(_) => true,
                ExprKind::Call { function, .. } => {
                    function.value.is_status() || matches!(function.value, Function::Hash | Function::Changed)
                }
                _ => false,
            };
        });
        if rests {
            return None;
        }
        let contexts = super::Contexts::default();
        let scope = super::Scope { contexts: &contexts, standing: super::Standing::Success, files: &super::NoFiles };
        self.expr.evaluate(&scope).ok().map(|value| super::values::truth(&value))
    }
}
