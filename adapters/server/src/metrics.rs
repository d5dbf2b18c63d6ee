//! The process's metrics: one recorder, which the gate writes to and `/-/metrics` shows.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use scopegate_host::meters;

/// The handle of the recorder, which is installed at the first call. Where the program has installed one of its own
/// before, that one keeps the figures and this one stays empty.
pub fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = builder().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed: `/-/metrics` will be empty");
            }
            meters::announce();
            handle
        })
        .clone()
}

fn builder() -> PrometheusBuilder {
    // From one microsecond, which a decision takes, to ten seconds, which an upstream may.
    const BUCKETS: [f64; 15] = [
        0.000_001, 0.000_002, 0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_5, 0.001,
        0.005, 0.01, 0.05, 0.1, 1.0, 10.0,
    ];
    let builder = PrometheusBuilder::new();
    // Only an empty list of buckets is refused.
    builder
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .unwrap_or_else(|_| PrometheusBuilder::new())
}
