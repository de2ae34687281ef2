//! Where bitcoind publishes by ZMQ, as people write it.

use std::fmt;
use std::str::FromStr;

/// An address that bitcoind publishes at: `tcp://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZmqAddress {
    /// Name or IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Why a text is no address to hear of blocks from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZmqAddressError {
    /// Another way than TCP, or none.
    #[error("does not begin with tcp://")]
    Scheme,
    /// No host, or the star by which bitcoind is told to listen everywhere.
    #[error("has no host")]
    Host,
    /// The port is missing, or no number from 1 to 65535.
    #[error("has no port")]
    Port,
}

impl FromStr for ZmqAddress {
    type Err = ZmqAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("tcp://");
        let rest = rest.ok_or(ZmqAddressError::Scheme)?;
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or(ZmqAddressError::Port)?,
            None => rest.split_once(':').ok_or(ZmqAddressError::Port)?,
        };
        let strange = |letter: char| letter.is_whitespace() || "*/@?#[]".contains(letter);
        if host.is_empty() || host.contains(strange) {
            return Err(ZmqAddressError::Host);
        }
        let port = port.parse().ok().filter(|port| *port != 0);
        Ok(ZmqAddress {
            host: host.to_owned(),
            port: port.ok_or(ZmqAddressError::Port)?,
        })
    }
}

impl fmt::Display for ZmqAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "tcp://[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "tcp://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_what_is_none_says_why() {
        for text in ["tcp://127.0.0.1:28332", "tcp://[::1]:1", "tcp://node.lan:2"] {
            assert_eq!(text.parse::<ZmqAddress>().unwrap().to_string(), text);
        }
        use ZmqAddressError::{Host, Port, Scheme};
        for (text, why) in [
            ("", Scheme),
            ("127.0.0.1:28332", Scheme),
            ("ipc:///run/bitcoind", Scheme),
            ("tcp://:28332", Host),
            ("tcp://*:28332", Host),
            ("tcp://a/b:28332", Host),
            ("tcp://127.0.0.1", Port),
            ("tcp://[::1]", Port),
            ("tcp://127.0.0.1:0", Port),
            ("tcp://127.0.0.1:65536", Port),
            ("tcp://::1:28332", Host),
        ] {
            assert_eq!(text.parse::<ZmqAddress>(), Err(why), "{text}");
        }
    }
}
