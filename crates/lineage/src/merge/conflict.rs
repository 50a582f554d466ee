//! What two sides disagree on, and rules that decide it.

use arrow::array::RecordBatch;
use glossator_store::merging::Take;
use glossator_store::schema::{ColumnView, Table};
use serde::{Deserialize, Serialize};

/// How two sides disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConflictKind {
    /// Both changed one row, in different ways.
    ChangedTwice,
    /// One removed a row that the other changed.
    RemovedChanged,
    /// One removed a row that the other accepted.
    RemovedAccepted,
    /// One annotator answered one question on both, in different ways.
    AnsweredTwice,
    /// Both added a row of one id, of different questions or people.
    SameId,
    /// Both changed a file of a policy, in different ways.
    Policy,
}

impl ConflictKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ChangedTwice,
        Self::RemovedChanged,
        Self::RemovedAccepted,
        Self::AnsweredTwice,
        Self::SameId,
        Self::Policy,
    ];

    /// The word for it in output.
    pub fn word(self) -> &'static str {
        match self {
            Self::ChangedTwice => "changed-twice",
            Self::RemovedChanged => "removed-changed",
            Self::RemovedAccepted => "removed-accepted",
            Self::AnsweredTwice => "answered-twice",
            Self::SameId => "same-id",
            Self::Policy => "policy",
        }
    }
}

/// A row of a batch that starts with the table's columns.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    /// The batch.
    pub batch: &'a RecordBatch,
    /// The row in it.
    pub row: usize,
}

impl RowRef<'_> {
    fn column(&self, table: &Table, name: &str) -> Option<ColumnView<'_>> {
        ColumnView::new(self.batch.column(table.column(name)?))
    }

    /// The text of a column.
    pub fn text(&self, table: &Table, name: &str) -> Option<String> {
        self.column(table, name)?.text(self.row).map(str::to_owned)
    }

    fn time(&self, table: &Table, name: &str) -> Option<i64> {
        self.column(table, name)?.int(self.row)
    }
}

/// Rows of one key, or of one question twice, that do not fit together.
#[derive(Debug, Clone, Copy)]
pub struct Conflict<'a> {
    /// How the sides disagree.
    pub kind: ConflictKind,
    /// The table.
    pub table: &'static Table,
    /// The key by which it is decided: that of our row, or of theirs where we have none.
    pub key: (&'a str, &'a str),
    /// The row where the sides parted, none where both added it.
    pub base: Option<RowRef<'a>>,
    /// Our row, none where we removed it or gave no such answer.
    pub ours: Option<RowRef<'a>>,
    /// Their row, likewise.
    pub theirs: Option<RowRef<'a>>,
    /// How many rows the answers of ours and theirs have, which are decided as a whole: the two
    /// rows are then the first that differ.
    pub rows: [usize; 2],
    /// When the submissions of ours and theirs were changed last, microseconds since 1970 UTC.
    pub handed_in: [Option<i64>; 2],
    /// Whether one row can be made of both: their mean box, and by columns.
    pub(super) makes: [bool; 2],
}

impl Conflict<'_> {
    /// Whether it can be decided so: both rows can stay where they are two, or one is left; one can
    /// be made of both where they allow it.
    pub fn can_take(&self, take: Take) -> bool {
        let one_left = self.ours.is_none() || self.theirs.is_none();
        let two_keys = match (self.ours, self.theirs) {
            (Some(ours), Some(theirs)) => {
                let key = |row: RowRef<'_>| {
                    (0..self.table.key_len)
                        .map(|column| {
                            let view = ColumnView::new(row.batch.column(column));
                            view.and_then(|view| view.text(row.row)).map(str::to_owned)
                        })
                        .collect::<Vec<_>>()
                };
                key(ours) != key(theirs)
            }
            _ => false,
        };
        match take {
            Take::Ours | Take::Theirs => true,
            Take::Both => one_left || two_keys,
            Take::MeanBox => self.makes[0],
            Take::PerColumn => self.makes[1],
        }
    }
}

/// A rule that decides conflicts, or leaves them open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Our side.
    Ours,
    /// Their side.
    Theirs,
    /// The side whose row was changed last; open where either says no time, or both the same.
    Newest,
    /// The side whose row was accepted or fixed in review; open where both were, or none.
    Reviewed,
    /// The side whose row was made under the later version of one policy.
    NewerPolicy,
    /// Both answers, or the row that one side removed.
    Union,
    /// The box between two boxes of one label; whoever merges is its author.
    MeanBox,
    /// Each column by itself, where both sides changed different ones; the same.
    PerColumn,
    /// Both answers, where one person answered one question twice.
    Repeats,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Ours,
        Self::Theirs,
        Self::Newest,
        Self::Reviewed,
        Self::NewerPolicy,
        Self::Union,
        Self::MeanBox,
        Self::PerColumn,
        Self::Repeats,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Newest => "newest",
            Self::Reviewed => "reviewed",
            Self::NewerPolicy => "newer-policy",
            Self::Union => "union",
            Self::MeanBox => "mean-box",
            Self::PerColumn => "per-column",
            Self::Repeats => "repeats",
        }
    }

    /// For which side it decides, `None` where it says nothing.
    pub fn decide(self, conflict: &Conflict<'_>) -> Option<Take> {
        let table = conflict.table;
        let both = || conflict.ours.zip(conflict.theirs);
        match self {
            Self::Ours => Some(Take::Ours),
            Self::Theirs => Some(Take::Theirs),
            Self::Newest => {
                let (ours, theirs) = both()?;
                let time = |row: RowRef<'_>, handed_in: Option<i64>| {
                    let own = |name: &&str| row.time(table, name);
                    own(&"updated_at").or(handed_in).or(["created_at", "at"].iter().find_map(own))
                };
                let [own, other] = conflict.handed_in;
                larger(time(ours, own)?.cmp(&time(theirs, other)?))
            }
            Self::Reviewed => {
                let passed = |row: Option<RowRef<'_>>| {
                    let column = if table.name == "submissions" { "state" } else { "status" };
                    let status = row.and_then(|row| row.text(table, column));
                    status.is_some_and(|status| status == "accepted" || status == "fixed")
                };
                larger(passed(conflict.ours).cmp(&passed(conflict.theirs)))
            }
            Self::NewerPolicy => {
                let (a, b) = both()?;
                let (a, b) = (a.text(table, "policy")?, b.text(table, "policy")?);
                let (a, b) = (version(&a)?, version(&b)?);
                if a.0 == b.0 { larger(a.1.cmp(&b.1)) } else { None }
            }
            Self::Union => conflict.can_take(Take::Both).then_some(Take::Both),
            Self::MeanBox => conflict.can_take(Take::MeanBox).then_some(Take::MeanBox),
            Self::PerColumn => conflict.can_take(Take::PerColumn).then_some(Take::PerColumn),
            Self::Repeats => {
                let twice = conflict.kind == ConflictKind::AnsweredTwice;
                (twice && conflict.can_take(Take::Both)).then_some(Take::Both)
            }
        }
    }
}

/// Name and version of `name@1.2`.
pub(super) fn version(policy: &str) -> Option<(&str, Vec<u64>)> {
    let (name, version) = policy.rsplit_once('@')?;
    let numbers: Option<Vec<u64>> = version.split('.').map(|part| part.parse().ok()).collect();
    Some((name, numbers?))
}

/// The side that has more.
pub(super) fn larger(order: std::cmp::Ordering) -> Option<Take> {
    match order {
        std::cmp::Ordering::Greater => Some(Take::Ours),
        std::cmp::Ordering::Less => Some(Take::Theirs),
        std::cmp::Ordering::Equal => None,
    }
}
