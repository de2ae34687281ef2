//! Lightning: channels, HTLCs out and their way back, peers and keys.
//!
//! The only crate that names LDK's `ChannelManager`. It writes the outcomes of payments into the
//! ledger; what a record may be is the ledger's affair, what clients see is the daemon's.
//!
//! | file | subject |
//! |---|---|
//! | `start.rs` | the start, as a list of named steps, and the stop; `load.rs` reads what was stored, `background.rs` is what runs then |
//! | `payment.rs` | a payment's way out and its way back; `pay.rs` is a loop above it |
//! | `invoice.rs` | receiving: claim, hold, fail back; `new_invoice.rs` makes them, `invoice_end.rs`: how they end unpaid |
//! | `event.rs` | LDK's events, one line each; `failure.rs` reads why a payment failed |
//! | `route.rs` | CLN's hops and LDK's path; `getroute.rs` finds them, `router.rs` hands them to LDK for a keysend |
//! | `close.rs`, `terms.rs` | the end of a channel, and what is asked to forward over it |
//! | `withdraw.rs`, `stuck.rs` | payments on the chain, and those that wait too long |
//! | `kept.rs` | what backups hold of the channels; `recovery.rs` gets the coins back with it, without channel state |
//! | `fee_bump.rs`, `reserve.rs` | raising the fees of channels' transactions, and what is kept for that |
//! | `review.rs` | what a crash leaves of the wallet's transactions |
//! | `forward.rs` | HTLCs of others, and what came of them |
//! | `messages.rs` (`early_signatures.rs`, `unknown_channels.rs`, `told_again.rs`) | what peers say of channels, on its way to LDK |
//! | `gossip.rs`, `network.rs` | how gossip comes in, and what it tells of others |
//! | `channel.rs` (what is told of them: `channel_list.rs`, `closed_channel.rs`; what can be chosen with one: `handshake.rs`, `depth.rs`), `peer.rs`, `wallet.rs`, `keys.rs` (`seed_file.rs`), `chain.rs` | what their names say |
//! | `store.rs`, `logger.rs`, `ldk.rs` | where LDK meets our store and log, and its concrete types |

mod announced;
mod background;
mod bolt11;
mod chain;
mod channel;
mod channel_list;
mod clock;
mod close;
mod closed_channel;
mod depth;
mod early_signatures;
mod event;
mod failure;
mod fee_bump;
mod forward;
mod getroute;
mod gossip;
mod handshake;
mod htlc;
mod invoice;
mod invoice_end;
mod kept;
mod keys;
mod keysend_in;
mod ldk;
mod load;
mod logger;
mod messages;
mod network;
mod new_invoice;
mod pay;
mod payment;
mod peer;
mod recovery;
mod redact;
mod reserve;
mod review;
mod route;
mod router;
mod seed_file;
mod shutdown_keys;
mod start;
mod store;
mod stuck;
mod terms;
mod told_again;
mod unknown_channels;
mod wallet;
mod withdraw;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};

use bitcoin::secp256k1::PublicKey;
use bitcoin::{Address, Amount, FeeRate, Network, Txid};
use lightning::ln::channelmanager::PaymentId as LdkPaymentId;
use lightning::util::config::UserConfig;
use sendpay_chain::client::{Broadcaster, ChainClient, Fees};
use sendpay_ledger::{Begun, Failure, Invoice, Ledger, NodeId, PaymentHash, Preimage, Store};
use tokio::sync::{Mutex as AsyncMutex, Notify, RwLock as AsyncRwLock, broadcast, watch};
use tokio::task::JoinSet;

pub use announced::{AnnouncedAddress, AnnouncedAddressError};
pub use bolt11::{
    Bolt11, Bolt11Error, INVOICE_BYTES_MAX, RouteHint, decode, unverified_payment_hash,
};
pub use chain::{CatchUpError, ChainView, DeepReorganisation};
pub use channel::{OpenChannel, OpenError, OpenStep, OpenedChannel};
pub use channel_list::{Channel, ChannelStage, RemoteTerms};
pub use close::{CloseChannel, CloseError, CloseStep, ClosedChannel, Closing};
pub use depth::DEPTH_MAX;
pub use failure::code;
pub use fee_bump::Short;
pub use getroute::{GetRoute, GetRouteError};
pub use htlc::{Htlc, HtlcStage};
pub use invoice::{CancelHeldError, SettleHeldError};
pub use invoice_end::{DeleteError, DeleteInvoice};
pub use kept::{GivenOut, KEPT_AT, Kept, KeptChannel};
pub use keys::{Seed, SeedError, decrypt_seed, encrypt_seed, seed_is_encrypted};
pub use network::{Announced, NetworkChannel, NetworkFilter, NetworkListing, NetworkNode};
pub use new_invoice::{
    CLTV_MAX, CLTV_MIN, HOLD_CLTV_DEFAULT, NewBolt11, NewInvoiceError, RouteHints,
};
pub use pay::{KeySend, PaidInvoice, Pay, PayError, Paying, Tried, Unsent, Why, new_preimage};
pub use payment::{FirstHopError, SendPay, SendPayError, Spontaneous, StartCheckError};
pub use peer::{ConnectError, Peer};
pub use recovery::{
    KeptRow, RecoveryError, RecoveryView, is_recovering, recovery_has, recovery_rows,
};
pub use route::{
    FINAL_DELAY_MIN, HOPS_MAX, RouteError, TOTAL_DELAY_MAX, check_route, direction, scid_text,
};
pub use seed_file::{PASSPHRASE_BYTES_MAX, Passphrase, SEED_FILE};
pub use start::StartError;
pub use store::is_channel_state;
pub use stuck::{BumpError, Bumped};
pub use terms::{NewTerms, TermsError};
pub use wallet::{AddressKind, Coin, FundError, StuckError, WalletError};
pub use withdraw::{WithdrawError, Withdrawal, Withdrawn};

/// What a node needs to know before it starts.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The node's directory; the seed file is in it.
    pub dir: PathBuf,
    /// The chain.
    pub network: Network,
    /// Where to listen for peers; port 0 lets the system choose. None listens nowhere.
    pub listen: Option<SocketAddr>,
    /// Name shown to the network, at most 32 bytes; None makes it of the node id.
    pub alias: Option<String>,
    /// Colour shown to the network; None makes it of the node id.
    pub color: Option<[u8; 3]>,
    /// Addresses told to the network.
    pub announce: Vec<AnnouncedAddress>,
    /// What the seed file is encrypted with, if it is.
    pub passphrase: Option<Passphrase>,
    /// A SOCKS5 proxy, Tor's, through which all other nodes are dialled. None dials them directly.
    pub proxy: Option<SocketAddr>,
    /// Peers that may have dialled us at once; each takes two file descriptors.
    pub inbound_peers_max: usize,
    /// What the wallet keeps for each channel with anchors, to raise the fees of its transactions.
    pub anchor_reserve: Amount,
}

/// Digits of the node id that make an alias.
const ALIAS_HEX: usize = 14;

/// A running node. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
    tasks: Arc<AsyncMutex<JoinSet<()>>>,
}

/// Everything the parts of the node share.
pub(crate) struct Inner {
    pub(crate) config: NodeConfig,
    pub(crate) user_config: UserConfig,
    pub(crate) node_id: PublicKey,
    pub(crate) store: Store,
    /// The same, as LDK sees it.
    pub(crate) ldk_store: store::LdkStore,
    pub(crate) ledger: Ledger,
    pub(crate) logger: Arc<logger::NodeLogger>,
    pub(crate) keys: Arc<ldk::Keys>,
    pub(crate) chain: ChainClient,
    pub(crate) broadcaster: Arc<Broadcaster>,
    pub(crate) fees: Arc<Fees>,
    pub(crate) wallet: wallet::SharedWallet,
    pub(crate) monitor: Arc<ldk::ChainMonitor>,
    pub(crate) manager: Arc<ldk::ChannelManager>,
    pub(crate) messages: Arc<messages::ChannelMessages>,
    pub(crate) graph: Arc<ldk::Graph>,
    pub(crate) router: Arc<router::PlannedRouter>,
    pub(crate) scorer: Arc<RwLock<ldk::Scorer>>,
    pub(crate) gossip: Arc<ldk::Gossip>,
    /// Told when a channel of ours is new in the graph.
    pub(crate) channel_announced: Arc<Notify>,
    pub(crate) peers: Arc<ldk::PeerManager>,
    pub(crate) sweeper: Arc<ldk::Sweeper>,
    pub(crate) listening: Option<SocketAddr>,
    pub(crate) height: watch::Receiver<u32>,
    pub(crate) chain_view: watch::Receiver<chain::ChainView>,
    /// Held by a send from the look at the height to LDK's own, so that the `cltv_expiry` in the
    /// record is the one in the HTLC.
    pub(crate) height_fixed: Arc<AsyncRwLock<()>>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) failures: Mutex<HashMap<LdkPaymentId, Failure>>,
    pub(crate) openings: Mutex<HashMap<u128, channel::Opening>>,
    /// Ends of channels, for those who asked for them.
    pub(crate) ends: broadcast::Sender<close::End>,
    /// Hashes whose HTLCs are being claimed or cancelled, or whose invoices end.
    pub(crate) deciding: Mutex<HashSet<PaymentHash>>,
    /// Told when one of them is decided.
    pub(crate) freed: Notify,
    /// When the next invoice lapses, as far as the one who sleeps until then knows; in ms since 1970.
    pub(crate) next_lapse_ms: AtomicU64,
    /// Tells that one of a new invoice.
    pub(crate) lapses_sooner: Notify,
    pub(crate) paying: pay::Running,
    /// Told when the list of channels for backups may have changed.
    pub(crate) channels_changed: Notify,
    /// That list, once it was looked at.
    pub(crate) kept: watch::Sender<Option<Arc<kept::Kept>>>,
    /// What backups are encrypted with.
    pub(crate) backup_secret: [u8; 32],
    /// There if channel state was lost.
    pub(crate) recovery: Option<Arc<recovery::Recovery>>,
    pub(crate) scids: forward::Scids,
    /// What is written down of channels, for when they are closed.
    pub(crate) written: closed_channel::Written,
    /// Held while coins for fees are taken or given back, so that none is given back that was just taken.
    pub(crate) bumping: AsyncMutex<()>,
    /// Held while the terms of a channel are set and kept.
    pub(crate) setting_terms: AsyncMutex<()>,
    /// Transactions of channels whose fee waits for coins.
    pub(crate) short: Mutex<fee_bump::Shortages>,
}

impl Inner {
    pub(crate) fn our_id(&self) -> NodeId {
        NodeId(self.node_id.serialize())
    }

    /// Fee rate for a funding transaction, from the chain backend.
    pub(crate) fn funding_feerate(&self) -> FeeRate {
        let per_kw = self.fees.on_chain_payment_sat_per_kw();
        FeeRate::from_sat_per_kwu(u64::from(per_kw))
    }

    fn alias(&self) -> String {
        let named = self.config.alias.clone();
        named.unwrap_or_else(|| self.our_id().to_string().chars().take(ALIAS_HEX).collect())
    }

    fn color(&self) -> [u8; 3] {
        let [_, red, green, blue, ..] = self.our_id().0;
        self.config.color.unwrap_or([red, green, blue])
    }

    /// Tells the network of this node, if it has a channel that the network may know.
    pub(crate) fn announce(&self) {
        if !self
            .manager
            .list_channels()
            .iter()
            .any(|channel| channel.is_announced)
        {
            return;
        }
        let mut alias = [0u8; 32];
        for (to, from) in alias.iter_mut().zip(self.alias().as_bytes()) {
            *to = *from;
        }
        let addresses = self.config.announce.iter();
        let addresses = addresses.filter_map(AnnouncedAddress::to_ldk);
        self.peers
            .broadcast_node_announcement(self.color(), alias, addresses.collect());
        // Else it would lie there until something else is sent.
        self.peers.process_events();
    }
}

impl Node {
    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.inner.our_id()
    }

    /// Where it listens for peers.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.inner.listening
    }

    /// The name that the network is told.
    pub fn alias(&self) -> String {
        self.inner.alias()
    }

    /// The colour that the network is told.
    pub fn color(&self) -> [u8; 3] {
        self.inner.color()
    }

    /// What it was started with.
    pub fn config(&self) -> &NodeConfig {
        &self.inner.config
    }

    /// The ledger: every payment and invoice.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// The store under the ledger, for its figures.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Height of the last block that every part has seen.
    pub fn height(&self) -> u32 {
        *self.inner.height.borrow()
    }

    /// How the node and its chain backend stand to each other.
    pub fn chain_view(&self) -> ChainView {
        self.inner.chain_view.borrow().clone()
    }

    /// Resolves when the height reaches `height`.
    pub async fn wait_for_height(&self, height: u32) {
        let mut seen = self.inner.height.clone();
        // The sender lives as long as the node; when it is gone there is nothing to wait for.
        drop(seen.wait_for(|now| *now >= height).await);
    }

    /// The list of channels for backups as it changes; none before it was looked at.
    pub fn kept(&self) -> watch::Receiver<Option<Arc<Kept>>> {
        self.inner.kept.subscribe()
    }

    /// What backups of this node are encrypted with. Secret.
    pub fn backup_secret(&self) -> [u8; 32] {
        self.inner.backup_secret
    }

    /// How far the recovery is, if channel state was lost.
    pub fn recovery(&self) -> Option<RecoveryView> {
        self.inner.recovery.as_ref().map(|recovery| recovery.view())
    }

    /// A new on-chain address.
    pub async fn new_address(&self, kind: AddressKind) -> Result<Address, FundError> {
        self.inner.wallet.new_address(kind).await
    }

    /// Unspent coins of the wallet; the spent ones too, if wanted.
    pub fn coins(&self, spent_too: bool) -> Vec<Coin> {
        self.inner.wallet.coins(spent_too)
    }

    /// What the wallet is to keep for the channels with anchors that there are.
    pub fn anchor_reserve(&self) -> Amount {
        reserve::needed(&self.inner, 0)
    }

    /// Transactions of channels whose fee cannot be raised until the wallet has more coins.
    pub fn short_of_coins(&self) -> Vec<Short> {
        fee_bump::shortages(&self.inner)
    }

    /// Connects to a peer.
    pub async fn connect(
        &self,
        node_id: PublicKey,
        address: Option<String>,
    ) -> Result<Peer, ConnectError> {
        peer::connect(&self.inner, node_id, address).await
    }

    /// Connected peers.
    pub fn peers(&self) -> Vec<Peer> {
        peer::list(&self.inner)
    }

    /// Ends the connection to a peer. A peer with a channel is dialled again.
    pub fn disconnect(&self, node_id: PublicKey) {
        self.inner.peers.disconnect_by_node_id(node_id);
    }

    /// Fee rates, as the chain backend estimates them and as LDK uses them.
    pub fn fees(&self) -> &Fees {
        &self.inner.fees
    }

    /// Pays on the chain; returns when the transaction is in the mempool.
    pub async fn withdraw(&self, withdrawal: Withdrawal) -> Result<Withdrawn, WithdrawError> {
        withdraw::withdraw(&self.inner, withdrawal).await
    }

    /// Raises the fee of a transaction of the wallet to a rate; returns when that is in the mempool.
    pub async fn bump_fee(&self, txid: Txid, rate: FeeRate) -> Result<Bumped, BumpError> {
        stuck::bump(&self.inner, txid, rate).await
    }

    /// Closes a channel; returns when the transaction that closes it is broadcast.
    pub async fn close_channel(&self, close: CloseChannel) -> Result<ClosedChannel, CloseError> {
        close::close(&self.inner, close).await
    }

    /// Sets what is asked to forward over a channel; the channel as it is then.
    pub async fn set_terms(&self, terms: &NewTerms) -> Result<Channel, TermsError> {
        terms::set(&self.inner, terms).await
    }

    /// The channels of the network that there are now, to be read with [`Node::network_channels`].
    pub fn network_listing(&self, filter: NetworkFilter) -> NetworkListing {
        NetworkListing::channels(&self.inner, filter)
    }

    /// The channels at these places of the listing, unless they were forgotten meanwhile. The graph is
    /// held while they are read.
    pub fn network_channels(
        &self,
        listing: &NetworkListing,
        places: std::ops::Range<usize>,
        each: &mut dyn FnMut(&NetworkChannel),
    ) {
        listing.page(&self.inner, places, each);
    }

    /// The nodes of the network, in order: all, or this one if it is known.
    pub fn network_node_ids(&self, only: Option<NodeId>) -> Vec<NodeId> {
        network::node_ids(&self.inner, only)
    }

    /// Those of these nodes that are still known. The graph is held while they are read.
    pub fn network_nodes(&self, ids: &[NodeId], each: &mut dyn FnMut(&NetworkNode)) {
        network::nodes(&self.inner, ids, each);
    }

    /// Opens a channel; returns when its funding transaction is sent.
    pub async fn open_channel(&self, open: OpenChannel) -> Result<OpenedChannel, OpenError> {
        channel::open(&self.inner, open).await
    }

    /// Every channel that is not closed.
    pub fn channels(&self) -> Vec<Channel> {
        channel_list::list(&self.inner)
    }

    /// The channels that are closed and of which something is still to come from the chain.
    pub fn closed_channels(&self) -> Vec<Channel> {
        closed_channel::list(&self.inner)
    }

    /// Sends one part of a payment, at most once for what the repeat rules call the same (L7).
    pub async fn sendpay(&self, send: SendPay) -> Result<Begun, SendPayError> {
        self.inner.sendpay(send).await
    }

    /// Pays an invoice, or joins a payment of it that is under way.
    pub async fn pay(&self, pay: Pay) -> Result<PaidInvoice, PayError> {
        self.inner.pay(pay).await
    }

    /// Ends further tries of a payment that is under way; false when none of that hash is.
    pub fn cancel_pay(&self, hash: &PaymentHash) -> bool {
        self.inner.paying.cancel(hash)
    }

    /// The payment of this hash that is under way, if one is.
    pub fn paying(&self, hash: &PaymentHash) -> Option<Paying> {
        self.inner.paying.paying(hash)
    }

    /// Every payment that is under way.
    pub fn all_paying(&self) -> HashMap<PaymentHash, Paying> {
        self.inner.paying.all()
    }

    /// Pays a node that has made no invoice.
    pub async fn keysend(&self, ask: KeySend) -> Result<PaidInvoice, PayError> {
        self.inner.keysend(ask).await
    }

    /// Finds a route.
    pub fn getroute(&self, wanted: &GetRoute) -> Result<Vec<sendpay_ledger::Hop>, GetRouteError> {
        getroute::find(&self.inner, wanted)
    }

    /// Makes an invoice.
    pub async fn new_invoice(&self, new: NewBolt11) -> Result<Invoice, NewInvoiceError> {
        self.inner.new_invoice(new).await
    }

    /// Removes an invoice, or only its description.
    pub async fn delete_invoice(&self, ask: DeleteInvoice) -> Result<Invoice, DeleteError> {
        self.inner.delete_invoice(ask).await
    }

    /// Settles a held invoice; returns when the claim is durable.
    pub async fn settle_held(&self, preimage: Preimage) -> Result<Invoice, SettleHeldError> {
        self.inner.settle_held(preimage).await
    }

    /// Cancels a hold invoice and fails its HTLCs back.
    pub async fn cancel_held(&self, hash: PaymentHash) -> Result<Invoice, CancelHeldError> {
        self.inner.cancel_held(hash).await
    }
}
