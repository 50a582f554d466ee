//! Commands that are stopped, and commands whose output nobody reads.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::session::Session;

/// A store of two commits, with something staged, something for gc, and a further file.
fn store() -> Session {
    let s = Session::new();
    s.write("one.csv", "item,annotator,label\ni1,ann,cat\n");
    s.write("two.csv", "item,annotator,label\ni2,ann,cat\n");
    s.write("staged.csv", "item,annotator,label\ni3,ann,cat\n");
    s.write("more.csv", "item,annotator,label\ni4,ann,cat\n");
    s.ok("import one.csv -m one");
    s.ok("import two.csv -m two");
    s.ok("import more.csv");
    s.ok("restore --staged");
    s.ok("import staged.csv");
    s
}

/// Whatever waits ends at once on Ctrl-C and SIGTERM; a shell shows 130 and 143.
#[test]
fn a_signal_ends_it() {
    let s = store();
    let before = s.commit("main");
    for (signal, number) in [("INT", 2), ("TERM", 15)] {
        // Held, so that the command cannot come to its end by itself.
        let held = File::options().write(true).open(s.path(".gloss/writers")).unwrap();
        held.lock().unwrap();
        let mut child = s.interruptible("import more.csv -m more").spawn().unwrap();
        // Before that it is `env`, which may have been started to ignore signals.
        let name = format!("/proc/{}/comm", child.id());
        while std::fs::read_to_string(&name).unwrap() != "gloss\n" {
            std::thread::yield_now();
        }
        let mut kill = Command::new("kill");
        kill.args([&format!("-{signal}"), &child.id().to_string()]);
        assert!(kill.status().unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        drop(held);
        assert_eq!(s.commit("main"), before);
        s.ok("verify");
    }
    s.ok("import more.csv -m more");
}

/// Runs a command whose standard output or error was closed before it began.
fn unread(s: &Session, line: &str, error_too: bool) -> i32 {
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let mut command = s.command(line);
    command.stdout(closed());
    if error_too {
        command.stderr(closed());
    }
    command.status().unwrap().code().expect("an exit code")
}

/// Success is said of what is done, also where nobody listens.
#[test]
fn a_closed_pipe_does_not_stop_half_way() {
    type Done = fn(&Session) -> bool;
    let has_log = |s: &Session, message: &str| s.git("log --format=%s main").contains(message);
    let cases: &[(&str, Done)] = &[
        ("import more.csv -m more", |s| s.json("ls --item i4").len() == 1),
        ("commit -m staged", |s| s.json("ls --item i3").len() == 1),
        ("restore --staged", |s| s.ok("status").contains("nothing staged")),
        ("revert HEAD", |s| s.json("ls --item i2").is_empty()),
        ("rm --where item=i1 -m gone", |s| s.json("ls --item i1").is_empty()),
        ("branch other", |s| s.json("branch").len() == 2),
        ("tag v1", |s| s.json("tag").len() == 1),
        ("gc --json", |s| s.ok("gc").contains("nothing to remove")),
        ("log", |_| true),
        ("ls", |_| true),
        ("verify", |_| true),
    ];
    for (line, done) in cases {
        for error_too in [false, true] {
            let s = store();
            assert_eq!(unread(&s, line, error_too), 0, "{line}");
            assert!(done(&s), "{line}");
            assert!(has_log(&s, "one") && has_log(&s, "two"), "{line}");
            s.ok("verify");
        }
    }
}

/// What nobody could see is not removed, and that is no success.
#[test]
fn gc_does_not_remove_what_nobody_saw() {
    let s = store();
    assert_eq!(unread(&s, "gc", false), 4);
    assert!(!s.ok("gc --dry-run").contains("nothing to remove"));
}
