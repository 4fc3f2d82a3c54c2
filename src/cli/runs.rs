//! `argon runs`: the runs that were, and one of them in full.

use std::fmt::Write as _;

use argon::sinks::sanitize::one_line;
use argon::sinks::style::{Style, Tone, ago, human};
use argon::store::StateDir;
use argon::store::history::{Filter, Found, FoundIn, History, Job, Phase, Run, Step};
use argon::store::tries::{Try, tries};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::exit::{CommandError, Exit};
use super::history::{self, StateArgs};
use super::output::{self, Look};

/// The widest a branch is shown.
const BRANCH_WIDTH: usize = 20;

/// Lists the runs that were, the latest first; of the repository here, where there is one
#[derive(Debug, clap::Args)]
pub(crate) struct RunsArgs {
    /// Shows this run with its jobs and steps: a number of the list, or the end of an id
    #[arg(value_name = "RUN", conflicts_with_all = ["all", "branch", "status", "search", "repo", "limit"])]
    run: Option<String>,
    /// Runs of all repositories
    #[arg(short, long, conflicts_with = "repo")]
    all: bool,
    /// Runs of this repository, by folder or URL
    #[arg(long, value_name = "URL|PATH")]
    repo: Option<String>,
    /// Runs of this branch
    #[arg(short, long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Runs that ended so, or go on; may be given several times
    #[arg(short, long, value_name = "STATUS", value_enum)]
    status: Vec<PhaseArg>,
    /// Runs with this text in a log, or in what argon said
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    search: Option<String>,
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Prints one JSON array; with RUN, one object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PhaseArg {
    Success,
    Failure,
    Cancelled,
    Skipped,
    Error,
    Interrupted,
    Running,
}

impl From<PhaseArg> for Phase {
    fn from(arg: PhaseArg) -> Self {
        use argon::event::Status;
        match arg {
            PhaseArg::Success => Self::Ended(Status::Success),
            PhaseArg::Failure => Self::Ended(Status::Failure),
            PhaseArg::Cancelled => Self::Ended(Status::Cancelled),
            PhaseArg::Skipped => Self::Ended(Status::Skipped),
            PhaseArg::Error => Self::Ended(Status::Error),
            PhaseArg::Interrupted => Self::Interrupted,
            PhaseArg::Running => Self::Running,
        }
    }
}

/// Lists them, or shows one.
pub(crate) fn run(args: &RunsArgs, look: &Look) -> Result<Exit, CommandError> {
    let dir = args.state.dir()?;
    let history = history::look(&dir)?;
    let text = match (&args.run, &history) {
        (Some(name), Some(history)) => one(history, &dir, name, args, &look.stdout())?,
        (None, Some(history)) => list(history, args, &look.stdout())?,
        // Nothing to list is no failure of a list.
        (None, None) if args.json => "[]\n".to_owned(),
        (_, None) => return Err(history::no_run()),
    };
    output::print(&text)?;
    Ok(Exit::Success)
}

fn one(history: &History, dir: &StateDir, name: &str, args: &RunsArgs, style: &Style) -> Result<String, CommandError> {
    let run = history::named(history, Some(name))?;
    let jobs = history.jobs(&run)?;
    let tries = tries(dir, &run.id)
        .map_err(|error| CommandError::infrastructure(format!("cannot read the tries of run {name}: {error}"), None))?;
    Ok(if args.json { format!("{:#}\n", whole(&run, &jobs, &tries)) } else { describe(&run, &jobs, &tries, style) })
}

fn list(history: &History, args: &RunsArgs, style: &Style) -> Result<String, CommandError> {
    let filter = filter(args);
    let found = history.runs(&filter, args.limit)?;
    if args.json {
        return Ok(format!("{:#}\n", found.iter().map(listed).collect::<Value>()));
    }
    if found.is_empty() {
        let hint = if filter.repository.is_some() { "; `argon runs --all` looks at all repositories" } else { "" };
        return Ok(format!("No such run{hint}\n"));
    }
    table(history, &found, &filter, style)
}

fn filter(args: &RunsArgs) -> Filter {
    let repository = match (&args.repo, args.all) {
        (Some(named), _) => {
            let folder = std::path::Path::new(named).canonicalize();
            Some(folder.map_or_else(|_| named.clone(), |folder| folder.display().to_string()))
        }
        (None, true) => None,
        (None, false) => history::repository_here(),
    };
    Filter {
        repository,
        branch: args.branch.clone(),
        phases: args.status.iter().copied().map(Phase::from).collect(),
        before: None,
        text: args.search.clone(),
    }
}

fn table(history: &History, found: &[Found], filter: &Filter, style: &Style) -> Result<String, CommandError> {
    let now = Timestamp::now();
    let rows: Vec<Row> = found.iter().map(|found| Row::of(&found.run, now)).collect();
    let width =
        |column: fn(&Row) -> &str| rows.iter().map(|row| console::measure_text_width(column(row))).max().unwrap_or(0);
    let (number, branch) = (width(|row| &row.number), width(|row| &row.branch));
    let (commit, ago, took) = (width(|row| &row.commit), width(|row| &row.ago), width(|row| &row.took));
    let mut text = String::new();
    for (row, found) in rows.iter().zip(found) {
        let run = &found.run;
        let status = style.paint(history::tone(run.phase), &format!("{:11}", run.phase.word()));
        let branch = console::pad_str(&row.branch, branch, console::Alignment::Left, None);
        let line = format!(
            "{} {:>number$}  {status}  {branch}  {:commit$}  {:ago$}  {:>took$}",
            history::sign(run.phase, style),
            row.number,
            row.commit,
            row.ago,
            row.took,
        );
        let _ = writeln!(text, "{}", line.trim_end());
        let mut below = |told: &str| {
            let _ = writeln!(text, "  {:number$}  {}", "", style.paint(Tone::Dim, &one_line(told)));
        };
        if filter.repository.is_none() {
            below(&run.repository);
        }
        if let Some(line) = &found.line {
            below(&format!("{}: {}", line.by.shown(style.symbols.inside()), line.line));
        } else if let Some(why) = why(history, run, style)? {
            below(&why);
        }
    }
    Ok(text)
}

/// What went wrong first: of the run itself, else of its first bad job.
fn why(history: &History, run: &Run, style: &Style) -> Result<Option<String>, CommandError> {
    if run.message.is_some() {
        return Ok(run.message.clone());
    }
    Ok(history.first_bad(run)?.map(|bad| {
        let step = bad.step.map(|step| format!(" {} {step}", style.symbols.inside())).unwrap_or_default();
        format!("{}{step}: {}", bad.job, bad.message.unwrap_or_default())
    }))
}

struct Row {
    number: String,
    branch: String,
    commit: String,
    ago: String,
    took: String,
}

impl Row {
    fn of(run: &Run, now: Timestamp) -> Self {
        let branch = one_line(run.tag.as_deref().or(run.branch.as_deref()).unwrap_or("-"));
        Self {
            number: run.number.to_string(),
            branch: console::truncate_str(&branch, BRANCH_WIDTH, "…").into_owned(),
            commit: commit(run),
            ago: ago(run.started, now),
            took: run.duration.map(human).unwrap_or_default(),
        }
    }
}

/// A run in full, for people.
fn describe(run: &Run, jobs: &[Job], tries: &[Try], style: &Style) -> String {
    let mut text = String::new();
    let title = format!("Run {}", run.number);
    let phase = style.paint(history::tone(run.phase), run.phase.word());
    let took = run.duration.map(|took| format!(" in {}", human(took))).unwrap_or_default();
    let _ = writeln!(text, "{} {}  {phase}{took}", history::sign(run.phase, style), style.paint(Tone::Bold, &title));
    if let Some(message) = &run.message {
        let _ = writeln!(text, "  {}", one_line(message));
    }
    let on = run.tag.as_deref().or(run.branch.as_deref()).map(|name| format!(" on {}", one_line(name)));
    let facts = [
        ("id", run.id.to_string()),
        ("source", format!("{}, {}{}", one_line(&run.repository), commit(run), on.unwrap_or_default())),
        ("event", run.event.clone()),
        ("started", run.started.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()),
    ];
    for (name, value) in facts {
        let _ = writeln!(text, "  {} {value}", style.paint(Tone::Dim, &format!("{name:8}")));
    }
    for job in jobs {
        let took = job.duration.map(|took| format!("  {}", human(took))).unwrap_or_default();
        let _ =
            writeln!(text, "{} {}{took}{}", history::sign(job.phase, style), job.name, because(job.message.as_deref()));
        for line in job.message.iter().flat_map(|message| message.lines().skip(1)) {
            let _ = writeln!(text, "  {} {}", style.paint(Tone::Dim, style.symbols.bar()), one_line(line));
        }
        let tried_again = |step: Option<usize>, indent: &str| {
            let of = tries.iter().filter(move |tried| tried.job == job.position && tried.step == step);
            let line = |tried: &Try| format!("{indent}{}\n", style.paint(Tone::Dim, &one_line(&tried.words())));
            of.map(line).collect::<String>()
        };
        text.push_str(&tried_again(None, "  "));
        for step in &job.steps {
            let took = step.duration.map(|took| format!("  {}", human(took))).unwrap_or_default();
            let sign = history::sign(step.phase, style);
            let _ = writeln!(text, "  {sign} {}{took}{}", one_line(&step.name), because(step.message.as_deref()));
            text.push_str(&tried_again(Some(step.position), "    "));
        }
    }
    let _ = writeln!(text, "\nIts output: argon logs {}", run.number);
    text
}

/// Its commit, or that there is none.
fn commit(run: &Run) -> String {
    run.shown_commit().unwrap_or_else(|| "-".to_owned())
}

fn because(message: Option<&str>) -> String {
    message.and_then(|message| message.lines().next()).map(|line| format!("  {}", one_line(line))).unwrap_or_default()
}

fn listed(found: &Found) -> Value {
    let mut value = facts(&found.run);
    if let (Some(line), Value::Object(fields)) = (&found.line, &mut value) {
        let told = &line.line;
        let told = match &line.by {
            FoundIn::Step { job, step } => json!({"in": "step", "job": job, "step": step, "line": told}),
            FoundIn::Service { job, service } => json!({"in": "service", "job": job, "service": service, "line": told}),
            FoundIn::Notice { job } => json!({"in": "notice", "job": job, "line": told}),
        };
        fields.insert("found".to_owned(), told);
    }
    value
}

fn whole(run: &Run, jobs: &[Job], tries: &[Try]) -> Value {
    let mut value = facts(run);
    if let Value::Object(fields) = &mut value {
        fields.insert("jobs".to_owned(), jobs.iter().map(|job| job_facts(job, tries)).collect());
    }
    value
}

fn facts(run: &Run) -> Value {
    json!({
        "number": run.number,
        "id": run.id.as_str(),
        "repository": run.repository,
        "pipeline": run.pipeline,
        "event": run.event,
        "branch": run.branch,
        "tag": run.tag,
        "commit": run.commit,
        "dirty": run.dirty,
        "dirty_hash": run.dirty_hash,
        "status": run.phase.word(),
        "message": run.message,
        "started": run.started.to_string(),
        "finished": run.finished.map(|time| time.to_string()),
        "duration_ms": run.duration.map(|took| took.as_millis()),
        "log_bytes": run.log_bytes,
    })
}

fn job_facts(job: &Job, tries: &[Try]) -> Value {
    let of_job = tries.iter().filter(|tried| tried.job == job.position);
    let tries = of_job.map(|tried| {
        let step = tried.step.map(|step| step + 1);
        json!({"step": step, "attempt": tried.attempt, "of": tried.of, "message": tried.message})
    });
    json!({
        "tries": tries.collect::<Value>(),
        "job": job.name,
        "name": job.title,
        "image": job.image,
        "image_id": job.image_id,
        "needs": job.needs,
        "status": job.phase.word(),
        "message": job.message,
        "exit_code": job.exit_code,
        "started": job.started.map(|time| time.to_string()),
        "duration_ms": job.duration.map(|took| took.as_millis()),
        "forgiven": job.forgiven,
        "steps": job.steps.iter().map(step_facts).collect::<Value>(),
    })
}

fn step_facts(step: &Step) -> Value {
    json!({
        "step": step.position + 1,
        "name": step.name,
        "status": step.phase.word(),
        "message": step.message,
        "exit_code": step.exit_code,
        "started": step.started.map(|time| time.to_string()),
        "duration_ms": step.duration.map(|took| took.as_millis()),
        "cpu_ms": step.cpu.map(|cpu| cpu.as_millis()),
        "peak_memory_bytes": step.peak_memory,
        "forgiven": step.forgiven,
    })
}
