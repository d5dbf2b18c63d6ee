//! A load balancer as small as one can be: connections in turn to whoever is ready; a connection that is refused is tried
//! elsewhere, and nothing else is tried again.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Client;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// How often it asks who is ready.
const EVERY: Duration = Duration::from_millis(25);

/// Ends when it is dropped.
pub(super) struct Balancer {
    pub(super) address: SocketAddr,
    behind: Arc<Mutex<Vec<Behind>>>,
    tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Behind {
    address: SocketAddr,
    is_ready: bool,
    /// Held by all connections that may be passed on there.
    held: Arc<()>,
}

impl Balancer {
    pub(super) async fn start(addresses: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut balancer = Self {
            address: listener.local_addr().expect("an address"),
            behind: Arc::default(),
            tasks: JoinSet::new(),
        };
        for address in addresses {
            balancer.add(*address);
        }
        balancer.tasks.spawn(watch(Arc::clone(&balancer.behind)));
        balancer
            .tasks
            .spawn(serve(listener, Arc::clone(&balancer.behind)));
        for address in addresses {
            balancer.ready(*address).await;
        }
        balancer
    }

    /// Asks one more from now on whether it is ready.
    pub(super) fn add(&self, address: SocketAddr) {
        let mut behind = self.behind.lock().expect("no panic");
        behind.push(Behind {
            address,
            is_ready: false,
            held: Arc::default(),
        });
    }

    /// Waits until it is known to be ready.
    pub(super) async fn ready(&self, address: SocketAddr) {
        let is_ready = || {
            let behind = self.behind.lock().expect("no panic");
            let mut found = behind.iter().filter(|one| one.address == address);
            found.any(|one| one.is_ready)
        };
        for _ in 0..2_000 {
            if is_ready() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{address} is never ready");
    }

    /// Passes nothing on to it any more, and waits until everybody knows: as `docs/running.md` has it, before a gate is ended.
    pub(super) async fn leave(&self, address: SocketAddr) {
        let left = {
            let mut behind = self.behind.lock().expect("no panic");
            let place = behind.iter().position(|one| one.address == address);
            behind.swap_remove(place.expect("one that is there"))
        };
        while Arc::strong_count(&left.held) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn watch(behind: Arc<Mutex<Vec<Behind>>>) {
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
    let client = client.build().expect("a client");
    loop {
        let all: Vec<_> = {
            let behind = behind.lock().expect("no panic");
            behind.iter().map(|one| one.address).collect()
        };
        for address in all {
            let asked = client
                .get(format!("http://{address}/-/ready"))
                .timeout(Duration::from_secs(2))
                .send()
                .await;
            let is_ready = asked.is_ok_and(|reply| reply.status() == 200);
            let mut behind = behind.lock().expect("no panic");
            let known = behind.iter_mut().find(|known| known.address == address);
            if let Some(known) = known {
                known.is_ready = is_ready;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn serve(listener: TcpListener, behind: Arc<Mutex<Vec<Behind>>>) {
    let mut connections = JoinSet::new();
    for turn in 0.. {
        let (client, _) = listener.accept().await.expect("a connection");
        let behind = Arc::clone(&behind);
        connections.spawn(async move {
            let ready: Vec<_> = {
                let behind = behind.lock().expect("no panic");
                behind.iter().filter(|one| one.is_ready).cloned().collect()
            };
            pass(client, &ready, turn).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Ends without a word where nobody takes it: the client counts that as a failure.
async fn pass(mut client: TcpStream, ready: &[Behind], turn: usize) {
    let first = turn % ready.len().max(1);
    for one in ready.iter().cycle().skip(first).take(ready.len()) {
        match TcpStream::connect(one.address).await {
            Ok(mut server) => {
                let _ = copy_bidirectional(&mut client, &mut server).await;
                return;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(_) => return,
        }
    }
}
