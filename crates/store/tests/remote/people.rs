//! Who annotators are: it travels where a store was told so, and nowhere else.

use glossator_store::Store;
use glossator_store::remote::{Error, PushRequest, RemoteConfig, Silent};
use glossator_testkit::{identity, scratch};

use crate::desk::*;

const ANN: &str = "ann@example.com";

/// Makes a store know a person, and gives the id.
fn knows(store: &Store, id: Option<&str>, email: &str, facts: Option<&str>) -> String {
    let mut people = store.people().unwrap();
    let id = people.identify(id, Some(email), facts);
    store.save_people(&mut people).unwrap();
    id
}

fn with_people() -> PushRequest {
    PushRequest { people: true, ..request() }
}

/// The store pulls people from now on.
fn follows(store: &Store) {
    RemoteConfig::change(store, |config| {
        config.remotes.get_mut("origin").unwrap().with_people = true;
        Ok(())
    })
    .unwrap();
}

fn holds(place: &Place, text: &str) -> bool {
    let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    place.keys().iter().any(|key| has(&place.get(key)))
}

#[test]
fn people_travel_only_where_they_are_asked_to() {
    let (here, place) = (first(), memory());
    let facts = r#"{"id":2,"email":"ann@example.com"}"#;
    assert_eq!(knows(&here.store, Some("2"), ANN, Some(facts)), "2");
    push(&here.store, &place.remote).unwrap();
    assert!(!holds(&place, ANN) && !holds(&place, "people"));
    let apart = clone(&place.remote);
    assert!(!apart.store.root().join("private/people").exists());

    // No commit is new: the people alone go.
    let pushed = place.remote.push(&here.store, &with_people(), &Silent).unwrap();
    assert_eq!(pushed.refs, []);
    assert!(holds(&place, ANN));
    assert!(place.remote.audit(&here.store, false, &Silent).unwrap().ok);
    fetch(&apart.store, &place.remote).unwrap();
    assert!(!apart.store.root().join("private/people").exists());

    let there = clone_with_people(&place.remote);
    assert_eq!(there.store.people().unwrap().facts("2"), Some(facts));
    // The key is the same, so a stranger gets the same name on both.
    let stranger = knows(&there.store, None, "eve@example.com", None);
    assert_eq!(knows(&here.store, None, "eve@example.com", None), stranger);

    // Each learns of somebody; both end up with all.
    knows(&there.store, Some("3"), "bob@example.com", Some(r#"{"id":3}"#));
    knows(&here.store, Some("4"), "cy@example.com", Some(r#"{"id":4}"#));
    place.remote.push(&there.store, &with_people(), &Silent).unwrap();
    place.remote.push(&here.store, &with_people(), &Silent).unwrap();
    fetch(&there.store, &place.remote).unwrap();
    for store in [&here.store, &there.store] {
        let people = store.people().unwrap();
        assert_eq!(["2", "3", "4"].map(|id| people.facts(id).is_some()), [true; 3]);
    }
    // Nothing new: nothing is pushed, and what is there is reached.
    let root = place.get("root");
    place.remote.push(&here.store, &with_people(), &Silent).unwrap();
    assert_eq!(place.get("root"), root);
    place.remote.collect(&here.store, false, &Silent).unwrap();
    let again = clone_with_people(&place.remote);
    assert!(again.store.people().unwrap().facts("4").is_some());
}

#[test]
fn people_that_were_changed_there_are_not_taken() {
    let (here, place) = (first(), memory());
    knows(&here.store, Some("2"), ANN, Some("{}"));
    push(&here.store, &place.remote).unwrap();
    place.remote.push(&here.store, &with_people(), &Silent).unwrap();
    let key = place.keys().into_iter().find(|key| key.len() > 90).expect("the file of people");
    let whole = place.get(&key);
    let there = clone(&place.remote);
    follows(&there.store);
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    place.put(&key, &flipped);
    let error = fetch(&there.store, &place.remote).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(!there.store.root().join("private/people").exists());
    assert!(!place.remote.audit(&here.store, false, &Silent).unwrap().ok);
    // Without them the remote is mended, and the next push brings them.
    assert!(place.remote.audit(&here.store, true, &Silent).unwrap().ok);
    place.remote.push(&here.store, &with_people(), &Silent).unwrap();
    fetch(&there.store, &place.remote).unwrap();
    assert_eq!(there.store.people().unwrap().facts("2"), Some("{}"));
}

#[test]
fn a_bundle_that_is_none_changes_nothing() {
    let (here, place) = (first(), memory());
    push(&here.store, &place.remote).unwrap();
    place.remote.push(&here.store, &with_people(), &Silent).unwrap();
    let root: serde_json::Value = serde_json::from_slice(&place.get("root")).unwrap();
    let there = clone(&place.remote);
    follows(&there.store);
    let key = root["people"]["key"].as_str().unwrap();
    let plain = format!("{{\"key\":\"{}\"}}\n", "ab".repeat(32));
    for bad in [
        String::new(),
        "{}\n".to_owned(),
        "{\"key\":\"ab\"}\n".to_owned(),
        format!("{plain}{{\"id\":7}}\n"),
        format!("{plain}{{\"id\":\"7\",\"path\":\"../x\"}}\n"),
        format!("{plain}[]\n"),
    ] {
        place.put(key, bad.as_bytes());
        let mut root = root.clone();
        root["people"]["digest"] = blake3::hash(bad.as_bytes()).to_hex().as_str().into();
        root["people"]["bytes"] = bad.len().into();
        place.put("root", &serde_json::to_vec(&root).unwrap());
        let error = fetch(&there.store, &place.remote).unwrap_err();
        assert!(error.to_string().contains("people"), "{bad}: {error}");
        assert!(!there.store.root().join("private/people").exists(), "{bad}");
    }
}

/// A clone that takes people.
fn clone_with_people(remote: &glossator_store::remote::Remote) -> Copy {
    use glossator_store::fs::Disk;
    use glossator_store::remote::{CloneRequest, clone_store};
    let dir = scratch();
    let request =
        CloneRequest { name: "origin", branch: None, rows_stay: false, with_people: true };
    let made = clone_store(&Disk::default(), dir.path(), remote, &request, &identity(), &Silent);
    Copy::new(dir, made.unwrap().0)
}
