//! A whole run at one party: joining, deciding where to go on, training, results; and again after a party was lost.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use tercet_net::quic::{Arrivals, QuicTransport};
use tercet_net::{NetError, Party, PartyId, Transport};
use tercet_train::DataSets;

use super::connect::{self, Joined, Purpose, Waiting};
use super::faults::{network, passing};
use super::keeper::{self, Keeping};
use super::kept::Kept;
use super::material::Material;
use super::record::{self, Record};
use super::training::{self, Ran, Surroundings};
use super::{agree, identity, prepare_out, roster, rows};
use crate::checkpoint::Place;
use crate::cli::sentence;
use crate::config::NodeConfig;
use crate::job::{Job, JobParty};
use crate::logging::Console;
use crate::privacy::Accounted;
use crate::recovery::journal::{self, Event, Journal, now};
use crate::recovery::{Decision, Disagreement, Offer};
use crate::status::{Doing, Status};
use crate::stop::StopFlag;

/// Between two attempts to join, after one that failed at once.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs the node to the end of the job.
///
/// # Errors
/// What ended it early; [`crate::stop::Stopped`] if somebody asked for that.
pub(super) fn whole(
    config: &NodeConfig,
    job: &Path,
    restart: bool,
    stop: &StopFlag,
    console: &Console,
) -> Result<()> {
    let begun = Instant::now();
    let job = Job::read(job)?;
    let party = job.party(&config.name)?;
    tracing::info!("job {} ({}), sha256 {}", job.name, job.protocol.name(), job.hash());
    tracing::info!("party {} as {}", party.name, job.protocol.title(party.role));
    // Everything that this party alone can get wrong comes before the others are made to wait.
    roster(&job, config)?;
    identity(config, party)?;
    let rows = rows::read(&job, &[(party, &config.data)])?;
    let kept = Kept::open(config, &job, party)?;
    let found = kept.as_ref().map(Kept::find).transpose()?.unwrap_or_default();
    let goes_on = found.held.last().filter(|_| !restart).map(|place| place.run.to_string());
    let finished = goes_on.as_ref().is_some_and(|run| record::finished(&config.out, run));
    let material = match goes_on {
        // Made for a whole run, and used by its beginning.
        Some(_) => None,
        None => Material::of(&job, config)?,
    };
    match goes_on {
        Some(_) => connect::make_out(config)?,
        None => prepare_out(config)?,
    }
    let accounted = match found.reservation.filter(|_| goes_on.is_some()) {
        Some(entry) => Accounted::resume(config, &job, entry)?,
        None => Accounted::begin(config, &job, party)?,
    };
    let mut record = Record::new(&job, party);
    record.started = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let status = Arc::new(Status::new(&config.state, &job, party));
    console.live().attend(&job, party, status.clone());
    let run = Run {
        config,
        job: &job,
        party,
        console,
        stop,
        status,
        kept,
        restart,
        returning: goes_on.is_some(),
        finished,
        begun,
        sessions: 0,
        lost: None,
        rows: Some(rows),
        material,
        accounted: Some(accounted),
        record,
    };
    run.go()
}

/// A run in progress at this party.
pub(super) struct Run<'a> {
    pub(super) config: &'a NodeConfig,
    pub(super) job: &'a Job,
    pub(super) party: &'a JobParty,
    console: &'a Console,
    stop: &'a StopFlag,
    pub(super) status: Arc<Status>,
    /// With checkpoints only.
    pub(super) kept: Option<Kept>,
    /// Somebody wants it from the beginning.
    restart: bool,
    /// This process began with checkpoints of an interrupted run.
    pub(super) returning: bool,
    /// The results are written.
    pub(super) finished: bool,
    pub(super) begun: Instant,
    /// Sessions in which training began.
    pub(super) sessions: u32,
    /// When a party was lost, until all are there again.
    lost: Option<Instant>,
    /// Read once; later sessions read them again.
    rows: Option<DataSets>,
    material: Option<Material>,
    pub(super) accounted: Option<Accounted>,
    pub(super) record: Record,
}

/// How a session begins.
enum Beginning {
    /// All have their results already.
    Nothing,
    /// Without checkpoints.
    Plain,
    /// With them.
    Kept(Box<Keeping>),
}

impl Run<'_> {
    fn go(mut self) -> Result<()> {
        loop {
            let joined = match self.join() {
                Ok(joined) => joined,
                Err(error) => return self.alone(error),
            };
            let ended = self.session(joined);
            match ended {
                Ok(()) => {
                    self.status.set(|state| (state.doing, state.until) = (Doing::Finished, None));
                    return Ok(());
                }
                Err(error) => match network(&error).filter(|error| passing(error)).cloned() {
                    Some(fault) if self.kept.is_some() => self.wait_for(&fault),
                    _ => return self.give_up(error),
                },
            }
        }
    }

    /// How long this party waits for the others now.
    fn patience(&self) -> Duration {
        let rejoin = self.kept.as_ref().map(|kept| self.config.rejoin.unwrap_or(kept.spec.rejoin));
        match rejoin.filter(|_| self.lost.is_some() || self.returning) {
            Some(rejoin) => rejoin.saturating_sub(self.lost.map_or(Duration::ZERO, |lost| lost.elapsed())),
            None => self.config.deadline.unwrap_or(self.job.deadline),
        }
    }

    /// Joins the others, within this party's patience.
    fn join(&mut self) -> Result<Joined> {
        let begun = Instant::now();
        let patience = self.patience();
        let until = begun + patience;
        self.status.set(|state| {
            state.doing = if self.lost.is_some() { Doing::Waiting } else { Doing::Joining };
            state.until = Some(now() + patience.as_millis() as u64);
            state.peers.iter_mut().for_each(|peer| peer.here = false);
        });
        // With checkpoints the offers say who holds material: sessions that go on make their own.
        let purpose = match (&self.kept, &self.material) {
            (None, Some(_)) => Purpose::TrainingOnMaterial,
            _ => Purpose::Training,
        };
        let joined = loop {
            let status = self.status.clone();
            let names = PartyId::ALL.map(|party| self.job.parties[party.index()].name.clone());
            let told = move |peer: PartyId, here: bool| status.peer(&names[peer.index()], here);
            let wait = Waiting {
                longest: until.saturating_duration_since(Instant::now()),
                stop: Some(self.stop.shared()),
                arrivals: Some(Arrivals(Arc::new(told))),
            };
            let roster = roster(self.job, self.config)?;
            let identity = identity(self.config, self.party)?;
            match connect::join(self.job, purpose, self.config, roster, identity, wait) {
                Ok(joined) => break joined,
                Err(error) => {
                    let again = self.kept.is_some() && Instant::now() + PAUSE < until;
                    let passes = network(&error).is_some_and(passing) && again && !self.stop.asked();
                    if !passes {
                        return Err(error);
                    }
                    tracing::debug!("joining again: {}", sentence(&error));
                    std::thread::sleep(PAUSE);
                }
            }
        };
        if let Some(lost) = self.lost.take() {
            tracing::info!("all three are here again after {:.1} s", lost.elapsed().as_secs_f64());
        }
        self.record.seconds.joining += begun.elapsed().as_secs_f64();
        self.record.session = joined.transport.session().to_string();
        let session = self.record.session.clone();
        self.status.set(|state| {
            state.session = Some(session);
            (state.until, state.reason) = (None, None);
            let at = now();
            for peer in &mut state.peers {
                if !std::mem::replace(&mut peer.here, true) {
                    peer.since = at;
                }
                (peer.lost_at_step, peer.reason) = (None, None);
            }
        });
        Ok(joined)
    }

    /// One session, from the handshake to the results of all.
    fn session(&mut self, mut joined: Joined) -> Result<()> {
        let beginning = match self.decide(&mut joined) {
            Ok(beginning) => beginning,
            Err(error) => {
                if error.is::<Disagreement>() {
                    // In good order, so that the peers have this party's offer and say the same sentence. What cannot be
                    // delivered changes nothing here.
                    let _ = Box::new(joined.transport).close();
                }
                return Err(error);
            }
        };
        let mut keeping = match beginning {
            Beginning::Nothing => {
                goodbye(joined.transport);
                return Ok(());
            }
            Beginning::Plain => None,
            Beginning::Kept(keeping) => Some(*keeping),
        };
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => rows::read(self.job, &[(self.party, &self.config.data)])?,
        };
        self.sessions += 1;
        self.status.set(|state| state.sessions += 1);
        let with = Surroundings {
            console: self.console,
            status: &self.status,
            stop: self.stop,
            keeping: keeping.as_mut(),
        };
        // Stored material serves one whole run: a session that goes on makes its own.
        let fresh = keeping_is_fresh(with.keeping.as_deref());
        let material = self.material.take().filter(|_| fresh);
        let ran = training::run(self.job, joined, rows, material.as_ref(), with);
        let Ran { outcome, accounts, mut transport } = match ran {
            Ok(ran) => ran,
            Err(stopped) => {
                self.record.account(&stopped.accounts);
                if let Some(keeping) = &mut keeping {
                    let (at, step) = (now(), self.status.now().step);
                    let reason = sentence(&stopped.error);
                    if let Err(unwritten) = keeping.journal.add(&Event::Ended { at, step, reason }) {
                        tracing::warn!("{unwritten}");
                    }
                }
                return Err(stopped.error);
            }
        };
        self.results(&outcome, &accounts, keeping.as_mut())?;
        if let Some(kept) = &self.kept {
            agree::all_done(&mut transport, outcome.steps)?;
            // All have their results: nobody needs the shares any more.
            kept.folder.forget()?;
        }
        goodbye(transport);
        Ok(())
    }

    /// Decides with the others where this session begins.
    fn decide(&mut self, joined: &mut Joined) -> Result<Beginning> {
        let Some(kept) = &self.kept else { return Ok(Beginning::Plain) };
        let found = kept.find()?;
        let events = journal::read(&self.config.out)?;
        let (me, evaluates) = (self.party.role.index(), self.job.protocol.evaluates(self.party.role));
        let offer = Offer {
            restart: self.restart,
            finished: self.finished,
            material: self.material.is_some(),
            ..Offer::of(&found).with_openings(&events, me, evaluates)
        };
        let keys = PartyId::ALL.map(|party| match party == joined.transport.me() {
            true => hex(&joined.key.public()),
            false => hex(joined.transport.peer_key(party)),
        });
        let session = joined.transport.session();
        let reservation = self.accounted.as_ref().and_then(Accounted::entry).or(found.reservation);
        let (run, from, step) = match agree::decide(&mut joined.transport, self.job, &offer)? {
            Decision::Done => {
                kept.folder.forget()?;
                return Ok(Beginning::Nothing);
            }
            Decision::Fresh => {
                let paid = self.accounted.as_ref().is_some_and(Accounted::settled);
                let reservation = if !self.restart && (offer.opening > 0 || paid) {
                    // What was set aside paid for the run before, of which something may have been opened.
                    let anew = self.accounted.insert(Accounted::begin(self.config, self.job, self.party)?);
                    anew.entry()
                } else {
                    reservation
                };
                kept.begin(session, reservation)?;
                tracing::info!("run {session} begins at step 0");
                if self.material.is_none() {
                    // A session before this one used it, and did not get as far as a checkpoint.
                    self.without_material();
                }
                (session, None, 0)
            }
            Decision::Resume(place) => {
                if self.job.training.privacy.is_some() {
                    self.not_again(
                        place,
                        journal::opened(&events, &place.run.to_string(), me, evaluates).opened,
                    )?;
                }
                let holds = offer.place(place.step, place.session).is_some();
                let from = kept.resume(place, holds, reservation)?;
                tracing::info!("run {} goes on from step {}", place.run, place.step);
                self.without_material();
                (place.run, from, place.step)
            }
        };
        // From here on every session of this process goes on, or begins again with the others.
        self.restart = false;
        self.record.run = Some(run.to_string());
        keeper::kept(&self.status, step);
        self.status.set(|state| {
            state.resumed_from = (step > 0).then_some(step);
            state.step = step;
        });
        let mut journal = Journal::open(&self.config.out)?;
        let ids = (run.to_string(), session.to_string());
        journal.add(&Event::Begin { at: now(), run: ids.0, session: ids.1, from: step, keys })?;
        journal.sync()?;
        let (folder, every) = (kept.folder.clone(), kept.spec.every);
        Ok(Beginning::Kept(Box::new(Keeping { folder, journal, every, run, session, reservation, from })))
    }

    fn without_material(&self) {
        if self.config.material.is_some() {
            tracing::warn!(
                "material made ahead of time serves one whole run without interruption: this session makes its own as it goes"
            );
        }
    }

    /// Refuses to go on from before an opening of a private job that this party has on record, whatever the others hold: in its
    /// journal, or, should that be gone, in its ledger, which is settled once the model was opened.
    fn not_again(&self, place: Place, opened: u64) -> Result<(), Disagreement> {
        let closed = self.accounted.as_ref().filter(|accounted| accounted.settled());
        let opened = opened.max(closed.map_or(0, Accounted::steps));
        if opened <= place.step {
            return Ok(());
        }
        Err(Disagreement::Reopened { party: self.party.name.clone(), opened, common: place.step })
    }

    /// A party was lost: says who, at which step and for how long it is waited for.
    fn wait_for(&mut self, fault: &NetError) {
        let step = self.status.now().step;
        let kept = self.kept.as_ref().map_or(Duration::ZERO, |kept| kept.spec.rejoin);
        let rejoin = self.config.rejoin.unwrap_or(kept);
        self.lost = Some(Instant::now());
        let checkpoint = self.status.now().checkpoint.unwrap_or(0);
        tracing::warn!(
            "at step {step}: {fault}; this node keeps its checkpoint of step {checkpoint} and waits up to {} s for all to be \
             here again",
            rejoin.as_secs()
        );
        let reason = fault.to_string();
        // The session is over with both: a third party that is lost may be known only through the one that told of it.
        self.status.lost(step, fault.party().map(Party::name), &reason);
        self.status.set(|state| {
            (state.doing, state.reason) = (Doing::Waiting, Some(reason));
            state.until = Some(now() + rejoin.as_millis() as u64);
        });
    }
}

fn keeping_is_fresh(keeping: Option<&Keeping>) -> bool {
    keeping.is_none_or(|keeping| keeping.run == keeping.session)
}

fn goodbye(transport: QuicTransport) {
    // The results are whole and written: a peer that is lost now has its own log to say why.
    if let Err(error) = Box::new(transport).close() {
        tracing::warn!("the results are written, but the goodbye failed: {error}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
