//! `gloss verify --signatures`

use std::collections::BTreeMap;
use std::io::Write;

use glossator_store::Store;
use glossator_store::signing::{SignatureLine, Subject, Verdict};

use super::verify::VerifyArgs;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::render::{number, plain};
use crate::signing::checker;

/// The exit code where a signature is bad, or one that is required is missing.
const NOT_SIGNED: u8 = 1;

/// Checks every signature, prints what was found of each, and gives the exit code.
pub(super) fn run(context: &mut Context, store: &Store, args: &VerifyArgs) -> Result<u8> {
    let allowed = args.allowed_signers.as_ref().map(|path| context.path(path));
    let checker = checker(store, allowed)?;
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failed = false;
    store.check_signatures::<CliError>(&checker, None, &mut |line| {
        *found.entry(line.checked.result.word()).or_default() += 1;
        failed |= match line.checked.result {
            Verdict::Good => false,
            Verdict::Bad => true,
            Verdict::UnknownKey | Verdict::Unsigned => args.require,
        };
        match context.json {
            true => context.json_line(line),
            false => Ok(writeln!(context.out(), "{}", text(line))?),
        }
    })?;
    if !context.json {
        let found: Vec<String> =
            found.iter().map(|(word, count)| format!("{} {word}", number(*count))).collect();
        let found = if found.is_empty() { "nothing to check".to_owned() } else { found.join(", ") };
        writeln!(context.out(), "{found}")?;
        if checker.allowed_signers().is_none() {
            context.note(
                "hint: no SSH key is known: name a file of allowed signers with \
                 `--allowed-signers FILE` or git's `gpg.ssh.allowedSignersFile`",
            )?;
        }
    }
    Ok(if failed { NOT_SIGNED } else { 0 })
}

fn text(line: &SignatureLine) -> String {
    let commit = line.commit.short();
    let what = match (line.subject, &line.name) {
        (Subject::Commit, _) => format!("commit {commit}"),
        (Subject::Tag, name) => {
            format!("tag {} at {commit}", plain(name.as_deref().unwrap_or_default()))
        }
        (Subject::Batch, name) => {
            format!("file {} in {commit}", plain(name.as_deref().unwrap_or_default()))
        }
    };
    let mut text = format!("{:<11}  {what}", line.checked.result.word());
    for part in [&line.checked.signer, &line.checked.key].into_iter().flatten() {
        text.push_str(&format!("  {}", plain(part)));
    }
    if let Some(detail) = &line.checked.detail {
        text.push_str(&format!("  ({})", plain(detail)));
    }
    text
}
