//! What a disk may hold after the power went, told from the calls that were made.
//!
//! Bytes of a file last from the sync of that file on; names in a directory from the sync of that
//! directory on. Until then each may be there or not, in any order, and of a write any sector. This
//! is weaker than what any journalling file system does, so what holds here holds there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glossator_store::fs::TEMP_PREFIX;

use super::{Event, FaultFs};

/// A directory tree in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Image {
    dirs: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, u64>,
    files: BTreeMap<u64, Vec<u8>>,
}

#[allow(clippy::disallowed_methods, reason = "it makes the disk that the store is run on")]
impl Image {
    /// Reads a directory.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn of(root: &Path) -> io::Result<Self> {
        let mut image = Self::default();
        let mut dirs = vec![root.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                let name = path.strip_prefix(root).map_err(io::Error::other)?.to_owned();
                if path.is_dir() {
                    image.dirs.insert(name);
                    dirs.push(path);
                } else {
                    let inode = image.files.len() as u64;
                    image.files.insert(inode, fs::read(&path)?);
                    image.names.insert(name, inode);
                }
            }
        }
        Ok(image)
    }

    /// Writes it to a directory.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn write_to(&self, root: &Path) -> io::Result<()> {
        for dir in &self.dirs {
            fs::create_dir_all(root.join(dir))?;
        }
        for (name, inode) in &self.names {
            fs::write(root.join(name), &self.files[inode])?;
        }
        Ok(())
    }

    /// The image with random names and ids struck out: equal for two runs that left the same.
    pub fn shape(&self) -> Vec<String> {
        let mut shape: Vec<String> =
            self.dirs.iter().map(|dir| dir.display().to_string()).collect();
        for (name, inode) in &self.names {
            let (name, bytes) = (name.display().to_string(), &self.files[inode]);
            // Objects, packs and caches follow from the ids in them.
            let text = name.split('/').any(|part| ["objects", "cache"].contains(&part));
            let content = if text { "" } else { &String::from_utf8_lossy(bytes) };
            shape.push(strike(&format!("{name} {} {content}", bytes.len())));
        }
        shape.sort();
        shape
    }

    /// The image without files that have no name yet: nobody reads them.
    fn named(&self) -> Self {
        let mut image = self.clone();
        let is_temp = |path: &Path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMP_PREFIX))
        };
        image.names.retain(|path, _| !is_temp(path));
        image.settled()
    }

    fn has_parent(&self, path: &Path) -> bool {
        path.parent().is_none_or(|dir| dir.as_os_str().is_empty() || self.dirs.contains(dir))
    }

    /// The image without what no name leads to, so that equal disks are equal.
    fn settled(mut self) -> Self {
        let mut files = BTreeMap::new();
        for (number, inode) in self.names.values_mut().enumerate() {
            let bytes = self.files.get(inode).cloned().unwrap_or_default();
            files.insert(number as u64, bytes);
            *inode = number as u64;
        }
        self.files = files;
        self
    }
}

/// Strikes out runs of hex digits that are as long as ids, and the shards of objects.
fn strike(text: &str) -> String {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let mut struck = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_hex) {
        let run = rest[start..].find(|c| !is_hex(c)).unwrap_or(rest.len() - start);
        let (before, from) = rest.split_at(start);
        struck.push_str(before);
        let shard = run == 2 && before.ends_with("objects/");
        struck.push_str(if run >= 32 || shard { "#" } else { &from[..run] });
        rest = &from[run..];
    }
    struck + rest
}

/// One change of the disk that is there or not.
#[derive(Debug, Clone)]
enum Effect {
    Data {
        inode: u64,
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        inode: u64,
    },
    Link {
        path: PathBuf,
        inode: u64,
    },
    /// A name that is gone; of a rename only where the new name is there.
    Unlink {
        path: PathBuf,
        link: Option<usize>,
    },
    Dir {
        path: PathBuf,
    },
}

struct Traced {
    effect: Effect,
    /// The event that caused it.
    event: usize,
    /// The event that made it last.
    lasts: Option<usize>,
    /// A sync of it failed: no later one makes it last.
    doomed: bool,
}

/// A state after a loss of power.
#[derive(Debug, Clone)]
pub struct PowerCut {
    /// Calls that were made before, among those that change the disk.
    pub after: usize,
    /// Whether the operation had come to its end.
    pub at_end: bool,
    /// What was lost, in words.
    pub lost: String,
    /// What the disk holds.
    pub image: Image,
}

/// Every state that a loss of power may leave, before each sync and at the end: with none, all, all
/// but one, and only one of the changes that were not synced, and with torn writes. `base` is what
/// `root` held, on the disk, before the calls.
pub fn power_cuts(base: &Image, root: &Path, calls: &FaultFs) -> Vec<PowerCut> {
    cuts(base, root, calls, 0)
}

/// As [`power_cuts`], at the end alone.
pub fn power_cuts_at_end(base: &Image, root: &Path, calls: &FaultFs) -> Vec<PowerCut> {
    cuts(base, root, calls, usize::MAX)
}

fn cuts(base: &Image, root: &Path, calls: &FaultFs, from: usize) -> Vec<PowerCut> {
    let events = calls.events();
    let traced = trace(base, root, &events);
    let mut cuts = Vec::new();
    let mut seen = HashSet::new();
    for point in from.min(events.len())..=events.len() {
        let at_end = point == events.len();
        if !at_end && !matches!(events[point], Event::Sync { .. } | Event::SyncDir { .. }) {
            continue;
        }
        for (lost, image) in states(base, &traced, point) {
            // The same disk before the end proves less than at the end.
            if seen.insert((image.named(), at_end)) {
                cuts.push(PowerCut { after: point, at_end, lost, image });
            }
        }
    }
    cuts
}

/// The states at one point.
fn states(base: &Image, traced: &[Traced], point: usize) -> Vec<(String, Image)> {
    let made: Vec<usize> = (0..traced.len()).filter(|i| traced[*i].event < point).collect();
    let lasts = |i: usize| traced[i].lasts.is_some_and(|event| event < point);
    let pending: Vec<usize> = made.iter().copied().filter(|i| !lasts(*i)).collect();
    let build = |keeps: &dyn Fn(usize) -> bool, torn: Option<(usize, Effect)>| {
        apply(base, traced, &made, &|i| lasts(i) || keeps(i), torn.as_ref())
    };
    let mut states = vec![
        ("all that was not synced".to_owned(), build(&|_| false, None)),
        ("nothing".to_owned(), build(&|_| true, None)),
    ];
    for one in &pending {
        let what = &traced[*one].effect;
        states.push((format!("only {}", name(what)), build(&|i| i != *one, None)));
        states.push((format!("all but {}", name(what)), build(&|i| i == *one, None)));
        for (how, part) in torn(what) {
            let lost = format!("{how} of {}", name(what));
            states.push((lost, build(&|_| true, Some((*one, part)))));
        }
    }
    states
}

/// Parts of a write, at the sizes of sectors and pages: its beginning, its end, and zeros.
fn torn(effect: &Effect) -> Vec<(String, Effect)> {
    let Effect::Data { inode, at, bytes } = effect else { return Vec::new() };
    let mut parts = Vec::new();
    for size in [512, 4096] {
        if bytes.len() <= size {
            continue;
        }
        let border = (bytes.len() / 2).next_multiple_of(size).min(bytes.len() - 1);
        let part =
            |at: usize, bytes: &[u8]| Effect::Data { inode: *inode, at, bytes: bytes.into() };
        parts.push((format!("the bytes from {border} on"), part(*at, &bytes[..border])));
        parts.push((format!("the first {border} bytes"), part(at + border, &bytes[border..])));
    }
    let zeros = Effect::Data { inode: *inode, at: *at, bytes: vec![0; bytes.len()] };
    parts.push(("the content, not the length,".to_owned(), zeros));
    parts
}

fn name(effect: &Effect) -> String {
    match effect {
        Effect::Data { inode, at, bytes } => {
            format!("{} bytes at {at} of file {inode}", bytes.len())
        }
        Effect::Cut { inode } => format!("the emptying of file {inode}"),
        Effect::Link { path, inode } => format!("the name {} of file {inode}", path.display()),
        Effect::Unlink { path, .. } => format!("the removal of {}", path.display()),
        Effect::Dir { path } => format!("the directory {}", path.display()),
    }
}

fn apply(
    base: &Image,
    traced: &[Traced],
    made: &[usize],
    keeps: &dyn Fn(usize) -> bool,
    torn: Option<&(usize, Effect)>,
) -> Image {
    let mut image = base.clone();
    for i in made.iter().copied().filter(|i| keeps(*i)) {
        let effect = match torn {
            Some((one, part)) if *one == i => part,
            _ => &traced[i].effect,
        };
        match effect {
            Effect::Data { inode, at, bytes } => {
                let file = image.files.entry(*inode).or_default();
                file.resize(file.len().max(at + bytes.len()), 0);
                file[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Effect::Cut { inode } => image.files.entry(*inode).or_default().clear(),
            Effect::Link { path, inode } if image.has_parent(path) => {
                image.names.insert(path.clone(), *inode);
            }
            Effect::Unlink { path, link } if link.is_none_or(keeps) => {
                image.names.remove(path);
            }
            Effect::Dir { path } if image.has_parent(path) => {
                image.dirs.insert(path.clone());
            }
            Effect::Link { .. } | Effect::Unlink { .. } | Effect::Dir { .. } => {}
        }
    }
    image.settled()
}

/// Turns calls into changes of the disk, each with the sync that made it last.
fn trace(base: &Image, root: &Path, events: &[Event]) -> Vec<Traced> {
    let mut tracer =
        Tracer { live: base.clone(), inodes: HashMap::new(), traced: Vec::new(), event: 0 };
    let inside = |path: &Path| path.strip_prefix(root).ok().map(Path::to_owned);
    for (number, event) in events.iter().enumerate() {
        tracer.event = number;
        match event {
            Event::Open { path, handle, cut } => {
                if let Some(path) = inside(path) {
                    tracer.open(path, *handle, *cut);
                }
            }
            Event::Write { handle, bytes } => tracer.write(*handle, bytes),
            Event::Sync { handle } => tracer.synced(*handle, true),
            Event::SyncFailed { handle } => tracer.synced(*handle, false),
            Event::Rename { from, to } => {
                if let (Some(from), Some(to)) = (inside(from), inside(to))
                    && let Some(inode) = tracer.live.names.remove(&from)
                {
                    tracer.live.names.insert(to.clone(), inode);
                    let link = tracer.traced.len();
                    tracer.add(Effect::Link { path: to, inode });
                    tracer.add(Effect::Unlink { path: from, link: Some(link) });
                }
            }
            Event::Remove { path } => {
                if let Some(path) = inside(path) {
                    tracer.live.names.remove(&path);
                    tracer.add(Effect::Unlink { path, link: None });
                }
            }
            Event::Dir { path } => {
                if let Some(path) = inside(path) {
                    tracer.dirs(&path);
                }
            }
            Event::SyncDir { path } => {
                if let Some(dir) = inside(path) {
                    tracer.dir_synced(&dir, true);
                }
            }
            Event::SyncDirFailed { path } => {
                if let Some(dir) = inside(path) {
                    tracer.dir_synced(&dir, false);
                }
            }
        }
    }
    tracer.traced
}

struct Tracer {
    /// What the page cache shows.
    live: Image,
    inodes: HashMap<u64, u64>,
    traced: Vec<Traced>,
    event: usize,
}

impl Tracer {
    fn add(&mut self, effect: Effect) {
        self.traced.push(Traced { effect, event: self.event, lasts: None, doomed: false });
    }

    fn settle(&mut self, done: bool, is_it: impl Fn(&Effect) -> bool) {
        let waits = |t: &&mut Traced| t.lasts.is_none() && !t.doomed && is_it(&t.effect);
        for traced in self.traced.iter_mut().filter(waits) {
            traced.lasts = done.then_some(self.event);
            traced.doomed = !done;
        }
    }

    fn synced(&mut self, handle: u64, done: bool) {
        let inode = self.inodes.get(&handle).copied();
        self.settle(done, |effect| match effect {
            Effect::Data { inode: of, .. } | Effect::Cut { inode: of } => Some(*of) == inode,
            _ => false,
        });
    }

    fn dir_synced(&mut self, dir: &Path, done: bool) {
        self.settle(done, |effect| match effect {
            Effect::Link { path, .. } | Effect::Unlink { path, .. } | Effect::Dir { path } => {
                path.parent() == Some(dir)
            }
            _ => false,
        });
    }

    fn open(&mut self, path: PathBuf, handle: u64, cut: bool) {
        let inode = match self.live.names.get(&path) {
            Some(inode) => *inode,
            None => {
                // Above those of the base, and not used again.
                let inode = 1_000_000 + self.traced.len() as u64;
                self.live.names.insert(path.clone(), inode);
                self.live.files.insert(inode, Vec::new());
                self.add(Effect::Link { path, inode });
                inode
            }
        };
        self.inodes.insert(handle, inode);
        if cut {
            self.live.files.entry(inode).or_default().clear();
            self.add(Effect::Cut { inode });
        }
    }

    fn write(&mut self, handle: u64, bytes: &[u8]) {
        let Some(inode) = self.inodes.get(&handle).copied() else { return };
        let file = self.live.files.entry(inode).or_default();
        let at = file.len();
        file.extend_from_slice(bytes);
        self.add(Effect::Data { inode, at, bytes: bytes.to_vec() });
    }

    fn dirs(&mut self, path: &Path) {
        let mut missing: Vec<PathBuf> = path
            .ancestors()
            .take_while(|dir| !dir.as_os_str().is_empty() && !self.live.dirs.contains(*dir))
            .map(Path::to_owned)
            .collect();
        while let Some(dir) = missing.pop() {
            self.live.dirs.insert(dir.clone());
            self.add(Effect::Dir { path: dir });
        }
    }
}
