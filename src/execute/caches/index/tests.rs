use super::*;

const MIB: u64 = 1024 * 1024;

fn place(mode: CacheMode) -> Place {
    Place { scope: "repo".to_owned(), paths: vec!["node_modules".to_owned()], mode }
}

/// A saved cache of the volumes `v-NAME`, so many MiB each.
fn record(key: &str, saved: u64, layers: &[(&str, u64)]) -> Record {
    let layers = layers.iter().map(|(name, mib)| {
        let size = Some(Size { bytes: mib * MIB, counted: 0 });
        Layer { volume: format!("v-{name}"), mountpoint: format!("/v/{name}"), size }
    });
    Record { place: place(CacheMode::Private), key: key.to_owned(), saved: Some(saved), layers: layers.collect() }
}

fn index() -> (tempfile::TempDir, CacheIndex) {
    let folder = tempfile::tempdir().unwrap();
    let index = CacheIndex::new(folder.path().join("caches"));
    (folder, index)
}

fn used(index: &CacheIndex, record: &Record) -> Used {
    match index.take(record).unwrap() {
        Taken::Used(used) => used,
        Taken::Busy => panic!("{record:?} is busy"),
    }
}

#[test]
fn the_newest_is_the_one_that_was_saved_last_and_a_key_is_saved_once() {
    let (_folder, index) = index();
    let place = place(CacheMode::Private);
    assert!(index.newest(&place, "npm-").unwrap().is_none());
    for (key, saved) in [("npm-2", 20), ("npm-1", 10), ("pip-1", 30)] {
        assert!(index.save(&record(key, saved, &[(key, 1)]), Replace::No).unwrap());
    }
    drop(used(&index, &record("npm-1", 10, &[("npm-1", 1)])));
    assert_eq!(index.newest(&place, "npm-").unwrap().unwrap().key, "npm-2");
    assert!(!index.save(&record("npm-1", 40, &[("other", 1)]), Replace::No).unwrap(), "it is there");
    let elsewhere = Place { scope: "another".to_owned(), ..place.clone() };
    let otherwise = Place { mode: CacheMode::Locked, ..place };
    for other in [elsewhere, otherwise] {
        assert_eq!(index.newest(&other, "").unwrap(), None);
        assert_eq!(index.noted(&other, "npm-1").unwrap(), Noted::Nothing);
    }
}

#[test]
fn a_volume_is_nobodys_where_no_cache_has_it_and_nobody_uses_it() {
    let (_folder, index) = index();
    let one = record("one", 1, &[("top", 1), ("base", 1)]);
    let begun = index.begin("v-top").unwrap();
    assert!(index.nobodys("v-top").unwrap().is_none(), "it is being made");
    index.save(&one, Replace::No).unwrap();
    drop(begun);
    assert!(index.nobodys("v-base").unwrap().is_none(), "a cache has it");
    let uses = used(&index, &one);
    assert!(index.alone(&one).unwrap().is_none());
    assert!(index.forget(&one).unwrap());
    assert!(index.nobodys("v-base").unwrap().is_none(), "it is used");
    drop(uses);
    index.nobodys("v-base").unwrap().unwrap().remove();
    // What is left of the other goes when it is not on the engine.
    index.forget_locks(&BTreeSet::from(["v-top".to_owned()])).unwrap();
    let locks = || fs::read_dir(index.folder.join("locks")).unwrap().count();
    assert_eq!(locks(), 2, "of changes, and of the volume that is there");
    index.forget_locks(&BTreeSet::new()).unwrap();
    assert_eq!(locks(), 1);
}

#[test]
fn a_shared_cache_that_nobody_saved_is_one_for_as_long_as_somebody_has_it() {
    let (_folder, index) = index();
    let open = Record { place: place(CacheMode::Shared), saved: None, ..record("k", 0, &[("v", 1)]) };
    let creator = index.begin("v-v").unwrap();
    index.save(&open, Replace::No).unwrap();
    assert!(matches!(index.noted(&open.place, "k").unwrap(), Noted::Cache(_)));
    assert_eq!(index.newest(&open.place, "").unwrap(), None, "nothing is taken from it yet");
    drop(creator);
    assert_eq!(index.noted(&open.place, "k").unwrap(), Noted::Nothing);
    let creator = index.begin("v-v").unwrap();
    index.save(&open, Replace::No).unwrap();
    assert!(index.change(&open, |record| record.saved = Some(7)).unwrap());
    drop(creator);
    assert!(matches!(index.noted(&open.place, "k").unwrap(), Noted::Cache(_)));
}

#[test]
fn what_cannot_be_read_is_missing_written_over_and_removed() {
    let (_folder, index) = index();
    let one = record("one", 1, &[("v", 1)]);
    index.save(&one, Replace::No).unwrap();
    let path = index.path(&one.place, "one");
    fs::write(&path, "").unwrap();
    assert_eq!(index.noted(&one.place, "one").unwrap(), Noted::Broken);
    assert_eq!(index.count().unwrap(), (0, 1));
    assert!(index.save(&one, Replace::No).unwrap());
    assert_eq!(index.count().unwrap(), (1, 0));
    fs::write(&path, "{}").unwrap();
    fs::write(index.folder.join(".tmpx"), "").unwrap();
    assert_eq!(index.forget_broken().unwrap(), 1);
    assert!(index.files().unwrap().is_empty());
}

#[test]
fn those_that_were_used_longest_ago_are_beyond_and_a_volume_counts_once() {
    let (_folder, index) = index();
    let records = [
        record("old", 1, &[("old", 3)]),
        record("base", 2, &[("base", 4)]),
        record("top", 3, &[("top", 1), ("base", 4)]),
    ];
    for (age, one) in records.iter().enumerate() {
        index.save(one, Replace::No).unwrap();
        let file = File::options().append(true).open(index.path(&one.place, &one.key)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age as u64)).unwrap();
    }
    let beyond = |most, mib| {
        let found = index.beyond(most, mib * MIB).unwrap();
        found.into_iter().map(|record| record.key).collect::<Vec<_>>()
    };
    assert_eq!(beyond(3, 8), [""; 0]);
    assert_eq!(beyond(3, 7), ["old"]);
    assert_eq!(beyond(3, 4), ["top", "old"], "its two volumes are 5 MiB");
    assert_eq!(beyond(2, 100), ["old"]);
    assert_eq!(beyond(0, 100), ["top", "base", "old"]);
    drop(used(&index, &records[0]));
    assert_eq!(beyond(1, 100), ["top", "base"]);
}

#[test]
fn one_at_a_time_has_its_turn() {
    let (_folder, index) = index();
    let place = place(CacheMode::Locked);
    let first = index.turn(&place, "a").unwrap().unwrap();
    assert!(index.turn(&place, "a").unwrap().is_none() && index.turn(&place, "b").unwrap().is_some());
    drop(first);
    assert!(index.turn(&place, "a").unwrap().is_some());
}
