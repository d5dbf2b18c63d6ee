//! Programs of other people that tests run: found or installed, started on free ports, and ended with the test.
//!
//! One that is missing fails its test with the command that installs it.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// A program that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    /// What it wrote.
    log: PathBuf,
    /// Its configuration and whatever it writes.
    _directory: Option<tempfile::TempDir>,
}

/// How long a program may take until it listens, on a machine that does something else besides.
const START_MAX: Duration = Duration::from_secs(60);

impl Program {
    /// Starts it, with what it writes in this directory, which is kept as long.
    pub fn start(name: &str, mut command: Command, directory: tempfile::TempDir) -> Self {
        let log = directory.path().join(format!("{name}.log"));
        let output = fs::File::create(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the same file"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self {
            name: name.to_owned(),
            child,
            log,
            _directory: Some(directory),
        }
    }

    /// Waits until it takes connections here.
    pub async fn listening(&mut self, address: SocketAddr) {
        let since = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            let ended = self.child.try_wait().expect("a child");
            assert!(
                ended.is_none() && since.elapsed() < START_MAX,
                "{} does not listen on {address} ({ended:?}):\n{}",
                self.name,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of this machine that nobody has, for programs that cannot tell which one they took.
pub fn free_address() -> SocketAddr {
    let here = Ipv4Addr::LOCALHOST;
    SocketAddr::from((here, scopegate_engines::free_port(here.into())))
}

/// A Debian program.
///
/// # Panics
/// When it is not there: with the command that installs it.
pub fn debian(program: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = places
        .map(|place| place.join(program))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("`{program}` is needed: `apt-get install --no-install-recommends {package}`")
    })
}

/// The Envoy that its wheel brings.
pub fn envoy() -> PathBuf {
    static ENVOY: OnceLock<PathBuf> = OnceLock::new();
    ENVOY
        .get_or_init(|| {
            let place = proxies();
            let lib = fs::read_dir(place.join("lib")).expect("a library folder");
            let found = lib
                .map(|entry| entry.expect("an entry").path())
                .map(|python| python.join("site-packages/envoy/_bin/envoy"))
                .find(|file| file.is_file());
            found.unwrap_or_else(|| panic!("no Envoy in {}", place.display()))
        })
        .clone()
}

/// The Traefik that its wheel brings.
pub fn traefik() -> PathBuf {
    proxies().join("bin/traefik")
}

/// Where the proxies are that come as wheels, `target/proxies`. Tests run as threads, and one of them installs.
fn proxies() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| python("proxies", Path::new("proxies/requirements.txt")))
}

/// A folder of `target/` with these Python packages. Installs them when they are not there, or others.
pub fn python(name: &str, requirements: &Path) -> PathBuf {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join(requirements);
    let wanted = fs::read_to_string(&requirements).expect("requirements");
    let test = env::current_exe().expect("a test has a path");
    let target = test.ancestors().nth(3).expect("target/<profile>/deps");
    let place = target.join(name);
    let stamp = place.join("installed.txt");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
        let command = format!(
            "python3 -m venv --clear '{place}' && '{place}/bin/pip' install --quiet --requirement '{requirements}'",
            place = place.display(),
            requirements = requirements.display(),
        );
        let output = Command::new("sh").args(["-c", &command]).output();
        let output = output.expect("a shell");
        assert!(
            output.status.success(),
            "{name} is needed and could not be installed. With Python 3 and its venv (Debian: python3-venv), run\n\
             {command}\n\nIt said: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        fs::write(stamp, wanted).expect("written");
    }
    place
}
