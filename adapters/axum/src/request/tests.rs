//! Headers on their way in, and the request that the inner service gets.

use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, Request as HttpRequest};
use scopegate_host::{
    Clusters, ListShape,
    engine::{Policy, Sandbox, SandboxConfig, build_document},
    limit::Taken,
};

use super::*;

fn parts(uri: &str, headers: &[(&'static str, &'static str)]) -> Parts {
    let mut request = HttpRequest::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn admission(path: &str, query: &str, list: bool) -> Arc<Admission> {
    let mut admission = admission_of(path, query);
    if list {
        admission.list = Some(ListShape {
            items: "/x".into(),
            cluster: "/id".into(),
            keep: Vec::new(),
        });
    }
    Arc::new(admission)
}

#[test]
fn what_connection_names_is_gone_before_anybody_reads_it() {
    let mut headers = parts(
        "/",
        &[
            ("connection", "X-Cluster-Id, close"),
            ("connection", "authorization,,x-forwarded-for"),
            ("x-cluster-id", "dev"),
            ("authorization", "Bearer x"),
            ("x-forwarded-for", "1.1.1.1"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ],
    )
    .headers;
    end_connection(&mut headers);
    assert_eq!(names(&headers), ["accept", "x-forwarded-for"]);
}

#[test]
fn an_upgrade_is_left_for_the_inner_service() {
    let mut headers = parts(
        "/",
        &[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ],
    )
    .headers;
    end_connection(&mut headers);
    assert_eq!(headers[CONNECTION], "upgrade");
    assert_eq!(headers[UPGRADE], "websocket");
}

#[test]
fn the_judged_target_is_the_one_that_goes_on() {
    let mut parts = parts("http://gate.example/v1//clusters/%70rod?x=1", &[]);
    apply(
        &mut parts,
        &admission("/v1/clusters/prod", "x=1&cluster=dev", false),
    )
    .unwrap();
    assert_eq!(
        parts.uri.to_string(),
        "http://gate.example/v1/clusters/prod?x=1&cluster=dev"
    );

    let mut parts = self::parts("/v1/clusters?a=b", &[]);
    apply(&mut parts, &admission("/v1/clusters", "", false)).unwrap();
    assert_eq!(parts.uri.to_string(), "/v1/clusters");
}

#[test]
fn identity_replaces_and_credentials_go() {
    let mut parts = parts(
        "/",
        &[
            ("authorization", "Bearer secret"),
            ("x-scopegate-subject", "root"),
            ("x_scopegate_clusters", "*"),
            ("accept", "*/*"),
        ],
    );
    apply(&mut parts, &admission("/", "", false)).unwrap();
    assert_eq!(names(&parts.headers), ["accept", "x-scopegate-subject"]);
    assert_eq!(parts.headers["x-scopegate-subject"], "alice");
    assert!(parts.extensions.get::<Arc<Admission>>().is_some());
}

#[test]
fn a_list_is_asked_for_whole_and_plain() {
    let all = [
        ("accept-encoding", "gzip"),
        ("range", "bytes=0-1"),
        ("if-range", "\"x\""),
        ("if-none-match", "\"x\""),
        ("if-match", "\"x\""),
        ("if-modified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("if-unmodified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("accept", "application/json"),
    ];
    let mut list = parts("/", &all);
    apply(&mut list, &admission("/", "", true)).unwrap();
    assert_eq!(names(&list.headers), ["accept", "x-scopegate-subject"]);

    let mut other = parts("/", &all);
    apply(&mut other, &admission("/", "", false)).unwrap();
    assert_eq!(other.headers.len(), all.len() + 1);
}

static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let document = "policy: small\npermissions:\n  clusters:read: { category: C, unlocks: c }\nroles:\n  viewer: [clusters:read]\nroutes:\n  - { match: GET /v1/health, public: true }\n";
    let component = build_document("policy.yaml", document).unwrap();
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    Arc::new(sandbox.load(&component).unwrap())
});

fn admission_of(path: &str, query: &str) -> Admission {
    let name = HeaderName::from_static;
    Admission {
        request_id: Default::default(),
        principal: None,
        path: path.into(),
        query: query.into(),
        roles: Vec::new(),
        visible: Clusters::All,
        list: None,
        list_clusters: Vec::new(),
        identity: vec![(
            name("x-scopegate-subject"),
            HeaderValue::from_static("alice"),
        )],
        remove: vec![
            name("authorization"),
            name("x-scopegate-subject"),
            name("x_scopegate_clusters"),
        ],
        response: Vec::new(),
        expires_at: None,
        limit: Taken {
            admitted: true,
            limit: 1,
            remaining: 0,
            reset_at: 60,
            retry_after_ms: 0,
        },
        is_own: false,
        client: std::net::IpAddr::from([127, 0, 0, 1]),
        policy: Arc::clone(&POLICY),
        record: None,
        span: Default::default(),
    }
}
