//! Reports that are kept in git notes, and computed again.

use serde_json::{Value, json};

use crate::json::fits;
use crate::samples::{IMAGES, ours};
use crate::session::Session;

fn crowd() -> Session {
    let s = Session::new();
    s.write("crowd.csv", ours("table/crowd.csv"));
    s.write("gold.csv", "item,label\ni1,cat\ni2,dog\ni4,dog\ni9,cat\n");
    s.ok("import crowd.csv --gold gold.csv -m crowd");
    s
}

fn noted(s: &Session) -> Vec<Value> {
    let shown = s.git("notes --ref=gloss-quality show main");
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_kept_report_is_computed_again_to_the_same_bytes() {
    let s = crowd();
    let before = s.git("for-each-ref refs/heads refs/tags");
    s.ok("quality --save");
    let kept = noted(&s);
    // The digest is that of what the command prints.
    let printed = s.ok("quality --json");
    assert_eq!(kept[0]["report"], blake3::hash(printed.as_bytes()).to_hex().as_str());
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        kept[0]["fields"][0]["krippendorff_alpha_nominal"],
        report["fields"][0]["agreement"]["krippendorff_alpha"]["nominal"]
    );
    // The same is kept once; other options are another report.
    s.ok("quality --save");
    assert_eq!(noted(&s).len(), 1);
    s.ok("quality --save --seed 5 --min-overlap 3 --order cat,dog --field label --repeats all");
    let verified = s.json("quality --verify");
    fits("quality-verify", &verified);
    assert_eq!(verified.len(), 2);
    for (verified, kept) in verified.iter().zip(noted(&s)) {
        assert_eq!((&verified["same"], &verified["now"]), (&json!(true), &kept["report"]));
    }
    assert_ne!(verified[0]["now"], verified[1]["now"]);
    assert!(s.ok("quality --verify main").contains("the same"));
    // No branch moved, and the note names nobody and no item.
    assert_eq!(s.git("for-each-ref refs/heads refs/tags"), before);
    let text = s.git("notes --ref=gloss-quality show main");
    assert!(!text.contains("ann\"") && !text.contains("bob") && !text.contains("i1"), "{text}");
    assert!(s.json("verify")[0]["ok"].as_bool().unwrap());
    assert_eq!(s.ok("runs"), "");
}

#[test]
fn a_report_that_is_not_what_was_kept_is_told() {
    let s = crowd();
    s.fails(2, "quality --verify");
    s.fails(2, "quality --save --item i1");
    s.fails(2, "quality --save --annotator ann");
    s.fails(2, "quality --save --names");
    s.ok("quality --save");
    let mut kept = noted(&s).remove(0);
    kept["fields"][0]["answer_accuracy"] = json!(0.95);
    let text = kept.to_string();
    s.git(&format!("notes --ref=gloss-quality add -f -m '{text}' main"));
    let ran = s.gloss("quality --verify");
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("differs"), "{}", ran.out);
    s.git("notes --ref=gloss-quality add -f -m 'well done' main");
    assert!(s.fails(2, "quality --verify").contains("is no report"));
}

/// Maps of a process have an order of their own: nothing that is printed may follow it.
#[test]
fn every_run_prints_the_same_bytes() {
    let s = Session::new();
    for name in ["reviews", "per-region", "dialogue", "chat-preference", "moving"] {
        s.sample(&format!("label-studio/{name}.json"), &format!("{name}.json"));
        s.ok(&format!("import {name}.json -m {name}"));
    }
    s.sample(IMAGES, "images.json");
    s.ok("import images.json -m images");
    let mut csv = "item,annotator,label,group_id\n".to_owned();
    for item in 0..60 {
        for who in 0..5 {
            let label = ["cat", "dog", "owl"][(item + item * who % 7 / 5) % 3];
            csv += &format!("i{item},a{who},{label},g{}\n", item % 9);
        }
    }
    s.write("crowd.csv", csv);
    s.ok("import crowd.csv -m crowd");
    for line in ["quality", "quality --compare main~1 main", "hard", "sample", "consensus"] {
        let first = s.ok(&format!("{line} --json"));
        for _ in 0..3 {
            assert_eq!(s.ok(&format!("{line} --json")), first, "{line}");
        }
    }
}
