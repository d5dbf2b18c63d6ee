//! Which rules are changed, and that each change makes another policy.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use super::{Changed, mutants};
use crate::{Rules, Tables, document, documents};

fn rules(text: &str) -> Rules {
    let tables = document::compile("p.yaml", text).unwrap_or_else(|report| panic!("{report}"));
    tables.rules().clone()
}

#[test]
fn each_rule_is_changed_in_every_way_that_decisions_can_show() {
    let rules = rules(
        "policy: p
permissions: { clusters:read: , clusters:write: , unused:read: }
roles: { admin: ['*'], viewer: [clusters:read] }
routes:
  - { match: GET /health, public: true }
  - { match: 'GET /clusters/{cluster}', requires: clusters:read }
  - { match: POST /clusters, requires: clusters:write, sign_in: true, cluster: none }
  - { match: GET /machine, operator: true }
",
    );
    let all: Vec<String> = mutants(&rules).map(|mutant| mutant.what).collect();
    assert_snapshot!(all.join("\n"), @"
    `GET /health` is not there
    `GET /health` requires `clusters:read`
    `GET /clusters/{cluster}` is not there
    `GET /clusters/{cluster}` is public
    `GET /clusters/{cluster}` requires `clusters:write` and not `clusters:read`
    `GET /clusters/{cluster}` does not look at the cluster that is named
    `POST /clusters` is not there
    `POST /clusters` is public
    `POST /clusters` requires `clusters:read` and not `clusters:write`
    `POST /clusters` needs no fresh sign-in
    `POST /clusters` spans every cluster
    `GET /machine` is not there
    `GET /machine` is public
    `GET /machine` is for operators no more
    `GET /machine` touches no cluster's data
    the role `admin` lacks `clusters:read`
    the role `admin` lacks `clusters:write`
    the role `viewer` lacks `clusters:read`
    the role `viewer` also has `clusters:write`
    API keys may only read
    ");
}

#[test]
fn every_mutant_is_another_policy_and_says_where() {
    for name in documents::names() {
        let rules = rules(documents::builtin(name).unwrap());
        let mut seen = BTreeSet::new();
        for mutant in mutants(&rules) {
            assert_ne!(mutant.rules, rules, "{name}: {}", mutant.what);
            assert!(
                seen.insert(mutant.what.clone()),
                "{name}: {} twice",
                mutant.what
            );
            let description = &rules.description;
            match mutant.changed {
                Changed::Route(index) => {
                    let route = &description.routes[index];
                    assert!(!route.is_management());
                    assert!(mutant.what.contains(&route.pattern), "{}", mutant.what);
                }
                Changed::Role { role, permission } => {
                    assert!(!description.permissions[permission].is_management());
                    assert!(mutant.what.contains(&description.roles[role].name));
                    assert!(
                        mutant
                            .what
                            .contains(&description.permissions[permission].name)
                    );
                }
                Changed::RoleCondition(role) => {
                    assert!(mutant.what.contains(&description.roles[role].name));
                }
                Changed::Keys => assert_ne!(mutant.rules.keys_read_only, rules.keys_read_only),
            }
            Tables::new(mutant.rules)
                .unwrap_or_else(|why| panic!("{name}: {}: {why}", mutant.what));
        }
        assert!(seen.len() > 50, "{name}: {} mutants", seen.len());
    }
}
