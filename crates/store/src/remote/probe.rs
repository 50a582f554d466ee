//! Whether a store keeps what pushes rely on, asked of the very place.

use bytes::Bytes;
use object_store::{PutMode, PutOptions, PutPayload, UpdateVersion};

use super::error::{Error, Result};
use super::layout::Attempt;
use super::limits::CLOCK_DRIFT_SECONDS;
use super::{Remote, block_on};

/// Below which keys are probed.
pub(super) const PREFIX: &str = "check/";

/// What a probe found; all of it holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Probe {
    /// What was seen to work.
    pub works: Vec<&'static str>,
    /// How far the clock there is ahead of the one here, in seconds; null where they are close.
    pub clock_ahead_seconds: Option<i64>,
    /// Whether something was pushed there.
    pub holds_store: bool,
}

impl Remote {
    /// Probes the remote: conditional create and update, a list after a write, ranges, removal, and
    /// clocks; `now` is in seconds since 1970 UTC. What it writes it removes.
    ///
    /// # Errors
    /// [`Error::Unsafe`] where the store ignores a condition or does not know it.
    pub fn probe(&self, now: i64) -> Result<Probe> {
        block_on(self.probe_async(now))
    }

    async fn probe_async(&self, now: i64) -> Result<Probe> {
        let key = format!("{PREFIX}{}", Attempt::random()?);
        let holds_store = self.read_root().await?.is_some();
        let found = self.probe_key(&key, now).await;
        let removed = self.remove(&key).await;
        let (mut works, clock_ahead_seconds) = found?;
        removed?;
        works.push("removal");
        Ok(Probe { works, clock_ahead_seconds, holds_store })
    }

    async fn probe_key(&self, key: &str, now: i64) -> Result<(Vec<&'static str>, Option<i64>)> {
        let unsafe_ = |what: &str| Err(Error::Unsafe(what.to_owned()));
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        let version = match self.try_put(key, &first, PutMode::Create).await {
            Ok(done) => UpdateVersion { e_tag: done.e_tag, version: done.version },
            Err(
                object_store::Error::NotImplemented { .. }
                | object_store::Error::NotSupported { .. },
            ) => {
                return unsafe_("it cannot write on a condition");
            }
            Err(error) => return Err(Error::request("write", key, error)),
        };
        if self.try_put(key, &second, PutMode::Create).await.is_ok() {
            return unsafe_("it overwrites a key that must not exist (`If-None-Match: *`)");
        }
        let wrong = match (&version.e_tag, &version.version) {
            (_, Some(_)) => UpdateVersion { e_tag: None, version: Some("1".to_owned()) },
            _ => {
                let e_tag = Some(format!("\"{}\"", "0".repeat(32)));
                UpdateVersion { e_tag, version: None }
            }
        };
        if self.try_put(key, &second, PutMode::Update(wrong)).await.is_ok() {
            return unsafe_("it overwrites a key that has another tag (`If-Match`)");
        }
        let Some((bytes, meta)) = self.get(key, 16).await? else {
            return unsafe_("a key that was just written is not there");
        };
        if bytes != first {
            return unsafe_("a refused write took effect");
        }
        let version = UpdateVersion { e_tag: meta.e_tag, version: meta.version };
        if let Err(error) = self.try_put(key, &second, PutMode::Update(version)).await {
            let what = "it refuses an update with the right tag, so nothing could be pushed twice";
            return unsafe_(&format!("{what} ({})", first_line(&error)));
        }
        if self.range(key, 1..4).await?.as_deref() != Some(b"eco") {
            return unsafe_("it does not give ranges");
        }
        if !self.list(1_000).await?.iter().any(|found| found == key) {
            return unsafe_("a key that was just written is not listed");
        }
        let ahead = meta.last_modified.timestamp() - now;
        let drift = (ahead.abs() > CLOCK_DRIFT_SECONDS).then_some(ahead);
        Ok((vec!["conditional create", "conditional update", "ranges", "list after write"], drift))
    }

    async fn try_put(
        &self,
        key: &str,
        bytes: &Bytes,
        mode: PutMode,
    ) -> object_store::Result<object_store::PutResult> {
        self.count();
        let payload = PutPayload::from(bytes.clone());
        self.store.put_opts(&self.path(key), payload, PutOptions::from(mode)).await
    }
}

fn first_line(error: &object_store::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
