//! Keys that were minted elsewhere: only their hashes come, and they go on working under the contract's rules.

use super::{Admin, AdminError, ImportedKey, NewKey, Reply, error::quoted};
use crate::{
    key::KeyHash,
    store::{Change, Credential, NewCredential},
};

/// Keys in one import at most.
const KEYS_MAX: usize = 10_000;
/// Characters of what lists show of a key at most.
const SHOWN_CHARS_MAX: usize = 32;

impl Admin<'_> {
    /// Takes over all of these keys, or none.
    pub async fn import_keys(
        &self,
        organization: Option<String>,
        keys: Vec<ImportedKey>,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(AdminError::invalid(format!(
                "an import has 1 to {KEYS_MAX} keys"
            )));
        }
        let organization = self.organization(organization.as_deref()).await?.id;
        let mut credentials = Vec::with_capacity(keys.len());
        for (place, key) in keys.into_iter().enumerate() {
            let name = quoted(&key.name);
            let new = self.imported(organization, key, now_ms).await;
            credentials.push(new.map_err(|error| AdminError {
                message: format!("key {place} of the import, {name}: {}", error.message),
                ..error
            })?);
        }
        let ids = credentials.iter().map(|new| new.credential.id).collect();
        let change = Change::Import {
            organization,
            credentials,
        };
        self.apply(change, now_ms).await?;
        Ok(Reply::Imported { keys: ids })
    }

    async fn imported(
        &self,
        organization: uuid::Uuid,
        imported: ImportedKey,
        now_ms: i64,
    ) -> Result<NewCredential, AdminError> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&imported.sha256, &mut hash).map_err(|_| {
            AdminError::invalid("`sha256` is not a hash")
                .help("write the 64 hex digits of the whole key's SHA-256")
        })?;
        let shown = [&imported.prefix, &imported.last_four];
        let plain = |text: &&String| {
            text.chars().count() <= SHOWN_CHARS_MAX && !text.contains(char::is_control)
        };
        if !shown.iter().all(plain) || imported.last_four.chars().count() > 4 {
            return Err(AdminError::invalid(format!(
                "`prefix` has at most {SHOWN_CHARS_MAX} characters, and `last_four` at most 4"
            )));
        }
        let (_, owner) = self
            .place_of_key(Some(&organization.to_string()), imported.owner.as_deref())
            .await?;
        let key = NewKey {
            name: imported.name,
            scopes: imported.scopes,
            allowed_cluster_ids: imported.allowed_cluster_ids,
            expires_at: imported.expires_at,
        };
        let credential = Credential {
            prefix: imported.prefix,
            last_four: imported.last_four,
            ..self.key(organization, owner, key, now_ms).await?
        };
        Ok(NewCredential {
            credential,
            hash: KeyHash::from_bytes(hash),
            idempotency: None,
        })
    }
}
