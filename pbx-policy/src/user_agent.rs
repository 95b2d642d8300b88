//! Which User-Agents an extension may be used with (C5): how they begin, or an expression they match.
//!
//! A User-Agent can be forged: this is a hurdle, not authentication.

use pbx_core::ConfigError;
use regex::{Regex, RegexBuilder};

/// Most memory that one compiled expression may take.
const SIZE: usize = 64 << 10;
/// Most bytes of a User-Agent that are looked at.
const LOOKED_AT: usize = 512;

/// One of the values of `user_agents`.
#[derive(Debug)]
pub(crate) enum UserAgent {
    /// It begins with this, letter case aside.
    Prefix(String),
    /// It matches this, letter case aside.
    Expression(Regex),
}

impl UserAgent {
    /// `/expression/` is an expression, anything else the beginning of a User-Agent.
    pub(crate) fn compile(text: &str, path: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        if text.is_empty() || text == "//" {
            return Err(ConfigError::new(path, "an empty User-Agent would match every one")
                .instead("write how the User-Agent begins, or leave the list empty"));
        }
        match text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
            Some(expression) => Self::expression(expression, path),
            None => Ok(Self::Prefix(text.to_owned())),
        }
    }

    fn expression(text: &str, path: &str) -> Result<Self, ConfigError> {
        let built = RegexBuilder::new(text).case_insensitive(true).size_limit(SIZE).build();
        built.map(Self::Expression).map_err(|_| {
            ConfigError::new(path, format!("{text:?} is no expression, or a very large one"))
                .instead("write a regular expression between slashes, e.g. \"/^Yealink SIP-T4[0-9]/\"")
        })
    }

    /// Whether it allows what a device claims to be.
    pub(crate) fn allows(&self, claimed: &str) -> bool {
        let claimed = claimed.trim_start();
        match self {
            Self::Prefix(prefix) => {
                claimed.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
            }
            Self::Expression(expression) => {
                expression.is_match(claimed.get(..LOOKED_AT).unwrap_or_else(|| cut(claimed)))
            }
        }
    }
}

/// The first [`LOOKED_AT`] bytes, or somewhat fewer: whole characters.
fn cut(text: &str) -> &str {
    let end = (0..=LOOKED_AT.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<UserAgent, String> {
        UserAgent::compile(text, "p").map_err(|e| e.to_string())
    }

    #[test]
    fn c5_a_value_is_how_the_user_agent_begins() {
        let yealink = rule(" Yealink SIP-T4").unwrap();
        assert!(yealink.allows("yealink sip-t46U 108.86.0.20") && yealink.allows("  Yealink SIP-T48S"));
        assert!(!yealink.allows("My Yealink SIP-T46U") && !yealink.allows("Yealink") && !yealink.allows(""));
        assert!(!rule("Ä").unwrap().allows("\u{c3}"), "no character is cut");
    }

    #[test]
    fn c5_between_slashes_it_is_an_expression() {
        let t4 = rule("/^Yealink SIP-T4[268]/").unwrap();
        assert!(t4.allows("YEALINK SIP-T46U") && !t4.allows("Yealink SIP-T57W"));
        assert!(rule("/SIP/").unwrap().allows("x SIP x"), "anywhere unless anchored");
    }

    #[test]
    fn what_matches_everything_or_nothing_is_refused() {
        for bad in ["", "  ", "//", "/(/", "/(a{1000}){1000}/"] {
            assert!(rule(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn long_claims_are_cut_at_a_character() {
        let end = rule("/z$/").unwrap();
        assert!(!end.allows(&("ü".repeat(100_000) + "z")));
        assert!(end.allows(&("a".repeat(LOOKED_AT - 1) + "z")));
    }
}
