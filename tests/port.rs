//! A port of a test's own. The system chooses it, and gives it to nobody else until the test drops
//! it: not for the other end of some connection either, while the server there is down between two
//! starts.
//!
//! Not a crate: tests name this file by its path.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// Bound, and never listening: so a server that sets SO_REUSEADDR, as servers do, can listen there.
pub struct OwnPort(TcpSocket);

impl OwnPort {
    /// One that was free.
    pub fn new() -> OwnPort {
        OwnPort::bind(0).unwrap()
    }

    /// That one, if it is free.
    pub fn bind(port: u16) -> std::io::Result<OwnPort> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
        Ok(OwnPort(socket))
    }

    /// Where its server listens.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}
