//! `-e`, `--env-file`, `-s` and `--secret-file`: variables and secrets from the command line.

use std::path::{Path, PathBuf};

use argon::plan::{LARGEST_SECRET, Secret};
use argon::sinks::summary::quote;
use clap::Args;

use super::exit::CommandError;

/// Variables and secrets of a run.
#[derive(Debug, Args)]
pub(crate) struct VariableArgs {
    /// Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment
    #[arg(short = 'e', long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Reads environment variables from a file of NAME=VALUE lines
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output
    #[arg(short = 's', long = "secret", value_name = "NAME[=VALUE]")]
    secret: Vec<String>,
    /// Reads secrets from a file of NAME=VALUE lines, which only you may be able to read
    #[arg(long, value_name = "FILE")]
    secret_file: Vec<PathBuf>,
}

impl VariableArgs {
    /// The variables: files first, then single ones, a later one over an earlier.
    pub(crate) fn env(&self) -> Result<Vec<(String, String)>, CommandError> {
        let mut all = Vec::new();
        for file in &self.env_file {
            all.extend(read_pairs(file)?);
        }
        for text in &self.env {
            all.push(pair(text, "-e")?);
        }
        for (name, _) in &all {
            if name.starts_with("ARGON_") {
                let hint = "variables that begin with ARGON_ are set by Argon: choose another name";
                return Err(CommandError::usage(format!("`{name}` cannot be set"), hint));
            }
        }
        Ok(all)
    }

    /// The options that give the same again; of secrets the names alone, as the words are shown.
    pub(crate) fn rerun(&self) -> Vec<String> {
        let files = |option: &str, files: &[PathBuf]| {
            files.iter().map(|file| format!("{option} {}", quote(&file.display().to_string()))).collect::<Vec<_>>()
        };
        let mut words = files("--env-file", &self.env_file);
        words.extend(self.env.iter().map(|text| format!("-e {}", quote(text))));
        words.extend(files("--secret-file", &self.secret_file));
        let name = |text: &str| text.split_once('=').map_or(text, |(name, _)| name).to_owned();
        words.extend(self.secret.iter().map(|text| format!("-s {}", name(text))));
        words
    }

    /// The secrets.
    pub(crate) fn secrets(&self) -> Result<Vec<Secret>, CommandError> {
        let mut all = Vec::new();
        for file in &self.secret_file {
            refuse_readable_by_others(file)?;
            let pairs = read_pairs(file)?;
            refuse_large(&pairs, &file.display().to_string())?;
            all.extend(pairs);
        }
        for text in &self.secret {
            let given = [pair(text, "-s")?];
            let from = if text.contains('=') { "-s" } else { "-s, from the environment" };
            refuse_large(&given, from)?;
            all.extend(given);
        }
        if let Some((name, _)) = all.iter().find(|(_, value)| value.is_empty()) {
            return Err(CommandError::usage(
                format!("the secret `{name}` is empty"),
                "give it a value, or leave it out",
            ));
        }
        // The last one of a name wins, as with variables.
        let mut secrets: Vec<Secret> = Vec::new();
        for (name, value) in all {
            secrets.retain(|secret| secret.name != name);
            secrets.push(Secret::new(&name, value));
        }
        Ok(secrets)
    }
}

fn refuse_large(pairs: &[(String, String)], from: &str) -> Result<(), CommandError> {
    match pairs.iter().find(|(_, value)| value.len() > LARGEST_SECRET) {
        Some((name, value)) => Err(too_large(name, value.len(), from)),
        None => Ok(()),
    }
}

/// A secret that is larger than one may be.
pub(super) fn too_large(name: &str, bytes: usize, from: &str) -> CommandError {
    CommandError::usage(
        format!("the secret `{name}` ({from}) has {bytes} bytes, and may have {LARGEST_SECRET}"),
        "keep what is larger in an encrypted file of the repository, and its key as the secret",
    )
}

fn pair(text: &str, option: &str) -> Result<(String, String), CommandError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    check_name(name, option)?;
    match value.map_or_else(|| std::env::var(name), Ok) {
        Ok(value) if !value.contains('\0') => Ok((name.to_owned(), value)),
        Ok(_) => {
            Err(CommandError::usage(format!("the value of `{name}` holds a NUL byte"), "no environment variable can"))
        }
        Err(_) => Err(CommandError::usage(
            format!("`{option} {name}` takes the value from the environment, and `{name}` is not set there"),
            format!("set it, or write `{option} {name}=VALUE`"),
        )),
    }
}

pub(super) fn check_name(name: &str, place: &str) -> Result<(), CommandError> {
    let mut chars = name.chars();
    let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good {
        return Ok(());
    }
    Err(CommandError::usage(
        format!("`{name}` ({place}) is not a name for an environment variable"),
        "names are letters, digits and underscores, and do not begin with a digit",
    ))
}

fn read_pairs(file: &Path) -> Result<Vec<(String, String)>, CommandError> {
    let shown = file.display();
    let entries = dotenvy::from_path_iter(file).map_err(|error| {
        CommandError::usage(format!("cannot read {shown}: {error}"), "check the path and its permissions")
    })?;
    let mut pairs = Vec::new();
    for entry in entries {
        let (name, value) = entry.map_err(|error| {
            // The parser's own words would repeat the line, which may hold a secret.
            let line = match error {
                dotenvy::Error::LineParse(_, at) => format!(" (near byte {at} of a line)"),
                _ => String::new(),
            };
            CommandError::usage(
                format!("{shown} has a line that is not NAME=VALUE{line}"),
                "quote values that hold spaces or `#`",
            )
        })?;
        check_name(&name, &shown.to_string())?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Refuses a file with secrets that others can read.
#[cfg(unix)]
pub(crate) fn refuse_readable_by_others(file: &Path) -> Result<(), CommandError> {
    use std::os::unix::fs::PermissionsExt;
    let shown = file.display();
    let meta = std::fs::metadata(file).map_err(|error| {
        CommandError::usage(format!("cannot read {shown}: {error}"), "check the path and its permissions")
    })?;
    if meta.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(CommandError::usage(
        format!("{shown} can be read by others, and holds secrets"),
        format!("`chmod 600 {shown}`"),
    ))
}

/// Refuses nothing: there are no modes here.
#[cfg(not(unix))]
pub(crate) fn refuse_readable_by_others(_: &Path) -> Result<(), CommandError> {
    Ok(())
}
