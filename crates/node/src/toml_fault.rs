//! A TOML parser's complaint as one line and a line number.

/// Line (from 1) and message of a TOML error in `text`. The parser's own display draws several lines, and quotes the source.
pub(crate) fn describe(text: &str, error: &toml::de::Error) -> (usize, String) {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count();
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    match key(text, start) {
        Some(key) if !message.contains(&format!("`{key}`")) => (line, format!("`{key}`: {message}")),
        _ => (line, message),
    }
}

/// The key of the line that `place` is in, if the line begins with one.
fn key(text: &str, place: usize) -> Option<&str> {
    let begin = text.get(..place)?.rfind('\n').map_or(0, |newline| newline + 1);
    let (key, _) = text[begin..].lines().next()?.split_once('=')?;
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    Some(key.trim()).filter(|key| !key.is_empty() && key.chars().all(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_an_unknown_key_is_named() {
        #[derive(serde::Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        struct Small {
            #[serde(rename = "a")]
            _a: u8,
        }
        let text = "# comment\na = 1\nb = 2\n";
        let error = toml::from_str::<Small>(text).unwrap_err();
        let (line, message) = describe(text, &error);
        assert_eq!(line, 3);
        assert!(message.contains("unknown field `b`") && !message.contains('\n'), "{message}");
        let text = "\na = \"one\"\n";
        let (line, message) = describe(text, &toml::from_str::<Small>(text).unwrap_err());
        assert_eq!(line, 2);
        assert!(message.starts_with("`a`: invalid type"), "{message}");
    }
}
