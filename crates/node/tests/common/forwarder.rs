//! A UDP forwarder that records every datagram: what an eavesdropper on the network sees.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a waiting thread looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Every datagram, in either direction.
pub type Capture = Arc<Mutex<Vec<Vec<u8>>>>;

/// Stands at one address and passes datagrams on to another, and the answers back.
pub struct Forwarder {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Forwarder {
    /// Forwards to `target` and records into `capture`.
    pub fn start(target: SocketAddr, capture: &Capture) -> Forwarder {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(LOOK_EVERY)).unwrap();
        let forwarder = Forwarder {
            address: socket.local_addr().unwrap(),
            ended: Arc::default(),
            threads: Arc::default(),
        };
        let (ended, threads, capture) = (forwarder.ended.clone(), forwarder.threads.clone(), capture.clone());
        let spawn = move || {
            // One socket towards the target for each source, so that answers find their way back.
            let mut towards: HashMap<SocketAddr, UdpSocket> = HashMap::new();
            let mut buffer = vec![0; 65_536];
            while !ended.load(Ordering::Relaxed) {
                let Some((length, source)) = received(socket.recv_from(&mut buffer)) else { continue };
                capture.lock().unwrap().push(buffer[..length].to_vec());
                let there = towards.entry(source).or_insert_with(|| {
                    let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                    there.connect(target).unwrap();
                    there.set_read_timeout(Some(LOOK_EVERY)).unwrap();
                    let back = answers(
                        there.try_clone().unwrap(),
                        socket.try_clone().unwrap(),
                        source,
                        capture.clone(),
                        ended.clone(),
                    );
                    threads.lock().unwrap().push(back);
                    there
                });
                // A target that is not there yet refuses; QUIC tries again.
                let _ = there.send(&buffer[..length]);
            }
        };
        let thread = thread::spawn(spawn);
        forwarder.threads.lock().unwrap().push(thread);
        forwarder
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        loop {
            let Some(thread) = self.threads.lock().unwrap().pop() else { break };
            let _ = thread.join();
        }
    }
}

fn answers(
    from: UdpSocket,
    to: UdpSocket,
    source: SocketAddr,
    capture: Capture,
    ended: Arc<AtomicBool>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while !ended.load(Ordering::Relaxed) {
            if let Some(length) = received(from.recv(&mut buffer)) {
                capture.lock().unwrap().push(buffer[..length].to_vec());
                let _ = to.send_to(&buffer[..length], source);
            }
        }
    })
}

/// `None` where nothing came in time, or the other side was not there.
fn received<T>(result: io::Result<T>) -> Option<T> {
    result.ok()
}
