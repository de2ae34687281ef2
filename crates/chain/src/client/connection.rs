//! The HTTP connection to the RPC server, and credentials that may change.
//!
//! What is asked over it is left to the other files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lightning_block_sync::http::{HttpClientError, JsonResponse, ToParseErrorMessage};
use lightning_block_sync::rpc::{RpcClient, RpcClientError};
use serde_json::Value;

use super::Auth;

/// HTTP: the credentials were refused.
const UNAUTHORIZED: i32 = 401;

/// Bytes of a cookie file at most: a longer one is not bitcoind's.
const COOKIE_BYTES_MAX: u64 = 4_096;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The cookie could not be read.
    #[error("cannot read the chain's cookie {path}: {source}")]
    Cookie {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The server does not accept our credentials.
    #[error("the chain at {address} refuses our user and password or cookie")]
    Unauthorized {
        /// Address of the server.
        address: String,
    },
    /// No answer.
    #[error("the chain at {address} cannot be reached: {source}")]
    Unreachable {
        /// Address of the server.
        address: String,
        /// Why not.
        #[source]
        source: RpcClientError,
    },
    /// The server answered with an error of its own.
    #[error("{method}: {message} (code {code})")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// bitcoind's number.
        code: i64,
        /// bitcoind's words.
        message: String,
    },
    /// The server answered something that is no answer to this.
    #[error("{method}: the chain's answer makes no sense: {detail}")]
    Malformed {
        /// What was asked.
        method: &'static str,
        /// What is wrong with the answer.
        detail: String,
    },
}

impl CallError {
    pub(super) fn new(address: &str, method: &'static str, error: RpcClientError) -> Self {
        match error {
            RpcClientError::Rpc(error) => CallError::Refused {
                method,
                code: error.code,
                message: error.message,
            },
            RpcClientError::InvalidData(detail) => CallError::Malformed { method, detail },
            error if is_unauthorized(&error) => CallError::Unauthorized {
                address: address.to_owned(),
            },
            source => CallError::Unreachable {
                address: address.to_owned(),
                source,
            },
        }
    }

    pub(super) fn malformed(method: &'static str, detail: impl Into<String>) -> Self {
        CallError::Malformed {
            method,
            detail: detail.into(),
        }
    }
}

/// A connection that is made anew with fresh credentials when the server restarts.
pub(super) struct Connection {
    address: String,
    auth: Auth,
    current: RwLock<Current>,
}

#[derive(Clone)]
struct Current {
    credentials: String,
    client: Arc<RpcClient>,
}

impl Connection {
    /// Reads the credentials. Nothing is sent yet.
    pub(super) fn open(address: String, auth: Auth) -> Result<Self, CallError> {
        let credentials = read_credentials(&auth)?;
        let client = Arc::new(RpcClient::new(&credentials, url(&address)));
        let current = RwLock::new(Current {
            credentials,
            client,
        });
        Ok(Connection {
            address,
            auth,
            current,
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Another connection, for a call that is answered late: the shared one answers in order.
    pub(super) fn another(&self) -> RpcClient {
        RpcClient::new(&self.current().credentials, url(&self.address))
    }

    /// Calls a method. If the server does not know our cookie any more, it is read again; if the
    /// connection was lost, as at a restart, the call is made once more. So this is for methods
    /// that may be called twice.
    pub(super) async fn call<T>(&self, method: &str, params: &[Value]) -> Result<T, RpcClientError>
    where
        JsonResponse: TryInto<T>,
        <JsonResponse as TryInto<T>>::Error: ToParseErrorMessage,
    {
        let used = self.current();
        match used.client.call_method(method, params).await {
            Err(error) if is_unauthorized(&error) || is_transport(&error) => {
                match self.renew(&used.credentials, is_transport(&error)) {
                    Some(client) => client.call_method(method, params).await,
                    None => Err(error),
                }
            }
            result => result,
        }
    }

    /// A new connection if the credentials have changed since, or if one is wanted in any case.
    fn renew(&self, used: &str, in_any_case: bool) -> Option<Arc<RpcClient>> {
        let credentials = match read_credentials(&self.auth) {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::debug!(%error, "the chain's credentials are not there");
                return None;
            }
        };
        if credentials == used && !in_any_case {
            return None;
        }
        let client = Arc::new(RpcClient::new(&credentials, url(&self.address)));
        let renewed = Current {
            credentials,
            client: Arc::clone(&client),
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Some(client)
    }

    fn current(&self) -> Current {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn url(address: &str) -> String {
    format!("http://{address}")
}

/// The credentials as HTTP's basic authentication wants them.
fn read_credentials(auth: &Auth) -> Result<String, CallError> {
    let pair = match auth {
        Auth::UserPass(user, password) => format!("{user}:{password}"),
        Auth::CookieFile(path) => read_cookie(path).map_err(|source| CallError::Cookie {
            path: path.clone(),
            source,
        })?,
    };
    Ok(BASE64.encode(pair))
}

fn read_cookie(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, COOKIE_BYTES_MAX), &mut text)?;
    Ok(text.trim_end().to_owned())
}

fn is_unauthorized(error: &RpcClientError) -> bool {
    matches!(
        error,
        RpcClientError::Http(HttpClientError::Http(http)) if http.status_code == UNAUTHORIZED
    )
}

fn is_transport(error: &RpcClientError) -> bool {
    matches!(error, RpcClientError::Http(HttpClientError::Transport(_)))
}
