//! Policies as they are, and what their versions mean for rows.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use glossator_lineage::policy::{Policy, to_label_config};
use glossator_store::fs::output_file;
use glossator_store::{CommitId, Store};

use crate::context::{Context, resolve};
use crate::error::Result;
use crate::policies::{POLICY_FILE, all, known, of_file, path, unknown};
use crate::render::{number, plain, row};

/// Labels that are listed at most.
const UNKNOWN_MAX: usize = 1_000;

fn at(context: &Context, revision: Option<&str>) -> Result<(Store, CommitId)> {
    let store = context.store()?;
    let commit = resolve(&store, revision)?;
    Ok((store, commit))
}

pub(super) fn show(context: &mut Context, name: &str, revision: Option<&str>) -> Result<u8> {
    let (store, commit) = at(context, revision)?;
    let policies = all(&store, commit)?;
    let policy = known(&policies, name, None)?;
    if context.json {
        context.json_line(policy)?;
        return Ok(0);
    }
    let text = policy.render().map_err(|e| of_file(&path(name, POLICY_FILE), &e))?;
    write!(context.out(), "{text}")?;
    for file in ["guideline.md", "label-config.xml"] {
        if let Some(bytes) = store.history.file(commit, &path(name, file))? {
            let bytes = number(bytes.len() as u64);
            writeln!(context.out(), "# {file}: {bytes} bytes")?;
        }
    }
    Ok(0)
}

pub(super) fn list(context: &mut Context, revision: Option<&str>) -> Result<u8> {
    let (store, commit) = at(context, revision)?;
    for policy in all(&store, commit)?.into_values() {
        let labels: usize = policy.fields.iter().map(|field| field.taxonomy.len()).sum();
        let fields = policy.fields.len();
        match context.json {
            true => context.json_line(&serde_json::json!({
                "policy": policy.full_name(), "fields": fields, "labels": labels,
            }))?,
            false => {
                let name = policy.full_name();
                writeln!(context.out(), "{name}  {fields} field(s), {labels} label(s)")?;
            }
        }
    }
    Ok(0)
}

pub(super) fn log(context: &mut Context, name: &str) -> Result<u8> {
    let (store, head) = at(context, None)?;
    known(&all(&store, head)?, name, None)?;
    let read = |commit: CommitId| -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = store.policy_files(commit)?;
        files.retain(|path, _| path.starts_with(&format!("policies/{name}/")));
        Ok(files)
    };
    for commit in store.history.walk(head)? {
        let commit = commit?;
        let about = store.history.commit(commit)?;
        let files = read(commit)?;
        // A merge that has the files of one of its sides changed nothing.
        let mut same = files.is_empty() && about.parents.is_empty();
        for parent in &about.parents {
            same |= read(*parent)? == files;
        }
        if same {
            continue;
        }
        let policy = all(&store, commit)?.remove(name);
        let version = policy.as_ref().map_or("-".to_owned(), Policy::full_name);
        let time = row::seconds(about.author.seconds, about.author.offset);
        match context.json {
            true => context.json_line(&serde_json::json!({
                "commit": commit, "policy": version, "time": time, "message": about.body(),
                "author": {"name": about.author.name, "email": about.author.email},
            }))?,
            false => {
                let (who, title) = (plain(&about.author.name), plain(about.title()));
                writeln!(context.out(), "{} {version} {time} {who}: {title}", commit.short())?;
            }
        }
    }
    Ok(0)
}

pub(super) fn check(context: &mut Context, revision: Option<&str>) -> Result<u8> {
    let (store, commit) = at(context, revision)?;
    let unknown = unknown(&store.snapshot(Some(commit), &[])?)?;
    for ((policy, field, label), rows) in unknown.iter().take(UNKNOWN_MAX) {
        match context.json {
            true => context.json_line(&serde_json::json!({
                "policy": policy, "field": field, "label": label, "rows": rows,
            }))?,
            false => {
                let (field, label, rows) = (plain(field), plain(label), number(*rows));
                writeln!(context.out(), "{policy}  {field}: `{label}` is no label  {rows} row(s)")?;
            }
        }
    }
    if unknown.is_empty() && !context.json {
        writeln!(context.out(), "every label is known")?;
    }
    Ok(u8::from(!unknown.is_empty()))
}

pub(super) fn export(context: &mut Context, name: &str, output: Option<&Path>) -> Result<u8> {
    let (store, head) = at(context, None)?;
    let policies = all(&store, head)?;
    let policy = known(&policies, name, None)?;
    let xml = to_label_config(policy).map_err(|e| of_file(&path(name, POLICY_FILE), &e))?;
    match output {
        Some(output) => {
            let mut file = output_file(&context.path(output))?;
            file.write_all(xml.as_bytes())?;
            file.persist()?;
        }
        None => write!(context.out(), "{xml}")?,
    }
    Ok(0)
}
