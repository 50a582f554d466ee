//! What one annotator, model or draft handed in for a task, and its reviews.

use std::borrow::Cow;
use std::collections::BTreeSet;

use glossator_store::schema::SubmissionRow;
use serde_json::{Map, Value, json};

use super::people::People;
use super::result::{self, Scene};
use super::review::{self, Review};
use super::row::{Results, Row};
use super::{Check, Fault, Stop, extra_cell, id_node, id_text, number_or_text, python_node, time};
use crate::json::{self as js, Member, Node, find};

/// Members of a submission's `extra` that are ours. A stub is an id without a body.
pub(super) const STUB: &str = "stub";
/// What stands in place of a source's own member `stub`.
const SOURCE_STUB: &str = "~stub";
/// The file has only the members that it needs, as import files have.
const BARE: &str = "~bare";
/// Regions of images repeat the item's width and height.
const SIZED: &str = "~sized";
/// The annotator of predictions that name no model.
const MODEL: &str = "model";

/// The three lists of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Annotation,
    Draft,
    Prediction,
}

impl Sort {
    pub const ALL: [Self; 3] = [Self::Annotation, Self::Draft, Self::Prediction];

    /// The member of a task that lists them.
    pub fn member(self) -> &'static str {
        match self {
            Self::Annotation => "annotations",
            Self::Draft => "drafts",
            Self::Prediction => "predictions",
        }
    }

    pub fn prefix(self) -> &'static str {
        match self {
            Self::Annotation => "annotation/",
            Self::Draft => "draft/",
            Self::Prediction => "prediction/",
        }
    }

    fn origin(self) -> &'static str {
        if self == Self::Prediction { "model" } else { "human" }
    }

    /// Whether the tool's own exports have written this body, rather than somebody by hand.
    fn is_full(self, map: &[Member<'_>]) -> bool {
        has(
            map,
            match self {
                Self::Annotation => "was_cancelled",
                Self::Draft => "was_postponed",
                Self::Prediction => "mislabeling",
            },
        )
    }
}

/// The task that a submission belongs to.
#[derive(Debug, Default)]
pub(super) struct Owner {
    /// The tool's id of the task.
    pub task: Option<String>,
    /// The tool's number of the project.
    pub project: Option<Value>,
    /// Width and height of the image.
    pub size: Option<(i64, i64)>,
    /// Whether the item is a sound or film.
    pub plays: bool,
}

/// The columns of a submission.
#[derive(Debug, Clone)]
pub(super) struct Submission {
    pub sort: Sort,
    pub id: String,
    pub annotator: String,
    pub origin: String,
    pub state: String,
    pub gold: bool,
    pub created: Option<i64>,
    pub updated: Option<i64>,
    pub lead_time: Option<f64>,
    pub parent: Option<String>,
    pub score: Option<f64>,
    pub seq: Option<i32>,
    pub extra: Map<String, Value>,
}

/// A submission with all that belongs to it.
#[derive(Debug)]
pub(super) struct Whole {
    pub head: Submission,
    pub extra: Option<String>,
    pub rows: Vec<Row>,
    pub reviews: Vec<Review>,
    pub odd: Vec<(&'static str, String)>,
}

/// Reads an entry of one of a task's lists.
pub(super) fn read(
    sort: Sort,
    entry: &Node<'_>,
    index: usize,
    owner: &Owner,
    people: &mut People<'_>,
) -> Check<Whole, Stop> {
    let path = format!(".{}[{index}]", sort.member());
    let Some(map) = entry.as_object() else {
        return stub(sort, entry, index, &path, people);
    };
    let id = id_text(find(map, "id"), &format!("{path}.id"))?.unwrap_or(format!("@{index}"));
    let results = list(map, "result", &path)?
        .ok_or_else(|| Fault::new(&format!("{path}.result"), "`result` is missing"))?;
    let shell = people.hide(&shell_of(map))?;
    let mut head = columns(sort, id, map, people)?;
    head.seq = i32::try_from(index).ok();
    if head.id.len() > super::ID_BYTES_MAX {
        return Err(Fault::new(&format!("{path}.id"), "the id is longer than 1 KiB").into());
    }
    let mut reviews = review::read(map, &head.id, &path, people)?;
    if head.state == "submitted" {
        head.state = review::state(map, &reviews).to_owned();
    }
    review::mark_current(&head.state, &mut reviews);
    if !sort.is_full(map) {
        head.extra.insert(BARE.to_owned(), Value::Bool(true));
    }
    let sized = |result: &Node<'_>| super::size_of(result).is_some_and(|s| Some(s) == owner.size);
    if results.iter().any(sized) {
        head.extra.insert(SIZED.to_owned(), Value::Bool(true));
    }
    let mut scene = head.scene(owner);
    let (rows, ids) = read_results(results, &mut scene, &path)?;
    let rendered = Node::Object(head.render(owner, ids));
    let mut rest = match js::node_residual(&rendered, &shell) {
        Some(Node::Object(rest)) => rest,
        _ => Vec::new(),
    };
    if let Some(at) = rest.iter().position(|(name, _)| name == STUB) {
        let (_, own) = rest.remove(at);
        rest.push((SOURCE_STUB.into(), own));
    }
    let extra = extra_cell(&head.extra, &rest);
    Ok(Whole { extra, rows, reviews, odd: scene.odd, head })
}

/// A bare id where a body could stand.
fn stub(
    sort: Sort,
    entry: &Node<'_>,
    index: usize,
    path: &str,
    people: &mut People<'_>,
) -> Check<Whole, Stop> {
    let id = match entry {
        Node::Number(_) | Node::String(_) if sort != Sort::Annotation => {
            id_text(Some(entry), path)?.unwrap_or_default()
        }
        other => {
            let what = format!("expected an object, found {}", other.type_name());
            return Err(Fault::new(path, what).into());
        }
    };
    let mut extra = Map::from_iter([(STUB.to_owned(), Value::Bool(true))]);
    let source = json!({"id": Value::from(entry.clone())});
    if let Some(Value::Object(rest)) = js::residual(&json!({"id": number_or_text(&id)}), &source) {
        extra.extend(rest);
    }
    let annotator = if sort == Sort::Prediction { MODEL.to_owned() } else { people.nobody()? };
    let mut head = Submission::new(sort, &id, annotator);
    head.seq = i32::try_from(index).ok();
    head.extra = extra;
    let extra = extra_cell(&head.extra, &[]);
    Ok(Whole { head, extra, rows: Vec::new(), reviews: Vec::new(), odd: Vec::new() })
}

fn columns(
    sort: Sort,
    id: String,
    map: &[Member<'_>],
    people: &mut People<'_>,
) -> Check<Submission, Stop> {
    let mut who = None;
    let named: &[&str] = match sort {
        Sort::Annotation => &["completed_by"],
        Sort::Draft => &["created_username", "user"],
        Sort::Prediction => &[],
    };
    for member in named {
        if let (None, Some(value)) = (&who, find(map, member)) {
            who = people.mention(member, value)?.map(|mention| mention.id);
        }
    }
    let annotator = match (who, find(map, "model_version")) {
        (Some(who), _) => who,
        (None, Some(Node::String(model) | Node::Number(model))) if sort == Sort::Prediction => {
            model.clone().into_owned()
        }
        (None, _) if sort == Sort::Prediction => MODEL.to_owned(),
        (None, _) => people.nobody()?,
    };
    let flag = |member: &str| matches!(find(map, member), Some(Node::Bool(true)));
    let moment = |member: &str| find(map, member).and_then(Node::as_str).and_then(time::micros);
    let float = |member: &str| find(map, member).and_then(Node::as_f64);
    let id_of = |member: &str| id_text(find(map, member), member).ok().flatten();
    let annotation = |id: String| format!("annotation/{id}");
    let mut head = Submission::new(sort, &id, annotator);
    if flag("was_cancelled") {
        head.state = "skipped".to_owned();
    }
    head.gold = flag("ground_truth");
    head.created = moment("created_at");
    head.updated = moment("updated_at");
    head.lead_time = float("lead_time");
    head.score = float("score");
    head.parent = match sort {
        Sort::Annotation => id_of("parent_annotation")
            .map(annotation)
            .or_else(|| id_of("parent_prediction").map(|id| format!("prediction/{id}"))),
        Sort::Draft => id_of("annotation").map(annotation),
        Sort::Prediction => None,
    };
    Ok(head)
}

/// The rows of a submission's results, and how many distinct region ids there are.
fn read_results(results: &[Node<'_>], scene: &mut Scene, path: &str) -> Check<(Vec<Row>, usize)> {
    scene.share(results.iter().filter_map(|result| result.get("id")?.as_str()));
    let shared = |result: &Node<'_>, scene: &Scene| {
        result.get("id").and_then(Node::as_str).is_some_and(|id| scene.is_shared(id))
    };
    for result in results {
        if shared(result, scene) {
            scene.learn_place(&Value::from(result.clone()));
        }
    }
    // A number and a text may name one region.
    let texts = |result: &Node<'_>| !matches!(result.get("id"), Some(Node::Number(_)));
    let by_text = results.iter().all(texts);
    let mut rows = Vec::with_capacity(results.len());
    let mut apart = Results::default();
    for (i, result) in results.iter().enumerate() {
        let mut more = match result::read_quickly(result, scene) {
            Some(rows) => rows,
            None => {
                let path = format!("{path}.result[{i}]");
                result::read(&Value::from(result.clone()), scene, &path)?
            }
        };
        let alone = by_text && result.get("id").and_then(Node::as_str).is_some();
        if !alone || shared(result, scene) {
            apart.keep_apart(&mut more);
        }
        rows.extend(more);
    }
    let ids = results.iter().map(|result| result.get("id").map(Node::to_text));
    Ok((rows, ids.collect::<BTreeSet<_>>().len()))
}

fn region_count(results: &[Value]) -> usize {
    let id = |result: &Value| result.get("id").map(Value::to_string);
    results.iter().map(id).collect::<BTreeSet<_>>().len()
}

/// The members of a body without its lists, of which only the presence is kept.
fn shell_of<'a>(map: &[Member<'a>]) -> Vec<Member<'a>> {
    map.iter()
        .map(|(name, value)| match (&**name, value) {
            ("result" | "reviews", Node::Array(_)) => (name.clone(), Node::Array(vec![])),
            _ => (name.clone(), value.clone()),
        })
        .collect()
}

/// A list that may be missing or null.
pub(super) fn list<'n, 'a>(
    map: &'n [Member<'a>],
    member: &str,
    path: &str,
) -> Check<Option<&'n [Node<'a>]>> {
    match find(map, member) {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Array(items)) => Ok(Some(items)),
        Some(other) => {
            let what = format!("`{member}` is {}, not a list", other.type_name());
            Err(Fault::new(&format!("{path}.{member}"), what))
        }
    }
}

/// Whether an object has a member.
pub(super) fn has(map: &[Member<'_>], member: &str) -> bool {
    find(map, member).is_some()
}

impl Submission {
    fn new(sort: Sort, id: &str, annotator: String) -> Self {
        let state = if sort == Sort::Draft { "draft" } else { "submitted" };
        Self {
            sort,
            id: format!("{}{id}", sort.prefix()),
            annotator,
            origin: sort.origin().to_owned(),
            state: state.to_owned(),
            gold: false,
            created: None,
            updated: None,
            lead_time: None,
            parent: None,
            score: None,
            seq: None,
            extra: Map::new(),
        }
    }

    /// A submission that rows name, or that rows of another format were answered in.
    pub fn implied(id: Option<&str>, annotator: &str, origin: &str, state: &str) -> Self {
        let sort = match id.and_then(sort_of) {
            Some(sort) => sort,
            None if origin == "human" => Sort::Annotation,
            None => Sort::Prediction,
        };
        Self {
            id: id.unwrap_or_default().to_owned(),
            origin: origin.to_owned(),
            state: state.to_owned(),
            extra: [BARE, SIZED]
                .map(|flag| (flag.to_owned(), Value::Bool(true)))
                .into_iter()
                .collect(),
            ..Self::new(sort, "", annotator.to_owned())
        }
    }

    /// What the stored row says now.
    pub fn stored(row: &SubmissionRow<'_>) -> Self {
        let implied =
            Self::implied(Some(row.submission_id), row.annotator_id, row.origin, row.state);
        Self {
            gold: row.gold,
            created: row.created_at,
            updated: row.updated_at,
            lead_time: row.lead_time,
            parent: row.parent_id.map(str::to_owned),
            score: row.score,
            seq: row.seq,
            extra: super::extra_of(row.extra),
            ..implied
        }
    }

    /// The tool's own id; none where the file had none.
    pub fn tool_id(&self) -> Option<&str> {
        let id = self.id.strip_prefix(self.sort.prefix())?;
        (!id.starts_with('@') && !id.is_empty()).then_some(id)
    }

    pub fn is_stub(&self) -> bool {
        self.extra.get(STUB) == Some(&Value::Bool(true))
    }

    pub fn is_skipped(&self) -> bool {
        self.state == "skipped"
    }

    fn has(&self, flag: &str) -> bool {
        self.extra.contains_key(flag)
    }

    pub fn scene(&self, owner: &Owner) -> Scene {
        let size = owner.size.filter(|_| self.has(SIZED));
        Scene::new(size, owner.plays)
    }

    /// What the columns alone say; lists are empty.
    pub fn render<'a>(&'a self, owner: &'a Owner, regions: usize) -> Vec<Member<'a>> {
        let mut out: Vec<Member<'a>> = Vec::with_capacity(24);
        let mut insert = |name: &'static str, value: Node<'a>| out.push((name.into(), value));
        if let Some(id) = self.tool_id() {
            insert("id", id_node(id));
        }
        match self.sort {
            Sort::Annotation => insert("completed_by", id_node(&self.annotator)),
            Sort::Prediction => insert("model_version", self.annotator.as_str().into()),
            Sort::Draft => {}
        }
        insert("result", Node::Array(Vec::new()));
        let moment = |micros: Option<i64>| micros.and_then(time::text).map(Cow::Owned);
        let parent = |prefix: &str| {
            let id = self.parent.as_deref().and_then(|id| id.strip_prefix(prefix));
            id.map(id_node)
        };
        let mut columns = vec![
            ("created_at", moment(self.created).map(Node::String)),
            ("updated_at", moment(self.updated).map(Node::String)),
            ("lead_time", self.lead_time.map(python_node)),
            ("score", self.score.map(python_node)),
        ];
        match self.sort {
            Sort::Annotation => {
                columns.push(("was_cancelled", self.is_skipped().then_some(Node::Bool(true))));
                columns.push(("ground_truth", self.gold.then_some(Node::Bool(true))));
                columns.push(("parent_prediction", parent("prediction/")));
                columns.push(("parent_annotation", parent("annotation/")));
            }
            Sort::Draft => columns.push(("annotation", parent("annotation/"))),
            Sort::Prediction => {}
        }
        for (name, value) in columns {
            if let Some(value) = value {
                insert(name, value);
            }
        }
        if !self.has(BARE) {
            self.render_full(owner, regions, &mut out);
        }
        out
    }

    /// The members that the tool's own exports always have.
    fn render_full<'a>(&'a self, owner: &'a Owner, regions: usize, out: &mut Vec<Member<'a>>) {
        let (no, null) = (|| Node::Bool(false), || Node::Null);
        let mut default = |name: &'static str, value: Node<'a>| {
            if !has(out, name) {
                out.push((name.into(), value));
            }
        };
        match self.sort {
            Sort::Annotation => {
                default("was_cancelled", no());
                default("ground_truth", no());
                default("draft_created_at", null());
                default("lead_time", null());
                default("prediction", Node::Object(Vec::new()));
                default("result_count", Node::Number(Cow::Owned(regions.to_string())));
                default("import_id", null());
                default("last_action", review::action(&self.state).map_or(null(), Node::from));
                default("bulk_created", no());
                default("updated_by", id_node(&self.annotator));
                default("parent_prediction", null());
                default("parent_annotation", null());
                default("last_created_by", null());
            }
            Sort::Prediction => {
                ["score", "cluster", "neighbors"].into_iter().for_each(|n| default(n, null()));
                default("mislabeling", python_node(0.0));
                ["model", "model_run"].into_iter().for_each(|n| default(n, null()));
            }
            Sort::Draft => {
                default("lead_time", null());
                default("was_postponed", no());
                default("import_id", null());
                default("annotation", null());
            }
        }
        if let Some(task) = &owner.task {
            out.push(("task".into(), id_node(task)));
        }
        if let Some(project) = owner.project.as_ref().filter(|_| self.sort != Sort::Draft) {
            out.push(("project".into(), project.into()));
        }
    }

    /// The entry of the task's list; people are still hidden.
    pub fn write(&self, owner: &Owner, results: Vec<Value>, reviews: &[Review]) -> Value {
        let mut rest = self.extra.clone();
        let own = rest.shift_remove(SOURCE_STUB);
        rest.retain(|name, _| name != STUB && name != BARE && name != SIZED);
        rest.extend(own.map(|value| (STUB.to_owned(), value)));
        if self.is_stub() && results.is_empty() {
            let id = self.tool_id().map_or(Value::Null, number_or_text);
            let stub = Map::from_iter([("id".to_owned(), id)]);
            return js::restore_object(stub, &rest).remove("id").unwrap_or_default();
        }
        let rendered = self.render(owner, region_count(&results));
        let mut out = js::restore_object(js::object(rendered), &rest);
        out.insert("result".to_owned(), Value::Array(results));
        if !reviews.is_empty() {
            let entries = reviews.iter().map(|review| review.write(&self.id));
            out.insert("reviews".to_owned(), entries.collect());
        }
        Value::Object(out)
    }
}

/// Which list a submission id belongs to.
pub(super) fn sort_of(submission_id: &str) -> Option<Sort> {
    Sort::ALL.into_iter().find(|sort| submission_id.starts_with(sort.prefix()))
}
