//! Writing down that a commit was pinned, exported or used by a run.

use glossator_lineage::records::{Made, Noted, Record, records};
use glossator_store::history::code_commit;
use glossator_store::notes::Notes;
use glossator_store::{CommitId, Digest, Store, random_name};
use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::pin::LockView;

/// Characters of a name, of a metric and of its value at most.
const NAME_CHARS_MAX: usize = 200;

/// What is written down.
#[derive(Debug)]
pub(crate) struct NewRecord<'a> {
    pub made: Made,
    pub name: Option<&'a str>,
    pub metrics: Option<Map<String, Value>>,
    pub view: &'a LockView,
    pub rows: Option<Digest>,
    pub output: Digest,
}

/// Notes a record on a commit. A pin or an export that is noted there already is not noted again.
pub(crate) fn note(
    context: &Context,
    store: &Store,
    commit: CommitId,
    new: NewRecord<'_>,
) -> Result<Noted> {
    let (_, who) = context.identities(store)?;
    let at = jiff::Timestamp::from_second(who.seconds)
        .map_err(|e| CliError::input(format!("the date of the committer: {e}")))?;
    let around = store.root().parent().unwrap_or(store.root());
    let record = Record {
        made: new.made,
        id: random_name()?,
        name: new.name.map(str::to_owned),
        at: at.to_string(),
        metrics: new.metrics,
        view: new.view.rows.clone(),
        writer: new.view.writer.clone(),
        // A run says what runs always said: whether rows are left out is its pin's to tell.
        filtered: new.made != Made::Run && !new.view.filters.is_empty(),
        rows: new.rows,
        output: new.output,
        code_commit: code_commit(around),
    };
    if record.made != Made::Run {
        let same = |known: &Record| {
            (known.made, &known.name, known.output) == (record.made, &record.name, record.output)
                && (&known.view, &known.writer, known.rows)
                    == (&record.view, &record.writer, record.rows)
        };
        let (known, _) = records(store, Some(commit))?;
        if let Some(known) = known.into_iter().find(|noted| same(&noted.record)) {
            return Ok(known);
        }
    }
    store.append_note(Notes::Runs, commit, &serde_json::to_string(&record)?, &who)?;
    Ok(Noted { commit, record })
}

/// Refuses a name that is no name.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let chars = name.chars().count();
    if name.trim().is_empty() || chars > NAME_CHARS_MAX || name.contains(char::is_control) {
        return Err(CliError::input(format!(
            "{what} has 1 to {NAME_CHARS_MAX} characters in one line"
        ))
        .hint("for example `--name baseline --metric f1=0.83`"));
    }
    Ok(())
}
