//! The declared cost of a training, and its comparison with what the meters of a session saw.

use anyhow::{Result, ensure};
use tercet_engine::{Cost, Engine};
use tercet_net::PartyId;
use tercet_ot::extension::FieldBits;
use tercet_train::{DataSets, Trainer, TrainingJob};

use crate::rows::seen_by;
use crate::session::{Protocol, Session, roles};

/// Rounds and payload bytes of a training of `steps` steps, as `protocol` declares them: the joining of the parties and the
/// sharing of their rows included. At least one step; all batches of `data` must be full.
///
/// # Errors
/// A job or rows that do not fit.
pub fn declared(protocol: Protocol, job: &TrainingJob, data: &DataSets, steps: u64) -> Result<Cost> {
    match protocol {
        // All steps cost the same.
        Protocol::Helper => {
            let [shared, first] = totals(tercet_helper::CostEngine::new(roles()), job, data, [0, 1])?;
            Ok(shared + (first - shared) * steps)
        }
        // The owners of the rows of a batch have a part in its cost. The base transfers are charged to the first step.
        Protocol::Ot => Ok(totals(ot(), job, data, [steps])?[0]),
    }
}

/// Rounds and payload bytes of one step, as `protocol` declares them. All batches of `data` must be full. With [`Protocol::Ot`]
/// it is the second step: other steps differ by what the owners of their rows make of it.
///
/// # Errors
/// A job or rows that do not fit.
pub fn declared_step(protocol: Protocol, job: &TrainingJob, data: &DataSets) -> Result<Cost> {
    let [one, two] = match protocol {
        Protocol::Helper => totals(tercet_helper::CostEngine::new(roles()), job, data, [1, 2])?,
        Protocol::Ot => totals(ot(), job, data, [1, 2])?,
    };
    Ok(two - one)
}

fn ot() -> tercet_ot::preprocessing::CostEngine {
    tercet_ot::preprocessing::CostEngine::new(FieldBits::default())
}

/// What `engine` counted after each of these numbers of steps, in rising order.
fn totals<E: Engine + 'static, const N: usize>(
    engine: E,
    job: &TrainingJob,
    data: &DataSets,
    after: [u64; N],
) -> Result<[Cost; N]> {
    let mut trainer = Trainer::new(engine, job, seen_by(data, 0))?;
    let (mut steps, mut costs) = (0, [Cost::default(); N]);
    for (cost, after) in costs.iter_mut().zip(after) {
        (steps..after).try_for_each(|_| trainer.step())?;
        steps = after;
        *cost = trainer.engine().measured();
    }
    Ok(costs)
}

/// Compares all traffic of `session`, from the joining of its parties on, with `declared`: byte for byte on every link, and
/// round for round at every evaluator.
///
/// # Errors
/// The first difference.
pub fn check_traffic(session: &Session, declared: &Cost) -> Result<()> {
    let (protocol, steps) = (session.protocol(), session.steps_done());
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
                        "{protocol}: party {me} saw {measured} {phase} bytes from party {from} to party {to} in {steps} steps, but {declared} are declared"
                    );
                }
            }
        }
        ensure!(
            !protocol.evaluates(me) || measured.rounds == declared.rounds,
            "{protocol}: party {me} counted {} rounds in {steps} steps, but {} are declared",
            measured.rounds,
            declared.rounds
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tercet_train::Architecture;

    use super::*;
    use crate::{Link, Network, Threads, Training, synthetic};

    fn sends_what_is_declared(protocol: Protocol, steps: [u64; 2]) {
        let network = Network::breast_cancer();
        let (job, data) = (network.job(16), synthetic(30, 2, 16));
        let step = declared_step(protocol, &job, &data).unwrap();
        assert!(step.rounds > 0 && step.online_bytes() > 0 && step.offline_bytes() > 0);
        let all = declared(protocol, &job, &data, steps.iter().sum()).unwrap();
        for (link, threads) in [(Link::Memory, Threads::Shared), (Link::Quic, Threads::Each(1))] {
            let mut session = Session::start(protocol, link, threads, &job, &data).unwrap();
            for steps in steps {
                session.steps(steps).unwrap();
            }
            check_traffic(&session, &all).unwrap();
            assert!(check_traffic(&session, &(all + step)).is_err(), "one step more is not the cost");
            session.finish().unwrap();
        }
    }

    #[test]
    fn a_session_with_a_dealer_sends_what_is_declared_over_memory_and_over_quic() {
        sends_what_is_declared(Protocol::Helper, [2, 3]);
    }

    #[test]
    fn a_session_without_a_dealer_sends_what_is_declared_over_memory_and_over_quic() {
        // More than an epoch of four batches, of differing owners.
        sends_what_is_declared(Protocol::Ot, [2, 4]);
    }

    #[test]
    fn both_protocols_take_the_same_rounds_for_a_step() {
        for network in [Network::breast_cancer(), Network::small_conv()] {
            let (job, architecture) = (network.job(8), Architecture::new(&network.model).unwrap());
            let data = synthetic(architecture.inputs(), architecture.outputs(), 8);
            let [helper, ot] = [Protocol::Helper, Protocol::Ot]
                .map(|protocol| declared_step(protocol, &job, &data).unwrap());
            assert_eq!(helper.rounds, ot.rounds, "{}", network.name);
        }
    }

    #[test]
    fn rows_that_do_not_fit_end_a_session_with_an_error_of_a_named_party() {
        let (job, data) = (Network::breast_cancer().job(8), synthetic(31, 2, 8));
        for protocol in [Protocol::Helper, Protocol::Ot] {
            let error = Session::start(protocol, Link::Memory, Threads::Shared, &job, &data);
            let text = format!("{:#}", error.err().expect("31 features do not fit 30 inputs"));
            assert!(text.contains("party"), "{text}");
        }
    }

    #[test]
    fn protocols_have_the_names_that_they_are_read_from() {
        for protocol in [Protocol::Helper, Protocol::Ot] {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        assert!("dealer".parse::<Protocol>().unwrap_err().contains("`dealer`"));
    }
}
