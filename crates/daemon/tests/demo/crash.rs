//! A run that was cut off goes on where it was.

use std::time::{Duration, Instant};

use crate::process::{Process, assert_whole, run_once};

/// Demos that are cut off, each several times. `DEMO_CRASH_ROUNDS` makes them more.
const ROUNDS: u64 = 4;
const CRASHES: u64 = 4;

/// A number from 0 to 1 that only the arguments decide (splitmix64).
fn fraction(seed: u64, step: u64) -> f64 {
    let mut mixed = seed.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
}

#[test]
fn a_run_that_was_killed_goes_on_at_the_next() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().expect("a number"))
    };
    let seed = number("DEMO_CRASH_SEED").unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs()
    });
    println!("DEMO_CRASH_SEED={seed}");
    // How long a run takes here and now: the crashes are to fall into all of it.
    let temporary = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    run_once(&temporary.path().join("whole"));
    let whole = begun.elapsed();
    for round in 0..number("DEMO_CRASH_ROUNDS").unwrap_or(ROUNDS) {
        let dir = temporary.path().join(format!("round{round}"));
        let mut instants = Vec::new();
        for crash in 0..CRASHES {
            let arguments = ["demo", "--exit", "--dir", dir.to_str().unwrap()];
            let mut demo = Process::start(&arguments, &dir.with_extension("stderr"));
            let instant = whole.mul_f64(fraction(seed, round * CRASHES + crash));
            // Not a wait for anything: the instant of the crash is what is tried out.
            std::thread::sleep(instant.max(Duration::from_millis(1)));
            demo.kill();
            instants.push(instant);
        }
        println!("round {round}: killed after {instants:?} of {whole:?}");
        let payments = run_once(&dir);
        assert_whole(&payments);
        assert_eq!(run_once(&dir), payments);
    }
}
