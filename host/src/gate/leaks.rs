//! Keys that a secret scanner has found: ended at once, by whoever is believed to have found them.

use std::ops::ControlFlow::{self, Break, Continue};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderName, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Gate, Stop, Trail,
    identify::Stranger,
    session::{Answer, Done},
};
use crate::{
    Cause, Request,
    audit::without_secrets,
    headers,
    key::{self, KeyHash},
    scanning::{self, Leak, Partners, Unbelieved},
    store::{Actor, Change, ChangeError, StoreError},
};

const KEY_ID: HeaderName = HeaderName::from_static("github-public-key-identifier");
const SIGNATURE: HeaderName = HeaderName::from_static("github-public-key-signature");
/// Of where a key was found, as much is kept, in characters.
const PLACE_CHARS_MAX: usize = 500;

impl Gate {
    /// Takes a secret scanner's report: every key in it that is one of this gate is revoked when this returns. Reports
    /// that no partner has signed count as failures of their address.
    pub async fn report_leaks(
        &self,
        partners: &Partners,
        request: &Request<'_>,
        body: &[u8],
    ) -> Answer {
        let mut trail = self.trail(request);
        let outcome = self.try_report(partners, request, body, &mut trail).await;
        self.answer(request, &trail, outcome).await
    }

    async fn try_report(
        &self,
        partners: &Partners,
        request: &Request<'_>,
        body: &[u8],
        trail: &mut Trail<'_>,
    ) -> ControlFlow<Stop, Done> {
        if let Err(cause) = headers::check_shape(request) {
            return Break(Stop::at(cause));
        }
        let now_ms = request.now_ms;
        let Stranger { failures, limit } = self.count_stranger(trail.client, now_ms).await?;
        let header = |name| {
            request
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let (key_id, signature) = (header(KEY_ID), header(SIGNATURE));
        let verified = partners.verify(
            key_id.unwrap_or_default(),
            signature.unwrap_or_default(),
            body,
            now_ms,
        );
        match verified.await {
            Ok(()) => {}
            Err(Unbelieved::Unavailable(why)) => {
                return Break(Stop::with(Cause::Unavailable(why), limit));
            }
            Err(Unbelieved::Signature) => {
                return Break(
                    self.reject(Cause::UnknownCredential, failures, trail, now_ms)
                        .await,
                );
            }
        }
        let leaks = match scanning::leaks(body) {
            Ok(leaks) => leaks,
            Err(what) => return Break(Stop::with(Cause::InvalidRequest(what.to_owned()), limit)),
        };
        let mut labels = Vec::with_capacity(leaks.len());
        for leak in leaks {
            match self.revoke_leaked(&leak, trail, now_ms).await {
                Ok(is_ours) => labels.push(label(&leak, is_ours)),
                Err(error) => return Break(Stop::with(error.into(), limit)),
            }
        }
        Continue(Done {
            status: StatusCode::OK,
            body: Value::Array(labels).to_string(),
            limit,
        })
    }

    /// Whether it is a key of this gate: revoked now, if it was not before.
    async fn revoke_leaked(
        &self,
        leak: &Leak,
        trail: &Trail<'_>,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let token = leak.token.expose_secret();
        if key::recognise(&self.contract.key_prefix, token) == key::KeyFormat::BadChecksum {
            return Ok(false);
        }
        let hash = KeyHash::of(token);
        let Some(found) = self
            .directory()
            .store()
            .find_credential_by_hash(&hash)
            .await?
        else {
            return Ok(false);
        };
        let place = |text: &str| -> String {
            without_secrets(text)
                .chars()
                .take(PLACE_CHARS_MAX)
                .collect()
        };
        let change = Change::RevokeLeaked {
            credential: found.credential.id,
            url: place(&leak.url),
            source: place(&leak.source),
        };
        let origin = trail.origin(Actor::Gate);
        match self.directory().apply(change, origin, now_ms).await {
            Ok(changed) => {
                if changed {
                    metrics::counter!("scopegate_leaked_keys_total").increment(1);
                    tracing::warn!(
                        credential = %found.credential.id,
                        "a key was found in public by a secret scanner and is revoked"
                    );
                }
                Ok(true)
            }
            Err(ChangeError::Conflict(_)) => Ok(false),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }
}

/// What the scanner is told: not the key itself, but its hash.
fn label(leak: &Leak, is_ours: bool) -> Value {
    let hash = Sha256::digest(leak.token.expose_secret().as_bytes());
    json!({
        "token_hash": BASE64_STANDARD.encode(hash),
        "token_type": leak.kind,
        "label": if is_ours { "true_positive" } else { "false_positive" },
    })
}
