"""Invoices and payments without one, as users of pyln-client make, await and remove them."""

import hashlib
import threading
import time

import pytest

from conftest import PATIENCE, wait_for

# The generator of the curve: a node that nobody knows.
NOBODY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"

# Both forms of the amounts of payments; those of invoices are integers in either.
BOTH_FORMS = pytest.mark.parametrize(
    "pair", [(), ("amounts=integer",)], indirect=True, ids=["strings", "integers"]
)


def msat(amount):
    """An amount of a payment in either form."""
    return int(str(amount).removesuffix("msat"))


def in_background(call, *params):
    """The result of a call that answers later."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call(*params)), daemon=True)
    thread.start()

    def answer():
        thread.join(PATIENCE)
        return answers[0]

    return answer


@BOTH_FORMS
def test_an_invoice_is_made_awaited_paid_and_deleted(pair, refused):
    alice, bob = pair.alice.rpc, pair.bob.rpc
    invoice = bob.invoice(50_000, "one", "first")
    waits = in_background(bob.waitinvoice, "one")
    any_waits = in_background(bob.waitanyinvoice)
    paid = alice.pay(invoice["bolt11"])
    assert msat(paid["amount_msat"]) == 50_000
    told = waits()
    assert told["status"] == "paid"
    assert told["amount_received_msat"] == 50_000
    assert told["payment_preimage"] == paid["payment_preimage"]
    assert any_waits() == told
    assert bob.waitanyinvoice(lastpay_index=0, timeout=PATIENCE) == told
    assert bob.listinvoices(label="one")["invoices"] == [told]
    error = refused(bob.waitanyinvoice, lastpay_index=1, timeout=0)
    assert error["code"] == 904
    error = refused(bob.delinvoice, "one", "unpaid")
    assert error["code"] == 906
    assert error["data"] == {"current_status": "paid", "expected_status": "unpaid"}
    without = bob.delinvoice("one", "paid", desconly=True)
    assert "description" not in without
    assert bob.delinvoice("one", "paid") == without
    assert refused(bob.delinvoice, "one", "paid")["code"] == 905
    assert refused(bob.waitinvoice, "one")["code"] == -1
    assert bob.listinvoices() == {"invoices": []}


def test_every_parameter_of_invoice_and_listinvoices(pair, refused):
    bob = pair.bob.rpc
    preimage = "07" * 32
    address = bob.newaddr("bech32")["bech32"]
    made = bob.invoice(
        "any", 17, "a long story", expiry=600, fallbacks=[address], preimage=preimage,
        exposeprivatechannels=False, cltv=60, deschashonly=True,
    )
    assert made["payment_hash"] == hashlib.sha256(bytes.fromhex(preimage)).hexdigest()
    decoded = bob.decode(made["bolt11"])
    assert decoded["description_hash"] == hashlib.sha256(b"a long story").hexdigest()
    assert decoded["min_final_cltv_expiry"] == 60
    assert decoded["expiry"] == 600
    assert [fallback["addr"] for fallback in decoded["fallbacks"]] == [address]
    assert "amount_msat" not in decoded
    other = bob.invoice(1_000, "other", "")
    [first] = bob.listinvoices(label=17)["invoices"]
    assert first["label"] == "17"
    assert first["description"] == "a long story"
    assert "amount_msat" not in first
    for found in (
        dict(payment_hash=made["payment_hash"]),
        dict(invstring=made["bolt11"]),
        dict(index="created", start=1, limit=1),
    ):
        assert bob.listinvoices(**found)["invoices"] == [first], found
    [second] = bob.listinvoices(index="created", start=2)["invoices"]
    assert second["bolt11"] == other["bolt11"]
    assert bob.listinvoices(offer_id="11" * 32) == {"invoices": []}
    error = refused(bob.listinvoices, label="x", payment_hash="11" * 32)
    text = "Can only specify one of {label}, {invstring}, {payment_hash} or {offer_id}"
    assert (error["code"], error["message"]) == (-32602, text)
    assert refused(bob.invoice, 1, 17, "")["code"] == 900
    assert refused(bob.invoice, 1, "new", "", preimage=preimage)["code"] == 901
    assert refused(bob.invoice, 1, "new", "", exposeprivatechannels="1x1x1")["code"] == 902


def test_an_invoice_expires_while_it_is_waited_for(pair, refused):
    bob = pair.bob.rpc
    bob.invoice(1_000, "short", "", expiry=1)
    started = time.monotonic()
    error = refused(bob.waitinvoice, "short")
    assert error["code"] == 903
    assert error["data"]["status"] == "expired"
    assert time.monotonic() - started < PATIENCE
    assert bob.listinvoices("short")["invoices"][0]["status"] == "expired"
    assert bob.wait("invoices", "updated", 1)["updated"] == 1


@BOTH_FORMS
def test_a_node_is_paid_without_an_invoice(pair, refused):
    alice, bob = pair.alice.rpc, pair.bob.rpc
    waits = in_background(bob.waitanyinvoice)
    sent = alice.keysend(pair.bob.id, 10_000, label="thanks", extratlvs={7629169: b"hi".hex()})
    assert sent["status"] == "complete"
    assert (msat(sent["amount_msat"]), msat(sent["amount_sent_msat"])) == (10_000, 10_000)
    assert sent["destination"] == pair.bob.id
    preimage = bytes.fromhex(sent["payment_preimage"])
    assert hashlib.sha256(preimage).hexdigest() == sent["payment_hash"]
    told = waits()
    assert told["payment_hash"] == sent["payment_hash"]
    assert told["label"].startswith("keysend-")
    assert told["description"] == "keysend: hi"
    assert told["amount_received_msat"] == 10_000
    again = alice.xkeysend(pair.bob.id, "20sat", maxfee=0)
    assert again["successful_parts"] == 1
    assert again["failed_parts"] == 0
    assert msat(again["amount_msat"]) == 20_000
    first, second = alice.listsendpays()["payments"]
    assert (first["label"], first["payment_hash"]) == ("thanks", sent["payment_hash"])
    assert second["payment_preimage"] == again["payment_preimage"]
    assert "bolt11" not in second
    error = refused(alice.keysend, pair.alice.id, 1_000)
    assert error["code"] == -32602
    error = refused(alice.keysend, NOBODY, 1_000, retry_for=1)
    assert error["code"] == 205
