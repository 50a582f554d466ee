//! Sessions of every command, as people type them.

use insta::assert_snapshot;

use crate::samples::{IMAGES, TEXTS, corrected};
use crate::session::Session;

#[test]
fn from_nothing_to_a_commit() {
    let s = Session::empty();
    s.sample(TEXTS, "texts.json");
    assert_snapshot!(s.run(&[
        "status",
        "init",
        "init",
        "status",
        "log",
        "commit -m nothing",
        "import texts.json",
        "status",
        "diff --stat",
        "commit -m 'Texts, first round'",
        "status",
        "log",
        "log --oneline",
    ]), @"");
}

#[test]
fn a_directory_is_made() {
    let s = Session::empty();
    s.sample(TEXTS, "texts.json");
    assert_snapshot!(s.run(&[
        "init labels",
        "-C labels import ../texts.json -m texts",
        "-C labels status",
        "-C labels/.gloss status",
        "-C nowhere status",
    ]), @"");
}

#[test]
fn an_import_that_changes_nothing_makes_no_commit() {
    let s = Session::with_texts();
    let before = s.commit("main");
    assert_snapshot!(s.run(&["import texts.json -m again", "import texts.json", "status"]), @"");
    assert_eq!(s.commit("main"), before);
}

#[test]
fn corrections_read_as_what_they_are() {
    let s = Session::with_texts();
    s.write("corrected.json", corrected());
    assert_snapshot!(s.run(&[
        "import corrected.json --prune --dry-run",
        "import corrected.json --prune",
        "diff",
        "commit -m corrected",
        "diff main~1",
        "diff main~1 main --stat",
        "diff main main~1",
        "log",
        "show",
        "history label-studio:1/1 annotation/1/choice/sentiment",
        "history label-studio:1/1 annotation/1/sp0PER/ner",
        "history label-studio:1/1 annotation/1/sp0LOC/ner",
        "history nobody",
    ]), @"");
}

#[test]
fn without_prune_rows_stay() {
    let s = Session::with_texts();
    s.write("corrected.json", corrected());
    s.ok("import corrected.json -m kept");
    assert_snapshot!(s.run(&["diff main~1"]), @"");
}

#[test]
fn branches_and_switching() {
    let s = Session::with_texts();
    s.sample(IMAGES, "images.json");
    assert_snapshot!(s.run(&[
        "branch",
        "branch relabel",
        "branch relabel",
        "branch 'Not A Name'",
        "switch relabel",
        "import images.json -m images",
        "branch",
        "diff main relabel --stat",
        "import texts.json",
        "rm --where annotator=3",
        "switch main",
        "restore --staged",
        "switch main",
        "items",
        "switch nowhere",
        "switch -c other v1",
        "switch -c other relabel",
        "branch -d other",
        "switch main",
        "branch -d other",
        "branch -d other",
        "branch",
        "log --oneline",
        "log --oneline relabel",
    ]), @"");
}

#[test]
fn tags_and_git_sees_them() {
    let s = Session::with_corrections();
    assert_snapshot!(s.run(&[
        "tag v1 main~1",
        "tag -a v2",
        "tag -a -m 'to training' v2",
        "tag v1",
        "tag",
        "tag -d v1",
        "tag v1 main~1",
        "log --oneline",
        "show nothing",
    ]), @"");
    assert_eq!(s.git("cat-file -t v2").trim(), "tag");
    assert_eq!(s.git("cat-file -t v1").trim(), "commit");
    assert_eq!(s.git("for-each-ref --format=%(contents:subject) refs/tags/v2").trim(), "to training");
    assert_eq!(s.git("for-each-ref --format=%(taggername) refs/tags/v2").trim(), "Ada");
    assert_eq!(s.commit("v2"), s.commit("main"));
}

#[test]
fn revisions_are_gits() {
    let s = Session::with_corrections();
    s.ok("tag v1");
    s.ok("rm --where annotator=3 -m 'without 3'");
    let first = s.commit("main~2");
    let short = &first[..10];
    let revisions = [
        "main", "HEAD", "@", "main~1", "HEAD^", "v1", "v1^", "v1~1", "@{1}", "main@{2}", "@{0}",
        ":/corr", ":/text", "refs/heads/main", "heads/main", "tags/v1", "v1^{commit}", "HEAD^^",
        short, &first, &first[..7],
    ];
    for revision in revisions {
        let ours = s.json(&format!("show {revision}"));
        assert_eq!(ours[0]["commit"], s.commit(revision), "{revision}");
    }
    for revision in ["main~9", "nothing", ":/nothing", "@{9}", "v1^2", "0000000000"] {
        assert_ne!(s.try_git(&format!("rev-parse --verify {revision}^{{commit}}")).code, 0);
        let told = s.fails(2, &format!("show {revision}"));
        assert!(told.contains(revision) && told.contains("hint: "), "{revision}: {told}");
    }
}

#[test]
fn revert_undoes_a_commit_and_itself() {
    let s = Session::with_corrections();
    assert_snapshot!(s.run(&[
        "revert main",
        "diff main~2 main --exit-code",
        "revert main",
        "diff main~2 main --exit-code --stat",
        "diff main~3 main --exit-code --stat",
        "log --oneline",
    ]), @"");
}

#[test]
fn a_revert_of_rows_that_changed_since_is_refused() {
    let s = Session::with_corrections();
    s.ok("export --format jsonl -o rows.jsonl --label neutral --item label-studio:1/1");
    s.write("rows.jsonl", s.read("rows.jsonl").replace("neutral", "negative"));
    s.ok("import rows.jsonl --update -m negative");
    assert_snapshot!(s.run(&["revert main~1", "status"]), @"");
}

#[test]
fn restore_forgets_the_stage() {
    let s = Session::with_texts();
    assert_snapshot!(s.run(&[
        "restore",
        "restore --staged",
        "rm --where label=LOC",
        "status",
        "restore --staged",
        "status",
        "diff --exit-code",
    ]), @"");
}

#[test]
fn a_direct_commit_leaves_the_stage_alone() {
    let s = Session::with_texts();
    s.sample(IMAGES, "images.json");
    assert_snapshot!(s.run(&[
        "rm --where label=LOC",
        "import images.json -m images",
        "status",
        "commit -m 'no places'",
        "status",
        "log --oneline",
    ]), @"");
}

#[test]
fn history_tells_who_and_when() {
    let s = Session::with_corrections();
    s.ok("rm --where item=label-studio:1/1 --where annotator=1 -m 'not ours'");
    assert_snapshot!(s.run(&["history label-studio:1/1"]), @"");
    assert_snapshot!(s.run(&["history label-studio:1/1 --at main~2 annotation/2/sp0LOC/ner"]), @"");
}

/// Counts by hand, from the JSON export: tasks, annotations, results.
#[test]
fn filters_choose_rows() {
    let s = Session::with_texts();
    s.sample(IMAGES, "images.json");
    s.ok("import images.json -m images");
    let count = |filters: &str| s.json(&format!("ls {filters}")).len();
    // 222 results and 4 of a draft; 12 choices and 3 texts say two things.
    assert_eq!(count("--source label-studio:1"), 222 + 4 + 12 + 3);
    assert_eq!(count("--source label-studio:2"), 75);
    assert_eq!(count(""), 241 + 75);
    assert_eq!(count("--kind span"), 131);
    assert_eq!(count("--field sentiment --field topics"), 60 + 2 * 12);
    assert_eq!(count("--label PER --label ORG"), 49 + 44);
    assert_eq!(count("--label PER --annotator 2"), 13);
    assert_eq!(count("--annotator 2 --source label-studio:2"), 25);
    assert_eq!(count("--item label-studio:1/1"), 11);
    assert_eq!(count("--item label-studio:1/1 --item label-studio:2/21"), 11 + 6);
    assert_eq!(count("--status draft"), 5);
    assert_eq!(count("--origin human"), 316);
    assert_eq!(count("--origin model"), 0);
    assert_eq!(count("--policy nothing"), 0);
    assert_eq!(count("--label nothing"), 0);
    assert_eq!(count("-n 7"), 7);
    assert_eq!(count("--at main~1"), 241);
    s.fails(2, "ls --colour red");
}

#[test]
fn rows_and_items_read_well() {
    let s = Session::with_texts();
    s.sample(IMAGES, "images.json");
    s.ok("import images.json -m images");
    assert_snapshot!(s.run(&[
        "ls --item label-studio:1/1 --annotator 1",
        "ls --status draft",
        "ls --kind polygon -n 2",
        "ls --label nothing",
        "items --at main~1",
    ]), @"");
}

#[test]
fn rm_removes_what_fits() {
    let s = Session::with_texts();
    assert_snapshot!(s.run(&[
        "rm",
        "rm --where colour=red",
        "rm --where label",
        "rm --where label=nothing",
        "rm --where label=LOC --where label=ORG --where annotator=2",
        "diff --stat",
        "commit -m 'not 2'",
        "rm --label LOC -m 'no places'",
        "ls --label LOC",
    ]), @"");
}

#[test]
fn export_to_every_format() {
    let s = Session::with_texts();
    assert_snapshot!(s.run(&[
        "export --format label-studio -o out.json",
        "export --format jsonl -o out.jsonl",
        "export --format csv -o out.csv",
        "export --format tsv -o out.tsv",
        "export --format parquet -o out.parquet",
        "export --format xml",
        "export --format csv --at nothing -o no.csv",
        "export --format csv --label LOC --annotator 2 -o loc.csv",
        "export --format csv --view labels -o labels.csv",
        "export --format jsonl --label negative --item label-studio:1/1",
    ]), @"");
    assert_eq!(s.read("out.jsonl").lines().count(), 241);
    assert_eq!(s.read("out.tsv").lines().next().unwrap().split('\t').next(), Some("item_id"));
    assert_eq!(&std::fs::read(s.path("out.parquet")).unwrap()[..4], b"PAR1");
    assert!(!s.path("no.csv").exists());
}

#[test]
fn annotators_and_their_other_names() {
    let s = Session::with_texts();
    assert_snapshot!(s.run(&[
        "annotator list",
        "annotator alias p-0123 2",
        "annotator alias p-0123 2",
        "annotator alias 2 p-0123",
        "annotator alias 2 2",
        "annotator list",
        "annotator list --at main~1",
        "log --oneline",
    ]), @"");
}

#[test]
fn exit_codes() {
    let s = Session::with_corrections();
    assert_eq!(s.gloss("diff main main --exit-code").code, 0);
    assert_eq!(s.gloss("diff main~1 main").code, 0);
    assert_eq!(s.gloss("diff main~1 main --exit-code").code, 1);
    assert_eq!(s.gloss("diff main~1 main --exit-code --stat").code, 1);
    assert_eq!(s.gloss("diff main~1 main --exit-code --json").code, 1);
    assert_eq!(s.gloss("diff main main --exit-code --table items").code, 0);
    assert_eq!(s.gloss("diff main main --table nothing").code, 2);
    for line in ["", "nothing", "log --nothing", "show nothing", "import nothing.json", "commit"] {
        assert_eq!(s.gloss(line).code, 2, "gloss {line}");
    }
    assert_eq!(s.gloss("--help").code, 0);
    assert_eq!(s.gloss("--version").code, 0);
    assert_eq!(s.gloss("commit -m ''").code, 0, "nothing is staged");
    s.ok("rm --where label=LOC");
    assert_eq!(s.gloss("commit -m ''").code, 2);
}

/// A flipped byte in a segment is damage, whoever comes across it.
#[test]
fn a_damaged_store_exits_with_3() {
    let s = Session::with_texts();
    let table = s.git("show main:tables/annotations.jsonl");
    let line: serde_json::Value = serde_json::from_str(table.lines().next().unwrap()).unwrap();
    let digest = line["segment"].as_str().unwrap();
    let path = s.path(&format!(".gloss/objects/{}/{digest}", &digest[..2]));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false)]
    permissions.set_readonly(false);
    std::fs::set_permissions(&path, permissions).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let ran = s.gloss("verify");
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(format!("{}{}", ran.out, ran.err).contains(digest), "{}{}", ran.out, ran.err);
    std::fs::remove_file(&path).unwrap();
    let told = s.fails(3, "ls");
    assert!(told.contains(digest) && told.contains("hint: "), "{told}");
    s.fails(3, "verify");
}

#[test]
fn a_whole_store_verifies() {
    let s = Session::with_corrections();
    let told = s.ok("verify");
    assert!(!told.contains("not yet"), "{told}");
}

#[test]
fn nobody_has_to_be_named_for_reading() {
    let s = Session::with_texts();
    s.sample(IMAGES, "images.json");
    let nameless = |line: &str| {
        let mut command = s.command(line);
        for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"] {
            command.env_remove(name);
        }
        for name in ["GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for line in ["log", "ls", "status", "diff", "export --format csv", "import images.json"] {
        assert_eq!(nameless(line).0, 0, "gloss {line}");
    }
    let (code, told) = nameless("commit -m x");
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("user.name"), "{told}");
    assert!(s.ok("status").contains("staged:"));
}

#[test]
fn git_config_names_the_author() {
    let s = Session::with_texts();
    s.write(".gitconfig", "[user]\n\tname = Grace\n\temail = grace@example.org\n");
    let mut command = s.command("rm --where label=LOC -m x");
    for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME"] {
        command.env_remove(name);
    }
    assert!(command.output().unwrap().status.success());
    assert_eq!(s.git("log -1 --format=%an/%ae/%cn/%ce").trim(),
        "Grace/grace@example.org/Grace/ada@example.org");
}

#[test]
fn a_store_inside_code_records_its_commit() {
    let s = Session::empty();
    let git = |args: &[&str]| {
        let done = std::process::Command::new("git")
            .args(args)
            .current_dir(s.dir())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", s.dir())
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.org")
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "code"]);
    let code = git(&["rev-parse", "HEAD"]);
    s.ok("init labels");
    s.sample(TEXTS, "labels/texts.json");
    s.ok("-C labels import texts.json -m texts");
    let shown = s.json("-C labels show");
    assert_eq!(shown[0]["code_commit"], code);
    assert!(s.ok("-C labels log").contains(&code));
}

#[test]
fn every_command_helps_with_an_example() {
    let s = Session::empty();
    let help = s.ok("--help");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for name in [
        "init", "import", "status", "commit", "restore", "log", "show", "diff", "branch", "switch",
        "tag", "revert", "history", "ls", "items", "rm", "export", "verify", "gc", "annotator",
        "demo", "completions",
    ] {
        assert!(commands.contains(&name), "no command `{name}`");
    }
    for name in commands {
        let help = s.ok(&format!("{name} --help"));
        assert!(help.contains(&format!("gloss {name}")), "{name}: no usage");
        assert!(help.contains("Example"), "{name}: no example");
        assert!(help.contains("--json"), "{name}: no --json");
    }
    s.ok("annotator list --help");
}

#[test]
fn completions_name_the_commands() {
    let s = Session::empty();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = s.ok(&format!("completions {shell}"));
        assert!(text.contains("gloss") && text.contains("annotator"), "{shell}");
    }
    s.fails(2, "completions tcsh");
}

#[test]
fn the_demo_walks_to_its_end() {
    let s = Session::empty();
    let told = s.ok("demo walk");
    for step in ["init", "import", "commit", "switch -c", "diff", "log", "history", "export"] {
        assert!(told.contains(&format!("$ gloss {step}")), "{step} is not in the demo");
    }
    assert_eq!(s.json("-C walk log").len(), 3);
    let texts: serde_json::Value =
        serde_json::from_slice(&crate::samples::ours(TEXTS)).unwrap();
    let again: serde_json::Value =
        serde_json::from_str(&s.read("walk/texts-again.json")).unwrap();
    assert_eq!(again, texts, "the demo gives back what it took");
    s.fails(2, "demo walk");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let s = Session::with_texts();
    let mut child = s.command("ls").spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty());
}
