//! Results as one JSON value.

use scopegate_host::trial::{Answer, Kind, Outcome, Ran, Share, TestFile, Verdict};
use scopegate_policy::{Description, Grant, Restriction, Rule};
use serde_json::{Value, json};

use super::{
    super::file::extend,
    difference,
    results::{PolicyResult, Results},
};
use crate::output::moment;

pub(super) fn render(results: &Results<'_>) -> Value {
    let cases: Vec<Value> = results
        .files
        .iter()
        .flat_map(|(file, ran)| ran.iter().map(|ran| case(file, ran)))
        .collect();
    let (all, failed) = (results.ran().count(), results.failed().count());
    json!({
        "passed": all - failed,
        "failed": failed,
        "ways": results.ways,
        "seconds": results.elapsed.as_secs_f64(),
        "cases": cases,
        "broken": results.broken,
        "policies": results.policies.iter().map(policy).collect::<Vec<_>>(),
    })
}

fn case(file: &TestFile, ran: &Ran<'_>) -> Value {
    let case = ran.case;
    let description = file.subject.description();
    let one = |answer: &Option<Result<Answer, String>>| {
        answer.as_ref().map(|answer| got(answer, description))
    };
    let verdict = match ran.verdict() {
        Verdict::Passed => "passed",
        Verdict::Differs => "differs",
        Verdict::Disagree => "disagree",
        Verdict::Fault => "fault",
    };
    json!({
        "file": case.file,
        "line": case.line,
        "name": case.name,
        "policy": file.subject.name(),
        "caller": case.caller,
        "request": case.request.to_string(),
        "now": moment(Some(case.now)),
        "verdict": verdict,
        "expected": outcome(&case.expected),
        "native": one(&ran.native),
        "compiled": one(&ran.compiled),
    })
}

fn got(answer: &Result<Answer, String>, description: &Description) -> Value {
    match answer {
        Err(why) => json!({ "fault": why }),
        Ok(answer) => {
            let mut shown = outcome(&answer.outcome);
            let rule = rule(&answer.rule, description);
            extend(&mut shown, &json!({ "rule": rule }));
            shown
        }
    }
}

fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Allow(visible) => json!({ "outcome": "allow", "clusters": visible }),
        Outcome::Deny { reason, about } => {
            json!({ "outcome": "deny", "reason": reason, "about": about })
        }
    }
}

/// With the names that the codes stand for.
fn rule(rule: &Rule, description: &Description) -> Value {
    let route = rule
        .route
        .and_then(|index| description.routes.get(index as usize));
    let grant = match rule.grant {
        Grant::None => Value::Null,
        Grant::Role(index) => {
            let role = description.roles.get(index as usize);
            json!({ "role": role.map(|role| &role.name) })
        }
        Grant::Permission => json!("permission"),
        Grant::Public => json!("public"),
    };
    let restriction = match rule.restriction {
        Restriction::None => Value::Null,
        other => json!(other),
    };
    json!({
        "route": route.map(|route| format!("{} {}", route.method, route.pattern)),
        "grant": grant,
        "restriction": restriction,
        "text": difference::in_words(rule, description),
    })
}

fn policy(policy: &PolicyResult) -> Value {
    let coverage = policy.coverage.as_ref().map(|coverage| {
        let missing = coverage.missing(policy.subject.description());
        let mut shown = share(coverage.total());
        for kind in Kind::ALL {
            let untried = missing.iter().filter(|(of, _)| *of == kind);
            let untried: Vec<&str> = untried.map(|(_, what)| what.as_str()).collect();
            let mut of_kind = share(coverage.share(kind));
            extend(&mut of_kind, &json!({ "missing": untried }));
            extend(&mut shown, &json!({ kind.word(): of_kind }));
        }
        shown
    });
    let mutation = policy.mutation.as_ref().map(|mutation| {
        let mut shown = share(mutation.share);
        extend(&mut shown, &json!({ "survivors": mutation.survivors }));
        shown
    });
    json!({
        "policy": policy.subject.name(),
        "coverage": coverage,
        "mutation": mutation,
        "missed": policy.missed,
    })
}

fn share(share: Share) -> Value {
    json!({
        "percent": share.per_mille() as f64 / 10.0,
        "covered": share.covered,
        "total": share.total,
    })
}
