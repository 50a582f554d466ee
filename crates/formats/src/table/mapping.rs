//! Which column of a file means what: our own names, `--map`, then guesses from likely headers.
//!
//! # Guarantees
//! - The mapping is decided from the header (for JSON Lines from the first records) before any row
//!   is handed over; it never depends on a cell.
//! - A column is used once. One that is neither ours nor mapped goes to `extra`.
//!
//! # Limitations
//! - A guess can be undone with `--map extra=COLUMN`, not by a switch of its own.

use std::collections::HashMap;

use glossator_store::schema::{ANNOTATIONS, ITEMS};

use crate::{Error, ImportOptions, Place, Result};

/// What a column of the file is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A column of `annotations`, by its index.
    Own(usize),
    /// The n-th number of the geometry.
    Part(usize),
    /// A class; several such columns give a row each.
    Label,
    /// A column of `items`, by its index.
    Fact(usize),
    /// The item's text, kept as the member `text` of the item's `data`.
    FactText,
    /// An identity fact of the annotator, kept apart from the rows.
    Person,
    /// A member of `extra`.
    Extra,
    /// A member of `extra` that may name a person by e-mail.
    ExtraPerson,
}

/// Indices of the columns of `annotations` that the importer itself fills.
pub(super) mod own {
    #![allow(missing_docs)]
    pub(crate) const ITEM: usize = 0;
    pub(crate) const ANNOTATION: usize = 1;
    pub(crate) const SOURCE: usize = 2;
    pub(crate) const SUBMISSION: usize = 3;
    pub(crate) const REGION: usize = 4;
    pub(crate) const ANNOTATOR: usize = 5;
    pub(crate) const ORIGIN: usize = 6;
    pub(crate) const FIELD: usize = 7;
    pub(crate) const KIND: usize = 9;
    pub(crate) const LABEL: usize = 10;
    pub(crate) const NEGATIVE: usize = 11;
    pub(crate) const GEOMETRY: usize = 12;
    pub(crate) const UNIT: usize = 13;
    pub(crate) const SEQ: usize = 15;
    pub(crate) const TEXT: usize = 17;
    pub(crate) const NUMBER: usize = 18;
    pub(crate) const SCORE: usize = 20;
    pub(crate) const POLICY: usize = 21;
    pub(crate) const STATUS: usize = 22;
    pub(crate) const GOLD: usize = 23;
    pub(crate) const CREATED: usize = 25;
    pub(crate) const UPDATED: usize = 26;
    pub(crate) const LEAD_TIME: usize = 27;
    pub(crate) const EXTRA: usize = 28;
}

/// Our columns that are also taken by name from a table that is not in our own columns; the others
/// (`text`, `number`, `gold`, …) mean too many things there.
const SHARED_NAMES: [&str; 17] = [
    "annotation_id",
    "submission_id",
    "region_id",
    "annotator_id",
    "field",
    "target",
    "kind",
    "label",
    "geometry",
    "unit",
    "frame",
    "refs",
    "score",
    "policy",
    "created_at",
    "updated_at",
    "lead_time",
];

/// Short names that `--map` takes beside the names of columns.
const SHORT_NAMES: [(&str, &str); 12] = [
    ("item", "item_id"),
    ("annotation", "annotation_id"),
    ("id", "annotation_id"),
    ("submission", "submission_id"),
    ("region", "region_id"),
    ("annotator", "annotator_id"),
    ("worker", "annotator_id"),
    ("policy_version", "policy"),
    ("created", "created_at"),
    ("time", "created_at"),
    ("updated", "updated_at"),
    ("parent", "parent_id"),
];

/// Likely headers of a column, best first.
const GUESSES: [(&str, &[&str]); 9] = [
    (
        "item_id",
        &[
            "item",
            "question",
            "task",
            "image",
            "image_id",
            "doc",
            "document",
            "sentence",
            "example",
            "file_name",
            "filename",
            "file",
            "uri",
            "url",
            "orig_id",
            "id",
        ],
    ),
    (
        "annotator_id",
        &[
            "annotator",
            "worker",
            "user",
            "rater",
            "labeler",
            "labeller",
            "coder",
            "performer",
            "worker_id",
            "workerid",
            "user_id",
            "rater_id",
            "amt_worker_ids",
            "email",
        ],
    ),
    (
        "label",
        &["answer", "response", "truth", "judgment", "judgement", "class", "category", "choice"],
    ),
    ("text", &["workeranswer", "trueanswer", "transcript", "transcription", "translation"]),
    ("policy", &["policy_version", "guideline", "guideline_version"]),
    ("submission_id", &["submission"]),
    ("field", &["task"]),
    ("created_at", &["timestamp"]),
    ("status", &["status"]),
];

/// Likely headers of facts about items: `(column of items, header)`.
const FACT_GUESSES: [(&str, &str); 6] = [
    ("width", "width"),
    ("height", "height"),
    ("split", "split"),
    ("group_id", "group_id"),
    ("group_id", "group"),
    ("uri", "uri"),
];

/// Likely headers of a geometry in several columns.
const GEOMETRY_GUESSES: [&[&str]; 5] = [
    &["x", "y", "w", "h"],
    &["x", "y", "width", "height"],
    &["left", "top", "width", "height"],
    &["bbox"],
    &["start", "end"],
];

/// The decided meaning of every column, also of one that first appears later in the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Mapping {
    uses: HashMap<String, Use>,
    /// Names given with `--map`, for the entries of nested arrays.
    explicit: HashMap<String, Use>,
    /// Whether the table is in our own columns.
    pub(super) ours: bool,
    /// Values that every row gets: `(column, value)`.
    pub(super) constants: Vec<(usize, String)>,
    /// Whether rows may lack an annotation id and are therefore numbered.
    pub(super) numbered: bool,
    /// The columns mapped as labels, in the file's order.
    pub(super) labels: Vec<String>,
    words: Vec<(String, String, String)>,
    gold: bool,
}

fn own_index(name: &str) -> Option<usize> {
    let name = SHORT_NAMES.iter().find(|(short, _)| *short == name).map_or(name, |(_, n)| n);
    ANNOTATIONS.column(name)
}

fn fact(name: &str) -> Option<Use> {
    let name = name.strip_prefix("item.").unwrap_or(name);
    let name = if name == "group" { "group_id" } else { name };
    match name {
        "text" => Some(Use::FactText),
        "item_id" | "aliases" | "source" | "seq" | "extra" => None,
        _ => ITEMS.column(name).map(Use::Fact),
    }
}

/// A header without case and decoration.
fn plain(name: &str) -> String {
    name.trim().trim_start_matches('!').to_ascii_lowercase().replace([' ', '-'], "_")
}

fn names_a_person(name: &str) -> bool {
    let name = plain(name);
    name.ends_with("_by")
        || ["annotator", "worker", "user", "rater", "reviewer", "approver", "author", "owner"]
            .iter()
            .any(|word| name.contains(word))
}

fn is_identity(name: &str) -> bool {
    let name = plain(name);
    name.contains("email")
        || name.contains("e_mail")
        || ["first_name", "last_name", "full_name"].iter().any(|end| name.ends_with(end))
}

impl Mapping {
    /// Decides the mapping of a file from its header. `nested` says that rows come from the
    /// entries of a nested array (`--each`), `whole` that no further column can appear.
    pub(super) fn decide(
        file: &str,
        header: &[String],
        whole: bool,
        nested: bool,
        options: &ImportOptions,
    ) -> Result<Self> {
        let mut mapping =
            Self { words: options.values.clone(), gold: options.gold, ..Self::default() };
        for (target, columns) in &options.map {
            mapping.map(target, columns, header, whole && !nested)?;
        }
        mapping.ours = header.iter().any(|h| h == "item_id") && mapping.source_of(0).is_none();
        mapping.take_own_names(header);
        mapping.guess(header, nested);
        mapping.labels =
            header.iter().filter(|h| mapping.uses.get(*h) == Some(&Use::Label)).cloned().collect();
        if nested || mapping.labels.len() > 1 {
            mapping.submission_from_annotation();
        }
        mapping.numbered = mapping.source_of(own::ANNOTATION).is_none();
        if mapping.source_of(own::ITEM).is_none() {
            let what = format!("no column names the item; the columns are {}", list(header));
            return Err(Error::input(Place::file(file), what)
                .hint("say which it is with `--map item=COLUMN`"));
        }
        Ok(mapping)
    }

    /// Applies one `--map TARGET=COLUMN,…`.
    fn map(
        &mut self,
        target: &str,
        columns: &[String],
        header: &[String],
        whole: bool,
    ) -> Result<()> {
        let use_of = |i: usize| match (target, own_index(target)) {
            ("extra", _) => Some(Use::Extra),
            ("label", _) => Some(Use::Label),
            ("email", _) => Some(Use::Person),
            ("geometry", Some(_)) if columns.len() > 1 => Some(Use::Part(i)),
            (_, Some(own)) => Some(Use::Own(own)),
            (_, None) => fact(target),
        };
        for (i, column) in columns.iter().enumerate() {
            let Some(used) = use_of(i) else {
                return Err(Error::Usage {
                    what: format!("`--map {target}=…`: there is no column `{target}`"),
                    hint: Some(format!(
                        "the columns are {}, or a fact of items such as `item.width`",
                        ANNOTATIONS.columns.iter().map(|c| c.name).collect::<Vec<_>>().join(", ")
                    )),
                });
            };
            if i > 0 && matches!(used, Use::Own(_) | Use::Fact(_) | Use::FactText) {
                return Err(Error::Usage {
                    what: format!("`--map {target}=…` takes one column"),
                    hint: Some("only `label`, `geometry` and `extra` take several".to_owned()),
                });
            }
            let known = header.contains(column);
            let constant = column.strip_prefix('=').filter(|_| !known);
            let constant = match (constant, used) {
                (None, Use::Own(own::FIELD)) if !known => Some(column.as_str()),
                (constant, _) => constant,
            };
            match (constant, used) {
                (Some(value), Use::Own(own)) => self.constants.push((own, value.to_owned())),
                (Some(value), Use::Label) => self.constants.push((own::LABEL, value.to_owned())),
                _ if !known && whole => {
                    return Err(Error::Usage {
                        what: format!("`--map {target}={column}`: there is no such column"),
                        hint: Some(format!("the columns are {}", list(header))),
                    });
                }
                _ => {
                    self.uses.insert(column.clone(), used);
                    self.explicit.insert(column.clone(), used);
                }
            }
        }
        Ok(())
    }

    /// The file's column that fills one of ours.
    fn source_of(&self, own: usize) -> Option<&str> {
        self.uses.iter().find(|(_, u)| **u == Use::Own(own)).map(|(name, _)| name.as_str())
    }

    fn has(&self, target: &str) -> bool {
        let own = own_index(target);
        let filled = |u: &Use| match u {
            Use::Label => target == "label",
            Use::Part(_) => target == "geometry",
            Use::Own(index) => Some(*index) == own,
            other => Some(*other) == fact(target) && own.is_none(),
        };
        self.uses.values().any(filled)
            || own.is_some_and(|own| self.constants.iter().any(|(c, _)| *c == own))
    }

    fn own_use(&self, name: &str) -> Option<Use> {
        let own = ANNOTATIONS.column(name)?;
        if self.gold && [own::ANNOTATOR, own::ORIGIN, own::GOLD].contains(&own) {
            return Some(Use::ExtraPerson);
        }
        (self.ours || SHARED_NAMES.contains(&name)).then_some(match own {
            own::LABEL => Use::Label,
            _ => Use::Own(own),
        })
    }

    fn take_own_names(&mut self, header: &[String]) {
        for name in header {
            if self.uses.contains_key(name) || self.has(name) {
                continue;
            }
            if let Some(own) = self.own_use(name) {
                self.uses.insert(name.clone(), own);
            }
        }
    }

    fn guess(&mut self, header: &[String], nested: bool) {
        let plain_header: Vec<String> = header.iter().map(|h| plain(h)).collect();
        let free = |mapping: &Self, wanted: &str| {
            (0..header.len())
                .find(|i| plain_header[*i] == wanted && !mapping.uses.contains_key(&header[*i]))
        };
        for (target, candidates) in GUESSES {
            let entry_only = ["label", "text"].contains(&target);
            let answered = target == "text" && self.has("label");
            let person = target == "annotator_id" && self.gold;
            if self.has(target) || person || answered || (nested && entry_only) {
                continue;
            }
            let used = match (target, own_index(target)) {
                ("label", _) => Use::Label,
                (_, Some(own)) => Use::Own(own),
                _ => continue,
            };
            if let Some(at) = candidates.iter().find_map(|c| free(self, c)) {
                self.uses.insert(header[at].clone(), used);
            }
        }
        if !nested && !self.has("geometry") {
            let whole = |set: &&&[&str]| set.iter().all(|c| free(self, c).is_some());
            if let Some(set) = GEOMETRY_GUESSES.iter().find(whole) {
                for (i, wanted) in set.iter().enumerate() {
                    let Some(at) = free(self, wanted) else { continue };
                    let used = if set.len() == 1 { Use::Own(own::GEOMETRY) } else { Use::Part(i) };
                    self.uses.insert(header[at].clone(), used);
                }
            }
        }
        for (target, wanted) in FACT_GUESSES {
            if let (false, Some(at), Some(used)) =
                (self.has(target), free(self, wanted), fact(target))
            {
                self.uses.insert(header[at].clone(), used);
            }
        }
        if let (true, Some(at)) = (nested && !self.has("item.text"), free(self, "text")) {
            self.uses.insert(header[at].clone(), Use::FactText);
        }
    }

    /// Where a record gives several rows, its id cannot be each row's: it is the submission's.
    fn submission_from_annotation(&mut self) {
        if self.source_of(own::SUBMISSION).is_some() {
            return;
        }
        for used in self.uses.values_mut().filter(|u| **u == Use::Own(own::ANNOTATION)) {
            *used = Use::Own(own::SUBMISSION);
        }
    }

    /// What a column is used for.
    pub(super) fn classify(&self, name: &str) -> Use {
        if let Some(used) = self.uses.get(name) {
            return *used;
        }
        let own = if self.ours { self.own_use(name) } else { None };
        own.unwrap_or_else(|| {
            if is_identity(name) {
                Use::Person
            } else if names_a_person(name) {
                Use::ExtraPerson
            } else {
                Use::Extra
            }
        })
    }

    /// What `--map` says of an entry's member or position.
    pub(super) fn explicit(&self, name: &str) -> Option<Use> {
        self.explicit.get(name).copied()
    }

    /// The words that `--value` maps in a column.
    pub(super) fn words(&self, name: &str, used: Use) -> HashMap<String, String> {
        let ours = |target: &str| match used {
            Use::Own(own) => own_index(target) == Some(own),
            Use::Label => target == "label",
            Use::Fact(_) | Use::FactText => {
                own_index(target).is_none() && fact(target) == Some(used)
            }
            _ => false,
        };
        self.words
            .iter()
            .filter(|(column, _, _)| column == name || ours(column))
            .map(|(_, from, to)| (from.clone(), to.clone()))
            .collect()
    }

    /// The mapping as `(ours, theirs)`, in the order of our columns.
    pub(super) fn report(&self, header: &[String]) -> Vec<(String, String)> {
        let mut groups: Vec<((usize, usize), String, Vec<&str>)> = Vec::new();
        for name in header {
            let (order, ours) = match self.classify(name) {
                Use::Own(own) => ((own, 0), ANNOTATIONS.columns[own].name.to_owned()),
                Use::Label => ((own::LABEL, 0), "label".to_owned()),
                Use::Part(_) => ((own::GEOMETRY, 0), "geometry".to_owned()),
                Use::Fact(i) => ((50, i), format!("item.{}", ITEMS.columns[i].name)),
                Use::FactText => ((50, 40), "item.text".to_owned()),
                Use::Person => ((60, 0), "people".to_owned()),
                Use::Extra | Use::ExtraPerson => ((70, 0), "extra".to_owned()),
            };
            match groups.iter_mut().find(|(o, _, _)| *o == order) {
                Some(group) => group.2.push(name),
                None => groups.push((order, ours, vec![name])),
            }
        }
        groups.sort();
        let constants = self
            .constants
            .iter()
            .map(|(own, value)| (ANNOTATIONS.columns[*own].name.to_owned(), format!("={value}")));
        let columns = groups.into_iter().map(|(_, ours, theirs)| (ours, theirs.join(",")));
        columns.chain(constants).collect()
    }
}

/// Names of columns for a message; not all where they are many.
pub(super) fn list(names: &[String]) -> String {
    const SHOWN_MAX: usize = 30;
    let shown: Vec<_> = names.iter().take(SHOWN_MAX).map(|n| format!("`{n}`")).collect();
    let rest = names.len().saturating_sub(SHOWN_MAX);
    match rest {
        0 => shown.join(", "),
        _ => format!("{} and {rest} more", shown.join(", ")),
    }
}
