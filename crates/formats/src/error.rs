//! Errors of importers and exporters: always with a place and, where there is one, a next step.

use std::fmt;

/// A specialised result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in a file something stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The JSON path or column, such as `[3].annotations[0].result[1].value`.
    pub path: Option<String>,
}

impl Place {
    /// A whole file.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// A line of a file, from 1.
    pub fn line(file: impl Into<String>, line: u64) -> Self {
        Self { file: file.into(), line: Some(line), path: None }
    }

    /// A JSON path in a file.
    pub fn path(file: impl Into<String>, path: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, path: Some(path.into()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file)?;
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        if let Some(path) = &self.path {
            write!(f, " at `{path}`")?;
        }
        Ok(())
    }
}

/// Why an import or export stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file's content is not what the format says.
    #[error("{place}: {what}")]
    Input {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Reading or writing failed.
    #[error("cannot read or write `{file}`")]
    Io {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The options do not fit the file or the format.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] glossator_store::Error),
}

impl Error {
    /// An input error without a hint.
    pub fn input(place: Place, what: impl Into<String>) -> Self {
        Self::Input { place, what: what.into(), hint: None }
    }

    /// Adds the next step to an input or usage error.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Input { hint, .. } | Self::Usage { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }
}
