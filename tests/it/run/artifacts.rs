//! Artifacts: out of a job, into those that need it, to the user; and what a hostile container cannot do with them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use argon::artifact::{Artifact, Depot, Limits, Refused, unpack};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::support::{BUSYBOX, NONROOT, NOSETSID, Repo};

#[test]
fn an_artifact_goes_to_the_jobs_that_need_it_and_to_the_user() {
    for image in [BUSYBOX, NONROOT, NOSETSID] {
        let make = "mkdir -p dist/sub; echo one > dist/one.txt; echo two > dist/sub/two.txt; printf '#!/bin/sh\\necho ran\\n' > dist/tool; \
            chmod 755 dist/tool; ln -s one.txt dist/link; echo no > dist/no.log; echo top > top.txt";
        let repo = Repo::jobs(json!({
            "build": {"image": image, "artifacts": [{"name": "packages", "paths": ["dist/**", "!**/*.log"]}, {"paths": "*.txt"}],
                "steps": [{"run": make}]},
            "use": {"image": image, "needs": "build", "steps": [
                {"run": "cat dist/one.txt dist/sub/two.txt dist/link top.txt; dist/tool; test ! -e dist/no.log; echo more >> dist/one.txt"}]},
            "other": {"image": image, "steps": [{"run": "test ! -e dist"}]},
        }));
        let ran = repo.json(&[]).run();
        ran.exits(0);
        assert_eq!(ran.said("use", 1), "one\ntwo\none\ntop\nran\n", "{image}");
        let kept = ran.all("artifact");
        assert_eq!((&kept[0]["name"], &kept[0]["files"]), (&json!("packages"), &json!(4)), "{kept:?}");
        assert_eq!((&kept[1]["name"], &kept[1]["files"]), (&json!("build"), &json!(1)));
        repo.argon(&["artifacts"]).without_engine().exits(0).says("packages").says("4 files");
        repo.argon(&["artifacts", "--get", "packages", "-o", "out"]).without_engine().exits(0);
        let out = repo.path().join("out/dist");
        assert_eq!(fs::read_to_string(out.join("sub/two.txt")).unwrap(), "two\n");
        assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new("one.txt"));
        let tool = fs::metadata(out.join("tool")).unwrap();
        assert_eq!((tool.permissions().mode() & 0o777, tool.uid()), (0o755, rustix::process::getuid().as_raw()));
        // Again, over what is there.
        repo.argon(&["artifacts", "--all", "-o", "out"]).without_engine().exits(0);
        assert!(repo.path().join("out/packages/dist/one.txt").exists());
        repo.argon(&["artifacts", "--get", "package"]).without_engine().exits(2).says("did you mean `packages`?");
        let list = repo.argon(&["artifacts", "--json"]).without_engine();
        let list: Vec<Value> = serde_json::from_slice(&list.stdout).unwrap();
        assert_eq!(list.len(), 2);
    }
}

#[test]
fn artifacts_are_kept_when_they_say_so_and_nothing_to_keep_is_told() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": "echo x > x; exit 3"}], "artifacts": [
        {"name": "on-success", "paths": "x"}, {"name": "on-failure", "paths": "x", "when": "failure"},
        {"name": "always", "paths": "x", "when": "always", "expire": "1s"}, {"name": "none", "paths": "y/**", "when": "always"}]}}));
    let ran = repo.json(&[]).run();
    ran.exits(1).says("artifact none: no file matches y/**");
    let names: Vec<Value> = ran.all("artifact").iter().map(|artifact| artifact["name"].clone()).collect();
    assert_eq!(names, ["on-failure", "always"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    repo.argon(&["artifacts"]).without_engine().exits(0).says("on-failure").never_says("always");
}

/// A root that was not there once began the whole artifact anew, and told that by the digits `404` in a message.
#[test]
fn a_root_that_is_missing_keeps_nothing_from_the_others() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": "mkdir dist; echo x > dist/404"}],
        "artifacts": {"paths": ["absent/**", "dist/**", "reports/**", "z/404.txt"]}}}));
    let ran = repo.json(&[]).run();
    ran.exits(0).never_says("no file matches");
    assert_eq!(ran.all("artifact")[0]["files"], 1);
    repo.argon(&["artifacts", "--get", "job", "-o", "out"]).without_engine().exits(0);
    assert_eq!(fs::read_to_string(repo.path().join("out/dist/404")).unwrap(), "x\n");
}

#[test]
fn an_artifact_that_leads_out_fails_its_job_and_is_not_kept() {
    for (script, why) in [
        ("mkdir d; ln -s /etc/passwd d/x", "is a symlink that leads out of the artifact"),
        ("mkdir d; ln -s ../../x d/x", "is a symlink that leads out of the artifact"),
        ("mkdir d; mkfifo d/x", "is a device, a pipe or something else"),
    ] {
        let repo =
            Repo::jobs(json!({"job": {"image": BUSYBOX, "artifacts": {"paths": "d/**"}, "steps": [{"run": script}]}}));
        let ran = repo.plain(&[]).run();
        ran.exits(1).says("the artifact job cannot be kept").says(why);
        repo.argon(&["artifacts"]).without_engine().exits(0).says("kept no artifacts");
    }
}

/// A hand-made entry of an archive.
fn entry(tar: &mut Builder<Vec<u8>>, kind: EntryType, name: &[u8], link: &[u8], data: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    header.set_mode(0o4755);
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name);
    old.linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    tar.append(&header, data).unwrap();
}

fn pax(tar: &mut Builder<Vec<u8>>, key: &str, value: &str) {
    let length = key.len() + value.len() + 3;
    let record = format!("{} {key}={value}\n", length + (length + 2).to_string().len());
    entry(tar, EntryType::XHeader, b"pax", b"", record.as_bytes());
}

fn taken(make: impl FnOnce(&mut Builder<Vec<u8>>), limits: Limits) -> Result<(tempfile::TempDir, Artifact), String> {
    let mut tar = Builder::new(Vec::new());
    make(&mut tar);
    let folder = tempfile::tempdir().unwrap();
    let mut begun = Depot::new(folder.path()).begin("job", "name", limits).unwrap();
    let bytes = tar.into_inner().unwrap();
    begun
        .intake
        .take(bytes.as_slice(), "", &|path| !path.starts_with("unwanted"))
        .map_err(|error: Refused| error.to_string())?;
    let artifact = begun.keep(None).unwrap().ok_or("nothing")?;
    Ok((folder, artifact))
}

/// FAULTS 38.
#[test]
fn an_archive_that_would_write_outside_is_refused_whole() {
    use EntryType as T;
    let refused = |why: &str, make: &dyn Fn(&mut Builder<Vec<u8>>)| {
        let said = taken(
            |tar| {
                entry(tar, T::Regular, b"good", b"", b"x");
                make(tar);
            },
            Limits::default(),
        );
        let said = said.map(|_| ()).expect_err(why);
        assert!(said.contains(why), "{said}, not {why}");
    };
    refused("leads out", &|tar| entry(tar, T::Regular, b"../x", b"", b"x"));
    refused("leads out", &|tar| entry(tar, T::Regular, b"a/../../x", b"", b"x"));
    refused("leads out", &|tar| entry(tar, T::Regular, b"/etc/x", b"", b"x"));
    refused("leads out", &|tar| entry(tar, T::Directory, b"..", b"", b""));
    refused("symlink that leads out", &|tar| entry(tar, T::Symlink, b"x", b"/etc", b""));
    refused("symlink that leads out", &|tar| entry(tar, T::Symlink, b"a/x", b"../../etc", b""));
    refused("symlink that leads out", &|tar| entry(tar, T::Symlink, b"x", b"", b""));
    refused("not in the artifact", &|tar| entry(tar, T::Link, b"x", b"/etc/passwd", b""));
    refused("not in the artifact", &|tar| entry(tar, T::Link, b"x", b"../good", b""));
    for kind in [T::Char, T::Block, T::Fifo] {
        refused("device, a pipe", &|tar| entry(tar, kind, b"x", b"", b""));
    }
    refused("comes twice", &|tar| entry(tar, T::Regular, b"good", b"", b"y"));
    refused("comes twice", &|tar| entry(tar, T::Directory, b"./good", b"", b""));
    refused("below something", &|tar| entry(tar, T::Regular, b"good/x", b"", b"y"));
    refused("below something", &|tar| {
        entry(tar, T::Symlink, b"link", b".", b"");
        entry(tar, T::Regular, b"link/x", b"", b"y");
    });
    refused("two names that differ", &|tar| {
        pax(tar, "path", "b");
        entry(tar, T::Regular, b"a", b"", b"y");
    });
    refused("leads out", &|tar| {
        pax(tar, "path", "../b");
        entry(tar, T::Regular, b"a", b"", b"y");
    });
    refused("two sizes that differ", &|tar| {
        pax(tar, "size", "0");
        entry(tar, T::Regular, b"a", b"", b"yy");
    });
    let few = Limits { entries: 2, bytes: 10 };
    let many =
        |tar: &mut Builder<Vec<u8>>| (0..3).for_each(|n| entry(tar, T::Regular, format!("{n}").as_bytes(), b"", b""));
    assert!(taken(many, few).unwrap_err().contains("more than 2 entries"));
    assert!(taken(|tar| entry(tar, T::Regular, b"x", b"", &[0; 11]), few).unwrap_err().contains("more than 10 bytes"));
    // What nobody wants is nobody's trouble, but a path that leads out always is.
    let (folder, artifact) = taken(
        |tar| {
            entry(tar, T::Fifo, b"unwanted/pipe", b"", b"");
            entry(tar, T::Regular, b"good", b"", b"x");
            entry(tar, T::Link, b"same", b"good", b"");
            entry(tar, T::Symlink, b"a/up", b"../good", b"");
        },
        Limits::default(),
    )
    .unwrap();
    let out = folder.path().join("out");
    unpack(fs::File::open(Depot::new(folder.path()).tar(&artifact)).unwrap(), &out).unwrap();
    assert_eq!(fs::read(out.join("a/up")).unwrap(), b"x");
    assert_eq!(fs::read(out.join("same")).unwrap(), b"x");
    assert_eq!(fs::metadata(out.join("good")).unwrap().permissions().mode() & 0o7777, 0o755, "no setuid");
}

/// The negative control: a plain unpacker writes outside with such an archive.
#[test]
fn what_is_kept_is_not_believed_when_it_is_unpacked_either() {
    use EntryType as T;
    let beside = tempfile::tempdir().unwrap();
    let target = beside.path().join("target");
    let hostile = |make: &dyn Fn(&mut Builder<Vec<u8>>)| {
        let mut tar = Builder::new(Vec::new());
        make(&mut tar);
        tar.into_inner().unwrap()
    };
    let through = hostile(&|tar| {
        entry(tar, T::Symlink, b"link", b"..", b"");
        entry(tar, T::Regular, b"link/owned", b"", b"x");
    });
    for bytes in [
        through,
        hostile(&|tar| entry(tar, T::Regular, b"../owned", b"", b"x")),
        hostile(&|tar| entry(tar, T::Symlink, b"x", b"/etc", b"")),
        hostile(&|tar| entry(tar, T::Fifo, b"x", b"", b"")),
    ] {
        assert!(unpack(bytes.as_slice(), &target).is_err());
        assert!(!beside.path().join("owned").exists());
        let _ = fs::remove_dir_all(&target);
    }
    // A link that somebody laid into the folder before.
    fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink(beside.path(), target.join("link")).unwrap();
    let plain = hostile(&|tar| entry(tar, T::Regular, b"link/owned", b"", b"x"));
    assert!(unpack(plain.as_slice(), &target).is_err());
    assert!(!beside.path().join("owned").exists());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&plain).unwrap();
    let unpacked =
        std::process::Command::new("tar").arg("-xf").arg(file.path()).arg("-C").arg(&target).status().unwrap();
    assert!(unpacked.success() && beside.path().join("owned").exists(), "the control");
}
