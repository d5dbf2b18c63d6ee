//! Asking others, for their keys or about a token: over https, without redirects, a bounded number of bytes. Only the
//! configuration names who is asked.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderValue, StatusCode, header};
use reqwest::{Certificate, RequestBuilder};
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use crate::keyring;

/// Most bytes that are read.
pub const BYTES_MAX: usize = 64 * 1024;
/// How long a question may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest token that is shown, in bytes.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// A place that is asked, as the configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its https URL.
    pub url: String,
    /// PEM file of an authority to trust for it: a further one, or where a token is shown the only one.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// File of a token that is shown there. It is read each time, for whoever writes it may write a new one.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

impl Place {
    /// A place of the web, which everybody may ask.
    pub fn of(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..Self::default()
        }
    }
}

/// A place that is asked.
#[derive(Debug)]
pub(crate) struct Fetcher {
    url: String,
    token_file: Option<PathBuf>,
    client: reqwest::Client,
}

impl Fetcher {
    /// A place. An error says what is wrong with the configuration.
    pub(crate) fn new(place: &Place) -> Result<Self, String> {
        keyring::install_cryptography();
        let url = &place.url;
        let parsed =
            reqwest::Url::parse(url).map_err(|error| format!("`{url}` is not a URL: {error}"))?;
        if parsed.scheme() != "https"
            || !parsed.username().is_empty()
            || parsed.password().is_some()
        {
            return Err(format!("`{url}` is not an https URL without a user"));
        }
        let client = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .no_proxy();
        let client = match (&place.ca_file, &place.token_file) {
            (None, _) => client,
            (Some(path), None) => client.tls_certs_merge(authorities(path)?),
            // Nobody else's certificate makes a place one to show a secret.
            (Some(path), Some(_)) => client.tls_certs_only(authorities(path)?),
        };
        Ok(Self {
            url: url.clone(),
            token_file: place.token_file.clone(),
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
        let request = self
            .client
            .get(&self.url)
            .header(header::ACCEPT, HeaderValue::from_static(accept));
        self.send(request, &[StatusCode::OK]).await
    }

    /// Has it make something of this JSON, and gives what it made. An error says what went wrong.
    pub(crate) async fn post(&self, json: Vec<u8>) -> Result<Vec<u8>, String> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let request = self
            .client
            .post(&self.url)
            .header(header::ACCEPT, JSON)
            .header(header::CONTENT_TYPE, JSON)
            .body(json);
        self.send(request, &[StatusCode::CREATED, StatusCode::OK])
            .await
    }

    async fn send(
        &self,
        mut request: RequestBuilder,
        expected: &[StatusCode],
    ) -> Result<Vec<u8>, String> {
        if let Some(path) = &self.token_file {
            request = request.header(header::AUTHORIZATION, bearer(path).await?);
        }
        let mut response = request
            .header(header::USER_AGENT, "scopegate")
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if !expected.contains(&response.status()) {
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

fn authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let wrong = |what: String| format!("cannot use `{}`: {what}", path.display());
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let authorities =
        Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
    match authorities.is_empty() {
        true => Err(wrong("there is no certificate in it".to_owned())),
        false => Ok(authorities),
    }
}

/// The token of a file as a header. It is nowhere else, and in no error.
async fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let wrong = |what: &str| format!("cannot show the token of `{}`: {what}", path.display());
    let file = tokio::fs::File::open(path).await;
    let file = file.map_err(|error| wrong(&error.to_string()))?;
    let mut text = String::from("Bearer ");
    file.take(TOKEN_BYTES_MAX)
        .read_to_string(&mut text)
        .await
        .map_err(|error| wrong(&error.to_string()))?;
    let text = text.trim_end();
    if text.len() <= "Bearer ".len() {
        return Err(wrong("it is empty"));
    }
    let mut value = HeaderValue::from_str(text).map_err(|_| wrong("it is none"))?;
    value.set_sensitive(true);
    Ok(value)
}
