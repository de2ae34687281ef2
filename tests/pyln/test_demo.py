"""A script as one writes it for Core Lightning, against a node of the demo: pay an invoice, find it
by its hash, wait for it, delete it."""

import pytest
from conftest import PATIENCE, Process, wait_for
from pyln.client import LightningRpc, RpcError


@pytest.fixture
def demo(tmp_path):
    directory = tmp_path / "demo"
    process = Process(tmp_path, "demo", "demo", "--dir", directory)
    try:
        wait_for("the demo", lambda: process.running() and "Ctrl-C" in process.text())
        yield directory
    finally:
        process.end()


def test_a_script_written_for_core_lightning_runs_unchanged(demo):
    alice = LightningRpc(str(demo / "alice" / "regtest" / "lightning-rpc"))
    carol = LightningRpc(str(demo / "carol" / "regtest" / "lightning-rpc"))
    before = alice.listpays()["pays"]

    invoice = carol.invoice("12345sat", "script", "by a script")
    paid = alice.pay(invoice["bolt11"], label="by a script")
    assert paid["status"] == "complete"

    [payment] = alice.listpays(payment_hash=invoice["payment_hash"])["pays"]
    assert payment["label"] == "by a script"
    assert payment["bolt11"] == invoice["bolt11"]
    assert payment["preimage"] == paid["payment_preimage"]
    [part] = alice.listsendpays(payment_hash=invoice["payment_hash"])["payments"]

    waited = alice.waitsendpay(
        invoice["payment_hash"], timeout=PATIENCE, partid=part["partid"], groupid=part["groupid"]
    )
    assert waited == part
    seen = alice.wait("sendpays", "updated", part["updated_index"])
    assert seen["updated"] >= part["updated_index"]

    with pytest.raises(RpcError) as raised:
        alice.delpay(invoice["payment_hash"], "failed")
    assert raised.value.error["code"] == 208
    assert alice.delpay(invoice["payment_hash"], "complete")["payments"] == [part]
    assert alice.listpays(payment_hash=invoice["payment_hash"])["pays"] == []
    assert alice.listpays()["pays"] == before
