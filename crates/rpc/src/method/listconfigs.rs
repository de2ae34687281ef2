//! `listconfigs`: the configuration, in CLN's form.

use super::{Category, Example, Method};
use crate::params;
use crate::value::{Msat, PlainText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

params! {
    /// Shows what this node was configured with, one object for each option: our own options under
    /// the names they have in the configuration file, and those of Core Lightning's that mean the
    /// same under its names (`lightning-dir`, `network`, `rpc-file`, `alias`, `rgb`, `addr`,
    /// `announce-addr`, `min-emergency-msat`, `log-level`, `log-file`). Passwords are shown as `...`.
    pub struct ListConfigs {
        /// Only this option.
        optional config: PlainText,
    }
}

/// The value of an option, in the one of the members that fits, and where it comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConfigValue {
    /// A text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_str: Option<String>,
    /// A number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_int: Option<u64>,
    /// An amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_msat: Option<Msat>,
    /// Texts, of an option that can be given more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_str: Option<Vec<String>>,
    /// `default`, `cmdline`, or the file that sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The same for each of *values_str*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
}

/// The result of `listconfigs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListConfigsResult {
    /// The options by name. Those without a value are left out.
    pub configs: BTreeMap<String, ConfigValue>,
}

impl Method for ListConfigs {
    const NAME: &'static str = "listconfigs";
    const CATEGORY: Category = Category::Utility;
    const SUMMARY: &'static str = "show the configuration";
    type Result = ListConfigsResult;
    const SEE_ALSO: &'static [&'static str] = &["getinfo"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "network",
        shows: "The network, and where it was set.",
    }];
}
