//! Spans as labels of tokens: agreement on each word of a text.

use std::collections::HashMap;

use glossator_store::Result;
use glossator_store::geometry::Shape;
use glossator_store::schema::Items;
use glossator_store::segment::BatchStream;
use serde_json::{Map, Value};

use crate::agreement::Coincidences;
use crate::measure::{Measure, Undefined};
use crate::objects::Object;
use crate::unit::{Answers, Field};

const NO_TEXT: Undefined = Undefined("no item with two answers has a text whose tokens are known");
const OTHER_UNIT: Undefined = Undefined("spans are not counted in characters");

/// Where the tokens of a text start and end, in characters (code points): what white space parts.
fn tokens(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = None;
    let mut count = 0;
    for c in text.chars() {
        match (c.is_whitespace(), start) {
            (true, Some(from)) => {
                found.push((from, count));
                start = None;
            }
            (false, None) => start = Some(count),
            _ => {}
        }
        count += 1;
    }
    found.extend(start.map(|from| (from, count)));
    found
}

/// The tag of each token: 0 outside of all spans, else 1 + 2·label for the first token of a span,
/// and one more for the rest. Of spans that overlap the one that starts last has the token.
fn tags(tokens: &[(usize, usize)], spans: &[Object], labels: usize) -> Vec<u32> {
    let mut tags = vec![0; tokens.len()];
    let mut ranges: Vec<([f64; 2], u32)> = spans
        .iter()
        .filter_map(|span| match span.shape {
            Some(Shape::Range(range)) => Some((range, span.label.unwrap_or(labels as u32))),
            _ => None,
        })
        .collect();
    ranges.sort_by(|a, b| a.0[0].total_cmp(&b.0[0]).then(a.0[1].total_cmp(&b.0[1])));
    for ([start, end], label) in ranges {
        let first = tokens.partition_point(|token| token.1 as f64 <= start);
        let mut inside = 0;
        for (tag, _) in
            tags[first..].iter_mut().zip(&tokens[first..]).take_while(|(_, t)| (t.0 as f64) < end)
        {
            *tag = 1 + 2 * label + inside;
            inside = 1;
        }
    }
    tags
}

/// The text that spans of a target are in: the member of the item's content that the target names,
/// else `text`, else the only text there is.
fn text<'d>(data: &'d Map<String, Value>, target: &str) -> Option<&'d str> {
    let named = |name: &str| data.get(name).and_then(Value::as_str);
    let mut all = data.values().filter_map(Value::as_str);
    named(target).or_else(|| named("text")).or_else(|| {
        let only = all.next()?;
        all.next().is_none().then_some(only)
    })
}

/// Krippendorff's nominal alpha over the tokens of all texts, of each field in the order of
/// [`Answers::fields`]: what a person says of a token is whether it begins a span, continues one,
/// or neither, and of which label (IOB2 tags). Texts are `items`, in order of their keys.
///
/// # Errors
/// Where items cannot be read. A field is undefined that has no spans, or spans that are not
/// counted in code points, or no text that two people marked.
pub fn token_alphas(answers: &Answers, items: BatchStream<'_>) -> Result<Vec<Measure>> {
    let mut fields: Vec<Tokens<'_>> = answers.fields.iter().map(Tokens::new).collect();
    if fields.iter().any(|field| field.wanted) {
        for batch in items {
            let batch = batch?;
            let rows = Items::new(&batch);
            for row in 0..rows.len() {
                let Some(data) = rows.data(row) else { continue };
                let item = rows.item_id(row);
                if fields.iter_mut().any(|field| field.is_at(item))
                    && let Ok(data) = serde_json::from_str(data)
                {
                    fields.iter_mut().for_each(|field| field.add(item, &data));
                }
            }
        }
    }
    Ok(fields.into_iter().map(Tokens::alpha).collect())
}

/// One field, and how often tokens were tagged alike.
struct Tokens<'a> {
    field: &'a Field,
    wanted: bool,
    /// Units in order of items.
    order: Vec<u32>,
    at: usize,
    /// Where the answers of each unit start.
    starts: Vec<u32>,
    /// By the tags that people gave one token, rising.
    patterns: HashMap<Vec<u32>, u64>,
}

impl<'a> Tokens<'a> {
    fn new(field: &'a Field) -> Self {
        let wanted = field.kind == "span" && !field.other_unit;
        let mut order: Vec<u32> = Vec::new();
        let mut starts = Vec::new();
        if wanted {
            order = (0..field.units.len() as u32).collect();
            order.sort_by_key(|&unit| &field.units[unit as usize]);
            starts = vec![0; field.units.len() + 1];
            field.answers.iter().for_each(|answer| starts[answer.unit as usize + 1] += 1);
            for unit in 1..starts.len() {
                starts[unit] += starts[unit - 1];
            }
        }
        Self { field, wanted, order, at: 0, starts, patterns: HashMap::new() }
    }

    /// Whether there are answers to this item; items come in rising order.
    fn is_at(&mut self, item: &str) -> bool {
        let name = |unit: u32| self.field.units[unit as usize].as_str();
        while self.order.get(self.at).is_some_and(|&unit| name(unit) < item) {
            self.at += 1;
        }
        self.order.get(self.at).is_some_and(|&unit| name(unit) == item)
    }

    fn add(&mut self, item: &str, data: &Map<String, Value>) {
        while self.is_at(item) {
            let unit = self.order[self.at];
            self.at += 1;
            let ends = &self.starts[unit as usize..unit as usize + 2];
            let answers = &self.field.answers[ends[0] as usize..ends[1] as usize];
            let target = self.field.parts.get(&unit).map_or("", |(target, _)| target.as_str());
            let Some(text) = text(data, target).filter(|_| answers.len() >= 2) else { continue };
            let tokens = tokens(text);
            let labels = self.field.labels.all.len();
            let given: Vec<Vec<u32>> = answers
                .iter()
                .map(|answer| tags(&tokens, self.field.drawn(answer.objects), labels))
                .collect();
            for token in 0..tokens.len() {
                let mut pattern: Vec<u32> = given.iter().map(|tags| tags[token]).collect();
                pattern.sort_unstable();
                *self.patterns.entry(pattern).or_default() += 1;
            }
        }
    }

    fn alpha(self) -> Measure {
        if self.field.other_unit {
            return Err(OTHER_UNIT);
        }
        if self.patterns.is_empty() {
            return Err(NO_TEXT);
        }
        let tags = 3 + 2 * self.field.labels.all.len();
        let mut patterns: Vec<(Vec<u32>, u64)> = self.patterns.into_iter().collect();
        // Sums of fractions depend on their order.
        patterns.sort_unstable();
        let weighted = patterns.iter().map(|(pattern, count)| (&pattern[..], *count as f64));
        Coincidences::weighted(tags, weighted).nominal_alpha()
    }
}
