//! Asking a cluster's API server about a token (TokenReview of `authentication.k8s.io/v1`): it knows, too, whether the
//! pod is still there that the token was made for.
//!
//! A token that it vouched for is taken for a short time without asking again, and asked about once at a time. Of those
//! that it did not, nothing is kept. An API server that does not answer has vouched for nobody.

use std::time::Duration;

use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Effort, service_account::ServiceAccount};
use crate::{
    Cause,
    fetch::{Fetcher, Place, TIMEOUT},
    key::KeyHash,
};

/// Where tokens are reviewed, below an API server's own URL.
const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const API_VERSION: &str = "authentication.k8s.io/v1";
const KIND: &str = "TokenReview";
/// How long a token may be taken without asking again, in seconds.
pub const CACHE_SECS_MAX: u32 = 60;
/// Tokens that are remembered.
const KNOWN_MAX: usize = 8192;
/// Questions under way at once.
const REVIEWS_MAX: usize = 32;
/// How long a request waits for an answer, its own question or somebody else's.
const PATIENCE: Duration = TIMEOUT;

/// An API server that is asked, as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenReview {
    /// The API server's own URL, whose authority, and the token of the gate's own service account, which must be allowed to
    /// create `tokenreviews`.
    pub api: Place,
    /// How long a token is taken without asking again, in seconds.
    pub cache_secs: u32,
}

/// What of a token is to be vouched for.
pub(super) struct Vouched<'t> {
    pub(super) token: &'t str,
    /// What it says of its holder.
    pub(super) account: &'t ServiceAccount,
    /// When it ends, in seconds since the epoch.
    pub(super) ends_at: i64,
}

#[derive(Debug)]
pub(super) struct Reviewer {
    api: Fetcher,
    audiences: Vec<String>,
    cache_ms: i64,
    /// Until when a token is taken, by its hash; in milliseconds since the epoch.
    known: Cache<KeyHash, i64>,
    places: Semaphore,
}

impl Reviewer {
    /// Nobody is asked before a token is there. An error says what is wrong with the configuration.
    pub(super) fn new(config: &TokenReview, audiences: &[String]) -> Result<Self, String> {
        let TokenReview { api, cache_secs } = config;
        if *cache_secs > CACHE_SECS_MAX {
            return Err(format!(
                "a token is taken for at most {CACHE_SECS_MAX} seconds without asking again"
            ));
        }
        let place = Place {
            url: format!("{}{PATH}", api.url.trim_end_matches('/')),
            ..api.clone()
        };
        Ok(Self {
            api: Fetcher::new(&place)?,
            audiences: audiences.to_vec(),
            cache_ms: i64::from(*cache_secs) * 1000,
            known: Cache::new(KNOWN_MAX),
            places: Semaphore::new(REVIEWS_MAX),
        })
    }

    /// Whether the API server vouches for a token, or did a moment ago.
    pub(super) async fn review(
        &self,
        vouched: &Vouched<'_>,
        effort: Effort,
        now_ms: i64,
    ) -> Result<(), Cause> {
        let hash = KeyHash::of(vouched.token);
        self.known.remove_if(&hash, |until_ms| *until_ms <= now_ms);
        if effort == Effort::CachedOnly {
            return match self.known.get(&hash) {
                Some(_) => Ok(()),
                None => Err(Cause::TooManyFailures),
            };
        }
        let reviewed = tokio::time::timeout(PATIENCE, async {
            let Err(place) = self.known.get_value_or_guard_async(&hash).await else {
                return Ok(());
            };
            self.ask(vouched).await?;
            let ends_ms = vouched.ends_at.saturating_mul(1000);
            // Where there is no room it is asked about again.
            let _ = place.insert(now_ms.saturating_add(self.cache_ms).min(ends_ms));
            Ok(())
        });
        match reviewed.await {
            Ok(answer) => answer,
            Err(_) => Err(self.away("it did not answer in time")),
        }
    }

    async fn ask(&self, vouched: &Vouched<'_>) -> Result<(), Cause> {
        let Ok(_place) = self.places.acquire().await else {
            return Err(self.away("nobody may ask"));
        };
        let question = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "spec": { "token": vouched.token, "audiences": self.audiences },
        });
        let answer = self.api.post(question.to_string().into_bytes()).await;
        let answer = answer.map_err(|what| self.away(&what))?;
        let answer = read(&answer).map_err(|what| self.away(what))?;
        answer.vouches_for(vouched.account, &self.audiences)
    }

    fn away(&self, what: &str) -> Cause {
        metrics::counter!("scopegate_token_review_errors_total").increment(1);
        let url = self.api.url();
        tracing::warn!(url, error = what, "a token cannot be reviewed");
        Cause::Unavailable(format!("`{url}` cannot be asked about a token: {what}"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reviewed {
    api_version: String,
    kind: String,
    status: Answer,
}

/// What the API server says of a token. What it leaves out, it has not said.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    audiences: Option<Vec<String>>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    uid: String,
}

fn read(body: &[u8]) -> Result<Answer, &'static str> {
    let reviewed: Reviewed =
        serde_json::from_slice(body).map_err(|_| "its answer is no TokenReview")?;
    match reviewed.api_version == API_VERSION && reviewed.kind == KIND {
        true => Ok(reviewed.status),
        false => Err("its answer is no TokenReview"),
    }
}

impl Answer {
    /// Whether it is about the holder that the token names, for one of these audiences. An API server that knows nothing of
    /// audiences names none.
    fn vouches_for(&self, account: &ServiceAccount, audiences: &[String]) -> Result<(), Cause> {
        let has_error = self.error.as_ref().is_some_and(|error| !error.is_empty());
        if !self.authenticated || has_error {
            return Err(Cause::InvalidToken("token review"));
        }
        let for_whom = self.audiences.as_deref().unwrap_or_default();
        if !for_whom.iter().any(|one| audiences.contains(one)) {
            return Err(Cause::InvalidToken("audience"));
        }
        match &self.user {
            Some(user) if user.username == account.subject && user.uid == account.uid => Ok(()),
            _ => Err(Cause::InvalidToken("service account")),
        }
    }
}
