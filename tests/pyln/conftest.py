"""Real sendpayd processes on an embedded chain, spoken to through pyln-client."""

import base64
import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from pyln.client import LightningRpc, RpcError

BIN = Path(os.environ["SENDPAY_BIN"])

# Longest that anything may take before a test is given up, in seconds.
PATIENCE = 60

# A key of nobody: blocks that no node should be paid by.
NOBODY = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw"


def wait_for(what, ask):
    """Asks until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


class Process:
    """A sendpayd process whose output is kept in a file, ended with the test."""

    def __init__(self, directory, name, *arguments):
        self.name = name
        self.output = directory / f"{name}.output"
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                [BIN / "sendpayd", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def text(self):
        return self.output.read_text()

    def running(self):
        assert self.process.poll() is None, f"{self.name} ended: {self.text()}"
        return True

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        assert "panicked" not in self.text(), self.text()


class Chain(Process):
    """`sendpayd regtest`, mined through its JSON-RPC as one mines through bitcoind's."""

    def __init__(self, directory):
        super().__init__(directory, "chain", "regtest", "--dir", directory)
        self.cookie = directory / "chain" / ".cookie"
        said = wait_for("the chain", lambda: self.running() and self._address())
        self.address = said.group(1)

    def _address(self):
        if not self.cookie.exists():
            return None
        return re.search(r"embedded chain is at (\S+:\d+)\.", self.text())

    def call(self, method, *params):
        cookie = self.cookie.read_text().strip()
        request = urllib.request.Request(
            f"http://{self.address}/",
            json.dumps({"jsonrpc": "1.0", "id": 1, "method": method, "params": params}).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": "Basic " + base64.b64encode(cookie.encode()).decode(),
            },
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["result"]

    def mine(self, count, address=NOBODY):
        self.call("generatetoaddress", count, address)

    def height(self):
        return self.call("getblockcount")


class Node(Process):
    """One node, with pyln-client's LightningRpc as `rpc`."""

    def __init__(self, directory, name, chain, more=()):
        self.dir = directory / name
        self.socket = self.dir / "regtest" / "lightning-rpc"
        settings = [
            "listen=127.0.0.1:0",
            f"chain.rpc_address={chain.address}",
            f"chain.cookie_file={chain.cookie}",
            *more,
        ]
        arguments = [argument for setting in settings for argument in ("--set", setting)]
        super().__init__(directory, name, "--dir", self.dir, "--network", "regtest", *arguments)
        self.rpc = LightningRpc(str(self.socket))
        wait_for(f"the socket of {name}", self._answers)
        info = self.rpc.getinfo()
        self.id, self.port = info["id"], info["binding"][0]["port"]

    def _answers(self):
        self.running()
        try:
            return self.rpc.getinfo()
        except (FileNotFoundError, ConnectionRefusedError):
            return None

    def wait_for_height(self, height):
        wait_for("a height", lambda: self.rpc.getinfo()["blockheight"] >= height)

    def channel(self):
        return self.rpc.listpeerchannels()["channels"][0]


class Pair:
    """Two nodes with a channel from alice to bob."""

    def __init__(self, chain, alice, bob):
        self.chain, self.alice, self.bob = chain, alice, bob
        chain.mine(1, alice.rpc.newaddr("bech32")["bech32"])
        chain.mine(100)
        alice.wait_for_height(chain.height())
        self.connected = alice.rpc.connect(bob.id, "127.0.0.1", bob.port)
        self.funded = alice.rpc.fundchannel(bob.id, 1_000_000)
        chain.mine(6)
        for node in (alice, bob):
            node.wait_for_height(chain.height())
            wait_for("a usable channel", lambda: self._usable(node))

    @staticmethod
    def _usable(node):
        channel = node.channel()
        return channel["state"] == "CHANNELD_NORMAL" and channel["reestablished"]

    def route(self, amount_msat):
        # LDK's recipients take no less than 42 blocks.
        return self.alice.rpc.getroute(self.bob.id, amount_msat, 1, cltv=42)["route"]

    def sendpay(self, invoice, amount_msat, **more):
        return self.alice.rpc.sendpay(
            self.route(amount_msat),
            invoice["payment_hash"],
            payment_secret=invoice["payment_secret"],
            **more,
        )


@pytest.fixture
def settings():
    """What the nodes of a pair are configured with besides; for tests to choose."""
    return []


@pytest.fixture
def pair(tmp_path, settings, request):
    processes = [Chain(tmp_path)]
    more = [*settings, *getattr(request, "param", ())]
    try:
        for name in ("alice", "bob"):
            processes.append(Node(tmp_path, name, processes[0], more))
        yield Pair(*processes)
    finally:
        for process in reversed(processes):
            process.end()


@pytest.fixture
def refused():
    """The error object that a call must give."""

    def call(method, *params, **named):
        with pytest.raises(RpcError) as raised:
            method(*params, **named)
        return raised.value.error

    return call
