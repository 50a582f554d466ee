//! `remotes.toml`: what the store's remotes are called, and where they are. No secrets.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use crate::fs::Disk;
use crate::history::{Identity, RefName};
use crate::store::Store;

/// The remotes of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {
    /// By name.
    #[serde(default)]
    pub remotes: BTreeMap<String, RemoteEntry>,
}

/// One remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteEntry {
    /// Its address.
    pub url: String,
    /// Whether its store was seen to keep conditions.
    #[serde(default)]
    pub checked: bool,
    /// Whether who the annotators are travels there and back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_people: bool,
    /// Whether rows that are not here are there: they come when they are first read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rows_stay: bool,
}

const FILE: &str = "remotes.toml";

/// Forgets a remote, and where its branches were.
///
/// # Errors
/// [`Error::BadName`] where there is none of that name; [`Error::RowsLeft`] where rows that are not
/// here were left there.
pub fn forget(store: &Store, name: &str, who: &Identity) -> Result<RemoteEntry> {
    let entry = RemoteConfig::change(store, |config| {
        let none = || Error::BadName(format!("there is no remote `{name}`"));
        let entry = config.remotes.remove(name).ok_or_else(none)?;
        let left = if entry.rows_stay { store.objects_elsewhere()?.len() } else { 0 };
        if left > 0 {
            let what = format!("{left} objects of rows are at `{name}` and not here");
            return Err(Error::RowsLeft(what));
        }
        Ok(entry)
    })?;
    for followed in store.history.refs_below(&format!("refs/remotes/{name}/"))? {
        store.track(&followed, None, who, "remote: removed")?;
    }
    // What was fetched may go from now on, so the next fetch must not rely on it.
    for known in ["json", "uploaded"] {
        store.disk().remove_file(&store.root().join(format!("cache/remote/{name}.{known}")))?;
    }
    Ok(entry)
}

impl RemoteConfig {
    /// Reads the remotes of a store.
    ///
    /// # Errors
    /// Where the file does not read as it should.
    pub fn read(store: &Store) -> Result<Self> {
        Self::read_in(store.disk(), store.root())
    }

    /// Reads the remotes of the store in a directory.
    pub(crate) fn read_in(disk: &Disk, root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        let Some(bytes) = disk.read_optional(&path)? else { return Ok(Self::default()) };
        toml::from_str(&String::from_utf8_lossy(&bytes)).map_err(|e| {
            let what = e.message().to_owned();
            crate::Error::BadFile { path, what }.into()
        })
    }

    /// Changes the remotes of a store; of several at once, each change is kept.
    ///
    /// # Errors
    /// What the change says, and those of reading and writing.
    pub fn change<T>(store: &Store, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let _lock = store.history.lock(&store.lock_path())?;
        let mut config = Self::read(store)?;
        let made = change(&mut config)?;
        let path = store.root().join(FILE);
        let text = toml::to_string(&config)
            .map_err(|e| crate::Error::BadFile { path: path.clone(), what: e.to_string() })?;
        store.disk().write(&path, text.as_bytes())?;
        Ok(made)
    }

    /// A remote by name; none: `origin`, or the only one.
    ///
    /// # Errors
    /// [`Error::BadName`] where there is none, or several.
    pub fn find(&self, name: Option<&str>) -> Result<(String, RemoteEntry)> {
        let found = match name {
            Some(name) => self.remotes.get_key_value(name),
            None if self.remotes.len() == 1 => self.remotes.first_key_value(),
            None => self.remotes.get_key_value("origin"),
        };
        let found = found.map(|(name, entry)| (name.clone(), entry.clone()));
        found.ok_or_else(|| {
            Error::BadName(match name {
                Some(name) => format!("there is no remote `{name}`"),
                None if self.remotes.is_empty() => "there is no remote".to_owned(),
                None => "there are several remotes, and none is `origin`".to_owned(),
            })
        })
    }

    /// Adds a remote.
    ///
    /// # Errors
    /// [`Error::BadName`] where the name is taken, or is none.
    pub fn add(&mut self, name: &str, entry: RemoteEntry) -> Result<()> {
        name.parse::<RefName>()?;
        if let Some(old) = self.remotes.get(name) {
            return Err(Error::BadName(format!("`{name}` is the remote at {} already", old.url)));
        }
        self.remotes.insert(name.to_owned(), entry);
        Ok(())
    }
}
