//! What holds for every text.

use std::time::{Duration, Instant};

use argon::pipeline::{self, LineIndex, MAX_BYTES, Severity};
use argon::plan::{self, RunOptions};

/// A fuzzer's build is some times slower than the one of users, of whom a file may take 100 ms.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads a file, plans it where it is valid, and checks the findings.
pub fn hold(bytes: &[u8]) {
    let started = Instant::now();
    let (pipeline, findings) = pipeline::parse_bytes(bytes);
    let errors = findings.iter().filter(|finding| finding.severity() == Severity::Error).count();
    assert_eq!(pipeline.is_some(), errors == 0, "{findings:?}");
    // What is not UTF-8, or too large, has offsets into no text.
    if let Ok(text) = std::str::from_utf8(bytes)
        && bytes.len() <= MAX_BYTES
    {
        let lines = LineIndex::new(text);
        let spans = findings.iter().flat_map(|f| f.labels.iter().map(|label| &label.span).chain([&f.span]));
        for span in spans {
            assert!(text.get(span.clone()).is_some(), "{span:?} in {findings:?}");
            let place = lines.place(span);
            assert!((place.line, place.column) <= (place.end_line, place.end_column), "{place:?}");
        }
        for finding in &findings {
            assert!(!finding.message.is_empty() && finding.help.is_some(), "{finding:?}");
        }
    }
    if let Some(pipeline) = pipeline {
        // A plan may be refused, for want of a secret; it must not panic.
        let _ = plan::plan(&pipeline, &RunOptions::default());
    }
    let took = started.elapsed();
    assert!(took < PATIENCE, "{took:?}");
}
