//! Where credentials stand in a request, in each built-in contract.

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use scopegate_policy::wire::credential::{Door, Presented, presented};

    use crate::Contract;

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
        match presented(contract.accepted(), door, &map) {
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
