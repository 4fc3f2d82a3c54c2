//! `matrix`: its axes, and the combinations that they make.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;

use super::Spanned;

/// `matrix`, with all that was written and what it comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// The names that a combination may have, in the order of the file: axes, then what `include` brings.
    pub keys: Vec<Spanned<String>>,
    /// The combinations, in order: the last axis moves fastest. At least one.
    pub combinations: Vec<Combination>,
    /// `max-parallel`.
    pub max_parallel: Option<NonZeroU32>,
}

/// One combination: names and values, in the order of the matrix. Not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Combination(pub Vec<(String, MatrixValue)>);

/// A value, as it was typed: `3.10` stays `3.10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatrixValue {
    /// Text; also a number.
    Text(String),
    /// `true` or `false` without quotes.
    Bool(bool),
}

impl fmt::Display for MatrixValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

impl Matrix {
    /// What is put behind the job's key for each combination: no two are the same.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        let short: Vec<String> = self.combinations.iter().map(Combination::label).collect();
        let distinct: BTreeSet<&String> = short.iter().collect();
        if distinct.len() == short.len() {
            short
        } else {
            self.combinations.iter().map(Combination::full_label).collect()
        }
    }
}

impl Combination {
    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&MatrixValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// What is put behind the job's key: `python 3.11, linux`. A word tells by itself what it is, a number or a boolean
    /// does not.
    fn label(&self) -> String {
        let part = |(name, value): &(String, MatrixValue)| {
            let text = value.to_string();
            match value {
                MatrixValue::Text(_) if text.starts_with(|c: char| c.is_alphabetic()) => text,
                _ => format!("{name} {text}"),
            }
        };
        self.0.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// As [`label`](Self::label), with every name.
    fn full_label(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    }
}
