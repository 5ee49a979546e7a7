//! Sockets and QUIC parameters.
//!
//! Measured with `examples/link.rs` on loopback, two cores shared with other work: 1452-byte datagrams carry
//! 0.32 GB/s, 4000 bytes 0.65 to 0.92 GB/s with 16 MiB in flight (and some loss in the socket buffers), and
//! 1.04 GB/s without loss with 2 MiB in flight. Datagrams of 8000 bytes do worse: quinn hands ten at a time to
//! the kernel, more than the 64 KiB that one call takes. On idle cores 4000 and 6000 bytes both carry 1.7 to
//! 1.8 GB/s, and training steps of 784-128-128-10 were 3 % faster with 6000 (medians of six runs in turns).

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    AckFrequencyConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig,
    VarInt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::options::{Congestion, Options, Path};
use crate::{NetError, Phase};

/// Asked of the operating system, which may grant less.
const SOCKET_BUFFER: usize = 8 << 20;

/// The smallest datagram that every QUIC path must carry.
const MIN_DATAGRAM: u16 = 1200;

/// Ten of these fit into one call to the kernel.
const MAX_DATAGRAM: u16 = 6400;

/// What depends on the path. A connection has twice a stream's window, so that a full offline stream
/// leaves as much to the online one.
struct Tuning {
    /// Bytes in flight on one stream.
    stream_window: u32,
    /// Bytes in flight before the first acknowledgement.
    initial_window: u64,
}

/// Below the socket buffers that Linux grants by default limits: more in flight is lost there.
const LOOPBACK: Tuning = Tuning { stream_window: 2 << 20, initial_window: 8 << 20 };

/// Enough for 1 Gbit/s over 130 ms.
const NETWORK: Tuning = Tuning { stream_window: 16 << 20, initial_window: 256 << 10 };

/// Datagrams that may overtake one on a network before it counts as lost.
const REORDERED: u32 = 64;

/// Binds a UDP socket with large buffers.
pub(super) fn socket(address: SocketAddr) -> Result<UdpSocket, NetError> {
    let failed =
        |error: std::io::Error| NetError::Bind { address: address.to_string(), reason: error.to_string() };
    let socket =
        Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP)).map_err(failed)?;
    // Best effort: the kernel's limit may be lower, and small buffers cost throughput only.
    if socket.set_recv_buffer_size(SOCKET_BUFFER).and(socket.set_send_buffer_size(SOCKET_BUFFER)).is_err() {
        tracing::debug!(%address, "the system refused larger socket buffers");
    }
    socket.bind(&address.into()).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket.into())
}

/// Settings of the endpoint.
pub(super) fn endpoint(options: &Options) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    // Fails only outside 1200..=65527, and the value is within.
    let _ = config.max_udp_payload_size(datagram(options));
    config
}

/// Settings for connections that nobody has authenticated yet: few, and with little buffered.
pub(super) fn server(crypto: Arc<QuicServerConfig>) -> ServerConfig {
    let mut config = ServerConfig::with_crypto(crypto);
    config.max_incoming(64).incoming_buffer_size(16 << 10).incoming_buffer_size_total(512 << 10);
    config
}

/// Settings of one connection.
pub(super) fn transport(options: &Options, peer: SocketAddr) -> Arc<TransportConfig> {
    let loopback = is_loopback(options, peer);
    let tuning = if loopback { LOOPBACK } else { NETWORK };
    let idle = options.deadline / 2;
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(datagram(options));
    let congestion = if loopback { Congestion::Cubic } else { options.congestion };
    let controller: Arc<dyn ControllerFactory + Send + Sync> = match congestion {
        Congestion::Cubic => {
            let mut cubic = CubicConfig::default();
            cubic.initial_window(tuning.initial_window);
            Arc::new(cubic)
        }
        Congestion::Bbr => {
            let mut bbr = BbrConfig::default();
            bbr.initial_window(tuning.initial_window);
            Arc::new(bbr)
        }
    };
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(10));

    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(Phase::COUNT as u32))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(tuning.stream_window))
        .receive_window(VarInt::from_u32(2 * tuning.stream_window))
        .send_window(2 * u64::from(tuning.stream_window))
        .max_idle_timeout(IdleTimeout::try_from(idle).ok())
        .keep_alive_interval(Some((idle / 4).min(Duration::from_secs(2))))
        .mtu_discovery_config(Some(discovery))
        .congestion_controller_factory(controller)
        .ack_frequency_config(Some(acks));
    if loopback {
        // No probing where the path is known, and no second of waiting when the peer starts late.
        config.initial_mtu(datagram(options)).initial_rtt(Duration::from_millis(10));
    } else {
        // Paths reorder: only time tells what is lost.
        config.packet_threshold(REORDERED);
    }
    Arc::new(config)
}

/// Whether a peer counts as being on this machine.
pub(super) fn is_loopback(options: &Options, peer: SocketAddr) -> bool {
    match options.path {
        Path::Detect => peer.ip().is_loopback(),
        Path::Loopback => true,
        Path::Network => false,
    }
}

fn datagram(options: &Options) -> u16 {
    options.max_datagram.clamp(MIN_DATAGRAM, MAX_DATAGRAM)
}
