//! `gloss.lock`: one commit, one view of it, and the digests of what must come out.

use std::io::{self, Write};
use std::path::Path;

use glossator_formats::{ExportOptions, Exporter, View, exporters};
use glossator_quality::Method;
use glossator_store::canonical::{RowDigests, Rows};
use glossator_store::fs::Disk;
use glossator_store::schema::TABLES;
use glossator_store::{CommitId, Digest, Store};
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::policies::AsOf;
use crate::view::SnapshotView;

/// The version of the file.
const VERSION: u32 = 1;
/// Bytes of a lock file at most.
const LOCK_BYTES_MAX: usize = 1 << 20;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    version: u32,
    /// Where the commit can be had.
    pub remote: String,
    /// The store that it is of.
    pub store_id: String,
    /// The commit.
    pub commit: CommitId,
    /// Which rows, and as what.
    pub view: LockView,
    /// What must come out.
    pub digest: LockDigest,
}

/// Which rows, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockView {
    /// `rows` or `labels`.
    pub rows: String,
    /// How final answers are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consensus: Option<String>,
    /// The format and the version of its writer, `jsonl@1`.
    pub writer: String,
    /// `COLUMN=VALUE`, as `rm --where` has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
}

/// What must come out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockDigest {
    /// How many annotations.
    pub annotations: u64,
    /// Over the canonical rows of the view: holds for every later version of gloss.
    pub rows: Digest,
    /// Over the bytes.
    pub output: Digest,
    /// How many bytes.
    pub bytes: u64,
}

impl Lock {
    pub(crate) fn new(remote: &str, store: &Store, commit: CommitId, view: LockView) -> Self {
        let none = Digest::of(b"");
        Self {
            version: VERSION,
            remote: remote.to_owned(),
            store_id: store.facts().store_id.clone(),
            commit,
            view,
            digest: LockDigest { annotations: 0, rows: none, output: none, bytes: 0 },
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let edited = "it was written by `gloss pin`; make it again with that";
        let bytes = Disk::default().read_optional(path)?;
        let bytes = bytes.ok_or_else(|| {
            CliError::input(format!("there is no `{name}`")).hint("make one with `gloss pin`")
        })?;
        if bytes.len() > LOCK_BYTES_MAX {
            return Err(CliError::input(format!("`{name}` is no lock file")).hint(edited));
        }
        let text = String::from_utf8_lossy(&bytes);
        #[derive(Deserialize)]
        struct First {
            version: u32,
        }
        let bad =
            |e: toml::de::Error| CliError::input(format!("`{name}`: {}", e.message())).hint(edited);
        let First { version } = toml::from_str(&text).map_err(bad)?;
        if version != VERSION {
            return Err(CliError::input(format!("`{name}` is of version {version}"))
                .hint("use a newer version of gloss"));
        }
        let lock: Self = toml::from_str(&text).map_err(bad)?;
        lock.view.check()?;
        Ok(lock)
    }

    pub(crate) fn render(&self) -> Result<String> {
        let text = toml::to_string(self).map_err(|e| CliError::input(e.to_string()))?;
        Ok(format!("# Made by `gloss pin`; `gloss checkout` gives the same bytes.\n{text}"))
    }

    /// Says in which part what came out is another one.
    pub(crate) fn differs(&self, found: &LockDigest) -> Option<String> {
        let stated = &self.digest;
        if found.rows != stated.rows {
            let (a, b) = (found.annotations, stated.annotations);
            return Some(format!("the rows differ: {a} annotations here, {b} pinned"));
        }
        if found.output != stated.output || found.bytes != stated.bytes {
            let (a, b) = (found.bytes, stated.bytes);
            return Some(format!("the rows are the same, the bytes differ: {a} here, {b} pinned"));
        }
        (found.annotations != stated.annotations)
            .then(|| "the number of annotations differs".to_owned())
    }
}

impl LockView {
    /// A view of these rows in this format, as this version has them.
    pub(crate) fn new(labels: bool, format: &str, filters: &Filters) -> Result<Self> {
        let view = Self {
            rows: if labels { "labels" } else { "rows" }.to_owned(),
            consensus: labels.then(|| Method::default().name().to_owned()),
            writer: format!("{format}@1"),
            filters: filters.conditions(),
        };
        view.exporter()?;
        Ok(view)
    }

    fn check(&self) -> Result<()> {
        let newer = |what: String| {
            Err(CliError::input(format!("the lock needs {what}, which this version has not"))
                .hint("use the version of gloss that made it, or a newer one"))
        };
        match self.rows.as_str() {
            "rows" | "labels" => {}
            other => return newer(format!("the view `{other}`")),
        }
        let named = if self.rows == "labels" { self.method().is_some() } else { true };
        if !named || (self.rows == "rows" && self.consensus.is_some()) {
            return newer(format!("the consensus `{}`", self.consensus.as_deref().unwrap_or("")));
        }
        self.filters()?;
        self.exporter().map(drop)
    }

    /// How final answers are found, by the method of that very version; `None` of all rows.
    fn method(&self) -> Option<Method> {
        let name = self.consensus.as_deref()?;
        Method::ALL.into_iter().find(|method| method.name() == name)
    }

    pub(crate) fn filters(&self) -> Result<Filters> {
        let mut filters = Filters::default();
        self.filters.iter().try_for_each(|condition| filters.add(condition))?;
        Ok(filters)
    }

    /// The writer of that very version. Each format has had one so far.
    pub(crate) fn exporter(&self) -> Result<&'static dyn Exporter> {
        let name = self.writer.strip_suffix("@1");
        let found = exporters().iter().copied().find(|e| Some(e.name()) == name);
        found.ok_or_else(|| {
            CliError::input(format!("there is no writer `{}`", self.writer))
                .hint("formats: label-studio, coco, csv, tsv, jsonl, parquet, each `@1`")
        })
    }

    /// What a file of it is called.
    pub(crate) fn file_name(&self) -> String {
        let format = self.writer.split('@').next().unwrap_or_default();
        let extension = match format {
            "label-studio" | "coco" => "json",
            other => other,
        };
        format!("labels.{extension}")
    }
}

/// Writes a view of a commit, and gives the digests of its rows and its bytes. People stay out: a
/// pin gives the same on every machine.
pub(crate) fn write(
    store: &Store,
    commit: CommitId,
    lock: &LockView,
    out: &mut (dyn Write + Send),
) -> Result<LockDigest> {
    let snapshot = store.snapshot(Some(commit), &[])?;
    let filters = lock.filters()?;
    let exporter = lock.exporter()?;
    // As the commit's own policies read them: what is pinned does not change with later versions.
    let mapping = AsOf::default().mapping(&snapshot)?;
    let view = SnapshotView {
        snapshot: &snapshot,
        filters: &filters,
        mapping: &mapping,
        people: None,
        seen_by: crate::view::only_source(&snapshot, exporter.name(), &filters)?,
        labels: lock.method(),
        left_out: Default::default(),
    };
    let source = match &filters.source[..] {
        [one] => Some(one.clone()),
        _ => None,
    };
    let options = ExportOptions { without_people: true, source };
    let mut hashing = Hashing::new(out);
    exporter.export(&view, &options, &mut hashing)?;
    let (output, bytes) = (hashing.digest(), hashing.bytes);
    let (rows, annotations) = digest_rows(&view)?;
    Ok(LockDigest { annotations, rows, output, bytes })
}

/// BLAKE3 over, for each table in its order: the name, a zero byte, the digests of its rows in
/// order of their keys, and how many they are.
fn digest_rows(view: &SnapshotView<'_>) -> Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let (mut annotations, mut found) = (0, RowDigests::default());
    for table in TABLES {
        hasher.update(table.name.as_bytes()).update(&[0]);
        let mut count = 0u64;
        for batch in view.rows(table)? {
            let batch = batch?;
            let rows = Rows::new(table, &batch)?;
            rows.digests(&mut found);
            for digest in &found.digests {
                hasher.update(&digest.0);
            }
            count += batch.num_rows() as u64;
        }
        hasher.update(&count.to_le_bytes());
        if table.name == "annotations" {
            annotations = count;
        }
    }
    Ok((Digest::from(hasher.finalize()), annotations))
}

/// Hashes what it writes.
pub(crate) struct Hashing<'w> {
    out: &'w mut (dyn Write + Send),
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<'w> Hashing<'w> {
    pub(crate) fn new(out: &'w mut (dyn Write + Send)) -> Self {
        Self { out, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    /// The digest of what was written so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from(self.hasher.finalize())
    }
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
