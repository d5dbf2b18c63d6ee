//! Reserved names in every spelling, and each rule of a request's shape.

use core::net::{IpAddr, Ipv4Addr};

use super::*;

fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_static(value),
        );
    }
    map
}

fn shape(method: &str, authority: Option<&str>, headers: &HeaderMap) -> Result<(), String> {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let request = Request {
        method,
        path: "/",
        query: "",
        authority,
        headers,
        peer,
        now_ms: 0,
    };
    check_shape(&request).map_err(|cause| match cause {
        Cause::InvalidRequest(text) => text,
        other => panic!("{other:?}"),
    })
}

#[test]
fn every_spelling_of_a_reserved_name_is_reserved() {
    for name in [
        "X-Scopegate-Subject",
        "x_scopegate_subject",
        "X-SCOPEGATE_clusters",
        "x-scopegate-",
        "x-scopegate-anything",
        "X-Request-Id",
        "x_request_id",
        "X-HTTP-Method-Override",
        "x_http_method_override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "x_api_key",
    ] {
        assert!(
            is_reserved(&HeaderName::from_bytes(name.as_bytes()).unwrap()),
            "{name}"
        );
    }
    for name in [
        "host",
        "x-scopegat",
        "x-cluster-id",
        "x-request-ident",
        "accept",
        "x-api-key",
        "x-scopegatex",
    ] {
        assert!(!is_reserved(&HeaderName::from_static(name)), "{name}");
    }
}

#[test]
fn what_connection_names_is_removed() {
    let headers = map(&[
        ("connection", "close, X-Cluster-Id"),
        ("connection", "upgrade"),
        ("x_scopegate_roles", "admin"),
    ]);
    let removed = to_remove(&headers);
    assert!(removed.contains(&HeaderName::from_static("x-cluster-id")));
    assert!(removed.contains(&HeaderName::from_static("x_scopegate_roles")));
    assert!(!removed.contains(&header::UPGRADE));
}

#[test]
fn methods_that_no_policy_can_see_are_refused() {
    let none = HeaderMap::new();
    for method in [
        "CONNECT",
        "TRACE",
        "get",
        "Get",
        "",
        "GE T",
        "G\u{e9}T",
        &"A".repeat(33),
    ] {
        assert!(shape(method, None, &none).is_err(), "{method}");
    }
    for method in ["GET", "HEAD", "PATCH", "OPTIONS", "M-SEARCH"] {
        assert_eq!(shape(method, None, &none), Ok(()), "{method}");
    }
}

#[test]
fn host_and_authority_must_agree() {
    let host = map(&[("host", "api.example.com")]);
    assert_eq!(shape("GET", None, &host), Ok(()));
    assert_eq!(shape("GET", Some("API.example.com"), &host), Ok(()));
    assert_eq!(
        shape("GET", Some("api.example.com"), &HeaderMap::new()),
        Ok(())
    );
    assert!(shape("GET", Some("other.example.com"), &host).is_err());
    assert!(shape("GET", Some("api.example.com:8443"), &host).is_err());
    assert!(shape("GET", None, &map(&[("host", "a"), ("host", "a")])).is_err());
    assert!(shape("GET", None, &map(&[("host", "user@a")])).is_err());
    assert!(shape("GET", None, &map(&[("host", "a, b")])).is_err());
}

#[test]
fn headers_are_bounded() {
    let mut many = HeaderMap::new();
    for _ in 0..=HEADERS_MAX {
        many.append("a", HeaderValue::from_static("b"));
    }
    assert!(shape("GET", None, &many).is_err());
    let mut big = HeaderMap::new();
    big.insert(
        "a",
        HeaderValue::from_str(&"b".repeat(HEADER_BYTES_MAX)).unwrap(),
    );
    assert!(shape("GET", None, &big).is_err());
}

#[test]
fn a_declared_header_is_read_once_and_bounded() {
    let declared = [HeaderName::from_static("x-cluster-id")];
    let read = |headers: &HeaderMap| declared_headers(headers, &declared);
    assert_eq!(read(&map(&[("x-other", "a")])), Ok(vec![]));
    let prod = vec![("x-cluster-id".to_owned(), "prod".to_owned())];
    assert_eq!(read(&map(&[("x-cluster-id", " prod ")])), Ok(prod));
    assert!(read(&map(&[("x-cluster-id", "prod"), ("x-cluster-id", "prod")])).is_err());
    let mut long = HeaderMap::new();
    long.insert(
        "x-cluster-id",
        HeaderValue::from_str(&"b".repeat(DECLARED_BYTES_MAX + 1)).unwrap(),
    );
    assert!(read(&long).is_err());
    let mut odd = HeaderMap::new();
    odd.insert(
        "x-cluster-id",
        HeaderValue::from_bytes(b"pr\xffod").unwrap(),
    );
    assert!(read(&odd).is_err());
}

#[test]
fn a_misspelling_is_not_the_name_itself() {
    let known = HeaderName::from_static("x-cluster-id");
    assert!(is_misspelling(
        &HeaderName::from_static("x_cluster_id"),
        &known
    ));
    assert!(!is_misspelling(&known, &known));
}
