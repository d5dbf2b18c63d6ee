//! Clusters: one that is not registered does not exist for the gate.

use scopegate_policy::is_cluster_id;
use uuid::Uuid;

use super::{Admin, AdminError, Minted, Once, Reply, error::quoted};
use crate::store::{Change, ChangeError, Cluster, Conflict, Page};

impl Admin<'_> {
    /// A page of the clusters of the caller's organization that the caller sees, by id: those that have `part` in
    /// theirs, whatever its case.
    pub async fn clusters(
        &self,
        part: Option<&str>,
        page: &Page<String>,
    ) -> Result<Vec<Cluster>, AdminError> {
        let store = self.directory.store();
        let Some(visible) = self.visible_clusters() else {
            return Ok(store.page_clusters(self.home()?, part, page).await?);
        };
        let all = store.list_clusters(self.home()?).await?;
        let after = |cluster: &Cluster| page.after.as_ref().is_none_or(|last| cluster.id > *last);
        let part = part.map(str::to_ascii_lowercase);
        let has_part = |cluster: &Cluster| {
            let part = part.as_deref();
            part.is_none_or(|part| cluster.id.to_ascii_lowercase().contains(part))
        };
        let shown = all.into_iter().filter(|cluster| {
            cluster.deleted_at.is_none()
                && visible.contains(&cluster.id)
                && after(cluster)
                && has_part(cluster)
        });
        Ok(shown.take(page.limit as usize).collect())
    }

    /// Registers a cluster in the caller's organization, together with its agent's token if one is wanted: both or
    /// neither.
    pub async fn connect_cluster(
        &self,
        id: String,
        with_agent: bool,
        once: Option<Once>,
        now_ms: i64,
    ) -> Result<Option<Minted>, AdminError> {
        let organization = self.home()?;
        self.require_unrestricted()?;
        check_id(&id)?;
        if !with_agent {
            let change = Change::AddCluster {
                organization,
                id,
                agent: None,
            };
            return match self.apply(change, now_ms).await {
                Ok(_) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let agent = self.agent(organization, id.clone(), None, None, now_ms)?;
        let (new, secret) = self.with_secret(agent, once)?;
        let credential = new.credential.clone();
        let change = Change::AddCluster {
            organization,
            id,
            agent: Some(Box::new(new)),
        };
        let made = self.apply(change, now_ms).await;
        self.minted(made, credential, secret).await.map(Some)
    }

    /// Deletes a cluster of the caller's and revokes its agents' tokens.
    pub async fn delete_cluster_of_home(&self, id: &str, now_ms: i64) -> Result<(), AdminError> {
        let organization = self.home()?;
        let change = Change::DeleteCluster {
            organization,
            id: id.to_owned(),
        };
        match self.apply(change, now_ms).await {
            Ok(_) => Ok(()),
            Err(ChangeError::Conflict(Conflict::UnknownCluster(_))) => {
                Err(AdminError::no_such("cluster"))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn add_cluster(
        &self,
        organization: Option<String>,
        id: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        check_id(&id)?;
        let organization = self.organization(organization.as_deref()).await?.id;
        let change = Change::AddCluster {
            organization,
            id,
            agent: None,
        };
        self.done(change, now_ms).await
    }

    pub(super) async fn list_clusters(
        &self,
        organization: Option<String>,
    ) -> Result<Reply, AdminError> {
        let organization: Uuid = self.organization(organization.as_deref()).await?.id;
        let clusters = self.directory.store().list_clusters(organization).await?;
        Ok(Reply::Clusters { clusters })
    }

    pub(super) async fn delete_cluster(
        &self,
        organization: Option<String>,
        id: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let organization = self.organization(organization.as_deref()).await?.id;
        self.require_clusters(organization, std::slice::from_ref(&id))
            .await?;
        self.done(Change::DeleteCluster { organization, id }, now_ms)
            .await
    }
}

pub(super) fn check_id(id: &str) -> Result<(), AdminError> {
    if is_cluster_id(id) {
        return Ok(());
    }
    Err(
        AdminError::invalid(format!("{} cannot be the id of a cluster", quoted(id)))
            .help("it is 1 to 253 letters, digits, `.`, `_`, `:` and `-`"),
    )
}
