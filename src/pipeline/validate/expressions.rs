//! Expressions against the names that exist where they stand.

use super::head::Head;
use super::job::ReadJob;
use crate::pipeline::{Diagnostic, Spanned};

pub(super) fn check(
    _heads: &[Head],
    _jobs: &[ReadJob],
    _declared: Option<&[Spanned<String>]>,
    _findings: &mut Vec<Diagnostic>,
) {
}
