//! Test files that are wrong, and what comes of those that are right.

mod any_text;
mod broken;
mod policies;

use std::sync::Arc;

use scopegate_policy::yaml::Report;

use super::{
    Answer, Coverage, Kind, LoadError, Outcome, Ran, Subject, TestFile, Verdict, Wanted, Ways,
    mutate, read, run,
};
use crate::engine::{Sandbox, SandboxConfig};

fn read_alone(text: &str) -> Result<TestFile, Report> {
    let name = "mine.test.yaml";
    read(name, text, |wanted| wanted.load(name))
}

fn file(text: &str) -> TestFile {
    read_alone(text).unwrap_or_else(|report| panic!("{report}"))
}

fn natively(file: &TestFile) -> Vec<Ran<'_>> {
    pollster::block_on(run(file, Ways::Native)).unwrap()
}

/// What does not come out as expected.
fn failures(file: &TestFile) -> Vec<String> {
    let ran = natively(file).into_iter();
    let failed = ran.filter(|ran| ran.verdict() != Verdict::Passed);
    let shown = failed.map(|ran| format!("{}: {:?}", ran.case, ran.answer()));
    shown.collect()
}

#[test]
fn a_case_has_its_place_its_moment_and_its_question() {
    let file = file(
        "\
document: scopegate
now: 2026-03-01T08:00:00Z
clusters: [prod]
callers:
  late: { session: { role: admin }, signed_in_minutes_ago: 20 }
cases:
  - { name: a, caller: late, request: HEAD /v1/clusters/, expect: all }
  - name: b
    caller: late
    request: [GET /v1/nodes?cluster_id=prod&page=2]
    now: 2026-03-01T10:00:00+01:00
    expect: [prod]
",
    );
    let [first, second] = file.cases.as_slice() else {
        panic!("{:?}", file.cases);
    };
    assert_eq!((first.line, second.line), (7, 10));
    assert_eq!(first.now, 1_772_352_000);
    assert_eq!(second.now - first.now, 3600);
    assert_eq!(file.facts(second).auth_time, Some(second.now - 20 * 60));
    assert_eq!(first.question.method, "GET");
    assert_eq!(
        second.question.query.len(),
        1,
        "the policy reads one parameter"
    );
    assert_eq!(
        first.to_string(),
        "mine.test.yaml:7 \"a\": `late` asks for `HEAD /v1/clusters/`"
    );
}

#[test]
fn the_policy_under_test_stands_in_for_the_one_that_the_file_names() {
    let acme = Arc::new(Subject::document("acme.yaml", policies::ACME).unwrap());
    let text = "\
clusters: [prod]
callers: { viewer: { session: { role: viewer } } }
cases: [{ name: a, caller: viewer, request: GET /v1/things, expect: all }]
";
    for document in ["", "document: kubeadapt\n", "document: ./nowhere.yaml\n"] {
        let text = format!("{document}contract: scopegate\n{text}");
        let file = read("t.yaml", &text, |_| Ok(acme.clone())).unwrap();
        assert_eq!(natively(&file)[0].verdict(), Verdict::Passed);
    }
    let mut wanted = None;
    let text = format!("document: policies/acme.wasm\n{text}");
    let report = read("t.yaml", &text, |asked| {
        wanted = Some(asked == Wanted::File("policies/acme.wasm"));
        Err(LoadError::new("it is not there").help("build it"))
    });
    assert_eq!(wanted, Some(true));
    let report = report.unwrap_err();
    let place = report.places().next().unwrap();
    assert_eq!(
        (place.line, place.column, place.message),
        (1, 11, "it is not there")
    );
    assert_eq!(place.help, Some("build it"));
}

#[test]
fn a_case_that_comes_out_differently_says_what_came_and_by_which_rule() {
    let file = file(&format!(
        "document: |\n{}\n{}",
        policies::indented(policies::ACME),
        "\
clusters: [prod, dev]
callers:
  viewer: { session: { role: viewer, clusters: [prod] } }
cases:
  - { name: too much, caller: viewer, request: GET /v1/things, expect: all }
  - { name: right, caller: viewer, request: GET /v1/clusters/prod, expect: [prod] }
  - { name: another reason, caller: viewer, request: POST /v1/things, expect: no-route }
"
    ));
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    for ways in [Ways::Native, Ways::Compiled(&sandbox), Ways::Both(&sandbox)] {
        let ran = pollster::block_on(run(&file, ways)).unwrap();
        let verdicts: Vec<Verdict> = ran.iter().map(Ran::verdict).collect();
        let differs = Verdict::Differs;
        assert_eq!(verdicts, [differs, Verdict::Passed, differs]);
        let answer = ran[2].answer().unwrap();
        let denied = Outcome::Deny {
            reason: "missing-permission".to_owned(),
            about: Some("things:write".to_owned()),
        };
        assert_eq!(answer.outcome, denied);
        let route = answer.rule.route.unwrap() as usize;
        assert_eq!(file.subject.description().routes[route].method, "POST");
        assert_eq!(ran[0].native.is_some(), !matches!(ways, Ways::Compiled(_)));
        assert_eq!(ran[0].compiled.is_some(), !matches!(ways, Ways::Native));
    }
}

#[test]
fn two_ways_that_disagree_fail_even_where_one_is_as_expected() {
    let file = file(
        "document: scopegate\ncases:\n  - { name: a, caller: anonymous, request: GET /v1/health, expect: none }\n",
    );
    let mut ran = natively(&file).remove(0);
    assert_eq!(ran.verdict(), Verdict::Passed);
    ran.compiled = ran.native.clone();
    assert_eq!(ran.verdict(), Verdict::Passed);
    let native = ran.native.clone().unwrap().unwrap();
    let mut rule = native.rule;
    rule.route = None;
    ran.compiled = Some(Ok(Answer { rule, ..native }));
    assert_eq!(ran.verdict(), Verdict::Disagree, "the rule counts too");
    ran.compiled = Some(Err("it trapped".to_owned()));
    assert_eq!(ran.verdict(), Verdict::Disagree);
    ran.native = None;
    assert_eq!(ran.verdict(), Verdict::Fault);
    ran.compiled = None;
    assert_eq!(ran.verdict(), Verdict::Fault, "not asked is not passed");
}

#[test]
fn coverage_is_what_decisions_named() {
    let file = policies::acme_tests("");
    let mut coverage = Coverage::new(&file.subject, [&file.contract]);
    assert_eq!(coverage.total().covered, 0);
    coverage.note(&file, &natively(&file));
    let missing = coverage.missing(file.subject.description());
    assert_eq!(missing, [], "everything was tried");
    assert_eq!(coverage.total().per_mille(), 1000);
    let is_there = |kind: &Kind| coverage.share(*kind).total > 0;
    assert!(
        Kind::ALL
            .iter()
            .all(|kind| is_there(kind) || *kind == Kind::Conditions)
    );

    let less = policies::acme_tests("a writer writes");
    let mut coverage = Coverage::new(&less.subject, [&less.contract]);
    coverage.note(&less, &natively(&less));
    let missing: Vec<String> = coverage
        .missing(less.subject.description())
        .into_iter()
        .map(|(_, what)| what)
        .collect();
    let untried = [
        "`POST /v1/things` is never allowed",
        "nobody holds `things:write` where it is required",
    ];
    assert_eq!(missing, untried);
    assert!(coverage.total().per_mille() < 1000);
}

#[test]
fn a_condition_is_covered_when_it_was_true_and_when_it_was_not() {
    let missing = |cases: &str| {
        let file = file(&format!(
            "document: |\n{}callers: {{ careful: {{ session: {{ role: careful }} }}, admin: {{ session: {{ role: admin }} }} }}\ncases:\n{cases}",
            policies::indented(policies::CONDITIONS)
        ));
        let mut coverage = Coverage::new(&file.subject, [&file.contract]);
        assert_eq!(failures(&file), Vec::<String>::new());
        coverage.note(&file, &natively(&file));
        let share = coverage.share(Kind::Conditions);
        let missing = coverage.missing(file.subject.description()).into_iter();
        let missing = missing.filter(|(kind, _)| *kind == Kind::Conditions);
        let missing: Vec<String> = missing.map(|(_, what)| what).collect();
        assert_eq!(
            (share.total, share.total - share.covered),
            (6, missing.len())
        );
        missing
    };
    let roles = "  - { name: roles, caller: [careful, admin], request: GET /v1/nowhere, expect: no-route }\n";
    let refused = "  - { name: a, caller: careful, request: GET /v1/things, expect: missing-permission, about: 'things:read' }\n";
    let outside = "  - { name: b, caller: admin, request: GET /v1/things, address: 192.0.2.1, expect: condition-not-met }\n";
    let inside = "  - { name: c, caller: admin, request: [GET /v1/things, GET /v1/open], address: 10.0.0.1, expect: none }\n";
    // Whoever is refused before a condition is asked tries none.
    assert_eq!(
        missing(&[roles, refused].concat()),
        [
            "the condition of `GET /v1/things` is never false",
            "the condition of `GET /v1/things` is never true",
            "the condition of `GET /v1/open` is never false",
            "the condition of `GET /v1/open` is never true",
            "the condition of the role `careful` is never true",
        ]
    );
    assert_eq!(
        missing(&[refused, outside, inside].concat()),
        [
            "the condition of `GET /v1/open` is never false",
            "the condition of the role `careful` is never true",
        ]
    );
}

#[test]
fn a_rule_that_no_case_tests_survives() {
    let file = policies::acme_tests("");
    assert_eq!(failures(&file), Vec::<String>::new());
    let rules = file.subject.rules().unwrap();
    let all = mutate(rules, &[&file]);
    assert_eq!(all.survivors, Vec::<String>::new());
    assert!(
        all.share.total > 20 && all.share.covered == all.share.total,
        "{:?}",
        all.share
    );

    let less = policies::acme_tests("a writer writes");
    assert_eq!(failures(&less), Vec::<String>::new());
    let some = mutate(less.subject.rules().unwrap(), &[&less]);
    assert_eq!(some.share.total - some.share.covered, some.survivors.len());
    let survivors = [
        "`POST /v1/things` spans every cluster",
        "the role `admin` lacks `things:write`",
        "the role `writer` lacks `things:write`",
        "API keys may only read",
    ];
    assert_eq!(some.survivors, survivors);
    assert_eq!(some.share.total, all.share.total);
}

#[test]
fn a_condition_that_no_case_tests_survives() {
    let survivors = |address: &str| {
        let file = file(&format!(
            "document: |\n{}callers: {{ admin: {{ session: {{ role: admin }} }} }}\ncases:\n{}",
            policies::indented(policies::CONDITIONS),
            format_args!(
                "  - {{ name: in, caller: admin, request: GET /v1/things, address: 10.0.0.1, expect: none }}\n  - {{ name: out, caller: admin, request: GET /v1/things, address: {address}, expect: condition-not-met }}\n"
            )
        ));
        let mutation = mutate(file.subject.rules().unwrap(), &[&file]);
        let mut survivors = mutation.survivors;
        survivors.retain(|what| what.contains("`GET /v1/things` asks for"));
        survivors
    };
    let wider = "`GET /v1/things` asks for `cidr(\"10.0.0.0/7\").containsIP(request.address)`";
    let narrower = "`GET /v1/things` asks for `cidr(\"10.0.0.0/9\").containsIP(request.address)`";
    assert_eq!(survivors("192.0.2.1"), [narrower, wider]);
    assert_eq!(survivors("11.0.0.0"), [narrower]);
}

#[test]
fn lists_multiply_only_so_far() {
    let names: Vec<String> = (0..400).map(|number| format!("c{number}")).collect();
    let callers: Vec<String> = names
        .iter()
        .map(|name| format!("  {name}: {{ session: {{ role: viewer }} }}\n"))
        .collect();
    let requests: Vec<String> = (0..300).map(|n| format!("GET /v1/nodes/{n}")).collect();
    let text = format!(
        "document: scopegate\ncallers:\n{}cases:\n  - {{ name: all, caller: [{}], request: [{}], expect: no-route }}\n",
        callers.concat(),
        names.join(", "),
        requests.join(", ")
    );
    assert_eq!(
        broken::problems(read_alone(&text)),
        "404:5 the file has more than 100000 cases / make several files of it"
    );
}

/// The promise is for a release build; this one is several times slower.
#[test]
fn ten_thousand_cases_take_no_time() {
    let text = policies::many_cases();
    let start = std::time::Instant::now();
    let file = file(&text);
    let read = start.elapsed();
    assert_eq!(file.cases.len(), 10_000);
    let ran = natively(&file);
    let both = start.elapsed();
    assert!(ran.iter().all(|ran| ran.verdict() == Verdict::Passed));
    println!("10,000 cases: read in {read:?}, read and run in {both:?}");
    assert!(both.as_secs() < 10, "{both:?}");
}
