//! `gloss policy`

mod change;
mod diff;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use glossator_lineage::policy::{ImportFormat, Redo};

use crate::context::Context;
use crate::error::Result;

/// What was asked, with which labels: policies, version by version
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss policy import vehicles label-config.xml\n  \
    gloss policy rename vehicles label car automobile\n  gloss policy diff vehicles 1 2\n\n\
    A policy is policies/NAME/ in the tree of each commit: policy.toml, guideline.md and \
    label-config.xml. A label that a later version renamed, or merged with others, is read under \
    its new name everywhere; no row is rewritten.")]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Make a policy, or its next version
    #[command(after_help = "Examples:\n  gloss policy add vehicles --field label=car,van\n  \
        gloss policy add vehicles --file policy.toml --guideline guideline.md\n\n\
        A label that is gone from the file has to stand in one of its `[[change]]`s. A changed \
        guideline has to say what it makes void: `--redo none`, `rows` or `items`.")]
    Add(AddArgs),
    /// Make a policy of what a tool knows of its labels
    #[command(after_help = "Example: gloss policy import vehicles label-config.xml")]
    Import {
        /// The policy
        name: String,
        /// A Label Studio configuration, COCO categories, a CVAT label list, a Labelbox ontology
        file: PathBuf,
        /// Whose it is; told by its content where not given
        #[arg(long, value_enum)]
        format: Option<FormatName>,
    },
    /// Show a policy
    #[command(after_help = "Example: gloss policy show vehicles --at v1")]
    Show {
        /// The policy
        name: String,
        /// At this commit
        #[arg(long, value_name = "REV")]
        at: Option<String>,
    },
    /// List policies
    #[command(after_help = "Example: gloss policy list")]
    List {
        /// At this commit
        #[arg(long, value_name = "REV")]
        at: Option<String>,
    },
    /// Show the commits that changed a policy, newest first
    #[command(after_help = "Example: gloss policy log vehicles")]
    Log {
        /// The policy
        name: String,
    },
    /// Show what changed between two versions, and the rows that it means
    #[command(after_help = "Example: gloss policy diff vehicles 1 2")]
    Diff {
        /// The policy
        name: String,
        /// The earlier version
        old: String,
        /// The later version; the latest where not given
        new: Option<String>,
    },
    /// List labels that no policy knows; the exit code is 1 where there are any
    #[command(after_help = "Example: gloss policy check")]
    Check {
        /// At this commit
        #[arg(value_name = "REV")]
        revision: Option<String>,
    },
    /// Write a Label Studio configuration that asks a policy's questions
    #[command(after_help = "Example: gloss policy export vehicles -o label-config.xml")]
    Export {
        /// The policy
        name: String,
        /// Where to write; standard output where not given
        #[arg(short, long, value_name = "PATH")]
        output: Option<PathBuf>,
    },
    /// Give a label another name, in a version of its own; no row is rewritten
    #[command(after_help = "Example: gloss policy rename vehicles label car automobile")]
    Rename {
        /// The policy
        name: String,
        /// The field
        field: String,
        /// The label's name
        from: String,
        /// Its new name
        to: String,
    },
    /// Claim that rows without a policy were made under this version
    #[command(after_help = "Example: gloss policy attach vehicles@1")]
    Attach {
        /// NAME@VERSION
        policy: String,
    },
}

/// What a version of a policy is made of.
#[derive(Debug, Args)]
struct AddArgs {
    /// The policy
    name: String,
    /// Its policy.toml; of the next version, a file with a higher `version`
    #[arg(long, value_name = "FILE", conflicts_with = "field")]
    file: Option<PathBuf>,
    /// A question and its labels; without labels, any
    #[arg(long, value_name = "FIELD[=LABEL,…]")]
    field: Vec<String>,
    /// The text that annotators read
    #[arg(long, value_name = "FILE")]
    guideline: Option<PathBuf>,
    /// The configuration of the labelling tool
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What has to be labelled again under a changed guideline
    #[arg(long, value_enum)]
    redo: Option<RedoName>,
    /// Why it was changed
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The message of the commit
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
}

/// What has to be labelled again, as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RedoName {
    /// Nothing
    None,
    /// Rows
    Rows,
    /// Every item
    Items,
}

impl From<RedoName> for Redo {
    fn from(redo: RedoName) -> Self {
        match redo {
            RedoName::None => Self::None,
            RedoName::Rows => Self::Rows,
            RedoName::Items => Self::Items,
        }
    }
}

/// A tool, as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    /// Label Studio's labelling configuration
    LabelStudio,
    /// A COCO file
    Coco,
    /// CVAT's list of labels
    Cvat,
    /// A Labelbox ontology
    Labelbox,
}

impl From<FormatName> for ImportFormat {
    fn from(format: FormatName) -> Self {
        match format {
            FormatName::LabelStudio => Self::LabelStudio,
            FormatName::Coco => Self::Coco,
            FormatName::Cvat => Self::Cvat,
            FormatName::Labelbox => Self::Labelbox,
        }
    }
}

pub(crate) fn run(context: &mut Context, args: &PolicyArgs) -> Result<u8> {
    use PolicyCommand as C;
    match &args.command {
        C::Add(args) => change::add(context, args),
        C::Import { name, file, format } => change::import(context, name, file, *format),
        C::Rename { name, field, from, to } => {
            change::rename(context, name, field, from.clone(), to.clone())
        }
        C::Attach { policy } => change::attach(context, policy),
        C::Show { name, at } => show::show(context, name, at.as_deref()),
        C::List { at } => show::list(context, at.as_deref()),
        C::Log { name } => show::log(context, name),
        C::Diff { name, old, new } => diff::diff(context, name, old, new.as_deref()),
        C::Check { revision } => show::check(context, revision.as_deref()),
        C::Export { name, output } => show::export(context, name, output.as_deref()),
    }
}
