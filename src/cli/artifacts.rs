//! `argon artifacts`: what the jobs of a run kept, and getting it.

use std::fs::File;
use std::path::PathBuf;

use argon::artifact::{self, Artifact, Depot};
use argon::sinks::sanitize::one_line;
use argon::sinks::style::{Tone, bytes};

use super::exit::{CommandError, Exit};
use super::history::{self, StateArgs};
use super::output::{self, Look};

/// Lists the artifacts of a run, and gets them
///
/// Artifacts are what jobs keep by `artifacts:`. They are unpacked below a folder, as yours; files that are there are replaced.
#[derive(Debug, clap::Args)]
pub(crate) struct ArtifactsArgs {
    /// A number of `argon runs`, or the end of an id [default: the latest run of the repository here]
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Gets the artifact of this name; may be given more than once
    #[arg(long, value_name = "NAME")]
    get: Vec<String>,
    /// Gets all of them, each below a folder of its name
    #[arg(long, conflicts_with = "get")]
    all: bool,
    /// The folder to put them in
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// The list as JSON
    #[arg(long, conflicts_with_all = ["get", "all"])]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
}

/// Lists or gets them.
pub(crate) fn run(args: &ArtifactsArgs, look: &Look) -> Result<Exit, CommandError> {
    let dir = args.state.dir()?;
    let history = history::look(&dir)?.ok_or_else(history::no_run)?;
    let run = history::named(&history, args.run.as_deref())?;
    let depot = dir.artifacts_of(&run.id);
    let found = depot
        .list()
        .map_err(|error| CommandError::infrastructure(format!("the artifacts cannot be read: {error}"), None))?;
    if args.json {
        let list: Vec<serde_json::Value> = found
            .iter()
            .map(|artifact| {
                serde_json::json!({"name": artifact.name, "job": artifact.job, "files": artifact.files, "bytes": artifact.bytes})
            })
            .collect();
        output::print(&format!("{:#}\n", serde_json::Value::from(list)))?;
        return Ok(Exit::Success);
    }
    if args.get.is_empty() && !args.all {
        output::print(&list(&found, run.number, look))?;
        return Ok(Exit::Success);
    }
    if let Some(name) = args.get.iter().find(|name| !found.iter().any(|artifact| artifact.name == **name)) {
        let known: Vec<&str> = found.iter().map(|artifact| artifact.name.as_str()).collect();
        let hint = match argon::pipeline::near(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "it kept none".to_owned(),
            None => format!("it has: {}", known.join(", ")),
        };
        return Err(CommandError::usage(format!("run {} has no artifact `{name}`", run.number), hint));
    }
    for artifact in found.iter().filter(|artifact| args.all || args.get.contains(&artifact.name)) {
        get(&depot, artifact, args, look)?;
    }
    Ok(Exit::Success)
}

fn list(found: &[Artifact], run: i64, look: &Look) -> String {
    if found.is_empty() {
        return format!("Run {run} kept no artifacts\n");
    }
    let style = look.stdout();
    let width = found.iter().map(|artifact| artifact.name.chars().count()).max().unwrap_or(0);
    let lines = found.iter().map(|artifact| {
        let name = style.paint(Tone::Bold, &format!("{:width$}", one_line(&artifact.name)));
        let files = if artifact.files == 1 { "1 file".to_owned() } else { format!("{} files", artifact.files) };
        let from = style.paint(Tone::Dim, &format!("of {}", one_line(&artifact.job)));
        format!("{name}  {files}, {}  {from}\n", bytes(artifact.bytes))
    });
    lines.collect()
}

fn get(depot: &Depot, artifact: &Artifact, args: &ArtifactsArgs, look: &Look) -> Result<(), CommandError> {
    // A name is a person's: it is one folder, whatever is in it.
    let own: String = artifact.name.chars().map(|c| if c == '/' || c.is_control() { '-' } else { c }).collect();
    let own = if own.chars().all(|c| c == '.') { format!("artifact{own}") } else { own };
    let into = if args.all { args.out.join(own) } else { args.out.clone() };
    let failed = |error: std::io::Error| {
        let message = format!("the artifact {} cannot be put into {}: {error}", artifact.name, into.display());
        CommandError::infrastructure(message, Some("is something in the way, or the disk full?".to_owned()))
    };
    let tar = File::open(depot.tar(artifact)).map_err(failed)?;
    artifact::unpack(std::io::BufReader::new(tar), &into).map_err(failed)?;
    let style = look.stdout();
    let name = style.paint(Tone::Bold, &one_line(&artifact.name));
    output::print(&format!("{name}: {} files into {}\n", artifact.files, into.display()))
}
