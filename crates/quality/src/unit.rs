//! The unit of analysis: what counts as one answer, and whose.
//!
//! An answer is the rows of one (submission, target, region, field); without submissions each row
//! is one. Boxes, areas and spans of one submission to one field are one answer together, and a
//! submission that has none is the answer that there is nothing. Choices about a region of an item
//! are about the same thing where they share the region's id.
//!
//! Agreement takes live answers of people other than `gold`: drafts, skipped and superseded rows,
//! models and rules are out, and counted by reason. Rejected answers stay, for else rejecting would
//! raise agreement; they do not vote in a consensus. A person's answer that is marked as gold stays
//! as well, does not vote, and does not score its author.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::RecordBatch;
use glossator_store::Result;
use glossator_store::geometry::Shape;
use glossator_store::intake::is_stub;
use glossator_store::schema::{ANNOTATIONS, Annotations, ColumnView, Submissions};
use glossator_store::segment::BatchStream;
use glossator_store::whole_items::WholeItems;

use crate::agreement::Sets;
use crate::answers::Aliases;
use crate::objects::Object;

/// The annotator that reference answers of a file are given to.
const REFERENCE: &str = "gold";

/// Which answers count where one person answered one question more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeats {
    /// The one that was changed last; of equal times, the later in the file.
    #[default]
    Last,
    /// The one that was changed first.
    First,
    /// All of them.
    All,
}

/// Names and their numbers, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Names {
    numbers: HashMap<String, u32>,
    /// The names by number.
    pub all: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.all.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.all.push(name.to_owned());
        number
    }

    /// The number of a name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }
}

/// Kinds whose answer is all objects that a submission has of them.
const AREAS: [&str; 4] = ["bbox", "rotated_bbox", "ellipse", "polygon"];
/// The same of stretches.
const STRETCHES: [&str; 2] = ["span", "time_span"];

/// What somebody answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// To which of [`Field::units`].
    pub unit: u32,
    /// Whose it is: a number of [`Answers::annotators`].
    pub annotator: u32,
    /// A number of [`Field::sets`]: the labels given.
    pub set: u32,
    /// The number given; 0 where the kind has none.
    pub number: f64,
    /// Whether it votes: neither rejected nor gold.
    pub votes: bool,
    /// Where its objects start and end in [`Field::objects`].
    pub objects: (u32, u32),
}

/// A reference answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gold {
    /// A number of [`Field::sets`].
    pub set: u32,
    /// The number given.
    pub number: f64,
    /// Where its objects start and end in [`Field::objects`].
    pub objects: (u32, u32),
}

/// The answers to one field, of one kind of annotation.
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// Which question of the policy.
    pub name: String,
    /// The kind of its annotations.
    pub kind: String,
    /// The item of each unit, in order of items: an item, or a target or region of one.
    pub units: Vec<String>,
    /// Answers in order of units.
    pub answers: Vec<Answer>,
    /// The reference answer of each unit, where there is one.
    pub gold: Vec<Option<Gold>>,
    /// Who made the reference answers: unit and annotator.
    pub gold_authors: HashSet<(u32, u32)>,
    /// The labels.
    pub labels: Names,
    /// Sets of labels.
    pub sets: Sets,
    /// What was drawn or marked.
    pub objects: Vec<Object>,
    /// Whether any answer or reference is a set of none or several labels.
    pub has_sets: bool,
}

/// All answers of a snapshot, by field.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Annotation rows that were read.
    pub rows: u64,
    /// Rows that are no answers that count, by reason.
    pub excluded: BTreeMap<&'static str, u64>,
    /// Who answered.
    pub annotators: Names,
    /// Submissions that a person skipped, by annotator.
    pub skipped: Vec<u64>,
    /// Fields by name and kind.
    pub fields: Vec<Field>,
}

impl Answers {
    /// Reads batches of `annotations` and of `submissions` in key order.
    pub fn read(
        rows: BatchStream<'_>,
        submissions: BatchStream<'_>,
        aliases: &Aliases,
        repeats: Repeats,
    ) -> Result<Self> {
        let mut reader = Reader {
            aliases,
            repeats,
            out: Self::default(),
            fields: HashMap::new(),
            sources: HashMap::new(),
            handed: HashSet::new(),
        };
        for batch in WholeItems::new(rows) {
            reader.read(&batch?);
        }
        let mut empty = Vec::new();
        for batch in submissions {
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
struct Part<'a> {
    field: usize,
    target: &'a str,
    region: &'a str,
    annotator: u32,
    submission: &'a str,
    /// Tells rows without a submission apart.
    own: usize,
    row: usize,
}

impl Part<'_> {
    fn question(&self) -> (usize, &str, &str) {
        (self.field, self.target, self.region)
    }
}

struct Reader<'a> {
    aliases: &'a Aliases,
    repeats: Repeats,
    out: Answers,
    fields: HashMap<(String, String), usize>,
    /// Fields that people drew or marked in, by source.
    sources: HashMap<String, Vec<usize>>,
    /// Item and submission of rows that have one.
    handed: HashSet<(String, String)>,
}

/// A submission that found nothing: unit by item, annotator, fields.
struct Empty {
    item: String,
    annotator: u32,
    votes: bool,
    /// Whether it says that there is nothing to find.
    gold: bool,
    fields: Vec<usize>,
}

impl Reader<'_> {
    /// Counts a skipped submission; remembers one that was handed in without a row.
    fn submission(&mut self, rows: &Submissions<'_>, row: usize, empty: &mut Vec<Empty>) {
        if rows.origin(row) != "human" {
            return;
        }
        let person = self.aliases.person(rows.annotator_id(row));
        match rows.state(row) {
            "skipped" => {
                let who = self.out.annotators.number(person) as usize;
                let skipped = &mut self.out.skipped;
                skipped.resize(skipped.len().max(who + 1), 0);
                skipped[who] += 1;
                return;
            }
            "draft" | "superseded" => return,
            _ => {}
        }
        let item = rows.item_id(row);
        let known = (item.to_owned(), rows.submission_id(row).to_owned());
        if rows.extra(row).is_some_and(is_stub) || self.handed.contains(&known) {
            return;
        }
        let Some(drawn) = self.sources.get(rows.source(row)) else { return };
        let fields: Vec<usize> = match rows.fields_asked(row) {
            Some(asked) => {
                let asked = |at: &&usize| asked.contains(&self.out.fields[**at].name.as_str());
                drawn.iter().filter(asked).copied().collect()
            }
            // Nobody says what was asked: it is certain where there is one question alone.
            None if drawn.len() == 1 => drawn.clone(),
            None => Vec::new(),
        };
        if !fields.is_empty() {
            let annotator = self.out.annotators.number(person);
            let gold = rows.gold(row) || person == REFERENCE;
            let votes = rows.state(row) != "rejected" && !gold;
            empty.push(Empty { item: item.to_owned(), annotator, votes, gold, fields });
        }
    }

    /// Adds the answers of those who found nothing, on the item as a whole.
    fn add_empty(&mut self, empty: Vec<Empty>) {
        if empty.is_empty() {
            return;
        }
        let mut units: HashMap<(usize, String), u32> = HashMap::new();
        for (at, field) in self.out.fields.iter().enumerate() {
            for (unit, item) in field.units.iter().enumerate() {
                // Of several targets the first.
                units.entry((at, item.clone())).or_insert(unit as u32);
            }
        }
        let reference = self.out.annotators.find(REFERENCE);
        for Empty { item, annotator, votes, gold, fields } in empty {
            for at in fields {
                let field = &mut self.out.fields[at];
                let next = field.units.len() as u32;
                let unit = *units.entry((at, item.clone())).or_insert(next);
                if unit == next {
                    field.units.push(item.clone());
                    field.gold.push(None);
                }
                let set = field.sets.number(&[]);
                let (number, objects) = (0.0, (0, 0));
                if gold {
                    let nothing = Gold { set, number, objects };
                    field.gold[unit as usize].get_or_insert(nothing);
                    field.gold_authors.insert((unit, annotator));
                }
                if Some(annotator) != reference {
                    field.answers.push(Answer { unit, annotator, set, number, votes, objects });
                }
            }
        }
        self.out.fields.iter_mut().for_each(|f| f.answers.sort_by_key(|answer| answer.unit));
    }

    fn read(&mut self, batch: &RecordBatch) {
        let rows = Annotations::new(batch);
        self.out.rows += rows.len() as u64;
        let mut people = Keys::new(batch, "annotator_id");
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
            let regions = drawn(&rows, start..end);
            parts.clear();
            for row in start..end {
                if let Some(reason) = reason(&rows, row) {
                    *self.out.excluded.entry(reason).or_default() += 1;
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
                    rows.geometry(row).is_none()
                        && regions.contains(&(submission.unwrap_or_default(), *region))
                });
                parts.push(Part {
                    field,
                    target: rows.target(row).unwrap_or_default(),
                    region: region.unwrap_or_default(),
                    annotator,
                    submission: submission.unwrap_or_default(),
                    own: if submission.is_none() && !has_objects(kind) { row } else { 0 },
                    row,
                });
                if has_objects(kind) {
                    self.drew(rows.source(row), item, submission, field);
                }
            }
            parts.sort_unstable();
            for question in parts.chunk_by(|a, b| a.question() == b.question()) {
                self.question(&rows, item, question);
            }
            start = end;
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
    fn question(&mut self, rows: &Annotations<'_>, item: &str, parts: &[Part<'_>]) {
        let field = &mut self.out.fields[parts[0].field];
        let unit = field.units.len() as u32;
        field.units.push(item.to_owned());
        let mut gold: Vec<Gold> = Vec::new();
        for person in parts.chunk_by(|a, b| a.annotator == b.annotator) {
            let annotator = person[0].annotator;
            let reference = self.out.annotators.all[annotator as usize] == REFERENCE;
            let mut answers: Vec<&[Part<'_>]> =
                person.chunk_by(|a, b| (a.submission, a.own) == (b.submission, b.own)).collect();
            if answers.len() > 1 && !reference && self.repeats != Repeats::All {
                let key = |answer: &&[Part<'_>]| {
                    let at =
                        |part: &Part<'_>| rows.updated_at(part.row).or(rows.created_at(part.row));
                    let seq = |part: &Part<'_>| rows.seq(part.row);
                    (answer.iter().map(at).max(), answer.iter().map(seq).max())
                };
                let kept = match self.repeats {
                    Repeats::First => answers.iter().copied().min_by_key(key),
                    _ => answers.iter().copied().max_by_key(key),
                };
                let kept: Vec<_> = kept.into_iter().collect();
                let left = person.len() - kept.iter().map(|answer| answer.len()).sum::<usize>();
                *self.out.excluded.entry("repeat").or_default() += left as u64;
                answers = kept;
            }
            for answer in answers {
                let (set, number, objects) = field.value(rows, answer);
                let marked = answer.iter().any(|part| rows.gold(part.row));
                let rejected = answer.iter().any(|part| rows.status(part.row) == "rejected");
                if reference || marked {
                    gold.push(Gold { set, number, objects });
                    field.gold_authors.insert((unit, annotator));
                }
                if reference {
                    *self.out.excluded.entry("reference").or_default() += answer.len() as u64;
                } else {
                    let votes = !rejected && !marked;
                    field.answers.push(Answer { unit, annotator, set, number, votes, objects });
                }
            }
        }
        // Gold that contradicts itself is none.
        let agreed = gold.first().filter(|first| gold.iter().all(|other| other == *first));
        if agreed.is_none() && !gold.is_empty() {
            *self.out.excluded.entry("contradicting reference").or_default() += gold.len() as u64;
        }
        field.gold.push(agreed.copied());
    }
}

impl Field {
    fn value(&mut self, rows: &Annotations<'_>, answer: &[Part<'_>]) -> (u32, f64, (u32, u32)) {
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
        self.has_sets |= self.sets.all()[set as usize].len() != 1;
        let number = answer.iter().find_map(|part| rows.number(part.row)).unwrap_or(0.0);
        let start = self.objects.len() as u32;
        if has_objects(&self.kind) {
            for part in answer {
                let label = rows.label(part.row).map(|label| self.labels.number(label));
                let geometry = rows.geometry(part.row);
                let shape = geometry.and_then(|shape| Shape::decode(&self.kind, shape));
                self.objects.push(Object { shape, label });
            }
        }
        (set, number, (start, self.objects.len() as u32))
    }

    /// What somebody drew or marked.
    pub fn drawn(&self, objects: (u32, u32)) -> &[Object] {
        &self.objects[objects.0 as usize..objects.1 as usize]
    }

    /// Whether an answer is all areas that were drawn.
    pub fn has_areas(&self) -> bool {
        AREAS.contains(&self.kind.as_str())
    }

    /// Whether an answer is all stretches that were marked.
    pub fn has_stretches(&self) -> bool {
        STRETCHES.contains(&self.kind.as_str())
    }
}

fn has_objects(kind: &str) -> bool {
    AREAS.contains(&kind) || STRETCHES.contains(&kind)
}

/// Regions that somebody drew: submission and region.
fn drawn<'a>(rows: &Annotations<'a>, range: std::ops::Range<usize>) -> HashSet<(&'a str, &'a str)> {
    range
        .filter(|&row| rows.geometry(row).is_some())
        .filter_map(|row| Some((rows.submission_id(row).unwrap_or_default(), rows.region_id(row)?)))
        .collect()
}
