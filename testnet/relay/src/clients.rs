//! Which socket towards the target belongs to which client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::link::later;
use crate::socket::Port;

/// Names a mapping. A client that comes back after its mapping expired gets another one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct ClientId(u64);

/// A client of the relay and its own socket towards the target.
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) address: SocketAddr,
    /// The address of the relay that the client uses: answers come from there.
    pub(crate) dialled: Option<IpAddr>,
    pub(crate) upstream: Port,
    last_used: Instant,
}

/// All mappings. There are few, so a search walks the list.
pub(crate) struct Clients {
    target: SocketAddr,
    idle: Duration,
    most: usize,
    list: Vec<Client>,
    ids: u64,
    expired: u64,
}

impl Clients {
    pub(crate) fn new(target: SocketAddr, idle: Duration, most: usize) -> Self {
        Self { target, idle, most: most.max(1), list: Vec::new(), ids: 0, expired: 0 }
    }

    /// The mapping of `address`, made now if there is none. In a full list it takes the place of the one that was
    /// idle for longest.
    ///
    /// # Errors
    /// The system gives no socket.
    pub(crate) fn admit(
        &mut self,
        address: SocketAddr,
        dialled: Option<IpAddr>,
        now: Instant,
    ) -> io::Result<ClientId> {
        if let Some(client) = self.list.iter_mut().find(|client| client.address == address) {
            (client.last_used, client.dialled) = (now, dialled);
            return Ok(client.id);
        }
        let upstream = Port::towards(self.target)?;
        if self.list.len() >= self.most
            && let Some(oldest) = (0..self.list.len()).min_by_key(|at| self.list[*at].last_used)
        {
            self.list.swap_remove(oldest);
            self.expired += 1;
        }
        self.ids += 1;
        let id = ClientId(self.ids);
        self.list.push(Client { id, address, dialled, upstream, last_used: now });
        Ok(id)
    }

    /// Notes that the target answered a client.
    pub(crate) fn touch(&mut self, at: usize, now: Instant) {
        self.list[at].last_used = now;
    }

    /// The mapping, unless it has expired.
    pub(crate) fn find(&self, id: ClientId) -> Option<&Client> {
        self.list.iter().find(|client| client.id == id)
    }

    /// Where all mappings lead.
    pub(crate) fn target(&self) -> SocketAddr {
        self.target
    }

    /// The mappings. Their places change only in `admit` and `expire`.
    pub(crate) fn list(&self) -> &[Client] {
        &self.list
    }

    /// Ends the mappings that nobody used for long enough.
    pub(crate) fn expire(&mut self, now: Instant) {
        let before = self.list.len();
        self.list.retain(|client| later(client.last_used, self.idle) > now);
        self.expired += (before - self.list.len()) as u64;
    }

    /// When the next mapping expires if nobody uses it.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.list.iter().map(|client| later(client.last_used, self.idle)).min()
    }

    /// Mappings made and mappings ended so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.ids, self.expired)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clients() -> Clients {
        Clients::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)), 10 * SECOND, 2)
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    #[test]
    fn each_client_has_one_mapping_until_it_is_idle_for_too_long() {
        let (mut clients, start) = (clients(), Instant::now());
        let first = clients.admit(address(1), None, start).unwrap();
        let second = clients.admit(address(2), None, start + SECOND).unwrap();
        assert_ne!(first, second);
        assert_eq!(clients.admit(address(1), None, start + 5 * SECOND).unwrap(), first);
        assert_eq!(clients.next_expiry(), Some(start + 11 * SECOND));
        clients.expire(start + 11 * SECOND);
        assert!(clients.find(first).is_some() && clients.find(second).is_none());
        assert_ne!(clients.admit(address(2), None, start + 12 * SECOND).unwrap(), second);
        assert_eq!(clients.counts(), (3, 1));
    }

    #[test]
    fn a_new_client_takes_the_place_of_the_longest_idle_one() {
        let (mut clients, start) = (clients(), Instant::now());
        let first = clients.admit(address(1), None, start).unwrap();
        let second = clients.admit(address(2), None, start + SECOND).unwrap();
        clients.touch(0, start + 2 * SECOND);
        let third = clients.admit(address(3), None, start + 3 * SECOND).unwrap();
        assert!(clients.find(first).is_some() && clients.find(third).is_some());
        assert!(clients.find(second).is_none());
    }
}
