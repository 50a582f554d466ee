//! Policies: versions, labels read under their new names, and what no policy knows.

use serde_json::{Value, json};

use crate::json::fits;
use crate::session::Session;

/// Three answers, two of them made under `vehicles@1`, and that policy.
fn start() -> Session {
    let s = Session::new();
    let rows =
        "item,annotator,label,policy\na,ann,car,vehicles@1\nb,ann,van,vehicles@1\nc,bob,car,\n";
    s.write("rows.csv", rows);
    s.ok("import rows.csv -m first");
    fits("policy-change", &s.json("policy add vehicles --field label=car,van,bike"));
    s
}

fn labels(s: &Session, line: &str) -> Vec<String> {
    let text = |row: Value| row["label"].as_str().unwrap_or_default().to_owned();
    s.json(line).into_iter().map(text).collect()
}

#[test]
fn a_renamed_label_is_read_under_its_new_name_and_no_row_is_rewritten() {
    let s = start();
    s.ok("tag before");
    let objects = || s.json("verify")[0]["objects"].as_u64().unwrap();
    s.ok("policy rename vehicles label car automobile");
    // A commit without a row.
    let shown = s.json("show");
    fits("show", &shown);
    let none = json!({"added": 0, "changed": 0, "removed": 0});
    assert_eq!(shown[0]["changes"]["annotations"], none);
    assert_eq!(s.ok("diff before main"), "");
    assert_eq!(labels(&s, "ls"), ["automobile", "van", "car"], "the last says no policy");
    assert_eq!(labels(&s, "ls --raw"), ["car", "van", "car"]);
    assert_eq!(labels(&s, "ls --as-of-policy vehicles@1"), ["car", "van", "car"]);
    assert_eq!(labels(&s, "ls --label automobile"), ["automobile"]);
    assert_eq!(labels(&s, "ls --at before"), ["car", "van", "car"]);
    let csv = s.ok("export --format csv --view labels");
    assert!(csv.contains("automobile"), "{csv}");
    assert!(!s.ok("export --format csv --raw").contains("automobile"));
    // Under which version a row was made stays true.
    assert_eq!(s.json("ls")[0]["policy"], "vehicles@1");
    fits("policy-change", &s.json("policy attach vehicles@1"));
    assert_eq!(labels(&s, "ls"), ["automobile", "van", "automobile"]);
    // What is removed are the rows as they are stored.
    s.ok("rm --where label=car -m cars");
    assert_eq!(labels(&s, "ls"), ["van"]);
    assert!(objects() > 0);
}

#[test]
fn versions_are_told_apart_and_say_what_they_mean() {
    let s = start();
    s.ok("policy rename vehicles label car automobile");
    s.ok("policy attach vehicles@1");
    fits("policy", &s.json("policy show vehicles"));
    fits("policy-list", &s.json("policy list"));
    let log = s.json("policy log vehicles");
    fits("policy-log", &log);
    let versions: Vec<&str> = log.iter().map(|line| line["policy"].as_str().unwrap()).collect();
    assert_eq!(versions, ["vehicles@1.1", "vehicles@1.1", "vehicles@1"]);
    let told = s.json("policy diff vehicles 1");
    fits("policy-diff", &told);
    let change = &told[0]["changes"][0];
    assert_eq!(
        (&change["rows"], &change["items"], &change["op"]),
        (&json!(2), &json!(2), &json!("rename"))
    );

    s.write("guideline.md", "Boxes are tight.\n");
    let told = s.fails(2, "policy add vehicles --guideline guideline.md");
    assert!(told.contains("say what that makes void") && told.contains("`--redo none`"), "{told}");
    s.ok("policy add vehicles --guideline guideline.md --redo items --reason tight");
    assert_eq!(s.json("policy list")[0]["policy"], "vehicles@2");
    assert_eq!(s.git("show main:policies/vehicles/guideline.md"), "Boxes are tight.\n");
    s.ok("verify");

    // The next version from a file: what is gone has to be stated.
    let text = s
        .ok("policy show vehicles")
        .lines()
        .filter(|l| !l.starts_with('#'))
        .fold(String::new(), |text, line| format!("{text}{line}\n"));
    let third = text.replacen("version = \"2\"", "version = \"3\"", 1);
    s.write("gone.toml", third.replacen("name = \"bike\"", "name = \"tram\"", 1));
    let told = s.fails(2, "policy add vehicles --file gone.toml");
    assert!(told.contains("label `bike` is gone") && told.contains("[[change]]"), "{told}");
    let drop =
        "\n[[change]]\nversion = \"3\"\nop = \"drop\"\nfield = \"label\"\nfrom = [\"bike\"]\n";
    s.write("gone.toml", third.replacen("name = \"bike\"", "name = \"tram\"", 1) + drop);
    s.ok("policy add vehicles --file gone.toml");
    let told = s.json("policy diff vehicles 2 3");
    let ops: Vec<&str> = told[0]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["op"].as_str().unwrap())
        .collect();
    assert_eq!(ops, ["drop", "add"]);
    s.write("broken.toml", "name = \"vehicles\"\nversion = \"x\"\n");
    assert!(s.fails(2, "policy add vehicles --file broken.toml").contains("`broken.toml`: line 2"));
    assert!(s.fails(2, "policy show nobody").contains("there is no policy `nobody`"));
    assert!(s.fails(2, "ls --as-of-policy vehicles@9").contains("no `vehicles@9` yet"));
    assert!(s.fails(2, "ls --as-of-policy vehicles").contains("names no version"));
    assert!(s.fails(2, "policy rename vehicles label car x").contains("no label `car`"));
}

#[test]
fn labels_that_nobody_knows_are_listed_or_refused() {
    let s = start();
    assert_eq!(s.ok("policy check"), "every label is known\n");
    s.write("odd.csv", "item,annotator,label,policy\nd,ann,boat,vehicles@1\n");
    let told = s.gloss("import odd.csv -m odd");
    assert!(told.out.contains("`boat` is no label of `label` in vehicles@1"), "{}", told.out);
    let told = s.gloss("check --gate items=1 --json");
    assert_eq!(told.code, 1);
    let line: Value = serde_json::from_str(&told.out).unwrap();
    fits("check", std::slice::from_ref(&line));
    assert_eq!((&line["gates"][0]["passed"], &line["passed"]), (&json!(true), &json!(false)));
    assert_eq!(line["unknown_labels"][0]["label"], "boat");
    assert!(s.gloss("check --gate items=1").out.contains("`boat` is no label"));
    let told = s.gloss("policy check --json");
    assert_eq!(told.code, 1);
    let line: Value = serde_json::from_str(&told.out).unwrap();
    fits("policy-check", std::slice::from_ref(&line));
    let wanted = json!({"policy": "vehicles@1", "field": "label", "label": "boat", "rows": 1});
    assert_eq!(line, wanted);
    // A strict policy lets no more of them in, and dirty data stays as it is.
    let text = s.ok("policy show vehicles");
    let strict = text.replacen("version = \"1\"", "version = \"2\"\nstrict = true", 1);
    s.write("strict.toml", strict);
    s.ok("policy add vehicles --file strict.toml");
    let head = s.commit("main");
    s.write("more.csv", "item,annotator,label,policy\ne,ann,ship,vehicles@1\n");
    let told = s.fails(2, "import more.csv -m more");
    assert!(told.contains("item `e`: `ship` is no label of `label` in vehicles@2"), "{told}");
    assert_eq!(s.commit("main"), head);
    s.write("more.csv", "item,annotator,label,policy\ne,ann,bike,vehicles@1\n");
    s.ok("import more.csv -m more");
    s.ok("verify");
}

#[test]
fn a_tools_description_becomes_a_policy() {
    let s = Session::new();
    let xml = r#"<View><Image name="i" value="$image"/>
        <RectangleLabels name="box" toName="i"><Label value="Car"/></RectangleLabels></View>"#;
    s.write("config.xml", xml);
    fits("policy-change", &s.json("policy import images config.xml"));
    assert_eq!(s.git("show main:policies/images/label-config.xml"), xml);
    let policy = s.json("policy show images");
    fits("policy", &policy);
    assert_eq!(policy[0]["field"][0]["label"][0]["name"], "Car");
    s.ok("policy export images -o out.xml");
    assert!(s.read("out.xml").contains("<RectangleLabels name=\"box\" toName=\"image\">"));
    s.write("bad.xml", "<View><RectangleLabels name=\"box\">");
    assert!(s.fails(2, "policy import others bad.xml").contains("`bad.xml`"));
    s.write("none.json", "[1]");
    assert!(s.fails(2, "policy import others none.json").contains("--format"));
    assert!(s.fails(2, "policy import others nowhere.xml").contains("no file `nowhere.xml`"));
    s.ok("verify");
}

#[test]
fn a_policy_that_both_sides_changed_is_a_conflict_by_file() {
    let s = start();
    s.ok("branch side");
    s.ok("policy rename vehicles label car automobile");
    s.ok("switch side");
    s.ok("policy rename vehicles label van bus");
    s.write("more.csv", "item,annotator,label\nz,eve,bike\n");
    s.ok("import more.csv -m more");
    s.ok("switch main");
    let told = s.gloss("merge side --json");
    assert_eq!(told.code, 1, "{}", told.err);
    let line: Value = serde_json::from_str(&told.out).unwrap();
    fits("merge", std::slice::from_ref(&line));
    assert_eq!((&line["open"], &line["conflicts"]), (&json!(1), &json!({"policy": 1})));
    let found = s.json("conflicts");
    fits("conflicts", &found);
    assert_eq!(found[0]["item_id"], "policies/vehicles/policy.toml");
    assert!(found[0]["ours"]["text"].as_str().unwrap().contains("automobile"));
    assert_eq!(found[0]["theirs"]["changes"][0]["to"], json!(["bus"]));
    let told = s.ok("conflicts");
    assert!(told.contains("  ours: 1.1 rename label: car → automobile\n"), "{told}");
    assert!(told.contains("  theirs: 1.1 rename label: van → bus\n"), "{told}");
    assert!(s.fails(2, "resolve --take both").contains("both cannot stay"));
    s.ok("resolve policies/vehicles/policy.toml --take theirs");
    s.ok("merge --continue");
    assert_eq!(labels(&s, "ls"), ["car", "bus", "car", "bike"]);
    assert_eq!(s.json("show")[0]["merge"]["decisions"][0]["table"], "policies");
    s.ok("verify");
    // A file that one side alone changed comes along.
    s.ok("switch side");
    s.ok("policy rename vehicles label bike cycle");
    s.ok("switch main");
    s.ok("merge side");
    assert_eq!(s.json("policy list")[0]["policy"], "vehicles@1.2");
}

#[test]
fn a_plan_says_what_has_to_be_done_again() {
    let s = start();
    s.ok("policy attach vehicles@1");
    s.write("guideline.md", "Vans are lorries or pickups.\n");
    let text = s.ok("policy show vehicles").replacen("version = \"1\"", "version = \"2\"", 1);
    let split = "\n[[change]]\nversion = \"2\"\nop = \"split\"\nfield = \"label\"\n\
                 from = [\"van\"]\nto = [\"pickup\", \"lorry\"]\nredo = \"rows\"\n";
    let labels = "name = \"pickup\"\n\n[[field.label]]\nname = \"lorry\"";
    s.write("next.toml", text.replacen("name = \"van\"", labels, 1) + split);
    s.ok("policy add vehicles --file next.toml --guideline guideline.md --redo none");
    let plan = s.json("relabel plan --to vehicles@2");
    fits("relabel-plan", &plan);
    assert_eq!((&plan[0]["rows"], &plan[0]["items"]), (&json!(1), &json!(1)));
    assert_eq!(plan[0]["groups"][0]["op"], "split");
    assert_eq!(s.ok("relabel plan --to vehicles@2 --items"), "b\n");
    assert!(s.ok("relabel plan --to vehicles@2").contains("1 row(s) of 1 item(s)"));
    assert!(s.fails(2, "relabel plan --to vehicles@3").contains("no `vehicles@3` yet"));
    assert!(s.fails(2, "relabel plan --to nobody@1").contains("no policy `nobody`"));
}

/// The policy of `start` as a file, in its next version and with some text in place of another.
fn next(s: &Session, version: &str, old: &str, new: &str) {
    let text = s.ok("policy show vehicles");
    let at = text.find("version = \"").unwrap();
    let end = at + text[at..].find('\n').unwrap();
    let text = format!("{}version = \"{version}\"{}", &text[..at], &text[end..]);
    assert!(text.contains(old), "{text}");
    s.write("next.toml", text.replacen(old, new, 1));
    s.ok("policy add vehicles --file next.toml");
}

/// Branch `side` brings `tram` and a row of it; the guard asked the strict policy of the branch
/// that it came to, which knew no trams.
#[test]
fn a_merge_is_judged_by_the_policies_that_it_brings() {
    let s = start();
    next(&s, "2", "version = \"2\"", "version = \"2\"\nstrict = true");
    s.ok("switch -c side");
    next(&s, "3", "name = \"bike\"", "name = \"bike\"\n\n[[field.label]]\nname = \"tram\"");
    s.write("tram.csv", "item,annotator,label,policy\nt,eve,tram,vehicles@3\n");
    s.ok("import tram.csv -m tram");
    s.ok("switch main");
    s.write("more.csv", "item,annotator,label,policy\nm,eve,bike,vehicles@2\n");
    s.ok("import more.csv -m more");
    let told = s.json("merge side");
    assert_eq!(told[0]["result"], "merged");
    assert_eq!(labels(&s, "ls"), ["car", "van", "car", "bike", "tram"]);
    s.write("odd.csv", "item,annotator,label,policy\no,eve,ship,vehicles@3\n");
    assert!(s.fails(2, "import odd.csv -m odd").contains("`ship` is no label"));
    s.ok("verify");
}

/// Two people agree on one of two items, until `auto` and `car` are one label. That commit was once
/// measured as if they were not yet.
#[test]
fn a_gate_reads_labels_as_the_commit_that_is_judged_does() {
    let s = Session::new();
    let rows = "item,annotator,label,policy\na,ann,car,vehicles@1\na,bob,auto,vehicles@1\n\
                b,ann,van,vehicles@1\nb,bob,van,vehicles@1\n";
    s.write("rows.csv", rows);
    s.ok("import rows.csv -m first");
    s.ok("policy add vehicles --field label=car,auto,van");
    s.ok("protect main --gate percent=0.9");
    s.write("more.csv", "item,annotator,label,policy\nc,ann,car,vehicles@1\n");
    assert!(s.fails(1, "import more.csv -m more").contains("is 0.5000"));
    let merged = "\n[[change]]\nversion = \"2\"\nop = \"merge\"\nfield = \"label\"\n\
                  from = [\"car\", \"auto\"]\nto = [\"car\"]\n";
    let text = s.ok("policy show vehicles").replacen("version = \"1\"\n", "version = \"2\"\n", 1);
    let text = text.replacen("[[field.label]]\nname = \"auto\"\n", "", 1);
    s.write("next.toml", text + merged);
    s.ok("policy add vehicles --file next.toml");
    assert_eq!(labels(&s, "ls"), ["car", "car", "van", "van"]);
    s.ok("import more.csv -m more");
    s.ok("verify");
}

/// `check` refuses labels that no policy knows, whatever the gates; `protect` once let them in.
#[test]
fn a_protected_branch_takes_no_label_that_a_check_refuses() {
    let s = start();
    s.ok("protect main --gate items=1");
    s.write("odd.csv", "item,annotator,label,policy\nz,ann,zzz,vehicles@1\n");
    let head = s.commit("main");
    let told = s.fails(1, "import odd.csv -m odd");
    assert!(told.contains("`zzz` is no label of `label` in vehicles@1: 1 row(s)"), "{told}");
    assert_eq!(s.commit("main"), head);
    s.ok("check --gate items=1");
    s.write("fine.csv", "item,annotator,label,policy\nz,ann,van,vehicles@1\n");
    s.ok("import fine.csv -m fine");
    // A version that drops a label comes before its rows are relabelled.
    let split = "\n[[change]]\nversion = \"2\"\nop = \"split\"\nfield = \"label\"\n\
                 from = [\"van\"]\nto = [\"pickup\", \"lorry\"]\nredo = \"rows\"\n";
    let text = s.ok("policy show vehicles").replacen("version = \"1\"", "version = \"2\"", 1);
    let labels = "name = \"pickup\"\n\n[[field.label]]\nname = \"lorry\"";
    s.write("next.toml", text.replacen("name = \"van\"", labels, 1) + split);
    s.ok("policy add vehicles --file next.toml");
    s.write("late.csv", "item,annotator,label,policy\ny,ann,van,vehicles@1\n");
    assert!(s.fails(1, "import late.csv -m late").contains("`van` is no label"));
}

/// Rows that nobody stands by any more, or not yet, were planned for ever.
#[test]
fn what_was_answered_anew_or_skipped_is_not_planned_again() {
    let s = Session::new();
    let old = "item,annotator,label,policy,status\na,ann,van,vehicles@1,superseded\n\
               b,ann,van,vehicles@1,draft\nc,ann,van,vehicles@1,skipped\n";
    s.write("old.csv", old);
    s.ok("import old.csv -m old");
    s.ok("policy add vehicles --field label=car,van");
    let split = "\n[[change]]\nversion = \"2\"\nop = \"split\"\nfield = \"label\"\n\
                 from = [\"van\"]\nto = [\"pickup\", \"lorry\"]\nredo = \"rows\"\n";
    let text = s.ok("policy show vehicles").replacen("version = \"1\"", "version = \"2\"", 1);
    let labels = "name = \"pickup\"\n\n[[field.label]]\nname = \"lorry\"";
    s.write("next.toml", text.replacen("name = \"van\"", labels, 1) + split);
    s.ok("policy add vehicles --file next.toml");
    let rows = || s.json("relabel plan --to vehicles@2")[0]["rows"].clone();
    assert_eq!(rows(), 0);
    s.write("more.csv", "item,annotator,label,policy\ne,ann,van,vehicles@1\n");
    s.ok("import more.csv -m more");
    assert_eq!(rows(), 1);
}

/// `car` became `auto`, and `auto` two labels: rows that say `car` are among those that were split.
#[test]
fn a_diff_of_versions_counts_rows_under_the_names_of_their_time() {
    let s = start();
    s.ok("policy attach vehicles@1");
    s.ok("policy rename vehicles label car auto");
    let split = "[[change]]\nversion = \"2\"\nop = \"split\"\nfield = \"label\"\n\
                 from = [\"auto\"]\nto = [\"sedan\", \"coupe\"]\nredo = \"rows\"\n";
    let text = s.ok("policy show vehicles").replacen("version = \"1.1\"", "version = \"2\"", 1);
    let labels = "name = \"sedan\"\n\n[[field.label]]\nname = \"coupe\"";
    s.write("next.toml", text.replacen("name = \"auto\"", labels, 1) + "\n" + split);
    s.ok("policy add vehicles --file next.toml");
    let told = s.json("policy diff vehicles 1 2");
    fits("policy-diff", &told);
    let counts: Vec<(&str, u64)> = told[0]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["op"].as_str().unwrap(), c["rows"].as_u64().unwrap()))
        .filter(|(op, _)| *op != "add")
        .collect();
    // Two rows say `car`: `a` under vehicles@1, and `c`, which counts as made under it.
    assert_eq!(counts, [("rename", 2), ("split", 2)]);
    assert_eq!(s.json("relabel plan --to vehicles@2")[0]["rows"], 2);
}

/// A label below another is called by its path: where the parent is renamed the path goes with it,
/// else the tool answers what the policy does not know.
#[test]
fn a_renamed_parent_takes_the_paths_below_it_along() {
    let s = Session::new();
    s.write(
        "rows.csv",
        "item,annotator,label,policy\na,ann,Three/Sub,p@1\nb,ann,Three/Sub/Leaf,p@1\n",
    );
    s.ok("import rows.csv -m first");
    let xml = "<View><Text name=\"text\" value=\"$text\"/><Taxonomy name=\"label\" toName=\"text\">\
               <Choice value=\"Three\"><Choice value=\"Sub\"><Choice value=\"Leaf\"/>\
               </Choice></Choice>\
               <Choice value=\"Four\"/></Taxonomy></View>";
    s.write("config.xml", xml);
    s.ok("policy import p config.xml");
    s.ok("policy rename p label Three Drei");
    assert_eq!(labels(&s, "ls"), ["Drei/Sub", "Drei/Sub/Leaf"]);
    assert_eq!(s.ok("policy check"), "every label is known\n");
    s.ok("policy export p -o out.xml");
    let found = s.read("out.xml").replace(['\n', ' '], "");
    let nested =
        "<Choicevalue=\"Drei\"><Choicevalue=\"Sub\"><Choicevalue=\"Leaf\"/></Choice></Choice>";
    assert!(found.contains(nested), "{found}");
    // A label below another stays below it.
    let told = s.fails(2, "policy rename p label Drei/Sub Unter");
    assert!(told.contains("`Drei/Sub` is below `Drei`") && told.contains("`Drei/Unter`"), "{told}");
    s.ok("policy rename p label Drei/Sub Drei/Unter");
    assert_eq!(labels(&s, "ls"), ["Drei/Unter", "Drei/Unter/Leaf"]);
    s.ok("verify");
}

/// A label was dropped and its rows answered anew: the old ones, superseded, once kept every check
/// from passing, and a strict policy refused the very commit that superseded them.
#[test]
fn a_superseded_row_may_have_a_label_that_is_gone() {
    let s = start();
    let drop = "\n[[change]]\nversion = \"2\"\nop = \"drop\"\nfield = \"label\"\n\
                from = [\"van\"]\n";
    let text = s.ok("policy show vehicles");
    let text = text.replacen("version = \"1\"", "version = \"2\"\nstrict = true", 1);
    let text = text.replacen("[[field.label]]\nname = \"van\"\n", "", 1);
    s.write("next.toml", text + drop);
    s.ok("policy add vehicles --file next.toml");
    assert_eq!(s.gloss("policy check").code, 1, "`van` is no label now");
    s.write("old.csv", "item,annotator,label,policy,status\nb,ann,van,vehicles@1,superseded\n");
    s.ok("import old.csv -m superseded");
    s.write("new.csv", "item,annotator,label,policy\nb,ann,bike,vehicles@2\n");
    s.ok("import new.csv --append -m again");
    assert_eq!(labels(&s, "ls"), ["car", "van", "bike", "car"]);
    assert_eq!(s.ok("policy check"), "every label is known\n");
    s.ok("check --gate items=1");
}

#[test]
fn a_changed_guideline_is_shown_word_by_word() {
    let s = start();
    s.write("guideline.md", "Draw tight boxes.\nVans have no rear windows.\n");
    s.ok("policy add vehicles --guideline guideline.md --redo none");
    s.write("guideline.md", "Draw loose boxes.\nVans have no rear windows.\n");
    s.ok("policy add vehicles --guideline guideline.md --redo rows");
    assert_eq!(s.json("policy list")[0]["policy"], "vehicles@2");
    let told = s.json("policy diff vehicles 1.1 2");
    fits("policy-diff", &told);
    let words = json!([
        {"what": "same", "text": "Draw "},
        {"what": "gone", "text": "tight"},
        {"what": "new", "text": "loose"},
        {"what": "same", "text": " boxes.\nVans have no rear windows.\n"},
    ]);
    assert_eq!(told[0]["guideline"], words);
    let text = s.ok("policy diff vehicles 1.1 2");
    assert!(text.contains("guideline:\nDraw [-tight-]{+loose+} boxes.\n"), "{text}");
    assert_eq!(s.json("policy diff vehicles 2 2")[0]["guideline"], json!([]));
}

#[test]
fn a_revert_gives_policies_back() {
    let s = start();
    s.ok("policy rename vehicles label car automobile");
    s.ok("revert main");
    assert_eq!(s.json("policy list")[0]["policy"], "vehicles@1");
    assert_eq!(labels(&s, "ls"), ["car", "van", "car"]);
    s.ok("policy rename vehicles label car auto");
    s.ok("policy rename vehicles label van bus");
    let told = s.fails(1, "revert main~1");
    assert!(told.contains("`policies/vehicles/policy.toml` was changed again since"), "{told}");
    s.ok("revert main");
    s.ok("revert main~2");
    assert_eq!(s.json("policy list")[0]["policy"], "vehicles@1");
    s.ok("verify");
}

#[test]
fn what_a_strict_policy_refuses_can_be_set_aside() {
    let s = start();
    let text = s.ok("policy show vehicles");
    s.write("strict.toml", text.replacen("version = \"1\"", "version = \"2\"\nstrict = true", 1));
    s.ok("policy add vehicles --file strict.toml");
    let rows = "item,annotator,label,policy\nd,ann,boat,vehicles@2\ne,ann,bike,vehicles@2\n";
    s.write("more.csv", rows);
    s.fails(2, "import more.csv -m more");
    let came = s.json("import more.csv -m more --quarantine bad.jsonl");
    assert_eq!(came[0]["quarantined"], 1);
    let bad: Value = serde_json::from_str(s.read("bad.jsonl").trim()).unwrap();
    fits("quarantine", std::slice::from_ref(&bad));
    assert_eq!(bad["reason"], "`boat` is no label of `label` in vehicles@2, which is strict");
    assert_eq!(labels(&s, "ls"), ["car", "van", "car", "bike"]);
}

#[test]
fn an_import_says_under_which_policy_rows_were_made() {
    let s = Session::new();
    s.write("tasks.json", crate::samples::ours(crate::samples::TEXTS));
    s.write("config.xml", crate::samples::ours("label-studio-live/text/config.xml"));
    s.ok("policy import reading config.xml");
    assert!(s.fails(2, "import tasks.json -m first --policy reading").contains("names no version"));
    let came = s.json("import tasks.json -m first --policy reading@1");
    assert_eq!(came[0]["warnings"], json!({}));
    let policies = |s: &Session| -> Vec<Value> {
        let all: std::collections::BTreeSet<String> =
            s.rows().iter().map(|row| row["policy"].to_string()).collect();
        all.into_iter().map(|text| serde_json::from_str(&text).unwrap()).collect()
    };
    assert_eq!(policies(&s), ["reading@1"]);
    // The file alone does not know it, and it stays.
    assert_eq!(s.json("import tasks.json -m again")[0]["commit"], json!(null));
    assert_eq!(policies(&s), ["reading@1"]);
    s.ok("policy rename reading sentiment positive good");
    assert_eq!(labels(&s, "ls --field sentiment --label good").len(), 11);
    s.ok("verify");
    assert!(s.fails(2, "import tasks.json -m x --policy other@1 --update").contains("--policy"));
}

/// A row filter and another scale, read by whoever reads labels; rows stay as they are.
#[test]
fn changes_of_some_rows_and_of_numbers_are_read_everywhere() {
    let s = Session::new();
    let rows = "item,annotator,field,label,number,policy\na,ann,kind,lorry,,p@1\n\
                b,bob,kind,lorry,,p@1\na,ann,stars,,1,p@1\nb,bob,stars,,5,p@1\n";
    s.write("rows.csv", rows);
    s.ok("import rows.csv --map number=number -m first");
    s.write(
        "p.toml",
        r#"
name = "p"
version = "2"
field = [{ name = "kind", label = [{ name = "van" }, { name = "lorry" }] },
         { name = "stars", labels = "open" }]
change = [
    { version = "2", op = "rename", field = "kind", from = ["lorry"], to = ["van"],
      when = { annotator = ["bob"] } },
    { version = "2", op = "convert", field = "stars", factor = 25, offset = -25 },
]
"#,
    );
    s.ok("policy add p --file p.toml");
    let read = |line: &str| -> Vec<Value> {
        let said = |row: Value| match row["label"].is_null() {
            true => row["number"].clone(),
            false => row["label"].clone(),
        };
        s.json(line).into_iter().map(said).collect()
    };
    let words = |all: [&Value; 4]| all.map(Clone::clone).to_vec();
    let (lorry, van) = (json!("lorry"), json!("van"));
    assert_eq!(read("ls"), words([&lorry, &json!(0.0), &van, &json!(100.0)]));
    assert_eq!(read("ls --raw"), words([&lorry, &json!(1.0), &lorry, &json!(5.0)]));
    let told = s.json("policy diff p 1");
    fits("policy-diff", &told);
    let rows: Vec<&Value> =
        told[0]["changes"].as_array().unwrap().iter().map(|change| &change["rows"]).collect();
    assert_eq!(rows, [&json!(1), &json!(2)]);
    fits("policy", &s.json("policy show p"));
}
