//! One pack a commit: encoded by gix in memory, written and synced by us.

use std::io::Cursor;
use std::sync::atomic::AtomicBool;

use gix::hash::Kind as HashKind;
use gix_pack::data::{Version, input, output};

use super::{History, NewObject};
use crate::error::{Error, Result};

impl History {
    /// Writes objects as a pack with its index. Nothing to write is fine.
    pub(crate) fn write_pack(&self, objects: Vec<NewObject>) -> Result<()> {
        if objects.is_empty() {
            return Ok(());
        }
        let (pack, index, name) =
            encode(&objects).map_err(|e| Error::git("cannot encode a pack", e))?;
        let dir = self.dir.join("objects/pack");
        // Git finds a pack by its index: that comes last.
        self.disk.put(&dir.join(format!("pack-{name}.pack")), &pack)?;
        self.disk.put(&dir.join(format!("pack-{name}.idx")), &index)
    }
}

type Encoded = (Vec<u8>, Vec<u8>, String);

fn encode(objects: &[NewObject]) -> Result<Encoded, gix::Error> {
    let entries = objects
        .iter()
        .map(|object| {
            let count = output::Count::from_data(object.id, None);
            let data = gix::objs::Data::new(&object.data, object.kind, HashKind::Sha1);
            output::Entry::from_data(&count, &data, gix::zlib::Compression::DEFAULT)
        })
        .collect::<Result<Vec<_>, _>>()?;
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
