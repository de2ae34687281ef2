//! `help`: the methods there are. Its answer is made here, from the list.

use super::{Category, Entry, Example, METHODS, Method, find};
use crate::error::{Code, RpcError};
use crate::manpage;
use crate::params;
use crate::value::PlainText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows all methods with their parameters, optional ones in brackets, or everything about
    /// one method.
    pub struct Help {
        /// The method to show everything about.
        optional command: PlainText,
    }
}

/// One method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HelpEntry {
    /// The method and its parameters.
    pub command: String,
    /// What it is about. There if *command* was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What it does, in half a sentence. There if *command* was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its manual page as plain text. There if *command* was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbose: Option<String>,
}

/// The result of `help`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HelpResult {
    /// The methods, by name.
    pub help: Vec<HelpEntry>,
    /// How a command line client is to show this: always `simple`.
    #[serde(rename = "format-hint")]
    pub format_hint: String,
}

impl Method for Help {
    const NAME: &'static str = "help";
    const CATEGORY: Category = Category::Utility;
    const SUMMARY: &'static str = "show the methods there are";
    type Result = HelpResult;
    const ERRORS: &'static [(Code, &'static str)] =
        &[(Code::MethodNotFound, "There is no such method.")];
    const SEE_ALSO: &'static [&'static str] = &["check"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "listsendpays",
        shows: "Everything about listsendpays.",
    }];
}

impl Help {
    /// The answer.
    ///
    /// # Errors
    /// -32601 if there is no such method.
    pub fn answer(&self) -> Result<HelpResult, RpcError> {
        let help = match &self.command {
            Some(command) => {
                let unknown =
                    || RpcError::new(Code::MethodNotFound, format!("Unknown command {command}"));
                vec![HelpEntry::verbose(
                    find(command.as_str()).ok_or_else(unknown)?,
                )]
            }
            None => {
                let mut entries: Vec<&Entry> = METHODS.iter().collect();
                entries.sort_by_key(|entry| entry.name);
                entries.into_iter().map(HelpEntry::brief).collect()
            }
        };
        Ok(HelpResult {
            help,
            format_hint: "simple".to_owned(),
        })
    }
}

impl HelpEntry {
    fn brief(entry: &Entry) -> Self {
        HelpEntry {
            command: entry.usage(),
            category: None,
            description: None,
            verbose: None,
        }
    }

    fn verbose(entry: &Entry) -> Self {
        HelpEntry {
            command: entry.usage(),
            category: Some(entry.category.as_str().to_owned()),
            description: Some(entry.summary.to_owned()),
            verbose: Some(manpage::plain_text(entry)),
        }
    }
}
