//! A history as one file that stock git reads: a git bundle.
//!
//! # Guarantees
//! - Objects are read and written a few at a time; only their ids are held together.

use std::cell::Cell;
use std::io::Write;

use gix::ObjectId;
use gix::hash::Kind as HashKind;
use gix_pack::data::Version;
use gix_pack::data::output;

use super::History;
use super::delta::Packer;
use crate::error::{Error, IoContext, Result};
use crate::id::CommitId;

/// The ref of a bundle that is the commit it is about.
const TIP_REF: &str = "refs/audit/tip";

/// Objects that are encoded at a time.
const CHUNK_OBJECTS: usize = 256;

impl History {
    /// Writes all that a commit reaches, with the branches and tags that it has, and all notes.
    ///
    /// # Errors
    /// Where an object cannot be read, or `out` not be written.
    pub fn write_bundle(&self, tip: CommitId, out: &mut dyn Write) -> Result<()> {
        let refs = self.bundled_refs(tip)?;
        let tips: Vec<ObjectId> = refs.iter().map(|(_, id)| *id).collect();
        let objects = self.lacking(&tips, &[])?.objects;
        let mut head = "# v2 git bundle\n".to_owned();
        for (name, id) in &refs {
            head.push_str(&format!("{id} {name}\n"));
        }
        head.push('\n');
        out.write_all(head.as_bytes()).at("write", "the git bundle")?;
        let count = u32::try_from(objects.len())
            .map_err(|_| Error::Git { what: "too many objects for a pack".into(), source: None })?;
        let mut packer = Packer::default();
        // gix takes no errors but its own: ours ends the entries, and is looked at afterwards.
        let failed = Cell::new(None);
        let chunks = objects.chunks(CHUNK_OBJECTS).map_while(|ids| {
            let entries = ids.iter().map(|id| packer.entry(self.whole_object(*id)?));
            match entries.collect::<Result<Vec<output::Entry>>>() {
                Ok(entries) => Some(Ok::<_, gix::Error>(entries)),
                Err(error) => {
                    failed.set(Some(error));
                    None
                }
            }
        });
        let writer =
            output::bytes::FromEntriesIter::new(chunks, out, count, Version::V2, HashKind::Sha1);
        for written in writer {
            written.map_err(|e| Error::git("cannot write a git bundle", e))?;
        }
        failed.take().map_or(Ok(()), Err)
    }

    fn bundled_refs(&self, tip: CommitId) -> Result<Vec<(String, ObjectId)>> {
        let mut refs = vec![("HEAD".to_owned(), tip.0), (TIP_REF.to_owned(), tip.0)];
        for (name, id) in self.own_refs()? {
            if self.is_ancestor(self.peel(id)?, tip)? {
                refs.push((name, id));
            }
        }
        for name in self.refs_below("refs/notes/gloss-")? {
            refs.extend(self.ref_target(&name)?.map(|id| (name, id)));
        }
        refs.sort();
        Ok(refs)
    }
}
