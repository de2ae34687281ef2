//! Closing a channel: with the other end's consent, or without it after a time.
//!
//! LDK begins a mutual close only while the peer is connected, and from then on goes on with it over
//! reconnections and restarts. What is here begins it when the peer is there, counts the time to a
//! unilateral close, and waits for the transaction that closes the channel. Openings are
//! `channel.rs`'s.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use bitcoin::{FeeRate, OutPoint, ScriptBuf, Transaction};
use lightning::events::ClosureReason;
use lightning::ln::channel_state::{ChannelDetails, ChannelShutdownState};
use lightning::ln::script::ShutdownScript;
use lightning::ln::types::ChannelId;
use lightning::sign::{ChangeDestinationSource, SignerProvider, SpendableOutputDescriptor};
use lightning::util::errors::APIError;
use thiserror::Error;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::Inner;
use crate::channel::api_error;

/// How often an absent peer is looked for.
const LOOK: Duration = Duration::from_millis(250);

/// How long after the end of a channel its transaction may take to be handed over, for which LDK writes
/// the channel's monitor first, and the end itself to be written down.
const END_WAIT: Duration = Duration::from_secs(10);

/// Ends of channels that a request may be behind by.
pub(crate) const ENDS_MAX: usize = 1_024;

/// How far a close is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseStep {
    /// The peer is away; the close begins when it is back.
    Away,
    /// The peer was told that the channel is to be closed, by us or before by itself.
    Begun,
    /// The time for a mutual close is over: our commitment transaction is sent.
    Forced,
}

/// Which channel to close, and how.
#[derive(Clone, Debug)]
pub struct CloseChannel {
    /// The other end.
    pub node_id: PublicKey,
    /// BOLT 2's id.
    pub channel_id: [u8; 32],
    /// After how long to close without the other end; None waits for it.
    pub unilateral_after: Option<Duration>,
    /// Where a mutual close pays what is ours; None is an address of the wallet.
    pub destination: Option<ScriptBuf>,
    /// The least fee rate of a mutual close; None takes LDK's.
    pub feerate_min: Option<FeeRate>,
    /// Where to tell how far it is. What finds no room is not told.
    pub steps: Option<mpsc::Sender<CloseStep>>,
}

impl CloseChannel {
    /// Who does not take it in is not waited for.
    fn tell(&self, step: CloseStep) {
        if let Some(steps) = &self.steps {
            let _ = steps.try_send(step);
        }
    }
}

/// How a channel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Both ends signed the transaction.
    Mutual,
    /// One end broadcast its commitment transaction.
    Unilateral,
    /// There was no funding transaction yet.
    Unopened,
}

/// A channel that was closed.
#[derive(Clone, Debug)]
pub struct ClosedChannel {
    /// How.
    pub closing: Closing,
    /// What we broadcast to close it; nothing if the other end's commitment transaction did.
    pub transactions: Vec<Transaction>,
}

/// Why a channel was not closed, or not as was wanted.
#[derive(Debug, Error)]
pub enum CloseError {
    /// There is no such channel any more.
    #[error("Channel forgotten before proper close.")]
    Lost,
    /// Not a segwit address.
    #[error("Invalid close destination")]
    Destination,
    /// The peer takes witness version 0 only.
    #[error("Peer does not allow v1+ shutdown addresses")]
    DestinationVersion,
    /// The channel was opened with another destination, or its close has begun with one.
    #[error(
        "Destination address {0} does not match previous shutdown script: it can no longer be chosen"
    )]
    DestinationFixed(ScriptBuf),
    /// LDK refuses.
    #[error("{0}")]
    Refused(String),
    /// The node stops.
    #[error("The daemon is shutting down")]
    Stopping,
}

/// The end of a channel, told to those who wait for it.
#[derive(Clone, Debug)]
pub(crate) struct End {
    channel_id: ChannelId,
    closing: Closing,
    /// Whether a transaction of ours closes it.
    ours: bool,
    /// How often the channel manager was written before: one after these knows of it.
    managers: u64,
}

impl End {
    pub(crate) fn new(channel_id: ChannelId, reason: &ClosureReason, managers: u64) -> End {
        use ClosureReason as R;
        let (closing, ours) = match reason {
            R::LegacyCooperativeClosure
            | R::CounterpartyInitiatedCooperativeClosure
            | R::LocallyInitiatedCooperativeClosure => (Closing::Mutual, true),
            R::CommitmentTxConfirmed => (Closing::Unilateral, false),
            R::CounterpartyForceClosed { .. }
            | R::HolderForceClosed { .. }
            | R::ProcessingError { .. }
            | R::OutdatedChannelManager
            | R::HTLCsTimedOut { .. }
            | R::PeerFeerateTooLow { .. } => (Closing::Unilateral, true),
            R::FundingTimedOut
            | R::DisconnectedPeer
            | R::CounterpartyCoopClosedUnfundedChannel
            | R::LocallyCoopClosedUnfundedChannel
            | R::FundingBatchClosure => (Closing::Unopened, false),
        };
        End {
            channel_id,
            closing,
            ours,
            managers,
        }
    }
}

/// What one request watches.
struct Watch {
    channel_id: ChannelId,
    funding: Option<OutPoint>,
    handed_over: broadcast::Receiver<Transaction>,
    ends: broadcast::Receiver<End>,
}

impl Watch {
    /// The next transaction handed to the chain that spends the channel's funding output.
    async fn spending(&mut self) -> Transaction {
        loop {
            match self.handed_over.recv().await {
                Ok(transaction) if self.spends_funding(&transaction) => return transaction,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                // The node holds the other end as long as there is anybody to ask.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    fn spends_funding(&self, transaction: &Transaction) -> bool {
        let mut inputs = transaction.input.iter();
        inputs.any(|input| Some(input.previous_output) == self.funding)
    }

    /// The end of the channel.
    async fn end(&mut self) -> End {
        loop {
            match self.ends.recv().await {
                Ok(end) if end.channel_id == self.channel_id => return end,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// Closes a channel; returns when what closes it is broadcast.
pub(crate) async fn close(
    inner: &Arc<Inner>,
    wanted: CloseChannel,
) -> Result<ClosedChannel, CloseError> {
    let script = wanted
        .destination
        .as_ref()
        .map(shutdown_script)
        .transpose()?;
    let channel_id = ChannelId(wanted.channel_id);
    // Before the first look: what happens after it is not missed.
    let mut watch = Watch {
        channel_id,
        funding: None,
        handed_over: inner.broadcaster.watch(),
        ends: inner.ends.subscribe(),
    };
    let details = find(inner, &wanted).ok_or(CloseError::Lost)?;
    watch.funding = details
        .funding_txo
        .map(|funding| funding.into_bitcoin_outpoint());
    let mut begin = Begin::new(&wanted, script, &details)?;
    if inner.peers.peer_by_node_id(&wanted.node_id).is_none() {
        wanted.tell(CloseStep::Away);
    }
    let end = wait_for_end(inner, &wanted, &mut watch, &mut begin).await?;
    let transactions = if end.ours {
        let sent = timeout(END_WAIT, watch.spending()).await;
        sent.into_iter().collect()
    } else {
        Vec::new()
    };
    for transaction in &transactions {
        // It is in the broadcaster's queue; whoever asked wants it in the mempool.
        if let Err(cause) = inner.chain.broadcast(transaction).await {
            tracing::warn!(%channel_id, %cause, "what closes a channel is not in the mempool yet");
        }
    }
    // What is answered is so after a crash, too.
    let durable = inner.ldk_store.manager_after(end.managers);
    if timeout(END_WAIT, durable).await.is_err() {
        tracing::warn!(%channel_id, "the end of a channel is not written down yet");
    }
    Ok(ClosedChannel {
        closing: end.closing,
        transactions,
    })
}

async fn wait_for_end(
    inner: &Arc<Inner>,
    wanted: &CloseChannel,
    watch: &mut Watch,
    begin: &mut Begin,
) -> Result<End, CloseError> {
    let mut stop = inner.stop.subscribe();
    let mut unilateral_at = wanted.unilateral_after.map(|after| Instant::now() + after);
    let mut told = false;
    loop {
        if !begin.begun {
            begin.try_now(inner, wanted).await?;
        }
        if begin.begun && !told {
            wanted.tell(CloseStep::Begun);
            told = true;
        }
        let late = async {
            match unilateral_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = watch.end() => return Ok(end),
            () = late => {
                unilateral_at = None;
                begin.begun = true;
                told = true;
                wanted.tell(CloseStep::Forced);
                force(inner, wanted)?;
            }
            () = sleep(LOOK), if !begin.begun => {}
            _ = stop.wait_for(|stop| *stop) => return Err(CloseError::Stopping),
        }
    }
}

/// The beginning of a mutual close, once the peer is there.
struct Begin {
    begun: bool,
    script: Option<ShutdownScript>,
    chosen: bool,
}

impl Begin {
    fn new(
        wanted: &CloseChannel,
        script: Option<ShutdownScript>,
        details: &ChannelDetails,
    ) -> Result<Begin, CloseError> {
        let begun = is_closing(details);
        match (&wanted.destination, begun) {
            (Some(destination), true) => Err(CloseError::DestinationFixed(destination.clone())),
            _ => Ok(Begin {
                begun,
                chosen: script.is_some(),
                script,
            }),
        }
    }

    async fn try_now(&mut self, inner: &Inner, wanted: &CloseChannel) -> Result<(), CloseError> {
        let Some(details) = find(inner, wanted) else {
            // Its end was told already, and is read next.
            self.begun = true;
            return Ok(());
        };
        if is_closing(&details) {
            self.begun = true;
            return Ok(());
        }
        if inner.peers.peer_by_node_id(&wanted.node_id).is_none() {
            return Ok(());
        }
        if self.script.is_none() && details.funding_txo.is_some() {
            let address = inner.wallet.get_change_destination_script().await;
            self.script = address.ok().and_then(|script| script.try_into().ok());
        }
        let feerate = wanted
            .feerate_min
            .map(|rate| u32::try_from(rate.to_sat_per_kwu()).unwrap_or(u32::MAX));
        let close = |script| {
            inner.manager.close_channel_with_feerate_and_script(
                &details.channel_id,
                &wanted.node_id,
                feerate,
                script,
            )
        };
        let mut closed = close(self.script.clone());
        if !self.chosen && matches!(closed, Err(APIError::APIMisuseError { .. })) {
            // Opened by a version that fixed the destination at the opening: LDK's own address,
            // from which the sweeper takes it.
            closed = close(None);
        }
        match closed {
            Ok(()) => self.begun = true,
            // Another request, or the peer, was faster.
            Err(ref cause) if api_error(cause).contains("already in progress") => {
                if let Some(destination) = &wanted.destination {
                    return Err(CloseError::DestinationFixed(destination.clone()));
                }
                self.begun = true;
            }
            // The peer has just gone, or LDK has something to finish first.
            Err(ref cause @ APIError::ChannelUnavailable { .. }) => self.later(cause),
            Err(ref cause) if api_error(cause).contains("pending HTLCs") => self.later(cause),
            Err(APIError::IncompatibleShutdownScript { .. }) => {
                return Err(CloseError::DestinationVersion);
            }
            Err(ref cause) if api_error(cause).contains("override shutdown script") => {
                let destination = wanted.destination.clone().unwrap_or_default();
                return Err(CloseError::DestinationFixed(destination));
            }
            Err(cause) => return Err(CloseError::Refused(api_error(&cause))),
        }
        Ok(())
    }

    fn later(&self, cause: &APIError) {
        tracing::debug!(cause = api_error(cause), "a channel cannot be closed yet");
    }
}

/// Broadcasts our commitment transaction.
fn force(inner: &Inner, wanted: &CloseChannel) -> Result<(), CloseError> {
    let Some(details) = find(inner, wanted) else {
        return Ok(());
    };
    let why = "the channel was closed by a request, as its time for a mutual close was over";
    inner
        .manager
        .force_close_broadcasting_latest_txn(&details.channel_id, &wanted.node_id, why.to_owned())
        .or_else(|cause| match find(inner, wanted) {
            None => Ok(()),
            Some(_) => Err(CloseError::Refused(api_error(&cause))),
        })
}

fn find(inner: &Inner, wanted: &CloseChannel) -> Option<ChannelDetails> {
    let channels = inner
        .manager
        .list_channels_with_counterparty(&wanted.node_id);
    channels
        .into_iter()
        .find(|channel| channel.channel_id.0 == wanted.channel_id)
}

fn is_closing(details: &ChannelDetails) -> bool {
    let state = details.channel_shutdown_state;
    state.is_some_and(|state| state != ChannelShutdownState::NotShuttingDown)
}

/// The script as LDK takes it. Of what BOLT 2 allows, not the two old kinds, as in CLN.
pub(crate) fn shutdown_script(script: &ScriptBuf) -> Result<ShutdownScript, CloseError> {
    if !script.is_witness_program() {
        return Err(CloseError::Destination);
    }
    script
        .clone()
        .try_into()
        .map_err(|_| CloseError::Destination)
}

/// Whether the sweeper must take an output to the wallet. What a mutual close has paid to the wallet,
/// or to somebody else as was wanted, is where it belongs.
pub(crate) fn is_ours_to_sweep(inner: &Inner, output: &SpendableOutputDescriptor) -> bool {
    let SpendableOutputDescriptor::StaticOutput {
        output,
        channel_keys_id,
        ..
    } = output
    else {
        return true;
    };
    let keys_id = channel_keys_id.unwrap_or_default();
    let of_ldk = [
        inner.keys.get_destination_script(keys_id).ok(),
        inner
            .keys
            .get_shutdown_scriptpubkey()
            .ok()
            .map(ShutdownScript::into_inner),
    ];
    of_ldk
        .into_iter()
        .flatten()
        .any(|script| script == output.script_pubkey)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::hashes::Hash;
    use bitcoin::{PubkeyHash, ScriptHash, WPubkeyHash, WitnessProgram, WitnessVersion};

    #[test]
    fn a_destination_is_a_segwit_address_of_any_version() {
        let taproot = WitnessProgram::new(WitnessVersion::V1, &[2; 32]).unwrap();
        for good in [
            ScriptBuf::new_p2wpkh(&WPubkeyHash::all_zeros()),
            ScriptBuf::new_witness_program(&taproot),
        ] {
            assert_eq!(shutdown_script(&good).unwrap().into_inner(), good);
        }
        for bad in [
            ScriptBuf::new_p2pkh(&PubkeyHash::all_zeros()),
            ScriptBuf::new_p2sh(&ScriptHash::all_zeros()),
            ScriptBuf::new(),
        ] {
            assert!(matches!(
                shutdown_script(&bad),
                Err(CloseError::Destination)
            ));
        }
    }
}
