//! Traefik, the real one, with its ready configuration.

use std::{net::SocketAddr, process::Command};

use crate::harness::{
    Actor,
    program::{self, Program, free_address},
};

/// A Traefik that listens here, with this dynamic configuration.
pub(super) async fn traefik(text: &str, address: SocketAddr) -> Program {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("scopegate.yaml");
    std::fs::write(&path, text).expect("written");
    let (own, mut command) = (free_address(), Command::new(program::traefik()));
    command
        .arg(format!("--entryPoints.web.address={address}"))
        .arg(format!("--providers.file.filename={}", path.display()))
        .arg("--global.checkNewVersion=false")
        .arg("--api.insecure=true")
        .arg(format!("--entryPoints.traefik.address={own}"));
    if text.contains("trustForwardHeader: true") {
        // Behind a load balancer, which says where clients are.
        command.arg("--entryPoints.web.forwardedHeaders.trustedIPs=127.0.0.1");
    }
    let mut program = Program::start("traefik", command, directory);
    program.listening(address).await;
    program.listening(own).await;
    // It listens before it has read what it forwards.
    loaded(own).await;
    program
}

/// Waits until it says at its own address that it forwards.
async fn loaded(own: SocketAddr) {
    let api = Actor::new(&format!("http://{own}"), None);
    for _ in 0..500 {
        let router = api.get("/api/http/routers/api@file").await;
        if router.body.contains("\"status\":\"enabled\"") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("Traefik finds no route");
}
