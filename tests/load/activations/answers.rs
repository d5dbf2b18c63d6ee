//! Policies whose answers tell which of them gave it, and the proof that each answer is of one of them, from start to end.

use std::collections::{BTreeSet, HashMap};

use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use scopegate_host::{
    bundle::{CarriedTests, with_tests},
    engine::build_document,
};

use crate::{
    harness::{Actor, World},
    load::client::Question,
};

/// How many there are.
pub(super) const VERSIONS: usize = 8;

/// In version `n`, `/v1/which/n` is open to viewers, and the others need a permission of that version's own.
pub(super) fn document(version: usize, mark: &str) -> String {
    let route = |number| {
        let requires = match number == version {
            true => "clusters:read".to_owned(),
            false => format!("version-{version}:read"),
        };
        format!(
            "  - {{ match: GET /v1/which/{number}, requires: \"{requires}\", cluster: none }}\n"
        )
    };
    let routes: String = (0..VERSIONS).map(route).collect();
    format!(
        "policy: version-{version}{mark}\npermissions:\n  clusters:read: {{ category: C, unlocks: c }}\n  \
         version-{version}:read: {{ category: C, unlocks: v }}\n\
         roles:\n  admin: ['*']\n  editor: [clusters:read]\n  viewer: [clusters:read]\nroutes:\n{routes}"
    )
}

/// What it is built to, with tests of all of that.
pub(super) fn component(version: usize, mark: &str) -> Vec<u8> {
    let case = |number| {
        let expected = match number == version {
            true => "expect: none".to_owned(),
            false => format!("expect: missing-permission, about: version-{version}:read"),
        };
        format!("  - {{ name: n, caller: viewer, request: GET /v1/which/{number}, {expected} }}\n")
    };
    let cases: String = (0..VERSIONS).map(case).collect();
    let tests = CarriedTests {
        name: "which.test.yaml".to_owned(),
        text: format!("callers: {{ viewer: {{ session: {{ role: viewer }} }} }}\ncases:\n{cases}"),
    };
    let component = build_document("policy.yaml", &document(version, mark)).expect("a policy");
    with_tests(component, &[tests])
}

/// What tells whether this version answers.
pub(super) fn question(caller: &Actor, version: usize) -> Question {
    Question::of(caller, "GET", &format!("/v1/which/{version}"))
}

/// An answer.
pub(super) struct Given {
    request_id: String,
    /// The version that gives it.
    version: usize,
}

impl Given {
    /// Reads the answer to the question after a version. Any other answer than that of a version is a failure.
    pub(super) async fn read(asked: usize, reply: Response<Incoming>) -> Self {
        let (head, body) = reply.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8_lossy(&body);
        let request_id = head.headers["x-request-id"].to_str().expect("text");
        let version = match head.status.as_u16() {
            200 => asked,
            403 => {
                let named = body.split_once("version-");
                let named = named.and_then(|(_, rest)| rest.split_once(":read"));
                let (number, _) = named.unwrap_or_else(|| panic!("{body}"));
                number.parse().unwrap_or_else(|_| panic!("{body}"))
            }
            other => panic!("{other}: {body}"),
        };
        Self {
            request_id: request_id.to_owned(),
            version,
        }
    }
}

/// Asserts that the record of each answer names the version that gave it: `digests` are those of the versions, again
/// from the first where there are more. How many versions there were.
pub(super) async fn assert_whole(world: &World, given: &[Given], digests: &[String]) -> usize {
    let number_of: HashMap<&str, usize> = digests
        .iter()
        .enumerate()
        .map(|(place, digest)| (digest.as_str(), place % VERSIONS))
        .collect();
    let records = world.audit().await;
    let recorded: HashMap<&str, usize> = records
        .iter()
        .filter_map(|record| {
            let version = number_of[record["policy"].as_str()?];
            Some((record["request_id"].as_str()?, version))
        })
        .collect();
    let mut versions = BTreeSet::new();
    for Given {
        request_id,
        version,
    } in given
    {
        assert_eq!(recorded.get(request_id.as_str()), Some(version));
        versions.insert(version);
    }
    versions.len()
}
