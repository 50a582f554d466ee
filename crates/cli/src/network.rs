//! What commands that talk to a remote share: finding it, and showing how far they are.

use std::time::Duration;

use glossator_store::Store;
use glossator_store::fs::Disk;
use glossator_store::history::Identity;
use glossator_store::remote::{Progress, Remote, RemoteConfig, RemoteEntry};
use indicatif::{ProgressBar, ProgressStyle};

use crate::context::Context;
use crate::error::Result;

/// A remote by name; none: `origin`, or the only one.
pub(crate) fn entry_of(store: &Store, name: Option<&str>) -> Result<(String, RemoteEntry)> {
    Ok(RemoteConfig::read(store)?.find(name)?)
}

/// Opens an address.
pub(crate) fn open(_context: &Context, url: &str) -> Result<Remote> {
    Ok(Remote::open(&Disk::default(), url)?)
}

/// Who moves refs that follow a remote: only the reflog says so, so it need not be known.
pub(crate) fn who(context: &Context, store: &Store) -> Identity {
    let nobody = || Identity {
        name: "gloss".to_owned(),
        email: String::new(),
        seconds: jiff::Timestamp::now().as_second(),
        offset: 0,
    };
    context.identities(store).map_or_else(|_| nobody(), |(_, committer)| committer)
}

/// A bar with bytes, rate and time left, where somebody watches.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(context: &Context) -> Self {
        let bar = if context.interactive() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template(
            "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn begin(&self, what: &str, bytes: u64) {
        self.0.set_message(what.to_owned());
        self.0.set_position(0);
        self.0.set_length(bytes);
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}
