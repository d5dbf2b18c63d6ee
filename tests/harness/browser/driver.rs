//! chromedriver, one for all tests of this process, and the sessions that it opens.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock},
    time::Instant,
};

use fantoccini::{Client, ClientBuilder, wd::WebDriverCompatibleCommand};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Screen, WAIT_MAX, WAIT_STEP};
use crate::harness::program::{debian, free_address};

/// A Chromium takes some 200 MB and a core while it starts.
const SESSIONS_MAX: usize = 3;
static SESSIONS: Semaphore = Semaphore::const_new(SESSIONS_MAX);

/// A Chromium with a profile of its own, which nobody else uses. It ends when this is dropped.
pub(super) struct Session {
    /// Who speaks to it.
    pub(super) client: Client,
    id: String,
    _permit: SemaphorePermit<'static>,
}

impl Session {
    /// Starts a Chromium, once there are few enough of them.
    pub(super) async fn open(screen: Screen) -> Self {
        let permit = SESSIONS.acquire().await.expect("never closed");
        let capabilities = capabilities(screen);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().expect("an object").clone())
            .connect(&format!("http://{}", driver()))
            .await
            .unwrap_or_else(|error| panic!("chromedriver opens no session: {error}"));
        client.persist().await.expect("a session");
        let id = client.session_id().await.expect("a session");
        Self {
            client,
            id: id.expect("a session's id"),
            _permit: permit,
        }
    }

    /// What chromedriver answers to something that the client does not know: `GET` without a body, or else `POST`.
    pub(super) async fn command(&self, path: &str, body: Option<Value>) -> Value {
        let path = path.to_owned();
        let answer = self.client.issue_cmd(Extension { path, body }).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A command of the Chrome DevTools Protocol.
    pub(super) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("goog/cdp/execute", Some(body)).await
    }
}

/// The test's runtime may be gone when a failed test drops it, so this one waits without it.
impl Drop for Session {
    fn drop(&mut self) {
        let ask = || -> std::io::Result<()> {
            let mut stream = TcpStream::connect(driver())?;
            stream.set_read_timeout(Some(WAIT_MAX))?;
            let head = "HTTP/1.1\r\nhost: localhost\r\n\r\n";
            write!(stream, "DELETE /session/{} {head}", self.id)?;
            // It answers when the Chromium is gone, and keeps the connection.
            stream.read_exact(&mut [0])
        };
        // Whatever goes wrong here, all of them end with the driver.
        let _ = ask();
    }
}

/// A command that the client does not know.
#[derive(Debug)]
struct Extension {
    path: String,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _url: &url::Url) -> (Method, Option<String>) {
        match &self.body {
            Some(body) => (Method::POST, Some(body.to_string())),
            None => (Method::GET, None),
        }
    }
}

fn capabilities(screen: Screen) -> Value {
    let (width, height) = screen.size();
    let chromium = debian("chromium", "chromium");
    json!({
        "goog:chromeOptions": {
            "binary": chromium,
            "args": [
                "--headless=new",
                // Chromium's own sandbox does not start in a container; what is shown to it here is our own.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                format!("--window-size={width},{height}"),
            ],
            "prefs": if screen.script {
                json!({})
            } else {
                json!({ "profile.managed_default_content_settings.javascript": 2 })
            },
        },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
    })
}

/// Where chromedriver listens. The first call starts it.
///
/// A shell stands between: it waits until the pipe closes that only this process holds open, so chromedriver and every
/// Chromium end with this process, however it ends.
fn driver() -> &'static str {
    static DRIVER: OnceLock<(String, Mutex<Child>)> = OnceLock::new();
    let (address, _) = DRIVER.get_or_init(|| {
        let (program, curl) = (
            debian("chromedriver", "chromium-driver"),
            debian("curl", "curl"),
        );
        let address = free_address();
        let script = r#"
            "$0" --port="$2" --log-level=SEVERE </dev/null >/dev/null & read _
            "$1" --silent --output /dev/null "http://127.0.0.1:$2/shutdown"
            wait"#;
        let mut child = Command::new("sh")
            .args(["-c", script])
            .args([program, curl])
            .arg(address.port().to_string())
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = child.try_wait().expect("a child");
            assert!(
                ended.is_none() && since.elapsed() < WAIT_MAX,
                "chromedriver does not listen on {address}: {ended:?}"
            );
            std::thread::sleep(WAIT_STEP);
        }
        (address.to_string(), Mutex::new(child))
    });
    address
}
