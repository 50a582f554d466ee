//! `gloss demo`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use glossator_store::fs::{Disk, output_file};
use glossator_store::history::Identity;
use serde_json::Value;

use crate::context::Context;
use crate::error::{CliError, Result};

/// Build a store from samples and walk through it
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss demo")]
pub(crate) struct DemoArgs {
    /// Where to make it; a new temporary directory where not given
    dir: Option<PathBuf>,
}

/// Twenty short texts that three people labelled, as Label Studio exports them.
const TEXTS: &[u8] =
    include_bytes!("../../../../tests/data/label-studio-live/text/export/JSON.json");
/// Twenty pictures with boxes and polygons by three people.
const IMAGES: &[u8] =
    include_bytes!("../../../../tests/data/label-studio-live/image/export/JSON.json");

/// A command of the walk, and what it means.
type Step = (&'static str, &'static [&'static str]);

const BEGIN: &[Step] = &[
    ("Make a store. Git holds the history, Parquet the rows.", &["init"]),
    (
        "Import a Label Studio export. Each label decision becomes a row with who made it; the \
         people's e-mail addresses stay in a private file.",
        &["import", "texts.json", "-m", "Texts, first round"],
    ),
    ("A second project joins the same store.", &["import", "images.json"]),
    ("It is staged until it is committed.", &["status"]),
    ("", &["commit", "-m", "Images, first round"]),
    (
        "Import the first export again: nothing changed, so there is no commit.",
        &["import", "texts.json", "-m", "again"],
    ),
    ("Name this version; a training job can pin it.", &["tag", "v1"]),
    ("Correct labels on a branch.", &["switch", "-c", "corrections"]),
    (
        "The tool exports again after the corrections.",
        &["import", "corrected.json", "-m", "Sentiment checked against the guideline"],
    ),
];

const END: &[Step] = &[
    (
        "What did the corrections do? Which label, old to new; a span that moved reads as moved.",
        &["diff", "v1", "corrections"],
    ),
    ("The same in numbers.", &["diff", "v1", "corrections", "--stat"]),
    ("The history, with what each commit changed.", &["log"]),
    ("The whole life of one item.", &["history", "ITEM"]),
    ("Who set a label? Every row says it.", &["ls", "--item", "ITEM", "--at", "v1"]),
    (
        "Give the labels back to the tool: the same JSON that came in, as of v1.",
        &[
            "export",
            "--format",
            "label-studio",
            "--source",
            "SOURCE",
            "--at",
            "v1",
            "-o",
            "texts-again.json",
        ],
    ),
    (
        "Or to training: final answers only, with what was left out and why.",
        &[
            "export",
            "--format",
            "csv",
            "--view",
            "labels",
            "--source",
            "SOURCE",
            "--kind",
            "choice",
            "-o",
            "train.csv",
        ],
    ),
    ("Check every object, commit and invariant.", &["verify"]),
];

pub(crate) fn run(context: &mut Context, args: &DemoArgs) -> Result<u8> {
    let dir = match &args.dir {
        Some(dir) => {
            let dir = context.path(dir);
            if dir.join(".gloss").exists() {
                return Err(CliError::input(format!("`{}` holds a store", dir.display()))
                    .hint("name a directory that does not exist yet"));
            }
            Disk::default().create_dir_all(&dir)?;
            dir
        }
        None => glossator_store::fs::kept_temp_dir("gloss-demo-")?,
    };
    write(&dir, "texts.json", TEXTS)?;
    write(&dir, "images.json", IMAGES)?;
    let (corrected, source, item) = corrected()?;
    write(&dir, "corrected.json", &corrected)?;
    writeln!(context.out(), "A walk through a store in {}", dir.display())?;
    for (meaning, command) in BEGIN.iter().chain(END) {
        let words: Vec<&str> = command
            .iter()
            .map(|word| match *word {
                "ITEM" => item.as_str(),
                "SOURCE" => source.as_str(),
                word => word,
            })
            .collect();
        step(context, &dir, meaning, &words)?;
    }
    let here = dir.display();
    writeln!(context.out(), "\nThe store is yours to try: `cd {here}` and `gloss --help`.")?;
    Ok(0)
}

/// Says what a command means, shows it, and runs it.
fn step(context: &mut Context, dir: &Path, meaning: &str, words: &[&str]) -> Result<()> {
    let shown: Vec<String> = words
        .iter()
        .map(|word| if word.contains(' ') { format!("{word:?}") } else { (*word).to_owned() })
        .collect();
    if !meaning.is_empty() {
        writeln!(context.out(), "\n# {meaning}")?;
    }
    writeln!(context.out(), "$ gloss {}", shown.join(" "))?;
    context.flush()?;
    let parsed =
        crate::args::Args::try_parse_from(std::iter::once("gloss").chain(words.iter().copied()))
            .map_err(|e| CliError::input(e.to_string()))?;
    let mut inner = Context::new(Some(dir.to_owned()), false);
    // The demo runs where git names nobody.
    inner.fallback = Some(Identity {
        name: "Demo".to_owned(),
        email: "demo@example.com".to_owned(),
        seconds: 0,
        offset: 0,
    });
    let code = super::run(&mut inner, &parsed.command)?;
    inner.flush()?;
    if code != 0 {
        return Err(CliError::input(format!("`gloss {}` failed", shown.join(" "))));
    }
    Ok(())
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let mut file = output_file(&path)?;
    file.write_all(bytes)?;
    Ok(file.persist()?)
}

/// The texts with some labels corrected; their source, and an item that was corrected.
fn corrected() -> Result<(Vec<u8>, String, String)> {
    let mut tasks: Value = serde_json::from_slice(TEXTS)?;
    let mut corrected = None;
    let mut moved = false;
    for (at, task) in tasks.as_array_mut().into_iter().flatten().enumerate().take(6) {
        let source = format!("label-studio:{}", task["project"]);
        let item = format!("{source}/{}", task["id"]);
        for annotation in task["annotations"].as_array_mut().into_iter().flatten() {
            for result in annotation["result"].as_array_mut().into_iter().flatten() {
                if result["value"]["choices"] == serde_json::json!(["negative"]) {
                    result["value"]["choices"] = serde_json::json!(["neutral"]);
                    corrected = Some((source.clone(), item.clone()));
                } else if at == 0 && !moved && result["type"] == "labels" {
                    // "Ada Lovelace" becomes "Lovelace".
                    moved = true;
                    result["value"]["start"] = 4.into();
                    result["value"]["text"] = "Lovelace".into();
                }
            }
        }
    }
    let (source, item) =
        corrected.ok_or_else(|| CliError::input("the samples have no label to correct"))?;
    Ok((serde_json::to_vec_pretty(&tasks)?, source, item))
}
