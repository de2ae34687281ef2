//! The error object of a reply, and every error code of the dialect with CLN's number and name.
//!
//! When a code is used is decided by the methods; the failure codes of BOLT 4, which a payment
//! error carries as `failcode`, are in [`crate::failcode`].

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)+) => {
        /// An error code: CLN's number, CLN's name (`common/jsonrpc_errors.h`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The number that stands in the error object.
            #[must_use]
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// CLN's name of the code.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)+
                }
            }

            /// What the code means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Code::$variant => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

codes! {
    /// The request is not a JSON-RPC request, or is over a limit.
    InvalidRequest = -32600, "JSONRPC2_INVALID_REQUEST";
    /// No such method.
    MethodNotFound = -32601, "JSONRPC2_METHOD_NOT_FOUND";
    /// A parameter is missing, unknown or not what it should be.
    InvalidParams = -32602, "JSONRPC2_INVALID_PARAMS";
    /// The daemon failed in a way that is not the caller's doing.
    Internal = -32603, "JSONRPC2_INTERNAL_ERROR";
    /// Any error that has no code of its own.
    Lightningd = -1, "LIGHTNINGD";
    /// The daemon is shutting down.
    Shutdown = -5, "LIGHTNINGD_SHUTDOWN";
    /// The payment, or another with this hash, is still under way.
    PayInProgress = 200, "PAY_IN_PROGRESS";
    /// The payment hash was already used with other details.
    PayRhashAlreadyUsed = 201, "PAY_RHASH_ALREADY_USED";
    /// The failure could not be decoded, so nobody knows who reported it.
    PayUnparseableOnion = 202, "PAY_UNPARSEABLE_ONION";
    /// The destination refused the payment for good.
    PayDestinationPermFail = 203, "PAY_DESTINATION_PERM_FAIL";
    /// The route failed; another route may work.
    PayTryOtherRoute = 204, "PAY_TRY_OTHER_ROUTE";
    /// There is no route.
    PayRouteNotFound = 205, "PAY_ROUTE_NOT_FOUND";
    /// Every route costs more, or takes longer, than allowed.
    PayRouteTooExpensive = 206, "PAY_ROUTE_TOO_EXPENSIVE";
    /// The invoice has expired.
    PayInvoiceExpired = 207, "PAY_INVOICE_EXPIRED";
    /// There is no such payment.
    PayNoSuchPayment = 208, "PAY_NO_SUCH_PAYMENT";
    /// The payment failed and the reason is not known.
    PayUnspecifiedError = 209, "PAY_UNSPECIFIED_ERROR";
    /// The time allowed for further tries is over.
    PayStoppedRetrying = 210, "PAY_STOPPED_RETRYING";
    /// The payment's status is not the one that was named.
    PayStatusUnexpected = 211, "PAY_STATUS_UNEXPECTED";
    /// The invoice request cannot be paid with.
    PayInvoiceRequestInvalid = 212, "PAY_INVOICE_REQUEST_INVALID";
    /// The signer declined the invoice.
    PayInvoicePreapprovalDeclined = 213, "PAY_INVOICE_PREAPPROVAL_DECLINED";
    /// The signer declined the keysend.
    PayKeysendPreapprovalDeclined = 214, "PAY_KEYSEND_PREAPPROVAL_DECLINED";
    /// Our channels do not hold enough.
    PayInsufficientFunds = 215, "PAY_INSUFFICIENT_FUNDS";
    /// The destination cannot be reached.
    PayUnreachable = 216, "PAY_UNREACHABLE";
    /// The request cannot be paid as it was made.
    PayUserError = 217, "PAY_USER_ERROR";
    /// The payment was paid before.
    PayAlreadyPaid = 219, "PAY_INJECTPAYMENTONION_ALREADY_PAID";
    /// An amount is over what one channel may hold.
    FundMaxExceeded = 300, "FUND_MAX_EXCEEDED";
    /// The wallet does not hold enough.
    FundCannotAfford = 301, "FUND_CANNOT_AFFORD";
    /// The output would be too small to be relayed.
    FundOutputIsDust = 302, "FUND_OUTPUT_IS_DUST";
    /// The funding transaction could not be broadcast.
    FundingBroadcastFail = 303, "FUNDING_BROADCAST_FAIL";
    /// The chain is not yet caught up with.
    FundingStillSyncing = 304, "FUNDING_STILL_SYNCING_BITCOIN";
    /// The peer is not connected.
    FundingPeerNotConnected = 305, "FUNDING_PEER_NOT_CONNECTED";
    /// The peer is not known.
    FundingUnknownPeer = 306, "FUNDING_UNKNOWN_PEER";
    /// The wallet would not have enough left for its channels with anchors.
    FundCannotAffordWithEmergency = 313, "FUND_CANNOT_AFFORD_WITH_EMERGENCY";
    /// No address of the peer is known.
    ConnectNoKnownAddress = 400, "CONNECT_NO_KNOWN_ADDRESS";
    /// No address of the peer answered.
    ConnectAllAddressesFailed = 401, "CONNECT_ALL_ADDRESSES_FAILED";
    /// The peer went away before the connection was made.
    ConnectDisconnectedDuring = 402, "CONNECT_DISCONNECTED_DURING";
    /// The label is taken.
    InvoiceLabelAlreadyExists = 900, "INVOICE_LABEL_ALREADY_EXISTS";
    /// The preimage is taken.
    InvoicePreimageAlreadyExists = 901, "INVOICE_PREIMAGE_ALREADY_EXISTS";
    /// No channel can serve as a route hint.
    InvoiceHintsGaveNoRoutes = 902, "INVOICE_HINTS_GAVE_NO_ROUTES";
    /// The invoice expired while it was waited for.
    InvoiceExpiredDuringWait = 903, "INVOICE_EXPIRED_DURING_WAIT";
    /// No invoice was paid in the time allowed.
    InvoiceWaitTimedOut = 904, "INVOICE_WAIT_TIMED_OUT";
    /// There is no such invoice.
    InvoiceNotFound = 905, "INVOICE_NOT_FOUND";
    /// The invoice's status does not allow this.
    InvoiceStatusUnexpected = 906, "INVOICE_STATUS_UNEXPECTED";
    /// The invoice has no description to remove.
    InvoiceNoDescription = 908, "INVOICE_NO_DESCRIPTION";
    /// What was waited for did not come in the time allowed.
    WaitTimeout = 2000, "WAIT_TIMEOUT";
}

impl Code {
    /// The code with this number, if the table has it.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Code> {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.number() == number)
    }
}

/// The `error` member of a reply: `{"code":…,"message":…[,"data":…]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    /// One of [`Code`]'s numbers; a client may meet others from another daemon.
    pub code: i32,
    /// What went wrong, for people. Scripts go by the code.
    pub message: String,
    /// Details, only where the method's page lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        RpcError {
            code: code.number(),
            message: message.into(),
            data: None,
        }
    }

    /// The same error with data. Data that cannot be written as JSON is left out.
    #[must_use]
    pub fn with_data(mut self, data: &impl Serialize) -> Self {
        self.data = serde_json::to_value(data).ok();
        self
    }

    /// Invalid parameters (-32602), with a text of the caller's.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        RpcError::new(Code::InvalidParams, message)
    }

    /// A value that parsed but cannot be used, in the words CLN has for it:
    /// `<param>: <should be …>: invalid token (see logs for details)`.
    #[must_use]
    pub fn bad_param(param: &str, should: &str) -> Self {
        RpcError::invalid_params(format!(
            "{param}: {should}: invalid token (see logs for details)"
        ))
    }

    /// The code, if it is one of the table.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::from_number(self.code)
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}
