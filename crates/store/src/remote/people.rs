//! Who annotators are travels only to remotes that were added for it.

use bytes::Bytes;

use super::Remote;
use super::error::{Error, Result};
use super::layout::{Attempt, Key, PeopleEntry, Root};
use super::limits::PEOPLE_BYTES_MAX;
use crate::id::Digest;
use crate::people::PeopleBundle;
use crate::store::Store;

/// What a root has that a store has not.
pub(super) enum NewPeople {
    None,
    Some(PeopleBundle),
    /// They went since the root was read.
    Gone,
}

impl Remote {
    /// The people of a root where they are others than those of the store.
    pub(super) async fn new_people(&self, store: &Store, root: &Root) -> Result<NewPeople> {
        let Some(entry) = &root.people else { return Ok(NewPeople::None) };
        if Digest::of(&store.people_bundle()?) == entry.digest {
            return Ok(NewPeople::None);
        }
        Ok(match self.read_people(entry).await? {
            Some(bytes) => NewPeople::Some(PeopleBundle::parse(&bytes)?),
            None => NewPeople::Gone,
        })
    }

    /// Reads people, checked against their digest; `None` where there are none.
    pub(super) async fn read_people(&self, entry: &PeopleEntry) -> Result<Option<Bytes>> {
        let key = entry.key.to_string();
        let Some((bytes, _)) = self.get(&key, entry.bytes).await? else { return Ok(None) };
        if Digest::of(&bytes) != entry.digest {
            return Err(Error::damaged(key, "its bytes do not hash to what the root says"));
        }
        Ok(Some(bytes))
    }

    /// Uploads the people of the store and of the root together, where they are others than those
    /// there. Gives what the next root says of them.
    pub(super) async fn send_people(
        &self,
        store: &Store,
        root: Option<&Root>,
    ) -> Result<Option<PeopleEntry>> {
        if let Some(root) = root {
            // Those that went meanwhile are not in the root that is there now.
            if let NewPeople::Some(people) = self.new_people(store, root).await? {
                store.take_people(people)?;
            }
        }
        let there = root.and_then(|root| root.people.as_ref());
        let bundle = store.people_bundle()?;
        let (digest, bytes) = (Digest::of(&bundle), bundle.len() as u64);
        if let Some(there) = there.filter(|there| there.digest == digest) {
            return Ok(Some(there.clone()));
        }
        if bytes > PEOPLE_BYTES_MAX {
            return Err(Error::damaged("people", format!("they are of {bytes} bytes")));
        }
        let epoch = root.map_or(0, |root| root.epoch);
        let key = Key::object(epoch, &Attempt::random()?, &digest);
        self.put(&key, Bytes::from(bundle)).await?;
        Ok(Some(PeopleEntry { key, digest, bytes }))
    }
}
