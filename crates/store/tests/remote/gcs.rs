//! The protocol of Google Cloud Storage, against a fake of it.

use std::sync::Arc;

use glossator_testkit::gcs_fake::FakeGcs;
use object_store::ClientOptions;
use object_store::gcp::GoogleCloudStorageBuilder;

use crate::desk::*;

#[test]
fn a_fake_of_google_cloud_storage_holds() {
    let fake = FakeGcs::start();
    crate::contract::holds(&|name| {
        let store = GoogleCloudStorageBuilder::new()
            .with_bucket_name("labels")
            .with_service_account_key(fake.service_account())
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .build()
            .unwrap();
        Place::new(Arc::new(store), &format!("team/{name}"))
    });
}
