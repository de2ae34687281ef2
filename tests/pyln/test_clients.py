"""What pyln-client does around a call: checks, notifications, filters, methods without a wrapper;
and that every wrapper of its whose method this node has is called by some test here."""

import inspect
import re
from pathlib import Path

from pyln.client import LightningRpc

# Wrappers that go by the name of another method than the one they call.
OTHERWISE = {"getpeer": "listpeers"}


def test_every_wrapper_of_a_method_that_this_node_has_is_called_by_a_test(pair):
    methods = {row["command"].split()[0] for row in pair.alice.rpc.help()["help"]}
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    wrappers = [name for name, _ in inspect.getmembers(LightningRpc, inspect.isfunction)]
    ours = [name for name in wrappers if OTHERWISE.get(name, name) in methods]
    assert {"listsendpays", "getpeer", "check", "withdraw"} <= set(ours)
    missing = [name for name in ours if not re.search(rf"\.{name}\b", sources)]
    assert missing == []


def test_a_peer_is_found_and_one_that_is_none_is_not(pair):
    rpc = pair.alice.rpc
    peer = rpc.getpeer(pair.bob.id)
    assert (peer["id"], peer["connected"]) == (pair.bob.id, True)
    assert rpc.getpeer(pair.alice.id) is None


def test_check_reads_parameters_and_runs_nothing(pair, refused):
    rpc = pair.alice.rpc
    hash = "11" * 32
    told = rpc.check("delpay", payment_hash=hash, status="complete")
    assert told == {"command_to_check": "delpay"}
    assert rpc.check("stop") == {"command_to_check": "stop"}
    error = refused(rpc.check, "delpay", payment_hash="11", status="complete")
    text = "payment_hash: should be a 32 byte hex value: invalid token '\"11\"'"
    assert (error["code"], error["message"]) == (-32602, text)
    assert refused(rpc.check, "nonsense")["code"] == -32601
    assert rpc.getinfo()["id"] == pair.alice.id


def test_notifications_come_to_who_registered_and_never_in_place_of_an_answer(pair):
    rpc = pair.alice.rpc
    told = []
    with rpc.notify(lambda message, progress, request: told.append((request["method"], message))):
        paid = rpc.pay(pair.bob.rpc.invoice(1_000, "one", "")["bolt11"])
        assert rpc.getinfo()["num_peers"] == 1
    assert paid["status"] == "complete"
    assert [method for method, _ in told] == ["pay", "pay"]
    assert "1000msat sent by" in told[0][1] and told[1][1].endswith(": complete")
    rpc.pay(pair.bob.rpc.invoice(1_000, "two", "")["bolt11"])
    assert len(told) == 2


def test_a_filter_leaves_what_it_names_and_errors_as_they_are(pair, refused):
    rpc = pair.alice.rpc
    paid = rpc.pay(pair.bob.rpc.invoice(1_000, "one", "")["bolt11"])
    with rpc.reply_filter({"payments": [{"payment_hash": True, "status": True}]}):
        listed = rpc.listsendpays()
        error = refused(rpc.waitsendpay, "11" * 32)
    wanted = {"payment_hash": paid["payment_hash"], "status": "complete"}
    assert listed == {"payments": [wanted]}
    assert error["code"] == 208 and error["message"].startswith("Never attempted payment")
    assert rpc.call("getinfo", filter={"id": True}) == {"id": pair.alice.id}


def test_methods_without_a_wrapper_and_parameters_by_place(pair):
    rpc = pair.alice.rpc
    invoice = pair.bob.rpc.invoice(1_000, "one", "")
    assert rpc.decode(invoice["bolt11"])["payment_hash"] == invoice["payment_hash"]
    assert rpc.decode(string=invoice["bolt11"])["payee"] == pair.bob.id
    rpc.pay(invoice["bolt11"])
    by_place = rpc.call("listsendpays", [None, invoice["payment_hash"]])
    assert by_place == rpc.listsendpays(payment_hash=invoice["payment_hash"])
    assert rpc.countsendpays()["complete"]["count"] == 1
    [tried] = rpc.paystatus(invoice["bolt11"])["pay"]
    assert tried["bolt11"] == invoice["bolt11"]
    assert tried["attempts"][0]["success"]["payment_preimage"]
    assert len(rpc.paystatus()["pay"]) == 1
