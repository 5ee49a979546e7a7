//! The server: a thread of its own, few connections, each short.
//!
//! hyper does HTTP, because its parser is used and attacked everywhere; accepting is done here, so that connections are
//! counted before anything is read from them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::page::page;
use super::prometheus::{self, MEDIA_TYPE};
use super::{Live, MetricsConfig};

/// Connections at the same time; more wait in the system's queue.
const CONNECTIONS: usize = 16;

/// How long a caller may take to send its request.
const REQUEST_TIME: Duration = Duration::from_secs(2);

/// How long a connection may live.
const CONNECTION_TIME: Duration = Duration::from_secs(5);

/// Longest head of a request, bytes; hyper takes no less.
const HEAD: usize = 8192;

/// The view cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is not on loopback, and nobody said that it may be.
    #[error(
        "{0} can be reached from other machines, and metrics are for this party's operators: listen on 127.0.0.1, or say \
         `--metrics-open` (`open = true` in the node file)"
    )]
    Open(SocketAddr),
    /// The address cannot be listened on.
    #[error("metrics cannot be served on TCP {address} ({source}): choose another address")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// A running server; it ends when dropped.
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `live`.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(config: MetricsConfig, live: Live) -> Result<Server, ServerError> {
        let MetricsConfig { listen, open } = config;
        if !(listen.ip().is_loopback() || open) {
            return Err(ServerError::Open(listen));
        }
        let failed = |source| ServerError::Bind { address: listen, source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let (bound, ready) = mpsc::channel();
        let thread = std::thread::Builder::new().name("tercet-metrics".to_owned()).spawn(move || {
            runtime.block_on(async move {
                match TcpListener::bind(listen).await.and_then(|l| Ok((l.local_addr()?, l))) {
                    Ok((address, listener)) => {
                        let _ = bound.send(Ok(address));
                        tokio::select! {
                            () = accept(listener, live, open) => {}
                            _ = stopped => {}
                        }
                    }
                    Err(error) => {
                        let _ = bound.send(Err(error));
                    }
                }
            });
        });
        let thread = thread.map_err(failed)?;
        let ended = || std::io::Error::other("its thread ended");
        let address = ready.recv().map_err(|_| failed(ended()))?.map_err(failed)?;
        Ok(Server { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The address, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been on stderr; the run itself is over.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, live: Live, open: bool) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // A permit before the connection: nothing is taken from the system that cannot be served.
        let Ok(permit) = free.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let live = live.clone();
                tokio::spawn(async move {
                    // A caller that breaks off, or is cut off, is its own affair.
                    let _ = timeout(CONNECTION_TIME, serve(stream, live, open)).await;
                    drop(permit);
                });
            }
            // Too many open files, for instance: the next try may do better.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(stream: TcpStream, live: Live, open: bool) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let live = live.clone();
        async move { Ok::<_, Infallible>(answer(&request, &live, open)) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, live: &Live, open: bool) -> Response<Full<Bytes>> {
    if !open && !names_this_machine(request) {
        return plain(StatusCode::FORBIDDEN, "ask by the address or as localhost\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => response(StatusCode::OK, MEDIA_TYPE, prometheus::text(&live.shown())),
        "/" => response(StatusCode::OK, "text/html; charset=utf-8", page(&live.shown())),
        _ => plain(StatusCode::NOT_FOUND, "there are / and /metrics\n"),
    }
}

/// A page of some other site, open in a browser on this machine, can make its own name mean 127.0.0.1, but cannot hide it.
fn names_this_machine(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    name == "localhost" || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", text.to_owned())
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}
