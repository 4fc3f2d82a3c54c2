//! What an expression takes from outside of its job's steps: what the result of a job rests on, besides its text.

use super::{Context, Expr, ExprKind, Function};

/// Something that an expression takes from outside of its job's steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Read<'a> {
    /// The value of this expression, which is known before the job's first step.
    Value(&'a Expr),
    /// Files, by patterns that only an earlier step or a variable tells: it may be any of them.
    AnyFiles(Function),
}

impl Expr {
    /// What it takes from outside of its job's steps. `env`, `matrix` and `needs` are no part of it: a job has those as a whole.
    /// Nor is `steps`: what the earlier steps of a job come to is decided by what the job rests on.
    #[must_use]
    pub fn reads(&self) -> Vec<Read<'_>> {
        let mut found = Vec::new();
        self.collect_reads(&mut found);
        found
    }

    fn collect_reads<'a>(&'a self, found: &mut Vec<Read<'a>>) {
        match &self.kind {
            ExprKind::Literal(_) => {}
            ExprKind::Context(_) | ExprKind::Property { .. } | ExprKind::Index { .. } => match self.root() {
                Some(root) if is_of_the_run(root) && self.is_known_before_steps() => found.push(Read::Value(self)),
                _ => self.each_part(&mut |part| part.collect_reads(found)),
            },
            ExprKind::Call { function, arguments } if matches!(function.value, Function::Hash | Function::Changed) => {
                if arguments.iter().all(Self::is_known_before_steps) {
                    found.push(Read::Value(self));
                } else {
                    found.push(Read::AnyFiles(function.value));
                    self.each_part(&mut |part| part.collect_reads(found));
                }
            }
            ExprKind::Call { .. } | ExprKind::Not(_) | ExprKind::Binary { .. } => {
                self.each_part(&mut |part| part.collect_reads(found));
            }
        }
    }

    /// The context that it looks into, where it does nothing else.
    #[must_use]
    pub fn root(&self) -> Option<Context> {
        match &self.kind {
            ExprKind::Context(context) => Some(*context),
            ExprKind::Property { of, .. } | ExprKind::Index { of, .. } => of.root(),
            _ => None,
        }
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        match &self.kind {
            ExprKind::Literal(_) | ExprKind::Context(_) => {}
            ExprKind::Property { of, .. } | ExprKind::Not(of) => visit(of),
            ExprKind::Index { of, index } => {
                visit(of);
                visit(index);
            }
            ExprKind::Call { arguments, .. } => arguments.iter().for_each(visit),
            ExprKind::Binary { left, right, .. } => {
                visit(left);
                visit(right);
            }
        }
    }

    /// Neither steps nor variables, which steps may set, have a part in it.
    fn is_known_before_steps(&self) -> bool {
        let mut is_known = true;
        self.walk(&mut |expr| {
            is_known &= match &expr.kind {
                ExprKind::Context(context) => !matches!(context, Context::Steps | Context::Env),
                ExprKind::Call { function, .. } => !function.value.is_status(),
                _ => true,
            };
        });
        is_known
    }
}

/// Whether a context is one that a job does not have as a whole.
fn is_of_the_run(context: Context) -> bool {
    match context {
        Context::Event | Context::Branch | Context::Tag | Context::Commit | Context::Secrets => true,
        Context::Matrix | Context::Env | Context::Needs | Context::Steps => false,
    }
}
