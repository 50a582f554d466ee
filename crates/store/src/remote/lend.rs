//! Objects that a clone of the history left at its remote: each comes when it is first read.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::config::RemoteConfig;
use super::download::Places;
use super::error::{Error, Result};
use super::logs::LogCache;
use super::{Remote, Silent, block_on};
use crate::fs::Disk;
use crate::id::Digest;
use crate::objects::{Lender, Objects};

/// The remote that a store's rows were left at.
#[derive(Debug)]
pub(crate) struct RemoteLender {
    disk: Disk,
    root: PathBuf,
    store_id: String,
    url: String,
    /// Opened with the first object that is asked for.
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    remote: Remote,
    places: Places,
}

impl RemoteLender {
    /// The lender of the store in `root`, where it has one.
    pub(crate) fn of(disk: &Disk, root: &Path, store_id: &str) -> Result<Option<Self>> {
        let config = RemoteConfig::read_in(disk, root)?;
        let lender = config.remotes.into_values().find(|entry| entry.rows_stay);
        Ok(lender.map(|entry| Self {
            disk: disk.clone(),
            root: root.to_owned(),
            store_id: store_id.to_owned(),
            url: entry.url,
            open: Mutex::default(),
        }))
    }

    async fn connect(&self, remote: Remote) -> Result<Open> {
        let cache = LogCache::at(&self.disk, &self.root);
        let places = remote.places_now(&cache, &self.store_id, &Silent).await?;
        Ok(Open { remote, places })
    }

    async fn fetch(
        &self,
        open: &mut Option<Open>,
        objects: &Objects,
        wanted: &Digest,
    ) -> Result<()> {
        // Where an object went elsewhere since the remote was opened, it is opened again.
        for _ in 0..2 {
            let at = match open.take() {
                Some(at) => at,
                None => self.connect(Remote::open(&self.disk, &self.url)?).await?,
            };
            if at.places.get(wanted).is_some()
                && at.remote.download(objects, &at.places, &[*wanted], &Silent).await?
            {
                *open = Some(at);
                return Ok(());
            }
        }
        Err(gone(wanted))
    }
}

fn gone(wanted: &Digest) -> Error {
    Error::damaged(wanted, "it is neither here nor at the remote that it was left at")
}

impl Lender for RemoteLender {
    fn lend(&self, objects: &Objects, wanted: &Digest) -> crate::Result<()> {
        // On a thread of its own: whoever reads may be within requests already.
        let fetched = std::thread::scope(|scope| {
            let fetched = || {
                let mut open = self.open.lock().map_err(|_| gone(wanted))?;
                block_on(self.fetch(&mut open, objects, wanted))
            };
            scope.spawn(fetched).join()
        });
        let why = match fetched {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Error::Store(error))) => return Err(error),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the thread of the request stopped".to_owned(),
        };
        let (object, from) = (wanted.to_string(), self.url.clone());
        Err(crate::Error::NotLent { object, from, why })
    }
}
