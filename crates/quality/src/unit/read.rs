//! Rows of annotations, item by item, to answers.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use arrow::array::{Array, RecordBatch};
use glossator_store::Error;
use glossator_store::geometry::Shape;
use glossator_store::schema::{
    ANNOTATIONS, Annotations, ColumnView, REVIEWS, Reviews, SUBMISSIONS, Submissions, Table,
};
use glossator_store::segment::BatchStream;
use glossator_store::whole_items::WholeItems;

use super::beside::Beside;
use super::prelabels::{Outcome, Predicted, Prelabel};
use super::{
    About, Answer, Answers, Field, Gold, NO_POLICY, REFERENCE, Repeats, Reviewed, Status, UNKNOWN,
    Work, has_objects, rules,
};
use crate::answers::Aliases;
use crate::objects::{Object, same_objects};

impl Answers {
    /// Reads the tables of a snapshot, each opened in key order.
    ///
    /// # Errors
    /// Where a table cannot be opened or read.
    pub fn read<'a, E: From<Error>>(
        open: impl Fn(&'static Table) -> Result<BatchStream<'a>, E>,
        aliases: &Aliases,
        repeats: Repeats,
    ) -> Result<Self, E> {
        let (asked, begun) = said(open(&SUBMISSIONS)?)?;
        // A table that says nothing of this is not read once more.
        let begun: BatchStream<'a> =
            if begun { open(&SUBMISSIONS)? } else { Box::new(std::iter::empty()) };
        let mut reader = Reader {
            aliases,
            repeats,
            out: Self::default(),
            fields: HashMap::new(),
            sources: HashMap::new(),
            handed: HashSet::new(),
            answered: asked.then(HashSet::new),
            begun_rows: 0,
            begun: Beside::new(begun, &SUBMISSIONS, "parent_id"),
            reviews: Beside::new(open(&REVIEWS)?, &REVIEWS, "decision"),
        };
        for batch in WholeItems::new(open(&ANNOTATIONS)?) {
            reader.read(&batch?)?;
        }
        let mut empty = Vec::new();
        for batch in open(&SUBMISSIONS)? {
            let batch = batch?;
            let rows = Submissions::new(&batch);
            for row in 0..rows.len() {
                reader.submission(&rows, row, &mut empty);
            }
        }
        reader.add_empty(empty);
        let mut answers = reader.out;
        answers.skipped.resize(answers.annotators.all.len(), 0);
        answers.fields.sort_by(|a, b| (&a.name, &a.kind).cmp(&(&b.name, &b.kind)));
        Ok(answers)
    }
}

/// Whether any submission says which fields were asked, and whether any began with another.
fn said(submissions: BatchStream<'_>) -> Result<(bool, bool), Error> {
    let has = |batch: &RecordBatch, name: &str| {
        let column = SUBMISSIONS.column(name).and_then(|at| batch.columns().get(at));
        column.is_some_and(|column| column.null_count() < column.len())
    };
    let (mut asked, mut begun) = (false, false);
    for batch in submissions {
        let batch = batch?;
        asked |= has(&batch, "fields_asked");
        begun |= has(&batch, "parent_id");
        if asked && begun {
            break;
        }
    }
    Ok((asked, begun))
}

/// What tells a submission's answer to a field from all others, in few bytes.
pub(super) fn digest(item: &str, submission: &str, field: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for text in [item, submission, field] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    digest
}

/// Why a row is no answer that counts.
pub(crate) fn reason(rows: &Annotations<'_>, row: usize) -> Option<&'static str> {
    match (rows.origin(row), rows.status(row)) {
        ("model", _) => Some("prediction"),
        ("rule", _) => Some("rule"),
        (_, "draft") => Some("draft"),
        (_, "skipped") => Some("skipped"),
        (_, "superseded") => Some("superseded"),
        _ => None,
    }
}

/// Whether a row is about a whole item, or a region that another row draws: what somebody drew or
/// marked, and how that hangs together, is one answer together.
pub(crate) fn stands_alone(rows: &Annotations<'_>, row: usize) -> bool {
    let kind = rows.kind(row);
    !has_objects(kind) && kind != "relation" && !is_drawn(rows, row)
}

/// What tells the answers of a person apart that have no submission: each such row is one. Of whom
/// nobody knows it is not known that they said something twice.
pub(crate) fn alone(rows: &Annotations<'_>, row: usize) -> usize {
    let known = rows.submission_id(row).is_none() && rows.annotator_id(row) != UNKNOWN;
    if known && stands_alone(rows, row) { row } else { 0 }
}

/// By what the last of a person's answers to one question is told: time, then place in the file.
pub(crate) fn when(
    rows: &Annotations<'_>,
    answer: impl Iterator<Item = usize> + Clone,
) -> (Option<Option<i64>>, Option<Option<i32>>) {
    let at = |row: usize| rows.updated_at(row).or(rows.created_at(row));
    (answer.clone().map(at).max(), answer.map(|row| rows.seq(row)).max())
}

/// Numbers of a dictionary column's values, looked up once a batch each.
struct Keys<'a> {
    view: Option<ColumnView<'a>>,
    known: Vec<Option<u32>>,
}

impl<'a> Keys<'a> {
    fn new(batch: &'a RecordBatch, column: &str) -> Self {
        let column = ANNOTATIONS.column(column).and_then(|at| batch.columns().get(at));
        Self { view: column.and_then(|c| ColumnView::new(c.as_ref())), known: Vec::new() }
    }

    fn number(&mut self, row: usize, look_up: impl FnOnce() -> u32) -> u32 {
        let Some(key) = self.view.as_ref().and_then(|view| view.dict_key(row)) else {
            return look_up();
        };
        if key >= self.known.len() {
            self.known.resize(key + 1, None);
        }
        *self.known[key].get_or_insert_with(look_up)
    }
}

/// One row, with what makes it part of an answer: ordered by question, person and submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part<'a> {
    field: usize,
    pub(super) target: &'a str,
    pub(super) region: &'a str,
    annotator: u32,
    pub(super) submission: &'a str,
    /// Tells rows without a submission apart.
    own: usize,
    pub(super) row: usize,
}

impl Part<'_> {
    fn question(&self) -> (usize, &str, &str) {
        (self.field, self.target, self.region)
    }
}

pub(super) struct Reader<'a> {
    pub(super) aliases: &'a Aliases,
    repeats: Repeats,
    pub(super) out: Answers,
    fields: HashMap<(String, String), usize>,
    /// Fields that people drew or marked in, by source.
    pub(super) sources: HashMap<String, Vec<usize>>,
    /// Item and submission of rows that have one.
    pub(super) handed: HashSet<(String, String)>,
    /// Digests of item, submission and field, where a submission says what it was asked.
    pub(super) answered: Option<HashSet<[u8; 16]>>,
    /// Rows before this batch.
    begun_rows: u64,
    /// Submissions that began with another.
    begun: Beside<'a>,
    reviews: Beside<'a>,
}

/// A review of one item: what it is of, and what was decided.
struct ItemReview {
    submission: Option<String>,
    annotation: Option<String>,
    round: i32,
    decision: String,
}

/// What is known of an item besides its rows.
struct Around<'b> {
    predicted: Predicted<'b>,
    reviews: Vec<ItemReview>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let rows = Annotations::new(batch);
        self.begun_rows = self.out.rows;
        self.out.rows += rows.len() as u64;
        let mut people = Keys::new(batch, "annotator_id");
        let mut policies = Keys::new(batch, "policy");
        let mut parts = Vec::new();
        let mut start = 0;
        // The last question, for its number.
        let mut last: Option<(&str, &str, usize)> = None;
        while start < rows.len() {
            let item = rows.item_id(start);
            let mut end = start + 1;
            while end < rows.len() && rows.item_id(end) == item {
                end += 1;
            }
            self.out.items += 1;
            if (start..end).any(|row| rows.origin(row) == "rule") {
                rules::add(&mut self.out.rules, &rows, start..end);
            }
            let regions = drawn(&rows, start..end);
            parts.clear();
            for row in start..end {
                if let Some(reason) = reason(&rows, row) {
                    *self.out.excluded.entry(reason).or_default() += 1;
                    if reason == "superseded" {
                        self.once_answered(&rows, row);
                    }
                    continue;
                }
                let (name, kind) = (rows.field(row), rows.kind(row));
                let field = match last {
                    Some((n, k, at)) if n == name && k == kind => at,
                    _ => self.field(name, kind),
                };
                last = Some((name, kind, field));
                let annotator = people.number(row, || {
                    self.out.annotators.number(self.aliases.person(rows.annotator_id(row)))
                });
                let submission = rows.submission_id(row);
                let region = rows.region_id(row).filter(|region| {
                    !is_drawn(&rows, row)
                        && regions.contains(&(submission.unwrap_or_default(), *region))
                });
                parts.push(Part {
                    field,
                    target: rows.target(row).unwrap_or_default(),
                    region: region.unwrap_or_default(),
                    annotator,
                    submission: submission.unwrap_or_default(),
                    own: alone(&rows, row),
                    row,
                });
                if let (Some(answered), Some(submission)) = (&mut self.answered, submission) {
                    answered.insert(digest(item, submission, name));
                }
                if has_objects(kind) {
                    self.drew(rows.source(row), item, submission, field);
                }
            }
            parts.sort_unstable();
            let around = self.around(batch, &rows, start..end, &regions)?;
            self.rejected(&rows, &around.predicted, &parts);
            for question in parts.chunk_by(|a, b| a.question() == b.question()) {
                self.question(&rows, item, question, &around, &mut policies);
            }
            start = end;
        }
        Ok(())
    }

    /// The predictions that people began with on an item, and its reviews.
    fn around<'b>(
        &mut self,
        batch: &'b RecordBatch,
        rows: &Annotations<'b>,
        range: Range<usize>,
        drawn: &HashSet<(&str, &str)>,
    ) -> Result<Around<'b>, Error> {
        let item = rows.item_id(range.start);
        let mut parents = HashMap::new();
        self.begun.of(item, &mut |batch, range| {
            let rows = Submissions::new(batch);
            for row in range {
                let live = !["draft", "skipped", "superseded"].contains(&rows.state(row));
                let parent = rows.parent_id(row).filter(|id| id.starts_with("prediction/"));
                if let Some(parent) = parent.filter(|_| live && rows.origin(row) == "human") {
                    parents.insert(rows.submission_id(row).to_owned(), parent.to_owned());
                }
            }
        })?;
        let mut reviews = Vec::new();
        self.reviews.of(item, &mut |batch, range| {
            let rows = Reviews::new(batch);
            reviews.extend(range.map(|row| ItemReview {
                submission: rows.submission_id(row).map(str::to_owned),
                annotation: rows.annotation_id(row).map(str::to_owned),
                round: rows.round(row).unwrap_or_default(),
                decision: rows.decision(row).to_owned(),
            }));
        })?;
        let models = &mut self.out.models;
        let predicted = Predicted::new(batch, rows, range, drawn, parents, models)?;
        Ok(Around { predicted, reviews })
    }

    /// Counts predictions that people left no answer of.
    fn rejected(&mut self, rows: &Annotations<'_>, predicted: &Predicted<'_>, parts: &[Part<'_>]) {
        if predicted.parents.is_empty() {
            return;
        }
        let answered = parts.iter().map(|part| {
            let (field, kind) = (rows.field(part.row), rows.kind(part.row));
            (part.submission, (field, kind, part.target, part.region))
        });
        for (name, kind, model) in predicted.rejected(&answered.collect()) {
            if let Some(&at) = self.fields.get(&(name.to_owned(), kind.to_owned())) {
                self.out.fields[at].prelabels.entry(model).or_default().rejected += 1;
            }
        }
    }

    /// Remembers that a submission had an answer: one that others took the place of is not one
    /// that found nothing.
    fn once_answered(&mut self, rows: &Annotations<'_>, row: usize) {
        let Some(submission) = rows.submission_id(row) else { return };
        let item = rows.item_id(row);
        if let Some(answered) = &mut self.answered {
            answered.insert(digest(item, submission, rows.field(row)));
        }
        if has_objects(rows.kind(row)) {
            self.handed.insert((item.to_owned(), submission.to_owned()));
        }
    }

    fn drew(&mut self, source: &str, item: &str, submission: Option<&str>, field: usize) {
        let fields = match self.sources.get_mut(source) {
            Some(fields) => fields,
            None => self.sources.entry(source.to_owned()).or_default(),
        };
        if !fields.contains(&field) {
            fields.push(field);
        }
        if let Some(submission) = submission {
            self.handed.insert((item.to_owned(), submission.to_owned()));
        }
    }

    fn field(&mut self, name: &str, kind: &str) -> usize {
        let next = self.out.fields.len();
        let at = *self.fields.entry((name.to_owned(), kind.to_owned())).or_insert(next);
        if at == next {
            let (name, kind) = (name.to_owned(), kind.to_owned());
            self.out.fields.push(Field { name, kind, ..Field::default() });
        }
        at
    }

    /// All answers to one question of one item.
    fn question<'b>(
        &mut self,
        rows: &Annotations<'b>,
        item: &str,
        parts: &[Part<'b>],
        around: &Around<'b>,
        policies: &mut Keys<'_>,
    ) {
        let at = parts[0].field;
        let unit = self.out.fields[at].begin_unit(item, parts[0].target, parts[0].region);
        let mut gold: Vec<Gold> = Vec::new();
        for person in parts.chunk_by(|a, b| a.annotator == b.annotator) {
            let annotator = person[0].annotator;
            let reference = self.out.annotators.all[annotator as usize] == REFERENCE;
            let mut answers: Vec<&[Part<'_>]> =
                person.chunk_by(|a, b| (a.submission, a.own) == (b.submission, b.own)).collect();
            if answers.len() > 1 && !reference {
                self.out.fields[at].repeated(rows, annotator, &answers);
                answers = self.kept(rows, answers);
            }
            for answer in answers {
                let field = &mut self.out.fields[at];
                let given = field.value(rows, answer);
                let marked = answer.iter().any(|part| rows.gold(part.row));
                if reference || marked {
                    gold.push(given);
                    field.gold_authors.insert((unit, annotator));
                }
                if reference {
                    *self.out.excluded.entry("reference").or_default() += answer.len() as u64;
                    continue;
                }
                let first = answer[0].row;
                let policy = match rows.policy(first) {
                    Some(name) => policies.number(first, || self.out.policies.number(name)),
                    None => NO_POLICY,
                };
                let status = status(rows, answer);
                let votes = status != Status::Rejected && !marked;
                let prelabel = around.predicted.of(rows, answer);
                let time = answer.iter().map(|p| rows.updated_at(p.row).or(rows.created_at(p.row)));
                let at_row = u32::try_from(self.begun_rows + first as u64).ok();
                let time = time.max().flatten();
                let about = About { at: time, status, policy, prelabel, row: at_row };
                field.review(rows, answer, around, annotator, given.set, policy);
                let Gold { set, number, objects, text } = given;
                let made = Answer { unit, annotator, set, number, votes, objects, text, about: 0 };
                field.push(made, about);
                let lead_time = rows.lead_time(first);
                if answer[0].submission.is_empty() && (about.at.is_some() || lead_time.is_some()) {
                    let at = rows.created_at(first).or(about.at);
                    self.out.work.push(Work { annotator, at, lead_time });
                }
            }
        }
        // Gold that contradicts itself is none.
        let field = &self.out.fields[at];
        let agreed = gold.first().filter(|first| gold.iter().all(|gold| field.same(gold, first)));
        if agreed.is_none() && !gold.is_empty() {
            *self.out.excluded.entry("contradicting reference").or_default() += gold.len() as u64;
        }
        self.out.fields[at].gold.push(agreed.copied());
    }

    /// Of a person's answers to one question those that count.
    fn kept<'p, 'b>(
        &mut self,
        rows: &Annotations<'_>,
        answers: Vec<&'p [Part<'b>]>,
    ) -> Vec<&'p [Part<'b>]> {
        let key = |answer: &&[Part<'_>]| when(rows, answer.iter().map(|part| part.row));
        let kept = match self.repeats {
            Repeats::All => return answers,
            Repeats::First => answers.iter().copied().min_by_key(key),
            Repeats::Last => answers.iter().copied().max_by_key(key),
        };
        let all: usize = answers.iter().map(|answer| answer.len()).sum();
        let left = all - kept.map_or(0, <[Part<'_>]>::len);
        *self.out.excluded.entry("repeat").or_default() += left as u64;
        kept.into_iter().collect()
    }
}

/// What reviewers made of an answer's rows: the worst of them.
fn status(rows: &Annotations<'_>, answer: &[Part<'_>]) -> Status {
    let of = |part: &Part<'_>| match rows.status(part.row) {
        "rejected" => Status::Rejected,
        "fixed" => Status::Fixed,
        "accepted" => Status::Accepted,
        _ => Status::Submitted,
    };
    answer.iter().map(of).max_by_key(|status| *status as u8).unwrap_or_default()
}

impl Field {
    /// Adds a unit without answers, and gives its number.
    pub(super) fn begin_unit(&mut self, item: &str, target: &str, region: &str) -> u32 {
        let unit = self.units.len() as u32;
        self.units.push(item.to_owned());
        if !target.is_empty() || !region.is_empty() {
            self.parts.insert(unit, (target.to_owned(), region.to_owned()));
        }
        unit
    }

    /// Adds an answer and how it came about.
    pub(super) fn push(&mut self, answer: Answer, about: About) {
        if let Some(Prelabel { model: Some(model), outcome }) = about.prelabel {
            let counts = self.prelabels.entry(model).or_default();
            match outcome {
                Outcome::Accepted => counts.accepted += 1,
                Outcome::Edited => counts.edited += 1,
                Outcome::Added => counts.added += 1,
                Outcome::Unknown => {}
            }
        }
        let number = self.abouts.len() as u32;
        self.abouts.push(about);
        self.answers.push(Answer { about: number, ..answer });
    }

    /// Compares the answers of one person to one question with each other.
    fn repeated(&mut self, rows: &Annotations<'_>, annotator: u32, answers: &[&[Part<'_>]]) {
        // Of other kinds an answer is more than what is read of it here.
        if !["choice", "number", "text"].contains(&self.kind.as_str()) {
            return;
        }
        let said: Vec<Gold> = answers.iter().map(|answer| self.value(rows, answer)).collect();
        let mut own = self.own_pairs.get(&annotator).copied().unwrap_or_default();
        for (at, one) in said.iter().enumerate() {
            own.pairs += at as u64;
            own.equal += said[..at].iter().filter(|other| self.same(other, one)).count() as u64;
        }
        self.own_pairs.insert(annotator, own);
    }

    /// Whether two answers say the same; what is drawn in whichever order.
    fn same(&self, a: &Gold, b: &Gold) -> bool {
        (a.set, a.number, a.text) == (b.set, b.number, b.text)
            && same_objects(self.drawn(a.objects), self.drawn(b.objects))
    }

    /// Keeps what reviewers decided on an answer.
    fn review(
        &mut self,
        rows: &Annotations<'_>,
        answer: &[Part<'_>],
        around: &Around<'_>,
        annotator: u32,
        set: u32,
        policy: u32,
    ) {
        for review in &around.reviews {
            let fits = match &review.annotation {
                Some(id) => answer.iter().any(|part| rows.annotation_id(part.row) == id),
                None => review.submission.as_deref().is_some_and(|id| id == answer[0].submission),
            };
            if fits {
                let (round, decision) = (review.round, review.decision.clone());
                self.reviews.push(Reviewed { annotator, set, policy, round, decision });
            }
        }
    }

    /// What an answer says.
    fn value(&mut self, rows: &Annotations<'_>, answer: &[Part<'_>]) -> Gold {
        let labels: Vec<u32> = answer
            .iter()
            .filter_map(|part| {
                let label = rows.label(part.row)?;
                Some(match rows.negative(part.row) {
                    false => self.labels.number(label),
                    true => self.labels.number(&format!("not {label}")),
                })
            })
            .collect();
        let set = self.sets.number(&labels);
        self.has_sets |= self.sets.all()[set as usize].len() > 1;
        let number = answer.iter().find_map(|part| rows.number(part.row)).unwrap_or(0.0);
        let start = self.objects.len() as u32;
        if has_objects(&self.kind) {
            for part in answer {
                let label = rows.label(part.row).map(|label| self.labels.number(label));
                let geometry = rows.geometry(part.row);
                self.other_unit |= rows.unit(part.row).is_some_and(|unit| unit != "codepoint");
                let shape = match rows.mask(part.row) {
                    Some(mask) => Shape::decode_mask(mask, geometry),
                    None => geometry.and_then(|shape| Shape::decode(&self.kind, shape)),
                };
                self.objects.push(Object { shape, label });
            }
        }
        let text = answer.iter().filter(|_| self.kind == "text");
        let text = text.filter_map(|part| rows.text(part.row)).next();
        let text = text.map(|text| self.texts.number(text));
        Gold { set, number, objects: (start, self.objects.len() as u32), text }
    }
}

/// Whether a row says itself where on the item it is.
pub(crate) fn is_drawn(rows: &Annotations<'_>, row: usize) -> bool {
    rows.geometry(row).is_some() || rows.mask(row).is_some()
}

/// Regions that somebody drew: submission and region.
fn drawn<'a>(rows: &Annotations<'a>, range: Range<usize>) -> HashSet<(&'a str, &'a str)> {
    range
        .filter(|&row| is_drawn(rows, row))
        .filter_map(|row| Some((rows.submission_id(row).unwrap_or_default(), rows.region_id(row)?)))
        .collect()
}
