//! The names that people give to things, and their shapes. Checked at the door, and again when a row is read. Names
//! that a policy has too are the policy crate's: permissions, roles, clusters.

/// Longest name of an organization or credential, in characters.
pub const TITLE_CHARS_MAX: usize = 255;

/// The name of an organization or credential: 1 to 255 characters, none of them a control character, no space at
/// either end.
pub fn is_title(text: &str) -> bool {
    (1..=TITLE_CHARS_MAX).contains(&text.chars().count())
        && text.trim() == text
        && !text.chars().any(char::is_control)
}

/// An e-mail address: visible ASCII with one `@` inside, at most 254 characters (RFC 5321).
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'@');
    text.len() <= 254 && part(local) && part(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        for good in [
            "grafana-export",
            "déploiement du soir",
            "a",
            &"é".repeat(255),
        ] {
            assert!(is_title(good), "{good:?}");
        }
        for bad in ["", " a", "a ", "a\nb", "\u{7f}", &"é".repeat(256)] {
            assert!(!is_title(bad), "{bad:?}");
        }
    }

    #[test]
    fn e_mail_addresses() {
        for good in ["a@b", "ada+x@example.com"] {
            assert!(is_email(good), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b\r\nX: y",
            "ä@b",
            &"a@b".repeat(90),
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }
}
