"""Amounts in both forms, as they come in and as they go out, in every method that pays."""

import pytest
from conftest import PATIENCE, wait_for
from pyln.client import Millisatoshi

BOTH_FORMS = pytest.mark.parametrize(
    "settings", [[], ["amounts=integer"]], ids=["strings", "integers"]
)


def form(settings, amount_msat):
    """An amount of a payment, as a node with these settings writes it."""
    return amount_msat if settings else f"{amount_msat}msat"


@BOTH_FORMS
def test_every_method_that_pays_writes_amounts_in_the_form_that_is_set(pair, settings):
    rpc = pair.alice.rpc
    first, second, third = (pair.bob.rpc.invoice(50_000, label, "") for label in ("1", "2", "3"))
    sent = pair.sendpay(first, 50_000)
    wanted = form(settings, 50_000)
    assert (sent["amount_msat"], sent["amount_sent_msat"]) == (wanted, wanted)
    waited = rpc.waitsendpay(first["payment_hash"], timeout=PATIENCE)
    assert (waited["amount_msat"], waited["amount_sent_msat"]) == (wanted, wanted)
    for paid in (rpc.pay(second["bolt11"]), rpc.xpay(third["bolt11"])):
        assert (paid["amount_msat"], paid["amount_sent_msat"]) == (wanted, wanted)
    listed = rpc.listsendpays()["payments"] + rpc.listpays()["pays"]
    assert len(listed) == 6
    for record in listed:
        assert (record["amount_msat"], record["amount_sent_msat"]) == (wanted, wanted)
        assert Millisatoshi(record["amount_sent_msat"]) == Millisatoshi("50sat")
    [deleted] = rpc.delpay(first["payment_hash"], "complete")["payments"]
    assert deleted == waited


@BOTH_FORMS
def test_amounts_of_all_else_are_integers_in_either_form(pair, settings):
    rpc = pair.alice.rpc
    invoice = pair.bob.rpc.invoice(50_000, "one", "")
    rpc.pay(invoice["bolt11"])
    received = wait_for(
        "the invoice to be paid",
        lambda: pair.bob.rpc.listinvoices("one")["invoices"][0].get("amount_received_msat"),
    )
    assert received == 50_000
    assert pair.route(50_000)[0]["amount_msat"] == 50_000
    assert pair.alice.channel()["total_msat"] == 1_000_000_000
    assert rpc.getinfo()["fees_collected_msat"] == 0
    assert rpc.listfunds()["channels"][0]["amount_msat"] == 1_000_000_000
    assert rpc.decode(invoice["bolt11"])["amount_msat"] == 50_000


@BOTH_FORMS
def test_amounts_are_taken_in_every_form_that_a_client_writes_them(pair, settings, refused):
    rpc, bob = pair.alice.rpc, pair.bob.rpc
    amounts = [50_000, "50000", "50000msat", "50sat", "0.0000005btc", Millisatoshi(50_000)]
    for number, amount in enumerate(amounts):
        invoice = bob.invoice(amount, f"fixed {number}", "")
        assert rpc.decode(invoice["bolt11"])["amount_msat"] == 50_000, amount
        [hop] = rpc.getroute(pair.bob.id, amount, 1, cltv=42)["route"]
        assert hop["amount_msat"] == 50_000, amount
        sent = rpc.sendpay(
            [dict(hop, amount_msat=amount)],
            invoice["payment_hash"],
            payment_secret=invoice["payment_secret"],
            amount_msat=amount,
        )
        assert sent["amount_msat"] == form(settings, 50_000), amount
        open_invoice = bob.invoice("any", f"open {number}", "")
        paid = rpc.pay(open_invoice["bolt11"], amount_msat=amount)
        assert paid["amount_msat"] == form(settings, 50_000), amount
        open_invoice = bob.invoice("any", f"xopen {number}", "")
        paid = rpc.xpay(open_invoice["bolt11"], amount_msat=amount, maxfee=amount)
        assert paid["amount_msat"] == form(settings, 50_000), amount
    for amount in ("50 sat", "-1", "1.5msat", "0.000000000001btc", "many", True):
        error = refused(bob.invoice, amount, "bad", "")
        assert error["code"] == -32602, amount
        assert error["message"].startswith("amount_msat: should be "), amount
