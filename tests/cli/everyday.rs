//! Sessions of every command, as people type them.

use insta::assert_snapshot;

use crate::samples::{IMAGES, TEXTS, corrected, texts};
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
    ]), @r#"
    $ gloss status
    ! error: no store at or above `$DIR`
    ! hint: make one with `gloss init`
    [2]
    $ gloss init
    made an empty store in ./.gloss on branch main
    $ gloss init
    ! error: a store is already at `./.gloss`
    ! hint: nothing was changed
    [2]
    $ gloss status
    on branch main, no commit yet
    nothing staged
    $ gloss log
    ! error: there is no commit yet
    ! hint: import something: `gloss import FILE -m …`
    [2]
    $ gloss commit -m nothing
    nothing to commit
    "#);
}

#[test]
fn from_a_file_to_a_commit() {
    let s = Session::new();
    s.sample(TEXTS, "texts.json");
    assert_snapshot!(s.run(&[
        "import texts.json",
        "status",
        "diff --stat",
        "commit -m 'Texts, first round'",
        "status",
        "log",
        "log --oneline",
    ]), @r#"
    $ gloss import texts.json
    source label-studio:1
    annotations        241 read   +241 added
    items               20 read   +20 added
    sources              1 read   +1 added
    submissions         70 read   +70 added
    nothing was lost
    staged; commit with `gloss commit -m …`
    $ gloss status
    on branch main, no commit yet
    staged:
      annotations: +241 added
      items: +20 added
      sources: +1 added
      submissions: +70 added
    commit with `gloss commit -m …`, or forget with `gloss restore --staged`
    $ gloss diff --stat
    annotations: +241 added
    items: +20 added
    sources: +1 added
    submissions: +70 added

    LABEL     ADDED  CHANGED  REMOVED
    PER       49     0        0
    ORG       44     0        0
    LOC       38     0        0
    -         26     0        0
    travel    24     0        0
    negative  21     0        0
    neutral   16     0        0
    money     12     0        0
    positive  11     0        0

    ANNOTATOR  ADDED  CHANGED  REMOVED
    1          117    0        0
    3          63     0        0
    2          61     0        0

    POLICY    ADDED  CHANGED  REMOVED
    unstated  241    0        0

    STATUS     ADDED  CHANGED  REMOVED
    submitted  236    0        0
    draft      5      0        0
    $ gloss commit -m 'Texts, first round'
    committed <1> on main
      annotations: +241 added
      items: +20 added
      sources: +1 added
      submissions: +70 added
    $ gloss status
    on branch main at <1>
    nothing staged
    $ gloss log
    commit <1> (HEAD -> main)
    Author: Ada <ada@example.org>
    Date:   2023-11-14T22:13:20+00:00

        Texts, first round

        annotations: +241 added
        items: +20 added
        sources: +1 added
        submissions: +70 added
        annotators: 1 +117, 3 +63, 2 +61
        labels: PER +49, ORG +44, LOC +38, travel +24, negative +21, neutral +16, and 2 more
        policies: unstated +241
    $ gloss log --oneline
    <1> (HEAD -> main) Texts, first round  [+241 added]
    "#);
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
    ]), @r#"
    $ gloss init labels
    made an empty store in labels/.gloss on branch main
    $ gloss -C labels import ../texts.json -m texts
    source label-studio:1
    annotations        241 read   +241 added
    items               20 read   +20 added
    sources              1 read   +1 added
    submissions         70 read   +70 added
    nothing was lost
    committed <1> on main
    $ gloss -C labels status
    on branch main at <1>
    nothing staged
    $ gloss -C labels/.gloss status
    on branch main at <1>
    nothing staged
    $ gloss -C nowhere status
    ! error: there is no directory `nowhere`
    ! hint: check what `-C` says
    [2]
    "#);
}

#[test]
fn an_import_that_changes_nothing_makes_no_commit() {
    let s = Session::with_texts();
    let before = s.commit("main");
    assert_snapshot!(s.run(&["import texts.json -m again", "import texts.json", "status"]), @r#"
    $ gloss import texts.json -m again
    source label-studio:1
    annotations        241 read   no change
    items               20 read   no change
    sources              1 read   no change
    submissions         70 read   no change
    nothing was lost
    nothing changed
    $ gloss import texts.json
    source label-studio:1
    annotations        241 read   no change
    items               20 read   no change
    sources              1 read   no change
    submissions         70 read   no change
    nothing was lost
    nothing changed
    $ gloss status
    on branch main at <1>
    nothing staged
    "#);
    assert_eq!(s.commit("main"), before);
}

#[test]
fn corrections_read_as_what_they_are() {
    let s = Session::with_texts();
    s.write("corrected.json", corrected());
    assert_snapshot!(s.run(&[
        "import corrected.json --dry-run",
        "import corrected.json",
        "diff",
        "commit -m corrected",
        "diff main~1",
        "diff main~1 main --stat",
        "diff main main~1",
    ]), @r#"
    $ gloss import corrected.json --dry-run
    source label-studio:1
    annotations        241 read   +1 added, ~2 changed, -1 removed
    items               20 read   no change
    sources              1 read   no change
    submissions         70 read   no change
    nothing was lost
    nothing was staged (--dry-run)
    $ gloss import corrected.json
    source label-studio:1
    annotations        241 read   +1 added, ~2 changed, -1 removed
    items               20 read   no change
    sources              1 read   no change
    submissions         70 read   no change
    nothing was lost
    staged; commit with `gloss commit -m …`
    $ gloss diff
    item label-studio:1/1
      ~ annotation/1/choice/sentiment  changed: label positive → neutral
      - annotation/1/number/quality  number quality 1  by 1
      ~ annotation/1/sp0ORG/ner  moved (IoU 0.80): geometry [34, 39] → [34, 38]; text Paris → Pari
      + annotation/2/number/quality  number quality 4  by 2
    $ gloss commit -m corrected
    committed <1> on main
      annotations: +1 added, ~2 changed, -1 removed
    $ gloss diff main~1
    item label-studio:1/1
      ~ annotation/1/choice/sentiment  changed: label positive → neutral
      - annotation/1/number/quality  number quality 1  by 1
      ~ annotation/1/sp0ORG/ner  moved (IoU 0.80): geometry [34, 39] → [34, 38]; text Paris → Pari
      + annotation/2/number/quality  number quality 4  by 2
    $ gloss diff main~1 main --stat
    annotations: +1 added, ~2 changed, -1 removed (1 of them moved)

    LABEL    ADDED  CHANGED  REMOVED
    -        1      0        1
    ORG      0      1        0
    neutral  0      1        0

    ANNOTATOR  ADDED  CHANGED  REMOVED
    1          0      2        1
    2          1      0        0

    POLICY    ADDED  CHANGED  REMOVED
    unstated  1      2        1

    STATUS     ADDED  CHANGED  REMOVED
    submitted  1      2        1

    TRANSITION          ANNOTATIONS
    positive → neutral  1
    $ gloss diff main main~1
    item label-studio:1/1
      ~ annotation/1/choice/sentiment  changed: label neutral → positive
      + annotation/1/number/quality  number quality 1  by 1
      ~ annotation/1/sp0ORG/ner  moved (IoU 0.80): geometry [34, 38] → [34, 39]; text Pari → Paris
      - annotation/2/number/quality  number quality 4  by 2
    "#);
}

#[test]
fn corrections_in_the_history() {
    let s = Session::with_corrections();
    assert_snapshot!(s.run(&[
        "log",
        "show",
        "history --rows label-studio:1/1 annotation/1/choice/sentiment",
        "history --rows label-studio:1/1 annotation/1/sp0ORG/ner",
        "history --rows label-studio:1/1 annotation/1/sp0LOC/ner",
        "history nobody",
    ]), @r#"
    $ gloss log
    commit <1> (HEAD -> main)
    Author: Ada <ada@example.org>
    Date:   2023-11-14T22:13:20+00:00

        corrected

        annotations: +1 added, ~2 changed, -1 removed
        annotators: 1 ~2 -1, 2 +1
        labels: ORG ~1, neutral ~1
        policies: unstated +1 ~2 -1

    commit <2>
    Author: Ada <ada@example.org>
    Date:   2023-11-14T22:13:20+00:00

        texts

        annotations: +241 added
        items: +20 added
        sources: +1 added
        submissions: +70 added
        annotators: 1 +117, 3 +63, 2 +61
        labels: PER +49, ORG +44, LOC +38, travel +24, negative +21, neutral +16, and 2 more
        policies: unstated +241
    $ gloss show
    commit <1> (HEAD -> main)
    Author: Ada <ada@example.org>
    Date:   2023-11-14T22:13:20+00:00

        corrected

        annotations: +1 added, ~2 changed, -1 removed
        annotators: 1 ~2 -1, 2 +1
        labels: ORG ~1, neutral ~1
        policies: unstated +1 ~2 -1
        from corrected.json (label-studio, 20 records, label-studio:1)

    item label-studio:1/1
      ~ annotation/1/choice/sentiment  changed: label positive → neutral
      - annotation/1/number/quality  number quality 1  by 1
      ~ annotation/1/sp0ORG/ner  moved (IoU 0.80): geometry [34, 39] → [34, 38]; text Paris → Pari
      + annotation/2/number/quality  number quality 4  by 2
    $ gloss history --rows label-studio:1/1 annotation/1/choice/sentiment
    <1> 2023-11-14T22:13:20+00:00 Ada: corrected
    item label-studio:1/1
      ~ annotation/1/choice/sentiment  changed: label positive → neutral

    <2> 2023-11-14T22:13:20+00:00 Ada: texts
    item label-studio:1/1
      + annotation/1/choice/sentiment  choice sentiment positive  by 1
    $ gloss history --rows label-studio:1/1 annotation/1/sp0ORG/ner
    <1> 2023-11-14T22:13:20+00:00 Ada: corrected
    item label-studio:1/1
      ~ annotation/1/sp0ORG/ner  moved (IoU 0.80): geometry [34, 39] → [34, 38]; text Paris → Pari

    <2> 2023-11-14T22:13:20+00:00 Ada: texts
    item label-studio:1/1
      + annotation/1/sp0ORG/ner  span ner ORG [34, 39] codepoint "Paris"  by 1
    $ gloss history --rows label-studio:1/1 annotation/1/sp0LOC/ner
    ! error: no commit touched annotation `annotation/1/sp0LOC/ner` of item `label-studio:1/1`
    ! hint: `gloss history label-studio:1/1` shows those it had
    [2]
    $ gloss history nobody
    ! error: there is no item `nobody`
    ! hint: `gloss items` lists the ids
    [2]
    "#);
}

/// A file without the last task: its rows go only where that is asked for.
#[test]
fn prune_removes_what_a_complete_file_no_longer_has() {
    let s = Session::with_texts();
    let mut tasks = texts();
    let gone = tasks.as_array_mut().unwrap().pop().unwrap();
    assert_eq!(gone["id"], 20);
    s.write("fewer.json", tasks.to_string());
    assert_snapshot!(s.run(&[
        "import fewer.json -m fewer",
        "import fewer.json --prune -m pruned",
        "diff main~1 --stat",
        "ls --item label-studio:1/20",
    ]), @r#"
    $ gloss import fewer.json -m fewer
    source label-studio:1
    annotations        229 read   no change
    items               19 read   no change
    sources              1 read   no change
    submissions         67 read   no change
    nothing was lost
    nothing changed
    $ gloss import fewer.json --prune -m pruned
    source label-studio:1
    annotations        229 read   -12 removed
    items               19 read   -1 removed
    sources              1 read   no change
    submissions         67 read   -3 removed
    nothing was lost
    committed <1> on main
    $ gloss diff main~1 --stat
    annotations: -12 removed
    items: -1 removed
    submissions: -3 removed

    LABEL     ADDED  CHANGED  REMOVED
    ORG       0      0        2
    PER       0      0        2
    money     0      0        2
    negative  0      0        2
    travel    0      0        2
    -         0      0        1
    LOC       0      0        1

    ANNOTATOR  ADDED  CHANGED  REMOVED
    1          0      0        7
    2          0      0        5

    POLICY    ADDED  CHANGED  REMOVED
    unstated  0      0        12

    STATUS     ADDED  CHANGED  REMOVED
    submitted  0      0        7
    draft      0      0        5
    $ gloss ls --item label-studio:1/20
    "#);
    assert_eq!(s.json("items").len(), 19);
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
    ]), @r#"
    $ gloss branch
    * main  <1> texts
    $ gloss branch relabel
    made branch relabel at <1>
    $ gloss branch relabel
    ! error: `relabel` exists already
    ! hint: choose another name, or delete that one with `-d` first
    [2]
    $ gloss branch 'Not A Name'
    ! error: `Not A Name` cannot be a name: names consist of a-z, 0-9, `.`, `_` and `-`
    [2]
    $ gloss switch relabel
    on branch relabel
    $ gloss import images.json -m images
    source label-studio:2
    annotations         75 read   +75 added
    items               20 read   +20 added
    sources              1 read   +1 added
    submissions         60 read   +60 added
    nothing was lost
    committed <2> on relabel
    $ gloss branch
      main  <1> texts
    * relabel  <2> images
    $ gloss diff main relabel --stat
    annotations: +75 added
    items: +20 added
    sources: +1 added
    submissions: +60 added

    LABEL   ADDED  CHANGED  REMOVED
    car     39     0        0
    person  21     0        0
    road    15     0        0

    ANNOTATOR  ADDED  CHANGED  REMOVED
    1          25     0        0
    2          25     0        0
    3          25     0        0

    POLICY    ADDED  CHANGED  REMOVED
    unstated  75     0        0

    STATUS     ADDED  CHANGED  REMOVED
    submitted  75     0        0
    "#);
}

#[test]
fn switching_away() {
    let s = Session::with_texts();
    s.sample(IMAGES, "images.json");
    s.ok("switch -c relabel");
    s.ok("import images.json -m images");
    assert_snapshot!(s.run(&[
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
        "branch -D other",
        "branch -D other",
        "branch",
        "log --oneline",
        "log --oneline relabel",
    ]), @r#"
    $ gloss import texts.json
    source label-studio:1
    annotations        241 read   no change
    items               20 read   no change
    sources              1 read   no change
    submissions         70 read   no change
    nothing was lost
    nothing changed
    $ gloss rm --where annotator=3
    annotations: -88 removed
    staged; commit with `gloss commit -m …`
    $ gloss switch main
    ! error: something is staged on this branch
    ! hint: commit it with `gloss commit -m …`, or forget it: `gloss restore --staged`
    [2]
    $ gloss restore --staged
    forgot what was staged
    $ gloss switch main
    on branch main
    $ gloss items
    label-studio:1/1  11
    label-studio:1/10  15
    label-studio:1/11  12
    label-studio:1/12  18
    label-studio:1/13  12
    label-studio:1/14  15
    label-studio:1/15  12
    label-studio:1/16  7
    label-studio:1/17  5
    label-studio:1/18  6
    label-studio:1/19  5
    label-studio:1/2  10
    label-studio:1/20  12
    label-studio:1/3  12
    label-studio:1/4  24
    label-studio:1/5  8
    label-studio:1/6  15
    label-studio:1/7  12
    label-studio:1/8  18
    label-studio:1/9  12
    $ gloss switch nowhere
    ! error: there is no branch `nowhere`
    ! hint: make it with `gloss switch -c nowhere`
    [2]
    $ gloss switch -c other v1
    ! error: no commit is named `v1`
    ! hint: `gloss log` and `gloss branch` list what there is
    [2]
    $ gloss switch -c other relabel
    on branch other
    $ gloss branch -d other
    ! error: `other` is the branch you are on
    ! hint: switch to another branch first
    [2]
    $ gloss switch main
    on branch main
    $ gloss branch -d other
    ! error: branch `other` has commits that the one you are on does not have
    ! hint: delete it with them: `gloss branch -D other`
    [2]
    $ gloss branch -D other
    deleted branch other at <1>
    $ gloss branch -D other
    ! error: no commit is named `refs/heads/other`
    ! hint: `gloss log` and `gloss branch` list what there is
    [2]
    $ gloss branch
    * main  <2> texts
      relabel  <1> images
    $ gloss log --oneline
    <2> (HEAD -> main) texts  [+241 added]
    $ gloss log --oneline relabel
    <1> (relabel) images  [+75 added]
    <2> (HEAD -> main) texts  [+241 added]
    "#);
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
    ]), @r#"
    $ gloss tag v1 main~1
    tagged v1 at <1>
    $ gloss tag -a v2
    ! error: the following required arguments were not provided:
    !   --message <MSG>
    !
    ! Usage: gloss tag --message <MSG> --annotate <NAME> [REV]
    !
    ! For more information, try '--help'.
    [2]
    $ gloss tag -a -m 'to training' v2
    tagged v2 at <2>
    $ gloss tag v1
    ! error: `v1` exists already
    ! hint: choose another name, or delete that one with `-d` first
    [2]
    $ gloss tag
    v1  <1>
    v2  <2>
    $ gloss tag -d v1
    deleted v1 at <1>
    $ gloss tag v1 main~1
    tagged v1 at <1>
    $ gloss log --oneline
    <2> (HEAD -> main, tag: v2) corrected  [+1 added, ~2 changed, -1 removed]
    <1> (tag: v1) texts  [+241 added]
    $ gloss show nothing
    ! error: no commit is named `nothing`
    ! hint: `gloss log` and `gloss branch` list what there is
    [2]
    "#);
    assert_eq!(s.git("cat-file -t v2").trim(), "tag");
    assert_eq!(s.git("cat-file -t v1").trim(), "commit");
    let told = s.git("for-each-ref --format=%(taggername):%(contents:subject) refs/tags/v2");
    assert_eq!(told.trim(), "Ada:to training");
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
        "main",
        "HEAD",
        "@",
        "main~1",
        "HEAD^",
        "v1",
        "v1^",
        "v1~1",
        "@{1}",
        "main@{2}",
        "@{0}",
        ":/corr",
        ":/text",
        "refs/heads/main",
        "heads/main",
        "tags/v1",
        "v1^{commit}",
        "HEAD^^",
        short,
        &first,
        &first[..7],
    ];
    for revision in revisions {
        let ours = s.json(&format!("show {revision}"));
        assert_eq!(ours[0]["commit"], s.commit(revision), "{revision}");
    }
    for revision in ["main~9", "nothing", ":/nothing", "@{9}", "v1^2", "0000000000"] {
        assert_ne!(s.try_git(&format!("log -1 {revision} --")).code, 0);
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
    ]), @r#"
    $ gloss revert main
    reverted <1> by <2>
      annotations: +1 added, ~2 changed, -1 removed
    $ gloss diff main~2 main --exit-code
    $ gloss revert main
    reverted <2> by <3>
      annotations: +1 added, ~2 changed, -1 removed
    $ gloss diff main~2 main --exit-code --stat
    $ gloss diff main~3 main --exit-code --stat
    annotations: +1 added, ~2 changed, -1 removed (1 of them moved)

    LABEL    ADDED  CHANGED  REMOVED
    -        1      0        1
    ORG      0      1        0
    neutral  0      1        0

    ANNOTATOR  ADDED  CHANGED  REMOVED
    1          0      2        1
    2          1      0        0

    POLICY    ADDED  CHANGED  REMOVED
    unstated  1      2        1

    STATUS     ADDED  CHANGED  REMOVED
    submitted  1      2        1

    TRANSITION          ANNOTATIONS
    positive → neutral  1
    [1]
    $ gloss log --oneline
    <3> (HEAD -> main) Revert "Revert "corrected""  [+1 added, ~2 changed, -1 removed]
    <2> Revert "corrected"  [+1 added, ~2 changed, -1 removed]
    <1> corrected  [+1 added, ~2 changed, -1 removed]
    <4> texts  [+241 added]
    "#);
}

#[test]
fn a_revert_of_rows_that_changed_since_is_refused() {
    let s = Session::with_corrections();
    s.ok("export --format jsonl -o rows.jsonl --label neutral --item label-studio:1/1");
    s.write("rows.jsonl", s.read("rows.jsonl").replace("neutral", "negative"));
    s.ok("import rows.jsonl --update -m negative");
    assert_snapshot!(s.run(&["revert main~1", "status"]), @r#"
    $ gloss revert main~1
    ! error: 1 row(s) were changed by commit <1> in the meantime
    !   annotations `label-studio:1/1` `annotation/1/choice/sentiment`
    ! hint: import or edit again on top of the new head
    [1]
    $ gloss status
    on branch main at <1>
    nothing staged
    "#);
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
    ]), @r#"
    $ gloss restore
    ! error: there are no working files to restore
    ! hint: `gloss restore --staged` forgets what is staged
    ! hint: `gloss revert REV` undoes a commit
    [2]
    $ gloss restore --staged
    nothing was staged
    $ gloss rm --where label=LOC
    annotations: -38 removed
    staged; commit with `gloss commit -m …`
    $ gloss status
    on branch main at <1>
    staged:
      annotations: -38 removed
    commit with `gloss commit -m …`, or forget with `gloss restore --staged`
    $ gloss restore --staged
    forgot what was staged
    $ gloss status
    on branch main at <1>
    nothing staged
    $ gloss diff --exit-code
    "#);
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
    ]), @r#"
    $ gloss rm --where label=LOC
    annotations: -38 removed
    staged; commit with `gloss commit -m …`
    $ gloss import images.json -m images
    source label-studio:2
    annotations         75 read   +75 added
    items               20 read   +20 added
    sources              1 read   +1 added
    submissions         60 read   +60 added
    nothing was lost
    committed <1> on main
    $ gloss status
    on branch main at <1>
    staged:
      annotations: -38 removed
    commit with `gloss commit -m …`, or forget with `gloss restore --staged`
    $ gloss commit -m 'no places'
    committed <2> on main
      annotations: -38 removed
    $ gloss status
    on branch main at <2>
    nothing staged
    $ gloss log --oneline
    <2> (HEAD -> main) no places  [-38 removed]
    <1> images  [+75 added]
    <3> texts  [+241 added]
    "#);
}

#[test]
fn history_tells_who_and_when() {
    let s = Session::with_corrections();
    s.ok("rm --where item=label-studio:1/1 --where annotator=1 -m 'not ours'");
    assert_snapshot!(s.run(&["history --rows label-studio:1/1"]), @r#"
    $ gloss history --rows label-studio:1/1
    <1> 2023-11-14T22:13:20+00:00 Ada: not ours
    item label-studio:1/1
      - annotation/1/choice/sentiment  choice sentiment neutral  by 1
      - annotation/1/sp0ORG/ner  span ner ORG [34, 38] codepoint "Pari"  by 1
      - annotation/1/sp0ORG/ner/2  span ner ORG [16, 25] codepoint "Acme Corp"  by 1
      - annotation/1/sp0PER/ner  span ner PER [0, 12] codepoint "Ada Lovelace"  by 1

    <2> 2023-11-14T22:13:20+00:00 Ada: corrected
    item label-studio:1/1
      ~ annotation/1/choice/sentiment  changed: label positive → neutral
      - annotation/1/number/quality  number quality 1  by 1
      ~ annotation/1/sp0ORG/ner  moved (IoU 0.80): geometry [34, 39] → [34, 38]; text Paris → Pari
      + annotation/2/number/quality  number quality 4  by 2

    <3> 2023-11-14T22:13:20+00:00 Ada: texts
    item label-studio:1/1
      + annotation/1/choice/sentiment  choice sentiment positive  by 1
      + annotation/1/number/quality  number quality 1  by 1
      + annotation/1/sp0ORG/ner  span ner ORG [34, 39] codepoint "Paris"  by 1
      + annotation/1/sp0ORG/ner/2  span ner ORG [16, 25] codepoint "Acme Corp"  by 1
      + annotation/1/sp0PER/ner  span ner PER [0, 12] codepoint "Ada Lovelace"  by 1
      + annotation/2/sp0LOC/ner  span ner LOC [34, 39] codepoint "Paris"  by 2
      + annotation/2/sp0PER/ner  span ner PER [0, 12] codepoint "Ada Lovelace"  by 2
      + annotation/3/choice/sentiment  choice sentiment negative  by 3
      + annotation/3/sp0LOC/ner  span ner LOC [34, 39] codepoint "Paris"  by 3
      + annotation/3/sp0ORG/ner  span ner ORG [16, 25] codepoint "Acme Corp"  by 3
      + annotation/3/sp0PER/ner  span ner PER [0, 12] codepoint "Ada Lovelace"  by 3
    "#);
    let line = "history --rows label-studio:1/1 --at main~2 annotation/2/sp0LOC/ner";
    assert_snapshot!(s.run(&[line]), @r#"
    $ gloss history --rows label-studio:1/1 --at main~2 annotation/2/sp0LOC/ner
    <3> 2023-11-14T22:13:20+00:00 Ada: texts
    item label-studio:1/1
      + annotation/2/sp0LOC/ner  span ner LOC [34, 39] codepoint "Paris"  by 2
    "#);
}

/// Counts by hand, from the JSON export: tasks, annotations, results.
#[test]
fn filters_choose_rows() {
    let s = Session::with_texts();
    s.sample(IMAGES, "images.json");
    s.ok("import images.json -m images");
    let count = |filters: &str| s.json(&format!("ls {filters}")).len();
    // 222 results and 4 of a draft of annotator 2; 12 choices and 3 texts say two things.
    assert_eq!(count("--source label-studio:1"), 222 + 4 + 12 + 3);
    assert_eq!(count("--source label-studio:2"), 75);
    assert_eq!(count(""), 241 + 75);
    assert_eq!(count("--kind span"), 131);
    assert_eq!(count("--field sentiment --field topics"), 60 + 2 * 12);
    assert_eq!(count("--label PER --label ORG"), 49 + 44);
    assert_eq!(count("--label PER --annotator 2"), 15 + 1);
    assert_eq!(count("--annotator 2 --source label-studio:2"), 25);
    assert_eq!(count("--item label-studio:1/1"), 11);
    let image = "/data/upload/2/4a8e1210-img00.png";
    assert_eq!(count(&format!("--item label-studio:1/1 --item {image}")), 11 + 6);
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
        "ls --field quality -n 3",
        "ls --status draft --field topics",
        "ls --label nothing",
        "items --at main~1",
    ]), @r#"
    $ gloss ls --field quality -n 3
    ITEM               ANNOTATION                    ANNOTATOR  KIND    FIELD    VALUE  STATUS
    label-studio:1/1   annotation/1/number/quality   1          number  quality  1      submitted
    label-studio:1/10  annotation/28/number/quality  1          number  quality  5      submitted
    label-studio:1/11  annotation/31/number/quality  1          number  quality  1      submitted
    $ gloss ls --status draft --field topics
    ITEM               ANNOTATION               ANNOTATOR  KIND    FIELD   VALUE   STATUS
    label-studio:1/20  draft/1/choice/topics    2          choice  topics  travel  draft
    label-studio:1/20  draft/1/choice/topics/2  2          choice  topics  money   draft
    $ gloss ls --label nothing
    $ gloss items --at main~1
    label-studio:1/1  11
    label-studio:1/10  15
    label-studio:1/11  12
    label-studio:1/12  18
    label-studio:1/13  12
    label-studio:1/14  15
    label-studio:1/15  12
    label-studio:1/16  7
    label-studio:1/17  5
    label-studio:1/18  6
    label-studio:1/19  5
    label-studio:1/2  10
    label-studio:1/20  12
    label-studio:1/3  12
    label-studio:1/4  24
    label-studio:1/5  8
    label-studio:1/6  15
    label-studio:1/7  12
    label-studio:1/8  18
    label-studio:1/9  12
    "#);
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
    ]), @r#"
    $ gloss rm
    ! error: nothing says which annotations to remove
    ! hint: give a filter: `gloss rm --where annotator=9`
    [2]
    $ gloss rm --where colour=red
    ! error: rows cannot be chosen by `colour`
    ! hint: columns: item, label, annotator, policy, field, status, kind, origin, source
    [2]
    $ gloss rm --where label
    ! error: `label` is not of the form COLUMN=VALUE
    [2]
    $ gloss rm --where label=nothing
    annotations: no change
    nothing fits
    $ gloss rm --where label=LOC --where label=ORG --where annotator=2
    annotations: -16 removed
    staged; commit with `gloss commit -m …`
    $ gloss diff --stat
    annotations: -16 removed

    LABEL  ADDED  CHANGED  REMOVED
    LOC    0      0        12
    ORG    0      0        4

    ANNOTATOR  ADDED  CHANGED  REMOVED
    2          0      0        16

    POLICY    ADDED  CHANGED  REMOVED
    unstated  0      0        16

    STATUS     ADDED  CHANGED  REMOVED
    submitted  0      0        15
    draft      0      0        1
    $ gloss commit -m 'not 2'
    committed <1> on main
      annotations: -16 removed
    $ gloss rm --label LOC -m 'no places'
    annotations: -26 removed
    committed <2>
    $ gloss ls --label LOC
    "#);
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
    ]), @r#"
    $ gloss export --format label-studio -o out.json
    ! nothing was lost
    $ gloss export --format jsonl -o out.jsonl
    ! not carried: rows of `submissions`: 70
    ! not carried: rows of `items`: 20
    ! not carried: rows of `sources`: 1
    $ gloss export --format csv -o out.csv
    ! not carried: rows of `submissions`: 70
    ! not carried: rows of `items`: 20
    ! not carried: rows of `sources`: 1
    $ gloss export --format tsv -o out.tsv
    ! not carried: rows of `submissions`: 70
    ! not carried: rows of `items`: 20
    ! not carried: rows of `sources`: 1
    $ gloss export --format parquet -o out.parquet
    ! not carried: rows of `submissions`: 70
    ! not carried: rows of `items`: 20
    ! not carried: rows of `sources`: 1
    $ gloss export --format xml
    ! error: there is no format `xml` to write
    ! hint: formats: label-studio, coco, parquet, jsonl, tsv, csv
    [2]
    $ gloss export --format csv --at nothing -o no.csv
    ! error: no commit is named `nothing`
    ! hint: `gloss log` and `gloss branch` list what there is
    [2]
    $ gloss export --format csv --label LOC --annotator 2 -o loc.csv
    ! not carried: rows of `submissions`: 16
    ! not carried: rows of `items`: 20
    ! not carried: rows of `sources`: 1
    $ gloss export --format csv --view labels -o labels.csv
    ! not carried: rows of `items`: 20
    ! not carried: rows of `sources`: 1
    ! left out: draft: 5
    ! left out: not the final answer: 90
    ! left out: tie: 50
    ! tie: label-studio:1/11 ner
    ! tie: label-studio:1/14 ner
    ! tie: label-studio:1/2 ner
    ! tie: label-studio:1/4 ner
    ! tie: label-studio:1/5 ner
    ! tie: label-studio:1/6 ner
    ! tie: label-studio:1/9 ner
    "#);
    let ran = s.gloss("export --format jsonl --label negative --item label-studio:1/1");
    assert_eq!((ran.out.lines().count(), ran.err.contains("not carried: ")), (1, true));
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
    ]), @r#"
    $ gloss annotator list
    ANNOTATOR  ORIGIN  ANNOTATIONS  ALIAS OF
    1          human   117
    2          human   61
    3          human   63
    $ gloss annotator alias p-0123 2
    p-0123 is 2; committed <1>
    $ gloss annotator alias p-0123 2
    p-0123 is 2 already
    $ gloss annotator alias 2 p-0123
    ! error: `p-0123` is already a name of `2`
    [2]
    $ gloss annotator alias 2 2
    ! error: an id cannot be another name of itself
    [2]
    $ gloss annotator list
    ANNOTATOR  ORIGIN  ANNOTATIONS  ALIAS OF
    1          human   117
    2          human   61
    3          human   63
    p-0123             0            2
    $ gloss annotator list --at main~1
    ANNOTATOR  ORIGIN  ANNOTATIONS  ALIAS OF
    1          human   117
    2          human   61
    3          human   63
    $ gloss log --oneline
    <1> (HEAD -> main) Join two annotator ids  [no change]
    <2> texts  [+241 added]
    "#);
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
fn gc_removes_what_nothing_names() {
    let s = Session::with_corrections();
    let rows = s.rows();
    s.sample(IMAGES, "images.json");
    assert_eq!(s.ok("gc"), "nothing to remove\n");
    // A stage in use is kept, a forgotten one is not.
    s.ok("import images.json");
    s.ok("gc");
    assert_eq!(s.json("diff").len(), 75);
    s.ok("restore --staged");
    let plan = s.ok("gc --dry-run");
    assert!(plan.starts_with("object ") && plan.ends_with("(--dry-run)\n"), "{plan}");
    assert_eq!(s.ok("gc --dry-run"), plan, "a plan removes nothing");
    let told = s.ok("gc");
    assert!(told.contains("removed "), "{told}");
    assert_eq!(s.ok("gc"), "nothing to remove\n");
    assert_eq!(s.rows(), rows);
    assert_eq!(s.json("ls --at main~1").len(), 241);
    s.ok("verify");
    // A deleted branch's commits are kept by the reflog of HEAD while it names them.
    s.ok("switch -c short");
    s.ok("import images.json -m images");
    s.ok("switch main");
    s.ok("branch -D short");
    assert_eq!(s.ok("gc"), "nothing to remove\n");
    // Once it does not, they go, the commits with what they name.
    s.write(".gloss/git/logs/HEAD", "");
    let plan = s.ok("gc --dry-run");
    assert!(plan.contains("git object ") && plan.contains("\nobject "), "{plan}");
    s.ok("gc");
    assert_eq!(s.ok("gc"), "nothing to remove\n");
    assert_eq!((s.rows(), s.try_git("fsck --strict").code), (rows, 0));
    s.ok("verify");
}

#[test]
fn compact_changes_no_row_and_no_history() {
    let s = Session::with_corrections();
    let (rows, log, diff) = (s.rows(), s.json("log"), s.json("diff HEAD~1 HEAD"));
    s.sample(IMAGES, "images.json");
    s.ok("import images.json");
    let plan = s.ok("compact --dry-run");
    assert!(plan.starts_with("annotations: 2 of 2 segments, "), "{plan}");
    assert!(plan.ends_with("nothing was written (--dry-run)\n"), "{plan}");
    assert_eq!(s.json("log"), log);
    assert!(s.ok("compact").contains("compacted by "));
    assert_eq!(s.ok("compact"), "nothing to compact\n");
    assert_eq!(s.rows(), rows);
    assert_eq!(s.json("diff HEAD~2 HEAD~1"), diff);
    assert_eq!(s.json("diff HEAD~2 HEAD"), diff);
    assert_eq!(s.ok("diff HEAD~1 HEAD"), "");
    assert_eq!(s.json("log")[1..], log[..]);
    let message = s.git("log -1 --format=%B");
    assert!(message.contains("Gloss-Change: +0 ~0 -0\nGloss-Checkpoint: annotations"), "{message}");
    // What was staged before the segments were written anew is committed after.
    s.ok("commit -m images");
    assert_eq!(s.rows().len(), rows.len() + 75);
    s.ok("verify");
}

/// Majority where several answered; what nobody may train on is left out and counted.
#[test]
fn final_answers_for_training() {
    let s = Session::new();
    s.write(
        "answers.csv",
        "item,annotator,label,status\n\
        i1,a,cat,submitted\ni1,b,cat,accepted\ni1,c,dog,submitted\n\
        i2,a,cat,submitted\ni2,b,dog,submitted\n\
        i3,a,cat,draft\ni4,a,dog,rejected\ni5,a,dog,skipped\ni6,a,bird,superseded\n\
        i7,a,fish,submitted\n",
    );
    s.ok("import answers.csv -m answers");
    let ran = s.gloss("export --format jsonl --view labels");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut answers: Vec<(String, String)> = ran
        .out
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("item_id"), text("label"))
        })
        .collect();
    answers.sort();
    assert_eq!(answers, [("i1", "cat"), ("i7", "fish")].map(|(i, l)| (i.to_owned(), l.to_owned())));
    for reason in ["draft: 1", "rejected: 1", "skipped: 1", "superseded: 1", "tie: 2", "i2"] {
        assert!(ran.err.contains(reason), "no `{reason}` in {}", ran.err);
    }
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
    assert_eq!(
        s.git("log -1 --format=%an/%ae/%cn/%ce").trim(),
        "Grace/grace@example.org/Grace/ada@example.org"
    );
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

/// The commands that a help lists.
fn listed(help: &str) -> Vec<&str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[test]
fn every_command_has_a_manual_page() {
    let s = Session::empty();
    let made = s.json("man pages/man1");
    crate::json::fits("man", &made);
    let mut pages = vec![("gloss".to_owned(), String::new())];
    let help = s.ok("--help");
    for name in listed(&help) {
        pages.push((format!("gloss-{name}"), name.to_owned()));
        for inner in listed(&s.ok(&format!("{name} --help"))) {
            pages.push((format!("gloss-{name}-{inner}"), format!("{name} {inner}")));
        }
    }
    // Commands with commands of their own are among them.
    for name in ["gloss-import", "gloss-remote-add", "gloss-run-record", "gloss-annotator-list"] {
        assert!(pages.iter().any(|(page, _)| page == name), "{name}");
    }
    for (page, command) in &pages {
        let text = s.read(&format!("pages/man1/{page}.1"));
        assert!(text.contains(&format!("\n.TH {page} 1")), "{page}: {text}");
        assert!(text.contains("Example"), "{page}: no example");
        // Every option of the help is on the page.
        let help = s.ok(&format!("{command} --help"));
        let plain = text.replace("\\-", "-");
        for option in help.split(|c: char| c.is_whitespace() || "[]`=,.;:)".contains(c)) {
            let name = option.trim_start_matches('-');
            if option.starts_with("--") && !name.is_empty() {
                assert!(plain.contains(option), "{page}: no {option}");
            }
        }
    }
    let files = std::fs::read_dir(s.path("pages/man1")).unwrap().count();
    assert_eq!(files, pages.len(), "pages of no command");
    assert_eq!(made[0]["pages"].as_array().unwrap().len(), pages.len());
    assert!(s.ok("man --help").contains("Example"));
}

#[test]
fn every_command_helps_with_an_example() {
    let s = Session::empty();
    let help = s.ok("--help");
    let commands = listed(&help);
    for name in [
        "init",
        "import",
        "status",
        "commit",
        "restore",
        "log",
        "show",
        "diff",
        "branch",
        "switch",
        "tag",
        "revert",
        "history",
        "ls",
        "items",
        "rm",
        "export",
        "quality",
        "check",
        "convert",
        "run",
        "runs",
        "verify",
        "gc",
        "compact",
        "annotator",
        "demo",
        "completions",
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
    let again: serde_json::Value = serde_json::from_str(&s.read("walk/texts-again.json")).unwrap();
    assert_eq!(again, texts(), "the demo gives back what it took");
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
