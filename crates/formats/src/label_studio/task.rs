//! One task: an item and everything that was handed in for it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use glossator_store::reviews::AS_GIVEN;
use glossator_store::schema::{
    AnnotationRow, AnnotationsBuilder, ItemRow, ItemsBuilder, ReviewRow, ReviewsBuilder,
    SubmissionRow, SubmissionsBuilder,
};
use serde_json::{Map, Value, json};

use super::people::People;
use super::submission::{self, Owner, Sort, Whole, has, list};
use super::{Check, Fault, Stop, extra_cell, id_node, id_text, number_or_text};
use crate::json::{self as js, Member, Node, find};

use super::PLAIN_TASK as BARE;

/// Endings of files that a task can show or play.
const MEDIA: [&str; 24] = [
    "aac", "avi", "bmp", "flac", "gif", "jpeg", "jpg", "m4a", "mkv", "mov", "mp3", "mp4", "mpeg",
    "ogg", "opus", "pdf", "png", "svg", "tif", "tiff", "wav", "webm", "webp", "csv",
];
/// Those of them that play.
const PLAYING: [&str; 13] =
    ["aac", "avi", "flac", "m4a", "mkv", "mov", "mp3", "mp4", "mpeg", "ogg", "opus", "wav", "webm"];

/// The item of a task: what is needed to write its members.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub owner: Owner,
    pub source: String,
    pub item_id: String,
    pub data: Option<Value>,
    pub uri: Option<String>,
    pub seq: Option<i32>,
    pub extra: Map<String, Value>,
}

/// A task as rows.
#[derive(Debug)]
pub(super) struct Task {
    pub item: Item,
    /// The text of its data.
    pub data: Option<String>,
    pub extra: Option<String>,
    pub submissions: Vec<Whole>,
}

/// How many entries each list of a task has.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub annotations: usize,
    pub skipped: usize,
    pub predictions: usize,
    pub drafts: usize,
}

impl Counts {
    pub fn add(&mut self, head: &submission::Submission) {
        match head.sort {
            Sort::Annotation if head.is_skipped() => self.skipped += 1,
            Sort::Annotation => self.annotations += 1,
            Sort::Prediction => self.predictions += 1,
            Sort::Draft => self.drafts += 1,
        }
    }
}

/// Reads a task. `name` gives the item id part of a task without an id, from its data.
pub(super) fn read(
    value: &Node<'_>,
    source: String,
    seq: u64,
    people: &mut People<'_>,
    name: &mut dyn FnMut(&str) -> String,
) -> Check<Task, Stop> {
    let map = value
        .as_object()
        .ok_or_else(|| Fault::new("", format!("a task is {}, not an object", value.type_name())))?;
    let known = ["data", "annotations", "predictions", "drafts"];
    if !known.iter().any(|member| has(map, member)) {
        let what = "this is no task: it has none of `data`, `annotations` and `predictions`";
        return Err(Fault::new("", what).into());
    }
    let task = id_text(find(map, "id"), ".id")?;
    let data = find(map, "data");
    let text = data.map(Node::to_text);
    let part = task.clone().unwrap_or_else(|| name(text.as_deref().unwrap_or_default()));
    let lists = [
        list(map, Sort::Annotation.member(), "")?.unwrap_or_default(),
        list(map, Sort::Draft.member(), "")?.unwrap_or_default(),
        list(map, Sort::Prediction.member(), "")?.unwrap_or_default(),
    ];
    let owner = Owner {
        project: project_of(&source),
        size: lists.into_iter().flatten().find_map(first_size),
        plays: data.is_some_and(|data| media(data).any(|m| ends_with(m, &PLAYING))),
        task,
    };
    let mut item = Item {
        item_id: format!("{source}/{part}"),
        uri: data.and_then(only_media),
        seq: i32::try_from(seq).ok(),
        extra: Map::new(),
        owner,
        source,
        data: None,
    };
    if item.item_id.len() > super::ID_BYTES_MAX {
        return Err(Fault::new(".id", "the id is longer than 1 KiB with its source").into());
    }
    let submissions = read_lists(lists, &item.owner, people)?;
    let mut counts = Counts::default();
    submissions.iter().for_each(|whole| counts.add(&whole.head));
    if !has(map, "total_annotations") {
        item.extra.insert(BARE.to_owned(), Value::Bool(true));
    }
    let shell = people.hide(&shell_of(map))?;
    let rendered = Node::Object(item.render(counts));
    let rest = js::node_residual(&rendered, &shell);
    let rest = rest.as_ref().and_then(Node::as_object).unwrap_or_default();
    let extra = extra_cell(&item.extra, rest);
    Ok(Task { data: text, extra, submissions, item })
}

fn read_lists(
    lists: [&[Node<'_>]; 3],
    owner: &Owner,
    people: &mut People<'_>,
) -> Check<Vec<Whole>, Stop> {
    let mut seen = BTreeSet::new();
    let mut submissions: Vec<Whole> = Vec::new();
    for (sort, entries) in Sort::ALL.into_iter().zip(lists) {
        for (index, entry) in entries.iter().enumerate() {
            let whole = submission::read(sort, entry, index, owner, people)?;
            if !seen.insert(whole.head.id.clone()) {
                let path = format!(".{}[{index}].id", sort.member());
                let what = format!("the task has two entries `{}`", whole.head.id);
                return Err(Fault::new(&path, what).into());
            }
            submissions.push(whole);
        }
    }
    Ok(submissions)
}

/// The members of a task without its data and the entries of its lists.
fn shell_of<'a>(map: &[Member<'a>]) -> Vec<Member<'a>> {
    map.iter()
        .filter(|(name, _)| name != "data")
        .map(|(name, value)| match (&**name, value) {
            ("annotations" | "drafts" | "predictions", Node::Array(_)) => {
                (name.clone(), Node::Array(vec![]))
            }
            _ => (name.clone(), value.clone()),
        })
        .collect()
}

impl Item {
    /// What the stored row says now.
    pub fn stored(row: &ItemRow<'_>) -> Self {
        let source = row.source.unwrap_or_default().to_owned();
        let aliases = row.aliases.clone().unwrap_or_default();
        let task = task_id(&source, &aliases);
        let data = row.data.and_then(|text| js::parse(text).ok());
        let foreign = task.is_none() && data.is_none() && row.extra.is_none();
        let shown = row.uri.unwrap_or(row.item_id);
        Self {
            owner: Owner {
                project: project_of(&source),
                size: row.width.zip(row.height),
                plays: false,
                task: task.filter(|id| !id.starts_with('@')),
            },
            item_id: row.item_id.to_owned(),
            uri: row.uri.map(str::to_owned),
            seq: row.seq,
            extra: super::extra_of(row.extra),
            // An item of another format is shown by its address.
            data: if foreign { Some(json!({"image": shown})) } else { data },
            source,
        }
    }

    /// What the columns alone say, without data; lists are empty.
    pub fn render(&self, counts: Counts) -> Vec<Member<'_>> {
        let mut out: Vec<Member<'_>> = Vec::with_capacity(16);
        let mut insert = |name: &'static str, value| out.push((name.into(), value));
        let bare = self.extra.contains_key(BARE);
        if let Some(id) = &self.owner.task {
            insert("id", id_node(id));
        }
        let lists = [
            ("annotations", counts.annotations + counts.skipped),
            ("drafts", counts.drafts),
            ("predictions", counts.predictions),
        ];
        for (name, count) in lists {
            if count > 0 || !bare {
                insert(name, Node::Array(Vec::new()));
            }
        }
        if !bare {
            let number = |count: usize| Node::Number(Cow::Owned(count.to_string()));
            insert("meta", Node::Object(Vec::new()));
            insert("allow_skip", Node::Bool(true));
            insert("total_annotations", number(counts.annotations));
            insert("cancelled_annotations", number(counts.skipped));
            insert("total_predictions", number(counts.predictions));
            insert("comment_count", number(0));
            insert("unresolved_comment_count", number(0));
            insert("last_comment_updated_at", Node::Null);
            insert("comment_authors", Node::Array(Vec::new()));
        }
        if let Some(project) = &self.owner.project {
            insert("project", project.into());
        }
        out
    }

    /// The task without its lists' entries; people are still hidden.
    pub fn write(&self, counts: Counts) -> Value {
        let mut rest = self.extra.clone();
        rest.shift_remove(BARE);
        let mut rendered = js::object(self.render(counts));
        if let Some(data) = &self.data {
            rendered.insert("data".to_owned(), data.clone());
        }
        Value::Object(js::restore_object(rendered, &rest))
    }
}

/// The tool's id of an item: what follows the source in its alias.
fn task_id(source: &str, aliases: &[&str]) -> Option<String> {
    let own = |alias: &&str| alias.strip_prefix(source)?.strip_prefix('/').map(str::to_owned);
    let any = |alias: &&str| {
        let rest = alias.strip_prefix(super::SOURCE_PREFIX)?;
        rest.split_once('/').map(|(_, id)| id.to_owned())
    };
    let found = if source.is_empty() { None } else { aliases.iter().find_map(own) };
    found.or_else(|| aliases.iter().find_map(any))
}

/// The project's number, where the source states one.
fn project_of(source: &str) -> Option<Value> {
    let project = number_or_text(source.strip_prefix(super::SOURCE_PREFIX)?);
    project.is_number().then_some(project)
}

fn first_size(entry: &Node<'_>) -> Option<(i64, i64)> {
    entry.get("result")?.as_array()?.iter().find_map(super::size_of)
}

/// The addresses in a task's data.
fn media<'n>(data: &'n Node<'_>) -> impl Iterator<Item = &'n str> {
    let members = data.as_object().unwrap_or_default();
    let texts = members.iter().filter_map(|(_, value)| value.as_str());
    texts.filter(|text| is_media(text))
}

fn is_media(text: &str) -> bool {
    if text.is_empty() || text.len() > super::ID_BYTES_MAX || text.contains(char::is_whitespace) {
        return false;
    }
    let scheme = text.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty()
            && !rest.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'+')
    });
    scheme || text.starts_with("/data/") || ends_with(text, &MEDIA)
}

fn ends_with(text: &str, endings: &[&str]) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    path.rsplit_once('.')
        .is_some_and(|(_, end)| endings.iter().any(|known| known.eq_ignore_ascii_case(end)))
}

/// The one address in a task's data, where there is exactly one.
fn only_media(data: &Node<'_>) -> Option<String> {
    let found: BTreeSet<&str> = media(data).collect();
    match found.len() {
        1 => found.first().map(|&uri| uri.to_owned()),
        _ => None,
    }
}

/// Batches in the making.
#[derive(Default)]
pub(super) struct Builders {
    pub items: ItemsBuilder,
    pub submissions: SubmissionsBuilder,
    pub annotations: AnnotationsBuilder,
    pub reviews: ReviewsBuilder,
}

impl Builders {
    /// Appends the rows of a task.
    pub fn push(&mut self, task: &Task) {
        let item = &task.item;
        let id = item.item_id.as_str();
        let mut aliases = vec![id];
        aliases.extend(item.uri.as_deref());
        self.items.push(&ItemRow {
            item_id: id,
            aliases: Some(aliases),
            source: Some(&item.source),
            uri: item.uri.as_deref(),
            data: task.data.as_deref(),
            width: item.owner.size.map(|(width, _)| width),
            height: item.owner.size.map(|(_, height)| height),
            seq: item.seq,
            extra: task.extra.as_deref(),
            ..ItemRow::default()
        });
        for whole in &task.submissions {
            self.push_submission(item, whole);
        }
    }

    fn push_submission(&mut self, item: &Item, whole: &Whole) {
        let head = &whole.head;
        self.submissions.push(&SubmissionRow {
            item_id: &item.item_id,
            submission_id: &head.id,
            source: &item.source,
            annotator_id: &head.annotator,
            origin: &head.origin,
            state: &head.state,
            gold: head.gold,
            created_at: head.created,
            updated_at: head.updated,
            lead_time: head.lead_time,
            parent_id: head.parent.as_deref(),
            score: head.score,
            seq: head.seq,
            extra: whole.extra.as_deref(),
            ..SubmissionRow::default()
        });
        for (seq, row) in whole.rows.iter().enumerate() {
            let extra = row.extra_cell();
            self.annotations.push(&AnnotationRow {
                item_id: &item.item_id,
                source: &item.source,
                submission_id: Some(&head.id),
                region_id: row.region.as_deref(),
                annotator_id: &head.annotator,
                origin: &head.origin,
                field: &row.field,
                target: row.target.as_deref(),
                kind: &row.kind,
                label: row.label.as_deref(),
                geometry: row.geometry.as_deref(),
                unit: row.unit.as_deref(),
                frame: row.frame,
                seq: i32::try_from(seq).ok(),
                refs: row.refs.as_ref().map(|refs| refs.iter().map(String::as_str).collect()),
                text: row.text.as_deref(),
                number: row.number,
                mask: row.mask.as_deref(),
                score: row.score,
                status: &head.state,
                gold: head.gold,
                extra: extra.as_deref(),
                ..AnnotationRow::default()
            });
        }
        for review in &whole.reviews {
            let extra = extra_cell(&review.extra, &[]);
            self.reviews.push(&ReviewRow {
                item_id: &item.item_id,
                review_id: &review.id,
                source: &item.source,
                submission_id: Some(&head.id),
                round: review.round,
                reviewer_id: &review.reviewer,
                decision: &review.decision,
                at: review.at,
                digest: review.current.then_some(AS_GIVEN),
                seq: review.seq,
                extra: extra.as_deref(),
                ..ReviewRow::default()
            });
        }
    }
}
