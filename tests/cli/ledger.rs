//! Two hundred commits over two policies, three annotators and a model, on two branches that merge:
//! what the commands answer is what a ledger says that was kept beside.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::session::Session;

const COMMITS: usize = 200;
const ITEMS: usize = 30;
/// From this item on, only the branch `side` labels.
const SIDE_FROM: usize = 20;
const PEOPLE: [&str; 3] = ["ann", "bob", "eve"];
const LABELS: [&str; 4] = ["car", "van", "bus", "bike"];

/// A row: who said what under which policy, and the commit that made it so.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    who: &'static str,
    label: &'static str,
    policy: &'static str,
    commit: String,
}

type Rows = BTreeMap<(String, &'static str), Row>;

/// What was done, kept by the test alone.
#[derive(Debug, Default)]
struct Ledger {
    main: Rows,
    side: Rows,
    /// The commits that made rows of an annotator, and of a policy.
    touched: BTreeMap<&'static str, BTreeSet<String>>,
    /// What was done to each item, in order: the word, the annotation, the commit.
    lives: BTreeMap<String, Vec<(&'static str, &'static str, String)>>,
    /// The rows of main when it was tagged.
    tagged: Rows,
    random: u64,
}

impl Ledger {
    fn pick(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) as usize % below
    }

    /// Some rows of one commit, which differ from those that are there.
    fn rows(&mut self, step: usize, side: bool) -> Rows {
        let items = if side { SIDE_FROM..ITEMS } else { 0..SIDE_FROM };
        let policy = if step < COMMITS / 2 { "vehicles@1" } else { "vehicles@2" };
        let mut made = Rows::new();
        for _ in 0..3 {
            let item = format!("img_{:02}.jpg", items.start + self.pick(items.len()));
            let (id, who) = match self.pick(5) {
                0 => ("m", "model-1"),
                _ => ("h", PEOPLE[self.pick(3)]),
            };
            let label = LABELS[self.pick(4)];
            let row = Row { who, label, policy, commit: String::new() };
            let known = if side { &self.side } else { &self.main };
            let same = known.get(&(item.clone(), id)).is_some_and(|known| {
                (known.who, known.label, known.policy) == (who, label, policy)
            });
            if !same {
                made.insert((item, id), row);
            }
        }
        made
    }

    fn note(&mut self, made: Rows, commit: &str, side: bool) {
        for (key, mut row) in made {
            row.commit = commit.to_owned();
            self.touched.entry(row.who).or_default().insert(commit.to_owned());
            self.touched.entry(row.policy).or_default().insert(commit.to_owned());
            let rows = if side { &mut self.side } else { &mut self.main };
            let word = match rows.get(&key) {
                None if row.who == "model-1" => "predicted",
                None => "labelled",
                Some(old) if (old.who, old.policy) != (row.who, row.policy) => "relabelled",
                Some(_) => "changed",
            };
            let life = self.lives.entry(key.0.clone()).or_default();
            life.push((word, key.1, commit.to_owned()));
            rows.insert(key, row);
        }
    }
}

/// Builds the history, and keeps the ledger.
fn built() -> (Session, Ledger) {
    let s = Session::new();
    let mut ledger = Ledger { random: 7, ..Ledger::default() };
    for step in 0..COMMITS {
        if step == 1 {
            s.ok("branch side");
            ledger.side.clone_from(&ledger.main);
        }
        if step > 1 && step % 25 == 0 {
            s.ok("merge side");
            let theirs = ledger.side.iter().filter(|(key, _)| key.0.as_str() >= "img_20.jpg");
            ledger.main.extend(theirs.map(|(key, row)| (key.clone(), row.clone())));
            continue;
        }
        let side = step > 1 && step % 4 == 0;
        let made = ledger.rows(step, side);
        if made.is_empty() {
            continue;
        }
        let line = |((item, id), row): (&(String, &str), &Row)| {
            let origin = if row.who == "model-1" { "model" } else { "human" };
            let line = json!({"item_id": item, "annotation_id": id, "annotator_id": row.who,
                              "origin": origin, "field": "label", "kind": "choice",
                              "label": row.label, "policy": row.policy, "status": "submitted"});
            format!("{line}\n")
        };
        s.write("rows.jsonl", made.iter().map(line).collect::<String>());
        if side {
            s.ok("switch side");
        }
        s.ok(&format!("import rows.jsonl --source table -m 'step {step}'"));
        ledger.note(made, &s.commit("HEAD"), side);
        if side {
            s.ok("switch main");
        }
        if step == 130 {
            s.ok("tag half");
            ledger.tagged.clone_from(&ledger.main);
        }
        if step == 150 {
            s.ok("compact");
        }
    }
    s.ok("merge side");
    let theirs = ledger.side.iter().filter(|(key, _)| key.0.as_str() >= "img_20.jpg");
    ledger.main.extend(theirs.map(|(key, row)| (key.clone(), row.clone())));
    (s, ledger)
}

/// The rows of a line of `blame`, by key.
fn blamed(lines: &[Value]) -> BTreeMap<(String, String), [String; 4]> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let names = ["annotator_id", "label", "policy", "commit"];
    let key = |line: &Value| (text(line, "item_id"), text(line, "annotation_id"));
    lines.iter().map(|line| (key(line), names.map(|name| text(line, name)))).collect()
}

fn wanted(rows: &Rows) -> BTreeMap<(String, String), [String; 4]> {
    let row = |row: &Row| [row.who, row.label, row.policy, &row.commit].map(str::to_owned);
    rows.iter().map(|((item, id), one)| ((item.clone(), (*id).to_owned()), row(one))).collect()
}

#[test]
fn what_is_asked_is_answered_as_the_ledger_says() {
    let (s, ledger) = built();
    let commits = s.git("rev-list --count main").trim().parse::<usize>().unwrap();
    assert!(commits > COMMITS - 20, "{commits} commits");
    // Who made every live label, now and at the tag, in the compacted store.
    assert_eq!(blamed(&s.json("blame --query kind=choice")), wanted(&ledger.main));
    assert_eq!(blamed(&s.json("blame --query kind=choice half")), wanted(&ledger.tagged));
    // The life of every item, without what merges brought.
    for (item, life) in &ledger.lives {
        let events = s.json(&format!("history {item}"));
        let told: Vec<[&str; 3]> = events
            .iter()
            .filter(|event| event["what"] != "merged")
            .map(|event| ["what", "annotation_id", "commit"].map(|n| event[n].as_str().unwrap()))
            .collect();
        let wanted: Vec<[&str; 3]> = life.iter().map(|(what, id, at)| [*what, *id, at]).collect();
        let order = |mut steps: Vec<[String; 3]>| {
            // Two rows of one commit have no order of their own.
            let places: BTreeMap<String, usize> =
                wanted.iter().enumerate().map(|(at, step)| (step[2].to_owned(), at)).collect();
            steps.sort_by_key(|step| (places.get(&step[2]).copied(), step.clone()));
            steps
        };
        let owned = |steps: &[[&str; 3]]| -> Vec<[String; 3]> {
            steps.iter().map(|step| step.map(str::to_owned)).collect()
        };
        assert_eq!(order(owned(&told)), order(owned(&wanted)), "{item}");
    }
    // What each annotator and each policy touched, and how much of it is live where.
    let live = |rows: &Rows, name: &str| {
        rows.values().filter(|row| row.who == name || row.policy == name).count()
    };
    for (name, commits) in &ledger.touched {
        let what = if name.contains('@') { "policy" } else { "annotator" };
        let lines = s.json(&format!("recall --{what} {name}"));
        let told: BTreeSet<String> = lines
            .iter()
            .filter(|line| line["what"] == "commit")
            .map(|line| line["commit"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(told, *commits, "{name}");
        for (place, rows) in [("main", &ledger.main), ("half", &ledger.tagged)] {
            let line = lines.iter().find(|line| line["name"] == place);
            let held = line.map_or(0, |line| line["rows"].as_u64().unwrap());
            assert_eq!(held, live(rows, name) as u64, "{name} in {place}");
        }
    }
    // What one commit made, where the rest of its rows was replaced.
    for row in ledger.main.values().step_by(7) {
        let lines = s.json(&format!("recall --commit {}", row.commit));
        let held = lines.iter().find(|line| line["name"] == "main").expect("main");
        let of = ledger.main.values().filter(|one| one.commit == row.commit).count();
        assert_eq!(held["rows"], json!(of), "{}", row.commit);
    }
}
