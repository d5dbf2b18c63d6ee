//! What a question says besides who asks for what, as far as it was given or is read by a condition.

use jiff::Timestamp;
use scopegate_policy::{
    CallerKind,
    explain::{Question, Reads, written_age},
};

/// In the order of a sentence: `from 10.0.0.1`, `with a second factor`.
pub(super) fn of(question: &Question, reads: &Reads) -> Vec<String> {
    let (caller, request) = (&question.caller, &question.request);
    let mut facts = Vec::new();
    if caller.mfa {
        facts.push("with a second factor".to_owned());
    } else if reads.second_factor && caller.kind == CallerKind::Session {
        facts.push("without a second factor".to_owned());
    }
    match request.address {
        Some(address) => facts.push(format!("from {address}")),
        None if reads.address => facts.push("from no known address".to_owned()),
        None => {}
    }
    let made = match caller.kind {
        CallerKind::Session => caller.auth_time.or(caller.credential_created),
        _ => caller.credential_created,
    };
    let age = made.map(|made| request.now.saturating_sub(made));
    let word = match caller.kind {
        CallerKind::Session => "signed in",
        _ => "minted",
    };
    match age {
        Some(0) if reads.age => facts.push(format!("{word} just now")),
        Some(age) if age > 0 => facts.push(format!("{word} {} ago", written_age(age))),
        _ => {}
    }
    for (name, value) in &request.headers {
        facts.push(format!("with the header `{name}: {value}`"));
    }
    for name in &reads.headers {
        if !request.headers.iter().any(|(sent, _)| sent == name) {
            facts.push(format!("without the header `{name}`"));
        }
    }
    if reads.time
        && let Ok(now) = Timestamp::from_second(request.now)
    {
        facts.push(format!("at {now}"));
    }
    facts
}
