//! What a command tells while it runs, and who wants to know.

use crate::server::{cli, serve, text};

#[test]
fn messages_from_a_level_on_are_lines_on_standard_error() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path());
    let bar = format!("\r# 2/2 |{}|\n", "=".repeat(60));
    for (options, told, notified) in [
        (&[][..], format!("# on the way\n# a detour\n{bar}"), true),
        (
            &["-N", "info"],
            format!("# on the way\n# a detour\n{bar}"),
            true,
        ),
        (
            &["-Ndebug"],
            format!("# looking for a way\n# on the way\n# a detour\n{bar}"),
            true,
        ),
        (
            &["--notifications", "unusual"],
            format!("# a detour\n{bar}"),
            true,
        ),
        (&["--notifications=broken"], bar.clone(), true),
        (&["-N", "none"], String::new(), false),
    ] {
        let output = cli(dir.path())
            .args(options)
            .args(["-R", "slow"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{options:?}");
        assert_eq!(text(&output.stderr), told, "{options:?}");
        // What is read from standard output is the result alone.
        let result = format!("{{\"notified\":{notified}}}\n");
        assert_eq!(text(&output.stdout), result, "{options:?}");
    }
}
