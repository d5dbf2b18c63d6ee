//! Policies: the active one, those that were before it, and the one in its shadow.

use super::{Done, Tx};
use crate::store::{
    ChangeError, Conflict, PolicyActivation, PolicyChange, PolicyShadow, PolicySource, StoreError,
    sqlite::unavailable,
};

impl Tx<'_> {
    pub(super) async fn change_policy(
        &mut self,
        change: &PolicyChange,
    ) -> Result<Done, ChangeError> {
        match change {
            PolicyChange::Activate(activation) => self.activate_policy(activation).await,
            PolicyChange::Shadow(shadow) => self.put_shadow(shadow).await,
            PolicyChange::DropShadow { digest } => self.drop_shadow(digest).await,
            PolicyChange::Refuse(_) => Ok(Done::new(None)),
        }
    }

    async fn activate_policy(
        &mut self,
        activation: &PolicyActivation,
    ) -> Result<Done, ChangeError> {
        if self.put_policy(activation).await? == 0 {
            return Err(Conflict::UnknownPolicy(activation.digest.clone()).into());
        }
        let forget = sqlx::query(
            "DELETE FROM policies WHERE digest NOT IN \
             (SELECT digest FROM policies ORDER BY activation DESC LIMIT ?)",
        )
        .bind(i64::from(activation.kept_max.max(1)));
        self.run(forget).await?;
        match activation.source {
            PolicySource::Promote => self.drop_shadow(&activation.digest).await,
            _ => Ok(Done::new(None)),
        }
    }

    async fn put_shadow(&mut self, shadow: &PolicyShadow) -> Result<Done, ChangeError> {
        let put = sqlx::query(
            "INSERT OR REPLACE INTO shadow (one, digest, name, version, pushed_at, pushed_by, bytes, component) \
             VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(shadow.digest.clone())
        .bind(shadow.name.clone())
        .bind(shadow.version.clone())
        .bind(self.now)
        .bind(self.by.text())
        .bind(i64::try_from(shadow.component.len()).unwrap_or(i64::MAX))
        .bind(shadow.component.to_vec());
        self.run(put).await?;
        Ok(Done::new(None))
    }

    async fn drop_shadow(&mut self, digest: &str) -> Result<Done, ChangeError> {
        let drop = sqlx::query("DELETE FROM shadow WHERE digest = ?").bind(digest.to_owned());
        match self.run(drop).await? {
            0 => Err(Conflict::UnknownPolicy(digest.to_owned()).into()),
            _ => Ok(Done::new(None)),
        }
    }

    /// How many rows it made or changed: none where the component is neither given nor there.
    async fn put_policy(&mut self, activation: &PolicyActivation) -> Result<u64, StoreError> {
        let next: i64 = sqlx::query_scalar("SELECT ifnull(max(activation), 0) + 1 FROM policies")
            .fetch_one(&mut *self.tx)
            .await
            .map_err(unavailable)?;
        let again = sqlx::query(
            "UPDATE policies SET activation = ?, activated_at = ?, activated_by = ?, source = ?, configured = ? \
             WHERE digest = ?",
        )
        .bind(next)
        .bind(self.now)
        .bind(self.by.text())
        .bind(activation.source.word())
        .bind(activation.configured.clone())
        .bind(activation.digest.clone());
        let changed = self.run(again).await?;
        let (0, Some(component)) = (changed, &activation.component) else {
            return Ok(changed);
        };
        let add = sqlx::query(
            "INSERT INTO policies (digest, name, version, added_at, activation, activated_at, activated_by, \
             source, configured, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?4, ?6, ?7, ?8, ?9)",
        )
        .bind(activation.digest.clone())
        .bind(activation.name.clone())
        .bind(activation.version.clone())
        .bind(self.now)
        .bind(next)
        .bind(self.by.text())
        .bind(activation.source.word())
        .bind(activation.configured.clone())
        .bind(i64::try_from(component.len()).unwrap_or(i64::MAX));
        self.run(add).await?;
        let keep = sqlx::query("INSERT INTO policy_components (digest, component) VALUES (?, ?)")
            .bind(activation.digest.clone())
            .bind(component.to_vec());
        self.run(keep).await
    }
}
