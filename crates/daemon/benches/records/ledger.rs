//! The ledger by itself at that size: a hundred writers that each begin a record, wait until it is
//! durable, settle it, wait again, and so on, with fsync on. No node, no socket.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use sendpay_ledger::{BeginError, Begun, Ledger, NewPayment, SettleError, Settled, Ticket};

use crate::figures::{COMMITS, Figures, RATES};
use crate::fill::{self, Made};
use crate::generator::{End, Generator};

const WRITERS: usize = 100;
/// Begun and settled for a figure: some seconds.
const RECORDS: usize = 60_000;

enum Writer {
    Beginning(Ticket<Result<Begun, BeginError>>, u64, End),
    Settling(Ticket<Result<Settled, SettleError>>),
}

/// Measures on a copy of the ledger.
pub fn measure(figures: &mut Figures, cache: &Path, made: &Made, generator: &Generator) {
    let dir = tempfile::tempdir_in(cache).unwrap();
    let copy = dir.path().join("ledger.sqlite3");
    fill::copy(&fill::file(&made.dir), &copy);
    let mut parts: VecDeque<(NewPayment, u64, End)> = (made.payments..)
        .filter_map(|number| generator.payment(number).waves.pop()?.pop())
        .map(|part| (part.new, part.created_at_ms, part.end))
        .take(RECORDS)
        .collect();
    let (store, ledger) = Ledger::open(&copy).unwrap();
    let (commits, begun) = (store.commits(), Instant::now());
    let mut waiting: VecDeque<Writer> = VecDeque::new();
    for _ in 0..WRITERS {
        waiting.extend(begin(&ledger, &mut parts));
    }
    while let Some(writer) = waiting.pop_front() {
        match writer {
            Writer::Beginning(ticket, now_ms, end) => {
                let Ok(Begun::New(payment)) = ticket.wait().unwrap() else {
                    panic!("was not begun");
                };
                let (id, hash) = (payment.payment_id(), payment.payment_hash);
                waiting.push_back(Writer::Settling(match end {
                    End::Complete(preimage) => ledger.complete(id, hash, preimage, now_ms),
                    End::Failed(failure) => ledger.fail(id, Some(hash), failure, now_ms),
                }));
            }
            Writer::Settling(ticket) => {
                assert!(matches!(ticket.wait().unwrap(), Ok(Settled::Changed(_))));
                waiting.extend(begin(&ledger, &mut parts));
            }
        }
    }
    let rate = RECORDS as f64 / begun.elapsed().as_secs_f64();
    let commits = (store.commits() - commits) as f64;
    let name = "records begun and settled by 100 writers";
    figures.add(RATES, name, made.records, rate);
    let name = "records begun and settled, for each commit";
    figures.add(COMMITS, name, made.records, RECORDS as f64 / commits);
    store.close();
}

fn begin(ledger: &Ledger, parts: &mut VecDeque<(NewPayment, u64, End)>) -> Option<Writer> {
    let (new, now_ms, end) = parts.pop_front()?;
    Some(Writer::Beginning(ledger.begin(new, now_ms), now_ms, end))
}
