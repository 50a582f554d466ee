//! `gloss quality` and `gloss check`: what they count, what they print, and real crowds.

use serde_json::{Value, json};

use crate::json::fits;
use crate::samples::{ours, shared};
use crate::session::Session;

/// Two people on four items, of which one answered the last alone, and gold for three.
fn small() -> Session {
    let s = Session::new();
    s.write("crowd.csv", ours("table/crowd.csv"));
    s.write("gold.csv", "item,label\ni1,cat\ni2,dog\ni4,dog\ni9,cat\n");
    s.ok("import crowd.csv --gold gold.csv -m crowd");
    s
}

fn report(s: &Session, more: &str) -> Value {
    let mut found = s.json(&format!("quality {more}"));
    fits("quality", &found);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// By hand: pairs on i1 (equal), i2 (not), i3 (equal).
#[test]
fn a_small_crowd() {
    let s = small();
    let report = report(&s, "--names");
    assert_eq!(report["commit"], s.commit("main"));
    assert_eq!(report["rows"], 14);
    assert_eq!(
        report["excluded"],
        json!({"draft": 1, "reference": 4, "skipped": 1, "superseded": 1})
    );
    let field = &report["fields"][0];
    assert_eq!((&field["items"], &field["answers"]), (&json!(4), &json!(7)));
    let agreement = &field["agreement"];
    let near = |value: &Value, expected: f64| {
        let value = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
        assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
    };
    near(&agreement["percent_item_mean"], 2.0 / 3.0);
    // Three cats and three dogs: D_o = 1/3, D_e = (36 - 9 - 9)/30.
    near(&agreement["krippendorff_alpha"]["nominal"], 4.0 / 9.0);
    assert_eq!(agreement["krippendorff_alpha"]["ordinal"], Value::Null);
    assert_eq!(
        agreement["undefined"]["krippendorff_alpha.ordinal"],
        "no order of the labels is known"
    );
    assert_eq!(agreement["fleiss_kappa"], Value::Null);
    assert!(agreement["undefined"]["fleiss_kappa"].is_string());
    // Ten shared answers are asked for, and they share three.
    assert_eq!(agreement["cohen_kappa"]["mean"], Value::Null);
    let gold = &field["gold"];
    assert_eq!((&gold["items"], &gold["unanswered"]), (&json!(3), &json!(1)));
    // cat cat of cat, cat dog of dog, cat of dog: 3 of 5.
    near(&gold["answer_accuracy"], 0.6);
    // Bob's dog on i2 was rejected and does not vote: cat, cat, cat against cat, dog, dog.
    near(&gold["majority_accuracy"], 1.0 / 3.0);
    let people = report["annotators"].as_array().unwrap();
    assert_eq!(people[0]["annotator"], "ann");
    assert_eq!(people[0]["fields"][0]["gold"], json!({"answers": 3, "right": 1}));
    assert_eq!(people[1]["fields"][0]["gold"], json!({"answers": 2, "right": 2}));
    assert_eq!(report["items"]["hardest"][0]["item"], "i2");
}

#[test]
fn people_have_pseudonyms_unless_names_are_asked_for() {
    let s = small();
    let shown = s.ok("quality --by annotator");
    assert!(shown.contains("annotator-1") && !shown.contains("bob"), "{shown}");
    assert!(s.ok("quality --by annotator --names").contains("bob"));
    assert!(!report(&s, "").to_string().contains("bob"));
    for by in ["field", "annotator", "label", "item"] {
        let shown = s.ok(&format!("quality --by {by}"));
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    }
}

#[test]
fn kappa_where_overlap_is_enough_and_weights_where_there_is_an_order() {
    let s = small();
    let kappa = |more: &str| report(&s, more)["fields"][0]["agreement"]["cohen_kappa"].clone();
    let plain = kappa("--min-overlap 3");
    assert_eq!((&plain["pairs"], &plain["mean_linear"]), (&json!(1), &Value::Null));
    // Ann: two cats, a dog; Bob: a cat, two dogs. (2/3 - 4/9)/(5/9) = 2/5.
    assert!((plain["mean"].as_f64().unwrap() - 0.4).abs() < 1e-12);
    // Two levels have one distance, whichever is the lower.
    for order in ["cat,dog", "label=dog,cat"] {
        let weighted = kappa(&format!("--min-overlap 3 --order {order}"));
        assert!((weighted["mean_linear"].as_f64().unwrap() - 0.4).abs() < 1e-12);
    }
    let error = s.fails(2, "quality --order label=cat,bird");
    assert!(error.contains("`dog`") && error.contains("hint: "), "{error}");
    s.fails(2, "quality --order cat");
    s.fails(2, "quality --order cat,cat");
}

#[test]
fn gates_pass_and_fail() {
    let s = small();
    let line = "check --gate alpha=0.4 --gate label:items=4";
    assert!(s.ok(line).contains("passed"));
    fits("check", &s.json(line));
    let ran = s.gloss("check --gate alpha=0.8 --gate items=4 --json");
    assert_eq!(ran.code, 1);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    fits("check", std::slice::from_ref(&told));
    assert_eq!(told["passed"], false);
    assert_eq!(told["gates"][0]["passed"], false);
    assert_eq!(told["gates"][1]["passed"], true);
    // 0.8 - 4/9
    assert!((told["gates"][0]["missing"].as_f64().unwrap() - 16.0 / 45.0).abs() < 1e-12);
    // What is undefined does not pass, however low the gate.
    let ran = s.gloss("check --gate fleiss=-1");
    assert_eq!(ran.code, 1, "{}", ran.out);
    for wrong in ["alpha", "alpha=high", "alpha=nan", "beta=1", "other:alpha=0"] {
        s.fails(2, &format!("check --gate {wrong}"));
    }
}

#[test]
fn repeats_are_chosen() {
    let s = Session::new();
    s.write("a.csv", "item,annotator,label\ni1,ann,cat\ni1,bob,dog\ni1,ann,dog\n");
    s.ok("import a.csv -m repeats");
    for (repeats, answers, percent) in [("last", 2, 1.0), ("first", 2, 0.0), ("all", 3, 1.0 / 3.0)]
    {
        let report = report(&s, &format!("--repeats {repeats}"));
        let field = &report["fields"][0];
        assert_eq!(field["answers"], answers, "{repeats}");
        let found = field["agreement"]["percent_item_mean"].as_f64().unwrap();
        assert!((found - percent).abs() < 1e-12, "{repeats}: {found}");
        let left = report["excluded"].get("repeat").and_then(Value::as_u64).unwrap_or_default();
        assert_eq!(left, if repeats == "all" { 0 } else { 1 });
    }
}

#[test]
fn what_cannot_be_measured_says_why() {
    let s = Session::new();
    s.write("one.csv", "item,annotator,label,status\ni1,ann,cat,submitted\ni2,ann,cat,submitted\n");
    s.ok("import one.csv -m one");
    let one = report(&s, "");
    let agreement = &one["fields"][0]["agreement"];
    assert_eq!(agreement["krippendorff_alpha"]["nominal"], Value::Null);
    assert_eq!(agreement["undefined"]["krippendorff_alpha.nominal"], "no item has two answers");
    assert!(s.ok("quality").contains("undefined, because no item has two answers"));
    // Nothing is left of an empty choice.
    let none = report(&s, "--label bird");
    assert_eq!(none["fields"], json!([]));
    assert!(s.ok("quality --label bird").contains("no answers"));
    s.fails(2, "check --gate alpha=0 --label bird");
    let s = Session::new();
    s.write("k.csv", "item,annotator,label,status\ni1,a,cat,skipped\ni2,b,cat,skipped\n");
    s.ok("import k.csv -m skipped");
    assert_eq!(report(&s, "")["excluded"], json!({"skipped": 2}));
}

/// Sets of labels, boxes, choices about regions, reviews: whatever tools give has a report.
#[test]
fn exports_of_tools_have_reports() {
    let s = Session::new();
    for name in ["reviews", "per-region", "dialogue", "chat-preference", "moving"] {
        s.sample(&format!("label-studio/{name}.json"), &format!("{name}.json"));
        s.ok(&format!("import {name}.json -m {name}"));
    }
    s.sample(crate::samples::IMAGES, "images.json");
    s.ok("import images.json -m images");
    let report = report(&s, "");
    let rows = report["rows"].as_u64().unwrap();
    assert_eq!(rows, s.rows().len() as u64);
    assert!(report["fields"].as_array().unwrap().len() > 3);
}

/// Who found nothing says so; whom a file calls gold is no one to agree with.
#[test]
fn boxes_of_people_are_matched() {
    let s = Session::new();
    let line = |image: &str, who: &str, id: u32, boxes: Value| {
        json!({"image": image, "annotator": who, "submission": id, "boxes": boxes}).to_string()
    };
    let lines = [
        line("a.jpg", "ann", 1, json!([[0, 0, 10, 10], [50, 50, 10, 10]])),
        // IoU 80/120 with the first of Ann's; the flat box matches nothing.
        line("a.jpg", "bob", 2, json!([[2, 0, 10, 10], [50, 50, 0, 10]])),
        line("b.jpg", "ann", 3, json!([])),
        line("b.jpg", "bob", 4, json!([])),
        line("c.jpg", "ann", 5, json!([])),
        line("c.jpg", "bob", 6, json!([[0, 0, 5, 5]])),
    ];
    s.write("boxes.jsonl", lines.join("\n"));
    s.ok("import boxes.jsonl --each boxes -m boxes");
    let report = report(&s, "");
    let field = &report["fields"][0];
    assert_eq!((&field["items"], &field["answers"]), (&json!(3), &json!(6)));
    let boxes = &field["boxes"];
    assert_eq!((&boxes["pairs"], &boxes["objects"]), (&json!(3), &json!(5)));
    assert_eq!((&boxes["empty_answers"], &boxes["degenerate"]), (&json!(3), &json!(1)));
    assert_eq!((&boxes["both_empty"], &boxes["one_empty"]), (&json!(1), &json!(1)));
    // One match of 4 + 0 + 1 boxes.
    assert!((boxes["pair_f1"].as_f64().unwrap() - 2.0 / 5.0).abs() < 1e-12);
    assert!((boxes["mean_iou"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(boxes["pair_f1_strict"], 0.0);
    assert_eq!(boxes["gold_f1"], Value::Null);
    assert!(s.ok("quality").contains("F1 of 3 pairs, IoU 0.5      0.4000"));
    assert_eq!(s.gloss("check --gate pair-f1=0.3 --iou 0.7").code, 1);
    s.ok("check --gate pair-f1=0.3 --iou 0.6");
    s.fails(2, "quality --iou 0");
}

/// The figures beside the data: pairs of people, matched by falling IoU, and equal spans.
#[test]
fn crowds_of_objects_have_their_reference_figures() {
    let figures = |folder: &str, import: &str, more: &str, wanted: &[(&str, &str)]| {
        let Some(path) = shared(folder) else { return };
        let s = Session::new();
        s.ok(&format!("import '{}' {import} -m crowd", path.display()));
        let report = report(&s, &format!("--repeats all {more}"));
        for (path, expected) in wanted {
            let found = report["fields"][0].pointer(path).and_then(Value::as_f64);
            let found = found.unwrap_or_else(|| panic!("{folder}: no {path}"));
            assert_eq!(format!("{found:.6}"), *expected, "{folder}: {path}");
        }
    };
    let boxes = [
        ("/boxes/pair_f1", "0.856169"),
        ("/boxes/mean_iou", "0.754349"),
        ("/boxes/same_count", "0.890664"),
        ("/boxes/gold_precision", "0.910721"),
        ("/boxes/gold_recall", "0.831169"),
        ("/boxes/gold_f1", "0.869128"),
        ("/boxes/gold_mean_iou", "0.782468"),
    ];
    let file = "crowd-bbox-pedestrians/crowd.jsonl.gz";
    if let Some(gold) = shared("crowd-bbox-pedestrians/expert.jsonl") {
        let import = format!("--each boxes --gold '{}'", gold.display());
        figures(file, &import, "--match greedy", &boxes);
    }
    // Alpha was recomputed from the file by a few lines of Python, with tags of each word.
    let spans = [
        ("/spans/pair_f1_strict", "0.564118"),
        ("/spans/gold_f1_strict", "0.606706"),
        ("/spans/token_alpha", "0.643337"),
    ];
    let file = "crowd-ner-conll/spans.jsonl.gz";
    figures(file, "--each 'annotations.*,gold'", "", &spans);
}

/// The figures beside the data, where every answer counts.
#[test]
fn crowds_have_their_reference_figures() {
    for (name, more, figures) in [
        (
            "dog",
            "",
            [
                ("/agreement/krippendorff_alpha/nominal", "0.519418"),
                ("/agreement/fleiss_kappa", "0.519358"),
                ("/agreement/percent_item_mean", "0.641140"),
                ("/gold/answer_accuracy", "0.696406"),
                ("/gold/majority_accuracy", "0.822181"),
                ("/gold/dawid_skene_accuracy", "0.842627"),
            ],
        ),
        (
            "adult2-ordinal",
            "--order G,P,R,X",
            [
                ("/agreement/krippendorff_alpha/ordinal", "0.426999"),
                ("/agreement/krippendorff_alpha/interval", "0.519236"),
                ("/agreement/percent_pair_pooled", "0.703875"),
                ("/gold/majority_accuracy", "0.759760"),
                ("/gold/dawid_skene_accuracy", "0.738739"),
                ("/gold/median_mae", "0.289790"),
            ],
        ),
        (
            "valence",
            "",
            [
                ("/agreement/krippendorff_alpha/ordinal", "0.375356"),
                ("/agreement/krippendorff_alpha/interval", "0.325562"),
                ("/gold/mean_mae", "21.695000"),
                ("/gold/mean_rmse", "26.096109"),
                ("/gold/pearson", "0.849805"),
                ("/gold/single_mae", "34.525000"),
            ],
        ),
    ] {
        let Some(folder) = shared(&format!("crowd-{name}")) else { continue };
        let packed = folder.join("answers.csv.gz");
        let answers = if packed.exists() { packed } else { folder.join("answers.csv") };
        let gold = folder.join("gold.csv");
        let s = Session::new();
        s.ok(&format!("import '{}' --gold '{}' -m crowd", answers.display(), gold.display()));
        let report = report(&s, &format!("--repeats all {more}"));
        for (path, expected) in figures {
            let found = report["fields"][0].pointer(path).and_then(Value::as_f64);
            let found = found.unwrap_or_else(|| panic!("{name}: no {path}"));
            assert_eq!(format!("{found:.6}"), expected, "{name}: {path}");
        }
    }
}

/// jiwer 4.0 on the same files: `cer` and `wer` of all answers against their references, and the
/// edits of `process_characters` and `process_words` summed over pairs of workers. White space of
/// any sort parts words: for jiwer, which knows U+0020 alone, it was made so before.
#[test]
fn translations_have_the_error_rates_of_jiwer() {
    let figures = [
        ("T1", ["0.493437375", "0.749242424", "0.512281605", "0.697318681", "0.016472203"]),
        ("J1", ["0.553680300", "0.766352362", "0.583246674", "0.807784183", "0.007334739"]),
    ];
    for (name, expected) in figures {
        let Some(folder) = shared("crowd-text-wsa") else { continue };
        let answers = folder.join(format!("CrowdWSA2019_{name}_label_anonymous.tsv"));
        let gold = folder.join(format!("CrowdWSA2019_{name}_gt.tsv"));
        let s = Session::new();
        s.ok(&format!("import '{}' --gold '{}' -m crowd", answers.display(), gold.display()));
        let report = report(&s, "--repeats all");
        let texts = &report["fields"][0]["texts"];
        let measures = ["gold_cer", "gold_wer", "pair_cer", "pair_wer", "pair_exact"];
        for (measure, expected) in measures.iter().zip(expected) {
            let found = texts[measure].as_f64().unwrap_or_else(|| panic!("{name}: no {measure}"));
            assert_eq!(format!("{found:.9}"), expected, "{name}: {measure}");
        }
        assert!(s.ok("quality").contains("gold: CER, "));
    }
}

/// kitten → sitting: three edits of seven characters; one word of two.
#[test]
fn texts_are_compared_by_edits() {
    let s = Session::new();
    s.write("a.tsv", "item\tannotator\ttranscript\ni1\tann\tkitten  \ni2\tann\tred fox\n");
    s.write("g.tsv", "item\ttranscript\ni1\tsitting\ni2\tred ox\n");
    s.ok("import a.tsv --gold g.tsv -m texts");
    let report = report(&s, "");
    let texts = &report["fields"][0]["texts"];
    let near = |value: &Value, expected: f64| {
        assert!((value.as_f64().unwrap() - expected).abs() < 1e-12, "{value} is not {expected}");
    };
    near(&texts["gold_cer"], 4.0 / 13.0);
    near(&texts["gold_wer"], 2.0 / 3.0);
    assert_eq!(texts["pair_cer"], Value::Null);
    assert_eq!(texts["undefined"]["pair_cer"], "no item has two answers");
    s.ok("check --gate char-accuracy=0.6");
    assert_eq!(s.gloss("check --gate word-accuracy=0.6").code, 1);
}

/// Two brush masks of 34 and 30 pixels, of which 13 are in both and 51 in either, as
/// `label_studio_sdk` writes them.
#[test]
fn masks_are_matched_by_their_pixels() {
    let masks: [&[u8]; 2] = [
        &[
            0, 0, 1, 176, 57, 27, 254, 75, 0, 194, 127, 247, 192, 48, 159, 253, 240, 12, 39, 255,
            124, 3, 9, 255, 223, 0, 194, 127, 247, 192, 48, 159, 254, 75, 0, 159, 255, 13, 128, 79,
            255, 136, 192, 0,
        ],
        &[
            0, 0, 1, 176, 57, 27, 254, 155, 0, 194, 127, 247, 192, 48, 159, 253, 240, 12, 39, 255,
            124, 3, 9, 255, 223, 0, 194, 127, 247, 192, 48, 159, 254, 75, 0, 0,
        ],
    ];
    let annotation = |who: usize| {
        json!({"id": who, "completed_by": who, "was_cancelled": false, "result": [{
            "id": format!("r{who}"), "type": "brushlabels", "from_name": "tag", "to_name": "image",
            "original_width": 9, "original_height": 12, "image_rotation": 0,
            "value": {"format": "rle", "rle": masks[who - 1], "brushlabels": ["road"]}}]})
    };
    let task = json!([{"id": 1, "project": 1, "data": {"image": "a.png"},
        "annotations": [annotation(1), annotation(2)]}]);
    let s = Session::new();
    s.write("masks.json", task.to_string());
    s.ok("import masks.json -m masks");
    let boxes = |more: &str| report(&s, more)["fields"][0]["boxes"].clone();
    let found = boxes("--iou 0.2");
    assert_eq!((&found["pair_f1"], &found["degenerate"]), (&json!(1.0), &json!(0)));
    assert!((found["mean_iou"].as_f64().unwrap() - 13.0 / 51.0).abs() < 1e-12);
    assert_eq!(boxes("")["pair_f1"], 0.0);
}

/// Two people on `one two  three`: PER from `one` to `two`, and PER on `one` alone.
#[test]
fn spans_are_labels_of_tokens() {
    let s = Session::new();
    let line = |who: &str, id: u32, end: u32| {
        json!({"doc": "d", "text": "öne two  three", "annotator": who, "submission": id,
            "annotations": [[0, end, "PER"]]})
        .to_string()
    };
    s.write("spans.jsonl", [line("ann", 1, 7), line("bob", 2, 3)].join("\n"));
    s.ok("import spans.jsonl --each annotations -m spans");
    let spans = report(&s, "")["fields"][0]["spans"].clone();
    // B B, I O, O O: D_o = 2/6; B twice, I once, O three times: D_e = (36 - 4 - 1 - 9)/30.
    let expected = 1.0 - (2.0 / 6.0) / (22.0 / 30.0);
    assert!((spans["token_alpha"].as_f64().unwrap() - expected).abs() < 1e-12, "{spans}");
    s.ok("check --gate token-alpha=0.5");
}

/// A protected branch moves only where its labels pass, whoever moves it.
#[test]
fn a_protected_branch_holds_its_gates() {
    let s = Session::new();
    let rows = |label: &str| {
        let mut text = "item,annotator,label\n".to_owned();
        for item in ["a", "b", "c", "d"] {
            text.push_str(&format!("{item},ann,{item}\n{item},bob,{label}{item}\n"));
        }
        text
    };
    s.write("agreed.csv", rows(""));
    s.write("apart.csv", rows("not "));
    s.ok("import agreed.csv -m agreed");
    assert_eq!(s.ok("protect"), "no branch is protected\n");
    fits("protect", &s.json("protect main --gate percent=0.9 --gate items=3"));
    let head = s.commit("main");
    let told = s.fails(1, "import apart.csv -m apart");
    assert!(told.contains("`main` is protected"), "{told}");
    assert!(told.contains("percent of `label` is 0.0000, not 0.9"), "{told}");
    assert_eq!(s.commit("main"), head);
    // Another branch takes it, and cannot be merged: not forward, and not by a commit.
    s.ok("switch -c side");
    s.ok("import apart.csv -m apart");
    s.ok("switch main");
    assert!(s.fails(1, "merge side").contains("`main` is protected"));
    assert!(s.fails(1, "merge side --no-ff").contains("`main` is protected"));
    assert_eq!(s.commit("main"), head);
    s.ok("verify");
    assert!(s.fails(2, "protect main --gate nothing=1").contains("no measure `nothing`"));
    assert!(s.fails(2, "protect main").contains("--off"));
    fits("protect", &s.json("protect main --off"));
    s.ok("merge side");
    assert_eq!(s.commit("main"), s.commit("side"));
}

/// Two people drew one car: 200 pixels and 150 of these. The second file has no new image.
#[test]
fn polygons_of_labelme_are_matched() {
    let s = Session::new();
    for name in ["ann", "bob"] {
        s.write(&format!("{name}.xml"), ours(&format!("labelme/{name}.xml")));
    }
    let told = s.json("import ann.xml bob.xml -m both");
    fits("import", &told);
    assert_eq!(s.json("items").len(), 1);
    let report = report(&s, "");
    let boxes = &report["fields"][0]["boxes"];
    assert_eq!((&boxes["pair_f1"], &boxes["mean_iou"]), (&json!(1.0), &json!(0.75)));
    assert!(s.ok("import ann.xml bob.xml -m again").contains("no change"));
    s.ok("verify");
}

/// Four people drew vehicles in 13 images, of whom one wrote numbers into labels. Expected: shapely
/// 2.1 (invalid outlines by `buffer(0)`) with scipy's `linear_sum_assignment` over pairs of an IoU
/// of 0.5 or more: 39 of 156 objects and a mean of 0.916099 where labels are equal, 78 whatever
/// they are.
#[test]
fn a_real_crowd_of_polygons() {
    let Some(folder) = shared("crowd-polygon-labelme") else { return };
    let s = Session::new();
    let mut files = Vec::new();
    for person in 1..=4 {
        for entry in std::fs::read_dir(folder.join(format!("annotator{person}"))).unwrap() {
            files.push(entry.unwrap().path().display().to_string());
        }
    }
    files.sort();
    s.ok(&format!("import {} -m drawn", files.join(" ")));
    let report = report(&s, "");
    let field = &report["fields"][0];
    assert_eq!(report["excluded"], json!({"superseded": 2}));
    assert_eq!((&field["items"], &field["annotators"]), (&json!(13), &json!(4)));
    let near = |name: &str, expected: f64, within: f64| {
        let value = field["boxes"][name].as_f64().unwrap_or_else(|| panic!("{}", field["boxes"]));
        assert!((value - expected).abs() < within, "{name}: {value} is not {expected}");
    };
    near("pair_f1", 0.5, 1e-9);
    near("pair_f1_any_label", 1.0, 1e-9);
    near("mean_iou", 0.916_099_256_904, 1e-4);
}
