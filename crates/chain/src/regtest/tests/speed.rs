//! Figures, for a release build: `cargo test --release -p sendpay-chain -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use bitcoin::Amount;

use super::{Fixture, START, funds_of};

#[test]
#[ignore = "figures, for a release build"]
fn blocks_are_made_fast_enough_for_a_demonstration() {
    let fixture = Fixture::empty();
    let begun = Instant::now();
    fixture
        .chain
        .generate(101, &fixture.key.p2wpkh(), 1_000_000, START)
        .unwrap();
    let blocks = begun.elapsed();

    let mut fan = fixture.draft(&fixture.coinbase(1));
    fan.outputs[0].value = Amount::from_sat(10_000_000);
    fan.outputs = vec![fan.outputs[0].clone(); 400];
    let fan = fixture.key.sign(&fan);
    fixture.accept(&fan).unwrap();
    fixture
        .chain
        .generate(1, &fixture.key.p2wpkh(), 1_000_000, START)
        .unwrap();
    let payments: Vec<_> = (0..400)
        .map(|vout| fixture.payment(&funds_of(&fan, vout)))
        .collect();
    let begun = Instant::now();
    for payment in &payments {
        fixture.accept(payment).unwrap();
    }
    let accepted = begun.elapsed();
    let begun = Instant::now();
    fixture
        .chain
        .generate(1, &fixture.key.p2wpkh(), 1_000_000, START)
        .unwrap();
    let mined = begun.elapsed();
    assert_eq!(fixture.active_block(fixture.height()).txdata.len(), 401);
    println!("101 blocks: {blocks:?}; 400 payments accepted: {accepted:?}, mined: {mined:?}");
    assert!(
        blocks < Duration::from_secs(1),
        "101 blocks took {blocks:?}"
    );
    assert!(
        mined < Duration::from_secs(1),
        "a block of 400 payments took {mined:?}"
    );
}
