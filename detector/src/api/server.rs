//! Takes connections and serves them, in a thread of its own: what watches the network never waits
//! for what people look at.
//!
//! A connection that stalls is closed after a bounded time, and there are so many at most.

use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::{App, middleware, routes, status, tls};
use crate::site::{Served, Site};
use crate::status::bus::Bus;

/// Connections at once; who comes later waits to be let in.
const CONNECTIONS: usize = 1_024;
const WORKERS: usize = 2;
/// How long a client may take over a request's head, which is also how long a connection may idle.
const HEAD: Duration = Duration::from_secs(20);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests may continue after the server was asked to stop.
const FAREWELL: Duration = Duration::from_secs(3);
/// A pause where no connection can be taken, such as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest head, and the most that is read ahead.
const BUFFER: usize = 64 << 10;

/// A server that runs. Dropped, it is stopped.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    scheme: &'static str,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Where it listens: the port is the kernel's choice where 0 was configured.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:5000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the API's server panicked");
        }
    }
}

/// Serves a site until what is returned is dropped.
pub fn serve(site: Site) -> anyhow::Result<Served> {
    let Site { config, current, store, agent, bus, listener } = site;
    let app = App::new(config, current, store, agent, bus)?;
    let handle = start(app, listener)?;
    Ok(Served::new(handle.url(), handle))
}

/// Serves `app` until the handle is dropped.
pub fn start(app: App, listener: StdListener) -> anyhow::Result<Handle> {
    let address = listener.local_addr().context("failed to read the socket's address")?;
    let scheme = app.config.api.scheme();
    let acceptor = tls::acceptor(&app.config.api)?;
    let router = middleware::guarded(&app, routes::router(&app));
    let bus = Arc::clone(&app.bus);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("api")
        .enable_all()
        .build()
        .context("failed to start the API's runtime")?;
    let mut runtime = OwnRuntime(Some(runtime));
    let (stop, stopped) = watch::channel(false);
    let run = move || {
        let Some(runtime) = runtime.0.take() else { return };
        runtime.block_on(async {
            tokio::spawn(status::tick(app));
            accept(listener, router, &bus, acceptor, stopped).await;
        });
        // A handler that waits for the disk must not hold up the end.
        runtime.shutdown_timeout(FAREWELL);
    };
    let thread = std::thread::Builder::new()
        .name("api".to_owned())
        .spawn(run)
        .context("failed to start the API's thread")?;
    Ok(Handle { address, scheme, stop, thread: Some(thread) })
}

/// A runtime that may be dropped on a task of another, which must not wait for it: that is where it
/// is when its thread cannot be started.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(
    listener: StdListener,
    router: Router,
    bus: &Bus,
    acceptor: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("failed to watch the API's socket: {error}"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            next = next => next,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("failed to accept a connection to the API: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = Connection {
            router: router.clone(),
            from: from.ip().to_canonical(),
            stopped: stopped.clone(),
        };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            connection.open(stream, acceptor).await;
            drop(place);
        });
    }
    drop(listener);
    // Ends endless streams.
    bus.close();
    let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    if timeout(FAREWELL, places.acquire_many(all)).await.is_err() {
        tracing::debug!("interrupted requests to the API at shutdown");
    }
}

/// Returns when the handle is dropped.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // The other end is gone where this fails: that is the end, too.
    drop(stopped.wait_for(|stop| *stop).await);
}

struct Connection {
    router: Router,
    from: IpAddr,
    stopped: watch::Receiver<bool>,
}

impl Connection {
    async fn open(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        // Without it an answer may wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("{}: {error}", self.from);
        }
        let Some(acceptor) = acceptor else { return self.serve(stream).await };
        match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!("{}: the TLS handshake failed: {error}", self.from),
            Err(_) => tracing::debug!("{}: no TLS handshake within {HANDSHAKE:?}", self.from),
        }
    }

    async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (router, from) = (TowerToHyperService::new(self.router), self.from);
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(from));
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = told_to_stop(&mut self.stopped) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::trace!("{from}: {error}");
        }
    }
}
