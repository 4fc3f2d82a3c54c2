//! How values compare and what they come to as text, number or truth: GitHub Actions' rules.

use std::cmp::Ordering;

use serde_json::Value;

/// `false`, `0`, `''` and null are false.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// A value as text; `None` for lists and mappings.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number_text(number.as_f64().unwrap_or(f64::NAN))),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Without a point where the number is whole.
fn number_text(number: f64) -> String {
    if number == 0.0 { "0".to_owned() } else { number.to_string() }
}

/// A value as a number; NaN where it is none.
pub(super) fn number(value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::String(text) if text.trim().is_empty() => 0.0,
        Value::String(text) => parse_number(text.trim()).unwrap_or(f64::NAN),
        Value::Array(_) | Value::Object(_) => f64::NAN,
    }
}

/// Decimal with point and exponent, `0x` and `0o`.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let radix = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().map(f64::from);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let is_decimal = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| is_decimal && number.is_finite())
}

/// How two values compare; `None` where neither is more.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(fold(left).cmp(&fold(right))),
        (Value::Array(_) | Value::Object(_), Value::Array(_) | Value::Object(_)) => {
            (left == right).then_some(Ordering::Equal)
        }
        _ => number(left).partial_cmp(&number(right)),
    }
}

/// Texts compare without regard to case.
pub(super) fn fold(text: &str) -> String {
    text.to_uppercase()
}
