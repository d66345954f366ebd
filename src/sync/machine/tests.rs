//! One rule at a time; all of them together: `simulation`.

use std::collections::HashMap;

use super::*;

impl Weight for usize {
    fn bytes(&self) -> usize {
        *self
    }
}

fn id(n: usize) -> Uuid {
    Uuid::from_u128(n as u128)
}

fn entries(count: usize, bytes: usize) -> Vec<Entry<usize>> {
    (1..=count).map(|n| Entry { id: id(n), number: i64::try_from(n).expect("few"), content: Some(bytes) }).collect()
}

/// A session that holds what it should and has said so.
fn quiet() -> Machine {
    let mut machine = Machine::begin(true, Sum::default(), Books::default());
    assert!(matches!(machine.next(0), Some(Act::Look { .. })));
    assert_eq!(machine.found(entries(0, 0), true, 0), []);
    assert_eq!(machine.next(0), Some(Act::SendCheckpoint { number: 0, held: Sum::default() }));
    assert_eq!(machine.next(0), None);
    machine
}

fn looks(machine: &mut Machine, now_ms: u64) -> bool {
    matches!(machine.next(now_ms), Some(Act::Look { .. }))
}

#[test]
fn batches_are_bounded_in_number_entries_and_bytes() {
    for (bytes, in_a_batch) in [(1, MAX_ENTRIES), (MAX_BATCH_BYTES / 10, 10), (2 * MAX_BATCH_BYTES, 1)] {
        let mut machine = quiet();
        machine.wake();
        assert!(looks(&mut machine, 0));
        let mut sent = machine.found(entries(5_000, bytes), false, 0);
        // More is on its way only when the edge keeps up.
        assert_eq!(sent.len(), MAX_FLIGHTS / 2);
        assert!(!looks(&mut machine, 0));
        for round in 0..10 {
            machine.recorded(sent[0].id, &[]);
            assert!(looks(&mut machine, 0));
            let news = machine.news(entries(5_000, bytes), |entry| (entry.id, entry.number));
            sent.remove(0);
            sent.extend(machine.found(news, false, 0));
            assert_eq!(sent.len(), MAX_FLIGHTS.min(round + 3), "{round}");
        }
        assert!(sent.iter().all(|batch| batch.entries.len() == in_a_batch));
        let all: HashSet<_> = sent.iter().flat_map(|batch| &batch.entries).map(|entry| entry.id).collect();
        assert_eq!(all.len(), sent.len() * in_a_batch, "none is sent twice");
    }
}

#[test]
fn who_does_not_acknowledge_gets_it_again_and_less_of_it() {
    let mut machine = quiet();
    machine.wake();
    assert!(looks(&mut machine, 0));
    assert_eq!(machine.found(entries(1_000, 1), false, 0).len(), 2);
    assert_eq!(machine.next(ACK_TIMEOUT_MS - 1), None);
    assert!(looks(&mut machine, ACK_TIMEOUT_MS));
    let again = machine.found(entries(1_000, 1), false, ACK_TIMEOUT_MS);
    assert_eq!(again.iter().map(|batch| (batch.id, batch.entries[0].id)).collect::<Vec<_>>(), [(3, id(1))]);
    // One that is acknowledged waits for the books, however long they take.
    let answers = [(3, 99), (3, 100), (3, 100), (1, 200)].map(|(batch_id, results)| machine.acknowledged(batch_id, results));
    assert_eq!(answers, [Answer::Partial, Answer::Whole, Answer::Stale, Answer::Stale]);
    assert!(Answer::Stale.counts(true) && !Answer::Stale.counts(false) && Answer::Partial.counts(false));
    assert_eq!(machine.next(10 * ACK_TIMEOUT_MS), None);
}

#[test]
fn what_is_written_into_the_books_while_we_look_is_not_sent_again() {
    let mut machine = quiet();
    machine.wake();
    assert!(looks(&mut machine, 0));
    let sent = machine.found(entries(600, 1), false, 0);
    assert_eq!(machine.acknowledged(sent[0].id, 200), Answer::Whole);
    machine.recorded(sent[0].id, &[]);
    assert!(looks(&mut machine, 0));
    // Read before the second batch was written, which was first: none of it is news.
    machine.recorded(sent[1].id, &[]);
    let news = machine.news(entries(600, 1), |entry| (entry.id, entry.number));
    let rows: Vec<_> = news.iter().map(|entry| entry.number).collect();
    assert_eq!(rows, (1..=200).chain(401..=600).collect::<Vec<_>>(), "only what landed before we looked may be due again");
    machine.found(news, true, 0);
    assert!(looks(&mut machine, 0), "what landed may be due all the same");
}

#[test]
fn what_becomes_due_while_we_look_is_looked_for_again() {
    let mut machine = quiet();
    machine.wake();
    assert!(looks(&mut machine, 0));
    machine.wake();
    assert_eq!(machine.found(entries(0, 0), true, 0), []);
    assert!(looks(&mut machine, 0));
}

#[test]
fn a_complaint_has_digests_compared_and_a_second_one_has_everything_sent() {
    let mut machine = quiet();
    machine.requested(true, 0);
    assert_eq!(machine.next(0), Some(Act::AskDigests { bits: 0 }));
    machine.digests(0, std::iter::empty(), true, 0);
    assert_eq!(machine.next(0), Some(Act::Compare { bits: 0, theirs: HashMap::new() }));
    machine.compared(Books::default(), HashMap::new());
    assert!(looks(&mut machine, 0));
    machine.found(entries(0, 0), true, 0);
    assert!(matches!(machine.next(0), Some(Act::SendCheckpoint { .. })));
    machine.requested(true, MENDED_MS - 1);
    assert_eq!(machine.next(0), Some(Act::BeginSnapshot { renumber: true }));
    machine.snapshot_begun();
    assert!(looks(&mut machine, 0));
    machine.found(entries(0, 0), true, 0);
    assert_eq!(machine.next(0), Some(Act::SendLast { batch_id: 1, first: true }));
    machine.recorded(1, &[]);
    assert_eq!(machine.next(0), Some(Act::EndSnapshot));
    machine.snapshot_ended();
    assert!(!machine.is_snapshot());
}

#[test]
fn a_session_begins_with_a_snapshot_only_when_that_is_cheaper_or_needed() {
    let books = |to_remove, to_keep| Books { to_remove, to_keep, ..Books::default() };
    let begins = |same_epoch, books| Machine::begin(same_epoch, Sum::default(), books).is_snapshot();
    assert!(begins(false, books(0, 100)) && begins(true, Books { snapshot_due: true, ..books(0, 100) }));
    assert!(begins(true, books(81, 10)) && !begins(true, books(80, 10)) && !begins(true, books(0, 0)));
}
