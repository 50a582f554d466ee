//! Names that look like one that was not found.

use arrow::array::{Array, AsArray};
use glossator_store::schema::{ANNOTATIONS, Columns, ITEMS};
use glossator_store::{CommitId, Snapshot, Store};

use crate::error::{CliError, Result};
use crate::render::shortened;

/// Ids that are looked at: a name is offered, not searched for at any price.
const LOOKED_AT_MAX: usize = 1_000_000;
/// Names that are offered.
const OFFERED_MAX: usize = 3;
/// Names less alike than this are none that somebody meant.
const ALIKE_MIN: f64 = 0.7;

/// The names that are most alike a wanted one, the best first.
#[derive(Debug)]
struct Nearest<'w> {
    wanted: &'w str,
    found: Vec<(f64, String)>,
}

impl<'w> Nearest<'w> {
    fn new(wanted: &'w str) -> Self {
        Self { wanted, found: Vec::new() }
    }

    fn add(&mut self, name: &str) {
        // Ids of one folder begin alike: what differs is what counts.
        let common = common_start(self.wanted, name);
        let alike = if name.contains(self.wanted) || self.wanted.contains(name) {
            0.9
        } else if name.len().abs_diff(self.wanted.len()) > self.wanted.len().max(4) {
            return;
        } else {
            let (a, b) = (&self.wanted[common..], &name[common..]);
            let far = strsim::levenshtein(a, b);
            1.0 - far as f64 / self.wanted.chars().count().max(1) as f64
        };
        if alike < ALIKE_MIN || name.is_empty() {
            return;
        }
        let at = self.found.partition_point(|(known, _)| *known >= alike);
        if at < OFFERED_MAX {
            self.found.insert(at, (alike, name.to_owned()));
            self.found.truncate(OFFERED_MAX);
        }
    }

    fn hint(&self) -> Option<String> {
        let names: Vec<String> =
            self.found.iter().map(|(_, name)| format!("`{}`", shortened(name, 200))).collect();
        (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
    }
}

/// Bytes of the start that two texts share.
fn common_start(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

/// The error for an item that is not there, with the ids that are most alike.
pub(crate) fn no_item(snapshot: &Snapshot<'_>, item: &str) -> Result<CliError> {
    let mut nearest = Nearest::new(item);
    for table in [&ITEMS, &ANNOTATIONS] {
        let mut left = LOOKED_AT_MAX;
        for batch in snapshot.table(table)?.scan_columns(Columns::named(table, &["item_id"]))? {
            let batch = batch?;
            let ids = batch.column(0).as_string::<i32>();
            let mut last = None;
            for id in ids.iter().flatten().take(left) {
                if last != Some(id) {
                    nearest.add(id);
                }
                last = Some(id);
            }
            left = left.saturating_sub(ids.len());
            if left == 0 {
                break;
            }
        }
        if !nearest.found.is_empty() {
            break;
        }
    }
    let made = CliError::input(format!("there is no item `{item}`"));
    Ok(match nearest.hint() {
        Some(hint) => made.hint(hint),
        None => made.hint("`gloss items` lists the ids"),
    })
}

/// The commit of a revision; where there is none, the names that are most alike.
pub(crate) fn resolve(store: &Store, revision: &str) -> Result<CommitId> {
    let error = match store.history.resolve(revision) {
        Err(error @ glossator_store::Error::NoCommit(_)) => error,
        done => return Ok(done?),
    };
    let mut nearest = Nearest::new(revision);
    for (name, _) in store.history.tips()? {
        for prefix in ["refs/heads/", "refs/tags/", "refs/remotes/"] {
            name.strip_prefix(prefix).into_iter().for_each(|name| nearest.add(name));
        }
    }
    let made = CliError::from(error);
    Err(match nearest.hint() {
        Some(hint) => made.hint(hint),
        None => made,
    })
}
