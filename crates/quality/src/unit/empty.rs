//! Submissions: those that were skipped, those that found nothing, and the work of all.

use std::collections::HashMap;

use glossator_store::intake::is_stub;
use glossator_store::schema::Submissions;

use super::read::{Reader, digest};
use super::{About, Answer, Field, Gold, NO_POLICY, REFERENCE, Status, Work, has_objects};

/// A submission that found nothing: unit by item, annotator, fields.
pub(super) struct Empty {
    item: String,
    annotator: u32,
    votes: bool,
    /// Whether it says that there is nothing to find.
    gold: bool,
    about: About,
    fields: Vec<usize>,
}

impl Reader<'_> {
    /// Counts a skipped submission; remembers one that was handed in without a row.
    pub(super) fn submission(
        &mut self,
        rows: &Submissions<'_>,
        row: usize,
        empty: &mut Vec<Empty>,
    ) {
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
        if rows.extra(row).is_some_and(is_stub) {
            return;
        }
        let (made, lead_time) = (rows.created_at(row), rows.lead_time(row));
        if person != REFERENCE && (made.is_some() || lead_time.is_some()) {
            let annotator = self.out.annotators.number(person);
            self.out.work.push(Work { annotator, at: made, lead_time });
        }
        let item = rows.item_id(row);
        let fields = self.left_empty(rows, row);
        if !fields.is_empty() {
            let annotator = self.out.annotators.number(person);
            let gold = rows.gold(row) || person == REFERENCE;
            let status = match rows.state(row) {
                "rejected" => Status::Rejected,
                "fixed" => Status::Fixed,
                "accepted" => Status::Accepted,
                _ => Status::Submitted,
            };
            let policy = rows.policy(row).map_or(NO_POLICY, |name| self.out.policies.number(name));
            let at = rows.updated_at(row).or(made);
            let about = About { at, status, policy, prelabel: None, row: None };
            let votes = status != Status::Rejected && !gold;
            empty.push(Empty { item: item.to_owned(), annotator, votes, gold, about, fields });
        }
    }

    /// The fields that a submission was asked and left empty.
    fn left_empty(&self, rows: &Submissions<'_>, row: usize) -> Vec<usize> {
        let (item, submission) = (rows.item_id(row), rows.submission_id(row));
        if let Some(asked) = rows.fields_asked(row) {
            // No number and no text is none that one could measure.
            let told = |field: &Field| field.kind == "choice" || has_objects(&field.kind);
            let empty = |field: &Field| {
                let answered = self.answered.as_ref();
                let digest = digest(item, submission, &field.name);
                asked.contains(&field.name.as_str())
                    && answered.is_none_or(|answered| !answered.contains(&digest))
            };
            let fields = self.out.fields.iter().enumerate();
            return fields.filter(|(_, f)| told(f) && empty(f)).map(|(at, _)| at).collect();
        }
        // Nobody says what was asked: it is certain where there is one question alone.
        match self.sources.get(rows.source(row)) {
            Some(drawn) if drawn.len() == 1 => {
                let known = (item.to_owned(), submission.to_owned());
                if self.handed.contains(&known) { Vec::new() } else { drawn.clone() }
            }
            _ => Vec::new(),
        }
    }

    /// Adds the answers of those who found nothing, on the item as a whole.
    pub(super) fn add_empty(&mut self, empty: Vec<Empty>) {
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
        for Empty { item, annotator, votes, gold, about, fields } in empty {
            for at in fields {
                let field = &mut self.out.fields[at];
                let next = field.units.len() as u32;
                let unit = *units.entry((at, item.clone())).or_insert(next);
                if unit == next {
                    field.begin_unit(&item, "", "");
                    field.gold.push(None);
                }
                let set = field.sets.number(&[]);
                let (number, objects) = (0.0, (0, 0));
                if gold {
                    let nothing = Gold { set, number, objects, text: None };
                    field.gold[unit as usize].get_or_insert(nothing);
                    field.gold_authors.insert((unit, annotator));
                }
                if Some(annotator) != reference {
                    let text = None;
                    let answer =
                        Answer { unit, annotator, set, number, votes, objects, text, about: 0 };
                    field.push(answer, about);
                }
            }
        }
        self.out.fields.iter_mut().for_each(|f| f.answers.sort_by_key(|answer| answer.unit));
    }
}
