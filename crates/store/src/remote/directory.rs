//! A directory as an object store, with conditional writes that hold between processes.
//!
//! # Guarantees
//! - A file is whole and durable before it has its name.
//! - Of two conditional writes to one key, one succeeds: both hold a lock on a file beside it.
//!
//! # Limitations
//! - On a network file system this is as good as its `flock`.

use std::fmt;
use std::io::{self, Read, Seek, Write};
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, UploadPart,
};

use crate::error::{Error as StoreError, IoContext};
use crate::fs::{Disk, TEMP_PREFIX, TempFile};
use crate::id::Digest;

/// The file whose lock whoever writes on a condition holds.
const LOCK_NAME: &str = ".lock";

/// A directory of objects.
#[derive(Debug, Clone)]
pub struct Directory {
    disk: Disk,
    root: PathBuf,
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "directory {}", self.root.display())
    }
}

fn failed(error: StoreError) -> object_store::Error {
    object_store::Error::Generic { store: "directory", source: Box::new(error) }
}

fn missing(path: &Path) -> object_store::Error {
    let source = io::Error::from(io::ErrorKind::NotFound).into();
    object_store::Error::NotFound { path: path.to_string(), source }
}

impl Directory {
    /// Uses a directory, made when first written to.
    pub fn new(disk: &Disk, root: PathBuf) -> Self {
        Self { disk: disk.clone(), root }
    }

    fn place(&self, path: &Path) -> PathBuf {
        // Parts of a path are neither empty nor `..`.
        path.parts().fold(self.root.clone(), |at, part| at.join(part.as_ref()))
    }

    fn tag(bytes: &[u8]) -> String {
        Digest::of(bytes).to_string()
    }

    /// Writes where the file that is there is as expected.
    fn swap(&self, path: &Path, bytes: &[u8], expected: Option<&str>) -> Result<PutResult> {
        self.disk.create_dir_all(&self.root).map_err(failed)?;
        let _lock = self.disk.lock(&self.root.join(LOCK_NAME)).map_err(failed)?;
        let place = self.place(path);
        let found = self.disk.read_optional(&place).map_err(failed)?;
        let source = || io::Error::other("its content is another one").into();
        match (expected, found.as_deref().map(Self::tag)) {
            (None, Some(_)) => {
                return Err(object_store::Error::AlreadyExists {
                    path: path.to_string(),
                    source: source(),
                });
            }
            (Some(tag), found) if found.as_deref() != Some(tag) => {
                return Err(object_store::Error::Precondition {
                    path: path.to_string(),
                    source: source(),
                });
            }
            _ => self.disk.write(&place, bytes).map_err(failed)?,
        }
        Ok(PutResult { e_tag: Some(Self::tag(bytes)), version: None })
    }

    fn walk(&self, dir: &FilePath, found: &mut Vec<ObjectMeta>) -> Result<()> {
        for entry in self.disk.list(dir).map_err(failed)? {
            let place = dir.join(&entry.name);
            if entry.is_dir {
                self.walk(&place, found)?;
            } else if entry.name != LOCK_NAME && !entry.name.starts_with(TEMP_PREFIX) {
                let inner = place.strip_prefix(&self.root).unwrap_or(&place);
                let location = inner
                    .iter()
                    .fold(Path::default(), |path, part| path.join(&*part.to_string_lossy()));
                let e_tag = None;
                let (last_modified, version) = (self.modified(&place)?, None);
                let size = entry.len;
                found.push(ObjectMeta { location, last_modified, size, e_tag, version });
            }
        }
        Ok(())
    }

    fn modified(&self, place: &FilePath) -> Result<DateTime<Utc>> {
        let file = self.disk.open(place).map_err(failed)?;
        let facts = file.metadata().at("read", place).map_err(failed)?;
        let time = facts.modified().at("read the date of", place).map_err(failed)?;
        Ok(time.into())
    }

    fn read(&self, path: &Path, options: &GetOptions) -> Result<GetResult> {
        let place = self.place(path);
        let mut file = match self.disk.open(&place) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(missing(path));
            }
            done => done.map_err(failed)?,
        };
        let facts = file.metadata().at("read", &place).map_err(failed)?;
        if !facts.is_file() {
            return Err(missing(path));
        }
        let size = facts.len();
        let range = match &options.range {
            None => 0..size,
            Some(range) => range.as_range(size).map_err(|e| object_store::Error::Generic {
                store: "directory",
                source: Box::new(e),
            })?,
        };
        let mut bytes = Vec::new();
        if !options.head {
            file.seek(io::SeekFrom::Start(range.start)).at("read", &place).map_err(failed)?;
            let part = file.take(range.end - range.start);
            read_all(part, &mut bytes).at("read", &place).map_err(failed)?;
        }
        let whole = !options.head && options.range.is_none();
        let meta = ObjectMeta {
            location: path.clone(),
            last_modified: self.modified(&place)?,
            size,
            e_tag: whole.then(|| Self::tag(&bytes)),
            version: None,
        };
        let bytes = Bytes::from(bytes);
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::default() })
    }
}

fn read_all(mut part: impl Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    part.read_to_end(bytes)
}

fn joined(payload: &PutPayload) -> Vec<u8> {
    payload.iter().flat_map(|part| part.iter().copied()).collect()
}

fn unsupported(operation: &str) -> object_store::Error {
    let operation = operation.to_owned();
    object_store::Error::NotImplemented { operation, implementer: "directory".to_owned() }
}

#[async_trait]
impl ObjectStore for Directory {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let bytes = joined(&payload);
        match opts.mode {
            PutMode::Create => self.swap(location, &bytes, None),
            PutMode::Update(version) => {
                let tag = version.e_tag.ok_or_else(|| unsupported("an update without a tag"))?;
                self.swap(location, &bytes, Some(&tag))
            }
            PutMode::Overwrite => {
                self.disk.write(&self.place(location), &bytes).map_err(failed)?;
                Ok(PutResult { e_tag: Some(Self::tag(&bytes)), version: None })
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let place = self.place(location);
        let dir = place.parent().unwrap_or(&self.root);
        let temp = self.disk.temp(dir).map_err(failed)?;
        Ok(Box::new(Upload { temp: Some(temp), place }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read(location, &options)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let removed = locations.map(move |location| {
            let location = location?;
            this.disk.remove_file(&this.place(&location)).map_err(failed)?;
            Ok(location)
        });
        removed.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let mut found = Vec::new();
        let dir = prefix.map_or_else(|| self.root.clone(), |prefix| self.place(prefix));
        match self.walk(&dir, &mut found) {
            Ok(()) => stream::iter(found.into_iter().map(Ok)).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult> {
        Err(unsupported("a list with a delimiter"))
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(unsupported("a copy"))
    }
}

/// A file that comes in parts.
#[derive(Debug)]
struct Upload {
    temp: Option<TempFile>,
    place: PathBuf,
}

impl Upload {
    fn ended() -> object_store::Error {
        failed(StoreError::Stage("the upload has ended".to_owned()))
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let written = match &mut self.temp {
            None => Err(Self::ended()),
            Some(temp) => data
                .iter()
                .try_for_each(|part| temp.write_all(part))
                .at("write", &self.place)
                .map_err(failed),
        };
        Box::pin(async { written })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let temp = self.temp.take().ok_or_else(Self::ended)?;
        temp.persist(&self.place).map_err(failed)?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.temp = None;
        Ok(())
    }
}
