use scopegate_policy::Clusters;
use uuid::Uuid;

use super::{action, fixture_on, recorded};
use crate::store::{
    Change, ChangeError, Conflict, Expected, Session,
    fixture::{Engine, Fixture, NOW_MS, behaviours, run},
};

async fn every_change_leaves_one_record_and_no_secret(engine: Engine) {
    let fixture = fixture_on(engine).await;
    let store = fixture.directory.store();
    let ada = fixture.user("ada@example.com", "viewer").await;
    let organization = fixture.organization;
    let (key, _) = fixture.key(Some(ada)).await;
    fixture.agent("dev").await;
    let session = Session {
        id: Uuid::new_v4(),
        user: ada,
        auth_time: 0,
        mfa: true,
        expires_at: NOW_MS / 1000,
        revoked_at: None,
    };
    let id = session.id;
    for change in [
        Change::SetRole {
            user: ada,
            role: "editor".to_owned(),
        },
        Change::SetClusters {
            user: ada,
            clusters: Clusters::only(["dev"]),
        },
        Change::SetCustomRole {
            organization,
            name: "on-call".to_owned(),
            permissions: vec!["*".to_owned()],
            expected: Expected::Anything,
        },
        Change::DeleteCluster {
            organization,
            id: "dev".to_owned(),
        },
        Change::OpenSession(session),
        Change::EndSession(id),
        Change::Revoke(key),
        Change::DisableUser(ada),
    ] {
        fixture.make(change).await;
    }
    let mut records = recorded(store, 100).await;
    records.reverse();
    let actions: Vec<&str> = records.iter().map(action).collect();
    let clusters = ["cluster.add"; 3];
    let expected = [
        &["organization.create"][..],
        &clusters,
        &[
            "user.add",
            "key.mint",
            "agent.mint",
            "user.set-role",
            "user.set-clusters",
            "role.set",
        ],
        &[
            "cluster.delete",
            "session.open",
            "session.end",
            "credential.revoke",
            "user.disable",
        ],
    ];
    assert_eq!(actions, expected.concat());
    assert!(
        records
            .iter()
            .all(|record| record["actor"] == "machine" && record["time"] == "2027-01-15T08:00:00Z")
    );
    // Ends are made once.
    for again in [
        Change::Revoke(key),
        Change::EndSession(id),
        Change::DisableUser(ada),
    ] {
        assert_eq!(fixture.try_make(again).await, Ok(false));
    }
    assert_eq!(recorded(store, 100).await.len(), records.len());
}

/// An organization whose cluster `dev` was deleted, with a user and a disabled one; and another organization.
struct Town {
    fixture: Fixture,
    ada: Uuid,
    gone: Uuid,
    other: Uuid,
}

impl Town {
    async fn new(engine: Engine) -> Self {
        let fixture = fixture_on(engine).await;
        let ada = fixture.user("ada@example.com", "viewer").await;
        let gone = fixture.user("gone@example.com", "viewer").await;
        fixture.make(Change::DisableUser(gone)).await;
        let other = Uuid::now_v7();
        let name = "other".to_owned();
        fixture
            .make(Change::CreateOrganization {
                id: other,
                name,
                admin: None,
            })
            .await;
        let town = Self {
            fixture,
            ada,
            gone,
            other,
        };
        town.fixture.make(town.delete_dev()).await;
        town
    }

    fn delete_dev(&self) -> Change {
        Change::DeleteCluster {
            organization: self.fixture.organization,
            id: "dev".to_owned(),
        }
    }

    fn add(&self, email: &str, organization: Uuid) -> Change {
        let mut user = self.fixture.new_user(email, "viewer");
        user.place = Some((organization, "viewer".to_owned()));
        Change::AddUser(Box::new(user))
    }

    fn mint(&self, owner: Option<Uuid>, organization: Uuid, cluster: Option<&str>) -> Change {
        let (mut new, _) = self.fixture.new_key(owner);
        new.credential.organization = organization;
        if let Some(cluster) = cluster {
            new.credential.allowed_clusters = Clusters::only([cluster]);
        }
        Change::Mint(Box::new(new))
    }

    /// Each change meets its conflict, and leaves no record.
    async fn refuses(&self, cases: impl IntoIterator<Item = (Change, Conflict)>) {
        let store = self.fixture.directory.store();
        let records = recorded(store, 100).await;
        for (change, conflict) in cases {
            let what = format!("{change:?}");
            let refused = self.fixture.try_make(change).await;
            assert_eq!(refused, Err(ChangeError::Conflict(conflict)), "{what}");
        }
        assert_eq!(recorded(store, 100).await, records);
    }
}

fn unknown(id: &str) -> Conflict {
    Conflict::UnknownCluster(id.to_owned())
}

async fn people_and_places_are_what_a_change_needs(engine: Engine) {
    let town = Town::new(engine).await;
    let Town {
        fixture,
        ada,
        gone,
        other,
    } = &town;
    let nobody = Uuid::now_v7();
    let taken = |email: &str| Conflict::EmailTaken(email.to_owned());
    let acme = || "acme".to_owned();
    let mut root = fixture.new_user("root@example.com", "");
    root.place = None;
    let operator = root.id;
    fixture.make(Change::AddUser(Box::new(root))).await;
    let admin = |user| Change::SetRole {
        user,
        role: "admin".to_owned(),
    };
    let dev = Clusters::only(["dev"]);
    town.refuses([
        (
            town.add("ADA@Example.com", fixture.organization),
            taken("ADA@Example.com"),
        ),
        (
            town.add("ada@example.com", *other),
            taken("ada@example.com"),
        ),
        (
            town.add("new@example.com", nobody),
            Conflict::UnknownOrganization,
        ),
        (
            Change::CreateOrganization {
                id: nobody,
                name: acme(),
                admin: None,
            },
            Conflict::OrganizationExists(acme()),
        ),
        (
            fixture.cluster("prod"),
            Conflict::ClusterExists("prod".to_owned()),
        ),
        (
            fixture.cluster("dev"),
            Conflict::ClusterDeleted("dev".to_owned()),
        ),
        (town.delete_dev(), unknown("dev")),
        (
            Change::SetClusters {
                user: *ada,
                clusters: dev,
            },
            unknown("dev"),
        ),
        (admin(operator), Conflict::Operator),
        (admin(*gone), Conflict::UserDisabled),
        (Change::DisableUser(nobody), Conflict::UnknownUser),
    ])
    .await;
}

async fn credentials_and_sessions_are_what_a_change_needs(engine: Engine) {
    let town = Town::new(engine).await;
    let Town {
        fixture,
        ada,
        gone,
        other,
    } = &town;
    let organization = fixture.organization;
    let nobody = Uuid::now_v7();
    let session = Session {
        id: Uuid::new_v4(),
        user: *gone,
        auth_time: 0,
        mfa: false,
        expires_at: NOW_MS / 1000,
        revoked_at: None,
    };
    town.refuses([
        (
            town.mint(Some(*ada), organization, Some("dev")),
            unknown("dev"),
        ),
        (
            town.mint(Some(*ada), organization, Some("nowhere")),
            unknown("nowhere"),
        ),
        (town.mint(Some(*ada), *other, None), Conflict::UnknownUser),
        (
            town.mint(Some(*gone), organization, None),
            Conflict::UserDisabled,
        ),
        (
            town.mint(Some(nobody), organization, None),
            Conflict::UnknownUser,
        ),
        (town.mint(None, nobody, None), Conflict::UnknownOrganization),
        (Change::Revoke(nobody), Conflict::UnknownCredential),
        (Change::OpenSession(session), Conflict::UserDisabled),
        (Change::EndSession(nobody), Conflict::UnknownSession),
    ])
    .await;
}

async fn e_mail_addresses_have_no_case(engine: Engine) {
    let fixture = fixture_on(engine).await;
    let ada = fixture.user("Ada@Example.com", "viewer").await;
    let found = fixture
        .directory
        .store()
        .find_login("aDA@example.COM")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.user.id, found.user.email.as_str()),
        (ada, "Ada@Example.com")
    );
    assert!(
        fixture
            .directory
            .store()
            .find_login("ada@example.org")
            .await
            .unwrap()
            .is_none()
    );
}

async fn credentials_never_change_and_nothing_recorded_goes_away(engine: Engine) {
    let fixture = fixture_on(engine).await;
    fixture.key(None).await;
    for sql in [
        "UPDATE credentials SET scopes = '[\"*\"]'",
        "UPDATE credentials SET expires_at = NULL",
        "UPDATE credentials SET allowed_clusters = NULL, owner = NULL",
        "DELETE FROM credentials",
        "UPDATE audit SET line = '{}'",
        "DELETE FROM audit",
        "DELETE FROM audit_segments",
        "UPDATE audit_segments SET opened_ms = 1",
    ] {
        assert!(run(&fixture.url, sql).await.is_err(), "{sql}");
    }
    let script = |sql| run(&fixture.url, sql);
    script("UPDATE credentials SET revoked_at = 1")
        .await
        .unwrap();
    let again = script("UPDATE credentials SET revoked_at = NULL");
    assert!(again.await.is_err());
}

async fn every_change_of_a_row_counts_its_epoch_up(engine: Engine) {
    let fixture = fixture_on(engine).await;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let (key, _) = fixture.key(Some(ada)).await;
    fixture
        .make(Change::SetRole {
            user: ada,
            role: "editor".to_owned(),
        })
        .await;
    fixture.make(Change::Revoke(key)).await;
    fixture.make(Change::DisableUser(ada)).await;
    let store = fixture.directory.store();
    assert_eq!(store.find_user(ada).await.unwrap().unwrap().epoch, 2);
    let facts = store.find_credential(key).await.unwrap().unwrap();
    assert_eq!(facts.version, "1:2:");
}

behaviours! {
    every_change_leaves_one_record_and_no_secret,
    people_and_places_are_what_a_change_needs,
    credentials_and_sessions_are_what_a_change_needs,
    e_mail_addresses_have_no_case,
    credentials_never_change_and_nothing_recorded_goes_away,
    every_change_of_a_row_counts_its_epoch_up,
}
