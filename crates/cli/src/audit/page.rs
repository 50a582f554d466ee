//! The bundle as one page that people read: no script, nothing from elsewhere.

use std::collections::HashMap;
use std::io::Write;

use glossator_store::CommitId;
use glossator_store::notes::Notes;
use glossator_store::schema::ANNOTATIONS;
use glossator_store::signing::{SignatureLine, Subject};

use super::{Audit, Told};
use crate::error::Result;
use crate::render::{counts, number, plain, row};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:72em;\
    padding:0 1em;color:#222}table{border-collapse:collapse;width:100%;margin:1em 0}\
    th,td{text-align:left;vertical-align:top;padding:.3em .7em;border-bottom:1px solid #ddd;\
    overflow-wrap:anywhere}td.n{text-align:right;font-variant-numeric:tabular-nums}\
    th,td:first-child code{white-space:nowrap}\
    code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f6f6f6;padding:1em;\
    overflow-x:auto;white-space:pre-wrap}.good{color:#176c2c}.bad{color:#a40e26;font-weight:600}";

/// Writes the page.
pub(super) fn write(audit: &Audit<'_>, out: &mut dyn Write, told: &Told<'_>) -> Result<()> {
    let tip = audit.tip.to_string();
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Audit of {}</title><style>{STYLE}</style></head><body>\n\
         <h1>Audit of labels</h1>\n",
        &tip[..10]
    )?;
    let since = audit.base.map_or("the beginning".to_owned(), |base| base.to_string());
    writeln!(
        out,
        "<p>{} commits up to <code>{tip}</code>, since {since}, of the store <code>{}</code>. \
         This page is a reading of the files beside it and is not itself checked: \
         <code>python3 check.py</code> checks them. README.md says what each check shows.</p>",
        number(told.commits.len() as u64),
        escaped(&audit.store.facts().store_id),
    )?;
    history(audit, out, told)?;
    people(out, told)?;
    reviews(out, told)?;
    others(out, told)?;
    policies(audit, out)?;
    notes(audit, out)?;
    writeln!(out, "</body></html>")?;
    Ok(())
}

fn history(audit: &Audit<'_>, out: &mut dyn Write, told: &Told<'_>) -> Result<()> {
    let of_commits = told.signatures.iter().filter(|line| line.subject == Subject::Commit);
    let signed: HashMap<CommitId, &SignatureLine> =
        of_commits.map(|line| (line.commit, line)).collect();
    head(out, "Commits", &["Commit", "When", "Who", "What", "Annotations", "Signature"])?;
    for id in told.commits {
        let about = audit.store.history.commit(*id)?;
        let change = audit.store.change(*id)?.counts(ANNOTATIONS.name);
        let signature = signed.get(id).map(|line| signature(line)).unwrap_or_default();
        let cells = [
            format!("<code>{}</code>", id.short()),
            escaped(&row::seconds(about.author.seconds, about.author.offset)),
            escaped(&about.author.name),
            escaped(about.title()),
            escaped(&counts(&change)),
            signature,
        ];
        cells_of(out, &cells)?;
    }
    Ok(writeln!(out, "</table>")?)
}

fn signature(line: &SignatureLine) -> String {
    let word = line.checked.result.word();
    let class = match word {
        "good" => "good",
        "bad" => "bad",
        _ => "",
    };
    let whose = line.checked.signer.as_deref().or(line.checked.key.as_deref()).unwrap_or_default();
    format!("<span class=\"{class}\">{word}</span> {}", escaped(whose))
}

fn people(out: &mut dyn Write, told: &Told<'_>) -> Result<()> {
    head(out, "Who decided what is live", &["Annotator", "Origin", "Policy", "Status", "Rows"])?;
    for (decided, rows) in &told.decided {
        let policy = decided.policy.as_deref().unwrap_or("unstated");
        let texts = [&*decided.annotator, &*decided.origin, policy, &*decided.status];
        let mut cells: Vec<String> = texts.iter().map(|text| escaped(text)).collect();
        cells.push(number(*rows));
        cells_of(out, &cells)?;
    }
    Ok(writeln!(out, "</table>")?)
}

fn reviews(out: &mut dyn Write, told: &Told<'_>) -> Result<()> {
    head(out, "Reviews", &["Reviewer", "Decision", "Reviews"])?;
    for ((reviewer, decision), count) in &told.reviewed {
        cells_of(out, &[escaped(reviewer), escaped(decision), number(*count)])?;
    }
    Ok(writeln!(out, "</table>")?)
}

/// Signatures of tags and delivered files.
fn others(out: &mut dyn Write, told: &Told<'_>) -> Result<()> {
    head(out, "Signed tags and delivered files", &["What", "Name", "Commit", "Signature"])?;
    for line in told.signatures.iter().filter(|line| line.subject != Subject::Commit) {
        let what = if line.subject == Subject::Tag { "tag" } else { "file" };
        let name = line.name.as_deref().unwrap_or_default();
        let commit = format!("<code>{}</code>", line.commit.short());
        cells_of(out, &[what.to_owned(), escaped(name), commit, signature(line)])?;
    }
    Ok(writeln!(out, "</table>")?)
}

fn policies(audit: &Audit<'_>, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "<h2>Policies</h2>")?;
    for (path, bytes) in audit.store.policy_files(audit.tip)? {
        let text = String::from_utf8_lossy(&bytes);
        // Line by line: what is a line end stays one, what is another control is spelled out.
        let lines: Vec<String> = text.lines().map(escaped).collect();
        let (path, lines) = (escaped(&path), lines.join("\n"));
        writeln!(out, "<details><summary>{path}</summary><pre>{lines}</pre></details>")?;
    }
    Ok(())
}

fn notes(audit: &Audit<'_>, out: &mut dyn Write) -> Result<()> {
    for (title, notes) in [("Training runs", Notes::Runs), ("Quality reports", Notes::Quality)] {
        head(out, title, &["Commit", "Record"])?;
        for (commit, note) in audit.store.notes(notes, None)? {
            let commit = format!("<code>{}</code>", commit.short());
            cells_of(out, &[commit, format!("<code>{}</code>", escaped(&note))])?;
        }
        writeln!(out, "</table>")?;
    }
    Ok(())
}

fn head(out: &mut dyn Write, title: &str, columns: &[&str]) -> Result<()> {
    let columns: String = columns.iter().map(|name| format!("<th>{name}</th>")).collect();
    Ok(writeln!(out, "<h2>{title}</h2>\n<table><tr>{columns}</tr>")?)
}

fn cells_of(out: &mut dyn Write, cells: &[String]) -> Result<()> {
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    Ok(writeln!(out, "<tr>{cells}</tr>")?)
}

/// A text from data as HTML, with its control characters spelled out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
