//! The one object that changes: reading it, and moving it by compare-and-swap.
//!
//! # Guarantees
//! - What became of a swap is told from the root that is there afterwards. An answer that says that
//!   the condition did not hold proves nothing: the request may have been sent twice.

use object_store::{PutMode, PutOptions, PutPayload, UpdateVersion};

use super::Remote;
use super::error::{Error, Result};
use super::layout::{Attempt, ROOT_KEY, Root};
use super::limits::{RECENT_MAX, RESEND_TRIES, ROOT_BYTES_MAX};

/// A root as it was read, with what its store needs to replace it.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) root: Root,
    version: UpdateVersion,
}

/// What became of a swap.
#[derive(Debug)]
pub(super) enum Swap {
    /// It is in.
    Done,
    /// It is not in, and cannot be any more: this is there.
    Moved(Option<Box<Read>>),
}

impl Remote {
    /// Reads the root; `None` where nothing was pushed yet.
    pub(super) async fn read_root(&self) -> Result<Option<Read>> {
        let Some((bytes, meta)) = self.get(ROOT_KEY, ROOT_BYTES_MAX as u64).await? else {
            return Ok(None);
        };
        let version = UpdateVersion { e_tag: meta.e_tag, version: meta.version };
        Ok(Some(Read { root: Root::parse(&bytes)?, version }))
    }

    /// Replaces the root that was read.
    pub(super) async fn swap_root(&self, base: Option<&Read>, new: &Root) -> Result<Swap> {
        let bytes = new.encode()?;
        let mut sent = 0;
        loop {
            let mode = match base {
                None => PutMode::Create,
                Some(read) => PutMode::Update(read.version.clone()),
            };
            sent += 1;
            self.count();
            let payload = PutPayload::from(bytes.clone());
            let path = self.path(ROOT_KEY);
            let done = self.store.put_opts(&path, payload, PutOptions::from(mode)).await;
            let Err(error) = done else { return Ok(Swap::Done) };
            let error = Error::request("write", ROOT_KEY, error);
            if error.is_denied() && sent == 1 {
                return Err(error);
            }
            let unknown = |source| Error::Unknown {
                attempt: new.attempt.to_string(),
                source: Box::new(source),
            };
            let found = self.read_root().await.map_err(unknown)?;
            let is_in =
                |found: &Root| found.attempt == new.attempt || found.recent.contains(&new.attempt);
            if found.as_ref().is_some_and(|found| is_in(&found.root)) {
                return Ok(Swap::Done);
            }
            let before = base.map(|read| read.root.attempt.clone());
            let after: Option<Attempt> = found.as_ref().map(|read| read.root.attempt.clone());
            let since = |found: &Root| {
                found.pushes().saturating_sub(base.map_or(0, |read| read.root.pushes()))
            };
            if before != after && found.as_ref().map_or(0, |f| since(&f.root)) >= RECENT_MAX as u64
            {
                // Ours may be among those that the root does not name any more.
                return Err(unknown(error));
            }
            if before != after {
                // The condition of every request that is still on its way fails from now on.
                return Ok(Swap::Moved(found.map(Box::new)));
            }
            // The root is as before, so the condition holds: the request did not get there, or
            // has not yet. It may be sent again, for only one of them can take effect.
            if sent == RESEND_TRIES {
                return Err(unknown(error));
            }
        }
    }
}
