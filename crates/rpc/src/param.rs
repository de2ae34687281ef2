//! Parameters: how a method's table is written, and how a request's `params` are read against it.
//!
//! [`crate::params!`] makes a struct and its table from one definition; [`Params`] is what the request
//! has. Texts of errors are CLN's. The types that parameters can have are in [`crate::value`].

use crate::error::RpcError;
use crate::json::{self, Token};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How much an error tells about a value that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A command that runs. The value is not repeated: it may be a secret.
    Normal,
    /// The `check` method: the value is repeated, as in CLN.
    Check,
}

/// A type that a parameter can have.
pub trait Param: Sized {
    /// The type's name in man pages.
    const TYPE: &'static str;

    /// Reads the value.
    ///
    /// # Errors
    /// What the value should be, if it is not.
    fn parse(token: Token<'_>) -> Result<Self, BadParam>;

    /// The JSON schema of the value.
    #[must_use]
    fn schema() -> Value {
        serde_json::json!({ "type": "string" })
    }
}

/// Why a value was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadParam {
    should: Cow<'static, str>,
    token: String,
    form: Form,
}

/// How the text of an error is made. CLN has more than one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `<param>: <should be …>: invalid token …`
    Token,
    /// `'<param>' <text>`
    Quoted,
    /// The text alone.
    Alone,
}

impl BadParam {
    /// `should` says what the value ought to be, such as `should be a node id`.
    #[must_use]
    pub fn new(should: impl Into<Cow<'static, str>>, token: Token<'_>) -> Self {
        BadParam {
            should: should.into(),
            token: token.raw().to_owned(),
            form: Form::Token,
        }
    }

    /// An error that is told as `'<param>' <text>`. For values that are no secrets, as the text may
    /// have the value in it.
    #[must_use]
    pub fn quoted(text: impl Into<Cow<'static, str>>, token: Token<'_>) -> Self {
        BadParam {
            form: Form::Quoted,
            ..BadParam::new(text, token)
        }
    }

    /// An error whose whole text is this.
    #[must_use]
    pub fn alone(text: impl Into<Cow<'static, str>>, token: Token<'_>) -> Self {
        BadParam {
            form: Form::Alone,
            ..BadParam::new(text, token)
        }
    }

    /// The error of the reply, for the parameter with this name.
    #[must_use]
    pub fn into_error(self, name: &str, mode: Mode) -> RpcError {
        match (self.form, mode) {
            (Form::Token, Mode::Normal) => RpcError::bad_param(name, &self.should),
            (Form::Token, Mode::Check) => RpcError::invalid_params(format!(
                "{name}: {}: invalid token '{}'",
                self.should, self.token
            )),
            (Form::Quoted, _) => RpcError::invalid_params(format!("'{name}' {}", self.should)),
            (Form::Alone, _) => RpcError::invalid_params(self.should),
        }
    }
}

/// Whether a parameter must be given, and what stands for it if not.
#[derive(Debug, Clone, Copy)]
pub enum Presence {
    /// It must be given.
    Required,
    /// It may be left out.
    Optional,
    /// It may be left out, and then this value is taken.
    Default(fn() -> String),
}

/// One row of a method's table of parameters.
#[derive(Debug, Clone, Copy)]
pub struct ParamSpec {
    /// Its name in the object form.
    pub name: &'static str,
    /// Another name that is accepted in the object form.
    pub alias: Option<&'static str>,
    /// Whether it must be given.
    pub presence: Presence,
    /// The name of its type.
    pub type_name: &'static str,
    /// Its JSON schema.
    pub schema: fn() -> Value,
    /// The lines of its description.
    pub doc: &'static [&'static str],
}

impl ParamSpec {
    /// The description as one text.
    #[must_use]
    pub fn description(&self) -> String {
        doc_text(self.doc)
    }

    /// Whether it must be given.
    #[must_use]
    pub fn is_required(&self) -> bool {
        matches!(self.presence, Presence::Required)
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alias == Some(name)
    }
}

/// Joins the lines of a doc comment; an empty line stays, as the end of a paragraph.
#[must_use]
pub fn doc_text(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
    }
    text
}

/// A method's parameters: a struct with its table. Made by [`crate::params!`].
pub trait ParamSet: Sized {
    /// The parameters in positional order, the required ones first.
    const TABLE: &'static [ParamSpec];
    /// The lines of the description of the method.
    const DOC: &'static [&'static str];

    /// Reads a request's parameters.
    ///
    /// # Errors
    /// -32602 with CLN's text for the first thing that is wrong, in the order of the request.
    fn parse(params: &Params<'_>, mode: Mode) -> Result<Self, RpcError>;

    /// Reads the JSON text of a request's `params`.
    ///
    /// # Errors
    /// As [`ParamSet::parse`].
    fn from_raw(raw: &RawValue, mode: Mode) -> Result<Self, RpcError> {
        Self::parse(&Params::read(raw)?, mode)
    }
}

/// A request's `params`, not yet held against a table.
#[derive(Debug, Clone)]
pub enum Params<'a> {
    /// The array form.
    Positional(Vec<Token<'a>>),
    /// The object form, in the order sent, duplicates included.
    Named(Vec<(String, Token<'a>)>),
}

impl<'a> Params<'a> {
    /// Reads the JSON text of `params`.
    ///
    /// # Errors
    /// -32602 if it is neither an array nor an object.
    pub fn read(raw: &'a RawValue) -> Result<Self, RpcError> {
        let token = Token::new(raw);
        if let Some(elements) = token.elements() {
            return Ok(Params::Positional(elements));
        }
        match json::members(token.raw()) {
            Ok(members) => Ok(Params::Named(
                members
                    .into_iter()
                    .map(|(name, raw)| (name, Token::new(raw)))
                    .collect(),
            )),
            Err(_) => Err(RpcError::invalid_params(
                "Expected array or object for params",
            )),
        }
    }

    /// Takes the first parameter, in position or by this name, and leaves the others.
    /// For `check`, whose other parameters are those of another method.
    pub fn take_first(&mut self, name: &str) -> Option<Token<'a>> {
        match self {
            Params::Positional(tokens) if tokens.is_empty() => None,
            Params::Positional(tokens) => Some(tokens.remove(0)),
            Params::Named(members) => {
                let place = members.iter().position(|(key, _)| key == name)?;
                Some(members.remove(place).1)
            }
        }
    }

    /// Hands each given parameter to `set` with its row of the table.
    ///
    /// A positional `null` counts as not given; a named one does not, as in CLN.
    ///
    /// # Errors
    /// Too many or unknown parameters, a name given twice, and what `set` refuses, in the order
    /// of the request.
    pub fn bind(
        &self,
        table: &'static [ParamSpec],
        mut set: impl FnMut(&'static ParamSpec, Token<'a>) -> Result<(), RpcError>,
    ) -> Result<(), RpcError> {
        match self {
            Params::Positional(tokens) => {
                for (place, token) in tokens.iter().enumerate() {
                    let Some(spec) = table.get(place) else {
                        return Err(too_many(tokens.len(), table.len()));
                    };
                    if !token.is_null() {
                        set(spec, *token)?;
                    }
                }
            }
            Params::Named(members) => {
                // Bounded by the table, whatever the client sends.
                let mut seen: Vec<&str> = Vec::with_capacity(table.len());
                for (name, token) in members {
                    let Some(spec) = table.iter().find(|spec| spec.is_called(name)) else {
                        return Err(unknown(name));
                    };
                    if seen.contains(&spec.name) {
                        return Err(RpcError::invalid_params(format!(
                            "duplicate json names: {}",
                            spec.name
                        )));
                    }
                    seen.push(spec.name);
                    set(spec, *token)?;
                }
            }
        }
        Ok(())
    }
}

fn too_many(got: usize, expected: usize) -> RpcError {
    RpcError::invalid_params(format!(
        "too many parameters: got {got}, expected {expected}"
    ))
}

fn unknown(name: &str) -> RpcError {
    RpcError::invalid_params(format!(
        "unknown parameter: {name}, this may be caused by a failure to autodetect \
         key=value-style parameters. Please try using the -k flag and explicit key=value pairs \
         of parameters."
    ))
}

/// The error for a required parameter that was not given.
#[must_use]
pub fn missing(name: &str) -> RpcError {
    RpcError::invalid_params(format!("missing required parameter: {name}"))
}

/// Makes a struct of parameters, its table and its parser from one definition.
///
/// Each row is `required`, `optional` or `default(value)`, then the name (with another accepted
/// name after `as`, if there is one) and the type, in positional order.
#[macro_export]
macro_rules! params {
    (
        $(#[doc = $struct_doc:literal])*
        pub struct $struct:ident {
            $(
                $(#[doc = $doc:literal])*
                $style:ident $(($default:expr))? $name:ident $(as $alias:ident)? : $ty:ty
            ),* $(,)?
        }
    ) => {
        $(#[doc = $struct_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $struct {
            $($(#[doc = $doc])* pub $name: $crate::params!(@type $style $ty),)*
        }

        impl $crate::param::ParamSet for $struct {
            const TABLE: &'static [$crate::param::ParamSpec] = &[
                $($crate::param::ParamSpec {
                    name: stringify!($name),
                    alias: $crate::params!(@alias $($alias)?),
                    presence: $crate::params!(@presence $style ($($default)?) $ty),
                    type_name: <$ty as $crate::param::Param>::TYPE,
                    schema: <$ty as $crate::param::Param>::schema,
                    doc: &[$($doc),*],
                },)*
            ];
            const DOC: &'static [&'static str] = &[$($struct_doc),*];

            fn parse(
                params: &$crate::param::Params<'_>,
                mode: $crate::param::Mode,
            ) -> Result<Self, $crate::error::RpcError> {
                $(let mut $name: Option<$ty> = None;)*
                params.bind(Self::TABLE, |spec, token| {
                    $(
                        if spec.name == stringify!($name) {
                            let value = <$ty as $crate::param::Param>::parse(token)
                                .map_err(|bad| bad.into_error(spec.name, mode))?;
                            $name = Some(value);
                        }
                    )*
                    let _ = (spec, token, mode);
                    Ok(())
                })?;
                Ok(Self {
                    $($name: $crate::params!(@take $style ($($default)?) $name),)*
                })
            }
        }
    };
    (@type required $ty:ty) => { $ty };
    (@type optional $ty:ty) => { Option<$ty> };
    (@type default $ty:ty) => { $ty };
    (@alias) => { None };
    (@alias $alias:ident) => { Some(stringify!($alias)) };
    (@presence required () $ty:ty) => { $crate::param::Presence::Required };
    (@presence optional () $ty:ty) => { $crate::param::Presence::Optional };
    (@presence default ($default:expr) $ty:ty) => {
        $crate::param::Presence::Default(|| {
            let default: $ty = $default;
            default.to_string()
        })
    };
    (@take required () $name:ident) => {
        $name.ok_or_else(|| $crate::param::missing(stringify!($name)))?
    };
    (@take optional () $name:ident) => { $name };
    (@take default ($default:expr) $name:ident) => { $name.unwrap_or($default) };
}
