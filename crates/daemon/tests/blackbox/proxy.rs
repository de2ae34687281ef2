//! Other nodes and Electrum servers through a SOCKS5 proxy, as Tor's: onion services, and names that only
//! it resolves.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::harness::{Backend, Chain, Node, wait_for};

/// A name such as Tor makes: 56 letters, of which the last stand for the version.
const ONION: &str = "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd.onion";

/// The id of a node that is nobody's here.
const STRANGER: &str = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";

/// A proxy that speaks SOCKS5 (RFC 1928 and 1929) as Tor does, and knows where names lead.
#[derive(Clone)]
struct Proxy {
    address: SocketAddr,
    known: Arc<Mutex<HashMap<String, SocketAddr>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy {
            address: listener.local_addr().unwrap(),
            known: Arc::default(),
            asked: Arc::default(),
        };
        let serving = proxy.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (serving, stream) = (serving.clone(), stream.unwrap());
                // A client that goes away ends its thread, and nothing else.
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        proxy
    }

    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let methods = exactly(&mut client, 2)?[1];
        let methods = exactly(&mut client, methods.into())?;
        assert!(
            methods.contains(&2),
            "it must log in, to have a way of its own"
        );
        client.write_all(&[5, 2])?;
        let name = exactly(&mut client, 2)?[1];
        exactly(&mut client, name.into())?;
        let password = exactly(&mut client, 1)?[0];
        exactly(&mut client, password.into())?;
        client.write_all(&[1, 0])?;
        let request = exactly(&mut client, 4)?;
        assert_eq!(request, [5, 1, 0, 3], "connect to a name");
        let length = exactly(&mut client, 1)?[0];
        let name = String::from_utf8(exactly(&mut client, length.into())?).unwrap();
        let port = exactly(&mut client, 2)?;
        let wanted = format!("{name}:{}", u16::from_be_bytes([port[0], port[1]]));
        self.asked.lock().unwrap().push(wanted.clone());
        let known = self.known.lock().unwrap().get(&wanted).copied();
        let server = known.and_then(|known| TcpStream::connect(known).ok());
        let Some(mut server) = server else {
            return client.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
        };
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
        let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
        std::thread::spawn(move || {
            let copied = std::io::copy(&mut from_server, &mut to_client);
            drop(to_client.shutdown(Shutdown::Both));
            copied
        });
        // A client that was killed may have reset its connection: the server hears of it all the same.
        let copied = std::io::copy(&mut client, &mut server);
        server.shutdown(Shutdown::Both)?;
        copied.map(|_| ())
    }
}

fn exactly(stream: &mut TcpStream, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn other_nodes_are_dialled_through_the_proxy_and_found_again_there() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let proxy = Proxy::start();
    let setting = format!("proxy={}", proxy.address);
    let mut alice = Node::start(dir.path(), "alice", &chain, &[&setting]);
    let announce = format!("announce=[\"{ONION}:9735\"]");
    let mut bob = Node::start(dir.path(), "bob", &chain, &[&announce]);
    let told = bob.call("getinfo", json!({}));
    let expected = json!([{"type": "torv3", "address": ONION, "port": 9735}]);
    assert_eq!(told["address"], expected);

    let onion = format!("{}@{ONION}:9735", bob.id);
    let refused = alice.refused("connect", json!({"id": onion}));
    assert_eq!(refused.code, 401);
    let failed = |address: &str| {
        let proxy = proxy.address;
        format!("cannot connect to {address} through the proxy {proxy}: Host unreachable")
    };
    assert_eq!(refused.message, failed(&format!("{ONION}:9735")));
    let wanted = format!("{ONION}:9735");
    proxy
        .known
        .lock()
        .unwrap()
        .insert(wanted.clone(), bob.address);
    alice.fund(&chain);
    alice.call("connect", json!({"id": onion}));
    let opened = alice.call("fundchannel", json!({"id": bob.id, "amount": 1_000_000}));
    chain.mine(6);
    wait_for("a usable channel", || {
        alice.usable_channel(&opened["channel_id"])
    });

    // The peer is found again without being asked for: after it was away, and after we were.
    bob.kill();
    bob.resume();
    wait_for("the channel", || {
        alice.usable_channel(&opened["channel_id"])
    });
    alice.kill();
    alice.resume();
    wait_for("the channel", || {
        alice.usable_channel(&opened["channel_id"])
    });
    let asked = proxy.asked.lock().unwrap().clone();
    assert!(
        asked.len() >= 4 && asked.iter().all(|name| *name == wanted),
        "{asked:?}"
    );

    // A name that only the proxy knows: nobody else is asked.
    let named = json!({"id": format!("{STRANGER}@nowhere.invalid:1")});
    let refused = alice.refused("connect", named);
    assert_eq!(refused.message, failed("nowhere.invalid:1"));
    // Without a proxy an onion service is out of reach.
    let onion = json!({"id": format!("{STRANGER}@{ONION}:9735")});
    let refused = bob.refused("connect", onion);
    assert_eq!(refused.code, 401);
    let expected =
        format!("{ONION}:9735 is an onion service: that needs proxy in the configuration");
    assert_eq!(refused.message, expected);
}

#[test]
fn an_onion_service_that_is_announced_is_known_to_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let announce = format!("announce=[\"{ONION}:9735\"]");
    let alice = Node::start(dir.path(), "alice", &chain, &[]);
    let bob = Node::start(dir.path(), "bob", &chain, &[&announce]);
    alice.fund(&chain);
    alice.open_channel(&chain, &bob, 1_000_000);
    let announced = wait_for("bob's announcement", || {
        let listed = alice.call("listnodes", json!({"id": bob.id}));
        listed["nodes"][0].get("addresses").cloned()
    });
    let expected = json!([{"type": "torv3", "address": ONION, "port": 9735}]);
    assert_eq!(announced, expected);
}

#[test]
fn electrum_servers_are_reached_through_the_proxy_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = Chain::with(dir.path(), Backend::Electrs);
    chain.mine(10);
    let proxy = Proxy::start();
    let wanted = format!("{ONION}:50001");
    let lead = |to: Option<SocketAddr>| {
        let mut known = proxy.known.lock().unwrap();
        known.clear();
        known.extend(to.map(|to| (wanted.clone(), to)));
    };
    lead(Some(chain.electrs().address()));
    let settings = [
        format!("proxy={}", proxy.address),
        format!("chain.electrum=tcp://{ONION}"),
    ];
    let settings = settings.each_ref().map(String::as_str);
    let node = Node::start(dir.path(), "node", &chain, &settings);
    chain.mine(1);
    node.wait_for_height(chain.height());

    // The server is away, and then the proxy finds no way to it.
    lead(None);
    chain.electrs().kill();
    let told = format!("the Electrum server tcp://{wanted} cannot be reached: Host unreachable");
    wait_for(&told, || {
        let info = node.call("getinfo", json!({}));
        let warning = info["warning_bitcoind_sync"].as_str()?.to_owned();
        warning.contains(&told).then_some(())
    });
    chain.electrs().resume();
    chain.mine(1);
    lead(Some(chain.electrs().address()));
    node.wait_for_height(chain.height());
    let asked = proxy.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|name| *name == wanted), "{asked:?}");
}
