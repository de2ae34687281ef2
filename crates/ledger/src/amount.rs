//! Money: whole millisatoshi in a type, never above 21 million bitcoin, never a float.

use std::fmt;

/// An amount in millisatoshi, at most [`Msat::MAX`] (21 million bitcoin).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Msat(u64);

impl Msat {
    /// All the bitcoin there can be: 2.1e18 msat.
    pub const MAX: Msat = Msat(2_100_000_000_000_000_000);
    /// No money.
    pub const ZERO: Msat = Msat(0);

    /// The amount of `msat` millisatoshi, or nothing if that is above [`Msat::MAX`].
    pub const fn new(msat: u64) -> Option<Msat> {
        if msat <= Msat::MAX.0 {
            Some(Msat(msat))
        } else {
            None
        }
    }

    /// The number of millisatoshi.
    pub const fn msat(self) -> u64 {
        self.0
    }

    /// The sum, or nothing if it is above [`Msat::MAX`].
    pub const fn checked_add(self, other: Msat) -> Option<Msat> {
        // Cannot wrap: both are at most 2.1e18, and u64 holds 1.8e19.
        Msat::new(self.0 + other.0)
    }

    /// The difference, or nothing if `other` is the larger.
    pub const fn checked_sub(self, other: Msat) -> Option<Msat> {
        match self.0.checked_sub(other.0) {
            Some(msat) => Some(Msat(msat)),
            None => None,
        }
    }
}

impl fmt::Display for Msat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}msat", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Msat;

    #[test]
    fn amounts_end_at_21_million_bitcoin() {
        assert_eq!(Msat::new(Msat::MAX.msat()), Some(Msat::MAX));
        assert_eq!(Msat::new(Msat::MAX.msat() + 1), None);
        assert_eq!(Msat::MAX.checked_add(Msat::new(1).unwrap()), None);
        assert_eq!(Msat::ZERO.checked_sub(Msat::new(1).unwrap()), None);
        assert_eq!(Msat::new(7).unwrap().to_string(), "7msat");
    }
}
