//! `argon logs`: what the steps of a run printed, also of one that goes on in another terminal.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::time::Duration;

use argon::sinks::sanitize::{Sanitizer, one_line};
use argon::sinks::style::{Style, Tone};
use argon::store::StateDir;
use argon::store::history::{History, Job, Phase, Run, RunName, Step};
use argon::store::logs::{Log, LogId, events, services};
use argon::store::tries::tries;

use super::exit::{CommandError, Exit};
use super::history::{self, StateArgs};
use super::output::{self, Look};

/// How often a run that goes on is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How much of a log is read at once.
const PIECE: usize = 64 * 1024;

/// Shows what the steps of a run printed
///
/// What could harm a terminal is taken out; `--raw` gives every byte.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// A number of `argon runs`, or the end of an id [default: the latest run of the repository here]
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// This job alone
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// This step alone, by name or number
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// What a service of a job wrote, instead of what steps printed
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["step", "failed", "follow"])]
    service: Option<String>,
    /// Steps that failed alone
    #[arg(long)]
    failed: bool,
    /// Goes on for as long as the run does
    #[arg(short, long)]
    follow: bool,
    /// The bytes as the steps wrote them, and nothing else
    #[arg(long)]
    raw: bool,
    /// The run's events as JSON, one a line, as `argon run --output json` has them, without the steps' output
    #[arg(long, conflicts_with_all = ["job", "step", "service", "failed", "follow", "raw"])]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
}

/// Shows them.
pub(crate) fn run(args: &LogsArgs, look: &Look) -> Result<Exit, CommandError> {
    let dir = args.state.dir()?;
    let history = history::look(&dir)?.ok_or_else(history::no_run)?;
    let run = history::named(&history, args.run.as_deref())?;
    if args.json {
        return show_events(&dir, &run);
    }
    check_names(args, &history.jobs(&run)?)?;
    if let Some(name) = &args.service {
        return show_service(&dir, &run, &history.jobs(&run)?, name, args, &look.stdout());
    }
    let number = run.number;
    let mut view = View { dir, args, style: look.stdout(), last: None, steps: HashMap::new() };
    let ended = if args.follow { follow(&history, run, &mut view) } else { view.show(&history.jobs(&run)?, &run) };
    if ended.is_ok() && view.last.is_none() && !args.raw {
        let what = if args.failed { "No step of it failed with output" } else { "It printed nothing" };
        let _ = writeln!(io::stderr(), "{what}; `argon runs {number}` tells how it went");
    }
    match ended {
        Err(Failed::Command(error)) => Err(error),
        Err(Failed::Output(error)) => output::written(Err(error)).map(|()| Exit::Success),
        Ok(()) => Ok(Exit::Success),
    }
}

fn show_service(
    dir: &StateDir,
    run: &Run,
    jobs: &[Job],
    name: &str,
    args: &LogsArgs,
    style: &Style,
) -> Result<Exit, CommandError> {
    let unreadable = |error: io::Error| CommandError::infrastructure(format!("cannot read the log: {error}"), None);
    let mut known: Vec<String> = Vec::new();
    let mut text: Vec<u8> = Vec::new();
    for job in jobs.iter().filter(|job| wants_job(args, job)) {
        for (service, mut file) in services(dir, &run.id, job.position).map_err(unreadable)? {
            if service != name {
                known.push(service);
                continue;
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(unreadable)?;
            if args.raw {
                text.extend(bytes);
                continue;
            }
            let head = format!("{} {} service {name}", one_line(&job.name), style.symbols.inside());
            let mut lines = format!("{}\n", style.paint(Tone::Bold, &head));
            let mut clean = Sanitizer::new(style.color);
            clean.push(&bytes, |line| push_line(&mut lines, line));
            clean.finish(|line| push_line(&mut lines, line));
            text.extend(lines.into_bytes());
        }
    }
    if text.is_empty() {
        let hint = match known.is_empty() {
            true => "no service of it wrote anything".to_owned(),
            false => format!("these wrote something: {}", known.join(", ")),
        };
        return Err(CommandError::usage(format!("no service `{name}` of the run wrote anything"), hint));
    }
    output::written(io::stdout().lock().write_all(&text)).map(|()| Exit::Success)
}

fn show_events(dir: &StateDir, run: &Run) -> Result<Exit, CommandError> {
    let unreadable = |error: io::Error| CommandError::infrastructure(format!("cannot read the events: {error}"), None);
    let mut text = String::new();
    if let Some(mut file) = events(dir, &run.id).map_err(unreadable)? {
        file.read_to_string(&mut text).map_err(unreadable)?;
    }
    output::print(&text)?;
    Ok(Exit::Success)
}

/// Why the logs are not shown to their end.
enum Failed {
    Command(CommandError),
    Output(io::Error),
}

impl From<argon::store::StoreError> for Failed {
    fn from(error: argon::store::StoreError) -> Self {
        Self::Command(error.into())
    }
}

fn follow(history: &History, mut run: Run, view: &mut View<'_>) -> Result<(), Failed> {
    loop {
        // Read before its logs are: what the run wrote before it ended is then there.
        let goes_on = run.phase == Phase::Running;
        view.show(&history.jobs(&run)?, &run)?;
        if !goes_on {
            return Ok(());
        }
        std::thread::sleep(LOOK);
        history::interrupt_dead(history)?;
        match history.run(&RunName::Id(run.id.to_string()))? {
            Some(now) => run = now,
            None => return Ok(()),
        }
    }
}

/// A job or a step that does not exist is told with the nearest that does.
fn check_names(args: &LogsArgs, jobs: &[Job]) -> Result<(), CommandError> {
    let of_job: Vec<&Job> = jobs.iter().filter(|job| wants_job(args, job)).collect();
    if let (Some(name), true) = (&args.job, of_job.is_empty()) {
        return Err(history::unknown("job", name, jobs.iter().map(|job| job.name.as_str())));
    }
    let steps = || of_job.iter().flat_map(|job| &job.steps);
    match &args.step {
        Some(name) if !steps().any(|step| wants_step(args, step)) => {
            Err(history::unknown("step", name, steps().map(|step| step.name.as_str())))
        }
        _ => Ok(()),
    }
}

fn wants_job(args: &LogsArgs, job: &Job) -> bool {
    args.job.as_deref().is_none_or(|name| history::is_job(name, &job.name))
}

fn wants_step(args: &LogsArgs, step: &Step) -> bool {
    args.step.as_deref().is_none_or(|name| name == step.name || name.parse() == Ok(step.position + 1))
}

/// What was shown so far.
struct View<'a> {
    dir: StateDir,
    args: &'a LogsArgs,
    style: Style,
    /// The step whose lines came last.
    last: Option<(usize, usize)>,
    steps: HashMap<(usize, usize), Shown>,
}

struct Shown {
    offset: u64,
    /// How many ends of tries.
    tries: usize,
    clean: Sanitizer,
    over: bool,
}

impl View<'_> {
    /// Shows what is new.
    fn show(&mut self, jobs: &[Job], run: &Run) -> Result<(), Failed> {
        for job in jobs.iter().filter(|job| wants_job(self.args, job)) {
            for step in job.steps.iter().filter(|step| wants_step(self.args, step)) {
                let is_asked_for = !self.args.failed || step.phase.is_bad();
                if is_asked_for && step.started.is_some() {
                    self.show_step(run, job, step)?;
                }
            }
        }
        io::stdout().lock().flush().map_err(Failed::Output)
    }

    fn show_step(&mut self, run: &Run, job: &Job, step: &Step) -> Result<(), Failed> {
        let at = (job.position, step.position);
        let color = self.style.color;
        let shown = self.steps.entry(at).or_insert_with(|| Shown {
            offset: 0,
            tries: 0,
            clean: Sanitizer::new(color),
            over: false,
        });
        if shown.over {
            return Ok(());
        }
        let id = LogId { run: run.id.clone(), job: job.position, step: step.position };
        let unreadable = |error: io::Error| {
            Failed::Command(CommandError::infrastructure(format!("cannot read the log of {}: {error}", job.name), None))
        };
        let mut log = Log::open(&self.dir, &id, shown.offset).map_err(unreadable)?;
        let mut out = io::stdout().lock();
        let mut head = (self.last != Some(at) && !self.args.raw).then(|| header(job, step, &self.style));
        let mut piece = vec![0; PIECE];
        loop {
            let read = log.read(&mut piece).map_err(unreadable)?;
            if self.args.raw {
                shown.offset += read as u64;
                out.write_all(&piece[..read]).map_err(Failed::Output)?;
            } else {
                // Looked at behind what was read: the end of a try is noted before the next one writes.
                let tries = tries(&self.dir, &run.id).map_err(unreadable)?;
                let ends = tries.iter().filter_map(|tried| Some((tried.end_in(at.0, at.1)?, tried.words())));
                let mut lines = String::new();
                shown.take(&piece[..read], &ends.collect::<Vec<_>>(), &self.style, &mut lines);
                write_under(&mut out, &mut head, &mut self.last, at, &lines)?;
            }
            if read == 0 {
                break;
            }
        }
        if !matches!(step.phase, Phase::Queued | Phase::Running) || run.phase != Phase::Running {
            shown.over = true;
            let mut lines = String::new();
            shown.clean.finish(|line| push_line(&mut lines, line));
            if let Some(why) = step.message.as_deref().filter(|_| step.phase.is_bad()) {
                push_line(&mut lines, &self.style.paint(Tone::Bad, &one_line(why)));
            }
            if !self.args.raw {
                write_under(&mut out, &mut head, &mut self.last, at, &lines)?;
            }
        }
        Ok(())
    }
}

impl Shown {
    /// Takes a piece of the log, with a heading where a try ended in it.
    fn take(&mut self, piece: &[u8], ends: &[(u64, String)], style: &Style, lines: &mut String) {
        let begin = self.offset;
        self.offset += piece.len() as u64;
        let mut taken = 0;
        while let Some((end, words)) = ends.get(self.tries).filter(|(end, _)| *end <= self.offset) {
            let upto = usize::try_from(end.saturating_sub(begin)).map_or(taken, |upto| upto.clamp(taken, piece.len()));
            self.clean.push(&piece[taken..upto], |line| push_line(lines, line));
            self.clean.finish(|line| push_line(lines, line));
            push_line(lines, &style.paint(Tone::Warn, &format!("{} {}", style.symbols.ellipsis(), one_line(words))));
            (taken, self.tries) = (upto, self.tries + 1);
        }
        self.clean.push(&piece[taken..], |line| push_line(lines, line));
    }
}

/// Writes lines of a step, under its name where another step's lines came last.
fn write_under(
    out: &mut impl Write,
    head: &mut Option<String>,
    last: &mut Option<(usize, usize)>,
    at: (usize, usize),
    lines: &str,
) -> Result<(), Failed> {
    if lines.is_empty() {
        return Ok(());
    }
    let head = head.take().unwrap_or_default();
    *last = Some(at);
    out.write_all(head.as_bytes()).and_then(|()| out.write_all(lines.as_bytes())).map_err(Failed::Output)
}

fn push_line(lines: &mut String, line: &str) {
    lines.push_str(line);
    lines.push('\n');
}

fn header(job: &Job, step: &Step, style: &Style) -> String {
    let name = format!("{} {} {}", one_line(&job.name), style.symbols.inside(), one_line(&step.name));
    format!("{} {}\n", history::sign(step.phase, style), style.paint(Tone::Bold, &name))
}
