//! Character classes and the cursor that every header is read with (RFC 3261 section 25.1).

use super::Malformed;

/// What `token` is made of.
pub(crate) const TOKEN: u8 = 1;
/// What the user part of a SIP URI is made of, escapes included.
pub(crate) const USER: u8 = 1 << 1;
/// What parameters of a SIP URI are made of, escapes included.
pub(crate) const URI_PARAM: u8 = 1 << 2;
/// What headers of a SIP URI are made of, escapes included.
pub(crate) const URI_HEADER: u8 = 1 << 3;
/// What a host name is made of. RFC 3261 has no `_`, but names in private networks do.
pub(crate) const HOST: u8 = 1 << 4;
/// What an unquoted parameter value is made of: `token`, an IPv6 reference, and what branches and instance
/// names of common clients hold besides.
pub(crate) const VALUE: u8 = 1 << 5;
/// What `word` is made of: the two halves of a Call-ID, `@` included.
pub(crate) const WORD: u8 = 1 << 6;
/// Anything visible, other scripts included.
pub(crate) const VISIBLE: u8 = 1 << 7;

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler; a u8 is below 256")]
static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = classes(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

const fn classes(byte: u8) -> u8 {
    const ALL: u8 = TOKEN | USER | URI_PARAM | URI_HEADER | VALUE | WORD | VISIBLE;
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' => ALL | HOST,
        b'_' => ALL | HOST,
        b'%' | b'!' | b'*' | b'~' | b'\'' | b'+' => ALL,
        b'(' | b')' => USER | URI_PARAM | URI_HEADER | WORD | VISIBLE,
        b'`' => TOKEN | VALUE | WORD | VISIBLE,
        b'$' => USER | URI_PARAM | URI_HEADER | VALUE | VISIBLE,
        b'&' => USER | URI_PARAM | VALUE | VISIBLE,
        b'=' => USER | VALUE | VISIBLE,
        b',' | b';' => USER | VISIBLE,
        b'?' => USER | URI_HEADER | WORD | VISIBLE,
        b'/' => USER | URI_PARAM | URI_HEADER | VALUE | WORD | VISIBLE,
        b':' => URI_PARAM | URI_HEADER | VALUE | WORD | VISIBLE,
        b'[' | b']' => URI_PARAM | URI_HEADER | VALUE | WORD | VISIBLE,
        b'@' => VALUE | WORD | VISIBLE,
        b'<' | b'>' | b'"' | b'\\' | b'{' | b'}' => WORD | VISIBLE,
        // The grammar wants `%23` in a user part, but phones send feature codes such as `*98#` as they are.
        b'#' => USER | VALUE | VISIBLE,
        b'|' | b'^' => VALUE | VISIBLE,
        0x80.. => VISIBLE,
        _ => 0,
    }
}

/// Whether `byte` is of one of the classes.
pub(crate) fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|c| c & class != 0)
}

/// Whether `text` is one or more of the classes.
pub(crate) fn all(text: &str, class: u8) -> bool {
    !text.is_empty() && text.bytes().all(|b| is(b, class))
}

/// Where `byte` first stands in a text.
pub(crate) fn find(text: &str, byte: u8) -> Option<usize> {
    memchr::memchr(byte, text.as_bytes())
}

/// The text before the first `byte` and the text behind it, or all of it.
pub(crate) fn split(text: &str, byte: u8) -> (&str, Option<&str>) {
    let parts = find(text, byte).and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?)));
    parts.map_or((text, None), |(before, behind)| (before, Some(behind)))
}

/// Whether every `%` is followed by two hexadecimal digits (RFC 3261 section 25.1, `escaped`).
pub(crate) fn escapes_are_whole(text: &str) -> bool {
    memchr::memchr_iter(b'%', text.as_bytes()).all(|at| {
        text.as_bytes().get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Decimal digits as a number; `None` for anything else, and for what does not fit.
pub(crate) fn decimal<T: core::str::FromStr>(text: &str) -> Option<T> {
    // FromStr of the integers takes a sign, SIP does not.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Decimal seconds, cut to the largest 32-bit number (RFC 4475 section 3.1.2.4); `None` for no number.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

/// Without the white space and line folds at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// Reads a header value from left to right. Every step consumes or fails, so reading is linear.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) const fn is_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Where the cursor stands, for [`Cursor::since`].
    pub(crate) const fn mark(&self) -> usize {
        self.at
    }

    /// The text from a mark to here.
    pub(crate) fn since(&self, mark: usize) -> &'a str {
        self.text.get(mark..self.at).unwrap_or_default()
    }

    /// Back to a mark.
    pub(crate) const fn reset(&mut self, mark: usize) {
        self.at = mark;
    }

    /// Consumes `byte` if it comes next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Consumes `byte` with white space around it (`SLASH`, `EQUAL`, `SEMI`, `COMMA`, `COLON`), or nothing.
    pub(crate) fn separator(&mut self, byte: u8) -> bool {
        let mark = self.at;
        self.white();
        if self.eat(byte) {
            self.white();
            return true;
        }
        self.at = mark;
        false
    }

    /// Consumes white space and line folds (`SWS`); says whether there were any.
    pub(crate) fn white(&mut self) -> bool {
        if self.peek().is_none_or(|b| b > b' ') {
            return false;
        }
        let mark = self.at;
        loop {
            match self.text.as_bytes().get(self.at..).unwrap_or_default() {
                [b' ' | b'\t', ..] => self.at += 1,
                [b'\r', b'\n', b' ' | b'\t', ..] => self.at += 3,
                _ => return self.at > mark,
            }
        }
    }

    /// Consumes as much of the classes as there is. No class splits a character: they hold ASCII, or all
    /// bytes beyond it.
    pub(crate) fn run(&mut self, class: u8) -> &'a str {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&b| !is(b, class)).unwrap_or(rest.len());
        self.take(len)
    }

    /// Consumes up to `byte`, which stays; `None` when it does not come.
    pub(crate) fn until(&mut self, byte: u8) -> Option<&'a str> {
        let rest = self.text.as_bytes().get(self.at..)?;
        memchr::memchr(byte, rest).map(|len| self.take(len))
    }

    pub(crate) fn token(&mut self, else_why: Malformed) -> Result<&'a str, Malformed> {
        let token = self.run(TOKEN);
        if token.is_empty() { Err(else_why) } else { Ok(token) }
    }

    /// Consumes a quoted string, quotes included; the cursor stands on the first quote.
    pub(crate) fn quoted(&mut self) -> Result<&'a str, Malformed> {
        let mark = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break self.at += 1,
                // quoted-pair: anything of ASCII but CR and LF.
                Some(b'\\') if self.next_is_pair() => self.at += 2,
                Some(b' ' | b'\t' | b'\r') if self.white() => {}
                Some(b) if is(b, VISIBLE) && b != b'\\' => self.at += 1,
                _ => return Err(UNBALANCED),
            }
        }
        Ok(self.since(mark))
    }

    fn next_is_pair(&self) -> bool {
        let next = self.text.as_bytes().get(self.at + 1);
        next.is_some_and(|&b| b.is_ascii() && !matches!(b, b'\r' | b'\n'))
    }

    fn take(&mut self, len: usize) -> &'a str {
        let mark = self.at;
        self.at += len;
        self.since(mark)
    }
}

const UNBALANCED: Malformed = Malformed::new("a quoted string does not end", "RFC 3261 25.1");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3261_25_1_token_characters() {
        let tokens: String = (0..=127_u8).filter(|&b| is(b, TOKEN)).map(char::from).collect();
        assert_eq!(tokens, "!%'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_`abcdefghijklmnopqrstuvwxyz~");
    }

    #[test]
    fn rfc_3261_25_1_word_characters() {
        for b in b"()<>:\\\"/[]?{}@".iter().filter(|b| !is(**b, TOKEN)) {
            assert!(is(*b, WORD), "{}", char::from(*b));
        }
        assert!(!is(b' ', WORD) && !is(b';', WORD) && !is(b',', WORD));
    }

    #[test]
    fn no_control_character_has_a_class() {
        assert!((0..=0x20).chain([0x7f]).all(|b| !is(b, u8::MAX)));
    }

    #[test]
    fn quoted_strings() {
        for good in ["\"\"", "\"a b\"", "\"\\\"\"", "\"\\\\\"", "\"\\\u{0}\"", "\"ü\"", "\"a\r\n b\""] {
            assert_eq!(Cursor::new(good).quoted(), Ok(good), "{good:?}");
        }
        for bad in
            ["\"", "\"a", "\"\\\"", "\"\\", "\"\\ü\"", "\"a\r\nb\"", "\"\u{0}\"", "\"\\\r\"", "\"\u{7f}\""]
        {
            assert_eq!(Cursor::new(bad).quoted(), Err(UNBALANCED), "{bad:?}");
        }
    }

    #[test]
    fn white_space_with_folds() {
        let mut cursor = Cursor::new(" \t\r\n \r\n\tx");
        assert!(cursor.white());
        assert_eq!(cursor.peek(), Some(b'x'));
        let mut cursor = Cursor::new("\r\nx");
        assert!(!cursor.white(), "a line end without continuation is no white space");
    }

    #[test]
    fn numbers_have_no_sign() {
        assert_eq!(decimal::<u16>("65535"), Some(65535));
        for bad in ["", "+5", "-1", "65536", "5 ", "0x5", "٣"] {
            assert_eq!(decimal::<u16>(bad), None, "{bad:?}");
        }
        assert_eq!(seconds("99999999999999999999"), Some(u32::MAX));
        assert_eq!(seconds(""), None);
        assert_eq!(seconds("-1"), None);
    }

    #[test]
    fn escapes() {
        assert!(escapes_are_whole("%41%00"));
        assert!(!escapes_are_whole("%4") && !escapes_are_whole("a%") && !escapes_are_whole("%zz"));
    }
}
