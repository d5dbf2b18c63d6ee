//! The identity as Envoy's dynamic metadata, for its access log and for filters behind this one. Names are as they are,
//! not encoded as in the headers.

use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use scopegate_host::{Admission, Clusters};

/// Who it is and what they may see.
pub(crate) fn metadata(admission: &Admission) -> Struct {
    let caller = admission
        .principal
        .as_ref()
        .map(|principal| (principal, &principal.caller));
    let nobody = || text("");
    let clusters = match &admission.visible {
        Clusters::All => text("*"),
        Clusters::Only(ids) => list(ids),
    };
    let (subject, organization, credential, roles, scopes) = match caller {
        None => (text("anonymous"), nobody(), nobody(), list(&[]), list(&[])),
        Some((principal, caller)) => (
            text(&caller.subject),
            text(&caller.organization),
            text(&principal.credential.to_string()),
            list(&caller.roles),
            match &caller.scopes {
                None => text("*"),
                Some(scopes) => list(scopes),
            },
        ),
    };
    let fields = [
        ("subject", subject),
        ("organization", organization),
        ("credential", credential),
        ("roles", roles),
        ("scopes", scopes),
        ("clusters", clusters),
        ("request_id", text(&admission.request_id.to_string())),
    ];
    Struct {
        fields: fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

fn text(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

fn list(items: &[String]) -> Value {
    let values = items.iter().map(|item| text(item)).collect();
    Value {
        kind: Some(Kind::ListValue(ListValue { values })),
    }
}
