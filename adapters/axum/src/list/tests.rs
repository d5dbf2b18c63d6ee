//! Lists: what passes, what is cut, what is refused.

use super::*;

fn shape(items: &str, cluster: &str, keep: &[&str]) -> ListShape {
    ListShape {
        items: items.into(),
        cluster: cluster.into(),
        keep: keep.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn narrowed(text: &str, shape: &ListShape) -> Result<String, String> {
    narrow_text(text, shape, &["prod".to_owned(), "eu:1".to_owned()])
}

fn reply(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> Response<Body> {
    let mut reply = Response::builder().status(status);
    for (name, value) in headers {
        reply = reply.header(*name, *value);
    }
    reply.body(Body::from(body)).unwrap()
}

async fn over_http(reply: Response<Body>) -> Result<(http::response::Parts, String), String> {
    narrow_method(reply, &Method::GET).await
}

async fn narrow_method(
    reply: Response<Body>,
    method: &Method,
) -> Result<(http::response::Parts, String), String> {
    let shape = shape("/clusters", "/id", &["next"]);
    let reply = narrow(reply, method, &shape, &["prod".to_owned()], 200).await?;
    let (parts, body) = reply.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Ok((parts, String::from_utf8(body.to_vec()).unwrap()))
}

#[test]
fn items_of_other_clusters_are_cut() {
    let shape = shape("/clusters", "/id", &[]);
    let text = r#"{ "clusters" : [ {"id":"prod","cpu":1.10}, {"id":"dev"}, {"id":"eu:1","n":12345678901234567890123} ] }"#;
    assert_eq!(
        narrowed(text, &shape).unwrap(),
        r#"{"clusters":[{"id":"prod","cpu":1.10},{"id":"eu:1","n":12345678901234567890123}]}"#
    );
    assert_eq!(
        narrow_text(text, &shape, &[]).unwrap(),
        r#"{"clusters":[]}"#
    );
}

#[test]
fn siblings_pass_only_where_declared() {
    let text = r#"{"total":3,"data":{"count":3,"items":[{"id":"dev"}],"next":"b"},"next":"a","other":["dev"]}"#;
    assert_eq!(
        narrowed(text, &shape("/data/items", "/id", &[])).unwrap(),
        r#"{"data":{"items":[]}}"#
    );
    assert_eq!(
        narrowed(text, &shape("/data/items", "/id", &["next"])).unwrap(),
        r#"{"data":{"items":[],"next":"b"},"next":"a"}"#
    );
}

#[test]
fn the_reply_itself_may_be_the_list() {
    assert_eq!(
        narrowed(r#"["dev","prod"]"#, &shape("", "", &[])).unwrap(),
        r#"["prod"]"#
    );
    assert_eq!(
        narrowed(
            r#"[{"meta":{"cluster":"prod"}},{"meta":{"cluster":"dev"}}]"#,
            &shape("", "/meta/cluster", &[])
        )
        .unwrap(),
        r#"[{"meta":{"cluster":"prod"}}]"#
    );
    assert_eq!(
        narrowed(r#"{"clusters":null}"#, &shape("/clusters", "/id", &[])).unwrap(),
        r#"{"clusters":null}"#
    );
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let shape = shape("/clusters", "/id", &["next"]);
    for text in [
        "",
        "[]",
        "{}",
        "7",
        r#"{"clusters":{}}"#,
        r#"{"clusters":"prod"}"#,
        r#"{"clusters":[{"id":"prod"},{}]}"#,
        r#"{"clusters":[{"id":null}]}"#,
        r#"{"clusters":[{"id":7}]}"#,
        r#"{"clusters":[{"id":["prod"]}]}"#,
        r#"{"clusters":[["prod"]]}"#,
        r#"{"clusters":["prod"]}"#,
        r#"{"clusters":[{"id":"prod","id":"dev"}]}"#,
        r#"{"clusters":[{"id":"prod","x":{"a":1,"a":2}}]}"#,
        r#"{"clusters":[],"clusters":[{"id":"dev"}]}"#,
        r#"{"clusters":[],"clu\u0073ters":[{"id":"dev"}]}"#,
        r#"{"clusters":[]"#,
        r#"{"clusters":[]} {"clusters":[{"id":"dev"}]}"#,
        r#"{"Clusters":[{"id":"prod"}]}"#,
    ] {
        assert!(narrowed(text, &shape).is_err(), "{text}");
    }
}

#[test]
fn an_id_is_compared_as_it_is() {
    let shape = shape("/clusters", "/id", &[]);
    let text =
        r#"{"clusters":[{"id":"Prod"},{"id":"prod "},{"id":"\u0070rod"},{"id":"prod\u0000"}]}"#;
    assert_eq!(
        narrowed(text, &shape).unwrap(),
        r#"{"clusters":[{"id":"\u0070rod"}]}"#
    );
}

#[tokio::test]
async fn a_narrowed_reply_says_nothing_of_the_whole() {
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", "53"),
        ("etag", "\"all\""),
        ("last-modified", "yesterday"),
        ("accept-ranges", "bytes"),
        ("content-digest", "sha-256=:x:"),
        ("x-total-count", "2"),
        ("link", "</v1/clusters?page=2>; rel=next"),
        ("cache-control", "public, max-age=600"),
        ("access-control-allow-origin", "*"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ];
    let (parts, body) = over_http(reply(
        200,
        &headers,
        r#"{"clusters":[{"id":"dev"},{"id":"prod"}]}"#,
    ))
    .await
    .unwrap();
    assert_eq!(body, r#"{"clusters":[{"id":"prod"}]}"#);
    assert_eq!(parts.headers["content-length"], body.len().to_string());
    assert_eq!(parts.headers["cache-control"], "no-store");
    assert_eq!(parts.headers["access-control-allow-origin"], "*");
    assert_eq!(parts.headers.get_all("set-cookie").iter().count(), 2);
    for gone in [
        "etag",
        "last-modified",
        "accept-ranges",
        "content-digest",
        "x-total-count",
        "link",
    ] {
        assert!(!parts.headers.contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn only_plain_json_of_bounded_size_is_read() {
    let json = ("content-type", "application/json");
    let list = r#"{"clusters":[{"id":"prod"}]}"#;
    for bad in [
        reply(200, &[], list),
        reply(200, &[json, ("content-type", "text/html")], list),
        reply(200, &[("content-type", "text/html")], list),
        reply(200, &[("content-type", "text/json+html")], list),
        reply(200, &[json, ("content-encoding", "gzip")], list),
        reply(200, &[json, ("content-encoding", "identity")], list),
        reply(206, &[json], list),
        reply(101, &[json], ""),
        reply(200, &[json], ""),
    ] {
        let status = bad.status();
        assert!(over_http(bad).await.is_err(), "{status}");
    }
    let long = format!(r#"{{"clusters":[{{"id":"{}"}}]}}"#, "x".repeat(200));
    let long = Response::builder()
        .header("content-type", "application/json")
        .body(Body::from(long))
        .unwrap();
    assert!(over_http(long).await.unwrap_err().contains("larger"));
    for good in [
        "application/json",
        "Application/JSON;charset=utf-8",
        "application/vnd.k8c+json",
    ] {
        let (_, body) = over_http(reply(200, &[("content-type", good)], list))
            .await
            .unwrap();
        assert_eq!(body, list);
    }
}

#[tokio::test]
async fn replies_without_a_list() {
    let (parts, body) = over_http(reply(
        302,
        &[("location", "/x"), ("x-total-count", "9")],
        "see dev",
    ))
    .await
    .unwrap();
    assert_eq!(
        (parts.headers["location"].to_str().unwrap(), body.as_str()),
        ("/x", "")
    );
    assert!(!parts.headers.contains_key("x-total-count"));

    let (_, body) = over_http(reply(204, &[], "dev")).await.unwrap();
    assert_eq!(body, "");

    let (parts, body) = over_http(reply(
        500,
        &[("content-type", "text/plain")],
        "out of order",
    ))
    .await
    .unwrap();
    assert_eq!(
        (parts.status.as_u16(), body.as_str()),
        (500, "out of order")
    );

    let head = reply(
        200,
        &[
            ("content-type", "application/json"),
            ("content-length", "4096"),
            ("etag", "\"1\""),
        ],
        "",
    );
    let (parts, body) = narrow_method(head, &Method::HEAD).await.unwrap();
    assert_eq!(body, "");
    assert!(!parts.headers.contains_key("content-length") && !parts.headers.contains_key("etag"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let pieces = futures_util::stream::iter([
        Ok(Bytes::from_static(br#"{"clusters":[]}"#)),
        Err(std::io::Error::other("broken")),
    ]);
    let reply = Response::builder()
        .header("content-type", "application/json")
        .body(Body::from_stream(pieces))
        .unwrap();
    assert!(over_http(reply).await.unwrap_err().contains("broke off"));
}
