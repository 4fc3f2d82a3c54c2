//! `argon artifacts`: what the jobs of a run kept, and getting it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use argon::artifact::{self, Artifact, Depot, Heir};
use argon::sinks::sanitize::one_line;
use argon::sinks::style::{Tone, bytes, files};

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
    /// Those of this job alone: its name, or of a matrix the name of all or of one
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Gets the artifact of this name; may be given more than once. Where several jobs have it, each is below a folder of its job
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
    let mut found = depot
        .list()
        .map_err(|error| CommandError::infrastructure(format!("the artifacts cannot be read: {error}"), None))?;
    if let Some(job) = &args.job {
        let jobs = history.jobs(&run)?;
        if !jobs.iter().any(|known| history::is_job(job, &known.name)) {
            return Err(history::unknown("job", job, jobs.iter().map(|job| job.name.as_str())));
        }
        found.retain(|artifact| history::is_job(job, &artifact.job));
    }
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
    let wanted: Vec<&Artifact> =
        found.iter().filter(|artifact| args.all || args.get.contains(&artifact.name)).collect();
    for (artifact, into) in wanted.iter().zip(folders(&wanted, args)) {
        get(&depot, artifact, &into, look)?;
    }
    Ok(Exit::Success)
}

/// Where each is put: no two of one name into one folder, where the one would write over the other.
fn folders(wanted: &[&Artifact], args: &ArtifactsArgs) -> Vec<PathBuf> {
    let base = |artifact: &Artifact| if args.all { args.out.join(folder_of(&artifact.name)) } else { args.out.clone() };
    let mut taken: Vec<PathBuf> = Vec::new();
    for artifact in wanted {
        let clashes =
            |other: &&Artifact| other.id() != artifact.id() && folder_of(&other.name) == folder_of(&artifact.name);
        let mut own = base(artifact);
        if wanted.iter().any(clashes) {
            own.push(folder_of(&artifact.job));
            // Names that differ may make one folder.
            let plain = own.clone();
            for nth in 2.. {
                if !taken.contains(&own) {
                    break;
                }
                own = PathBuf::from(format!("{}-{nth}", plain.display()));
            }
        }
        taken.push(own);
    }
    taken
}

/// A name is a person's: it is one folder, whatever is in it.
fn folder_of(name: &str) -> String {
    let own: String = name.chars().map(|c| if c == '/' || c.is_control() { '-' } else { c }).collect();
    if own.chars().all(|c| c == '.') { format!("artifact{own}") } else { own }
}

fn list(found: &[Artifact], run: i64, look: &Look) -> String {
    if found.is_empty() {
        return format!("Run {run} kept no artifacts\n");
    }
    let style = look.stdout();
    let width = found.iter().map(|artifact| artifact.name.chars().count()).max().unwrap_or(0);
    let lines = found.iter().map(|artifact| {
        let name = style.paint(Tone::Bold, &format!("{:width$}", one_line(&artifact.name)));
        let files = files(artifact.files);
        let from = style.paint(Tone::Dim, &format!("of {}", one_line(&artifact.job)));
        format!("{name}  {files}, {}  {from}\n", bytes(artifact.bytes))
    });
    lines.collect()
}

fn get(depot: &Depot, artifact: &Artifact, into: &Path, look: &Look) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| {
        let message = format!("the artifact {} cannot be put into {}: {error}", artifact.name, into.display());
        CommandError::infrastructure(message, Some("is something in the way, or the disk full?".to_owned()))
    };
    let tar = File::open(depot.tar(artifact)).map_err(failed)?;
    artifact::unpack(std::io::BufReader::new(tar), into, heir(into)).map_err(failed)?;
    let style = look.stdout();
    let name = style.paint(Tone::Bold, &one_line(&artifact.name));
    output::print(&format!("{name}: {} into {}\n", files(artifact.files), into.display()))
}

/// Whose the files are to be: who asked by sudo has them where the folder is that user's, else they are root's in a home where their
/// owner cannot remove them.
fn heir(into: &Path) -> Option<Heir> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let id = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let heir = Heir { uid: id("SUDO_UID")?, gid: id("SUDO_GID")? };
    let absolute = std::path::absolute(into).ok()?;
    let there = absolute.ancestors().find_map(|folder| folder.metadata().ok())?;
    (there.uid() == heir.uid).then_some(heir)
}
