//! One configuration, ready: the policy's tables, the contract's words, what is known of callers.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, UNIX_EPOCH},
};

use proxy_wasm::{hostcalls, types::MapType};
use scopegate_policy::{
    Tables, document,
    wire::{
        Errors,
        credential::Accepted,
        filter::{Config, SECRET_VARIABLE, is_secret},
        limit::Window,
        question::Declared,
    },
};

use crate::{counters::Counters, known::Known};

/// Most bytes of an answer of the gate.
const REPLY_BYTES_MAX: usize = 4 << 20;
/// Questions to the gate at once, of one thread.
pub(crate) const ASKING_MAX: u32 = 1024;

pub(crate) struct Plugin {
    pub(crate) config: Config,
    pub(crate) tables: Tables,
    pub(crate) declared: Declared,
    /// Whether a condition is about where a client is.
    pub(crate) reads_address: bool,
    /// The words of the gate's own pages.
    pub(crate) own_errors: Errors,
    pub(crate) counters: Counters,
    pub(crate) known: RefCell<Known>,
    /// How many requests wait for the gate.
    pub(crate) asking: Cell<u32>,
    /// `Bearer …`.
    authorization: String,
}

impl Plugin {
    /// Of a configuration in JSON; or what is wrong with it.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, String> {
        let config: Config = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let tables =
            document::compile("policy", &config.policy).map_err(|report| report.to_string())?;
        let secret = match &config.gate.secret {
            Some(secret) => secret.clone(),
            None => std::env::var(SECRET_VARIABLE)
                .map_err(|_| format!("the environment variable {SECRET_VARIABLE} is not set"))?,
        };
        if !is_secret(&secret) {
            return Err(
                "the secret that the filter shows to the gate is too short to be one".to_owned(),
            );
        }
        if config.cache.entries == 0 || config.cache.seconds == 0 || config.gate.timeout_ms == 0 {
            return Err("the bounds of the cache and of the gate's time must not be 0".to_owned());
        }
        if !(50..=60_000).contains(&config.tick_ms) {
            return Err("`tick_ms` must be from 50 to 60000".to_owned());
        }
        let window = Window::of_secs(config.window_secs)
            .ok_or_else(|| format!("`window_secs` must be from 1 to {}", Window::SECS_MAX))?;
        Ok(Self {
            declared: Declared::of(tables.description()),
            reads_address: tables.reads_address(),
            own_errors: Errors::own(),
            counters: Counters::new(&config.gate.cluster, window),
            known: RefCell::new(Known::new(&config)),
            asking: Cell::new(0),
            authorization: format!("Bearer {secret}"),
            tables,
            config,
        })
    }

    pub(crate) fn accepted(&self) -> Accepted<'_> {
        Accepted {
            schemes: &self.config.contract.schemes,
            tokens: self.config.contract.sessions,
        }
    }

    /// What time it is at the gate when it is this to Envoy.
    pub(crate) fn gate_ms(&self, envoy_ms: i64) -> i64 {
        envoy_ms.saturating_add(self.known.borrow().ahead_ms())
    }

    /// Sends a question to the gate: its number. Nothing where Envoy cannot send it.
    pub(crate) fn ask_gate(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        within: Duration,
    ) -> Option<u32> {
        let gate = &self.config.gate.cluster;
        let mut headers = vec![
            (":method", method),
            (":path", path),
            (":authority", gate.as_str()),
            ("authorization", self.authorization.as_str()),
        ];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        hostcalls::dispatch_http_call(gate, headers, body, Vec::new(), within).ok()
    }
}

/// The body of the reply that just came, if it is a 200.
pub(crate) fn body_of_reply(headers: usize, body_bytes: usize) -> Option<Vec<u8>> {
    // Without headers there is no reply, and Envoy must not even be asked for one.
    if headers == 0 || body_bytes > REPLY_BYTES_MAX {
        return None;
    }
    let status = hostcalls::get_map_value(MapType::HttpCallResponseHeaders, ":status");
    if status.ok().flatten().as_deref() != Some("200") {
        return None;
    }
    let buffer = proxy_wasm::types::BufferType::HttpCallResponseBody;
    hostcalls::get_buffer(buffer, 0, body_bytes).ok().flatten()
}

/// Envoy's clock, in milliseconds since the epoch.
pub(crate) fn envoy_ms() -> i64 {
    hostcalls::get_current_time()
        .ok()
        .and_then(|now| now.duration_since(UNIX_EPOCH).ok())
        .and_then(|now| i64::try_from(now.as_millis()).ok())
        .unwrap_or(0)
}
