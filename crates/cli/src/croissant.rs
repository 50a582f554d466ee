//! Croissant 1.1 (<https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html>): labels at
//! one commit, where each row says which commit made it, who decided and from which file it came.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{BufWriter, Write};
use std::path::Path;

use glossator_formats::JsonRows;
use glossator_lineage::{Blame, Blamer};
use glossator_store::fs::output_file;
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, Annotations};
use glossator_store::{CommitId, Store};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::policies::AsOf;
use crate::render::row;

/// The columns of the rows: name, type, what it says, and the property of PROV that it is.
const COLUMNS: [(&str, &str, &str, Option<&str>); 15] = [
    ("item_id", "sc:Text", "The item that is labelled.", None),
    ("annotation_id", "sc:Text", "The annotation, unique within its item.", None),
    ("field", "sc:Text", "Which question was answered.", None),
    ("kind", "sc:Text", "What sort of answer it is: choice, bbox, span and others.", None),
    ("label", "sc:Text", "The class.", None),
    ("row", "sc:Text", "The whole row as JSON.", None),
    ("status", "sc:Text", "What became of it: submitted, accepted, rejected and others.", None),
    ("origin", "sc:Text", "human, model or rule.", None),
    ("annotator", "sc:Text", "Who decided.", Some("prov:wasAttributedTo")),
    ("policy", "sc:Text", "The version of the guideline that was read.", Some("prov:hadPlan")),
    ("parent", "sc:Text", "The annotation that it was made of.", Some("prov:wasRevisionOf")),
    ("commit", "sc:Text", "The commit that made it so.", Some("prov:wasGeneratedBy")),
    ("committed", "sc:Text", "When that commit was written.", Some("prov:generatedAtTime")),
    ("files", "sc:Text", "The files that it came from.", Some("prov:wasDerivedFrom")),
    ("source", "sc:Text", "The namespace of its ids.", None),
];

/// What is told of a commit.
struct About {
    time: String,
    files: Vec<(String, String)>,
}

/// Writes the rows and their description; gives how many rows.
pub(crate) fn write(store: &Store, commit: CommitId, path: &Path, data: &Path) -> Result<u64> {
    let mut file = output_file(data)?;
    let (rows, digest) = {
        let mut hashing = Hashing { out: BufWriter::new(&mut file), hasher: Sha256::new() };
        let rows = rows(store, commit, &mut hashing)?;
        hashing.flush()?;
        let digest = hashing.hasher.finalize();
        (rows, digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    let name = data.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let described = describe(store, commit, &name, &digest)?;
    let mut page = output_file(path)?;
    serde_json::to_writer_pretty(&mut page, &described)?;
    page.write_all(b"\n")?;
    // The rows first: a description must not name what is not there.
    file.persist()?;
    page.persist()?;
    Ok(rows)
}

/// Hashes what it writes.
struct Hashing<W> {
    out: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn rows(store: &Store, commit: CommitId, out: &mut dyn Write) -> Result<u64> {
    let snapshot = store.snapshot(Some(commit), &[])?;
    let mapping = AsOf::default().mapping(&snapshot)?;
    let filters = Filters::default();
    let mut blamer = Blamer::new(store, commit)?;
    let mut commits: HashMap<CommitId, About> = HashMap::new();
    let wrong = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(error) => CliError::from(error),
        other => CliError::outside(format!("the rows cannot be written: {other:?}")),
    };
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS.map(|(name, ..)| name)).map_err(wrong)?;
    let (mut count, mut whole) = (0, Vec::new());
    for batch in filters.read_with_origin(&snapshot, &ANNOTATIONS, &mapping)? {
        let batch = batch?;
        let blames = blamer.rows(&ANNOTATIONS, &batch)?;
        for made in blames.iter().map(made_in) {
            if let Entry::Vacant(entry) = commits.entry(made) {
                entry.insert(about(store, made)?);
            }
        }
        let own = batch.project(&(0..ANNOTATIONS.columns.len()).collect::<Vec<_>>())?;
        let json = JsonRows::new(&ANNOTATIONS, &own)?;
        for (at, (row, blame)) in Annotations::new(&own).iter().zip(&blames).enumerate() {
            let made = made_in(blame);
            let Some(about) = commits.get(&made) else { continue };
            whole.clear();
            json.write(at, &mut whole)?;
            let whole = String::from_utf8_lossy(&whole);
            csv.write_record(cells(&row, &whole, made, about)).map_err(wrong)?;
            count += 1;
        }
    }
    csv.flush()?;
    Ok(count)
}

/// The commit that made a row, wherever it is.
fn made_in(blame: &Blame) -> CommitId {
    blame.made_in.unwrap_or(blame.commit)
}

fn about(store: &Store, commit: CommitId) -> Result<About> {
    let told = store.history.commit(commit)?;
    let meta = store.meta(&store.change(commit)?).unwrap_or_default();
    Ok(About {
        time: row::seconds(told.author.seconds, told.author.offset),
        files: meta.sources.into_iter().map(|file| (file.source, file.name)).collect(),
    })
}

fn cells(
    row: &AnnotationRow<'_>,
    whole: &str,
    made: CommitId,
    about: &About,
) -> [String; COLUMNS.len()] {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let files = about.files.iter().filter(|(source, _)| source == row.source);
    let files: Vec<&str> = files.map(|(_, name)| name.as_str()).collect();
    [
        row.item_id.to_owned(),
        row.annotation_id.to_owned(),
        row.field.to_owned(),
        row.kind.to_owned(),
        text(row.label),
        whole.to_owned(),
        row.status.to_owned(),
        row.origin.to_owned(),
        row.annotator_id.to_owned(),
        text(row.policy),
        text(row.parent_id),
        made.to_string(),
        about.time.clone(),
        files.join(" "),
        row.source.to_owned(),
    ]
}

/// The context that the specification gives, and PROV.
fn context() -> Value {
    json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "arrayShape": "cr:arrayShape",
        "citeAs": "cr:citeAs",
        "containedIn": "cr:containedIn",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "extract": "cr:extract",
        "field": "cr:field",
        "fileProperty": "cr:fileProperty",
        "fileObject": "cr:fileObject",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isArray": "cr:isArray",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "prov": "http://www.w3.org/ns/prov#",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform",
    })
}

fn describe(store: &Store, commit: CommitId, data: &str, digest: &str) -> Result<Value> {
    let about = store.history.commit(commit)?;
    let time = row::seconds(about.author.seconds, about.author.offset);
    let fields: Vec<Value> = COLUMNS
        .iter()
        .map(|(name, kind, says, property)| {
            let mut field = json!({
                "@type": "cr:Field",
                "@id": format!("annotations/{name}"),
                "name": name,
                "description": says,
                "dataType": kind,
                "source": {"fileObject": {"@id": "rows"}, "extract": {"column": name}},
            });
            if let Some(property) = property {
                let property = property.replace("prov:", "http://www.w3.org/ns/prov#");
                field["equivalentProperty"] = json!(property);
            }
            field
        })
        .collect();
    let id = &store.facts().store_id;
    Ok(json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": "labels",
        "description": format!("Labels at commit {commit}: {}", about.title()),
        "url": format!("urn:gloss:{id}:snapshot-{commit}"),
        "citeAs": format!("Labels at commit {commit} of the store {id}"),
        "version": format!("0.0.0+{}", commit.short()),
        "datePublished": time,
        "prov:wasGeneratedBy": {
            "@id": format!("urn:gloss:{id}:commit-{commit}"),
            "@type": "prov:Activity",
            "prov:endedAtTime": time,
        },
        "distribution": [{
            "@type": "cr:FileObject",
            "@id": "rows",
            "name": "rows",
            "description": "Every live annotation, a row each.",
            "contentUrl": data,
            "encodingFormat": "text/csv",
            "sha256": digest,
        }],
        "recordSet": [{
            "@type": "cr:RecordSet",
            "@id": "annotations",
            "name": "annotations",
            "description": "One label decision by one annotator on one item a record.",
            "key": [{"@id": "annotations/item_id"}, {"@id": "annotations/annotation_id"}],
            "field": fields,
        }],
    }))
}
