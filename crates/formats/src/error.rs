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

/// The next step where nothing better is known.
const MEND: &str = "mend the file, or export it again from the tool that wrote it";

impl Error {
    /// An input error with a hint that fits any file; [`Self::hint`] puts a better one there.
    pub fn input(place: Place, what: impl Into<String>) -> Self {
        Self::Input { place, what: what.into(), hint: Some(MEND.to_owned()) }
    }

    /// An error of rows that the store gave, which no file is at fault for.
    pub(crate) fn stored(place: Place, what: impl Into<String>) -> Self {
        Self::input(place, what).hint("run `gloss verify` to see what is damaged")
    }

    /// Says the next step after an input or usage error.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Input { hint, .. } | Self::Usage { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_better_hint_takes_the_place_of_the_one_that_fits_any_file() {
        let hint = |error| match error {
            Error::Input { hint, .. } => hint,
            other => panic!("{other}"),
        };
        let error = || Error::input(Place::line("a.csv", 2), "it is wrong");
        assert_eq!(error().to_string(), "`a.csv` line 2: it is wrong");
        let mend = "mend the file, or export it again from the tool that wrote it";
        assert_eq!(hint(error()).as_deref(), Some(mend));
        assert_eq!(hint(error().hint("rename it")).as_deref(), Some("rename it"));
    }
}
