//! That `docs/compatibility.md` is that of the types, and that each difference has its reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../compatibility/page.rs"]
mod page;

#[test]
fn the_page_beside_core_lightning_is_that_of_the_types_and_gives_every_reason() {
    let made = page::page().unwrap_or_else(|wrong| panic!("{wrong}"));
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        kept == made,
        "docs/compatibility.md is stale; make it again: cargo run -p sendpay-rpc --example pages -- docs"
    );
}
