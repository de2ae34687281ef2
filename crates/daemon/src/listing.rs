//! Results of any length, written as they are read: one read of the ledger for each page, nothing
//! held but the pages in wait while the client is slow (L6).

mod threads;

use std::collections::VecDeque;
use std::sync::Arc;

use sendpay_ledger::{Cursor, ReadError};
use sendpay_rpc::{Code, RpcError, write};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::error;
use crate::server::{Reply, ReplyStream};

/// Rows read at once: some hundred kilobytes of JSON, about a millisecond of a reader. With what is
/// read ahead and what waits to be written, a slow client holds five such pages.
const ROWS_A_PAGE: usize = 384;

/// Rows of the first page, so that an answer begins soon.
const ROWS_OF_FIRST_PAGE: usize = 128;

/// Pages of one listing that are read while another is written, at the same time where it can be
/// said beforehand where each begins. Two: as many processors, and a quarter of the ledger's readers.
const PAGES_AHEAD: usize = 2;

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

/// What a listing reads from. Called from threads that may block.
pub(crate) trait Source: Send + Sync + 'static {
    /// Writes the rows of the next page, at most `rows_max`, and says where to go on.
    fn page(
        &self,
        after: Option<Cursor>,
        rows_max: usize,
        rows: &mut Rows,
    ) -> Result<Option<Cursor>, ReadError>;

    /// Where the page after the next begins, if that is known before the next is read.
    fn ahead(&self, after: Cursor, rows: usize) -> Result<Option<Cursor>, ReadError> {
        let _ = (after, rows);
        Ok(None)
    }
}

/// Where a page's rows are written.
#[derive(Default)]
pub(crate) struct Rows {
    /// The rows, with commas between them.
    json: Vec<u8>,
    count: usize,
    failed: Option<serde_json::Error>,
}

/// Room made at once for each row of a page in a long listing: more than most have, so that a page is
/// not moved while it grows.
const ROW_BYTES: usize = 1 << 10;

impl Rows {
    /// For a whole page of a long listing.
    fn of_page() -> Rows {
        Rows {
            json: Vec::with_capacity(ROWS_A_PAGE * ROW_BYTES),
            ..Rows::default()
        }
    }

    /// Writes one row.
    pub(crate) fn push(&mut self, row: &impl Serialize) {
        self.count += 1;
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        if let Err(cause) = write::append(&mut self.json, row) {
            self.failed = Some(cause);
        }
    }
}

/// One page: its rows, and where the next one begins.
struct Page {
    rows: Rows,
    next: Option<Cursor>,
}

/// Answers with `{"<member>":[...]}`, a page at a time.
pub(crate) async fn stream(
    reply: Reply,
    member: &'static str,
    limit: Limit,
    first: First,
    source: impl Source,
) {
    let limited = limit.0.is_some();
    let left = limit.0.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let begin = format!("{{\"{member}\":[");
    let source = Arc::new(source);
    let rows_max = left.min(ROWS_OF_FIRST_PAGE);
    let page = match first {
        First::Here => Some(read(&*source, None, rows_max)),
        First::Apart => {
            let source = Arc::clone(&source);
            let reading = spawn_blocking(move || read(&*source, None, rows_max));
            reading.await.ok()
        }
    };
    let page = match page {
        Some(Ok(page)) => page,
        Some(Err(error)) => return reply.error(&error),
        None => return reply.error(&RpcError::new(Code::Internal, "the listing was given up")),
    };
    let left = left.saturating_sub(page.rows.count);
    if page.next.is_none() || left == 0 {
        return reply.written(&[begin.as_bytes(), &page.rows.json, b"]}"]);
    }
    let reading = Reading {
        source,
        left: limited.then_some(left),
        next: page.next,
        under_way: VecDeque::new(),
    };
    // Dropping the stream closes the connection: half a listing is not an answer. A client that has
    // gone needs no more.
    let mut out = reply.stream();
    if out.write(begin.as_bytes()).await.is_ok()
        && write_all(&mut out, page.rows, reading).await.is_some()
        && out.write(b"]}").await.is_ok()
    {
        // Gone at the last moment: nobody is left to tell.
        let _ = out.finish().await;
    }
}

/// Writes this page and all that follow. `None` if that was not all.
async fn write_all<S: Source>(
    out: &mut ReplyStream,
    first: Rows,
    mut reading: Reading<S>,
) -> Option<()> {
    let mut rows = first;
    let mut any = false;
    loop {
        // The next pages are read while this one is written.
        reading.begin().await?;
        if rows.count > 0 {
            if any {
                out.write(b",").await.ok()?;
            }
            any = true;
            out.write_whole(rows.json).await.ok()?;
        }
        match reading.next_page().await? {
            Some(page) => rows = page.rows,
            None => return Some(()),
        }
    }
}

/// The pages of a listing that are being read.
struct Reading<S> {
    source: Arc<S>,
    /// How many rows are still wanted, if there is a limit.
    left: Option<usize>,
    /// Where the first page begins that is not yet being read, if that is known.
    next: Option<Cursor>,
    under_way: VecDeque<oneshot::Receiver<Result<Page, RpcError>>>,
}

impl<S: Source> Reading<S> {
    /// Begins to read as many pages as may be read and can be. `None` if that failed.
    async fn begin(&mut self) -> Option<()> {
        while self.under_way.len() < PAGES_AHEAD {
            let rows_max = self.left.unwrap_or(usize::MAX).min(ROWS_A_PAGE);
            let Some(from) = self.next.take_if(|_| rows_max > 0) else {
                break;
            };
            let source = Arc::clone(&self.source);
            if self.left.is_some() {
                // With a limit the rows of this page say how many the next may have.
                let page = threads::run(move || read(&*source, Some(from), rows_max));
                self.under_way.push_back(page);
                break;
            }
            let (tell, told) = oneshot::channel();
            let page = threads::run(move || stretch(&*source, from, rows_max, tell));
            self.under_way.push_back(page);
            self.next = told.await.ok()?;
        }
        Some(())
    }

    /// The next page in order; nothing after the last one. `None` if that failed.
    async fn next_page(&mut self) -> Option<Option<Page>> {
        let Some(page) = self.under_way.pop_front() else {
            return Some(None);
        };
        let page = page.await.ok()?.ok()?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(page.rows.count);
        }
        // Of a page of which it was not known before, nothing that follows is being read.
        if page.next.is_some() {
            self.next = page.next;
        }
        Some(Some(page))
    }
}

/// Reads a page up to where the next one begins, if that is known, and tells beforehand.
fn stretch(
    source: &impl Source,
    from: Cursor,
    rows_max: usize,
    tell: oneshot::Sender<Option<Cursor>>,
) -> Result<Page, RpcError> {
    let end = source.ahead(from, rows_max).map_err(error::read)?;
    // If nobody listens any more, nobody waits for the page either.
    if tell.send(end).is_err() {
        return Err(RpcError::new(Code::Internal, "the listing was given up"));
    }
    let Some(end) = end else {
        return read(source, Some(from), rows_max);
    };
    let mut page = Page {
        rows: Rows::of_page(),
        next: Some(from.until(end)),
    };
    // More than one read if it had to look at very much.
    while page.next.is_some() {
        page = read_on(source, page, rows_max)?;
    }
    Ok(page)
}

fn read(source: &impl Source, after: Option<Cursor>, rows_max: usize) -> Result<Page, RpcError> {
    let page = Page {
        rows: Rows::default(),
        next: after,
    };
    if rows_max == 0 {
        return Ok(page);
    }
    read_on(source, page, rows_max)
}

/// Adds to a page what is read from where it ends.
fn read_on(source: &impl Source, page: Page, rows_max: usize) -> Result<Page, RpcError> {
    let Page { mut rows, next } = page;
    let next = source.page(next, rows_max, &mut rows);
    match (rows.failed.take(), next) {
        (Some(cause), _) => Err(RpcError::new(Code::Internal, cause.to_string())),
        (None, Ok(next)) => Ok(Page { rows, next }),
        (None, Err(cause)) => Err(error::read(cause)),
    }
}
