//! The commands and their help.

mod common;

use std::fs;

use common::tercet;

#[test]
fn help_names_every_command_and_shows_a_first_run() {
    let output = tercet().arg("--help").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["keygen", "node", "doctor", "plaintext", "testnet", "tercet testnet --job", "Exit status"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn wrong_usage_has_its_own_exit_status() {
    for args in [&["nodes"][..], &["node", "--config", "x"], &["keygen"], &[]] {
        assert_eq!(tercet().args(args).output().unwrap().status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn keygen_writes_a_protected_key_prints_the_fingerprint_and_never_replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let keygen = || tercet().args(["keygen", "--name", "ada", "--out"]).arg(folder.path()).output().unwrap();
    let first = keygen();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let text = String::from_utf8(first.stdout).unwrap();
    let printed = text.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap();
    let (certificate, key) = (folder.path().join("ada.crt"), folder.path().join("ada.key"));
    let identity = tercet_net::Identity::load(&certificate, &key).unwrap();
    assert_eq!(identity.fingerprint().to_string(), printed);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = fs::read(&key).unwrap();
    let second = keygen();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("exists already"));
    assert_eq!(fs::read(&key).unwrap(), before);
}

#[test]
fn a_name_that_is_no_file_name_is_refused() {
    for name in ["../ada", "", "a b", ".ada"] {
        let output = tercet().args(["keygen", "--name", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("choose another"));
    }
}
