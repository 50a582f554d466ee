//! `gloss consensus`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use glossator_quality::aggregate::{Decision, Method, decide};
use glossator_quality::unit::Field;
use glossator_store::fs::{OutputFile, output_file};
use glossator_store::id::CommitId;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::answers::{AnswerArgs, at, read};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::render::{lines, number, plain, shortened, table};

/// Ties that people are shown.
const TIES_SHOWN_MAX: usize = 20;

/// How votes become one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// Each vote counts 1
    Majority,
    /// A vote counts as often as its annotator is with the majority
    Weighted,
    /// By the posterior of Dawid and Skene's model
    DawidSkene,
}

impl MethodName {
    fn name(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Weighted => "weighted",
            Self::DawidSkene => "dawid-skene",
        }
    }
}

/// Decide one label for each item out of many answers
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gloss consensus --method dawid-skene --export labels.jsonl\n  \
    gloss consensus v1 --method weighted --soft --export labels.csv\n\n\
    A view: votes stay what they are. Rejected answers and gold do not vote. Where answers are \
    tied, the line has no label and lists them under `tied`, for somebody to decide. `--soft` \
    adds all labels with their shares: of votes, of weight, or probabilities."
)]
pub(crate) struct ConsensusArgs {
    /// At this commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// How votes become one answer
    #[arg(long, value_enum, default_value = "majority")]
    method: MethodName,
    /// Write the answers here, as JSON Lines or, where the name ends in `.csv`, as CSV
    #[arg(long, value_name = "PATH")]
    export: Option<PathBuf>,
    /// With all labels and their shares
    #[arg(long, requires = "export")]
    soft: bool,
    #[command(flatten)]
    answers: AnswerArgs,
}

/// One field's decisions, as `--json` prints it.
#[derive(Serialize)]
struct FieldSummary<'f> {
    field: &'f str,
    kind: &'f str,
    questions: u64,
    decided: u64,
    tied: u64,
    /// Why nothing was decided.
    undefined: Option<&'static str>,
}

/// Answers to one question that are tied.
#[derive(Serialize)]
struct Tie {
    item: String,
    target: Option<String>,
    region: Option<String>,
    field: String,
    tied: Vec<Value>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary<'f> {
    commit: CommitId,
    method: &'static str,
    fields: Vec<FieldSummary<'f>>,
    ties: Vec<Tie>,
}

/// A label; of fields with sets of labels a list.
fn value(field: &Field, labels: &[u32]) -> Value {
    let text = |label: u32| Value::from(field.labels.all[label as usize].as_str());
    match labels {
        [one] if !field.has_sets => text(*one),
        labels => labels.iter().map(|&label| text(label)).collect(),
    }
}

/// The answers that are tied, in the order of their texts.
fn tied(field: &Field, decision: &Decision) -> Vec<Value> {
    let mut tied: Vec<Value> = decision.winners.iter().map(|set| value(field, set)).collect();
    tied.sort_by_cached_key(Value::to_string);
    tied
}

/// Target and region of a question.
fn part(field: &Field, unit: usize) -> (Option<String>, Option<String>) {
    let (target, region) = field.parts.get(&(unit as u32)).cloned().unwrap_or_default();
    let some = |text: String| (!text.is_empty()).then_some(text);
    (some(target), some(region))
}

/// One line of the file.
fn line(field: &Field, decision: &Decision, method: &str, soft: bool) -> Map<String, Value> {
    let (target, region) = part(field, decision.unit);
    let (label, tied) = match &decision.winners[..] {
        [one] => (value(field, one), Value::Null),
        _ => (Value::Null, tied(field, decision).into()),
    };
    let mut line = Map::new();
    line.insert("item".to_owned(), json!(field.units[decision.unit]));
    line.insert("target".to_owned(), json!(target));
    line.insert("region".to_owned(), json!(region));
    line.insert("field".to_owned(), json!(field.name));
    line.insert("label".to_owned(), label);
    line.insert("share".to_owned(), json!(decision.share));
    line.insert("votes".to_owned(), json!(decision.votes));
    line.insert("tied".to_owned(), tied);
    line.insert("method".to_owned(), json!(method));
    if soft {
        let shares = decision
            .shares
            .iter()
            .map(|(labels, share)| json!({"label": value(field, labels), "share": share}));
        line.insert("soft".to_owned(), shares.collect());
    }
    line
}

/// Where lines go: a file that is there whole, or not at all.
enum Output {
    Lines(OutputFile),
    Csv(Box<csv::Writer<OutputFile>>, bool),
}

fn failed(error: csv::Error) -> CliError {
    CliError::from(std::io::Error::from(error))
}

impl Output {
    fn new(path: &Path) -> Result<Self> {
        let file = output_file(path)?;
        Ok(match path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv")) {
            true => Self::Csv(Box::new(csv::Writer::from_writer(file)), false),
            false => Self::Lines(file),
        })
    }

    fn write(&mut self, line: &Map<String, Value>) -> Result<()> {
        match self {
            Self::Lines(file) => {
                serde_json::to_writer(&mut *file, line)?;
                file.write_all(b"\n")?;
            }
            Self::Csv(file, begun) => {
                if !std::mem::replace(begun, true) {
                    file.write_record(line.keys()).map_err(failed)?;
                }
                // Lists stand in their cell as JSON.
                let cell = |value: &Value| match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                file.write_record(line.values().map(cell)).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let file = match self {
            Self::Lines(file) => file,
            Self::Csv(file, _) => file.into_inner().map_err(csv::IntoInnerError::into_error)?,
        };
        Ok(file.persist()?)
    }
}

pub(crate) fn run(context: &mut Context, args: &ConsensusArgs) -> Result<u8> {
    let store = context.store()?;
    let (commit, snapshot) = at(&store, args.revision.as_deref())?;
    let answers = read(&snapshot, &args.answers)?;
    let method = match args.method {
        MethodName::Majority => Method::Majority,
        MethodName::Weighted => Method::Weighted,
        MethodName::DawidSkene => Method::DawidSkene,
    };
    let path = args.export.as_ref().map(|path| context.path(path));
    let mut output = path.as_deref().map(Output::new).transpose()?;
    let mut summary =
        Summary { commit, method: args.method.name(), fields: Vec::new(), ties: Vec::new() };
    for field in &answers.fields {
        let decided = decide(field, method);
        let (decisions, undefined) = match decided {
            Ok(decisions) => (decisions, None),
            Err(why) => (Vec::new(), Some(why.0)),
        };
        let is_tied = |decision: &&Decision| decision.winners.len() > 1;
        for decision in decisions.iter().filter(is_tied) {
            let (target, region) = part(field, decision.unit);
            let tied = tied(field, decision);
            let item = field.units[decision.unit].clone();
            summary.ties.push(Tie { item, target, region, field: field.name.clone(), tied });
        }
        if let Some(output) = &mut output {
            for decision in &decisions {
                output.write(&line(field, decision, summary.method, args.soft))?;
            }
        }
        let tied = decisions.iter().filter(is_tied).count() as u64;
        summary.fields.push(FieldSummary {
            field: &field.name,
            kind: &field.kind,
            questions: decisions.len() as u64,
            decided: decisions.len() as u64 - tied,
            tied,
            undefined,
        });
    }
    if let Some(output) = output {
        output.finish()?;
    }
    if context.json {
        context.json_line(&summary)?;
    } else {
        show(context, &summary, args.export.as_deref())?;
    }
    Ok(0)
}

fn show(context: &mut Context, summary: &Summary<'_>, path: Option<&Path>) -> Result<()> {
    let out = context.out();
    let (commit, method) = (summary.commit.short(), summary.method);
    writeln!(out, "commit {commit}, method {method}")?;
    let mut rows = table(&["field", "questions", "decided", "tied"]);
    for field in &summary.fields {
        rows.add_row([
            shortened(field.field, 40),
            number(field.questions),
            number(field.decided),
            number(field.tied),
        ]);
    }
    writeln!(out, "{}", lines(&rows))?;
    for field in &summary.fields {
        if let Some(why) = field.undefined {
            writeln!(out, "{}: not decided, because {why}", plain(field.field))?;
        }
    }
    for tie in summary.ties.iter().take(TIES_SHOWN_MAX) {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let tied: Vec<String> = tie.tied.iter().map(text).collect();
        let (item, tied) = (shortened(&tie.item, 40), shortened(&tied.join(" = "), 40));
        writeln!(out, "tied: {item} {}: {tied}", shortened(&tie.field, 16))?;
    }
    if summary.ties.len() > TIES_SHOWN_MAX {
        let more = (summary.ties.len() - TIES_SHOWN_MAX) as u64;
        writeln!(out, "and {} more ties: `--json` has all", number(more))?;
    }
    if let Some(path) = path {
        writeln!(out, "wrote {}", plain(&path.display().to_string()))?;
    }
    Ok(())
}
