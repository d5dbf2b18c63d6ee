//! The same by keyboard alone.

use fantoccini::{
    actions::{InputSource as _, KeyAction, KeyActions},
    key::Key as Code,
};

use super::{Browser, text};

/// A key that moves, chooses or sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// To the next control.
    Tab,
    /// Ticks, or presses a button.
    Space,
    /// Follows a link, presses a button or sends a form.
    Enter,
    /// To the next of several radio buttons or options.
    Down,
    /// Closes.
    Escape,
}

/// More controls than a page has.
const TABS_MAX: usize = 120;

impl Browser {
    /// Presses a key, and waits for the next page where it leads to one.
    pub async fn press(&self, key: Key) {
        let (code, name) = match key {
            Key::Tab => (Code::Tab, "Tab"),
            Key::Space => (Code::Space, " "),
            Key::Enter => (Code::Enter, "Enter"),
            Key::Down => (Code::Down, "ArrowDown"),
            Key::Escape => (Code::Escape, "Escape"),
        };
        let leaves = match key {
            Key::Tab | Key::Down | Key::Escape => None,
            Key::Space | Key::Enter => Some(self.leaving(None, name).await),
        };
        self.strike(&[code.into()]).await;
        if let Some(leaves) = leaves {
            self.settled(leaves).await;
        }
    }

    /// Writes with the keys, where the focus is.
    pub async fn write(&self, text: &str) {
        self.strike(&text.chars().collect::<Vec<_>>()).await;
    }

    /// Presses these keys, each after the other was let go.
    async fn strike(&self, keys: &[char]) {
        let actions = keys
            .iter()
            .fold(KeyActions::new("keys".to_owned()), |actions, key| {
                actions
                    .then(KeyAction::Down { value: *key })
                    .then(KeyAction::Up { value: *key })
            });
        let struck = self.session.client.perform_actions(actions).await;
        struck.expect("a keyboard");
    }

    /// What a screen reader calls whatever has the focus; empty for none.
    pub async fn focused(&self) -> String {
        let element = self.session.client.active_element().await;
        let element = serde_json::to_value(element.expect("the focus")).expect("an element");
        let id = element
            .as_object()
            .and_then(|element| element.values().next());
        let id = id.map(text).expect("its id");
        let path = format!("element/{id}/computedlabel");
        text(&self.session.command(&path, None).await)
    }

    /// Goes on with Tab until this has the focus.
    pub async fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..TABS_MAX {
            self.press(Key::Tab).await;
            let focused = self.focused().await;
            if focused == name {
                self.assert_focus_shows(name).await;
                return;
            }
            passed.push(focused);
        }
        panic!(
            "Tab does not come to `{name}`, but: {passed:?}, on {}",
            self.shown().await
        );
    }

    /// Goes to a link or button and uses it.
    pub async fn tab_enter(&self, name: &str) {
        self.tab_to(name).await;
        self.press(Key::Enter).await;
    }

    /// Goes to a field and writes there.
    pub async fn tab_write(&self, label: &str, text: &str) {
        self.tab_to(label).await;
        self.write(text).await;
    }

    /// Goes to a checkbox or radio button and chooses it.
    pub async fn tab_choose(&self, label: &str) {
        self.tab_to(label).await;
        self.press(Key::Space).await;
    }

    /// Fails when nobody would see where the focus is.
    async fn assert_focus_shows(&self, name: &str) {
        let script = "
            const shows = (element) => {
              const style = getComputedStyle(element);
              const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
              return outlined || style.boxShadow !== 'none';
            };
            const focused = document.activeElement;
            // A hidden checkbox shows it on its label.
            return focused.matches(':focus-visible') && [focused, ...(focused.labels ?? [])].some(shows)";
        let shows = self.script(script, Vec::new()).await;
        assert_eq!(shows, true, "nobody sees that `{name}` has the focus");
    }
}
