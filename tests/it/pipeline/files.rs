//! Files that are none, and `validate` over files.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::PLAIN;
use super::validate::{Format, ValidateArgs, run};
use argon::repository::{self, FileError};

const GOOD: &str = include_str!("../../../fixtures/pipelines/valid/sample.yml");

fn read(path: &Path, root: &Path) -> Result<String, String> {
    repository::read(path, root).map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|error| {
        assert!(!error.hint().is_empty());
        let text = error.to_string();
        text.replace(&root.canonicalize().unwrap().display().to_string(), "ROOT")
            .replace(&root.display().to_string(), "ROOT")
    })
}

#[test]
fn hostile_files_are_refused_and_a_fifo_does_not_block() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "x: y").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let at = |name: &str| root.join(name);
    std::fs::write(at("good.yml"), GOOD).unwrap();
    symlink("good.yml", at("inside.yml")).unwrap();
    symlink(outside.path().join("secret"), at("link.yml")).unwrap();
    symlink("nowhere", at("dangling.yml")).unwrap();
    symlink("loop.yml", at("loop.yml")).unwrap();
    std::fs::write(at("big.yml"), vec![b'#'; argon::pipeline::MAX_BYTES + 1]).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(at("fifo.yml")).status().unwrap();
    assert!(fifo.success());

    assert_eq!(read(&at("good.yml"), root).unwrap(), GOOD);
    assert_eq!(read(&at("inside.yml"), root).unwrap(), GOOD);
    assert_eq!(read(root, root).unwrap_err(), "`ROOT` is a folder, not a file");
    assert_eq!(read(&at("fifo.yml"), root).unwrap_err(), "`ROOT/fifo.yml` is a FIFO, not a file");
    assert_eq!(read(&at("dangling.yml"), root).unwrap_err(), "there is no file `ROOT/dangling.yml`");
    assert_eq!(read(&at("loop.yml"), root).unwrap_err(), "cannot read `ROOT/loop.yml`");
    assert!(matches!(repository::read(&at("link.yml"), root), Err(FileError::LeavesRepository { .. })));
    assert!(matches!(repository::read(&at("big.yml"), root), Err(FileError::TooLarge { .. })));
    let device = repository::read(Path::new("/dev/zero"), Path::new("/"));
    assert!(matches!(device, Err(FileError::NotAFile { kind: "a device", .. })));
}

#[test]
fn the_nearest_file_above_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join(".runnerci.yaml"), GOOD).unwrap();
    let error = repository::find(&deep).unwrap_err();
    assert!(error.to_string().contains("there is no `.runnerci.yml` in"), "{error}");
    assert!(error.hint().starts_with("rename `"), "{}", error.hint());
    let here = repository::find(folder.path()).unwrap_err();
    assert!(here.hint().contains("argon init"));
    std::fs::write(folder.path().join("a/.runnerci.yml"), GOOD).unwrap();
    assert_eq!(repository::find(&deep).unwrap(), folder.path().join("a/.runnerci.yml"));
}

fn validate(files: &[&str], format: Format, strict: bool, input: &str) -> (u8, String) {
    let files = files.iter().map(Into::into).collect();
    let args =
        ValidateArgs { files, stdin_path: Some("typed.yml".into()), format, strict, print: false, explain: None };
    let mut out = Vec::new();
    let code = run(&args, PLAIN, &mut input.as_bytes(), &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn validate_exits_with_2_for_errors_and_with_strict_for_warnings() {
    let unpinned = GOOD.replace(":3.10", "");
    assert_eq!(validate(&["-"], Format::Human, false, GOOD), (0, "typed.yml is valid\n".to_owned()));
    assert_eq!(validate(&["-"], Format::Json, true, GOOD), (0, "[]\n".to_owned()));
    assert_eq!(validate(&["-"], Format::Short, false, &unpinned).0, 0);
    assert_eq!(validate(&["-"], Format::Short, true, &unpinned).0, 2);
    assert_eq!(validate(&["-"], Format::Short, false, "jobs: 1").0, 2);
    let missing = validate(&["-", "/nonexistent/x.yml"], Format::Short, false, GOOD);
    assert_eq!(missing, (2, "/nonexistent/x.yml:1:1: error: there is no file `/nonexistent/x.yml`\n".to_owned()));
}
