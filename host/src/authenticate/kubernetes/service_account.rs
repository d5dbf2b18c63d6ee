//! What a service account's token says of its holder, and whose may call. Pure.
//!
//! Only tokens of the kind that Kubernetes projects into pods count: made for an audience, for a short time. Those that it
//! once kept in Secrets for ever say less, and are refused.

use serde::Deserialize;
use serde_json::Value;

use super::super::jwt::Claims;
use crate::{Cause, kubernetes};

/// How long a token may last from when it was issued.
const LIFE_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// The claim that holds what such a token is bound to.
const BOUND_CLAIM: &str = "kubernetes.io";
/// Longest id of an object, in bytes; they are UUIDs.
const UID_BYTES_MAX: usize = 64;

/// The holder of a token, as it says itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServiceAccount {
    /// As a subject: `system:serviceaccount:NAMESPACE:NAME`.
    pub(super) subject: String,
    pub(super) uid: String,
    /// The pod that the token was made for, if it was for one.
    pub(super) pod: Option<String>,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Object,
    #[serde(default)]
    pod: Option<Object>,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    uid: String,
}

impl Object {
    fn is_sound(&self) -> bool {
        kubernetes::name(&self.name).is_ok() && (1..=UID_BYTES_MAX).contains(&self.uid.len())
    }
}

impl ServiceAccount {
    /// Reads it from claims that need not be believed yet: what is refused here would be refused for whoever says it.
    pub(super) fn read(claims: &Claims) -> Result<Self, Cause> {
        if claims.expires_at().is_none() {
            return Err(Cause::InvalidToken("no expiry"));
        }
        if claims.life_ms().is_none_or(|life| life > LIFE_MS_MAX) {
            return Err(Cause::InvalidToken("lifetime"));
        }
        let bound = claims.others.get(BOUND_CLAIM);
        bound
            .and_then(|bound| Self::of(bound, claims.sub.as_deref()?))
            .ok_or(Cause::InvalidToken("service account"))
    }

    fn of(bound: &Value, subject: &str) -> Option<Self> {
        let Bound {
            namespace,
            serviceaccount: account,
            pod,
        } = Bound::deserialize(bound).ok()?;
        let is_sound = kubernetes::namespace(&namespace).is_ok()
            && account.is_sound()
            && pod.as_ref().is_none_or(Object::is_sound);
        let own = format!("system:serviceaccount:{namespace}:{}", account.name);
        (is_sound && own == subject).then_some(Self {
            subject: own,
            uid: account.uid,
            pod: pod.map(|pod| pod.name),
            namespace,
            name: account.name,
        })
    }
}

/// Service accounts that may call: one, or all of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccounts {
    namespace: String,
    /// Nothing where it is all of them.
    name: Option<String>,
}

impl ServiceAccounts {
    /// `NAMESPACE/NAME`, or `NAMESPACE/*`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((namespace, name)) = text.split_once('/') else {
            return Err(format!(
                "`{text}` is not a namespace and the name of a service account, as in `monitoring/agent`"
            ));
        };
        if namespace.contains('*') {
            return Err(format!(
                "`{text}` is of every namespace: whoever may make one would be an agent"
            ));
        }
        let wrong = |what| format!("`{text}` is not of a service account: {what}");
        let namespace = kubernetes::namespace(namespace).map_err(wrong)?;
        let name = match name {
            "*" => None,
            name => Some(kubernetes::name(name).map_err(wrong)?),
        };
        Ok(Self { namespace, name })
    }

    pub(super) fn has(&self, account: &ServiceAccount) -> bool {
        let name = self.name.as_ref();
        self.namespace == account.namespace && name.is_none_or(|name| *name == account.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(changes: &Value) -> Claims {
        let mut claims = json!({
            "iss": "https://kubernetes.default.svc.cluster.local",
            "sub": "system:serviceaccount:monitoring:agent",
            "aud": ["scopegate"],
            "iat": 1_000, "nbf": 1_000, "exp": 4_600,
            "kubernetes.io": {
                "namespace": "monitoring",
                "node": { "name": "one", "uid": "n" },
                "pod": { "name": "agent-7d9f", "uid": "p" },
                "serviceaccount": { "name": "agent", "uid": "s" },
            },
        });
        for (pointer, value) in changes.as_object().unwrap() {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let name = &name.replace("~1", "/");
            let parent = claims.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            match value {
                Value::Null => drop(parent.remove(name)),
                value => drop(parent.insert(name.to_owned(), value.clone())),
            }
        }
        serde_json::from_value(claims).unwrap()
    }

    #[test]
    fn a_projected_token_says_whose_it_is() {
        let account = ServiceAccount::read(&claims(&json!({}))).unwrap();
        assert_eq!(account.subject, "system:serviceaccount:monitoring:agent");
        assert_eq!(account.pod.as_deref(), Some("agent-7d9f"));
        assert_eq!(account.uid, "s");
        let of_no_pod = claims(&json!({ "/kubernetes.io/pod": null }));
        assert_eq!(ServiceAccount::read(&of_no_pod).unwrap().pod, None);
        let a_day = claims(&json!({ "/exp": 1_000 + 86_400 }));
        assert!(ServiceAccount::read(&a_day).is_ok());
    }

    #[test]
    fn what_does_not_agree_or_lasts_for_long_is_refused() {
        let account = "service account";
        for (changes, refused) in [
            (json!({ "/exp": null }), "no expiry"),
            (json!({ "/iat": null }), "lifetime"),
            (json!({ "/iat": "1000" }), "lifetime"),
            (json!({ "/exp": 1_001 + 86_400 }), "lifetime"),
            (json!({ "/exp": 1e300 }), "lifetime"),
            (json!({ "/iat": -1e300, "/exp": 1e300 }), "lifetime"),
            (json!({ "/sub": null }), account),
            (json!({ "/sub": "ada" }), account),
            (
                json!({ "/sub": "system:serviceaccount:monitoring:admin" }),
                account,
            ),
            (
                json!({ "/sub": "system:serviceaccount:default:agent" }),
                account,
            ),
            (
                json!({ "/sub": "system:serviceaccount:monitoring:agent:x" }),
                account,
            ),
            (json!({ "/kubernetes.io": null }), account),
            (json!({ "/kubernetes.io": "monitoring" }), account),
            (json!({ "/kubernetes.io/namespace": null }), account),
            (json!({ "/kubernetes.io/namespace": "default" }), account),
            (json!({ "/kubernetes.io/serviceaccount": null }), account),
            (
                json!({ "/kubernetes.io/serviceaccount/uid": null }),
                account,
            ),
            (json!({ "/kubernetes.io/serviceaccount/uid": "" }), account),
            (
                json!({ "/kubernetes.io/serviceaccount/name": "admin" }),
                account,
            ),
            (json!({ "/kubernetes.io/pod/name": "a\nb" }), account),
            (
                json!({ "/kubernetes.io/pod/name": "x".repeat(300) }),
                account,
            ),
            // What Kubernetes once kept in Secrets.
            (
                json!({
                    "/kubernetes.io": null,
                    "/kubernetes.io~1serviceaccount~1namespace": "monitoring",
                }),
                account,
            ),
        ] {
            let read = ServiceAccount::read(&claims(&changes));
            assert_eq!(read, Err(Cause::InvalidToken(refused)), "{changes}");
        }
        // A colon in a name would let one account be read as another.
        let two_ways = claims(&json!({
            "/sub": "system:serviceaccount:monitoring:a:b",
            "/kubernetes.io/namespace": "monitoring:a",
            "/kubernetes.io/serviceaccount/name": "b",
        }));
        assert!(ServiceAccount::read(&two_ways).is_err());
    }

    #[test]
    fn one_account_or_all_of_a_namespace() {
        let account = ServiceAccount::read(&claims(&json!({}))).unwrap();
        let has = |text| ServiceAccounts::parse(text).unwrap().has(&account);
        assert!(has("monitoring/agent") && has("monitoring/*"));
        assert!(!has("monitoring/agen") && !has("monitoring/agent-2") && !has("default/*"));
        for (wrong, says) in [
            ("agent", "not a namespace and the name"),
            ("*/agent", "every namespace"),
            ("*/*", "every namespace"),
            ("monitor*/agent", "every namespace"),
            ("monitoring/agent-*", "not of a service account"),
            ("monitoring/", "not of a service account"),
            ("/agent", "not of a service account"),
            ("Monitoring/agent", "not of a service account"),
            ("monitoring/a/b", "not of a service account"),
            ("monitoring:agent", "not a namespace and the name"),
        ] {
            let what = ServiceAccounts::parse(wrong).unwrap_err();
            assert!(what.contains(says), "{what}");
        }
    }
}
