//! Organizations, users, keys and agents of a world, and the commands that make them.

use std::sync::LazyLock;

use scopegate_host::{
    admin::{
        Admin, AdminError, AgentRequest, Command, KeyRequest, Reply as AdminReply, UserRequest,
    },
    contract::{Authority, Scheme},
    keyring::SessionClaims,
    password::{self, PasswordHash},
    store::{Actor as StoreActor, Change, Session},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use totp_rs::Totp;
use uuid::Uuid;

use super::{Actor, CLUSTERS, ORGANIZATION, PASSWORD, World};

/// An API key to mint.
#[derive(Clone, Copy, Default)]
pub struct Key<'k> {
    /// What it is called; `ci` when empty.
    pub name: &'k str,
    /// Whose it is; the administrator's when empty.
    pub owner: &'k str,
    /// What it is narrowed to. Empty: not narrowed, or everything that the policy lets a key carry where the
    /// contract wants scopes.
    pub scopes: &'k [&'k str],
    /// Its clusters; empty: all.
    pub clusters: &'k [&'k str],
    /// When it ends, in seconds since the epoch.
    pub expires_at: Option<i64>,
    /// Where, if not in [`ORGANIZATION`].
    pub organization: &'k str,
}

/// A second factor, as an authenticator app and a piece of paper have it.
pub struct Enrolled {
    /// The app.
    pub totp: Totp,
    /// The paper.
    pub recovery: Vec<String>,
    /// The session that it was enrolled in.
    pub session: SessionClaims,
}

impl Enrolled {
    /// The code of this moment.
    pub fn code(&self, now_ms: i64) -> String {
        let now = now_ms.unsigned_abs() / 1000;
        self.totp.generate(now).to_string()
    }
}

impl World {
    /// Executes a command of the command line.
    pub async fn command(&self, command: Command) -> Result<AdminReply, AdminError> {
        let gate = self.running().gate();
        let policy = gate.policy();
        Admin::new(gate.directory(), gate.contract(), policy.description())
            .execute(command, self.clock.now_ms())
            .await
    }

    async fn done(&self, command: Command) -> AdminReply {
        self.command(command)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// A further organization, with the same clusters.
    pub async fn add_organization(&self, name: &str) -> Uuid {
        let AdminReply::Organization { organization } = self
            .done(Command::OrganizationCreate { name: name.into() })
            .await
        else {
            panic!("another reply");
        };
        for cluster in CLUSTERS {
            self.add_cluster(name, cluster).await;
        }
        organization.id
    }

    /// Registers a cluster.
    pub async fn add_cluster(&self, organization: &str, id: &str) {
        self.done(Command::ClusterAdd {
            organization: Some(organization.into()),
            id: id.into(),
        })
        .await;
    }

    /// Adds a user with [`PASSWORD`]; `clusters`: every one when left out.
    pub async fn add_user(
        &mut self,
        organization: &str,
        email: &str,
        role: &str,
        clusters: Option<&[&str]>,
    ) -> Uuid {
        let AdminReply::User { user } = self
            .done(Command::UserAdd(UserRequest {
                organization: Some(organization.into()),
                email: email.into(),
                password: Some(password_hash()),
                role: role.into(),
                clusters: clusters.map(owned),
            }))
            .await
        else {
            panic!("another reply");
        };
        self.users.insert(email.into(), user.id);
        user.id
    }

    /// Adds an operator with [`PASSWORD`].
    pub async fn add_operator(&self, email: &str) -> Uuid {
        let add = Command::OperatorAdd {
            email: email.into(),
            password: Some(password_hash()),
        };
        match self.done(add).await {
            AdminReply::User { user } => user.id,
            _ => panic!("another reply"),
        }
    }

    /// Nobody.
    pub fn anonymous(&self) -> Actor {
        Actor::new(&self.url, None)
    }

    /// A session of `admin@acme.example`, by the role alone, or of anyone by the whole address.
    ///
    /// Contracts with a log-in are logged in to; for the others, the token is signed as the dashboard would.
    pub async fn session(&self, who: &str) -> Actor {
        let email = if who.contains('@') {
            who.to_owned()
        } else {
            format!("{who}@acme.example")
        };
        let token = match &self.contract.login {
            Some(login) => {
                let body = json!({ "email": email, "password": PASSWORD });
                let reply = self.anonymous().post(&login.path, body).await;
                assert_eq!(reply.status, 200, "log-in of {email}: {}", reply.body);
                reply.json()["token"].as_str().expect("a token").to_owned()
            }
            None => self.sign(self.claims(&email)),
        };
        self.bearer(&token)
    }

    /// Whoever has this token, on the management listener.
    pub fn manager_with(&self, token: &str) -> Actor {
        let bearer = ("authorization", format!("Bearer {token}"));
        Actor::new(&self.management, Some(bearer))
    }

    /// The id of a user by their whole address.
    pub fn user(&self, email: &str) -> Uuid {
        self.users
            .get(email)
            .copied()
            .expect("a user of this world")
    }

    /// Gives a user a confirmed second factor, in a session that is opened for it.
    pub async fn enrol(&self, email: &str) -> Enrolled {
        let (gate, user) = (self.running().gate(), self.user(email));
        let (now_ms, origin) = (self.clock.now_ms(), || StoreActor::User(user).into());
        let session = Session {
            id: Uuid::new_v4(),
            user,
            auth_time: now_ms / 1000,
            mfa: false,
            expires_at: now_ms / 1000 + 86_400,
            revoked_at: None,
        };
        let claims = SessionClaims {
            sid: session.id,
            ..self.claims(email)
        };
        let opened = Change::OpenSession(session);
        let opened = gate.directory().apply(opened, origin(), now_ms).await;
        assert!(opened.expect("a session"));
        let sessions = gate.sessions();
        let begun = sessions.begin_factor(user, origin(), now_ms).await;
        let totp = Totp::from_url(begun.expect("an enrolment").url.expose_secret());
        let totp = totp.expect("an otpauth URL");
        let code = totp
            .generate(now_ms.unsigned_abs() / 1000)
            .to_string()
            .into();
        let recovery = sessions.confirm_factor(claims.sid, user, &code, origin(), now_ms);
        let recovery = recovery.await.expect("the code fits");
        Enrolled {
            totp,
            recovery: recovery
                .iter()
                .map(|code| code.expose_secret().to_owned())
                .collect(),
            session: claims,
        }
    }

    /// The claims of a token that is good, but whose session is in no store.
    pub fn claims(&self, email: &str) -> SessionClaims {
        let now = self.clock.now_ms() / 1000;
        SessionClaims {
            iss: self.keyring.issuer().into(),
            aud: self.contract.name.clone(),
            sub: self.users.get(email).copied().unwrap_or_else(Uuid::new_v4),
            sid: Uuid::new_v4(),
            org_id: self.organization,
            iat: now,
            exp: now + self.contract.session.ttl_secs,
            auth_time: now,
            jti: Uuid::new_v4(),
        }
    }

    /// Signs claims with the gate's own key.
    pub fn sign(&self, claims: SessionClaims) -> String {
        self.keyring
            .sign(&claims)
            .expect("a token")
            .expose_secret()
            .to_owned()
    }

    /// Whoever has this token, sent as `Authorization: Bearer`.
    pub fn bearer(&self, token: &str) -> Actor {
        Actor::new(
            &self.url,
            Some(("authorization", format!("Bearer {token}"))),
        )
    }

    /// A new key, sent in the way that the contract prefers.
    pub async fn key(&self, key: Key<'_>) -> Actor {
        let (secret, id) = self.mint_key(key).await;
        self.with_key(&secret).named(id)
    }

    /// A new key's text and id.
    pub async fn mint_key(&self, key: Key<'_>) -> (String, Uuid) {
        let or = |text: &str, other: &str| (if text.is_empty() { other } else { text }).to_owned();
        let scopes = if key.scopes.is_empty() {
            self.contract
                .minting
                .scopes_required
                .then(|| self.all_scopes())
        } else {
            Some(owned(key.scopes))
        };
        let owned_by = matches!(self.contract.authority, Authority::Owner) || !key.owner.is_empty();
        self.minted(Command::KeyMint(KeyRequest {
            organization: Some(or(key.organization, ORGANIZATION)),
            owner: owned_by.then(|| or(key.owner, "admin@acme.example")),
            name: or(key.name, "ci"),
            scopes,
            allowed_cluster_ids: owned(key.clusters),
            expires_at: key.expires_at,
        }))
        .await
    }

    /// Every permission that the policy lets a key carry.
    pub fn all_scopes(&self) -> Vec<String> {
        let policy = self.running().gate().policy();
        let scopes = policy
            .description()
            .permissions
            .iter()
            .filter(|permission| permission.scope);
        scopes.map(|permission| permission.name.clone()).collect()
    }

    /// Whoever has this key, sent in the way that the contract prefers.
    pub fn with_key(&self, secret: &str) -> Actor {
        let schemes = &self.contract.schemes;
        let header = if schemes.contains(&Scheme::XApiKey) {
            ("x-api-key", secret.to_owned())
        } else if schemes.contains(&Scheme::ApiKey) {
            ("authorization", format!("ApiKey {secret}"))
        } else {
            ("authorization", format!("Bearer {secret}"))
        };
        Actor::new(&self.url, Some(header))
    }

    /// An agent of a cluster, with a new token.
    pub async fn agent(&self, cluster: &str) -> Actor {
        let request = AgentRequest {
            organization: Some(ORGANIZATION.into()),
            cluster: cluster.into(),
            ..AgentRequest::default()
        };
        let (secret, id) = self.minted(Command::AgentMint(request)).await;
        self.with_key(&secret).named(id)
    }

    async fn minted(&self, command: Command) -> (String, Uuid) {
        let AdminReply::Minted { credential, secret } = self.done(command).await else {
            panic!("another reply");
        };
        (secret.expose_secret().to_owned(), credential.id)
    }

    /// Revokes a key of [`World::key`] or a token of [`World::agent`].
    pub async fn revoke(&self, actor: &Actor) {
        let id = actor.id.expect("a minted credential").to_string();
        if self
            .command(Command::KeyRevoke {
                organization: None,
                key: id.clone(),
            })
            .await
            .is_err()
        {
            self.done(Command::AgentRevoke {
                organization: None,
                agent: id,
            })
            .await;
        }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// [`PASSWORD`], hashed once for all tests.
pub fn password_hash() -> PasswordHash {
    static HASH: LazyLock<PasswordHash> =
        LazyLock::new(|| password::hash(&SecretString::from(PASSWORD)).expect("a hash"));
    HASH.clone()
}
