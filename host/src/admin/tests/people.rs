use scopegate_policy::Clusters;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{NOW_MS, Office};
use crate::{
    admin::{ErrorKind, Reply},
    contract::Authority,
};

fn set(name: &str, permissions: Value) -> Value {
    json!({"command": "role-set", "name": name, "permissions": permissions})
}

fn add(email: &str, role: &str) -> Value {
    json!({"command": "user-add", "email": email, "role": role, "clusters": ["prod"]})
}

/// Commands, and what is wrong with them when there is a role `on-call` and a user `bob@example.com`.
fn wrong_people() -> Vec<(Value, ErrorKind, &'static str)> {
    use ErrorKind::{Conflict, Invalid, Unknown};
    vec![
        (
            add("bob@Example.com", "viewer"),
            Conflict,
            "`bob@Example.com` exists already",
        ),
        (
            add("bob", "viewer"),
            Invalid,
            "`bob` is not an e-mail address",
        ),
        (
            add("eve@example.com", "viewr"),
            Unknown,
            "there is no role `viewr`; did you mean `viewer`?",
        ),
        (
            add("eve@example.com", "agent"),
            Invalid,
            "the role `agent` is for agent tokens",
        ),
        (
            set("viewer", json!(["*"])),
            Conflict,
            "the role `viewer` is built in",
        ),
        (
            set("agent", json!(["*"])),
            Conflict,
            "the role `agent` is built in",
        ),
        (
            set("On Call", json!(["*"])),
            Invalid,
            "`On Call` cannot be the name of a role",
        ),
        (
            set("empty", json!([])),
            Invalid,
            "a role needs at least one permission",
        ),
        (
            set("typo", json!(["node:read"])),
            Unknown,
            "`node:read`; did you mean `nodes:read`?",
        ),
        (
            set("typo", json!(["bills:*"])),
            Unknown,
            "there is no permission `bills:*`",
        ),
        (
            set("typo", json!(["nodes"])),
            Invalid,
            "`nodes` is not a permission",
        ),
        (
            json!({"command": "user-set-role", "email": "bob@example.com", "role": "root"}),
            Unknown,
            "there is no role `root`; there are: `admin`, `viewer`, `on-call`",
        ),
        (
            json!({"command": "user-set-clusters", "email": "bob@example.com", "clusters": ["x"]}),
            Unknown,
            "there is no cluster `x`",
        ),
        (
            json!({"command": "user-disable", "email": "x@y"}),
            Unknown,
            "there is no user `x@y`",
        ),
    ]
}

#[tokio::test]
async fn users_and_roles() {
    let office = Office::new(Authority::Owner).await;
    office
        .done(set("on-call", json!(["*:read", "nodes:*", "*:read"])))
        .await;
    let Reply::User { user } = office.done(add("bob@example.com", "on-call")).await else {
        panic!()
    };
    assert_eq!(user.clusters, Clusters::only(["prod"]));
    for (command, kind, text) in wrong_people() {
        let what = command.to_string();
        let (found, message) = office.wrong(command).await;
        assert!(message.contains(text), "{what}: {message}");
        assert_eq!(found, kind, "{what}: {message}");
    }
    office
        .done(json!({"command": "user-set-role", "email": "bob@example.com", "role": "admin"}))
        .await;
    office
        .done(json!({"command": "user-set-clusters", "email": "bob@example.com"}))
        .await;
    let Reply::Users { users } = office.done(json!({"command": "user-list"})).await else {
        panic!()
    };
    let bob = users
        .iter()
        .find(|user| user.email == "bob@example.com")
        .unwrap();
    assert_eq!(
        (bob.role.as_deref(), &bob.clusters),
        (Some("admin"), &Clusters::All)
    );
    let Reply::Roles { roles } = office.done(json!({"command": "role-list"})).await else {
        panic!()
    };
    let names: Vec<_> = roles
        .iter()
        .map(|view| (view.role.name.as_str(), view.custom))
        .collect();
    assert_eq!(
        names,
        [
            ("admin", false),
            ("viewer", false),
            ("agent", false),
            ("on-call", true)
        ]
    );
}

#[tokio::test]
async fn organizations_and_clusters() {
    let office = Office::new(Authority::Owner).await;
    let create = |name: &str| json!({"command": "organization-create", "name": name});
    office.done(create("globex")).await;
    let (kind, message) = office.wrong(create("globex")).await;
    assert_eq!(kind, ErrorKind::Conflict, "{message}");
    let (_, message) = office.wrong(json!({"command": "cluster-list"})).await;
    assert!(
        message.ends_with("there are several; say one of `acme`, `globex`"),
        "{message}"
    );

    let cluster = |what: &str, id: &str| json!({"command": format!("cluster-{what}"), "organization": "globex", "id": id});
    office.done(cluster("add", "eu-1")).await;
    let Reply::Clusters { clusters } = office
        .done(json!({"command": "cluster-list", "organization": "globex"}))
        .await
    else {
        panic!()
    };
    assert_eq!(clusters.len(), 1);
    office.done(cluster("delete", "eu-1")).await;
    for (command, text) in [
        (
            cluster("add", "eu-1"),
            "the id `eu-1` belonged to a deleted cluster and is never used again",
        ),
        (
            cluster("add", "eu 1"),
            "`eu 1` cannot be the id of a cluster",
        ),
        (
            cluster("delete", "eu-1"),
            "there is no cluster `eu-1`; there is no cluster at all yet",
        ),
        (
            create(" x"),
            "the name of an organization must have 1 to 255 characters",
        ),
    ] {
        let (_, message) = office.wrong(command).await;
        assert!(message.contains(text), "{message}");
    }
    // The owner's organization goes without saying; another is not theirs.
    let mint = json!({"command": "key-mint", "name": "ci", "owner": "ada@example.com"});
    office.done(mint.clone()).await;
    let mut elsewhere = mint;
    elsewhere["organization"] = json!("globex");
    let (_, message) = office.wrong(elsewhere).await;
    assert!(
        message.contains("`ada@example.com` is in another organization"),
        "{message}"
    );
}

#[tokio::test]
async fn who_is_invited_comes_without_a_password() {
    let office = Office::new(Authority::Owner).await;
    let invite = |email: &str| json!({"command": "user-add-invited", "email": email, "role": "viewer", "clusters": ["prod"]});
    let Reply::Invited {
        user,
        invitation,
        expires_at,
    } = office.done(invite("eve@example.com")).await
    else {
        panic!("an invitation");
    };
    assert_eq!(user.clusters, Clusters::only(["prod"]));
    assert!(invitation.expose_secret().len() >= 40 && expires_at > NOW_MS / 1000);
    let (kind, why) = office.wrong(invite("eve@example.com")).await;
    assert_eq!(kind, ErrorKind::Conflict, "{why}");
    let store = office.fixture.directory.store();
    let login = store.find_login("eve@example.com").await.unwrap().unwrap();
    assert!(login.password.is_none());

    let found =
        json!({"command": "organization-found", "name": "Globex", "admin": "root@globex.test"});
    let Reply::Founded {
        organization,
        admin,
        invitation,
        ..
    } = office.done(found.clone()).await
    else {
        panic!("an organization");
    };
    assert_eq!(admin.organization, Some(organization.id));
    assert_eq!(admin.role.as_deref(), Some("admin"));
    assert!(!invitation.expose_secret().is_empty());
    let (kind, _) = office.wrong(found).await;
    assert_eq!(kind, ErrorKind::Conflict);
    // Both or neither.
    let taken =
        json!({"command": "organization-found", "name": "Hooli", "admin": "root@globex.test"});
    office.wrong(taken).await;
    let Reply::Organizations { organizations } =
        office.done(json!({"command": "organization-list"})).await
    else {
        panic!("organizations");
    };
    assert!(organizations.iter().all(|one| one.name != "Hooli"));
}
