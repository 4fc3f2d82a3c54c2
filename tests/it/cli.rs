//! The command line as a person or a script meets it: what goes to standard output, to standard error, and the status.
#![allow(clippy::unwrap_used)]

mod validate;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const ARGON: &str = env!("CARGO_BIN_EXE_argon");

/// No command of this file works longer. One that waits for something fails its test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(20);

const PIPELINE: &str = "\
version: 1.0
name: demo
env:
  GREETING: hello
secrets: [TOKEN]
jobs:
  build:
    name: Build it
    image: python:3.10
    steps:
      - name: Compile
        run: make
      - run: |
          # what the name is taken from
          make install
  lint:
    image: busybox:1.36
    timeout: 10m
    steps:
      - name: Lint
        run: make lint
  test:
    image: python:3.10
    needs: [build, lint]
    steps:
      - name: Test
        run: make test
        env:
          GREETING: good day
        secrets: [TOKEN]
";

// --- A folder and a command in it -----------------------------------------------------------------------------------

/// A folder of its own, and an environment that has nothing of the developer's.
struct Sandbox {
    folder: TempDir,
    /// `PATH` of what runs in it.
    path: &'static str,
}

impl Sandbox {
    fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("argon-cli-").tempdir().unwrap();
        fs::create_dir(folder.path().join("repo")).unwrap();
        Self { folder, path: "/usr/bin:/bin" }
    }

    fn with_pipeline(text: &str) -> Self {
        let sandbox = Self::empty();
        sandbox.write(".runnerci.yml", text);
        sandbox
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.repo().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn argon(&self, arguments: &[&str]) -> Said {
        self.argon_with(arguments, &[])
    }

    fn argon_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let stdout = self.folder.path().join("stdout");
        let stderr = self.folder.path().join("stderr");
        let began = Instant::now();
        let mut child = Command::new(ARGON)
            .args(arguments)
            .current_dir(self.repo())
            .env_clear()
            .env("PATH", self.path)
            .env("HOME", self.folder.path())
            .env("LANG", "C.UTF-8")
            .env("COLUMNS", "80")
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("argon {} did not end within {PATIENCE:?}", arguments.join(" "));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Said {
            command: format!("argon {}", arguments.join(" ")),
            status: status.code(),
            took: began.elapsed(),
            stdout: self.normal(&fs::read(stdout).unwrap()),
            stderr: self.normal(&fs::read(stderr).unwrap()),
        }
    }

    /// Text with what differs from machine to machine taken out.
    fn normal(&self, bytes: &[u8]) -> String {
        let real = self.repo().canonicalize().unwrap();
        String::from_utf8_lossy(bytes)
            .replace(&*real.to_string_lossy(), "[REPO]")
            .replace(&*self.folder.path().to_string_lossy(), "[SANDBOX]")
            .replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
    }
}

/// What a command said.
struct Said {
    command: String,
    status: Option<i32>,
    took: Duration,
    stdout: String,
    stderr: String,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}", self.command.trim())?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "--- {name}\n{}", text.trim_end())?;
            }
        }
        write!(f, "--- status {}", self.status.map_or_else(|| "none".to_owned(), |code| code.to_string()))
    }
}

/// Several commands as one snapshot.
fn all(said: &[Said]) -> String {
    said.iter().map(Said::to_string).collect::<Vec<_>>().join("\n\n")
}

// --- Help -----------------------------------------------------------------------------------------------------------

const COMMANDS: [&str; 18] = [
    "secret",
    "artifacts",
    "run",
    "validate",
    "schema",
    "runs",
    "logs",
    "list",
    "graph",
    "listen",
    "trigger",
    "ui",
    "init",
    "lsp",
    "doctor",
    "clean",
    "completions",
    "man",
];

#[test]
fn help_of_everything() {
    let sandbox = Sandbox::empty();
    insta::assert_snapshot!("help", sandbox.argon(&["--help"]));
    for command in COMMANDS {
        insta::assert_snapshot!(format!("help_{command}"), sandbox.argon(&[command, "--help"]));
    }
}

#[test]
fn help_fits_eighty_columns() {
    let sandbox = Sandbox::empty();
    for command in COMMANDS {
        for line in sandbox.argon(&[command, "--help"]).stdout.lines() {
            assert!(line.chars().count() <= 80, "argon {command} --help: {line}");
        }
    }
}

#[test]
fn no_command_and_unknown_commands_and_options() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    let none = sandbox.argon(&[]);
    assert_eq!(none.status, Some(2));
    assert!(none.stderr.contains("Usage: argon"), "{none}");
    insta::assert_snapshot!(all(&[
        sandbox.argon(&["rum"]),
        sandbox.argon(&["run", "--dry-rum"]),
        sandbox.argon(&["run", "--only"]),
        sandbox.argon(&["run", "-q", "-v"]),
        sandbox.argon(&["list", "--format", "json"]),
    ]));
}

// --- Looking at a pipeline ------------------------------------------------------------------------------------------

#[test]
fn list_and_graph() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    insta::assert_snapshot!(all(&[
        sandbox.argon(&["list"]),
        sandbox.argon(&["list", "--json"]),
        sandbox.argon(&["graph"]),
        sandbox.argon(&["graph", "--format", "mermaid"]),
    ]));
}

#[test]
fn the_pipeline_of_the_nearest_folder_above_is_taken() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    fs::create_dir_all(sandbox.repo().join("deep/down")).unwrap();
    let above = sandbox.argon(&["list", "-f", "deep/../.runnerci.yml"]);
    assert_eq!((above.status, above.stdout), (Some(0), sandbox.argon(&["list"]).stdout));
}

#[test]
fn validate_good_and_bad() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    sandbox.write(
        "bad.yml",
        "version: 1.0\njobs:\n  build:\n    image: python:3.10\n    stepps:\n      - run: make\n    needs: tset\n",
    );
    insta::assert_snapshot!(all(&[
        sandbox.argon(&["validate"]),
        sandbox.argon(&["validate", "bad.yml"]),
        sandbox.argon(&["validate", "--format", "short", "bad.yml", ".runnerci.yml"]),
        sandbox.argon(&["run", "-f", "bad.yml"]),
    ]));
}

// --- Planning a run -------------------------------------------------------------------------------------------------

#[test]
fn a_dry_run_shows_the_plan_and_no_secret() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    let arguments = ["run", "--dry-run", "-e", "FROM_CLI=1", "-s", "TOKEN", "--image", "python:3.10=my/python"];
    let said = sandbox.argon_with(&arguments, &[("TOKEN", "hunter2")]);
    assert!(!said.to_string().contains("hunter2"), "{said}");
    insta::assert_snapshot!(said);
}

#[test]
fn what_is_included_is_found_told_and_printed() {
    let sandbox = Sandbox::empty();
    sandbox.write(".runnerci.yml", "include: ci/lint.yml\nenv: {A: top}\njobs:\n  test:\n    needs: lint\n    image: box:1\n    steps: [{run: make}]\n");
    sandbox.write(
        "ci/lint.yml",
        "env: {B: lint}\ndefaults: {image: 'lint:1', timeout: 90s}\njobs:\n  lint:\n    steps: [{run: lint}]\n",
    );
    insta::assert_snapshot!("include_printed", sandbox.argon(&["validate", "--print"]));
    // A circle joins each file once.
    sandbox.write(
        "ci/lint.yml",
        "include: [.runnerci.yml, ci/lint.yml]\njobs:\n  lint:\n    image: box:1\n    steps: [{run: lint}]\n",
    );
    assert!(sandbox.argon(&["validate"]).to_string().contains("is valid"));
    sandbox.write("ci/lint.yml", "name: x\njobs:\n  test:\n    image: box:1\n    steps: [{run: lint, tiemout: 1s}]\n");
    insta::assert_snapshot!("include_wrong", sandbox.argon(&["validate"]));
    insta::assert_snapshot!("include_wrong_run", sandbox.argon(&["run"]));
}

#[test]
fn files_that_git_ignores_are_told() {
    let sandbox = Sandbox::empty();
    let init = Command::new("git").args(["init", "-q"]).current_dir(sandbox.repo()).status().unwrap();
    assert!(init.success());
    sandbox.write(".gitignore", "local.env\n");
    sandbox.write("local.env", "A=1");
    sandbox.write("kept.env", "A=1");
    sandbox.write(
        ".runnerci.yml",
        "jobs:\n  a:\n    image: box:1\n    steps:\n      - run: |\n          cat kept.env\n          . ./local.env\n",
    );
    insta::assert_snapshot!("ignored_file", sandbox.argon(&["validate"]));
}

#[test]
fn what_a_job_asks_for_beyond_the_sandbox_is_refused_unless_it_is_allowed() {
    let sandbox = Sandbox::empty();
    let write = |security: &str| {
        let text = format!("jobs:\n  a: {{image: 'box:1', security: {security}, steps: [{{run: make}}]}}\n");
        sandbox.write(".runnerci.yml", &text);
    };
    let dry = |args: &[&str]| sandbox.argon(&[&["run", "--dry-run"], args].concat()).to_string();
    write("{capabilities: [SYS_PTRACE, NET_ADMIN]}");
    assert!(dry(&[]).contains("the job `a` asks for `SYS_PTRACE`"), "{}", dry(&[]));
    assert!(dry(&["--allow", "SYS_PTRACE"]).contains("asks for `NET_ADMIN`"));
    assert!(dry(&["--allow", "cap_sys_ptrace", "--allow", "NET_ADMIN"]).contains("status 0"));
    write("{privileged: true}");
    assert!(dry(&["--allow", "SYS_ADMIN"]).contains("argon run --allow privileged"));
    assert!(dry(&["--allow", "privileged"]).contains("status 0"));
    assert!(dry(&["--allow", "SYS_PTRAC"]).contains("did you mean `SYS_PTRACE`?"));
}

#[test]
fn a_dry_run_of_some_jobs() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    insta::assert_snapshot!(all(&[
        sandbox.argon(&["run", "--dry-run", "lint"]),
        sandbox.argon(&["run", "--dry-run", "--only", "test", "-s", "TOKEN=x"]),
    ]));
}

#[test]
fn wrong_usage_of_run() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    sandbox.write("open.env", "TOKEN=hunter2\n");
    fs::set_permissions(sandbox.repo().join("open.env"), fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.write("broken.env", "TOKEN=fine\nhunter2 is no pair\n");
    fs::set_permissions(sandbox.repo().join("broken.env"), fs::Permissions::from_mode(0o600)).unwrap();
    let said = all(&[
        sandbox.argon(&["run", "tset"]),
        sandbox.argon(&["run", "nothing-like-it"]),
        sandbox.argon(&["run", "--timeout", "10"]),
        sandbox.argon(&["run", "--grace", "5 parsecs"]),
        sandbox.argon(&["run", "-j", "0"]),
        sandbox.argon(&["run", "--image", "python"]),
        sandbox.argon(&["run", "--image", "ruby:3=my/ruby", "-s", "TOKEN=x"]),
        sandbox.argon(&["run", "-e", "2BAD=x"]),
        sandbox.argon(&["run", "-e", "NOT_SET"]),
        sandbox.argon(&["run", "-e", "ARGON_JOB=x"]),
        sandbox.argon(&["run", "-s", "TOKEN"]),
        sandbox.argon(&["run", "-s", "TOKEN="]),
        sandbox.argon(&["run"]),
        sandbox.argon(&["run", "--secret-file", "open.env"]),
        sandbox.argon(&["run", "--secret-file", "broken.env"]),
        sandbox.argon(&["run", "--secret-file", "missing.env"]),
        sandbox.argon(&["run", "--env-file", "missing.env"]),
        sandbox.argon(&["run", "-s", "TOKEN=x", "--commit", "--upload-pack=evil"]),
        sandbox.argon(&["run", "-s", "TOKEN=x", "--commit=--upload-pack=evil"]),
        sandbox.argon(&["run", "-s", "TOKEN=x", "--commit", "main"]),
        sandbox.argon(&["run", "-s", "TOKEN=x", "--repo", "ext::sh -c evil"]),
        sandbox.argon(&["run", "-s", "TOKEN=x", "--repo", "/nonexistent/repository"]),
    ]);
    assert!(!said.contains("hunter2"), "{said}");
    insta::assert_snapshot!(said);
}

// --- Pipeline files that are none -----------------------------------------------------------------------------------

/// The three commands that read the file differently.
fn refusals(sandbox: &Sandbox) -> String {
    all(&[sandbox.argon(&["run"]), sandbox.argon(&["list"]), sandbox.argon(&["validate"])])
}

#[test]
fn no_pipeline_file() {
    let sandbox = Sandbox::empty();
    let none = refusals(&sandbox);
    sandbox.write(".runnerci.yaml", PIPELINE);
    insta::assert_snapshot!(format!(
        "{none}\n\n{}\n\n{}",
        sandbox.argon(&["run"]),
        sandbox.argon(&["run", "-f", "ci.yml"])
    ));
}

#[test]
fn an_empty_pipeline_file() {
    insta::assert_snapshot!(refusals(&Sandbox::with_pipeline("")));
}

#[test]
fn a_folder_in_the_pipeline_files_place() {
    let sandbox = Sandbox::empty();
    fs::create_dir(sandbox.repo().join(".runnerci.yml")).unwrap();
    insta::assert_snapshot!(refusals(&sandbox));
}

#[test]
fn a_fifo_in_the_pipeline_files_place_does_not_hang() {
    let sandbox = Sandbox::empty();
    let fifo = sandbox.repo().join(".runnerci.yml");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    insta::assert_snapshot!(refusals(&sandbox));
}

#[test]
fn a_link_out_of_the_repository() {
    let sandbox = Sandbox::empty();
    fs::write(sandbox.folder.path().join("outside.yml"), PIPELINE).unwrap();
    symlink("../outside.yml", sandbox.repo().join(".runnerci.yml")).unwrap();
    insta::assert_snapshot!(refusals(&sandbox));
}

#[test]
fn a_link_inside_of_the_repository_is_followed() {
    let sandbox = Sandbox::empty();
    sandbox.write("inside.yml", PIPELINE);
    symlink("inside.yml", sandbox.repo().join(".runnerci.yml")).unwrap();
    assert_eq!(sandbox.argon(&["validate"]).status, Some(0));
}

#[test]
fn a_pipeline_file_that_is_not_utf8() {
    let sandbox = Sandbox::empty();
    fs::write(sandbox.repo().join(".runnerci.yml"), b"version: 1.0\nname: \xff\n").unwrap();
    insta::assert_snapshot!(refusals(&sandbox));
}

// --- No engine ------------------------------------------------------------------------------------------------------

#[test]
fn without_an_engine_commands_say_so_soon() {
    // Without git and ssh, whose versions differ from machine to machine.
    let sandbox = Sandbox { path: "/nonexistent", ..Sandbox::with_pipeline(PIPELINE) };
    let said = [
        sandbox.argon(&["run", "-s", "TOKEN=x"]),
        sandbox.argon(&["doctor"]),
        sandbox.argon(&["clean"]),
        sandbox.argon_with(&["clean"], &[("DOCKER_HOST", "/var/run/docker.sock")]),
        sandbox.argon_with(&["clean"], &[("DOCKER_HOST", "ssh://build@example.org")]),
        sandbox.argon_with(&["clean"], &[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "elsewhere")]),
    ];
    for one in &said {
        assert_eq!(one.status, Some(3), "{one}");
        assert!(one.took < Duration::from_secs(2), "{} took {:?}", one.command, one.took);
    }
    insta::assert_snapshot!(all(&said));
}

#[test]
fn an_engine_that_accepts_and_says_nothing_is_given_up() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    let socket = sandbox.folder.path().join("silent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let said = sandbox.argon_with(&["clean"], &[("DOCKER_HOST", &format!("unix://{}", socket.display()))]);
    assert_eq!(said.status, Some(3), "{said}");
    assert!(said.took < Duration::from_secs(3), "took {:?}", said.took);
    assert!(said.stderr.contains("connected, but no answer"), "{said}");
}

#[test]
fn an_invalid_pipeline_is_told_before_a_missing_engine() {
    let said = Sandbox::with_pipeline("jobs: 1\n").argon(&["run"]);
    assert_eq!(said.status, Some(2), "{said}");
}

// --- init -----------------------------------------------------------------------------------------------------------

#[test]
fn init_writes_a_valid_pipeline_for_each_kind_of_project() {
    for (kind, marks) in [
        ("cargo", &["Cargo.toml"][..]),
        ("npm", &["package.json"]),
        ("python", &["requirements.txt"]),
        ("go", &["go.mod"]),
        ("maven", &["pom.xml"]),
        ("several", &["Cargo.toml", "package.json"]),
        ("other", &[]),
    ] {
        let sandbox = Sandbox::empty();
        for mark in marks {
            sandbox.write(mark, "");
        }
        let said = sandbox.argon(&["init"]);
        let written = fs::read_to_string(sandbox.repo().join(".runnerci.yml")).unwrap_or_default();
        let validated = sandbox.argon(&["validate", "--strict"]);
        assert_eq!(validated.status, Some(0), "{validated}");
        insta::assert_snapshot!(format!("init_{kind}"), format!("{said}\n\n{written}"));
    }
}

#[test]
fn init_overwrites_only_when_told() {
    let sandbox = Sandbox::with_pipeline("# mine\n");
    let refused = sandbox.argon(&["init"]);
    assert_eq!(fs::read_to_string(sandbox.repo().join(".runnerci.yml")).unwrap(), "# mine\n");
    let forced = sandbox.argon(&["init", "--force"]);
    assert_ne!(fs::read_to_string(sandbox.repo().join(".runnerci.yml")).unwrap(), "# mine\n");
    let nowhere = sandbox.argon(&["init", "missing"]);
    insta::assert_snapshot!(all(&[refused, forced, nowhere]));
}

// --- Generated files ------------------------------------------------------------------------------------------------

/// The files below `completions/`, and the commands that print them.
fn generated() -> Vec<(String, Vec<&'static str>)> {
    let shells = [
        ("argon.bash", "bash"),
        ("_argon", "zsh"),
        ("argon.fish", "fish"),
        ("argon.elv", "elvish"),
        ("argon.ps1", "powershell"),
    ];
    let mut files: Vec<_> =
        shells.into_iter().map(|(file, shell)| (file.to_owned(), vec!["completions", shell])).collect();
    files.push(("man/argon.1".to_owned(), vec!["man"]));
    files.extend(COMMANDS.map(|command| (format!("man/argon-{command}.1"), vec!["man", command])));
    files
}

#[test]
fn completions_and_manual_pages_are_up_to_date() {
    let sandbox = Sandbox::empty();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    for (file, arguments) in generated() {
        let kept =
            fs::read_to_string(folder.join(&file)).unwrap_or_default().replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
        let said = sandbox.argon(&arguments);
        assert_eq!(said.status, Some(0), "{said}");
        assert!(kept == said.stdout, "completions/{file} is stale: run `make completions` and commit what it writes");
    }
}

#[test]
fn every_command_has_help_and_a_manual_page() {
    let help = Sandbox::empty().argon(&["--help"]).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut listed: Vec<&str> = listed
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    let mut known = COMMANDS.to_vec();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known, "COMMANDS of this file, and `make completions`, must name them all");
}

#[test]
fn man_of_an_unknown_command() {
    let sandbox = Sandbox::empty();
    insta::assert_snapshot!(all(&[sandbox.argon(&["man", "lst"]), sandbox.argon(&["completions", "tcsh"])]));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    let mut child = Command::new(ARGON)
        .args(["completions", "bash"])
        .current_dir(sandbox.repo())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned()), (Some(0), String::new()));
}
