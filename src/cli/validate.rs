//! `argon validate`: tells what is wrong in pipeline files, to the column.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use argon::pipeline::{Code, Diagnostic, MAX_BYTES, Pipeline, Severity};
use argon::repository::includes::Reach;
use argon::repository::{self, FileError};
use clap::{Args, ValueEnum};

use super::includes::{self, FileReport};
use super::print;
use super::report::{self, ReportStyle};
use super::sarif::{self, FileFindings};
use super::targets::{self, Target};

/// Check pipeline files without running them.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// What to check: files, folders (their `.runnerci.yml` at any depth, less what git ignores), `-` for standard input.
    /// [default: .runnerci.yml here or in the nearest folder above]
    #[arg(value_name = "FILE|FOLDER")]
    pub(crate) files: Vec<PathBuf>,
    /// The name to show for standard input.
    #[arg(long, value_name = "PATH")]
    pub(crate) stdin_path: Option<PathBuf>,
    /// How to show what was found.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Treat warnings as errors.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print the pipeline as it will be run, as one file: includes merged, aliases and defaults applied.
    #[arg(long, conflicts_with = "format")]
    pub(crate) print: bool,
    /// Tell what a finding's code means, and how to put it right; check nothing.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["files", "stdin_path", "format", "strict", "print"])]
    pub(crate) explain: Option<String>,
}

/// How findings are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: with the lines of the file.
    #[default]
    Human,
    /// An array of objects.
    Json,
    /// `file:line:column: severity: message`.
    Short,
    /// Annotations of GitHub Actions.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// A pipeline that was looked at.
struct Checked {
    /// Its files: the one that was named first, then those that it includes.
    files: Vec<FileReport>,
    pipeline: Option<Pipeline>,
}

/// Checks the files and writes what was found. 0 where all are valid, else 2.
///
/// # Errors
/// Where `out` cannot be written.
pub(crate) fn run(
    args: &ValidateArgs,
    style: ReportStyle,
    input: &mut dyn Read,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let checked: Vec<Checked> = if args.files.is_empty() {
        vec![check_default()]
    } else {
        targets::of(&args.files).iter().map(|target| check(target, args, input)).collect()
    };
    let files: Vec<&FileReport> = checked.iter().flat_map(|one| &one.files).collect();
    let printed: Option<String> = if args.print { print_all(&checked) } else { None };
    match printed {
        Some(text) => out.write_all(text.as_bytes())?,
        None => write(&files, args.format, style, out)?,
    }
    out.flush()?;
    let worst = files.iter().flat_map(|file| &file.findings).map(Diagnostic::severity).min();
    Ok(match worst {
        Some(Severity::Error) => 2,
        Some(Severity::Warning) if args.strict => 2,
        _ => 0,
    })
}

fn check(target: &Target, args: &ValidateArgs, input: &mut dyn Read) -> Checked {
    let refused = |path: &Path, message: String, help: String| {
        let finding = Diagnostic::new(Code::Unreadable, 0..0, message).help(help);
        Checked::unread(path.display().to_string(), finding)
    };
    match target {
        Target::Input => check_input(args, input),
        Target::File(path) => check_file(path),
        Target::Empty { folder, near } => {
            let name = repository::FILE_NAME;
            let message = format!("there is no `{name}` in the folder `{}`, at any depth", folder.display());
            let help = match near {
                Some(near) => format!("rename `{}` to `{name}`, or name it as a file", near.display()),
                None => {
                    "name a folder that has one that git does not ignore; `argon init` writes a first one".to_owned()
                }
            };
            refused(folder, message, help)
        }
        Target::Closed { path, reason } => {
            let message = format!("cannot look through the folder `{}`: {reason}", path.display());
            refused(path, message, "let your user read it, or name files of it".to_owned())
        }
    }
}

fn check_default() -> Checked {
    let found = std::env::current_dir()
        .map_err(|source| FileError::Unreadable { path: PathBuf::from("."), source })
        .and_then(|folder| Ok((repository::find(&folder)?, folder)));
    match found {
        // Shown as one would type it, where it is in this very folder.
        Ok((path, folder)) => check_file(path.strip_prefix(&folder).unwrap_or(&path)),
        Err(error) => unreadable(repository::FILE_NAME.to_owned(), &error),
    }
}

fn check_file(path: &Path) -> Checked {
    let name = path.display().to_string();
    let root = repository::root_of(path);
    match repository::read(path, &root) {
        Ok(bytes) => check_bytes(&name, &bytes, path, &root),
        Err(error) => unreadable(name, &error),
    }
}

fn check_input(args: &ValidateArgs, input: &mut dyn Read) -> Checked {
    let name = args.stdin_path.as_ref().map_or_else(|| "<stdin>".to_owned(), |path| path.display().to_string());
    // What it includes lies beside the file that it is the text of.
    let path = args.stdin_path.as_deref().unwrap_or(Path::new("./-"));
    let root = repository::root_of(path);
    let mut bytes = Vec::new();
    match input.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes) {
        Ok(_) => check_bytes(&name, &bytes, path, &root),
        Err(source) => unreadable(name, &FileError::Unreadable { path: PathBuf::from("-"), source }),
    }
}

fn check_bytes(name: &str, bytes: &[u8], path: &Path, root: &Path) -> Checked {
    let mut parsed = repository::includes::parse(bytes, path, root, Reach::Anywhere, &AtomicBool::new(false));
    includes::look_at_named_files(&mut parsed, root);
    Checked { files: includes::reports(&parsed, name, root), pipeline: parsed.pipeline }
}

/// The pipelines as YAML, a document each. `None` where one of them is not valid: then the findings are shown.
fn print_all(checked: &[Checked]) -> Option<String> {
    let pipelines = checked.iter().map(|one| one.pipeline.as_ref()).collect::<Option<Vec<_>>>()?;
    let texts = pipelines.into_iter().map(print::yaml).collect::<Result<Vec<_>, _>>().ok()?;
    Some(texts.join("---\n"))
}

fn unreadable(name: String, error: &FileError) -> Checked {
    let code = match error {
        FileError::TooLarge { .. } => Code::TooLarge,
        _ => Code::Unreadable,
    };
    Checked::unread(name, Diagnostic::new(code, 0..0, error.to_string()).help(error.hint()))
}

fn write(checked: &[&FileReport], format: Format, style: ReportStyle, out: &mut dyn Write) -> io::Result<()> {
    if format == Format::Json {
        let all: Vec<_> =
            checked.iter().flat_map(|file| report::json(&file.findings, &file.name, &file.text)).collect();
        serde_json::to_writer_pretty(&mut *out, &all)?;
        return writeln!(out);
    }
    if format == Format::Sarif {
        let files: Vec<_> = checked
            .iter()
            .map(|file| FileFindings { name: &file.name, text: &file.text, findings: &file.findings })
            .collect();
        serde_json::to_writer_pretty(&mut *out, &sarif::log(&files))?;
        return writeln!(out);
    }
    for file in checked {
        let text = match format {
            Format::Human => report::render(&file.findings, &file.name, &file.text, style),
            Format::Github => report::github(&file.findings, &file.name, &file.text),
            Format::Short | Format::Json | Format::Sarif => report::short(&file.findings, &file.name, &file.text),
        };
        out.write_all(text.as_bytes())?;
    }
    if format == Format::Human {
        write!(out, "{}{}", summary(checked), more(checked))?;
    }
    Ok(())
}

impl Checked {
    /// A file whose text was not read.
    fn unread(name: String, finding: Diagnostic) -> Self {
        Self { files: vec![FileReport { name, text: String::new(), findings: vec![finding] }], pipeline: None }
    }
}

/// Where to read on: the worst finding's code, once for all.
fn more(checked: &[&FileReport]) -> String {
    let findings = checked.iter().flat_map(|file| &file.findings);
    let worst = findings.min_by_key(|finding| finding.severity());
    worst.map(|finding| format!("`argon validate --explain {}` tells more\n", finding.code)).unwrap_or_default()
}

fn summary(checked: &[&FileReport]) -> String {
    let count = |severity| {
        checked.iter().flat_map(|file| &file.findings).filter(|finding| finding.severity() == severity).count()
    };
    let plural = |number: usize, word: &str| {
        if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
    };
    let found = match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => return checked.iter().map(|file| format!("{} is valid\n", file.name)).collect(),
        (0, warnings) => format!("valid, with {}", plural(warnings, "warning")),
        (errors, 0) => plural(errors, "error"),
        (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    };
    let touched = checked.iter().filter(|file| !file.findings.is_empty()).count();
    match checked.len() {
        1 => format!("{found}\n"),
        all => format!("{found}, in {touched} of {all} files\n"),
    }
}
