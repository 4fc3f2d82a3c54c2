//! The documents against what they tell of: links lead somewhere, and no command or option is left out.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(top().join(name)).unwrap()
}

/// `README.md` and its like, and all of `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [top().to_owned(), top().join("docs")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    found
}

/// Where a document's links lead, on this machine.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .map(|target| target.split('#').next().unwrap())
        .collect()
}

fn help(arguments: &[&str]) -> String {
    let said = Command::new(env!("CARGO_BIN_EXE_argon")).args(arguments).arg("--help").env_clear().output().unwrap();
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn links_lead_to_files_that_are_there() {
    let mut seen = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            let target = document.parent().unwrap().join(link);
            assert!(target.exists(), "{}: nothing is at {link}", document.display());
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} links were looked at");
}

#[test]
fn the_readme_names_every_command() {
    let readme = read("README.md");
    let help = help(&[]);
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 5, "{help}");
    for command in commands {
        assert!(readme.contains(&format!("`argon {command}")), "README.md does not name `argon {command}`");
    }
}

#[test]
fn the_page_of_run_names_every_option() {
    let page = read("docs/run.md");
    let help = help(&["run"]);
    let options: Vec<&str> = help.lines().map(str::trim).filter(|line| line.starts_with('-')).collect();
    assert!(options.len() > 15, "{help}");
    for option in options {
        let names = option.split([' ', ',']).filter(|word| word.starts_with('-') && *word != "--help" && *word != "-h");
        let names: Vec<&str> = names.collect();
        let is_named = |name: &&str| page.contains(&format!("`{name}")) || page.contains(&format!(" {name} "));
        assert!(names.is_empty() || names.iter().any(is_named), "docs/run.md does not name `{option}`");
    }
}

#[test]
fn the_exit_codes_are_the_same_everywhere() {
    let table = |text: &str| -> Vec<u8> {
        let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok());
        cells.collect()
    };
    let helped: Vec<u8> = help(&[])
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    assert_eq!(helped, [0, 1, 2, 3, 130]);
    assert_eq!(table(&read("README.md")), helped);
    assert_eq!(table(&read("docs/exit-codes.md")), helped);
}
