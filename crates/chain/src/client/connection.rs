//! The HTTP connection to the RPC server, and credentials that may change.
//!
//! What is asked over it is left to the other files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lightning_block_sync::http::{HttpClientError, JsonResponse, ToParseErrorMessage};
use lightning_block_sync::rpc::{RpcClient, RpcClientError};
use serde_json::Value;

use super::Auth;
use super::electrum::ElectrumError;

/// HTTP: the credentials were refused.
const UNAUTHORIZED: i32 = 401;

/// Bytes of a cookie file at most: a longer one is not bitcoind's.
const COOKIE_BYTES_MAX: u64 = 4_096;

/// How long one call may take. bitcoind is silent for minutes while it writes its coins to a slow
/// disk; a call that was given up is made again later, and meanwhile its operator knows.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that are shown of an answer which is no JSON.
const SHOWN_BYTES_MAX: usize = 200;

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
    /// It took too long.
    #[error("the chain at {address} has not answered {method} within {} s", CALL_TIMEOUT.as_secs())]
    Slow {
        /// Address of the server.
        address: String,
        /// What was asked.
        method: &'static str,
    },
    /// The server, or what stands before it, does not want to answer now: too many requests, or a
    /// method that this user may not call.
    #[error("the chain at {address} answers {method} with HTTP {status}: {text}")]
    Http {
        /// Address of the server.
        address: String,
        /// What was asked.
        method: &'static str,
        /// HTTP's status, such as 429 or 503.
        status: i32,
        /// What came with it; the start of it if it is long.
        text: String,
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
    /// Electrum servers gave no answer that can be used.
    #[error(transparent)]
    Electrum(#[from] ElectrumError),
    /// Electrum servers cannot be asked for this.
    #[error("{method} is for bitcoind only, and this node asks Electrum servers")]
    NotOfElectrum {
        /// What was to be asked.
        method: &'static str,
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
    fn new(address: &str, method: &'static str, error: RpcClientError) -> Self {
        let address = address.to_owned();
        match error {
            RpcClientError::Rpc(error) => CallError::Refused {
                method,
                code: error.code,
                message: error.message,
            },
            RpcClientError::InvalidData(detail)
            | RpcClientError::Http(HttpClientError::Parse(detail)) => {
                CallError::Malformed { method, detail }
            }
            RpcClientError::Http(HttpClientError::Http(http)) => {
                if http.status_code == UNAUTHORIZED {
                    return CallError::Unauthorized { address };
                }
                let shown = http.contents.get(..SHOWN_BYTES_MAX);
                let shown = shown.unwrap_or(&http.contents);
                CallError::Http {
                    address,
                    method,
                    status: http.status_code,
                    text: String::from_utf8_lossy(shown).trim().to_owned(),
                }
            }
            source @ RpcClientError::Http(HttpClientError::Transport(_)) => {
                CallError::Unreachable { address, source }
            }
        }
    }

    /// Whether nobody has looked at what was asked: the same may be asked again.
    pub(super) fn is_unasked(&self) -> bool {
        match self {
            CallError::Cookie { .. }
            | CallError::Unauthorized { .. }
            | CallError::Unreachable { .. }
            | CallError::Slow { .. }
            | CallError::Http { .. } => true,
            CallError::Electrum(error) => error.is_unasked(),
            CallError::Refused { .. }
            | CallError::Malformed { .. }
            | CallError::NotOfElectrum { .. } => false,
        }
    }

    /// Whether the chain does not want to answer this, and may answer all else.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            CallError::Refused { .. }
                | CallError::Http { .. }
                | CallError::Electrum(ElectrumError::Refused { .. })
        )
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

    /// Calls a method once, on a connection of its own: for a call that is answered late, as the
    /// shared one answers in order, or that must not be made twice. The server may take `extra`
    /// longer than for others.
    pub(super) async fn call_alone<T>(
        &self,
        method: &'static str,
        params: &[Value],
        extra: Duration,
    ) -> Result<T, CallError>
    where
        JsonResponse: TryInto<T>,
        <JsonResponse as TryInto<T>>::Error: ToParseErrorMessage,
    {
        let client = RpcClient::new(&self.current().credentials, url(&self.address));
        let called = client.call_method(method, params);
        match tokio::time::timeout(CALL_TIMEOUT.saturating_add(extra), called).await {
            Ok(result) => result.map_err(|error| CallError::new(&self.address, method, error)),
            Err(_) => Err(self.slow(method)),
        }
    }

    /// Calls a method. If the server does not know our cookie any more, it is read again; if the
    /// connection was lost, as at a restart, the call is made once more. So this is for methods
    /// that may be called twice.
    pub(super) async fn call<T>(
        &self,
        method: &'static str,
        params: &[Value],
    ) -> Result<T, CallError>
    where
        JsonResponse: TryInto<T>,
        <JsonResponse as TryInto<T>>::Error: ToParseErrorMessage,
    {
        let used = self.current();
        let called = async {
            match used.client.call_method(method, params).await {
                Err(error) if is_unauthorized(&error) || is_transport(&error) => {
                    match self.renew(&used.credentials, is_transport(&error)) {
                        Some(client) => client.call_method(method, params).await,
                        None => Err(error),
                    }
                }
                result => result,
            }
        };
        match tokio::time::timeout(CALL_TIMEOUT, called).await {
            Ok(result) => result.map_err(|error| CallError::new(&self.address, method, error)),
            Err(_) => {
                // What still comes on that connection belongs to nobody.
                self.renew(&used.credentials, true);
                Err(self.slow(method))
            }
        }
    }

    fn slow(&self, method: &'static str) -> CallError {
        CallError::Slow {
            address: self.address.clone(),
            method,
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
pub(super) fn read_credentials(auth: &Auth) -> Result<String, CallError> {
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
