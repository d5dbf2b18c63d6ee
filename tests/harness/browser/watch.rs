//! What the browser noticed besides: the console, and the requests it made.

use serde_json::{Value, json};

use super::{BTreeSet, Browser, PoisonError};

/// What the logs told so far.
#[derive(Default)]
pub(super) struct Seen {
    urls: BTreeSet<String>,
}

impl Browser {
    /// What stands in the console since this was asked last, of errors and of what a policy forbade.
    pub async fn console_errors(&self) -> Vec<String> {
        let log = self.log("browser").await;
        log.iter()
            .filter(|entry| {
                let message = entry["message"].as_str().unwrap_or_default();
                entry["level"] == "SEVERE" || message.contains("Content Security Policy")
            })
            .map(|entry| super::plain(&entry["message"]))
            .collect()
    }

    /// Every URL that pages asked for since the browser was opened.
    pub async fn requests(&self) -> BTreeSet<String> {
        let asked: Vec<String> = self
            .log("performance")
            .await
            .iter()
            .filter_map(|entry| {
                let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
                let event = &event["message"];
                (event["method"] == "Network.requestWillBeSent")
                    .then(|| super::plain(&event["params"]["request"]["url"]))
            })
            .collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.urls.extend(asked);
        seen.urls.clone()
    }

    /// Fails when a page asked for something of another origin.
    pub async fn assert_nothing_left(&self) {
        let requests = self.requests().await;
        assert!(!requests.is_empty(), "the log has every request");
        let outside: Vec<_> = requests
            .iter()
            .filter(|url| {
                let own = url.strip_prefix(&self.base);
                own.is_none_or(|rest| !rest.starts_with('/')) && !url.starts_with("data:")
            })
            .collect();
        assert!(outside.is_empty(), "asked of others: {outside:?}");
    }

    /// What the page weighs with everything that it loads, as it goes over the wire, in bytes of bodies.
    pub async fn weight(&self) -> u64 {
        let script = "
            const loaded = ['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind));
            return loaded.map((entry) => [entry.name, entry.encodedBodySize])";
        let loaded = self.script(script, Vec::new()).await;
        let loaded = loaded.as_array().expect("a list").iter();
        loaded.map(|entry| entry[1].as_u64().expect("bytes")).sum()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self
            .session
            .command("se/log", Some(json!({ "type": kind })));
        let log = log.await;
        log.as_array().expect("a log").clone()
    }
}
