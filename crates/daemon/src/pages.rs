//! Results of any length that are written a page at a time as the client takes them, each page read in
//! the moment that it is wanted. The records of the ledger are `listing.rs`'s.

use sendpay_rpc::{Code, RpcError};
use serde::Serialize;

use crate::server::Reply;

/// Rows of a page: some hundred kilobytes of JSON, well below a millisecond under a lock.
pub(crate) const ROWS_A_PAGE: usize = 256;

/// Answers with `{"<member>":[...]}`. `page` hands on the rows of the next page, and says whether
/// another one comes after it.
pub(crate) async fn stream<R: Serialize>(
    reply: Reply,
    member: &'static str,
    mut page: impl FnMut(&mut dyn FnMut(&R)) -> Result<bool, RpcError>,
) {
    let mut json = format!("{{\"{member}\":[").into_bytes();
    let mut any = false;
    let mut next = |json: &mut Vec<u8>| -> Result<bool, RpcError> {
        let mut failed = None;
        let more = page(&mut |row| {
            if any {
                json.push(b',');
            }
            any = true;
            if let Err(cause) = serde_json::to_writer(&mut *json, row) {
                failed = Some(RpcError::new(Code::Internal, cause.to_string()));
            }
        })?;
        match failed {
            Some(error) => Err(error),
            None => Ok(more),
        }
    };
    let mut more = match next(&mut json) {
        Ok(more) => more,
        Err(error) => return reply.error(&error),
    };
    let mut out = reply.stream();
    // A client that has gone needs no more.
    while out.write(&json).await.is_ok() {
        json.clear();
        if !more {
            // Gone at the last moment: nobody is left to tell.
            if out.write(b"]}").await.is_ok() {
                let _ = out.finish().await;
            }
            return;
        }
        more = match next(&mut json) {
            Ok(more) => more,
            Err(error) => {
                // Dropping the stream closes the connection: half a listing is not an answer.
                tracing::error!(%error, "a listing was broken off");
                return;
            }
        };
    }
}
