//! Lists in every order and narrowed to a part of them, a page at a time.

use serde_json::{Value, json};
use sqlx::SqlitePool;

use super::office::{made, office};
use crate::harness::{Actor, START_MS};

const KEYS: [&str; 2] = ["/-/api/keys", "/-/api/organization/keys"];

/// All items of a list, two at a time.
async fn all(actor: &Actor, path: &str) -> Vec<Value> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = actor.get(&format!("{path}limit=2{cursor}")).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        let page = page.json();
        seen.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

/// Whether what comes after `one` in this order may be `next`: what is alike is ordered by ids, and what is missing last.
fn may_follow(one: &Value, next: &Value, member: &str, is_descending: bool) -> bool {
    let place = |key: &Value| {
        let text = key[member].as_str().map(str::to_lowercase);
        (text, key["id"].as_str().expect("an id").to_owned())
    };
    let ((one, one_id), (next, next_id)) = (place(one), place(next));
    let in_order = |one: &str, next: &str| match is_descending {
        true => one > next,
        false => one < next,
    };
    match (one, next) {
        (Some(one), Some(next)) if one != next => in_order(&one, &next),
        (Some(_), None) => true,
        (None, Some(_)) => false,
        _ => in_order(&one_id, &next_id),
    }
}

#[tokio::test]
async fn keys_come_in_every_order() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let moment = |secs: i64| jiff::Timestamp::from_second(START_MS / 1000 + secs).unwrap();
    let mut ids = Vec::new();
    for (name, ends_in) in [
        ("Beta one", Some(7200)),
        ("alpha", None),
        ("beta two", Some(3600)),
        ("Ärger", Some(7200)),
        ("beta one", None),
        ("gamma", Some(60)),
        ("ALPHA", None),
    ] {
        let mut key = json!({ "name": name });
        if let Some(secs) = ends_in {
            key["expires_at"] = json!(moment(secs).to_string());
        }
        let key = made(&admin, KEYS[0], key).await;
        ids.push(key["id"].as_str().unwrap().to_owned());
    }
    let url = format!("sqlite://{}", world.store_path().display());
    let pool = SqlitePool::connect(&url).await.expect("the store");
    for (id, secs) in ids.iter().step_by(2).zip([5, 5, 9, 1]) {
        let update = sqlx::query("UPDATE credentials SET used_at = ? WHERE id = ?");
        let update = update.bind(START_MS / 1000 + secs).bind(id);
        update.execute(&pool).await.expect("a use");
    }
    pool.close().await;

    for path in KEYS {
        for member in ["created_at", "name", "last_used_at", "expires_at"] {
            for sign in ["", "-"] {
                let sort = format!("{sign}{member}");
                let found = all(&admin, &format!("{path}?sort={sort}&")).await;
                assert_eq!(found.len(), ids.len(), "{path} {sort}");
                for pair in found.windows(2) {
                    let [one, next] = pair else { continue };
                    assert!(
                        may_follow(one, next, member, sign == "-"),
                        "{path} {sort}: {one:#} before {next:#}"
                    );
                }
                // Narrowed, it is in the same order.
                let narrowed = format!("{path}?sort={sort}&name=BETA&state=expiring&");
                let some = all(&admin, &narrowed).await;
                let expected = found.iter().filter(|key| {
                    key["name"]
                        .as_str()
                        .is_some_and(|name| name.to_lowercase().contains("beta"))
                        && key["state"] == "expiring"
                });
                assert_eq!(some, expected.cloned().collect::<Vec<_>>(), "{narrowed}");
            }
        }
    }
    // Newest first, when nothing else is said.
    assert_eq!(
        all(&admin, "/-/api/keys?").await,
        all(&admin, "/-/api/keys?sort=-created_at&").await
    );
}

#[tokio::test]
async fn a_place_is_one_of_its_own_order() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    for name in ["one", "two"] {
        made(&admin, KEYS[0], json!({ "name": name })).await;
    }
    let page = admin.get("/-/api/keys?limit=1&sort=name").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    for wrong in [
        format!("sort=-name&cursor={cursor}"),
        format!("cursor={cursor}"),
        "sort=owner".to_owned(),
        "sort=".to_owned(),
        "sort=--name".to_owned(),
    ] {
        let reply = admin.get(&format!("/-/api/keys?{wrong}")).await;
        let found = (reply.status, reply.code());
        assert_eq!(found, (400, "invalid_request".into()), "{wrong}");
    }
    let rest = format!("/-/api/keys?sort=name&cursor={cursor}");
    let rest = admin.get(&rest).await.json();
    assert_eq!(rest["items"][0]["name"], "two");
}

#[tokio::test]
async fn users_and_clusters_are_found_by_a_part_of_their_names() {
    let mut world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let emails = |found: Vec<Value>| -> Vec<String> {
        let emails = found
            .iter()
            .map(|user| user["email"].as_str().unwrap().to_owned());
        emails.collect()
    };
    let everybody = emails(all(&admin, "/-/api/users?").await);
    let found = emails(all(&admin, "/-/api/users?email=E&").await);
    assert!(found.len() > 2 && found == everybody, "{found:?}");
    let found = emails(all(&admin, "/-/api/users?email=EDITOR%40&").await);
    assert_eq!(found, ["editor@acme.example"]);
    assert!(all(&admin, "/-/api/users?email=%25&").await.is_empty());

    let ids = async |actor: &Actor, query: &str| -> Vec<String> {
        let found = all(actor, &format!("/-/api/clusters?{query}")).await;
        let ids = found
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned());
        ids.collect()
    };
    assert_eq!(ids(&admin, "id=G&").await, ["staging"]);
    assert_eq!(ids(&admin, "id=d&").await, ["dev", "prod"]);
    assert!(ids(&admin, "id=_&").await.is_empty());
    // Whoever sees few finds few.
    let user = "restricted@acme.example";
    world
        .add_user("acme", user, "viewer", Some(&["prod"]))
        .await;
    let restricted = world.manager(user).await;
    assert_eq!(ids(&restricted, "id=D&").await, ["prod"]);
    assert!(ids(&restricted, "id=dev&").await.is_empty());
}
