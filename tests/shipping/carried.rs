//! Tests that a bundle carries: a gate runs them before it takes it, and says which of them fails.

use scopegate_host::bundle::{CarriedTests, with_tests};

use super::{active, by_hand, component, operator, push, world};
use crate::harness::checks;

const CALLERS: &str = "\
document: scopegate
clusters: [prod, dev]
callers: { viewer: { session: { role: viewer } } }
cases:
";
const READS: &str = "  - { name: viewers read, caller: viewer, request: GET /v1/clusters/prod, expect: [prod] }
  - { name: strangers do not, caller: anonymous, request: GET /v1/clusters/prod, expect: not-authenticated }
";

fn carrying(component: Vec<u8>, texts: &[String]) -> Vec<u8> {
    let named = |(number, text): (usize, &String)| CarriedTests {
        name: format!("{number}.test.yaml"),
        text: text.clone(),
    };
    let tests: Vec<_> = texts.iter().enumerate().map(named).collect();
    with_tests(component, &tests)
}

/// What is said of a candidate with these files.
fn refused(component: Vec<u8>, texts: &[String]) -> String {
    let refused = checks().check(&carrying(component, texts));
    refused.map(drop).expect_err("refused").to_string()
}

#[tokio::test]
async fn a_policy_whose_own_tests_fail_is_refused_and_the_one_before_goes_on() {
    let world = world().await;
    let operator = operator(&world).await;
    let first = active(&world);
    let wrong = "  - { name: nobody writes, caller: viewer, request: DELETE /v1/clusters/dev, expect: all }\n";
    let texts = [
        format!("{CALLERS}{READS}"),
        format!("{CALLERS}{READS}{wrong}"),
        "cases: [{ nam: x }]\n".to_owned(),
    ];
    let reply = push(&operator, carrying(component(2, ""), &texts)).await;
    assert_eq!(reply.status, 422, "{}", reply.body);
    let detail = reply.json()["detail"]
        .as_str()
        .expect("a detail")
        .to_owned();
    let told = "the policy is refused, and the one before goes on: the tests that the policy carries fail: \
        1.test.yaml:7 \"nobody writes\": `viewer` asks for `DELETE /v1/clusters/dev`: \
        refused (no-route) instead of allowed (dev, prod); \
        2.test.yaml:1:9: missing key `name` in a case; 2.test.yaml:1:9: missing key `caller` in a case";
    assert!(detail.starts_with(told), "{detail}");
    let help = "; and 3 more: correct the policy or its tests, and build it again";
    assert!(detail.ends_with(help), "{detail}");
    assert_eq!(active(&world), first);

    // What a file says of its policy is no way around: it is about the one that carries it.
    let reply = push(&operator, carrying(component(2, ""), &texts[..1])).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
}

#[test]
fn one_that_was_written_by_hand_runs_its_tests_compiled() {
    let asked = |method: &str, expected: &str| {
        format!(
            "{CALLERS}  - {{ name: t, caller: viewer, request: {method} /v1/x, expect: {expected} }}\n"
        )
    };
    // It refuses everything, and traps over what nobody probes it with.
    let good = carrying(by_hand(), &[asked("GET", "no-route")]);
    checks().check(&good).expect("its tests pass");
    let said = refused(by_hand(), &[asked("GET", "all")]);
    assert!(
        said.ends_with("refused (no-route) instead of allowed (dev, prod)"),
        "{said}"
    );
    let said = refused(by_hand(), &[asked("DELETE", "no-route")]);
    let told = "the policy fails instead of refused (no-route): ";
    assert!(
        said.contains(told) && said.contains("unreachable"),
        "{said}"
    );
}

#[test]
fn what_tests_may_take_is_bounded_and_so_is_what_is_told() {
    let many = |count: usize| {
        let requests: Vec<String> = (0..count).map(|n| format!("GET /v1/x?n={n}")).collect();
        let requests = requests.join(", ");
        format!(
            "{CALLERS}  - {{ name: n, caller: viewer, request: [{requests}], expect: no-route }}\n"
        )
    };
    let said = refused(component(2, ""), &[many(1), many(20_000)]);
    assert!(said.ends_with("there are more than 20000 cases"), "{said}");
    let said = refused(component(2, ""), &["#".repeat(1 << 20) + "##"]);
    assert!(said.ends_with("bytes, more than 1048576"), "{said}");
    // Lists multiply: a megabyte asks for gigabytes.
    let requests = vec!["GET /v1/x"; 600].join(", ");
    let header = "x".repeat(500_000);
    let case = format!(
        "  - {{ name: n, caller: viewer, request: [{requests}], headers: {{ x: {header} }}, expect: all }}\n"
    );
    let said = refused(component(2, ""), &[format!("{CALLERS}{case}")]);
    assert!(said.contains("take more than 67108864 bytes"), "{said}");
    // Nothing that somebody else wrote moves a terminal, or fills a log.
    let name = "\\e[2J".repeat(1000);
    let case = format!(
        "  - {{ name: \"{name}\", caller: viewer, request: GET /v1/clusters/prod, expect: none }}\n"
    );
    let said = refused(component(2, ""), &[format!("{CALLERS}{case}")]);
    assert!(said.len() < 600 && !said.contains('\u{1b}'), "{said}");
    let not_text = [component(2, ""), section_of_tests(b"\xff\xff")].concat();
    let said = checks().check(&not_text).map(drop).expect_err("refused");
    assert!(said.to_string().contains("not text in UTF-8"), "{said}");
}

/// A section of tests with these bytes.
fn section_of_tests(bytes: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"scopegate:tests";
    let length = u8::try_from(1 + NAME.len() + bytes.len()).expect("short");
    let head = [0, length, NAME.len() as u8];
    [&head[..], NAME, bytes].concat()
}
