//! Addresses and quoted strings made of what the application supplies.

use super::WriteError;
use super::out::check_text;
use crate::header::lex::{TOKEN, all};
use crate::uri::Uri;

/// A text as a quoted string, its quotes and backslashes escaped.
///
/// ```
/// assert_eq!(pbx_sip::write::quoted("a \"b\"").unwrap(), r#""a \"b\"""#);
/// ```
///
/// # Errors
/// When it holds a control character.
pub fn quoted(text: &str) -> Result<String, WriteError> {
    check_text(text)?;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Ok(out)
}

/// An address in `<>` with an optional display name and tag.
///
/// ```
/// use pbx_sip::write::name_addr;
/// assert_eq!(name_addr("Bob", "sip:bob@b.org", "x1").unwrap(), "\"Bob\" <sip:bob@b.org>;tag=x1");
/// assert_eq!(name_addr("", "sip:bob@b.org", "").unwrap(), "<sip:bob@b.org>");
/// assert!(name_addr("", "sip:bob@b.org>;tag=evil", "").is_err());
/// ```
///
/// # Errors
/// When the URI is not one, the tag is no token, or the display name holds a control character.
pub fn name_addr(display: &str, uri: &str, tag: &str) -> Result<String, WriteError> {
    let uri = Uri::parse(uri)?.as_str();
    let name = if display.is_empty() { String::new() } else { quoted(display)? + " " };
    match tag {
        "" => Ok(format!("{name}<{uri}>")),
        tag if all(tag, TOKEN) => Ok(format!("{name}<{uri}>;tag={tag}")),
        _ => Err(WriteError::Name),
    }
}
