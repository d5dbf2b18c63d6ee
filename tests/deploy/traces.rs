//! Traces: whose child a request's span is, whose parent, and what is in it, at a collector that takes OTLP.

use std::fs;

use axum::body::Body;
use http::Response;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value as Any,
    resource::v1::Resource,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;

use crate::{
    cli::{
        binary::{run_ok, shell, text},
        own_gate::{gate, key, serve_managed},
    },
    harness::{Seen, Upstream},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn value(of: &[opentelemetry_proto::tonic::common::v1::KeyValue], name: &str) -> String {
    let found = of.iter().find(|pair| pair.key == name);
    match found.and_then(|pair| pair.value.as_ref()?.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// What a collector got: who said it, and the spans.
fn exported(seen: Vec<Seen>) -> (Resource, Vec<Span>) {
    let mut all = (Resource::default(), Vec::new());
    for seen in seen {
        assert_eq!((&*seen.method, &*seen.path), ("POST", "/v1/traces"));
        assert_eq!(seen.header("content-type"), "application/x-protobuf");
        let request = ExportTraceServiceRequest::decode(seen.body).expect("OTLP");
        for resource in request.resource_spans {
            all.0 = resource.resource.expect("who says it");
            all.1.extend(
                resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans),
            );
        }
    }
    all
}

/// A `traceparent` in its parts: trace, span, flags.
fn parts(seen: &Seen) -> (&str, &str, &str) {
    let parts: Vec<&str> = seen.header("traceparent").split('-').collect();
    let [_, trace, span, flags] = parts[..] else {
        panic!("no parent: {seen:?}")
    };
    (trace, span, flags)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_have_the_parents_that_trusted_proxies_say_and_the_upstream_has_ours() {
    let (api, collector) = (Upstream::start().await, Upstream::start().await);
    collector.answers(|_| Response::new(Body::empty()));
    let gate = gate("scopegate");
    let directory = gate.path();
    let path = directory.join("scopegate.yaml");
    let configuration = fs::read_to_string(&path).expect("written");
    let configuration = configuration.replace("http://127.0.0.1:3000", &api.url);
    let traces = format!(
        "\ntrusted_proxies: [127.0.0.1]\ntraces: {{ endpoint: '{}', service: front }}\n",
        collector.url
    );
    fs::write(&path, configuration + &traces).expect("writable");
    run_ok(directory, &["cluster", "add", "prod"]);
    let (server, url, management) = serve_managed(directory);
    let (minted, credential) = key(directory, &[]);
    let curl = |arguments: &str| text(&shell(&format!("curl -s {arguments}")).stdout);
    let said = |flags: &str| {
        format!("-H 'traceparent: 00-{TRACE}-{PARENT}-{flags}' -H 'tracestate: vendor=1'")
    };

    // What probes ask is no request of anybody's.
    curl(&format!("{url}/-/healthy"));
    curl(&format!("{management}/-/metrics"));
    let clusters = format!("{credential} '{url}/v1/clusters/prod?note=in-the-query'");
    curl(&format!("{} {clusters}", said("01")));
    curl(&format!("{} {clusters}", said("00")));
    // The same from an address that is nobody's proxy.
    curl(&format!("--interface 127.0.0.2 {} {clusters}", said("01")));
    curl(&format!(
        "{} '{url}/v1/clusters?key=in-the-query'",
        said("01")
    ));
    let told = api.take();
    assert_eq!(told.len(), 3);
    server.interrupt();

    let (trace, trusted, flags) = parts(&told[0]);
    assert_eq!((trace, flags), (TRACE, "01"));
    assert_ne!(trusted, PARENT);
    assert_eq!(told[0].header("tracestate"), "vendor=1");
    // Whoever began the trace decided that it is not kept.
    let (trace, _, flags) = parts(&told[1]);
    assert_eq!((trace, flags), (TRACE, "00"));
    let (strange_trace, strange, flags) = parts(&told[2]);
    assert_ne!(strange_trace, TRACE);
    assert_eq!((flags, told[2].header("tracestate")), ("01", ""));

    let (resource, spans) = exported(collector.take());
    assert_eq!(value(&resource.attributes, "service.name"), "front");
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let by_id = |id: &str| {
        let found = spans.iter().find(|span| hex::encode(&span.span_id) == id);
        found.unwrap_or_else(|| panic!("no span `{id}` in {spans:#?}"))
    };
    let span = by_id(trusted);
    assert_eq!(hex::encode(&span.trace_id), TRACE);
    assert_eq!(hex::encode(&span.parent_span_id), PARENT);
    assert_eq!(span.name, "GET /v1/clusters/{cluster}/**");
    assert_eq!(span.kind(), SpanKind::Server);
    let of = |name: &str| value(&span.attributes, name);
    assert_eq!(of("http.request.method"), "GET");
    assert_eq!(of("http.route"), "/v1/clusters/{cluster}/**");
    assert_eq!(of("http.response.status_code"), "200");
    assert_eq!(of("url.path"), "/v1/clusters/prod");
    assert_eq!(of("scopegate.outcome"), "admit");
    assert_eq!(of("scopegate.caller"), "api-key");
    assert_eq!(
        of("scopegate.credential"),
        minted["id"].as_str().expect("an id")
    );
    assert_eq!(of("scopegate.request_id"), told[0].header("x-request-id"));
    let root = by_id(strange);
    assert_eq!(hex::encode(&root.trace_id), strange_trace);
    assert!(root.parent_span_id.is_empty());

    let refused = spans
        .iter()
        .find(|span| value(&span.attributes, "scopegate.outcome") == "refuse")
        .expect("the one without a credential");
    assert_eq!(
        value(&refused.attributes, "scopegate.reason"),
        "not-authenticated"
    );
    assert_eq!(
        value(&refused.attributes, "http.response.status_code"),
        "401"
    );
    // The caller's mistake is not the gate's error.
    assert!(
        refused
            .status
            .as_ref()
            .is_none_or(|status| status.code() == StatusCode::Unset)
    );

    let everything = format!("{resource:?}{spans:?}");
    let secret = minted["secret"].as_str().expect("a secret");
    assert!(!everything.contains(secret) && !everything.contains("in-the-query"));
}

/// A collector that is away costs spans, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_is_no_reason_to_wait() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let path = directory.join("scopegate.yaml");
    let configuration = fs::read_to_string(&path).expect("written");
    fs::write(&path, configuration + "\ntraces: http://127.0.0.1:9\n").expect("writable");
    let (server, url, _) = serve_managed(directory);
    let status = shell(&format!(
        "curl -s -m 5 -o /dev/null -w '%{{http_code}}' {url}/v1/clusters"
    ));
    assert_eq!(text(&status.stdout), "401");
    server.interrupt();
}
