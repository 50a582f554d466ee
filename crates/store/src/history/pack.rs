//! Packs: encoded by gix in memory, written and synced by us. One a commit, folded when many.
//!
//! # Guarantees
//! - A pack is durable before its index, by which git finds it; a fold removes packs only after the
//!   one that holds all their objects is durable. Each object is hashed on the way.
//! - Whoever read the list of packs before a fold finds an object that is gone by reading it again,
//!   as git and gix do.
//!
//! # Limitations
//! - Packs with files beside their index were made by git itself, and are left alone.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::hash::Kind as HashKind;
use gix_pack::data::{Version, input, output};

use super::delta::{Packer, entry};
use super::{History, NewObject, PublishLock};
use crate::compaction::geometric;
use crate::error::{Error, Result};
use crate::limits::{GIT_OBJECT_BYTES_MAX, PACK_BYTES_MAX, PACKS_MAX};

/// A pack of ours.
#[derive(Debug, Clone)]
pub(crate) struct Pack {
    /// Its name without an extension.
    stem: String,
    bytes: u64,
}

impl History {
    /// Writes objects as a pack with its index.
    pub(crate) fn write_pack(&self, objects: Vec<NewObject>) -> Result<()> {
        if objects.is_empty() {
            // All of them are there: in a pack of a process that may have died before this.
            return self.disk.sync_dir(&self.dir.join("objects/pack"));
        }
        let entries = objects
            .iter()
            .map(|object| entry(object.id, output::entry::Kind::Base(object.kind), &object.data));
        self.write_encoded(entries.collect::<Result<_>>()?).map(drop)
    }

    /// Writes a pack, and gives its name without an extension; `None` where there is no object.
    pub(super) fn write_encoded(&self, entries: Vec<output::Entry>) -> Result<Option<String>> {
        if entries.is_empty() {
            return Ok(None);
        }
        let (pack, index, name) =
            encode(entries).map_err(|e| Error::git("cannot encode a pack", e))?;
        let dir = self.dir.join("objects/pack");
        let stem = format!("pack-{name}");
        // Git finds a pack by its index: that comes last.
        self.disk.put(&dir.join(format!("{stem}.pack")), &pack)?;
        self.disk.put(&dir.join(format!("{stem}.idx")), &index)?;
        Ok(Some(stem))
    }

    /// Whether packs are many: one look at the directory.
    pub(crate) fn packs_are_due(&self) -> Result<bool> {
        Ok(self.own_packs()?.iter().filter(|pack| pack.is_small()).count() >= PACKS_MAX)
    }

    /// Folds small packs into one, the smallest first and none that is much larger than those
    /// before it.
    pub(crate) fn fold_packs(&self, lock: &PublishLock) -> Result<()> {
        let mut packs = self.own_packs()?;
        packs.retain(Pack::is_small);
        if packs.len() < PACKS_MAX {
            return Ok(());
        }
        let sizes: Vec<u64> = packs.iter().map(|pack| pack.bytes).collect();
        packs.truncate(geometric(&sizes, PACK_BYTES_MAX));
        self.repack(lock, &packs, &|_| true)
    }

    /// The packs that we made, the smallest first.
    pub(crate) fn own_packs(&self) -> Result<Vec<Pack>> {
        let entries = self.disk.list(&self.dir.join("objects/pack"))?;
        let mut packs = Vec::new();
        // Sorted by name, the files of a pack stand together.
        let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
        for files in entries.chunk_by(|a, b| stem(&a.name) == stem(&b.name)) {
            if let [index, pack] = files
                && index.name.ends_with(".idx")
                && pack.name.ends_with(".pack")
            {
                packs.push(Pack { stem: stem(&pack.name), bytes: pack.len });
            }
            if files[0].name == "multi-pack-index" {
                // It names packs, which must then stay.
                return Ok(Vec::new());
            }
        }
        packs.sort_by(|a, b| (a.bytes, &a.stem).cmp(&(b.bytes, &b.stem)));
        Ok(packs)
    }

    /// The objects of packs.
    pub(crate) fn packed(&self, packs: &[Pack]) -> Result<BTreeSet<ObjectId>> {
        let mut ids = BTreeSet::new();
        for pack in packs {
            let path = self.dir.join(format!("objects/pack/{}.idx", pack.stem));
            let index = gix_pack::index::File::at(&path, HashKind::Sha1)
                .map_err(|e| Error::git(format!("cannot read `{}`", path.display()), e))?;
            ids.extend(index.iter().map(|entry| entry.oid));
        }
        Ok(ids)
    }

    /// Puts the objects of packs that are to be kept into one pack, and removes the others. The
    /// lock keeps a second process from the same work.
    pub(crate) fn repack(
        &self,
        _lock: &PublishLock,
        packs: &[Pack],
        keep: &dyn Fn(&ObjectId) -> bool,
    ) -> Result<()> {
        let ids = self.by_commit(self.packed(packs)?.into_iter().filter(keep))?;
        let mut packer = Packer::default();
        let entries = ids.into_iter().map(|id| packer.entry(self.whole_object(id)?));
        let made = self.write_encoded(entries.collect::<Result<_>>()?)?;
        let dir = self.dir.join("objects/pack");
        // A pack without an index is no pack; an index without its pack would be damage.
        for extension in ["idx", "pack"] {
            for pack in packs.iter().filter(|pack| made.as_ref() != Some(&pack.stem)) {
                self.disk.remove_file(&dir.join(format!("{}.{extension}", pack.stem)))?;
            }
            self.disk.sync_dir(&dir)?;
        }
        Ok(())
    }

    /// Leaves objects out of the packs that hold them. Returns how many.
    pub(crate) fn drop_packed(&self, lock: &PublishLock, gone: &BTreeSet<ObjectId>) -> Result<u64> {
        let mut dropped = 0;
        for pack in self.own_packs()? {
            let pack = [pack];
            let ids = self.packed(&pack)?;
            let here = ids.intersection(gone).count();
            if here > 0 {
                self.repack(lock, &pack, &|id| !gone.contains(id))?;
                dropped += here as u64;
            }
        }
        Ok(dropped)
    }

    /// Reads an object and checks it against its name: its other copy will go.
    pub(super) fn whole_object(&self, id: ObjectId) -> Result<NewObject> {
        let read = |e: gix::Error| Error::git(format!("cannot read {id}"), e);
        if self.repo.find_header(id).map_err(read)?.size() > GIT_OBJECT_BYTES_MAX {
            return Err(Error::damaged(id, "it is larger than an object may be"));
        }
        let object = self.repo.find_object(id).map_err(read)?.detach();
        let (kind, data) = (object.kind, object.data);
        if !gix::objs::compute_hash(HashKind::Sha1, kind, &data).is_ok_and(|hash| hash == id) {
            return Err(Error::damaged(id, "its bytes do not hash to its name"));
        }
        Ok(NewObject { id, kind, data })
    }
}

impl Pack {
    fn is_small(&self) -> bool {
        self.bytes < PACK_BYTES_MAX / 2
    }
}

type Encoded = (Vec<u8>, Vec<u8>, String);

fn encode(entries: Vec<output::Entry>) -> Result<Encoded, gix::Error> {
    let count = entries.len() as u32;
    let mut writer = output::bytes::FromEntriesIter::new(
        std::iter::once(Ok(entries)),
        Vec::new(),
        count,
        Version::V2,
        HashKind::Sha1,
    );
    for written in &mut writer {
        written?;
    }
    let name = writer.digest().map(|digest| digest.to_string()).unwrap_or_default();
    let pack = writer.into_write();
    let mut entries = input::BytesToEntriesIter::new_from_header(
        Cursor::new(&pack),
        input::Mode::Verify,
        input::EntryDataMode::Crc32,
        HashKind::Sha1,
    )?;
    let mut index = Vec::new();
    gix_pack::index::write_data_iter_to_stream(
        gix_pack::index::Version::default(),
        || Ok((entry_bytes, pack.clone())),
        &mut entries,
        Some(1),
        &mut gix::progress::Discard,
        &mut index,
        &AtomicBool::new(false),
        HashKind::Sha1,
        None,
        Version::V2,
    )?;
    Ok((pack, index, name))
}

#[allow(clippy::ptr_arg, reason = "gix asks for a function of what it was given")]
fn entry_bytes(range: std::ops::Range<u64>, pack: &Vec<u8>) -> Option<&[u8]> {
    pack.get(range.start as usize..range.end as usize)
}
