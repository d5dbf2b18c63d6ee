//! The sample API behind the demo: a small cluster cost product that trusts its gate completely.
//!
//! It asks for no credential and hides nothing, as an API behind Scopegate may. Collections hold rows of all
//! three clusters, so that what a caller does not see was taken out by the gate. It reads the identity headers
//! that the gate sets and says in every single object, under `caller`, whom it was told about.

use axum::{
    Json, Router,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// The demo's clusters: id, region, nodes and cost in dollars a month.
pub(crate) const CLUSTERS: [(&str, &str, u32, f64); 3] = [
    ("prod", "eu-central-1", 12, 8_412.60),
    ("staging", "eu-central-1", 4, 1_930.15),
    ("dev", "eu-west-1", 3, 871.40),
];

/// Names that read like the rows of a collection; other collections get rows named after themselves.
const NAMES: [(&str, [&str; 2]); 8] = [
    ("namespaces", ["default", "payments"]),
    ("nodes", ["node-a1", "node-b2"]),
    ("workloads", ["api-server", "checkout-worker"]),
    ("deployments", ["api-server", "checkout-worker"]),
    (
        "recommendations",
        ["shrink-api-server", "spot-checkout-worker"],
    ),
    ("alerts", ["cpu-throttling", "budget-80-percent"]),
    ("teams", ["platform", "payments"]),
    ("departments", ["engineering", "commerce"]),
];

/// The API, to be served on loopback.
pub(crate) fn router() -> Router {
    Router::new().fallback(answer)
}

async fn answer(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let segments: Vec<&str> = resource(uri.path());
    let (status, body) = match method {
        Method::GET | Method::HEAD => (StatusCode::OK, read(&segments, &headers)),
        Method::POST if segments.last() == Some(&"metrics") => {
            (StatusCode::ACCEPTED, accepted(&segments, &headers))
        }
        Method::POST => (StatusCode::CREATED, changed("created", &segments, &headers)),
        Method::DELETE => (StatusCode::OK, changed("deleted", &segments, &headers)),
        _ => (StatusCode::OK, changed("updated", &segments, &headers)),
    };
    (status, Json(body)).into_response()
}

/// The segments after `/api` and a version.
fn resource(path: &str) -> Vec<&str> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .skip_while(|segment| matches!(*segment, "api" | "v1" | "v2"))
        .collect()
}

fn read(segments: &[&str], headers: &HeaderMap) -> Value {
    match segments {
        [] | ["health" | "healthz" | "ready" | "readyz"] => json!({ "status": "ok" }),
        ["organization"] => json!({
            "name": "Demo", "plan": "business", "currency": "USD", "clusters": CLUSTERS.len(),
            "caller": caller(headers),
        }),
        ["clusters"] => {
            let clusters: Vec<Value> = CLUSTERS.iter().map(cluster).collect();
            json!({ "clusters": clusters, "total": CLUSTERS.len() })
        }
        ["clusters", id] => {
            let mut found = match CLUSTERS.iter().find(|row| row.0 == *id) {
                Some(row) => cluster(row),
                None => json!({ "id": id }),
            };
            if let Some(object) = found.as_object_mut() {
                object.insert("caller".to_owned(), caller(headers));
            }
            found
        }
        ["clusters", id, .., collection] => page(rows(collection, &[id])),
        [.., collection] if segments.len() == 1 || collection.ends_with('s') => {
            page(rows(collection, &CLUSTERS.map(|row| row.0)))
        }
        [.., name] => json!({ "id": name, "name": name, "caller": caller(headers) }),
    }
}

fn cluster((id, region, nodes, cost): &(&str, &str, u32, f64)) -> Value {
    json!({ "id": id, "region": region, "nodes": nodes, "monthly_cost_usd": cost })
}

/// Two rows of a collection for each cluster.
fn rows(collection: &str, clusters: &[&str]) -> Vec<Value> {
    let known = NAMES
        .iter()
        .find(|(name, _)| *name == collection)
        .map(|(_, rows)| *rows);
    clusters
        .iter()
        .flat_map(|cluster| {
            (1..=2).map(move |number: usize| {
                let name = match known.and_then(|rows| rows.get(number - 1).copied()) {
                    Some(name) => name.to_owned(),
                    None => format!("{}-{number}", collection.trim_end_matches('s')),
                };
                let cost = cost_share(cluster, number);
                json!({ "id": format!("{cluster}-{name}"), "name": name, "cluster_id": cluster, "monthly_cost_usd": cost })
            })
        })
        .collect()
}

/// A share of the cluster's cost, in cents' precision.
fn cost_share(cluster: &str, number: usize) -> f64 {
    let whole = CLUSTERS
        .iter()
        .find(|row| row.0 == cluster)
        .map_or(100.0, |row| row.3);
    let share = if number == 1 { 0.27 } else { 0.11 };
    (whole * share * 100.0).round() / 100.0
}

fn page(items: Vec<Value>) -> Value {
    let total = items.len();
    json!({ "items": items, "total": total })
}

/// The answer to metrics: for which cluster the gate says they are.
fn accepted(segments: &[&str], headers: &HeaderMap) -> Value {
    let cluster = match segments {
        ["clusters", id, ..] => (*id).to_owned(),
        _ => identity(headers, "x-cluster-id")
            .unwrap_or_else(|| identity(headers, "x-scopegate-clusters").unwrap_or_default()),
    };
    json!({ "accepted": true, "cluster": cluster, "caller": caller(headers) })
}

fn changed(what: &str, segments: &[&str], headers: &HeaderMap) -> Value {
    json!({ what: segments.join("/"), "caller": caller(headers) })
}

/// The identity headers, as this API received them.
fn caller(headers: &HeaderMap) -> Value {
    let told: Map<String, Value> = [
        "subject",
        "organization",
        "credential",
        "roles",
        "scopes",
        "clusters",
    ]
    .into_iter()
    .filter_map(|name| {
        let value = identity(headers, &format!("x-scopegate-{name}"))?;
        Some((name.to_owned(), Value::String(value)))
    })
    .collect();
    Value::Object(told)
}

fn identity(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_hold_rows_of_every_cluster_and_say_which() {
        let page = read(&resource("/api/v1/nodes"), &HeaderMap::new());
        let clusters: Vec<&str> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["cluster_id"].as_str().unwrap())
            .collect();
        assert_eq!(
            clusters,
            ["prod", "prod", "staging", "staging", "dev", "dev"]
        );
        assert_eq!(page["total"], 6);
    }

    #[test]
    fn what_is_below_a_cluster_is_of_that_cluster() {
        let page = read(&resource("/v1/clusters/dev/namespaces"), &HeaderMap::new());
        assert_eq!(
            page["items"][1],
            json!({
                "id": "dev-payments", "name": "payments", "cluster_id": "dev", "monthly_cost_usd": 95.85,
            })
        );
    }

    #[test]
    fn metrics_are_taken_for_the_cluster_that_the_gate_names() {
        let mut headers = HeaderMap::new();
        headers.insert("x-scopegate-clusters", "prod".parse().unwrap());
        let reply = accepted(&resource("/api/v1/metrics"), &headers);
        assert_eq!(reply["cluster"], "prod");
        assert_eq!(reply["caller"], json!({ "clusters": "prod" }));
    }
}
