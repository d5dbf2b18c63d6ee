//! Users, their sessions and roles over the API.

use anyhow::Result;
use jiff::Timestamp;
use scopegate_host::{
    admin::{Reply, RoleView, UserRequest},
    store::OpenSession,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    Remote,
    trouble::Trouble,
    view::{Changed, InvitationView, Listed, RoleBody, SessionView, UserView, clusters, done},
};
use crate::failure::Failure;

const USERS: &str = "users";

impl Remote {
    pub(super) async fn invite_user(&self, request: UserRequest) -> Result<Reply> {
        self.require_home(request.organization.as_deref()).await?;
        let body = json!({
            "email": request.email,
            "role": request.role,
            "clusters": request.clusters,
        });
        let invited = self.gate.post(&[USERS], Some(body)).once().json().await?;
        invited_reply(invited)
    }

    pub(super) async fn invite_again(&self, email: &str) -> Result<Reply> {
        let user = self.user(email).await?.id.to_string();
        let path = [USERS, &user, "invitation"];
        invited_reply(self.gate.post(&path, None).json().await?)
    }

    pub(super) async fn list_users(&self, organization: Option<String>) -> Result<Reply> {
        self.require_home(organization.as_deref()).await?;
        let users: Vec<UserView> = self.gate.list(&[USERS], &[]).await?;
        Ok(Reply::Users {
            users: users.into_iter().map(Into::into).collect(),
        })
    }

    pub(super) async fn disable_user(&self, email: &str) -> Result<Reply> {
        let user = self.user(email).await?.id.to_string();
        let path = [USERS, &user, "disable"];
        Ok(done(self.gate.post(&path, None).json().await?))
    }

    pub(super) async fn remove_factor(&self, email: &str) -> Result<Reply> {
        let user = self.user(email).await?.id.to_string();
        let path = [USERS, &user, "factor", "reset"];
        Ok(done(self.gate.post(&path, None).json().await?))
    }

    pub(super) async fn set_user_role(&self, email: &str, role: String) -> Result<Reply> {
        let user = self.user(email).await?;
        let changed = user.role != role;
        let id = user.id.to_string();
        let body = json!({ "role": role });
        let call = self.gate.patch(&[USERS, &id], body).anything();
        call.send().await?;
        Ok(Reply::Done { changed })
    }

    pub(super) async fn set_user_clusters(
        &self,
        email: &str,
        ids: Option<Vec<String>>,
    ) -> Result<Reply> {
        let user = self.user(email).await?;
        let changed = user.clusters() != clusters(ids.clone());
        let id = user.id.to_string();
        let body = json!({ "clusters": ids });
        let call = self.gate.patch(&[USERS, &id], body).anything();
        call.send().await?;
        Ok(Reply::Done { changed })
    }

    pub(super) async fn list_sessions(&self, email: &str) -> Result<Reply> {
        let user = self.user(email).await?.id;
        let path = [USERS, &user.to_string(), "sessions"];
        let sessions: Vec<SessionView> = self.gate.list(&path, &[]).await?;
        let sessions = sessions.into_iter().map(|session| session.of_user(user));
        Ok(Reply::Sessions {
            sessions: sessions.collect(),
        })
    }

    pub(super) async fn end_sessions(&self, email: &str) -> Result<Reply> {
        let user = self.user(email).await?.id.to_string();
        let path = [USERS, &user, "sessions"];
        Ok(done(self.gate.delete(&path).json().await?))
    }

    /// One's own open sessions, each with whether this request is made with it.
    pub(crate) async fn own_sessions(&self) -> Result<Vec<(OpenSession, bool)>> {
        let sessions: Vec<SessionView> = self.gate.list(&["sessions"], &[]).await?;
        let own = sessions.into_iter().map(|session| {
            let current = session.current;
            // One's own id matters to nobody here.
            (session.of_user(Uuid::nil()), current)
        });
        Ok(own.collect())
    }

    /// Ends one of one's own sessions.
    pub(crate) async fn end_own_session(&self, id: Uuid) -> Result<()> {
        let path = ["sessions", &id.to_string()];
        self.gate.delete(&path).send().await?;
        Ok(())
    }

    /// Ends all of them. `false`: there was none.
    pub(crate) async fn end_own_sessions(&self) -> Result<bool> {
        let ended: Changed = self.gate.delete(&["sessions"]).json().await?;
        Ok(ended.changed)
    }

    pub(super) async fn set_role(
        &self,
        organization: Option<String>,
        name: &str,
        permissions: Vec<String>,
    ) -> Result<Reply> {
        self.require_home(organization.as_deref()).await?;
        let path = ["roles", name];
        let version = match self.gate.get(&path).send().await {
            Ok(found) => found.etag,
            Err(Trouble::Refused(problem)) if problem.status == 404 => None,
            Err(trouble) => return Err(trouble.into()),
        };
        let body = json!({ "permissions": permissions });
        let call = self.gate.put(&path, body).version(version);
        let role: RoleBody = call.json().await?;
        Ok(Reply::Role { role: role.into() })
    }

    pub(super) async fn delete_role(
        &self,
        organization: Option<String>,
        name: &str,
    ) -> Result<Reply> {
        self.require_home(organization.as_deref()).await?;
        let call = self.gate.delete(&["roles", name]).anything();
        call.send().await?;
        Ok(Reply::Done { changed: true })
    }

    pub(super) async fn list_roles(&self, organization: Option<String>) -> Result<Reply> {
        self.require_home(organization.as_deref()).await?;
        let roles: Listed<RoleBody> = self.gate.get(&["roles"]).json().await?;
        let roles = roles.items.into_iter().map(RoleView::from);
        Ok(Reply::Roles {
            roles: roles.collect(),
        })
    }

    /// A user of the organization by e-mail address, whatever its case.
    pub(super) async fn user(&self, email: &str) -> Result<UserView> {
        let users: Vec<UserView> = self.gate.list(&[USERS], &[]).await?;
        let found = users
            .into_iter()
            .find(|user| user.email.eq_ignore_ascii_case(email));
        found.ok_or_else(|| {
            Failure::new(format!("there is no user `{email}` in your organization"))
                .help("`scopegate user list` shows those that there are")
                .into()
        })
    }
}

/// An invitation, which can be lost on the way.
pub(super) fn invited_reply(invited: InvitationView) -> Result<Reply> {
    let lost = format!(
        "`{}` is added, and the invitation was lost with the connection",
        invited.user.email
    );
    match invited.invitation {
        Some(invitation) => Ok(Reply::Invited {
            user: invited.user.into(),
            invitation,
            expires_at: invited.expires_at.map_or(0, Timestamp::as_second),
        }),
        None => Err(Failure::new(lost)
            .help("`scopegate user invite` prints another one")
            .into()),
    }
}
