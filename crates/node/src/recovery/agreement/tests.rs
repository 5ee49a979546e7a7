//! Who goes on from where, and what stands in the way.

use proptest::prelude::*;
use tercet_net::SessionId;

use super::*;

const NAMES: [&str; 3] = ["ada", "ben", "cyd"];

fn id(byte: u8) -> SessionId {
    SessionId::from_bytes([byte; 16])
}

/// An offer of run 1 with these steps, each reached by the session given.
fn held(places: &[(u64, u8)]) -> Offer {
    let held = places.iter().map(|&(step, session)| (step, id(session))).collect();
    Offer { run: Some(id(1)), held, ..Offer::default() }
}

fn nothing() -> Offer {
    Offer::default()
}

fn helper(offers: [Offer; 3]) -> Result<Decision, Disagreement> {
    agree(&offers, NAMES, Protocol::Helper, false)
}

fn at(step: u64, session: u8) -> Result<Decision, Disagreement> {
    Ok(Decision::Resume(Place { run: id(1), session: id(session), step }))
}

#[test]
fn parties_that_hold_nothing_or_only_the_beginning_start_afresh() {
    assert_eq!(helper([nothing(), nothing(), nothing()]), Ok(Decision::Fresh));
    let beginning = held(&[(0, 1)]);
    assert_eq!(helper([beginning.clone(), nothing(), nothing()]), Ok(Decision::Fresh));
    let other = Offer { run: Some(id(9)), ..beginning.clone() };
    assert_eq!(helper([beginning, other, nothing()]), Ok(Decision::Fresh));
}

#[test]
fn the_newest_step_that_both_evaluators_hold_is_taken_wherever_the_dealer_is() {
    let (e0, e1) = (held(&[(50, 1), (100, 1), (150, 1)]), held(&[(0, 1), (50, 1), (100, 1)]));
    assert_eq!(helper([e0.clone(), e1.clone(), held(&[(900, 1)])]), at(100, 1));
    assert_eq!(helper([e0, e1, nothing()]), at(100, 1));
    let start = held(&[(0, 1)]);
    assert_eq!(helper([start.clone(), held(&[(0, 1), (50, 1)]), start]), at(0, 1));
}

#[test]
fn one_step_of_two_sessions_is_two_states_and_never_mixed() {
    let (e0, e1) = (held(&[(50, 1), (100, 1)]), held(&[(50, 1), (100, 2)]));
    assert_eq!(helper([e0, e1, nothing()]), at(50, 1));
}

#[test]
fn without_a_dealer_all_three_must_hold_the_step() {
    let offers = [held(&[(50, 1), (100, 1)]), held(&[(50, 1), (100, 1)]), held(&[(50, 1)])];
    assert_eq!(agree(&offers, NAMES, Protocol::Ot, false), at(50, 1));
    let offers = [held(&[(50, 1)]), held(&[(50, 1)]), nothing()];
    let error = agree(&offers, NAMES, Protocol::Ot, false).unwrap_err().to_string();
    assert!(error.contains("`cyd` holds no checkpoint") && error.contains("step 50"), "{error}");
}

#[test]
fn an_evaluator_without_checkpoints_does_not_throw_the_progress_of_the_others_away() {
    let error = helper([nothing(), held(&[(450, 1), (500, 1)]), held(&[(900, 1)])]).unwrap_err();
    assert_eq!(error, Disagreement::Missing { without: "ada".into(), with: "ben".into(), step: 500 });
}

#[test]
fn starting_over_takes_all_who_hold_something() {
    let told = |offer: Offer| Offer { restart: true, ..offer };
    let progress = held(&[(50, 1)]);
    let all = [told(progress.clone()), told(progress.clone()), told(nothing())];
    assert_eq!(helper(all), Ok(Decision::Fresh));
    assert_eq!(helper([told(nothing()), nothing(), held(&[(0, 1)])]), Ok(Decision::Fresh));
    let error = helper([told(progress.clone()), progress, nothing()]).unwrap_err();
    assert_eq!(error, Disagreement::Restart { by: "ada".into(), with: "ben".into(), step: 50 });
}

#[test]
fn checkpoints_of_two_runs_and_steps_without_a_partner_are_named() {
    let other = Offer { run: Some(id(7)), ..held(&[(50, 7)]) };
    let error = helper([held(&[(50, 1)]), other, nothing()]).unwrap_err();
    assert_eq!(error, Disagreement::Runs { one: "ada".into(), other: "ben".into() });
    let error = helper([held(&[(450, 1), (500, 1)]), held(&[(300, 1)]), nothing()]).unwrap_err().to_string();
    assert!(error.contains("`ada`: 450, 500; `ben`: 300"), "{error}");
}

#[test]
fn damaged_checkpoints_are_passed_over_but_not_where_a_private_model_may_have_been_opened() {
    let damaged = Offer { damaged: 150, ..held(&[(50, 1), (100, 1)]) };
    let whole = held(&[(50, 1), (100, 1), (150, 1)]);
    let offers = [whole, damaged, nothing()];
    assert_eq!(agree(&offers, NAMES, Protocol::Helper, false), at(100, 1));
    let error = agree(&offers, NAMES, Protocol::Helper, true).unwrap_err();
    assert_eq!(error, Disagreement::Opened { party: "ben".into(), damaged: 150, common: 100 });
}

#[test]
fn a_peer_s_restart_does_not_take_files_that_only_do_not_open_now() {
    let unreadable = Offer { damaged: 150, ..nothing() };
    let told = Offer { restart: true, ..nothing() };
    let error = helper([unreadable, told.clone(), told]).unwrap_err();
    assert_eq!(error, Disagreement::Restart { by: "ben".into(), with: "ada".into(), step: 150 });
}

#[test]
fn a_private_run_never_goes_on_from_before_an_opening_that_any_party_remembers() {
    let private = |offers: &[Offer; 3]| agree(offers, NAMES, Protocol::Helper, true);
    // One evaluator says, truly or not, that it holds nothing after step 50.
    let (whole, stale) = (held(&[(50, 1), (100, 1), (150, 1)]), held(&[(50, 1)]));
    let knows = |offer: &Offer, opened| Offer { opened, opening: opened, ..offer.clone() };
    let refused =
        |party: &str, opened| Err(Disagreement::Reopened { party: party.into(), opened, common: 50 });
    assert_eq!(private(&[knows(&whole, 100), stale.clone(), nothing()]), refused("ada", 100));
    assert_eq!(private(&[whole.clone(), stale.clone(), knows(&held(&[(150, 1)]), 100)]), refused("cyd", 100));
    assert_eq!(private(&[knows(&whole, 50), stale.clone(), nothing()]), at(50, 1));
    assert_eq!(helper([knows(&whole, 100), stale.clone(), nothing()]), at(50, 1), "not private");
    // Who was ready alone opened nothing: the other died before it had its checkpoint.
    let ready = |offer: &Offer, opening| Offer { opening, ..offer.clone() };
    assert_eq!(private(&[ready(&whole, 100), ready(&stale, 50), nothing()]), at(50, 1));
    assert_eq!(private(&[ready(&whole, 100), ready(&stale, 100), nothing()]), refused("ada", 100));
}

#[test]
fn what_a_dealer_says_that_it_holds_moves_nobody() {
    let (e0, e1) = (held(&[(50, 1), (100, 1)]), held(&[(50, 1), (100, 1)]));
    for claimed in [held(&[(150, 1)]), held(&[(100, 9)]), held(&[(u64::MAX, 1)]), nothing()] {
        assert_eq!(helper([e0.clone(), e1.clone(), claimed]), at(100, 1));
    }
    let claims = [held(&[(u64::MAX, 1)]), Offer { finished: true, ..held(&[(300, 1)]) }];
    for claimed in claims {
        let beginning = held(&[(0, 1)]);
        assert_eq!(helper([beginning.clone(), beginning, claimed]), Ok(Decision::Fresh));
    }
}

#[test]
fn the_run_is_over_when_all_have_their_results_and_not_before() {
    let done = |finished: bool| Offer { finished, ..held(&[(300, 1)]) };
    assert_eq!(helper([done(true), done(true), done(true)]), Ok(Decision::Done));
    assert_eq!(helper([done(true), done(false), done(true)]), at(300, 1));
}

#[test]
fn material_made_ahead_is_used_by_all_or_by_nobody() {
    let with = || Offer { material: true, ..nothing() };
    assert_eq!(agree(&[with(), with(), with()], NAMES, Protocol::Ot, false), Ok(Decision::Fresh));
    let error = agree(&[with(), nothing(), with()], NAMES, Protocol::Ot, false).unwrap_err();
    assert_eq!(error, Disagreement::Material { with: "ada".into(), without: "ben".into() });
}

fn any_offer() -> impl Strategy<Value = Offer> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<[u64; 3]>());
    let places = proptest::collection::btree_map(any::<u64>(), any::<[u8; 16]>(), 0..=4);
    (flags, any::<[u8; 16]>(), places).prop_map(|((restart, finished, material, steps), run, places)| {
        let held: Vec<_> = places.into_iter().map(|(step, id)| (step, SessionId::from_bytes(id))).collect();
        let [damaged, opened, opening] = steps;
        Offer {
            restart,
            finished,
            material,
            run: Some(SessionId::from_bytes(run)),
            damaged,
            opened,
            opening,
            held,
        }
    })
}

proptest! {
    #[test]
    fn an_offer_survives_its_message(offer in any_offer()) {
        prop_assert_eq!(Offer::decode(&offer.encode()), Some(offer));
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_have_two_spellings(
        mut bytes in proptest::collection::vec(any::<u8>(), Offer::BYTES), small in any::<bool>(),
    ) {
        if small {
            bytes[0] = 1;
            bytes[1] %= 16;
            bytes[42] %= 5;
        }
        if let Some(offer) = Offer::decode(&bytes) {
            prop_assert_eq!(offer.encode(), bytes);
        }
    }

    #[test]
    fn no_offer_of_others_makes_a_party_forget_what_it_holds(
        offers in proptest::array::uniform3(any_offer()), private in any::<bool>(), ot in any::<bool>(), same in any::<bool>(),
    ) {
        let mut offers = offers;
        if same {
            let run = offers[0].run;
            offers.iter_mut().for_each(|offer| offer.run = run);
        }
        let (protocol, keepers) = if ot { (Protocol::Ot, 0..3) } else { (Protocol::Helper, 0..2) };
        let decision = agree(&offers, NAMES, protocol, private);
        for own in keepers.clone().map(|party| &offers[party]) {
            match decision {
                Ok(Decision::Fresh) => prop_assert!(own.restart || own.newest() == 0),
                Ok(Decision::Done) => prop_assert!(own.finished),
                Ok(Decision::Resume(place)) => {
                    prop_assert!(own.place(place.step, place.session) == Some(place));
                    prop_assert!(!private || own.opened.max(own.damaged) <= place.step);
                }
                Err(_) => {}
            }
        }
    }

    #[test]
    fn whatever_is_agreed_is_held_by_every_evaluator(
        offers in proptest::array::uniform3(any_offer()), same in any::<bool>(),
    ) {
        let mut offers = offers;
        if same {
            let (run, held) = (offers[0].run, offers[0].held.clone());
            offers.iter_mut().for_each(|offer| (offer.run, offer.held, offer.restart) = (run, held.clone(), false));
        }
        if let Ok(Decision::Resume(place)) = agree(&offers, NAMES, Protocol::Ot, false) {
            prop_assert!(offers.iter().all(|offer| offer.held.contains(&(place.step, place.session))));
        }
    }
}
