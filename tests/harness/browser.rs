//! A person at a browser: a real Chromium, which tests use by what it shows, through WebDriver.
//!
//! ```ignore
//! let browser = Browser::open(&world).await;
//! browser.goto("/-/sign-in").await;
//! browser.fill("E-mail", "admin@acme.example").await;
//! browser.fill("Password", PASSWORD).await;
//! browser.click("Sign in").await;
//! assert_eq!(browser.heading().await, "Overview");
//! ```
//!
//! Whatever leads to another page returns when that page is loaded.

use std::{
    collections::BTreeSet,
    env, fs,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fantoccini::{cookies::Cookie, elements::Element};
use serde_json::{Value, json};

use super::World;

mod axe;
mod driver;
mod keyboard;
mod watch;

/// What the browser is like.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// As large as a phone's, and as a phone shows pages.
    pub phone: bool,
    /// Whether pages may run scripts.
    pub script: bool,
    /// Whether the person prefers dark pages.
    pub dark: bool,
    /// Whether the person has no mouse: whatever is done is reached with Tab and done with Space, Enter and arrows.
    pub keyboard: bool,
}

impl Screen {
    /// A desk's, where everything is as browsers come.
    pub const DESK: Self = Self {
        phone: false,
        script: true,
        dark: false,
        keyboard: false,
    };
    /// A desk's without a mouse.
    pub const NO_MOUSE: Self = Self {
        keyboard: true,
        ..Self::DESK
    };
    /// A phone's.
    pub const PHONE: Self = Self {
        phone: true,
        ..Self::DESK
    };
    /// Of someone who lets pages run no script.
    pub const NO_SCRIPT: Self = Self {
        script: false,
        ..Self::DESK
    };

    /// What it differs in, for the names of screenshots.
    fn suffix(self) -> String {
        let differences = [
            (self.keyboard, "-keyboard"),
            (!self.script, "-no-script"),
            (self.phone, "-phone"),
            (self.dark, "-dark"),
        ];
        let differs = differences.iter().filter(|(differs, _)| *differs);
        differs.map(|(_, word)| *word).collect()
    }

    /// Width and height in CSS pixels.
    fn size(self) -> (u32, u32) {
        if self.phone { (390, 844) } else { (1280, 900) }
    }
}

/// A browser of its own, with one page open.
pub struct Browser {
    session: driver::Session,
    /// What it is like.
    pub screen: Screen,
    base: String,
    interactions: AtomicUsize,
    seen: Mutex<watch::Seen>,
}

/// How long the browser may take for anything, on a machine that does something else besides.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often it is asked.
const WAIT_STEP: Duration = Duration::from_millis(15);

impl Browser {
    /// A browser on a desk, whose paths are of this world's public listener.
    pub async fn open(world: &World) -> Self {
        Self::with(&world.url, Screen::DESK).await
    }

    /// Any browser, whose paths are below this URL.
    pub async fn with(base: &str, screen: Screen) -> Self {
        let session = driver::Session::open(screen).await;
        let browser = Self {
            session,
            screen,
            base: base.to_owned(),
            interactions: AtomicUsize::new(0),
            seen: Mutex::default(),
        };
        if screen.phone {
            let (width, height) = screen.size();
            let metrics =
                json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
            let session = &browser.session;
            session
                .devtools("Emulation.setDeviceMetricsOverride", metrics)
                .await;
        }
        browser.prefer_dark(screen.dark).await;
        browser
    }

    /// Changes which pages the person prefers. Nobody here likes motion: what changes has changed at once.
    pub async fn prefer_dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        let session = &self.session;
        session.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Opens a path, or another site's whole URL.
    pub async fn goto(&self, path: &str) {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.base)
        } else {
            path.to_owned()
        };
        let opened = self.session.client.goto(&url).await;
        opened.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.session.client.refresh().await.expect("a page");
    }

    /// Goes to the page before.
    pub async fn back(&self) {
        self.session.client.back().await.expect("a page before");
    }

    /// The page's path and query, or the whole URL of another site's page.
    pub async fn path(&self) -> String {
        let url = self.session.client.current_url().await.expect("a page");
        self.below(url.to_string())
    }

    /// The page's first heading.
    pub async fn heading(&self) -> String {
        self.text_of("h1").await
    }

    /// What the tab is called.
    pub async fn title(&self) -> String {
        self.session.client.title().await.expect("a page")
    }

    /// The text that the page shows.
    pub async fn text(&self) -> String {
        self.text_of("body").await
    }

    /// The text that the first element shows which this selector fits.
    pub async fn text_of(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText.trim() ?? null";
        let text = self.script(script, vec![json!(selector)]).await;
        match text.as_str() {
            Some(text) => text.to_owned(),
            None => panic!("no `{selector}` on {}", self.shown().await),
        }
    }

    /// The page's HTML, with what it hides.
    pub async fn source(&self) -> String {
        self.session.client.source().await.expect("a page")
    }

    /// The texts of all elements that this selector fits.
    pub async fn texts_of(&self, selector: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText.trim())";
        let texts = self.script(script, vec![json!(selector)]).await;
        texts
            .as_array()
            .expect("a list")
            .iter()
            .map(plain)
            .collect()
    }

    /// Where the page's links lead, those of this site as paths; downloads are left out.
    pub async fn links(&self) -> Vec<String> {
        let script = "return [...document.querySelectorAll('a[href]:not([download])')].map((link) => link.href)";
        let links = self.script(script, Vec::new()).await;
        let links = links.as_array().expect("a list").iter().map(plain);
        links.map(|url| self.below(url)).collect()
    }

    /// A URL of this site as a path.
    fn below(&self, url: String) -> String {
        match url.strip_prefix(&self.base) {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => url,
        }
    }

    /// How many elements this selector fits.
    pub async fn count(&self, selector: &str) -> usize {
        let script = "return document.querySelectorAll(arguments[0]).length";
        let count = self.script(script, vec![json!(selector)]).await;
        usize::try_from(count.as_u64().expect("a number")).expect("few")
    }

    /// Waits until the page shows this.
    pub async fn wait_for_text(&self, text: &str) {
        let script = "return document.body.innerText.includes(arguments[0])";
        let arguments = vec![json!(text)];
        self.until(&format!("`{text}`"), script, &arguments).await;
    }

    /// Clicks the link or button with this text.
    pub async fn click(&self, words: &str) {
        self.click_in("", words).await;
    }

    /// Clicks the link or button with this text in the row of a table, or another part, that has this text.
    pub async fn click_in(&self, part: &str, words: &str) {
        let element = self.find("control", words, part).await;
        self.click_on(&element).await;
    }

    /// Clicks what this label stands at: a checkbox or a radio button.
    pub async fn choose(&self, label: &str) {
        self.choose_in("", label).await;
    }

    /// Clicks what this label stands at, in the part of the page that has this text.
    pub async fn choose_in(&self, part: &str, label: &str) {
        let element = self.find("choice", label, part).await;
        self.click_on(&element).await;
    }

    async fn click_on(&self, element: &Element) {
        self.interactions.fetch_add(1, Ordering::Relaxed);
        if self.screen.keyboard {
            return self.use_by_keyboard(element).await;
        }
        let leaves = self.leaving(Some(element), "click").await;
        if let Err(error) = element.click().await {
            panic!("{error} on {}", self.shown().await);
        }
        self.settled(leaves).await;
    }

    /// Writes into the field with this label, whatever stands there.
    pub async fn fill(&self, label: &str, value: &str) {
        self.interactions.fetch_add(1, Ordering::Relaxed);
        let field = self.find("field", label, "").await;
        if self.screen.keyboard {
            return self.write_over(&field, value).await;
        }
        field.clear().await.expect("a field that can be emptied");
        field.send_keys(value).await.expect("a field");
    }

    /// Chooses an option from the list with this label.
    pub async fn select(&self, label: &str, option: &str) {
        self.interactions.fetch_add(1, Ordering::Relaxed);
        let field = self.find("field", label, "").await;
        if self.screen.keyboard {
            return self.select_by_keyboard(&field, option).await;
        }
        field.select_by_label(option).await.expect("an option");
    }

    /// What stands in the field with this label.
    pub async fn value(&self, label: &str) -> String {
        let field = self.find("field", label, "").await;
        let value = field.prop("value").await.expect("a field");
        value.unwrap_or_default()
    }

    /// Whether the checkbox or radio button with this label is chosen.
    pub async fn is_chosen(&self, label: &str) -> bool {
        let field = self.find("field", label, "").await;
        field.is_selected().await.expect("a choice")
    }

    /// Whether the page shows a link or button with this text.
    pub async fn has(&self, words: &str) -> bool {
        let arguments = vec![json!("control"), json!(words), json!("")];
        let found = self.script(include_str!("browser/find.js"), arguments);
        found.await != "is not there"
    }

    /// Whether the link or button with this text can be clicked.
    pub async fn is_enabled(&self, words: &str) -> bool {
        let control = self.find("control", words, "").await;
        control.is_enabled().await.expect("a control")
    }

    /// How many clicks and filled fields there were.
    pub fn interactions(&self) -> usize {
        self.interactions.load(Ordering::Relaxed)
    }

    /// Runs a function's body in the page, outside of what its Content-Security-Policy forbids.
    pub async fn script(&self, body: &str, arguments: Vec<Value>) -> Value {
        let result = self.session.client.execute(body, arguments).await;
        result.unwrap_or_else(|error| panic!("{error} in {body}"))
    }

    /// What the clipboard has.
    pub async fn clipboard(&self) -> String {
        let permissions = json!({ "origin": self.base, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        let session = &self.session;
        session
            .devtools("Browser.grantPermissions", permissions)
            .await;
        let read = "
            const done = arguments[arguments.length - 1];
            navigator.clipboard.readText().then(done, (error) => done(String(error)))";
        let text = self.session.client.execute_async(read, Vec::new()).await;
        plain(&text.expect("a clipboard"))
    }

    /// The page's cookie of this name and path, whether scripts see it or not.
    pub async fn cookie(&self, name: &str, path: &str) -> Option<Cookie<'static>> {
        let cookies = self.session.client.get_all_cookies().await;
        let mut cookies = cookies.expect("a page").into_iter();
        cookies.find(|cookie| cookie.name() == name && cookie.path() == Some(path))
    }

    /// Puts a cookie into the browser, as whoever can write one for this host would.
    pub async fn plant(&self, name: &str, value: &str, path: &str) {
        let cookie = json!({ "name": name, "value": value, "url": format!("{}{path}", self.base), "path": path });
        self.session.devtools("Network.setCookie", cookie).await;
    }

    /// Keeps what the page looks like, all of its length, as `target/screenshots/NAME.png`.
    pub async fn screenshot(&self, name: &str) {
        let metrics = self
            .session
            .devtools("Page.getLayoutMetrics", json!({}))
            .await;
        let mut clip = metrics["cssContentSize"].clone();
        clip["scale"] = json!(1);
        let capture = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self
            .session
            .devtools("Page.captureScreenshot", capture)
            .await;
        let png = BASE64_STANDARD.decode(shot["data"].as_str().expect("a picture"));
        let folder = target().join("screenshots");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(
            folder.join(format!("{name}{}.png", self.screen.suffix())),
            png.expect("base64"),
        )
        .expect("written");
    }

    /// The one element that a person would find by these words. `kind` says which ones come into question.
    async fn find(&self, kind: &str, words: &str, part: &str) -> Element {
        let arguments = vec![json!(kind), json!(words), json!(part)];
        let found = self
            .script(include_str!("browser/find.js"), arguments)
            .await;
        match serde_json::from_value::<ElementId>(found.clone()) {
            Ok(found) => Element::from_element_id(self.session.client.clone(), found.id.into()),
            Err(_) => panic!("`{words}` {found}, on {}", self.shown().await),
        }
    }

    /// Whether doing this to the element, or to the one that has the focus, should lead to another page.
    async fn leaving(&self, element: Option<&Element>, how: &str) -> bool {
        let element = serde_json::to_value(element).expect("an element");
        let arguments = vec![element, json!(how)];
        let leaves = self
            .script(include_str!("browser/leaving.js"), arguments)
            .await;
        leaves.as_bool().expect("an answer")
    }

    /// Waits until there is another page, if there should be one, and until it is loaded.
    async fn settled(&self, leaves: bool) {
        let script = "
            const here = globalThis.hereBefore;
            const left = !here || here.stays || !arguments[0];
            return left && document.readyState === 'complete'";
        self.until("another page", script, &[json!(leaves)]).await;
    }

    /// Waits until the page is one of this site's, after another site's script has sent the browser here.
    pub async fn wait_for_own_page(&self) {
        let script =
            "return location.origin === arguments[0] && document.readyState === 'complete'";
        let arguments = vec![json!(self.base)];
        self.until("page of this site", script, &arguments).await;
    }

    /// The address and the text of what the page's first frame shows.
    pub async fn framed(&self) -> (String, String) {
        let client = &self.session.client;
        client.enter_frame(0).await.expect("a frame");
        let script = "return [location.href, document.body.innerText]";
        let shows = self.script(script, Vec::new()).await;
        client.enter_parent_frame().await.expect("the page around");
        (plain(&shows[0]), plain(&shows[1]))
    }

    /// Waits until a function's body says that it is so.
    async fn until(&self, what: &str, body: &str, arguments: &[Value]) {
        let since = Instant::now();
        loop {
            // Between two pages there is none that could answer.
            let answer = self.session.client.execute(body, arguments.to_vec()).await;
            if matches!(answer, Ok(Value::Bool(true))) {
                return;
            }
            if since.elapsed() > WAIT_MAX {
                panic!("no {what} ({answer:?}): {}", self.shown().await);
            }
            tokio::time::sleep(WAIT_STEP).await;
        }
    }

    /// Where the browser is and what it shows, for messages.
    async fn shown(&self) -> String {
        let script = "return `${location.href}:\n${document.body?.innerText}`";
        let shown = self.session.client.execute(script, Vec::new()).await;
        shown.map_or_else(|error| error.to_string(), |shown| plain(&shown))
    }
}

/// How WebDriver writes an element.
#[derive(serde::Deserialize)]
struct ElementId {
    #[serde(rename = "element-6066-11e4-a52e-4f735466cecf")]
    id: String,
}

fn plain(value: &Value) -> String {
    value.as_str().map_or(value.to_string(), str::to_owned)
}

/// The folder of what is built.
fn target() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    let target = test.ancestors().nth(3).expect("target/<profile>/deps");
    target.to_owned()
}
