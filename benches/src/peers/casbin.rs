//! casbin: roles by cluster as its domains, and scopes as a second kind of role.

use anyhow::{Context as _, Result};
use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use scopegate_policy::Clusters;

use crate::questions::Question;

/// The cheapest comparison stands first.
const MODEL: &str = "
[request_definition]
r = sub, dom, act

[policy_definition]
p = sub, act

[role_definition]
g = _, _, _
g2 = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.act == p.act && g(r.sub, p.sub, r.dom) && g2(r.sub, r.act)
";

/// The roles of the questions' policy; the first four are what they need, the others make the policy grow.
const POLICIES: [[&str; 2]; 4] = [
    ["agent", "metrics:write"],
    ["editor", "clusters:write"],
    ["viewer", "nodes:read"],
    ["viewer", "clusters:read"],
];

/// An enforcer with so many policies, of which the one that allows stands last.
pub(super) fn enforcer(
    question: &Question,
    policies: usize,
) -> Result<impl FnMut() -> bool + use<>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let enforcer = runtime.block_on(loaded(question, policies))?;
    let (subject, cluster, permission) = (
        question.caller.subject.clone(),
        question.cluster,
        question.permission,
    );
    Ok(move || {
        enforcer
            .enforce((subject.as_str(), cluster, permission))
            .unwrap_or(false)
    })
}

async fn loaded(question: &Question, policies: usize) -> Result<Enforcer> {
    let model = DefaultModel::from_str(MODEL).await?;
    let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
    let caller = &question.caller;
    let others = (0..policies.saturating_sub(POLICIES.len())).map(|index| {
        vec![
            format!("custom-{}", index / 4),
            format!("things-{}:read", index % 4),
        ]
    });
    let own = POLICIES.map(|words| words.map(str::to_owned).to_vec());
    enforcer.add_policies(others.chain(own).collect()).await?;
    let Clusters::Only(clusters) = &caller.allowed_clusters else {
        anyhow::bail!("the questions are about a key on some clusters");
    };
    for (role, cluster) in caller
        .roles
        .iter()
        .flat_map(|role| clusters.iter().map(move |id| (role, id)))
    {
        enforcer
            .add_grouping_policy(vec![caller.subject.clone(), role.clone(), cluster.clone()])
            .await?;
    }
    for scope in caller
        .scopes
        .as_ref()
        .context("the questions are about a key with scopes")?
    {
        enforcer
            .add_named_grouping_policy("g2", vec![caller.subject.clone(), scope.clone()])
            .await?;
    }
    Ok(enforcer)
}
