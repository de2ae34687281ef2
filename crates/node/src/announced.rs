//! An address that the network is told of: an IP address, or an onion service of Tor (version 3).

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use lightning::ln::msgs::SocketAddress;
use thiserror::Error;

/// An address and port that others can connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnouncedAddress {
    /// An IP address.
    Ip(SocketAddr),
    /// An onion service: its name with `.onion`, and its port.
    Onion(String, u16),
}

/// It is none of these.
#[derive(Debug, Error)]
#[error("{0:?} is no IP address or onion service (version 3) with a port")]
pub struct AnnouncedAddressError(String);

impl FromStr for AnnouncedAddress {
    type Err = AnnouncedAddressError;

    fn from_str(text: &str) -> Result<Self, AnnouncedAddressError> {
        if let Ok(address) = text.parse() {
            return Ok(AnnouncedAddress::Ip(address));
        }
        let wrong = || AnnouncedAddressError(text.to_owned());
        match (text.parse(), text.rsplit_once(':')) {
            // LDK has checked the name, and its checksum is Tor's affair.
            (Ok(SocketAddress::OnionV3 { port, .. }), Some((name, _))) => {
                Ok(AnnouncedAddress::Onion(name.to_owned(), port))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for AnnouncedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnnouncedAddress::Ip(address) => address.fmt(f),
            AnnouncedAddress::Onion(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl AnnouncedAddress {
    /// As LDK has it.
    pub(crate) fn to_ldk(&self) -> Option<SocketAddress> {
        match self {
            AnnouncedAddress::Ip(address) => Some((*address).into()),
            AnnouncedAddress::Onion(..) => self.to_string().parse().ok(),
        }
    }
}
