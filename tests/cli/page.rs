//! The page of a report in a real browser.

use glossator_testkit::chromium::chromium;
use serde_json::{Value, json};

use crate::session::{Ran, Session};

/// What a headless Chromium makes of a page, and what it says; `None` where there is none.
fn opened(s: &Session, page: &str) -> Option<Ran> {
    let mut command = s.program(chromium()?);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]);
    command.arg("--window-size=1280,1600").arg("--virtual-time-budget=5000");
    command.arg(format!("--user-data-dir={}", s.path("browser").display()));
    command.arg("--dump-dom").arg(s.path(page));
    Some(Ran::new(command.output().expect("chromium runs")))
}

/// The figures inside a page.
fn figures(s: &Session, page: &str) -> Value {
    let text = s.read(page);
    let (_, rest) = text.split_once(r#"id="figures">"#).expect("figures");
    serde_json::from_str(rest.split_once("</script>").expect("an end").0).expect("JSON")
}

fn crowd() -> Session {
    let s = Session::new();
    let (mut csv, mut gold) =
        ("item,annotator,label,created_at\n".to_owned(), "item,label\n".to_owned());
    for item in 0..40 {
        let truth = ["cat", "</script><script>alert(1)</script>", "dog"][item % 3];
        gold += &format!("i{item},{truth}\n");
        for who in 0..4 {
            let wrong = (item * 7 + who * 3) % 11 == 0;
            let label = if wrong { "<img src=x onerror=alert(2)>" } else { truth };
            csv += &format!("i{item},a{who},{label},2026-01-{:02}T09:00:00Z\n", item % 28 + 1);
        }
    }
    s.write("crowd.csv", csv);
    s.write("gold.csv", gold);
    s.ok("import crowd.csv --gold gold.csv -m crowd");
    s
}

#[track_caller]
fn draws(ran: &Ran, charts: &[&str]) {
    let said: Vec<&str> = ran.err.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    for title in charts {
        assert!(ran.out.contains(&format!("<h3>{title}</h3>")), "no chart {title}");
    }
    let places = ran.out.matches(r#"class="chart" role="img""#).count();
    assert_eq!(places, ran.out.matches("<svg").count(), "a chart is not drawn");
    assert!(places >= charts.len(), "{places} charts");
}

#[test]
fn a_report_has_its_charts_and_figures() {
    let s = crowd();
    let report = s.json("quality --html report.html").remove(0);
    assert_eq!(figures(&s, "report.html"), json!({"report": report}));
    // The page asks for nothing else.
    let text = s.read("report.html");
    for outside in ["<script src", "<link rel=\"stylesheet", "@import", "<img", "fetch("] {
        let own = text.find(r#"<script type="application/json""#).unwrap();
        assert!(!text[..own].contains(outside), "{outside}");
    }
    let Some(ran) = opened(&s, "report.html") else { return };
    let charts = ["Labels", "Accuracy of annotators", "Agreement of pairs", "Hardest items"];
    draws(&ran, &charts);
    draws(&ran, &["Accuracy against gold over time", "By hour of the day, UTC"]);
    // What is shown is what the JSON says.
    let field = &report["fields"][0];
    for figure in [
        &field["agreement"]["krippendorff_alpha"]["nominal"],
        &field["gold"]["answer_accuracy"],
        &field["agreement"]["percent_item_mean"],
    ] {
        let shown = format!("<b>{:.4}</b>", figure.as_f64().unwrap());
        assert!(ran.out.contains(&shown), "{shown} is not on the page");
    }
    // A label is text, whatever it says.
    assert!(ran.out.contains("&lt;img src=x onerror=alert(2)&gt;"));
    assert!(!ran.out.contains("<img"));
    assert!(!s.read("report.html").contains("a0\""), "an id of an annotator");
}

#[test]
fn a_comparison_has_its_charts() {
    let s = crowd();
    s.write("more.csv", "item,annotator,label\ni1,zoe,dog\ni2,zoe,dog\ni3,zoe,cat\n");
    s.ok("import more.csv --source table -m more");
    let compared = s.json("quality --compare main~1 main --html compared.html").remove(0);
    assert_eq!(figures(&s, "compared.html"), json!({"comparison": compared}));
    let Some(ran) = opened(&s, "compared.html") else { return };
    draws(&ran, &["Labels of both"]);
    assert!(ran.out.contains("<h3>New annotators</h3>"));
    // A page that cannot be written is none.
    s.fails(2, "quality --html no/such/folder/report.html");
}

/// Nothing to measure is a page as well.
#[test]
fn a_report_of_nothing_is_a_page() {
    let s = Session::new();
    s.write("one.csv", "item,annotator,label,status\ni1,ann,cat,skipped\n");
    s.ok("import one.csv -m one");
    s.ok("quality --html report.html");
    let Some(ran) = opened(&s, "report.html") else { return };
    draws(&ran, &[]);
}

/// The life of an item whose every name tries to end what it stands in.
#[test]
fn a_life_is_a_page_whatever_names_say() {
    let s = Session::new();
    let mut text = String::new();
    for name in crate::standards::HOSTILE {
        let row = json!({"item_id": crate::standards::HOSTILE[4], "annotation_id": name,
                         "annotator_id": name, "origin": "human", "field": "label",
                         "kind": "choice", "label": name, "status": "submitted", "policy": name});
        text.push_str(&format!("{row}\n"));
    }
    s.write("rows.jsonl", text);
    let message = crate::standards::HOSTILE[5];
    let mut import = s.command("import rows.jsonl -m");
    assert!(import.arg(message).status().unwrap().success());
    let item = crate::standards::HOSTILE[4];
    let mut history = s.command("history --json --html life.html");
    let ran = Ran::new(history.arg(item).output().unwrap());
    let events: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), crate::standards::HOSTILE.len());
    assert_eq!(figures(&s, "life.html"), json!({"life": {"item": item, "events": events}}));
    let Some(ran) = opened(&s, "life.html") else { return };
    draws(&ran, &[]);
    assert!(!ran.out.contains("<img") && !ran.out.contains("<script>alert"), "{}", ran.out);
    let names = ran.out.matches("<li>").count();
    assert_eq!(names, events.len());
}
