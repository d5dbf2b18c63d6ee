//! From the YAML tree to the configuration.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use http::Uri;
use ipnet::IpNet;
use rustix::fs::{Mode, OFlags};
use scopegate_host::{
    contract::BUILTIN_NAMES,
    engine::{Compiler, Isolation, Limits},
    scanning::PartnerKeys,
};
use scopegate_policy::yaml::{Fields, Node, Reader, Text, Value, did_you_mean};

use super::{
    Config, ContractSource, PolicySource, StoreConfig, UpstreamConfig, audit, check, counters,
    envoy, filters, issuers, kubernetes, limits, store, traces,
};
use crate::serve::Management;

const KEYS: [&str; 24] = [
    "listen",
    "contract",
    "policy",
    "policy_limits",
    "policy_keys",
    "upstream",
    "store",
    "state",
    "counters",
    "isolation",
    "trusted_proxies",
    "check",
    "audit",
    "management",
    "public_url",
    "envoy",
    "sessions",
    "issuers",
    "kubernetes",
    "forward_credentials",
    "secret_scanning",
    "filters",
    "limits",
    "traces",
];

/// Decisions of one pooled instance before it is retired.
const POOLED_CALLS_MAX: u32 = 10_000;

/// What values are read against.
pub(super) struct Context<'c> {
    pub(super) reader: &'c Reader,
    pub(super) directory: &'c Path,
    pub(super) environment: &'c dyn Fn(&str) -> Option<String>,
}

pub(super) fn config(context: &Context<'_>, root: &Node) -> Option<Config> {
    let fields = context.reader.fields(root, "the configuration", &KEYS)?;
    // Everything is read before the first `?`, so that no problem hides another.
    let contract = context.contract(&fields);
    let upstream = context.upstream(&fields);
    let store = store::store(context, &fields);
    let limits = limits::limits(&fields);
    let trusted_proxies = context.networks(&fields);
    let issuers = issuers::issuers(context, &fields);
    let config = Config {
        listen: context
            .address(fields.text("listen"))
            .unwrap_or(Config::LISTEN),
        contract: ContractSource::Builtin(String::new()),
        policy: context.policy(&fields),
        policy_limits: fields
            .choice(
                "policy_limits",
                &[("default", Limits::default()), ("large", Limits::large())],
            )
            .unwrap_or_default(),
        policy_compiler: Compiler::InProcess,
        policy_keys: context.policy_keys(&fields),
        upstream: UpstreamConfig {
            url: Uri::default(),
            preserve_host: false,
            ca: None,
        },
        store: StoreConfig::untold(),
        counters: counters::counters(context, &fields),
        isolation: fields
            .choice(
                "isolation",
                &[
                    ("fresh", Isolation::Fresh),
                    (
                        "pooled",
                        Isolation::Pooled {
                            calls_max: POOLED_CALLS_MAX,
                        },
                    ),
                ],
            )
            .unwrap_or(Isolation::Fresh),
        check: check::check(&fields, &trusted_proxies),
        trusted_proxies,
        audit: audit::audit(context, &fields),
        management: context.management(&fields),
        public_url: fields
            .text("public_url")
            .and_then(|text| context.server_url(text)),
        envoy: envoy::envoy(context, &fields),
        session_keys: context.session_keys(&fields),
        kubernetes: kubernetes::clusters(context, &fields, &issuers),
        issuers,
        secret_scanning: context.secret_scanning(&fields),
        filters: filters::filters(context, &fields),
        forward_credentials: fields.boolean("forward_credentials").unwrap_or(false),
        proxy: limits.proxy,
        connections: limits.connections,
        list_bytes_max: limits.list_bytes_max,
        drain: limits.drain,
        traces: traces::traces(context, &fields),
    };
    let is_shared = store.as_ref().is_some_and(|store| store.file().is_none());
    if is_shared && config.counters.redis.is_none() {
        fields
            .problem("store", "a store on a server may be shared, and counters in memory may not")
            .help("write `counters: redis://…`: by it the gates on one store count together and hear of revocations");
    }
    Some(Config {
        contract: contract?,
        upstream: upstream?,
        store: store?,
        ..config
    })
}

impl Context<'_> {
    /// An absolute path: relative ones start where the file is.
    pub(super) fn path(&self, text: Text<'_>) -> PathBuf {
        self.directory.join(text.text)
    }

    /// The path of a file that is there.
    pub(super) fn file(&self, text: Text<'_>) -> PathBuf {
        let path = self.path(text);
        // Without waiting for whoever writes to it, if it is a pipe.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if let Err(error) = rustix::fs::open(&path, flags, Mode::empty()).map_err(io::Error::from) {
            self.reader.problem(
                text.span,
                format!("cannot read the file `{}`: {error}", path.display()),
            );
        } else if path.is_dir() {
            self.reader.problem(
                text.span,
                format!("`{}` is a directory, not a file", path.display()),
            );
        }
        path
    }

    pub(super) fn address(&self, text: Option<Text<'_>>) -> Option<SocketAddr> {
        let text = text?;
        let address = text.parse().ok();
        if address.is_none() {
            self.reader
                .problem(
                    text.span,
                    format!("`{text}` is not an address to listen on"),
                )
                .help("write an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`");
        }
        address
    }

    fn contract(&self, fields: &Fields<'_>) -> Option<ContractSource> {
        let Some(text) = fields.text("contract") else {
            return (!fields.has("contract"))
                .then(|| ContractSource::Builtin(BUILTIN_NAMES[0].into()));
        };
        if BUILTIN_NAMES.contains(&text.text) {
            return Some(ContractSource::Builtin(text.text.into()));
        }
        if is_yaml(&text) {
            return Some(ContractSource::File(self.file(text)));
        }
        self.unknown_name(text, "contract", "a `.yaml` file");
        None
    }

    fn policy(&self, fields: &Fields<'_>) -> PolicySource {
        match fields.text("policy") {
            None => PolicySource::OfContract,
            Some(text) if BUILTIN_NAMES.contains(&text.text) => {
                PolicySource::Builtin(text.text.into())
            }
            Some(text) if is_yaml(&text) => PolicySource::Document(self.file(text)),
            Some(text) if text.ends_with(".wasm") => PolicySource::Component(self.file(text)),
            Some(text) => {
                self.unknown_name(text, "policy", "a `.yaml` document or a `.wasm` component");
                PolicySource::OfContract
            }
        }
    }

    /// An empty list would look as if somebody were trusted.
    fn policy_keys(&self, fields: &Fields<'_>) -> Vec<PathBuf> {
        let texts = fields.texts("policy_keys");
        if texts.as_ref().is_some_and(Vec::is_empty) {
            self.reader
                .problem(fields.span(), "`policy_keys` must name at least one")
                .help("leave it out where policies are not signed");
        }
        let texts = texts.unwrap_or_default();
        texts.into_iter().map(|text| self.file(text)).collect()
    }

    fn unknown_name(&self, text: Text<'_>, what: &str, or: &str) {
        let slot = self.reader.problem(
            text.span,
            format!("`{text}` is neither a built-in {what} nor {or}"),
        );
        match did_you_mean(&text, BUILTIN_NAMES) {
            Some(name) => slot.help(format!("did you mean `{name}`?")),
            None => slot.help(format!(
                "built in are {}",
                BUILTIN_NAMES.map(|name| format!("`{name}`")).join(", ")
            )),
        }
    }

    /// A URL, or a map with more to say of it.
    fn upstream(&self, fields: &Fields<'_>) -> Option<UpstreamConfig> {
        let node = fields.required("upstream")?;
        if !matches!(node.value, Value::Map(_)) {
            let url = self
                .reader
                .text(node, "`upstream`")
                .and_then(|text| self.server_url(text))?;
            return Some(UpstreamConfig {
                url,
                preserve_host: false,
                ca: None,
            });
        }
        let upstream = self
            .reader
            .fields(node, "`upstream`", &["url", "host", "ca"])?;
        let url = upstream
            .required_text("url")
            .and_then(|text| self.server_url(text));
        let preserve_host = upstream
            .choice("host", &[("upstream", false), ("preserve", true)])
            .unwrap_or(false);
        let ca = upstream.text("ca").map(|text| self.file(text));
        Some(UpstreamConfig {
            url: url?,
            preserve_host,
            ca,
        })
    }

    pub(super) fn server_url(&self, text: Text<'_>) -> Option<Uri> {
        let url = text.parse::<Uri>().ok().filter(|url| {
            matches!(url.scheme_str(), Some("http" | "https"))
                && url.query().is_none()
                && url
                    .authority()
                    .is_some_and(|authority| !authority.as_str().contains('@'))
        });
        if url.is_none() {
            self.reader
                .problem(text.span, format!("`{text}` is not the URL of a server"))
                .help("write `http://` or `https://`, a host, and perhaps a port and a path, without user or query");
        }
        url
    }

    fn networks(&self, fields: &Fields<'_>) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for text in fields.texts("trusted_proxies").unwrap_or_default() {
            let network = text.parse::<IpNet>().ok();
            match network.or_else(|| {
                text.parse()
                    .ok()
                    .map(|address: std::net::IpAddr| address.into())
            }) {
                Some(network) => networks.push(network),
                None => self
                    .reader
                    .problem(
                        text.span,
                        format!("`{text}` is neither an address nor a network"),
                    )
                    .help("write an address such as `10.0.0.1`, or a network such as `10.0.0.0/8`"),
            }
        }
        networks
    }

    fn management(&self, fields: &Fields<'_>) -> Management {
        let own = || Management::Listen(Config::MANAGEMENT);
        let Some(management) = fields.fields("management", "`management`", &["listen"]) else {
            return own();
        };
        match management.text("listen") {
            None => own(),
            Some(text) if text.text == "shared" => Management::Shared,
            Some(text) => self
                .address(Some(text))
                .map_or_else(own, Management::Listen),
        }
    }

    /// A file, or the https URL of a list such as GitHub's.
    fn secret_scanning(&self, fields: &Fields<'_>) -> Option<PartnerKeys> {
        let scanning = fields.fields("secret_scanning", "`secret_scanning`", &["keys"])?;
        let keys = scanning.required_text("keys")?;
        if keys.starts_with("https://") {
            return Some(PartnerKeys::Url(keys.to_string()));
        }
        if keys.contains("://") {
            self.reader
                .problem(
                    keys.span,
                    format!("`{keys}` is neither a file nor an https URL"),
                )
                .help("GitHub's list is `https://api.github.com/meta/public_keys/secret_scanning`");
            return None;
        }
        Some(PartnerKeys::File(self.file(keys)))
    }

    fn session_keys(&self, fields: &Fields<'_>) -> Option<PathBuf> {
        let sessions = fields.fields("sessions", "`sessions`", &["keys"])?;
        let node = sessions.required("keys")?;
        self.secret_file(node, "`keys`")
    }

    /// A secret is a file, named here or by an environment variable.
    pub(super) fn secret_file(&self, node: &Node, what: &str) -> Option<PathBuf> {
        if !matches!(node.value, Value::Map(_)) {
            return self.reader.text(node, what).map(|text| self.file(text));
        }
        let fields = self.reader.fields(node, what, &["file", "env"])?;
        match (fields.text("file"), fields.text("env")) {
            (Some(file), None) => Some(self.file(file)),
            (None, Some(name)) => {
                match (self.environment)(name.text).filter(|value| !value.is_empty()) {
                    Some(path) => Some(self.file(Text {
                        span: name.span,
                        text: &path,
                    })),
                    None => {
                        self.reader
                            .problem(
                                name.span,
                                format!("the environment variable `{name}` is not set"),
                            )
                            .help("set it to the path of the secret's file");
                        None
                    }
                }
            }
            _ => {
                self.reader.problem(
                    fields.span(),
                    format!("{what} is given by `file` or by `env`, one of them"),
                );
                None
            }
        }
    }
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}
