//! Every method of the contract: one file each, with the parameters, the result and the words
//! about them. [`METHODS`] is the list that help, schemas, man pages and completion come from.
//!
//! What a method does is in the daemon, in a file of the same name. To add a method: its file
//! here, a `mod` line and an entry in the list; then its file in the daemon.

pub mod bumpfee;
pub mod cancelpay;
pub mod check;
pub mod close;
pub mod connect;
pub mod countsendpays;
pub mod decode;
pub mod delinvoice;
pub mod delpay;
pub mod disconnect;
pub mod feerates;
pub mod followsendpays;
pub mod fundchannel;
pub mod getinfo;
pub mod getroute;
pub mod help;
pub mod holdinvoice;
pub mod holdinvoicecancel;
pub mod holdinvoicesettle;
pub mod invoice;
pub mod keysend;
pub mod listchannels;
pub mod listconfigs;
pub mod listforwards;
pub mod listfunds;
pub mod listinvoices;
pub mod listnodes;
pub mod listpays;
pub mod listpeerchannels;
pub mod listpeers;
pub mod listsendpays;
pub mod newaddr;
pub mod notifications;
pub mod pay;
pub mod paystatus;
pub mod sendpay;
pub mod setchannel;
pub mod settleimported;
pub mod stop;
pub mod wait;
pub mod waitanyinvoice;
pub mod waitinvoice;
pub mod waitsendpay;
pub mod withdraw;
pub mod xkeysend;
pub mod xpay;

use crate::error::{Code, RpcError};
use crate::param::{Mode, ParamSet, ParamSpec, Params, Presence, doc_text};
use crate::value::Subsystem;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Value, json};

/// What a method is about; CLN's categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Sending and receiving.
    Payment,
    /// Channels and peers.
    Channels,
    /// The on-chain wallet.
    Bitcoin,
    /// The daemon itself.
    Utility,
}

impl Category {
    /// The category's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Category::Payment => "payment",
            Category::Channels => "channels",
            Category::Bitcoin => "bitcoin",
            Category::Utility => "utility",
        }
    }
}

/// A worked example: parameters as one would type them, and what comes of it.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The parameters on the command line, after the method.
    pub params: &'static str,
    /// What it shows.
    pub shows: &'static str,
}

/// A method, by its parameters.
pub trait Method: ParamSet {
    /// The name that requests use.
    const NAME: &'static str;
    /// Other names for the same.
    const ALIASES: &'static [&'static str] = &[];
    /// What it is about.
    const CATEGORY: Category;
    /// What it does, in half a sentence without a full stop.
    const SUMMARY: &'static str;
    /// What a success answers.
    type Result: Serialize + JsonSchema;
    /// The error codes of its own and when they come; -32602 for bad parameters goes without
    /// saying.
    const ERRORS: &'static [(Code, &'static str)] = &[];
    /// Methods to read about next.
    const SEE_ALSO: &'static [&'static str] = &[];
    /// Examples for its page.
    const EXAMPLES: &'static [Example] = &[];
    /// What comes after its answer on the same connection, until that closes.
    const FOLLOWED_BY: Option<Followed> = None;
    /// What its list is of, if that is in the order of the indexes that *wait* tells.
    const LISTS: Option<Subsystem> = None;
}

/// Notifications that come after the answer of a method, until the connection closes.
#[derive(Debug, Clone, Copy)]
pub struct Followed {
    /// The method that they name.
    pub notification: &'static str,
    params_schema: fn() -> Value,
}

impl Followed {
    /// By notifications of this name with such parameters.
    #[must_use]
    pub const fn by<T: JsonSchema>(notification: &'static str) -> Self {
        Followed {
            notification,
            params_schema: result_schema::<T>,
        }
    }

    /// The JSON schema of their parameters.
    #[must_use]
    pub fn params_schema(&self) -> Value {
        (self.params_schema)()
    }
}

/// One row of [`METHODS`]: a method without its types.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The name that requests use.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it is about.
    pub category: Category,
    /// What it does, in half a sentence.
    pub summary: &'static str,
    /// The parameters in positional order.
    pub params: &'static [ParamSpec],
    /// Error codes of its own and when they come.
    pub errors: &'static [(Code, &'static str)],
    /// Methods to read about next.
    pub see_also: &'static [&'static str],
    /// Examples for its page.
    pub examples: &'static [Example],
    /// What comes after its answer.
    pub followed_by: Option<Followed>,
    /// What its list is of, if that is in the order of the indexes that *wait* tells.
    pub lists: Option<Subsystem>,
    doc: &'static [&'static str],
    validate: fn(&Params<'_>, Mode) -> Result<(), RpcError>,
    result_schema: fn() -> Value,
}

/// Every method, `listsendpays` first, then by name.
pub const METHODS: &[Entry] = &[
    Entry::of::<listsendpays::ListSendPays>(),
    Entry::of::<bumpfee::BumpFee>(),
    Entry::of::<cancelpay::CancelPay>(),
    Entry::of::<check::Check>(),
    Entry::of::<close::Close>(),
    Entry::of::<connect::Connect>(),
    Entry::of::<countsendpays::CountSendPays>(),
    Entry::of::<decode::Decode>(),
    Entry::of::<delinvoice::DelInvoice>(),
    Entry::of::<delpay::DelPay>(),
    Entry::of::<disconnect::Disconnect>(),
    Entry::of::<feerates::FeeRates>(),
    Entry::of::<followsendpays::FollowSendPays>(),
    Entry::of::<fundchannel::FundChannel>(),
    Entry::of::<getinfo::GetInfo>(),
    Entry::of::<getroute::GetRoute>(),
    Entry::of::<help::Help>(),
    Entry::of::<holdinvoice::HoldInvoice>(),
    Entry::of::<holdinvoicecancel::HoldInvoiceCancel>(),
    Entry::of::<holdinvoicesettle::HoldInvoiceSettle>(),
    Entry::of::<invoice::Invoice>(),
    Entry::of::<keysend::KeySend>(),
    Entry::of::<listchannels::ListChannels>(),
    Entry::of::<listconfigs::ListConfigs>(),
    Entry::of::<listforwards::ListForwards>(),
    Entry::of::<listfunds::ListFunds>(),
    Entry::of::<listinvoices::ListInvoices>(),
    Entry::of::<listnodes::ListNodes>(),
    Entry::of::<listpays::ListPays>(),
    Entry::of::<listpeerchannels::ListPeerChannels>(),
    Entry::of::<listpeers::ListPeers>(),
    Entry::of::<newaddr::NewAddr>(),
    Entry::of::<notifications::Notifications>(),
    Entry::of::<pay::Pay>(),
    Entry::of::<paystatus::PayStatus>(),
    Entry::of::<sendpay::SendPay>(),
    Entry::of::<setchannel::SetChannel>(),
    Entry::of::<settleimported::SettleImported>(),
    Entry::of::<stop::Stop>(),
    Entry::of::<wait::Wait>(),
    Entry::of::<waitanyinvoice::WaitAnyInvoice>(),
    Entry::of::<waitinvoice::WaitInvoice>(),
    Entry::of::<waitsendpay::WaitSendPay>(),
    Entry::of::<withdraw::Withdraw>(),
    Entry::of::<xkeysend::XKeySend>(),
    Entry::of::<xpay::XPay>(),
];

/// The method with this name, or with this alias.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    METHODS
        .iter()
        .find(|entry| entry.name == name || entry.aliases.contains(&name))
}

/// -32601 for a method that does not exist.
#[must_use]
pub fn unknown(name: &str) -> RpcError {
    RpcError::new(Code::MethodNotFound, format!("Unknown command '{name}'"))
}

impl Entry {
    const fn of<M: Method>() -> Entry {
        Entry {
            name: M::NAME,
            aliases: M::ALIASES,
            category: M::CATEGORY,
            summary: M::SUMMARY,
            params: M::TABLE,
            errors: M::ERRORS,
            see_also: M::SEE_ALSO,
            examples: M::EXAMPLES,
            followed_by: M::FOLLOWED_BY,
            lists: M::LISTS,
            doc: M::DOC,
            validate: |params, mode| M::parse(params, mode).map(|_| ()),
            result_schema: result_schema::<M::Result>,
        }
    }

    /// The description, paragraphs divided by empty lines.
    #[must_use]
    pub fn description(&self) -> String {
        doc_text(self.doc)
    }

    /// Reads parameters without using them.
    ///
    /// # Errors
    /// As the method itself would refuse them.
    pub fn validate(&self, params: &Params<'_>, mode: Mode) -> Result<(), RpcError> {
        (self.validate)(params, mode)
    }

    /// The line that `help` shows: the name and the parameters, optional ones in brackets. A
    /// method without parameters keeps a space after its name, as in CLN.
    #[must_use]
    pub fn usage(&self) -> String {
        let params: Vec<String> = self
            .params
            .iter()
            .map(|spec| match spec.presence {
                Presence::Required => spec.name.to_owned(),
                Presence::Optional | Presence::Default(_) => format!("[{}]", spec.name),
            })
            .collect();
        format!("{} {}", self.name, params.join(" "))
    }

    /// The JSON schema of the parameters in the object form.
    #[must_use]
    pub fn params_schema(&self) -> Value {
        let properties: serde_json::Map<String, Value> = self
            .params
            .iter()
            .map(|spec| {
                let mut schema = (spec.schema)();
                if let Some(schema) = schema.as_object_mut() {
                    schema.insert("description".into(), spec.description().into());
                    if let Presence::Default(default) = spec.presence {
                        schema.insert("default".into(), default().into());
                    }
                }
                (spec.name.to_owned(), schema)
            })
            .collect();
        let required: Vec<&str> = self
            .params
            .iter()
            .filter(|spec| spec.is_required())
            .map(|spec| spec.name)
            .collect();
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
            "required": required,
        })
    }

    /// The JSON schema of the result.
    #[must_use]
    pub fn result_schema(&self) -> Value {
        (self.result_schema)()
    }

    /// Everything about the method as one JSON document.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut schema = json!({
            "method": self.name,
            "aliases": self.aliases,
            "category": self.category.as_str(),
            "title": self.summary,
            "description": self.description(),
            "params": self.params_schema(),
            "result": self.result_schema(),
            "errors": self.errors.iter().map(|(code, when)| json!({
                "code": code.number(), "name": code.name(), "when": when,
            })).collect::<Vec<_>>(),
        });
        if let (Some(followed), Some(members)) = (self.followed_by, schema.as_object_mut()) {
            let notification = json!({
                "method": followed.notification,
                "params": followed.params_schema(),
            });
            members.insert("notification".into(), notification);
        }
        schema
    }
}

fn result_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    without_null(&mut schema);
    schema
}

/// Takes `null` out of the types: a member that is not known is left out, never null.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    for (name, value) in only {
                        members.entry(name).or_insert(value);
                    }
                }
            }
            members.values_mut().for_each(without_null);
        }
        _ => {}
    }
}
