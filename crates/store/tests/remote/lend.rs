//! Clones of the history, whose rows come when they are first read.

use std::fs;

use glossator_store::change::read_change;
use glossator_store::fs::Disk;
use glossator_store::id::Digest;
use glossator_store::remote::{Error as RemoteError, Remote, RemoteConfig, Silent};
use glossator_store::schema::ANNOTATIONS;
use glossator_store::{Error, Store};
use glossator_testkit::{TestStore, choice, commit, identity, scratch};

use crate::desk::*;

/// A store whose first commit is of more than a megabyte, with a small one after it, and where it
/// was pushed.
struct Team {
    dir: tempfile::TempDir,
    here: TestStore,
    remote: Remote,
}

fn team() -> Team {
    use glossator_store::intake::{Intake, IntakeOptions};
    let (dir, here) = (scratch(), TestStore::new());
    let snapshot = here.store.snapshot(None, &[]).unwrap();
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    // Digests do not pack.
    let names: Vec<(String, String)> = (0..40_000_u32)
        .map(|row| (format!("i{row:05}"), Digest::of(&row.to_le_bytes()).to_string()))
        .collect();
    let rows: Vec<_> = names.iter().map(|(item, label)| choice(item, "x", label)).collect();
    intake.rows(&ANNOTATIONS, glossator_testkit::batch(&rows)).unwrap();
    let layers = intake.finish().unwrap().layers;
    commit(&here.store, None, &layers).unwrap().expect("a change");
    import(&here.store, "a", "one");
    let url = format!("file://{}", dir.path().display());
    let remote = Remote::open(&Disk::default(), &url).unwrap();
    push(&here.store, &remote).unwrap();
    Team { dir, here, remote }
}

/// The segments that commits added and that are not here.
fn absent(store: &Store) -> Vec<Digest> {
    absent_of(store, "main")
}

fn absent_of(store: &Store, revision: &str) -> Vec<Digest> {
    let head = store.history.resolve(revision).unwrap();
    let commits = store.history.walk(head).unwrap().map(Result::unwrap);
    let changes = commits.map(|commit| store.change(commit).unwrap());
    let tables = changes.flat_map(|change| change.tables.into_values());
    let added = tables.flat_map(|change| change.added).map(|line| line.segment);
    added.filter(|segment| !store.objects().contains(segment)).collect()
}

#[test]
fn rows_come_when_they_are_first_read() {
    let team = team();
    let (there, came) = clone_history(&team.remote);
    assert_eq!(came.left, 1, "{came:?}");
    assert!(came.bytes < 1 << 20, "{came:?}");
    let left = absent(&there.store);
    assert_eq!(left.len(), 1);
    let report = there.store.verify(&mut |_| ()).unwrap();
    assert_eq!((report.findings, report.elsewhere), (Vec::new(), 1));

    // What the last commit did is here.
    let head = there.store.history.head().unwrap().commit.unwrap();
    let record = there.store.change(head).unwrap();
    let changes = read_change(there.store.objects(), &ANNOTATIONS, &record.tables["annotations"]);
    let changes: Vec<_> = changes.unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(changes.iter().map(|delta| delta.changes.len()).sum::<usize>(), 1);
    assert_eq!(absent(&there.store), left);

    assert_eq!(labels(&there.store), labels(&team.here.store));
    assert_eq!(absent(&there.store), []);
    sound(&there.store);
}

#[test]
fn work_goes_on_in_a_clone_of_the_history() {
    let team = team();
    let (there, _) = clone_history(&team.remote);
    import(&there.store, "b", "two");
    assert_eq!(push(&there.store, &team.remote).unwrap().commits, 1);
    team.remote.pull(&team.here.store, "origin", &identity(), &|_, _, _| Ok(()), &Silent).unwrap();
    import(&team.here.store, "c", "three");
    push(&team.here.store, &team.remote).unwrap();
    team.remote.pull(&there.store, "origin", &identity(), &|_, _, _| Ok(()), &Silent).unwrap();
    assert_eq!(labels(&there.store), labels(&team.here.store));
    sound(&there.store);
}

#[test]
fn without_the_remote_the_rows_are_asked_for_in_vain() {
    let team = team();
    let (there, _) = clone_history(&team.remote);
    let head = there.store.history.head().unwrap().commit;
    let read = || -> Result<usize, Error> {
        let snapshot = there.store.snapshot(head, &[])?;
        snapshot.table(&ANNOTATIONS)?.scan()?.map(|batch| Ok(batch?.num_rows())).sum()
    };
    // Other bytes in its place are not taken.
    let left = absent(&there.store)[0];
    let all = walk(team.dir.path());
    let file = all.iter().find(|path| path.ends_with(left.to_string()) || path.ends_with("rows-0"));
    let file = file.expect("the file with the rows");
    let bytes = fs::read(file).unwrap();
    fs::write(file, vec![7; bytes.len()]).unwrap();
    let error = read().unwrap_err().to_string();
    assert!(error.contains("do not hash to its name"), "{error}");
    assert_eq!(absent(&there.store), [left]);

    fs::write(file, bytes).unwrap();
    let away = team.dir.path().with_extension("away");
    fs::rename(team.dir.path(), &away).unwrap();
    let error = read().unwrap_err();
    assert!(
        matches!(&error, Error::NotLent { from, .. } if from.starts_with("file://")),
        "{error}"
    );
    assert!(error.to_string().contains(&left.to_string()), "{error}");
    fs::rename(&away, team.dir.path()).unwrap();
    assert_eq!(read().unwrap(), 40_001);
}

#[test]
fn a_clone_of_the_history_has_branches_and_tags() {
    let team = team();
    let (there, _) = clone_history(&team.remote);
    let head = there.store.history.head().unwrap().commit.unwrap();
    there.store.make_ref(false, &"side".parse().unwrap(), head, &identity(), None).unwrap();
    there.store.make_ref(true, &"v1".parse().unwrap(), head, &identity(), None).unwrap();
    assert_eq!(absent(&there.store).len(), 1);
    // Forgetting the remote would lose the rows.
    let forgotten = glossator_store::remote::forget(&there.store, "origin", &identity());
    assert!(matches!(forgotten, Err(RemoteError::RowsLeft(_))), "{forgotten:?}");
    team.remote.fetch_rows(&there.store, "origin", &Silent).unwrap();
    glossator_store::remote::forget(&there.store, "origin", &identity()).unwrap();
}

/// What only this store had is damage where it is gone, whatever the remote lends.
#[test]
fn what_the_remote_never_had_is_not_elsewhere() {
    let team = team();
    let (there, _) = clone_history(&team.remote);
    let commit = import(&there.store, "b", "ours");
    let record = there.store.change(commit).unwrap();
    let own = record.tables["annotations"].added[0].segment;
    fs::remove_file(there.store.objects().path(&own)).unwrap();
    let report = there.store.verify(&mut |_| ()).unwrap();
    assert!(!report.ok);
    assert_eq!(report.findings[0].object, own.to_string());
}

/// A tip that only a reflog names counts as well.
#[test]
fn rows_of_a_branch_that_was_moved_come_too() {
    let team = team();
    let (there, _) = clone_history(&team.remote);
    let side: glossator_store::history::RefName = "side".parse().unwrap();
    let old = team.here.store.history.head().unwrap().commit.unwrap();
    team.here.store.make_ref(false, &side, old, &identity(), None).unwrap();
    team.here.store.switch(&side, &identity()).unwrap();
    let names = glossator_testkit::noise(b"side", 3_000, 600);
    let rows: Vec<_> = names.iter().map(|text| choice(text, "x", "one")).collect();
    team.here.import(&rows).unwrap();
    let request = || glossator_store::remote::PushRequest {
        branches: vec![side.clone()],
        force: true,
        ..request()
    };
    team.remote.push(&team.here.store, &request(), &Silent).unwrap();
    fetch(&there.store, &team.remote).unwrap();
    assert_eq!(absent_of(&there.store, "origin/side").len(), 2);
    // Another commit takes its place.
    let main = "main".parse().unwrap();
    team.here.store.switch(&main, &identity()).unwrap();
    team.here.store.delete_ref(false, &side, &identity()).unwrap();
    team.here.store.make_ref(false, &side, old, &identity(), None).unwrap();
    team.remote.push(&team.here.store, &request(), &Silent).unwrap();
    fetch(&there.store, &team.remote).unwrap();
    assert_eq!(team.remote.fetch_rows(&there.store, "origin", &Silent).unwrap().0, 2);
    sound(&Store::open(&Disk::default(), there.store.root()).unwrap());
}

#[test]
fn all_rows_may_come_for_good() {
    let team = team();
    let (there, _) = clone_history(&team.remote);
    let (objects, bytes) = team.remote.fetch_rows(&there.store, "origin", &Silent).unwrap();
    assert_eq!(objects, 1);
    assert!(bytes > 1 << 20, "{bytes}");
    let config = RemoteConfig::read(&there.store).unwrap();
    assert!(!config.remotes["origin"].rows_stay);
    let store = Store::open(&Disk::default(), there.store.root()).unwrap();
    assert_eq!(store.verify(&mut |_| ()).unwrap().elsewhere, 0);
    drop(team.dir);
    assert_eq!(labels(&store).len(), 40_001);
}

/// All files below a directory.
fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
