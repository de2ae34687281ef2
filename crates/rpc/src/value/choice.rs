//! Values that are one word of a few.

use super::{ParseError, written_as_text};
use crate::json::Token;
use crate::param::{BadParam, Param};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        pub enum $type:ident ($pattern:literal, $should:literal) {
            $($(#[doc = $word_doc:literal])+ $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[doc = $word_doc])+ $variant,)+
        }

        impl $type {
            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $word,)+
                }
            }
        }

        impl FromStr for $type {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                match text {
                    $($word => Ok($type::$variant),)+
                    _ => Err(ParseError($should)),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Param for $type {
            const TYPE: &'static str = "string";

            fn parse(token: Token<'_>) -> Result<Self, BadParam> {
                token.text().parse().map_err(|_| BadParam::new($should, token))
            }

            fn schema() -> Value {
                json!({ "type": "string", "enum": [$($word),+] })
            }
        }

        written_as_text!($type, $pattern);
    };
}

words! {
    /// The status of a payment, or of one part of it.
    pub enum PaymentStatus ("^(pending|complete|failed)$", "should be an invoice status") {
        /// It may still complete.
        Pending = "pending",
        /// It was paid, and the preimage proves it.
        Complete = "complete",
        /// It can never complete.
        Failed = "failed",
    }
}

words! {
    /// How the forwarding of an HTLC ended.
    pub enum ForwardStatus ("^(offered|settled|local_failed|failed)$", "Unrecognized status") {
        /// It has not ended.
        Offered = "offered",
        /// The next node took it.
        Settled = "settled",
        /// This node failed it.
        LocalFailed = "local_failed",
        /// A node after this one failed it.
        Failed = "failed",
    }
}

words! {
    /// Which index a listing follows. `deleted` names nothing that still exists: it is read as
    /// `created`, as CLN does.
    pub enum ListIndex ("^(created|updated|deleted)$", "unknown index") {
        /// The order of creation.
        Created = "created",
        /// The order of the last change.
        Updated = "updated",
        /// The same as created.
        Deleted = "deleted",
    }
}

words! {
    /// Which way a listing goes.
    pub enum ListOrder ("^(asc|desc)$", "should be 'asc' or 'desc'") {
        /// The oldest first.
        Ascending = "asc",
        /// The newest first.
        Descending = "desc",
    }
}

words! {
    /// What *wait* can wait for changes of.
    pub enum Subsystem ("^(invoices|sendpays)$", "unknown subsystem") {
        /// What *listinvoices* shows.
        Invoices = "invoices",
        /// What *listsendpays* shows.
        Sendpays = "sendpays",
    }
}

words! {
    /// The numbers that *wait* can wait for.
    pub enum IndexName ("^(created|updated|deleted)$", "unknown index") {
        /// One more for each that is created.
        Created = "created",
        /// One more for each that is changed.
        Updated = "updated",
        /// One more for each that is deleted.
        Deleted = "deleted",
    }
}

words! {
    /// What happened to a record.
    pub enum ChangeKind ("^(created|updated|deleted)$", "should be a kind of change") {
        /// It was made.
        Created = "created",
        /// It completed or failed.
        Updated = "updated",
        /// It was removed.
        Deleted = "deleted",
    }
}

/// The unit that fee rates are shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FeerateStyle {
    /// Satoshi for 1000 virtual bytes.
    PerKb,
    /// Satoshi for 1000 weight units.
    PerKw,
}

impl Param for FeerateStyle {
    const TYPE: &'static str = "string";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        match token.text() {
            "perkb" => Ok(FeerateStyle::PerKb),
            "perkw" => Ok(FeerateStyle::PerKw),
            _ => {
                let raw = token.raw();
                let text = format!("should be 'perkw' or 'perkb', not '{raw}'");
                Err(BadParam::quoted(text, token))
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": "string", "enum": ["perkb", "perkw"] })
    }
}

words! {
    /// A kind of on-chain address.
    pub enum AddressType ("^(bech32|p2tr|all)$", "should be 'bech32', 'p2tr' or 'all'") {
        /// A version 0 witness address (BIP 173).
        Bech32 = "bech32",
        /// A taproot address (BIP 350).
        P2tr = "p2tr",
        /// One of each.
        All = "all",
    }
}

/// The status of payments that may be deleted: never those that are pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletableStatus {
    /// Completed payments.
    Complete,
    /// Failed payments.
    Failed,
}

impl DeletableStatus {
    /// The same as a status.
    #[must_use]
    pub const fn status(self) -> PaymentStatus {
        match self {
            DeletableStatus::Complete => PaymentStatus::Complete,
            DeletableStatus::Failed => PaymentStatus::Failed,
        }
    }
}

impl Param for DeletableStatus {
    const TYPE: &'static str = "string";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        match PaymentStatus::parse(token)? {
            PaymentStatus::Complete => Ok(DeletableStatus::Complete),
            PaymentStatus::Failed => Ok(DeletableStatus::Failed),
            PaymentStatus::Pending => Err(BadParam::new("Cannot delete pending status", token)),
        }
    }

    fn schema() -> Value {
        json!({ "type": "string", "enum": ["complete", "failed"] })
    }
}
