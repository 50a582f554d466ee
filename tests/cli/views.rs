//! `gloss consensus`, `hard` and `sample`: views of many answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::json::fits;
use crate::samples::shared;
use crate::session::Session;

fn one(s: &Session, schema: &str, line: &str) -> Value {
    let mut found = s.json(line);
    fits(schema, &found);
    assert_eq!(found.len(), 1, "{line}");
    found.remove(0)
}

fn lines(s: &Session, name: &str) -> Vec<Value> {
    s.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Two against one, a tie, one alone, and a rejected answer that does not vote.
fn votes() -> Session {
    let s = Session::new();
    s.write(
        "a.csv",
        "item,annotator,label,status\ni1,ann,cat,submitted\ni1,bob,cat,submitted\n\
         i1,cid,dog,submitted\ni2,ann,cat,submitted\ni2,bob,dog,submitted\n\
         i3,cid,dog,submitted\ni4,ann,cat,submitted\ni4,bob,dog,rejected\n",
    );
    s.ok("import a.csv -m votes");
    s
}

#[test]
fn a_majority_decides_and_ties_are_for_somebody_to_decide() {
    let s = votes();
    let told = one(&s, "consensus", "consensus --export out.jsonl --soft");
    assert_eq!(told["commit"], s.commit("main"));
    let field = &told["fields"][0];
    assert_eq!((&field["questions"], &field["decided"]), (&json!(4), &json!(3)));
    assert_eq!(told["ties"][0]["item"], "i2");
    assert_eq!(told["ties"][0]["tied"], json!(["cat", "dog"]));
    let made = lines(&s, "out.jsonl");
    fits("consensus-line", &made);
    let labels: Vec<&Value> = made.iter().map(|line| &line["label"]).collect();
    assert_eq!(labels, [&json!("cat"), &Value::Null, &json!("dog"), &json!("cat")]);
    assert_eq!(made[1]["tied"], json!(["cat", "dog"]));
    // Two of three; of the last item one vote is left.
    assert!((made[0]["share"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!((&made[3]["votes"], &made[3]["share"]), (&json!(1), &json!(1.0)));
    assert_eq!(made[0]["soft"][1]["label"], "dog");
    // Ann is with the majority by 1, 1/2 and 1 of 3; Bob by 1 and 1/2 of 2; so Ann's cat wins.
    let told = one(&s, "consensus", "consensus --method weighted --export out.csv");
    assert_eq!(told["ties"], json!([]));
    let csv = s.read("out.csv");
    assert!(csv.starts_with("item,target,region,field,label,share,votes,tied,method\n"), "{csv}");
    let share = (5.0 / 6.0) / (5.0 / 6.0 + 3.0 / 4.0);
    assert!(csv.contains(&format!("i2,,,label,cat,{share}")), "{csv}");
    let shown = s.ok("consensus");
    assert!(shown.contains("tied: i2 label: cat = dog"), "{shown}");
    s.fails(2, "consensus --soft");
    s.fails(2, "consensus --method loudest");
    s.fails(2, "consensus --export no/such/folder/out.csv");
}

#[test]
fn sets_of_labels_are_decided_label_by_label() {
    let s = Session::new();
    let set = |item: &str, who: &str, id: u32, labels: &[&str]| {
        let lines = labels.iter().map(|label| format!("{item},{who},{id},{label}\n"));
        lines.collect::<String>()
    };
    let mut csv = "item,annotator,submission,label\n".to_owned();
    for (at, item) in ["i1", "i2", "i3", "i4"].iter().enumerate() {
        let at = at as u32 * 10;
        csv += &set(item, "ann", at, &["cat", "dog"]);
        csv += &set(item, "bob", at + 1, &["cat"]);
        csv += &set(item, "cid", at + 2, &["cat", "dog", "owl"]);
    }
    s.write("sets.csv", csv);
    s.ok("import sets.csv -m sets");
    // No two sets are equal, so all are tied; of three people two give dog and one gives owl.
    let told = one(&s, "consensus", "consensus");
    assert_eq!(told["fields"][0]["tied"], 4);
    let told = one(&s, "consensus", "consensus --method dawid-skene --soft --export out.jsonl");
    assert_eq!(told["fields"][0]["decided"], 4);
    for line in lines(&s, "out.jsonl") {
        assert_eq!(line["label"], json!(["cat", "dog"]), "{line}");
        assert_eq!(line["soft"][0]["label"], json!(["cat"]));
    }
}

#[test]
fn other_kinds_are_not_voted_on() {
    let s = Session::new();
    s.write("n.csv", "item,annotator,number\ni1,ann,1.5\ni1,bob,2\n");
    s.ok("import n.csv --map number=number -m numbers");
    let told = one(&s, "consensus", "consensus");
    assert_eq!(told["fields"][0]["undefined"], "answers of this kind are no labels to vote on");
    let empty = Session::new();
    empty.fails(2, "consensus");
    empty.fails(2, "hard");
    empty.fails(2, "sample");
}

/// Six people agree on forty items; on one they are split, on another two strangers differ.
fn crowd() -> Session {
    let s = Session::new();
    let mut csv = "item,annotator,label\n".to_owned();
    for item in 0..40 {
        for who in 0..6 {
            csv += &format!("i{item:02},a{who},{}\n", if item % 2 == 0 { "cat" } else { "dog" });
        }
    }
    for who in 0..6 {
        csv += &format!("split,a{who},{}\n", if who < 3 { "cat" } else { "dog" });
    }
    // Noisy people contradict each other wherever they answer.
    for item in 0..12 {
        let (x, y) = if item % 4 < 2 { ("cat", "dog") } else { ("dog", "cat") };
        let (x, y) = if item % 3 == 0 { (y, x) } else { (x, y) };
        csv += &format!("n{item:02},noise1,{x}\nn{item:02},noise2,{y}\n");
    }
    s.write("crowd.csv", csv);
    s.ok("import crowd.csv -m crowd");
    s
}

#[test]
fn a_hard_item_is_told_from_weak_annotators() {
    let s = crowd();
    let told = one(&s, "hard", "hard -n 50 -o tasks.json");
    let hardest = told["hardest"].as_array().unwrap();
    assert_eq!(hardest.len(), 13);
    for item in hardest {
        let cause = if item["item"] == "split" { "item" } else { "annotators" };
        assert_eq!(item["cause"], cause, "{item}");
    }
    let split = hardest.iter().find(|item| item["item"] == "split").unwrap();
    // 3 and 3: 6 of 15 pairs are equal.
    assert!((split["agreement"].as_f64().unwrap() - 0.4).abs() < 1e-12);
    assert!(split["expected_agreement"].as_f64().unwrap() > 0.9, "{split}");
    assert_eq!(split["labels"], json!([["cat", 3], ["dog", 3]]));
    // 9 unequal pairs on it, one on each of the twelve.
    let pair = json!({"field": "label", "labels": ["cat", "dog"], "pairs": 21, "share": 1.0});
    assert_eq!(told["confused"], json!([pair]));
    let tasks: Value = serde_json::from_str(&s.read("tasks.json")).unwrap();
    assert_eq!(tasks.as_array().unwrap().len(), 13);
    for task in tasks.as_array().unwrap() {
        assert!(task["data"].is_object(), "{task}");
        assert!(task["annotations"].as_array().is_none_or(Vec::is_empty), "{task}");
    }
    let shown = s.ok("hard -n 3");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    let calm = Session::new();
    calm.write("a.csv", "item,annotator,label\ni,a,x\ni,b,x\n");
    calm.ok("import a.csv -m calm");
    assert!(calm.ok("hard").contains("no item that people disagree on"));
}

fn drawn(told: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let sample = told["sample"].as_array().unwrap().iter();
    sample.map(|one| (text(&one["item"]), text(&one["annotator"]))).collect()
}

#[test]
fn a_sample_is_drawn_again_wherever_its_rows_are() {
    let s = crowd();
    let line = "sample --rate 10% --seed 7 --names";
    let told = one(&s, "sample", line);
    // Twelve strata of 20 or 21, and four of noise: 10 % rounded up.
    let mut count: u64 = 0;
    for stratum in told["strata"].as_array().unwrap() {
        let (all, drawn) =
            (stratum["answers"].as_u64().unwrap(), stratum["drawn"].as_u64().unwrap());
        assert_eq!(drawn, all.div_ceil(10), "{stratum}");
        count += drawn;
    }
    assert_eq!(told["drawn"], count);
    assert_eq!(told["answers"], 40 * 6 + 6 + 24);
    assert_eq!(told, one(&s, "sample", line));
    assert_ne!(drawn(&told), drawn(&one(&s, "sample", "sample --rate 10% --seed 8 --names")));
    // The same rows in another order, in two commits.
    let again = Session::new();
    let csv = String::from_utf8(std::fs::read(s.path("crowd.csv")).unwrap()).unwrap();
    let (header, rows) = csv.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    for (name, part) in [("x.csv", &rows[..100]), ("y.csv", &rows[100..])] {
        again.write(name, format!("{header}\n{}\n", part.join("\n")));
        again.ok(&format!("import {name} --source table -m {name}"));
    }
    assert_eq!(drawn(&told), drawn(&one(&again, "sample", line)));
    // A larger share draws the same answers, and more.
    let more = drawn(&one(&s, "sample", "sample --rate 0.3 --seed 7 --names"));
    assert!(drawn(&told).iter().all(|one| more.contains(one)));
    assert!(!one(&s, "sample", "sample").to_string().contains("noise1"));
    for wrong in ["0", "200%", "much"] {
        s.fails(2, &format!("sample --rate {wrong}"));
    }
}

#[test]
fn the_drawn_answers_become_tasks() {
    let s = Session::new();
    s.sample("label-studio/reviews.json", "reviews.json");
    s.ok("import reviews.json -m reviews");
    let told = one(&s, "sample", "sample --rate 100% --strata field,policy -o tasks.json");
    let tasks: Value = serde_json::from_str(&s.read("tasks.json")).unwrap();
    let items: Vec<&str> = told["sample"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["item"].as_str().unwrap())
        .collect();
    let mut distinct = items.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let tasks = tasks.as_array().unwrap();
    assert_eq!(tasks.len(), distinct.len());
    let results: usize = tasks
        .iter()
        .flat_map(|task| task["annotations"].as_array().unwrap())
        .map(|annotation| annotation["result"].as_array().unwrap().len())
        .sum();
    assert!(results >= items.len(), "{results} results of {} answers", items.len());
    assert!(!s.read("tasks.json").contains("five@example.com"));
}

/// Two strata: of 90 answers 3 reviewed and none wrong, of 10 one reviewed and wrong.
#[test]
fn reviews_of_a_sample_bound_all() {
    let s = Session::new();
    let mut csv = "item,annotator,label,status\n".to_owned();
    for item in 0..100 {
        let who = if item < 90 { "ann" } else { "bob" };
        csv += &format!("i{item:03},{who},cat,submitted\n");
    }
    s.write("a.csv", &csv);
    s.ok("import a.csv -m answers");
    let line = "sample --rate 3.4% --strata annotator --seed 1 --names";
    let told = one(&s, "sample", line);
    assert_eq!((&told["drawn"], &told["reviewed"]), (&json!(5), &json!(0)));
    assert_eq!(told["undefined"], "nothing of the sample was reviewed");
    // Reviewers say what they think of the sample, but for one answer of Ann's.
    let sample = told["sample"].as_array().unwrap();
    let mut verdicts = BTreeMap::new();
    for one in &sample[..] {
        let verdict = if one["annotator"] == "bob" { "rejected" } else { "accepted" };
        verdicts.insert(one["item"].as_str().unwrap(), verdict);
    }
    let last = sample.iter().rfind(|one| one["annotator"] == "ann").unwrap();
    verdicts.remove(last["item"].as_str().unwrap());
    for (item, verdict) in &verdicts {
        csv = csv.lines().fold(String::new(), |text, row| {
            let row = match row.starts_with(&format!("{item},")) {
                true => row.replace("submitted", verdict),
                false => row.to_owned(),
            };
            text + &row + "\n"
        });
    }
    s.write("a.csv", &csv);
    s.ok("import a.csv -m reviewed");
    let told = one(&s, "sample", &format!("{line} --reviews HEAD main~1"));
    assert_eq!((&told["drawn"], &told["reviewed"]), (&json!(5), &json!(4)));
    let bounds = &told["bounds"];
    let near = |value: &Value, expected: f64| {
        let value = value.as_f64().unwrap();
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    };
    // (90·0/3 + 10·1/1)/100, and 100²/(90²/3 + 10²/1).
    near(&bounds["wrong_rate"], 0.1);
    near(&bounds["effective_reviews"], 10_000.0 / 2_800.0);
    near(&bounds["covered"], 1.0);
    // statsmodels: proportion_confint(0.1 * n, n, method="wilson") with n = 10000/2800.
    near(&bounds["interval"]["low"], WILSON.0);
    near(&bounds["interval"]["high"], WILSON.1);
    assert!(s.ok(line).contains("wrong among all: 0.1"));
}

/// Ten answers of one person, all reviewed, four of them rejected and mended afterwards: four of
/// ten were wrong. Once the mended ones were forgotten, and nothing seemed to be wrong.
#[test]
fn a_mistake_that_was_mended_was_one() {
    let s = Session::new();
    let export = |label: &dyn Fn(u32) -> &'static str, reviewed: bool| {
        let task = |id: u32| {
            let review = json!({"id": 100 + id, "created_by": {"id": 7}, "accepted": id > 4,
                "created_at": "2025-06-02T09:00:00.000001Z", "result": null, "annotation": id});
            let reviews = if reviewed { vec![review] } else { Vec::new() };
            json!({"id": id, "project": 1, "data": {"text": format!("t{id}")}, "annotations": [{
                "id": id, "completed_by": 1, "was_cancelled": false, "reviews": reviews,
                "result": [{"id": "r", "type": "choices", "from_name": "q", "to_name": "text",
                    "value": {"choices": [label(id)]}}]}]})
        };
        (1..=10).map(task).collect::<Value>().to_string()
    };
    s.write("tasks.json", export(&|_| "cat", false));
    s.ok("import tasks.json -m answers");
    s.ok("tag v1");
    s.write("tasks.json", export(&|_| "cat", true));
    s.ok("import tasks.json -m reviews");
    let line = "sample v1 --rate 100% --reviews HEAD --repeats";
    for repeats in ["last", "all"] {
        let told = one(&s, "sample", &format!("{line} {repeats}"));
        assert_eq!((&told["reviewed"], &told["bounds"]["wrong_rate"]), (&json!(10), &json!(0.4)));
    }
    s.write("tasks.json", export(&|id| if id > 4 { "cat" } else { "dog" }, true));
    s.ok("import tasks.json -m mended");
    assert_eq!(s.rows().iter().filter(|row| row["status"] == "rejected").count(), 0);
    for repeats in ["last", "all"] {
        let told = one(&s, "sample", &format!("{line} {repeats}"));
        assert_eq!((&told["reviewed"], &told["bounds"]["wrong_rate"]), (&json!(10), &json!(0.4)));
        let wrong = |one: &&Value| one["status"] == "rejected";
        assert_eq!(told["sample"].as_array().unwrap().iter().filter(wrong).count(), 4);
    }
}

/// After a rename `--label` asks for the new name: the rows that it found were once looked for
/// among those of the old one, and the tasks for review had no answers.
#[test]
fn a_sample_of_a_renamed_label_has_its_answers() {
    let s = Session::new();
    let mut csv = "item,annotator,label,policy\n".to_owned();
    for item in 0..10 {
        let label = if item % 2 == 0 { "car" } else { "van" };
        csv += &format!("i{item},ann,{label},v@1\n");
    }
    s.write("a.csv", csv);
    s.ok("import a.csv -m answers");
    s.ok("policy add v --field label=car,van");
    s.ok("policy rename v label car auto");
    let told = one(&s, "sample", "sample --label auto --rate 100% --names -o tasks.json");
    let sample = told["sample"].as_array().unwrap();
    assert_eq!(sample.len(), 5);
    for one in sample {
        assert_eq!(one["annotation"], "table/ann/choice/label", "{one}");
    }
    let tasks: Value = serde_json::from_str(&s.read("tasks.json")).unwrap();
    let results = |task: &Value| task["annotations"][0]["result"][0]["value"]["choices"].clone();
    let found: Vec<Value> = tasks.as_array().unwrap().iter().map(results).collect();
    assert_eq!(found, vec![json!(["auto"]); 5]);
}

const WILSON: (f64, f64) = (0.007942030010834822, 0.6066288239618023);

/// crowd-kit 1.4.2, `Wawa().fit_predict(answers)` against gold, where ties make no difference; of
/// the dogs, whose ties do, recomputed with pandas with a share for each tied label.
#[test]
fn weighted_majorities_equal_those_of_crowd_kit() {
    for (name, expected) in [
        ("duck", "0.759259"),
        ("product", "0.896572"),
        ("temp", "0.943723"),
        ("cifar10n-large", "0.913000"),
        ("dog", "0.830235"),
    ] {
        let Some(folder) = shared(&format!("crowd-{name}")) else { continue };
        let packed = folder.join("answers.csv.gz");
        let answers = if packed.exists() { packed } else { folder.join("answers.csv") };
        let gold = folder.join("gold.csv");
        let s = Session::new();
        s.ok(&format!("import '{}' --gold '{}' -m crowd", answers.display(), gold.display()));
        let report = s.json("quality --repeats all").remove(0);
        let found = report["fields"][0]["gold"]["weighted_majority_accuracy"].as_f64().unwrap();
        assert_eq!(format!("{found:.6}"), expected, "{name}");
    }
}

/// Workers who answered a site twice once voted with both answers, and 1,043 sites had several
/// final labels. By Python, of the file itself: each worker's last answer to each site, and the
/// label that alone has most of these.
#[test]
fn real_workers_who_repeat_themselves_have_one_vote_for_training() {
    let Some(file) = shared("crowd-adult2-ordinal/answers.csv.gz") else { return };
    let s = Session::new();
    s.write("answers.csv.gz", std::fs::read(file).unwrap());
    s.ok("import answers.csv.gz -m answers");
    s.ok("export --format csv --view labels -o labels.csv");
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut reader = csv::Reader::from_path(s.path("labels.csv")).unwrap();
    let at = reader.headers().unwrap().iter().position(|name| name == "label").unwrap();
    for row in reader.records() {
        *counts.entry(row.unwrap()[at].to_owned()).or_default() += 1;
    }
    let expected = [("G", 9_329), ("P", 420), ("R", 123), ("X", 745)];
    assert_eq!(counts, expected.map(|(label, count)| (label.to_owned(), count)).into());
    assert_eq!(one(&s, "consensus", "consensus")["fields"][0]["decided"], 10_617);
}
