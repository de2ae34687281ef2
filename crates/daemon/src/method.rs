//! What each method does, one file each, with the names that the contract's files have.
//!
//! A handler turns parameters into a call of the node or the ledger and its outcome into a result;
//! it decides nothing else. To add one: its file, and a line in `dispatch`.

mod cancelpay;
mod connect;
mod countsendpays;
mod decode;
mod delinvoice;
mod delpay;
mod followsendpays;
mod fundchannel;
mod getinfo;
mod getroute;
mod holdinvoice;
mod invoice;
mod keysend;
mod listfunds;
mod listinvoices;
mod listpays;
mod listpeerchannels;
mod listsendpays;
mod newaddr;
mod pay;
mod paystatus;
mod selection;
mod sendpay;
mod settleimported;
mod wait;
mod waitanyinvoice;
mod waitinvoice;
mod waitsendpay;
mod xkeysend;
mod xpay;

use std::future::Future;
use std::sync::Arc;

use sendpay_node::{Bolt11, decode as decode_bolt11};
use sendpay_rpc::frame::Request;
use sendpay_rpc::method::check::Check;
use sendpay_rpc::method::notifications::{Notifications, NotificationsResult};
use sendpay_rpc::method::stop::{Stop, StopResult};
use sendpay_rpc::method::{Method, unknown};
use sendpay_rpc::param::{Mode, ParamSet};
use sendpay_rpc::value::InvoiceString;
use sendpay_rpc::{Code, RpcError};

use crate::daemon::Daemon;
use crate::server::Reply;

/// Answers one request.
pub(crate) async fn dispatch(daemon: &Arc<Daemon>, request: Request, reply: Reply) {
    if request.filter.is_some() {
        let text = "filter: this daemon does not filter results yet; leave the member out";
        return reply.error(&RpcError::invalid_params(text));
    }
    let d = daemon;
    match request.method.as_str() {
        "cancelpay" => answer(&request, reply, |p| cancelpay::run(d, p)).await,
        "check" => reply.outcome(Check::answer(&request.params)),
        "connect" => answer(&request, reply, |p| connect::run(d, p)).await,
        "countsendpays" => wait(&request, reply, |p| countsendpays::run(d, p)).await,
        "decode" => answer(&request, reply, |p| decode::run(d, p)).await,
        "delinvoice" => answer(&request, reply, |p| delinvoice::run(d, p)).await,
        "delpay" => answer(&request, reply, |p| delpay::run(d, p)).await,
        "followsendpays" => stream(&request, reply, |p, r| followsendpays::run(d, p, r)).await,
        "fundchannel" => answer(&request, reply, |p| fundchannel::run(d, p)).await,
        "getinfo" => answer(&request, reply, |p| getinfo::run(d, p)).await,
        "getroute" => answer(&request, reply, |p| getroute::run(d, p)).await,
        "help" => {
            let help = |p: sendpay_rpc::method::help::Help| async move { p.answer() };
            answer(&request, reply, help).await;
        }
        "holdinvoice" => answer(&request, reply, |p| holdinvoice::run(d, p)).await,
        "holdinvoicecancel" => answer(&request, reply, |p| holdinvoice::cancel(d, p)).await,
        "holdinvoicesettle" => answer(&request, reply, |p| holdinvoice::settle(d, p)).await,
        "invoice" => answer(&request, reply, |p| invoice::run(d, p)).await,
        "keysend" => answer(&request, reply, |p| keysend::run(d, p)).await,
        "listfunds" => answer(&request, reply, |p| listfunds::run(d, p)).await,
        "listinvoices" | "listinvoice" => {
            stream(&request, reply, |p, r| listinvoices::run(d, p, r)).await;
        }
        "listpays" => stream(&request, reply, |p, r| listpays::run(d, p, r)).await,
        "listpeerchannels" => answer(&request, reply, |p| listpeerchannels::run(d, p)).await,
        "listsendpays" => stream(&request, reply, |p, r| listsendpays::run(d, p, r)).await,
        "newaddr" => answer(&request, reply, |p| newaddr::run(d, p)).await,
        // Nothing here sends notifications yet, so there is nothing to switch.
        "notifications" => {
            let none = |_: Notifications| async { Ok(NotificationsResult {}) };
            answer(&request, reply, none).await;
        }
        "pay" => answer(&request, reply, |p| pay::run(d, p)).await,
        "paystatus" => stream(&request, reply, |p, r| paystatus::run(d, p, r)).await,
        "sendpay" => answer(&request, reply, |p| sendpay::run(d, p)).await,
        "settleimported" => answer(&request, reply, |p| settleimported::run(d, p)).await,
        "stop" => {
            // A request that is refused stops nothing.
            let asked = Stop::from_raw(&request.params, Mode::Normal);
            let stops = asked.is_ok();
            reply.outcome(asked.map(|_| StopResult::default()));
            if stops {
                d.stop();
            }
        }
        "wait" => wait(&request, reply, |p| wait::run(d, p)).await,
        "waitanyinvoice" => wait(&request, reply, |p| waitanyinvoice::run(d, p)).await,
        "waitinvoice" => wait(&request, reply, |p| waitinvoice::run(d, p)).await,
        "waitsendpay" => wait(&request, reply, |p| waitsendpay::run(d, p)).await,
        "xkeysend" => answer(&request, reply, |p| xkeysend::run(d, p)).await,
        "xpay" => answer(&request, reply, |p| xpay::run(d, p)).await,
        other => reply.error(&unknown(other)),
    }
}

/// Parameters in, a whole result out.
async fn answer<M, F>(request: &Request, reply: Reply, run: impl FnOnce(M) -> F)
where
    M: Method,
    F: Future<Output = Result<M::Result, RpcError>>,
{
    let result = match M::from_raw(&request.params, Mode::Normal) {
        Ok(params) => run(params).await,
        Err(error) => Err(error),
    };
    reply.outcome(result);
}

/// As `answer`, for a method that only waits and changes nothing: it ends when its client is gone,
/// and with an error when the daemon stops, so that neither has to wait for what may never come.
async fn wait<M, F>(request: &Request, reply: Reply, run: impl FnOnce(M) -> F)
where
    M: Method,
    F: Future<Output = Result<M::Result, RpcError>>,
{
    let params = match M::from_raw(&request.params, Mode::Normal) {
        Ok(params) => params,
        Err(error) => return reply.error(&error),
    };
    tokio::select! {
        result = run(params) => reply.outcome(result),
        () = reply.stopping() => {
            reply.error(&RpcError::new(Code::Shutdown, "The daemon is shutting down"));
        }
        () = reply.client_gone() => tracing::debug!(method = M::NAME, "nobody waits any more"),
    }
}

/// Parameters in, a result that is written as it is read, or more than a result out.
async fn stream<M, F>(request: &Request, reply: Reply, run: impl FnOnce(M, Reply) -> F)
where
    M: ParamSet,
    F: Future<Output = ()>,
{
    match M::from_raw(&request.params, Mode::Normal) {
        Ok(params) => run(params, reply).await,
        Err(error) => reply.error(&error),
    }
}

/// Reads an invoice given as a filter; CLN's words for one that cannot be read.
fn invoice_of(daemon: &Daemon, text: &InvoiceString) -> Result<Bolt11, RpcError> {
    decode_bolt11(text.as_str(), Some(daemon.network()))
        .map_err(|cause| RpcError::invalid_params(format!("Invalid invstring: {cause}")))
}
