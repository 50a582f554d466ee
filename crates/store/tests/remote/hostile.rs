//! Remotes that lie: each attack is refused by name, and nothing of it is seen.

use std::collections::BTreeMap;

use gix::objs::Kind;
use glossator_store::Digest;
use serde_json::{Value, json};

use crate::desk::*;

/// A remote's last push, taken apart.
struct Forge {
    root: Value,
    /// The first line of the part.
    head: Value,
    /// Git objects by their kind.
    objects: Vec<(u8, Vec<u8>)>,
    /// Other bytes for the log than those of its parts.
    raw: Option<Vec<u8>>,
    /// Whether the root tells of the log as it is.
    honest: bool,
    /// Keys and their bytes, none: removed.
    files: BTreeMap<String, Option<Vec<u8>>>,
}

fn hash(kind: Kind, data: &[u8]) -> gix::ObjectId {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, data).unwrap()
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn entries(tree: &[u8]) -> Vec<(String, String, gix::ObjectId)> {
    let tree = gix::objs::TreeRef::from_bytes(tree, gix::hash::Kind::Sha1).unwrap();
    let entry = |e: &gix::objs::tree::EntryRef<'_>| {
        (format!("{:o}", e.mode.value()), e.filename.to_string(), e.oid.to_owned())
    };
    tree.entries.iter().map(entry).collect()
}

fn tree(entries: &[(String, String, gix::ObjectId)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (mode, name, id) in entries {
        out.extend(format!("{mode} {name}\0").as_bytes());
        out.extend(id.as_bytes());
    }
    out
}

impl Forge {
    fn of(place: &Place) -> Self {
        let root: Value = serde_json::from_slice(&place.get("root")).unwrap();
        let key = root["log"].as_array().unwrap().last().unwrap()["key"].as_str().unwrap();
        let content = zstd::decode_all(&place.get(key)[..]).unwrap();
        let line = content.iter().position(|b| *b == b'\n').unwrap();
        let (mut at, mut objects) = (line + 1, Vec::new());
        while at < content.len() {
            let kind = content[at];
            let (mut len, mut shift) = (0usize, 0);
            loop {
                at += 1;
                len |= usize::from(content[at] & 0x7f) << shift;
                shift += 7;
                if content[at] < 0x80 {
                    break;
                }
            }
            at += 1;
            objects.push((kind, content[at..at + len].to_vec()));
            at += len;
        }
        let head = serde_json::from_slice(&content[..line]).unwrap();
        Self { root, head, objects, raw: None, honest: true, files: BTreeMap::new() }
    }

    fn log(&mut self) -> &mut Value {
        self.root["log"].as_array_mut().unwrap().last_mut().unwrap()
    }

    fn content(&self) -> Vec<u8> {
        let mut content = serde_json::to_vec(&self.head).unwrap();
        content.push(b'\n');
        for (kind, data) in &self.objects {
            content.push(*kind);
            varint(&mut content, data.len() as u64);
            content.extend(data);
        }
        content
    }

    fn write(mut self, place: &Place) {
        let bytes = match self.raw.take() {
            Some(raw) => raw,
            None => zstd::encode_all(&self.content()[..], 3).unwrap(),
        };
        let key = self.log()["key"].as_str().unwrap().to_owned();
        if self.honest {
            self.log()["digest"] = json!(Digest::of(&bytes));
            self.log()["bytes"] = json!(bytes.len());
            place.put(&key, &bytes);
        }
        for (key, bytes) in self.files {
            match bytes {
                Some(bytes) => place.put(&key, &bytes),
                None => place.remove(&key),
            }
        }
        place.put("root", &serde_json::to_vec(&self.root).unwrap());
    }

    fn object(&self, kind: u8) -> Vec<u8> {
        self.objects.iter().find(|(found, _)| *found == kind).unwrap().1.clone()
    }

    /// Puts a commit of another tree in the place of the pushed one.
    fn retree(&mut self, change: impl FnOnce(&mut Vec<(String, String, gix::ObjectId)>)) {
        let commit = self.object(b'c');
        let text = String::from_utf8(commit).unwrap();
        let old = gix::ObjectId::from_hex(&text.as_bytes()[5..45]).unwrap();
        let found = |(kind, data): &&(u8, Vec<u8>)| *kind == b't' && hash(Kind::Tree, data) == old;
        let root = self.objects.iter().find(found).unwrap().1.clone();
        let mut entries = entries(&root);
        change(&mut entries);
        let data = tree(&entries);
        let text = text.replacen(&old.to_string(), &hash(Kind::Tree, &data).to_string(), 1);
        self.objects.push((b't', data));
        self.point(text.into_bytes());
    }

    /// Lets the branch be another commit.
    fn point(&mut self, commit: Vec<u8>) {
        self.root["refs"]["refs/heads/main"]["id"] = json!(hash(Kind::Commit, &commit).to_string());
        self.objects.push((b'c', commit));
    }

    /// Another content for a file of the root tree.
    fn refile(&mut self, name: &str, content: &[u8]) {
        let id = hash(Kind::Blob, content);
        self.objects.push((b'b', content.to_vec()));
        self.retree(|entries| match entries.iter_mut().find(|entry| entry.1 == name) {
            Some(entry) => entry.2 = id,
            None => panic!("no {name}"),
        });
    }

    fn rows_key(&self) -> String {
        self.head["files"][0]["key"].as_str().unwrap().to_owned()
    }
}

type Attack = (&'static str, &'static str, fn(&mut Forge, &Place));

/// What is done, and what the refusal says.
const ATTACKS: &[Attack] = &[
    // The root.
    ("a newer format", "remote format 2", |f, _| f.root["format"] = json!(2)),
    ("an unknown need", "needs `holograms`", |f, _| f.root["needs"] = json!(["holograms"])),
    ("an unknown member", "unknown field", |f, _| f.root["more"] = json!(1)),
    ("no format", "missing field", |f, _| drop(f.root.as_object_mut().unwrap().remove("format"))),
    ("a store id that is a path", "not 32 hex digits", |f, _| {
        f.root["store_id"] = json!("../../../../../../etc/passwd-xxxx");
    }),
    ("a branch outside of its directory", "a bad name", |f, _| {
        f.root["refs"]["refs/heads/../../../hooks/post-receive"] =
            f.root["refs"]["refs/heads/main"].clone();
    }),
    ("a ref that is not a branch or tag", "a bad name", |f, _| {
        f.root["refs"]["refs/notes/x"] = f.root["refs"]["refs/heads/main"].clone();
    }),
    ("notes that are nowhere", "it is missing", |f, _| {
        let mut notes = f.root["refs"]["refs/heads/main"].clone();
        notes["id"] = json!("ab".repeat(20));
        f.root["refs"]["refs/notes/gloss-runs"] = notes;
    }),
    ("a ref without a directory", "a bad name", |f, _| {
        f.root["refs"]["HEAD"] = f.root["refs"]["refs/heads/main"].clone();
    }),
    ("a branch in capitals", "a bad name", |f, _| {
        f.root["refs"]["refs/heads/Main"] = f.root["refs"]["refs/heads/main"].clone();
    }),
    ("a branch that is a lock file", "a bad name", |f, _| {
        f.root["refs"]["refs/heads/main.lock"] = f.root["refs"]["refs/heads/main"].clone();
    }),
    ("a branch of two names", "a bad name", |f, _| {
        f.root["refs"]["refs/heads/a\nb"] = f.root["refs"]["refs/heads/main"].clone();
    }),
    ("an id that is none", "no git id", |f, _| {
        f.root["refs"]["refs/heads/main"]["id"] = json!("HEAD");
    }),
    ("an id in capitals", "no git id", |f, _| {
        let id = "A".repeat(40);
        f.root["refs"]["refs/heads/main"]["id"] = json!(id);
    }),
    ("a head outside of its directory", "no name of a branch", |f, _| {
        f.root["head"] = json!("../main");
    }),
    ("a log outside of the prefix", "not a key", |f, _| {
        f.log()["key"] = json!("e0/../../../secret");
        f.honest = false;
    }),
    ("a log with an absolute key", "not a key", |f, _| {
        f.log()["key"] = json!("/etc/passwd");
        f.honest = false;
    }),
    ("a log on another host", "not a key", |f, _| {
        f.log()["key"] = json!("http://169.254.169.254/latest/meta-data");
        f.honest = false;
    }),
    ("a log of a later epoch", "later epoch", |f, _| {
        let key = f.log()["key"].as_str().unwrap().replacen("e0/", "e7/", 1);
        f.log()["key"] = json!(key);
        f.honest = false;
    }),
    ("a log of another digest", "do not hash", |f, _| {
        f.log()["digest"] = json!(Digest::of(b"other"));
        f.honest = false;
    }),
    ("a log that is longer than stated", "longer than", |f, _| {
        let bytes = f.log()["bytes"].as_u64().unwrap();
        f.log()["bytes"] = json!(bytes - 1);
        f.honest = false;
    }),
    ("a log that is shorter than stated", "do not hash", |f, _| {
        let bytes = f.log()["bytes"].as_u64().unwrap();
        f.log()["bytes"] = json!(bytes + 1);
        f.honest = false;
    }),
    ("a log of an exabyte", "a log of", |f, _| {
        f.log()["bytes"] = json!(1u64 << 60);
        f.honest = false;
    }),
    ("a log of more pushes", "pushes", |f, _| f.log()["pushes"] = json!(3)),
    ("a log of pushes without end", "pushes", |f, _| f.log()["pushes"] = json!(u64::MAX)),
    ("a log that is gone", "missing", |f, _| {
        let key = f.log()["key"].as_str().unwrap().to_owned();
        f.files.insert(key, None);
    }),
    ("a root without end", "longer than", |f, _| f.root["head"] = json!("m".repeat(17 << 20))),
    // The log.
    ("a log that is noise", "log-", |f, _| f.raw = Some(vec![0x5a; 999])),
    ("a log that ends early", "log-", |f, _| {
        let mut bytes = zstd::encode_all(&f.content()[..], 3).unwrap();
        bytes.truncate(bytes.len() - 5);
        f.raw = Some(bytes);
    }),
    ("a bomb", "far longer than its bytes", |f, _| {
        f.objects.push((b'b', vec![0; 60 << 20]));
    }),
    ("a frame with a window of gigabytes", "log-", |f, _| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        std::io::Write::write_all(&mut encoder, &f.content()).unwrap();
        f.raw = Some(encoder.finish().unwrap());
    }),
    ("an object of an unknown kind", "no known kind", |f, _| f.objects.push((b'x', Vec::new()))),
    ("an object that claims to be longer", "ends early", |f, _| {
        let mut content = f.content();
        content.extend(b"b\x7fshort");
        f.raw = Some(zstd::encode_all(&content[..], 3).unwrap());
    }),
    ("an object that claims to be endless", "too long", |f, _| {
        let mut content = f.content();
        content.extend(b"b\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        f.raw = Some(zstd::encode_all(&content[..], 3).unwrap());
    }),
    ("a head that is no JSON", "log-", |f, _| f.head = json!("none")),
    ("a head with an unknown member", "unknown field", |f, _| f.head["more"] = json!(1)),
    ("a file outside of the prefix", "not a key", |f, _| {
        f.head["files"][0]["key"] = json!("e0/../../../../etc/passwd");
    }),
    ("a place in no file", "in no file", |f, _| f.head["objects"][0]["file"] = json!(9)),
    ("a place behind its file", "not inside", |f, _| {
        f.head["objects"][0]["offset"] = json!(u64::MAX - 1);
    }),
    // The graph.
    ("a commit that is not there", "missing", |f, _| f.objects.retain(|(kind, _)| *kind != b'c')),
    ("trees that are not there", "missing", |f, _| f.objects.retain(|(kind, _)| *kind != b't')),
    ("files that are not there", "missing", |f, _| f.objects.retain(|(kind, _)| *kind != b'b')),
    ("a commit that is no commit", "", |f, _| f.point(b"tree of nothing".to_vec())),
    ("a branch that is a file", "", |f, _| {
        let blob = f.object(b'b');
        f.root["refs"]["refs/heads/main"]["id"] = json!(hash(Kind::Blob, &blob).to_string());
    }),
    ("a tree with a name that goes up", "no file of a label commit", |f, _| {
        f.retree(|entries| entries.insert(0, ("100644".into(), "..".into(), entries[0].2)));
    }),
    ("a tree with a git directory", "no file of a label commit", |f, _| {
        f.retree(|entries| entries.insert(0, ("100644".into(), ".git".into(), entries[0].2)));
    }),
    ("a link", "no file of a label commit", |f, _| {
        f.retree(|entries| entries[0].0 = "120000".into());
    }),
    ("a program", "no file of a label commit", |f, _| {
        f.retree(|entries| entries[0].0 = "100755".into());
    }),
    ("a module", "", |f, _| {
        f.retree(|entries| entries.push(("160000".into(), "zzz".into(), entries[0].2)));
    }),
    ("a file of another store", "of another store", |f, _| {
        let id = "f".repeat(32);
        let text = format!("format = 1\nstore_id = \"{id}\"\nhash = \"blake3\"\n");
        f.refile("gloss.toml", text.as_bytes());
    }),
    ("a store of an unknown feature", "", |f, _| {
        let id = f.root["store_id"].as_str().unwrap().to_owned();
        let text = format!(
            "format = 1\nstore_id = \"{id}\"\nhash = \"blake3\"\n[features]\nread = [\"x\"]\n"
        );
        f.refile("gloss.toml", text.as_bytes());
    }),
    ("a change that is none", "", |f, _| f.refile("change.json", b"{\"tables\":7}")),
    ("a commit without a change", "change.json", |f, _| {
        f.retree(|entries| entries.retain(|entry| entry.1 != "change.json"));
    }),
    // The rows.
    ("objects in no log", "it is not there", |f, _| f.head["objects"] = json!([])),
    ("rows of another length", "length", |f, _| {
        for object in f.head["objects"].as_array_mut().unwrap() {
            let bytes = object["bytes"].as_u64().unwrap();
            object["bytes"] = json!(bytes - 1);
        }
    }),
    ("rows that are gone", "missing", |f, _| drop(f.files.insert(f.rows_key(), None))),
    ("rows that end early", "", |f, place| {
        let mut rows = place.get(&f.rows_key());
        rows.truncate(rows.len() / 2);
        f.files.insert(f.rows_key(), Some(rows));
    }),
    ("rows with one bit changed", "do not hash", |f, place| {
        let mut rows = place.get(&f.rows_key());
        rows[7] ^= 1;
        f.files.insert(f.rows_key(), Some(rows));
    }),
];

#[test]
fn every_attack_is_refused_and_leaves_nothing() {
    let here = first();
    let honest = memory();
    push(&here.store, &honest.remote).unwrap();
    let before = Place::copy(&honest);
    let old = head(&here.store);
    import(&here.store, "b", "two");
    push(&here.store, &honest.remote).unwrap();
    // Forged as it is, it is as it was.
    Forge::of(&honest).write(&honest);
    assert_eq!(head(&clone(&honest.remote).store), head(&here.store));

    for (name, said, attack) in ATTACKS {
        let place = Place::copy(&honest);
        let mut forge = Forge::of(&place);
        attack(&mut forge, &place);
        forge.write(&place);

        let outer = glossator_testkit::scratch();
        let dir = outer.path().join("inner");
        let error = match try_clone_into(&dir, &place.remote) {
            Ok(_) => panic!("{name}: cloned"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(said), "{name}: {error}");
        assert!(!dir.join(".gloss/config.toml").exists(), "{name}: half a store");
        let beside: Vec<_> = std::fs::read_dir(outer.path()).unwrap().collect();
        assert!(beside.len() <= 1, "{name}: {beside:?}");

        let there = clone(&before.remote);
        let files = there.store.objects().list().unwrap();
        assert!(fetch(&there.store, &place.remote).is_err(), "{name}: fetched");
        let seen = there.store.history.resolve("origin/main").unwrap();
        assert_eq!(seen.to_string(), old, "{name}");
        assert_eq!(there.store.objects().list().unwrap().1, files.1, "{name}: strange files");
        sound(&there.store);
        // The honest one is still taken.
        fetch(&there.store, &honest.remote).unwrap();
        sound(&there.store);
    }
    assert!(ATTACKS.len() >= 50, "{} attacks", ATTACKS.len());
}
