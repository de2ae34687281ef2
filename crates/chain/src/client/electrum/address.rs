//! Where an Electrum server is, as people write it.

use std::fmt;
use std::str::FromStr;

/// The port of TLS where none is written, by convention of Electrum servers.
const TLS_PORT: u16 = 50_002;

/// The port without TLS.
const TCP_PORT: u16 = 50_001;

/// One Electrum server: `ssl://host:port` or `tcp://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ElectrumAddress {
    /// Name or IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// With TLS, and the server's certificate verified.
    pub tls: bool,
}

/// Why a text is no address of an Electrum server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectrumAddressError {
    /// Neither `ssl://` nor `tcp://`.
    #[error("does not begin with ssl:// or tcp://")]
    Scheme,
    /// No host.
    #[error("has no host")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("has a port that is none")]
    Port,
}

impl FromStr for ElectrumAddress {
    type Err = ElectrumAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (tls, rest) = match text.split_once("://") {
            Some(("ssl", rest)) => (true, rest),
            Some(("tcp", rest)) => (false, rest),
            _ => return Err(ElectrumAddressError::Scheme),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or(ElectrumAddressError::Host)?,
            None => match rest.find(':') {
                Some(colon) => rest.split_at(colon),
                None => (rest, ""),
            },
        };
        let strange = |letter: char| letter.is_whitespace() || "/@?#".contains(letter);
        if host.is_empty() || host.contains(strange) {
            return Err(ElectrumAddressError::Host);
        }
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok().filter(|port| *port != 0),
            None if port.is_empty() => Some(if tls { TLS_PORT } else { TCP_PORT }),
            None => None,
        };
        Ok(ElectrumAddress {
            host: host.to_owned(),
            port: port.ok_or(ElectrumAddressError::Port)?,
            tls,
        })
    }
}

impl fmt::Display for ElectrumAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "ssl" } else { "tcp" };
        if self.host.contains(':') {
            write!(formatter, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_says_whether_there_is_tls_and_may_leave_the_port_out() {
        for (text, written) in [
            ("ssl://a.example:7", "ssl://a.example:7"),
            ("tcp://a.example", "tcp://a.example:50001"),
            ("ssl://a.example", "ssl://a.example:50002"),
            ("tcp://[::1]:5", "tcp://[::1]:5"),
            ("tcp://[::1]", "tcp://[::1]:50001"),
        ] {
            let address: ElectrumAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), written);
            assert_eq!(address.tls, text.starts_with("ssl"));
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        use ElectrumAddressError::{Host, Port, Scheme};
        for (text, why) in [
            ("", Scheme),
            ("a.example:50002", Scheme),
            ("https://a.example:1", Scheme),
            ("ssl://", Host),
            ("ssl://:50002", Host),
            ("tcp://me@a.example:1", Host),
            ("tcp://[::1", Host),
            ("ssl://a.example:", Port),
            ("ssl://a.example:0", Port),
            ("ssl://a.example:65536", Port),
            ("tcp://[::1]x", Port),
        ] {
            assert_eq!(text.parse::<ElectrumAddress>(), Err(why), "{text}");
        }
    }
}
