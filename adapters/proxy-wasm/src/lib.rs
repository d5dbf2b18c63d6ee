//! The gate's decisions inside Envoy: a proxy-wasm filter around the same policy, document and words.
//!
//! Whom a credential stands for it asks the gate, once, and keeps the answer; a tick asks what has changed since. What
//! cannot be told is refused. A policy that was written by hand is a component, which Envoy does not run.

#![allow(
    missing_docs,
    reason = "of functions that a macro makes, there are none to write"
)]

mod counters;
mod decide;
mod known;
mod plugin;
mod request;

use std::{rc::Rc, time::Duration};

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{ContextType, LogLevel},
};
use scopegate_policy::wire::filter::{CHANGES_PATH, News};

use plugin::Plugin;
use request::Call;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// What lives as long as one configuration of the filter in one of Envoy's threads.
#[derive(Default)]
struct Root {
    plugin: Option<Rc<Plugin>>,
    /// The poll that is under way, and when it was sent.
    poll: Option<(u32, i64)>,
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_bytes: usize, _: usize) {
        let Some(plugin) = &self.plugin else { return };
        let Some((_, sent_ms)) = self.poll.take_if(|(poll, _)| *poll == token) else {
            return;
        };
        let news = plugin::body_of_reply(headers, body_bytes)
            .and_then(|body| serde_json::from_slice::<News>(&body).ok());
        match news {
            Some(news) => plugin
                .known
                .borrow_mut()
                .hear(news, sent_ms, plugin::envoy_ms()),
            None => missed(plugin),
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        match Plugin::new(&bytes) {
            Ok(plugin) => {
                self.set_tick_period(Duration::from_millis(plugin.config.tick_ms));
                self.plugin = Some(Rc::new(plugin));
                true
            }
            Err(wrong) => {
                say(
                    LogLevel::Error,
                    &format!("scopegate: the configuration is refused: {wrong}"),
                );
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(plugin) = &self.plugin else { return };
        if self.poll.take().is_some() {
            missed(plugin);
        }
        let path = match plugin.known.borrow().position() {
            Some(position) => format!("{CHANGES_PATH}?{position}"),
            None => CHANGES_PATH.to_owned(),
        };
        let sent_ms = plugin::envoy_ms();
        let within = Duration::from_millis(plugin.config.tick_ms);
        match plugin.ask_gate("GET", &path, None, within) {
            Some(token) => self.poll = Some((token, sent_ms)),
            None => missed(plugin),
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Call::new(self.plugin.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Notes that a tick brought no news; says so once.
fn missed(plugin: &Plugin) {
    if plugin.known.borrow_mut().miss() {
        say(
            LogLevel::Warn,
            "scopegate: the gate does not tell what has changed: credentials are refused until it does",
        );
    }
}

fn say(level: LogLevel, text: &str) {
    // There is nobody to tell that nobody can be told.
    let _ = hostcalls::log(level, text);
}
