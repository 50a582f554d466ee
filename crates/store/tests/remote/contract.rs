//! What holds over every kind of store: memory, a directory, a real S3 server.

use std::sync::Arc;

use glossator_store::fs::Disk;
use glossator_store::remote::{Directory, Error, Remote, Why};
use glossator_testkit::{TestStore, identity, scratch};
use object_store::memory::InMemory;

use crate::desk::*;

/// Every case, each with a place of its own.
pub fn holds(place: &dyn Fn(&str) -> Place) {
    probes(&place("probe").remote);
    round_trip(&place("round-trip").remote);
    a_moved_branch_is_a_refused_push(&place("moved").remote);
    force_needs_the_lease(&place("force").remote);
    tags_travel(&place("tags").remote);
    a_branch_goes_where_it_was_seen_last(&place("delete").remote);
    large_objects_travel_in_parts(&place("large").remote);
    pushers_to_branches_of_their_own_lose_nothing(&place("race").remote);
    of_pushers_to_one_branch_one_is_in(&place("one-branch").remote);
    places_that_are_in_use_are_refused(&place("in-use"), &place("two-stores"));
}

#[test]
fn memory_holds() {
    holds(&|name| Place::new(Arc::new(InMemory::new()), name));
}

#[test]
fn a_directory_holds() {
    let dir = scratch();
    // By its address, and below a prefix.
    holds(&|name| {
        let path = dir.path().join(name);
        let remote = Remote::open(&Disk::default(), &format!("file://{}", path.display()));
        let store = Arc::new(Directory::new(&Disk::default(), path));
        Place { remote: remote.unwrap(), ..Place::new(store, "") }
    });
    let store = Arc::new(Directory::new(&Disk::default(), dir.path().join("below")));
    holds(&|name| Place::new(store.clone(), name));
}

fn probes(remote: &Remote) {
    let probe = remote.probe(0).unwrap();
    assert_eq!(probe.works.len(), 5, "{probe:?}");
    assert!(!probe.holds_store);
    // The clock here stands at 1970.
    assert!(probe.clock_ahead_seconds.is_some_and(|ahead| ahead > 1_000_000_000));
}

fn round_trip(remote: &Remote) {
    let here = first();
    assert!(matches!(try_clone(remote), Err(Error::Empty(_))));
    let report = push(&here.store, remote).unwrap();
    assert_eq!((report.refs.len(), report.commits), (1, 1));
    assert!(report.objects >= 2 && report.bytes > 1_000, "{report:?}");
    // Nothing new: nothing is pushed.
    assert_eq!(push(&here.store, remote).unwrap().refs, []);

    let there = clone(remote);
    assert_eq!(labels(&there.store), labels(&here.store));
    assert_eq!(head(&there.store), head(&here.store));
    sound(&there.store);

    import(&there.store, "b", "two");
    import(&there.store, "a", "three");
    let report = push(&there.store, remote).unwrap();
    assert_eq!(report.commits, 2);

    let pulled =
        remote.pull(&here.store, "origin", &identity(), &|_, _, _| Ok(()), &silent()).unwrap();
    assert_eq!(pulled.fetched.commits, 2);
    assert_eq!(head(&here.store), head(&there.store));
    let expected = [("a", "three"), ("b", "two")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(labels(&here.store), expected);
    sound(&here.store);
    assert_eq!(fetch(&here.store, remote).unwrap().refs, []);
}

fn silent() -> glossator_store::remote::Silent {
    glossator_store::remote::Silent
}

fn a_moved_branch_is_a_refused_push(remote: &Remote) {
    let here = first();
    push(&here.store, remote).unwrap();
    let there = clone(remote);
    let (ours, theirs) = (import(&here.store, "b", "ours"), import(&there.store, "c", "theirs"));
    push(&there.store, remote).unwrap();
    let Err(Error::Refused(refused)) = push(&here.store, remote) else {
        panic!("a push over another one");
    };
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].why, refused[0].by.as_str()), (Why::NotForward, "Test"));
    assert_eq!(refused[0].theirs, theirs.to_string());
    match remote.pull(&here.store, "origin", &identity(), &|_, _, _| Ok(()), &silent()) {
        Err(Error::Diverged { ahead: 1, behind: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
    // Nothing is lost: ours is where it was, theirs is there to look at.
    assert_eq!(head(&here.store), ours.to_string());
    let fetched = here.store.history.resolve("origin/main").unwrap();
    assert_eq!(fetched, theirs);
    sound(&here.store);
    assert_eq!(head(&clone(remote).store), theirs.to_string());
}

fn force_needs_the_lease(remote: &Remote) {
    let here = first();
    push(&here.store, remote).unwrap();
    let there = clone(remote);
    let ours = import(&here.store, "b", "ours");
    let theirs = import(&there.store, "c", "theirs");
    push(&there.store, remote).unwrap();
    let mut force = request();
    force.force = true;
    // We have not seen theirs.
    let Err(Error::Refused(refused)) = remote.push(&here.store, &force, &silent()) else {
        panic!("a forced push over what was not seen");
    };
    assert_eq!(refused[0].why, Why::LeaseLost);
    fetch(&here.store, remote).unwrap();
    let report = remote.push(&here.store, &force, &silent()).unwrap();
    assert!(report.refs[0].forced);
    assert_eq!(report.refs[0].old, Some(theirs.to_string()));
    let fetched = fetch(&there.store, remote).unwrap();
    assert_eq!(fetched.refs[0].new, ours.to_string());
    sound(&there.store);
}

fn tags_travel(remote: &Remote) {
    let here = first();
    let tag = |store: &glossator_store::Store, name: &str, message: Option<&str>| {
        let name = name.parse().unwrap();
        let head = store.history.head().unwrap().commit.unwrap();
        store.make_ref(true, &name, head, &identity(), message.map(Into::into)).unwrap();
    };
    tag(&here.store, "plain", None);
    tag(&here.store, "told", Some("why"));
    assert_eq!(push(&here.store, remote).unwrap().refs.len(), 3);
    let there = clone(remote);
    assert_eq!(there.store.history.refs(true).unwrap(), here.store.history.refs(true).unwrap());
    sound(&there.store);
    // A tag of another target is refused there, and left alone here.
    import(&there.store, "b", "two");
    tag(&there.store, "later", None);
    push(&there.store, remote).unwrap();
    import(&here.store, "c", "three");
    tag(&here.store, "later", None);
    let report = fetch(&here.store, remote).unwrap();
    assert_eq!(report.kept_tags, ["refs/tags/later"]);
    let mut other = request();
    other.branches.clear();
    let Err(Error::Refused(refused)) = remote.push(&here.store, &other, &silent()) else {
        panic!("a tag moved");
    };
    assert_eq!(refused[0].why, Why::TagExists);
}

/// An object of several parts, and one that is mended.
fn a_branch_goes_where_it_was_seen_last(remote: &Remote) {
    let here = first();
    let side: glossator_store::history::RefName = "side".parse().unwrap();
    let head = here.store.history.head().unwrap().commit.unwrap();
    here.store.make_ref(false, &side, head, &identity(), None).unwrap();
    let with = |branches: &[&glossator_store::history::RefName], delete: bool| {
        let named: Vec<_> = branches.iter().map(|branch| (*branch).clone()).collect();
        let (branches, delete) = if delete { (Vec::new(), named) } else { (named, Vec::new()) };
        glossator_store::remote::PushRequest { branches, delete, ..request() }
    };
    let main = "main".parse().unwrap();
    remote.push(&here.store, &with(&[&main, &side], false), &silent()).unwrap();
    let there = clone(remote);
    there.store.make_ref(false, &side, head, &identity(), None).unwrap();
    there.store.switch(&side, &identity()).unwrap();
    import(&there.store, "b", "theirs");
    remote.push(&there.store, &with(&[&side], false), &silent()).unwrap();
    // It moved since it was fetched here.
    let refused = remote.push(&here.store, &with(&[&side], true), &silent());
    let Err(Error::Refused(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!((refused.len(), refused[0].why), (1, Why::LeaseLost));

    fetch(&here.store, remote).unwrap();
    // Nothing here holds what they made: it would be gone with the branch.
    let refused = remote.push(&here.store, &with(&[&side], true), &silent());
    let Err(Error::Refused(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!(refused[0].why, Why::LastCopy);
    let theirs = here.store.history.resolve("origin/side").unwrap();
    let kept = "kept".parse().unwrap();
    here.store.make_ref(true, &kept, theirs, &identity(), None).unwrap();
    let mut request = with(&[&side], true);
    request.tags = false;
    let report = remote.push(&here.store, &request, &silent()).unwrap();
    assert_eq!((report.refs.len(), &report.refs[0].new), (1, &None));
    assert!(here.store.history.resolve("origin/side").is_err());
    let copy = clone(remote);
    assert!(copy.store.history.resolve("origin/side").is_err());
    sound(&copy.store);
    let again = remote.push(&here.store, &with(&[&side], true), &silent());
    assert!(matches!(again, Err(Error::NoBranch(_))), "{again:?}");
}

fn large_objects_travel_in_parts(remote: &Remote) {
    let here = TestStore::new();
    let texts = glossator_testkit::noise(b"large", 10_000, 2_500);
    let texts: Vec<(String, String)> =
        texts.into_iter().zip(0..).map(|(text, item)| (format!("item-{item:05}"), text)).collect();
    let rows: Vec<_> = texts
        .iter()
        .map(|(item, text)| glossator_store::schema::AnnotationRow {
            text: Some(text),
            ..glossator_testkit::choice(item, "x", "one")
        })
        .collect();
    here.import(&rows).unwrap();
    let report = push(&here.store, remote).unwrap();
    assert!(report.bytes > 17 << 20, "more than two parts: {report:?}");
    let audit = remote.audit(&here.store, false, &silent()).unwrap();
    assert!(audit.ok && audit.bytes > 17 << 20, "{audit:?}");
    let there = clone(remote);
    assert_eq!(there.store.objects().list().unwrap(), here.store.objects().list().unwrap());
    sound(&there.store);
}

fn pushers_to_branches_of_their_own_lose_nothing(remote: &Remote) {
    const PUSHERS: usize = 4;
    const PUSHES: usize = 5;
    let base = first();
    push(&base.store, remote).unwrap();
    let heads: Vec<String> = std::thread::scope(|scope| {
        let pushers = (0..PUSHERS).map(|at| {
            scope.spawn(move || {
                let own = clone(remote);
                let branch: glossator_store::history::RefName =
                    format!("branch-{at}").parse().unwrap();
                let head = own.store.history.head().unwrap().commit.unwrap();
                own.store.make_ref(false, &branch, head, &identity(), None).unwrap();
                own.store.switch(&branch, &identity()).unwrap();
                for push in 0..PUSHES {
                    import(&own.store, &format!("item-{push}"), &format!("label-{at}"));
                    let mut request = request();
                    request.branches = vec![branch.clone()];
                    remote.push(&own.store, &request, &silent()).unwrap();
                }
                self::head(&own.store)
            })
        });
        let pushers: Vec<_> = pushers.collect();
        pushers.into_iter().map(|pusher| pusher.join().unwrap()).collect()
    });
    let copy = clone(remote);
    for (at, head) in heads.iter().enumerate() {
        let found = copy.store.history.resolve(&format!("origin/branch-{at}")).unwrap();
        assert_eq!(found.to_string(), *head);
    }
    sound(&copy.store);
}

fn of_pushers_to_one_branch_one_is_in(remote: &Remote) {
    let base = first();
    push(&base.store, remote).unwrap();
    let copies: Vec<Copy> = (0..4).map(|_| clone(remote)).collect();
    let done: Vec<Option<String>> = std::thread::scope(|scope| {
        let pushers: Vec<_> = copies
            .into_iter()
            .enumerate()
            .map(|(at, copy)| {
                scope.spawn(move || {
                    // Whole, with the directory that vanishes with it.
                    let copy = copy;
                    import(&copy.store, "b", &format!("of {at}"));
                    match push(&copy.store, remote) {
                        Ok(_) => Some(head(&copy.store)),
                        Err(Error::Refused(_)) => None,
                        Err(error) => panic!("{error:?}"),
                    }
                })
            })
            .collect();
        pushers.into_iter().map(|pusher| pusher.join().unwrap()).collect()
    });
    let done: Vec<String> = done.into_iter().flatten().collect();
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(head(&clone(remote).store), done[0]);
}

fn places_that_are_in_use_are_refused(strange: &Place, other: &Place) {
    let (other, place) = (&other.remote, strange);
    let strange = &strange.remote;
    let here = first();
    push(&here.store, other).unwrap();
    assert!(matches!(push(&first().store, other), Err(Error::OtherStore { .. })));
    assert!(matches!(fetch(&TestStore::new().store, other), Err(Error::OtherStore { .. })));
    place.put("cat.jpg", b"meow");
    match push(&here.store, strange) {
        Err(Error::InUse(key)) => assert_eq!(key, "cat.jpg"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(try_clone(strange), Err(Error::Empty(_))));
}

/// A store that ignores conditions is told from one that keeps them.
#[test]
fn a_store_that_ignores_conditions_is_refused() {
    let careless = Arc::new(crate::faults::Careless(InMemory::new()));
    let error = Place::new(careless, "x").remote.probe(0).unwrap_err();
    assert!(error.to_string().contains("overwrites a key that must not exist"), "{error}");
}
