//! Requests that go wrong, each in turn, and stores that promise less.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use glossator_store::Store;
use glossator_store::fs::Disk;
use glossator_store::remote::{Error, PushRequest, Remote, Silent};
use glossator_testkit::remote::{FaultStore, RemoteFault};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::desk::*;

/// Writes whatever the condition says.
#[derive(Debug)]
pub struct Careless(pub InMemory);

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("careless")
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, o: PutOptions) -> Result<PutResult> {
        self.0.put_opts(at, bytes, PutOptions { mode: PutMode::Overwrite, ..o }).await
    }
    async fn put_multipart_opts(
        &self,
        at: &Path,
        o: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(at, o).await
    }
    async fn get_opts(&self, at: &Path, o: GetOptions) -> Result<GetResult> {
        self.0.get_opts(at, o).await
    }
    fn delete_stream(
        &self,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(at)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, o: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, o).await
    }
}

/// A remote with a fault over a copy of what is in memory.
fn faulty(
    memory: &InMemory,
    fault: Option<(u64, RemoteFault)>,
) -> (Arc<FaultStore>, Remote, Place) {
    let inner: Arc<dyn ObjectStore> = Arc::new(memory.fork());
    let store = Arc::new(FaultStore::new(inner.clone(), fault));
    let remote = Place::new(store.clone(), "labels").remote;
    (store, remote, Place::new(inner, "labels"))
}

/// Every request of a push, and every kind of fault: the remote is at the old commit or at the new
/// one, what the push says of it is true, and pushing again makes it the new one.
#[test]
fn a_push_is_in_or_not_whatever_happens_to_a_request() {
    for first_push in [true, false] {
        let here = first();
        let memory = InMemory::new();
        let place = Place::new(Arc::new(memory.fork()), "labels");
        let old = head(&here.store);
        let base = if first_push {
            memory
        } else {
            let shared = Arc::new(memory);
            push(&here.store, &Place::new(shared.clone(), "labels").remote).unwrap();
            import(&here.store, "b", "two");
            shared.fork()
        };
        drop(place);
        let new = head(&here.store);
        let (counter, remote, _) = faulty(&base, None);
        push(&here.store, &remote).unwrap();
        let requests = counter.requests();
        assert!((4..=6).contains(&requests), "{requests} requests");
        let mut outcomes = [0; 3];
        for at in 0..requests {
            for fault in RemoteFault::ALL {
                let (_, remote, after) = faulty(&base, Some((at, fault)));
                let result = push(&here.store, &remote);
                let is_in = match try_clone(&after.remote) {
                    Err(Error::Empty(_)) if first_push => false,
                    Err(error) => panic!("{fault:?} at {at}: {error:?}"),
                    Ok(copy) => {
                        sound(&copy.store);
                        let found = head(&copy.store);
                        assert!(found == new || found == old, "{fault:?} at {at}: {found}");
                        found == new
                    }
                };
                match &result {
                    Ok(_) => {
                        assert!(is_in, "{fault:?} at {at}: done, and not in");
                        outcomes[0] += 1;
                    }
                    Err(Error::Unknown { .. }) => outcomes[2] += 1,
                    Err(error) => {
                        assert!(!is_in, "{fault:?} at {at}: in, and {error:?}");
                        outcomes[1] += 1;
                    }
                }
                push(&here.store, &after.remote).unwrap();
                assert_eq!(head(&clone(&after.remote).store), new, "{fault:?} at {at}");
            }
        }
        assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
    }
}

/// Every request of a clone and of a fetch, and every kind of fault: it gives what was pushed, or
/// an error and no change; and again gives what was pushed.
#[test]
fn a_fetch_gives_what_was_pushed_or_nothing() {
    let here = first();
    let shared = Arc::new(InMemory::new());
    let place = Place::new(shared.clone(), "labels");
    push(&here.store, &place.remote).unwrap();
    let old = head(&here.store);
    let behind = shared.fork();
    import(&here.store, "b", "two");
    push(&here.store, &place.remote).unwrap();
    let base = shared.fork();
    let new = head(&here.store);
    let (counter, remote, _) = faulty(&base, None);
    drop(clone(&remote));
    let mut failed = 0;
    for at in 0..counter.requests() {
        for fault in RemoteFault::ALL {
            let (_, remote, whole) = faulty(&base, Some((at, fault)));
            let dir = glossator_testkit::scratch();
            let store = match try_clone_into(dir.path(), &remote) {
                Ok(store) => store,
                Err(_) => {
                    failed += 1;
                    assert!(!dir.path().join(".gloss/config.toml").exists(), "half a store");
                    try_clone_into(dir.path(), &whole.remote).unwrap()
                }
            };
            assert_eq!(head(&store), new, "{fault:?} at {at}");
            sound(&store);

            let there = clone(&Place::new(Arc::new(behind.fork()), "labels").remote);
            let (_, remote, whole) = faulty(&base, Some((at, fault)));
            if fetch(&there.store, &remote).is_err() {
                failed += 1;
                let seen = there.store.history.resolve("origin/main").unwrap();
                assert_eq!(seen.to_string(), old, "{fault:?} at {at}");
                sound(&there.store);
                fetch(&there.store, &whole.remote).unwrap();
            }
            let seen = there.store.history.resolve("origin/main").unwrap();
            assert_eq!(seen.to_string(), new, "{fault:?} at {at}");
            sound(&there.store);
        }
    }
    assert!(failed > 10, "{failed} faults were noticed");
}

/// An answer that says that the condition did not hold, for our own write, is no refusal.
#[test]
fn our_own_success_is_not_taken_for_defeat() {
    let here = first();
    let (counter, remote, _) = faulty(&InMemory::new(), None);
    push(&here.store, &remote).unwrap();
    let last = counter.requests() - 1;
    let (_, remote, after) = faulty(&InMemory::new(), Some((last, RemoteFault::Twice)));
    push(&here.store, &remote).unwrap();
    assert_eq!(head(&clone(&after.remote).store), head(&here.store));
}

/// Our answer is lost, and before we read back others push on top of ours, so often that its log is
/// put together with theirs: it is in all the same, and not refused.
#[test]
fn a_push_that_others_have_built_upon_is_done() {
    let here = first();
    let inner = Arc::new(InMemory::new());
    push(&here.store, &Place::new(inner.clone(), "labels").remote).unwrap();
    import(&here.store, "b", "ours");
    let ours = head(&here.store);
    let other = Place::new(inner.clone(), "labels");
    let hook = move || {
        let copy = clone(&other.remote);
        for at in 0..10 {
            import(&copy.store, "c", &format!("theirs {at}"));
            push(&copy.store, &other.remote).unwrap();
        }
    };
    // The root is the fourth request; what is read back the fifth.
    let store = FaultStore::new(inner.clone(), Some((3, RemoteFault::LostReply)));
    let store = Arc::new(store.meanwhile(4, hook));
    let report = push(&here.store, &Place::new(store.clone(), "labels").remote).unwrap();
    assert_eq!(report.refs[0].new.as_ref(), Some(&ours));
    assert_eq!(store.requests(), 5);
    let copy = clone(&Place::new(inner, "labels").remote);
    let log: Vec<_> = copy
        .store
        .history
        .walk(copy.store.history.head().unwrap().commit.unwrap())
        .unwrap()
        .map(|id| id.unwrap().to_string())
        .collect();
    assert_eq!(log.len(), 12);
    assert!(log.contains(&ours));
}

/// Somebody pushes another branch first while a push uploads, and here somebody commits and tags
/// meanwhile: what is published is what was uploaded, not what the branch is at by then. Every
/// request is tried as the moment at which both happen.
#[test]
fn a_push_that_lost_a_race_publishes_what_it_uploaded() {
    let mut moved = 0;
    for at in 0..8 {
        let here = first();
        let inner = Arc::new(InMemory::new());
        push(&here.store, &Place::new(inner.clone(), "labels").remote).unwrap();
        import(&here.store, "b", "uploaded");
        let (path, other) = (here.store.root().to_owned(), Place::new(inner.clone(), "labels"));
        let hook = move || {
            let copy = clone(&other.remote);
            let (store, name) = (&copy.store, "other".parse().unwrap());
            let base = store.history.head().unwrap().commit.unwrap();
            store.make_ref(false, &name, base, &glossator_testkit::identity(), None).unwrap();
            let one = PushRequest { branches: vec![name], ..request() };
            other.remote.push(store, &one, &Silent).unwrap();
            let here = Store::open(&Disk::default(), &path).unwrap();
            let late = import(&here, "c", "late");
            let tag = "late".parse().unwrap();
            here.make_ref(true, &tag, late, &glossator_testkit::identity(), None).unwrap();
        };
        let store = Arc::new(FaultStore::new(inner.clone(), None).meanwhile(at, hook));
        let report = push(&here.store, &Place::new(store.clone(), "labels").remote).unwrap();
        if store.requests() <= at {
            continue;
        }
        moved += 1;
        let copy = clone(&Place::new(inner.clone(), "labels").remote);
        sound(&copy.store);
        assert_eq!(report.refs[0].new, Some(head(&copy.store)), "request {at}");
        assert!(copy.store.history.resolve("origin/other").is_ok());
        // The commit that came meanwhile, and its tag, go with the next push.
        push(&here.store, &Place::new(inner.clone(), "labels").remote).unwrap();
        let copy = clone(&Place::new(inner, "labels").remote);
        sound(&copy.store);
        let items: Vec<String> = labels(&copy.store).into_iter().map(|(item, _)| item).collect();
        assert_eq!(items, ["a", "b", "c"]);
        assert_eq!(copy.store.history.resolve("late").unwrap().to_string(), head(&copy.store));
    }
    assert!(moved >= 4, "only {moved} pushes went on with a hook");
}
