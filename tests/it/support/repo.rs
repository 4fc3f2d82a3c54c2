//! A scratch git repository with a pipeline in it, and a home of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Argon;

/// A repository that is gone after the test.
pub(crate) struct Repo {
    scratch: TempDir,
}

/// What is kept on the engine for later runs goes with the home that notes it.
impl Drop for Repo {
    fn drop(&mut self) {
        let cache = self.home().join("cache/argon");
        let has_notes =
            |folder: &str| std::fs::read_dir(cache.join(folder)).is_ok_and(|mut entries| entries.next().is_some());
        // Where the test fails, or its engine is gone, there is nobody to tell.
        if has_notes("bases") || has_notes("caches") {
            let mut clean = Command::new(env!("CARGO_BIN_EXE_argon"));
            let home = self.home();
            let _ = clean
                .args(["clean", "--workspaces", "--cache"])
                .env("HOME", &home)
                .env("XDG_STATE_HOME", home.join("state"))
                .env("XDG_CACHE_HOME", home.join("cache"))
                .output();
        }
    }
}

impl Repo {
    /// A repository whose `.runnerci.yml` is this text; the indentation that all its lines share is taken off.
    pub(crate) fn new(pipeline: &str) -> Self {
        let repo = Self { scratch: tempfile::Builder::new().prefix("argon-it-").tempdir().unwrap() };
        std::fs::create_dir_all(repo.path()).unwrap();
        std::fs::create_dir_all(repo.home()).unwrap();
        repo.git(&["init", "-q", "-b", "main"]);
        repo.file(".runnerci.yml", dedent(pipeline))
    }

    /// A pipeline of one job, `job`, in this image, with one step, `step`, that runs this script.
    pub(crate) fn script(image: &str, script: &str) -> Self {
        Self::jobs(json!({"job": {"image": image, "steps": [{"name": "step", "run": script}]}}))
    }

    /// A pipeline of these jobs: JSON is YAML, and can hold any text.
    #[allow(clippy::needless_pass_by_value, reason = "a `json!` at the call reads best")]
    pub(crate) fn jobs(jobs: Value) -> Self {
        Self::new(&json!({"version": 1, "jobs": jobs}).to_string())
    }

    /// Adds a file.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Commits all there is.
    pub(crate) fn commit(self) -> Self {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "all"]);
        self
    }

    /// Runs git in the repository; gives what it printed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=it", "-c", "user.email=it@localhost"])
            .args(args)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The repository's folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.scratch.path().join("repo")
    }

    /// The user's home.
    pub(crate) fn home(&self) -> PathBuf {
        self.scratch.path().join("home")
    }

    /// The files of the user's home (state, cache, configuration) that hold these bytes.
    pub(crate) fn home_holds(&self, what: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.home()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else if memchr::memmem::find(&std::fs::read(entry.path()).unwrap(), what).is_some() {
                    found.push(entry.path().display().to_string());
                }
            }
        }
        found
    }

    /// Beside the repository: for reports.
    pub(crate) fn beside(&self) -> &Path {
        self.scratch.path()
    }

    /// `argon ARGS` in the repository.
    pub(crate) fn argon(&self, args: &[&str]) -> Argon {
        Argon::new(&self.path(), &self.home(), args)
    }

    /// `argon run --output json ARGS`.
    pub(crate) fn json(&self, args: &[&str]) -> Argon {
        self.argon(&["run", "--output", "json"]).args(args)
    }

    /// `argon run ARGS`, plain.
    pub(crate) fn plain(&self, args: &[&str]) -> Argon {
        self.argon(&["run", "--output", "plain"]).args(args)
    }
}

fn dedent(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let shared = text.lines().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    text.lines().flat_map(|line| [line.get(shared..).unwrap_or(""), "\n"]).collect()
}
