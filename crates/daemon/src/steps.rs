//! What a client that asked for notifications is told of a request that goes on in steps, while it goes
//! on: the opening of a channel, its close. The steps are the node's; here they become words. The
//! tries of a payment, which are read from the ledger, are `tries.rs`.

use std::convert::Infallible;
use std::future::Future;

use sendpay_node::{CloseStep, OpenStep};
use sendpay_rpc::notification::Level;
use tokio::sync::mpsc;

use crate::server::Notifier;

/// Steps that wait to be told: more than any request has.
const STEPS_MAX: usize = 8;

/// Does what is made of the way to tell steps, and tells of them meanwhile, if somebody wants to be
/// told. A client that does not read what it is told holds up its own answer alone.
pub(crate) async fn tell<S, T, F>(
    notifier: Option<Notifier>,
    words: impl Fn(&S) -> (Level, String),
    make: impl FnOnce(Option<mpsc::Sender<S>>) -> F,
) -> T
where
    F: Future<Output = T>,
{
    let Some(notifier) = notifier else {
        return make(None).await;
    };
    let (sender, mut steps) = mpsc::channel(STEPS_MAX);
    let doing = make(Some(sender));
    // Taken out of the queue, and perhaps not told yet.
    let mut next = None;
    let outcome = tokio::select! {
        outcome = doing => outcome,
        never = keep_telling(&notifier, &words, &mut steps, &mut next) => match never {},
    };
    while let Some(step) = next.take().or_else(|| steps.try_recv().ok()) {
        let (level, text) = words(&step);
        // Nobody is there to be told.
        let Ok(()) = notifier.message(level, &text).await else {
            break;
        };
    }
    outcome
}

async fn keep_telling<S>(
    notifier: &Notifier,
    words: &impl Fn(&S) -> (Level, String),
    steps: &mut mpsc::Receiver<S>,
    next: &mut Option<S>,
) -> Infallible {
    loop {
        *next = match steps.recv().await {
            Some(step) => Some(step),
            None => std::future::pending().await,
        };
        if let Some(step) = next.as_ref() {
            let (level, text) = words(step);
            if notifier.message(level, &text).await.is_err() {
                // Nobody is there to be told.
                std::future::pending::<()>().await;
            }
        }
        *next = None;
    }
}

/// The words for a step of an opening.
pub(crate) fn opening(step: &OpenStep) -> (Level, String) {
    let text = match step {
        OpenStep::Asked(amount) => {
            format!("Asking the peer for a channel of {} sat", amount.to_sat())
        }
        OpenStep::Made(txid) => format!("The peer agreed: it is funded by transaction {txid}"),
        OpenStep::Signed => "Both have signed: sending the funding transaction".to_owned(),
    };
    (Level::Info, text)
}

/// The words for a step of a close: CLN's, where it has any. `timeout` is the time for a mutual close,
/// in seconds; 0 is for ever.
pub(crate) fn closing(step: CloseStep, timeout: u64) -> (Level, String) {
    let text = match step {
        CloseStep::Away if timeout == 0 => {
            "peer is offline, will negotiate once they reconnect.".to_owned()
        }
        CloseStep::Away => format!(
            "peer is offline, will negotiate once they reconnect ({timeout} seconds before \
             unilateral close)."
        ),
        CloseStep::Begun => "The peer is asked to close the channel with us".to_owned(),
        CloseStep::Forced => "Timed out, forcing close.".to_owned(),
    };
    (Level::Info, text)
}
