//! The house rules that a machine can check.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LINE_COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 800;
const TEST_FILE_LINES_MAX: usize = 1_500;
const FUNCTION_LINES_MAX: usize = 100;
const BLOB_BYTES_MAX: u64 = 256 << 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn tracked() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(listed.status.success(), "git ls-files failed");
    let text = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<PathBuf> =
        text.split('\0').filter(|p| !p.is_empty()).map(PathBuf::from).collect();
    assert!(files.len() > 50, "the checkout is whole");
    files.into_iter().filter(|path| root().join(path).is_file()).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    tracked()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

#[test]
fn files_functions_and_lines_are_short() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let name = path.display();
        let lines: Vec<&str> = text.lines().collect();
        let most = if is_test(&path) { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
        if lines.len() > most {
            found.push(format!("{name}: {} lines, more than {most}", lines.len()));
        }
        let mut function: Option<(usize, &str, usize)> = None;
        for (at, line) in lines.iter().enumerate() {
            let number = at + 1;
            if line.chars().count() > LINE_COLUMNS_MAX && !line.contains("http") {
                found.push(format!("{name}:{number}: more than {LINE_COLUMNS_MAX} columns"));
            }
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            let begins = ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "async fn "]
                .iter()
                .any(|prefix| code.starts_with(prefix));
            if begins && function.is_none() && !code.ends_with(';') {
                function = Some((number, code, indent));
            }
            if let Some((start, code, depth)) = function {
                let ends = indent == depth && line.trim_start().starts_with('}');
                let one_line = number == start && line.trim_end().ends_with('}');
                if ends || one_line {
                    let length = number - start + 1;
                    if length > FUNCTION_LINES_MAX {
                        found.push(format!("{name}:{start}: {length} lines: {code}"));
                    }
                    function = None;
                } else if indent == depth && number > start && code_is_declaration(line) {
                    // A function of a trait, without a body.
                    function = None;
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn code_is_declaration(line: &str) -> bool {
    line.trim_end().ends_with(';') && line.trim_start().starts_with(')')
}

#[test]
fn nothing_is_left_half_done() {
    let mut found = Vec::new();
    // Put together so that this file does not hold them.
    let words = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "#[ig".to_owned() + "nore"];
    for (path, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
            }
            // `matches!(…);` as a statement checks nothing.
            if line.trim_start().starts_with("matches!(") && line.trim_end().ends_with(");") {
                found.push(format!("{}:{}: a bare matches!", path.display(), at + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_large_blobs() {
    let allowed = |path: &Path| {
        path.starts_with("assets/vendor")
            || path.starts_with("tests/data")
            || path.ends_with("Cargo.lock")
    };
    for path in tracked() {
        let bytes = fs::metadata(root().join(&path)).unwrap().len();
        assert!(bytes <= BLOB_BYTES_MAX || allowed(&path), "{}: {bytes} bytes", path.display());
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let manifest = fs::read_to_string(root().join("crates/cli/Cargo.toml")).unwrap();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(manifest.contains(&format!("../../tests/{name}")), "{name} is never run");
        }
        if path.join("main.rs").is_file() {
            let dir = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(manifest.contains(&format!("../../tests/{dir}/main.rs")), "{dir} is never run");
            let text = fs::read_to_string(path.join("main.rs")).unwrap();
            for module in fs::read_dir(&path).unwrap() {
                let module = module.unwrap().path();
                let stem = module.file_stem().unwrap().to_string_lossy().into_owned();
                if module.extension().is_some_and(|e| e == "rs") && stem != "main" {
                    assert!(text.contains(&format!("mod {stem};")), "{stem} is never run");
                }
            }
        }
    }
}

/// Dependencies point one way: cli → lineage | quality | formats → store.
#[test]
fn crates_depend_one_way() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let listed = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo tells the packages");
    let metadata: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let allowed: &[(&str, &[&str])] = &[
        ("glossator-store", &[]),
        ("glossator-formats", &["glossator-store"]),
        ("glossator-lineage", &["glossator-store"]),
        ("glossator-quality", &["glossator-store"]),
        ("glossator-testkit", &["glossator-formats", "glossator-store"]),
        (
            "glossator",
            &["glossator-store", "glossator-formats", "glossator-lineage", "glossator-quality"],
        ),
    ];
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), allowed.len(), "a crate without a rule");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let (_, may) = allowed.iter().find(|(n, _)| *n == name).expect("a crate with a rule");
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            let ours = on.starts_with("glossator") && dependency["kind"].is_null();
            assert!(!ours || may.contains(&on), "{name} must not depend on {on}");
        }
    }
}

/// A planted bug that does not fit the code any more proves nothing.
#[test]
fn planted_bugs_fit_the_code() {
    let mut tried = 0;
    for path in tracked().into_iter().filter(|path| path.starts_with("tests/planted")) {
        let fits = Command::new("git")
            .args(["apply", "--check"])
            .arg(&path)
            .current_dir(root())
            .output()
            .expect("git looks at the patch");
        let said = String::from_utf8_lossy(&fits.stderr);
        assert!(fits.status.success(), "{}: {said}", path.display());
        tried += 1;
    }
    assert!(tried >= 12, "{tried} planted bugs");
}
