//! A connection of an Envoy: from whom one is taken, and how it ends when the server does.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream};
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// Connections at once; an Envoy has one for each of its threads.
const CONNECTIONS_MAX: usize = 1024;

/// Who may ask.
#[derive(Clone, Debug)]
pub(crate) enum Askers {
    /// Whoever has a certificate: TLS sees to that.
    Certified,
    /// This machine, and these.
    Trusted(Vec<IpNet>),
}

impl Askers {
    fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Certified => true,
            Self::Trusted(nets) => {
                address.is_loopback() || nets.iter().any(|net| net.contains(&address))
            }
        }
    }
}

/// The connections of those who may ask, each good until it is cut.
pub(crate) fn accepted(
    listener: TcpListener,
    askers: Askers,
    cut: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    stream::unfold((listener, askers, cut, places), async |state| {
        let (listener, askers, cut, places) = &state;
        loop {
            // It is never closed.
            let Ok(place) = Arc::clone(places).acquire_owned().await else {
                return None;
            };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, mostly: trying again at once would only spin.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            if !askers.has(peer.ip()) {
                tracing::warn!(%peer, "a connection was closed: its address is not among `trusted_proxies`");
                continue;
            }
            let connection = Connection::new(stream, peer, place, cut.clone());
            return Some((connection, state));
        }
    })
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        cut: CancellationToken,
    ) -> io::Result<Self> {
        // Answers are small and waited for. One that is gone already fails when it is read from.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "a connection without TCP_NODELAY");
        }
        Ok(Self {
            stream,
            _place: place,
            cut: Box::pin(cut.cancelled_owned()),
        })
    }

    fn is_cut(&mut self, context: &mut Context<'_>) -> bool {
        self.cut.as_mut().poll(context).is_ready()
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the server has ended")
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.is_cut(context) {
            true => Poll::Ready(Err(ended())),
            false => Pin::new(&mut self.stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.is_cut(context) {
            true => Poll::Ready(Err(ended())),
            false => Pin::new(&mut self.stream).poll_write(context, from),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.is_cut(context) {
            true => Poll::Ready(Err(ended())),
            false => Pin::new(&mut self.stream).poll_write_vectored(context, from),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_do_not_ask() {
        let askers = Askers::Trusted(vec!["10.0.0.0/8".parse().unwrap()]);
        let has = |address: &str| askers.has(address.parse().unwrap());
        assert!(has("127.0.0.1") && has("::1") && has("10.1.2.3"));
        assert!(has("::ffff:10.1.2.3") && has("::ffff:127.0.0.1"));
        assert!(!has("11.0.0.1") && !has("2001:db8::1") && !has("0.0.0.0"));
        assert!(Askers::Certified.has("11.0.0.1".parse().unwrap()));
    }
}
