//! Coins and channels: what is missing is made, blocks are mined only for it.
//!
//! Two ways lead from alice to carol: over bob, and a channel of their own. Bob can forward less
//! to carol than alice can send to bob, so that a payment can fail on the way.

use anyhow::{Context, Result, bail};
use bitcoin::Address;
use sendpay_rpc::method::connect::Connect;
use sendpay_rpc::method::fundchannel::FundChannel;
use sendpay_rpc::method::getinfo::GetInfo;
use sendpay_rpc::method::listfunds::ListFunds;
use sendpay_rpc::method::listpeerchannels::{ListPeerChannels, PeerChannel};
use sendpay_rpc::method::newaddr::NewAddr;
use sendpay_rpc::value::Scid;
use serde_json::json;

use super::ask::until;
use super::network::{Member, Network};
use super::progress::Progress;

/// Alice's channel with bob, in satoshi, all of it hers at first.
const ALICE_BOB_SAT: u64 = 2_000_000;
/// Bob's channel with carol, in satoshi.
const BOB_CAROL_SAT: u64 = 2_000_000;
/// Carol's side of it at first, in millisatoshi; the rest is what bob can forward.
const CAROLS_SHARE_MSAT: u64 = 1_500_000_000;
/// Alice's channel with carol, in satoshi, all of it hers at first.
const ALICE_CAROL_SAT: u64 = 1_000_000;

/// Blocks after which a coinbase can be spent.
const MATURITY: u32 = 100;
/// Confirmations that the channels get. With six the network is told of them (BOLT 7); up to there
/// LDK puts them into invoices as route hints, one more makes the invoices short.
const CONFIRMATIONS: u32 = 7;
/// How often blocks are mined for channels that are still not confirmed. Once is enough, unless a
/// crash came between a funding transaction and its broadcast.
const ROUNDS_MAX: u32 = 5;

/// A key of nobody, for blocks that no node is to be paid by.
const NOBODY: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

const NORMAL: &str = "CHANNELD_NORMAL";

/// The channels that alice's payments take.
pub(super) struct Ways {
    /// Alice's channel with bob.
    pub(super) alice_bob: Scid,
    /// Bob's channel with carol, with his terms for forwarding.
    pub(super) bob_carol: Forwarding,
    /// Alice's channel with carol.
    pub(super) alice_carol: Scid,
}

/// A channel to forward over.
pub(super) struct Forwarding {
    /// The channel.
    pub(super) scid: Scid,
    /// The base fee, in millisatoshi.
    pub(super) fee_base_msat: u64,
    /// The fee in millionths of the amount.
    pub(super) fee_proportional_millionths: u64,
    /// The blocks between the HTLC that comes and the one that goes.
    pub(super) cltv_expiry_delta: u32,
}

/// A channel that should be there.
struct Link<'a> {
    from: &'a Member,
    to: &'a Member,
    amount_sat: u64,
    push_msat: u64,
}

/// Connects the nodes and opens what is not open yet. When it returns, every channel can be used.
///
/// # Errors
/// If a node refuses, or a channel cannot be used after a minute.
pub(super) async fn open(network: &Network, progress: &Progress) -> Result<Ways> {
    let link = |from, to, amount_sat, push_msat| Link {
        from,
        to,
        amount_sat,
        push_msat,
    };
    let links = [
        link(&network.alice, &network.bob, ALICE_BOB_SAT, 0),
        link(
            &network.bob,
            &network.carol,
            BOB_CAROL_SAT,
            CAROLS_SHARE_MSAT,
        ),
        link(&network.alice, &network.carol, ALICE_CAROL_SAT, 0),
    ];
    progress.say("Connecting the nodes");
    let [first, second, third] = &links;
    tokio::try_join!(first.connect(), second.connect(), third.connect())?;
    fund(network, &links, progress).await?;
    for link in &links {
        if link.channel().await?.is_none() {
            progress.say(format!(
                "Opening a channel of {} sat from {} to {}",
                link.amount_sat, link.from.name, link.to.name
            ));
            link.open().await?;
        }
    }
    confirm(network, &links, progress).await?;
    let (alice_bob, bob_carol, alice_carol) =
        tokio::try_join!(first.usable(), second.usable(), third.usable())?;
    Ok(Ways {
        alice_bob: scid(&alice_bob)?,
        bob_carol: forwarding(&bob_carol)?,
        alice_carol: scid(&alice_carol)?,
    })
}

fn scid(channel: &PeerChannel) -> Result<Scid> {
    channel
        .short_channel_id
        .context("a confirmed channel has no short_channel_id")
}

fn forwarding(channel: &PeerChannel) -> Result<Forwarding> {
    let terms = channel
        .updates
        .as_ref()
        .and_then(|terms| terms.local.as_ref());
    let terms = terms.context("bob has no terms for forwarding")?;
    Ok(Forwarding {
        scid: scid(channel)?,
        fee_base_msat: terms.fee_base_msat.0,
        fee_proportional_millionths: u64::from(terms.fee_proportional_millionths),
        cltv_expiry_delta: terms.cltv_expiry_delta,
    })
}

impl Link<'_> {
    async fn connect(&self) -> Result<()> {
        // A node that dials by itself at the same time may get in between: the next try finds it.
        let connected = until("a connection", async || {
            let params = json!({"id": format!("{}@{}", self.to.id, self.to.address)});
            match self.from.request::<Connect>(params).await {
                Ok(_) => Ok(Some(())),
                Err(cause) => {
                    tracing::warn!(%cause, from = self.from.name, "not connected");
                    Ok(None)
                }
            }
        });
        connected.await
    }

    /// The channel, as its opener sees it.
    async fn channel(&self) -> Result<Option<PeerChannel>> {
        self.channel_of(self.from, self.to).await
    }

    async fn channel_of(&self, from: &Member, to: &Member) -> Result<Option<PeerChannel>> {
        let listed = from
            .request::<ListPeerChannels>(json!({"id": to.id.to_string()}))
            .await?;
        let mut channels = listed.channels.into_iter();
        Ok(channels
            .find(|channel| channel.closer.is_none() && channel.state != "CHANNELD_SHUTTING_DOWN"))
    }

    async fn open(&self) -> Result<()> {
        let params = json!({
            "id": self.to.id.to_string(),
            "amount": self.amount_sat,
            "push_msat": self.push_msat,
        });
        self.from.request::<FundChannel>(params).await?;
        Ok(())
    }

    /// The confirmations that are missing; all of them if it is in no block.
    async fn missing(&self, height: u32) -> Result<u32> {
        let Some(channel) = self.channel().await? else {
            bail!(
                "the channel from {} to {} is gone: it was closed. Remove the directory of the \
                 demo to begin anew.",
                self.from.name,
                self.to.name
            );
        };
        let Some(scid) = channel.short_channel_id else {
            return Ok(CONFIRMATIONS);
        };
        let block = u32::try_from(scid.0 >> 40)?;
        Ok(CONFIRMATIONS.saturating_sub((height + 1).saturating_sub(block)))
    }

    /// Waits until both ends can use it.
    async fn usable(&self) -> Result<PeerChannel> {
        let what = format!(
            "the channel between {} and {}",
            self.from.name, self.to.name
        );
        let ready = |channel: &PeerChannel| channel.state == NORMAL && channel.reestablished;
        until(what, async || {
            let far = self.channel_of(self.to, self.from).await?;
            let near = self.channel().await?;
            Ok(near.filter(|near| ready(near) && far.as_ref().is_some_and(ready)))
        })
        .await
    }
}

/// Gives those who still have a channel to open a coin for each.
async fn fund(network: &Network, links: &[Link<'_>], progress: &Progress) -> Result<()> {
    let mut wait = false;
    for member in network.members() {
        let mut needed = 0;
        for link in links.iter().filter(|link| link.from.name == member.name) {
            needed += usize::from(link.channel().await?.is_none());
        }
        let outputs = member.request::<ListFunds>(json!({})).await?.outputs;
        let usable = outputs.iter().filter(|output| output.status == "confirmed");
        if usable.count() >= needed {
            continue;
        }
        let immature = outputs.iter().filter(|output| output.status == "immature");
        wait = true;
        let lacking = needed.saturating_sub(immature.count());
        if lacking > 0 {
            progress.say(format!("Mining {lacking} coins for {}", member.name));
            let made = member
                .request::<NewAddr>(json!({"addresstype": "bech32"}))
                .await?;
            let address = made.bech32.context("newaddr gave no address")?;
            mine(network, u32::try_from(lacking)?, &address).await?;
        }
    }
    if wait {
        progress.say(format!(
            "Mining {MATURITY} blocks, so that the coins can be spent"
        ));
        mine(network, MATURITY, NOBODY).await?;
    }
    Ok(())
}

/// Mines until every channel is as deep as it must be.
async fn confirm(network: &Network, links: &[Link<'_>], progress: &Progress) -> Result<()> {
    for _ in 0..ROUNDS_MAX {
        let height = synced(network).await?;
        let mut missing = 0;
        for link in links {
            missing = missing.max(link.missing(height).await?);
        }
        if missing == 0 {
            return Ok(());
        }
        progress.say(format!("Mining {missing} blocks to confirm the channels"));
        mine(network, missing, NOBODY).await?;
    }
    bail!("the channels are not confirmed after {ROUNDS_MAX} times {CONFIRMATIONS} blocks")
}

async fn mine(network: &Network, count: u32, address: &str) -> Result<()> {
    let address: Address<_> = address.parse().context("an address cannot be read")?;
    let address = address.require_network(bitcoin::Network::Regtest)?;
    network.blocks.generate_to_address(count, &address).await?;
    synced(network).await?;
    Ok(())
}

/// Waits until every node has seen the best block; its height.
async fn synced(network: &Network) -> Result<u32> {
    let height = network.blocks.best_block().await?.height;
    for member in network.members() {
        until("the nodes to see the newest block", async || {
            let info = member.request::<GetInfo>(json!({})).await?;
            Ok((info.blockheight >= height).then_some(()))
        })
        .await?;
    }
    Ok(height)
}
