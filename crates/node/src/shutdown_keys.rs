//! The keys as the channel manager gets them: LDK's own, but that a channel which is being opened can be
//! bound to close to a script of somebody's choice (BOLT 2's `upfront_shutdown_script`).
//!
//! LDK asks its keys for that script while it makes the channel and is told nothing of which one it is;
//! so the script stands ready in the thread that opens the channel, for as long as that takes. The keys
//! themselves are `keys.rs`'s affair.

use std::cell::RefCell;
use std::sync::Arc;

use bitcoin::ScriptBuf;
use lightning::ln::script::ShutdownScript;
use lightning::sign::{InMemorySigner, KeysManager, SignerProvider};

thread_local! {
    static CLOSE_TO: RefCell<Option<ShutdownScript>> = const { RefCell::new(None) };
}

/// See the file's head.
pub(crate) struct ShutdownKeys(Arc<KeysManager>);

impl ShutdownKeys {
    pub(crate) fn new(keys: Arc<KeysManager>) -> ShutdownKeys {
        ShutdownKeys(keys)
    }
}

/// Opens a channel that closes to this script; with None, to what is chosen when it closes.
pub(crate) fn closing_to<T>(script: Option<ShutdownScript>, open: impl FnOnce() -> T) -> T {
    /// Nothing is left behind, however it ends.
    struct Cleared;
    impl Drop for Cleared {
        fn drop(&mut self) {
            CLOSE_TO.with_borrow_mut(Option::take);
        }
    }
    let _cleared = Cleared;
    CLOSE_TO.with_borrow_mut(|ready| *ready = script);
    open()
}

impl SignerProvider for ShutdownKeys {
    type EcdsaSigner = InMemorySigner;

    fn generate_channel_keys_id(&self, inbound: bool, user_channel_id: u128) -> [u8; 32] {
        self.0.generate_channel_keys_id(inbound, user_channel_id)
    }

    fn derive_channel_signer(&self, channel_keys_id: [u8; 32]) -> InMemorySigner {
        self.0.derive_channel_signer(channel_keys_id)
    }

    fn get_destination_script(&self, channel_keys_id: [u8; 32]) -> Result<ScriptBuf, ()> {
        self.0.get_destination_script(channel_keys_id)
    }

    fn get_shutdown_scriptpubkey(&self) -> Result<ShutdownScript, ()> {
        match CLOSE_TO.with_borrow(Clone::clone) {
            Some(script) => Ok(script),
            None => self.0.get_shutdown_scriptpubkey(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::WPubkeyHash;
    use bitcoin::hashes::Hash;

    #[test]
    fn a_script_stands_ready_while_its_channel_is_opened_and_in_no_other_thread() {
        let keys = Arc::new(KeysManager::new(&[7; 32], 1, 1, true));
        let shutdown = ShutdownKeys::new(keys.clone());
        let usual = keys.get_shutdown_scriptpubkey().unwrap().into_inner();
        let chosen = ShutdownScript::new_p2wpkh(&WPubkeyHash::all_zeros());
        let asked = || shutdown.get_shutdown_scriptpubkey().unwrap().into_inner();
        closing_to(Some(chosen.clone()), || {
            assert_eq!(asked(), chosen.clone().into_inner());
            std::thread::scope(|scope| {
                assert_eq!(scope.spawn(asked).join().unwrap(), usual);
            });
        });
        assert_eq!(asked(), usual);
        closing_to(None, || assert_eq!(asked(), usual));
    }
}
