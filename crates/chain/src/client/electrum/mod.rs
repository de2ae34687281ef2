//! Electrum servers as the chain: headers, and the transactions that somebody watches for, each proven
//! to be in a block of the chain with the most work.
//!
//! Servers are strangers' programs. What they say of blocks is believed as far as work and hashes
//! prove it; what they leave out is asked for again at each block, and of the next server when one
//! fails. What they say of fee rates has a ceiling.
//!
//! LDK's `lightning-transaction-sync` and `bdk_electrum` do the same over `electrum-client`, but take
//! any header for true and stay with one server, and that client reads lines of any length and
//! believes no certificate that an operator names; so the protocol and the proofs are here.

mod address;
mod compare;
mod error;
mod headers;
mod history;
mod line;
mod look;
mod proof;
mod rates;
mod send;
mod servers;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{BlockHash, Network, Work};
use lightning_block_sync::BlockHeaderData;
use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

pub use address::{ElectrumAddress, ElectrumAddressError};
pub(in crate::client) use compare::COMPARE_EVERY;
pub use error::ElectrumError;
pub use history::{Confirmed, Found};
pub use tls::TrustError;

use headers::{HEADERS_MAX, HeaderError, Headers, check_work};
use line::Line;
use servers::{Servers, Tries};

/// Headers that are asked for at once: what servers give at most.
const HEADERS_A_REQUEST: u32 = 2_016;

/// Headers below the first tip that are read at once: deeper than any reorganisation there was.
const HEADERS_AT_FIRST: u32 = 144;

/// How long a server may know less of the chain than we do before another one is asked.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// Blocks of which the median time is taken, by consensus.
const MEDIAN_OF: u32 = 11;

/// Where servers are, and whom to believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectrumConfig {
    /// The servers, the one to ask first first.
    pub servers: Vec<ElectrumAddress>,
    /// A PEM file with certificates that are believed beside those of the system's roots.
    pub certificates: Option<PathBuf>,
    /// A SOCKS5 proxy to reach them through.
    pub proxy: Option<SocketAddr>,
    /// The network that the servers must be on.
    pub network: Network,
}

/// The servers, and the chain as far as it was proven.
pub struct Electrum {
    servers: Servers,
    network: Network,
    chain: AsyncMutex<Chain>,
}

#[derive(Default)]
struct Chain {
    headers: Headers,
    /// The most work that a best block had. The best chain is the server's that was asked last, which may
    /// have less.
    most_work: Option<Work>,
    /// Since when the server that is asked shows less than that.
    behind_since: Option<Instant>,
}

impl Electrum {
    /// The servers of a configuration; none is asked yet.
    pub(in crate::client) fn new(config: ElectrumConfig) -> Result<Electrum, TrustError> {
        let tls = tls::connector(config.certificates.as_deref())?;
        let network = config.network;
        Ok(Electrum {
            servers: Servers::new(config.servers, network, tls, config.proxy),
            network,
            chain: AsyncMutex::default(),
        })
    }

    /// Whether there is another server to compare with.
    pub(in crate::client) fn has_others(&self) -> bool {
        self.servers.count() > 1
    }

    /// Why servers of the configuration are not asked now, for people.
    pub fn troubles(&self) -> Vec<String> {
        self.servers.troubles()
    }

    /// The best block of the server that is asked now, with its work proven and linked to what was
    /// known before.
    pub(in crate::client) async fn best(&self) -> Result<BlockHeaderData, ElectrumError> {
        let mut tries = self.servers.tries();
        loop {
            let line = tries.line().await?;
            match self.best_of(&line).await {
                Ok(best) => {
                    self.servers.worked(&line);
                    return Ok(best);
                }
                Err(error) => tries.failed(&line, error).await?,
            }
        }
    }

    /// The block of the best chain at a height, as far as it is known without asking.
    pub async fn hash_at(&self, height: u32) -> Option<BlockHash> {
        let data = self.chain.lock().await.headers.at(height);
        data.map(|data| data.header.block_hash())
    }

    /// The best block when a server was asked last.
    pub(in crate::client) async fn last_best(&self) -> Result<BlockHeaderData, ElectrumError> {
        let known = self.chain.lock().await.headers.tip();
        match known {
            Some(tip) => Ok(tip),
            None => self.best().await,
        }
    }

    /// The header of a block that the best chain has, or had.
    pub(in crate::client) async fn header(
        &self,
        hash: &BlockHash,
        height: Option<u32>,
    ) -> Result<Option<BlockHeaderData>, ElectrumError> {
        if let Some(known) = self.chain.lock().await.headers.of(hash) {
            return Ok(Some(known));
        }
        let Some(height) = height else {
            return Ok(None);
        };
        let at = self.header_at(height).await?;
        Ok(at.filter(|data| data.header.block_hash() == *hash))
    }

    /// The header of the best chain at a height, if it reaches that far.
    pub(in crate::client) async fn header_at(
        &self,
        height: u32,
    ) -> Result<Option<BlockHeaderData>, ElectrumError> {
        let mut tries = self.servers.tries();
        loop {
            let line = tries.line().await?;
            let reached = async {
                let mut chain = self.chain.lock().await;
                if chain.headers.tip().is_none() {
                    self.learn_tip(&line, &mut chain).await?;
                }
                self.reach_down(&line, &mut chain.headers, height).await?;
                Ok(chain.headers.at(height))
            };
            match reached.await {
                Ok(found) => return Ok(found),
                Err(error) => tries.failed(&line, error).await?,
            }
        }
    }

    /// The median time of the eleven blocks that end with this one, in seconds since 1970.
    pub(in crate::client) async fn median_time(
        &self,
        best: u32,
    ) -> Result<Option<u64>, ElectrumError> {
        let lowest = best.saturating_sub(MEDIAN_OF.saturating_sub(1));
        self.header_at(lowest).await?;
        let chain = self.chain.lock().await;
        let data = (lowest..=best).filter_map(|height| chain.headers.at(height));
        let mut times: Vec<u32> = data.map(|data| data.header.time).collect();
        times.sort_unstable();
        Ok(times.get(times.len() / 2).map(|time| u64::from(*time)))
    }

    /// Waits until the server tells of another tip, the connection ends, or the time is over.
    pub(in crate::client) async fn wait_for_news(
        &self,
        known: BlockHash,
        timeout: Duration,
    ) -> Result<BlockHeaderData, ElectrumError> {
        // What comes from now on is not missed: asking for the tip subscribes to it.
        let mut tips = self.servers.line().await?.tips();
        tips.mark_unchanged();
        let best = self.best().await?;
        if best.header.block_hash() != known {
            return Ok(best);
        }
        drop(tokio::time::timeout(timeout, tips.changed()).await);
        self.best().await
    }

    /// Asks one thing, of another server when one fails. A refusal is an answer.
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, ElectrumError> {
        let mut tries: Tries<'_> = self.servers.tries();
        loop {
            let line = tries.line().await?;
            match line.call(method, params.clone()).await {
                Err(error @ ElectrumError::Refused { .. }) => return Err(error),
                Err(error) => tries.failed(&line, error).await?,
                answer => return answer,
            }
        }
    }

    async fn best_of(&self, line: &Line) -> Result<BlockHeaderData, ElectrumError> {
        let mut chain = self.chain.lock().await;
        let best = self.learn_tip(line, &mut chain).await?;
        match chain.most_work {
            // After a reorganisation there is more, so that less is the server's fault, if it lasts.
            Some(most) if most > best.chainwork => {
                let since = *chain.behind_since.get_or_insert_with(Instant::now);
                if since.elapsed() > BEHIND_MAX {
                    chain.behind_since = None;
                    let detail = format!("its best block {} is not the best", best.height);
                    return Err(line.malformed("blockchain.headers.subscribe", detail));
                }
            }
            _ => {
                chain.most_work = Some(best.chainwork);
                chain.behind_since = None;
            }
        }
        Ok(best)
    }

    /// Asks for the tip, and for the headers between it and what is known.
    async fn learn_tip(
        &self,
        line: &Line,
        chain: &mut Chain,
    ) -> Result<BlockHeaderData, ElectrumError> {
        let (header, height) = self.tip_of(line).await?;
        let headers = &mut chain.headers;
        if headers.tip().is_none() {
            let begun = self.begin(line, header, height).await?;
            chain.headers = begun;
        } else {
            match headers.of(&header.block_hash()) {
                Some(known) => headers.lead_to(known),
                None => self.link(line, headers, header, height).await?,
            }
        }
        let best = chain.headers.of(&header.block_hash());
        match best {
            Some(best) if best.height == height => Ok(best),
            _ => Err(line.untrue(format!("block {} is not at {height}", header.block_hash()))),
        }
    }

    /// The tip of a server, with the work that it claims, and the height that it claims.
    async fn tip_of(&self, line: &Line) -> Result<(Header, u32), ElectrumError> {
        let method = "blockchain.headers.subscribe";
        let answer = line.call(method, json!([])).await?;
        let header = answer.get("hex").and_then(Value::as_str);
        let header: Option<Header> = header.and_then(|hex| deserialize_hex(hex).ok());
        let height = answer.get("height").and_then(Value::as_u64);
        let height = height.and_then(|height| u32::try_from(height).ok());
        let (Some(header), Some(height)) = (header, height) else {
            return Err(line.malformed(method, "no tip"));
        };
        self.check(line, &header)?;
        Ok((header, height))
    }

    /// Makes the first tip the one that all others are linked to.
    async fn begin(&self, line: &Line, tip: Header, height: u32) -> Result<Headers, ElectrumError> {
        let mut headers = Headers::default();
        headers.begin(tip, height);
        let lowest = height.saturating_sub(HEADERS_AT_FIRST);
        self.reach_down(line, &mut headers, lowest).await?;
        self.prove_height(line, &tip, height).await?;
        Ok(headers)
    }

    /// Reads downwards from a new tip until a header is known.
    async fn link(
        &self,
        line: &Line,
        headers: &mut Headers,
        tip: Header,
        height: u32,
    ) -> Result<(), ElectrumError> {
        let known_tip = headers.tip().map_or(0, |data| data.height);
        let base = headers.lowest().map_or(0, |data| data.height);
        let (mut descending, mut lowest, mut few) = (vec![tip], height, 1_u32);
        let mut under = tip.prev_blockhash;
        while headers.of(&under).is_none() {
            if lowest <= base || descending.len() >= HEADERS_MAX {
                return Err(line.untrue(format!("its chain has not got our block {base}")));
            }
            // First all that are new, then further down step by step.
            let new = lowest.saturating_sub(known_tip).saturating_sub(1);
            let count = if new > 0 { new } else { few };
            let count = count
                .min(HEADERS_A_REQUEST)
                .min(lowest.saturating_sub(base));
            if new == 0 {
                few = few.saturating_mul(2);
            }
            let start = lowest.saturating_sub(count);
            for header in self.read(line, start, count).await?.into_iter().rev() {
                if header.block_hash() != under {
                    // A chain that changes meanwhile looks like this too.
                    return Err(self.changed(line));
                }
                self.check(line, &header)?;
                under = header.prev_blockhash;
                descending.push(header);
                lowest = lowest.saturating_sub(1);
                if headers.of(&under).is_some() {
                    break;
                }
            }
        }
        descending.reverse();
        let extended = headers.extend(&descending);
        extended.map_err(|error| line.untrue(error.to_string()))
    }

    /// Reads headers below the lowest that is known.
    async fn reach_down(
        &self,
        line: &Line,
        headers: &mut Headers,
        height: u32,
    ) -> Result<(), ElectrumError> {
        while let Some(lowest) = headers.lowest() {
            if lowest.height <= height {
                break;
            }
            if headers.is_full() {
                let detail = format!("more than {} headers are needed", HEADERS_MAX);
                return Err(line.malformed("blockchain.block.headers", detail));
            }
            let count = lowest.height.saturating_sub(height).min(HEADERS_A_REQUEST);
            let start = lowest.height.saturating_sub(count);
            for header in self.read(line, start, count).await?.into_iter().rev() {
                self.check(line, &header)?;
                if let Err(error) = headers.prepend(header) {
                    return Err(line.untrue(error.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Headers by height, as many as were asked for.
    async fn read(
        &self,
        line: &Line,
        start: u32,
        count: u32,
    ) -> Result<Vec<Header>, ElectrumError> {
        let method = "blockchain.block.headers";
        let answer = line.call(method, json!([start, count])).await?;
        let text = match answer.get("headers").and_then(Value::as_array) {
            // From version 1.6 of the protocol on.
            Some(list) => list.iter().filter_map(Value::as_str).collect(),
            None => answer
                .get("hex")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        };
        // A header is 80 bytes, so 160 digits.
        let pieces = text.as_bytes().chunks(160);
        let headers: Option<Vec<Header>> = pieces
            .map(|piece| deserialize_hex(std::str::from_utf8(piece).ok()?).ok())
            .collect();
        let expected = usize::try_from(count).unwrap_or(usize::MAX);
        headers
            .filter(|headers| headers.len() == expected)
            .ok_or_else(|| line.malformed(method, format!("not the {count} headers from {start}")))
    }

    fn check(&self, line: &Line, header: &Header) -> Result<(), ElectrumError> {
        check_work(header, self.network).map_err(|error: HeaderError| {
            let hash = header.block_hash();
            line.untrue(format!("{error}, {hash}"))
        })
    }

    fn changed(&self, line: &Line) -> ElectrumError {
        let server = line.server().clone();
        ElectrumError::Changed { server }
    }
}
