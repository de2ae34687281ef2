//! Results of any length, written as they are read: one read of the ledger for each page, nothing
//! held while the client is slow (L6).

use std::io::Write;

use sendpay_ledger::{Cursor, ReadError};
use sendpay_rpc::{Code, RpcError};
use serde::Serialize;

use crate::error;
use crate::server::Reply;

/// Rows read at once: some hundred kilobytes of JSON, a few milliseconds of a reader.
const ROWS_A_PAGE: usize = 256;

/// How many rows the client wants at most.
pub(crate) struct Limit(pub(crate) Option<u32>);

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
pub(crate) async fn stream<R>(reply: Reply, member: &'static str, limit: Limit, read: R)
where
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
    let first = page(read, None, left.min(ROWS_A_PAGE), false).await;
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
        // A client that has gone needs no more.
        if out.write(&current.json).await.is_err() {
            return;
        }
        let Ok(Some(next)) = current.next else { break };
        if left == 0 {
            break;
        }
        match page(current.read, Some(next), left.min(ROWS_A_PAGE), current.any).await {
            // Dropping the stream closes the connection: half a listing is not an answer.
            None | Some(Page { next: Err(_), .. }) => return,
            Some(page) => current = page,
        }
    }
    // Gone at the last moment: nobody is left to tell.
    if out.write(b"]}").await.is_ok() {
        let _ = out.finish().await;
    }
}

/// Reads one page on a thread that may block.
async fn page<R>(mut read: R, after: Option<Cursor>, rows_max: usize, any: bool) -> Option<Page<R>>
where
    R: FnMut(Option<Cursor>, usize, &mut Rows<'_>) -> Result<Option<Cursor>, ReadError>
        + Send
        + 'static,
{
    let work = move || {
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
    };
    tokio::task::spawn_blocking(work).await.ok()
}
