//! Policies: the active one, those that were before it, and the one in its shadow.

use super::{Done, Tx};
use crate::store::{
    ChangeError, Conflict, PolicyActivation, PolicyChange, PolicyShadow, PolicySource, StoreError,
    database::{Dialect, postgres::POLICIES_TOLD, query},
};

impl Tx<'_> {
    pub(super) async fn change_policy(
        &mut self,
        change: &PolicyChange,
    ) -> Result<Done, ChangeError> {
        let done = match change {
            PolicyChange::Activate(activation) => self.activate_policy(activation).await?,
            PolicyChange::Shadow(shadow) => self.put_shadow(shadow).await?,
            PolicyChange::DropShadow { digest } => self.drop_shadow(digest).await?,
            PolicyChange::Refuse(_) => return Ok(Done::new(None)),
        };
        if self.tx.dialect() == Dialect::Postgres {
            // With the commit.
            query(POLICIES_TOLD).fetch_one(&mut self.tx).await?;
        }
        Ok(done)
    }

    async fn activate_policy(
        &mut self,
        activation: &PolicyActivation,
    ) -> Result<Done, ChangeError> {
        if let Some(after) = &activation.after {
            let active = query("SELECT digest FROM policies ORDER BY activation DESC LIMIT 1");
            let active = active.fetch_optional(&mut self.tx).await?;
            let active: Option<String> = active.map(|row| row.get(0)).transpose()?;
            if active != *after {
                return Err(Conflict::OtherPolicy.into());
            }
        }
        if self.put_policy(activation).await? == 0 {
            return Err(Conflict::UnknownPolicy(activation.digest.clone()).into());
        }
        let forget = query(
            "DELETE FROM policies WHERE digest NOT IN \
             (SELECT digest FROM policies ORDER BY activation DESC LIMIT $1)",
        )
        .bind(i64::from(activation.kept_max.max(1)));
        self.run(forget).await?;
        match activation.source {
            PolicySource::Promote => self.drop_shadow(&activation.digest).await,
            _ => Ok(Done::new(None)),
        }
    }

    async fn put_shadow(&mut self, shadow: &PolicyShadow) -> Result<Done, ChangeError> {
        let put = query(
            "INSERT INTO shadow (one, digest, name, version, pushed_at, pushed_by, bytes, component) \
             VALUES (1, $1, $2, $3, $4, $5, $6, $7) ON CONFLICT (one) DO UPDATE SET digest = excluded.digest, \
             name = excluded.name, version = excluded.version, pushed_at = excluded.pushed_at, \
             pushed_by = excluded.pushed_by, bytes = excluded.bytes, component = excluded.component",
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
        let drop = query("DELETE FROM shadow WHERE digest = $1").bind(digest.to_owned());
        match self.run(drop).await? {
            0 => Err(Conflict::UnknownPolicy(digest.to_owned()).into()),
            _ => Ok(Done::new(None)),
        }
    }

    /// How many rows it made or changed: none where the component is neither given nor there.
    async fn put_policy(&mut self, activation: &PolicyActivation) -> Result<u64, StoreError> {
        let next = query("SELECT coalesce(max(activation), 0) + 1 FROM policies");
        let next: i64 = next.fetch_one(&mut self.tx).await?.get(0)?;
        let again = query(
            "UPDATE policies SET activation = $1, activated_at = $2, activated_by = $3, source = $4, configured = $5 \
             WHERE digest = $6",
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
        let add = query(
            "INSERT INTO policies (digest, name, version, added_at, activation, activated_at, activated_by, \
             source, configured, bytes) VALUES ($1, $2, $3, $4, $5, $4, $6, $7, $8, $9)",
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
        let keep = query("INSERT INTO policy_components (digest, component) VALUES ($1, $2)")
            .bind(activation.digest.clone())
            .bind(component.to_vec());
        self.run(keep).await
    }
}
