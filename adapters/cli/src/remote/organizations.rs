//! Organizations and clusters over the API. Everybody reaches their own organization; operators make others.

use anyhow::Result;
use jiff::Timestamp;
use scopegate_host::{
    admin::{ImportedKey, Reply},
    store::{Cluster, Organization},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Remote,
    people::invited_reply,
    view::{ClusterView, InvitationView, OrganizationView},
};
use crate::{failure::Failure, output};

const CLUSTERS: &str = "clusters";
const ORGANIZATIONS: &str = "organizations";

impl Remote {
    /// Checks that the organization which a command names is the caller's: the API reaches no other.
    pub(super) async fn require_home(&self, wanted: Option<&str>) -> Result<()> {
        let Some(wanted) = wanted else {
            return Ok(());
        };
        let own: OrganizationView = self.gate.get(&["organization"]).json().await?;
        if is_called(&own, wanted) {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "over the API you reach your own organization alone, `{}`",
            own.name
        ))
        .help("leave `--organization` out")
        .into())
    }

    pub(super) async fn add_cluster(
        &self,
        organization: Option<String>,
        id: &str,
    ) -> Result<Reply> {
        self.require_home(organization.as_deref()).await?;
        let body = json!({ "id": id });
        self.gate.post(&[CLUSTERS], Some(body)).send().await?;
        Ok(Reply::Done { changed: true })
    }

    pub(super) async fn list_clusters(&self, organization: Option<String>) -> Result<Reply> {
        self.require_home(organization.as_deref()).await?;
        let clusters: Vec<ClusterView> = self.gate.list(&[CLUSTERS], &[]).await?;
        Ok(Reply::Clusters {
            clusters: clusters.into_iter().map(Cluster::from).collect(),
        })
    }

    pub(super) async fn delete_cluster(
        &self,
        organization: Option<String>,
        id: &str,
    ) -> Result<Reply> {
        self.require_home(organization.as_deref()).await?;
        self.gate.delete(&[CLUSTERS, id]).send().await?;
        Ok(Reply::Done { changed: true })
    }

    pub(super) async fn list_organizations(&self) -> Result<Reply> {
        let organizations = self.organizations().await?.into_iter();
        Ok(Reply::Organizations {
            organizations: organizations.map(Organization::from).collect(),
        })
    }

    pub(super) async fn found(&self, name: String, admin: String) -> Result<Reply> {
        #[derive(Deserialize)]
        struct Founded {
            #[serde(flatten)]
            organization: OrganizationView,
            admin: InvitationView,
        }
        let body = json!({ "name": name, "admin": admin });
        let call = self.gate.post(&[ORGANIZATIONS], Some(body)).once();
        let founded: Founded = call.json().await?;
        match invited_reply(founded.admin)? {
            Reply::Invited {
                user,
                invitation,
                expires_at,
            } => Ok(Reply::Founded {
                organization: founded.organization.into(),
                admin: user,
                invitation,
                expires_at,
            }),
            other => output::unexpected(&other).map(|()| other),
        }
    }

    pub(super) async fn import_keys(
        &self,
        organization: Option<String>,
        keys: Vec<ImportedKey>,
    ) -> Result<Reply> {
        #[derive(Deserialize)]
        struct Imported {
            keys: Vec<Uuid>,
        }
        let place = self
            .organization(organization.as_deref())
            .await?
            .to_string();
        let keys: Result<Vec<Value>> = keys.into_iter().map(foreign).collect();
        let path = [ORGANIZATIONS, &place, "keys", "import"];
        let call = self.gate.post(&path, Some(json!({ "keys": keys? })));
        let imported: Imported = call.json().await?;
        Ok(Reply::Imported {
            keys: imported.keys,
        })
    }

    /// An organization by name or id, or the only one; for operators.
    async fn organization(&self, wanted: Option<&str>) -> Result<Uuid> {
        let all = self.organizations().await?;
        let found = match wanted {
            Some(wanted) => all.iter().find(|one| is_called(one, wanted)),
            None => all.first().filter(|_| all.len() == 1),
        };
        match (found, wanted) {
            (Some(found), _) => Ok(found.id),
            (None, Some(wanted)) => {
                Err(Failure::new(format!("there is no organization `{wanted}`"))
                    .help("`scopegate organization list` shows those that there are")
                    .into())
            }
            (None, None) => Err(Failure::usage(
                "which organization is not said, and there is not just one",
            )
            .help("say it with `--organization`")
            .into()),
        }
    }

    async fn organizations(&self) -> Result<Vec<OrganizationView>> {
        Ok(self.gate.list(&[ORGANIZATIONS], &[]).await?)
    }
}

fn is_called(organization: &OrganizationView, wanted: &str) -> bool {
    organization.name == wanted || Uuid::parse_str(wanted).is_ok_and(|id| id == organization.id)
}

/// A key as the API takes it: its expiry is a moment.
fn foreign(key: ImportedKey) -> Result<Value> {
    let expires_at = match key.expires_at.map(Timestamp::from_second) {
        None => None,
        Some(Ok(moment)) => Some(moment),
        Some(Err(_)) => {
            return Err(Failure::usage(format!(
                "the expiry of `{}` is beyond the year 9999",
                key.name
            ))
            .into());
        }
    };
    let mut value = serde_json::to_value(key)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("expires_at".to_owned(), json!(expires_at));
    }
    Ok(value)
}
