//! Hostile bytes that are kept: every target answers each, within the memory that it may use.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and reads its own files"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use flate2::Compression;
use flate2::write::GzEncoder;
use glossator_store::limits::ROW_GROUP_BYTES_MAX;
use glossator_testkit::fuzz::{TARGETS, run};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The memory that a target may use on any file.
const PEAK_BYTES_MAX: usize = (256 << 20) + 4 * ROW_GROUP_BYTES_MAX;
/// How often an input is mutated.
const MUTATIONS: usize = 8;
/// Samples up to this size are given to every importer.
const SAMPLE_BYTES_MAX: usize = 32 << 10;

/// The bytes that a call takes at most, beyond what was there before. One call at a time: the
/// memory is that of all threads.
fn peak(call: impl FnOnce()) -> usize {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    call();
    MEMORY.peak_usage().saturating_sub(before)
}

#[track_caller]
fn answered(target: &str, what: &str, bytes: &[u8]) {
    let used = peak(|| run(target, bytes));
    assert!(used <= PEAK_BYTES_MAX, "{target}: {what} took {} MiB", used >> 20);
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

/// Every file below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn memory_is_counted() {
    let used = peak(|| drop(std::hint::black_box(vec![1_u8; 32 << 20])));
    assert!((32 << 20..PEAK_BYTES_MAX).contains(&used), "{used}");
}

#[test]
fn every_kept_input_is_answered() {
    let kept = tests().join("corpus");
    for entry in fs::read_dir(&kept).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let inputs = files(&kept.join(&name));
        assert!(!inputs.is_empty(), "{name} has no input");
        for path in inputs {
            answered(&name, &path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

/// The small samples of all tests, whatever they are, given to every importer.
#[test]
fn every_sample_is_answered_by_every_importer() {
    let importers = ["label_studio", "coco", "csv", "tsv", "jsonl", "parquet", "each"];
    for path in files(&tests().join("data")) {
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(SAMPLE_BYTES_MAX);
        for name in importers {
            answered(name, &path.display().to_string(), &bytes);
        }
    }
}

/// Kept inputs and samples with some bytes changed, doubled, taken out or put in: the same at each
/// run.
#[test]
fn mutations_of_kept_inputs_are_answered() {
    let mut seed = 1_u64;
    let mut random = move |below: usize| {
        // Knuth's MMIX generator; its high bits are the random ones.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    };
    let importers = ["label_studio", "coco", "csv", "jsonl"];
    let mut inputs: Vec<(String, PathBuf)> = Vec::new();
    for path in files(&tests().join("corpus")) {
        let target = path.parent().unwrap().file_name().unwrap();
        inputs.push((target.to_str().unwrap().to_owned(), path.clone()));
    }
    let samples = files(&tests().join("data"));
    for path in samples.into_iter().filter(|path| path.metadata().unwrap().len() < 4_000) {
        inputs.extend(importers.map(|name| (name.to_owned(), path.clone())));
    }
    for (target, path) in inputs {
        let whole = fs::read(&path).unwrap();
        for round in 0..MUTATIONS {
            let mut bytes = whole.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                let end = (at + 1 + random(16)).min(bytes.len());
                match random(5) {
                    _ if bytes.is_empty() => {}
                    0 => bytes[at] ^= 1 << random(8),
                    1 => bytes[at] = b"{}[]\",:0-9\n\0\xff"[random(13)],
                    2 => drop(bytes.drain(at..end)),
                    3 => bytes.extend_from_within(at..end),
                    _ => bytes.truncate(at),
                }
            }
            answered(&target, &format!("{} mutated {round} times", path.display()), &bytes);
        }
    }
}

/// Files that are small, or well packed, and ask for much.
#[test]
fn bombs_take_bounded_memory() {
    let zipped = |byte: u8| {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        let chunk = vec![byte; 1 << 20];
        (0..66).for_each(|_| out.write_all(&chunk).unwrap());
        out.finish().unwrap()
    };
    let text = "x".repeat(24 << 20);
    let bombs = [
        ("a cell of 24 MiB", format!("item,label\ni,\"{text}\"\n").into_bytes()),
        ("a member of 24 MiB", format!("{{\"item\":\"i\",\"label\":\"{text}\"}}").into_bytes()),
        ("a task of 24 MiB", format!("[{{\"id\":1,\"data\":{{\"t\":\"{text}\"}}}}]").into_bytes()),
        ("66 MiB of spaces", zipped(b' ')),
        ("66 MiB of quotes", zipped(b'"')),
        ("66 MiB of brackets", zipped(b'[')),
        ("a million columns", b"a,".repeat(1 << 20)),
        ("a million brackets", b"[".repeat(1 << 20)),
        ("a million objects", b"{\"a\":".repeat(1 << 20)),
    ];
    for (what, bytes) in &bombs {
        for name in ["label_studio", "coco", "csv", "jsonl"] {
            answered(name, what, bytes);
        }
    }
}

/// Every target has an input of its own, or is an importer, which the samples are for.
#[test]
fn no_target_is_without_input() {
    for (name, _) in TARGETS {
        let sampled = ["label_studio", "coco", "csv", "tsv", "jsonl"].contains(name);
        assert!(sampled || tests().join("corpus").join(name).is_dir(), "{name}");
    }
}
