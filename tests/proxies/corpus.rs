//! The corpus through each proxy: the same decisions for the same reasons.

use super::Kind;
use crate::{
    corpus::{
        files, is_of_routes,
        over_http::{Front, differences_through},
    },
    harness::World,
};

/// A case that a proxy settles before it asks, or that the gate refuses where the proxy forwards a target as it came:
/// what its name has in it, and what comes of it, which is a refusal always.
struct Exception {
    case: &'static str,
    got: &'static str,
}

async fn goes_through(kind: Kind, exceptions: &[Exception]) {
    let mut differences = Vec::new();
    for file in files().iter().filter(|file| !is_of_routes(file)) {
        let found = differences_through(
            file,
            |options| options.check = Some(kind.dialect()),
            async |world: &World| {
                let gate = world.running().public_addr();
                let upstream = super::behind::address_of(&world.upstream.url);
                let proxy = kind
                    .start(gate, upstream, |text| {
                        // Cases come from addresses of their own.
                        text.replace("trustForwardHeader: false", "trustForwardHeader: true")
                            // Where a client is on the same machine, Envoy adds the machine's address.
                            .replace(
                                "use_remote_address: true",
                                "use_remote_address: true\n                skip_xff_append: true",
                            )
                    })
                    .await;
                Front {
                    address: proxy.address,
                    asks: true,
                    decides: None,
                    programs: proxy.programs,
                }
            },
        )
        .await;
        differences.extend(found);
    }
    let mut met = vec![0; exceptions.len()];
    differences.retain(|difference| {
        let known = exceptions
            .iter()
            .position(|known| difference.contains(known.case) && difference.contains(known.got));
        match known {
            Some(index) => met[index] += 1,
            None => return true,
        }
        false
    });
    assert!(
        differences.is_empty(),
        "{} cases through {kind:?}:\n{}",
        differences.len(),
        differences.join("\n")
    );
    for (known, met) in exceptions.iter().zip(met) {
        assert!(
            met > 0,
            "{kind:?}: `{}` comes out as expected by now",
            known.case
        );
    }
}

/// An agent's own cluster, where the request does not name it and nobody writes it into the query.
const UNNAMED_CLUSTER: Exception = Exception {
    case: "`agent` asks for `GET /query",
    got: "got      403 Some(Deny { reason: \"cluster-required\"",
};
const UNNAMED_CLUSTER_OF_A_POST: Exception = Exception {
    case: "asks for `POST /query`",
    got: "got      403 Some(Deny { reason: \"cluster-required\"",
};
/// A path that is forwarded as it came, and in which an unreserved octet is encoded.
const NOT_NORMAL: Exception = Exception {
    case: "asks for `GET /clusters/a%2Eb:c%2D1%5F2`",
    got: "got      400 Some(Deny { reason: \"invalid_request\"",
};

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_expected_through_nginx() {
    goes_through(Kind::Nginx, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_expected_through_caddy() {
    let exceptions = [UNNAMED_CLUSTER, UNNAMED_CLUSTER_OF_A_POST, NOT_NORMAL];
    goes_through(Kind::Caddy, &exceptions).await;
}

/// Envoy and Traefik put the path right themselves.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_expected_through_envoy() {
    let exceptions = [UNNAMED_CLUSTER, UNNAMED_CLUSTER_OF_A_POST];
    goes_through(Kind::Envoy, &exceptions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_expected_through_traefik() {
    let exceptions = [UNNAMED_CLUSTER, UNNAMED_CLUSTER_OF_A_POST];
    goes_through(Kind::Traefik, &exceptions).await;
}
