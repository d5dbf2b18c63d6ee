//! What the filter inside Envoy asks: whom a credential stands for, and what has changed since.
//!
//! It is answered only to trusted proxies that show the secret of filters, and only about secrets that they present.

use std::path::{Path, PathBuf};

use http::header::AUTHORIZATION;
use scopegate_policy::wire::filter::{
    Answer, Ask, Counted, Facts, News, Position, SECRET_BYTES_MIN, Told, is_secret,
};
use sha2::{Digest, Sha256};

use super::Gate;
use crate::{
    Cause, Reason, Request, authenticate::Authenticated, client, counters::Bucket, key::KeyHash,
    private_file,
};

/// Questions of one proxy about credentials, a minute.
const ASKS_MAX: u32 = 60_000;

/// The secret that filters show, of which its hash is kept.
#[derive(Clone, Debug)]
pub struct FilterSecret(KeyHash);

/// Why there is no secret of filters.
#[derive(Debug, thiserror::Error)]
pub enum BadFilterSecret {
    /// Its file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// Others can read it.
    #[error("`{}` has mode {mode:o}: only its owner may read the secret of filters; run `chmod 600`", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no secret.
    #[error(
        "`{}` must hold one line of at least {SECRET_BYTES_MIN} visible ASCII characters, such as `openssl rand -hex 32` prints",
        path.display()
    )]
    Text {
        /// The file.
        path: PathBuf,
    },
}

impl FilterSecret {
    /// This text, if it can be one.
    pub fn of(text: &str) -> Option<Self> {
        is_secret(text).then(|| Self(KeyHash::of(text)))
    }

    /// Reads it from a file that only its owner may read.
    ///
    /// # Errors
    /// When the file cannot be read, others can read it, or it does not hold a secret.
    pub fn load(path: &Path) -> Result<Self, BadFilterSecret> {
        let path = || path.to_owned();
        let text = private_file::read(&path()).map_err(|error| match error {
            private_file::ReadError::File(error) => BadFilterSecret::File {
                path: path(),
                error,
            },
            private_file::ReadError::Exposed(mode) => {
                BadFilterSecret::Exposed { path: path(), mode }
            }
        })?;
        Self::of(text.trim_end_matches(['\n', '\r']))
            .ok_or_else(|| BadFilterSecret::Text { path: path() })
    }

    /// Whether a request shows it: as Bearer, once. Compared in constant time.
    fn is_shown(&self, request: &Request<'_>) -> bool {
        let mut values = request.headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let shown = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        shown.is_some_and(|(_, secret)| KeyHash::of(secret) == self.0)
    }
}

impl Gate {
    /// Lets a filter in: a trusted proxy that shows the secret. Others learn that there is nothing, or that they are not
    /// accepted, which counts against their address.
    ///
    /// # Errors
    /// Why it is not let in.
    pub async fn admit_filter(
        &self,
        secret: &FilterSecret,
        request: &Request<'_>,
    ) -> Result<(), Cause> {
        let peer = request.peer.to_canonical();
        if !self.trusted_proxies.iter().any(|net| net.contains(&peer)) {
            return Err(Cause::Denied(Reason::NoRoute));
        }
        if secret.is_shown(request) {
            return Ok(());
        }
        let (bucket, limit) = (Bucket::failures(peer), self.contract.limits.failures);
        let taken = self.counters.take(bucket, limit, request.now_ms).await?;
        match taken.admitted {
            true => Err(Cause::UnknownCredential),
            false => Err(Cause::TooManyFailures),
        }
    }

    /// Whom a credential stands for that a filter presents.
    ///
    /// # Errors
    /// When the proxy asks too often, or the question is none.
    pub async fn tell_filter(&self, request: &Request<'_>, body: &[u8]) -> Result<Told, Cause> {
        let taken = self
            .counters
            .take(asks_of(request), ASKS_MAX, request.now_ms)
            .await?;
        if !taken.admitted {
            return Err(Cause::RateLimited);
        }
        let ask: Ask = serde_json::from_slice(body)
            .map_err(|_| Cause::InvalidRequest("this is no question of a filter".to_owned()))?;
        // Before the look-up: what changes from here on makes the answer stale, and will be told.
        let position = self.filter_position();
        let found = self
            .authenticator
            .look_at_kind(&self.contract, ask.kind, &ask.credential, request.now_ms)
            .await;
        let found = match found {
            Ok(found) => self.confirmed(found, request.now_ms).await,
            Err(cause) => Err(cause),
        };
        metrics::counter!("scopegate_filter_questions_total").increment(1);
        Ok(Told {
            position,
            now_ms: request.now_ms,
            answer: match found {
                Ok(found) => Answer::Known(Box::new(self.facts(&found))),
                Err(cause) => Answer::Refused(cause.code().to_owned()),
            },
        })
    }

    /// What has changed since a filter last heard; nothing but where the changes stand, if it never did.
    pub fn news_for_filter(&self, since: Option<&str>, now_ms: i64) -> News {
        let since = since.and_then(|since| since.parse::<Position>().ok());
        // Before the changes: a ring that is new by then is told the next time.
        let reloads = self.keys().reloads();
        let since = since.and_then(|since| {
            let (run, keys) = since.run.rsplit_once('-')?;
            (keys.parse() == Ok(reloads)).then(|| Position {
                run: run.to_owned(),
                sequence: since.sequence,
            })
        });
        let (position, stale) = match since {
            Some(since) => self.directory().changes_since(&since),
            None => (self.directory().position(), None),
        };
        News {
            position: with_keys(position, reloads),
            now_ms,
            stale,
        }
    }

    fn filter_position(&self) -> Position {
        let reloads = self.keys().reloads();
        with_keys(self.directory().position(), reloads)
    }

    fn facts(&self, found: &Authenticated) -> Facts {
        let principal = &found.principal;
        let (bucket, limit) = self.bucket(found);
        let (by, is_user) = match bucket {
            Bucket::User(user) => (user, true),
            _ => (found.counted_as, false),
        };
        Facts {
            credential: principal.credential,
            organization: principal.organization,
            user: principal.user,
            is_successor: principal.is_successor,
            caller: principal.caller.clone(),
            registered: (*principal.registered).clone(),
            ends_at: found
                .token_expires_at
                .into_iter()
                .chain(principal.expires_at)
                .min(),
            counted: Counted { by, is_user, limit },
        }
    }
}

/// Tokens that were verified with keys from before are to be verified again.
fn with_keys(position: Position, reloads: u64) -> Position {
    Position {
        run: format!("{}-{reloads}", position.run),
        ..position
    }
}

/// The questions of one proxy.
fn asks_of(request: &Request<'_>) -> Bucket {
    let peer = client::bucket(request.peer);
    let digest = Sha256::digest(format!("filter {peer}"));
    let mut bytes = [0; 16];
    for (slot, byte) in bytes.iter_mut().zip(digest) {
        *slot = byte;
    }
    Bucket::Account(bytes)
}
