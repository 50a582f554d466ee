//! What one annotator, model or draft handed in for a task, and its reviews.

use std::collections::BTreeSet;

use glossator_store::schema::SubmissionRow;
use serde_json::{Map, Value, json};

use super::people::{People, by_annotator};
use super::result::{self, Scene};
use super::review::{self, Review};
use super::row::{Results, Row};
use super::{Check, Fault, Stop, id_text, number_or_text, python_float, time};
use crate::json::{self as js, Member, Node};

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
    fn is_full(self, map: &Map<String, Value>) -> bool {
        map.contains_key(match self {
            Self::Annotation => "was_cancelled",
            Self::Draft => "was_postponed",
            Self::Prediction => "mislabeling",
        })
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
    pub rows: Vec<Row>,
    pub reviews: Vec<Review>,
    pub odd: Vec<(&'static str, String)>,
}

/// Reads an entry of one of a task's lists.
pub(super) fn read(
    sort: Sort,
    entry: &Value,
    index: usize,
    owner: &Owner,
    people: &mut People<'_>,
) -> Check<Whole, Stop> {
    let path = format!(".{}[{index}]", sort.member());
    let Some(map) = entry.as_object() else {
        return stub(sort, entry, index, &path, people);
    };
    let id = id_text(map.get("id"), &format!("{path}.id"))?.unwrap_or(format!("@{index}"));
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
    let sized = |result: &Value| super::size_of(result).is_some_and(|s| Some(s) == owner.size);
    if results.iter().any(sized) {
        head.extra.insert(SIZED.to_owned(), Value::Bool(true));
    }
    let mut scene = head.scene(owner);
    let (rows, ids) = read_results(results, &mut scene, &path)?;
    let rendered = Value::Object(head.render(owner, ids));
    let rest = js::node_residual(&Node::from(&rendered), &shell).map(Value::from);
    if let Some(Value::Object(mut rest)) = rest {
        if let Some(own) = rest.shift_remove(STUB) {
            rest.insert(SOURCE_STUB.to_owned(), own);
        }
        head.extra.extend(rest);
    }
    Ok(Whole { head, rows, reviews, odd: scene.odd })
}

/// A bare id where a body could stand.
fn stub(
    sort: Sort,
    entry: &Value,
    index: usize,
    path: &str,
    people: &mut People<'_>,
) -> Check<Whole, Stop> {
    let id = match entry {
        Value::Number(_) | Value::String(_) if sort != Sort::Annotation => {
            id_text(Some(entry), path)?.unwrap_or_default()
        }
        other => {
            let what = format!("expected an object, found {}", js::type_name(other));
            return Err(Fault::new(path, what).into());
        }
    };
    let mut extra = Map::from_iter([(STUB.to_owned(), Value::Bool(true))]);
    let source = json!({"id": entry});
    if let Some(Value::Object(rest)) = js::residual(&json!({"id": number_or_text(&id)}), &source) {
        extra.extend(rest);
    }
    let annotator = if sort == Sort::Prediction { MODEL.to_owned() } else { people.nobody()? };
    let mut head = Submission::new(sort, &id, annotator);
    head.seq = i32::try_from(index).ok();
    head.extra = extra;
    Ok(Whole { head, rows: Vec::new(), reviews: Vec::new(), odd: Vec::new() })
}

fn columns(
    sort: Sort,
    id: String,
    map: &Map<String, Value>,
    people: &mut People<'_>,
) -> Check<Submission, Stop> {
    let mut who = None;
    let named: &[&str] = match sort {
        Sort::Annotation => &["completed_by"],
        Sort::Draft => &["created_username", "user"],
        Sort::Prediction => &[],
    };
    for member in named {
        if let (None, Some(value)) = (&who, map.get(*member)) {
            who = people.mention(member, &value.into())?.map(|mention| mention.id);
        }
    }
    let annotator = match (who, map.get("model_version")) {
        (Some(who), _) => who,
        (None, Some(Value::String(model))) if sort == Sort::Prediction => model.clone(),
        (None, Some(Value::Number(model))) if sort == Sort::Prediction => model.to_string(),
        (None, _) if sort == Sort::Prediction => MODEL.to_owned(),
        (None, _) => people.nobody()?,
    };
    let flag = |member: &str| map.get(member) == Some(&Value::Bool(true));
    let moment = |member: &str| map.get(member).and_then(Value::as_str).and_then(time::micros);
    let float = |member: &str| map.get(member).and_then(js::float);
    let id_of = |member: &str| id_text(map.get(member), member).ok().flatten();
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
fn read_results(results: &[Value], scene: &mut Scene, path: &str) -> Check<(Vec<Row>, usize)> {
    scene.share(results.iter().filter_map(|result| result.get("id")?.as_str()));
    results.iter().for_each(|result| scene.learn_place(result));
    let mut rows = Vec::new();
    let mut apart = Results::default();
    for (i, result) in results.iter().enumerate() {
        let mut more = result::read(result, scene, &format!("{path}.result[{i}]"))?;
        apart.keep_apart(&mut more);
        rows.extend(more);
    }
    Ok((rows, region_count(results)))
}

fn region_count(results: &[Value]) -> usize {
    let id = |result: &Value| result.get("id").map(Value::to_string);
    results.iter().map(id).collect::<BTreeSet<_>>().len()
}

/// The members of a body without its lists, of which only the presence is kept.
fn shell_of(map: &Map<String, Value>) -> Vec<Member<'_>> {
    map.iter()
        .map(|(name, value)| match (name.as_str(), value) {
            (name @ ("result" | "reviews"), Value::Array(_)) => (name.into(), Node::Array(vec![])),
            (name, value) => (name.into(), value.into()),
        })
        .collect()
}

/// A list that may be missing or null.
pub(super) fn list<'a>(
    map: &'a Map<String, Value>,
    member: &str,
    path: &str,
) -> Check<Option<&'a [Value]>> {
    match map.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(other) => {
            let what = format!("`{member}` is {}, not a list", js::type_name(other));
            Err(Fault::new(&format!("{path}.{member}"), what))
        }
    }
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
    pub fn render(&self, owner: &Owner, regions: usize) -> Map<String, Value> {
        let mut out = Map::new();
        let mut insert = |name: &str, value: Value| out.insert(name.to_owned(), value);
        if let Some(id) = self.tool_id() {
            insert("id", number_or_text(id));
        }
        match self.sort {
            Sort::Annotation => insert("completed_by", by_annotator(&self.annotator)),
            Sort::Prediction => insert("model_version", Value::from(self.annotator.as_str())),
            Sort::Draft => None,
        };
        insert("result", json!([]));
        let moment = |micros: Option<i64>| micros.and_then(time::text).map(Value::from);
        let mut columns = vec![
            ("created_at", moment(self.created)),
            ("updated_at", moment(self.updated)),
            ("lead_time", self.lead_time.map(python_float)),
            ("score", self.score.map(python_float)),
        ];
        let parent = |prefix: &str| {
            let id = self.parent.as_deref().and_then(|id| id.strip_prefix(prefix));
            id.map(number_or_text)
        };
        match self.sort {
            Sort::Annotation => {
                columns.push(("was_cancelled", self.is_skipped().then_some(true.into())));
                columns.push(("ground_truth", self.gold.then_some(true.into())));
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
    fn render_full(&self, owner: &Owner, regions: usize, out: &mut Map<String, Value>) {
        let defaults = match self.sort {
            Sort::Annotation => json!({
                "was_cancelled": false, "ground_truth": false, "draft_created_at": null,
                "lead_time": null, "prediction": {}, "result_count": regions, "import_id": null,
                "last_action": review::action(&self.state), "bulk_created": false,
                "updated_by": by_annotator(&self.annotator),
                "parent_prediction": null, "parent_annotation": null, "last_created_by": null,
            }),
            Sort::Prediction => json!({
                "score": null, "cluster": null, "neighbors": null, "mislabeling": python_float(0.0),
                "model": null, "model_run": null,
            }),
            Sort::Draft => json!({
                "lead_time": null, "was_postponed": false, "import_id": null, "annotation": null,
            }),
        };
        if let Value::Object(defaults) = defaults {
            for (name, value) in defaults {
                out.entry(name).or_insert(value);
            }
        }
        if let Some(task) = &owner.task {
            out.insert("task".to_owned(), number_or_text(task));
        }
        if let Some(project) = owner.project.as_ref().filter(|_| self.sort != Sort::Draft) {
            out.insert("project".to_owned(), project.clone());
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
        let mut out = js::restore_object(rendered, &rest);
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
