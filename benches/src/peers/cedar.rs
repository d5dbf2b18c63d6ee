//! cedar-policy: roles are groups, permissions are actions, clusters are resources.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
};

use anyhow::{Context as _, Result};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression,
};
use scopegate_policy::Clusters;

use crate::questions::Question;

const POLICIES: &str = r#"
permit(principal in Role::"admin", action, resource);
permit(principal in Role::"editor", action in [Action::"clusters:read", Action::"clusters:write", Action::"nodes:read"], resource);
permit(principal in Role::"viewer", action in [Action::"clusters:read", Action::"nodes:read"], resource);
permit(principal in Role::"agent", action == Action::"metrics:write", resource);
forbid(principal, action, resource) unless { principal.scopes.contains(action) };
forbid(principal, action, resource) unless { principal.clusters.contains(resource) };
"#;

/// Request and entities are made once.
pub(super) fn prepared(question: &Question) -> Result<impl FnMut() -> bool + use<>> {
    let words = Words::new(question)?;
    let (request, entities) = words.inputs()?;
    let (authorizer, policies) = (Authorizer::new(), PolicySet::from_str(POLICIES)?);
    Ok(move || {
        authorizer
            .is_authorized(&request, &policies, &entities)
            .decision()
            == Decision::Allow
    })
}

/// Request and entities are made for each decision.
pub(super) fn built(question: &Question) -> Result<impl FnMut() -> bool + use<>> {
    let words = Words::new(question)?;
    let (authorizer, policies) = (Authorizer::new(), PolicySet::from_str(POLICIES)?);
    Ok(move || {
        let Ok((request, entities)) = words.inputs() else {
            return false;
        };
        authorizer
            .is_authorized(&request, &policies, &entities)
            .decision()
            == Decision::Allow
    })
}

/// What a service knows when the request arrives, with the type names parsed beforehand.
struct Words {
    key: EntityTypeName,
    role: EntityTypeName,
    action: EntityTypeName,
    cluster: EntityTypeName,
    credential: String,
    roles: Vec<String>,
    scopes: Vec<String>,
    clusters: Vec<String>,
    asked_action: &'static str,
    asked_cluster: &'static str,
}

impl Words {
    fn new(question: &Question) -> Result<Self> {
        let Clusters::Only(clusters) = &question.caller.allowed_clusters else {
            anyhow::bail!("the questions are about a key on some clusters");
        };
        Ok(Self {
            key: EntityTypeName::from_str("Key")?,
            role: EntityTypeName::from_str("Role")?,
            action: EntityTypeName::from_str("Action")?,
            cluster: EntityTypeName::from_str("Cluster")?,
            credential: question.caller.subject.clone(),
            roles: question.caller.roles.clone(),
            scopes: question
                .caller
                .scopes
                .clone()
                .context("the questions are about a key with scopes")?,
            clusters: clusters.clone(),
            asked_action: question.permission,
            asked_cluster: question.cluster,
        })
    }

    fn inputs(&self) -> Result<(Request, Entities)> {
        let uid = |kind: &EntityTypeName, id: &str| {
            EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
        };
        let set = |kind: &EntityTypeName, ids: &[String]| {
            RestrictedExpression::new_set(
                ids.iter()
                    .map(|id| RestrictedExpression::new_entity_uid(uid(kind, id))),
            )
        };
        let principal = uid(&self.key, &self.credential);
        let resource = uid(&self.cluster, self.asked_cluster);
        let roles: HashSet<EntityUid> = self
            .roles
            .iter()
            .map(|name| uid(&self.role, name))
            .collect();
        let attributes = HashMap::from([
            ("scopes".to_owned(), set(&self.action, &self.scopes)),
            ("clusters".to_owned(), set(&self.cluster, &self.clusters)),
        ]);
        let groups: Vec<Entity> = roles
            .iter()
            .map(|role| Entity::new_no_attrs(role.clone(), HashSet::new()))
            .collect();
        let caller = Entity::new(principal.clone(), attributes, roles)?;
        let entities = Entities::from_entities(groups.into_iter().chain([caller]), None)?;
        let action = uid(&self.action, self.asked_action);
        Ok((
            Request::new(principal, action, resource, Context::empty(), None)?,
            entities,
        ))
    }
}
