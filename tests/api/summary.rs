//! What happened to requests over time, in numbers that are those of the records.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::office::office;
use crate::harness::{Actor, Key, Options, START_MS, World};

const SUMMARY: &str = "/-/api/audit/summary";

async fn summary(actor: &Actor, query: &str) -> Value {
    let reply = actor.get(&format!("{SUMMARY}{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.body);
    reply.json()
}

fn moment(secs: i64) -> String {
    let moment = jiff::Timestamp::from_second(START_MS / 1000 + secs);
    moment.expect("a moment").to_string()
}

/// The sum of what all buckets have of something.
fn sum(summary: &Value, member: &str) -> u64 {
    let buckets = summary["buckets"].as_array().expect("buckets");
    buckets
        .iter()
        .filter_map(|bucket| bucket[member].as_u64())
        .sum()
}

/// What the organization's records of requests say, counted one by one.
async fn counted(actor: &Actor) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/-/api/audit?kind=request&limit=200{cursor}");
        let page = actor.get(&path).await.json();
        for record in page["items"].as_array().expect("items") {
            let what = match (record["outcome"].as_str(), record["reason"].as_str()) {
                (Some("admit"), _) => "admitted",
                (_, Some("rate-limited")) => "limited",
                _ => "refused",
            };
            *counts.entry(what.to_owned()).or_default() += record["count"].as_u64().unwrap_or(1);
            *counts.entry("records".to_owned()).or_default() += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return counts,
        }
    }
}

#[tokio::test]
async fn the_numbers_are_those_of_the_records() {
    let mut world = World::with(Options {
        adjust: |contract| contract.limits.api_key = 30,
        ..Options::of("scopegate")
    })
    .await;
    let admin = world.manager("admin").await;
    let viewer = world.manager("viewer").await;
    let key = Key {
        owner: "viewer@acme.example",
        name: "grafana",
        ..Key::default()
    };
    let key = world.key(key).await;
    for _ in 0..50 {
        key.get("/v1/clusters/prod").await;
    }
    for _ in 0..3 {
        assert_eq!(viewer.get("/-/api/users").await.status, 403);
    }
    // Whoever has no credential is in no organization's numbers, and another organization's in its own.
    world.anonymous().get("/v1/clusters/prod").await;
    let other = world.add_organization("globex").await;
    assert_ne!(other, world.organization);
    world
        .add_user("globex", "admin@globex.example", "admin", None)
        .await;
    let stranger = world.manager("admin@globex.example").await;
    assert_eq!(stranger.get("/-/api/organizations").await.status, 403);

    // Another bucket.
    world.clock.advance(Duration::from_secs(1800));
    for _ in 0..5 {
        assert_eq!(key.get("/v1/clusters/prod").await.status, 200);
    }
    world.clock.advance(Duration::from_secs(120));
    world.running().gate().flush().await;
    let expected = counted(&admin).await;
    world.running().gate().flush().await;
    let found = summary(&admin, "").await;
    // What was asked for to count them is recorded as well.
    for (member, late) in [("admitted", 3), ("refused", 0), ("limited", 0)] {
        let (found, expected) = (sum(&found, member), expected[member]);
        assert!(
            found >= expected && found <= expected + late,
            "{member}: {found} of {expected}"
        );
    }
    assert_eq!(sum(&found, "limited"), 20);
    assert_eq!(
        found["reasons"],
        json!([{ "reason": "rate-limited", "count": 20 }, { "reason": "missing-permission", "count": 3 }])
    );
    assert_eq!(
        found["limits"],
        json!([{ "scope": "api-key", "name": "grafana", "count": 20 }])
    );
    let latency = &found["latency"];
    let place = |name: &str| latency[name].as_u64().expect("a time");
    assert!(place("count") >= expected["records"], "{latency}");
    assert!(
        place("p50_us") <= place("p95_us") && place("p95_us") <= place("p99_us"),
        "{latency}"
    );

    assert_eq!(found["bucket_secs"], 1800);
    let buckets = found["buckets"].as_array().unwrap();
    assert!((48..=50).contains(&buckets.len()), "{}", buckets.len());
    let limited: Vec<u64> = buckets
        .iter()
        .filter_map(|one| one["limited"].as_u64())
        .collect();
    assert_eq!(
        limited.iter().rev().take(3).copied().collect::<Vec<_>>(),
        [0, 20, 0]
    );
    let theirs = summary(&stranger, "").await;
    assert_eq!((sum(&theirs, "limited"), sum(&theirs, "refused")), (0, 1));
    // In whatever pieces they are looked at, they are the same.
    for days in [7, 80] {
        let since = moment(-days * 24 * 3600);
        let wide = summary(&admin, &format!("?since={since}")).await;
        assert_eq!(
            (sum(&wide, "limited"), sum(&wide, "refused")),
            (20, 3),
            "{days} days"
        );
    }
}

#[tokio::test]
async fn a_span_of_time_is_looked_at_in_few_buckets() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    for (since, until, width) in [
        (-300, 0, 300),
        (-3600, 0, 300),
        (-24 * 3600, 0, 1800),
        (-30 * 24 * 3600, -3600, 12 * 3600),
        (-92 * 24 * 3600, 0, 2 * 24 * 3600),
    ] {
        let query = format!("?since={}&until={}", moment(since), moment(until));
        let found = summary(&admin, &query).await;
        assert_eq!(found["bucket_secs"], width, "{query}");
        let buckets = found["buckets"].as_array().unwrap();
        assert!((1..=61).contains(&buckets.len()), "{query}");
        assert_eq!(buckets[0]["start"], found["since"]);
        let time = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(time(&found["since"]) <= time(&json!(moment(since))));
        assert!(time(&found["until"]) >= time(&json!(moment(until))));
    }
    // Of a time of which there is nothing.
    let nothing = summary(&admin, &format!("?until={}", moment(-40 * 24 * 3600))).await;
    assert_eq!(
        nothing["latency"],
        json!({ "count": 0, "p50_us": null, "p95_us": null, "p99_us": null })
    );
    assert_eq!(
        (&nothing["reasons"], sum(&nothing, "admitted")),
        (&json!([]), 0)
    );
    for wrong in [
        format!("?since={}&until={}", moment(0), moment(0)),
        format!("?since={}", moment(-93 * 24 * 3600)),
        format!("?until={}", moment(-93 * 24 * 3600)),
        format!("?until={}", moment(93 * 24 * 3600))
            .replace("?", &format!("?since={}&", moment(0))),
        "?since=yesterday".to_owned(),
        "?bucket=5".to_owned(),
    ] {
        let reply = admin.get(&format!("{SUMMARY}{wrong}")).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "invalid_request".into()),
            "{wrong}"
        );
    }
}
