//! Final answers: one answer an item and field, for training.
//!
//! Only what somebody stands by counts: predictions, rules, drafts, skipped, superseded and
//! rejected rows are left out. The answer of a person is all their rows of one submission to one
//! field and target; without submissions each row is one, but for what is drawn or marked. Of
//! several answers of a person the one that was changed last counts, as for agreement. A gold
//! answer is final; else the answer that most people gave; a tie has no final answer.
//!
//! Who has one id, or ids that are names of one person, votes as one. Who found nothing has no
//! vote: submissions without rows are counted among what is left out.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use glossator_store::Result;
use glossator_store::canonical::Rows;
use glossator_store::intake::is_stub;
use glossator_store::schema::{ANNOTATIONS, Annotations, Submissions};
use glossator_store::segment::BatchStream;
use glossator_store::whole_items::WholeItems;

use crate::unit;

/// How many ties are listed.
const TIES_SHOWN_MAX: usize = 20;

/// What a view of final answers left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Rows by reason.
    pub by_reason: BTreeMap<&'static str, u64>,
    /// Items and fields without a final answer, the first of them.
    pub ties: Vec<(String, String)>,
    /// How many ties there are.
    pub tie_count: u64,
}

impl LeftOut {
    /// Adds another batch's.
    pub fn add(&mut self, other: Self) {
        for (reason, count) in other.by_reason {
            *self.by_reason.entry(reason).or_default() += count;
        }
        self.tie_count += other.tie_count;
        let room = TIES_SHOWN_MAX.saturating_sub(self.ties.len());
        self.ties.extend(other.ties.into_iter().take(room));
    }

    fn count(&mut self, reason: &'static str, rows: u64) {
        *self.by_reason.entry(reason).or_default() += rows;
    }
}

/// Ids of annotators that are names of one person.
#[derive(Debug, Clone, Default)]
pub struct Aliases(HashMap<String, String>);

impl Aliases {
    /// From the pairs of the annotators' table: an id, and the one that it is another name of.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let next: HashMap<String, String> = pairs.into_iter().collect();
        let end = |id: &String| {
            let mut at = id;
            // As many steps as there are names: a circle ends somewhere, too.
            for _ in 0..next.len() {
                let Some(of) = next.get(at) else { break };
                at = of;
            }
            at.clone()
        };
        let names = next.iter().flat_map(|(alias, of)| [alias, of]);
        Self(names.map(|id| (id.clone(), end(id))).collect())
    }

    /// Whom an id names, across sources.
    pub fn person<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.get(id).map_or(id, String::as_str)
    }

    /// Who votes by the first method: with a name that the store joins to others, the person
    /// wherever they answered.
    fn voter<'a>(&'a self, source: &'a str, id: &'a str) -> (&'a str, &'a str) {
        self.0.get(id).map_or((source, id), |person| ("", person.as_str()))
    }
}

/// How final answers are found: what was pinned once goes on to mean what it meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// A person is one of each source, and rows without a submission are one answer together.
    GoldThenMajority1,
    /// Persons and repeats are those of [`Answers`](crate::unit::Answers).
    #[default]
    GoldThenMajority2,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::GoldThenMajority1, Self::GoldThenMajority2];

    /// What pins call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::GoldThenMajority1 => "gold-then-majority@1",
            Self::GoldThenMajority2 => "gold-then-majority@2",
        }
    }
}

/// Reduces annotations sorted by item to final answers.
pub struct FinalAnswers<'a> {
    items: WholeItems<'a>,
    aliases: Aliases,
    submissions: Handed<'a>,
    method: Method,
}

impl std::fmt::Debug for FinalAnswers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FinalAnswers").field("items", &self.items).finish_non_exhaustive()
    }
}

impl<'a> FinalAnswers<'a> {
    /// Reads batches of `annotations` and of `submissions` in key order.
    pub fn new(
        rows: BatchStream<'a>,
        submissions: BatchStream<'a>,
        aliases: Aliases,
        method: Method,
    ) -> Self {
        let submissions = Handed { batches: submissions, batch: None, row: 0 };
        Self { items: WholeItems::new(rows), aliases, submissions, method }
    }

    fn reduce(&mut self, batch: &RecordBatch) -> Result<(RecordBatch, LeftOut)> {
        let (answers, mut left_out) = reduce(batch, &self.aliases, self.method)?;
        let rows = Annotations::new(batch);
        let named: HashSet<(&str, &str)> = (0..rows.len())
            .filter_map(|row| Some((rows.item_id(row), rows.submission_id(row)?)))
            .collect();
        let last = rows.len().checked_sub(1).map(|row| rows.item_id(row));
        self.submissions.without_rows(last, &named, &mut left_out)?;
        Ok((answers, left_out))
    }

    /// What comes after the last annotation.
    fn rest(&mut self) -> Result<Option<(RecordBatch, LeftOut)>> {
        let mut left_out = LeftOut::default();
        self.submissions.without_rows(None, &HashSet::new(), &mut left_out)?;
        let none = RecordBatch::new_empty(ANNOTATIONS.arrow());
        Ok((left_out != LeftOut::default()).then_some((none, left_out)))
    }
}

impl Iterator for FinalAnswers<'_> {
    type Item = Result<(RecordBatch, LeftOut)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.items.next() {
            Some(batch) => Some(batch.and_then(|batch| self.reduce(&batch))),
            None => self.rest().transpose(),
        }
    }
}

/// Submissions in key order, read beside the annotations.
struct Handed<'a> {
    batches: BatchStream<'a>,
    batch: Option<RecordBatch>,
    row: usize,
}

impl Handed<'_> {
    /// Counts those that were handed in without a row, up to an item, or all that are left.
    fn without_rows(
        &mut self,
        last: Option<&str>,
        named: &HashSet<(&str, &str)>,
        left_out: &mut LeftOut,
    ) -> Result<()> {
        loop {
            let Some(batch) = &self.batch else {
                self.batch = self.batches.next().transpose()?;
                self.row = 0;
                if self.batch.is_none() {
                    return Ok(());
                }
                continue;
            };
            let rows = Submissions::new(batch);
            while self.row < rows.len() {
                let (item, id) = (rows.item_id(self.row), rows.submission_id(self.row));
                if last.is_some_and(|last| item > last) {
                    return Ok(());
                }
                let handed_in = rows.origin(self.row) == "human"
                    && matches!(rows.state(self.row), "submitted" | "accepted" | "fixed")
                    && !rows.extra(self.row).is_some_and(is_stub);
                if handed_in && !named.contains(&(item, id)) {
                    left_out.count("empty submission", 1);
                }
                self.row += 1;
            }
            self.batch = None;
        }
    }
}

/// Why a row is no answer to train on: as [`unit::reason`], and what a reviewer rejected.
fn reason(rows: &Annotations<'_>, row: usize) -> Option<&'static str> {
    let rejected = (rows.status(row) == "rejected").then_some("rejected");
    unit::reason(rows, row).or(rejected)
}

/// The question: item, field, target, and the kind of what is about the whole item.
type Question<'a> = (&'a str, &'a str, Option<&'a str>, &'a str);
/// Who answered it: gold apart, source, annotator.
type Person<'a> = (bool, &'a str, &'a str);
/// The rows that a person handed in, by submission, or each by itself.
type Submitted<'a> = BTreeMap<(Option<&'a str>, usize), Vec<usize>>;

/// A row's question, who answered it, and what tells their answers to it apart, by a method.
struct Asking<'a> {
    method: Method,
    aliases: &'a Aliases,
    /// Item, submission and region of what somebody drew.
    drawn: HashSet<(&'a str, Option<&'a str>, &'a str)>,
}

impl<'a> Asking<'a> {
    fn new(rows: &Annotations<'a>, aliases: &'a Aliases, method: Method) -> Self {
        let drawn = (0..rows.len()).filter(|row| unit::is_drawn(rows, *row)).filter_map(|row| {
            Some((rows.item_id(row), rows.submission_id(row), rows.region_id(row)?))
        });
        Self { method, aliases, drawn: drawn.collect() }
    }

    fn of(&self, rows: &Annotations<'a>, row: usize) -> (Question<'a>, Person<'a>, usize) {
        let (item, field, target) = (rows.item_id(row), rows.field(row), rows.target(row));
        let (source, id, gold) = (rows.source(row), rows.annotator_id(row), rows.gold(row));
        if self.method == Method::GoldThenMajority1 {
            let (source, person) = self.aliases.voter(source, id);
            return ((item, field, target, ""), (gold, source, person), 0);
        }
        let region = rows.region_id(row).map(|region| (item, rows.submission_id(row), region));
        // What is said of each region of an item is one answer, as the regions are.
        let of_region = region.is_some_and(|region| self.drawn.contains(&region));
        let whole = unit::stands_alone(rows, row) && !of_region;
        let (kind, own) = if whole { (rows.kind(row), unit::alone(rows, row)) } else { ("", 0) };
        // Whom two sources do not know may be two people.
        let source = if id == unit::UNKNOWN { source } else { "" };
        ((item, field, target, kind), (gold, source, self.aliases.person(id)), own)
    }
}

fn reduce(
    batch: &RecordBatch,
    aliases: &Aliases,
    method: Method,
) -> Result<(RecordBatch, LeftOut)> {
    let rows = Annotations::new(batch);
    let asking = Asking::new(&rows, aliases, method);
    let mut left_out = LeftOut::default();
    let mut order: Vec<Question<'_>> = Vec::new();
    let mut questions: HashMap<Question<'_>, BTreeMap<Person<'_>, Submitted<'_>>> = HashMap::new();
    for row in 0..rows.len() {
        if let Some(reason) = reason(&rows, row) {
            left_out.count(reason, 1);
            continue;
        }
        let (question, person, own) = asking.of(&rows, row);
        let answers = questions.entry(question).or_insert_with(|| {
            order.push(question);
            BTreeMap::new()
        });
        let submissions = answers.entry(person).or_default();
        submissions.entry((rows.submission_id(row), own)).or_default().push(row);
    }
    let canonical = Rows::new(&ANNOTATIONS, batch)?;
    let mut keep: HashSet<usize> = HashSet::new();
    for question in order {
        let Some(answers) = questions.remove(&question) else { continue };
        let total: u64 =
            answers.values().flat_map(BTreeMap::values).map(|rows| rows.len() as u64).sum();
        // One vote a person: of several answers the one that was changed last.
        let last = |submitted: Submitted<'_>| {
            submitted.into_values().max_by_key(|answer| {
                let (at, seq) = unit::when(&rows, answer.iter().copied());
                (at, seq.filter(|_| method != Method::GoldThenMajority1))
            })
        };
        let (gold, votes): (Vec<_>, Vec<_>) = answers
            .into_iter()
            .filter_map(|((gold, ..), submitted)| Some((gold, last(submitted)?)))
            .partition(|(gold, _)| *gold);
        // Gold decides; gold that disagrees with itself is a tie like any other.
        let votes = if gold.is_empty() { votes } else { gold };
        let votes: Vec<Vec<usize>> = votes.into_iter().map(|(_, answer)| answer).collect();
        let winner = majority(&votes, &canonical);
        match winner {
            Some(winner) => {
                keep.extend(winner);
                let others = total - winner.len() as u64;
                if others > 0 {
                    left_out.count("not the final answer", others);
                }
            }
            None => {
                left_out.count("tie", total);
                left_out.tie_count += 1;
                if left_out.ties.len() < TIES_SHOWN_MAX {
                    left_out.ties.push((question.0.to_owned(), question.1.to_owned()));
                }
            }
        }
    }
    let mut keep: Vec<u32> = keep.into_iter().map(|row| row as u32).collect();
    keep.sort_unstable();
    Ok((take_record_batch(batch, &UInt32Array::from(keep))?, left_out))
}

/// Columns in which equal answers may differ.
const WHO_AND_WHEN: [&str; 18] = [
    "annotation_id",
    "source",
    "submission_id",
    "region_id",
    "annotator_id",
    "origin",
    "seq",
    "score",
    "policy",
    "status",
    "gold",
    "parent_id",
    "created_at",
    "updated_at",
    "lead_time",
    "extra",
    "item_id",
    "field",
];

/// The first of the answers that most people gave; none where two are given equally often.
fn majority<'v>(answers: &'v [Vec<usize>], rows: &Rows<'_>) -> Option<&'v Vec<usize>> {
    let mut votes: HashMap<Vec<Vec<u8>>, (usize, usize)> = HashMap::new();
    for (at, answer) in answers.iter().enumerate() {
        let mut content: Vec<Vec<u8>> = answer.iter().map(|&row| content(rows, row)).collect();
        // Who says the same twice says it once.
        content.sort_unstable();
        content.dedup();
        votes.entry(content).or_insert((0, at)).0 += 1;
    }
    let most = votes.values().map(|(count, _)| *count).max()?;
    let mut leaders = votes.values().filter(|(count, _)| *count == most);
    let leader = leaders.next()?;
    if leaders.next().is_some() { None } else { answers.get(leader.1) }
}

/// What a row says, whoever said it.
pub(crate) fn content(rows: &Rows<'_>, row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    rows.encode_columns(row, &mut out, |column| !WHO_AND_WHEN.contains(&column.name));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossator_store::schema::{AnnotationRow, AnnotationsBuilder};
    use glossator_store::schema::{SubmissionRow, SubmissionsBuilder};

    fn row<'a>(item: &'a str, id: &'a str, who: &'a str, label: &'a str) -> AnnotationRow<'a> {
        AnnotationRow {
            item_id: item,
            annotation_id: id,
            source: "table",
            annotator_id: who,
            origin: "human",
            field: "label",
            kind: "choice",
            label: Some(label),
            status: "submitted",
            ..AnnotationRow::default()
        }
    }

    fn reduced(rows: &[AnnotationRow<'_>]) -> (Vec<(String, String)>, LeftOut) {
        reduced_with(rows, &[], &[])
    }

    fn reduced_with(
        rows: &[AnnotationRow<'_>],
        submissions: &[SubmissionRow<'_>],
        aliases: &[(&str, &str)],
    ) -> (Vec<(String, String)>, LeftOut) {
        let pairs = aliases.iter().map(|(alias, of)| ((*alias).to_owned(), (*of).to_owned()));
        let mut builder = AnnotationsBuilder::default();
        rows.iter().for_each(|row| builder.push(row));
        let batch = builder.finish();
        let stream: BatchStream<'_> = Box::new(std::iter::once(Ok(batch)));
        let mut handed = SubmissionsBuilder::default();
        submissions.iter().for_each(|row| handed.push(row));
        let handed: BatchStream<'_> = Box::new(std::iter::once(Ok(handed.finish())));
        let (mut found, mut left_out) = (Vec::new(), LeftOut::default());
        for part in FinalAnswers::new(stream, handed, Aliases::new(pairs), Method::default()) {
            let (batch, out) = part.unwrap();
            left_out.add(out);
            for row in Annotations::new(&batch).iter() {
                found.push((row.item_id.to_owned(), row.label.unwrap().to_owned()));
            }
        }
        (found, left_out)
    }

    #[test]
    fn the_majority_is_final_and_a_tie_is_listed() {
        let (found, left_out) = reduced(&[
            row("a", "1", "x", "cat"),
            row("a", "2", "y", "cat"),
            row("a", "3", "z", "dog"),
            row("b", "1", "x", "cat"),
            row("b", "2", "y", "dog"),
        ]);
        assert_eq!(found, [("a".to_owned(), "cat".to_owned())]);
        assert_eq!(left_out.ties, [("b".to_owned(), "label".to_owned())]);
        assert_eq!(left_out.by_reason["tie"], 2);
        assert_eq!(left_out.by_reason["not the final answer"], 2);
    }

    #[test]
    fn gold_is_final_and_what_nobody_stands_by_is_left_out() {
        let (found, left_out) = reduced(&[
            row("a", "1", "x", "cat"),
            row("a", "2", "y", "cat"),
            AnnotationRow { gold: true, ..row("a", "3", "gold", "dog") },
            AnnotationRow { origin: "model", ..row("b", "1", "m", "cat") },
            AnnotationRow { status: "rejected", ..row("b", "2", "x", "cat") },
            row("b", "3", "y", "dog"),
        ]);
        let labels: Vec<&str> = found.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["dog", "dog"]);
        assert_eq!(left_out.by_reason["prediction"], 1);
        assert_eq!(left_out.by_reason["rejected"], 1);
    }

    #[test]
    fn a_person_has_one_vote_and_gold_must_agree_with_itself() {
        let of = |id, who, label, submission, at| AnnotationRow {
            submission_id: Some(submission),
            updated_at: Some(at),
            ..row("a", id, who, label)
        };
        // x answered twice: the later answer counts, and makes two for dog.
        let (found, _) = reduced(&[
            of("1", "x", "cat", "annotation/1", 1),
            of("2", "x", "dog", "annotation/2", 2),
            of("3", "y", "dog", "annotation/3", 1),
            of("4", "z", "cat", "annotation/4", 1),
        ]);
        assert_eq!(found[0].1, "dog");
        // x says cat twice in one answer, which is the same as once.
        let (found, _) = reduced(&[
            row("a", "1", "x", "cat"),
            row("a", "2", "x", "cat"),
            row("a", "3", "y", "cat"),
            row("a", "4", "z", "dog"),
        ]);
        assert_eq!(found[0].1, "cat");
        let gold = |id, who, label| AnnotationRow { gold: true, ..row("a", id, who, label) };
        let (found, left_out) = reduced(&[gold("1", "x", "cat"), gold("2", "y", "dog")]);
        assert!(found.is_empty());
        assert_eq!(left_out.tie_count, 1);
    }

    /// Ann is `p-1` by her address, `2` in one tool and `ann` in another: her vote is one.
    #[test]
    fn names_of_one_person_vote_once() {
        let rows = [
            AnnotationRow { updated_at: Some(1), ..row("a", "1", "p-1", "cat") },
            AnnotationRow { updated_at: Some(2), ..row("a", "2", "2", "cat") },
            AnnotationRow { source: "other", updated_at: Some(3), ..row("a", "3", "ann", "cat") },
            row("a", "4", "bob", "dog"),
            row("a", "5", "eve", "dog"),
        ];
        let (found, _) = reduced(&rows);
        assert_eq!(found[0].1, "cat", "three against two");
        let (found, left_out) = reduced_with(&rows, &[], &[("p-1", "2"), ("2", "ann")]);
        assert_eq!(found[0].1, "dog", "one against two");
        assert_eq!(left_out.by_reason["not the final answer"], 4);
        // A circle, which no command makes, still ends.
        let (found, _) = reduced_with(&rows, &[], &[("p-1", "2"), ("2", "p-1")]);
        assert_eq!(found[0].1, "cat");
    }

    #[test]
    fn who_found_nothing_is_counted() {
        let handed = |item, id| SubmissionRow {
            item_id: item,
            submission_id: id,
            source: "table",
            annotator_id: "x",
            origin: "human",
            state: "submitted",
            ..SubmissionRow::default()
        };
        let stub = r#"{"stub":true}"#;
        let submissions = [
            handed("a", "annotation/1"),
            handed("b", "annotation/1"),
            handed("b", "annotation/2"),
            SubmissionRow { state: "skipped", ..handed("b", "annotation/3") },
            SubmissionRow { origin: "model", ..handed("b", "prediction/4") },
            SubmissionRow { extra: Some(stub), ..handed("b", "annotation/5") },
            handed("c", "annotation/1"),
        ];
        let rows = [AnnotationRow {
            submission_id: Some("annotation/1"),
            status: "rejected",
            ..row("b", "1", "x", "cat")
        }];
        let (found, left_out) = reduced_with(&rows, &submissions, &[]);
        assert!(found.is_empty());
        // On `a`, the second on `b`, and on `c`, after the last annotation.
        let counts: Vec<(&str, u64)> = left_out.by_reason.into_iter().collect();
        assert_eq!(counts, [("empty submission", 3), ("rejected", 1)]);
    }

    #[test]
    fn a_set_of_labels_is_one_answer() {
        let set = |id, who, label, submission| AnnotationRow {
            submission_id: Some(submission),
            ..row("a", id, who, label)
        };
        let (found, left_out) = reduced(&[
            set("1", "x", "cat", "annotation/1"),
            set("2", "x", "dog", "annotation/1"),
            set("3", "y", "dog", "annotation/2"),
            set("4", "y", "cat", "annotation/2"),
            set("5", "z", "cat", "annotation/3"),
        ]);
        let labels: Vec<&str> = found.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["cat", "dog"]);
        assert_eq!(left_out.by_reason["not the final answer"], 3);
    }
}
