//! Cookies (RFC 6265): the dashboard's own, which nobody but the dashboard sees.

use http::{HeaderMap, HeaderValue, header::COOKIE};

/// The session's, where the dashboard is reached by plain http.
pub(crate) const NAME: &str = "scopegate";
/// The session's, where it is reached by https: only this host by https can have set it.
pub(crate) const SECURE_NAME: &str = "__Host-scopegate";
/// The one that proves forms before there is a session.
pub(crate) const FORM_NAME: &str = "scopegate-form";

/// A cookie's value, if there is one of this name and it is not empty.
pub(crate) fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// Takes the dashboard's own off a request that goes on, and leaves the others as they are.
pub(crate) fn take_own(headers: &mut HeaderMap) {
    let is_own = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = name.trim_ascii();
        [NAME, SECURE_NAME, FORM_NAME]
            .iter()
            .any(|own| name == own.as_bytes())
    };
    let lines: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let mut pairs = lines
        .iter()
        .flat_map(|line| line.split(|byte| *byte == b';'));
    if !pairs.any(is_own) {
        return;
    }
    let kept: Vec<HeaderValue> = lines
        .iter()
        .map(|line| {
            let others = line
                .split(|byte| *byte == b';')
                .filter(|pair| !is_own(pair));
            let others: Vec<&[u8]> = others.map(<[u8]>::trim_ascii).collect();
            others.join(&b"; "[..])
        })
        .filter(|line| !line.is_empty())
        .filter_map(|line| HeaderValue::from_bytes(&line).ok())
        .collect();
    headers.remove(COOKIE);
    for line in kept {
        headers.append(COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, line.parse().unwrap());
        }
        take_own(&mut headers);
        let left = headers.get_all(COOKIE).iter();
        left.map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_dashboards_own_are_taken_and_others_stay() {
        assert_eq!(after(&["a=1; scopegate=x.y.z; b=2"]), ["a=1; b=2"]);
        assert_eq!(after(&["__Host-scopegate=x", "b=2"]), ["b=2"]);
        assert_eq!(after(&["scopegate-form=x"]), Vec::<String>::new());
        assert_eq!(
            after(&["a=scopegate=1;  xscopegate=2"]),
            ["a=scopegate=1;  xscopegate=2"]
        );
        assert_eq!(after(&["; scopegate =x;a"]), ["; a"]);
    }

    #[test]
    fn a_value_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "xscopegate=1; scopegate=".parse().unwrap());
        assert_eq!(value(&headers, NAME), None);
        headers.append(COOKIE, "scopegate=a=b".parse().unwrap());
        assert_eq!(value(&headers, NAME).as_deref(), Some("a=b"));
    }
}
