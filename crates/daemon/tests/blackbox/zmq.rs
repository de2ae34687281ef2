//! News of blocks by bitcoind's ZMQ: they are enough, they are not needed, and nothing of them is
//! believed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Chain, Node, wait_for};
use crate::liars::{Liar, Lie};

/// What a node logs when it has subscribed, and when that is of no use any more.
const SUBSCRIBED: &str = "subscribed to bitcoind's ZMQ";
const OF_NO_USE: &str = "bitcoind's ZMQ is of no use now; new blocks are seen by RPC alone";

fn start(dir: &Path, name: &str, chain: &Chain, settings: &[String]) -> Node {
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    Node::start(dir, name, chain, &settings)
}

fn warning(node: &Node) -> Option<String> {
    let info = node.call("getinfo", json!({}));
    info["warning_bitcoind_sync"].as_str().map(str::to_owned)
}

fn wait_for_log(node: &Node, wanted: &str, times: usize) {
    wait_for(wanted, || {
        (node.log().matches(wanted).count() >= times).then_some(())
    });
}

#[test]
fn a_block_that_bitcoind_tells_of_is_seen_at_once_where_its_rpc_keeps_silent() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, zmq) = Chain::bitcoind_with_zmq(dir.path());
    chain.mine(10);
    let liar = Liar::start(dir.path(), &chain);
    // Who waits for a block by RPC waits for longer than the test takes.
    liar.tell(Lie::SilentWait);
    let settings = liar.settings();
    let other = start(dir.path(), "other", &chain, &settings);
    let settings = [settings, vec![format!("chain.zmq={zmq}")]].concat();
    let node = start(dir.path(), "node", &chain, &settings);
    wait_for_log(&node, SUBSCRIBED, 1);
    wait_for("both to wait", || (liar.held() == 2).then_some(()));
    let height = |node: &Node| node.call("getinfo", json!({}))["blockheight"].clone();
    // bitcoind may not know yet of a subscription that was just sent.
    wait_for("the first block", || {
        chain.mine(1);
        (height(&node) != 10).then_some(())
    });
    for _ in 0..3 {
        chain.mine(1);
        node.wait_for_height(chain.height());
    }
    assert_eq!(height(&other), 10, "it has no ZMQ");
    assert_eq!(warning(&node), None);
}

#[test]
fn zmq_is_subscribed_to_again_when_bitcoind_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let (mut chain, zmq) = Chain::bitcoind_with_zmq(dir.path());
    let settings = [format!("chain.zmq={zmq}")];
    let node = start(dir.path(), "node", &chain, &settings);
    wait_for_log(&node, SUBSCRIBED, 1);
    chain.kill();
    wait_for_log(&node, OF_NO_USE, 1);
    chain.resume(dir.path());
    wait_for_log(&node, SUBSCRIBED, 2);
    chain.mine(1);
    node.wait_for_height(chain.height());
}

/// What stands where bitcoind should publish.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    /// Something else listens there.
    NoZmq,
    /// It ends each connection when it has been greeted.
    HangsUp,
    /// It claims to send more than there is in the world.
    HugeFrame,
    /// It sends what nobody subscribed to.
    OtherTopic,
    /// It tells of blocks that are none, as fast as it can.
    Flood,
    /// It is subscribed to, and says nothing.
    Nothing,
    /// It tells of one block when it is subscribed to, and then of none.
    OneBlock,
}

/// Somebody who publishes as ZeroMQ does, or not quite.
#[derive(Clone)]
struct Publisher {
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
    /// It could send no more, as nobody took it.
    held_back: Arc<Mutex<bool>>,
}

/// How long a write may be stuck before it counts as held back, and how often what is to be said is
/// looked at.
const STUCK: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(20);

impl Publisher {
    fn start() -> Publisher {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let publisher = Publisher {
            address: listener.local_addr().unwrap(),
            says: Arc::new(Mutex::new(Says::NoZmq)),
            held_back: Arc::default(),
        };
        let serving = publisher.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (serving, stream) = (serving.clone(), stream.unwrap());
                // A subscriber that goes away ends its thread, and nothing else.
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        publisher
    }

    fn tell(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn says(&self) -> Says {
        *self.says.lock().unwrap()
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let says = self.says();
        if says == Says::NoZmq {
            return stream.write_all(&b"HTTP/1.1 400 Bad Request\r\n".repeat(4));
        }
        let mut greeting = [0; 64];
        stream.read_exact(&mut greeting)?;
        stream.write_all(&greeting)?;
        let mut ready = [0; 2 + 25];
        stream.read_exact(&mut ready)?;
        assert_eq!(&ready[2..], b"\x05READY\x0bSocket-Type\0\0\0\x03SUB");
        if says == Says::HangsUp {
            return Ok(());
        }
        stream.write_all(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB")?;
        let mut subscription = [0; 12];
        stream.read_exact(&mut subscription)?;
        assert_eq!(&subscription, b"\0\x0a\x01hashblock");
        let message = [
            b"\x01\x09hashblock\x01\x20",
            &[7; 32][..],
            b"\0\x04\0\0\0\0",
        ]
        .concat();
        match says {
            Says::HugeFrame => stream.write_all(b"\x03\x0f\xff\xff\xff\xff\xff\xff\xff")?,
            Says::OtherTopic => stream.write_all(b"\x01\x08rawblock\0\x01\0")?,
            Says::OneBlock => stream.write_all(&message)?,
            Says::Flood => {
                stream.set_write_timeout(Some(STUCK))?;
                while self.says() == Says::Flood {
                    // A part of it may have been sent; nobody will look at the rest.
                    if stream.write_all(&message.repeat(100)).is_err() {
                        *self.held_back.lock().unwrap() = true;
                        break;
                    }
                }
            }
            _ => {}
        }
        stream.set_read_timeout(Some(LOOK))?;
        while self.says() == says {
            if matches!(stream.read(&mut [0]), Ok(0)) {
                break;
            }
        }
        Ok(())
    }
}

#[test]
fn whatever_stands_in_the_place_of_zmq_no_block_is_lost_and_none_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let publisher = Publisher::start();
    let settings = [format!("chain.zmq=tcp://{}", publisher.address)];
    let node = start(dir.path(), "node", &chain, &settings);
    let follow = || {
        chain.mine(1);
        node.wait_for_height(chain.height());
        let info = node.call("getinfo", json!({}));
        assert_eq!(info["blockheight"], chain.height());
    };
    for (says, told) in [
        (Says::NoZmq, "does not greet as ZeroMQ does"),
        (Says::HangsUp, "the connection has ended"),
        (Says::HugeFrame, "sends more than any message"),
        (Says::OtherTopic, "sends what nobody has subscribed to"),
    ] {
        publisher.tell(says);
        wait_for_log(&node, told, 1);
        follow();
    }
    // A flood is not taken in as fast as it comes.
    publisher.tell(Says::Flood);
    wait_for("a flood that is held back", || {
        follow();
        publisher.held_back.lock().unwrap().then_some(())
    });
    publisher.tell(Says::Nothing);
    let silent = format!(
        "bitcoind's ZMQ at tcp://{} says nothing of new blocks; does bitcoind have zmqpubhashblock \
         there?; new blocks are seen by RPC alone",
        publisher.address
    );
    wait_for("a warning", || {
        follow();
        (warning(&node)? == silent).then_some(())
    });
    publisher.tell(Says::OneBlock);
    wait_for("no warning", || warning(&node).is_none().then_some(()));
    follow();
}
