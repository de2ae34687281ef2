//! What fuzzing found worth keeping, as it is kept: a file for each target, an input in each line, in
//! hexadecimal.

use std::path::Path;

/// Runs a target on everything in its corpus.
pub(crate) fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let text = std::fs::read_to_string(corpus.join(format!("{target}.hex"))).unwrap();
    for line in text.lines() {
        // Said first, so that a failure says of what.
        println!("{line}");
        run(&bytes(line));
    }
    assert!(!text.is_empty(), "no corpus of {target}");
}

fn bytes(line: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
    (0..line.len()).step_by(2).map(pair).collect()
}
