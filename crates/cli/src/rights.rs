//! Rights records of a commit, and the items that they are about.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use glossator_lineage::rights::{Hindrances, Rights, Use, note};
use glossator_store::policy_files::RIGHTS_DIR;
use glossator_store::schema::{ITEMS, Items};
use glossator_store::segment::BatchStream;
use glossator_store::{CommitId, Snapshot, Store};

use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::render::{number, plain};

/// What is to be done with items.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Rights")]
pub(crate) struct UseArgs {
    /// What the labels are for: where rights limit that, it must be said
    #[arg(long, value_name = "WORD")]
    pub purpose: Option<String>,
    /// Where they go: where rights limit that, it must be said
    #[arg(long, value_name = "WORD")]
    pub region: Option<String>,
}

impl UseArgs {
    /// The use, today.
    pub(crate) fn today(&self) -> Use {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let day = today.to_string().parse::<toml::value::Datetime>();
        let day = day.ok().and_then(|day| day.date);
        Use { purpose: self.purpose.clone(), region: self.region.clone(), day }
    }
}

/// The path of a record in the tree.
pub(crate) fn path(id: &str) -> String {
    format!("{RIGHTS_DIR}{id}.toml")
}

/// Every record of a commit, by id.
pub(crate) fn records(store: &Store, commit: CommitId) -> Result<BTreeMap<String, Rights>> {
    let mut found = BTreeMap::new();
    for (path, bytes) in store.rights_files(commit)? {
        let id = path.strip_prefix(RIGHTS_DIR).and_then(|file| file.strip_suffix(".toml"));
        let Some(id) = id else { continue };
        let record = Rights::parse(&String::from_utf8_lossy(&bytes))
            .map_err(|what| CliError::input(format!("`{commit}:{path}`: {what}")))?;
        found.insert(id.to_owned(), record);
    }
    Ok(found)
}

/// The items of a snapshot that fit.
fn items<'a>(snapshot: &'a Snapshot<'_>, filters: &'a Filters) -> Result<BatchStream<'a>> {
    filters.rows(snapshot, &ITEMS)
}

/// What stands against a use of the items of a snapshot.
pub(crate) fn against(
    snapshot: &Snapshot<'_>,
    filters: &Filters,
    wanted: &Use,
) -> Result<Hindrances> {
    let mut found = Hindrances::new();
    let Some(commit) = snapshot.commit else { return Ok(found) };
    let records = records(snapshot.store(), commit)?;
    for batch in items(snapshot, filters)? {
        let batch = batch?;
        for item in Items::new(&batch).iter() {
            if let Some(rights) = item.rights {
                note(&records, wanted, item.item_id, rights, &mut found);
            }
        }
    }
    Ok(found)
}

/// Groups of which items are in several splits, with the splits.
pub(crate) fn torn_groups(snapshot: &Snapshot<'_>) -> Result<Vec<(String, BTreeSet<String>)>> {
    let (filters, mut splits) = (Filters::default(), BTreeMap::<String, BTreeSet<String>>::new());
    for batch in items(snapshot, &filters)? {
        let batch = batch?;
        for item in Items::new(&batch).iter() {
            if let (Some(group), Some(split)) = (item.group_id, item.split) {
                splits.entry(group.to_owned()).or_default().insert(split.to_owned());
            }
        }
    }
    Ok(splits.into_iter().filter(|(_, splits)| splits.len() > 1).collect())
}

/// Refuses what rights forbid.
pub(crate) fn refuse(snapshot: &Snapshot<'_>, filters: &Filters, args: &UseArgs) -> Result<()> {
    let found = against(snapshot, filters, &args.today())?;
    if found.is_empty() {
        return Ok(());
    }
    let mut error = CliError::check("rights forbid it");
    for ((why, rights), (count, item)) in &found {
        let (count, why, item) = (number(*count), why.text(), plain(item));
        error = error.detail(format!("{rights}: {count} item(s), such as `{item}`, {why}"));
    }
    Err(error.hint("leave these items out, or look at `gloss rights check`"))
}

/// Items under a legal hold on any branch, with the record that says so.
pub(crate) fn held_items(store: &Store) -> Result<Vec<(String, String)>> {
    let (mut held, filters) = (BTreeSet::new(), Filters::default());
    for (_, tip) in store.history.refs(false)? {
        let records = records(store, tip)?;
        if !records.values().any(|record| record.legal_hold) {
            continue;
        }
        let snapshot = store.snapshot(Some(tip), &[])?;
        for batch in items(&snapshot, &filters)? {
            let batch = batch?;
            for item in Items::new(&batch).iter() {
                let record = item.rights.and_then(|id| Some((id, records.get(id)?)));
                if let Some((id, _)) = record.filter(|(_, record)| record.legal_hold) {
                    held.insert((id.to_owned(), item.item_id.to_owned()));
                }
            }
        }
    }
    Ok(held.into_iter().collect())
}

/// The ids of items that have an alias.
pub(crate) fn aliased(snapshot: &Snapshot<'_>, alias: &str) -> Result<Vec<String>> {
    let table = snapshot.table(&ITEMS)?;
    let found = table.locate_alias(alias)?;
    let own: Vec<usize> = (0..ITEMS.columns.len()).collect();
    let batch = table.fetch(&found)?.project(&own)?;
    Ok(Items::new(&batch).iter().map(|item| item.item_id.to_owned()).collect())
}
