//! What callers may give and change: no more than they hold at that moment, and nobody who may do more.

use std::sync::Arc;

use scopegate_policy::{Clusters, PermissionInfo, RoleInfo};
use serde_json::json;
use uuid::Uuid;

use super::Office;
use crate::{
    Principal,
    admin::{Admin, AdminError, ErrorKind, NewKey, UserEdit, Whose},
    contract::Authority,
    directory::LookUp,
    store::{Change, Credential, CredentialKind::ApiKey, Expected, Page, Session, fixture::NOW_MS},
};

const NOW: i64 = NOW_MS / 1000;

const ALL: [&str; 8] = [
    "clusters:read",
    "nodes:read",
    "metrics:write",
    "manage:agents",
    "manage:clusters",
    "manage:keys",
    "manage:roles",
    "manage:users",
];

/// An office with an `admin` who holds everything, and whoever else is hired.
struct Staff {
    office: Office,
}

impl Staff {
    async fn new(authority: Authority) -> Self {
        let mut office = Office::new(authority).await;
        let role = |name: &str, permissions: &[&str]| RoleInfo {
            name: name.to_owned(),
            permissions: permissions.iter().map(|&name| name.to_owned()).collect(),
            when: None,
        };
        office.description.permissions = ALL
            .map(|name| PermissionInfo {
                name: name.to_owned(),
                category: String::new(),
                unlocks: String::new(),
                scope: name.ends_with(":read"),
            })
            .into();
        office.description.roles = vec![
            role("admin", &ALL),
            role("viewer", &["clusters:read", "nodes:read"]),
            role("agent", &["metrics:write"]),
        ];
        Self { office }
    }

    /// A user of this role, custom where it is told what it gives, with a session.
    async fn hire(
        &self,
        email: &str,
        role: &str,
        permissions: &[&str],
        clusters: Option<&[&str]>,
    ) -> Arc<Principal> {
        if !permissions.is_empty() {
            let set = json!({"command": "role-set", "name": role, "permissions": permissions});
            self.office.done(set).await;
        }
        let mut user = self.office.fixture.new_user(email, role);
        if let Some(ids) = clusters {
            user.clusters = Clusters::only(ids.iter().copied());
        }
        let id = user.id;
        self.office
            .fixture
            .make(Change::AddUser(Box::new(user)))
            .await;
        self.sign_in(id).await
    }

    async fn sign_in(&self, user: Uuid) -> Arc<Principal> {
        let session = Session {
            id: Uuid::new_v4(),
            user,
            auth_time: NOW,
            mfa: false,
            expires_at: NOW + 3600,
            revoked_at: None,
        };
        let id = session.id;
        self.office.fixture.make(Change::OpenSession(session)).await;
        let found = self.office.fixture.directory.by_session(id, user, NOW_MS);
        match found.await.unwrap() {
            LookUp::Found(principal) => principal,
            other => panic!("{other:?}"),
        }
    }

    fn by<'a>(&'a self, caller: &'a Principal) -> Admin<'a> {
        Admin::of_caller(
            &self.office.fixture.directory,
            &self.office.contract,
            &self.office.description,
            caller,
            &caller.caller.roles,
            Uuid::nil(),
            [127, 0, 0, 1].into(),
        )
    }

    async fn key(&self, caller: &Principal, key: NewKey) -> Result<Credential, AdminError> {
        let minted = self.by(caller).mint_own_key(key, None, NOW_MS).await;
        minted.map(|minted| minted.credential)
    }
}

fn key(scopes: &[&str], clusters: &[&str]) -> NewKey {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    NewKey {
        name: "ci".to_owned(),
        scopes: (!scopes.is_empty()).then(|| owned(scopes)),
        allowed_cluster_ids: owned(clusters),
        expires_at: None,
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, AdminError>) -> ErrorKind {
    result.unwrap_err().kind
}

fn role(name: &str) -> UserEdit {
    UserEdit {
        role: Some(name.to_owned()),
        clusters: None,
    }
}

#[tokio::test]
async fn nobody_gives_a_permission_that_they_do_not_hold() {
    let staff = Staff::new(Authority::Owner).await;
    let people = staff
        .hire(
            "people@example.com",
            "people",
            &[
                "manage:users",
                "manage:roles",
                "manage:agents",
                "clusters:read",
            ],
            None,
        )
        .await;
    let by = staff.by(&people);
    let invite =
        |role: &str| by.invite_user("new@example.com".into(), role.into(), None, None, NOW_MS);
    for more in ["admin", "viewer"] {
        assert_eq!(kind(invite(more).await), ErrorKind::Forbidden, "{more}");
    }
    let put = |name: &str, permission: &str| {
        by.put_role(
            name.into(),
            vec![permission.into()],
            Expected::Nothing,
            NOW_MS,
        )
    };
    for more in ["nodes:read", "*", "*:read", "clusters:*", "manage:*"] {
        // `clusters:*` is `clusters:read` alone in this catalogue.
        let given = put(&format!("role{}", more.len()), more).await;
        assert_eq!(given.is_ok(), more == "clusters:*", "{more}: {given:?}");
    }
    invite("people").await.unwrap();
    let scope = staff.key(&people, key(&["nodes:read"], &[])).await;
    assert_eq!(kind(scope), ErrorKind::Forbidden);
    staff
        .key(&people, key(&["clusters:read"], &[]))
        .await
        .unwrap();
    // An agent may submit metrics, which they may not.
    let agent = by.mint_agent_of_home("prod".into(), None, None, None, NOW_MS);
    assert_eq!(kind(agent.await), ErrorKind::Forbidden);
}

#[tokio::test]
async fn who_manages_users_touches_nobody_who_may_do_more() {
    let staff = Staff::new(Authority::Owner).await;
    let admin = staff.hire("root@example.com", "admin", &[], None).await;
    let people = staff
        .hire("people@example.com", "people", &["manage:users"], None)
        .await;
    let peer = staff.hire("peer@example.com", "people", &[], None).await;
    let (admin, peer) = (admin.user.unwrap(), peer.user.unwrap());
    let by = staff.by(&people);
    let anything = Expected::Anything;
    assert_eq!(
        kind(by.disable_user_by_id(admin, NOW_MS).await),
        ErrorKind::Forbidden
    );
    assert_eq!(
        kind(by.invite_user_again(admin, NOW_MS).await),
        ErrorKind::Forbidden
    );
    assert_eq!(
        kind(by.end_sessions_of(admin, NOW_MS).await),
        ErrorKind::Forbidden
    );
    assert_eq!(
        kind(by.reset_factor_of(admin, NOW_MS).await),
        ErrorKind::Forbidden
    );
    assert_eq!(
        kind(by.edit_user(admin, role("people"), anything, NOW_MS).await),
        ErrorKind::Forbidden
    );
    assert_eq!(
        kind(by.edit_user(peer, role("admin"), anything, NOW_MS).await),
        ErrorKind::Forbidden
    );
    by.invite_user_again(peer, NOW_MS).await.unwrap();
    assert!(by.disable_user_by_id(peer, NOW_MS).await.unwrap());
}

#[tokio::test]
async fn nobody_takes_their_own_rights_away() {
    let staff = Staff::new(Authority::Owner).await;
    let admin = staff.hire("root@example.com", "admin", &[], None).await;
    let own = admin.user.unwrap();
    let by = staff.by(&admin);
    assert_eq!(
        kind(by.disable_user_by_id(own, NOW_MS).await),
        ErrorKind::Conflict
    );
    let less = by.edit_user(own, role("viewer"), Expected::Anything, NOW_MS);
    assert_eq!(kind(less.await), ErrorKind::Conflict);
    let none = UserEdit {
        role: None,
        clusters: Some(Clusters::Only(Vec::new())),
    };
    let none = by.edit_user(own, none, Expected::Anything, NOW_MS).await;
    assert_eq!(kind(none), ErrorKind::Conflict);
    // Another administrator can.
    let other = staff.hire("other@example.com", "admin", &[], None).await;
    let by = staff.by(&other);
    let less = by.edit_user(own, role("viewer"), Expected::Anything, NOW_MS);
    assert_eq!(less.await.unwrap().role.as_deref(), Some("viewer"));
}

#[tokio::test]
async fn a_restricted_administrator_stays_within_their_clusters() {
    let staff = Staff::new(Authority::Scopes).await;
    let admin = staff
        .hire("prod@example.com", "admin", &[], Some(&["prod"]))
        .await;
    let wide = staff.hire("root@example.com", "admin", &[], None).await;
    let by = staff.by(&admin);
    let invite = |clusters: Option<&[&str]>| {
        let clusters = clusters.map(|ids| ids.iter().map(|&id| id.to_owned()).collect());
        by.invite_user(
            "new@example.com".into(),
            "viewer".into(),
            clusters,
            None,
            NOW_MS,
        )
    };
    // Every cluster is more than theirs; one that is not theirs is as one that is not there.
    assert_eq!(kind(invite(None).await), ErrorKind::Forbidden);
    assert_eq!(
        kind(staff.key(&admin, key(&["nodes:read"], &[])).await),
        ErrorKind::Forbidden
    );
    for named in [
        invite(Some(&["dev"])).await.unwrap_err(),
        invite(Some(&["ghost"])).await.unwrap_err(),
    ] {
        assert_eq!(named.help.as_deref(), Some("there are: `prod`"), "{named}");
    }
    for id in ["dev", "ghost"] {
        let minted = staff
            .key(&admin, key(&["nodes:read"], &["prod", id]))
            .await
            .unwrap_err();
        assert_eq!(minted.to_string(), format!("there is no cluster `{id}`"));
        assert_eq!(minted.help.as_deref(), Some("there are: `prod`"));
        let agent = by
            .mint_agent_of_home(id.into(), None, None, None, NOW_MS)
            .await
            .unwrap_err();
        assert_eq!(
            (agent.kind, agent.help.as_deref()),
            (ErrorKind::Unknown, Some("there are: `prod`"))
        );
    }
    invite(Some(&["prod"])).await.unwrap();
    staff
        .key(&admin, key(&["nodes:read"], &["prod"]))
        .await
        .unwrap();
    // Roles and new clusters reach beyond, and so do users of every cluster.
    let connect = by.connect_cluster("new".into(), false, None, NOW_MS).await;
    assert_eq!(kind(connect), ErrorKind::Forbidden);
    let put = by.put_role(
        "r".into(),
        vec!["nodes:read".into()],
        Expected::Nothing,
        NOW_MS,
    );
    assert_eq!(kind(put.await), ErrorKind::Forbidden);
    let disable = by.disable_user_by_id(wide.user.unwrap(), NOW_MS).await;
    assert_eq!(kind(disable), ErrorKind::Forbidden);
    let page = Page {
        after: None,
        limit: 10,
    };
    let seen: Vec<String> = by
        .clusters(None, &page)
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(seen, ["prod"]);
}

#[tokio::test]
async fn keys_of_an_organization_are_an_administrators() {
    let reading = vec!["*:read".to_owned(), "manage:agents".to_owned()];
    let staff = Staff::new(Authority::Organization(reading)).await;
    let viewer = staff.hire("eve@example.com", "viewer", &[], None).await;
    assert_eq!(
        kind(staff.key(&viewer, key(&[], &[])).await),
        ErrorKind::Forbidden
    );
    let admin = staff.hire("root@example.com", "admin", &[], None).await;
    let minted = staff.key(&admin, key(&[], &[])).await.unwrap();
    assert_eq!(minted.scopes, None);
    let scoped = staff.key(&admin, key(&["nodes:read"], &[])).await;
    assert_eq!(kind(scoped), ErrorKind::Invalid);
}

#[tokio::test]
async fn keys_of_scopes_carry_what_their_minter_holds() {
    let staff = Staff::new(Authority::Scopes).await;
    let nodes = staff
        .hire("nodes@example.com", "nodes", &["nodes:read"], None)
        .await;
    assert_eq!(
        kind(staff.key(&nodes, key(&[], &[])).await),
        ErrorKind::Invalid
    );
    assert_eq!(
        kind(staff.key(&nodes, key(&["clusters:read"], &[])).await),
        ErrorKind::Forbidden
    );
    let minted = staff
        .key(&nodes, key(&["nodes:read"], &["dev"]))
        .await
        .unwrap();
    // What they hold no more, they do not rotate either: such a key would go on without them.
    let set = json!({"command": "role-set", "name": "nodes", "permissions": ["clusters:read"]});
    staff.office.done(set).await;
    let now = staff.sign_in(nodes.user.unwrap()).await;
    let by = staff.by(&now);
    let rotate = by.rotate_by_id(minted.id, ApiKey, Whose::Own, (None, None), None, NOW_MS);
    assert_eq!(kind(rotate.await), ErrorKind::Forbidden);
}

#[tokio::test]
async fn rotation_has_its_rules() {
    let staff = Staff::new(Authority::Owner).await;
    let admin = staff.hire("root@example.com", "admin", &[], None).await;
    let other = staff.hire("other@example.com", "admin", &[], None).await;
    let old = staff.key(&admin, key(&[], &["prod"])).await.unwrap();
    let by = staff.by(&admin);
    let rotate = |ends| by.rotate_by_id(old.id, ApiKey, Whose::Own, ends, None, NOW_MS);
    let day = 24 * 3600;
    for (ends, why) in [
        ((Some(NOW - 61), None), "in the past"),
        ((Some(NOW + 90 * day + 1), None), "longer than 90 days"),
        ((None, Some(NOW)), "not in the future"),
    ] {
        let error = rotate(ends).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        assert!(error.message.contains(why), "{error}");
    }
    // Nobody else's, whatever they may do.
    let theirs = staff.by(&other);
    let foreign = theirs.rotate_by_id(old.id, ApiKey, Whose::Own, (None, None), None, NOW_MS);
    assert_eq!(kind(foreign.await), ErrorKind::Missing);
    let new = rotate((Some(NOW + 90 * day), None))
        .await
        .unwrap()
        .credential;
    assert_eq!(
        (new.predecessor, &new.allowed_clusters),
        (Some(old.id), &Clusters::only(["prod"]))
    );
    assert_eq!(kind(rotate((None, None)).await), ErrorKind::Conflict);
    assert!(
        by.revoke_by_id(new.id, ApiKey, Whose::Own, NOW_MS)
            .await
            .unwrap()
    );
    let ended = by.rotate_by_id(new.id, ApiKey, Whose::Own, (None, None), None, NOW_MS);
    assert_eq!(kind(ended.await), ErrorKind::Conflict);
}

#[tokio::test]
async fn long_lists_and_names_are_refused_before_they_are_compared() {
    let staff = Staff::new(Authority::Owner).await;
    let admin = staff.hire("root@example.com", "admin", &[], None).await;
    let by = staff.by(&admin);
    let invite = |role: &str, clusters: Vec<String>| {
        let email = "new@example.com".to_owned();
        by.invite_user(email, role.to_owned(), Some(clusters), None, NOW_MS)
    };
    let put = |permissions: Vec<String>| {
        by.put_role("made".into(), permissions, Expected::Nothing, NOW_MS)
    };
    let many = |name: &str, count: usize| vec![name.to_owned(); count];
    let long = "p".repeat(200_000);
    let wanted = |scopes, clusters| NewKey {
        scopes: Some(scopes),
        allowed_cluster_ids: clusters,
        ..key(&[], &[])
    };
    let few = || many("nodes:read", 1);
    let wrong = [
        invite("viewer", many("prod", 1001)).await.unwrap_err(),
        staff
            .key(&admin, wanted(few(), many("prod", 1001)))
            .await
            .unwrap_err(),
        staff
            .key(&admin, wanted(many("nodes:read", 1001), Vec::new()))
            .await
            .unwrap_err(),
        put(many("nodes:read", 1001)).await.unwrap_err(),
        invite("viewer", many(&long, 1)).await.unwrap_err(),
        put(many(&long, 1)).await.unwrap_err(),
    ];
    for error in wrong {
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        assert!(error.message.chars().count() < 128, "{error}");
    }
    for error in [
        invite(&long, Vec::new()).await.unwrap_err(),
        staff
            .key(&admin, wanted(many(&long, 1), Vec::new()))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.help, None, "{error}");
        assert!(error.message.chars().count() < 128, "{error}");
    }
    let most = many("prod", 1000);
    staff.key(&admin, wanted(few(), most)).await.unwrap();
}
