//! `help METHOD` shows the manual page, if there is a `man` that has it.

use crate::server::{cli, serve, text};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program with a `man` of ours first in the path, which knows one page by its name, shows
/// any file, and remembers what it was asked for.
fn run(dir: &Path, arguments: &[&str]) -> (Output, String) {
    run_program(cli(dir), dir, arguments)
}

fn run_program(mut program: Command, dir: &Path, arguments: &[&str]) -> (Output, String) {
    let asked = dir.join("asked");
    std::fs::write(&asked, "").unwrap();
    let man = dir.join("man");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> '{}'\n\
         case \"$1\" in sendpay-known) echo the page;; -l) cat \"$2\";;\n\
         *) echo no entry >&2; exit 16;; esac\n",
        asked.display()
    );
    std::fs::write(&man, script).unwrap();
    std::fs::set_permissions(&man, std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:/usr/bin:/bin", dir.display());
    let output = program.env("PATH", path).args(arguments).output().unwrap();
    (output, std::fs::read_to_string(asked).unwrap())
}

#[test]
fn a_page_that_man_has_is_shown_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let (output, asked) = run(dir.path(), &["help", "known"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "the page\n");
    assert_eq!(asked, "sendpay-known\n");
}

#[test]
fn a_page_beside_a_program_that_was_built_is_shown_by_its_file() {
    let dir = tempfile::tempdir().unwrap();
    // Built in the tree's own folder, wherever this test was built.
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = dir.path().join("target/debug");
    std::fs::create_dir_all(&built).unwrap();
    let program = built.join("sendpay-cli");
    std::fs::copy(env!("CARGO_BIN_EXE_sendpay-cli"), &program).unwrap();
    std::os::unix::fs::symlink(tree.join("docs"), dir.path().join("docs")).unwrap();
    let arguments = ["help", "listsendpays"];
    let (output, asked) = run_program(Command::new(program), dir.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(".SH \"SYNOPSIS\""));
    let asked: Vec<&str> = asked.lines().collect();
    assert_eq!((asked.len(), asked[0]), (2, "sendpay-listsendpays"));
    assert!(asked[1].starts_with("-l /") && asked[1].ends_with("/man7/sendpay-listsendpays.7"));
}

#[test]
fn without_a_page_the_daemon_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path());
    for (arguments, man) in [
        (&["help", "nosuch"][..], "sendpay-nosuch\n"),
        // No name of a method, and no option or file for man.
        (&["help", "../known"], ""),
        (&["help", ""], ""),
    ] {
        let (output, asked) = run(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            text(&output.stderr).contains("Unknown command"),
            "{arguments:?}"
        );
        assert_eq!(asked, man, "{arguments:?}");
    }
    // Whoever says how it is to be shown gets that.
    for form in ["-J", "-R", "-H", "-F"] {
        let (output, asked) = run(dir.path(), &[form, "help", "known"]);
        assert_eq!(output.status.code(), Some(1), "{form}");
        assert_eq!(asked, "", "{form}");
    }
}
