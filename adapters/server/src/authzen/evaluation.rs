//! `/access/v1/evaluation` and `/access/v1/evaluations`: may they?

use scopegate_host::{
    Admission, Cause, Clusters,
    gate::{Asked, Evaluator, is_answer},
    headers::REQUEST_ID,
    refusal,
};
use serde_json::{Map, Value, json};

use super::{
    read::{Members, invalid, members},
    target::target,
};

/// Questions in one request, at most.
const QUESTIONS_MAX: usize = 256;

/// When the rest of several questions is left unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Semantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// One question.
pub(super) async fn one(
    evaluator: &Evaluator<'_>,
    asked: &Map<String, Value>,
) -> Result<Value, Cause> {
    evaluate(evaluator, &Members::of(asked)).await
}

/// Several, each with the whole members that it lacks from outside; or one, if there are none inside.
pub(super) async fn several(
    evaluator: &Evaluator<'_>,
    asked: &Map<String, Value>,
) -> Result<Value, Cause> {
    let semantic = semantic(asked)?;
    let defaults = Members::of(asked);
    let questions = match asked.get("evaluations") {
        None => return evaluate(evaluator, &defaults).await,
        Some(Value::Array(questions)) if questions.is_empty() => {
            return evaluate(evaluator, &defaults).await;
        }
        Some(Value::Array(questions)) => questions,
        Some(_) => return Err(invalid("`evaluations` is not a list")),
    };
    if questions.len() > QUESTIONS_MAX {
        return Err(invalid(format!(
            "`evaluations` has more than {QUESTIONS_MAX} questions"
        )));
    }
    defaults.check()?;
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        let answer = async {
            let own = members("evaluations", question)?;
            evaluate(evaluator, &Members::of(own).or(defaults)).await
        };
        let answer = answer.await.unwrap_or_else(|cause| failed(&cause));
        let decision = answer.get("decision") == Some(&Value::Bool(true));
        answers.push(answer);
        match (semantic, decision) {
            (Semantic::DenyOnFirstDeny, false) | (Semantic::PermitOnFirstPermit, true) => break,
            _ => {}
        }
    }
    Ok(json!({ "evaluations": answers }))
}

fn semantic(asked: &Map<String, Value>) -> Result<Semantic, Cause> {
    let Some(options) = asked.get("options") else {
        return Ok(Semantic::ExecuteAll);
    };
    match members("options", options)?.get("evaluations_semantic") {
        None => Ok(Semantic::ExecuteAll),
        Some(Value::String(word)) => match word.as_str() {
            "execute_all" => Ok(Semantic::ExecuteAll),
            "deny_on_first_deny" => Ok(Semantic::DenyOnFirstDeny),
            "permit_on_first_permit" => Ok(Semantic::PermitOnFirstPermit),
            _ => Err(invalid(
                "`options.evaluations_semantic` is `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`",
            )),
        },
        Some(_) => Err(invalid("`options.evaluations_semantic` is not a text")),
    }
}

/// The answer to one question.
///
/// # Errors
/// What is wrong with the question, or why nobody can tell. That they may not is an answer.
async fn evaluate(evaluator: &Evaluator<'_>, members: &Members<'_>) -> Result<Value, Cause> {
    let subject = members.subject()?.as_subject()?;
    let action = members.action()?;
    let resource = members.resource()?;
    let context = members.context(evaluator.now_ms())?;
    let answer = match resource.kind {
        "route" => {
            let target = target(&resource)?;
            let subject = evaluator.find(&subject).await?;
            let asked = Asked {
                method: action,
                path: &target.path,
                query: &target.query,
                around: context.around(),
            };
            let admission = evaluator.evaluate(&subject, &asked).await;
            admission.map(|admission| allowed(&admission))
        }
        "cluster" => {
            let subject = evaluator.find(&subject).await?;
            let around = context.around();
            let answer = evaluator.evaluate_cluster(&subject, action, resource.id, &around);
            answer.await.map(|()| json!({ "clusters": [resource.id] }))
        }
        _ => Err(Cause::NotFound(
            "there are resources of the types `route` and `cluster`".to_owned(),
        )),
    };
    match answer {
        Ok(context) => Ok(json!({ "decision": true, "context": context })),
        Err(cause) if is_answer(&cause) => Ok(denied(&cause)),
        Err(cause) => Err(cause),
    }
}

/// What whoever lets a request through has to keep to: the clusters that it may be about, and the headers that tell the
/// upstream.
fn allowed(admission: &Admission) -> Value {
    let clusters = match &admission.visible {
        Clusters::All => json!("*"),
        Clusters::Only(ids) => json!(ids),
    };
    let identity = admission.identity.iter();
    let headers: Map<String, Value> = identity
        .filter(|(name, _)| *name != REQUEST_ID)
        .filter_map(|(name, value)| Some((name.to_string(), json!(value.to_str().ok()?))))
        .collect();
    json!({ "clusters": clusters, "headers": headers })
}

fn denied(cause: &Cause) -> Value {
    let words = refusal::words(cause);
    json!({
        "decision": false,
        "context": {
            "code": words.code,
            "status": words.status.as_u16(),
            "reason_admin": { "en": words.detail },
            "reason_user": { "en": words.title },
        },
    })
}

/// The answer to a question that is none, or that nobody can tell.
fn failed(cause: &Cause) -> Value {
    let words = refusal::words(cause);
    json!({
        "decision": false,
        "context": {
            "error": {
                "status": words.status.as_u16(),
                "message": words.detail,
                "code": words.code,
            },
        },
    })
}
