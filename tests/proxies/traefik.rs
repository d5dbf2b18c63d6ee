//! Traefik, the real one, with its ready configuration.

use std::{net::SocketAddr, process::Command};

use crate::harness::program::{self, Program};

/// A Traefik that listens here, with this dynamic configuration.
pub(super) async fn traefik(text: &str, address: SocketAddr) -> Program {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("scopegate.yaml");
    std::fs::write(&path, text).expect("written");
    let mut command = Command::new(program::traefik());
    command
        .arg(format!("--entryPoints.web.address={address}"))
        .arg(format!("--providers.file.filename={}", path.display()))
        .arg("--global.checkNewVersion=false");
    if text.contains("trustForwardHeader: true") {
        // Behind a load balancer, which says where clients are.
        command.arg("--entryPoints.web.forwardedHeaders.trustedIPs=127.0.0.1");
    }
    let mut program = Program::start("traefik", command, directory);
    program.listening(address).await;
    // It listens before it has read what it forwards.
    loaded(address).await;
    program
}

/// Waits until a request finds a route: until then every one is a 404 in plain text.
async fn loaded(address: SocketAddr) {
    for _ in 0..500 {
        let reply = crate::harness::raw::raw_request(address, "GET / HTTP/1.1", &[]).await;
        if !reply.contains("404 page not found") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("Traefik finds no route");
}
