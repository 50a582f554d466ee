//! Sends lines to an address, a request each.

use std::io::{self, Write};
use std::time::Duration;

use reqwest::{Client, Url};

use crate::error::{CliError, Result};

/// How long one request may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// The variable that the clients of OpenLineage take a key from.
const KEY_VARIABLE: &str = "OPENLINEAGE_API_KEY";

/// Sends each line that is written to it as JSON; the first that is refused ends it.
pub(crate) struct Posts {
    runtime: tokio::runtime::Runtime,
    client: Client,
    url: Url,
    key: Option<String>,
    line: Vec<u8>,
    /// How many were taken.
    pub sent: u64,
}

impl Posts {
    pub(crate) fn new(url: &str) -> Result<Self> {
        let wrong = || {
            CliError::input(format!("`{url}` is no address of http or https"))
                .hint("for example `--to http://localhost:5000/api/v1/lineage`")
        };
        let url = Url::parse(url).map_err(|_| wrong())?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(wrong());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Client::builder().timeout(REQUEST_TIME_MAX).build();
        let client = client.map_err(|e| CliError::outside(e.to_string()))?;
        let key = std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty());
        Ok(Self { runtime, client, url, key, line: Vec::new(), sent: 0 })
    }

    fn send(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let mut request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .body(line);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let after = self.sent;
        let failed = |error: reqwest::Error| {
            io::Error::other(format!("after {after} events: {}", error.without_url()))
        };
        let answer = self.runtime.block_on(async { request.send().await }).map_err(failed)?;
        if !answer.status().is_success() {
            let what = format!("after {after} events: the answer is {}", answer.status());
            return Err(io::Error::other(what));
        }
        self.sent += 1;
        Ok(())
    }
}

impl Write for Posts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            match byte {
                b'\n' => self.send()?,
                other => self.line.push(*other),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.line.is_empty() { Ok(()) } else { self.send() }
    }
}
