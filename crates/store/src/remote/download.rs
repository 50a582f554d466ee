//! Downloading objects: ranges of files, checked against the digests that commits name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::ops::Range;

use futures_util::{StreamExt, stream};

use super::error::{Error, Result};
use super::layout::Key;
use super::limits::{FILE_BYTES_MAX, GAP_BYTES_MAX, PARALLEL};
use super::log::PartHead;
use super::{Progress, Remote};
use crate::error::IoContext;
use crate::id::Digest;
use crate::objects::Objects;

/// Where objects are, by what logs say.
#[derive(Debug, Default)]
pub(super) struct Places {
    found: HashMap<Digest, (Key, Range<u64>)>,
}

impl Places {
    pub(super) fn add(&mut self, head: PartHead) {
        for placed in head.objects {
            if let Some(file) = head.files.get(placed.file) {
                let range = placed.offset..placed.offset + placed.bytes;
                // The last one stands: whoever mends a remote uploads it again.
                self.found.insert(placed.object, (file.key.clone(), range));
            }
        }
    }

    /// Forgets where objects are that nothing needs any more. Gives their files, unless others that
    /// are needed lie there too.
    pub(super) fn without(&mut self, void: impl Fn(&Digest) -> bool) -> HashSet<Key> {
        let mut files = self.files_of(&void);
        self.found.retain(|object, _| !void(object));
        for (key, _) in self.found.values() {
            files.remove(key);
        }
        files
    }

    /// The files that hold such objects.
    pub(super) fn files_of(&self, which: impl Fn(&Digest) -> bool) -> HashSet<Key> {
        let found = self.found.iter().filter(|(object, _)| which(object));
        found.map(|(_, (key, _))| key.clone()).collect()
    }

    /// Every file that holds an object.
    pub(super) fn files(&self) -> HashSet<Key> {
        self.files_of(|_| true)
    }

    /// All objects, in order.
    pub(super) fn objects(&self) -> Vec<Digest> {
        let mut all: Vec<Digest> = self.found.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// The length of an object, as the log says.
    pub(super) fn bytes(&self, object: &Digest) -> u64 {
        self.get(object).map_or(0, |(_, range)| range.end - range.start)
    }

    pub(super) fn get(&self, object: &Digest) -> Option<&(Key, Range<u64>)> {
        self.found.get(object)
    }
}

/// A range of a file with the objects in it.
pub(super) struct Part {
    pub(super) key: Key,
    pub(super) range: Range<u64>,
    pub(super) objects: Vec<(Digest, Range<u64>)>,
}

impl Part {
    pub(super) fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// Groups objects that stand close together in one file.
pub(super) fn parts(places: &Places, wanted: &[Digest]) -> Vec<Part> {
    let mut files: BTreeMap<&Key, Vec<(Range<u64>, Digest)>> = BTreeMap::new();
    for object in wanted {
        if let Some((key, range)) = places.get(object) {
            files.entry(key).or_default().push((range.clone(), *object));
        }
    }
    let mut parts: Vec<Part> = Vec::new();
    for (key, mut objects) in files {
        objects.sort_unstable_by_key(|(range, object)| (range.start, *object));
        let first = parts.len();
        for (range, object) in objects {
            let joins = |part: &&mut Part| {
                range.start <= part.range.end.saturating_add(GAP_BYTES_MAX)
                    && range.end.max(part.range.end) - part.range.start <= FILE_BYTES_MAX
            };
            match parts[first..].last_mut().filter(joins) {
                Some(part) => {
                    part.range.end = part.range.end.max(range.end);
                    part.objects.push((object, range));
                }
                None => parts.push(Part {
                    key: key.clone(),
                    range: range.clone(),
                    objects: vec![(object, range)],
                }),
            }
        }
    }
    parts
}

impl Remote {
    /// Downloads objects into the store, where nothing names them yet. Each has its name only when
    /// its bytes hash to it. `false`: a file is not there any more.
    pub(super) async fn download(
        &self,
        objects: &Objects,
        places: &Places,
        wanted: &[Digest],
        progress: &dyn Progress,
    ) -> Result<bool> {
        let all = parts(places, wanted);
        progress.begin("rows", all.iter().map(Part::bytes).sum());
        let (large, small): (Vec<Part>, Vec<Part>) =
            all.into_iter().partition(|part| part.bytes() > FILE_BYTES_MAX);
        let reads = small.iter().map(|part| async move {
            (part, self.range(&part.key.to_string(), part.range.clone()).await)
        });
        let mut reads = stream::iter(reads).buffer_unordered(PARALLEL);
        let mut batch = objects.batch();
        while let Some((part, read)) = reads.next().await {
            let Some(bytes) = read? else { return Ok(false) };
            for (object, range) in &part.objects {
                let inner = (range.start - part.range.start) as usize
                    ..(range.end - part.range.start) as usize;
                let own = &bytes[inner];
                if Digest::of(own) != *object {
                    return Err(wrong(object));
                }
                batch.put(object, own)?;
            }
            progress.advance(bytes.len() as u64);
        }
        batch.finish()?;
        for part in &large {
            if !self.in_parts(objects, part, progress).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Downloads an object that is larger than what is held in memory.
    async fn in_parts(
        &self,
        objects: &Objects,
        part: &Part,
        progress: &dyn Progress,
    ) -> Result<bool> {
        let key = part.key.to_string();
        let (object, _) = part.objects[0];
        let starts = (part.range.start..part.range.end).step_by(FILE_BYTES_MAX as usize);
        let reads =
            starts.map(|start| self.range(&key, start..part.range.end.min(start + FILE_BYTES_MAX)));
        let mut reads = stream::iter(reads).buffered(PARALLEL);
        let mut writer = objects.writer()?;
        while let Some(read) = reads.next().await {
            let Some(bytes) = read? else { return Ok(false) };
            writer.write_all(&bytes).at("write", objects.root())?;
            progress.advance(bytes.len() as u64);
        }
        match writer.finish_as(&object)? {
            true => Ok(true),
            false => Err(wrong(&object)),
        }
    }
}

fn wrong(object: &Digest) -> Error {
    Error::damaged(object, "its bytes do not hash to its name")
}
