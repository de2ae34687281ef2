"""The methods about channels, peers and the chain that pyln-client has a wrapper for."""

import pytest
from conftest import NOBODY, PATIENCE, wait_for


def test_a_channel_is_closed_and_its_money_is_withdrawn(pair):
    rpc = pair.alice.rpc
    channel = pair.alice.channel()
    closed = rpc.close(channel["short_channel_id"], unilateraltimeout=PATIENCE)
    assert closed["type"] == "mutual"
    pair.chain.mine(1)
    pair.alice.wait_for_height(pair.chain.height())
    [left] = rpc.listpeerchannels()["channels"]
    assert (left["state"], left["closer"]) == ("ONCHAIN", "local")
    assert left["short_channel_id"] == channel["short_channel_id"]
    outputs = rpc.listfunds()["outputs"]
    [share] = [output for output in outputs if output["txid"] == closed["txid"]]
    assert share["status"] == "confirmed"
    assert 990_000_000 < share["amount_msat"] < 1_000_000_000
    name = f"{share['txid']}:{share['output']}"
    sent = rpc.withdraw(NOBODY, "all", feerate="1000perkb", utxos=[name])
    pair.chain.mine(1)
    pair.alice.wait_for_height(pair.chain.height())
    left = rpc.listfunds()["outputs"]
    assert left == [output for output in outputs if output != share]
    spent = rpc.listfunds(spent=True)["outputs"]
    assert [output["status"] for output in spent if output["txid"] == share["txid"]] == ["spent"]
    sent = rpc.withdraw(NOBODY, 100_000)
    assert len(sent["txid"]) == 64 and sent["psbt"].startswith("cHNidP8")
    # Six blocks deep nothing of the channel is to come.
    pair.chain.mine(4)
    wait_for("no channel", lambda: rpc.listpeerchannels()["channels"] == [])


def test_a_channel_with_a_destination_and_a_peer_that_is_gone(pair, refused):
    rpc = pair.alice.rpc
    assert refused(rpc.close, pair.bob.id, destination="nowhere")["code"] == -1
    closed = rpc.close(pair.bob.id, None, NOBODY, "50%", False, ["slow", "urgent"])
    assert closed["type"] == "mutual" and len(closed["txs"]) == 1
    error = refused(rpc.close, pair.bob.id)
    assert (error["code"], error["message"]) == (-1, "Peer has no active channel")
    [peer] = rpc.listpeers()["peers"]
    assert (peer["id"], peer["connected"], peer["num_channels"]) == (pair.bob.id, True, 0)
    assert rpc.disconnect(pair.bob.id) == {}
    assert rpc.listpeers(pair.bob.id)["peers"] == []
    assert refused(rpc.disconnect, pair.bob.id, True)["code"] == -32602


def test_terms_are_set_and_the_network_is_listed(pair):
    rpc = pair.alice.rpc
    scid = pair.alice.channel()["short_channel_id"]
    [terms] = rpc.setchannel(scid, feebase="3sat", feeppm=20)["channels"]
    assert (terms["fee_base_msat"], terms["fee_proportional_millionths"]) == (3_000, 20)

    def known():
        channels = pair.bob.rpc.listchannels(source=pair.alice.id)["channels"]
        return [channel for channel in channels if channel["base_fee_millisatoshi"] == 3_000]

    [channel] = wait_for("the new terms", known)
    assert channel["short_channel_id"] == scid
    wait_for("both directions", lambda: len(rpc.listchannels(scid)["channels"]) == 2)
    assert channel in rpc.listchannels(destination=pair.bob.id)["channels"]
    ids = {node["nodeid"] for node in rpc.listnodes()["nodes"]}
    assert ids == {pair.alice.id, pair.bob.id}
    assert [node["nodeid"] for node in rpc.listnodes(pair.bob.id)["nodes"]] == [pair.bob.id]


def test_rates_forwards_and_configuration(pair, refused):
    rpc = pair.alice.rpc
    per_kb, per_kw = rpc.feerates("perkb")["perkb"], rpc.feerates("perkw")["perkw"]
    assert per_kb["opening"] == 4 * per_kw["opening"]
    assert per_kw["estimates"]
    assert refused(rpc.feerates, "perbyte")["code"] == -32602
    assert rpc.listforwards() == {"forwards": []}
    assert rpc.listforwards(status="settled", index="created", start=1, limit=5) == {"forwards": []}
    configs = rpc.listconfigs()["configs"]
    assert configs["network"] == {"value_str": "regtest", "source": "cmdline"}
    assert rpc.listconfigs("alias")["configs"]["alias"]["value_str"] == rpc.getinfo()["alias"]
    assert refused(rpc.listconfigs, "nonsense")["code"] == -32602


@pytest.mark.parametrize("settings", [['amounts="msat-strings"'], ['amounts="integer"']])
def test_amounts_of_channels_are_integers_in_both_forms(pair, settings):
    for funds in (pair.alice.rpc.listfunds(), pair.bob.rpc.listfunds()):
        for part in funds["channels"] + funds["outputs"]:
            assert isinstance(part["amount_msat"], int)
