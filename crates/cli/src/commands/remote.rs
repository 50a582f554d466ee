//! `gloss remote`

use std::io::Write;

use clap::{Args, Subcommand};
use glossator_store::remote::{Probe, Remote, RemoteConfig, RemoteEntry};

use crate::context::Context;
use crate::error::Result;
use crate::network::{entry_of, open};
use crate::render::plain;

/// Add, list, remove or check the places that the store is pushed to
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss remote add origin s3://team-labels/vehicles\n  \
    gloss remote add backup file:///mnt/labels\n  gloss remote check\n\n\
    Credentials and endpoints come from the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, \
    AWS_ENDPOINT_URL, AWS_REGION, GOOGLE_APPLICATION_CREDENTIALS, …) and are never stored.")]
pub(crate) struct RemoteArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Name a place, once it is known to be safe to push to
    #[command(after_help = "Example: gloss remote add origin s3://team-labels/vehicles")]
    Add {
        /// Its name here
        name: String,
        /// s3://bucket/prefix, gs://bucket/prefix or file:///directory
        url: String,
        /// Do not ask the place anything yet; the first push does
        #[arg(long)]
        no_check: bool,
        /// Who the annotators are travels there, too: names and addresses that tools gave
        #[arg(long)]
        with_people: bool,
    },
    /// List remotes
    #[command(after_help = "Example: gloss remote list")]
    List,
    /// Forget a remote and where its branches were; nothing is removed there
    #[command(after_help = "Example: gloss remote remove backup")]
    Remove {
        /// Its name
        name: String,
    },
    /// Probe what pushes rely on: conditional writes, ranges, lists, clocks
    #[command(after_help = "Example: gloss remote check origin")]
    Check {
        /// Its name, or an address
        #[arg(value_name = "NAME|URL")]
        remote: Option<String>,
    },
}

pub(crate) fn run(context: &mut Context, args: &RemoteArgs) -> Result<u8> {
    match &args.what {
        What::Add { name, url, no_check, with_people } => {
            let (url, checked, with_people) = (url.clone(), !no_check, *with_people);
            add(context, name, RemoteEntry { url, checked, with_people, rows_stay: false })
        }
        What::List => list(context),
        What::Remove { name } => remove(context, name),
        What::Check { remote } => check(context, remote.as_deref()),
    }
}

fn add(context: &mut Context, name: &str, entry: RemoteEntry) -> Result<u8> {
    let store = context.store()?;
    // Whether the name will do, before anything is asked of the place.
    RemoteConfig::read(&store)?.add(name, entry.clone())?;
    let remote = open(context, &entry.url)?;
    if entry.checked {
        probe(&remote)?;
    }
    let url = entry.url.clone();
    RemoteConfig::change(&store, |config| config.add(name, entry))?;
    tell(context, name, &url, "added")
}

fn tell(context: &mut Context, name: &str, url: &str, done: &str) -> Result<u8> {
    if context.json {
        let line = serde_json::json!({"remote": name, "url": url, "done": done});
        context.json_line(&line)?;
    } else {
        writeln!(context.out(), "{done} remote {} at {}", plain(name), plain(url))?;
    }
    Ok(0)
}

fn list(context: &mut Context) -> Result<u8> {
    let store = context.store()?;
    for (name, entry) in RemoteConfig::read(&store)?.remotes {
        if context.json {
            let line = serde_json::json!({"remote": name, "url": entry.url});
            context.json_line(&line)?;
        } else {
            writeln!(context.out(), "{}  {}", plain(&name), plain(&entry.url))?;
        }
    }
    Ok(0)
}

fn remove(context: &mut Context, name: &str) -> Result<u8> {
    let store = context.store()?;
    let (_, who) = context.identities(&store)?;
    let entry = glossator_store::remote::forget(&store, name, &who)?;
    tell(context, name, &entry.url, "removed")
}

fn check(context: &mut Context, name: Option<&str>) -> Result<u8> {
    let url = match name {
        Some(url) if url.contains("://") => url.to_owned(),
        name => entry_of(&context.store()?, name)?.1.url,
    };
    let found = probe(&open(context, &url)?)?;
    if context.json {
        let line = serde_json::json!({
            "url": url,
            "works": found.works,
            "clock_ahead_seconds": found.clock_ahead_seconds,
            "holds_store": found.holds_store,
        });
        context.json_line(&line)?;
        return Ok(0);
    }
    let out = context.out();
    for what in &found.works {
        writeln!(out, "ok  {what}")?;
    }
    if let Some(ahead) = found.clock_ahead_seconds {
        writeln!(out, "warning: its clock is {ahead} s ahead of the one here")?;
    }
    let holds = if found.holds_store { "a store was pushed there" } else { "nothing is there yet" };
    writeln!(out, "{} is safe to push to; {holds}", plain(&url))?;
    Ok(0)
}

/// Probes, by the clock of this machine.
pub(crate) fn probe(remote: &Remote) -> Result<Probe> {
    Ok(remote.probe(jiff::Timestamp::now().as_second())?)
}
