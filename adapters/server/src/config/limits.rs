//! What bounds connections, bodies and times.

use std::time::Duration;

use scopegate_policy::yaml::Fields;

use super::Config;
use crate::{connection::ConnectionLimits, proxy::ProxyLimits};

/// All of them.
pub(super) struct Limits {
    pub(super) proxy: ProxyLimits,
    pub(super) connections: ConnectionLimits,
    pub(super) list_bytes_max: usize,
    pub(super) drain: Duration,
}

pub(super) fn limits(fields: &Fields<'_>) -> Limits {
    const KEYS: [&str; 12] = [
        "connections_max",
        "websockets_max",
        "header_bytes_max",
        "body_bytes_max",
        "list_bytes_max",
        "header_time",
        "connect_time",
        "response_time",
        "idle_time",
        "websocket_idle_time",
        "write_time",
        "drain_time",
    ];
    let mut limits = Limits {
        proxy: ProxyLimits::default(),
        connections: ConnectionLimits::default(),
        list_bytes_max: Config::LIST_BYTES_MAX,
        drain: Config::DRAIN,
    };
    let Some(fields) = fields.fields("limits", "`limits`", &KEYS) else {
        return limits;
    };
    set_count(
        &fields,
        "connections_max",
        1,
        &mut limits.connections.connections_max,
    );
    set_count(
        &fields,
        "header_bytes_max",
        8 << 10,
        &mut limits.connections.header_bytes_max,
    );
    set_count(&fields, "list_bytes_max", 1, &mut limits.list_bytes_max);
    set_count(&fields, "websockets_max", 0, &mut limits.proxy.tunnels_max);
    if let Some(bytes) = fields.integer("body_bytes_max", 0..=i64::MAX) {
        limits.proxy.body_bytes_max = bytes.unsigned_abs();
    }
    set_time(&fields, "header_time", &mut limits.connections.header);
    set_time(&fields, "write_time", &mut limits.connections.write);
    set_time(&fields, "connect_time", &mut limits.proxy.connect);
    set_time(&fields, "response_time", &mut limits.proxy.response);
    set_time(&fields, "idle_time", &mut limits.proxy.idle);
    set_time(
        &fields,
        "websocket_idle_time",
        &mut limits.proxy.tunnel_idle,
    );
    set_time(&fields, "drain_time", &mut limits.drain);
    limits
}

fn set_count(fields: &Fields<'_>, key: &str, least: i64, value: &mut usize) {
    const MOST: i64 = 1 << 32;
    if let Some(count) = fields.integer(key, least..=MOST) {
        *value = usize::try_from(count).unwrap_or(usize::MAX);
    }
}

/// A time of nothing would refuse everything.
pub(super) fn set_time(fields: &Fields<'_>, key: &str, value: &mut Duration) {
    match fields.seconds(key) {
        Some(0) => fields
            .problem(key, format!("`{key}` must be at least `1s`"))
            .help("leave the key out for the default"),
        Some(secs) => *value = Duration::from_secs(secs),
        None => {}
    }
}
