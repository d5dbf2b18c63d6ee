//! Pages: how many results, and where a search goes on. A token is good for the same search by the same organization only.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use scopegate_host::Cause;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    read::{invalid, members},
    search::Sought,
};

const LIMIT: usize = 50;
const LIMIT_MAX: usize = 200;
/// Bytes of the hash that binds a token to its search.
const BOUND_BYTES: usize = 8;

/// The part of a search's results that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// Results at most.
    pub(super) limit: usize,
    /// The last one that was looked at before.
    pub(super) after: Option<String>,
    bound: [u8; BOUND_BYTES],
}

impl Page {
    pub(super) fn read(
        asked: &Map<String, Value>,
        sought: Sought,
        organization: Uuid,
    ) -> Result<Self, Cause> {
        let mut page = Self {
            limit: LIMIT,
            after: None,
            bound: bound(asked, sought, organization),
        };
        let Some(wanted) = asked.get("page") else {
            return Ok(page);
        };
        let wanted = members("page", wanted)?;
        if let Some(limit) = wanted.get("limit") {
            let limit = limit.as_u64().filter(|limit| *limit > 0);
            let limit = limit.ok_or_else(|| invalid("`page.limit` is not a number above 0"))?;
            page.limit = usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
        }
        // Drafts of the specification sent it back under the name under which it came.
        match wanted.get("token").or_else(|| wanted.get("next_token")) {
            None => {}
            Some(Value::String(token)) if token.is_empty() => {}
            Some(token) => {
                let after = token.as_str().and_then(|token| page.place(token));
                page.after = Some(after.ok_or_else(|| {
                    invalid("`page.token` is not the `next_token` of a page of this search")
                })?);
            }
        }
        Ok(page)
    }

    /// The token for what comes after this place.
    pub(super) fn token(&self, place: &str) -> String {
        let mut bytes = self.bound.to_vec();
        bytes.extend_from_slice(place.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn place(&self, token: &str) -> Option<String> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let place = bytes.strip_prefix(&self.bound)?;
        String::from_utf8(place.to_vec()).ok()
    }
}

fn bound(asked: &Map<String, Value>, sought: Sought, organization: Uuid) -> [u8; BOUND_BYTES] {
    let mut hash = Sha256::new();
    hash.update(format!("{sought:?} {organization}"));
    for name in ["subject", "action", "resource", "context"] {
        let value = asked.get(name).unwrap_or(&Value::Null);
        hash.update(format!("\n{value}"));
    }
    let mut bound = [0; BOUND_BYTES];
    let bytes = hash.finalize();
    bound
        .iter_mut()
        .zip(bytes.iter())
        .for_each(|(byte, from)| *byte = *from);
    bound
}
