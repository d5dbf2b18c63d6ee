//! A proxy before a gate, started with its ready configuration, whose addresses alone are others.

use std::{net::SocketAddr, process::Command};

use scopegate_server::Dialect;

use super::{envoy, traefik};
use crate::harness::{
    Options, World,
    program::{Program, debian, free_address},
};

/// The proxies that ask over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
    Envoy,
    Traefik,
}

/// One that runs.
pub(crate) struct Proxy {
    /// Where clients reach it.
    pub(crate) address: SocketAddr,
    pub(crate) programs: Vec<Program>,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Nginx, Self::Caddy, Self::Envoy, Self::Traefik];

    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Nginx => Dialect::Nginx,
            Self::Caddy => Dialect::Caddy,
            Self::Envoy => Dialect::Envoy,
            Self::Traefik => Dialect::Traefik,
        }
    }

    /// What a world needs, so that this proxy may ask its gate.
    pub(crate) fn options(self, contract: &'static str) -> Options {
        Options {
            trusted_proxies: &["127.0.0.0/8"],
            check: Some(self.dialect()),
            ..Options::of(contract)
        }
    }

    /// A world of this contract, and the proxy before it.
    pub(crate) async fn world(self, contract: &'static str) -> (World, Proxy) {
        let world = World::with(self.options(contract)).await;
        let proxy = self.before(&world).await;
        (world, proxy)
    }

    /// The proxy before a world that is there.
    pub(crate) async fn before(self, world: &World) -> Proxy {
        let upstream = address_of(&world.upstream.url);
        self.start(world.running().public_addr(), upstream, |text| text)
            .await
    }

    /// The proxy before a gate and an upstream. `adjust` changes its configuration.
    pub(crate) async fn start(
        self,
        gate: SocketAddr,
        upstream: SocketAddr,
        adjust: impl FnOnce(String) -> String,
    ) -> Proxy {
        let address = free_address();
        let text = self.configuration(address, gate, upstream);
        let text = adjust(text);
        let programs = match self {
            Self::Nginx => vec![nginx(&text, address).await],
            Self::Caddy => vec![caddy(&text, address).await],
            Self::Envoy => {
                let directory = tempfile::tempdir().expect("a directory");
                vec![envoy::run(directory, &text, address, 1).await]
            }
            Self::Traefik => vec![traefik::traefik(&text, address).await],
        };
        Proxy { address, programs }
    }

    /// The ready configuration with these addresses.
    fn configuration(self, own: SocketAddr, gate: SocketAddr, upstream: SocketAddr) -> String {
        let (example, before) = match self {
            Self::Nginx => (
                include_str!("../../adapters/server/examples/nginx.conf"),
                "127.0.0.1:",
            ),
            Self::Caddy => (
                include_str!("../../adapters/server/examples/Caddyfile"),
                "127.0.0.1:",
            ),
            Self::Envoy => (
                include_str!("../../adapters/server/examples/envoy-ext-authz-http.yaml"),
                "port_value: ",
            ),
            Self::Traefik => (
                include_str!("../../adapters/server/examples/traefik.yaml"),
                "127.0.0.1:",
            ),
        };
        let text: String = example
            .lines()
            // Comments show addresses as well.
            .filter(|line| !line.trim_start().starts_with("#  "))
            .map(|line| format!("{line}\n"))
            .collect();
        let named = [(8000, own), (8080, gate), (3000, upstream)];
        let mut text = text;
        for (number, address) in named {
            let (from, to) = (
                format!("{before}{number}"),
                format!("{before}{}", address.port()),
            );
            assert!(
                text.contains(&from) || number == 8000,
                "{self:?}: no `{from}`"
            );
            text = text.replace(&from, &to);
        }
        text.replace("http://:8000", &format!("http://:{}", own.port()))
    }
}

/// The address in `http://127.0.0.1:PORT`.
pub(super) fn address_of(url: &str) -> SocketAddr {
    let address = url.strip_prefix("http://").expect("http");
    address.parse().expect("an address")
}

async fn nginx(text: &str, address: SocketAddr) -> Program {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().display();
    // Without root, the folders that Debian has it write to are not for it.
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path {place}/{name};\n"))
        .collect();
    let text = text.replacen(
        "http {\n",
        &format!("http {{\n{folders}    access_log off;\n"),
        1,
    );
    let path = directory.path().join("nginx.conf");
    std::fs::write(&path, text).expect("written");
    let mut command = Command::new(debian("nginx", "nginx-light"));
    let globals =
        format!("daemon off; master_process off; pid {place}/nginx.pid; error_log stderr info;");
    command
        .arg("-p")
        .arg(directory.path())
        .arg("-e")
        .arg("stderr")
        .arg("-c")
        .arg(&path)
        .args(["-g", &globals]);
    let mut program = Program::start("nginx", command, directory);
    program.listening(address).await;
    program
}

async fn caddy(text: &str, address: SocketAddr) -> Program {
    let directory = tempfile::tempdir().expect("a directory");
    // Several run at once here, and its admin endpoint is one for all.
    let text = format!("{{\n\tadmin off\n}}\n{text}")
        // Cases come from addresses of their own.
        .replace(
            "# trusted_proxies 10.0.0.0/8",
            "trusted_proxies 127.0.0.0/8",
        );
    let path = directory.path().join("Caddyfile");
    std::fs::write(&path, text).expect("written");
    let mut command = Command::new(debian("caddy", "caddy"));
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&path)
        .env("HOME", directory.path())
        .env("XDG_DATA_HOME", directory.path())
        .env("XDG_CONFIG_HOME", directory.path());
    let mut program = Program::start("caddy", command, directory);
    program.listening(address).await;
    program
}
