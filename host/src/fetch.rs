//! Fetching keys of others: over https, without redirects, a bounded number of bytes. Only the configuration names what
//! is fetched.

use std::{path::Path, time::Duration};

use crate::keyring;

/// Most bytes that are read.
pub const BYTES_MAX: usize = 64 * 1024;
/// How long a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A place that is fetched from.
#[derive(Debug)]
pub(crate) struct Fetcher {
    url: String,
    client: reqwest::Client,
}

impl Fetcher {
    /// A place. An error says what is wrong with the configuration.
    pub(crate) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, String> {
        keyring::install_cryptography();
        let parsed =
            reqwest::Url::parse(url).map_err(|error| format!("`{url}` is not a URL: {error}"))?;
        if parsed.scheme() != "https"
            || !parsed.username().is_empty()
            || parsed.password().is_some()
        {
            return Err(format!("`{url}` is not an https URL without a user"));
        }
        let mut client = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .no_proxy();
        if let Some(path) = ca_file {
            let wrong = |what: String| format!("cannot use `{}`: {what}", path.display());
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| wrong(error.to_string()))?;
            if authorities.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
            client = client.tls_certs_merge(authorities);
        }
        Ok(Self {
            url: url.to_owned(),
            client: client
                .build()
                .map_err(|error| format!("TLS cannot be set up: {error}"))?,
        })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Fetches it anew. An error says what went wrong.
    pub(crate) async fn get(&self, accept: &'static str) -> Result<Vec<u8>, String> {
        let mut response = self
            .client
            .get(&self.url)
            .header(http::header::ACCEPT, accept)
            .header(http::header::USER_AGENT, "scopegate")
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if response.status() != http::StatusCode::OK {
            return Err(format!("it answered {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + chunk.len() > BYTES_MAX {
                return Err(format!("it has more than {BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}
