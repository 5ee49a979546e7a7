//! Free ports on loopback.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// Ports to choose from: below those that systems give to sockets that ask for any, so that no such socket takes a port
/// between its choice here and the start of the node.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// Ports tried before giving up.
const ATTEMPTS: usize = 1_000;

/// `N` different loopback addresses whose UDP ports are free, chosen at random. A program that takes one of them before
/// the node does makes the node fail with a sentence that names the port.
///
/// # Errors
/// The last reason when no free port is found.
pub fn free<const N: usize>() -> io::Result<[SocketAddr; N]> {
    // Held until all are found, so that they differ.
    let mut held = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        *address = SocketAddr::from((Ipv4Addr::LOCALHOST, one(&mut held)?));
    }
    Ok(addresses)
}

fn one(held: &mut Vec<UdpSocket>) -> io::Result<u16> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        // A fresh hasher is seeded by the system; ports need no better randomness.
        let random = RandomState::new().build_hasher().finish();
        let port = RANGE.start + (random % u64::from(RANGE.end - RANGE.start)) as u16;
        match UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(socket) => {
                held.push(socket);
                return Ok(port);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
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
