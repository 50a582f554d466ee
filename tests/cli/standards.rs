//! The history in the words of standards, read by the libraries of these standards.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::json::fits;
use crate::oracle::standard;
use crate::remote::Place;
use crate::session::Session;

/// Names that try to end what they stand in.
pub const HOSTILE: [&str; 16] = [
    "\"",
    "\\",
    "\\\" . <urn:x> a <urn:y> .",
    "> . <urn:x> <urn:y> <urn:z>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "{{title}}{{figures}}",
    "]]> & &amp; ' \"\"\"",
    "line\nbreak\r\ttab",
    "%41%00%",
    "a:b/c#d?e",
    "\u{202e}gpj.exe",
    "ü 猫 🐈\u{200d}⬛",
    "\u{1b}[31m\u{7f}\u{85}\u{2028}",
    "=cmd|' /C calc'!A0",
    "_:b0 . PREFIX gloss: <urn:q>",
];

/// Hostile items, annotators, labels, a message, a file's name and a metric, in two commits.
fn hostile() -> (Session, Session, BTreeMap<String, String>) {
    let s = Session::new();
    let mut ledger = BTreeMap::new();
    for (commit, part) in [HOSTILE.len() / 2, HOSTILE.len()].into_iter().enumerate() {
        let from = commit * HOSTILE.len() / 2;
        let mut text = String::new();
        for name in &HOSTILE[from..part] {
            let row = json!({"item_id": name, "annotation_id": name, "annotator_id": name,
                             "origin": "human", "field": "label", "kind": "choice",
                             "label": name, "status": "submitted", "policy": "p@1"});
            text.push_str(&format!("{row}\n"));
        }
        let file = ["\"> . {{title}} %41.jsonl", "plain.jsonl"][commit];
        s.write(file, text);
        let mut import = s.command("import");
        let message = HOSTILE[2 + commit];
        let ran = import.args([file, "--source", "table", "-m", message]).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        for name in &HOSTILE[from..part] {
            ledger.insert((*name).to_owned(), s.commit("HEAD"));
        }
    }
    let shared = Session::empty();
    s.ok(&format!("remote add origin {}", Place::directory(&shared).url));
    s.ok("push");
    s.ok("pin --format csv");
    let mut record = s.command("run record --name");
    let metric = format!("note={}", HOSTILE[4]);
    assert!(record.args([HOSTILE[4], "--metric", &metric]).status().unwrap().success());
    (s, shared, ledger)
}

#[test]
fn prov_is_read_by_its_libraries_whatever_names_say() {
    let (s, _shared, _) = hostile();
    let [first, second] = ["HEAD~1", "HEAD"].map(|revision| s.commit(revision));
    let mut agents: Vec<&str> = HOSTILE.iter().copied().chain(["Ada"]).collect();
    agents.sort_unstable();
    let lock: toml::Value = toml::from_str(&s.read("gloss.lock")).unwrap();
    let output = lock["digest"]["output"].as_str().unwrap();
    let digest = |name: &str| blake3::hash(s.read(name).as_bytes()).to_hex().to_string();
    let [odd, plain] = ["\"> . {{title}} %41.jsonl", "plain.jsonl"].map(digest);
    // By hand: each commit came from a file, the second from the first; the pin and the run wrote
    // and used the same bytes.
    let mut derived = vec![
        [format!("snapshot-{first}"), format!("file-{odd}")],
        [format!("snapshot-{second}"), format!("file-{plain}")],
        [format!("snapshot-{second}"), format!("snapshot-{first}")],
        [format!("output-{output}"), format!("snapshot-{second}")],
    ];
    derived.sort();
    for (format, name) in [("prov-json", "out.json"), ("prov-turtle", "out.ttl")] {
        let told = s.json(&format!("lineage --format {format} -o {name}"));
        fits("lineage", &told);
        assert_eq!((&told[0]["commits"], &told[0]["records"]), (&json!(2), &json!(2)));
        let Some(read) = standard(format, &s.path(name)) else { return };
        assert_eq!(read["agents"], json!(agents), "{format}");
        assert_eq!(read["files"], json!(["\"> . {{title}} %41.jsonl", "plain.jsonl"]));
        // Two snapshots, two files, a policy and one output; two commits, a pin and a run.
        assert_eq!((&read["entities"], &read["activities"]), (&json!(6), &json!(4)), "{format}");
        assert_eq!(read["generated"], json!(3), "{format}");
        let mut found: Vec<[String; 2]> = serde_json::from_value(read["derived"].clone()).unwrap();
        found.dedup();
        assert_eq!(found, derived, "{format}");
    }
    // A range tells of what is in it, and names what that came from.
    s.ok("lineage --format prov-turtle HEAD~1..HEAD -o part.ttl");
    let Some(read) = standard("prov-turtle", &s.path("part.ttl")) else { return };
    assert_eq!((&read["entities"], &read["activities"]), (&json!(5), &json!(3)));
    // Without a file it goes to standard output, the same bytes.
    assert_eq!(s.ok("lineage --format prov-turtle HEAD~1..HEAD"), s.read("part.ttl"));
}

#[test]
fn openlineage_events_are_read_by_its_library() {
    let (s, _shared, _) = hostile();
    s.ok("lineage --format openlineage -o events.jsonl");
    let Some(read) = standard("openlineage", &s.path("events.jsonl")) else { return };
    let mut annotators = HOSTILE.to_vec();
    annotators.sort_unstable();
    assert_eq!(read["annotators"], json!(annotators));
    let run = format!("run/{}", HOSTILE[4]);
    let wanted = json!([
        ["import", ["\"> . {{title}} %41.jsonl"], [8]],
        ["import", ["plain.jsonl", "labels"], [16]],
        ["pin", ["labels"], []],
        [run, ["labels"], []],
    ]);
    assert_eq!(read["jobs"], wanted);
    assert_eq!(read["metrics"], json!([{"note": HOSTILE[4]}]));
    // The same history is the same events.
    assert_eq!(s.ok("lineage --format openlineage"), s.read("events.jsonl"));
}

#[test]
fn croissant_gives_each_row_its_commit_annotator_and_file() {
    let (s, _shared, ledger) = hostile();
    let told = s.json("lineage --format croissant -o labels.json");
    fits("lineage-croissant", &told);
    assert_eq!(told[0]["rows"], 16);
    let Some(read) = standard("croissant", &s.path("labels.json")) else { return };
    assert_eq!(read["version"], "http://mlcommons.org/croissant/1.1");
    // Nobody said under which licence; what is recommended beyond that is there.
    let warnings = read["warnings"].as_array().unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].as_str().unwrap().contains("license"),
        "{warnings:?}"
    );
    let records = read["records"].as_array().unwrap();
    let found: BTreeMap<String, String> = records
        .iter()
        .map(|record| {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            assert_eq!((text("annotator"), text("label")), (text("item_id"), text("item_id")));
            let row: Value = serde_json::from_str(&text("row")).unwrap();
            assert_eq!(row["item_id"], record["item_id"]);
            (text("item_id"), text("commit"))
        })
        .collect();
    assert_eq!(found, ledger);
    let plain = records.iter().filter(|record| record["files"] == "plain.jsonl").count();
    assert_eq!(plain, 8);
    for line in [
        "lineage --format croissant",
        "lineage --format croissant HEAD~1..HEAD -o x.json",
        "lineage --format croissant -o x.csv",
        "lineage --format rdf",
        "lineage --format prov-json nothing",
        "lineage --format prov-json HEAD..nothing",
    ] {
        s.fails(2, line);
    }
}

/// Answers a number of requests, the last of them with another status; gives what was sent.
fn server(statuses: Vec<&'static str>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v1/lineage", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        let mut statuses = statuses.into_iter().peekable();
        while statuses.peek().is_some() {
            let (mut socket, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let (mut length, mut key) = (0, false);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(bytes) = line.strip_prefix("content-length: ") {
                    length = bytes.parse().unwrap();
                }
                key |= line == "authorization: bearer secret";
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            assert!(key, "no key");
            bodies.push(String::from_utf8(body).unwrap());
            let status = statuses.next().unwrap();
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            socket.write_all(answer.as_bytes()).unwrap();
        }
        bodies
    });
    (url, served)
}

#[test]
fn events_are_sent_one_by_one_until_one_is_refused() {
    let (s, _shared, _) = hostile();
    let lines: Vec<String> =
        s.ok("lineage --format openlineage").lines().map(str::to_owned).collect();
    let send = |url: &str| {
        let mut command = s.command(&format!("lineage --format openlineage --to {url} --json"));
        crate::session::Ran::new(command.env("OPENLINEAGE_API_KEY", "secret").output().unwrap())
    };
    let (url, served) = server(vec!["201 Created"; lines.len()]);
    let ran = send(&url);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    fits("lineage-sent", std::slice::from_ref(&told));
    assert_eq!(told["sent"], lines.len());
    assert_eq!(served.join().unwrap(), lines);
    let (url, served) = server(vec!["200 OK", "403 Forbidden"]);
    let ran = send(&url);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("after 1 events") && ran.err.contains("403"), "{}", ran.err);
    assert!(!ran.err.contains("secret"));
    assert_eq!(served.join().unwrap(), lines[..2]);
    // Nobody listens there any more.
    assert_eq!(send(&url).code, 4);
    for line in ["--format prov-json --to http://x/", "--format openlineage --to ftp://x/"] {
        s.fails(2, &format!("lineage {line}"));
    }
}
