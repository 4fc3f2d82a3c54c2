//! Archives that a hostile container may hand out, made by hand: what is refused, and what would happen if it were not.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use argon::artifact::{Artifact, Depot, Limits, Refused, unpack};
use tar::{Archive, Builder, EntryType as T, Header};

/// A hand-made entry of an archive.
fn entry(tar: &mut Builder<Vec<u8>>, kind: T, name: &[u8], link: &[u8], data: &[u8]) {
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

fn pax(tar: &mut Builder<Vec<u8>>, kind: T, records: &[(&str, &str)]) {
    let record = |(key, value): &(&str, &str)| {
        let length = key.len() + value.len() + 3;
        format!("{} {key}={value}\n", length + (length + 2).to_string().len())
    };
    let text: String = records.iter().map(record).collect();
    entry(tar, kind, b"pax", b"", text.as_bytes());
}

fn archive(make: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    make(&mut tar);
    tar.into_inner().unwrap()
}

fn taken(bytes: &[u8], limits: Limits) -> Result<(tempfile::TempDir, Artifact), String> {
    let folder = tempfile::tempdir().unwrap();
    let mut begun = Depot::new(folder.path()).begin("job", "name", limits).unwrap();
    begun.intake.take(bytes, "", &|path| !path.starts_with("unwanted")).map_err(|error: Refused| error.to_string())?;
    let artifact = begun.keep(None).map_err(|error| error.to_string())?.ok_or("nothing")?;
    Ok((folder, artifact))
}

fn refused(why: &str, make: impl FnOnce(&mut Builder<Vec<u8>>)) {
    let bytes = archive(|tar| {
        entry(tar, T::Regular, b"good", b"", b"x");
        make(tar);
    });
    let said = taken(&bytes, Limits::default()).map(|_| ()).expect_err(why);
    assert!(said.contains(why), "{said}, not {why}");
}

/// The control: a reader that believes all that an archive says, names that lead out included.
fn believed(bytes: &[u8], folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.with_extension("tar"), bytes).unwrap();
    let tar = Command::new("tar").arg("-xPf").arg(folder.with_extension("tar")).arg("-C").arg(folder).output().unwrap();
    assert!(tar.status.success(), "{tar:?}");
}

/// What `tar -t` says an archive holds.
fn listed(bytes: &[u8], how: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tar");
    fs::write(&file, bytes).unwrap();
    String::from_utf8(Command::new("tar").arg(how).arg(file).output().unwrap().stdout).unwrap()
}

/// FAULTS 38.
#[test]
fn a_path_that_leads_out_is_refused_and_a_reader_that_believes_it_writes_there() {
    let beside = tempfile::tempdir().unwrap();
    let (out, owned) = (beside.path().join("out"), beside.path().join("owned"));
    let absolute = owned.to_str().unwrap().as_bytes().to_vec();
    for name in [b"../owned".to_vec(), b"a/../../owned".to_vec(), absolute] {
        let one = |tar: &mut Builder<Vec<u8>>| entry(tar, T::Regular, &name, b"", b"x");
        refused("leads out", one);
        assert!(unpack(archive(one).as_slice(), &out, None).is_err() && !owned.exists());
        fs::create_dir_all(out.join("a")).unwrap();
        believed(&archive(one), &out);
        assert!(owned.exists(), "the control");
        fs::remove_file(&owned).unwrap();
    }
    refused("leads out", |tar| entry(tar, T::Directory, b"..", b"", b""));
    refused("leads out", |tar| {
        pax(tar, T::XHeader, &[("path", "../b")]);
        entry(tar, T::Regular, b"b", b"", b"y");
    });
}

/// A symlink is judged by where it lies, and what its words pass through is not known by them: `..` behind a name is where the
/// name leads. Once that was counted by the words.
#[test]
fn a_chain_of_symlinks_that_leads_out_is_refused_and_a_reader_that_believes_it_follows_it_out() {
    let beside = tempfile::tempdir().unwrap();
    fs::write(beside.path().join("secret"), "of the host").unwrap();
    let chain = |tar: &mut Builder<Vec<u8>>| {
        entry(tar, T::Symlink, b"d/e/up", b"../..", b"");
        entry(tar, T::Symlink, b"x", b"d/e/up/../secret", b"");
    };
    let rest = |tar: &mut Builder<Vec<u8>>| entry(tar, T::Symlink, b"a/x", b"../b/./../../secret", b"");
    let moved = |tar: &mut Builder<Vec<u8>>| {
        entry(tar, T::Symlink, b"d/deep", b"../secret", b"");
        entry(tar, T::Link, b"x", b"d/deep", b"");
    };
    let folder_becomes_link = |tar: &mut Builder<Vec<u8>>| {
        entry(tar, T::Symlink, b"d/e/x", b"../../secret", b"");
        entry(tar, T::Symlink, b"d/e", b"..", b"");
    };
    refused("`..` behind a name", chain);
    refused("`..` behind a name", rest);
    refused("symlink that leads out", moved);
    refused("comes twice", folder_becomes_link);
    for (n, (bytes, link)) in [(archive(chain), "x"), (archive(moved), "x")].into_iter().enumerate() {
        let (own, theirs) = (beside.path().join(format!("own{n}")), beside.path().join(format!("theirs{n}")));
        assert!(unpack(bytes.as_slice(), &own, None).is_err());
        assert!(fs::read(own.join(link)).is_err(), "it leads to no file");
        believed(&bytes, &theirs);
        assert_eq!(fs::read_to_string(theirs.join(link)).unwrap(), "of the host", "the control");
    }
    for target in ["/etc", "../../etc", ""] {
        refused("symlink that leads out", |tar| entry(tar, T::Symlink, b"a/x", target.as_bytes(), b""));
    }
}

#[test]
fn a_link_to_a_file_outside_is_refused_and_a_reader_that_believes_it_shares_that_file() {
    let beside = tempfile::tempdir().unwrap();
    let (out, secret) = (beside.path().join("out"), beside.path().join("secret"));
    fs::write(&secret, "of the host").unwrap();
    for target in [secret.to_str().unwrap(), "../secret"] {
        let one = |tar: &mut Builder<Vec<u8>>| entry(tar, T::Link, b"x", target.as_bytes(), b"");
        refused("link that leads out", one);
        assert!(unpack(archive(one).as_slice(), &out, None).is_err() && !out.join("x").exists());
        if target.starts_with('/') {
            believed(&archive(one), &out);
            assert_eq!(fs::read_to_string(out.join("x")).unwrap(), "of the host", "the control");
            fs::remove_file(out.join("x")).unwrap();
        }
    }
    // What lies in the folder already is its owner's, and no part of the artifact.
    fs::write(out.join("own"), "of the user").unwrap();
    let one = |tar: &mut Builder<Vec<u8>>| entry(tar, T::Link, b"x", b"own", b"");
    assert!(unpack(archive(one).as_slice(), &out, None).is_err() && !out.join("x").exists());
}

#[test]
fn devices_and_pipes_are_refused_and_a_reader_that_believes_them_makes_them() {
    for kind in [T::Char, T::Block, T::Fifo] {
        refused("device, a pipe", |tar| entry(tar, kind, b"x", b"", b""));
    }
    let beside = tempfile::tempdir().unwrap();
    let (own, theirs) = (beside.path().join("own"), beside.path().join("theirs"));
    let pipe = archive(|tar| entry(tar, T::Fifo, b"x", b"", b""));
    assert!(unpack(pipe.as_slice(), &own, None).is_err() && !own.join("x").exists());
    believed(&pipe, &theirs);
    assert!(fs::symlink_metadata(theirs.join("x")).unwrap().file_type().is_fifo(), "the control");
}

/// Two readers of such an archive have different files of it: what one looked at, another unpacks.
#[test]
fn what_a_header_says_twice_and_not_alike_is_refused_and_two_readers_differ_over_it() {
    type Make = fn(&mut Builder<Vec<u8>>);
    let cases: [(&str, &str, Make); 5] = [
        ("two names that differ", "-tf", |tar| {
            pax(tar, T::XHeader, &[("path", "other")]);
            entry(tar, T::Regular, b"name", b"", b"y");
        }),
        ("says the same thing twice", "-tf", |tar| {
            pax(tar, T::XHeader, &[("path", "name"), ("path", "other")]);
            entry(tar, T::Regular, b"name", b"", b"y");
        }),
        ("two names that differ", "-tf", |tar| {
            entry(tar, T::GNULongName, b"././@LongLink", b"", b"other\0");
            entry(tar, T::Regular, b"name", b"", b"y");
        }),
        ("two targets that differ", "-tvf", |tar| {
            pax(tar, T::XHeader, &[("linkpath", "other")]);
            entry(tar, T::Symlink, b"x", b"good", b"");
        }),
        ("two targets that differ", "-tvf", |tar| {
            entry(tar, T::GNULongLink, b"././@LongLink", b"", b"other\0");
            entry(tar, T::Symlink, b"x", b"good", b"");
        }),
    ];
    for (why, how, make) in cases {
        refused(why, make);
        let bytes = archive(make);
        assert!(listed(&bytes, how).contains("other"), "the control: one reader");
        let mut plain = Archive::new(bytes.as_slice());
        let last = plain.entries().unwrap().raw(true).last().unwrap().unwrap();
        let own = [last.header().path_bytes(), last.header().link_name_bytes().unwrap_or_default()].concat();
        assert!(!String::from_utf8(own).unwrap().contains("other"), "the control: another");
    }
    refused("says the same thing twice", |tar| {
        pax(tar, T::XHeader, &[("linkpath", "good"), ("linkpath", "good")]);
        entry(tar, T::Symlink, b"x", b"good", b"");
    });
    refused("two long name entries", |tar| {
        entry(tar, T::GNULongName, b"././@LongLink", b"", b"a\0");
        entry(tar, T::GNULongName, b"././@LongLink", b"", b"b\0");
        entry(tar, T::Regular, b"a", b"", b"y");
    });
    refused("two names that differ", |tar| {
        pax(tar, T::XHeader, &[("path", "a")]);
        entry(tar, T::GNULongName, b"././@LongLink", b"", b"b\0");
        entry(tar, T::Regular, b"a", b"", b"y");
    });
    refused("speaks for all that follows", |tar| {
        pax(tar, T::XGlobalHeader, &[("path", "other")]);
        entry(tar, T::Regular, b"a", b"", b"y");
    });
}

/// By the one size an entry is data, by the other it is an archive in the archive.
#[test]
fn two_sizes_that_differ_are_refused_and_two_readers_find_other_files() {
    let inner = archive(|tar| entry(tar, T::Regular, b"smuggled", b"", b""));
    let size = inner.len().to_string();
    let make = |size: &str| {
        archive(|tar| {
            pax(tar, T::XHeader, &[("size", size)]);
            entry(tar, T::Regular, b"a", b"", &inner);
        })
    };
    assert_eq!(taken(&make(&size), Limits::default()).unwrap().1.files, 1);
    let bytes = make("0");
    assert!(taken(&bytes, Limits::default()).map(|_| ()).unwrap_err().contains("two sizes that differ"));
    assert!(listed(&bytes, "-tf").contains("smuggled"), "the control: one reader");
    let mut plain = Archive::new(bytes.as_slice());
    let names = plain.entries().unwrap().raw(true).map(|entry| entry.unwrap().path_bytes().into_owned());
    assert_eq!(names.collect::<Vec<_>>(), [b"pax".as_slice(), b"a"], "the control: another");
    for kind in [T::Link, T::Symlink, T::Directory] {
        refused("has a content", |tar| entry(tar, kind, b"a", b"good", &inner));
    }
    assert!(taken(&make("much"), Limits::default()).map(|_| ()).unwrap_err().contains("two sizes that differ"));
}

#[test]
fn a_sparse_entry_is_refused_and_a_reader_that_does_not_know_it_has_another_content() {
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join("x")).unwrap();
    file.set_len(1 << 20).unwrap();
    for (format, why) in [("--format=posix", "is sparse"), ("--format=gnu", "has a content")] {
        let made =
            Command::new("tar").args(["-cS", format, "-f", "t", "x"]).current_dir(folder.path()).status().unwrap();
        assert!(made.success());
        let bytes = fs::read(folder.path().join("t")).unwrap();
        assert!(taken(&bytes, Limits::default()).map(|_| ()).unwrap_err().contains(why));
        let plain = Archive::new(bytes.as_slice()).entries().unwrap().raw(true).last().unwrap().unwrap().size();
        assert!(plain < 1 << 20, "the control: {plain} of its bytes are in the archive");
    }
}

#[test]
fn an_archive_that_breaks_off_is_refused_wherever_it_does_and_a_reader_that_trusts_it_misses_files() {
    let bytes = archive(|tar| {
        entry(tar, T::Regular, b"a", b"", &[b'a'; 700]);
        entry(tar, T::Regular, b"b", b"", b"b");
    });
    let whole = bytes.len() - 1024;
    for length in (0..=whole).step_by(128) {
        assert!(taken(&bytes[..length], Limits::default()).is_err(), "{length} of {whole}");
        let folder = tempfile::tempdir().unwrap();
        assert!(unpack(&bytes[..length], folder.path(), None).is_err(), "{length} of {whole}");
    }
    assert_eq!(taken(&bytes, Limits::default()).unwrap().1.files, 2);
    let mut plain = Archive::new(&bytes[..512 + 1024]);
    assert_eq!(plain.entries().unwrap().map(Result::unwrap).count(), 1, "the control");
}

#[test]
fn a_name_that_comes_twice_is_refused_and_a_reader_that_believes_it_has_the_last() {
    let twice = |tar: &mut Builder<Vec<u8>>| entry(tar, T::Regular, b"good", b"", b"other");
    refused("comes twice", twice);
    refused("comes twice", |tar| entry(tar, T::Directory, b"./good", b"", b""));
    refused("below something", |tar| entry(tar, T::Regular, b"good/x", b"", b"y"));
    refused("below something", |tar| {
        entry(tar, T::Symlink, b"link", b".", b"");
        entry(tar, T::Regular, b"link/x", b"", b"y");
    });
    let beside = tempfile::tempdir().unwrap();
    let out = beside.path().join("out");
    let bytes = archive(|tar| {
        entry(tar, T::Regular, b"good", b"", b"x");
        twice(tar);
    });
    believed(&bytes, &out);
    assert_eq!(fs::read_to_string(out.join("good")).unwrap(), "other", "the control");
}

#[test]
fn more_than_the_limits_is_refused_and_without_them_taken() {
    let few = Limits { entries: 2, bytes: 10 };
    let many = archive(|tar| (0..3).for_each(|n| entry(tar, T::Regular, format!("{n}").as_bytes(), b"", b"")));
    let links = archive(|tar| (0..3).for_each(|n| entry(tar, T::Link, format!("{n}").as_bytes(), b"unwanted", b"")));
    let large = archive(|tar| entry(tar, T::Regular, b"x", b"", &[0; 11]));
    // A promise of bytes is counted before they come.
    let promised = archive(|tar| {
        pax(tar, T::XHeader, &[("size", "9000000000")]);
        entry(tar, T::Regular, b"x", b"", b"");
    });
    for (bytes, why) in [(&many, "2 entries"), (&links, "2 entries"), (&large, "10 bytes"), (&promised, "10 bytes")] {
        let said = taken(bytes, few).map(|_| ()).unwrap_err();
        assert!(said.contains(&format!("more than {why}")), "{said}");
    }
    assert_eq!(taken(&many, Limits::default()).unwrap().1.files, 3, "the control");
    assert_eq!(taken(&large, Limits::default()).unwrap().1.bytes, 11, "the control");
    // Short of being kept, no name is too long; held in memory, all of them are bounded.
    let deep = |n: usize| format!("{n}/{}", "a/".repeat(4000));
    let names = archive(|tar| {
        for n in 0..20 {
            let name = deep(n);
            entry(tar, T::GNULongName, b"././@LongLink", b"", name.as_bytes());
            entry(tar, T::Directory, &name.as_bytes()[..100], b"", b"");
        }
    });
    assert!(taken(&names, Limits::default()).map(|_| ()).unwrap_err().contains("bytes in its names"));
}

#[test]
fn what_is_sound_is_taken_and_unpacked() {
    // What nobody wants is nobody's trouble, but a path that leads out always is.
    let bytes = archive(|tar| {
        entry(tar, T::Fifo, b"unwanted/pipe", b"", b"");
        entry(tar, T::Regular, b"good", b"", b"x");
        entry(tar, T::Link, b"same", b"good", b"");
        entry(tar, T::Link, b"again", b"same", b"");
        entry(tar, T::Symlink, b"a/up", b"../good", b"");
    });
    let (folder, artifact) = taken(&bytes, Limits::default()).unwrap();
    let out = folder.path().join("out");
    unpack(fs::File::open(Depot::new(folder.path()).tar(&artifact)).unwrap(), &out, None).unwrap();
    for name in ["a/up", "same", "again"] {
        assert_eq!(fs::read(out.join(name)).unwrap(), b"x", "{name}");
    }
    assert_eq!(fs::metadata(out.join("good")).unwrap().permissions().mode() & 0o7777, 0o755, "no setuid");
}

/// Where the content came by a name that nobody wants, it is asked for by the first that is wanted; until then it is not whole.
#[test]
fn a_file_whose_content_came_by_another_name_is_owed() {
    let folder = tempfile::tempdir().unwrap();
    let depot = Depot::new(folder.path());
    let begin = || {
        let links = archive(|tar| {
            entry(tar, T::Regular, b"d/unwanted", b"", b"x");
            entry(tar, T::Link, b"d/one", b"d/unwanted", b"");
            entry(tar, T::Link, b"d/two", b"d/unwanted", b"");
        });
        let mut begun = depot.begin("job", "name", Limits::default()).unwrap();
        begun.intake.take(links.as_slice(), "top", &|path| !path.ends_with("unwanted")).unwrap();
        assert_eq!(begun.intake.owed(), [b"top/d/one".to_vec()]);
        begun
    };
    let mut begun = begin();
    let one = archive(|tar| entry(tar, T::Regular, b"one", b"", b"x"));
    begun.intake.settle(one.as_slice(), "top/d", b"top/d/one").unwrap();
    assert_eq!(begun.intake.owed(), Vec::<Vec<u8>>::new());
    let kept = begun.keep(None).unwrap().unwrap();
    assert_eq!((kept.files, kept.bytes), (2, 1));
    let out = folder.path().join("out");
    unpack(fs::File::open(depot.tar(&kept)).unwrap(), &out, None).unwrap();
    assert_eq!(fs::read(out.join("top/d/two")).unwrap(), b"x");
    assert!(begin().keep(None).is_err(), "it never came");
    for other in [
        archive(|tar| entry(tar, T::Regular, b"other", b"", b"x")),
        archive(|tar| entry(tar, T::Link, b"one", b"unwanted", b"")),
        archive(|tar| entry(tar, T::Fifo, b"one", b"", b"")),
    ] {
        assert!(begin().intake.settle(other.as_slice(), "top/d", b"top/d/one").is_err());
    }
}

/// The negative control: a plain unpacker writes outside with such an archive.
#[test]
fn what_is_kept_is_not_believed_when_it_is_unpacked_either() {
    let beside = tempfile::tempdir().unwrap();
    let target = beside.path().join("target");
    let through = archive(|tar| {
        entry(tar, T::Symlink, b"link", b".", b"");
        entry(tar, T::Regular, b"link/owned", b"", b"x");
    });
    assert!(unpack(through.as_slice(), &target, None).is_err());
    // A link that somebody laid into the folder before.
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink(beside.path(), target.join("link")).unwrap();
    let plain = archive(|tar| entry(tar, T::Regular, b"link/owned", b"", b"x"));
    assert!(unpack(plain.as_slice(), &target, None).is_err());
    assert!(!beside.path().join("owned").exists());
    believed(&plain, &target);
    assert!(beside.path().join("owned").exists(), "the control");
}
