//! Delivered files that whoever delivered them signed: checked before anything of them is read.

use std::io::Read;

use glossator_formats::Input;
use glossator_store::signing::{BATCH_NAMESPACE, BatchSignature, Verdict};
use glossator_store::{Digest, Error as StoreError, Store};
use serde::Serialize;

use super::ImportArgs;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::signing::checker;

/// Bytes of a signature's file that are read at most.
const SIGNATURE_BYTES_MAX: u64 = 1 << 20;

/// A file whose signature is good.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The digest of the bytes that were checked.
    pub(super) digest: Digest,
    pub(super) signature: BatchSignature,
    pub(super) told: Told,
}

/// Who signed a file, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Told {
    file: String,
    pub(super) signer: Option<String>,
    pub(super) key: Option<String>,
}

impl Told {
    /// The same, for people.
    pub(super) fn text(&self) -> String {
        let signer = self.signer.as_deref().unwrap_or_default();
        format!("{} is signed by {signer}, {}", self.file, self.key.as_deref().unwrap_or_default())
    }
}

/// Checks the signatures of all files, one a file; none where none are given.
///
/// # Errors
/// Where a signature is not good, or they are not as many as the files.
pub(super) fn check(context: &Context, store: &Store, args: &ImportArgs) -> Result<Vec<Batch>> {
    if args.signed_by.is_empty() {
        return Ok(Vec::new());
    }
    if args.signed_by.len() != args.files.len() {
        let (signatures, files) = (args.signed_by.len(), args.files.len());
        return Err(CliError::input(format!("{signatures} signatures for {files} files"))
            .hint("give `--signed-by` once for each file, in the order of the files"));
    }
    let checker = checker(store, args.allowed_signers.as_ref().map(|path| context.path(path)))?;
    let (_, who) = context.identities(store)?;
    let mut batches = Vec::new();
    for (file, signature) in args.files.iter().zip(&args.signed_by) {
        let input = Input::new(context.path(file));
        let mut armour = Vec::new();
        let path = context.path(signature);
        let opened = Input::new(path.clone()).open_raw()?;
        opened.take(SIGNATURE_BYTES_MAX).read_to_end(&mut armour)?;
        let open = || {
            let io = |source| StoreError::Io { action: "read", path: context.path(file), source };
            glossator_store::fs::open_input(&context.path(file)).map_err(io)
        };
        let (checked, kept) = checker.check_batch(&armour, &open, who.seconds)?;
        let Some(signature) = kept else {
            let why = match checked.result {
                Verdict::UnknownKey => "signed by nobody who is known",
                _ => "not signed by this signature",
            };
            let mut refused = CliError::check(format!("`{}` is {why}", input.name()));
            for part in [&checked.key, &checked.detail].into_iter().flatten() {
                refused = refused.detail(part.clone());
            }
            return Err(refused
                .hint(format!(
                    "a signature is made with `ssh-keygen -Y sign -n {BATCH_NAMESPACE} -f KEY FILE`"
                ))
                .hint("name who may sign with `--allowed-signers FILE`"));
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(input.open_raw()?)?;
        let told = Told { file: input.name(), signer: checked.signer, key: checked.key };
        batches.push(Batch { digest: hasher.finalize().into(), signature, told });
    }
    Ok(batches)
}
