//! What each type of result becomes.

use glossator_store::schema::Items;

use super::*;

/// A row as text: field, target, kind, label, geometry, unit, frame, refs, text, number.
fn rows_of(rows: &Collected) -> Vec<String> {
    let batch = rows.table(&ANNOTATIONS);
    let view = Annotations::new(&batch);
    let mut all: Vec<_> = view.iter().collect();
    all.sort_by_key(|row| (row.submission_id.unwrap().to_owned(), row.seq));
    all.iter()
        .map(|row| {
            let mut cells = vec![format!("{}: {}", row.field, row.kind)];
            cells.extend(row.target.map(|t| format!("on {t}")));
            cells.extend(row.region_id.map(|r| format!("#{r}")));
            cells.extend(row.label.map(|l| format!("={l}")));
            cells.extend(row.geometry.map(|g| format!("{g:?}")));
            cells.extend(row.unit.map(str::to_owned));
            cells.extend(row.frame.map(|f| format!("@{f}")));
            cells.extend(row.refs.as_ref().map(|r| r.join(">")));
            cells.extend(row.text.map(|t| format!("{t:?}")));
            cells.extend(row.number.map(|n| format!("{n}")));
            cells.extend(row.mask.map(|m| format!("{} bytes", m.len())));
            cells.join(" ")
        })
        .collect()
}

fn kinds_of(name: &str) -> Vec<String> {
    rows_of(&import(&own().join(name)))
}

#[test]
fn regions_of_images_and_their_answers() {
    assert_eq!(
        kinds_of("per-region.json"),
        [
            "box: bbox on img #r1 =Car [10.0, 20.5, 30.0, 40.0] percent",
            "box: bbox on img #r1 =Parked [10.0, 20.5, 30.0, 40.0] percent",
            "colour: choice on img #r1 =Red",
            "colour: choice on img #r1 =Dirty",
            "damage: number on img #r1 3",
            "plate: text on img #r1 \"B-XY 12\"",
            "point: keypoints on img #k1 =Lamp [1.5, 2.5, 2.0] percent",
            "state: choice on img #k1 =on",
            "rect: rotated_bbox on img #r2 [50.0, 50.0, 5.0, 5.0, 15.0] percent",
            "what: rotated_bbox on img #r2 =Sign [50.0, 50.0, 5.0, 5.0, 15.0] percent",
            "scene: choice on img #c1 =Outdoor/Street",
            "scene: choice on img #c1 =Day",
            "tags: choice on img =a",
            "tags: choice on img =a",
            "tags: choice on img =b",
            "tags: choice on img",
            "tags: choice on img =alone",
        ]
    );
    let rows = import(&own().join("per-region.json"));
    let batch = rows.table(&ITEMS);
    let item = Items::new(&batch).row(0);
    assert_eq!(item.uri, Some("s3://bucket/street/0001.png"));
    assert_eq!((item.width, item.height), (Some(640), Some(480)));
    let aliases = ["label-studio:per-region/301", "s3://bucket/street/0001.png"];
    assert_eq!(item.aliases.unwrap(), aliases);
}

#[test]
fn spans_of_a_dialogue_and_relations() {
    assert_eq!(
        kinds_of("dialogue.json"),
        [
            "act: span on dialogue[0] #p1 =Question [0.0, 17.0] codepoint \"Where is the key?\"",
            "act: span on dialogue #p2 =Topic \"key?\\n\\nUnder\"",
            "act: span on dialogue #p3 =Answer [17.0, 22.0] codepoint \"Under\"",
            "relation: relation =answers p3>p1",
            "relation: relation =explains p3>p1",
            "relation: relation p1>p2",
            "relation: relation p1>p2",
        ]
    );
}

#[test]
fn preferences_with_scores() {
    assert_eq!(
        kinds_of("chat-preference.json"),
        [
            "better: pairwise on replies #w1 =left",
            "helpful: number on reply_a #w2 4",
            "harmless: number on reply_a #w3 5",
            "helpful: number on reply_b #w4 2",
            "harmless: number on reply_b #w5 4.5",
            "why: text on replies #w6 \"It scans.\"",
            "why: text on replies #w6 \"Short.\"",
            "order: ranking on replies #w7 =good a>d",
            "order: ranking on replies #w7 =bad c>b",
            "when: datetime on replies #w8 \"2025-01-02\"",
            "topic: choice on replies #w9 =Art/Poem",
            "topic: choice on replies #w9 =A/B/C",
            "turns: chatmessage on chat #w10",
        ]
    );
}

#[test]
fn video_sound_and_series() {
    assert_eq!(
        kinds_of("moving.json"),
        [
            "box: bbox on video #v1 =Car [1.0, 2.0, 3.0, 4.0] percent @1",
            "box: bbox on video #v1 =Red [1.0, 2.0, 3.0, 4.0] percent @1",
            "box: rotated_bbox on video #v1 =Car [5.0, 6.0, 7.0, 8.0, 5.5] percent @9",
            "box: rotated_bbox on video #v1 =Red [5.0, 6.0, 7.0, 8.0, 5.5] percent @9",
            "phase: time_span on video #t1 =Braking [3.0, 20.0] frame",
            "phase: time_span on video #t1 =Braking [40.0, 41.0] frame",
            "box: bbox on video #e1",
            "voice: time_span on sound #s1 =Ann [1.0, 3.0] second",
            "said: text on sound #s1 \"hello\"",
            "voice: time_span on sound #s2 =Bob [4.0, 6.0] second",
            "phase: time_span on ts #q1 =Run value",
            "phase: time_span on ts #q2 =Peak [1592250751951.8, 1592250751951.8] value",
        ]
    );
}

#[test]
fn types_of_the_tools_test_suites() {
    let Some(folder) = suites() else { return };
    for (name, expected) in [
        (
            "frontend/image_ellipses/annotations/1.json",
            "tag: ellipse on img #CPnIaS1e7v =Planet [50.4, 50.76307363927428, \
             13.333333333333334, 10.672358591248665, 0.0] percent",
        ),
        ("frontend/pairwise/annotations/1.json", "pw: pairwise on pw #Dx_aB91ISN =right"),
        (
            "frontend/ranker/annotations/1.json",
            "rank: ranking on search #beFiQTT1cU 1234>123>12345>123456>1234567",
        ),
        (
            "frontend/named_entity/annotations/1.json",
            "ner: span on text #beFiQTT1cU =Date [343.0, 354.0] codepoint \"February 22\"",
        ),
        (
            "frontend/timeseries/annotations/1.json",
            "label: time_span on ts #9TxbkzPXdp =Voice [1602708145233.0, 1602708375312.0] value",
        ),
        (
            "frontend/transcribe_audio/annotations/1.json",
            "answer: text on answer #oMvLrMj8WP \"Mario\"",
        ),
        ("frontend/taxonomy/annotations/0.json", "tax: choice on text #1qI949lEoK =One"),
        (
            "frontend/rich_text_html/annotations/1.json",
            "ner: span on text #Umb_V5CIey =Date [81.0, 105.0] codepoint \
             \"Vincent: Look, Mr. Wolfe\"",
        ),
        (
            "frontend/image_segmentation/annotations/1.json.gz",
            "tag: mask on img #lOA7F7sUZJ =Planet 1069747 bytes",
        ),
        (
            "frontend/image_polygons/annotations/0.json",
            "tag: polygon on img #XSMXwwsaTa =Hello [1.0, 4.0, 27.2, \
             41.24629080118694, 25.73333333333333, 70.62314540059347, 48.13333333333333, \
             62.61127596439169, 48.13333333333333, 32.93768545994065] percent",
        ),
    ] {
        assert_eq!(rows_of(&import(&folder.join(name)))[0], expected, "{name}");
    }
    let video = import(&folder.join("frontend/video_bboxes/annotations/1.json"));
    // 2 + 4 + 44 key frames; all four of the second box have a negative height.
    assert_eq!(rows_of(&video).len(), 50);
    let odd = "boxes without area (width or height is zero or negative)";
    assert_eq!(video.warnings.get(odd), Some(&4));
}

#[test]
fn files_are_told_from_others() {
    let detect = |path: PathBuf| {
        let head = Input::new(&path).head(8192).unwrap();
        LabelStudio.detect(path.file_name().unwrap().to_str().unwrap(), &head)
    };
    for path in task_files(&own()).into_iter().chain(task_files(&live())) {
        assert_eq!(detect(path.clone()), 2, "{}", path.display());
    }
    if let Some(folder) = suites() {
        for path in task_files(&folder) {
            assert_eq!(detect(path.clone()), 2, "{}", path.display());
        }
    }
    for name in [
        "text/export/JSON_MIN.json",
        "text/export/CSV.csv",
        "image/export/JSON_MIN.json",
        "image/formats.json",
        "text/project.json",
    ] {
        assert_eq!(detect(live().join(name)), 0, "{name}");
    }
    let coco = br#"{"images": [], "annotations": [{"id": 1}], "categories": []}"#;
    assert_eq!(LabelStudio.detect("coco.json", coco), 0);
    assert_eq!(LabelStudio.detect("new.json", br#"[{"data": {"text": "a"}}]"#), 1);
    let labelled = br#"[{"id":1,"data":{},"annotations":[],"predictions":[]}]"#;
    assert_eq!(LabelStudio.detect("a.json", labelled), 2);
}

#[test]
fn tasks_are_told_from_tables_by_the_members_of_a_task() {
    let detect = |text: &str| LabelStudio.detect("a.json", text.as_bytes());
    for tasks in [
        r#"[{"id":1,"data":{"text":"a"},"annotations":"none"}]"#,
        r#" [{"id":1}, {"predictions":[{"data":1}],"data" : {"#,
        r#"{"drafts":null,"data":{"a\"b":"}"}}"#,
        r#"[{"completions":[],"data":{}}]"#,
    ] {
        assert_eq!(detect(tasks), 2, "{tasks}");
    }
    // what looks alike is a value, lies deeper, or in another object
    for apart in [
        r#"[{"id":1,"text":"data","note":"annotations","meta":{"data":1}}]"#,
        r#"[{"id":1,"meta":{"src":"data"},"annotation_id":3}]"#,
        r#"[{"data":{}},{"annotations":[]}]"#,
        r#"[{"data":{"annotations":[]}}]"#,
        r#"[{"id":1,"meta":{"data":1,"annotations":[]}}]"#,
    ] {
        assert!(detect(apart) < 2, "{apart}");
    }
}
