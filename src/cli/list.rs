//! `argon list`: the jobs of a pipeline; and the plan of a run, for `--dry-run`.

use std::fmt::Write as _;

use argon::plan::{Plan, PlannedJob, PlannedStep};
use argon::sinks::style::{Style, Tone, human};

use super::exit::{CommandError, Exit};
use super::load::{self, FileArgs};
use super::output::{self, Look};

/// Lists the jobs of the pipeline
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Prints one JSON array
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(crate) fn run(args: &ListArgs, look: &Look) -> Result<Exit, CommandError> {
    let pipeline = load::from_args(&args.file, look)?;
    let text = if args.json {
        let jobs: Vec<serde_json::Value> = pipeline
            .jobs
            .iter()
            .map(|job| {
                serde_json::json!({
                    "job": job.key.value,
                    "name": job.name.as_ref().map(ToString::to_string),
                    "image": job.image.to_string(),
                    "needs": job.needs.iter().map(|need| &need.value).collect::<Vec<_>>(),
                    "if": job.condition.as_ref().map(ToString::to_string),
                    "matrix": job.matrix.as_ref().map(|matrix| matrix.labels()),
                    "steps": job.steps.len(),
                })
            })
            .collect();
        format!("{:#}\n", serde_json::Value::from(jobs))
    } else {
        let style = look.stdout();
        let width = pipeline.jobs.iter().map(|job| job.key.value.chars().count()).max().unwrap_or(0);
        let image_width = pipeline.jobs.iter().map(|job| job.image.to_string().chars().count()).max().unwrap_or(0);
        pipeline.jobs.iter().fold(String::new(), |mut text, job| {
            let s = if job.steps.len() == 1 { "" } else { "s" };
            let needs: Vec<&str> = job.needs.iter().map(|need| need.value.as_str()).collect();
            let needs = if needs.is_empty() { String::new() } else { format!("  needs {}", needs.join(", ")) };
            let key = style.paint(Tone::Bold, &format!("{:width$}", job.key.value));
            let times = job.matrix.as_ref().map_or(0, |matrix| matrix.combinations.len());
            let times = if times == 0 { String::new() } else { format!("  × {times}") };
            let line =
                format!("{key}  {:image_width$}  {} step{s}{times}{needs}", job.image.to_string(), job.steps.len());
            let _ = writeln!(text, "{}", line.trim_end());
            text
        })
    };
    output::print(&text)?;
    Ok(Exit::Success)
}

/// A plan, for people: what would run, in which order, with what. Secrets by their names alone.
pub(crate) fn describe_plan(plan: &Plan, style: &Style) -> String {
    let mut text = String::new();
    for job in &plan.jobs {
        describe_job(&mut text, job, style);
    }
    text
}

fn describe_job(text: &mut String, job: &PlannedJob, style: &Style) {
    let _ = write!(text, "{}  in {}", style.paint(Tone::Bold, job.id.as_str()), job.image);
    let needs: Vec<&str> = job.needed().map(|need| need.as_str()).collect();
    if !needs.is_empty() {
        let _ = write!(text, ", after {}", needs.join(", "));
    }
    if let Some(timeout) = job.timeout {
        let _ = write!(text, ", timeout {}", human(timeout));
    }
    text.push('\n');
    if let Some(condition) = &job.condition {
        let _ = writeln!(text, "  {}", style.paint(Tone::Dim, &format!("if {condition}")));
    }
    for step in &job.steps {
        describe_step(text, job, step, style);
    }
}

fn describe_step(text: &mut String, job: &PlannedJob, step: &PlannedStep, style: &Style) {
    let (script, env) = job.preview(step);
    let _ = writeln!(text, "  {}. {}", step.index, step.name);
    if let Some(condition) = &step.condition {
        let _ = writeln!(text, "       {}", style.paint(Tone::Dim, &format!("if {condition}")));
    }
    for line in script.lines() {
        let _ = writeln!(text, "       {}", style.paint(Tone::Dim, line));
    }
    let names: Vec<String> = env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .chain(step.secrets.iter().map(|secret| format!("{}=***", secret.name)))
        .collect();
    if !names.is_empty() {
        let _ = writeln!(text, "       {}", style.paint(Tone::Dim, &format!("with {}", names.join(" "))));
    }
}
