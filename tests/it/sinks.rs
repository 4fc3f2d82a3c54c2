//! Runs as people and tools see them: events in, text out.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use argon::event::{
    BuildEvent, Cause, Envelope, Event, JobId, JobInfo, JobResult, LayerPhase, LayerProgress, Level, PullEvent, RunId,
    RunResult, SourceInfo, Status, StepIndex, StepInfo, StepResult, Stream,
};
use argon::sinks::json::Json;
use argon::sinks::junit::Junit;
use argon::sinks::plain::{Plain, PlainOptions};
use argon::sinks::style::{Color, Style};
use argon::sinks::terminal::{Screen, Terminal, TerminalOptions};
use argon::sinks::{Sink, Verbosity};
use bytes::Bytes;
use indicatif::{ProgressDrawTarget, TermLike};

// --- Events --------------------------------------------------------------------------------------------------------

fn job_info(name: &str, needs: &[&str], steps: &[&str]) -> JobInfo {
    JobInfo {
        name: None,
        id: JobId::new(name),
        image: "python:3.10".into(),
        needs: needs.iter().map(|need| JobId::new(need)).collect(),
        steps: steps.iter().map(|step| StepInfo { name: (*step).into() }).collect(),
    }
}

fn run_started(jobs: Vec<JobInfo>) -> Event {
    Event::RunStarted {
        pipeline: Some("demo".into()),
        source: SourceInfo {
            location: "/src/demo".into(),
            commit: Some("1a2b3c4d5e6f".into()),
            branch: Some("main".into()),
            dirty: true,
        },
        jobs,
    }
}

fn queued(job: &str) -> Event {
    Event::JobQueued { job: JobId::new(job) }
}

fn job_started(job: &str) -> Event {
    Event::JobStarted { job: JobId::new(job), image_id: "sha256:5af3".to_owned() }
}

fn step_started(job: &str, step: usize) -> Event {
    Event::StepStarted { job: JobId::new(job), step: StepIndex(step) }
}

fn log(job: &str, step: usize, text: impl Into<Bytes>) -> Event {
    Event::Log { job: JobId::new(job), step: StepIndex(step), stream: Stream::Stdout, bytes: text.into() }
}

fn step_finished(job: &str, step: usize, status: Status, cause: Option<Cause>, exit_code: Option<i32>) -> Event {
    let result = StepResult {
        status,
        cause,
        exit_code,
        duration: Duration::from_millis(1250),
        cpu: Some(Duration::from_micros(800_500)),
        peak_memory: Some(64 << 20),
        forgiven: false,
        outputs: Vec::new(),
    };
    Event::StepFinished { job: JobId::new(job), step: StepIndex(step), result }
}

fn job_finished(job: &str, status: Status, cause: Option<Cause>, exit_code: Option<i32>) -> Event {
    let result = JobResult {
        status,
        cause,
        exit_code,
        duration: Duration::from_millis(2600),
        forgiven: false,
        outputs: Vec::new(),
    };
    Event::JobFinished { job: JobId::new(job), result }
}

fn run_finished(status: Status) -> Event {
    Event::RunFinished { result: RunResult { status, cause: None, duration: Duration::from_millis(4200) } }
}

fn pull(pull: PullEvent) -> Event {
    Event::ImagePull { image: "python:3.10".into(), pull }
}

fn build(build: BuildEvent) -> Event {
    Event::ImageBuild { image: "build ci (test)".into(), build }
}

fn builds() -> Vec<Event> {
    let log = |text: &'static str| build(BuildEvent::Log { bytes: Bytes::from_static(text.as_bytes()) });
    vec![
        build(BuildEvent::Started),
        build(BuildEvent::Step { name: "[1/3] FROM docker.io/library/gcc".into(), cached: true }),
        build(BuildEvent::Step { name: "[2/3] RUN make".into(), cached: false }),
        log("cc -o main"),
        log(" main.c\n\u{1b}[31mno rule\u{1b}[0m"),
        build(BuildEvent::Finished { duration: Duration::from_millis(3100) }),
        build(BuildEvent::Failed { message: "`[2/3] RUN make` failed: exit code 2".into() }),
    ]
}

fn layer(id: &str, phase: LayerPhase, current: u64, total: Option<u64>) -> Event {
    pull(PullEvent::Layer(LayerProgress { id: id.into(), phase, current, total }))
}

fn ok(job: &str, step: usize, output: &str) -> Vec<Event> {
    let output = Bytes::copy_from_slice(output.as_bytes());
    vec![step_started(job, step), log(job, step, output), step_finished(job, step, Status::Success, None, Some(0))]
}

fn one_job_that_fails() -> Vec<Event> {
    let mut events = vec![
        run_started(vec![job_info("build", &[], &["Install dependencies", "Run tests", "Pack"])]),
        queued("build"),
        pull(PullEvent::Started),
        layer("a1", LayerPhase::Downloading, 5 << 20, Some(10 << 20)),
        pull(PullEvent::Retrying { attempt: 1, wait: Duration::from_secs(2), reason: "connection reset".into() }),
        pull(PullEvent::Finished { duration: Duration::from_millis(3100) }),
        job_started("build"),
    ];
    events.extend(ok("build", 0, "Collecting flask\nno newline at the end"));
    events.push(step_started("build", 1));
    events.push(log("build", 1, (1..=20).map(|line| format!("test {line} ok\n")).collect::<String>()));
    events.push(log("build", 1, "sh: pytest: not found\n"));
    let not_found = Cause::CommandNotFound { command: Some("pytest".into()) };
    events.push(step_finished("build", 1, Status::Failure, Some(not_found), Some(127)));
    events.push(step_finished("build", 2, Status::Skipped, Some(Cause::EarlierStepFailed), None));
    events.push(job_finished("build", Status::Failure, Some(Cause::StepFailed { step: StepIndex(1) }), Some(127)));
    events.push(run_finished(Status::Failure));
    events
}

fn several_jobs() -> Vec<Event> {
    let mut events = vec![
        run_started(vec![
            job_info("build", &[], &["Compile"]),
            job_info("test (3.10)", &[], &["Unit", "Lint"]),
            job_info("deploy", &["build", "test (3.10)"], &["Upload"]),
        ]),
        queued("build"),
        queued("test (3.10)"),
        queued("deploy"),
        job_started("build"),
        job_started("test (3.10)"),
        step_started("build", 0),
        step_started("test (3.10)", 0),
        log("build", 0, "compiling a\ncompiling "),
        log("test (3.10)", 0, "test one\n"),
        log("build", 0, "b\n"),
        Event::Notice { level: Level::Warn, job: Some(JobId::new("build")), message: "no cache".into() },
        Event::Notice { level: Level::Debug, job: None, message: "container made".into() },
        step_finished("build", 0, Status::Success, None, Some(0)),
        job_finished("build", Status::Success, None, Some(0)),
        log("test (3.10)", 0, "Killed"),
    ];
    let memory = Cause::OutOfMemory { limit: Some(512 << 20) };
    events.push(step_finished("test (3.10)", 0, Status::Failure, Some(memory), Some(137)));
    events.push(step_finished("test (3.10)", 1, Status::Skipped, Some(Cause::EarlierStepFailed), None));
    events.push(job_finished(
        "test (3.10)",
        Status::Failure,
        Some(Cause::StepFailed { step: StepIndex(0) }),
        Some(137),
    ));
    let need = Cause::NeedFailed { need: JobId::new("test (3.10)"), status: Status::Failure };
    events.push(job_finished("deploy", Status::Skipped, Some(need), None));
    events.push(run_finished(Status::Failure));
    events
}

fn feed(sink: &mut dyn Sink, events: &[Event]) {
    for (seq, event) in (1..).zip(events) {
        let time = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        let envelope = Envelope { seq, time, run: RunId::from_text("run-1"), event: event.clone() };
        sink.take(&envelope).unwrap();
    }
}

// --- Plain ---------------------------------------------------------------------------------------------------------

fn plain_with(events: &[Event], options: PlainOptions) -> Vec<u8> {
    let mut written = Vec::new();
    let mut sink = Plain::new(&mut written, options);
    feed(&mut sink, events);
    sink.finish().unwrap();
    drop(sink);
    written
}

fn plain(events: &[Event], verbosity: Verbosity) -> String {
    String::from_utf8(plain_with(events, PlainOptions { verbosity, ..PlainOptions::default() })).unwrap()
}

#[test]
fn plain_one_job() {
    insta::assert_snapshot!(plain(&one_job_that_fails(), Verbosity::Normal));
}

#[test]
fn plain_several_jobs() {
    insta::assert_snapshot!(plain(&several_jobs(), Verbosity::Normal));
}

#[test]
fn plain_quiet() {
    insta::assert_snapshot!(plain(&several_jobs(), Verbosity::Quiet));
}

#[test]
fn plain_verbose_tells_what_argon_does() {
    assert!(plain(&several_jobs(), Verbosity::Verbose).contains("debug: container made"));
    assert!(!plain(&several_jobs(), Verbosity::Normal).contains("container made"));
}

#[test]
fn quiet_success_is_silent() {
    let mut events = vec![run_started(vec![job_info("build", &[], &["Compile"])]), job_started("build")];
    events.extend(ok("build", 0, "fine\n"));
    events.push(job_finished("build", Status::Success, None, Some(0)));
    events.push(run_finished(Status::Success));
    assert_eq!(plain(&events, Verbosity::Quiet), "");
}

#[test]
fn plain_has_no_control_codes_of_its_own() {
    for events in [one_job_that_fails(), several_jobs()] {
        assert!(!plain(&events, Verbosity::Verbose).contains('\u{1b}'));
    }
    let style = Style { color: Color::On, ..Style::default() };
    let coloured = plain_with(&several_jobs(), PlainOptions { style, ..PlainOptions::default() });
    assert!(coloured.contains(&0x1b));
}

#[test]
fn bytes_of_a_single_job_go_through_unchanged() {
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut events = vec![run_started(vec![job_info("build", &[], &["Compile"])])];
    events.extend(bytes.chunks(65_536).map(|piece| log("build", 0, piece.to_vec())));
    let written = plain_with(&events, PlainOptions::default());
    let start = written.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // One newline comes at the end, as the last byte of the step's is none.
    assert!(written[start..written.len() - 1] == bytes);
}

#[test]
fn a_long_line_of_one_job_streams_and_is_not_glued_to_another() {
    let long = "x".repeat(10_000);
    let events = [
        run_started(vec![job_info("a", &[], &["s"]), job_info("b", &[], &["s"])]),
        log("a", 0, long.clone()),
        log("b", 0, "hello\n"),
        log("a", 0, "end\n"),
    ];
    let text = plain(&events, Verbosity::Normal);
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(lines, [format!("a │ {long}").as_str(), "b │ hello", "a ┆ end"]);
}

// --- JSON ----------------------------------------------------------------------------------------------------------

fn json(events: &[Event]) -> String {
    let mut written = Vec::new();
    let mut sink = Json::new(&mut written);
    feed(&mut sink, events);
    sink.finish().unwrap();
    drop(sink);
    String::from_utf8(written).unwrap()
}

#[test]
fn json_lines() {
    insta::assert_snapshot!(json(&one_job_that_fails()));
}

#[test]
fn json_log_pieces_joined_are_the_bytes() {
    use base64::Engine as _;
    let bytes = ["grün €uro\n".as_bytes(), b"\xff\xfe raw\n", "ends in half a €".as_bytes()].concat();
    let bytes = &bytes[..bytes.len() - 1];
    for size in 1..bytes.len() {
        let mut events = vec![run_started(vec![job_info("build", &[], &["Compile"])])];
        events.extend(bytes.chunks(size).map(|piece| log("build", 0, piece.to_vec())));
        events.push(step_finished("build", 0, Status::Success, None, Some(0)));
        let mut joined = Vec::new();
        let mut seq = 0;
        for line in json(&events).lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(line["seq"].as_u64().unwrap() >= seq);
            seq = line["seq"].as_u64().unwrap();
            match (line["text"].as_str(), line["base64"].as_str()) {
                (Some(text), None) => joined.extend_from_slice(text.as_bytes()),
                (None, Some(text)) => joined.extend(base64::engine::general_purpose::STANDARD.decode(text).unwrap()),
                _ => assert_ne!(line["type"], "log"),
            }
        }
        assert!(joined == bytes, "in pieces of {size}");
    }
}

/// Every example in docs/events.md is a line that Argon writes.
#[test]
fn json_examples_in_the_docs_are_what_is_written() {
    let docs = include_str!("../../docs/events.md");
    let mut events = one_job_that_fails();
    events.push(log("build", 1, &b"\xff\xfe\n"[..]));
    events.push(pull(PullEvent::Failed { message: "no such image".into() }));
    events.push(Event::Notice { level: Level::Warn, job: None, message: "the clock jumped".into() });
    events.extend(builds());
    events.push(build(BuildEvent::Log { bytes: Bytes::from_static(b"cc -o main main.c\n") }));
    let (job, step) = (JobId::new("build"), StepIndex(1));
    events.push(Event::Summary { job, step, markdown: "# 12 of 14 tests passed\n".into() });
    let shape = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["seq"] = 0.into();
        value["time"] = "".into();
        value
    };
    let written: Vec<_> = json(&events).lines().map(shape).collect();
    let examples: Vec<_> = docs.lines().filter(|line| line.starts_with("{\"v\"")).map(shape).collect();
    for example in &examples {
        assert!(written.contains(example), "docs/events.md has what is never written: {example:#}");
    }
    for kind in written.iter().map(|line| &line["type"]) {
        assert!(examples.iter().any(|example| &example["type"] == kind), "docs/events.md has no example of {kind}");
    }
}

// --- Terminal ------------------------------------------------------------------------------------------------------

/// A screen in memory.
#[derive(Clone)]
struct Memory(Arc<Mutex<vt100::Parser>>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    fn new(rows: u16, columns: u16) -> Self {
        Self(Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 10_000))))
    }

    fn write(&self, text: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().process(text.as_bytes());
        Ok(())
    }

    fn text(&self) -> String {
        let parser = self.0.lock().unwrap();
        let rows: Vec<String> = parser.screen().rows(0, parser.screen().size().1).collect();
        rows.iter().map(|row| row.trim_end()).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

impl TermLike for Memory {
    fn width(&self) -> u16 {
        self.0.lock().unwrap().screen().size().1
    }
    fn height(&self) -> u16 {
        self.0.lock().unwrap().screen().size().0
    }
    fn move_cursor_up(&self, n: usize) -> std::io::Result<()> {
        if n == 0 { Ok(()) } else { self.write(&format!("\u{1b}[{n}A")) }
    }
    fn move_cursor_down(&self, n: usize) -> std::io::Result<()> {
        if n == 0 { Ok(()) } else { self.write(&format!("\u{1b}[{n}B")) }
    }
    fn move_cursor_right(&self, n: usize) -> std::io::Result<()> {
        if n == 0 { Ok(()) } else { self.write(&format!("\u{1b}[{n}C")) }
    }
    fn move_cursor_left(&self, n: usize) -> std::io::Result<()> {
        if n == 0 { Ok(()) } else { self.write(&format!("\u{1b}[{n}D")) }
    }
    fn write_line(&self, text: &str) -> std::io::Result<()> {
        self.write(&format!("{text}\r\n"))
    }
    fn write_str(&self, text: &str) -> std::io::Result<()> {
        self.write(text)
    }
    fn clear_line(&self) -> std::io::Result<()> {
        self.write("\r\u{1b}[2K")
    }
    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

fn terminal(memory: &Memory) -> Terminal {
    let options = TerminalOptions { style: Style::default(), verbosity: Verbosity::Normal, rerun: "argon run".into() };
    let size = memory.clone();
    let screen = Screen {
        target: ProgressDrawTarget::term_like(Box::new(memory.clone())),
        size: Box::new(move || (size.height(), size.width())),
    };
    Terminal::new(options, screen)
}

/// The screen with times and the spinner made the same in every run.
fn still(text: &str) -> String {
    let is_time = |word: &str| word.ends_with(['s', 'h', 'm']) && word.starts_with(|c: char| c.is_ascii_digit());
    let word = |word: &str| match word {
        word if is_time(word) => "TIME".to_owned(),
        word => word.chars().map(|c| if ('\u{2800}'..='\u{28ff}').contains(&c) { '*' } else { c }).collect(),
    };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// Feeds the first `count` events with the time of now, so elapsed times are short; then lets the view draw.
fn watch(memory: &Memory, events: &[Event]) -> Terminal {
    let mut sink = terminal(memory);
    for (seq, event) in (1..).zip(events) {
        let envelope = Envelope { seq, time: jiff::Timestamp::now(), run: RunId::from_text("r"), event: event.clone() };
        sink.take(&envelope).unwrap();
    }
    std::thread::sleep(Duration::from_millis(120));
    sink.flush().unwrap();
    sink.tick();
    std::thread::sleep(Duration::from_millis(120));
    sink.tick();
    sink
}

#[test]
fn terminal_in_the_middle_of_a_run() {
    for columns in [80, 40] {
        let memory = Memory::new(24, columns);
        let _sink = watch(&memory, &several_jobs()[..13]);
        insta::assert_snapshot!(format!("terminal_middle_{columns}"), still(&memory.text()));
    }
}

#[test]
fn terminal_pull() {
    for columns in [80, 40] {
        let memory = Memory::new(24, columns);
        let events = [
            run_started(vec![job_info("build", &[], &["Compile"])]),
            queued("build"),
            pull(PullEvent::Started),
            layer("a1b2c3", LayerPhase::Downloading, 5 << 20, Some(20 << 20)),
            layer("d4e5f6", LayerPhase::Done, 0, None),
            layer("0a0b0c", LayerPhase::Extracting, 1 << 20, Some(4 << 20)),
        ];
        let _sink = watch(&memory, &events);
        insta::assert_snapshot!(format!("terminal_pull_{columns}"), still(&memory.text()));
    }
}

#[test]
fn plain_lines_of_a_build() {
    let mut events = vec![run_started(vec![job_info("build", &[], &["Compile"])]), queued("build")];
    events.extend(builds());
    let output = "cc -o main main.c\nno rule\n".to_owned();
    let cause = Cause::ImageBuild { message: "`[2/3] RUN make` failed: exit code 2".into(), output };
    events.push(job_finished("build", Status::Failure, Some(cause), None));
    events.push(run_finished(Status::Failure));
    insta::assert_snapshot!(plain(&events, Verbosity::Normal));
}

#[test]
fn terminal_build() {
    for columns in [80, 40] {
        let memory = Memory::new(24, columns);
        let mut events = vec![run_started(vec![job_info("build", &[], &["Compile"])]), queued("build")];
        events.extend(builds().into_iter().take(5));
        let _sink = watch(&memory, &events);
        insta::assert_snapshot!(format!("terminal_build_{columns}"), still(&memory.text()));
    }
}

#[test]
fn terminal_at_the_end() {
    let memory = Memory::new(50, 80);
    let mut sink = watch(&memory, &several_jobs());
    sink.finish().unwrap();
    insta::assert_snapshot!(memory.text());
}

#[test]
fn terminal_shows_at_most_a_screenful_of_jobs() {
    let memory = Memory::new(40, 80);
    let names: Vec<String> = (0..30).map(|number| format!("job-{number}")).collect();
    let jobs = names.iter().map(|name| job_info(name, &[], &["s"])).collect();
    let mut events = vec![run_started(jobs)];
    events.extend(names.iter().map(|name| job_started(name)));
    let _sink = watch(&memory, &events);
    let text = memory.text();
    assert_eq!(text.lines().filter(|line| line.contains("job-")).count(), 11, "{text}");
    assert!(text.ends_with("… 19 more"), "{text}");
}

/// indicatif issue 729: fast logs left copies of the moving lines in the log.
#[test]
fn terminal_leaves_no_ghosts_after_fast_logs() {
    let memory = Memory::new(24, 80);
    let mut sink = watch(&memory, &several_jobs()[..8]);
    for round in 0..300 {
        let line = format!("line {round} {}\n", "wide ".repeat(round % 40));
        feed(&mut sink, &[log("build", 0, line.repeat(round % 7 + 1)), log("build", 0, "\u{1b}[2J\u{1b}[10A\rhop\n")]);
        sink.tick();
        if round % 3 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        sink.flush().unwrap();
    }
    feed(&mut sink, &[log("build", 0, "the last line\n")]);
    sink.finish().unwrap();
    let mut parser = memory.0.lock().unwrap();
    let mut seen = String::new();
    let rows = 24;
    parser.screen_mut().set_scrollback(usize::MAX);
    let mut back = parser.screen().scrollback();
    loop {
        parser.screen_mut().set_scrollback(back);
        seen.push_str(&parser.screen().contents());
        seen.push('\n');
        if back == 0 {
            break;
        }
        back = back.saturating_sub(rows);
    }
    assert!(seen.contains("the last line"));
    assert!(seen.contains("line 299"));
    for ghost in ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", "waiting for"] {
        assert!(!seen.contains(ghost), "{ghost} is left on the screen:\n{seen}");
    }
}

// --- JUnit ---------------------------------------------------------------------------------------------------------

#[test]
fn junit_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.xml");
    let mut events = several_jobs();
    events.insert(10, log("build", 0, &b"<&\"\0\x1b[31m]]>\xff\n"[..]));
    let mut sink = Junit::new(&path);
    feed(&mut sink, &events);
    assert!(!path.exists(), "nothing is written before the end");
    sink.finish().unwrap();
    insta::assert_snapshot!(std::fs::read_to_string(&path).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn junit_that_cannot_be_written_is_told() {
    let error = Junit::new("/nowhere/report.xml").finish().unwrap_err();
    assert!(error.to_string().starts_with("cannot write /nowhere/report.xml"), "{error}");
}
