//! Errors of the parts as RPC errors, each match exhaustive: a new variant does not compile until
//! someone decides what a client sees.

use sendpay_ledger::{
    AddInvoiceError, BeginError, CancelError, Closed, DeleteError, DeleteInvoiceError, PaidError,
    Payment, ReadError, SettleImportedError,
};
use sendpay_node::{
    BumpError, CancelHeldError, CloseError, ConnectError, DeleteError as DeleteFromNode,
    FirstHopError, FundError, GetRouteError, NewInvoiceError, OpenError, PayError, SendPayError,
    SettleHeldError, StuckError, TermsError, Tried, Why, WithdrawError,
};
use sendpay_rpc::value::{Amounts, NodeId, Scid};
use sendpay_rpc::{Code, RpcError};
use serde_json::json;

use crate::{attempts, convert};

/// BOLT 4's `unknown_next_peer`, which CLN gives for a first peer that is not there.
const UNKNOWN_NEXT_PEER: u16 = 0x400a;
/// BOLT 4's `temporary_channel_failure`, for a first channel that cannot carry it now.
const TEMPORARY_CHANNEL_FAILURE: u16 = 0x1007;

/// The cause's whole chain, so that none of it is lost.
fn internal(cause: &(dyn std::error::Error + 'static)) -> RpcError {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    tracing::error!(%text, "a request failed for a reason of our own");
    RpcError::new(Code::Internal, text)
}

pub(crate) fn closed(_: Closed) -> RpcError {
    RpcError::new(Code::Shutdown, "The daemon is shutting down")
}

pub(crate) fn read(cause: ReadError) -> RpcError {
    internal(&cause)
}

/// Section 4.1 of CLN's contract, row by row.
pub(crate) fn begin(cause: &BeginError) -> RpcError {
    use BeginError as E;
    let code = match cause {
        E::OtherGroupInProgress { .. }
        | E::ParallelInProgress
        | E::NonParallelInProgress
        | E::ImportedPending(_)
        | E::PartsInProgress { .. }
        | E::KeyTaken { .. }
        | E::WouldExceedTotal { .. } => Code::PayInProgress,
        E::AlreadySucceededAmount { .. }
        | E::AlreadySucceededTo(_)
        | E::AlreadySucceededOtherParts
        | E::PendingAmount { .. }
        | E::PendingTo(_)
        | E::GroupPartFailed { .. }
        | E::LatePreimage(_) => Code::PayRhashAlreadyUsed,
        E::TotalChanged { .. }
        | E::OtherRequest
        | E::GroupidTooLarge(_)
        | E::PartidTooLarge(_)
        | E::Route(_) => Code::InvalidParams,
        E::Store(_) | E::Damaged(_) => return internal(cause),
    };
    RpcError::new(code, cause.to_string())
}

/// A failure of a record, as `waitsendpay` and a refused self-payment tell it: always as it stands
/// in the ledger, so `status` says failed.
pub(crate) fn failed(payment: &Payment, amounts: Amounts) -> RpcError {
    let shown = convert::payment(payment, amounts);
    let (code, message) = match &payment.failure {
        Some(failure) => (failure.code, convert::failure_text(failure)),
        None => (
            Code::PayUnspecifiedError.number(),
            "Payment failure reason unknown".into(),
        ),
    };
    RpcError {
        code,
        message,
        data: None,
    }
    .with_data(&shown)
}

pub(crate) fn sendpay(cause: SendPayError, us: NodeId, amounts: Amounts) -> RpcError {
    match cause {
        SendPayError::Route(cause) => RpcError::invalid_params(cause.to_string()),
        SendPayError::Begin(cause) => begin(&cause),
        SendPayError::FirstHop(cause) => first_hop(&cause, us),
        SendPayError::SelfPayment(text) => RpcError::invalid_params(text),
        SendPayError::SelfRefused(payment) => failed(&payment, amounts),
        SendPayError::SelfBusy => RpcError::new(Code::Lightningd, cause.to_string()),
        SendPayError::Preimage(_) => internal(&cause),
        SendPayError::Unsent(payment, reason) => RpcError::new(
            Code::PayUnspecifiedError,
            format!("the payment could not be sent: {reason}"),
        )
        .with_data(&json!({"created_index": payment.created_index})),
        SendPayError::Closed(cause) => closed(cause),
    }
}

fn first_hop(cause: &FirstHopError, us: NodeId) -> RpcError {
    match cause {
        FirstHopError::NoConnection => RpcError::new(Code::PayTryOtherRoute, cause.to_string())
            .with_data(&json!({
                "erring_index": 0,
                "failcode": UNKNOWN_NEXT_PEER,
                "failcodename": sendpay_rpc::failcode::name(UNKNOWN_NEXT_PEER),
                "erring_node": us,
            })),
        FirstHopError::NotReady {
            channel,
            direction,
            reason,
        } => {
            let name = sendpay_rpc::failcode::name(TEMPORARY_CHANNEL_FAILURE);
            let text = format!(
                "failed: {} (First peer not ready)",
                name.unwrap_or_default()
            );
            RpcError::new(Code::PayTryOtherRoute, text).with_data(&json!({
                "erring_index": 0,
                "failcode": TEMPORARY_CHANNEL_FAILURE,
                "failcodename": name,
                "erring_node": us,
                "erring_channel": Scid(*channel),
                "erring_direction": direction,
                "reason": reason,
            }))
        }
    }
}

/// Whose codes an error of a payment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayWords {
    /// `pay`.
    Pay,
    /// `xpay`, which has no code of its own for tries that ended.
    XPay,
}

pub(crate) fn pay(cause: &PayError, words: PayWords, height: u32, amounts: Amounts) -> RpcError {
    use PayError as E;
    let code = match cause {
        E::Bolt11(_)
        | E::AmountNamed(_)
        | E::AmountMissing
        | E::PartialAmount(_)
        | E::PartialToOurselves
        | E::KeysendToOurselves
        | E::NoNode(_)
        | E::Description
        | E::OtherRequest => Code::InvalidParams,
        E::Expired(_) => Code::PayInvoiceExpired,
        E::OtherAmount { .. } => Code::PayRhashAlreadyUsed,
        E::Repeat(cause) => return begin(cause),
        E::Tried(tried) => {
            let data = attempts::tried(tried, height, amounts);
            return RpcError::new(tried_code(tried, words), cause.to_string()).with_data(&data);
        }
        E::Closed(cause) => return closed(*cause),
        E::Internal(_) => return internal(cause),
    };
    RpcError::new(code, cause.to_string())
}

/// What may still complete is in progress, whatever ended the tries.
fn tried_code(tried: &Tried, words: PayWords) -> Code {
    if tried.pending().next().is_some() {
        return Code::PayInProgress;
    }
    match &tried.why {
        Why::Refused => Code::PayDestinationPermFail,
        Why::NoRoute(_) if tried.attempts() == 0 => Code::PayRouteNotFound,
        Why::TooExpensive { .. } if tried.attempts() == 0 => Code::PayRouteTooExpensive,
        Why::Expired(_) => Code::PayInvoiceExpired,
        Why::NoRoute(_)
        | Why::TooExpensive { .. }
        | Why::TimeOver
        | Why::Cancelled
        | Why::TriesMax(_)
        | Why::Before => match words {
            PayWords::Pay => Code::PayStoppedRetrying,
            PayWords::XPay => Code::PayUnspecifiedError,
        },
    }
}

pub(crate) fn delete(cause: &DeleteError) -> RpcError {
    use DeleteError as E;
    match cause {
        E::Pending => RpcError::invalid_params(cause.to_string()),
        E::UnknownHash(_) | E::OtherStatus { .. } | E::UnknownPart => {
            RpcError::new(Code::PayNoSuchPayment, cause.to_string())
        }
        E::Store(_) | E::Damaged(_) => internal(cause),
    }
}

pub(crate) fn settle_imported(cause: &SettleImportedError) -> RpcError {
    use SettleImportedError as E;
    let code = match cause {
        E::NoProof(_) => Code::InvalidParams,
        E::Unknown(_) => Code::PayNoSuchPayment,
        E::Settled { .. } => Code::PayStatusUnexpected,
        E::Store(_) | E::Damaged(_) => return internal(cause),
    };
    RpcError::new(code, cause.to_string())
}

pub(crate) fn new_invoice(cause: &NewInvoiceError) -> RpcError {
    use NewInvoiceError as E;
    match cause {
        E::Cltv | E::Description | E::HashMismatch => RpcError::invalid_params(cause.to_string()),
        E::Add(added) => match added {
            AddInvoiceError::DuplicateLabel(_) => {
                RpcError::new(Code::InvoiceLabelAlreadyExists, cause.to_string())
            }
            AddInvoiceError::DuplicateHash(_) => {
                RpcError::new(Code::InvoicePreimageAlreadyExists, cause.to_string())
            }
            AddInvoiceError::NoProof(_) => RpcError::invalid_params(cause.to_string()),
            AddInvoiceError::Store(_) | AddInvoiceError::Damaged(_) => internal(cause),
        },
        E::Hints => RpcError::new(Code::InvoiceHintsGaveNoRoutes, cause.to_string()),
        E::Closed(cause) => closed(*cause),
        E::Entropy(_) | E::Ldk(_) => internal(cause),
    }
}

pub(crate) fn settle_held(cause: &SettleHeldError) -> RpcError {
    use SettleHeldError as E;
    match cause {
        E::Unknown(_) => RpcError::new(Code::InvoiceNotFound, cause.to_string()),
        E::NotHeld(_) | E::Deadline { .. } | E::FailedBack => {
            RpcError::new(Code::InvoiceStatusUnexpected, cause.to_string())
        }
        E::Slow => RpcError::new(Code::WaitTimeout, cause.to_string()),
        E::Preimage(PaidError::Unknown(_)) => {
            RpcError::new(Code::InvoiceNotFound, cause.to_string())
        }
        E::Preimage(
            PaidError::NoProof(_)
            | PaidError::NotClaimed(_)
            | PaidError::Store(_)
            | PaidError::Damaged(_),
        )
        | E::Read(_) => internal(cause),
        E::Closed(cause) => closed(*cause),
    }
}

pub(crate) fn cancel_held(cause: &CancelHeldError) -> RpcError {
    match cause {
        CancelHeldError::Cancel(CancelError::Unknown(_)) => {
            RpcError::new(Code::InvoiceNotFound, cause.to_string())
        }
        CancelHeldError::Cancel(CancelError::Paid) => {
            RpcError::new(Code::InvoiceStatusUnexpected, cause.to_string())
        }
        CancelHeldError::Busy => RpcError::new(Code::Lightningd, cause.to_string()),
        CancelHeldError::Cancel(CancelError::Store(_) | CancelError::Damaged(_))
        | CancelHeldError::Read(_) => internal(cause),
        CancelHeldError::Closed(cause) => closed(*cause),
    }
}

pub(crate) fn delete_invoice(cause: &DeleteFromNode) -> RpcError {
    use DeleteInvoiceError as E;
    let cause = match cause {
        DeleteFromNode::Delete(cause) => cause,
        DeleteFromNode::Read(cause) => return internal(cause),
        DeleteFromNode::Busy => return RpcError::new(Code::Lightningd, cause.to_string()),
        DeleteFromNode::Closed(cause) => return closed(*cause),
    };
    let error = |code| RpcError::new(code, cause.to_string());
    match cause {
        E::Unknown => error(Code::InvoiceNotFound),
        E::Status { current, expected } => error(Code::InvoiceStatusUnexpected).with_data(&json!({
            "current_status": current.as_str(),
            "expected_status": expected,
        })),
        E::Held => error(Code::InvoiceStatusUnexpected),
        E::NoDescription => error(Code::InvoiceNoDescription),
        E::Store(_) | E::Damaged(_) => internal(cause),
    }
}

pub(crate) fn getroute(cause: &GetRouteError) -> RpcError {
    let code = match cause {
        GetRouteError::NotFound(_) => Code::PayRouteNotFound,
        GetRouteError::UnknownSource(_) | GetRouteError::UnknownDestination(_) => {
            Code::InvalidParams
        }
    };
    RpcError::new(code, cause.to_string())
}

pub(crate) fn connect(cause: &ConnectError) -> RpcError {
    let code = match cause {
        ConnectError::NoAddress(_) => Code::ConnectNoKnownAddress,
        ConnectError::Resolve { .. }
        | ConnectError::Tcp { .. }
        | ConnectError::Socket(_)
        | ConnectError::Proxy { .. }
        | ConnectError::NoProxy(_)
        | ConnectError::CatchingUp { .. } => Code::ConnectAllAddressesFailed,
        ConnectError::Handshake(_) => Code::ConnectDisconnectedDuring,
        ConnectError::Ourselves => Code::InvalidParams,
    };
    RpcError::new(code, cause.to_string())
}

pub(crate) fn fund(cause: &FundError) -> RpcError {
    match cause {
        FundError::Afford { .. } => RpcError::new(Code::FundCannotAfford, cause.to_string()),
        FundError::TooLittle { .. } => RpcError::new(Code::FundCannotAfford, cause.to_string()),
        FundError::Dust => RpcError::new(Code::FundOutputIsDust, cause.to_string()),
        FundError::UnknownOutput(_) | FundError::Reserved(_) | FundError::Absurd(_) => {
            RpcError::invalid_params(cause.to_string())
        }
        FundError::Emergency(_) => {
            RpcError::new(Code::FundCannotAffordWithEmergency, cause.to_string())
        }
        FundError::Create(_) | FundError::NoAddress => {
            RpcError::new(Code::Lightningd, cause.to_string())
        }
        FundError::Amount => RpcError::new(Code::FundMaxExceeded, cause.to_string()),
        FundError::Sign(_) | FundError::Store(_) => internal(cause),
    }
}

pub(crate) fn open(cause: &OpenError) -> RpcError {
    match cause {
        OpenError::NotConnected(_) => {
            RpcError::new(Code::FundingPeerNotConnected, cause.to_string())
        }
        OpenError::Fund(fund_error) => fund(fund_error),
        OpenError::Broadcast(_) => RpcError::new(Code::FundingBroadcastFail, cause.to_string()),
        OpenError::Refused(_) => RpcError::invalid_params(format!("amount: {cause}")),
        OpenError::Reserve => RpcError::invalid_params(format!("reserve: {cause}")),
        OpenError::Depth => RpcError::invalid_params(format!("mindepth: {cause}")),
        OpenError::CloseTo => RpcError::invalid_params(format!("close_to: {cause}")),
        OpenError::Failed(_) | OpenError::Timeout => {
            RpcError::new(Code::Lightningd, cause.to_string())
        }
    }
}

pub(crate) fn withdraw(cause: &WithdrawError) -> RpcError {
    match cause {
        WithdrawError::Fund(cause) => fund(cause),
        WithdrawError::Store(_) => internal(cause),
        WithdrawError::Refused(_) => RpcError::new(Code::Lightningd, cause.to_string()),
        WithdrawError::Unanswered { txid, .. } => {
            RpcError::new(Code::Lightningd, cause.to_string())
                .with_data(&json!({"txid": txid.to_string()}))
        }
    }
}

pub(crate) fn bump(cause: &BumpError) -> RpcError {
    match cause {
        BumpError::Stuck(StuckError::Fund(cause)) => fund(cause),
        BumpError::Stuck(
            StuckError::Unknown(_)
            | StuckError::Confirmed(_)
            | StuckError::NotAgreed(_)
            | StuckError::NoOutput(_),
        ) => RpcError::invalid_params(format!("txid: {cause}")),
        BumpError::Stuck(StuckError::RateTooLow { .. }) => {
            RpcError::invalid_params(format!("feerate: {cause}"))
        }
        BumpError::Store(_) => internal(cause),
        BumpError::Refused(_) => RpcError::new(Code::Lightningd, cause.to_string()),
        BumpError::Unanswered { txid, .. } => RpcError::new(Code::Lightningd, cause.to_string())
            .with_data(&json!({"txid": txid.to_string()})),
    }
}

pub(crate) fn close(cause: &CloseError) -> RpcError {
    let code = match cause {
        CloseError::Destination
        | CloseError::DestinationVersion
        | CloseError::DestinationFixed(_) => Code::InvalidParams,
        CloseError::Lost | CloseError::Refused(_) => Code::Lightningd,
        CloseError::Stopping => Code::Shutdown,
    };
    RpcError::new(code, cause.to_string())
}

pub(crate) fn terms(cause: &TermsError) -> RpcError {
    match cause {
        TermsError::Gone | TermsError::Refused(_) | TermsError::Store(_) => {
            RpcError::new(Code::Lightningd, cause.to_string())
        }
    }
}
