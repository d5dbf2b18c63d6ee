//! The gate in somebody's own axum application, as docs/embedding.md shows it: what stands between the marks is there
//! word for word.

use super::binary::{repository, run_ok};

// docs
use std::{net::SocketAddr, path::Path, sync::Arc};

use axum::{Extension, Json, Router, ServiceExt, extract::Request, routing::get};
use scopegate_axum::{Clock, GateLayer};
use scopegate_host::{
    Audit, Contract, Directory, Gate, Principal, Sessions,
    audit::{AuditKey, Seal, Sink},
    authenticate::Issuers,
    counters::Counters,
    engine::{Sandbox, SandboxConfig, build_document},
    gate::Parts,
    keyring::Keys,
    lock::StoreLock,
    password::Passwords,
    store::{Missing, Purpose, Store},
};
use serde_json::{Value, json};
use tower::Layer;

/// A gate over what `scopegate init` made in this directory. The lock is held as long as the gate is used.
async fn gate(home: &Path) -> anyhow::Result<(Arc<Gate>, StoreLock)> {
    let contract = Contract::builtin("scopegate").ok_or_else(|| anyhow::anyhow!("not built in"))?;
    let document = std::fs::read_to_string(home.join("policy.yaml"))?;
    let component = build_document("policy.yaml", &document)?;
    let policy = Sandbox::new(SandboxConfig::default())?.load(&component)?;

    let path = home.join("scopegate.db");
    let lock = StoreLock::take(&path)?;
    let url = format!("sqlite://{}", path.display());
    let mut store = Store::open(&url, Purpose::Serve, Missing::Refuse).await?;
    let key = AuditKey::load(&home.join("audit-key.json"))?;
    let seal = Seal::open(key, &home.join("audit-heads.jsonl"))?;
    store.seal_audit(seal).await?;
    let directory = Directory::new(store, contract.authority.clone());
    let keys = Keys::open(&home.join("signing-keys.json"), contract.session.algorithm)?;
    let sessions = Sessions::new(
        directory.clone(),
        Passwords::new()?,
        &contract,
        keys.clone(),
    );
    let audit = Audit::in_store(directory.clone(), true, &Sink::None)?;
    let gate = Gate::new(Parts {
        contract,
        directory,
        sessions,
        keys,
        issuers: Issuers::default(),
        policy: Arc::new(policy),
        counters: Counters::memory(),
        trusted_proxies: Vec::new(),
        audit,
        forward_credentials: false,
    });
    Ok((Arc::new(gate), lock))
}

/// Handlers are called for admitted requests alone. The policy says that this reply is a list: the layer cuts it down.
async fn clusters() -> Json<Value> {
    Json(json!({ "clusters": [{ "id": "prod" }, { "id": "dev" }] }))
}

/// Who calls, as the gate verified it.
async fn organization(Extension(principal): Extension<Arc<Principal>>) -> Json<Value> {
    Json(json!({ "id": principal.organization, "asked_by": principal.name }))
}

async fn serve(gate: Arc<Gate>, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/v1/clusters", get(clusters))
        .route("/v1/organization", get(organization));
    // Around the whole application, so that the path which was judged is the one that is routed.
    let application = GateLayer::new(gate, Clock::System).layer(routes);
    let application =
        ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(application);
    axum::serve(listener, application).await
}
// end of docs

#[tokio::test]
async fn the_page_shows_what_works() {
    let page = std::fs::read_to_string(repository().join("docs/embedding.md")).expect("a page");
    let source = include_str!("embedding.rs");
    let shown = source
        .split("// docs\n")
        .nth(1)
        .and_then(|rest| rest.split("// end of docs").next());
    let shown = shown.expect("the marks are there").trim();
    assert!(
        page.contains(shown),
        "docs/embedding.md does not show what is between the marks"
    );

    let home = tempfile::tempdir().expect("a directory");
    run_ok(home.path(), &["init"]);
    run_ok(home.path(), &["cluster", "add", "prod", "dev"]);
    let key = run_ok(
        home.path(),
        &[
            "key",
            "mint",
            "--owner",
            "admin@example.com",
            "--name",
            "x",
            "--cluster",
            "prod",
        ],
    );
    let (gate, _lock) = gate(home.path()).await.expect("a gate");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let url = format!(
        "http://{}/v1/clusters",
        listener.local_addr().expect("an address")
    );
    tokio::spawn(serve(gate, listener));
    let client = reqwest::Client::new();
    let reply = client
        .get(&url)
        .bearer_auth(key.trim())
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        reply.text().await.expect("a body"),
        r#"{"clusters":[{"id":"prod"}]}"#
    );
    let organization = url.replace("clusters", "organization");
    let reply = client
        .get(&organization)
        .bearer_auth(key.trim())
        .send()
        .await
        .expect("an answer");
    assert!(
        reply
            .text()
            .await
            .expect("a body")
            .contains(r#""asked_by":"admin@example.com""#)
    );
    let reply = client.get(&url).send().await.expect("an answer");
    assert_eq!(reply.status(), 401);
}
