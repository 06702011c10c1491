//! What becomes of what the dead registered.

use super::*;

#[test]
fn only_what_was_registered_is_sealed() {
    let table = Table::default();
    let key = active(&table, 1, IDENTITY);
    assert_eq!(table.identity(key, "/p"), Some(IDENTITY));
    assert_eq!(table.identity(key, "/q"), None);
    assert_eq!(
        table.identity(
            Key {
                generation: 2,
                ..key
            },
            "/p"
        ),
        None
    );
    assert_eq!(table.identity(Key { index: N, ..key }, "/p"), None);
    assert!(table.has_identity(0) && !table.has_identity(1) && !table.has_identity(N));
    for word in &table.records[0].identity {
        let was = word.load(Ordering::Relaxed);
        word.store(was ^ 1, Ordering::Relaxed);
        assert_eq!(table.identity(key, "/p"), None);
        word.store(was, Ordering::Relaxed);
    }
    // FNV-1a, as another release computes it.
    assert_eq!(seal(0, [0; 4], ""), seal(0, [0; 4], ""));
    let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let zeros = (0..40).fold(0xcbf2_9ce4_8422_2325, |sum, _| step(sum, 0));
    assert_eq!(seal(0, [0; 4], "a"), step(zeros, b'a'));
}

#[test]
fn what_the_dead_registered_is_reclaimed_by_one_and_then_used_again() {
    let (table, env) = (Table::default(), Known::default());
    let [file, plain, other] = [(1, IDENTITY), (1, [0; 4]), (2, IDENTITY)]
        .map(|(process, identity)| active(&table, process, identity));
    let take = |me, gone: bool| table.claim_reclaim(file.index, me, |_| gone);
    assert_eq!(take(ME, true), None, "it is open");
    table.sweep(1, || true, &env);
    table.sweep(1, || true, &env);
    assert_eq!(
        [file, plain].map(|key| state(&table, key)),
        [State::Orphaned; 2]
    );
    assert_eq!(state(&table, other), State::Active);
    assert_eq!(waiting(reclaim(&table, file)), Some(None));
    assert_eq!(
        (table.is_to_reclaim(0), table.is_to_reclaim(1)),
        (true, false)
    );
    assert_eq!(
        (table.is_to_reclaim(2), table.is_to_reclaim(N)),
        (false, false)
    );
    // Only the one that has nothing to reclaim is used again.
    assert_eq!(
        table.claim(4, 4, never).map(|key| key.index),
        Some(plain.index)
    );
    assert_eq!(table.claim(4, 4, never), None);

    assert_eq!((take(ME, false), table.fate(file)), (Some(file), None));
    assert_eq!(waiting(reclaim(&table, file)), Some(Some(ME)));
    let second = Claimant::new(9, 0xfff0);
    let asked = table.claim_reclaim(file.index, second, |claimant| {
        assert_eq!(claimant, ME);
        false
    });
    assert_eq!(asked, None, "the first lives");
    assert_eq!(take(second, true), Some(file), "it died over it");
    assert!(
        !table.finish_reclaim(file, ME, Fate::Reclaimed),
        "it was taken over"
    );
    table.postpone_reclaim(file, ME);
    assert_eq!(waiting(reclaim(&table, file)), Some(Some(second)));
    table.postpone_reclaim(file, second);
    assert_eq!(
        (take(ME, false), table.is_to_reclaim(0)),
        (Some(file), true)
    );
    assert!(table.finish_reclaim(file, ME, Fate::Refused));
    assert_eq!(
        (table.fate(file), table.is_to_reclaim(0)),
        (Some(Fate::Refused), false)
    );
    assert_eq!(
        table.fate(Key {
            generation: 2,
            ..file
        }),
        None
    );
    assert_eq!(
        (take(ME, true), waiting(reclaim(&table, file))),
        (None, None)
    );
    assert_eq!(
        table.claim(4, 4, never).map(|key| key.index),
        Some(file.index)
    );
    assert!(!table.finish_reclaim(Key { index: N, ..file }, ME, Fate::Absent));
    assert_eq!(table.claim_reclaim(N, ME, |_| true), None);
}

#[test]
fn each_fate_is_told_and_an_owner_may_forgo_it() {
    for fate in [Fate::Reclaimed, Fate::Absent, Fate::Refused] {
        let (table, env) = (Table::default(), Known::default());
        let key = active(&table, 1, IDENTITY);
        end(&table, key, State::TimedOut);
        table.sweep(1, || true, &env);
        assert_eq!(table.claim_reclaim(0, ME, |_| false), Some(key));
        assert!(table.finish_reclaim(key, ME, fate));
        assert_eq!(table.fate(key), Some(fate));
        table.sweep(1, || true, &env);
        assert_eq!(table.fate(key), Some(fate), "it is marked once");
    }
    let (table, env) = (Table::default(), Known::default());
    let key = active(&table, 1, IDENTITY);
    end(&table, key, State::Failed);
    table.forgo_reclaim(key);
    table.sweep(1, || true, &env);
    assert_eq!(
        (table.fate(key), table.is_to_reclaim(0)),
        (Some(Fate::Absent), false)
    );
    assert_eq!(
        table.claim(4, 4, never).map(|key| key.index),
        Some(1),
        "free ones first"
    );
    // What was closed needs nothing, whatever stands in its words.
    let closed = active(&table, 1, IDENTITY);
    end(&table, closed, State::Closed);
    table.sweep(1, || true, &env);
    assert!(!table.is_to_reclaim(closed.index));
    assert_eq!(state(&table, closed), State::Closed);
}

#[test]
fn a_sweep_frees_what_was_never_published() {
    let (table, env) = (Table::default(), Known::default());
    let key = table.claim(1, 1, never).unwrap();
    table.sweep(2, || true, &env);
    assert_eq!(state(&table, key), State::Claimed);
    table.sweep(1, || true, &env);
    assert_eq!(state(&table, key), State::Free);
    for from in [State::Active, State::Draining, State::Closing] {
        let key = active(&table, 1, [0; 4]);
        let _ = table.move_to(key, &[State::Active], from, 1);
        env.now.set(77);
        table.sweep(1, || true, &env);
        assert_eq!(state(&table, key), State::Orphaned);
        assert_eq!(table.entered(key, State::Orphaned), Some(77));
    }
}

#[test]
fn reclaim_words_that_no_release_writes_are_told() {
    let (table, env) = (Table::default(), Known::default());
    let key = active(&table, 1, IDENTITY);
    let told = |raw: u64, state| fault(raw, key.generation, state).is_some();
    let none = reclaim(&table, key);
    assert!(!told(none, State::Active) && !told(none, State::Closed));
    end(&table, key, State::Failed);
    table.sweep(1, || true, &env);
    let pending = reclaim(&table, key);
    assert!(table.claim_reclaim(0, ME, |_| false).is_some());
    let claimed = reclaim(&table, key);
    assert!(table.finish_reclaim(key, ME, Fate::Refused));
    let done = reclaim(&table, key);
    for state in [
        State::Failed,
        State::TimedOut,
        State::Orphaned,
        State::Dropped,
    ] {
        for good in [pending, claimed, done] {
            assert!(!told(good, state), "{good:#x} {state:?}");
        }
    }
    let failed = State::Failed;
    let process = 0x7ff << 29;
    for (bad, state) in [
        (none ^ 1 << 4, failed),
        (done ^ 1 << 4, failed),
        (claimed ^ 1 << 4, failed),
        (claimed & !process, failed),
        (claimed | 1 << 2, failed),
        (claimed, State::Active),
        (claimed, State::Closed),
        (pending | 1 << 29, failed),
        (none | 1 << 42, failed),
        (done | 1 << 63, failed),
        (done | 3 << 2, failed),
        (pending | 1 << 2, failed),
        (none | 1 << 3, failed),
        (pending, State::Closed),
    ] {
        assert!(told(bad, state), "{bad:#x} {state:?}");
    }
    // A word that names nobody is nobody's.
    table.records[0]
        .reclaim
        .store(claimed & !process, Ordering::Relaxed);
    assert_eq!(table.claim_reclaim(0, ME, |_| false), Some(key));
    table.records[0]
        .reclaim
        .store(pending ^ 1 << 4, Ordering::Relaxed);
    assert_eq!(
        table.claim_reclaim(0, ME, |_| true),
        None,
        "of another registration"
    );
    assert!(!table.records[0].is_settled(table.word(0)));
}
