//! Asking a node over its socket, as any client would, from asynchronous code.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sendpay_rpc::client::{CallError, Client};
use sendpay_rpc::method::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long an answer may take, and a state that is waited for. On a slow machine `pay` takes a
/// second; a minute means that something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a state.
const LOOK: Duration = Duration::from_millis(20);

/// The socket of a node.
#[derive(Clone)]
pub(super) struct Asked {
    /// Whose it is.
    pub(super) name: &'static str,
    /// Where it is.
    pub(super) socket: PathBuf,
}

impl Asked {
    /// Calls a method.
    ///
    /// # Errors
    /// What the node answers, with the method's name; what went wrong on the way.
    pub(super) async fn call(&self, method: &'static str, params: Value) -> Result<Value> {
        self.blocking(method, move |client| client.call(method, &params))
            .await
    }

    /// Calls a method and takes the result in its type.
    ///
    /// # Errors
    /// As [`Asked::call`].
    pub(super) async fn request<M: Method>(&self, params: Value) -> Result<M::Result>
    where
        M::Result: DeserializeOwned + Send + 'static,
    {
        self.blocking(M::NAME, move |client| client.request::<M>(&params))
            .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        method: &'static str,
        call: impl FnOnce(&mut Client) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T> {
        let socket = self.socket.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let mut client = Client::connect(&socket)?;
            client
                .set_timeout(Some(PATIENCE))
                .map_err(CallError::Receive)?;
            call(&mut client)
        });
        answer
            .await
            .context("a task of the demo ended badly")?
            .with_context(|| format!("{} did not do {method}", self.name))
    }
}

/// Asks until there is an answer.
///
/// # Errors
/// The first error of `ask`, or that there was none in time.
pub(super) async fn until<T>(
    what: impl Debug + Send,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s for {what:?} in vain", PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}
