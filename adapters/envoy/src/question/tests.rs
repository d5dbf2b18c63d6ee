//! What Envoy can say, and what nobody can answer.

use envoy_types::pb::envoy::{
    config::core::v3::{Address as Wrapped, Pipe, SocketAddress},
    service::auth::v3::attribute_context::Request as Wrapper,
};

use super::*;

fn raw(name: &str, value: &[u8]) -> RawHeader {
    RawHeader {
        key: name.to_owned(),
        value: String::new(),
        raw_value: value.to_vec(),
    }
}

fn from(address: Address) -> Option<Peer> {
    Some(Peer {
        address: Some(Wrapped {
            address: Some(address),
        }),
        ..Peer::default()
    })
}

fn socket(address: &str) -> Option<Peer> {
    from(Address::SocketAddress(SocketAddress {
        address: address.to_owned(),
        ..SocketAddress::default()
    }))
}

/// As Envoy asks with `encode_raw_headers`.
fn question(headers: &[(&str, &[u8])]) -> AttributeContext {
    let mut all = vec![
        raw(":authority", b"api.example"),
        raw(":path", b"/v1/a%20b?c=d?e"),
        raw(":method", b"GET"),
        raw(":scheme", b"https"),
    ];
    all.extend(headers.iter().map(|(name, value)| raw(name, value)));
    asking(HttpRequest {
        method: "GET".to_owned(),
        path: "/v1/a%20b?c=d?e".to_owned(),
        host: "api.example".to_owned(),
        header_map: Some(RawHeaders { headers: all }),
        ..HttpRequest::default()
    })
}

fn asking(http: HttpRequest) -> AttributeContext {
    AttributeContext {
        source: socket("192.0.2.7"),
        request: Some(Wrapper {
            http: Some(http),
            ..Wrapper::default()
        }),
        ..AttributeContext::default()
    }
}

fn http(context: &mut AttributeContext) -> &mut HttpRequest {
    context.request.as_mut().unwrap().http.as_mut().unwrap()
}

#[test]
fn raw_headers_are_read_as_they_came() {
    let asked = Asked::read(question(&[
        ("x-api-key", b"one"),
        ("x-api-key", b"two"),
        ("x-name", b"\xff\xfe"),
    ]))
    .unwrap();
    let request = asked.request(7);
    assert_eq!((request.method, request.now_ms), ("GET", 7));
    assert_eq!((request.path, request.query), ("/v1/a%20b", "c=d?e"));
    assert_eq!(request.authority, Some("api.example"));
    assert_eq!(request.peer.to_string(), "192.0.2.7");
    assert_eq!(request.headers.get_all("x-api-key").iter().count(), 2);
    assert_eq!(request.headers["x-name"].as_bytes(), b"\xff\xfe");
    assert_eq!(request.headers.len(), 3, "no pseudo-header among them");
}

#[test]
fn merged_headers_are_read_too() {
    let merged = [
        (":path", "/v1"),
        (":method", "POST"),
        (":authority", "api.example"),
        ("x-api-key", "one,two"),
    ];
    let asked = Asked::read(asking(HttpRequest {
        method: "POST".to_owned(),
        path: "/v1".to_owned(),
        headers: merged
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..HttpRequest::default()
    }))
    .unwrap();
    let request = asked.request(0);
    assert_eq!((request.path, request.query), ("/v1", ""));
    assert_eq!(request.headers["x-api-key"], "one,two");
    assert_eq!(request.authority, Some("api.example"));
}

#[test]
fn what_is_missing_or_not_clear_is_refused() {
    type Change = fn(&mut AttributeContext);
    let changes: [(&str, Change); 19] = [
        ("no source", |context| context.source = None),
        ("no address", |context| {
            context.source = Some(Peer::default());
        }),
        ("a name as address", |context| {
            context.source = socket("localhost");
        }),
        ("an empty address", |context| context.source = socket("")),
        ("no request", |context| context.request = None),
        ("no HTTP request", |context| {
            context.request = Some(Wrapper::default());
        }),
        ("two methods", |context| {
            http(context).method = "POST".to_owned();
        }),
        ("two paths", |context| {
            http(context).path = "/v1/other".to_owned();
        }),
        ("two authorities", |context| {
            http(context).host = "other.example".to_owned();
        }),
        ("a second path", |context| {
            add(context, ":path", b"/v1/a%20b?c=d?e");
        }),
        ("no method", |context| {
            http(context).method.clear();
            http(context).header_map = None;
        }),
        ("no path", |context| {
            http(context).path.clear();
            http(context).header_map = None;
        }),
        ("another pseudo-header", |context| {
            add(context, ":protocol", b"x");
        }),
        ("a nameless header", |context| add(context, "", b"x")),
        ("a name with a space", |context| add(context, "x y", b"x")),
        ("a value with a line end", |context| {
            add(context, "x", b"a\r\nb: c");
        }),
        ("a header with two values", |context| {
            add(context, "x", b"raw");
            let headers = &mut http(context).header_map.as_mut().unwrap().headers;
            headers.last_mut().unwrap().value = "text".to_owned();
        }),
        ("both ways of headers", |context| {
            http(context).headers.insert("x".to_owned(), "y".to_owned());
        }),
        ("too many headers", |context| {
            for _ in 0..HEADERS_MAX {
                add(context, "x", b"y");
            }
        }),
    ];
    for (name, change) in changes {
        let mut context = question(&[]);
        change(&mut context);
        assert!(Asked::read(context).is_err(), "{name}");
    }
    assert!(Asked::read(AttributeContext::default()).is_err());
}

fn add(context: &mut AttributeContext, name: &str, value: &[u8]) {
    let headers = http(context).header_map.as_mut().unwrap();
    headers.headers.push(raw(name, value));
}

#[test]
fn clients_of_a_unix_socket_are_one() {
    let mut context = question(&[]);
    context.source = from(Address::Pipe(Pipe::default()));
    let asked = Asked::read(context).unwrap();
    assert_eq!(asked.request(0).peer.to_string(), "0.0.0.0");
}

#[test]
fn what_connection_names_is_judged_by_nobody() {
    let asked = Asked::read(question(&[
        ("connection", b"upgrade, x-cluster, x-forwarded-for, te"),
        ("upgrade", b"websocket"),
        ("x-cluster", b"prod"),
        ("x-forwarded-for", b"192.0.2.9"),
    ]))
    .unwrap();
    let headers = asked.request(0).headers;
    assert_eq!(headers["connection"], "upgrade");
    assert_eq!(headers["upgrade"], "websocket");
    assert!(headers.contains_key("x-forwarded-for"));
    assert!(!headers.contains_key("x-cluster"));
    assert_eq!(asked.ended(), ["x-cluster"]);
}
