//! Policies as files, their steps, mappings and imports; expected values by hand.

use super::*;

const VEHICLES: &str = r##"
name = "vehicles"
version = "3"
unstated = "1"

[[field]]
name = "kind"
kind = "choice"
cardinality = "one"
label = [{ name = "automobile" }, { name = "van", color = "#ff0000" }, { name = "bike" }]

[[change]]
version = "2"
op = "rename"
field = "kind"
from = ["car"]
to = ["automobile"]

[[change]]
version = "3"
op = "merge"
field = "kind"
from = ["lorry", "van"]
to = ["van"]
reason = "nobody told them apart"
"##;

#[test]
fn a_policy_reads_and_is_written_back() {
    let policy = Policy::parse(VEHICLES).unwrap();
    assert_eq!(policy.full_name(), "vehicles@3");
    assert_eq!(Policy::parse(&policy.render().unwrap()).unwrap(), policy);
    assert!(policy.knows("kind", "van") && !policy.knows("kind", "car"));
    assert!(policy.knows("another question", "car"));
}

/// What a label of a field is read as.
fn read(mapping: &Mapping, policy: Option<&str>, field: &str, label: &str) -> Option<String> {
    mapping.label(&Said { field, policy, ..Said::default() }, label)
}

#[test]
fn labels_are_read_as_of_a_version_whatever_the_rows_say() {
    let policy = Policy::parse(VEHICLES).unwrap();
    let now = Mapping::new(vec![policy.clone()], None);
    for (stated, label, wanted) in [
        (Some("vehicles@1"), "car", Some("automobile")),
        (Some("vehicles@1"), "lorry", Some("van")),
        (Some("vehicles@2"), "car", Some("car")),
        (Some("vehicles@2"), "lorry", Some("van")),
        (Some("vehicles@3"), "lorry", Some("lorry")),
        // Claimed to be of version 1.
        (None, "car", Some("automobile")),
        (Some("others@1"), "car", None),
        (Some("vehicles"), "car", None),
    ] {
        assert_eq!(read(&now, stated, "kind", label).as_deref(), wanted, "{stated:?} {label}");
    }
    assert_eq!(read(&now, None, "colour", "car").as_deref(), Some("car"));
    let second = "2".parse().unwrap();
    let then = Mapping::new(vec![policy.clone()], Some(("vehicles", &second)));
    assert_eq!(read(&then, None, "kind", "lorry").as_deref(), Some("lorry"));
    assert_eq!(read(&then, None, "kind", "car").as_deref(), Some("automobile"));
    // Backwards a rename can be undone, a merge cannot.
    let first = Version::first();
    let back = Mapping::new(vec![policy], Some(("vehicles", &first)));
    assert_eq!(read(&back, Some("vehicles@3"), "kind", "automobile").as_deref(), Some("car"));
    assert_eq!(read(&back, Some("vehicles@3"), "kind", "van").as_deref(), Some("van"));
}

/// Two labels that change places in one version do not chase each other.
#[test]
fn changes_of_one_version_are_made_at_once() {
    let text = r#"
        name = "p"
        version = "2"
        field = [{ name = "f", label = [{ name = "a" }, { name = "b" }] }]
        change = [
            { version = "2", op = "rename", field = "f", from = ["a"], to = ["b"] },
            { version = "2", op = "rename", field = "f", from = ["b"], to = ["a"] },
        ]
    "#;
    let swap = Mapping::new(vec![Policy::parse(text).unwrap()], None);
    assert_eq!(read(&swap, Some("p@1"), "f", "a").as_deref(), Some("b"));
    assert_eq!(read(&swap, Some("p@1"), "f", "b").as_deref(), Some("a"));
}

#[test]
fn what_contradicts_itself_is_refused_with_its_place() {
    let with = |text: &str| Policy::parse(&format!("name = \"p\"\nversion = \"2\"\n{text}"));
    for (text, told) in [
        ("strict = 1", "line 3"),
        ("surprise = true", "surprise"),
        ("[[field]]\nname = \"f\"\n[[field]]\nname = \"f\"", "name of its own"),
        (
            "field = [{ name = \"f\", label = [{ name = \"a\" }, { name = \"a\" }] }]",
            "stands twice",
        ),
        (
            "field = [{ name = \"f\", label = [{ name = \"a\", parent = \"b\" }, \
             { name = \"b\", parent = \"a\" }] }]",
            "its own ancestor",
        ),
        ("field = [{ name = \"f\", label = [{ name = \"a\", parent = \"z\" }] }]", "is no label"),
        (
            "field = [{ name = \"f\", label = [{ name = \"b\" }] }]\nchange = [{ version = \"2\", \
             op = \"rename\", field = \"f\", from = [\"a\"], to = [\"c\"] }]",
            "`c` is no label",
        ),
        (
            "field = [{ name = \"f\", label = [{ name = \"b\" }, { name = \"c\" }] }]\nchange = [\
             { version = \"2\", op = \"rename\", field = \"f\", from = [\"a\"], to = [\"b\"] },\
             { version = \"2\", op = \"rename\", field = \"f\", from = [\"a\"], to = [\"c\"] }]",
            "becomes two labels",
        ),
        ("change = [{ version = \"3\", op = \"same\" }]", "none of a later one"),
        ("change = [{ version = \"2\", op = \"merge\", from = [\"a\"], to = [\"b\"] }]", "several"),
    ] {
        let error = with(text).unwrap_err().to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
    assert!(Policy::parse("name = \"P\"\nversion = \"1\"").is_err());
    assert!(Policy::parse("name = \"p\"\nversion = \"v1\"").is_err());
}

#[test]
fn a_step_derives_what_is_new_and_asks_for_what_is_gone() {
    let old = Policy::parse(VEHICLES).unwrap();
    let mut new = old.clone();
    new.version = "4".parse().unwrap();
    new.fields[0].taxonomy.push(Label { name: "tram".to_owned(), ..Label::default() });
    let made = step(&old, &mut new).unwrap();
    assert_eq!((made.redo, made.changes.len()), (Redo::Items, 1));
    assert_eq!((made.changes[0].op, &made.changes[0].to[0]), (Op::Add, &"tram".to_owned()));
    assert_eq!(new.changes.len(), 3);
    let mut gone = old.clone();
    gone.version = "4".parse().unwrap();
    gone.fields[0].taxonomy.pop();
    assert!(step(&old, &mut gone).unwrap_err().to_string().contains("`bike` is gone"));
    assert!(step(&old, &mut old.clone()).unwrap_err().to_string().contains("there already"));
}

#[test]
fn a_label_studio_configuration_becomes_a_policy_and_comes_back() {
    let xml = r##"<View>
      <!-- two questions -->
      <Image name="image" value="$image"/>
      <RectangleLabels name="box" toName="image">
        <Label value="Car" background="#f00"/>
        <Label value="R&amp;D van" alias="van"/>
      </RectangleLabels>
      <Choices name="quality" toName="image" choice="multiple" required="true">
        <Choice value="blurry"/><Choice value="dark"/>
      </Choices>
      <Taxonomy name="tree" toName="image">
        <Choice value="Animal"><Choice value="Cat"/></Choice>
      </Taxonomy>
      <Rating name="stars" toName="image"/>
    </View>"##;
    let policy = import("images", xml, ImportFormat::LabelStudio).unwrap();
    let labels = |name: &str| -> Vec<String> {
        policy.field(name).unwrap().taxonomy.iter().map(|label| label.name.clone()).collect()
    };
    assert_eq!(labels("box"), ["Car", "van"]);
    assert_eq!(policy.field("box").unwrap().taxonomy[0].color.as_deref(), Some("#f00"));
    assert_eq!(labels("quality"), ["blurry", "dark"]);
    assert_eq!(policy.field("quality").unwrap().cardinality, Some(Cardinality::Many));
    assert!(policy.field("quality").unwrap().required);
    assert_eq!(labels("tree"), ["Animal", "Animal/Cat"]);
    assert_eq!(policy.field("stars").unwrap().kind.as_deref(), Some("number"));
    let written = to_label_config(&policy).unwrap();
    assert_eq!(import("images", &written, ImportFormat::LabelStudio).unwrap(), policy);

    for (bad, told) in [
        ("<View><Choices name=\"a\">", "not closed"),
        ("<View><Choices name=\"a\"></View>", "line 1"),
        ("<View><Choices><Choice value=\"x\"/></Choices></View>", "no `name`"),
        ("<View/>", "no question"),
    ] {
        let error = import("p", bad, ImportFormat::LabelStudio).unwrap_err().to_string();
        assert!(error.contains(told), "{bad}: {error}");
    }
}

#[test]
fn categories_label_lists_and_ontologies_become_policies() {
    let coco = r#"{"images":[],"categories":[{"id":3,"name":"cat"},{"id":1,"name":"dog"}]}"#;
    let cvat = r##"[{"name":"car","color":"#fff","attributes":[{"name":"occluded"}]}]"##;
    let labelbox = r#"{"tools":[{"name":"car","tool":"rectangle","color":"red"}],
        "classifications":[{"name":"weather","options":[{"label":"sun"},{"value":"rain"}]}]}"#;
    let names = |text: &str| -> Vec<(String, Vec<String>)> {
        let format = ImportFormat::guess(text).unwrap();
        let policy = import("p", text, format).unwrap();
        let labels = |field: &Field| field.taxonomy.iter().map(|l| l.name.clone()).collect();
        policy.fields.iter().map(|field| (field.name.clone(), labels(field))).collect()
    };
    let one = |field: &str, labels: &[&str]| {
        (field.to_owned(), labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(names(coco), [one("instances", &["cat", "dog"])]);
    assert_eq!(names(cvat), [one("label", &["car"])]);
    assert_eq!(names(labelbox), [one("label", &["car"]), one("weather", &["sun", "rain"])]);
    assert_eq!(ImportFormat::guess("[1]"), None);
    assert_eq!(ImportFormat::guess("nothing"), None);
}

/// Six rows of three items; what each change makes void, counted by hand.
#[test]
fn a_plan_counts_what_each_change_makes_void() {
    let text = r#"
        name = "p"
        version = "4"
        unstated = "1"
        field = [{ name = "f", label = [{ name = "automobile" }, { name = "pickup" },
                                        { name = "lorry" }, { name = "tram" }] }]
        change = [
            { version = "2", op = "rename", field = "f", from = ["car"], to = ["automobile"] },
            { version = "2", op = "rename", field = "f", from = ["big"], to = ["truck"] },
            { version = "3", op = "split", field = "f", from = ["truck"],
              to = ["pickup", "lorry"] },
            { version = "4", op = "add", field = "f", to = ["tram"], redo = "items" },
        ]
    "#;
    let policy = Policy::parse(text).unwrap();
    let mapping = Mapping::new(vec![policy.clone()], None);
    let plan = |to: &str| {
        let mut plan = Plan::new(&policy, &to.parse().unwrap());
        for (item, field, stated, label) in [
            ("i", "f", None, "car"),
            // Named `truck` when it was split.
            ("i", "f", None, "big"),
            ("j", "f", Some("p@2"), "truck"),
            ("j", "f", Some("p@3"), "lorry"),
            ("k", "f", Some("p@4"), "tram"),
            ("k", "g", Some("q@1"), "truck"),
        ] {
            let label = Some(label);
            plan.row(&mapping, Said { item, field, policy: stated, label, ..Said::default() });
        }
        let groups = plan.groups().iter().map(|g| (g.change.op, g.rows, g.items)).collect();
        (plan.rows(), plan.items().len(), groups)
    };
    assert_eq!(plan("2"), (0, 0, Vec::new()));
    assert_eq!(plan("3"), (2, 2, vec![(Op::Split, 2, 2)]));
    assert_eq!(plan("4"), (2, 2, vec![(Op::Split, 2, 2), (Op::Add, 0, 2)]));
}

/// Each label the child of the one before: 12,000 of them took every command eleven seconds.
#[test]
fn a_chain_of_parents_ends_somewhere() {
    let chain = |count: usize| {
        let mut text = "name = \"p\"\nversion = \"1\"\n[[field]]\nname = \"f\"\n".to_owned();
        for at in 0..count {
            text += &format!("[[field.label]]\nname = \"l{at}\"\n");
            if at > 0 {
                text += &format!("parent = \"l{}\"\n", at - 1);
            }
        }
        Policy::parse(&text)
    };
    // The last of 101 has 100 above it, and can be written as elements within each other.
    let xml = to_label_config(&chain(101).unwrap()).unwrap();
    assert_eq!(xml.matches("<Choice ").count(), 101);
    let told = chain(12_000).unwrap_err().to_string();
    assert!(told.contains("`l101` has more than 100 ancestors"), "{told}");
}

/// Which questions are asked of an item again, and which of its rows that makes void.
#[test]
fn a_plan_says_which_questions_are_asked_again() {
    let text = r#"
        name = "p"
        version = "2"
        field = [{ name = "f", label = [{ name = "x1" }, { name = "x2" }, { name = "y" }] },
                 { name = "g", labels = "open" }, { name = "h", labels = "open" }]
        change = [
            { version = "2", op = "split", field = "f", from = ["x"], to = ["x1", "x2"] },
            { version = "2", op = "field-add", field = "h", redo = "items" },
        ]
    "#;
    let policy = Policy::parse(text).unwrap();
    let mapping = Mapping::new(vec![policy.clone()], None);
    let row = |item, field, label| {
        let (policy, label) = (Some("p@1"), Some(label));
        Said { item, field, policy, label, ..Said::default() }
    };
    let mut plan = Plan::new(&policy, &policy.version);
    let rows = [row("i", "f", "x"), row("i", "g", "z"), row("j", "f", "y")];
    rows.into_iter().for_each(|row| plan.row(&mapping, row));
    let asked: Vec<(&str, Vec<&str>)> = plan
        .items()
        .iter()
        .map(|(item, asked)| (item.as_str(), asked.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(asked, [("i", vec!["f", "h"]), ("j", vec!["h"])]);
    // Who found nothing is asked the new question, and nobody is asked twice.
    for item in ["i", "k"] {
        plan.submission(&mapping, Said { item, policy: Some("p@1"), ..Said::default() });
        plan.submission(&mapping, Said { item, policy: Some("p@2"), ..Said::default() });
    }
    let asked = |item: &str| plan.items().get(item).map(|asked| asked.len());
    assert_eq!([asked("i"), asked("k")], [Some(2), Some(1)]);
    assert_eq!(plan.groups().iter().map(|group| group.items).collect::<Vec<_>>(), [1, 3]);
    // Somebody who was asked the new question of an item answered for it, not of another.
    let mut later = Plan::new(&policy, &policy.version);
    let second = |item| Said { item, policy: Some("p@2"), ..Said::default() };
    later.looked(&mapping, second("i"), Some(&["f"]));
    later.looked(&mapping, second("j"), Some(&["h"]));
    later.looked(&mapping, second("k"), None);
    rows.into_iter().for_each(|row| later.row(&mapping, row));
    for item in ["i", "j", "k"] {
        later.submission(&mapping, Said { item, policy: Some("p@1"), ..Said::default() });
    }
    assert_eq!(later.items().keys().collect::<Vec<_>>(), ["i"]);
    let void: Vec<bool> = rows.into_iter().map(|row| plan.is_void(&mapping, row)).collect();
    assert_eq!(void, [true, false, false], "a new question makes no old answer void");
}

#[test]
fn gates_are_read_and_checked() {
    let policy = |gates: &str| {
        Policy::parse(&format!(
            "name = \"p\"\nversion = \"1\"\n{gates}\n[[field]]\nname = \"f\"\nlabels = \"open\"\n"
        ))
    };
    let good = policy("[gates]\nalpha = 0.8\nf.items = 100\n[relabel]\ncoverage = 0.9").unwrap();
    let gates: Vec<_> = good.gates.iter().collect();
    assert_eq!(gates, [(None, "alpha", 0.8), (Some("f"), "items", 100.0)]);
    assert_eq!(Policy::parse(&good.render().unwrap()).unwrap(), good);
    for (bad, told) in [
        ("[gates.x]\nalpha = 1", "`x` is no field"),
        ("[gates]\nalpha = inf", "no number that can be reached"),
        ("[relabel]\ncoverage = 2", "a share, from 0 to 1"),
        ("[gates]\nalpha = \"much\"", "line 4: a gate is a number"),
    ] {
        let error = policy(bad).unwrap_err().to_string();
        assert!(error.contains(told), "{bad}: {error}");
    }
}

/// One vendor meant something else by a word; another counted from 1 to 5 where all say percent.
#[test]
fn a_change_may_be_about_some_rows_alone_and_about_numbers() {
    let text = r#"
        name = "p"
        version = "3"
        field = [{ name = "f", label = [{ name = "bus" }, { name = "coach" }, { name = "van" }] },
                 { name = "stars", kind = "number", labels = "open" }]
        change = [
            { version = "2", op = "rename", field = "f", from = ["lorry"], to = ["coach"],
              when = { source = ["b"] } },
            { version = "2", op = "rename", field = "f", from = ["lorry"], to = ["van"],
              when = { source = ["a", "c"], kind = ["choice"] } },
            { version = "2", op = "convert", field = "stars", factor = 25, offset = -25 },
            { version = "3", op = "restate", field = "f", from = ["bus"], redo = "rows",
              when = { annotator = ["eve"] } },
        ]
    "#;
    let policy = Policy::parse(text).unwrap();
    assert_eq!(Policy::parse(&policy.render().unwrap()).unwrap(), policy);
    let now = Mapping::new(vec![policy.clone()], None);
    let said = |source, kind, annotator| Said {
        field: "f",
        policy: Some("p@1"),
        label: Some("lorry"),
        source,
        kind,
        annotator,
        ..Said::default()
    };
    let label = |said: &Said<'_>| now.label(said, "lorry").unwrap();
    assert_eq!(label(&said("b", "choice", "")), "coach");
    assert_eq!(label(&said("a", "choice", "")), "van");
    assert_eq!(label(&said("a", "bbox", "")), "lorry");
    // 1 to 5 stars are 0 to 100 percent, and back.
    let stars = Said { field: "stars", policy: Some("p@1"), ..Said::default() };
    let read: Vec<Option<f64>> =
        [1.0, 3.0, 5.0].into_iter().map(|stars_of| now.number(&stars, stars_of)).collect();
    assert_eq!(read, [Some(0.0), Some(50.0), Some(100.0)]);
    let first = Version::first();
    let back = Mapping::new(vec![policy.clone()], Some(("p", &first)));
    let later = Said { policy: Some("p@2"), ..stars };
    assert_eq!(back.number(&later, 50.0), Some(3.0));
    assert_eq!(now.number(&later, 50.0), None, "it is on that scale");
    // What is to be done again is Eve's alone.
    let mut plan = Plan::new(&policy, &policy.version);
    for (item, annotator) in [("i", "eve"), ("j", "bob")] {
        plan.row(&now, Said { item, label: Some("bus"), ..said("a", "choice", annotator) });
    }
    assert_eq!(plan.items().keys().collect::<Vec<_>>(), ["i"]);
    for (bad, told) in [
        ("op = \"convert\", field = \"stars\"", "says `factor` or `offset`"),
        ("op = \"convert\", field = \"stars\", factor = 0", "the first is not 0"),
        ("op = \"same\", factor = 2", "and no other change"),
        ("op = \"same\", when = {}", "says nothing"),
        ("op = \"same\", when = { weather = [\"x\"] }", "weather"),
    ] {
        let text = format!(
            "name = \"p\"\nversion = \"2\"\nchange = [{{ version = \"2\", {bad} }}]\n\
                            field = [{{ name = \"stars\", labels = \"open\" }}]"
        );
        let error = Policy::parse(&text).unwrap_err().to_string();
        assert!(error.contains(told), "{bad}: {error}");
    }
}
