//! A small policy, its tests, and a large test file.

use super::{TestFile, file};

pub(super) const ACME: &str = "\
policy: acme
permissions: { things:read: , things:write: , clusters:read: , metrics:write: { scope: false } }
roles: { admin: ['*'], writer: [things:read, things:write], viewer: [things:read, clusters:read], agent: [metrics:write] }
routes:
  - { match: GET /v1/health, public: true }
  - { match: GET /v1/things, requires: things:read, cluster: upstream }
  - { match: POST /v1/things, requires: things:write, cluster: none }
  - { match: 'GET /v1/clusters/{cluster}', requires: clusters:read }
  - { match: POST /v1/metrics, requires: metrics:write, cluster: { header: x-cluster-id } }
";

/// Conditions of a role, of a route and of a public one.
pub(super) const CONDITIONS: &str = "\
policy: guarded
permissions: { things:read: }
roles: { admin: ['*'], careful: { permissions: [things:read], when: 'caller.mfa' } }
routes:
  - { match: GET /v1/things, requires: things:read, cluster: none, when: 'cidr(\"10.0.0.0/8\").containsIP(request.address)' }
  - { match: GET /v1/open, public: true, when: 'cidr(\"10.0.0.0/8\").containsIP(request.address)' }
";

const TESTS: &str = "\
clusters: [prod, dev]
callers:
  admin: { session: { role: admin } }
  writer: { session: { role: writer, clusters: [prod] } }
  viewer: { session: { role: viewer, clusters: [prod] } }
  owner: { session: { role: admin, clusters: [prod] } }
  bot: { key: { owner: { role: admin } } }
  agent: { agent: prod }
cases:
  - { name: health is open, caller: anonymous, request: GET /v1/health, expect: none }
  - { name: reading, caller: [viewer, writer, owner], request: GET /v1/things, expect: [prod] }
  - { name: a writer writes, caller: writer, request: POST /v1/things, expect: [prod] }
  - { name: a restricted one writes, caller: owner, request: POST /v1/things, expect: [prod] }
  - { name: a key writes, caller: bot, request: POST /v1/things, expect: all }
  - { name: a viewer does not, caller: viewer, request: POST /v1/things, expect: missing-permission, about: 'things:write' }
  - { name: nor an agent, caller: agent, request: POST /v1/things, expect: missing-permission, about: 'things:write' }
  - { name: agents read nothing, caller: agent, request: GET /v1/things, expect: missing-permission, about: 'things:read' }
  - { name: nor clusters, caller: agent, request: GET /v1/clusters/prod, expect: missing-permission, about: 'clusters:read' }
  - { name: an own cluster, caller: [viewer, owner], request: GET /v1/clusters/prod, expect: [prod] }
  - { name: another one, caller: viewer, request: GET /v1/clusters/dev, expect: cluster-not-allowed, about: dev }
  - { name: a writer sees none, caller: writer, request: GET /v1/clusters/prod, expect: missing-permission, about: 'clusters:read' }
  - { name: metrics, caller: agent, request: POST /v1/metrics, expect: [prod] }
  - { name: of another cluster, caller: agent, request: POST /v1/metrics, headers: { x-cluster-id: dev }, expect: agent-outside-cluster, about: dev }
  - { name: of no cluster, caller: owner, request: POST /v1/metrics, expect: cluster-required }
  - { name: of every cluster, caller: admin, request: POST /v1/metrics, expect: all }
  - { name: not by people, caller: [viewer, writer], request: POST /v1/metrics, expect: missing-permission, about: 'metrics:write' }
  - { name: strangers, caller: anonymous, request: [GET /v1/things, POST /v1/things, GET /v1/clusters/prod, POST /v1/metrics], expect: not-authenticated }
  - { name: nowhere, caller: viewer, request: GET /v1/nowhere, expect: no-route }
  - { name: in capitals, caller: viewer, request: GET /v1/Things, expect: ambiguous-path }
";

/// A text four spaces further in: for a block of YAML.
pub(super) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// [`ACME`] and its tests.
pub(super) fn acme_text() -> String {
    format!("document: |\n{}{TESTS}", indented(ACME))
}

/// The tests of [`ACME`], without the case of this name and those that make up for it.
pub(super) fn acme_tests(without: &str) -> TestFile {
    let makes_up = ["a restricted one writes", "a key writes"];
    let is_kept = |line: &&str| {
        without.is_empty()
            || !line.contains(&format!("name: {without},"))
                && !makes_up.iter().any(|name| line.contains(name))
    };
    let tests: Vec<&str> = TESTS.lines().filter(is_kept).collect();
    // A caller that nothing asks as is a mistake.
    let tests: Vec<&str> = tests
        .iter()
        .copied()
        .filter(|line| without.is_empty() || !line.contains("bot:"))
        .collect();
    file(&format!(
        "document: |\n{}{}\n",
        indented(ACME),
        tests.join("\n")
    ))
}

/// 100 callers and 100 requests.
pub(super) fn many_cases() -> String {
    let mut text = "document: scopegate\nclusters: [prod, dev]\ncallers:\n".to_owned();
    for number in 0..100 {
        let role = ["admin", "editor", "viewer"][number % 3];
        text.push_str(&format!(
            "  c{number}: {{ session: {{ role: {role}, clusters: [prod] }} }}\n"
        ));
    }
    let callers: Vec<String> = (0..100).map(|number| format!("c{number}")).collect();
    let cells = vec!["[prod]"; 100].join(", ");
    text.push_str(&format!(
        "tables:\n  - name: many\n    callers: [{}]\n    rows:\n",
        callers.join(", ")
    ));
    for number in 0..100 {
        text.push_str(&format!(
            "      - {{ request: \"GET /v1/clusters/prod?page={number}\", expect: [{cells}] }}\n"
        ));
    }
    text
}
