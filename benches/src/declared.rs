//! The declared cost of a step, and its comparison with what the meters of a session saw.

use anyhow::{Result, ensure};
use tercet_engine::Cost;
use tercet_helper::CostEngine;
use tercet_net::PartyId;
use tercet_train::{DataSets, Trainer, TrainingJob};

use crate::rows::seen_by;
use crate::session::{Session, roles};

/// Rounds and payload bytes of one step, as the helper protocol declares them. All batches of `data` must be full.
///
/// # Errors
/// A job or rows that do not fit.
pub fn declared_step(job: &TrainingJob, data: &DataSets) -> Result<Cost> {
    let mut trainer = Trainer::new(CostEngine::new(roles()), job, seen_by(data, 0))?;
    let total = |trainer: &Trainer<CostEngine>| tercet_engine::Engine::measured(trainer.engine());
    let before = total(&trainer);
    trainer.step()?;
    Ok(total(&trainer) - before)
}

/// Compares the traffic of all steps of `session` with `step`, the declared cost of each: byte for byte on every link, and
/// round for round at both evaluators.
///
/// # Errors
/// The first difference.
pub fn check_traffic(session: &Session, step: &Cost) -> Result<()> {
    let declared = *step * session.steps_done();
    for (me, measured) in session.traffic().iter().enumerate() {
        for peer in (0..PartyId::COUNT).filter(|&peer| peer != me) {
            for (from, to) in [(me, peer), (peer, me)] {
                let links = [
                    ("online", measured.online[from][to], declared.online[from][to]),
                    ("offline", measured.offline[from][to], declared.offline[from][to]),
                ];
                for (phase, measured, declared) in links {
                    ensure!(
                        measured == declared,
                        "party {me} saw {measured} {phase} bytes from party {from} to party {to} in {} steps, but {declared} are declared",
                        session.steps_done()
                    );
                }
            }
        }
        let evaluates = roles().evaluators.iter().any(|e| e.index() == me);
        ensure!(
            !evaluates || measured.rounds == declared.rounds,
            "party {me} counted {} rounds in {} steps, but {} are declared",
            measured.rounds,
            session.steps_done(),
            declared.rounds
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Link, Network, Threads, Training, synthetic};

    #[test]
    fn a_session_sends_what_is_declared_over_memory_and_over_quic() {
        let network = Network::breast_cancer();
        let (job, data) = (network.job(16), synthetic(30, 2, 16));
        let step = declared_step(&job, &data).unwrap();
        assert!(step.rounds > 0 && step.online_bytes() > 0 && step.offline_bytes() > 0);
        for (link, threads) in [(Link::Memory, Threads::Shared), (Link::Quic, Threads::Each(1))] {
            let mut session = Session::start(link, threads, &job, &data).unwrap();
            session.steps(2).unwrap();
            session.steps(3).unwrap();
            check_traffic(&session, &step).unwrap();
            assert!(check_traffic(&session, &(step * 2)).is_err(), "twice the cost is not the cost");
            session.finish().unwrap();
        }
    }

    #[test]
    fn rows_that_do_not_fit_end_a_session_with_an_error_of_a_named_party() {
        let network = Network::breast_cancer();
        let error = Session::start(Link::Memory, Threads::Shared, &network.job(8), &synthetic(31, 2, 8));
        let text = format!("{:#}", error.err().expect("31 features do not fit 30 inputs"));
        assert!(text.contains("party"), "{text}");
    }
}
