//! What a client that asked for notifications is told of the tries of a payment: each part when it
//! is sent, and what became of it. It is read from the ledger, so it is what the records say, and
//! whoever sends them need not know that somebody listens.

use std::collections::BTreeSet;
use std::future::Future;

use sendpay_ledger::{Filter, Ledger, Payment, PaymentHash, ReadError, Status};
use sendpay_rpc::notification::Level;
use sendpay_rpc::value::Scid;

use crate::convert::failure_text;
use crate::server::Notifier;

/// Records of one payment that are read at once.
const ROWS_A_PAGE: usize = 256;

/// Does what pays this hash, and tells of the parts that are sent meanwhile, if somebody wants to be
/// told. A client that does not read what it is told holds up its own answer alone, never the
/// payment.
pub(crate) async fn tell<T>(
    ledger: &Ledger,
    payment_hash: PaymentHash,
    notifier: Option<Notifier>,
    pay: impl Future<Output = T>,
) -> T {
    let Some(notifier) = notifier else {
        return pay.await;
    };
    let mut tries = match Tries::new(ledger, payment_hash, notifier) {
        Ok(tries) => tries,
        Err(error) => {
            tracing::error!(%error, "cannot tell of the tries of a payment");
            return pay.await;
        }
    };
    let outcome = tokio::select! {
        outcome = pay => outcome,
        never = tries.keep_telling() => match never {},
    };
    tries.tell_new().await;
    outcome
}

/// Nothing has this type: what gives it never ends.
enum Never {}

struct Tries<'a> {
    ledger: &'a Ledger,
    payment_hash: PaymentHash,
    notifier: Notifier,
    /// Records up to this one were there before.
    before: u64,
    /// Those after it that were told of, with how they stood.
    told: BTreeSet<(u64, bool)>,
}

impl<'a> Tries<'a> {
    fn new(
        ledger: &'a Ledger,
        payment_hash: PaymentHash,
        notifier: Notifier,
    ) -> Result<Self, ReadError> {
        let mut tries = Tries {
            ledger,
            payment_hash,
            notifier,
            before: 0,
            told: BTreeSet::new(),
        };
        let known = tries.read()?;
        tries.before = known
            .iter()
            .map(|part| part.created_index)
            .max()
            .unwrap_or(0);
        Ok(tries)
    }

    /// The records of the payment that were not there before, the oldest first. They are few: those
    /// of one `pay`.
    fn read(&self) -> Result<Vec<Payment>, ReadError> {
        let filter = Filter {
            payment_hash: Some(self.payment_hash),
            ..Filter::default()
        };
        let mut names = Vec::new();
        let mut next = None;
        loop {
            next = self.ledger.page(&filter, next, ROWS_A_PAGE, &mut |part| {
                if part.created_index > self.before {
                    names.push((part.groupid, part.partid));
                }
            })?;
            if next.is_none() {
                break;
            }
        }
        let whole = |(groupid, partid)| {
            self.ledger
                .payment(self.payment_hash, groupid, partid)
                .transpose()
        };
        // None of them is gone, unless an operator was very quick: then there is nothing to tell of it.
        names.into_iter().filter_map(whole).collect()
    }

    async fn keep_telling(&mut self) -> Never {
        loop {
            // Registered before the look, so that no change falls in between.
            let changed = self.ledger.changed(self.payment_hash);
            self.tell_new().await;
            changed.await;
        }
    }

    /// Tells what was not told yet. If this is dropped halfway, the rest is still to be told.
    async fn tell_new(&mut self) {
        let parts = match self.read() {
            Ok(parts) => parts,
            Err(error) => return tracing::error!(%error, "cannot tell of the tries of a payment"),
        };
        for part in &parts {
            let settled = part.status != Status::Pending;
            for settled in [false, true].into_iter().filter(|as_of| *as_of <= settled) {
                if self.told.contains(&(part.created_index, settled)) {
                    continue;
                }
                let (level, text) = if settled { ended(part) } else { begun(part) };
                // Nobody is there to be told.
                let Ok(()) = self.notifier.message(level, &text).await else {
                    return;
                };
                self.told.insert((part.created_index, settled));
            }
        }
    }
}

/// That a part was sent.
fn begun(part: &Payment) -> (Level, String) {
    let by = match part.first_channel {
        Some(channel) => format!(" by {}", Scid(channel)),
        None => String::new(),
    };
    let text = format!(
        "Part {} of try {}: {}msat sent{by}, {}msat with fees",
        part.partid,
        part.groupid,
        part.amount_msat.msat(),
        part.amount_sent_msat.msat()
    );
    (Level::Info, text)
}

/// What became of a part.
fn ended(part: &Payment) -> (Level, String) {
    let name = format!("Part {} of try {}", part.partid, part.groupid);
    match &part.failure {
        Some(failure) => (Level::Unusual, format!("{name}: {}", failure_text(failure))),
        None if part.status == Status::Complete => (Level::Info, format!("{name}: complete")),
        None => (Level::Unusual, format!("{name}: failed")),
    }
}
