"""Every method that pyln-client has a wrapper for, as its users call it."""

import hashlib
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

from conftest import BIN, PATIENCE, wait_for


def test_a_node_tells_of_itself_and_of_its_channel(pair):
    info = pair.alice.rpc.getinfo()
    assert info["id"] == pair.alice.id
    assert info["network"] == "regtest"
    assert info["num_peers"] == 1
    assert info["num_active_channels"] == 1
    assert info["blockheight"] == pair.chain.height()
    assert pair.connected["id"] == pair.bob.id
    channel = pair.alice.channel()
    assert channel["peer_id"] == pair.bob.id
    assert channel["funding_txid"] == pair.funded["txid"]
    assert channel["total_msat"] == 1_000_000_000
    assert channel["opener"] == "local"
    assert pair.bob.channel()["opener"] == "remote"
    [hop] = pair.route(1_000)
    assert (hop["id"], hop["delay"]) == (pair.bob.id, 42)
    assert hop["channel"] == channel["short_channel_id"]


def test_a_sendpay_completes_and_every_filter_of_listsendpays_finds_it(pair):
    rpc = pair.alice.rpc
    invoice = pair.bob.rpc.invoice(50_000, "one", "first")
    sent = pair.sendpay(invoice, 50_000, label="mine", bolt11=invoice["bolt11"])
    assert sent["status"] == "pending"
    waited = rpc.waitsendpay(invoice["payment_hash"], timeout=PATIENCE)
    assert waited["status"] == "complete"
    preimage = bytes.fromhex(waited["payment_preimage"])
    assert hashlib.sha256(preimage).hexdigest() == invoice["payment_hash"]
    # A second one, refused by bob: its secret is of nobody.
    other = pair.bob.rpc.invoice(60_000, "two", "second")
    other["payment_secret"] = "ee" * 32
    pair.sendpay(other, 60_000)
    wait_for("the refusal", lambda: rpc.listsendpays(status="failed")["payments"])

    complete, failed = rpc.listsendpays()["payments"]
    assert complete == waited
    assert failed["failcodename"] == "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS"
    found = {
        "bolt11": dict(bolt11=invoice["bolt11"]),
        "payment_hash": dict(payment_hash=invoice["payment_hash"]),
        "status": dict(status="complete"),
        "limit": dict(index="created", start=1, limit=1),
    }
    for name, params in found.items():
        assert rpc.call("listsendpays", params)["payments"] == [complete], name
    for index in ("created", "updated"):
        start = failed[f"{index}_index"]
        params = dict(index=index, start=start, limit=10)
        assert rpc.call("listsendpays", params)["payments"] == [failed], index
    assert rpc.listsendpays(status="pending") == {"payments": []}
    wait_for(
        "the invoice to be paid",
        lambda: pair.bob.rpc.listinvoices("one")["invoices"][0]["status"] == "paid",
    )
    assert pair.bob.rpc.listinvoices("two")["invoices"][0]["status"] == "unpaid"


def test_an_invoice_is_paid_once_and_listed_as_one_payment(pair):
    rpc = pair.alice.rpc
    invoice = pair.bob.rpc.invoice(70_000, "paid", "description")
    paid = rpc.pay(invoice["bolt11"], label="mine")
    assert paid["status"] == "complete"
    assert paid["payment_hash"] == invoice["payment_hash"]
    assert rpc.pay(invoice["bolt11"]) == paid
    [pays] = rpc.listpays(invoice["bolt11"])["pays"]
    assert pays["preimage"] == paid["payment_preimage"]
    assert (pays["label"], pays["status"]) == ("mine", "complete")
    assert rpc.listpays()["pays"] == [pays]
    assert len(rpc.listsendpays()["payments"]) == 1


def test_errors_come_with_their_codes_and_data(pair, refused):
    rpc = pair.alice.rpc
    invoice = pair.bob.rpc.invoice(50_000, "one", "first")
    error = refused(rpc.listsendpays, bolt11=invoice["bolt11"], payment_hash="11" * 32)
    text = "Can only specify one of {bolt11} or {payment_hash}"
    assert (error["code"], error["message"]) == (-32602, text)
    assert refused(rpc.call, "nonsense")["code"] == -32601
    assert refused(rpc.waitsendpay, "11" * 32)["code"] == 208
    invoice["payment_hash"] = "11" * 32
    pair.sendpay(invoice, 50_000)
    error = refused(rpc.waitsendpay, "11" * 32, timeout=PATIENCE)
    assert error["code"] == 203
    assert error["data"]["status"] == "failed"
    assert error["data"]["erring_node"] == pair.bob.id


def test_a_deleted_record_is_gone_and_its_neighbours_stay(pair, refused):
    rpc = pair.alice.rpc
    invoices = [pair.bob.rpc.invoice(1_000, label, "") for label in ("one", "two")]
    for invoice in invoices:
        rpc.pay(invoice["bolt11"])
    first, second = rpc.listsendpays()["payments"]
    assert refused(rpc.delpay, first["payment_hash"], "failed")["code"] == 208
    assert rpc.delpay(first["payment_hash"], "complete")["payments"] == [first]
    assert rpc.listsendpays()["payments"] == [second]
    # Deleted is not unpaid: the old result, and nothing sent.
    assert rpc.pay(invoices[0]["bolt11"])["payment_preimage"] == first["payment_preimage"]
    assert rpc.listsendpays()["payments"] == [second]


def test_wait_answers_at_once_for_what_was_and_later_for_what_comes(pair, refused):
    rpc = pair.alice.rpc
    assert rpc.wait("sendpays", "created", 0) == {"subsystem": "sendpays", "created": 0}
    # Asked for before it happens, on a connection of its own.
    with ThreadPoolExecutor() as pool:
        created = pool.submit(rpc.wait, "sendpays", "created", 1)
        settled = pool.submit(rpc.wait, "sendpays", "updated", 1)
        deleted = pool.submit(rpc.wait, "sendpays", "deleted", 1)
        invoice = pair.bob.rpc.invoice(50_000, "one", "first")
        pair.sendpay(invoice, 50_000)
        rpc.waitsendpay(invoice["payment_hash"], timeout=PATIENCE)
        assert created.result(PATIENCE)["created"] == 1
        told = settled.result(PATIENCE)
        assert told["updated"] == 1
        # Not there if the payment was faster than the question.
        details = told.get("details", {"status": "complete", **invoice})
        assert details["status"] == "complete"
        assert details["payment_hash"] == invoice["payment_hash"]
        assert not deleted.done()
        rpc.delpay(invoice["payment_hash"], "complete")
        assert deleted.result(PATIENCE)["deleted"] == 1
    assert rpc.wait("sendpays", "deleted", 0) == {"subsystem": "sendpays", "deleted": 1}
    assert refused(rpc.wait, "forwards", "created", 0)["code"] == -32602


def test_a_filter_leaves_what_it_names_of_results_and_nothing_of_errors(pair, refused):
    rpc = pair.alice.rpc
    invoice = pair.bob.rpc.invoice(50_000, "one", "first")
    rpc.pay(invoice["bolt11"])
    with rpc.reply_filter({"payments": [{"payment_hash": True, "status": True}]}):
        assert rpc.listsendpays() == {
            "payments": [{"payment_hash": invoice["payment_hash"], "status": "complete"}]
        }
        error = refused(rpc.listsendpays, payment_hash="x")
        assert error["code"] == -32602
        assert error["message"].startswith("payment_hash: should be")
    currency = rpc.call("decode", {"string": invoice["bolt11"]}, filter={"currency": True})
    assert currency == {"currency": "bcrt"}
    warned = rpc.call("help", {}, filter={"help": {"command": True}})
    assert warned == {"help": [], "warning_parameter_filter": ".help is an array"}


def test_who_asks_for_notifications_is_told_of_each_part_of_a_pay(pair):
    rpc = pair.alice.rpc
    invoice = pair.bob.rpc.invoice(50_000, "one", "first")
    told = []

    def fn(message, progress, request, **kwargs):
        told.append((message, request["method"]))

    with rpc.notify(fn):
        assert rpc.pay(invoice["bolt11"])["status"] == "complete"
    [(sent, method), (complete, _)] = told
    assert method == "pay"
    assert "50000msat sent by" in sent
    assert complete.endswith(": complete")


def test_help_names_every_method_and_stop_ends_the_process(pair):
    commands = {row["command"].split()[0] for row in pair.alice.rpc.help()["help"]}
    assert {"getinfo", "sendpay", "waitsendpay", "listsendpays", "pay", "listpays"} <= commands
    assert "listsendpays" in pair.alice.rpc.help("listsendpays")["help"][0]["command"]
    pair.alice.rpc.stop()
    assert pair.alice.process.wait(PATIENCE) == 0


def test_sendpay_cli_lists_what_pyln_lists(pair):
    invoice = pair.bob.rpc.invoice(1_000, "one", "")
    pair.alice.rpc.pay(invoice["bolt11"])
    command = [BIN / "sendpay-cli", "--dir", pair.alice.dir, "--network", "regtest"]
    ran = subprocess.run(
        [*command, "listsendpays", f"payment_hash={invoice['payment_hash']}"],
        capture_output=True, check=True, timeout=PATIENCE,
    )
    assert json.loads(ran.stdout) == pair.alice.rpc.listsendpays()
    ran = subprocess.run(
        [*command, "listsendpays", "payment_hash=11"], capture_output=True, timeout=PATIENCE
    )
    assert ran.returncode == 1
