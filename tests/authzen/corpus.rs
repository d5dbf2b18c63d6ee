//! The corpus, asked: each case's caller is in the store, and another one asks about them.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use scopegate_host::{
    admin::{Command, UserRequest},
    key::KeyHash,
    path,
    store::{Actor as StoreActor, Change, Expected},
    trial::{Caller, Case, Outcome, TestFile},
};
use scopegate_policy::ClusterSource;
use serde_json::{Value, json};

use super::asker::{EVALUATIONS, answer};
use crate::{
    corpus::{
        answered::visible,
        files, is_of_routes,
        over_http::{self, ORGANIZATION, done, is_forwarded, is_restricted},
        run::Implementation,
    },
    harness::{Actor, PASSWORD, World, people::password_hash},
};

const ASKER: &str = "asker@corpus.example";

/// A world of a file, and who asks in it.
pub struct Asked {
    pub world: World,
    pub asker: Actor,
    /// Each caller of the file, as a subject.
    pub subjects: BTreeMap<String, Value>,
    pub clusters: BTreeSet<String>,
}

pub async fn world(file: &TestFile) -> Asked {
    let adjust = |options: &mut crate::harness::Options| {
        options.adjust = |contract| {
            for limit in [&mut contract.limits.session, &mut contract.limits.logins] {
                *limit = 100_000;
            }
        };
    };
    let (world, id) = over_http::world_of(file, adjust).await;
    let headers = over_http::credentials(&world, id, file).await;
    let mut subjects = BTreeMap::new();
    for (name, caller) in &file.callers {
        let header = headers.get(name).map(String::as_str).unwrap_or_default();
        let (_, value) = header.split_once(": ").unwrap_or_default();
        let subject = match caller {
            // They are in no organization, and nobody can ask about them.
            Caller::Operator { .. } => continue,
            Caller::Anonymous => json!({ "type": "anonymous", "id": "-" }),
            Caller::Session { .. } => json!({ "type": "session", "id": session_id(value) }),
            Caller::Key { .. } => {
                json!({ "type": "key", "id": credential_id(&world, value).await })
            }
            Caller::Agent { .. } => {
                json!({ "type": "agent", "id": credential_id(&world, value).await })
            }
        };
        subjects.insert(name.clone(), subject);
    }
    let asker = asker(&world, id).await;
    Asked {
        world,
        asker,
        subjects,
        clusters: file.clusters.clone(),
    }
}

/// A user who may ask, and nothing else.
async fn asker(world: &World, organization: uuid::Uuid) -> Actor {
    let role = Change::SetCustomRole {
        organization,
        name: "asker".to_owned(),
        permissions: vec!["authorization:evaluate".to_owned()],
        expected: Expected::Anything,
    };
    let directory = world.running().gate().directory().clone();
    let made = directory.apply(role, StoreActor::Machine, world.clock.now_ms());
    made.await.expect("a role");
    let user = UserRequest {
        organization: Some(ORGANIZATION.to_owned()),
        email: ASKER.to_owned(),
        password: Some(password_hash()),
        role: "asker".to_owned(),
        clusters: None,
    };
    done(world, Command::UserAdd(user)).await;
    world.sign_in(ASKER, PASSWORD).await
}

/// The id of the session of a bearer's token.
pub fn session_id(credential: &str) -> String {
    let token = credential.trim_start_matches("Bearer ");
    let claims = token.split('.').nth(1).expect("a JWT");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["sid"].as_str().expect("a session").to_owned()
}

/// The id of the key or agent token in a header.
pub async fn credential_id(world: &World, credential: &str) -> uuid::Uuid {
    let secret = credential.rsplit(' ').next().expect("a secret");
    let store = world.running().gate().directory().store();
    let found = store.find_credential_by_hash(&KeyHash::of(secret)).await;
    found.expect("a store").expect("a credential").credential.id
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_expected_where_it_is_asked_for() {
    let (mut differences, mut count) = (Vec::new(), 0);
    for file in files().iter().filter(|file| !is_of_routes(file)) {
        let cases: Vec<&Case> = file
            .cases
            .iter()
            .filter(|case| is_forwarded(case))
            .filter(|case| !matches!(file.callers[&case.caller], Caller::Operator { .. }))
            .collect();
        if !cases.is_empty() {
            count += cases.len();
            differences.extend(of_file(file, &cases).await);
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {count} cases:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(count > 400, "{count} cases");
}

async fn of_file(file: &TestFile, cases: &[&Case]) -> Vec<String> {
    let asked = world(file).await;
    let expected = expected(file).await;
    asked.world.audit_tail().await;
    let mut differences = Vec::new();
    for cases in cases.chunks(200) {
        let questions: Vec<Value> = cases
            .iter()
            .map(|case| question(&asked.subjects[&case.caller], case))
            .collect();
        let answers = answer(
            &asked.asker,
            EVALUATIONS,
            &json!({ "evaluations": questions }),
        )
        .await;
        let answers = answers["evaluations"].as_array().expect("answers").clone();
        let mut records = asked.world.audit_tail().await;
        records.retain(|record| record["asked_by"].is_object());
        assert_eq!((answers.len(), records.len()), (cases.len(), cases.len()));
        for ((case, answer), record) in cases.iter().zip(&answers).zip(&records) {
            let expected = expected.get(&key(case)).unwrap_or(&case.expected);
            let got = outcome(answer, record, file);
            if got.as_ref() != Some(expected) {
                differences.push(format!(
                    "{case}\n    expected {expected:?}\n    got      {answer}"
                ));
            }
        }
    }
    let records = asked.world.audit().await;
    differences.extend(over_http::replayed(file, &records).await);
    differences
}

fn question(subject: &Value, case: &Case) -> Value {
    let asked = &case.request;
    let headers: serde_json::Map<String, Value> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let mut question = json!({
        "subject": subject,
        "action": { "name": asked.method },
        "resource": { "type": "route", "id": asked.path, "properties": { "query": asked.query } },
        "context": { "headers": headers },
    });
    if let Some(address) = asked.address {
        question["context"]["ip"] = json!(address);
    }
    question
}

fn outcome(answer: &Value, record: &Value, file: &TestFile) -> Option<Outcome> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let context = &answer["context"];
    match (
        answer["decision"].as_bool()?,
        text(&record["outcome"])?.as_str(),
    ) {
        (true, "admit") => {
            let told = context["headers"]["x-scopegate-clusters"].as_str()?;
            let seen = visible(told, &file.clusters);
            let listed = match &context["clusters"] {
                Value::Array(ids) => ids.iter().filter_map(text).collect(),
                all => (*all == "*").then(|| file.clusters.clone())?,
            };
            (listed == seen).then_some(Outcome::Allow(seen))
        }
        (false, "refuse") if context["code"] == record["reason"] => Some(Outcome::Deny {
            reason: text(&context["code"])?,
            about: text(&record["about"]),
        }),
        _ => None,
    }
}

fn key(case: &Case) -> String {
    format!("{} {} {}", case.place(), case.caller, case.request)
}

/// What is to come of a case where that is not what the policy alone says: nobody filters the list of whoever is restricted,
/// and nobody writes an agent's own cluster into the query or another path than was asked for.
async fn expected(file: &TestFile) -> BTreeMap<String, Outcome> {
    let routes = &file.subject.description().routes;
    let answers = Implementation::Native.answers(file).await;
    let denied = |reason: &str, about: Option<&str>| Outcome::Deny {
        reason: reason.to_owned(),
        about: about.map(str::to_owned),
    };
    let mut expected = BTreeMap::new();
    for (case, answer) in answers {
        if !matches!(case.expected, Outcome::Allow(_)) {
            continue;
        }
        let caller = &file.callers[&case.caller];
        let route = answer.rule.route.map(|index| &routes[index as usize]);
        let other = match route.map(|route| &route.cluster) {
            Some(ClusterSource::Lists(_))
                if is_restricted(caller) || matches!(caller, Caller::Anonymous) =>
            {
                Some(denied("list-not-filterable", None))
            }
            Some(ClusterSource::Query(name))
                if matches!(caller, Caller::Agent { .. })
                    && !case.question.query.iter().any(|(known, _)| known == name) =>
            {
                Some(denied("cluster-required", None))
            }
            _ if path::normalise(&case.request.path)
                .is_ok_and(|path| path != case.request.path) =>
            {
                let what = "the path is not in its normal form, and is forwarded as it is";
                Some(denied("invalid_request", Some(what)))
            }
            _ => None,
        };
        if let Some(other) = other {
            expected.insert(key(case), other);
        }
    }
    expected
}
