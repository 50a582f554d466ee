//! OpenLineage run events (<https://openlineage.io/spec/2-0-2/OpenLineage.json>), one JSON object a
//! line: a start and an end for each commit, and for each pin, export and run.

use std::io::Write;

use glossator_store::{CommitId, Error, Result};
use serde_json::{Map, Value, json};

use super::{Facts, Told};
use crate::records::{Made, Noted};

const EVENT_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const VERSION_FACET: &str =
    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json";
const OUTPUT_FACET: &str =
    "https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json";
/// Facets of our own have no schema beyond this one.
const OWN_FACET: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet";

/// Who makes these events.
fn producer() -> String {
    format!("urn:gloss:glossator:{}", env!("CARGO_PKG_VERSION"))
}

/// Writes the events of a history, the oldest first.
///
/// # Errors
/// Where a commit cannot be read, or the output not be written.
pub fn write(told: &Told<'_>, out: &mut dyn Write) -> Result<()> {
    let namespace = format!("gloss:{}", told.store.facts().store_id);
    let mut put = |event: Value| {
        for kind in ["START", "COMPLETE"] {
            let mut event = event.clone();
            event["eventType"] = json!(kind);
            let done = writeln!(out, "{event}");
            done.map_err(|source| Error::Io {
                action: "write",
                path: "the output".into(),
                source,
            })?;
        }
        Ok(())
    };
    for id in &told.commits {
        put(commit(&namespace, &Facts::read(told.store, *id)?))?;
    }
    told.records.iter().try_for_each(|noted| put(record(&namespace, noted)))
}

/// A UUID that is the same whenever the same thing is told: version 8 of RFC 9562.
fn uuid(of: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(of.as_bytes()).as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn facet(schema: &str, members: Value) -> Value {
    let mut facet = Map::new();
    facet.insert("_producer".to_owned(), json!(producer()));
    facet.insert("_schemaURL".to_owned(), json!(schema));
    facet.extend(members.as_object().cloned().unwrap_or_default());
    Value::Object(facet)
}

/// The labels as one commit has them.
fn labels(namespace: &str, commit: &impl ToString) -> Value {
    let version = facet(VERSION_FACET, json!({"datasetVersion": commit.to_string()}));
    json!({"namespace": namespace, "name": "labels", "facets": {"version": version}})
}

struct Run<'a> {
    id: &'a str,
    at: String,
    job: &'a str,
    facets: Value,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

fn event(namespace: &str, run: Run<'_>) -> Value {
    json!({
        "eventTime": run.at,
        "producer": producer(),
        "schemaURL": EVENT_SCHEMA,
        "run": {"runId": uuid(run.id), "facets": run.facets},
        "job": {"namespace": namespace, "name": run.job},
        "inputs": run.inputs,
        "outputs": run.outputs,
    })
}

fn commit(namespace: &str, facts: &Facts) -> Value {
    let id: CommitId = facts.commit.id;
    let mut inputs: Vec<Value> = Vec::new();
    for file in &facts.files {
        let version =
            facet(VERSION_FACET, json!({"datasetVersion": format!("blake3:{}", file.digest)}));
        let name = if file.name.is_empty() { "unnamed" } else { &file.name };
        inputs.push(json!({"namespace": format!("{namespace}/{}", file.source), "name": name,
                           "facets": {"version": version}}));
    }
    inputs.extend(facts.commit.parents.iter().map(|parent| labels(namespace, parent)));
    let mut output = labels(namespace, &id);
    let statistics = facet(OUTPUT_FACET, json!({"rowCount": facts.rows}));
    output["outputFacets"] = json!({"outputStatistics": statistics});
    let counts = facts.counts.get("annotations").copied().unwrap_or_default();
    let told = json!({
        "commit": id.to_string(),
        "message": facts.commit.title(),
        "author": facts.commit.author.name,
        "added": counts.added,
        "changed": counts.changed,
        "removed": counts.removed,
        "annotators": facts.annotators,
        "policies": facts.policies,
        "codeCommit": facts.commit.trailer("Code-Commit"),
    });
    event(
        namespace,
        Run {
            id: &id.to_string(),
            at: facts.time(),
            job: facts.deed(),
            facets: json!({"gloss_commit": facet(OWN_FACET, told)}),
            inputs,
            outputs: vec![output],
        },
    )
}

fn record(namespace: &str, noted: &Noted) -> Value {
    let record = &noted.record;
    let title = noted.title();
    let made = record.made.word();
    // Notes are lines that anybody may have written: a time that is none is left at 1970.
    let at = record.at.parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string();
    let version =
        facet(VERSION_FACET, json!({"datasetVersion": format!("blake3:{}", record.output)}));
    let output = json!({"namespace": namespace, "name": format!("{made}/{title}"),
                        "facets": {"version": version}});
    let told = json!({
        "id": record.id,
        "commit": noted.commit.to_string(),
        "view": record.view,
        "writer": record.writer,
        "filtered": record.filtered,
        "metrics": record.metrics,
        "codeCommit": record.code_commit,
    });
    event(
        namespace,
        Run {
            id: &format!("{made} {} {}", record.id, noted.commit),
            at,
            job: &match record.made {
                Made::Run => format!("run/{title}"),
                Made::Pin | Made::Export => made.to_owned(),
            },
            facets: json!({"gloss_record": facet(OWN_FACET, told)}),
            inputs: vec![labels(namespace, &noted.commit)],
            outputs: if record.made == Made::Run { Vec::new() } else { vec![output] },
        },
    )
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn a_run_has_the_same_uuid_each_time_and_another_than_others() {
        assert_eq!(uuid("a"), uuid("a"));
        assert_ne!(uuid("a"), uuid("b"));
        let made = uuid("a");
        // RFC 9562: the version digit, and the variant bits 10.
        assert_eq!((made.len(), &made[14..15]), (36, "8"));
        assert!("89ab".contains(&made[19..20]), "{made}");
    }
}
