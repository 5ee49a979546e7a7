//! UDP sockets that move several datagrams per system call.
//!
//! Measured with `examples/measure.rs` on loopback, two cores shared with other work: 2.6 microseconds of processor
//! time for each datagram of 1452 bytes that comes alone, 0.9 where ten come in one call of the sender, because
//! segmentation offload keeps them together on the whole way.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSocketState};

/// Asked of the operating system, which may grant less.
const SOCKET_BUFFER: usize = 8 << 20;

/// What one receive buffer must hold: an IP packet, after offload.
const BUFFER: usize = 64 << 10;

/// Receive buffers per system call.
const BUFFERS: usize = 8;

/// The most payload that one system call sends: an IPv4 packet.
const MOST_BYTES: usize = 65_507;

/// A UDP socket. It never blocks.
pub(crate) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Port {
    /// A socket on `address`.
    pub(crate) fn listening(address: SocketAddr) -> io::Result<Self> {
        Self::new(UdpSocket::bind(address)?)
    }

    /// A socket that exchanges datagrams with `target` only.
    pub(crate) fn towards(target: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = match target.ip() {
            // Bound to loopback from the start, so that no other machine can reach it before it is connected.
            IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(target)?;
        Self::new(socket)
    }

    fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        // Best effort: with less, bursts while the relay is not scheduled are lost.
        let _ = state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER);
        let _ = state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER);
        Ok(Self { socket, state })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends one datagram, or several of one size of which the last may be shorter.
    pub(crate) fn send(
        &self,
        train: &Train,
        destination: SocketAddr,
        src_ip: Option<IpAddr>,
    ) -> io::Result<()> {
        let segment_size = (train.count > 1).then_some(train.segment);
        let contents = &train.bytes;
        self.state.try_send(
            (&self.socket).into(),
            &Transmit { destination, ecn: train.ecn, contents, segment_size, src_ip },
        )
    }

    /// How many datagrams one call sends.
    pub(crate) fn most_segments(&self) -> usize {
        self.state.max_gso_segments()
    }
}

/// Datagrams that one call sends to one destination.
#[derive(Default)]
pub(crate) struct Train {
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
    ecn: Option<EcnCodepoint>,
}

impl Train {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// How many datagrams.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of payload.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The datagrams one by one.
    pub(crate) fn singles(&self) -> impl Iterator<Item = Train> {
        let single =
            |bytes: &[u8]| Train { bytes: bytes.to_vec(), segment: bytes.len(), count: 1, ecn: self.ecn };
        self.bytes.chunks(self.segment.max(1)).map(single)
    }

    /// Adds a datagram if it can go with the others, of which there may be `most`.
    pub(crate) fn add(&mut self, payload: &[u8], ecn: Option<EcnCodepoint>, most: usize) -> bool {
        if self.count == 0 {
            (self.segment, self.ecn) = (payload.len(), ecn);
        } else {
            let whole = self.bytes.len() == self.segment * self.count;
            let fits = self.count < most && self.bytes.len() + payload.len() <= MOST_BYTES;
            // An empty datagram has no place among segments.
            let alike = payload.len() <= self.segment && !payload.is_empty() && ecn == self.ecn;
            if !(whole && fits && alike) {
                return false;
            }
        }
        self.bytes.extend_from_slice(payload);
        self.count += 1;
        true
    }
}

/// Where received datagrams are put before they are sorted.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    metas: [RecvMeta; BUFFERS],
}

/// A received datagram.
pub(crate) struct Received<'a> {
    pub(crate) from: SocketAddr,
    /// The address it was sent to, where the system tells.
    pub(crate) to: Option<IpAddr>,
    pub(crate) ecn: Option<EcnCodepoint>,
    pub(crate) payload: &'a [u8],
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; BUFFER * BUFFERS], metas: [RecvMeta::default(); BUFFERS] }
    }

    /// Reads what is there, up to a limit. The answer says whether more may be there.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; `ConnectionRefused` and others that an earlier send caused.
    pub(crate) fn receive(&mut self, port: &Port, mut take: impl FnMut(Received<'_>)) -> io::Result<bool> {
        let mut chunks = self.bytes.chunks_exact_mut(BUFFER);
        // The closure runs as often as there are chunks.
        let mut buffers: [IoSliceMut<'_>; BUFFERS] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let count = port.state.recv((&port.socket).into(), &mut buffers, &mut self.metas)?;
        for (meta, buffer) in self.metas[..count].iter().zip(&buffers) {
            let mut one =
                |payload| take(Received { from: meta.addr, to: meta.dst_ip, ecn: meta.ecn, payload });
            match meta.len {
                0 => one(&[]),
                len => buffer[..len.min(BUFFER)].chunks(meta.stride.max(1)).for_each(one),
            }
        }
        Ok(count == BUFFERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_holds_datagrams_of_one_size_and_one_shorter_at_its_end() {
        let mut train = Train::default();
        assert!(train.add(&[1; 100], None, 64) && train.add(&[2; 100], None, 64));
        assert!(!train.add(&[3; 101], None, 64), "longer");
        assert!(!train.add(&[3; 100], Some(EcnCodepoint::Ce), 64), "marked");
        assert!(!train.add(&[], None, 64), "empty");
        assert!(train.add(&[4; 99], None, 64));
        assert!(!train.add(&[5; 99], None, 64), "after a shorter one");
        assert_eq!((train.count(), train.bytes()), (3, 299));
        let lengths: Vec<usize> = train.singles().map(|single| single.bytes()).collect();
        assert_eq!(lengths, [100, 100, 99]);
    }

    #[test]
    fn a_train_is_bounded_in_number_and_bytes() {
        let mut train = Train::default();
        assert_eq!((0..100).filter(|_| train.add(&[0; 10], None, 64)).count(), 64);
        train.clear();
        assert_eq!((0..100).filter(|_| train.add(&[0; 6400], None, 64)).count(), 10);
        train.clear();
        assert_eq!((0..100).filter(|_| train.add(&[], None, 64)).count(), 1);
    }
}
