//! The layer in somebody's own axum application, without the server.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, Request},
    routing::get,
};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use scopegate_axum::GateLayer;
use scopegate_host::{Admission, Principal};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

use crate::harness::{Actor, Key, World};

fn application() -> Router {
    Router::new()
        .route(
            "/api/v1/clusters",
            get(|| async {
                Json(json!({ "clusters": [{ "id": "prod" }, { "id": "dev" }], "total": 2 }))
            }),
        )
        .route(
            "/api/v1/clusters/{*rest}",
            get(
                |Path(rest): Path<String>,
                 Extension(principal): Extension<Arc<Principal>>,
                 Extension(admission): Extension<Arc<Admission>>,
                 request: Request| async move {
                    let subject = request.headers()["x-scopegate-subject"]
                        .to_str()
                        .unwrap_or_default()
                        .to_owned();
                    Json(json!({
                        "rest": rest,
                        "key": principal.key_name,
                        "clusters": admission.visible,
                        "subject": subject,
                        "credential": request.headers().contains_key("x-api-key"),
                    }))
                },
            ),
        )
}

async fn ask<S>(service: S, actor: &Actor, path: &str) -> (StatusCode, Value)
where
    S: tower::Service<Request, Response = Response<Body>, Error = std::convert::Infallible>,
{
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    if let Some((name, value)) = &actor.credential {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let peer: SocketAddr = "203.0.113.9:1".parse().unwrap();
    request
        .extensions_mut()
        .insert(axum::extract::ConnectInfo(peer));
    let reply = service.oneshot(request).await.unwrap();
    let status = reply.status();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn an_application_gets_what_the_gate_found_out() {
    let world = World::start("k8cost").await;
    let layer = GateLayer::new(Arc::clone(world.running().gate()), world.clock.clone());
    let key = world
        .key(Key {
            name: "deploy",
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    let app = layer.layer(application());

    let (status, body) = ask(app.clone(), &world.anonymous(), "/api/v1/clusters").await;
    assert_eq!(
        (status, body["code"].as_str()),
        (StatusCode::UNAUTHORIZED, Some("not-authenticated"))
    );

    let (status, body) = ask(app.clone(), &key, "/api/v1/clusters").await;
    assert_eq!(
        (status, body),
        (StatusCode::OK, json!({ "clusters": [{ "id": "prod" }] }))
    );

    let (status, body) = ask(app.clone(), &key, "/api/v1/clusters/x/../prod/nodes").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&body["rest"], &body["key"], &body["credential"]),
        (&json!("prod/nodes"), &json!("deploy"), &json!(false))
    );

    let (status, _) = ask(app, &key, "/api/v1/clusters/dev").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

/// Inside a router the raw path has been routed already: it must not be another than the one that is judged.
#[tokio::test]
async fn inside_a_router_only_normal_paths_pass() {
    let world = World::start("k8cost").await;
    let layer = GateLayer::new(Arc::clone(world.running().gate()), world.clock.clone());
    let key = world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    let app = application().layer(layer);
    let (status, _) = ask(app.clone(), &key, "/api/v1/clusters/prod/nodes").await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = ask(app, &key, "/api/v1/clusters/dev/../prod").await;
    assert_eq!(
        (status, body["code"].as_str()),
        (StatusCode::BAD_REQUEST, Some("invalid_request"))
    );
}
