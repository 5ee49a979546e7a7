//! Counts of messages, bytes and rounds, per peer, phase and label.

use std::collections::BTreeMap;
use std::ops::Sub;

use serde::Serialize;

use crate::header::HEADER_BYTES;
use crate::{Label, PartyId, Phase};

/// Messages and bytes in one direction.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Bytes of payload: what a protocol's declared cost is compared with.
    pub payload_bytes: u64,
    /// Bytes of message headers around the payload. Packet and TLS overhead is not included.
    pub framing_bytes: u64,
}

impl Traffic {
    /// Payload and headers together.
    pub fn total_bytes(&self) -> u64 {
        self.payload_bytes + self.framing_bytes
    }

    fn count(&mut self, payload_bytes: usize) {
        self.messages += 1;
        self.payload_bytes += payload_bytes as u64;
        self.framing_bytes += HEADER_BYTES as u64;
    }

    fn add(&mut self, other: &Traffic) {
        self.messages += other.messages;
        self.payload_bytes += other.payload_bytes;
        self.framing_bytes += other.framing_bytes;
    }
}

impl Sub for Traffic {
    type Output = Traffic;

    /// The difference to an earlier count; a count never runs backwards, so it saturates at zero.
    fn sub(self, earlier: Traffic) -> Traffic {
        Traffic {
            messages: self.messages.saturating_sub(earlier.messages),
            payload_bytes: self.payload_bytes.saturating_sub(earlier.payload_bytes),
            framing_bytes: self.framing_bytes.saturating_sub(earlier.framing_bytes),
        }
    }
}

type Key = (PartyId, Phase, &'static str);

/// One party's running counts.
#[derive(Clone, Default, Debug)]
pub struct Meter {
    rows: BTreeMap<Key, (Traffic, Traffic)>,
    rounds: BTreeMap<&'static str, u64>,
}

impl Meter {
    /// A meter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one online round: all parties send, then all receive. Called once per round by the protocol.
    pub fn round(&mut self, label: Label) {
        *self.rounds.entry(label.name()).or_default() += 1;
    }

    /// Counts one message to `peer`. Transports call this, protocols do not.
    pub fn sent(&mut self, peer: PartyId, phase: Phase, label: Label, payload_bytes: usize) {
        self.rows.entry((peer, phase, label.name())).or_default().0.count(payload_bytes);
    }

    /// Counts one message from `peer`. Transports call this, protocols do not.
    pub fn received(&mut self, peer: PartyId, phase: Phase, label: Label, payload_bytes: usize) {
        self.rows.entry((peer, phase, label.name())).or_default().1.count(payload_bytes);
    }

    /// The counts so far. Subtract an earlier snapshot to get the cost of what happened between.
    pub fn snapshot(&self) -> MeterSnapshot {
        MeterSnapshot {
            rows: self
                .rows
                .iter()
                .map(|(&(peer, phase, label), &(sent, received))| MeterRow {
                    peer,
                    phase,
                    label,
                    sent,
                    received,
                })
                .collect(),
            rounds: self.rounds.clone(),
        }
    }
}

/// The traffic of one label with one peer in one phase.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MeterRow {
    /// The other party.
    pub peer: PartyId,
    /// Offline or online.
    pub phase: Phase,
    /// The label's name.
    pub label: &'static str,
    /// From this party to the peer.
    pub sent: Traffic,
    /// From the peer to this party.
    pub received: Traffic,
}

/// A meter's counts at one moment, or between two moments.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub struct MeterSnapshot {
    rows: Vec<MeterRow>,
    rounds: BTreeMap<&'static str, u64>,
}

impl MeterSnapshot {
    /// All rows, ordered by peer, phase and label.
    pub fn rows(&self) -> &[MeterRow] {
        &self.rows
    }

    /// Online rounds, all labels together.
    pub fn rounds(&self) -> u64 {
        self.rounds.values().sum()
    }

    /// Online rounds by label name.
    pub fn rounds_by_label(&self) -> &BTreeMap<&'static str, u64> {
        &self.rounds
    }

    /// Everything this party sent in a phase, to both peers.
    pub fn sent(&self, phase: Phase) -> Traffic {
        self.total(|row| row.phase == phase, |row| row.sent)
    }

    /// Everything this party received in a phase, from both peers.
    pub fn received(&self, phase: Phase) -> Traffic {
        self.total(|row| row.phase == phase, |row| row.received)
    }

    /// What this party sent to one peer in a phase.
    pub fn sent_to(&self, peer: PartyId, phase: Phase) -> Traffic {
        self.total(|row| row.peer == peer && row.phase == phase, |row| row.sent)
    }

    /// What this party received from one peer in a phase.
    pub fn received_from(&self, peer: PartyId, phase: Phase) -> Traffic {
        self.total(|row| row.peer == peer && row.phase == phase, |row| row.received)
    }

    fn total(&self, keep: impl Fn(&MeterRow) -> bool, pick: impl Fn(&MeterRow) -> Traffic) -> Traffic {
        let mut total = Traffic::default();
        self.rows.iter().filter(|row| keep(row)).for_each(|row| total.add(&pick(row)));
        total
    }
}

impl Sub<&MeterSnapshot> for &MeterSnapshot {
    type Output = MeterSnapshot;

    /// What happened since `earlier`. Rows and rounds without change are left out.
    fn sub(self, earlier: &MeterSnapshot) -> MeterSnapshot {
        let before: BTreeMap<Key, (Traffic, Traffic)> = earlier
            .rows
            .iter()
            .map(|row| ((row.peer, row.phase, row.label), (row.sent, row.received)))
            .collect();
        let rows = self.rows.iter().filter_map(|row| {
            let (sent, received) = before.get(&(row.peer, row.phase, row.label)).copied().unwrap_or_default();
            let row = MeterRow { sent: row.sent - sent, received: row.received - received, ..row.clone() };
            (row.sent.messages + row.received.messages > 0).then_some(row)
        });
        let rounds = self.rounds.iter().filter_map(|(&label, &count)| {
            let count = count.saturating_sub(earlier.rounds.get(label).copied().unwrap_or(0));
            (count > 0).then_some((label, count))
        });
        MeterSnapshot { rows: rows.collect(), rounds: rounds.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_of_snapshots_holds_exactly_what_happened_between() {
        let [_, b, c] = PartyId::ALL;
        let (open, deal) = (Label::new("open"), Label::new("deal"));
        let mut meter = Meter::new();
        meter.sent(b, Phase::Online, open, 10);
        meter.received(c, Phase::Offline, deal, 7);
        meter.round(open);
        let first = meter.snapshot();
        meter.sent(b, Phase::Online, open.with(&[4]), 5);
        meter.sent(c, Phase::Online, open, 5);
        meter.round(open);
        let between = &meter.snapshot() - &first;

        assert_eq!(between.rounds(), 1);
        assert_eq!(between.sent(Phase::Online).payload_bytes, 10);
        assert_eq!(between.sent(Phase::Online).framing_bytes, 2 * HEADER_BYTES as u64);
        assert_eq!(between.sent_to(b, Phase::Online).messages, 1);
        assert_eq!(between.received(Phase::Offline), Traffic::default());
        assert_eq!(between.rows().len(), 2);
        assert_eq!(first.received_from(c, Phase::Offline).payload_bytes, 7);
        assert_eq!(first.received_from(c, Phase::Offline).total_bytes(), 7 + HEADER_BYTES as u64);
    }
}
