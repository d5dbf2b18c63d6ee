//! The lines of `policy diff` go into a file of tests as they are, and the new policy passes them.

use std::collections::BTreeSet;

use scopegate_host::engine::bound;
use scopegate_policy::diff::{Side, diff};
use scopegate_policy::generate::Generator;
use scopegate_policy::packed::RequestRef;
use scopegate_policy::{ClusterSource, Rules, Tables, decide, document, documents};

use crate::corpus::{self, run::Implementation};

/// What was there before `scopegate`: keys that may only read, viewers who delete, another place for a cluster, open and
/// closed routes.
fn before(rules: &mut Rules) {
    rules.keys_read_only = true;
    for role in &mut rules.description.roles {
        match role.name.as_str() {
            "viewer" => role.permissions.push("clusters:write".to_owned()),
            "editor" => role.permissions.retain(|name| !name.starts_with("nodes:")),
            _ => {}
        }
    }
    for (route, options) in rules.description.routes.iter_mut().zip(&mut rules.options) {
        match (route.method.as_str(), route.pattern.as_str()) {
            ("GET", "/v1/costs") => route.cluster = ClusterSource::Header("x-one".to_owned()),
            ("POST", "/v1/alerts") => options.sign_in = true,
            ("GET", "/v1/organization") => route.requires = Some("nodes:read".to_owned()),
            ("GET", "/v1/reports") => {
                route.requires = None;
                route.public = true;
            }
            ("POST", "/v1/metrics") => route.cluster = ClusterSource::Query("cluster".to_owned()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_lines_of_every_example_pass_in_a_file_of_tests() {
    let text = documents::builtin("scopegate").expect("it is built in");
    let new = document::compile("scopegate", text).unwrap_or_else(|report| panic!("{report}"));
    let mut rules = new.rules().clone();
    before(&mut rules);
    let old = Tables::new(rules).expect("a policy");
    let sides = [old.description(), new.description()];
    let generator = Generator::new(&sides);
    let registered = generator.registered();
    let diff = diff(sides[0], sides[1], generator.cases(), |side, case| {
        let tables = match side {
            Side::Old => &old,
            Side::New => &new,
        };
        let decision = decide(tables, &case.caller, &case.request);
        let request = RequestRef::from(&case.request);
        let description = tables.description();
        bound(decision, description, &case.caller, &request, &registered).expect("it makes sense")
    });
    let (mut callers, mut cases) = (BTreeSet::new(), BTreeSet::new());
    for example in diff.groups.iter().flat_map(|group| &group.examples) {
        callers.extend(example.test_caller.clone());
        cases.extend(example.test_case.clone());
    }
    assert!(
        callers.len() > 10 && cases.len() > 40,
        "{callers:#?} {cases:#?}"
    );
    let mut file = "document: scopegate\nclusters: [prod, staging, dev]\ncallers:\n".to_owned();
    callers
        .iter()
        .for_each(|line| file += &format!("  {line}\n"));
    file += "cases:\n";
    cases.iter().for_each(|line| file += &format!("  {line}\n"));
    let file = corpus::read("pasted.yaml", &file).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(file.cases.len(), cases.len());
    for (case, answer) in Implementation::Native.answers(&file).await {
        assert_eq!(answer.outcome, case.expected, "{case}");
    }
}
