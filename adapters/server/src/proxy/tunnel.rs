//! WebSockets: bytes both ways, until either side closes, nothing moves for too long, the credential ends or the
//! server stops.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use scopegate_axum::Lease;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The open tunnels.
#[derive(Clone, Debug)]
pub struct Tunnels {
    places: Arc<Semaphore>,
    open: TaskTracker,
    cut: CancellationToken,
}

impl Tunnels {
    /// None yet, and at most so many.
    pub(super) fn new(tunnels_max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(tunnels_max.min(Semaphore::MAX_PERMITS))),
            open: TaskTracker::new(),
            cut: CancellationToken::new(),
        }
    }

    /// A place for one more, if there is one.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Joins the two sides as soon as both have switched protocols.
    pub(super) fn open(
        &self,
        place: OwnedSemaphorePermit,
        client: OnUpgrade,
        upstream: OnUpgrade,
        lease: Option<Lease>,
        idle: Duration,
    ) {
        let cut = self.cut.clone();
        self.open.spawn(async move {
            let _place = place;
            let ended = async {
                match &lease {
                    Some(lease) => (lease, lease.ended().await),
                    None => std::future::pending().await,
                }
            };
            // Both connections close when their ends are dropped with `carry`.
            let ended = tokio::select! {
                biased;
                ended = ended => ended,
                () = cut.cancelled() => {
                    tracing::info!("a WebSocket was cut by the shutdown");
                    return;
                }
                carried = carry(client, upstream, idle) => {
                    if let Err(error) = carried {
                        tracing::debug!(%error, "a WebSocket broke off");
                    }
                    return;
                }
            };
            let (lease, cause) = ended;
            tracing::info!(
                why = cause.code(),
                "a WebSocket was ended with its credential"
            );
            lease.broken_off(&cause).await;
        });
    }

    /// Waits until none is open.
    pub async fn closed(&self) {
        self.open.close();
        self.open.wait().await;
    }

    /// Cuts those that are open.
    pub fn cut(&self) {
        self.cut.cancel();
    }
}

async fn carry(client: OnUpgrade, upstream: OnUpgrade, idle: Duration) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let activity = Arc::new(Activity {
        started: Instant::now(),
        last_ms: AtomicU64::new(0),
    });
    let mut client = Active {
        io: TokioIo::new(client),
        activity: Arc::clone(&activity),
    };
    let mut upstream = TokioIo::new(upstream);
    tokio::select! {
        carried = tokio::io::copy_bidirectional(&mut client, &mut upstream) => carried.map(drop),
        () = activity.ceased(idle) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// When something last moved.
struct Activity {
    started: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    fn moved(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    async fn ceased(&self, idle: Duration) {
        loop {
            let last = self.started + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            if last.elapsed() >= idle {
                return;
            }
            tokio::time::sleep_until(last + idle).await;
        }
    }
}

/// The client's end, which sees every byte: those that it sends and those that it is sent.
struct Active {
    io: TokioIo<Upgraded>,
    activity: Arc<Activity>,
}

impl AsyncRead for Active {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(context, buf);
        if polled.is_ready() {
            self.activity.moved();
        }
        polled
    }
}

impl AsyncWrite for Active {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        if polled.is_ready() {
            self.activity.moved();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
