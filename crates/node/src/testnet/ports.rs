//! Free ports on loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// `N` loopback addresses whose UDP ports are free. All are held until the last is found, so they differ; they are free
/// again on return, and a program that grabs one in between makes a node fail with a sentence that names the port.
pub(super) fn free<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    for _ in 0..N {
        held.push(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    }
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, socket) in addresses.iter_mut().zip(&held) {
        *address = socket.local_addr()?;
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ_and_can_be_bound() {
        let addresses = free::<3>().unwrap();
        let sockets: Vec<_> = addresses.iter().map(|address| UdpSocket::bind(address).unwrap()).collect();
        assert_eq!(sockets.len(), 3);
        assert!(addresses[0] != addresses[1] && addresses[1] != addresses[2] && addresses[0] != addresses[2]);
    }
}
