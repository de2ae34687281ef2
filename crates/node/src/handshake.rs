//! What can be chosen with an opening of ours, as LDK takes it.

use bitcoin::Amount;
use lightning::util::config::UserConfig;

use crate::channel::{OpenChannel, OpenError};
use crate::depth::DEPTH_MAX;

/// Least that LDK asks a peer to keep in a channel, in satoshi: below that it could try to cheat for
/// nothing.
pub(crate) const RESERVE_MIN_SAT: u64 = 1_000;

/// The configuration of one channel of `amount`. `fixes_close`: where a close pays is told the peer for good.
pub(crate) fn chosen(
    usual: &UserConfig,
    open: &OpenChannel,
    amount: Amount,
    fixes_close: bool,
) -> Result<UserConfig, OpenError> {
    if open.depth_min > DEPTH_MAX {
        return Err(OpenError::Depth);
    }
    let mut config = usual.clone();
    let handshake = &mut config.channel_handshake_config;
    handshake.commit_upfront_shutdown_pubkey = fixes_close;
    handshake.announce_for_forwarding = open.announce;
    if let Some(reserve) = open.reserve {
        handshake.their_channel_reserve_proportional_millionths =
            reserve_millionths(reserve, amount).ok_or(OpenError::Reserve)?;
    }
    Ok(config)
}

/// The reserve as LDK wants it, in millionths of the channel: the least that come to as much. None if
/// LDK would make something else of it.
fn reserve_millionths(reserve: Amount, channel: Amount) -> Option<u32> {
    if reserve.to_sat() < RESERVE_MIN_SAT || reserve > channel {
        return None;
    }
    let millionths = u128::from(reserve.to_sat()) * 1_000_000;
    u32::try_from(millionths.div_ceil(u128::from(channel.to_sat()))).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reserve_is_the_least_share_that_comes_to_as_much() {
        let share = |reserve, channel| {
            reserve_millionths(Amount::from_sat(reserve), Amount::from_sat(channel))
        };
        // What LDK makes of it.
        let sat = |millionths: u32, channel: u64| channel * u64::from(millionths) / 1_000_000;
        for channel in [1_000, 20_000, 999_999, 1_000_000] {
            for reserve in [1_000, 1_001, channel / 2, channel - 1, channel] {
                if (1_000..=channel).contains(&reserve) {
                    assert_eq!(sat(share(reserve, channel).unwrap(), channel), reserve);
                }
            }
        }
        // A greater channel has no millionth for every satoshi.
        assert_eq!(
            sat(share(100_001, 10_000_000).unwrap(), 10_000_000),
            100_010
        );
        for (reserve, channel) in [(999, 20_000), (0, 20_000), (20_001, 20_000)] {
            assert_eq!(share(reserve, channel), None);
        }
    }
}
