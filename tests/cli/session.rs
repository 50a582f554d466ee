//! Runs `gloss` in a directory of its own and keeps what it said.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The date of every commit.
const DATE: &str = "1700000000 +0000";

/// A directory with nothing else around: no configuration, no environment, a fixed date.
pub struct Session {
    dir: tempfile::TempDir,
    /// Commits in the order in which they were first shown, by the start of their id.
    commits: RefCell<Vec<String>>,
}

/// What one run gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        Self {
            code: output.status.code().expect("an exit code, not a signal"),
            out: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }
}

impl Session {
    /// An empty directory.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir, commits: RefCell::default() }
    }

    /// A directory with an empty store.
    pub fn new() -> Self {
        let session = Self::empty();
        session.ok("init");
        session
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a file of the session");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file of the session")
    }

    /// The program and its surroundings, without arguments.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_AUTHOR_DATE", DATE)
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.org")
            .env("GIT_COMMITTER_DATE", DATE)
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `gloss` with words as a shell would split them.
    pub fn command(&self, line: &str) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_gloss"));
        command.args(words(line));
        command
    }

    /// `gloss` as a terminal starts it: with signals at their defaults, whatever runs the tests has
    /// made of them.
    pub fn interruptible(&self, line: &str) -> Command {
        let mut command = self.program("env");
        command.arg("--default-signal=INT,TERM").arg(env!("CARGO_BIN_EXE_gloss")).args(words(line));
        command
    }

    /// Runs a command.
    pub fn gloss(&self, line: &str) -> Ran {
        Ran::new(self.command(line).output().expect("gloss runs"))
    }

    /// Runs a command that must succeed; gives its standard output.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let ran = self.gloss(line);
        assert_eq!(ran.code, 0, "gloss {line}\n{}{}", ran.out, ran.err);
        ran.out
    }

    /// Runs a command that must fail with a code; gives its standard error.
    #[track_caller]
    pub fn fails(&self, code: i32, line: &str) -> String {
        let ran = self.gloss(line);
        assert_eq!(ran.code, code, "gloss {line}\n{}{}", ran.out, ran.err);
        ran.err
    }

    /// Runs a command that must succeed and print JSON, a value a line.
    #[track_caller]
    pub fn json(&self, line: &str) -> Vec<Value> {
        let out = self.ok(&format!("{line} --json"));
        let value = |text: &str| -> Value {
            serde_json::from_str(text).unwrap_or_else(|e| panic!("gloss {line}: {e}: {text}"))
        };
        out.lines().map(value).collect()
    }

    /// Commands and what they say, for snapshots: the directory reads `$DIR`, commits read `<1>`,
    /// `<2>`… in the order in which they are first shown.
    pub fn run(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let Ran { code, out, err } = self.gloss(line);
            text.push_str(&format!("$ gloss {line}\n{out}"));
            for line in err.lines() {
                text.push_str(format!("! {line}").trim_end());
                text.push('\n');
            }
            if code != 0 {
                text.push_str(&format!("[{code}]\n"));
            }
        }
        self.redacted(&text)
    }

    fn redacted(&self, text: &str) -> String {
        let mut plain = text.replace(&self.dir().display().to_string(), "$DIR");
        let real = self.dir().canonicalize().expect("the directory");
        plain = plain.replace(&real.display().to_string(), "$DIR");
        let mut made = String::new();
        let mut rest = plain.as_str();
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            let word = &rest[start..];
            let len = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
            made.push_str(&rest[..start]);
            let word = &word[..len];
            let hex = word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            match hex && (len == 40 || len == 10) {
                true => made.push_str(&format!("<{}>", self.number(&word[..10]))),
                false => made.push_str(word),
            }
            rest = &rest[start + len..];
        }
        made.push_str(rest);
        made
    }

    fn number(&self, short: &str) -> usize {
        let mut commits = self.commits.borrow_mut();
        let known = commits.iter().position(|commit| commit == short);
        known.unwrap_or_else(|| {
            commits.push(short.to_owned());
            commits.len() - 1
        }) + 1
    }

    /// Stock git on the store's own repository.
    #[track_caller]
    pub fn git(&self, line: &str) -> String {
        let ran = self.try_git(line);
        assert_eq!(ran.code, 0, "git {line}\n{}{}", ran.out, ran.err);
        ran.out
    }

    pub fn try_git(&self, line: &str) -> Ran {
        let mut command = self.program("git");
        command.arg("--git-dir").arg(self.path(".gloss/git")).args(words(line));
        Ran::new(command.output().expect("git runs"))
    }

    /// All bytes of all git objects.
    pub fn git_objects(&self) -> Vec<u8> {
        let mut command = self.program("git");
        command.arg("--git-dir").arg(self.path(".gloss/git"));
        command.args(["cat-file", "--batch-all-objects", "--batch", "--buffer"]);
        let output = command.output().expect("git runs");
        assert!(output.status.success());
        assert!(!output.stdout.is_empty(), "a store without git objects");
        output.stdout
    }

    /// The rows of `ls --json`.
    pub fn rows(&self) -> Vec<Value> {
        self.json("ls")
    }

    /// The commit of a revision, asked of git.
    pub fn commit(&self, revision: &str) -> String {
        self.git(&format!("log -1 --format=%H {revision} --")).trim().to_owned()
    }
}

/// Words of a line: single and double quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote is open: {line}");
    words.extend(word);
    words
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(words("a 'b c'  \"d 'e\" ''"), ["a", "b c", "d 'e", ""]);
}

#[test]
fn only_ids_are_hidden() {
    let session = Session::empty();
    let long = "0123456789abcdef0123456789abcdef01234567";
    let text = format!("{long} abcdefabcd 0123456789. abcdefabcde {}/x", session.dir().display());
    assert_eq!(session.redacted(&text), "<1> <2> <1>. abcdefabcde $DIR/x");
}
