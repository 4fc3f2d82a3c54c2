//! The status of a branch as a picture, in the form that people know.

use crate::store::history::Phase;

/// Width of a letter of the badge's font, at its size, on average.
const LETTER: usize = 7;

/// An SVG that says `label` and where it is.
pub(super) fn svg(label: &str, phase: Option<Phase>) -> String {
    let (said, color) = match phase {
        None => ("unknown", "#6e7781"),
        Some(phase) => (phase.word(), color(phase)),
    };
    let label: String =
        label.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-_. ".contains(*letter)).collect();
    let (left, right) = (label.len() * LETTER + 12, said.len() * LETTER + 12);
    let (all, at_left, at_right) = (left + right, left / 2, left + right / 2);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{all}" height="20" role="img" aria-label="{label}: {said}">
<title>{label}: {said}</title>
<clipPath id="r"><rect width="{all}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444d56"/><rect x="{left}" width="{right}" height="20" fill="{color}"/></g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{at_left}" y="14">{label}</text><text x="{at_right}" y="14">{said}</text></g></svg>
"##
    )
}

fn color(phase: Phase) -> &'static str {
    use crate::event::Status;
    match phase {
        Phase::Ended(Status::Success) => "#2a7d3f",
        Phase::Ended(Status::Failure | Status::Error) => "#c4342b",
        Phase::Running | Phase::Queued => "#9a6700",
        Phase::Ended(Status::Cancelled | Status::Skipped) | Phase::Interrupted => "#6e7781",
    }
}
