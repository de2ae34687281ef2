//! `check`: whether a request's parameters would be taken. Its answer is made here.

use super::{Category, Example, Method, find, unknown};
use crate::error::{Code, RpcError};
use crate::param::{Mode, Param, Params, missing};
use crate::params;
use crate::value::PlainText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

params! {
    /// Reads the parameters of another method without running it. Give the other method's
    /// parameters after, or along with, *command_to_check*. Errors are those of the other method,
    /// and repeat the value that was refused. Each parameter is read by itself: what the method
    /// refuses for a reason beyond that, this does not see.
    pub struct Check {
        /// The method whose parameters are to be read.
        required command_to_check: PlainText,
    }
}

/// The result of `check`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// The method whose parameters are as they should be.
    pub command_to_check: String,
}

impl Method for Check {
    const NAME: &'static str = "check";
    const CATEGORY: Category = Category::Utility;
    const SUMMARY: &'static str = "read the parameters of a method without running it";
    type Result = CheckResult;
    const ERRORS: &'static [(Code, &'static str)] =
        &[(Code::MethodNotFound, "There is no such method.")];
    const SEE_ALSO: &'static [&'static str] = &["help"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "command_to_check=listsendpays status=failed",
        shows: "Whether *status* may be `failed`.",
    }];
}

impl Check {
    /// The answer to a request for `check` with these raw parameters.
    ///
    /// # Errors
    /// What the method to check would refuse, or -32601 if there is none.
    pub fn answer(raw: &RawValue) -> Result<CheckResult, RpcError> {
        const PARAM: &str = "command_to_check";
        let mut params = Params::read(raw)?;
        let token = params.take_first(PARAM).ok_or_else(|| missing(PARAM))?;
        let command = PlainText::parse(token)
            .map_err(|bad| bad.into_error(PARAM, Mode::Check))?
            .into_string();
        let entry = find(&command).ok_or_else(|| unknown(&command))?;
        if entry.name != Self::NAME {
            entry.validate(&params, Mode::Check)?;
        }
        Ok(CheckResult {
            command_to_check: command,
        })
    }
}
