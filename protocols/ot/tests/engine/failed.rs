//! A link that failed is not used again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tercet_net::memory::{self, MemoryTransport};
use tercet_net::{Meter, NetError, Party, PartyId, Phase, SessionId, Tag, Transport};
use tercet_online::Source;
use tercet_online::plan::TruncPlan;
use tercet_online::wire::Wire;
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing::join_session;
use tercet_share::{Bilinear, EphemeralKey, Ring, Tensor};

use crate::support::{column, open_all};

/// Cuts a byte off one offline message that this party receives: the one after as many others as are left to pass.
struct Cut<'a> {
    inner: MemoryTransport,
    pass: &'a AtomicUsize,
}

impl Transport for Cut<'_> {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn party(&self, id: PartyId) -> &Party {
        self.inner.party(id)
    }

    fn session(&self) -> SessionId {
        self.inner.session()
    }

    fn peer_key(&self, party: PartyId) -> &[u8] {
        self.inner.peer_key(party)
    }

    fn send(&mut self, to: PartyId, phase: Phase, tag: &Tag, payload: Vec<u8>) -> Result<(), NetError> {
        self.inner.send(to, phase, tag, payload)
    }

    fn recv(&mut self, from: PartyId, phase: Phase, tag: &Tag, bytes: usize) -> Result<Vec<u8>, NetError> {
        let mut payload = self.inner.recv(from, phase, tag, bytes)?;
        if phase == Phase::Offline && self.pass.fetch_sub(1, Ordering::SeqCst) == 0 {
            payload.pop();
        }
        Ok(payload)
    }

    fn meter(&self) -> &Meter {
        self.inner.meter()
    }

    fn meter_mut(&mut self) -> &mut Meter {
        self.inner.meter_mut()
    }

    fn close(self: Box<Self>) -> Result<(), NetError> {
        Box::new(self.inner).close()
    }
}

/// More messages than any test receives.
const ALL: usize = 1 << 30;

#[test]
fn no_product_is_made_on_links_on_which_one_failed() {
    let keys: [EphemeralKey; 3] = std::array::from_fn(|_| EphemeralKey::generate().unwrap());
    let options =
        memory::Options { keys: std::array::from_fn(|i| keys[i].public().to_vec()), ..Default::default() };
    let mesh = memory::mesh_with(["P0", "P1", "P2"], options).unwrap();
    let pass = [const { AtomicUsize::new(ALL) }; 3];
    let party = |transport: MemoryTransport, key| {
        let pass = &pass[transport.me().index()];
        let transport = Cut { inner: transport, pass };
        let certificates = [[1; 32], [2; 32], [3; 32]];
        let engine = join_session(transport, FieldBits::default(), key, certificates, open_all()).unwrap();
        let (transport, mut source) = engine.into_parts();
        let mut wire = Wire::new(transport);
        let (x, y) = (Tensor::zeros(2, 3), Tensor::zeros(3, 4));
        let mut product =
            |wire: &mut _| source.mask_product(wire, &Bilinear::MATMUL, &x, None, &y, Ring::FULL);
        product(&mut wire).unwrap();
        let first = wire.transport().me().index() == 0;
        if first {
            // Choice bits of both peers come first, then their corrections.
            pass.store(2, Ordering::SeqCst);
        }
        let outcome = product(&mut wire);
        if first {
            let failure = outcome.unwrap_err().to_string();
            assert!(failure.contains("the correction message has"), "{failure}");
            let sent = |wire: &Wire<Cut<'_>>| wire.transport().meter().snapshot().sent(Phase::Offline);
            let before = sent(&wire).payload_bytes;
            for _ in 0..2 {
                let refused = product(&mut wire).unwrap_err().to_string();
                assert!(refused.contains("failed earlier in this session"), "{refused}");
            }
            let plan = TruncPlan::new(&column(4, 30, 64), 20, Ring::FULL).unwrap();
            let refused = source.truncation_pads(&mut wire, 1, 0, &[plan]).unwrap_err().to_string();
            assert!(refused.contains("failed earlier in this session"), "{refused}");
            assert_eq!(sent(&wire).payload_bytes, before);
        } else {
            outcome.unwrap();
        }
        wire
    };
    let party = &party;
    thread::scope(|scope| {
        let threads: Vec<_> =
            mesh.into_iter().zip(keys).map(|(t, key)| scope.spawn(move || party(t, key))).collect();
        // No party leaves before the others are done.
        let wires: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        assert!(wires.iter().all(Result::is_ok));
    });
}
