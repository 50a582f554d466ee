//! A real S3 server, and connections to it that break.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use glossator_store::remote::Error;
use glossator_testkit::moto::Moto;
use glossator_testkit::proxy::{Moment, Proxy, Way};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, RetryConfig};

use crate::desk::*;

fn s3(moto: &Moto, secret: &str) -> Arc<AmazonS3> {
    through(moto, &moto.endpoint, &moto.bucket(), secret)
}

fn through(moto: &Moto, endpoint: &str, bucket: &str, secret: &str) -> Arc<AmazonS3> {
    let builder = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(bucket)
        .with_access_key_id(&moto.key)
        .with_secret_access_key(secret)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 2,
            retry_timeout: std::time::Duration::from_secs(20),
        });
    Arc::new(builder.build().unwrap())
}

#[test]
fn a_real_s3_server_holds() {
    let Some(moto) = Moto::start() else { return };
    crate::contract::holds(&|_| Place::new(s3(&moto, &moto.secret), ""));
}

#[test]
fn a_wrong_secret_is_one_refused_request() {
    let Some(moto) = Moto::start() else { return };
    let here = first();
    let place = Place::new(s3(&moto, "wrong"), "");
    moto.requests();
    match push(&here.store, &place.remote) {
        Err(Error::Denied { why, .. }) => assert_eq!(why, "SignatureDoesNotMatch"),
        other => panic!("{other:?}"),
    }
    let requests = moto.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
}

/// Each request of a push and of a fetch breaks once. The client sends again by itself, also what
/// has had its effect, and is then told that the condition does not hold: the push is in all the
/// same, and once.
#[test]
fn a_connection_that_breaks_once_costs_nothing() {
    let Some(moto) = Moto::start() else { return };
    // At which request, counted from the last reset, what happens.
    let fault: Arc<Mutex<Option<(u64, Way)>>> = Arc::default();
    let (now, seen) = (fault.clone(), Arc::new(AtomicU64::new(0)));
    let number = seen.clone();
    let proxy = Proxy::start(&moto.endpoint, move |_, moment| {
        if moment == Moment::After {
            return Way::Through;
        }
        let number = number.fetch_add(1, Ordering::SeqCst);
        let fault = now.lock().unwrap();
        fault.filter(|(at, _)| *at == number).map_or(Way::Through, |(_, way)| way)
    });
    let set = |to: Option<(u64, Way)>| {
        seen.store(0, Ordering::SeqCst);
        *fault.lock().unwrap() = to;
    };
    let bucket = moto.bucket();
    let place = Place::new(through(&moto, &proxy.endpoint, &bucket, &moto.secret), "");
    let here = first();
    push(&here.store, &place.remote).unwrap();
    let there = clone(&place.remote);
    let mut broken = 0;
    for at in 0..4 {
        for way in Way::FAULTS {
            import(&here.store, "a", &format!("{way:?} {at}"));
            set(Some((at, way)));
            push(&here.store, &place.remote).unwrap_or_else(|e| panic!("{way:?} at {at}: {e:?}"));
            broken += u32::from(seen.load(Ordering::SeqCst) > 4);
            set(Some((at, way)));
            fetch(&there.store, &place.remote).unwrap_or_else(|e| panic!("{way:?} at {at}: {e:?}"));
            set(None);
            let found = there.store.history.resolve("origin/main").unwrap().to_string();
            assert_eq!(found, head(&here.store), "{way:?} at {at}");
        }
    }
    assert!(broken >= 12, "only {broken} pushes were disturbed");
    sound(&there.store);
    let pushes = there.store.history.walk(there.store.history.resolve("origin/main").unwrap());
    assert_eq!(pushes.unwrap().count(), 17);
    assert!(place.remote.audit(&here.store, false, &glossator_store::remote::Silent).unwrap().ok);
}
