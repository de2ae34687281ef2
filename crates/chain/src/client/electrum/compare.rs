//! Whether the server that is asked keeps blocks to itself: now and then another one is asked for its
//! best block too.
//!
//! Only work counts. Who shows more of it than the server that is asked, in headers linked to those that
//! are known, has that one count as behind; whoever shows none is not believed. Nothing is taken over
//! from these looks: the next server is asked for everything as ever.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::{BlockHash, Work};
use lightning_block_sync::BlockHeaderData;

use super::error::ElectrumError;
use super::line::Line;
use super::{Electrum, HEADERS_A_REQUEST, HEADERS_AT_FIRST};

/// How often one other server is asked, in turn. Blocks come every ten minutes, and what must be answered
/// in time has hours.
pub(in crate::client) const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// How long the server that is asked may take longer than another one to have a block: servers look for
/// new ones every few seconds.
const GRACE: Duration = Duration::from_secs(10);

/// What another server shows.
struct Shown {
    height: u32,
    chainwork: Work,
}

impl Electrum {
    /// Asks one server that is not the one asked for everything. If it shows more work, and still does
    /// after a moment, the next server is asked from then on.
    pub(in crate::client) async fn compare(&self) {
        let Some(ours) = self.chain.lock().await.headers.tip() else {
            return;
        };
        let Some(other) = self.servers.another().await else {
            return;
        };
        let shown = match self.shown_by(&other, &ours).await {
            Ok(Some(shown)) if shown.chainwork >= ours.chainwork => shown,
            // It may be slow; a chain that changes meanwhile is nobody's fault.
            Ok(_) | Err(ElectrumError::Changed { .. }) => return,
            Err(error) => return self.servers.failed(&other, &error).await,
        };
        self.servers.keeps_up(&other);
        if shown.chainwork == ours.chainwork {
            return;
        }
        tokio::time::sleep(GRACE).await;
        // Whichever is asked by now. If it fails, that is seen where it is asked.
        let Ok(asked) = self.servers.line().await else {
            return;
        };
        let mut chain = self.chain.lock().await;
        let learnt = self.learn_tip(&asked, &mut chain).await;
        drop(chain);
        let Ok(best) = learnt else {
            return;
        };
        if best.chainwork < shown.chainwork {
            let error = ElectrumError::Behind {
                server: asked.server().clone(),
                height: best.height,
                other: other.server().clone(),
                other_height: shown.height,
            };
            self.servers.failed(&asked, &error).await;
        }
    }

    /// The best block of another server, or one below it whose work is proven already. None: it is far
    /// behind.
    async fn shown_by(
        &self,
        other: &Arc<Line>,
        ours: &BlockHeaderData,
    ) -> Result<Option<Shown>, ElectrumError> {
        let (tip, height) = self.tip_of(other).await?;
        if let Some(known) = self.known(&tip.block_hash()).await {
            return Ok(Some(Shown {
                height: known.height,
                chainwork: known.chainwork,
            }));
        }
        // From so far down that every reorganisation there was is in it.
        let lowest = ours.height.saturating_sub(HEADERS_AT_FIRST);
        let Some(count) = height.checked_sub(lowest).filter(|count| *count > 0) else {
            return Ok(None);
        };
        let first = count.min(HEADERS_A_REQUEST);
        let mut headers = self.read(other, lowest, first).await?;
        if first == count {
            headers.push(tip);
        }
        self.weigh(other, &headers).await.map(Some)
    }

    /// The work of headers that begin with one that is known.
    async fn weigh(&self, other: &Line, headers: &[Header]) -> Result<Shown, ElectrumError> {
        let first = headers.first().map(Header::block_hash);
        let known = match first {
            Some(first) => self.known(&first).await,
            None => None,
        };
        let Some(known) = known else {
            return Err(other.untrue("its chain has not got the blocks of a day ago"));
        };
        let mut shown = Shown {
            height: known.height,
            chainwork: known.chainwork,
        };
        let mut under = known.header.block_hash();
        for header in headers.iter().skip(1) {
            if header.prev_blockhash != under {
                return Err(self.changed(other));
            }
            self.check(other, header)?;
            under = header.block_hash();
            shown.height = shown.height.saturating_add(1);
            shown.chainwork = shown.chainwork + header.work();
        }
        Ok(shown)
    }

    async fn known(&self, hash: &BlockHash) -> Option<BlockHeaderData> {
        self.chain.lock().await.headers.of(hash)
    }
}
