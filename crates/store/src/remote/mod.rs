//! Remotes: a copy of a store under a prefix of S3, of GCS, or in a directory.
//!
//! `schemas/remote-v1.md` has the layout and the protocol. One object changes, `root`, by
//! compare-and-swap; all others are written once and named by what they hold.
//!
//! # Guarantees
//! - A push is in or not in, as a whole, whenever its process or the network ends. Its outcome is
//!   told by what the root says, never by an error alone.
//! - Nothing that a remote says is believed: digests, lengths, names and the graph are checked
//!   before a ref of the local store moves, and nothing else of it is visible before.
//! - No clock decides anything. LIST is asked only where a remote has no root yet.

mod audit;
mod clone;
mod collect;
mod config;
mod directory;
mod download;
pub mod error;
mod fetch;
mod journal;
mod layout;
mod lend;
pub mod limits;
mod log;
mod logs;
mod moves;
mod people;
mod probe;
mod pull;
mod push;
mod quarantine;
mod rows;
mod swap;
mod upload;
mod url;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

pub use audit::{RemoteFinding, RemoteReport};
pub use clone::{CloneRequest, clone_store};
pub use collect::Collected;
pub use config::{RemoteConfig, RemoteEntry, forget};
pub use directory::Directory;
pub use error::{Error, Refusal, Result, Why};
pub use fetch::{FetchReport, RefChange, fetch_commit};
pub use layout::{Attempt, Key, LogEntry, PeopleEntry, RemoteRef, Root};
pub(crate) use lend::RemoteLender;
pub use probe::Probe;
pub use pull::{Allow, PullReport};
pub use push::{PushReport, PushRequest};

/// Who is told how far work is.
pub trait Progress: Sync {
    /// What is done now, and how many bytes it is of.
    fn begin(&self, what: &str, bytes: u64);
    /// So many bytes more are done.
    fn advance(&self, bytes: u64);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
}

/// A place where a store may be.
#[derive(Clone)]
pub struct Remote {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    address: String,
    /// Requests that were made.
    requests: Arc<AtomicU64>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Remote {
    /// Uses a prefix of an object store. The address is for people.
    pub fn over(store: Arc<dyn ObjectStore>, prefix: Path, address: &str) -> Self {
        let requests = Arc::default();
        Self { store, prefix, address: address.to_owned(), requests }
    }

    /// What people call it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Requests that were made so far; what is sent again by itself counts once.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn path(&self, key: &str) -> Path {
        key.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads a whole object of at most so many bytes; `None` where there is none.
    async fn get(&self, key: &str, most: u64) -> Result<Option<(Bytes, object_store::ObjectMeta)>> {
        self.count();
        let path = self.path(key);
        let failed = |e| Error::request("read", key, e);
        let found = match self.store.get_opts(&path, GetOptions::default()).await {
            Err(error) if error::is_absent(&error) => return Ok(None),
            done => done.map_err(failed)?,
        };
        let meta = found.meta.clone();
        let bytes = read_limited(key, found, most).await?;
        Ok(Some((bytes, meta)))
    }

    /// Reads a range; `None` where there is no such object.
    async fn range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        if range.is_empty() {
            return Ok(Some(Bytes::new()));
        }
        self.count();
        let options =
            GetOptions { range: Some(GetRange::Bounded(range.clone())), ..Default::default() };
        let found = match self.store.get_opts(&self.path(key), options).await {
            Err(error) if error::is_absent(&error) => return Ok(None),
            Err(error) => {
                let failed = Error::request("read", key, error);
                // A range beyond the end is refused by some stores: that is damage.
                return match self.len(key).await {
                    Ok(Some(len)) if len < range.end => {
                        Err(Error::damaged(key, "it is shorter than the log says"))
                    }
                    _ => Err(failed),
                };
            }
            Ok(found) => found,
        };
        let bytes = read_limited(key, found, range.end - range.start).await?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(Error::damaged(key, "it is shorter than the log says"));
        }
        Ok(Some(bytes))
    }

    /// The length of an object; `None` where there is none.
    async fn len(&self, key: &str) -> Result<Option<u64>> {
        self.count();
        match self.store.head(&self.path(key)).await {
            Err(error) if error::is_absent(&error) => Ok(None),
            done => done.map(|found| Some(found.size)).map_err(|e| Error::request("read", key, e)),
        }
    }

    /// Writes an object under a key that no other ever has.
    async fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.count();
        let (key, options) = (key.to_string(), PutOptions::from(PutMode::Overwrite));
        let done = self.store.put_opts(&self.path(&key), PutPayload::from(bytes), options).await;
        done.map(drop).map_err(|e| Error::request("write", &key, e))
    }

    /// Lists up to so many keys below the prefix.
    async fn list(&self, most: usize) -> Result<Vec<String>> {
        self.count();
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let failed = |e| Error::request("list", self.prefix.as_ref(), e);
        let found: Vec<_> =
            self.store.list(prefix).take(most).try_collect().await.map_err(failed)?;
        let inner = |path: &Path| {
            let parts = path.prefix_match(&self.prefix)?;
            Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        Ok(found.iter().filter_map(|meta| inner(&meta.location)).collect())
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.count();
        match self.store.delete(&self.path(key)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            done => done.map_err(|e| Error::request("remove", key, e)),
        }
    }
}

async fn read_limited(key: &str, found: object_store::GetResult, most: u64) -> Result<Bytes> {
    let too_long = || Error::damaged(key, format!("it is longer than {most} bytes"));
    // What it says of its own length first, then what comes.
    if found.range.end.saturating_sub(found.range.start) > most {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    let mut stream = found.into_stream();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|e| Error::request("read", key, e))?;
        if (bytes.len() + part.len()) as u64 > most {
            return Err(too_long());
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Bytes::from(bytes))
}

/// Runs requests on this thread until they are done.
///
/// # Errors
/// What the future says, or that the system has no means to wait for sockets.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| crate::Error::Io {
        action: "start requests on",
        path: "the network".into(),
        source,
    })?;
    runtime.block_on(future)
}
