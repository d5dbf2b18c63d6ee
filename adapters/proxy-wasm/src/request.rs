//! One request through Envoy: read, decided, and written for the upstream or refused.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::{cell::OnceCell, rc::Rc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext},
    types::{Action, MapType},
};
use scopegate_policy::wire::{
    Cause, Question, Request,
    filter::{self, Answer, Ask, INTROSPECT_PATH, Told},
    headers::REQUEST_ID,
    limit::Taken,
    path,
    refusal::{self, limit_headers, uuid_value},
};
use uuid::Uuid;

use crate::{
    decide::{Admission, Passing, Step, Stop},
    known::{Key, told},
    plugin::{ASKING_MAX, Plugin, body_of_reply, envoy_ms},
};

/// Where Envoy's access log finds why a request was refused: `%FILTER_STATE(wasm.scopegate_reason:PLAIN)%`.
const REASON_PROPERTY: &str = "scopegate_reason";

/// A request.
pub(crate) struct Call {
    plugin: Option<Rc<Plugin>>,
    request_id: Uuid,
    /// While the gate is asked about its credential.
    asking: Option<Asking>,
    /// What the response is to say of the limit; nothing where it says so already.
    limit: Option<Taken>,
}

/// A request that waits for the gate.
struct Asking {
    token: u32,
    key: Key,
    sent_ms: i64,
    asked: Asked,
    _one: One,
}

/// One question under way, as long as this lives.
struct One(Rc<Plugin>);

impl One {
    fn new(plugin: &Rc<Plugin>) -> Option<Self> {
        let asking = plugin.asking.get();
        (asking < ASKING_MAX).then(|| {
            plugin.asking.set(asking + 1);
            Self(Rc::clone(plugin))
        })
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.asking.set(self.0.asking.get().saturating_sub(1));
    }
}

/// A request as Envoy has it. Every call of Envoy's costs more than what it does: they are made once, or not at all.
struct Asked {
    method: String,
    /// Path and query.
    target: String,
    headers: HeaderMap,
    /// The same as Envoy wrote them, pseudo-headers among them.
    pairs: Vec<(String, Vec<u8>)>,
    client: Client,
}

/// The client's address, as Envoy's listener and its `X-Forwarded-For` settings have it, for whoever needs it.
#[derive(Default)]
pub(crate) struct Client(OnceCell<IpAddr>);

impl Client {
    /// Who has none is one client.
    pub(crate) fn address(&self) -> IpAddr {
        *self.0.get_or_init(|| {
            let address = hostcalls::get_property(vec!["source", "address"])
                .ok()
                .flatten();
            address
                .and_then(|address| String::from_utf8(address).ok())
                .and_then(|text| {
                    let socket = text.parse::<SocketAddr>().map(|socket| socket.ip());
                    socket.or_else(|_| text.parse()).ok()
                })
                .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address: IpAddr| {
                    address.to_canonical()
                })
        })
    }
}

impl Asked {
    /// Reads it; or says what is wrong with it, with as much of it as was read.
    fn read() -> (Self, Result<(), Cause>) {
        let mut asked = Self {
            method: String::new(),
            target: String::new(),
            headers: HeaderMap::new(),
            pairs: Vec::new(),
            client: Client::default(),
        };
        let outcome = asked.fill();
        (asked, outcome)
    }

    fn fill(&mut self) -> Result<(), Cause> {
        let invalid = |what: &str| Cause::InvalidRequest(what.to_owned());
        let pairs = hostcalls::get_map_bytes(MapType::HttpRequestHeaders)
            .map_err(|_| Cause::Unavailable("Envoy does not show the request".to_owned()))?;
        self.headers.reserve(pairs.len());
        for (name, value) in &pairs {
            let text = |value: &[u8]| {
                let text = core::str::from_utf8(value).map(str::to_owned);
                text.map_err(|_| invalid("the request line is not text"))
            };
            match name.as_str() {
                ":method" => self.method = text(value)?,
                ":path" => self.target = text(value)?,
                ":authority" => {
                    let host = HeaderValue::from_bytes(value);
                    let host = host.map_err(|_| invalid("the Host header is not a host"))?;
                    self.headers.append(header::HOST, host);
                }
                name if name.starts_with(':') => {}
                name => {
                    let name = HeaderName::from_bytes(name.as_bytes());
                    let name = name.map_err(|_| invalid("a header's name is none"))?;
                    let value = HeaderValue::from_bytes(value);
                    let value = value.map_err(|_| invalid("a header's value is none"))?;
                    self.headers
                        .try_append(name, value)
                        .map_err(|_| invalid("too many headers"))?;
                }
            }
        }
        self.pairs = pairs;
        Ok(())
    }

    fn request(&self, now_ms: i64) -> Request<'_> {
        let (path, query) = self
            .target
            .split_once('?')
            .unwrap_or((self.target.as_str(), ""));
        Request {
            method: &self.method,
            path,
            query,
            authority: None,
            headers: &self.headers,
            // Nobody reads it here.
            peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            now_ms,
        }
    }

    fn is_own(&self) -> bool {
        let path = self.request(0).path;
        path::normalise(path).map_or_else(|_| path::is_own(path), |path| path::is_own(&path))
    }
}

impl Call {
    pub(crate) fn new(plugin: Option<Rc<Plugin>>) -> Self {
        Self {
            plugin,
            request_id: Uuid::nil(),
            asking: None,
            limit: None,
        }
    }

    fn passing<'p>(&self, plugin: &'p Plugin, asked: &'p Asked, envoy_ms: i64) -> Passing<'p> {
        Passing {
            plugin,
            client: &asked.client,
            request_id: self.request_id,
            envoy_ms,
            now_ms: plugin.gate_ms(envoy_ms),
        }
    }

    /// Decides, as far as the gate need not be asked; asks it where it must be.
    fn begin(&mut self, plugin: &Rc<Plugin>, asked: Asked, envoy_ms: i64) -> Action {
        let passing = self.passing(plugin, &asked, envoy_ms);
        let request = asked.request(passing.now_ms);
        let question = match passing.question(&request) {
            Ok(question) => question,
            Err(cause) => return self.refuse(&passing, &asked, Stop::at(cause)),
        };
        let (key, ask) = match passing.step(&question) {
            Step::Admit(admission) => return self.admit(&asked, &question, &admission),
            Step::Refuse(stop) => return self.refuse(&passing, &asked, stop),
            Step::Ask { key, kind, secret } => {
                let credential = secret.to_owned();
                (key, Ask { kind, credential })
            }
        };
        let Some(one) = One::new(plugin) else {
            return self.refuse(&passing, &asked, Stop::at(Cause::Overloaded));
        };
        let within = Duration::from_millis(plugin.config.gate.timeout_ms);
        let token = serde_json::to_vec(&ask)
            .ok()
            .and_then(|body| plugin.ask_gate("POST", INTROSPECT_PATH, Some(&body), within));
        let Some(token) = token else {
            let cause = Cause::Unavailable("the gate cannot be asked".to_owned());
            return self.refuse(&passing, &asked, Stop::at(cause));
        };
        self.asking = Some(Asking {
            token,
            key,
            sent_ms: envoy_ms,
            asked,
            _one: one,
        });
        Action::Pause
    }

    /// Goes on with what the gate answered.
    fn go_on(&mut self, plugin: &Rc<Plugin>, asking: Asking, told: Option<Told>) -> Action {
        let asked = asking.asked;
        let now_ms = envoy_ms();
        if let Some(told) = &told {
            let mut known = plugin.known.borrow_mut();
            known.set_clock(told.now_ms, asking.sent_ms, now_ms);
        }
        let passing = self.passing(plugin, &asked, now_ms);
        let request = asked.request(passing.now_ms);
        let question = match passing.question(&request) {
            Ok(question) => question,
            Err(cause) => return self.refuse(&passing, &asked, Stop::at(cause)),
        };
        let step = match told.map(|told| (told.position, told.answer)) {
            Some((position, Answer::Known(facts))) => {
                let caller = plugin.known.borrow_mut().learn(
                    asking.key,
                    *facts,
                    &position,
                    plugin.tables.vocabulary(),
                    asking.sent_ms,
                    now_ms,
                );
                passing.known(&question, &caller)
            }
            Some((_, Answer::Refused(code))) => {
                Step::Refuse(passing.reject(filter::rejection(&code)))
            }
            None => Step::Refuse(Stop::at(Cause::Unavailable(
                "the gate does not answer".to_owned(),
            ))),
        };
        match step {
            Step::Admit(admission) => self.admit(&asked, &question, &admission),
            Step::Refuse(stop) => self.refuse(&passing, &asked, stop),
            Step::Ask { .. } => self.refuse(&passing, &asked, Stop::at(Cause::Overloaded)),
        }
    }

    /// Writes the request for the upstream: all of it at once.
    fn admit(&mut self, asked: &Asked, question: &Question<'_>, admission: &Admission) -> Action {
        let onward = &admission.onward;
        self.limit = Some(admission.limit);
        let target = match onward.query.is_empty() {
            true => question.path.to_string(),
            false => format!("{}?{}", question.path, onward.query),
        };
        let goes = |name: &str| {
            let is_gone = onward.remove.iter().any(|gone| gone.as_str() == name);
            !is_gone && !onward.set.iter().any(|(set, _)| set.as_str() == name)
        };
        let mut pairs = Vec::with_capacity(asked.pairs.len() + onward.set.len());
        for (name, value) in &asked.pairs {
            match name.as_str() {
                ":path" => pairs.push((":path", target.as_bytes())),
                name if goes(name) => pairs.push((name, value.as_slice())),
                _ => {}
            }
        }
        let set = onward.set.iter();
        pairs.extend(set.map(|(name, value)| (name.as_str(), value.as_bytes())));
        self.set_http_request_headers_bytes(pairs);
        Action::Continue
    }

    /// Answers in the contract's words.
    fn refuse(&mut self, passing: &Passing<'_>, asked: &Asked, stop: Stop) -> Action {
        let plugin = passing.plugin;
        let errors = match asked.is_own() {
            true => &plugin.own_errors,
            false => &plugin.config.contract.errors,
        };
        let limit = stop.limit.unwrap_or_else(|| passing.strangers_limit());
        let _ = hostcalls::set_property(
            vec![REASON_PROPERTY],
            Some(refusal::code(&stop.cause).as_bytes()),
        );
        let refusal = refusal::refuse(errors, stop.cause, &limit, self.request_id);
        let headers = refusal
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        self.limit = None;
        self.send_http_response(
            u32::from(refusal.status.as_u16()),
            headers.collect(),
            Some(refusal.body.as_bytes()),
        );
        Action::Pause
    }
}

impl Context for Call {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_bytes: usize, _: usize) {
        let Some(plugin) = self.plugin.clone() else {
            return;
        };
        let Some(asking) = self.asking.take_if(|asking| asking.token == token) else {
            return;
        };
        let told = body_of_reply(headers, body_bytes).and_then(|body| told(&body));
        if self.go_on(&plugin, asking, told) == Action::Continue {
            self.resume_http_request();
        }
    }
}

impl HttpContext for Call {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else {
            self.send_http_response(503, vec![("retry-after", "1")], None);
            return Action::Pause;
        };
        let envoy_ms = envoy_ms();
        self.request_id = request_id(envoy_ms);
        let (asked, outcome) = Asked::read();
        match outcome {
            Ok(()) => self.begin(&plugin, asked, envoy_ms),
            Err(cause) => {
                let passing = self.passing(&plugin, &asked, envoy_ms);
                self.refuse(&passing, &asked, Stop::at(cause))
            }
        }
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(limit) = self.limit.take() {
            let id = (REQUEST_ID, uuid_value(self.request_id));
            for (name, value) in limit_headers(&limit).into_iter().chain([id]) {
                self.set_http_response_header_bytes(name.as_str(), Some(value.as_bytes()));
            }
        }
        Action::Continue
    }
}

/// A UUID of version 7. It need be no secret, so Envoy is not asked for randomness each time.
fn request_id(envoy_ms: i64) -> Uuid {
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    let ms = u64::try_from(envoy_ms).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
}
