//! Two machines and a place between them: a directory, and a real S3 server.

use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use glossator_testkit::gcs_fake::FakeGcs;
use glossator_testkit::moto::Moto;
use glossator_testkit::proxy::{Moment, Proxy, Way};
use serde_json::{Value, json};

use crate::json::fits;
use crate::samples::{TEXTS, corrected};
use crate::session::{Ran, Session};

/// A place, and what the environment must say to reach it.
pub struct Place {
    pub url: String,
    pub env: Vec<(&'static str, String)>,
}

impl Place {
    pub fn s3(moto: &Moto) -> Self {
        let env = vec![
            ("AWS_ENDPOINT_URL", moto.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", moto.key.clone()),
            ("AWS_SECRET_ACCESS_KEY", moto.secret.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ];
        Self { url: format!("s3://{}", moto.bucket()), env }
    }

    pub fn directory(dir: &Session) -> Self {
        Self { url: format!("file://{}/shared", dir.dir().display()), env: Vec::new() }
    }

    fn run(&self, at: &Session, line: &str) -> Ran {
        let mut command = at.command(line);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Ran::new(command.output().expect("gloss runs"))
    }

    #[track_caller]
    pub fn ok(&self, at: &Session, line: &str) -> String {
        let ran = self.run(at, line);
        assert_eq!(ran.code, 0, "gloss {line}\n{}{}", ran.out, ran.err);
        ran.out
    }

    #[track_caller]
    pub fn fails(&self, code: i32, at: &Session, line: &str) -> String {
        let ran = self.run(at, line);
        assert_eq!(ran.code, code, "gloss {line}\n{}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains("\nhint: "), "{}", ran.err);
        for (name, value) in &self.env {
            let secret = name.contains("SECRET");
            assert!(!secret || !ran.err.contains(value.as_str()), "a secret is shown");
        }
        ran.err
    }

    #[track_caller]
    pub fn json(&self, at: &Session, schema: &str, line: &str) -> Value {
        let out = self.ok(at, &format!("{line} --json"));
        let lines = out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let values: Vec<Value> = lines.collect();
        fits(schema, &values);
        values.into_iter().next_back().expect("a line")
    }
}

/// A store of the texts, pushed.
pub fn pushed(place: &Place) -> Session {
    let here = Session::new();
    here.sample(TEXTS, "texts.json");
    here.ok("import texts.json -m texts");
    here.ok("tag v1");
    place.ok(&here, &format!("remote add origin {}", place.url));
    place.ok(&here, "push");
    here
}

fn two_machines(place: &Place) {
    let here = Session::new();
    let url = &place.url;
    here.sample(TEXTS, "texts.json");
    here.write("corrected.json", corrected());
    here.ok("import texts.json -m texts");
    here.ok("tag -a -m why v1");
    let there = Session::empty();
    let error = place.fails(2, &there, &format!("clone {url} ."));
    assert!(error.contains("nothing was pushed to"), "{error}");
    assert!(!there.path(".gloss").exists());
    let line = place.json(&here, "remote", &format!("remote add origin {url}"));
    assert_eq!(line["done"], "added");
    let check = place.json(&here, "remote-check", "remote check");
    assert_eq!(check["holds_store"], false);
    assert_eq!(place.json(&here, "push", "push --dry-run")["refs"].as_array().unwrap().len(), 2);
    let report = place.json(&here, "push", "push");
    assert_eq!(report["commits"], 1);
    assert_eq!(place.json(&here, "push", "push")["refs"], json!([]));

    let cloned = place.json(&there, "clone", &format!("clone {url} ."));
    assert_eq!(cloned["commit"], here.commit("main"));
    assert_eq!(there.rows(), here.rows());
    there.ok("verify");
    assert_eq!(there.git("fsck --full --strict --no-progress"), "");
    // Without people, who stay where they are: with them the two would differ.
    let export = "export --format jsonl -o out.jsonl";
    there.ok(export);
    here.ok(export);
    assert!(here.read("out.jsonl") == there.read("out.jsonl"), "the same bytes");

    // Both go on; one is first.
    there.write("corrected.json", corrected());
    there.ok("import corrected.json -m corrected");
    here.ok("rm --where label=LOC -m places");
    let ours = here.commit("main");
    place.json(&there, "push", "push");
    let error = place.fails(1, &here, "push");
    assert!(error.contains("`main` is at") && error.contains("moved by Ada"), "{error}");
    assert!(error.contains("hint: take them in first: `gloss pull`"), "{error}");
    here.ok("branch mine");
    let pulled = place.json(&here, "merge", "pull");
    assert_eq!((&pulled["result"], &pulled["ours"]), (&json!("merged"), &json!(ours)));
    assert_eq!(here.commit("origin/main"), there.commit("main"));
    assert_eq!(here.commit("main^2"), there.commit("main"));
    here.ok("diff main origin/main");
    here.ok("verify");

    // Under another name it is in; whoever has none of their own goes forward.
    place.json(&here, "push", "push origin mine");
    let fetched = place.json(&there, "fetch", "fetch");
    assert_eq!(fetched["refs"][0]["name"], "refs/remotes/origin/mine");
    there.ok("rm --where label=ORG -m organisations");
    place.ok(&there, "push");
    let third = Session::empty();
    place.ok(&third, &format!("clone {url} . --branch mine"));
    assert_eq!(third.commit("HEAD"), ours);
    let fourth = Session::empty();
    place.ok(&fourth, &format!("clone {url} ."));
    place.json(&fourth, "pull", "pull");
    there.ok("rm --where label=PER -m people");
    place.ok(&there, "push");
    let pulled = place.json(&fourth, "pull", "pull");
    assert_eq!(pulled["new"], there.commit("main"));
    assert_eq!(fourth.rows(), there.rows());
    fourth.ok("verify");
    let report = place.json(&fourth, "verify-remote", "verify --remote");
    assert!(report["ok"] == true && report["objects"].as_u64() > Some(20), "{report}");
    assert_eq!(place.json(&fourth, "gc-remote", "gc --remote=origin --dry-run")["keys"], json!([]));
    place.ok(&fourth, "gc --remote");
    place.ok(&fourth, "verify --remote --repair");
    place.ok(&fourth, "pull");
    assert_eq!(fourth.ok("remote list"), format!("origin  {url}\n"));
    let line = place.json(&fourth, "remote", "remote remove origin");
    assert_eq!(line["done"], "removed");
    assert_eq!(fourth.ok("remote list"), "");
    assert_eq!(fourth.git("for-each-ref refs/remotes"), "");
}

#[test]
fn two_machines_and_a_directory() {
    let shared = Session::empty();
    two_machines(&Place::directory(&shared));
}

#[test]
fn two_machines_and_a_real_s3_server() {
    let Some(moto) = Moto::start() else { return };
    two_machines(&Place::s3(&moto));
}

#[test]
fn two_machines_and_a_fake_of_google_cloud_storage() {
    let fake = FakeGcs::start();
    let shared = Session::empty();
    shared.write("key.json", fake.service_account());
    let key = shared.path("key.json").display().to_string();
    let env = vec![("GOOGLE_SERVICE_ACCOUNT", key)];
    two_machines(&Place { url: "gs://team/labels/vehicles".to_owned(), env });
}

#[test]
fn a_clone_of_the_history_gets_rows_when_they_are_read() {
    let Some(moto) = Moto::start() else { return };
    let place = Place::s3(&moto);
    let here = Session::new();
    // Digests do not pack: a segment of more than a megabyte.
    let line = |row: u32| format!("i{row:05},a,{}\n", blake3::hash(&row.to_le_bytes()));
    here.write(
        "a.csv",
        "item,annotator,label\n".to_owned() + &(0..40_000).map(line).collect::<String>(),
    );
    here.ok("import a.csv -m first");
    here.ok(&format!("remote add origin {} --no-check", place.url));
    place.ok(&here, "push");

    let (there, full) = (Session::empty(), Session::empty());
    let cloned = place.ok(&there, &format!("clone {} --history-only .", place.url));
    assert!(cloned.contains("1 objects stay there until they are read"), "{cloned}");
    assert!(there.ok("verify").starts_with("1 objects stay at the remote and were not checked"));
    there.ok("log");
    let mut away = Place { url: place.url.clone(), env: place.env.clone() };
    away.env[0].1 = "http://127.0.0.1:1".to_owned();
    let error = away.fails(4, &there, "ls --item i00007");
    assert!(error.contains("is not here, and cannot be fetched from s3://"), "{error}");
    assert!(error.contains("gloss fetch --rows"), "{error}");
    assert_eq!(place.ok(&there, "ls --item i00007"), here.ok("ls --item i00007"));
    assert_eq!(there.ok("ls --item i00008"), here.ok("ls --item i00008"));
    there.ok("verify");

    place.ok(&full, &format!("clone {} --history-only .", place.url));
    let fetched: Value = serde_json::from_str(&place.ok(&full, "fetch --rows --json")).unwrap();
    fits("fetch", std::slice::from_ref(&fetched));
    assert_eq!((&fetched["objects"], &fetched["left"]), (&json!(1), &json!(0)));
    assert_eq!(full.ok("ls --item i00007"), here.ok("ls --item i00007"));
}

/// The history on a git host, the rows in the bucket.
#[test]
fn history_travels_through_stock_git_and_rows_beside_it() {
    let shared = Session::empty();
    let place = Place::directory(&shared);
    let host = shared.path("host.git").display().to_string();
    let git = |at: &Session, line: &str| {
        let ran = Ran::new(at.program("git").args(line.split(' ')).output().expect("git runs"));
        assert_eq!(ran.code, 0, "git {line}: {}", ran.err);
    };
    git(&shared, &format!("init --quiet --bare {host}"));
    let (here, there) = (Session::new(), Session::empty());
    here.write("a.csv", "item,annotator,label\none,ann,cat\n");
    here.ok("import a.csv -m one");
    here.ok(&format!("remote add origin {}", place.url));
    let dry = here.ok("push --rows --dry-run");
    assert!(dry.contains("nothing was pushed"), "{dry}");
    let first = here.json("push --rows");
    assert_eq!(first[0]["refs"], json!([]));
    assert!(first[0]["objects"].as_u64() >= Some(2), "{}", first[0]);
    assert!(here.ok("push --rows").ends_with("has everything\n"));
    git(&here, &format!("--git-dir .gloss/git push --quiet {host} main"));

    there.ok(&format!("clone {} .", place.url));
    git(&there, &format!("--git-dir .gloss/git fetch --quiet {host} main:main"));
    there.ok("fetch --rows");
    assert_eq!(there.ok("ls"), here.ok("ls"));
    assert_eq!(there.ok("log"), here.ok("log"));
    there.ok("verify");

    // A commit made there comes back the same way; what nothing reaches by a ref stays.
    there.write("b.csv", "item,annotator,label\none,ann,dog\n");
    there.ok("import b.csv -m two");
    let second = there.json("push --rows");
    assert!(second[0]["commits"] == json!(1), "{}", second[0]);
    git(&there, &format!("--git-dir .gloss/git push --quiet {host} main"));
    there.ok("gc --remote");
    git(&here, &format!("--git-dir .gloss/git fetch --quiet {host} main:review"));
    here.ok("fetch --rows");
    assert_eq!(here.ok("ls --at review"), there.ok("ls"));
    here.ok("verify");
    here.ok("verify --remote");
}

#[test]
fn what_cannot_be_reached_is_one_clear_error() {
    let Some(moto) = Moto::start() else { return };
    let place = Place::s3(&moto);
    let here = pushed(&place);
    let with = |name: &'static str, value: &str| {
        let mut other = Place::s3(&moto);
        other.env.retain(|(known, _)| *known != name);
        other.env.push((name, value.to_owned()));
        other
    };
    moto.requests();
    let error = with("AWS_SECRET_ACCESS_KEY", "not-the-secret").fails(2, &here, "fetch");
    assert!(error.contains("SignatureDoesNotMatch"), "{error}");
    assert_eq!(moto.requests().len(), 1, "a refused request was sent again");
    let error = with("AWS_ACCESS_KEY_ID", "nobody").fails(2, &here, "push");
    assert!(error.contains("InvalidAccessKeyId"), "{error}");
    let gone = Session::empty();
    let error = place.fails(4, &gone, "clone s3://no-such-bucket/labels x");
    assert!(error.contains("NoSuchBucket"), "{error}");
    assert!(!gone.path("x").exists());
}

#[test]
fn bad_addresses_names_and_places_are_refused() {
    let shared = Session::empty();
    let place = Place::directory(&shared);
    let here = pushed(&place);
    for (line, said) in [
        ("remote add x /tmp/labels", "no address of a remote"),
        ("remote add x https://example.org/labels", "none of s3, gs and file"),
        ("remote add x s3://key:secret@bucket/labels", "credentials come from the environment"),
        ("remote add origin file:///elsewhere", "`origin` is the remote at"),
        ("remote add ../up file:///elsewhere", "cannot be a name"),
        ("remote remove nobody", "there is no remote `nobody`"),
        ("push nobody", "there is no remote `nobody`"),
        ("push origin nowhere", "`nowhere`"),
        ("pull nobody", "there is no remote `nobody`"),
    ] {
        let error = here.fails(2, line);
        assert!(error.contains(said), "{line}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    // A prefix of another store, and one that holds something else.
    let other = Session::new();
    other.sample(TEXTS, "texts.json");
    other.ok("import texts.json -m texts");
    other.ok(&format!("remote add origin {}", place.url));
    assert!(other.fails(2, "push").contains("the remote holds the store"));
    assert!(other.fails(2, "fetch").contains("the remote holds the store"));
    std::fs::create_dir(other.path("photos")).unwrap();
    other.write("photos/cat.jpg", "meow");
    other.ok(&format!("remote add photos file://{}/photos", other.dir().display()));
    assert!(other.fails(2, "push photos").contains("`cat.jpg` is there"));
    assert_eq!(other.read("photos/cat.jpg"), "meow");
    // A store of a newer version.
    let root = shared.read("shared/root").replacen("\"format\": 1", "\"format\": 2", 1);
    shared.write("shared/root", root);
    assert!(here.fails(2, "fetch").contains("needs `remote format 2`"));
    assert!(here.fails(2, "push").contains("needs `remote format 2`"));
    let error = here.fails(2, &format!("clone {} {}", place.url, "copy"));
    assert!(error.contains("use a newer version of gloss"), "{error}");
    assert!(!here.path("copy").exists());
}

#[test]
fn a_stored_address_holds_no_secret_and_is_asked_with_what_the_environment_says() {
    let Some(moto) = Moto::start() else { return };
    let place = Place::s3(&moto);
    let here = pushed(&place);
    let stored = here.read(".gloss/remotes.toml");
    assert!(stored.contains(&place.url), "{stored}");
    for secret in [&moto.secret, &moto.key] {
        assert!(!stored.contains(secret.as_str()));
    }
    // The same from a profile.
    std::fs::create_dir(here.path(".aws")).unwrap();
    let (endpoint, key, secret) = (&moto.endpoint, &moto.key, &moto.secret);
    here.write(
        ".aws/config",
        format!("[profile team]\nregion = us-east-1\nendpoint_url = {endpoint}\n"),
    );
    here.write(
        ".aws/credentials",
        format!("[team]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"),
    );
    let profile = Place { url: place.url, env: vec![("AWS_PROFILE", "team".to_owned())] };
    profile.json(&here, "fetch", "fetch");
}

/// The real program is killed at each request of a push, before the server sees it and before its
/// answer comes: the remote is at the old commit or at the new one, and the next push is in.
#[test]
fn a_pusher_that_is_killed_at_any_request_leaves_the_old_commit_or_the_new() {
    let Some(moto) = Moto::start() else { return };
    let direct = Place::s3(&moto);
    let here = pushed(&direct);
    let child: Arc<Mutex<Option<Child>>> = Arc::default();
    let fatal: Arc<Mutex<Option<(u64, Moment)>>> = Arc::default();
    let (victim, when, count) = (child.clone(), fatal.clone(), AtomicU64::new(0));
    let proxy = Proxy::start(&moto.endpoint, move |_, moment| {
        let mut when = when.lock().unwrap();
        let number = match moment {
            Moment::Before => count.fetch_add(1, Ordering::SeqCst),
            Moment::After => count.load(Ordering::SeqCst) - 1,
        };
        if when.is_some_and(|(at, fatal)| at == number && fatal == moment) {
            *when = None;
            count.store(0, Ordering::SeqCst);
            victim.lock().unwrap().as_mut().expect("a pusher").kill().unwrap();
            return Way::LoseRequest;
        }
        Way::Through
    });
    let mut through = Place { url: direct.url.clone(), env: direct.env.clone() };
    through.env[0].1 = proxy.endpoint.clone();
    let mut outcomes = [0, 0];
    for at in 0..4 {
        for moment in [Moment::Before, Moment::After] {
            let old = here.commit("main");
            let rows = format!("item_id,label\nitem,{at}-{moment:?}\n");
            here.write("more.csv", rows);
            here.ok("import more.csv --append -m more");
            let new = here.commit("main");
            *fatal.lock().unwrap() = Some((at, moment));
            {
                // Held until it is known whom to kill.
                let mut child = child.lock().unwrap();
                let mut command = here.command("push");
                command.envs(through.env.iter().map(|(name, value)| (name, value)));
                *child = Some(command.spawn().expect("gloss runs"));
            }
            // The lock is not held while it runs: the proxy takes it.
            while child.lock().unwrap().as_mut().unwrap().try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            assert!(fatal.lock().unwrap().is_none(), "it was not killed at {at}");
            let copy = Session::empty();
            direct.ok(&copy, &format!("clone {} .", direct.url));
            let found = copy.commit("HEAD");
            assert!(found == old || found == new, "{moment:?} {at}: {found}");
            outcomes[usize::from(found == new)] += 1;
            assert_eq!(direct.json(&here, "verify-remote", "verify --remote")["ok"], true);
            direct.ok(&here, "push");
            direct.ok(&copy, "pull");
            assert_eq!(copy.commit("HEAD"), new);
            copy.ok("verify");
        }
    }
    // Only the answer to the last request is too late for it.
    assert_eq!(outcomes, [7, 1]);
}
