//! `setchannel`.

use std::sync::Arc;

use sendpay_node::{Channel, ChannelStage, NewTerms};
use sendpay_rpc::method::setchannel::{ChannelTerms, ENFORCE_DELAY, SetChannel, SetChannelResult};
use sendpay_rpc::value::{ChannelsRef, Hash32, Msat, Scid};
use sendpay_rpc::{Code, RpcError};

use super::find_channel;
use super::listpeerchannels::peer_id;
use crate::daemon::Daemon;
use crate::error;

const CAN_SET: [ChannelStage; 2] = [ChannelStage::Opening, ChannelStage::Normal];

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: SetChannel,
) -> Result<SetChannelResult, RpcError> {
    let fee_base_msat = params.feebase.map(|fee| {
        u32::try_from(fee.0).map_err(|_| RpcError::bad_param("feebase", "exceeds u32 max"))
    });
    let fee_base_msat = fee_base_msat.transpose()?;
    if let (Some(min), Some(max)) = (params.htlcmin, params.htlcmax)
        && max < min
    {
        let text = "htlcmax cannot be less than htlcmin";
        return Err(RpcError::new(Code::Lightningd, text));
    }
    not_built(&params)?;
    let none = "Could not find any active channels of peer with that id";
    let channels = match params.id {
        ChannelsRef::These(wanted) => find_channel::find(daemon, wanted, &CAN_SET, none)?,
        ChannelsRef::All => {
            let all = daemon.node().channels().into_iter();
            all.filter(|channel| CAN_SET.contains(&channel.stage))
                .collect()
        }
    };
    let mut set = Vec::new();
    for channel in &channels {
        let terms = NewTerms {
            node_id: channel.node_id,
            channel_id: channel.channel_id,
            fee_base_msat,
            fee_proportional_millionths: params.feeppm,
        };
        let channel = daemon.node().set_terms(&terms).await;
        set.push(show(&channel.map_err(|cause| error::terms(&cause))?));
    }
    Ok(SetChannelResult { channels: set })
}

/// What LDK cannot do.
fn not_built(params: &SetChannel) -> Result<(), RpcError> {
    let refused = |text: &str| Err(RpcError::invalid_params(text));
    if params.htlcmin.is_some() {
        return refused("htlcmin: not supported: LDK takes the least that the other end accepts");
    }
    if params.htlcmax.is_some() {
        return refused("htlcmax: not supported: LDK takes what the channel can hold");
    }
    if params.enforcedelay != ENFORCE_DELAY {
        return refused("enforcedelay: only 300 is supported: LDK's own time, in seconds");
    }
    if params.ignorefeelimits {
        return refused("ignorefeelimits: only false is supported");
    }
    Ok(())
}

fn show(channel: &Channel) -> ChannelTerms {
    ChannelTerms {
        peer_id: peer_id(channel),
        channel_id: Hash32::from_bytes(channel.channel_id),
        short_channel_id: channel.short_channel_id.map(Scid),
        fee_base_msat: Msat(u64::from(channel.fee_base_msat)),
        fee_proportional_millionths: channel.fee_proportional_millionths,
        minimum_htlc_out_msat: Msat(channel.htlc_minimum_out_msat.unwrap_or(0)),
        maximum_htlc_out_msat: Msat(channel.htlc_maximum_out_msat.unwrap_or(channel.total_msat)),
        ignore_fee_limits: false,
    }
}
