//! What acme has that nobody else may learn of, and for each of it a twin: of the same shape, and nobody's.

use std::collections::BTreeSet;

use scopegate_host::{
    admin::{Command, Reply as AdminReply},
    key::{self, KeyKind},
};
use secrecy::ExposeSecret;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    api::{
        endpoints::{document, endpoints},
        office::made,
        table::{Kind, OTHER, Stage},
    },
    harness::{Key, ORGANIZATION},
};

/// Something of acme's.
pub struct Foreign {
    pub text: String,
    /// Of the same shape, and nothing that is there.
    pub twin: String,
    /// Whether a reply that has it gives something away: everything does but what is known from elsewhere.
    pub is_secret: bool,
}

/// The address of a user of acme's.
pub const EMAIL: &str = "ops@acme.example";
const ROLE: &str = "zq-ledger-1";
const CLUSTER: &str = "zq-vault-1";
const NAME: &str = "zq-grafana-1";

/// Furnishes acme, and the other organization likewise. What acme has, and the ids that its rows belong to.
pub async fn furnish(stage: &mut Stage) -> (Vec<Foreign>, BTreeSet<String>) {
    let (mut ids, mut named) = (Vec::new(), Vec::new());
    for organization in [OTHER, ORGANIZATION] {
        (ids, named) = of(stage, organization).await;
    }
    let admin = stage.caller(Kind::Admin).await;
    ids.extend([admin.user, admin.credential].map(|id| id.expect("an id").to_string()));
    ids.push(stage.world.organization.to_string());
    named.push(stage.world.organization.to_string());
    named.push(admin.credential.expect("a session").to_string());

    let world = &stage.world;
    let foreign = |text: &str, twin: &str| Foreign {
        text: text.to_owned(),
        twin: twin.to_owned(),
        is_secret: true,
    };
    let mut all: Vec<Foreign> = named
        .iter()
        .map(|id| foreign(id, &Uuid::now_v7().to_string()))
        .collect();
    all.extend([
        foreign(EMAIL, "ops@acne.example"),
        foreign(ROLE, "zq-ledger-2"),
        foreign(CLUSTER, "zq-vault-2"),
        foreign(NAME, "zq-grafana-2"),
    ]);
    // Its name is no secret where it stands in an address.
    all.push(Foreign {
        is_secret: false,
        ..foreign(ORGANIZATION, "acne")
    });
    // Credentials, as somebody presents them who has found them.
    let key = Key {
        owner: EMAIL,
        name: NAME,
        ..Key::default()
    };
    let (secret, id) = world.mint_key(key).await;
    ids.push(id.to_string());
    let unknown = key::mint("sg", KeyKind::Live).expect("a key");
    all.push(foreign(&secret, unknown.secret.expose_secret()));
    let token = admin.actor.credential_value();
    let token = token.trim_start_matches("Bearer ");
    let (claims, signature) = token.rsplit_once('.').expect("a token");
    let other: String = signature.chars().rev().collect();
    all.push(foreign(token, &format!("{claims}.{other}")));
    // Where acme's pages end: a place among one's own things too, so that there is no twin of it.
    for endpoint in endpoints(&document(world).await) {
        if endpoint.method != "GET" || !endpoint.placeholders().is_empty() {
            continue;
        }
        let path = format!("{}?limit=1", endpoint.template);
        let page = admin.actor.get(&path).await;
        let page: Value = serde_json::from_str(&page.body).expect("JSON");
        if let Some(cursor) = page["next_cursor"].as_str() {
            all.push(Foreign {
                is_secret: false,
                ..foreign(cursor, cursor)
            });
        }
    }
    (all, ids.into_iter().collect())
}

/// The same in each organization, as far as things may have the same name. All ids, and one of each kind.
async fn of(stage: &mut Stage, organization: &'static str) -> (Vec<String>, Vec<String>) {
    let email = format!("ops@{organization}.example");
    let user = stage
        .world
        .add_user(organization, &email, "admin", None)
        .await;
    let mut roles = vec!["on-call"];
    let mut clusters = vec!["eu-1"];
    if organization == ORGANIZATION {
        roles.push(ROLE);
        clusters.push(CLUSTER);
    }
    for role in roles {
        let set = Command::RoleSet {
            organization: Some(organization.into()),
            name: role.into(),
            permissions: vec!["clusters:read".into()],
        };
        stage.world.command(set).await.expect("a role");
    }
    for cluster in clusters {
        stage.world.add_cluster(organization, cluster).await;
    }
    let mut ids = vec![user.to_string()];
    let key = Key {
        organization,
        owner: &email,
        ..Key::default()
    };
    ids.push(stage.world.mint_key(key).await.1.to_string());
    let kind = match organization {
        OTHER => Kind::Other,
        _ => Kind::Admin,
    };
    let admin = stage.caller(kind).await;
    let agent = serde_json::json!({ "cluster": "eu-1", "name": "eu-1" });
    let agent = made(&admin.actor, "/-/api/agents", agent).await;
    ids.push(agent["id"].as_str().expect("an id").to_owned());
    let named = ids.clone();
    let list = Command::UserList {
        organization: Some(organization.into()),
    };
    let Ok(AdminReply::Users { users }) = stage.world.command(list).await else {
        panic!("no users");
    };
    ids.extend(users.iter().map(|user| user.id.to_string()));
    (ids, named)
}
