//! Pushes that are broken off go on from the files that are there.

use std::sync::Arc;

use glossator_store::remote::{Error, Remote};
use glossator_testkit::remote::{FaultStore, RemoteFault};
use glossator_testkit::{TestStore, noise};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::desk::*;

/// A store of three commits, each of more than one file of a push.
fn large() -> TestStore {
    let here = TestStore::new();
    for at in 0..3_u8 {
        let texts = noise(&[at], 5_000, 2_500);
        let names: Vec<String> = (0..texts.len()).map(|row| format!("i{at}-{row:05}")).collect();
        let rows: Vec<_> = texts
            .iter()
            .zip(&names)
            .map(|(text, item)| glossator_store::schema::AnnotationRow {
                text: Some(text),
                ..glossator_testkit::choice(item, "x", "one")
            })
            .collect();
        here.import(&rows).unwrap();
    }
    here
}

/// A remote that dies at a request, over memory that outlives it.
fn dying(memory: &Arc<InMemory>, at: u64) -> Remote {
    let inner: Arc<dyn ObjectStore> = memory.clone();
    let fault = Some((at, RemoteFault::DeadBefore));
    Place::new(Arc::new(FaultStore::new(inner, fault)), "labels").remote
}

/// Keys by what they are called below their attempt: the digest of a large object.
fn large_keys(place: &Place) -> Vec<String> {
    let mut names: Vec<String> = place
        .keys()
        .iter()
        .filter_map(|key| key.rsplit('/').next())
        .filter(|name| name.len() == 64)
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn what_is_there_is_not_uploaded_again() {
    let here = large();
    let memory = Arc::new(InMemory::new());
    let place = Place::new(memory.clone(), "labels");
    let (mut seen, mut tries) = (Vec::new(), 0);
    // Each try dies a request later than the one before.
    loop {
        let pushed = push(&here.store, &dying(&memory, 3 + tries));
        let now = large_keys(&place);
        assert!(seen.iter().all(|key| now.contains(key)));
        let mut once = now.clone();
        once.dedup();
        assert_eq!(once, now, "an object was uploaded twice");
        seen = now;
        tries += 1;
        match pushed {
            Ok(_) => break,
            Err(error) => {
                assert!(matches!(error, Error::Request { .. } | Error::Unknown { .. }), "{error:?}")
            }
        }
    }
    assert_eq!(seen.len(), 3);
    assert!(tries > 3, "{tries} tries");
    let there = clone(&place.remote);
    assert_eq!(there.store.objects().list().unwrap(), here.store.objects().list().unwrap());
    sound(&there.store);
    assert!(place.remote.audit(&here.store, false, &glossator_store::remote::Silent).unwrap().ok);
}

#[test]
fn what_went_meanwhile_is_uploaded_again() {
    let here = large();
    let memory = Arc::new(InMemory::new());
    let place = Place::new(memory.clone(), "labels");
    // Until two files are there; then the bucket is emptied.
    let mut at = 3;
    while large_keys(&place).len() < 2 {
        push(&here.store, &dying(&memory, at)).unwrap_err();
        at += 1;
    }
    place.keys().iter().for_each(|key| place.remove(key));
    push(&here.store, &place.remote).unwrap();
    sound(&clone(&place.remote).store);
}
