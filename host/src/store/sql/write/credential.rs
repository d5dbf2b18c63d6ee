//! Credentials: minting, importing, rotating and revoking them.

use scopegate_policy::Clusters;
use uuid::Uuid;

use super::{Done, Tx, clusters_text, list_text, require::parse_id};
use crate::store::{
    Actor, ChangeError, Conflict, NewCredential,
    database::query,
    sql::{ended, page::kind_text},
};

impl Tx<'_> {
    pub(super) async fn mint(&mut self, new: &NewCredential) -> Result<Done, ChangeError> {
        self.require_new(new.idempotency.as_ref()).await?;
        self.insert_credential(new, 0).await?;
        self.remember(new.idempotency.as_ref(), &new.credential.id.to_string())
            .await?;
        Ok(Done::new(Some(new.credential.organization)))
    }

    /// Puts a credential in; `place` is its place in an import.
    async fn insert_credential(
        &mut self,
        new: &NewCredential,
        place: usize,
    ) -> Result<(), ChangeError> {
        let NewCredential {
            credential: new,
            hash,
            ..
        } = new;
        self.require_organization(new.organization).await?;
        if let Some(owner) = new.owner {
            let (organization, disabled) = self.require_user(owner).await?;
            if organization != Some(new.organization) {
                return Err(Conflict::UnknownUser.into());
            }
            if disabled {
                return Err(Conflict::UserDisabled.into());
            }
        }
        self.require_clusters(new.organization, &new.allowed_clusters)
            .await?;
        if let Some(cluster) = &new.cluster {
            self.require_clusters(new.organization, &Clusters::only([cluster.as_str()]))
                .await?;
        }
        let insert = query(
            "INSERT INTO credentials (id, organization, kind, name, owner, scopes, allowed_clusters, cluster, hash, \
             prefix, last_four, created_at, expires_at, predecessor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(new.id.to_string())
        .bind(new.organization.to_string())
        .bind(kind_text(new.kind))
        .bind(new.name.clone())
        .bind(new.owner.map(|id| id.to_string()))
        .bind(new.scopes.as_deref().map(list_text))
        .bind(clusters_text(&new.allowed_clusters))
        .bind(new.cluster.clone())
        .bind(hash.as_bytes().to_vec())
        .bind(new.prefix.clone())
        .bind(new.last_four.clone())
        .bind(self.now)
        .bind(new.expires_at)
        .bind(new.predecessor.map(|id| id.to_string()));
        self.insert(insert, || Conflict::HashTaken(place)).await
    }

    /// Ends a credential. What the credential has made to follow it ends as well, for whoever stole it may have made that;
    /// unless it ends itself, as a program does that has changed over. One that was found in public ends with all that
    /// follow it, whoever made them.
    pub(super) async fn revoke(&mut self, id: Uuid, is_leaked: bool) -> Result<Done, ChangeError> {
        let found = query("SELECT organization FROM credentials WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut self.tx)
            .await?
            .ok_or(Conflict::UnknownCredential)?;
        let organization = parse_id(found.get(0)?, "credentials", id)?;
        let is_itself = *self.by == Actor::Credential(id);
        let revoke = query(
            "WITH RECURSIVE ended (id) AS (SELECT id FROM credentials WHERE id = $2 UNION \
             SELECT s.id FROM credentials s JOIN ended ON s.predecessor = ended.id \
             WHERE $3 OR (s.self_rotated AND NOT $4)) \
             UPDATE credentials SET revoked_at = $1, epoch = epoch + 1 \
             WHERE id IN (SELECT id FROM ended) AND revoked_at IS NULL",
        )
        .bind(self.now)
        .bind(id.to_string())
        .bind(is_leaked)
        .bind(is_itself);
        Ok(Done {
            changed: self.run(revoke).await? > 0,
            organization,
        })
    }

    pub(super) async fn rotate(
        &mut self,
        old: Uuid,
        retires_at: i64,
        new: &NewCredential,
    ) -> Result<Done, ChangeError> {
        self.require_new(new.idempotency.as_ref()).await?;
        let found = query(concat!(
            "SELECT revoked_at IS NOT NULL OR ",
            ended!("$2"),
            ", EXISTS (SELECT 1 FROM credentials s WHERE s.predecessor = $1) ",
            "FROM credentials WHERE id = $1"
        ))
        .bind(old.to_string())
        .bind(self.now)
        .fetch_optional(&mut self.tx)
        .await?
        .ok_or(Conflict::UnknownCredential)?;
        if found.get(0)? {
            return Err(Conflict::CredentialEnded.into());
        }
        if found.get(1)? {
            return Err(Conflict::AlreadyRotated.into());
        }
        self.insert_credential(new, 0).await?;
        let is_itself = *self.by == Actor::Credential(old);
        let mark = query("UPDATE credentials SET self_rotated = $1 WHERE id = $2")
            .bind(is_itself)
            .bind(new.credential.id.to_string());
        self.run(mark).await?;
        let retire =
            query("UPDATE credentials SET retires_at = $1, epoch = epoch + 1 WHERE id = $2")
                .bind(retires_at)
                .bind(old.to_string());
        self.run(retire).await?;
        self.remember(new.idempotency.as_ref(), &new.credential.id.to_string())
            .await?;
        Ok(Done::new(Some(new.credential.organization)))
    }

    pub(super) async fn import(
        &mut self,
        organization: Uuid,
        credentials: &[NewCredential],
    ) -> Result<Done, ChangeError> {
        self.require_organization(organization).await?;
        for (place, new) in credentials.iter().enumerate() {
            self.insert_credential(new, place).await?;
        }
        Ok(Done {
            changed: !credentials.is_empty(),
            organization: Some(organization),
        })
    }
}
