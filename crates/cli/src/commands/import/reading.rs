//! How files are read: arguments that `import` and `convert` share.

use std::path::PathBuf;

use clap::Args;
use glossator_formats::ImportOptions;

use crate::context::Context;
use crate::error::{CliError, Result};

/// How the records of files become rows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Reading {
    /// Namespace of the ids in the files
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Which column of a table is what: `item=question`, `geometry=x,y,w,h`
    #[arg(long, value_name = "OURS=THEIRS")]
    pub map: Vec<String>,
    /// Make a row of each entry of this nested array
    #[arg(long, value_name = "PATH")]
    pub each: Option<String>,
    /// Unit of integer times: s, ms, us or ns
    #[arg(long, value_name = "UNIT")]
    pub time_unit: Option<String>,
    /// What a word of a column means: `status:approved=accepted`
    #[arg(long, value_name = "COLUMN:FROM=TO")]
    pub value: Vec<String>,
    /// Reference answers to the same fields, as a table
    #[arg(long, value_name = "FILE")]
    pub gold: Option<PathBuf>,
    /// Images and categories of COCO results
    #[arg(long, value_name = "FILE")]
    pub images: Option<PathBuf>,
    /// The version of a policy that rows without one were made under
    #[arg(long, value_name = "NAME@VERSION")]
    pub policy: Option<String>,
    /// Take the good records and write the bad ones, with reasons, to this file
    #[arg(long, value_name = "FILE")]
    pub quarantine: Option<PathBuf>,
}

impl Reading {
    /// As importers take it.
    pub(super) fn options(&self, context: &Context) -> Result<ImportOptions> {
        let pair = |text: &str, what: &str| {
            text.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).ok_or_else(|| {
                CliError::input(format!("`{text}` is not of the form {what}"))
                    .hint("`gloss import --help` has examples")
            })
        };
        let mut map = Vec::new();
        for text in &self.map {
            let (ours, theirs) = pair(text, "OURS=THEIRS")?;
            map.push((ours, theirs.split(',').map(str::to_owned).collect()));
        }
        let mut values = Vec::new();
        for text in &self.value {
            let (left, to) = pair(text, "COLUMN:FROM=TO")?;
            let (column, from) = left.split_once(':').ok_or_else(|| {
                CliError::input(format!("`{text}` is not of the form COLUMN:FROM=TO"))
                    .hint("for example `--value status:approved=accepted`")
            })?;
            values.push((column.to_owned(), from.to_owned(), to));
        }
        Ok(ImportOptions {
            source: self.source.clone(),
            map,
            each: self.each.clone(),
            time_unit: self.time_unit.clone(),
            values,
            images: self.images.as_ref().map(|path| context.path(path)),
            gold: false,
        })
    }
}
