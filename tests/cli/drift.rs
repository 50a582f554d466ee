//! What two commits differ in, and which commit made labels bad: faults that are planted are found.

use serde_json::{Value, json};

use crate::json::fits;
use crate::session::Session;

const LABELS: [&str; 4] = ["bird", "cat", "dog", "fish"];
const ITEMS: usize = 120;

/// Numbers that look random, from 0 to below 100.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % 100
    }
}

/// The answers of a person who is right that often, in percent.
fn answers(who: &str, right: usize, seed: u64) -> String {
    let mut dice = Dice(seed);
    let lines = (0..ITEMS).map(|item| {
        let truth = item % 4;
        let label = if dice.roll() < right { truth } else { (truth + 1 + dice.roll() % 3) % 4 };
        format!("i{item:03},{who},{}\n", LABELS[label])
    });
    lines.collect()
}

fn gold() -> String {
    let lines = (0..ITEMS).map(|item| format!("i{item:03},{}\n", LABELS[item % 4]));
    format!("item,label\n{}", lines.collect::<String>())
}

fn import(s: &Session, name: &str, rows: &str, more: &str) {
    s.write(&format!("{name}.csv"), format!("item,annotator,label\n{rows}"));
    s.ok(&format!("import {name}.csv --source table {more} -m {name}"));
}

/// Good people, one commit each, and somebody who clicks anything in the fourth.
fn with_a_spammer() -> Session {
    let s = Session::new();
    s.write("gold.csv", gold());
    let two = answers("ann", 95, 1) + &answers("bob", 96, 2);
    import(&s, "first", &two, "--gold gold.csv");
    import(&s, "second", &answers("cid", 94, 3), "");
    import(&s, "third", &answers("dan", 97, 4), "");
    import(&s, "spam", &answers("sam", 25, 5), "");
    import(&s, "fifth", &answers("eve", 95, 6), "");
    import(&s, "sixth", &answers("fay", 95, 7), "");
    s
}

fn one(s: &Session, schema: &str, line: &str) -> Value {
    let mut found = s.json(line);
    fits(schema, &found);
    assert_eq!(found.len(), 1, "{line}");
    found.remove(0)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_spammer_is_found_by_bisect_and_by_comparison() {
    let s = with_a_spammer();
    let told = one(&s, "bisect", "bisect --metric gold-accuracy --below 0.9");
    assert_eq!(told["first"]["commit"], s.commit("main~2"));
    assert_eq!(told["before"]["commit"], s.commit("main~3"));
    assert!(number(&told["first"]["value"]) < 0.9 && number(&told["before"]["value"]) > 0.9);
    let shown = s.ok("bisect --metric gold-accuracy --below 0.9 --good main~5");
    assert!(shown.contains("spam\nis the first commit where gold-accuracy of label"), "{shown}");
    // The value that bisect tells is that of the report.
    let report = s.json("quality main~2").remove(0);
    assert_eq!(report["fields"][0]["gold"]["answer_accuracy"], told["first"]["value"]);

    let line = "quality --compare main~3 main~2 --names";
    let compared = one(&s, "quality-compare", line);
    let field = &compared["fields"][0];
    assert_eq!(field["added"], ITEMS);
    let new = &field["new_annotators"][0];
    assert_eq!((&new["annotator"], &new["answers"]), (&json!("sam"), &json!(ITEMS)));
    assert_eq!(new["chance"], "not distinguishable");
    for measure in ["gold_accuracy", "krippendorff_alpha", "percent_pair_pooled"] {
        let change = &field[measure];
        let difference = number(&change["b"]) - number(&change["a"]);
        assert!((number(&change["change"]) - difference).abs() < 1e-12);
        assert!(difference < -0.1, "{measure}: {change}");
        // The interval holds the change, and leaves no doubt.
        assert!(number(&change["interval"]["low"]) < difference, "{measure}");
        assert!(difference < number(&change["interval"]["high"]), "{measure}");
        assert!(number(&change["interval"]["high"]) < 0.0, "{measure}: {change}");
    }
    // A good new colleague changes little.
    let calm = one(&s, "quality-compare", "quality --compare main~4 main~3 --names");
    let change = &calm["fields"][0]["gold_accuracy"];
    assert!(number(&change["change"]).abs() < 0.03, "{change}");
    assert_eq!(calm["fields"][0]["new_annotators"][0]["chance"], "above");
    assert!(
        !one(&s, "quality-compare", "quality --compare main~3 main~2").to_string().contains("sam")
    );
    let shown = s.ok(line);
    assert!(shown.contains("sam") && shown.contains("not distinguishable"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    // Two answers are one who is no better than chance in the report as well.
    let people = s.ok("quality --by annotator --names");
    assert!(people.contains("not distinguishable"), "{people}");
}

#[test]
fn bisect_says_what_it_cannot_find() {
    let s = with_a_spammer();
    let told = one(&s, "bisect", "bisect --metric gold-accuracy --below 0.2");
    assert_eq!(
        (&told["first"], &told["measured"][0]["commit"]),
        (&Value::Null, &json!(s.commit("main")))
    );
    assert!(s.ok("bisect --metric gold-accuracy --below 0.2").contains("not below 0.2"));
    // All are below: the first commit of all.
    let told = one(&s, "bisect", "bisect --metric gold-accuracy --below 0.999");
    assert_eq!(
        (&told["first"]["commit"], &told["before"]),
        (&json!(s.commit("main~5")), &Value::Null)
    );
    s.fails(2, "bisect --metric beauty --below 0.9");
    s.fails(2, "bisect --metric gold-accuracy --below nan");
    s.fails(2, "bisect --metric gold-accuracy --below 0.9 --good main~1");
    s.fails(2, "bisect --metric gold-accuracy --below 0.9 --good main");
    // What is undefined everywhere is below nothing.
    let told = one(&s, "bisect", "bisect --metric mean-iou --below 0.5");
    assert_eq!(told["first"], Value::Null);
}

/// A new guideline means the other by `cat` and `dog`, and people answer again.
#[test]
fn labels_that_a_guideline_swapped_are_found() {
    let s = Session::new();
    s.write("gold.csv", gold());
    // Each person errs on six items of their own.
    let answer = |who: usize, item: usize| (item + usize::from(item % 20 == who)) % 4;
    let rows = |swapped: bool| -> String {
        let all = (0..ITEMS).flat_map(|item| (0..3).map(move |who| (who, item)));
        let lines = all.map(|(who, item)| {
            let label = match (answer(who, item), swapped) {
                (1, true) => 2,
                (2, true) => 1,
                (label, _) => label,
            };
            let version = if swapped { 2 } else { 1 };
            format!("i{item:03},p{who},{},guide@{version}\n", LABELS[label])
        });
        lines.collect()
    };
    for (name, swapped) in [("before", false), ("after", true)] {
        s.write(&format!("{name}.csv"), format!("item,annotator,label,policy\n{}", rows(swapped)));
        let gold = if swapped { "" } else { "--gold gold.csv" };
        s.ok(&format!("import {name}.csv --source table {gold} -m {name}"));
    }
    let count = |label: &str| rows(false).matches(&format!(",{label},")).count();
    let (cats, dogs) = (count("cat"), count("dog"));
    let compared = one(&s, "quality-compare", "quality --compare main~1 main");
    let field = &compared["fields"][0];
    assert_eq!((&field["kept"], &field["added"]), (&json!(360), &json!(cats + dogs)));
    let swaps = [
        json!({"from": "cat", "to": "dog", "count": cats}),
        json!({"from": "dog", "to": "cat", "count": dogs}),
    ];
    let found = field["transitions"].as_array().unwrap();
    assert_eq!(found.len(), 2);
    assert!(swaps.iter().all(|swap| found.contains(swap)), "{found:?}");
    // Thirty items are cats and thirty are dogs, and nobody errs where others do.
    for swap in field["majority_transitions"].as_array().unwrap() {
        assert_eq!(swap["count"], 30, "{swap}");
    }
    assert_eq!(field["majority_transitions"].as_array().unwrap().len(), 2);
    // People agree as before: only gold, and the answers themselves, tell.
    assert_eq!(field["krippendorff_alpha"]["a"], field["krippendorff_alpha"]["b"]);
    assert!(number(&field["gold_accuracy"]["interval"]["high"]) < -0.3);
    for label in field["labels"].as_array().unwrap() {
        let gold = &label["gold_accuracy"];
        let fell = number(&gold["b"]) < number(&gold["a"]) - 0.5;
        assert_eq!(fell, label["label"] == "cat" || label["label"] == "dog", "{label}");
    }
    assert_eq!(field["policies"]["guide@1"], json!({"a": 360, "b": 0}));
    assert_eq!(field["policies"]["guide@2"], json!({"a": 0, "b": 360}));
    let told = one(&s, "bisect", "bisect --metric gold-accuracy --below 0.9");
    assert_eq!(told["first"]["commit"], s.commit("main"));
}

fn choice(label: &str) -> Value {
    json!({"id": "r", "type": "choices", "value": {"choices": [label]},
        "to_name": "text", "from_name": "animal"})
}

/// Tasks that two people answered: on their own, or with the prediction of a model in view that is
/// right on seven of ten, and that they never change.
fn tasks(from: u64, predicted: bool) -> Value {
    let task = |id: u64| {
        let truth = (id % 4) as usize;
        let wrong = predicted && id % 10 >= 7;
        let label = LABELS[if wrong { (truth + 1) % 4 } else { truth }];
        let annotation = |who: u64, label: &str, gold: bool| {
            let seconds = if gold { 60 } else { 2 };
            json!({"id": id * 10 + who, "completed_by": who, "result": [choice(label)],
                "was_cancelled": false, "ground_truth": gold, "lead_time": seconds,
                "created_at": "2026-01-05T09:00:00Z", "updated_at": "2026-01-05T09:00:00Z",
                "parent_prediction": if predicted && !gold { json!(id * 10) } else { Value::Null }})
        };
        let mut predictions = Vec::new();
        if predicted {
            predictions.push(json!({"id": id * 10, "model_version": "m1", "score": 0.9,
                "result": [choice(label)]}));
        }
        json!({"id": id, "data": {"text": format!("text {id}")}, "project": 1,
            "annotations": [annotation(1, label, false), annotation(2, label, false),
                annotation(9, LABELS[truth], true)],
            "predictions": predictions})
    };
    (from..from + 40).map(task).collect()
}

#[test]
fn prelabels_that_nobody_read_are_found() {
    let s = Session::new();
    s.write("own.json", tasks(0, false).to_string());
    s.write("predicted.json", tasks(40, true).to_string());
    s.ok("import own.json -m own");
    s.ok("import predicted.json -m predicted");
    let report = s.json("quality --names").remove(0);
    fits("quality", std::slice::from_ref(&report));
    let field = &report["fields"][0];
    assert_eq!(field["prelabelled_answers"], 80);
    let model = &field["prelabels"][0];
    assert_eq!((&model["model"], &model["accepted"]), (&json!("m1"), &json!(80)));
    assert_eq!((&model["edited"], &model["rejected"]), (&json!(0), &json!(0)));
    // The model is right on 28 of 40, and so are they; on their own they always are.
    assert!((number(&model["gold_accuracy"]) - 0.7).abs() < 1e-12);
    let person = &report["annotators"][0];
    assert_eq!(person["fields"][0]["prelabelled"], 40);
    assert_eq!(person["fields"][0]["prelabels_accepted"], 40);
    assert!((number(&person["work"]["lead_time"]["median"]) - 2.0).abs() < 1e-12);

    let compared = one(&s, "quality-compare", "quality --compare main~1 main");
    let field = &compared["fields"][0];
    // 80 of 240 answers: those of the two, and of gold's author.
    assert_eq!(field["prelabelled"], json!({"a": 0.0, "b": 80.0 / 240.0}));
    assert_eq!(field["prelabels_accepted"], json!({"a": null, "b": 1.0}));
    let gold = &field["gold_accuracy"];
    assert!((number(&gold["a"]) - 1.0).abs() < 1e-12 && (number(&gold["b"]) - 0.85).abs() < 1e-12);
    assert!(number(&gold["interval"]["high"]) < 0.0);
    let shown = s.ok("quality");
    assert!(shown.contains("predictions of m1: 80 accepted, 0 edited, 0 rejected"), "{shown}");
    assert!(shown.contains("made with a prediction in view"), "{shown}");
}

/// Changed, removed and added answers beside a prediction.
#[test]
fn predictions_are_accepted_edited_rejected_or_added_to() {
    let s = Session::new();
    let result = |field: &str, label: &str| {
        json!({"id": field, "type": "choices", "value": {"choices": [label]},
            "to_name": "text", "from_name": field})
    };
    let task = |id: u64, given: Vec<Value>| {
        json!({"id": id, "data": {"text": "t"}, "project": 1,
            "annotations": [{"id": id * 10, "completed_by": 1, "result": given,
                "was_cancelled": false, "parent_prediction": id * 100}],
            "predictions": [{"id": id * 100, "model_version": "m2",
                "result": [result("animal", "cat"), result("mood", "calm")]}]})
    };
    let tasks = [
        task(1, vec![result("animal", "cat"), result("mood", "calm")]),
        task(2, vec![result("animal", "dog"), result("mood", "calm"), result("size", "big")]),
        task(3, vec![result("mood", "calm")]),
    ];
    s.write("tasks.json", Value::from(tasks.to_vec()).to_string());
    s.ok("import tasks.json -m tasks");
    let report = s.json("quality").remove(0);
    let found = |name: &str| {
        let field = report["fields"].as_array().unwrap().iter().find(|f| f["field"] == name);
        let model = &field.unwrap()["prelabels"][0];
        ["accepted", "edited", "rejected", "added"].map(|what| model[what].as_u64().unwrap())
    };
    assert_eq!(found("animal"), [1, 1, 1, 0]);
    assert_eq!(found("mood"), [3, 0, 0, 0]);
    assert_eq!(found("size"), [0, 0, 0, 1]);
}
