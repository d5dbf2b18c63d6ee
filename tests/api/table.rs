//! Who may use which endpoint: every operation of `/-/openapi.json` by every kind of caller, and the status that each
//! gets. An operation without a row fails, and so does a row without an operation.

mod call;
mod callers;

use std::collections::BTreeMap;

use serde_json::Value;

use super::endpoints::{Endpoint, document, endpoints};
use crate::harness::{Actor, Reply};

pub use call::Call;
use callers::word;
pub use callers::{Kind, OTHER, Stage};

/// `other` is another organization's administrator, who names what is acme's: 404 there is what an id gets that
/// nothing has. `key` is an administrator's API key, `scoped` one that is narrowed to `clusters:read`.
const TABLE: &str = "
                                                           anonymous agent viewer editor admin other key scoped operator
    GET    /-/api/agents                                          401   404    403    403   200   200 200    403      403
    POST   /-/api/agents                                          401   404    403    403   201   201 403    403      403
    GET    /-/api/agents/{agent}                                  401   404    403    403   200   404 200    403      403
    DELETE /-/api/agents/{agent}                                  401   404    403    403   200   404 200    403      403
    POST   /-/api/agents/{agent}/rotate                           401   404    403    403   201   404 403    403      403
    GET    /-/api/audit                                           401   404    403    403   200   200 200    403      403
    GET    /-/api/audit/summary                                   401   404    403    403   200   200 200    403      403
    GET    /-/api/clusters                                        401   404    200    200   200   200 200    200      403
    POST   /-/api/clusters                                        401   404    403    403   201   201 403    403      403
    DELETE /-/api/clusters/{cluster}                              401   404    403    403   204   403 403    403      403
    POST   /-/api/introspect                                      401   404    200    200   200   200 200    200      200
    GET    /-/api/keys                                            401   404    200    200   200   200 200    200      403
    POST   /-/api/keys                                            401   404    201    201   201   201 403    403      403
    POST   /-/api/keys/preview                                    401   404    200    200   200   200 403    403      403
    GET    /-/api/keys/{key}                                      401   404    200    200   200   404 200    200      403
    DELETE /-/api/keys/{key}                                      401   404    200    200   200   404 200    200      403
    POST   /-/api/keys/{key}/rotate                               401   404    201    201   201   404 403    403      403
    GET    /-/api/me                                              401   404    200    200   200   200 200    200      200
    POST   /-/api/me/factor                                       401   404    201    201   201   201 403    403      201
    DELETE /-/api/me/factor                                       401   404    204    204   204   204 403    403      204
    POST   /-/api/me/factor/confirm                               401   404    201    201   201   201 403    403      201
    POST   /-/api/me/factor/recovery-codes                        401   404    201    201   201   201 403    403      201
    PUT    /-/api/me/password                                     401   404    204    204   204   204 403    403      204
    GET    /-/api/organization                                    401   404    200    200   200   200 200    200      403
    PATCH  /-/api/organization                                    401   404    403    403   200   200 403    403      403
    GET    /-/api/organization/keys                               401   404    403    403   200   200 200    403      403
    GET    /-/api/organization/keys/{key}                         401   404    403    403   200   404 200    403      403
    DELETE /-/api/organization/keys/{key}                         401   404    403    403   200   404 200    403      403
    GET    /-/api/organizations                                   401   404    403    403   403   403 403    403      200
    POST   /-/api/organizations                                   401   404    403    403   403   403 403    403      201
    GET    /-/api/organizations/{organization}                    401   404    403    403   403   403 403    403      200
    PATCH  /-/api/organizations/{organization}                    401   404    403    403   403   403 403    403      200
    POST   /-/api/organizations/{organization}/keys/import        401   404    403    403   403   403 403    403      201
    GET    /-/api/policy                                          401   404    200    200   200   200 200    200      200
    POST   /-/api/policy/explain                                  401   404    403    403   200   404 200    403      403
    GET    /-/api/policies                                        401   404    403    403   403   403 403    403      200
    POST   /-/api/policies                                        401   404    403    403   403   403 403    403      201
    POST   /-/api/policies/{policy}/activate                      401   404    403    403   403   403 403    403      200
    GET    /-/api/policies/nodes                                  401   404    403    403   403   403 403    403      200
    GET    /-/api/policies/shadow                                 401   404    403    403   403   403 403    403      200
    POST   /-/api/policies/shadow                                 401   404    403    403   403   403 403    403      201
    DELETE /-/api/policies/shadow                                 401   404    403    403   403   403 403    403      204
    POST   /-/api/policies/shadow/promote                         401   404    403    403   403   403 403    403      200
    POST   /-/api/revoke                                          401   404    200    200   200   200 200    200      200
    GET    /-/api/roles                                           401   404    200    200   200   200 200    200      403
    GET    /-/api/roles/{role}                                    401   404    200    200   200   404 200    200      403
    PUT    /-/api/roles/{role}                                    401   404    403    403   200   412 403    403      403
    DELETE /-/api/roles/{role}                                    401   404    403    403   204   404 403    403      403
    GET    /-/api/sessions                                        401   404    200    200   200   200 403    403      200
    DELETE /-/api/sessions                                        401   404    200    200   200   200 403    403      200
    DELETE /-/api/sessions/{session}                              401   404    204    204   204   404 403    403      204
    GET    /-/api/users                                           401   404    403    403   200   200 200    403      403
    POST   /-/api/users                                           401   404    403    403   201   201 403    403      403
    GET    /-/api/users/{user}                                    401   404    403    403   200   404 200    403      403
    PATCH  /-/api/users/{user}                                    401   404    403    403   200   404 403    403      403
    POST   /-/api/users/{user}/disable                            401   404    403    403   200   404 403    403      403
    POST   /-/api/users/{user}/factor/reset                       401   404    403    403   200   404 403    403      403
    POST   /-/api/users/{user}/invitation                         401   404    403    403   201   404 403    403      403
    GET    /-/api/users/{user}/sessions                           401   404    403    403   200   404 200    403      403
    DELETE /-/api/users/{user}/sessions                           401   404    403    403   200   404 200    403      403
";

fn table() -> BTreeMap<String, Vec<u16>> {
    let rows = TABLE.lines().filter(|line| line.contains("/-/api"));
    rows.map(|line| {
        let mut words = line.split_whitespace();
        let (method, path) = (
            words.next().expect("a method"),
            words.next().expect("a path"),
        );
        let statuses: Vec<u16> = words.map(|word| word.parse().expect("a status")).collect();
        assert_eq!(statuses.len(), Kind::ALL.len(), "{line}");
        (format!("{method} {path}"), statuses)
    })
    .collect()
}

#[tokio::test]
async fn every_endpoint_by_every_caller() {
    let mut stage = Stage::set().await;
    let endpoints = endpoints(&document(&stage.world).await);
    let table = table();
    for row in table.keys() {
        let is_there = endpoints.iter().any(|known| known.to_string() == *row);
        assert!(is_there, "there is no operation `{row}` in the document");
    }
    // What only reads leaves its callers as they were.
    let is_read = |endpoint: &Endpoint| endpoint.method == "GET";
    let (reads, changes): (Vec<_>, Vec<_>) = endpoints.iter().partition(|one| is_read(one));
    let mut wrong = Vec::new();
    let mut cast = stage.cast().await;
    for endpoint in reads.into_iter().chain(changes) {
        if !is_read(endpoint) {
            cast = stage.cast().await;
        }
        let mut found = Vec::new();
        for (kind, caller) in Kind::ALL.into_iter().zip(&cast) {
            let call = stage.call(endpoint, caller).await;
            let reply = call.send(&caller.actor).await;
            found.push(reply.status);
            if kind == Kind::Other {
                tells_nothing(&call, &caller.actor, &reply).await;
            }
        }
        if table.get(&endpoint.to_string()) != Some(&found) {
            wrong.push(row(endpoint, &found));
        }
    }
    assert!(
        wrong.is_empty(),
        "the table lacks, or has otherwise:\n{}",
        wrong.join("\n")
    );
}

/// A row as it stands in the table.
fn row(endpoint: &Endpoint, statuses: &[u16]) -> String {
    let widths = [9, 5, 6, 6, 5, 5, 3, 6, 8];
    let cells = statuses.iter().zip(widths);
    let cells: String = cells
        .map(|(status, width)| format!(" {status:>width$}"))
        .collect();
    let Endpoint {
        method, template, ..
    } = endpoint;
    format!("    {method:<6} {template:<48}{cells}")
}

/// What is another organization's answers as what is not there: the same status, and the same body but for the
/// request's own id and the name that was asked for.
async fn tells_nothing(call: &Call, stranger: &Actor, reply: &Reply) {
    if call.places.is_empty() {
        return;
    }
    let mut absent = call.clone();
    for value in absent.places.values_mut() {
        *value = match value.parse::<uuid::Uuid>() {
            Ok(_) => uuid::Uuid::now_v7().to_string(),
            Err(_) => word("absent"),
        };
    }
    let nothing = absent.send(stranger).await;
    assert_eq!(
        (reply.status, without_names(reply, call)),
        (nothing.status, without_names(&nothing, &absent)),
        "{}",
        call.endpoint
    );
}

/// A reply's body without what differs from request to request.
pub fn without_names(reply: &Reply, call: &Call) -> Value {
    let text = call.places.values().fold(reply.body.clone(), |text, name| {
        text.replace(name.as_str(), "<name>")
    });
    let mut body: Value = serde_json::from_str(&text).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.remove("instance");
    }
    body
}
