//! Where calls are counted: one word, a URL, or a map with everything.

use std::time::Duration;

use scopegate_host::{
    counters::redis::{RedisConfig, RedisUrl, Servers, WhenAway},
    limit::Window,
};
use scopegate_policy::yaml::{Fields, Text, Value};

use super::{CountersConfig, read::Context};

const KEYS: [&str; 7] = [
    "url",
    "password",
    SENTINEL_PASSWORD,
    "ca",
    "away",
    "window",
    "timeout_ms",
];
/// Of Redis alone.
const REDIS_KEYS: [&str; 5] = ["password", SENTINEL_PASSWORD, "ca", "away", "timeout_ms"];
const SENTINEL_PASSWORD: &str = "sentinel_password";
/// Whoever waits longer than this for Redis has forgotten the callers who wait for the gate.
const TIMEOUT_MS_MAX: i64 = 5_000;

/// Where calls are counted.
enum Place {
    Memory,
    Redis(RedisUrl),
}

pub(super) fn counters(context: &Context<'_>, fields: &Fields<'_>) -> CountersConfig {
    let Some(node) = fields.get("counters") else {
        return CountersConfig::default();
    };
    if !matches!(node.value, Value::Map(_)) {
        let text = context.reader.text(node, "`counters`");
        return match text.and_then(|text| place(context, text)) {
            Some(Place::Redis(url)) => CountersConfig::redis(RedisConfig::new(url)),
            Some(Place::Memory) | None => CountersConfig::default(),
        };
    }
    let Some(fields) = context.reader.fields(node, "`counters`", &KEYS) else {
        return CountersConfig::default();
    };
    // Everything is read, so that no problem hides another.
    let window = window(&fields);
    let secret = |key: &str| {
        let node = fields.get(key)?;
        context.secret_file(node, &format!("`{key}`"))
    };
    let (password, sentinel_password) = (secret("password"), secret(SENTINEL_PASSWORD));
    let ca = fields
        .text("ca")
        .map(|text| (text.span, context.file(text)));
    let away = [("confirm", WhenAway::Confirm), ("refuse", WhenAway::Refuse)];
    let when_away = fields.choice("away", &away).unwrap_or_default();
    let timeout = fields
        .integer("timeout_ms", 1..=TIMEOUT_MS_MAX)
        .map(|ms| Duration::from_millis(ms.unsigned_abs()));
    match fields
        .required_text("url")
        .and_then(|text| place(context, text))
    {
        Some(Place::Redis(url)) => {
            if let (Some((span, _)), false) = (&ca, url.tls) {
                context
                    .reader
                    .problem(*span, "`ca` is of no use without TLS")
                    .help("write `rediss` in place of `redis` in the URL");
            }
            let has_sentinels = matches!(url.servers, Servers::Sentinels { .. });
            if fields.has(SENTINEL_PASSWORD) && !has_sentinels {
                fields
                    .problem(
                        SENTINEL_PASSWORD,
                        "`sentinel_password` is of no use without sentinels",
                    )
                    .help("write `password` for that of the server, or a `redis+sentinel://` URL");
            }
            let redis = RedisConfig::new(url);
            CountersConfig::redis(RedisConfig {
                password,
                sentinel_password,
                ca: ca.map(|(_, path)| path),
                when_away,
                window,
                timeout: timeout.unwrap_or(redis.timeout),
                ..redis
            })
        }
        Some(Place::Memory) => {
            for key in REDIS_KEYS {
                if fields.has(key) {
                    fields
                        .problem(
                            key,
                            format!("`{key}` goes with a Redis, and counts are kept in memory"),
                        )
                        .help("write the URL of a Redis under `url`, or leave the key out");
                }
            }
            CountersConfig {
                window,
                redis: None,
            }
        }
        None => CountersConfig::default(),
    }
}

fn place(context: &Context<'_>, text: Text<'_>) -> Option<Place> {
    if text.text == "memory" {
        return Some(Place::Memory);
    }
    match text.text.parse::<RedisUrl>() {
        Ok(url) => Some(Place::Redis(url)),
        Err(bad) => {
            context.reader.problem(text.span, bad.what).help(bad.help);
            None
        }
    }
}

fn window(fields: &Fields<'_>) -> Window {
    let Some(secs) = fields.seconds("window") else {
        return Window::default();
    };
    let window = Window::of_secs(secs);
    if window.is_none() {
        fields
            .problem("window", "`window` must be from `1s` to `1h`")
            .help("leave the key out for a minute");
    }
    window.unwrap_or_default()
}
