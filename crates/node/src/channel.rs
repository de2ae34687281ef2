//! Channels: opening them with coins of the wallet, accepting those of others, and what the RPC
//! shows of each. Closing them is `close.rs`.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, WScriptHash};
use lightning::events::ClosureReason;
use lightning::ln::channel_state::{ChannelDetails, ChannelShutdownState};
use lightning::ln::types::ChannelId;
use sendpay_chain::client::BroadcastError;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::close::End;
use crate::wallet::{FundError, Spend};
use crate::{Htlc, Inner, withdraw};

/// How long a peer may take to answer our opening.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

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
    /// LDK refuses our parameters.
    #[error("{0}")]
    Refused(String),
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
    done: oneshot::Sender<Result<OpenedChannel, OpenError>>,
}

/// A channel as the RPC shows it. Amounts in millisatoshi unless named otherwise.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The other end.
    pub node_id: PublicKey,
    /// BOLT 2's id.
    pub channel_id: [u8; 32],
    /// Where it was funded.
    pub funding: Option<OutPoint>,
    /// BOLT 7's id, once it is deep enough.
    pub short_channel_id: Option<u64>,
    /// The id by which we know it before that, and for ever when it is private.
    pub alias_local: Option<u64>,
    /// The id by which the peer knows it, for route hints.
    pub alias_remote: Option<u64>,
    /// The whole channel.
    pub total_msat: u64,
    /// What is ours, HTLCs and reserve included, as far as LDK tells.
    pub to_us_msat: u64,
    /// What we can send now in all.
    pub spendable_msat: u64,
    /// What one HTLC may carry now.
    pub htlc_limit_msat: u64,
    /// What we can receive now.
    pub receivable_msat: u64,
    /// Our reserve, in satoshi.
    pub our_reserve_sat: u64,
    /// The peer's reserve, in satoshi.
    pub their_reserve_sat: u64,
    /// We opened it.
    pub opener_local: bool,
    /// Deep enough on both sides.
    pub ready: bool,
    /// Ready and the peer is connected.
    pub usable: bool,
    /// The peer is connected.
    pub connected: bool,
    /// Closing has begun.
    pub closing: bool,
    /// Where it is in its life.
    pub stage: ChannelStage,
    /// Announced to the network.
    pub announced: bool,
    /// Blocks on top of the funding transaction.
    pub confirmations: u32,
    /// Our fee to forward over it: base in millisatoshi, and millionths.
    pub fee_base_msat: u32,
    /// See `fee_base_msat`.
    pub fee_proportional_millionths: u32,
    /// Blocks we want between incoming and outgoing HTLC.
    pub cltv_expiry_delta: u16,
    /// Least HTLC that we take in.
    pub htlc_minimum_msat: u64,
    /// Least HTLC that the peer takes, which is the least that we forward.
    pub htlc_minimum_out_msat: Option<u64>,
    /// Greatest HTLC that the peer takes, whatever the balance.
    pub htlc_maximum_out_msat: Option<u64>,
    /// What the peer asks to forward over it, once it has told us.
    pub remote_terms: Option<RemoteTerms>,
    /// Blocks that our money waits after we force the channel closed.
    pub our_to_self_delay: Option<u16>,
    /// Bits of the channel's type (BOLT 9).
    pub type_bits: Vec<u32>,
    /// HTLCs in flight.
    pub htlcs: Vec<Htlc>,
}

/// Where a channel is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelStage {
    /// Waiting for its depth.
    Opening,
    /// It can be used.
    Normal,
    /// One end wants to close it, and HTLCs may be left in it.
    ShuttingDown,
    /// The ends are agreeing on the fee of the transaction that closes it.
    AgreeingOnFee,
    /// They have agreed.
    Closed,
}

/// What a peer asks to forward over a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteTerms {
    /// In millisatoshi.
    pub fee_base_msat: u32,
    /// Of the amount.
    pub fee_proportional_millionths: u32,
    /// In blocks.
    pub cltv_expiry_delta: u16,
}

/// Opens a channel and waits until its funding transaction is sent.
pub(crate) async fn open(
    inner: &Arc<Inner>,
    open: OpenChannel,
) -> Result<OpenedChannel, OpenError> {
    if inner.peers.peer_by_node_id(&open.node_id).is_none() {
        return Err(OpenError::NotConnected(open.node_id));
    }
    let feerate = open.feerate.unwrap_or_else(|| inner.funding_feerate());
    let script = ScriptBuf::new_p2wsh(&WScriptHash::all_zeros());
    let spend = Spend {
        confirmations_min: open.confirmations_min,
        outputs: open.outputs,
        ..Spend::new(script, None, feerate)
    };
    let amount = match open.amount {
        Some(amount) => amount,
        None => inner.wallet.most(&spend)?,
    };
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|cause| OpenError::Refused(cause.to_string()))?;
    let user_channel_id = u128::from_be_bytes(random);
    let (done, opened) = oneshot::channel();
    let opening = Opening {
        spend,
        transaction: None,
        done,
    };
    inner
        .openings
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(user_channel_id, opening);
    let mut config = inner.user_config.clone();
    config.channel_handshake_config.announce_for_forwarding = open.announce;
    let created = inner.manager.create_channel(
        open.node_id,
        amount.to_sat(),
        open.push_msat,
        user_channel_id,
        None,
        Some(config),
    );
    if let Err(cause) = created {
        take(inner, user_channel_id);
        return Err(OpenError::Refused(api_error(&cause)));
    }
    match tokio::time::timeout(OPEN_TIMEOUT, opened).await {
        Ok(Ok(Ok(channel))) => {
            // LDK has handed it to the broadcaster's queue; whoever asked wants it in the mempool.
            inner.chain.broadcast(&channel.transaction).await?;
            Ok(channel)
        }
        Ok(Ok(Err(cause))) => Err(cause),
        Ok(Err(_)) => Err(OpenError::Failed("the node is stopping".into())),
        Err(_) => {
            take(inner, user_channel_id);
            Err(OpenError::Timeout)
        }
    }
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
        ..spend
    };
    let transaction = match inner.wallet.pay(spend).await {
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
    }
    let txid = transaction.compute_txid();
    let told = inner
        .manager
        .funding_transaction_generated(temporary_id, node_id, transaction);
    if let Err(cause) = told {
        inner.wallet.forget(txid);
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

/// The funding transaction is signed by both and on its way.
pub(crate) fn pending(
    inner: &Inner,
    channel_id: ChannelId,
    user_channel_id: u128,
    outpoint: OutPoint,
) {
    tracing::info!(%channel_id, %outpoint, "channel funded, waiting for its depth");
    let Some(opening) = take(inner, user_channel_id) else {
        return;
    };
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
            })
        }
        None => Err(OpenError::Failed(
            "the funding transaction is not known".into(),
        )),
    };
    drop(opening.done.send(result));
}

/// What a crash leaves of openings: a funding transaction whose channel is kept may not have been
/// sent, and is sent again; one whose channel was never kept must never be sent, as nobody has
/// signed a way back, so its coins are free again. To be called before new openings; nothing but
/// openings and withdrawals makes transactions in the wallet, and withdrawals are kept.
pub(crate) async fn review_openings(inner: &Inner) {
    let channels = inner.manager.list_channels();
    let of_channels: Vec<OutPoint> = channels
        .iter()
        .filter_map(|channel| channel.funding_txo)
        .map(|funding| funding.into_bitcoin_outpoint())
        .collect();
    let of_monitors: Vec<OutPoint> = inner
        .monitor
        .list_monitors()
        .into_iter()
        .filter_map(|id| Some(inner.monitor.get_monitor(id).ok()?.get_funding_txo()))
        .map(|funding| funding.into_bitcoin_outpoint())
        .collect();
    let funds = |fundings: &[OutPoint], txid| fundings.iter().any(|funding| funding.txid == txid);
    let withdrawals = withdraw::review(inner);
    let mut unsent = Vec::new();
    for transaction in inner.wallet.unconfirmed() {
        let txid = transaction.compute_txid();
        if funds(&of_channels, txid) || withdrawals.contains(&txid) {
            unsent.push(transaction);
        } else if !funds(&of_monitors, txid) {
            tracing::warn!(%txid, "a channel was not opened before a crash; its coins are free again");
            inner.wallet.forget(txid);
        }
    }
    if unsent.is_empty() {
        return;
    }
    tracing::info!(
        transactions = unsent.len(),
        "sending unconfirmed transactions again"
    );
    if let Err(cause) = inner.chain.broadcast_package(&unsent).await {
        tracing::warn!(%cause, "they were not all sent");
    }
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
    drop(inner.ends.send(End::new(channel_id, reason)));
}

/// A peer wants to open a channel to us: accepted, within LDK's own limits.
pub(crate) fn accept(inner: &Inner, temporary_id: ChannelId, node_id: PublicKey) {
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

/// Every channel.
pub(crate) fn list(inner: &Inner) -> Vec<Channel> {
    inner
        .manager
        .list_channels()
        .into_iter()
        .map(|details| show(inner, details))
        .collect()
}

/// The bits set in a channel's type; LDK keeps the bytes in little-endian order.
fn type_bits(details: &ChannelDetails) -> Vec<u32> {
    let flags = details
        .channel_type
        .as_ref()
        .map(|kind| kind.le_flags().to_vec());
    let bits = flags
        .unwrap_or_default()
        .into_iter()
        .zip(0u32..)
        .flat_map(|(byte, index)| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 == 1)
                .map(move |bit| index * 8 + bit)
        });
    bits.collect()
}

/// Our balance, with what our pending HTLCs hold, in msat. LDK tells of each side only what it has
/// above its reserve: nothing as long as it is below. Then the balance is what is left of the
/// other side's, as both cannot be below at once.
fn balance_msat(details: &ChannelDetails) -> u64 {
    let total = details.channel_value_satoshis * 1_000;
    let reserve = |satoshis: Option<u64>| satoshis.unwrap_or(0) * 1_000;
    let outgoing = details.pending_outbound_htlcs.iter();
    let incoming = details.pending_inbound_htlcs.iter();
    let balance = if details.outbound_capacity_msat > 0 {
        details.outbound_capacity_msat
            + reserve(details.unspendable_punishment_reserve)
            + outgoing.map(|htlc| htlc.amount_msat).sum::<u64>()
    } else {
        let theirs = details.inbound_capacity_msat
            + reserve(Some(details.counterparty.unspendable_punishment_reserve))
            + incoming.map(|htlc| htlc.amount_msat).sum::<u64>();
        total.saturating_sub(theirs)
    };
    balance.min(total)
}

fn stage(details: &ChannelDetails) -> ChannelStage {
    match details.channel_shutdown_state {
        Some(ChannelShutdownState::ShutdownInitiated | ChannelShutdownState::ResolvingHTLCs) => {
            ChannelStage::ShuttingDown
        }
        Some(ChannelShutdownState::NegotiatingClosingFee) => ChannelStage::AgreeingOnFee,
        Some(ChannelShutdownState::ShutdownComplete) => ChannelStage::Closed,
        Some(ChannelShutdownState::NotShuttingDown) | None if details.is_channel_ready => {
            ChannelStage::Normal
        }
        Some(ChannelShutdownState::NotShuttingDown) | None => ChannelStage::Opening,
    }
}

fn show(inner: &Inner, details: ChannelDetails) -> Channel {
    let total_msat = details.channel_value_satoshis * 1_000;
    let config = details.config.unwrap_or_default();
    let type_bits = type_bits(&details);
    let sent = details.pending_outbound_htlcs.iter().map(Htlc::from);
    let received = details.pending_inbound_htlcs.iter().map(Htlc::from);
    let stage = stage(&details);
    let remote_terms = details.counterparty.forwarding_info.as_ref();
    Channel {
        node_id: details.counterparty.node_id,
        channel_id: details.channel_id.0,
        funding: details
            .funding_txo
            .map(|funding| funding.into_bitcoin_outpoint()),
        short_channel_id: details.short_channel_id,
        alias_local: details.outbound_scid_alias,
        alias_remote: details.inbound_scid_alias,
        total_msat,
        to_us_msat: balance_msat(&details),
        spendable_msat: details.outbound_capacity_msat,
        htlc_limit_msat: details.next_outbound_htlc_limit_msat,
        receivable_msat: details.inbound_capacity_msat,
        our_reserve_sat: details.unspendable_punishment_reserve.unwrap_or(0),
        their_reserve_sat: details.counterparty.unspendable_punishment_reserve,
        opener_local: details.is_outbound,
        ready: details.is_channel_ready,
        usable: details.is_usable,
        connected: inner
            .peers
            .peer_by_node_id(&details.counterparty.node_id)
            .is_some(),
        closing: !matches!(stage, ChannelStage::Opening | ChannelStage::Normal),
        stage,
        announced: details.is_announced,
        confirmations: details.confirmations.unwrap_or(0),
        fee_base_msat: config.forwarding_fee_base_msat,
        fee_proportional_millionths: config.forwarding_fee_proportional_millionths,
        cltv_expiry_delta: config.cltv_expiry_delta,
        htlc_minimum_msat: details.inbound_htlc_minimum_msat.unwrap_or(0),
        htlc_minimum_out_msat: details.counterparty.outbound_htlc_minimum_msat,
        htlc_maximum_out_msat: details.counterparty.outbound_htlc_maximum_msat,
        remote_terms: remote_terms.map(|terms| RemoteTerms {
            fee_base_msat: terms.fee_base_msat,
            fee_proportional_millionths: terms.fee_proportional_millionths,
            cltv_expiry_delta: terms.cltv_expiry_delta,
        }),
        our_to_self_delay: details.force_close_spend_delay,
        type_bits,
        htlcs: sent.chain(received).collect(),
    }
}
