//! Addresses of remotes, and the credentials that go with them.
//!
//! Credentials and endpoints come from the environment and from the profiles of the clouds' own
//! tools, never from the store, and are never written into it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as StorePath;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::Remote;
use super::directory::Directory;
use super::error::{Error, Result};
use crate::fs::Disk;

/// How long a request may take before it is tried again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request that failed on the way is sent again, and for how long.
const RETRIES_MAX: usize = 4;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

impl Remote {
    /// Opens `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///directory`. Nothing is asked of
    /// it yet.
    ///
    /// # Errors
    /// [`Error::BadUrl`].
    pub fn open(disk: &Disk, address: &str) -> Result<Self> {
        let shown = address.split_once('@').map_or(address, |(_, rest)| rest).to_owned();
        let bad = |why: &str| Error::BadUrl { url: shown.clone(), why: why.to_owned() };
        let url = Url::parse(address)
            .map_err(|_| bad("it is not of the form s3://…, gs://… or file:///…"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("credentials come from the environment, not from the address"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has a `?` or a `#`"));
        }
        if url.scheme() == "file" {
            let dir = url.to_file_path().map_err(|()| bad("it is no absolute path"))?;
            let store = Arc::new(Directory::new(disk, dir));
            return Ok(Self::over(store, StorePath::default(), address));
        }
        let bucket = url.host_str().filter(|host| !host.is_empty());
        let bucket = bucket.ok_or_else(|| bad("it names no bucket"))?;
        let prefix = StorePath::from_url_path(url.path())
            .map_err(|_| bad("its path has empty parts, `.` or `..`"))?;
        let failed = |e: object_store::Error| Error::BadUrl {
            url: shown.clone(),
            why: format!("it cannot be used: {e}"),
        };
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            "s3" => Arc::new(s3(bucket).build().map_err(failed)?),
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(bucket)
                    .with_client_options(client())
                    .with_retry(retry());
                Arc::new(builder.build().map_err(failed)?)
            }
            _ => return Err(bad("the scheme is none of s3, gs and file")),
        };
        Ok(Self::over(store, prefix, address))
    }
}

fn client() -> ClientOptions {
    ClientOptions::new()
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_allow_http(true)
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
    }
}

fn s3(bucket: &str) -> AmazonS3Builder {
    use AmazonS3ConfigKey as Config;
    let mut builder = AmazonS3Builder::from_env();
    let profile = profile();
    let has_key = builder.get_config_value(&Config::AccessKeyId).is_some();
    let from_profile = [
        ("aws_access_key_id", Config::AccessKeyId, !has_key),
        ("aws_secret_access_key", Config::SecretAccessKey, !has_key),
        ("aws_session_token", Config::Token, !has_key),
        ("region", Config::Region, true),
        ("endpoint_url", Config::Endpoint, true),
    ];
    for (name, key, wanted) in from_profile {
        if let (true, None, Some(value)) =
            (wanted, builder.get_config_value(&key), profile.get(name))
        {
            builder = builder.with_config(key, value);
        }
    }
    // The name that the other tools use for the endpoint of this service alone.
    if let Ok(endpoint) = std::env::var("AWS_ENDPOINT_URL_S3") {
        builder = builder.with_endpoint(endpoint);
    }
    builder.with_bucket_name(bucket).with_client_options(client()).with_retry(retry())
}

/// What the profile of `AWS_PROFILE` says, in `~/.aws/config`, then in `~/.aws/credentials`.
fn profile() -> HashMap<String, String> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let place = |name: &str, usual: &str| {
        std::env::var_os(name).map_or_else(|| home.join(".aws").join(usual), PathBuf::from)
    };
    let name = std::env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
    let mut found = HashMap::new();
    let config = if name == "default" { name.clone() } else { format!("profile {name}") };
    read_section(&place("AWS_CONFIG_FILE", "config"), &config, &mut found);
    read_section(&place("AWS_SHARED_CREDENTIALS_FILE", "credentials"), &name, &mut found);
    found
}

fn read_section(path: &Path, section: &str, into: &mut HashMap<String, String>) {
    // A file that is not there, or not ours to read, says nothing.
    let Ok(Some(bytes)) = Disk::default().read_optional(path) else { return };
    into.extend(section_of(&String::from_utf8_lossy(&bytes), section));
}

/// The settings of a section of an INI file; nested ones, which are indented, are passed over.
fn section_of(text: &str, section: &str) -> Vec<(String, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.trim().strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = name.trim() == section;
        } else if let (true, Some((key, value))) = (inside, line.split_once('='))
            && !line.starts_with([' ', '\t', '#', ';'])
        {
            found.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused_with_the_reason() {
        for (address, why) in [
            ("labels", "not of the form"),
            ("/tmp/labels", "not of the form"),
            ("http://example.com/labels", "none of s3, gs and file"),
            ("s3://", "no bucket"),
            ("s3:///labels", "no bucket"),
            ("s3://key:secret@bucket/labels", "credentials come from the environment"),
            ("s3://bucket/labels?x=1", "a `?`"),
            ("s3://bucket/a//b", "empty parts"),
            ("file://host/labels", "no absolute path"),
        ] {
            let error = Remote::open(&Disk::default(), address).unwrap_err().to_string();
            assert!(error.contains(why), "{address}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let remote = Remote::open(&Disk::default(), "file:///labels/a%20b").unwrap();
        assert_eq!(remote.address(), "file:///labels/a%20b");
    }

    #[test]
    fn a_profile_is_its_section() {
        let text = "[default]\nregion = eu-1\n[profile x]\n# no = no\nRegion=eu-2\n\
                    s3 =\n  addressing_style = path\nendpoint_url = http://[::1]:9000\n";
        let found = section_of(text, "profile x");
        let expected = [("region", "eu-2"), ("s3", ""), ("endpoint_url", "http://[::1]:9000")];
        assert_eq!(found, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(section_of(text, "default").len(), 1);
        assert!(section_of(text, "x").is_empty());
    }
}
