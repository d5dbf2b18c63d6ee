//! Namespaces of the network in which gates run, each with three cables of its own: to callers and what stands behind the
//! gate, to Redis, and to PostgreSQL. Any of them can be cut alone, without a word to whoever is connected.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr},
    process::{Child, Command, Stdio},
};

use crate::harness::program::debian;

/// What a cable leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cable {
    Front,
    Redis,
    Postgres,
}

impl Cable {
    const ALL: [Self; 3] = [Self::Front, Self::Redis, Self::Postgres];
}

/// Nodes and their cables. Gone when dropped, and when this process is gone.
pub(super) struct Network {
    /// Of this network: in all of its names and addresses.
    slot: u32,
    /// It takes everything away when its input ends.
    warden: Child,
}

/// Slots in 198.18.0.0/15, which is for tests and nothing else (RFC 2544), of 64 addresses each.
const SLOTS: u32 = 2048;
const FIRST: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// What the warden ends with where the slot is somebody else's.
const TAKEN: i32 = 3;

impl Network {
    /// A network of so many nodes, five at most.
    ///
    /// # Panics
    /// Without `ip`, with the command that installs it, or when this user may not make namespaces.
    pub(super) fn of(nodes: usize) -> Self {
        // Tests of one process begin one after the other, and those of others somewhere else.
        let begin = std::process::id().wrapping_mul(61);
        for slot in (0..SLOTS).map(|next| begin.wrapping_add(next) % SLOTS) {
            if let Some(network) = Self::in_slot(slot, nodes) {
                return network;
            }
        }
        panic!("every slot is taken: `ip netns list` shows by whom");
    }

    fn in_slot(slot: u32, nodes: usize) -> Option<Self> {
        let mut warden = Command::new("sh")
            .args(["-c", &script(slot, nodes)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut said = String::new();
        let mut lines = BufReader::new(warden.stdout.take().expect("piped"));
        lines.read_line(&mut said).expect("text");
        if said == "made\n" {
            return Some(Self { slot, warden });
        }
        let ended = warden.wait_with_output().expect("it ends");
        assert_eq!(
            ended.status.code(),
            Some(TAKEN),
            "namespaces of the network could not be made, which takes root: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
        None
    }

    /// What a command begins with that runs on a node.
    pub(super) fn on(&self, node: usize) -> [String; 4] {
        ["ip", "netns", "exec", &namespace(self.slot, node)].map(str::to_owned)
    }

    /// The address of the node's end of a cable.
    pub(super) fn there(&self, node: usize, cable: Cable) -> IpAddr {
        address(self.slot, node, cable, 2).into()
    }

    /// The address of its other end, which is reached by the node alone.
    pub(super) fn here(&self, node: usize, cable: Cable) -> IpAddr {
        address(self.slot, node, cable, 1).into()
    }

    /// Pulls a cable: nothing comes through, and nobody is told.
    pub(super) fn cut(&self, node: usize, cable: Cable) {
        self.set(node, cable, "down");
    }

    /// Puts it back.
    pub(super) fn mend(&self, node: usize, cable: Cable) {
        self.set(node, cable, "up");
    }

    fn set(&self, node: usize, cable: Cable, state: &str) {
        let name = name(self.slot, node, cable);
        let set = Command::new("ip")
            .args(["link", "set", "dev", &name, state])
            .status();
        assert!(set.expect("ip").success(), "{name} {state}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.warden.stdin.take());
        let _ = self.warden.wait();
    }
}

fn namespace(slot: u32, node: usize) -> String {
    format!("sg{slot}-{node}")
}

/// Of the end on this side; shorter than the 16 bytes that the kernel has for it.
fn name(slot: u32, node: usize, cable: Cable) -> String {
    format!("sg{slot}-{node}{}", cable as usize)
}

fn address(slot: u32, node: usize, cable: Cable, end: u32) -> Ipv4Addr {
    let cable = u32::try_from(node * Cable::ALL.len() + cable as usize).expect("few nodes");
    Ipv4Addr::from_bits(FIRST + slot * 64 + cable * 4 + end)
}

/// Makes everything, waits until its input ends, and takes it away. Whoever has the first cable has the slot.
fn script(slot: u32, nodes: usize) -> String {
    assert!(nodes <= 5, "more nodes than addresses");
    let ip = debian("ip", "iproute2").display().to_string();
    let (mut make, mut take_away) = (vec!["true".to_owned()], String::new());
    for node in 0..nodes {
        let namespace = namespace(slot, node);
        make.push(format!("{ip} netns add {namespace}"));
        let _ = writeln!(take_away, "{ip} netns del {namespace}");
        for cable in Cable::ALL {
            let (name, inner) = (name(slot, node, cable), format!("c{}", cable as usize));
            let [here, there] = [1, 2].map(|end| address(slot, node, cable, end));
            if (node, cable) != (0, Cable::Front) {
                make.push(format!("{ip} link add {name} type veth peer name {name}p"));
            }
            make.extend([
                format!("{ip} link set {name}p netns {namespace} name {inner}"),
                format!("{ip} addr add {here}/30 dev {name}"),
                format!("{ip} link set {name} up"),
                format!("{ip} -n {namespace} addr add {there}/30 dev {inner}"),
                format!("{ip} -n {namespace} link set {inner} up"),
            ]);
            let _ = writeln!(take_away, "{ip} link del {name}");
        }
    }
    let make = make.join(" &&\n");
    let claim = name(slot, 0, Cable::Front);
    format!(
        "trap '' INT TERM\n\
         said=$({ip} link add {claim} type veth peer name {claim}p 2>&1) || {{\n\
         case $said in *exists*) exit {TAKEN};; *) echo \"$said\" >&2; exit 1;; esac\n}}\n\
         take_away() {{\n{take_away}}} 2>/dev/null\n\
         {{ {make}; }} || {{ take_away; exit 1; }}\n\
         echo made\n\
         while read -r line; do :; done\n\
         take_away"
    )
}
