//! Conditions, from their text to what comes of them.

mod broken;
mod hostile;
mod meaning;
mod oracle;

use super::Condition;
use super::check::compile;
use crate::packed::{Question, RequestRef, pack_caller, pack_request};
use crate::sample::{caller, request, sample};
use crate::{Caller, CallerKind, Request};

/// Noon on Saturday, 21 November 2026, UTC.
const NOON: i64 = 1_795_262_400;

fn condition(text: &str) -> Condition {
    match compile(text) {
        Ok(condition) => condition,
        Err(wrong) => panic!("{text}: {wrong:?}"),
    }
}

/// Whether a condition is true of a caller's request.
fn holds(condition: &Condition, caller: &Caller, request: &Request) -> bool {
    let mut bytes = pack_caller(sample().vocabulary(), caller);
    pack_request(&mut bytes, &RequestRef::from(request));
    super::holds(condition.code(), &Question::read(&bytes).unwrap())
}

fn session() -> Caller {
    Caller {
        subject: "ana".to_owned(),
        mfa: true,
        auth_time: Some(NOON - 600),
        credential_created: Some(NOON - 3600),
        ..caller(CallerKind::Session, "viewer")
    }
}

fn asked() -> Request {
    Request {
        headers: vec![
            ("x-empty".to_owned(), String::new()),
            ("x-env".to_owned(), "prod-eu".to_owned()),
        ],
        now: NOON,
        address: Some("10.1.2.3".parse().unwrap()),
        ..request("GET", "/v1/clusters/prod")
    }
}
