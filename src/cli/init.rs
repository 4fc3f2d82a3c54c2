//! `argon init`: writes a first `.runnerci.yml` for what it finds here.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use argon::repository::FILE_NAME;

use super::exit::{CommandError, Exit};
use super::load;
use super::output::{self, Look};

/// Writes a first `.runnerci.yml`, for Cargo, npm, Python, Go or Maven
///
/// It looks at the files at the top of the folder, and gives each kind of project a job. Where it finds none it writes an
/// example. Edit what it wrote: it is a beginning.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The folder to write it in
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Replaces a file that is there
    #[arg(long)]
    force: bool,
}

/// A kind of project, told by a file at its top.
struct Kind {
    name: &'static str,
    marks: &'static [&'static str],
    job: &'static str,
    image: &'static str,
    steps: &'static [(&'static str, &'static str)],
}

const KINDS: &[Kind] = &[
    Kind {
        name: "Cargo",
        marks: &["Cargo.toml"],
        job: "rust",
        image: "rust:1",
        steps: &[("Build", "cargo build --all-targets"), ("Test", "cargo test")],
    },
    Kind {
        name: "npm",
        marks: &["package.json"],
        job: "node",
        image: "node:22",
        steps: &[
            ("Install dependencies", "if [ -f package-lock.json ]; then npm ci; else npm install; fi"),
            ("Test", "npm test --if-present"),
        ],
    },
    Kind {
        name: "Python",
        marks: &["pyproject.toml", "requirements.txt", "setup.py"],
        job: "python",
        image: "python:3.12",
        steps: &[
            (
                "Install dependencies",
                "if [ -f requirements.txt ]; then pip install -r requirements.txt; else pip install .; fi",
            ),
            ("Test", "pip install pytest\n# 5: there are no tests yet\npytest || [ $? -eq 5 ]\n"),
        ],
    },
    Kind {
        name: "Go",
        marks: &["go.mod"],
        job: "go",
        image: "golang:1",
        steps: &[("Build", "go build ./..."), ("Test", "go test ./...")],
    },
    Kind {
        name: "Maven",
        marks: &["pom.xml"],
        job: "maven",
        image: "maven:3.9-eclipse-temurin-21",
        steps: &[("Verify", "mvn --batch-mode verify")],
    },
];

/// What is written where nothing is recognised.
const OTHER: Kind = Kind {
    name: "an example, for no Cargo, npm, Python, Go or Maven project was found",
    marks: &[],
    job: "build",
    image: "busybox:1.36",
    steps: &[("Say hello", "echo hello from $ARGON_JOB"), ("Look around", "ls -la")],
};

/// Writes it.
pub(crate) fn run(args: &InitArgs, _: &Look) -> Result<Exit, CommandError> {
    let here = load::here()?;
    let folder = if args.folder == Path::new(".") { here } else { here.join(&args.folder) };
    if !folder.is_dir() {
        return Err(CommandError::usage(
            format!("there is no folder {}", folder.display()),
            "make it first, or name another",
        ));
    }
    let path = folder.join(FILE_NAME);
    let found: Vec<&Kind> =
        KINDS.iter().filter(|kind| kind.marks.iter().any(|mark| folder.join(mark).is_file())).collect();
    let kinds = if found.is_empty() { vec![&OTHER] } else { found };
    write(&path, &text(&kinds)?, args.force)?;
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    output::print(&format!("wrote {}: {}\nnext: look at it, then `argon run`\n", path.display(), names.join(" and ")))?;
    Ok(Exit::Success)
}

#[derive(serde::Serialize)]
struct File {
    version: f32,
    jobs: serde_yaml::Mapping,
}

#[derive(serde::Serialize)]
struct Job {
    image: &'static str,
    steps: Vec<Step>,
}

#[derive(serde::Serialize)]
struct Step {
    name: &'static str,
    run: &'static str,
}

fn text(kinds: &[&Kind]) -> Result<String, CommandError> {
    let unwritable =
        |error: serde_yaml::Error| CommandError::infrastructure(format!("cannot write YAML: {error}"), None);
    let mut jobs = serde_yaml::Mapping::new();
    for kind in kinds {
        let steps = kind.steps.iter().map(|(name, run)| Step { name, run }).collect();
        let job = serde_yaml::to_value(Job { image: kind.image, steps }).map_err(unwritable)?;
        jobs.insert(kind.job.into(), job);
    }
    let body = serde_yaml::to_string(&File { version: 1.0, jobs }).map_err(unwritable)?;
    Ok(format!("# What `argon run` does. `argon validate` checks it; docs/pipeline.md of Argon has every key.\n{body}"))
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), CommandError> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let result = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    result.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CommandError::usage(format!("{} is there already", path.display()), "`argon init --force` replaces it")
        }
        _ => CommandError::infrastructure(
            format!("cannot write {}: {error}", path.display()),
            Some("check the folder and its permissions".into()),
        ),
    })
}
