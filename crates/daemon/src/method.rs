//! What each method does, one file each, with the names that the contract's files have.
//!
//! A handler turns parameters into a call of the node or the ledger and its outcome into a result;
//! it decides nothing else. To add one: its file, and a line in `dispatch`.

mod bumpfee;
mod cancelpay;
mod close;
mod connect;
mod countsendpays;
mod decode;
mod delinvoice;
mod delpay;
mod disconnect;
mod feerates;
mod find_channel;
mod followsendpays;
mod fundchannel;
mod getinfo;
mod getroute;
mod holdinvoice;
mod invoice;
mod keysend;
mod listchannels;
mod listconfigs;
mod listforwards;
mod listfunds;
mod listinvoices;
mod listnodes;
mod listpays;
mod listpeerchannels;
mod listpeers;
mod listsendpays;
mod newaddr;
mod onchain;
mod pay;
mod paystatus;
mod selection;
mod sendpay;
mod setchannel;
mod settleimported;
mod wait;
mod waitanyinvoice;
mod waitinvoice;
mod waitsendpay;
mod withdraw;
mod xkeysend;
mod xpay;

use std::future::Future;
use std::sync::Arc;

use sendpay_node::{Bolt11, decode as decode_bolt11};
use sendpay_rpc::filter::Filter;
use sendpay_rpc::frame::Request;
use sendpay_rpc::method::check::Check;
use sendpay_rpc::method::notifications::{Notifications, NotificationsResult};
use sendpay_rpc::method::stop::{Stop, StopResult};
use sendpay_rpc::method::{Method, find, unknown};
use sendpay_rpc::param::{Mode, ParamSet};
use sendpay_rpc::value::InvoiceString;
use sendpay_rpc::{Code, RpcError};

use crate::daemon::Daemon;
use crate::server::{ConnectionInfo, Notifier, Reply};

/// Answers one request.
pub(crate) async fn dispatch(
    daemon: &Arc<Daemon>,
    request: Request,
    reply: Reply,
    connection: &ConnectionInfo,
) {
    if find(&request.method).is_none() {
        return reply.error(&unknown(&request.method));
    }
    let reply = match request.filter.as_deref().map(Filter::read) {
        None => reply,
        Some(Ok(filter)) => reply.filtered(filter),
        Some(Err(error)) => return reply.error(&error),
    };
    let d = daemon;
    match request.method.as_str() {
        "bumpfee" => answer(&request, reply, |p| bumpfee::run(d, p)).await,
        "cancelpay" => answer(&request, reply, |p| cancelpay::run(d, p)).await,
        "check" => reply.outcome(Check::answer(&request.params)),
        "close" => outlast(&request, reply, |p, n| close::run(d, p, n)).await,
        "connect" => answer(&request, reply, |p| connect::run(d, p)).await,
        "countsendpays" => wait(&request, reply, |p| countsendpays::run(d, p)).await,
        "decode" => answer(&request, reply, |p| decode::run(d, p)).await,
        "delinvoice" => answer(&request, reply, |p| delinvoice::run(d, p)).await,
        "delpay" => answer(&request, reply, |p| delpay::run(d, p)).await,
        "disconnect" => answer(&request, reply, |p| disconnect::run(d, p)).await,
        "feerates" => answer(&request, reply, |p| feerates::run(d, p)).await,
        "followsendpays" => stream(&request, reply, |p, r| followsendpays::run(d, p, r)).await,
        "fundchannel" => tell(&request, reply, |p, n| fundchannel::run(d, p, n)).await,
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
        "keysend" => tell(&request, reply, |p, n| keysend::run(d, p, n)).await,
        "listchannels" => stream(&request, reply, |p, r| listchannels::run(d, p, r)).await,
        "listconfigs" => answer(&request, reply, |p| listconfigs::run(d, p)).await,
        "listforwards" => stream(&request, reply, |p, r| listforwards::run(d, p, r)).await,
        "listfunds" => answer(&request, reply, |p| listfunds::run(d, p)).await,
        "listinvoices" | "listinvoice" => {
            stream(&request, reply, |p, r| listinvoices::run(d, p, r)).await;
        }
        "listnodes" => stream(&request, reply, |p, r| listnodes::run(d, p, r)).await,
        "listpays" => stream(&request, reply, |p, r| listpays::run(d, p, r)).await,
        "listpeerchannels" => answer(&request, reply, |p| listpeerchannels::run(d, p)).await,
        "listpeers" => answer(&request, reply, |p| listpeers::run(d, p)).await,
        "listsendpays" => stream(&request, reply, |p, r| listsendpays::run(d, p, r)).await,
        "newaddr" => answer(&request, reply, |p| newaddr::run(d, p)).await,
        "notifications" => {
            let switch = |p: Notifications| async move {
                connection.enable_notifications(p.enable);
                Ok(NotificationsResult {})
            };
            answer(&request, reply, switch).await;
        }
        "pay" => tell(&request, reply, |p, n| pay::run(d, p, n)).await,
        "paystatus" => stream(&request, reply, |p, r| paystatus::run(d, p, r)).await,
        "sendpay" => answer(&request, reply, |p| sendpay::run(d, p)).await,
        "setchannel" => answer(&request, reply, |p| setchannel::run(d, p)).await,
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
        "withdraw" => answer(&request, reply, |p| withdraw::run(d, p)).await,
        "xkeysend" => tell(&request, reply, |p, n| xkeysend::run(d, p, n)).await,
        "xpay" => tell(&request, reply, |p, n| xpay::run(d, p, n)).await,
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

/// As `answer`, for a method that tells of its progress if the client asked for that.
async fn tell<M, F>(request: &Request, mut reply: Reply, run: impl FnOnce(M, Option<Notifier>) -> F)
where
    M: Method,
    F: Future<Output = Result<M::Result, RpcError>>,
{
    let result = match M::from_raw(&request.params, Mode::Normal) {
        Ok(params) => run(params, reply.notifier()).await,
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

/// As `tell`, for a method that may wait for long and goes on without its client: it ends with an
/// error when the daemon stops.
async fn outlast<M, F>(
    request: &Request,
    mut reply: Reply,
    run: impl FnOnce(M, Option<Notifier>) -> F,
) where
    M: Method,
    F: Future<Output = Result<M::Result, RpcError>>,
{
    let params = match M::from_raw(&request.params, Mode::Normal) {
        Ok(params) => params,
        Err(error) => return reply.error(&error),
    };
    let notifier = reply.notifier();
    tokio::select! {
        result = run(params, notifier) => reply.outcome(result),
        () = reply.stopping() => {
            reply.error(&RpcError::new(Code::Shutdown, "The daemon is shutting down"));
        }
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
