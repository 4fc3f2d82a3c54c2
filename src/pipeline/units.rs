//! Durations (`1h30m`) and sizes (`512MiB`) as people write them. An error is the help to give.

use std::time::Duration;

/// A year: no bound that is longer says anything.
const MAX_SECONDS: u64 = 366 * 24 * 3600;

/// `90s`, `10m`, `1h30m`: each unit once, large ones first.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Err("write `90s`, `10m` or `1h30m`".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("add the unit: `{text}s`, `{text}m` or `{text}h`"));
    }
    let wrong = || "write `90s`, `10m` or `1h30m`: hours, minutes, seconds, in this order, in whole numbers".to_owned();
    let mut seconds = 0_u64;
    let mut rest = text;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[digits..digits + letters] {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            "d" => {
                return Err(format!("days are written in hours: `{}h`", count.saturating_mul(24)));
            }
            other => match unit_near(other) {
                Some(near) => return Err(format!("did you mean `{count}{near}`?")),
                None => return Err(wrong()),
            },
        };
        if unit >= last_unit {
            return Err(wrong());
        }
        last_unit = unit;
        seconds = seconds.saturating_add(count.saturating_mul(unit));
        rest = &rest[digits + letters..];
    }
    match seconds {
        0 => Err("a duration is at least `1s`".to_owned()),
        1..=MAX_SECONDS => Ok(Duration::from_secs(seconds)),
        _ => Err("a duration is at most a year, `8784h`".to_owned()),
    }
}

fn unit_near(unit: &str) -> Option<&'static str> {
    match unit.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some("h"),
        _ => None,
    }
}

const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// `512MiB`, `2GiB`, `500MB`: a whole number and a unit. Bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "write `512MiB` or `2GiB`: a whole number and one of B, KB, MB, GB, KiB, MiB, GiB".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().map_err(|_| wrong())?;
    if let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) {
        return count.checked_mul(*factor).ok_or_else(|| "that is more than there can be".to_owned());
    }
    match unit.trim().to_ascii_lowercase().as_str() {
        "" => Err(format!("add the unit: `{count}MiB` or `{count}GiB`")),
        "k" | "kib" | "ki" => Err(format!("did you mean `{count}KiB`?")),
        "m" | "mib" | "mi" => Err(format!("did you mean `{count}MiB`?")),
        "g" | "gib" | "gi" => Err(format!("did you mean `{count}GiB`?")),
        "b" => Err(format!("did you mean `{count}B`?")),
        "kb" => Err(format!("did you mean `{count}KB`?")),
        "mb" => Err(format!("did you mean `{count}MB`?")),
        "gb" => Err(format!("did you mean `{count}GB`?")),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_ordered_and_have_units() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h1m1s", 3661)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "90", "1.5h", "1m1h", "1m1m", "-1s", "0s", "s", "1s ", "99999999999999999999h", "9999999h", "1é", "1d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("5min"), Err("did you mean `5m`?".to_owned()));
    }

    #[test]
    fn sizes_take_exact_units_and_suggest_the_near_ones() {
        for (text, bytes) in
            [("512MiB", 512 << 20), ("2GiB", 2 << 30), ("512MB", 512_000_000), ("1B", 1), ("3KB", 3000)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert_eq!(size("1g"), Err("did you mean `1GiB`?".to_owned()));
        for text in ["", "512", "MiB", "1.5GiB", "-1B", "99999999999GiB", "1TB", "1é"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
