//! Results of any length, written as they are read: one read of the ledger for each page, nothing
//! held but one page in wait while the client is slow (L6).

use std::io::Write;

use sendpay_ledger::{Cursor, ReadError};
use sendpay_rpc::{Code, RpcError};
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::error;
use crate::server::Reply;

/// Rows read at once: some hundred kilobytes of JSON, a few milliseconds of a reader.
const ROWS_A_PAGE: usize = 256;

/// How many rows the client wants at most.
pub(crate) struct Limit(pub(crate) Option<u32>);

/// Where the first page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// On a thread that may block.
    Apart,
    /// At once: a look-up by name takes less time than to hand it over.
    Here,
}

/// Where a page's rows are written.
pub(crate) struct Rows<'a> {
    json: &'a mut Vec<u8>,
    any: &'a mut bool,
    count: usize,
    failed: Option<serde_json::Error>,
}

impl Rows<'_> {
    /// Writes one row.
    pub(crate) fn push(&mut self, row: &impl Serialize) {
        self.count += 1;
        if *self.any {
            self.json.push(b',');
        }
        *self.any = true;
        if let Err(cause) = serde_json::to_writer(&mut *self.json, row) {
            self.failed = Some(cause);
        }
    }
}

/// One page: the JSON so far, and where the next one begins.
struct Page<R> {
    read: R,
    json: Vec<u8>,
    any: bool,
    rows: usize,
    next: Result<Option<Cursor>, RpcError>,
}

/// Answers with `{"<member>":[...]}`, a page at a time.
pub(crate) async fn stream<R>(
    reply: Reply,
    member: &'static str,
    limit: Limit,
    first: First,
    read: R,
) where
    R: FnMut(Option<Cursor>, usize, &mut Rows<'_>) -> Result<Option<Cursor>, ReadError>
        + Send
        + 'static,
{
    let mut left = limit.0.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let mut start = Vec::new();
    // Writing to memory cannot fail.
    drop(write!(start, "{{\"{member}\":["));
    let work = page(read, None, left.min(ROWS_A_PAGE), false);
    let first = match first {
        First::Here => Some(work()),
        First::Apart => spawn_blocking(work).await.ok(),
    };
    let mut current = match first {
        Some(Page {
            next: Err(error), ..
        }) => return reply.error(&error),
        None => return reply.error(&RpcError::new(Code::Internal, "the listing was given up")),
        Some(page) => page,
    };
    let mut out = reply.stream();
    if out.write(&start).await.is_err() {
        return;
    }
    loop {
        left = left.saturating_sub(current.rows);
        // The next page is read while this one is written; it is the only one that waits.
        let upcoming = match current.next {
            Ok(Some(next)) if left > 0 => {
                let rows_max = left.min(ROWS_A_PAGE);
                Some(spawn_blocking(page(
                    current.read,
                    Some(next),
                    rows_max,
                    current.any,
                )))
            }
            _ => None,
        };
        // A client that has gone needs no more.
        if out.write(&current.json).await.is_err() {
            return;
        }
        let Some(upcoming) = upcoming else { break };
        match upcoming.await {
            // Dropping the stream closes the connection: half a listing is not an answer.
            Err(_) | Ok(Page { next: Err(_), .. }) => return,
            Ok(page) => current = page,
        }
    }
    // Gone at the last moment: nobody is left to tell.
    if out.write(b"]}").await.is_ok() {
        let _ = out.finish().await;
    }
}

/// The reading of one page, which may block.
fn page<R>(
    mut read: R,
    after: Option<Cursor>,
    rows_max: usize,
    any: bool,
) -> impl FnOnce() -> Page<R> + Send + 'static
where
    R: FnMut(Option<Cursor>, usize, &mut Rows<'_>) -> Result<Option<Cursor>, ReadError>
        + Send
        + 'static,
{
    move || {
        let (mut json, mut any) = (Vec::new(), any);
        let mut rows = Rows {
            json: &mut json,
            any: &mut any,
            count: 0,
            failed: None,
        };
        let next = if rows_max == 0 {
            Ok(None)
        } else {
            read(after, rows_max, &mut rows)
        };
        let (count, failed) = (rows.count, rows.failed);
        let next = match (next, failed) {
            (_, Some(cause)) => Err(RpcError::new(Code::Internal, cause.to_string())),
            (next, None) => next.map_err(error::read),
        };
        Page {
            read,
            json,
            any,
            rows: count,
            next,
        }
    }
}
