//! Who calls: one caller of each kind, made anew for each request, so that none feels what was done to another.

use std::sync::atomic::{AtomicU64, Ordering};

use scopegate_host::{
    keyring::SessionClaims,
    store::{Actor as By, Change, Session},
};
use uuid::Uuid;

use crate::{
    api::office::office,
    harness::{Actor, Key, ORGANIZATION, World},
};

/// The organization of the strangers.
pub const OTHER: &str = "globex";

/// A kind of caller, in the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Anonymous,
    /// An agent of acme's cluster `prod`.
    Agent,
    Viewer,
    Editor,
    Admin,
    /// An administrator of another organization, who names what is acme's.
    Other,
    /// An API key of an administrator's, not narrowed.
    Key,
    /// The same, narrowed to `clusters:read`.
    Scoped,
    Operator,
    /// An API key of the other organization's; not in the table, which it would only make wider.
    OtherKey,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::Agent,
        Self::Viewer,
        Self::Editor,
        Self::Admin,
        Self::Other,
        Self::Key,
        Self::Scoped,
        Self::Operator,
    ];
}

/// A caller and what is theirs.
pub struct Caller {
    pub kind: Kind,
    pub actor: Actor,
    /// The user's address; of a key, its owner's.
    pub email: Option<String>,
    /// The user, or a key's owner.
    pub user: Option<Uuid>,
    /// The session, or the key itself.
    pub credential: Option<Uuid>,
}

impl Caller {
    /// Whether they are of this organization.
    pub fn is_of(&self, organization: &str) -> bool {
        match self.kind {
            Kind::Anonymous | Kind::Agent | Kind::Operator => false,
            Kind::Other | Kind::OtherKey => organization == OTHER,
            _ => organization == ORGANIZATION,
        }
    }

    pub fn is_key(&self) -> bool {
        matches!(self.kind, Kind::Key | Kind::Scoped | Kind::OtherKey)
    }
}

/// Two organizations with the same clusters, and an operator above them.
pub struct Stage {
    pub world: World,
    /// The id of [`OTHER`].
    pub other: Uuid,
}

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A word that was not used before.
pub fn word(what: &str) -> String {
    format!("{what}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Stage {
    pub async fn set() -> Self {
        let world = office("scopegate").await;
        let other = world.add_organization(OTHER).await;
        Self { world, other }
    }

    /// One caller of each kind, whom nobody has met.
    pub async fn cast(&mut self) -> Vec<Caller> {
        let mut cast = Vec::new();
        for kind in Kind::ALL {
            cast.push(self.caller(kind).await);
        }
        cast
    }

    /// A caller of this kind whom nobody has met.
    pub async fn caller(&mut self, kind: Kind) -> Caller {
        let world = &self.world;
        let blank = |actor: Actor| Caller {
            kind,
            actor: world.manages(&actor),
            email: None,
            user: None,
            credential: None,
        };
        match kind {
            Kind::Anonymous => blank(world.anonymous()),
            Kind::Agent => blank(world.agent("prod").await),
            Kind::Viewer => self.user(kind, ORGANIZATION, "viewer").await,
            Kind::Editor => self.user(kind, ORGANIZATION, "editor").await,
            Kind::Admin => self.user(kind, ORGANIZATION, "admin").await,
            Kind::Other => self.user(kind, OTHER, "admin").await,
            Kind::Key => self.key(kind, ORGANIZATION, &[]).await,
            Kind::OtherKey => self.key(kind, OTHER, &[]).await,
            Kind::Scoped => self.key(kind, ORGANIZATION, &["clusters:read"]).await,
            Kind::Operator => self.operator().await,
        }
    }

    async fn user(&mut self, kind: Kind, organization: &str, role: &str) -> Caller {
        let email = format!("{}@{organization}.example", word(role));
        let user = self.world.add_user(organization, &email, role, None).await;
        self.signed_in(kind, user, email).await
    }

    async fn operator(&self) -> Caller {
        let email = format!("{}@gate.example", word("operator"));
        let user = self.world.add_operator(&email).await;
        self.signed_in(Kind::Operator, user, email).await
    }

    async fn key(&mut self, kind: Kind, organization: &str, scopes: &[&str]) -> Caller {
        let Caller {
            email: owner, user, ..
        } = self.user(kind, organization, "admin").await;
        let key = Key {
            organization,
            owner: owner.as_deref().expect("a user"),
            scopes,
            name: &word("key"),
            ..Key::default()
        };
        let actor = self.world.key(key).await;
        Caller {
            kind,
            credential: actor.id,
            actor: self.world.manages(&actor),
            email: owner,
            user,
        }
    }

    /// Opens a session, as a log-in does, without the cost of a password.
    pub async fn session(&self, user: Uuid, email: &str) -> SessionClaims {
        let world = &self.world;
        let claims = world.claims(email);
        let session = Session {
            id: claims.sid,
            user,
            auth_time: claims.auth_time,
            mfa: false,
            expires_at: claims.exp,
            revoked_at: None,
        };
        let directory = world.running().gate().directory();
        let open = Change::OpenSession(session);
        let opened = directory.apply(open, By::User(user), world.clock.now_ms());
        opened.await.expect("a session");
        claims
    }

    async fn signed_in(&self, kind: Kind, user: Uuid, email: String) -> Caller {
        let organization = match kind {
            Kind::Operator => Uuid::nil(),
            Kind::Other | Kind::OtherKey => self.other,
            _ => self.world.organization,
        };
        let claims = SessionClaims {
            sub: user,
            org_id: organization,
            ..self.session(user, &email).await
        };
        let credential = Some(claims.sid);
        let token = self.world.sign(claims);
        Caller {
            kind,
            actor: self.world.manager_with(&token),
            email: Some(email),
            user: Some(user),
            credential,
        }
    }
}
