//! regorus: Rego in its interpreter and in its register machine.

use anyhow::Result;
use regorus::{
    Engine, Rc, Value, languages::rego::compiler::Compiler, rvm::program::Program, rvm::vm::RegoVM,
};
use scopegate_policy::Clusters;
use serde_json::json;
use std::sync::Arc;

use crate::questions::Question;

const RULE: &str = "data.gate.allow";
const POLICY: &str = r#"package gate
import rego.v1

default allow := false

allow if {
    input.permission in input.scopes
    input.cluster in input.clusters
    some role in input.roles
    input.permission in data.roles[role]
}
"#;

/// The interpreter, with the input made once.
pub(super) fn engine(question: &Question) -> Result<impl FnMut() -> bool + use<>> {
    let (mut engine, input) = (
        loaded_engine()?,
        Value::from_json_str(&input_json(question))?,
    );
    Ok(move || {
        engine.set_input(input.clone());
        engine
            .eval_rule(RULE.to_owned())
            .is_ok_and(|value| value == Value::from(true))
    })
}

/// The register machine, with the input made once.
pub(super) fn machine(question: &Question) -> Result<impl FnMut() -> bool + use<>> {
    let (mut machine, input) = (
        loaded_machine()?,
        Value::from_json_str(&input_json(question))?,
    );
    Ok(move || {
        machine.set_input(input.clone());
        machine
            .execute()
            .is_ok_and(|value| value == Value::from(true))
    })
}

/// The register machine, with the input parsed for each decision.
pub(super) fn machine_with_json(question: &Question) -> Result<impl FnMut() -> bool + use<>> {
    let (mut machine, text) = (loaded_machine()?, input_json(question));
    Ok(move || {
        let Ok(input) = Value::from_json_str(&text) else {
            return false;
        };
        machine.set_input(input);
        machine
            .execute()
            .is_ok_and(|value| value == Value::from(true))
    })
}

fn loaded_engine() -> Result<Engine> {
    let mut engine = Engine::new();
    engine.add_policy("gate.rego".to_owned(), POLICY.to_owned())?;
    engine.add_data(data()?)?;
    Ok(engine)
}

fn loaded_machine() -> Result<RegoVM> {
    let compiled = loaded_engine()?.compile_with_entrypoint(&Rc::from(RULE))?;
    let program: Arc<Program> = Compiler::compile_from_policy(&compiled, &[RULE])?;
    let mut machine = RegoVM::new_with_policy(compiled);
    machine.load_program(program);
    machine.set_data(data()?)?;
    Ok(machine)
}

fn data() -> Result<Value> {
    let roles = json!({ "roles": {
        "admin": ["clusters:read", "clusters:write", "nodes:read", "organization:read", "metrics:write"],
        "editor": ["clusters:read", "clusters:write", "nodes:read"],
        "viewer": ["clusters:read", "nodes:read"],
        "agent": ["metrics:write"],
    }});
    Value::from_json_str(&roles.to_string())
}

fn input_json(question: &Question) -> String {
    let caller = &question.caller;
    let clusters = match &caller.allowed_clusters {
        Clusters::All => &[],
        Clusters::Only(ids) => ids.as_slice(),
    };
    json!({
        "subject": caller.subject,
        "organization": caller.organization,
        "roles": caller.roles,
        "scopes": caller.scopes,
        "clusters": clusters,
        "permission": question.permission,
        "cluster": question.cluster,
    })
    .to_string()
}
