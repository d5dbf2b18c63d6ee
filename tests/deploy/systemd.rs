//! The unit, as systemd reads it, and what the server tells whoever supervises it.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{deployed, succeeds};
use crate::{
    cli::{binary::scopegate, own_gate::gate},
    harness::program::debian,
};

/// How exposed it may be, in tenths: systemd itself calls up to 20 "OK", and a unit that says nothing is at 96.
const EXPOSURE_MAX: u32 = 15;

#[test]
fn systemd_reads_the_unit_and_finds_it_closed() {
    let analyze = debian("systemd-analyze", "systemd");
    let folder = tempfile::tempdir().expect("a folder");
    let unit = fs::read_to_string(deployed("systemd/scopegate.service")).expect("a unit");
    // Verifying looks for the program.
    let installed = "/usr/local/bin/scopegate";
    assert!(unit.contains(installed));
    let unit = unit.replace(installed, &scopegate().display().to_string());
    let path = folder.path().join("scopegate.service");
    fs::write(&path, &unit).expect("written");
    let mut verify = Command::new(&analyze);
    verify.args(["verify", "--man=no", "--recursive-errors=one"]);
    let printed = succeeds(verify.arg(&path));
    assert_eq!(printed.trim(), "");
    let mut security = Command::new(&analyze);
    security.args(["security", "--offline=true", "--no-pager"]);
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    succeeds(security.arg(threshold).arg(&path));
    let user = fs::read_to_string(deployed("systemd/scopegate.sysusers")).expect("a user");
    assert!(user.contains("u scopegate ") && unit.contains("\nUser=scopegate\n"));
}

/// Ends with the test.
struct Supervised(Child);

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_supervisor_is_told_when_requests_are_answered_and_when_it_stops() {
    let gate = gate("scopegate");
    let path = gate.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout");
    let told = || {
        let mut text = [0; 512];
        let length = socket.recv(&mut text).expect("it is told");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let server = Command::new(scopegate())
        .arg("serve")
        .current_dir(gate.path())
        .env("NOTIFY_SOCKET", &path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let mut server = Supervised(server.expect("it starts"));
    assert_eq!(told(), "READY=1\nSTATUS=answering requests\n");
    let id = server.0.id().to_string();
    succeeds(Command::new("kill").args(["-TERM", &id]));
    assert_eq!(told(), "STOPPING=1\nSTATUS=finishing what is under way\n");
    assert!(server.0.wait().expect("it ends").success());
}
