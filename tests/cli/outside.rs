//! What comes from outside: an interrupt, a full disk, a device, a store that can only be read.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::session::Session;

/// A store with one commit and a people file.
fn store() -> Session {
    let s = Session::new();
    s.write("first.csv", "item,annotator,label\nfirst,ann@example.org,cat\n");
    s.ok("import first.csv -m first");
    s
}

/// Refs, rows, and what is staged: what a failed command must not change.
fn state(s: &Session) -> (String, String, String) {
    (s.git("for-each-ref"), s.ok("ls --json"), s.ok("status --json"))
}

/// The import has read one file and is at the second, or waits for the people file that this test
/// holds: it cannot end before the signal comes.
#[test]
fn an_interrupted_import_stages_nothing() {
    let s = store();
    let before = state(&s);
    s.write("small.csv", "item,annotator,label\nsmall,bob@example.org,cat\n");
    let rows: String = (0..50_000).map(|row| format!("item-{row},eve@example.org,dog\n")).collect();
    s.write("large.csv", format!("item,annotator,label\n{rows}"));
    let held = File::options().write(true).open(s.path(".gloss/private/lock")).unwrap();
    held.lock().unwrap();
    let mut import = s.interruptible("import small.csv large.csv").spawn().unwrap();
    let mut told = BufReader::new(import.stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert!(line.starts_with("columns: "), "{line}");
    let kill = Command::new("kill").args(["-INT", &import.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let status = import.wait().unwrap();
    drop(held);
    // A shell adds 128 to the signal that a program died of.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    assert_eq!(code, Some(130));
    assert_eq!(state(&s), before);
    // What was being written is collected, and the import works.
    s.ok("gc");
    s.ok("import small.csv large.csv");
    assert_eq!(s.json("status")[0]["staged"]["annotations"]["added"], 50_001);
}

/// Every file of the command is limited to so many blocks: a real write that fails, at one place
/// after another, until the limit is wide enough.
#[test]
fn a_write_that_fails_leaves_the_old_state() {
    let s = store();
    let rows: String =
        (0..2_000).map(|row| format!("item-{row},eve{row}@example.org,dog {row}\n")).collect();
    s.write("more.csv", format!("item,annotator,label\n{rows}"));
    let before = state(&s);
    let mut failed = 0;
    for blocks in [0, 1, 2, 8, 32, 64, 96, 128, 192, 256, 512, 4096] {
        // SIGXFSZ is ignored, so that the call fails as it does on a full disk.
        let line = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let gloss = s.command("import more.csv -m more");
        let mut command = s.program("sh");
        command.args(["-c", &line, "sh"]).arg(gloss.get_program()).args(gloss.get_args());
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(0) {
            break;
        }
        failed += 1;
        assert_eq!(output.status.code(), Some(4), "{blocks} blocks: {told}");
        assert!(told.contains("error: cannot "), "{blocks} blocks: {told}");
        assert_eq!(state(&s), before, "{blocks} blocks");
        s.ok("verify");
    }
    assert!(failed > 3, "only {failed} limits were too small");
    assert_eq!(s.json("log").len(), 2, "with room the import works");
    s.ok("verify");
}

#[test]
fn a_full_device_is_no_success() {
    let s = store();
    for line in ["ls", "export --format csv", "log --json"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = s.command(line).stdout(Stdio::from(full)).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{line}: {told}");
        assert!(told.starts_with("error: "), "{line}: {told}");
    }
    symlink("/dev/full", s.path("full")).unwrap();
    s.fails(4, "export --format csv -o full");
    let kind = fs::symlink_metadata(s.path("full")).unwrap().file_type();
    assert!(kind.is_symlink(), "the link is still there");
}

/// A pipe or a device is written to; a file behind a link is replaced, not the link.
#[test]
fn an_output_keeps_what_kind_of_file_it_is() {
    let s = store();
    let expected = s.ok("export --format csv");
    let made = Command::new("mkfifo").arg(s.path("pipe")).status().unwrap();
    assert!(made.success());
    let pipe = s.path("pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
        text
    });
    s.ok("export --format csv -o pipe");
    // Were it replaced, the reader would wait for ever: ask before.
    assert!(fs::symlink_metadata(s.path("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(reader.join().unwrap(), expected);
    s.write("target.csv", "old");
    symlink("target.csv", s.path("link.csv")).unwrap();
    s.ok("export --format csv -o link.csv");
    assert_eq!(s.read("target.csv"), expected);
    assert!(fs::symlink_metadata(s.path("link.csv")).unwrap().file_type().is_symlink());
    for (line, says) in [("-o missing/rows.csv", "does not exist"), ("-o .gloss", "a directory")] {
        assert!(s.fails(2, &format!("export --format csv {line}")).contains(says), "{line}");
    }
}
