//! The same by keyboard alone: what cannot be reached with Tab, or is reached unseen, fails the test.

use fantoccini::{
    actions::{InputSource as _, KeyAction, KeyActions},
    elements::Element,
    key::Key as Code,
};

use super::{Browser, plain};

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
const KEYS_MAX: usize = 120;

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
        let id = id.map(plain).expect("its id");
        let path = format!("element/{id}/computedlabel");
        plain(&self.session.command(&path, None).await)
    }

    /// Goes on with Tab until this has the focus, with arrows inside a group of radio buttons.
    async fn reach(&self, element: &Element) {
        let place = "
            const [wanted] = arguments;
            const focused = document.activeElement;
            if (focused === wanted || focused === wanted.control) return ['here'];
            const radio = wanted.control ?? wanted;
            const group = radio.type === 'radio' && focused.type === 'radio' && focused.name === radio.name;
            return [group ? 'group' : 'elsewhere', focused.ariaLabel ?? focused.innerText ?? focused.name]";
        let wanted = serde_json::to_value(element).expect("an element");
        let mut passed = Vec::new();
        for _ in 0..KEYS_MAX {
            let at = self.script(place, vec![wanted.clone()]).await;
            match at[0].as_str() {
                Some("here") => return self.assert_focus_shows().await,
                Some("group") => self.press(Key::Down).await,
                _ => self.press(Key::Tab).await,
            }
            passed.push(plain(&at[1]));
        }
        panic!(
            "Tab does not come there, but to {passed:?}, on {}",
            self.shown().await
        );
    }

    /// Goes to a link, a button or a choice and uses it.
    pub(super) async fn use_by_keyboard(&self, element: &Element) {
        self.reach(element).await;
        let script = "
            const focused = document.activeElement;
            if (focused.type === 'radio' && focused.checked) return 'chosen';
            return focused.matches('a, button, summary') ? 'Enter' : ' '";
        match self.script(script, Vec::new()).await.as_str() {
            // The arrow has chosen it.
            Some("chosen") => {}
            Some("Enter") => self.press(Key::Enter).await,
            _ => self.press(Key::Space).await,
        }
    }

    /// Goes to a field and writes there.
    pub(super) async fn write_over(&self, field: &Element, value: &str) {
        self.reach(field).await;
        let all = KeyActions::new("keys".to_owned())
            .then(KeyAction::Down {
                value: Code::Control.into(),
            })
            .then(KeyAction::Down { value: 'a' })
            .then(KeyAction::Up { value: 'a' })
            .then(KeyAction::Up {
                value: Code::Control.into(),
            });
        let struck = self.session.client.perform_actions(all).await;
        struck.expect("a keyboard");
        self.write(value).await;
    }

    /// Goes to a list and on in it until this option is chosen.
    pub(super) async fn select_by_keyboard(&self, field: &Element, option: &str) {
        self.reach(field).await;
        let chosen = "return document.activeElement.selectedOptions[0].label";
        self.strike(&[Code::Home.into()]).await;
        for _ in 0..KEYS_MAX {
            if plain(&self.script(chosen, Vec::new()).await) == option {
                return;
            }
            self.press(Key::Down).await;
        }
        panic!("no `{option}` on {}", self.shown().await);
    }

    /// Fails when nobody would see where the focus is.
    async fn assert_focus_shows(&self) {
        let script = "
            const shows = (element) => {
              const style = getComputedStyle(element);
              const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
              return outlined || style.boxShadow !== 'none';
            };
            const focused = document.activeElement;
            // A hidden checkbox shows it beside itself.
            const around = [focused, focused.nextElementSibling, ...(focused.labels ?? [])];
            return focused.matches(':focus-visible') && around.some((element) => element && shows(element))";
        if self.script(script, Vec::new()).await != true {
            let focused = self.focused().await;
            panic!("nobody sees that `{focused}` has the focus");
        }
    }
}
