//! `grpc.health.v1`: whether the gate can decide. It is asked for the whole server or for the service that it has.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::service::auth::v3::authorization_server::SERVICE_NAME;
use scopegate_host::Gate;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

/// How often the store is asked, and how long it may take to answer.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// The whole server, and the one service.
const NAMES: [&str; 2] = ["", SERVICE_NAME];

/// Says whether the store answers, until the end: then that it does not serve, and nothing more, so that who watches is
/// let go.
pub(crate) async fn report(gate: Arc<Gate>, mut to: HealthReporter, stopping: CancellationToken) {
    loop {
        tell(&to, status(&gate).await).await;
        let pause = tokio::time::sleep(ASKED_EVERY);
        if stopping.run_until_cancelled(pause).await.is_none() {
            break;
        }
    }
    tell(&to, ServingStatus::NotServing).await;
    for name in NAMES {
        to.clear_service_status(name).await;
    }
}

/// Whether the gate can decide now.
pub(crate) async fn status(gate: &Gate) -> ServingStatus {
    let store = gate.directory().store().ping();
    match tokio::time::timeout(ASKED_EVERY, store).await {
        Ok(Ok(())) => ServingStatus::Serving,
        Ok(Err(_)) | Err(_) => ServingStatus::NotServing,
    }
}

/// Sets it under both names.
pub(crate) async fn tell(to: &HealthReporter, status: ServingStatus) {
    for name in NAMES {
        to.set_service_status(name, status).await;
    }
}
