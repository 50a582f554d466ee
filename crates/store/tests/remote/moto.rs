//! A real S3 server: the contract, faults of connections left aside.

use std::sync::Arc;

use glossator_store::remote::Error;
use glossator_testkit::moto::Moto;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, RetryConfig};

use crate::desk::*;

fn s3(moto: &Moto, secret: &str) -> Arc<AmazonS3> {
    let builder = AmazonS3Builder::new()
        .with_endpoint(&moto.endpoint)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(moto.bucket())
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
