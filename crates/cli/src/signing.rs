//! Who signs, and whose signatures are known: what is asked for, and git's configuration.

use std::path::PathBuf;

use clap::Args;
use glossator_store::Store;
use glossator_store::history::{Identity, signing_config};
use glossator_store::signing::{Checker, Signer, SigningConfig};

use crate::error::{CliError, Result};

/// Whether a commit is signed, and with which key.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Signing")]
pub(crate) struct SignArgs {
    /// Sign the commit with git's `user.signingKey`, or with this key
    #[arg(
        short = 'S',
        long,
        value_name = "KEY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    sign: Option<String>,
    /// Do not sign, whatever `commit.gpgSign` says
    #[arg(long, conflicts_with = "sign")]
    no_sign: bool,
}

impl SignArgs {
    /// What is asked for, by other options.
    pub(crate) fn new(sign: Option<String>, no_sign: bool) -> Self {
        Self { sign, no_sign }
    }

    /// Refuses to sign where nothing is committed.
    ///
    /// # Errors
    /// Where that is asked for without a message.
    pub(crate) fn only_with(&self, message: Option<&str>) -> Result<()> {
        match (&self.sign, message) {
            (Some(_), None) => {
                Err(CliError::input("`-S` signs a commit, and without `-m` none is made")
                    .hint("give the message with `-m`, or sign later: `gloss commit -S -m …`"))
            }
            _ => Ok(()),
        }
    }

    /// Who signs: nobody where it is not asked for.
    pub(crate) fn signer(
        &self,
        store: &Store,
        who: &Identity,
        always: impl Fn(&SigningConfig) -> bool,
    ) -> glossator_store::Result<Option<Signer>> {
        if self.no_sign {
            return Ok(None);
        }
        let config = config(store)?;
        match &self.sign {
            None if !always(&config) => Ok(None),
            key => Signer::new(&config, key.as_deref(), who).map(Some),
        }
    }
}

/// What git's configuration around the store says of signatures.
fn config(store: &Store) -> glossator_store::Result<SigningConfig> {
    signing_config(store.root().parent().unwrap_or(store.root()), store.history.dir())
}

/// Who asks what signatures are worth, by git's file of allowed signers or another one.
pub(crate) fn checker(
    store: &Store,
    allowed_signers: Option<PathBuf>,
) -> glossator_store::Result<Checker> {
    Checker::new(&config(store)?, allowed_signers)
}
