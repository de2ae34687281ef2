//! Channels: opening them with coins of the wallet, accepting those of others, and what the RPC
//! shows of each. Closing them is `close.rs`.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, Txid, WScriptHash};
use lightning::events::{ClosureReason, FundingInfo};
use lightning::ln::script::ShutdownScript;
use lightning::ln::types::ChannelId;
use lightning::sign::EntropySource;
use lightning::types::features::ChannelTypeFeatures;
use sendpay_chain::client::BroadcastError;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::channel_list::type_bits;
use crate::close::{End, shutdown_script};
use crate::depth::DEPTH_MAX;
use crate::handshake::{RESERVE_MIN_SAT, chosen};
use crate::shutdown_keys::closing_to;
use crate::wallet::{FundError, Spend};
use crate::{Inner, reserve};

/// How long a peer may take to answer our opening.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

/// By how much at most two ways to round the fee of a transaction differ: less than one satoshi for each
/// of its few outputs, and for all its inputs.
const FEE_ROUNDING: Amount = Amount::from_sat(5);

/// How far an opening is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenStep {
    /// The peer is asked for a channel of that size.
    Asked(Amount),
    /// The peer agreed, and the transaction that funds the channel is made.
    Made(Txid),
    /// Both have signed; the transaction can be sent.
    Signed,
}

/// What to open.
#[derive(Clone, Debug)]
pub struct OpenChannel {
    /// With whom; must be connected.
    pub node_id: PublicKey,
    /// How much, in satoshi; None takes every coin.
    pub amount: Option<Amount>,
    /// What the peer gets at once, in millisatoshi.
    pub push_msat: u64,
    /// Whether the channel is announced to the network.
    pub announce: bool,
    /// Fee rate of the funding transaction; None takes the chain backend's estimate.
    pub feerate: Option<FeeRate>,
    /// Confirmations that a spent coin needs; None: one, or that it is change of ours.
    pub confirmations_min: Option<u32>,
    /// The coins to spend: all of these and no others.
    pub outputs: Option<Vec<OutPoint>>,
    /// Blocks until it can be used, at most [`crate::DEPTH_MAX`]; as many as the peer asks for, if those are more.
    pub depth_min: u32,
    /// What the peer must keep in the channel; None takes LDK's share, a hundredth.
    pub reserve: Option<Amount>,
    /// Where a mutual close pays what is ours, for good; None chooses when it closes.
    pub close_to: Option<ScriptBuf>,
    /// Where to tell how far it is. What finds no room is not told.
    pub steps: Option<mpsc::Sender<OpenStep>>,
}

/// A channel whose funding transaction was sent.
#[derive(Clone, Debug)]
pub struct OpenedChannel {
    /// The funding transaction.
    pub transaction: Transaction,
    /// Its output that funds the channel.
    pub outpoint: OutPoint,
    /// The channel's id (BOLT 2).
    pub channel_id: [u8; 32],
    /// Bits of the channel's type (BOLT 9).
    pub type_bits: Vec<u32>,
    /// Blocks until it can be used.
    pub confirmations_required: Option<u32>,
    /// The script that a mutual close pays to, if one was named and the peer will hold us to it.
    pub close_to: Option<ScriptBuf>,
}

/// Why no channel was opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The peer is not connected. Clients of CLN know this by its words.
    #[error("Peer not connected")]
    NotConnected(PublicKey),
    /// The wallet cannot pay for it.
    #[error("cannot fund the channel: {0}")]
    Fund(#[from] FundError),
    /// A depth that LDK takes for a mistake.
    #[error("should be at most {DEPTH_MAX} blocks")]
    Depth,
    /// LDK refuses our parameters.
    #[error("{0}")]
    Refused(String),
    /// A reserve that LDK cannot ask for.
    #[error(
        "should be from {RESERVE_MIN_SAT} sat, below which LDK does not go, to the whole channel"
    )]
    Reserve,
    /// A script that no close can pay to.
    #[error("should be a segwit address")]
    CloseTo,
    /// The peer or the wallet ended the opening.
    #[error("the opening failed: {0}")]
    Failed(String),
    /// The chain backend did not take the funding transaction.
    #[error("the funding transaction was not broadcast: {0}")]
    Broadcast(#[from] BroadcastError),
    /// No answer in time.
    #[error("the peer did not answer within {} s", OPEN_TIMEOUT.as_secs())]
    Timeout,
}

/// An opening under way, keyed by LDK's `user_channel_id`.
pub(crate) struct Opening {
    /// What the wallet is to pay; the script is known when the peer agrees.
    spend: Spend,
    transaction: Option<Transaction>,
    close_to: Option<ScriptBuf>,
    steps: Option<mpsc::Sender<OpenStep>>,
    done: oneshot::Sender<Result<OpenedChannel, OpenError>>,
}

/// Opens a channel and waits until its funding transaction is sent.
pub(crate) async fn open(
    inner: &Arc<Inner>,
    open: OpenChannel,
) -> Result<OpenedChannel, OpenError> {
    let Some(peer) = inner.peers.peer_by_node_id(&open.node_id) else {
        return Err(OpenError::NotConnected(open.node_id));
    };
    let close_to = open.close_to.as_ref().map(shutdown_script).transpose();
    // As CLN: a peer that would not hold us to it is not told of it.
    let close_to = close_to
        .map_err(|_| OpenError::CloseTo)?
        .filter(|_| peer.init_features.supports_upfront_shutdown_script());
    // With every peer that has them, the channel gets anchors.
    let anchors = peer.init_features.supports_anchors_zero_fee_htlc_tx();
    let feerate = open.feerate.unwrap_or_else(|| inner.funding_feerate());
    let script = ScriptBuf::new_p2wsh(&WScriptHash::all_zeros());
    let spend = Spend {
        confirmations_min: open.confirmations_min,
        outputs: open.outputs.clone(),
        keep: reserve::needed(inner, usize::from(anchors)),
        ..Spend::new(script, None, feerate)
    };
    let amount = match open.amount {
        Some(amount) => amount,
        None => most(inner, &spend)?,
    };
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|cause| OpenError::Refused(cause.to_string()))?;
    let user_channel_id = u128::from_be_bytes(random);
    let temporary = ChannelId(inner.keys.get_secure_random_bytes());
    let (done, opened) = oneshot::channel();
    let config = chosen(&inner.user_config, &open, amount, close_to.is_some())?;
    let opening = Opening {
        spend,
        transaction: None,
        close_to: close_to.clone().map(ShutdownScript::into_inner),
        steps: open.steps.clone(),
        done,
    };
    inner
        .openings
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(user_channel_id, opening);
    // Before the peer can answer.
    tell(open.steps.as_ref(), OpenStep::Asked(amount));
    let _deepened = inner
        .messages
        .depths
        .want(open.node_id, temporary, open.depth_min);
    let created = closing_to(close_to, || {
        inner.manager.create_channel(
            open.node_id,
            amount.to_sat(),
            open.push_msat,
            user_channel_id,
            Some(temporary),
            Some(config),
        )
    });
    if let Err(cause) = created {
        take(inner, user_channel_id);
        return Err(OpenError::Refused(api_error(&cause)));
    }
    sent(inner, user_channel_id, opened).await
}

/// Waits until the peer has signed and the funding transaction is in the mempool.
async fn sent(
    inner: &Inner,
    user_channel_id: u128,
    mut opened: oneshot::Receiver<Result<OpenedChannel, OpenError>>,
) -> Result<OpenedChannel, OpenError> {
    let in_time = tokio::time::timeout(OPEN_TIMEOUT, &mut opened).await;
    let told = match in_time {
        Ok(told) => told,
        Err(_) if take(inner, user_channel_id).is_some() => {
            give_up(inner, user_channel_id);
            return Err(OpenError::Timeout);
        }
        // It was told in this moment.
        Err(_) => opened.await,
    };
    let stopping = |_| OpenError::Failed("the node is stopping".into());
    let channel = told.map_err(stopping)??;
    // LDK has handed it to the broadcaster's queue; whoever asked wants it in the mempool.
    inner.chain.broadcast(&channel.transaction).await?;
    Ok(channel)
}

/// Ends an opening whose peer has not signed: a signature that comes later opens no channel, and the
/// coins are free again.
fn give_up(inner: &Inner, user_channel_id: u128) {
    for channel in inner.manager.list_channels() {
        if channel.user_channel_id == user_channel_id {
            let (id, peer) = (channel.channel_id, channel.counterparty.node_id);
            abandon(inner, id, peer, "the opening took too long");
        }
    }
}

/// How much a channel may take of all that there is.
fn most(inner: &Inner, spend: &Spend) -> Result<Amount, FundError> {
    let most = inner.wallet.most(spend)?;
    if spend.keep == Amount::ZERO {
        return Ok(most);
    }
    // The fee of the same transaction made for a fixed amount may be rounded otherwise, and what is kept
    // must not be less for that.
    Ok(most.checked_sub(FEE_ROUNDING).unwrap_or(most))
}

/// LDK's errors print as structures; this takes the sentence out.
pub(crate) fn api_error(cause: &lightning::util::errors::APIError) -> String {
    use lightning::util::errors::APIError;
    match cause {
        APIError::APIMisuseError { err }
        | APIError::ChannelUnavailable { err }
        | APIError::InvalidRoute { err } => err.clone(),
        other => format!("{other:?}"),
    }
}

/// Who does not take it in is not waited for.
fn tell(steps: Option<&mpsc::Sender<OpenStep>>, step: OpenStep) {
    if let Some(steps) = steps {
        let _ = steps.try_send(step);
    }
}

fn take(inner: &Inner, user_channel_id: u128) -> Option<Opening> {
    inner
        .openings
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&user_channel_id)
}

/// The peer agreed: make the funding transaction. LDK sends it when the peer has signed.
pub(crate) async fn fund(
    inner: &Arc<Inner>,
    temporary_id: ChannelId,
    node_id: PublicKey,
    amount: Amount,
    script: ScriptBuf,
    user_channel_id: u128,
) {
    let spend = inner
        .openings
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&user_channel_id)
        .map(|opening| opening.spend.clone());
    let Some(spend) = spend else {
        // Nobody waits any more (timed out, or asked for before a restart).
        abandon(inner, temporary_id, node_id, "the opening was given up");
        return;
    };
    let spend = Spend {
        script,
        amount: Some(amount),
        // This channel is among those that there are by now, and so may others be.
        keep: reserve::needed(inner, 0),
        ..spend
    };
    let transaction = match inner.wallet.pay_for_opening(spend).await {
        Ok(signed) => signed.transaction,
        Err(cause) => {
            fail(inner, user_channel_id, OpenError::Fund(cause));
            abandon(
                inner,
                temporary_id,
                node_id,
                "the opener could not fund the channel",
            );
            return;
        }
    };
    if let Some(opening) = inner
        .openings
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_mut(&user_channel_id)
    {
        opening.transaction = Some(transaction.clone());
        let txid = transaction.compute_txid();
        tell(opening.steps.as_ref(), OpenStep::Made(txid));
    }
    let txid = transaction.compute_txid();
    let told = inner
        .manager
        .funding_transaction_generated(temporary_id, node_id, transaction);
    if let Err(cause) = told {
        drop(inner.wallet.forget(txid));
        fail(inner, user_channel_id, OpenError::Failed(api_error(&cause)));
    }
}

fn abandon(inner: &Inner, id: ChannelId, node_id: PublicKey, why: &str) {
    let closed = inner
        .manager
        .force_close_broadcasting_latest_txn(&id, &node_id, why.to_owned());
    if let Err(cause) = closed {
        tracing::debug!(?cause, "the opening was gone already");
    }
}

fn fail(inner: &Inner, user_channel_id: u128, error: OpenError) {
    if let Some(opening) = take(inner, user_channel_id) {
        drop(opening.done.send(Err(error)));
    }
}

/// A funding transaction that will never be used: its coins are free again. Not that of a channel that
/// was agreed on: LDK discards it too when the channel closes while its state is being written, and it is
/// with the chain.
pub(crate) fn discard_funding(inner: &Inner, channel_id: &ChannelId, info: &FundingInfo) {
    if inner.written.knows(channel_id) {
        return;
    }
    match info {
        FundingInfo::Tx { transaction } => {
            drop(inner.wallet.forget(transaction.compute_txid()));
        }
        FundingInfo::OutPoint { outpoint } => drop(inner.wallet.forget(outpoint.txid)),
        // Only of splices and dual funding, which this node does not switch on.
        FundingInfo::Contribution { .. } => {}
    }
}

/// The funding transaction is signed by both and on its way.
pub(crate) fn pending(
    inner: &Inner,
    channel_id: ChannelId,
    user_channel_id: u128,
    outpoint: OutPoint,
) {
    tracing::info!(%channel_id, %outpoint, "channel funded, waiting for its depth");
    inner.wallet.agreed(outpoint.txid);
    let Some(opening) = take(inner, user_channel_id) else {
        return;
    };
    tell(opening.steps.as_ref(), OpenStep::Signed);
    let result = match opening.transaction {
        Some(transaction) => {
            let channels = inner.manager.list_channels();
            let details = channels
                .iter()
                .find(|channel| channel.channel_id == channel_id);
            Ok(OpenedChannel {
                transaction,
                outpoint,
                channel_id: channel_id.0,
                type_bits: details.map(type_bits).unwrap_or_default(),
                confirmations_required: details.and_then(|d| d.confirmations_required),
                close_to: opening.close_to,
            })
        }
        None => Err(OpenError::Failed(
            "the funding transaction is not known".into(),
        )),
    };
    drop(opening.done.send(result));
}

/// A channel ended; if it was still opening, whoever waits is told.
pub(crate) fn closed(
    inner: &Inner,
    channel_id: ChannelId,
    user_channel_id: u128,
    reason: &ClosureReason,
) {
    let why = reason.to_string();
    tracing::warn!(%channel_id, %why, "channel closed");
    fail(inner, user_channel_id, OpenError::Failed(why));
    // Nobody waits for it, most of the time.
    let managers = inner.ldk_store.managers();
    drop(inner.ends.send(End::new(channel_id, reason, managers)));
}

/// A peer wants to open a channel to us: accepted, within LDK's own limits. One with anchors only while
/// the wallet has what its fees may take; LDK's peers then ask again for one without.
pub(crate) fn accept(
    inner: &Inner,
    temporary_id: ChannelId,
    node_id: PublicKey,
    kind: &ChannelTypeFeatures,
) {
    if reserve::has_anchors(kind)
        && let Some(missing) = reserve::missing_for_another(inner)
    {
        tracing::warn!(
            %node_id, missing_sat = missing.to_sat(),
            "channel with anchors refused: the wallet has too little to raise its fees with"
        );
        let why = "no funds set aside to raise the fees of another channel with anchors";
        return abandon(inner, temporary_id, node_id, why);
    }
    let mut random = [0u8; 16];
    if getrandom::fill(&mut random).is_err() {
        return abandon(inner, temporary_id, node_id, "no randomness");
    }
    let id = u128::from_be_bytes(random);
    let accepted = inner
        .manager
        .accept_inbound_channel(&temporary_id, &node_id, id, None);
    if let Err(cause) = accepted {
        tracing::warn!(%node_id, cause = api_error(&cause), "channel refused");
    }
}
