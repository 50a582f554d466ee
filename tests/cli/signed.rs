//! Signatures: made as git makes them, so that stock git agrees on what they are worth.

use std::path::Path;

use serde_json::Value;

use crate::json::fits;
use crate::remote::{Place, pushed};
use crate::samples::corrected;
use crate::session::{Ran, Session};

/// Runs a program of the system's in a session; `false` where it is not installed, which is said.
fn has(s: &Session, program: &str) -> bool {
    let there = s.program("which").arg(program).output().is_ok_and(|ran| ran.status.success());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "`{program}` must be there");
        println!("skipped: `{program}` is not there");
    }
    there
}

/// Makes an SSH key in a file of the session.
pub(crate) fn key(s: &Session, name: &str, kind: &[&str]) {
    let mut keygen = s.program("ssh-keygen");
    keygen.args(["-q", "-N", "", "-C", name, "-f", name, "-t"]).args(kind);
    let ran = Ran::new(keygen.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
}

/// Lets a session sign with an SSH key, and know who has it.
pub(crate) fn signs_with(s: &Session, name: &str) {
    let public = s.read(&format!("{name}.pub"));
    s.write("signers", format!("ada@example.org {public}"));
    configure(s, &s.path(name), &s.path("signers"));
}

fn configure(s: &Session, key: &Path, signers: &Path) {
    let (key, signers) = (key.display(), signers.display());
    s.write(
        ".gitconfig",
        format!(
            "[gpg]\n\tformat = ssh\n[user]\n\tsigningKey = {key}\n\
             [gpg \"ssh\"]\n\tallowedSignersFile = {signers}\n"
        ),
    );
}

/// A session with a store and a key of its own; none where keys cannot be made.
pub(crate) fn signing() -> Option<Session> {
    let s = Session::new();
    if !has(&s, "ssh-keygen") {
        return None;
    }
    key(&s, "key", &["ed25519"]);
    signs_with(&s, "key");
    s.sample(crate::samples::TEXTS, "texts.json");
    s.write("corrected.json", corrected());
    Some(s)
}

/// The fingerprint of a key, as `ssh-keygen` prints it.
fn fingerprint(s: &Session, name: &str) -> String {
    let ran = Ran::new(s.program("ssh-keygen").args(["-l", "-f", name]).output().unwrap());
    ran.out.split(' ').nth(1).unwrap().to_owned()
}

/// Makes a commit of a file, and a branch of the file's name that holds it.
fn forged_branch(s: &Session, name: &str) -> String {
    let made = s.git(&format!("hash-object -t commit -w {}", s.path(name).display()));
    s.git(&format!("update-ref refs/heads/{name} {}", made.trim()));
    made.trim().to_owned()
}

fn found(s: &Session, line: &str) -> (i32, Vec<Value>) {
    let ran = s.gloss(&format!("{line} --json"));
    let lines: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    fits("signatures", &lines);
    (ran.code, lines)
}

#[test]
fn stock_git_agrees_on_signatures_of_ssh_keys() {
    let Some(s) = signing() else { return };
    s.ok("import texts.json -m first -S");
    s.ok("import corrected.json");
    s.ok("commit -S -m second");
    s.ok("tag -s -m release v1");
    s.ok("tag -a -m plain v2");
    s.ok("revert HEAD -S");
    s.ok("compact -S");
    let commits = s.json("log");
    assert_eq!(commits.len(), 4);
    for commit in commits.iter().map(|commit| commit["commit"].as_str().unwrap()) {
        let said = s.try_git(&format!("verify-commit {commit}"));
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.err.contains("Good \"git\" signature for ada@example.org"), "{}", said.err);
    }
    assert_eq!(s.try_git("verify-tag v1").code, 0);
    assert_ne!(s.try_git("verify-tag v2").code, 0);
    s.git("fsck --strict");
    s.ok("verify");
    let (code, lines) = found(&s, "verify --signatures");
    assert_eq!((code, lines.len()), (0, 6));
    for line in lines.iter().filter(|line| line["name"] != "v2") {
        assert_eq!(line["result"], "good", "{line}");
        assert_eq!(line["signer"], "ada@example.org");
        assert_eq!(line["key"], fingerprint(&s, "key.pub"));
    }
    assert_eq!(lines[5]["result"], "unsigned");
    assert!(s.ok("verify --signatures").ends_with("5 good, 1 unsigned\n"));
    assert_eq!(s.gloss("verify --signatures --require").code, 1);
    s.ok("tag -d v2");
    s.ok("verify --signatures --require");
}

#[test]
fn git_signs_and_gloss_agrees_for_each_kind_of_key() {
    let Some(s) = signing() else { return };
    s.ok("import texts.json -m first");
    let tree = s.git("rev-parse main^{tree}").trim().to_owned();
    for (name, kind) in [
        ("p256", &["ecdsa", "-b", "256"]),
        ("p384", &["ecdsa", "-b", "384"]),
        ("p521", &["ecdsa", "-b", "521"]),
        ("rsa", &["rsa", "-b", "2048"]),
    ] {
        key(&s, name, kind);
        signs_with(&s, name);
        let made = s.git(&format!("commit-tree -S -m {name} -p main {tree}"));
        let made = made.trim();
        s.git(&format!("update-ref refs/heads/{name} {made}"));
        let (code, lines) = found(&s, "verify --signatures");
        assert_eq!(code, 0);
        let line = lines.iter().find(|line| line["commit"] == made).unwrap();
        assert_eq!(line["result"], "good", "{line}");
        assert_eq!(line["key"], fingerprint(&s, name));
        s.git(&format!("update-ref -d refs/heads/{name}"));
    }
}

#[test]
fn bad_and_unknown_signatures_name_the_commit_and_the_key() {
    let Some(s) = signing() else { return };
    s.ok("import texts.json -m first -S");
    // The same signature over another message.
    let raw = s.git("cat-file commit main").replace("first", "other");
    s.write("forged", raw);
    let forged = forged_branch(&s, "forged");
    let key_id = fingerprint(&s, "key.pub");
    let said = s.gloss("verify --signatures");
    assert_eq!(said.code, 1);
    let bad = said.out.lines().find(|line| line.starts_with("bad")).unwrap();
    assert!(bad.contains(&forged[..10]) && bad.contains(&key_id), "{bad}");
    assert_ne!(s.try_git(&format!("verify-commit {}", forged)).code, 0);
    s.git("update-ref -d refs/heads/forged");
    // Signed, but by nobody whom the file knows; then by somebody who was known at another time.
    key(&s, "other", &["ed25519"]);
    let other = s.read("other.pub");
    s.write("strangers", format!("bob@example.org {other}"));
    let (code, lines) = found(&s, "verify --signatures --allowed-signers strangers");
    assert_eq!(code, 0);
    assert_eq!((&lines[0]["result"], &lines[0]["key"]), (&"unknown-key".into(), &key_id.into()));
    assert_eq!(s.gloss("verify --signatures --require --allowed-signers strangers").code, 1);
    let own = s.read("key.pub");
    // The commit is of 2023-11-14, 22:13:20 UTC.
    for (until, result) in [("20231114221319Z", "unknown-key"), ("20231114221321Z", "good")] {
        s.write("timed", format!("ada@example.org valid-before=\"{until}\" {own}"));
        let (_, lines) = found(&s, "verify --signatures --allowed-signers timed");
        assert_eq!(lines[0]["result"], result, "{until}");
    }
    let error = s.fails(2, "verify --signatures --allowed-signers none");
    assert!(error.contains("`none`") || error.contains("none"), "{error}");
    // A signature that is none.
    let raw = s.git("cat-file commit main").replace("-----BEGIN SSH", "-----BEGIN ODD");
    s.write("odd", raw);
    forged_branch(&s, "odd");
    assert_eq!(s.gloss("verify --signatures").code, 1);
}

#[test]
fn keys_that_are_revoked_or_meant_for_something_else_are_bad_for_git_too() {
    let Some(s) = signing() else { return };
    s.ok("import texts.json -m first -S");
    let config = s.read(".gitconfig");
    let agree = |result: &str, code: i32| {
        let (_, lines) = found(&s, "verify --signatures");
        assert_eq!(lines[0]["result"], result, "{}", lines[0]);
        assert_eq!(s.try_git("verify-commit main").code, code);
    };
    agree("good", 0);
    s.write("revoked", s.read("key.pub"));
    let revoked = s.path("revoked").display().to_string();
    s.write(".gitconfig", format!("{config}\trevocationFile = {revoked}\n"));
    agree("bad", 1);
    s.write(".gitconfig", &config);
    let public = s.read("key.pub");
    for (namespaces, result, code) in [("file", "bad", 1), ("git,file", "good", 0)] {
        s.write("signers", format!("ada@example.org namespaces=\"{namespaces}\" {public}"));
        agree(result, code);
    }
    // A path from the home directory, as git reads it.
    s.write(".gitconfig", config.replace(&s.path("").display().to_string(), "~/"));
    agree("good", 0);
    s.write("corrected.json", corrected());
    s.ok("import corrected.json -m second -S");
    agree("good", 0);
}

#[test]
fn nothing_is_committed_where_it_cannot_be_signed() {
    let Some(s) = signing() else { return };
    s.write(".gitconfig", "[gpg]\n\tformat = ssh\n");
    let error = s.fails(2, "import texts.json -m first -S");
    assert!(error.contains("names no key to sign with"), "{error}");
    assert!(error.contains("user.signingKey"), "{error}");
    configure(&s, &s.path("gone"), &s.path("signers"));
    let error = s.fails(2, "import texts.json -m first -S");
    assert!(error.starts_with("error: cannot sign: "), "{error}");
    s.write(".gitconfig", "[gpg]\n\tformat = ssh\n[gpg \"ssh\"]\n\tprogram = /nowhere/sign\n");
    let error = s.fails(4, "import texts.json -m first -S=key");
    assert!(error.contains("/nowhere/sign"), "{error}");
    assert_ne!(s.try_git("rev-parse --verify main").code, 0);
    // What is only staged is signed by nobody.
    assert!(s.fails(2, "import texts.json -S").contains("without `-m` none is made"));
    // By the configuration alone, and not where that is overruled.
    signs_with(&s, "key");
    s.write(".gitconfig", s.read(".gitconfig") + "[commit]\n\tgpgSign = true\n");
    s.ok("import texts.json -m first");
    s.ok("import corrected.json -m second --no-sign");
    assert_eq!(s.try_git("verify-commit main~1").code, 0);
    assert_ne!(s.try_git("verify-commit main").code, 0);
    // The key is nowhere in the store.
    let secret = s.read("key");
    let inner = secret.lines().nth(1).unwrap();
    let grep = s.program("grep").args(["-rF", inner, ".gloss"]).output().unwrap();
    assert_eq!(grep.status.code(), Some(1));
}

#[test]
fn who_loses_a_race_signs_again() {
    let Some(s) = signing() else { return };
    s.ok("import texts.json -m first -S");
    s.write(".gitconfig", s.read(".gitconfig") + "[commit]\n\tgpgSign = true\n");
    let started: Vec<_> = (0..6)
        .map(|n| {
            s.write(&format!("{n}.csv"), format!("item,annotator,label\nitem-{n},ann,x\n"));
            let line = format!("import {n}.csv -m row-{n}");
            s.command(&line).spawn().expect("gloss starts")
        })
        .collect();
    for child in started {
        let ran = Ran::new(child.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    assert_eq!(s.json("log").len(), 7);
    s.ok("verify --signatures --require");
    s.ok("verify");
}

/// While somebody is asked to sign, nobody else waits: here who is asked commits something else in
/// the meantime, and has to sign once more.
#[test]
fn the_lock_is_not_held_while_somebody_signs() {
    let Some(s) = signing() else { return };
    s.ok("import texts.json -m first");
    s.write("other.csv", "item,annotator,label\na,ann,x\n");
    s.write("own.csv", "item,annotator,label\nb,ann,x\n");
    let gloss = env!("CARGO_BIN_EXE_gloss");
    s.write(
        "signs",
        format!(
            "#!/bin/sh\necho asked >> asked\n[ -e other ] || {{ touch other; \
             '{gloss}' import other.csv -m other --no-sign >&2; }}\nexec ssh-keygen \"$@\"\n"
        ),
    );
    let mut mode = s.program("chmod");
    assert!(mode.args(["+x", "signs"]).status().unwrap().success());
    let signs = s.path("signs").display().to_string();
    s.write(".gitconfig", s.read(".gitconfig") + &format!("\tprogram = {signs}\n"));
    s.ok("import own.csv -m own -S --source own");
    assert_eq!(s.read("asked"), "asked\nasked\n");
    let titles = s.git("log --format=%s main");
    assert_eq!(titles, "own\nother\nfirst\n");
    assert_eq!(s.try_git("verify-commit main").code, 0);
    s.ok("verify");
}

#[test]
fn signatures_travel() {
    let Some(s) = signing() else { return };
    s.ok("import texts.json -m first -S");
    s.ok("tag -s -m release v1");
    let shared = Session::empty();
    let url = Place::directory(&shared).url;
    s.ok(&format!("remote add origin {url}"));
    s.ok("push");
    let there = Session::empty();
    there.ok(&format!("clone {url} ."));
    there.write("signers", s.read("signers"));
    there.ok("verify --signatures --require --allowed-signers signers");
    configure(&there, &there.path("none"), &there.path("signers"));
    assert_eq!(there.try_git("verify-commit main").code, 0);
    assert_eq!(there.try_git("verify-tag v1").code, 0);
}

#[test]
fn a_protected_branch_takes_only_signed_commits() {
    let Some(s) = signing() else { return };
    s.ok("import texts.json -m old");
    fits("protect", &s.json("protect main --signed"));
    assert_eq!(s.ok("protect"), "main  signed\n");
    let before = s.commit("main");
    for line in ["import corrected.json -m unsigned", "revert HEAD"] {
        let error = s.fails(1, line);
        assert!(error.contains("`main` takes only commits with a good signature"), "{error}");
        assert!(error.contains("is not signed"), "{error}");
    }
    // Signed by somebody whom nobody knows.
    key(&s, "other", &["ed25519"]);
    let error = s.fails(1, "import corrected.json -m stranger -S=other");
    assert!(error.contains(&fingerprint(&s, "other")), "{error}");
    // By a branch that is not protected.
    s.ok("switch -c side");
    s.ok("import corrected.json -m unsigned");
    s.ok("switch main");
    let error = s.fails(1, "merge side");
    assert!(error.contains("is not signed"), "{error}");
    assert_eq!(s.commit("main"), before);
    s.ok("import corrected.json -m signed -S");
    // A merge commit that is signed, of a branch that is not.
    let error = s.fails(1, "merge side --no-ff -S");
    assert!(error.contains("is not signed"), "{error}");
    // Nor by making it anew.
    s.ok("branch kept main");
    s.ok("switch side");
    s.ok("branch -D main");
    assert!(s.fails(1, "branch main side").contains("is not signed"));
    assert!(s.fails(1, "switch -c main").contains("is not signed"));
    s.ok("branch main kept");
    s.ok("switch main");
    s.ok("protect main --off");
    s.ok("merge side --no-ff -S");
    assert_eq!(s.try_git("verify-commit main").code, 0);
    assert_eq!(s.ok("protect"), "no branch is protected\n");
}

#[test]
fn a_pull_brings_only_signed_commits_to_a_protected_branch() {
    let Some(s) = signing() else { return };
    let shared = Session::empty();
    let here = pushed(&Place::directory(&shared));
    s.ok(&format!("-C . clone {} theirs", Place::directory(&shared).url));
    s.ok("-C theirs protect main --signed");
    here.write("corrected.json", corrected());
    here.ok("import corrected.json -m unsigned");
    here.ok("push");
    let before = s.ok("-C theirs log -n 1");
    let error = s.fails(1, "-C theirs pull");
    assert!(error.contains("is not signed"), "{error}");
    assert_eq!(s.ok("-C theirs log -n 1"), before);
    s.ok("-C theirs protect main --off");
    s.ok("-C theirs pull");
    assert_ne!(s.ok("-C theirs log -n 1"), before);
}

#[test]
fn stock_git_agrees_on_signatures_of_gpg() {
    let s = Session::new();
    if !has(&s, "gpg") {
        return;
    }
    let gpg = |words: &[&str]| {
        let ran = Ran::new(s.program("gpg").args(["--batch", "-q"]).args(words).output().unwrap());
        assert_eq!(ran.code, 0, "gpg {words:?}: {}", ran.err);
        ran.out
    };
    let who = "Ada <ada@example.org>";
    // Made before the date of the commits of a session.
    let time = "--faked-system-time=1600000000";
    gpg(&[time, "--passphrase", "", "--quick-generate-key", who, "ed25519", "sign", "never"]);
    s.sample(crate::samples::TEXTS, "texts.json");
    // Without a configured key: that of the committer.
    s.ok("import texts.json -m first -S");
    s.ok("tag -s -m release v1");
    assert_eq!(s.try_git("verify-commit main").code, 0);
    assert_eq!(s.try_git("verify-tag v1").code, 0);
    let listed = gpg(&["--with-colons", "--list-keys"]);
    let id = listed.lines().find(|line| line.starts_with("pub:")).unwrap();
    let id = id.split(':').nth(4).unwrap();
    let (code, lines) = found(&s, "verify --signatures --require");
    assert_eq!((code, lines.len()), (0, 2));
    assert_eq!((&lines[0]["signer"], &lines[0]["key"]), (&who.into(), &id.into()));
    let error = s.fails(2, "tag -u nobody@example.org -m no v2");
    assert!(error.starts_with("error: cannot sign: "), "{error}");
    // Elsewhere the key is not known; and of a changed commit the signature is bad.
    let raw = s.git("cat-file commit main").replace("first", "other");
    s.write("forged", raw);
    forged_branch(&s, "forged");
    let (code, lines) = found(&s, "verify --signatures");
    assert_eq!(code, 1);
    let bad: Vec<_> = lines.iter().filter(|line| line["result"] == "bad").collect();
    assert_eq!((bad.len(), &bad[0]["key"]), (1, &id.into()));
    std::fs::rename(s.path(".gnupg"), s.path("away")).unwrap();
    let (code, lines) = found(&s, "verify --signatures");
    assert_eq!((code, &lines[0]["result"]), (0, &"unknown-key".into()));
    let agent = s.program("gpgconf").args(["--homedir", "away", "--kill", "all"]).output();
    assert!(agent.unwrap().status.success());
}

/// Signs a file as who delivers it does.
pub(crate) fn deliver(s: &Session, key: &str, namespace: &str, file: &str) {
    // It would ask before it replaced one.
    let _ = std::fs::remove_file(s.path(&format!("{file}.sig")));
    let mut sign = s.program("ssh-keygen");
    sign.args(["-Y", "sign", "-n", namespace, "-f", key, file]);
    let ran = Ran::new(sign.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn a_delivered_file_is_checked_now_and_later() {
    let Some(s) = signing() else { return };
    s.write("vendors", "");
    for (name, kind) in [
        ("ed", &["ed25519"][..]),
        ("p256", &["ecdsa", "-b", "256"]),
        ("p384", &["ecdsa", "-b", "384"]),
        ("rsa", &["rsa", "-b", "3072"]),
    ] {
        key(&s, name, kind);
        let public = s.read(&format!("{name}.pub"));
        s.write("vendors", s.read("vendors") + &format!("{name}@vendor.example {public}"));
        let file = format!("{name}.csv");
        s.write(&file, format!("item,annotator,label\n{name},ann,x\n"));
        deliver(&s, name, "gloss-batch", &file);
        let line = format!("import {file} --signed-by {file}.sig --allowed-signers vendors");
        // Staged with its signature by some, committed at once by others.
        let made = match name {
            "p256" => {
                let made = s.json(&line);
                s.ok("commit -m batch");
                made
            }
            _ => s.json(&format!("{line} -m batch")),
        };
        fits("import", &made);
        let signer = format!("{name}@vendor.example");
        assert_eq!(made[0]["signed"][0]["signer"], signer);
        assert_eq!(made[0]["signed"][0]["key"], fingerprint(&s, name));
        fits("show", &s.json("show"));
        let (code, lines) = found(&s, "verify --signatures --allowed-signers vendors");
        let line = lines.iter().find(|l| l["name"] == file && l["subject"] == "batch").unwrap();
        assert_eq!((code, &line["result"], &line["signer"]), (0, &"good".into(), &signer.into()));
        assert_eq!(line["commit"], s.commit("main"));
    }
    s.ok("verify");
    // Nobody's name stands in git.
    let objects = s.git_objects();
    let name = b"vendor.example";
    assert!(!objects.windows(name.len()).any(|window| window == name));
    // Somebody who is not known, and nobody any more.
    let (_, lines) = found(&s, "verify --signatures");
    let batches = lines.iter().filter(|line| line["subject"] == "batch");
    assert!(batches.map(|line| &line["result"]).all(|result| result == "unknown-key"));
}

#[test]
fn a_file_that_is_not_what_was_signed_is_not_imported() {
    let Some(s) = signing() else { return };
    let rows = "item,annotator,label\na,ann,x\n";
    s.write("batch.csv", rows);
    deliver(&s, "key", "gloss-batch", "batch.csv");
    let line = "import batch.csv --signed-by batch.csv.sig -m batch";
    s.write("batch.csv", rows.replace('x', "y"));
    let error = s.fails(1, line);
    assert!(error.contains("`batch.csv` is not signed by this signature"), "{error}");
    assert!(error.contains(&fingerprint(&s, "key")), "{error}");
    s.write("batch.csv", rows);
    // Signed for something else, such as a message.
    deliver(&s, "key", "file", "batch.csv");
    s.fails(1, line);
    deliver(&s, "key", "gloss-batch", "batch.csv");
    key(&s, "other", &["ed25519"]);
    s.write("vendors", format!("v@vendor.example {}", s.read("other.pub")));
    let error = s.fails(1, &format!("{line} --allowed-signers vendors"));
    assert!(error.contains("signed by nobody who is known"), "{error}");
    s.write("cut.sig", &s.read("batch.csv.sig")[..80]);
    s.fails(1, "import batch.csv --signed-by cut.sig -m batch");
    s.fails(2, "import batch.csv --signed-by none.sig -m batch");
    s.fails(2, "import batch.csv --signed-by batch.csv.sig --signed-by batch.csv.sig -m batch");
    s.fails(2, "import batch.csv --signed-by batch.csv.sig --update -m batch");
    assert_ne!(s.try_git("rev-parse --verify main").code, 0);
    s.ok(line);
    assert!(s.ok("verify --signatures").contains("file batch.csv in "));
}
