//! Where credentials stand in a request, and which one it is.

use http::{HeaderMap, HeaderValue, header};

use super::Door;
use crate::{Contract, contract::Scheme, headers::X_API_KEY};

/// Longest key that is looked up, in bytes.
const KEY_BYTES_MAX: usize = 512;

/// A secret on its way from the request to the function that hashes or verifies it. It is borrowed from the request,
/// so that no copy stays anywhere, and has no way to be printed, cloned or serialised.
pub(super) struct Secret<'r>(&'r str);

impl<'r> Secret<'r> {
    pub(super) fn expose(&self) -> &'r str {
        self.0
    }
}

/// What a request presents.
pub(super) enum Presented<'r> {
    /// No credential.
    Nothing,
    /// More than one, or the header of one more than once.
    Several,
    /// One that cannot be any: empty, of a scheme that the contract does not have, or malformed.
    Unusable,
    /// A key or agent token.
    Key(Secret<'r>),
    /// A JWT.
    Token(Secret<'r>),
}

/// Finds the credential. Only headers that the contract reads count: in others, nothing is presented. At the gate's own
/// door, a session as `Authorization: Bearer` counts in every contract.
pub(super) fn presented<'r>(
    contract: &Contract,
    door: Door,
    headers: &'r HeaderMap,
) -> Presented<'r> {
    let takes = |scheme: Scheme| contract.schemes.contains(&scheme);
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    let mut api_keys = headers.get_all(X_API_KEY).iter();
    let reads_authorization = door == Door::Own || takes(Scheme::Bearer) || takes(Scheme::ApiKey);
    let authorization = authorizations.next().filter(|_| reads_authorization);
    let api_key = api_keys.next().filter(|_| takes(Scheme::XApiKey));
    let repeated = (authorization.is_some() && authorizations.next().is_some())
        || (api_key.is_some() && api_keys.next().is_some());
    match (authorization, api_key) {
        _ if repeated => Presented::Several,
        (Some(_), Some(_)) => Presented::Several,
        (None, None) => Presented::Nothing,
        (None, Some(value)) => key(value.to_str().ok()),
        (Some(value), None) => of_authorization(contract, door, value),
    }
}

/// `scheme SP secret` (RFC 9110, section 11.4).
fn of_authorization<'r>(contract: &Contract, door: Door, value: &'r HeaderValue) -> Presented<'r> {
    let Ok(text) = value.to_str() else {
        return Presented::Unusable;
    };
    let text = text.trim();
    let (scheme, secret) = text.split_once(' ').unwrap_or((text, ""));
    let secret = secret.trim_start();
    let is = |name: &str, wanted: Scheme| {
        scheme.eq_ignore_ascii_case(name) && contract.schemes.contains(&wanted)
    };
    if door == Door::Own && scheme.eq_ignore_ascii_case("bearer") && looks_like_token(secret) {
        return Presented::Token(Secret(secret));
    }
    if is("bearer", Scheme::Bearer) {
        if !looks_like_token(secret) {
            return key(Some(secret));
        }
        return match contract.sessions_on_api {
            true => Presented::Token(Secret(secret)),
            false => Presented::Unusable,
        };
    }
    if is("apikey", Scheme::ApiKey) {
        return key(Some(secret));
    }
    Presented::Unusable
}

/// A credential by itself: a session's token or a key.
pub(super) fn of_text(text: &str) -> Presented<'_> {
    match looks_like_token(text) {
        true => Presented::Token(Secret(text)),
        false => key(Some(text)),
    }
}

fn looks_like_token(secret: &str) -> bool {
    secret.starts_with("eyJ") && secret.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn key(secret: Option<&str>) -> Presented<'_> {
    match secret.map(str::trim) {
        Some(secret)
            if !secret.is_empty()
                && secret.len() <= KEY_BYTES_MAX
                && secret
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b',') =>
        {
            Presented::Key(Secret(secret))
        }
        _ => Presented::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(contract: &str, headers: &[(&'static str, &'static str)]) -> (&'static str, String) {
        read_at(Door::Api, contract, headers)
    }

    fn read_at(
        door: Door,
        contract: &str,
        headers: &[(&'static str, &'static str)],
    ) -> (&'static str, String) {
        let contract = Contract::builtin(contract).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        match presented(&contract, door, &map) {
            Presented::Nothing => ("nothing", String::new()),
            Presented::Several => ("several", String::new()),
            Presented::Unusable => ("unusable", String::new()),
            Presented::Key(secret) => ("key", secret.expose().to_owned()),
            Presented::Token(secret) => ("token", secret.expose().to_owned()),
        }
    }

    #[test]
    fn each_scheme_in_each_spelling() {
        for (header, value, kind) in [
            ("authorization", "Bearer sg_live_a", "key"),
            ("authorization", "bearer sg_live_a", "key"),
            ("authorization", "BEARER  sg_agent_a", "key"),
            ("authorization", "ApiKey sg_live_a", "key"),
            ("authorization", "apikey sg_live_a", "key"),
            ("authorization", "Bearer eyJa.b.c", "token"),
            ("authorization", "Bearer eyJa.b", "key"),
            ("authorization", "ApiKey eyJa.b.c", "key"),
            ("x-api-key", "sg_live_a", "key"),
            ("x-api-key", "eyJa.b.c", "key"),
            ("authorization", "Basic dTpw", "unusable"),
            ("authorization", "Bearer", "unusable"),
            ("authorization", "Bearer ", "unusable"),
            ("authorization", "", "unusable"),
            ("authorization", "sg_live_a", "unusable"),
            ("authorization", "Bearer a b", "unusable"),
            ("authorization", "Bearer a, Bearer b", "unusable"),
            ("x-api-key", "", "unusable"),
            ("x-api-key", "a,b", "unusable"),
            ("cookie", "scopegate=eyJa.b.c", "nothing"),
            ("x-other", "sg_live_a", "nothing"),
        ] {
            assert_eq!(
                read("scopegate", &[(header, value)]).0,
                kind,
                "{header}: {value}"
            );
        }
    }

    #[test]
    fn several_credentials_are_told_apart_from_one() {
        for headers in [
            [("authorization", "Bearer a"), ("authorization", "Bearer b")],
            [("authorization", "Bearer a"), ("authorization", "")],
            [("x-api-key", "a"), ("x-api-key", "a")],
            [("authorization", "Bearer a"), ("x-api-key", "b")],
            [("authorization", ""), ("x-api-key", "b")],
        ] {
            assert_eq!(read("scopegate", &headers).0, "several", "{headers:?}");
        }
    }

    #[test]
    fn the_gates_own_pages_take_sessions_in_every_contract() {
        for contract in crate::contract::BUILTIN_NAMES {
            let own = |value| read_at(Door::Own, contract, &[("authorization", value)]).0;
            assert_eq!(own("Bearer eyJa.b.c"), "token", "{contract}");
            assert_eq!(own("bearer eyJa.b.c"), "token", "{contract}");
        }
        let own = |contract: &str, headers: &[(&'static str, &'static str)]| {
            read_at(Door::Own, contract, headers).0
        };
        // Keys stay where the contract has them.
        let key = ("authorization", "Bearer kv_live_a");
        assert_eq!(
            own("kubevision", &[key]),
            read("kubevision", &[key]).0,
            "a key is no session"
        );
        assert_eq!(own("kubeadapt", &[("x-api-key", "a")]), "nothing");
        assert_eq!(
            own(
                "k8cost",
                &[("authorization", "Bearer eyJa.b.c"), ("x-api-key", "a")]
            ),
            "several"
        );
    }

    #[test]
    fn a_contract_reads_only_its_own_schemes() {
        assert_eq!(read("kubeadapt", &[("x-api-key", "a")]).0, "nothing");
        assert_eq!(
            read("kubeadapt", &[("authorization", "ApiKey a")]).0,
            "unusable"
        );
        assert_eq!(
            read("kubeadapt", &[("authorization", "Bearer eyJa.b.c")]).0,
            "unusable"
        );
        assert_eq!(read("kubevision", &[("x-api-key", "a")]).0, "nothing");
        assert_eq!(
            read("kubevision", &[("authorization", "ApiKey kv_live_a")]),
            ("key", "kv_live_a".to_owned())
        );
        assert_eq!(read("kubewatch", &[("x-api-key", "kw_live_a")]).0, "key");
    }
}
