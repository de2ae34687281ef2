//! What a person types, as JSON. The rules are those of `lightning-cli`.

use serde_json::Value;
use serde_json::value::RawValue;

/// How parameters are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// By name if the first contains `=`, else in order.
    Guess,
    /// By name.
    Keywords,
    /// In order.
    Order,
}

/// Why parameters cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentError {
    /// By name, but without one.
    NoName(String),
    /// It looks like JSON and is none.
    Malformed(String),
}

impl std::fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ArgumentError::NoName(argument) => write!(
                f,
                "expected key=value, found {argument:?} (-o takes parameters in order)"
            ),
            ArgumentError::Malformed(argument) => write!(
                f,
                "Some parameters are malformed, cannot create a valid JSON-RPC request: {argument}"
            ),
        }
    }
}

impl std::error::Error for ArgumentError {}

/// The `params` of a request.
///
/// # Errors
/// If an argument has no name where it needs one, or looks like JSON and is none.
pub fn params(arguments: &[String], form: Form) -> Result<Box<RawValue>, ArgumentError> {
    let by_name = match form {
        Form::Keywords => true,
        Form::Order => false,
        Form::Guess => arguments.first().is_some_and(|first| first.contains('=')),
    };
    let values: Vec<String> = arguments
        .iter()
        .map(|argument| {
            if by_name {
                member(argument)
            } else {
                value(argument)
            }
        })
        .collect::<Result<_, _>>()?;
    let values = values.join(",");
    let text = if by_name {
        format!("{{{values}}}")
    } else {
        format!("[{values}]")
    };
    RawValue::from_string(text).map_err(|_| ArgumentError::Malformed(values))
}

/// The `filter` of a request: JSON as it stands.
///
/// # Errors
/// If it is no JSON.
pub(crate) fn filter(text: &str) -> Result<Box<RawValue>, ArgumentError> {
    RawValue::from_string(text.to_owned()).map_err(|_| ArgumentError::Malformed(text.to_owned()))
}

fn member(argument: &str) -> Result<String, ArgumentError> {
    let (name, text) = argument
        .split_once('=')
        .ok_or_else(|| ArgumentError::NoName(argument.to_owned()))?;
    Ok(format!("{}:{}", Value::from(name), value(text)?))
}

/// An argument as JSON: as it stands if it looks like JSON, else as a string.
fn value(argument: &str) -> Result<String, ArgumentError> {
    if !is_literal(argument) {
        return Ok(Value::from(argument).to_string());
    }
    match serde_json::from_str::<&RawValue>(argument) {
        Ok(_) => Ok(argument.to_owned()),
        Err(_) => Err(ArgumentError::Malformed(argument.to_owned())),
    }
}

fn is_literal(argument: &str) -> bool {
    let enclosed = |open: char, close: char| {
        argument.len() > 1 && argument.starts_with(open) && argument.ends_with(close)
    };
    let number = !argument.is_empty()
        && argument
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    // An order number such as 007 is no number.
    let leading_zero = argument.len() > 1 && argument.starts_with('0') && !argument.contains('.');
    (number && !leading_zero)
        || matches!(argument, "true" | "false" | "null")
        || enclosed('{', '}')
        || enclosed('[', ']')
        || enclosed('"', '"')
}
