//! What honest parties see when one party breaks the rules: for every fault and every party as the faulty one.

mod mesh;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use mesh::{NAMES, Setup, tag};
use tercet_net::fault::{BaseTransport, Fault, FaultPlan, FaultTransport};
use tercet_net::quic::QuicTransport;
use tercet_net::{NetError, PartyId, Phase, Transport, memory};

/// Each claim is a generic function, run on both transports.
macro_rules! claims {
    ($($claim:ident),* $(,)?) => {
        mod in_memory { $(#[test] fn $claim() { super::$claim::<super::memory::MemoryTransport>(); })* }
        mod over_quic { $(#[test] fn $claim() { super::$claim::<super::QuicTransport>(); })* }
    };
}

claims!(
    a_dropped_message_is_missed_when_the_next_one_arrives,
    a_party_that_stops_sending_is_named_within_the_deadline,
    a_delay_within_the_deadline_harms_nobody,
    a_delay_beyond_the_deadline_is_silence,
    reordered_messages_are_told_by_their_operation,
    a_duplicate_is_told_by_its_operation,
    a_truncated_message_is_told_by_its_length,
    an_oversized_message_is_told_by_its_length,
    a_message_over_the_own_frame_limit_never_leaves,
    a_wrong_step_is_named,
    a_wrong_label_is_named,
    a_wrong_session_is_named,
    a_disconnected_party_is_named_promptly,
    a_corrupted_payload_is_delivered_and_ends_no_later_than_other_faults,
);

trait Mesh: BaseTransport + Sized + 'static {
    /// Short, but long enough for a machine that does other things as well.
    const DEADLINE: Duration;

    fn build() -> [Self; 3];
}

impl Mesh for memory::MemoryTransport {
    const DEADLINE: Duration = Duration::from_millis(800);

    fn build() -> [Self; 3] {
        memory::mesh_with(NAMES, memory::Options { deadline: Self::DEADLINE, ..Default::default() }).unwrap()
    }
}

impl Mesh for QuicTransport {
    const DEADLINE: Duration = Duration::from_secs(2);

    fn build() -> [Self; 3] {
        Setup::new().connect_all(|_, options| options.deadline = Self::DEADLINE).map(Result::unwrap)
    }
}

const ROUNDS: u64 = 6;
const LENGTH: usize = 32;
/// The round whose message meets the fault.
const FAULTY_ROUND: u64 = 2;

/// How a party's run ended badly.
#[derive(Debug)]
enum Failure {
    Net(NetError),
    /// A payload is not what an honest sender sends in that round.
    Content {
        from: PartyId,
        round: u64,
    },
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        Failure::Net(error)
    }
}

/// What `from` sends in a round.
fn content(from: PartyId, round: u64) -> Vec<u8> {
    vec![from.index() as u8 * 100 + round as u8; LENGTH]
}

/// Rounds of both phases in which everybody sends to everybody, and then receives. Two rounds make a step.
fn rounds(mut party: Box<dyn Transport>) -> Result<(), Failure> {
    let me = party.me();
    for round in 0..ROUNDS {
        let place = |phase: Phase| tag(round / 2, 2 * round + phase.index() as u64);
        for phase in Phase::ALL {
            for peer in me.others() {
                party.send(peer, phase, &place(phase), content(me, round))?;
            }
        }
        for phase in Phase::ALL {
            for peer in me.others() {
                if party.recv(peer, phase, &place(phase), LENGTH)? != content(peer, round) {
                    return Err(Failure::Content { from: peer, round });
                }
            }
        }
    }
    Ok(party.close()?)
}

/// One run with a faulty party.
struct Case {
    faulty: PartyId,
    /// Who receives the faulty messages.
    victim: PartyId,
    bystander: PartyId,
    phase: Phase,
    /// How each party ended, and how long it took.
    ends: [(Result<(), Failure>, Duration); 3],
    deadline: Duration,
}

impl Case {
    fn run<M: Mesh>(faulty: PartyId, phase: Phase, faults: &[Fault]) -> Self {
        let [low, high] = faulty.others();
        // Every pair and direction over the three parties and two phases.
        let (victim, bystander) = if phase == Phase::Online { (low, high) } else { (high, low) };
        let plans: Vec<FaultPlan> = (FAULTY_ROUND..)
            .zip(faults)
            .map(|(message, fault)| FaultPlan { to: victim, phase, message, fault: *fault })
            .collect();
        let parties = M::build();
        let start = Instant::now();
        let threads = parties.map(|party| {
            let plans = plans.clone();
            thread::spawn(move || {
                let party: Box<dyn Transport> = match party.me() == faulty {
                    true => Box::new(FaultTransport::new(party, plans)),
                    false => Box::new(party),
                };
                let end = rounds(party);
                (end, start.elapsed())
            })
        });
        let ends = threads.map(|thread| thread.join().expect("no party panics"));
        Self { faulty, victim, bystander, phase, ends, deadline: M::DEADLINE }
    }

    fn end(&self, party: PartyId) -> &Result<(), Failure> {
        &self.ends[party.index()].0
    }

    /// The error of a party whose run must not have succeeded.
    fn failure(&self, party: PartyId) -> &Failure {
        self.end(party).as_ref().expect_err("the run cannot succeed")
    }

    fn error(&self, party: PartyId) -> &NetError {
        match self.failure(party) {
            Failure::Net(error) => error,
            other => panic!("{other:?}"),
        }
    }

    fn took(&self, party: PartyId) -> Duration {
        self.ends[party.index()].1
    }

    /// The party that an error names.
    fn named(&self, party: PartyId) -> Option<PartyId> {
        self.error(party).party().map(|party| party.id())
    }

    /// What must hold whatever the fault is: nobody succeeds or hangs.
    fn all_end(&self) {
        self.failure(self.faulty);
        for honest in [self.victim, self.bystander] {
            self.failure(honest);
            // Twice the deadline: a round may begin just before it and end by it. The rest is for a busy machine.
            let most = 2 * self.deadline + Duration::from_secs(1);
            assert!(self.took(honest) < most, "{honest} took {:?}", self.took(honest));
        }
    }

    /// After a fault that only the victim can see: its error names the faulty party, the bystander's one of the others.
    fn victim_names_the_faulty_party(&self) {
        self.all_end();
        assert_eq!(self.named(self.victim), Some(self.faulty), "{}", self.error(self.victim));
        self.bystander_names_another();
    }

    fn bystander_names_another(&self) {
        let named = self.named(self.bystander);
        assert!(named.is_some() && named != Some(self.bystander), "{}", self.error(self.bystander));
    }

    /// After the faulty party left: one honest party names it, and the other does too, or was told by the first.
    fn both_learn_of_the_loss(&self, why: &str) {
        self.all_end();
        let honest = [self.victim, self.bystander];
        assert!(honest.iter().any(|party| self.named(*party) == Some(self.faulty)));
        for party in honest {
            let error = self.error(party);
            let lost = matches!(error, NetError::PeerLost { .. });
            let text = error.to_string();
            assert!(lost && text.contains(NAMES[self.faulty.index()]) && text.contains(why), "{text}");
            assert!(self.took(party) < self.deadline, "{party} took {:?}", self.took(party));
        }
    }

    /// The operation that the victim awaits.
    fn op(&self) -> u64 {
        2 * FAULTY_ROUND + self.phase.index() as u64
    }

    /// Whether an error comes at once, not by waiting.
    fn prompt(&self) -> bool {
        self.took(self.victim) < self.deadline
    }
}

/// Every party as the faulty one, in both phases, at the same time.
fn cases<M: Mesh>(faults: &[Fault]) -> Vec<Case> {
    let cases: Vec<Case> = thread::scope(|scope| {
        let places = PartyId::ALL.into_iter().flat_map(|faulty| Phase::ALL.map(|phase| (faulty, phase)));
        let threads: Vec<_> = places
            .map(|(faulty, phase)| scope.spawn(move || Case::run::<M>(faulty, phase, faults)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(cases.len(), 6);
    cases
}

/// Runs the cases of a fault that must end the run, with what the victim must see.
fn ends_with<M: Mesh>(faults: &[Fault], seen: impl Fn(&Case, &NetError) -> bool) {
    for case in cases::<M>(faults) {
        case.victim_names_the_faulty_party();
        let error = case.error(case.victim);
        assert!(seen(&case, error), "{} was faulty in the {} phase: {error}", case.faulty, case.phase);
    }
}

fn a_dropped_message_is_missed_when_the_next_one_arrives<M: Mesh>() {
    ends_with::<M>(&[Fault::Drop], |case, error| {
        matches!(error, NetError::Mismatch { ours, theirs, .. }
            if ours.op == case.op() && theirs.op == case.op() + 2)
            && case.prompt()
    });
}

/// The faulty party goes on to wait for the victim, and may run into its own deadline first.
fn a_party_that_stops_sending_is_named_within_the_deadline<M: Mesh>() {
    ends_with::<M>(&[Fault::Drop; ROUNDS as usize], |case, error| match error {
        NetError::PeerSilent { step: 1, label: "test.open", waited, .. } => {
            *waited >= case.deadline && *waited < 2 * case.deadline
        }
        NetError::PeerLost { step: 1, reason, .. } => reason.contains("sent nothing"),
        _ => false,
    });
}

fn a_delay_within_the_deadline_harms_nobody<M: Mesh>() {
    for case in cases::<M>(&[Fault::Delay(M::DEADLINE / 4)]) {
        for party in PartyId::ALL {
            assert!(case.end(party).is_ok(), "{party}: {:?}", case.end(party));
            assert!(case.took(party) >= M::DEADLINE / 4);
        }
    }
}

fn a_delay_beyond_the_deadline_is_silence<M: Mesh>() {
    ends_with::<M>(
        &[Fault::Delay(M::DEADLINE * 3 / 2)],
        |case, error| matches!(error, NetError::PeerSilent { step: 1, waited, .. } if *waited >= case.deadline),
    );
}

fn reordered_messages_are_told_by_their_operation<M: Mesh>() {
    ends_with::<M>(&[Fault::Reorder], |case, error| {
        matches!(error, NetError::Mismatch { ours, theirs, .. }
            if ours.op == case.op() && theirs.op == case.op() + 2 && ours.digest == theirs.digest)
            && case.prompt()
    });
}

fn a_duplicate_is_told_by_its_operation<M: Mesh>() {
    ends_with::<M>(&[Fault::Duplicate], |case, error| {
        matches!(error, NetError::Mismatch { ours, theirs, .. }
            if ours.op == case.op() + 2 && theirs.op == case.op() && ours.step == theirs.step)
            && case.prompt()
    });
}

fn a_truncated_message_is_told_by_its_length<M: Mesh>() {
    ends_with::<M>(&[Fault::Truncate], |case, error| {
        matches!(error, NetError::Mismatch { ours, theirs, .. }
            if ours.bytes == LENGTH && theirs.bytes == LENGTH - 1 && theirs.op == case.op())
            && case.prompt()
    });
}

fn an_oversized_message_is_told_by_its_length<M: Mesh>() {
    ends_with::<M>(&[Fault::Oversize { extra: 1 << 20 }], |case, error| {
        matches!(error, NetError::Mismatch { ours, theirs, .. }
            if ours.bytes == LENGTH && theirs.bytes == LENGTH + (1 << 20) && theirs.op == case.op())
            && case.prompt()
    });
}

fn a_message_over_the_own_frame_limit_never_leaves<M: Mesh>() {
    for case in cases::<M>(&[Fault::Oversize { extra: 64 << 20 }]) {
        case.both_learn_of_the_loss("is over the limit");
        let own = case.error(case.faulty);
        assert!(matches!(own, NetError::FrameTooLarge { .. }), "{own}");
    }
}

fn a_wrong_step_is_named<M: Mesh>() {
    ends_with::<M>(&[Fault::WrongStep], |case, error| {
        matches!(error, NetError::Mismatch { ours, theirs, .. }
            if (ours.step, theirs.step) == (1, 2) && ours.op == theirs.op)
            && case.prompt()
    });
}

fn a_wrong_label_is_named<M: Mesh>() {
    ends_with::<M>(&[Fault::WrongLabel], |case, error| {
        matches!(error, NetError::Mismatch { ours, theirs, .. }
            if ours.digest != theirs.digest && ours.label == theirs.label && ours.op == theirs.op)
            && case.prompt()
    });
}

fn a_wrong_session_is_named<M: Mesh>() {
    ends_with::<M>(&[Fault::WrongSession], |case, error| {
        matches!(error, NetError::SessionMismatch { ours, theirs, .. } if ours != theirs) && case.prompt()
    });
}

fn a_disconnected_party_is_named_promptly<M: Mesh>() {
    for case in cases::<M>(&[Fault::Disconnect]) {
        case.both_learn_of_the_loss("it left without saying goodbye");
    }
}

/// Semi-honest security: the bytes are the sender's, so the transport passes them on, and only the protocol could
/// know better. What must hold is that nobody hangs.
fn a_corrupted_payload_is_delivered_and_ends_no_later_than_other_faults<M: Mesh>() {
    for case in cases::<M>(&[Fault::Corrupt]) {
        case.all_end();
        case.bystander_names_another();
        let failure = case.failure(case.victim);
        assert!(
            matches!(failure, Failure::Content { from, round: FAULTY_ROUND } if *from == case.faulty),
            "{failure:?}"
        );
        assert!(case.prompt());
    }
}

/// A party with a larger frame limit than its peers sends what they do not take.
#[test]
fn a_giant_of_a_faulty_party_is_refused_by_its_length() {
    const LIMIT: usize = 1 << 20;
    let faulty = mesh::C;
    let parties = Setup::new().connect_each(|me, _, options| {
        options.deadline = QuicTransport::DEADLINE;
        options.max_frame = if me == faulty { 64 << 20 } else { LIMIT };
    });
    let [mut a, _b, c] = parties.map(Result::unwrap);
    let plan = FaultPlan {
        to: mesh::A,
        phase: Phase::Online,
        message: 0,
        fault: Fault::Oversize { extra: 32 << 20 },
    };
    let mut c = FaultTransport::new(c, [plan]);
    c.send(mesh::A, Phase::Online, &tag(0, 0), vec![1; LENGTH]).unwrap();
    assert_eq!(c.struck(), 1);
    let start = Instant::now();
    let error = a.recv(faulty, Phase::Online, &tag(0, 0), LENGTH).unwrap_err();
    assert!(
        matches!(&error, NetError::FrameTooLarge { party, bytes, limit: LIMIT }
            if party.id() == faulty && *bytes == (32 << 20) + LENGTH as u64),
        "{error}"
    );
    assert!(start.elapsed() < QuicTransport::DEADLINE);
}

#[test]
fn a_party_without_plans_behaves_like_any_other() {
    let threads = memory::mesh(NAMES).unwrap().map(|party| {
        let party = FaultTransport::new(party, []);
        let (me, key) = (party.me(), party.peer_key(mesh::B).to_vec());
        assert_eq!((party.party(me).name(), key), (NAMES[me.index()], Vec::new()));
        thread::spawn(move || rounds(Box::new(party)))
    });
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
}

#[test]
fn a_message_held_back_at_the_end_is_sent_before_the_goodbye() {
    let [a, mut b, _c] = memory::mesh(NAMES).unwrap();
    let plan = FaultPlan { to: mesh::B, phase: Phase::Online, message: 0, fault: Fault::Reorder };
    let mut a = FaultTransport::new(a, [plan]);
    a.send(mesh::B, Phase::Online, &tag(0, 0), vec![5]).unwrap();
    Box::new(a).close().unwrap();
    assert_eq!(b.recv(mesh::A, Phase::Online, &tag(0, 0), 1).unwrap(), vec![5]);
    let error = b.recv(mesh::A, Phase::Online, &tag(0, 1), 1).unwrap_err();
    assert!(matches!(error, NetError::PeerFinished { .. }), "{error}");
}

#[test]
fn a_disconnected_party_can_be_asked_about_itself_but_does_nothing_more() {
    let [a, _b, _c] = memory::mesh(NAMES).unwrap();
    let plan = FaultPlan { to: mesh::B, phase: Phase::Online, message: 1, fault: Fault::Disconnect };
    let mut a = FaultTransport::new(a, [plan]);
    let session = a.session();
    a.send(mesh::B, Phase::Online, &tag(0, 0), vec![5]).unwrap();
    a.send(mesh::B, Phase::Online, &tag(0, 1), vec![5]).unwrap_err();
    a.send(mesh::C, Phase::Online, &tag(0, 1), vec![5]).unwrap_err();
    a.recv(mesh::B, Phase::Online, &tag(0, 1), 1).unwrap_err();
    assert_eq!((a.me(), a.session(), a.party(mesh::B).name()), (mesh::A, session, NAMES[1]));
    assert_eq!(a.meter().snapshot().sent_to(mesh::B, Phase::Online).messages, 1);
    Box::new(a).close().unwrap_err();
}

/// The faults are for tests: no source that ends up in the node's binary names them.
#[test]
fn nothing_that_the_node_is_built_from_makes_a_fault() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["crates", "protocols"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            sources(&entry.unwrap().path().join("src"), &mut files);
        }
    }
    assert!(files.iter().any(|file| file.ends_with("node/src/main.rs")), "{} files", files.len());
    let naming = files.iter().filter(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        ["FaultTransport", "FaultPlan", "tercet_net::fault"].iter().any(|name| text.contains(name))
    });
    let naming: Vec<&PathBuf> = naming.filter(|file| !file.ends_with("net/src/fault.rs")).collect();
    assert!(naming.is_empty(), "{naming:?}");
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
