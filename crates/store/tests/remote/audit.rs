//! Remotes that are damaged, mended, and cleaned.

use std::sync::Arc;

use glossator_store::Store;
use glossator_store::fs::Disk;
use glossator_store::remote::{Error, Silent};
use glossator_testkit::remote::{FaultStore, RemoteFault};
use glossator_testkit::{TestStore, scratch};
use object_store::memory::InMemory;

use crate::desk::*;

/// Two pushes.
fn two() -> (TestStore, Place) {
    let here = first();
    let place = memory();
    push(&here.store, &place.remote).unwrap();
    import(&here.store, "b", "two");
    push(&here.store, &place.remote).unwrap();
    (here, place)
}

#[test]
fn whatever_is_damaged_or_missing_is_found_and_mended() {
    let (here, place) = two();
    let report = place.remote.audit(&here.store, false, &Silent).unwrap();
    assert!(report.ok && report.findings.is_empty(), "{report:?}");
    assert!(report.objects > 10 && report.bytes > 5_000, "{report:?}");
    let keys: Vec<String> = place.keys().into_iter().filter(|key| key != "root").collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in &keys {
        for damage in ["missing", "flipped", "short", "long"] {
            let place = Place::copy(&place);
            let mut bytes = place.get(key);
            match damage {
                "missing" => place.remove(key),
                "flipped" => {
                    bytes[20] ^= 4;
                    place.put(key, &bytes);
                }
                "short" => place.put(key, &bytes[..bytes.len() - 1]),
                _ => {
                    bytes.push(0);
                    place.put(key, &bytes);
                }
            }
            let report = place.remote.audit(&here.store, false, &Silent).unwrap();
            // What follows the objects of a file is asked for by nobody.
            let harmless = damage == "long" && key.contains("/rows-");
            assert_eq!(report.ok, harmless, "{damage} {key}: {report:?}");
            if harmless {
                continue;
            }
            let named = report.findings.iter().any(|f| f.object == *key || f.detail.contains(key));
            assert!(named, "{damage} {key}: {report:?}");
            let report = place.remote.audit(&here.store, true, &Silent).unwrap();
            assert!(report.ok && report.repaired > 0, "{report:?}");
            let report = place.remote.audit(&here.store, false, &Silent).unwrap();
            assert!(report.ok, "{damage} {key}: {report:?}");
            let copy = clone(&place.remote);
            assert_eq!(labels(&copy.store), labels(&here.store));
            sound(&copy.store);
            // And it goes on from there.
            import(&copy.store, "c", "three");
            push(&copy.store, &place.remote).unwrap();
            sound(&clone(&place.remote).store);
        }
    }
}

#[test]
fn what_nobody_has_cannot_be_mended() {
    let (here, place) = two();
    let behind = clone(&place.remote);
    import(&here.store, "c", "three");
    push(&here.store, &place.remote).unwrap();
    let rows = place.keys().into_iter().find(|key| key.contains("/rows-")).unwrap();
    place.remove(&rows);
    let before = place.get("root");
    let error = place.remote.audit(&behind.store, true, &Silent).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(place.get("root") == before, "half of a repair");
}

#[test]
fn what_no_root_reaches_is_collected_and_nothing_else() {
    let (here, place) = two();
    import(&here.store, "c", "three");
    // Pushes that end at each of their requests leave keys behind.
    let inner: Arc<InMemory> = Arc::new(InMemory::new());
    let all = Place::new(inner.clone(), "labels");
    for key in place.keys() {
        all.put(&key, &place.get(&key));
    }
    for at in 1..3 {
        let fault = Some((at, RemoteFault::DeadAfter));
        let store = Arc::new(FaultStore::new(inner.clone(), fault));
        push(&here.store, &Place::new(store, "labels").remote).unwrap_err();
    }
    all.put("e0/stranger.txt", b"not of a push");
    let plan = all.remote.collect(&here.store, true, &Silent).unwrap();
    assert_eq!((plan.keys.len(), plan.removed), (3, false), "{plan:?}");
    assert_eq!(all.keys().len(), 5 + 3 + 1);
    let done = all.remote.collect(&here.store, false, &Silent).unwrap();
    assert_eq!(done.keys, plan.keys);
    assert_eq!(all.keys().len(), 5 + 1, "{:?}", all.keys());
    assert_eq!(all.get("e0/stranger.txt"), b"not of a push");
    sound(&clone(&all.remote).store);
    // A push that began before it does not come back with keys that are gone.
    push(&here.store, &all.remote).unwrap();
    let copy = clone(&all.remote);
    assert_eq!(labels(&copy.store), labels(&here.store));
    sound(&copy.store);
    assert_eq!(all.remote.collect(&here.store, false, &Silent).unwrap().keys, [""; 0]);
}

/// At every request of a push somebody else collects, then pushes to another branch and collects
/// again: what was uploaded before is uploaded anew where it had to go.
#[test]
fn a_push_that_is_overtaken_by_collectors_names_nothing_that_is_gone() {
    let (here, place) = two();
    import(&here.store, "c", "three");
    for at in 0..6 {
        let inner: Arc<InMemory> = Arc::new(InMemory::new());
        let all = Place::new(inner.clone(), "labels");
        place.keys().iter().for_each(|key| all.put(key, &place.get(key)));
        let other = Place::new(inner.clone(), "labels");
        let hook = move || {
            let copy = clone(&other.remote);
            other.remote.collect(&copy.store, false, &Silent).unwrap();
            let branch = "other".parse().unwrap();
            let head = copy.store.history.head().unwrap().commit.unwrap();
            copy.store
                .make_ref(false, &branch, head, &glossator_testkit::identity(), None)
                .unwrap();
            let request =
                glossator_store::remote::PushRequest { branches: vec![branch], ..request() };
            other.remote.push(&copy.store, &request, &Silent).unwrap();
            other.remote.collect(&copy.store, false, &Silent).unwrap();
        };
        let store = Arc::new(FaultStore::new(inner, None).meanwhile(at, hook));
        let counter = store.clone();
        push(&here.store, &Place::new(store, "labels").remote).unwrap();
        let report = all.remote.audit(&here.store, false, &Silent).unwrap();
        assert!(report.ok, "at {at}: {report:?}");
        let copy = clone(&all.remote);
        assert_eq!(labels(&copy.store), labels(&here.store), "at {at}");
        sound(&copy.store);
        let requests = counter.requests();
        // Once the root was read, it has to begin again.
        assert!(at == 0 || at > 3 || requests > 5, "at {at}: {requests}");
    }
}

/// Rows that no ref reaches are held, checked and mended as any others.
#[test]
fn rows_without_a_history_are_mended_too() {
    let (here, place) = (first(), memory());
    place.remote.push_rows(&here.store, &request(), &Silent).unwrap();
    assert!(place.remote.audit(&here.store, false, &Silent).unwrap().ok);
    let keys: Vec<String> = place.keys().into_iter().filter(|key| key != "root").collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    for (key, cached) in keys.iter().flat_map(|key| [(key, true), (key, false)]) {
        let copy = Place::copy(&place);
        let mut bytes = copy.get(key);
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        copy.put(key, &bytes);
        if !cached && here.store.root().join("cache/remote").exists() {
            std::fs::remove_dir_all(here.store.root().join("cache/remote")).unwrap();
        }
        let report = copy.remote.audit(&here.store, false, &Silent).unwrap();
        assert!(!report.ok, "{key}");
        let report = copy.remote.audit(&here.store, true, &Silent).unwrap();
        assert!(
            report.ok && report.repaired > 0 && !report.findings.is_empty(),
            "{key}: {report:?}"
        );
        assert!(copy.remote.audit(&here.store, false, &Silent).unwrap().ok, "{key}");
        // Whoever has the history gets the rows.
        copy.remote.collect(&here.store, false, &Silent).unwrap();
        let there = without_rows(&here);
        copy.remote.fetch_rows(&there.store, "origin", &Silent).unwrap();
        sound(&there.store);
        // Who has no rows cannot mend it, says so, and loses nothing.
        let damaged = Place::copy(&copy);
        let log = damaged.keys().into_iter().find(|key| key.contains("/log-")).unwrap();
        for key in [key, &log].into_iter().filter(|key| damaged.keys().contains(key)) {
            let damaged = Place::copy(&damaged);
            damaged.put(key, b"other bytes");
            let before = damaged.get("root");
            let nobody = without_rows(&here);
            let error = damaged.remote.audit(&nobody.store, true, &Silent).unwrap_err();
            assert!(error.to_string().contains("cannot mend"), "{error}");
            assert_eq!(damaged.get("root"), before);
        }
    }
}

/// A store with the same history, and nothing of its rows or caches.
fn without_rows(here: &TestStore) -> Copy {
    fn copy(from: &std::path::Path, to: &std::path::Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            match from.is_dir() {
                true => copy(&from, &to),
                false => drop(std::fs::copy(from, to).unwrap()),
            }
        }
    }
    let dir = scratch();
    let root = dir.path().join(".gloss");
    copy(here.store.root(), &root);
    std::fs::remove_dir_all(root.join("objects")).unwrap();
    std::fs::remove_dir_all(root.join("cache")).unwrap();
    std::fs::create_dir_all(root.join("objects")).unwrap();
    Copy::new(dir, Store::open(&Disk::default(), &root).unwrap())
}
