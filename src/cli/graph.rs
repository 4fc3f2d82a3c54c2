//! `argon graph`: what needs what, as text or as a Mermaid diagram.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use argon::pipeline::{Job, Pipeline};

use super::exit::{CommandError, Exit};
use super::load::{self, FileArgs};
use super::output::{self, Look};

/// Draws which job needs which
#[derive(Debug, clap::Args)]
pub(crate) struct GraphArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Text for a terminal, or Mermaid for Markdown
    #[arg(long, value_enum, default_value_t)]
    format: GraphFormat,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum GraphFormat {
    /// The jobs in stages: what can run at once stands together
    #[default]
    Text,
    /// A Mermaid flowchart
    Mermaid,
}

/// Draws it.
pub(crate) fn run(args: &GraphArgs, look: &Look) -> Result<Exit, CommandError> {
    let pipeline = load::from_args(&args.file, look)?;
    output::print(&match args.format {
        GraphFormat::Text => stages(&pipeline),
        GraphFormat::Mermaid => mermaid(&pipeline),
    })?;
    Ok(Exit::Success)
}

fn stages(pipeline: &Pipeline) -> String {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    // A valid pipeline has no cycle, so each round settles a job at least.
    for _ in &pipeline.jobs {
        for job in &pipeline.jobs {
            let depth = job
                .needs
                .iter()
                .map(|need| depths.get(need.value.as_str()).map_or(0, |depth| depth + 1))
                .max()
                .unwrap_or(0);
            depths.insert(&job.key.value, depth);
        }
    }
    let deepest = depths.values().max().copied().unwrap_or(0);
    let mut text = String::new();
    for stage in 0..=deepest {
        let jobs: Vec<String> = pipeline
            .jobs
            .iter()
            .filter(|job| depths.get(job.key.value.as_str()) == Some(&stage))
            .map(with_needs)
            .collect();
        let arrow = if stage == 0 { "  " } else { "→ " };
        let _ = writeln!(text, "{arrow}{}", jobs.join("\n  "));
    }
    text
}

fn with_needs(job: &Job) -> String {
    let needs: Vec<&str> = job.needs.iter().map(|need| need.value.as_str()).collect();
    match needs.as_slice() {
        [] => job.key.value.clone(),
        needs => format!("{}  (needs {})", job.key.value, needs.join(", ")),
    }
}

fn mermaid(pipeline: &Pipeline) -> String {
    let number: BTreeMap<&str, usize> =
        pipeline.jobs.iter().enumerate().map(|(at, job)| (job.key.value.as_str(), at)).collect();
    let mut text = String::from("flowchart LR\n");
    for (at, job) in pipeline.jobs.iter().enumerate() {
        let label = job.name.as_ref().map_or_else(|| job.key.value.clone(), ToString::to_string).replace('"', "#quot;");
        let _ = writeln!(text, "    j{at}[\"{label}\"]");
    }
    for (at, job) in pipeline.jobs.iter().enumerate() {
        for need in job.needs.iter().filter_map(|need| number.get(need.value.as_str())) {
            let _ = writeln!(text, "    j{need} --> j{at}");
        }
    }
    text
}
