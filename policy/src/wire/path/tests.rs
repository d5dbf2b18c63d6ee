//! Every rule for paths and queries, and properties against a slow second reading.

use proptest::prelude::*;

use super::*;

#[test]
fn one_reading_of_a_path() {
    for (raw, normal) in [
        ("/", "/"),
        ("/v1/clusters", "/v1/clusters"),
        ("/v1/clusters/", "/v1/clusters/"),
        ("//v1///clusters", "/v1/clusters"),
        ("/v1/./clusters", "/v1/clusters"),
        ("/v1/x/../clusters", "/v1/clusters"),
        ("/v1/x/..", "/v1/"),
        ("/v1/x/.", "/v1/x/"),
        ("/x/..", "/"),
        ("/a//../b", "/b"),
        ("/%76%31/clusters", "/v1/clusters"),
        ("/v1/%2e/clusters", "/v1/clusters"),
        ("/v1/x/%2E%2e/clusters", "/v1/clusters"),
        ("/v1/x/.%2e/clusters", "/v1/clusters"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/café", "/caf%C3%A9"),
        ("/a%3ab", "/a%3Ab"),
        ("/a:b@c", "/a:b@c"),
        ("/a%20b", "/a%20b"),
        ("/a{b}", "/a%7Bb%7D"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/100%25", "/100%25"),
        ("/100%25/x", "/100%25/x"),
        ("/%25zz", "/%25zz"),
        ("/~tilde", "/~tilde"),
    ] {
        assert_eq!(normalise(raw).as_deref(), Ok(normal), "{raw}");
    }
}

#[test]
fn an_ambiguous_path_is_refused_with_its_place() {
    for (raw, what, at) in [
        ("", "the path does not start with a slash", 0),
        ("*", "the path does not start with a slash", 0),
        ("v1", "the path does not start with a slash", 0),
        ("/v1%2fclusters", "an encoded slash", 3),
        ("/v1%2Fclusters", "an encoded slash", 3),
        ("/v1\\clusters", "a backslash", 3),
        ("/v1%5cclusters", "a backslash", 3),
        ("/v1/a;b", "a semicolon", 5),
        ("/v1/a%3bb", "a semicolon", 5),
        ("/v1/%00", "a NUL", 4),
        ("/v1/%0d%0a", "a control character", 4),
        ("/v1/%7f", "a control character", 4),
        ("/v1/\u{7f}", "a control character", 4),
        ("/v1/%252e%252e/x", "a second layer of percent-encoding", 7),
        ("/v1/%252Fx", "a second layer of percent-encoding", 7),
        ("/v1/%25%32%46", "a second layer of percent-encoding", 7),
        ("/v1/%zz", "a bad percent-encoding", 4),
        ("/v1/%4", "a bad percent-encoding", 4),
        ("/v1/%", "a bad percent-encoding", 4),
        ("/..", "dot segments that climb above the root", 0),
        ("/a/../..", "dot segments that climb above the root", 0),
        ("/%2e%2e/etc", "dot segments that climb above the root", 0),
        ("/a b", "a character that no path has", 2),
        ("/a?b", "a character that no path has", 2),
        ("/a#b", "a character that no path has", 2),
        ("/%c0%af", "octets that are not UTF-8", 1),
        ("/x/%ff", "octets that are not UTF-8", 3),
    ] {
        assert_eq!(normalise(raw), Err(BadPath { what, at }), "{raw}");
    }
    let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
    assert_eq!(normalise(&long).unwrap_err().what, "the path is too long");
}

fn declared() -> Vec<String> {
    vec!["cluster".to_owned(), "id".to_owned()]
}

#[test]
fn declared_parameters_are_read_decoded() {
    let read = |query: &str| declared_parameters(query, &declared());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(read(""), Ok(vec![]));
    assert_eq!(read("a=1&b=2"), Ok(vec![]));
    assert_eq!(read("a=1&cluster=prod"), Ok(vec![pair("cluster", "prod")]));
    assert_eq!(read("%63luster=pr%6fd"), Ok(vec![pair("cluster", "prod")]));
    assert_eq!(read("cluster=a+b%2B"), Ok(vec![pair("cluster", "a b+")]));
    assert_eq!(read("cluster"), Ok(vec![pair("cluster", "")]));
    assert_eq!(
        read("id=1&&cluster=2"),
        Ok(vec![pair("cluster", "2"), pair("id", "1")])
    );
    assert_eq!(read("other=1&other=2"), Ok(vec![]));
    assert_eq!(read("x=a;b=1"), Ok(vec![]));
}

#[test]
fn a_parameter_that_two_readers_could_read_differently_is_refused() {
    let read = |query: &str| declared_parameters(query, &declared()).map_err(|bad| bad.what);
    for query in [
        "cluster=a&cluster=b",
        "cluster=a&cluster=a",
        "cluster=a&%63luster=b",
        "cluster&cluster=a",
    ] {
        assert_eq!(read(query), Err("a repeated parameter"), "{query}");
    }
    assert_eq!(
        read("Cluster=a"),
        Err("a declared parameter in another spelling")
    );
    assert_eq!(
        read("cluster=a&CLUSTER=b"),
        Err("a declared parameter in another spelling")
    );
    assert_eq!(
        read("x=1;cluster=b"),
        Err("a declared parameter behind a semicolon")
    );
    assert_eq!(
        read("cluster=a;cluster=b"),
        Err("a declared parameter behind a semicolon")
    );
    assert_eq!(
        read("cluster=%zz"),
        Err("a parameter that is badly encoded")
    );
    assert_eq!(
        read("cluster=%ff"),
        Err("a parameter that is badly encoded")
    );
    assert_eq!(
        read("cluster=%0a"),
        Err("a parameter that is badly encoded")
    );
    assert_eq!(read("a b"), Err("a character that no query has"));
    assert_eq!(
        read(&"a&".repeat(QUERY_PARAMETERS_MAX + 1)),
        Err("too many parameters")
    );
    assert_eq!(
        read(&"a".repeat(QUERY_BYTES_MAX + 1)),
        Err("the query is too long")
    );
}

/// Frameworks fold these into one parameter, and each takes another of the two values.
#[test]
fn spellings_that_some_reader_takes_for_a_declared_parameter_are_refused() {
    let declared = ["cluster_id".to_owned()];
    for spelling in [
        "cluster_id[]",
        "cluster_id%5B%5D",
        "cluster_id[0]",
        "cluster.id",
        "cluster%20id",
        "+cluster_id",
        "cluster_id+",
        "cluster-id",
        "Cluster_ID",
    ] {
        let query = format!("cluster_id=prod&{spelling}=dev");
        let read = declared_parameters(&query, &declared).map_err(|bad| bad.what);
        assert_eq!(
            read,
            Err("a declared parameter in another spelling"),
            "{spelling}"
        );
    }
    for unreadable in ["cluster_id%00", "%ff", "%zz"] {
        let query = format!("cluster_id=prod&{unreadable}=dev");
        let read = declared_parameters(&query, &declared).map_err(|bad| bad.what);
        assert_eq!(
            read,
            Err("a parameter whose name cannot be read"),
            "{unreadable}"
        );
    }
    let other = declared_parameters("cluster_id=prod&clusters=2&id[]=3", &declared);
    assert_eq!(
        other.unwrap(),
        [("cluster_id".to_owned(), "prod".to_owned())]
    );
}

#[test]
fn an_agents_cluster_is_written_into_the_query() {
    assert_eq!(with_parameter("", "cluster", "prod"), "cluster=prod");
    assert_eq!(with_parameter("a=1", "cluster", "prod"), "a=1&cluster=prod");
    assert_eq!(
        with_parameter("cluster=x&a=%31", "cluster", "prod"),
        "cluster=prod&a=%31"
    );
    assert_eq!(
        with_parameter("a=1&%63luster=x", "cluster", "p/r:d"),
        "a=1&cluster=p%2Fr%3Ad"
    );
}

/// The second reading: decodes everything into segments of octets, slowly and in another order of steps.
fn meaning(path: &str) -> Option<Vec<Vec<u8>>> {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let last = parts.len() - 1;
    for (number, part) in parts.into_iter().enumerate() {
        let octets: Vec<u8> = percent_encoding::percent_decode_str(part).collect();
        match octets.as_slice() {
            b"" | b"." => {}
            b".." => drop(segments.pop()?),
            _ => {
                segments.push(octets);
                continue;
            }
        }
        if number == last {
            segments.push(Vec::new()); // a trailing slash
        }
    }
    Some(segments)
}

fn path_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("/".to_owned()),
        2 => Just(".".to_owned()),
        1 => Just("..".to_owned()),
        1 => Just("%2e".to_owned()),
        1 => Just("%25".to_owned()),
        1 => Just("é".to_owned()),
        3 => "[a-zA-Z0-9:@~_-]{1,4}",
        2 => any::<u8>().prop_map(|byte| format!("%{byte:02x}")),
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02X}")),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_normalised_path_means_the_same_and_is_stable(raw in path_like()) {
        if let Ok(normal) = normalise(&raw) {
            prop_assert_eq!(meaning(&raw), meaning(&normal));
            let again = normalise(&normal);
            prop_assert_eq!(again.as_deref(), Ok(&*normal));
            prop_assert!(normal.is_ascii() && !normal.contains("//"));
            prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."));
        }
    }

    #[test]
    fn two_paths_with_one_meaning_have_one_spelling(raw in path_like()) {
        if let (Ok(normal), Some(meant)) = (normalise(&raw), meaning(&raw)) {
            let spelled: String = meant
                .iter()
                .map(|segment| {
                    let encoded: String = segment.iter().map(|octet| format!("%{octet:02x}")).collect();
                    format!("/{encoded}")
                })
                .collect();
            let spelled = if spelled.is_empty() { "/".to_owned() } else { spelled };
            // Delimiters keep their spelling, because `:` and `%3A` may differ to an upstream.
            if meant.iter().flatten().all(|octet| is_unreserved(*octet)) {
                let again = normalise(&spelled);
                prop_assert_eq!(again.as_deref(), Ok(&*normal));
            }
        }
    }

    #[test]
    fn nothing_panics(raw in any::<String>(), query in any::<String>()) {
        let _ = normalise(&raw);
        let _ = declared_parameters(&query, &declared());
        let _ = with_parameter(&query, "cluster", &raw);
    }

    #[test]
    fn a_written_parameter_is_the_one_that_is_read(query in "[a-z=&%0-9+]{0,24}", value in "[A-Za-z0-9._:-]{1,20}") {
        if let Ok(before) = declared_parameters(&query, &declared()) {
            let after = declared_parameters(&with_parameter(&query, "cluster", &value), &declared()).unwrap();
            prop_assert!(after.contains(&("cluster".to_owned(), value)));
            prop_assert!(before.iter().filter(|(name, _)| name == "id").all(|pair| after.contains(pair)));
        }
    }
}
