//! Hexadecimal text (base 16), as digest and the stores write hash values.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes `bytes` in lower case at the start of `out` and gives back what was written; stops when either ends.
pub(crate) fn encode<'o>(bytes: &[u8], out: &'o mut [u8]) -> &'o [u8] {
    let mut written = 0;
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        written += 2;
    }
    out.get(..written).unwrap_or_default()
}

/// `bytes` as lower-case text.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).map(char::from).collect()
}

/// The `N` bytes that exactly `2 * N` digits of either case stand for.
pub(crate) fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    decode_into(text, &mut out).then_some(out)
}

/// Fills `out` from exactly `2 * out.len()` digits of either case; `false` for anything else.
pub(crate) fn decode_into(text: &[u8], out: &mut [u8]) -> bool {
    let (pairs, rest) = text.as_chunks::<2>();
    let fits = rest.is_empty() && pairs.len() == out.len();
    fits && out.iter_mut().zip(pairs).all(|(o, &[high, low])| match (value(high), value(low)) {
        (Some(high), Some(low)) => {
            *o = high << 4 | low;
            true
        }
        _ => false,
    })
}

fn digit(nibble: u8) -> u8 {
    DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode::<256>(text(&all).as_bytes()).map(Vec::from), Some(all.clone()));
        assert_eq!(decode::<256>(text(&all).to_uppercase().as_bytes()).map(Vec::from), Some(all.clone()));
        assert_eq!(encode(&all, &mut [0; 512]), text(&all).as_bytes());
    }

    #[test]
    fn only_whole_hexadecimal_text_is_taken() {
        for bad in ["", "0", "000", "0g", "g0", " 0", "0x", "00000"] {
            assert_eq!(decode::<2>(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(decode::<2>(b"0aFf"), Some([0x0a, 0xff]));
    }
}
