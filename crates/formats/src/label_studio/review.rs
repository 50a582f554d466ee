//! Reviews of an annotation, and the state that they leave it in.

use glossator_store::schema::ReviewRow;
use serde_json::{Map, Value, json};

use super::people::{People, by_annotator};
use super::submission::list;
use super::{Check, Fault, Stop, id_text, number_or_text, time};
use crate::json::{self as js, Member, Node, find, members};

/// The states that the tool names as a last action.
const ACTIONS: [(&str, &str); 3] =
    [("accepted", "accepted"), ("rejected", "rejected"), ("fixed", "fixed_and_accepted")];

/// A verdict on a submission.
#[derive(Debug, Clone)]
pub(super) struct Review {
    pub id: String,
    pub round: Option<i32>,
    pub reviewer: String,
    pub decision: String,
    pub at: Option<i64>,
    pub seq: Option<i32>,
    /// Whether it is of what the submission says now.
    pub current: bool,
    pub extra: Map<String, Value>,
}

/// The state that reviews left a submission in. One that was updated since is submitted again:
/// then the tool's last action is none of a review.
pub(super) fn state<'a>(map: &[Member<'_>], reviews: &'a [Review]) -> &'a str {
    match find(map, "last_action").and_then(Node::as_str) {
        Some(action) => ACTIONS
            .iter()
            .find(|(_, known)| *known == action)
            .map_or("submitted", |(state, _)| *state),
        None => {
            let last = reviews.iter().max_by_key(|review| review.round);
            last.map_or("submitted", |review| review.decision.as_str())
        }
    }
}

/// Marks the review of what the submission says now: the last one, if it left it in its state.
/// What the ones before it were about is not in the file.
pub(super) fn mark_current(state: &str, reviews: &mut [Review]) {
    if let Some(last) = reviews.iter_mut().max_by_key(|review| review.round) {
        last.current = last.decision == state;
    }
}

/// The last action of the tool that left a submission in that state.
pub(super) fn action(state: &str) -> Option<&'static str> {
    ACTIONS.iter().find(|(known, _)| *known == state).map(|(_, action)| *action)
}

/// Reads the reviews of a submission.
pub(super) fn read(
    map: &[Member<'_>],
    submission: &str,
    path: &str,
    people: &mut People<'_>,
) -> Check<Vec<Review>, Stop> {
    let mut reviews = Vec::new();
    for (i, entry) in list(map, "reviews", path)?.unwrap_or_default().iter().enumerate() {
        let path = format!("{path}.reviews[{i}]");
        let entry = Value::from(entry.clone());
        reviews.push(read_one(&entry, i, submission, &path, people)?);
    }
    // Rounds count in time; the file's order is `seq`.
    let mut order: Vec<usize> = (0..reviews.len()).collect();
    order.sort_by_key(|&i| reviews[i].at);
    for (round, i) in order.into_iter().enumerate() {
        reviews[i].round = i32::try_from(round + 1).ok();
    }
    Ok(reviews)
}

fn read_one(
    entry: &Value,
    index: usize,
    submission: &str,
    path: &str,
    people: &mut People<'_>,
) -> Check<Review, Stop> {
    let Some(map) = entry.as_object() else {
        let what = format!("a review is {}, not an object", js::type_name(entry));
        return Err(Fault::new(path, what).into());
    };
    let decision = match map.get("accepted") {
        Some(Value::Bool(false)) => "rejected",
        Some(Value::Bool(true)) if map.get("fixed_annotation_history").is_some_and(is_set) => {
            "fixed"
        }
        Some(Value::Bool(true)) => "accepted",
        _ => {
            let what = "`accepted` must be true or false";
            return Err(Fault::new(&format!("{path}.accepted"), what).into());
        }
    };
    let who = map.get("created_by").map(Node::from);
    let who = who.map(|who| people.mention("created_by", &who)).transpose()?;
    let reviewer = match who.flatten() {
        Some(mention) => mention.id,
        None => people.nobody()?,
    };
    let id = id_text(map.get("id").map(Node::from).as_ref(), &format!("{path}.id"))?
        .unwrap_or_else(|| format!("@{submission}/{index}"));
    let at = map.get("created_at").and_then(Value::as_str).and_then(time::micros);
    let (round, decision) = (None, decision.to_owned());
    let seq = i32::try_from(index).ok();
    let (current, extra) = (false, Map::new());
    let mut review = Review { id, round, reviewer, decision, at, seq, current, extra };
    let source = people.hide(&members(map))?;
    let rendered = Value::Object(review.render(submission));
    let rest = js::node_residual(&Node::from(&rendered), &source).map(Value::from);
    if let Some(Value::Object(rest)) = rest {
        review.extra = rest;
    }
    Ok(review)
}

fn is_set(value: &Value) -> bool {
    !value.is_null()
}

impl Review {
    /// What the stored row says now.
    pub fn stored(row: &ReviewRow<'_>) -> Self {
        Self {
            id: row.review_id.to_owned(),
            round: row.round,
            reviewer: row.reviewer_id.to_owned(),
            decision: row.decision.to_owned(),
            at: row.at,
            seq: row.seq,
            current: false,
            extra: super::extra_of(row.extra),
        }
    }

    fn render(&self, submission: &str) -> Map<String, Value> {
        let annotation = submission.strip_prefix("annotation/").filter(|id| !id.starts_with('@'));
        let out = json!({
            "id": number_or_text(&self.id),
            "created_by": by_annotator(&self.reviewer),
            "created_at": self.at.and_then(time::text),
            "accepted": self.decision != "rejected",
            "result": null,
            "annotation": annotation.map(number_or_text),
            "fixed_annotation_history": null,
            "previous_annotation_history": null,
            "last_annotation_history": null,
            "previous_annotation_history_result": null,
        });
        let Value::Object(mut out) = out else { return Map::new() };
        if self.id.starts_with('@') {
            out.shift_remove("id");
        }
        out
    }

    /// The entry of the annotation's list; people are still hidden.
    pub fn write(&self, submission: &str) -> Value {
        Value::Object(js::restore_object(self.render(submission), &self.extra))
    }
}
