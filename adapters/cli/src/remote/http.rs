//! Requests to a gate: where it is, the credential, one more try where that is safe, and problems as failures.

use std::{error::Error, fmt, net::IpAddr, time::Duration};

use anyhow::Result;
use reqwest::{
    Client, Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH},
};
use scopegate_host::keyring;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use super::{Access, view::Listed};
use crate::failure::Failure;

/// The credential: a session's token, or an API key.
const TOKEN: &str = "SCOPEGATE_TOKEN";
/// Where it goes, for keys that do not go in `Authorization: Bearer`.
const TOKEN_HEADER: &str = "SCOPEGATE_TOKEN_HEADER";
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// For a whole request; the largest import takes some.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// The largest answer, in bytes. A page of a list is far smaller.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Items on a page: as many as the API gives.
const PAGE: &str = "200";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A gate's management listener.
#[derive(Debug)]
pub(super) struct Gate {
    client: Client,
    base: Url,
    credential: Option<(HeaderName, HeaderValue)>,
}

/// What came instead of what was asked for.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The gate said no.
    Refused(Problem),
    /// Nothing came that can be read. Whether the request was executed is not known.
    NoAnswer(String),
}

/// What a problem document (RFC 9457) says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    /// The status of the reply that it came in.
    pub(super) status: u16,
    /// Which problem, for programs.
    pub(super) code: String,
    title: String,
    /// What is wrong, for people.
    pub(super) detail: String,
}

impl Gate {
    /// The gate at this URL, for requests without a credential.
    pub(super) fn new(url: &str, access: &Access) -> Result<Self> {
        keyring::install_cryptography();
        let base = base(url, access.insecure_http)?;
        let mut client = Client::builder()
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("scopegate/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // A proxy would read the credential; through one, https is a tunnel.
            client = client.no_proxy();
        }
        if let Some(path) = &access.ca {
            let wrong =
                |what: String| Failure::usage(format!("cannot use `{}`: {what}", path.display()));
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| wrong(error.to_string()))?;
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()).into());
            }
            client = client.tls_certs_only(roots);
        }
        let client = client
            .build()
            .map_err(|error| Failure::new(format!("TLS cannot be set up: {}", told(&error))))?;
        Ok(Self {
            client,
            base,
            credential: None,
        })
    }

    /// With the credential of the environment.
    pub(super) fn with_credential(mut self) -> Result<Self> {
        let token = std::env::var(TOKEN).unwrap_or_default();
        if token.is_empty() {
            return Err(Failure::usage(format!(
                "no credential for `{}`: {TOKEN} is not set",
                self.base
            ))
            .help(format!(
                "`export {TOKEN}=$(scopegate login --email ME)`, or put an API key into it"
            ))
            .into());
        }
        let header = std::env::var(TOKEN_HEADER).ok();
        let header = header.filter(|header| !header.is_empty());
        self.credential = Some(credential(&token, header.as_deref())?);
        Ok(self)
    }

    /// Reads from the management API.
    pub(super) fn get(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::GET, &["-", "api"], path, None)
    }

    /// Makes something.
    pub(super) fn post(&self, path: &[&str], body: Option<Value>) -> Call<'_> {
        self.call(Method::POST, &["-", "api"], path, body)
    }

    /// Puts something in the place of what is there.
    pub(super) fn put(&self, path: &[&str], body: Value) -> Call<'_> {
        self.call(Method::PUT, &["-", "api"], path, Some(body))
    }

    /// Changes something.
    pub(super) fn patch(&self, path: &[&str], body: Value) -> Call<'_> {
        self.call(Method::PATCH, &["-", "api"], path, Some(body))
    }

    /// Ends something.
    pub(super) fn delete(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::DELETE, &["-", "api"], path, None)
    }

    /// One of the gate's own pages outside the API.
    pub(super) fn get_own(&self, page: &str) -> Call<'_> {
        self.call(Method::GET, &["-"], &[page], None)
    }

    /// One of the gate's own endpoints outside the API.
    pub(super) fn post_own(&self, page: &str, body: Option<Value>) -> Call<'_> {
        self.call(Method::POST, &["-"], &[page], body)
    }

    /// All pages of a list.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        filter: &[(&str, &str)],
    ) -> Result<Vec<T>, Trouble> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut call = self.get(path).query("limit", PAGE);
            for (name, value) in filter {
                call = call.query(name, value);
            }
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let page: Listed<T> = call.json().await?;
            let was_empty = page.items.is_empty();
            all.extend(page.items);
            match page.next_cursor {
                // A page of nothing that another one follows would go on for ever.
                Some(next) if !was_empty => cursor = Some(next),
                _ => return Ok(all),
            }
        }
    }

    fn call(&self, method: Method, root: &[&str], path: &[&str], body: Option<Value>) -> Call<'_> {
        let mut url = self.base.clone();
        // URLs drop dot segments, so that another thing would be meant than was named.
        let is_nameable = !path.iter().any(|part| matches!(*part, "" | "." | ".."));
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(root).extend(path);
        }
        Call {
            gate: self,
            url: is_nameable.then_some(url),
            is_repeatable: method != Method::POST && method != Method::PATCH,
            method,
            body,
            headers: Vec::new(),
        }
    }
}

/// A request that is put together.
pub(super) struct Call<'g> {
    gate: &'g Gate,
    method: Method,
    /// Nothing, where a part of the path names nothing.
    url: Option<Url>,
    body: Option<Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether doing it twice is as good as doing it once.
    is_repeatable: bool,
}

/// What a gate answered that it did.
#[derive(Debug)]
pub(super) struct Answer {
    /// Which version of something this is.
    pub(super) etag: Option<HeaderValue>,
    body: Vec<u8>,
}

impl Call<'_> {
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        if let Some(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    /// Sent again, it makes nothing new: so it is sent again where the connection broke.
    pub(super) fn once(mut self) -> Self {
        let key = Uuid::new_v4().to_string();
        if let Ok(key) = HeaderValue::from_str(&key) {
            self.headers.push((IDEMPOTENCY_KEY, key));
            self.is_repeatable = true;
        }
        self
    }

    /// Changes whatever is there.
    pub(super) fn anything(self) -> Self {
        self.version(Some(HeaderValue::from_static("*")))
    }

    /// Changes this version, or makes what is not there yet.
    pub(super) fn version(mut self, version: Option<HeaderValue>) -> Self {
        self.headers.push(match version {
            Some(version) => (IF_MATCH, version),
            None => (IF_NONE_MATCH, HeaderValue::from_static("*")),
        });
        self
    }

    /// Sends it and reads the answer.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, Trouble> {
        self.send().await?.json()
    }

    /// Sends it, and once more where the connection broke and that does no harm.
    pub(super) async fn send(self) -> Result<Answer, Trouble> {
        match self.attempt().await {
            Err(Broken::Connection(_)) if self.is_repeatable => self.attempt().await,
            other => other,
        }
        .map_err(|broken| match broken {
            Broken::Connection(why) | Broken::Otherwise(why) => {
                Trouble::NoAnswer(format!("`{}`: {why}", self.gate.base))
            }
            Broken::Refused(problem) => Trouble::Refused(problem),
        })
    }

    async fn attempt(&self) -> Result<Answer, Broken> {
        let Some(url) = self.url.clone() else {
            return Err(Broken::Refused(Problem {
                status: 404,
                detail: "there is nothing of this name".to_owned(),
                ..Problem::default()
            }));
        };
        let mut request = self.gate.client.request(self.method.clone(), url);
        for (name, value) in self.gate.credential.iter().chain(&self.headers) {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let mut response = request.send().await?;
        let status = response.status();
        let etag = response.headers().get(ETAG).cloned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Broken::Otherwise(format!(
                    "the answer has more than {ANSWER_BYTES_MAX} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(Answer { etag, body });
        }
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        Err(Broken::Refused(Problem {
            status: status.as_u16(),
            ..problem
        }))
    }
}

impl Answer {
    /// What it says.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        // No text of the answer, which may hold a secret.
        serde_json::from_slice(&self.body).map_err(|error| {
            Trouble::NoAnswer(format!(
                "the gate answered something else than this command understands: {} at line {} column {}",
                match error.classify() {
                    serde_json::error::Category::Data => "another shape",
                    _ => "not JSON",
                },
                error.line(),
                error.column()
            ))
        })
    }
}

/// Why an attempt came to nothing.
enum Broken {
    /// The connection was there and broke.
    Connection(String),
    Otherwise(String),
    Refused(Problem),
}

impl From<reqwest::Error> for Broken {
    fn from(error: reqwest::Error) -> Self {
        let why = told(&error);
        if error.is_connect() || error.is_timeout() || error.is_builder() {
            Self::Otherwise(why)
        } else {
            Self::Connection(why)
        }
    }
}

impl Trouble {
    /// Whether the gate refused for this reason.
    pub(super) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused(problem) if problem.code == code)
    }
}

impl From<Trouble> for anyhow::Error {
    fn from(trouble: Trouble) -> Self {
        let problem = match trouble {
            Trouble::NoAnswer(why) => return Failure::new(why).into(),
            Trouble::Refused(problem) => problem,
        };
        let text = [&problem.detail, &problem.title];
        let text = text.into_iter().find(|text| !text.is_empty());
        let text = match text {
            // It goes to a terminal.
            Some(text) => text.replace(char::is_control, " "),
            None => format!("the gate answered {}", problem.status),
        };
        let failure = match problem.status {
            400 | 422 => Failure::usage(text),
            _ => Failure::new(text),
        };
        match problem.code.as_str() {
            "sign-in-required" => failure
                .help(format!("sign in again: `export {TOKEN}=$(scopegate login --email ME)`")),
            "not-authenticated" | "unknown-credential" | "revoked" | "expired"
            | "invalid-token" | "token-expired" => failure.help(format!(
                "look at {TOKEN}; keys that do not go in `Authorization: Bearer` need {TOKEN_HEADER}"
            )),
            "no-route" => failure.help("is this the gate's management listener?"),
            _ => failure,
        }
        .into()
    }
}

/// Where requests go.
fn base(text: &str, insecure_http: bool) -> Result<Url> {
    let wrong = |why: &str| Failure::usage(format!("`{text}` is not a gate's URL: {why}"));
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it starts with neither http:// nor https://").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("a gate's URL has no user in it")
            .help(format!("the credential is in {TOKEN}"))
            .into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query").into());
    }
    if url.scheme() == "http" && !insecure_http && !is_loopback(&url) {
        return Err(Failure::usage(format!(
            "http to `{}` would show the credential to everybody on the way",
            url.host_str().unwrap_or_default()
        ))
        .help("use https, or a tunnel to the machine; `--insecure-http` does it all the same")
        .into());
    }
    url.set_path(&format!("{}/", url.path().trim_end_matches('/')));
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The header of a credential. `header` is a header's name, or one with a scheme: `Authorization: ApiKey`.
fn credential(token: &str, header: Option<&str>) -> Result<(HeaderName, HeaderValue)> {
    let (name, scheme) = match header {
        None => (AUTHORIZATION, "Bearer"),
        Some(header) => {
            let (name, scheme) = header.split_once(':').unwrap_or((header, ""));
            let name = HeaderName::try_from(name.trim()).map_err(|_| {
                Failure::usage(format!("{TOKEN_HEADER} is not a header: `{header}`"))
                    .help("it reads like `X-API-Key` or `Authorization: ApiKey`")
            })?;
            (name, scheme.trim())
        }
    };
    let text = format!("{scheme} {}", token.trim());
    let mut value = HeaderValue::from_str(text.trim_start())
        .map_err(|_| Failure::usage(format!("{TOKEN} is not a credential")))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// An error and what is behind it: reqwest's own text says only where it happened.
fn told(error: &reqwest::Error) -> String {
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        deepest.to_string()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_in_clear_to_this_machine_alone() {
        for near in [
            "http://127.0.0.1:9080",
            "http://127.9.9.9",
            "http://[::1]:9080",
            "http://localhost:9080/",
            "https://gate.example.com",
            "https://gate.example.com/behind/a/path",
        ] {
            assert!(base(near, false).is_ok(), "{near}");
        }
        for far in [
            "http://gate.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
        ] {
            let error = base(far, false).unwrap_err().to_string();
            assert!(error.contains("would show the credential"), "{error}");
            assert!(base(far, true).is_ok(), "{far}");
        }
        for wrong in [
            "gate",
            "ftp://gate",
            "https://me:pw@gate",
            "https://gate/?x=1",
        ] {
            assert!(base(wrong, true).is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_go_where_their_contract_wants_them() {
        let sent = |header| {
            let (name, value) = credential("k", header).unwrap();
            assert!(value.is_sensitive());
            format!("{name}: {}", value.to_str().unwrap())
        };
        assert_eq!(sent(None), "authorization: Bearer k");
        assert_eq!(sent(Some("X-API-Key")), "x-api-key: k");
        assert_eq!(
            sent(Some("Authorization: ApiKey")),
            "authorization: ApiKey k"
        );
        assert!(credential("k", Some("no header")).is_err());
        assert!(credential("a\nb", None).is_err());
    }
}
